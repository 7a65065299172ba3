"""What clients meet, reported as events: retries, replays, failures, cache hits.

```python
reporter = Reporter()
db = connect(url, observer=reporter)
with reporter.sending(connect(url, max_size=1, retry_budget=0)):
    db(append_turn("trip-to-rome", messages))
```

The kinds are client_retry, client_replay, client_error, client_cache_hit and
client_cache_miss; the subject is the function, or the cache; the payload says how many
there were, and for an error which.
"""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING

from turnkeep.calls import record_events
from turnkeep.errors import CallError
from turnkeep.replies import AppendedTurn

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from turnkeep.cache import Counts
    from turnkeep.calls import NewEvent
    from turnkeep.client import Client
    from turnkeep.exchange import Observer

EVERY_SECONDS = 5.0
LAST_SECONDS = 2.0
"""How long the end of a block waits for the last report."""
MOST_EVENTS = 1000
OWN_FUNCTION = "record_events"


@dataclass(frozen=True, slots=True)
class Occurrence:
    """What is counted: something that happened to a function, or in a cache."""

    kind: str
    subject: str
    error: str | None = None
    sqlstate: str | None = None

    def event(self, count: int) -> NewEvent:
        """Give it as record_events takes it."""
        said = {"error": self.error, "sqlstate": self.sqlstate}
        known = {key: value for key, value in said.items() if value is not None}
        payload = {"count": count, **known}
        return {"kind": self.kind, "subject": self.subject, "payload": payload}


class Reporter:
    """An observer for clients of both kinds; several may share one.

    Who calls pays for a number that is counted up, whatever the database does: what has
    not been sent is one number for each kind, function and exception, and waits.
    """

    def __init__(self, also: Observer | None = None) -> None:
        """Tell another observer everything, too: `turnkeep.metrics.CallMetrics`."""
        self._also = also
        self._lock = Lock()
        self._counted: Counter[Occurrence] = Counter()
        self._caches: dict[str, tuple[Counts, Counter[str]]] = {}

    def watch(self, cache: str, counts: Counts) -> None:
        """Report what goes through a cache: `Threads.counts`, `Responses.counts`."""
        with self._lock:
            self._caches[cache] = counts, Counter()

    def retried(self, function: str) -> None:
        """Count a call that is sent again."""
        self._count("client_retry", function)
        if self._also is not None:
            self._also.retried(function)

    def ended(self, function: str, seconds: float, result: object) -> None:
        """Count a replay, or a failure by its exception and SQLSTATE."""
        if isinstance(result, CallError):
            error = type(result).__name__
            self._count("client_error", function, error, result.sqlstate)
        elif isinstance(result, AppendedTurn) and result.replayed:
            self._count("client_replay", function)
        if self._also is not None:
            self._also.ended(function, seconds, result)

    def send(self, client: Client) -> int:
        """Send what was counted since the last time; give the number of events.

        When that fails it is kept. The client is the service's. A report whose reply is
        lost may be there twice.

        :raises turnkeep.errors.CallError: as record_events does
        """
        taken = self._take()
        if not taken:
            return 0
        events = [each.event(count) for each, count in taken.items()]
        try:
            return client(record_events(events)).recorded
        except CallError:
            with self._lock:
                self._counted.update(taken)
            raise

    @contextmanager
    def sending(
        self, client: Client, *, every: float = EVERY_SECONDS
    ) -> Iterator[None]:
        """Send every so often from a thread of its own, which ends with the block.

        The client is the service's, and best one for this alone. The end waits two
        seconds for the last report and not longer.
        """
        stop = Event()
        thread = Thread(
            target=self._go_on, args=(client, stop, every), name=__name__, daemon=True
        )
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(LAST_SECONDS)

    def _go_on(self, client: Client, stop: Event, every: float) -> None:
        while True:
            is_last = stop.wait(every)
            # A failure is logged by the client, and the next time may do.
            with suppress(CallError):
                self.send(client)
            if is_last:
                return

    def _count(
        self,
        kind: str,
        subject: str,
        error: str | None = None,
        sqlstate: str | None = None,
    ) -> None:
        # A report that fails is none to report.
        if subject != OWN_FUNCTION:
            with self._lock:
                self._counted[Occurrence(kind, subject, error, sqlstate)] += 1

    def _take(self) -> Mapping[Occurrence, int]:
        with self._lock:
            for cache, (counts, told) in self._caches.items():
                for kind, count in (("hit", counts.hits), ("miss", counts.misses)):
                    occurrence = Occurrence(f"client_cache_{kind}", cache)
                    self._counted[occurrence] += count - told[kind]
                    told[kind] = count
            taken = dict((+self._counted).most_common(MOST_EVENTS))
            self._counted -= Counter(taken)
        return taken
