"""What happens between a call and its reply: retries, exceptions, the log. No I/O.

A client, sync or async, sends what an `Exchange` says, and tells it what came back. So
when to send again, and what to log, is written once. What is sent twice is done once:
functions are idempotent by their arguments, and append_turn, which is not, gets a
request_id here when the caller gave none. A deletion is not sent again when the first
may have been carried out: what others have added since would go with it.

Logged to `turnkeep.client`: a duplicate or a replay as debug, a retry as warning, a
failure as error.
"""

from __future__ import annotations

import logging
from random import uniform
from threading import Lock
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import msgspec

from turnkeep.errors import CallError, Lost, Unanswered, Unavailable
from turnkeep.replies import AppendedTurn, LinkedFiles

if TYPE_CHECKING:
    from turnkeep.calls import Call

Reply = TypeVar("Reply")

logger = logging.getLogger("turnkeep.client")
logger.addHandler(logging.NullHandler())

RETRY_BUDGET_SECONDS = 30.0
START_SECONDS = 5.0
"""How long one who starts may take to listen; after that it is named wrongly."""
FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 2.0


class Observer(Protocol):
    """Is told of every call by the thread that makes it: be quick, and do not raise."""

    def retried(self, function: str) -> None:
        """Take note that a call is sent again."""

    def ended(self, function: str, seconds: float, result: object) -> None:
        """Take note of a call, retries included: its reply, or its `CallError`."""


class Policy:
    """How long a client tries, who is told, and how often it has tried again."""

    def __init__(
        self,
        retry_budget: float = RETRY_BUDGET_SECONDS,
        observer: Observer | None = None,
    ) -> None:
        """Take the seconds that one call may be tried again, and the observer."""
        self.retry_budget = retry_budget
        self.observer = observer
        self.retries = 0
        self._lock = Lock()

    def note_retry(self, what: str) -> None:
        """Count a retry."""
        with self._lock:
            self.retries += 1
        if self.observer is not None:
            self.observer.retried(what)


class Attempts:
    """Attempts at one thing that may be done twice without harm."""

    _made: int = 0
    _failed_at: float = 0.0

    def __init__(self, what: str, policy: Policy) -> None:
        """Take its name, for the log."""
        self.what = what
        self.policy = policy

    def failed(self, error: CallError) -> float:
        """Give the seconds to wait before the next attempt.

        The first comes at once, which is enough for a lost connection or a deadlock;
        the waiting is for a server that restarts.

        :raises turnkeep.errors.CallError: the error itself, when there is no next one
        """
        now = monotonic()
        self._made += 1
        if self._made == 1:
            self._failed_at = now
        patience = self.policy.retry_budget
        if isinstance(error, Unanswered):
            patience = min(patience, START_SECONDS)
        is_over = self._made > 1 and now >= self._failed_at + patience
        if is_over or not isinstance(error, Unavailable):
            self._give_up(error)
        self.policy.note_retry(self.what)
        logger.warning(
            "%s: attempt %d failed, trying again: %s", self.what, self._made, error
        )
        if self._made == 1:
            return 0.0
        longest = FIRST_PAUSE_SECONDS * 2.0 ** min(self._made - 1, 10)
        return uniform(0, min(longest, LONGEST_PAUSE_SECONDS))  # noqa: S311  no secret

    def _give_up(self, error: CallError) -> None:
        logger.error("%s", error)
        raise error


class Exchange(Attempts, Generic[Reply]):
    """One call on its way to its reply."""

    def __init__(self, call: Call[Reply], policy: Policy) -> None:
        """Take the call; `call` is then the form in which to send it, each time.

        :raises TypeError: it is none
        """
        try:
            super().__init__(call.function.name, policy)
        except AttributeError:
            given = type(call).__name__
            raise TypeError(
                f"a client takes a call, such as get_thread(...), and no {given}"
            ) from None
        self.call = call.repeatable()
        self._began = perf_counter()

    def replied(self, document: bytes) -> Reply:
        """Read the reply.

        :raises turnkeep.errors.CallError: it has another form than the function's
        """
        try:
            reply = self.call.decode(document)
        except msgspec.ValidationError as cause:
            error = CallError(
                "the reply has another form than this client knows",
                where=self.what,
                detail=str(cause),
                hint="the call was carried out; use the client of the same release",
            )
            error.__cause__ = cause
            self._give_up(error)
            raise
        self._end(reply)
        if logger.isEnabledFor(logging.DEBUG):
            log_repetition(self.call, reply)
        return reply

    def failed(self, error: CallError) -> float:
        """Do as `Attempts` do, but send no deletion again that may have been done."""
        if isinstance(error, Lost) and self.call.function.takes_what_comes_later:
            error.hint = "it may have been carried out: look before you send it again"
            self._give_up(error)
        return super().failed(error)

    def _give_up(self, error: CallError) -> None:
        self._end(error)
        super()._give_up(error)

    def _end(self, result: object) -> None:
        if (observer := self.policy.observer) is not None:
            observer.ended(self.what, perf_counter() - self._began, result)


def log_repetition(call: Call[Any], reply: object) -> None:
    """Log, as debug, that a call found its work done: that is no error."""
    match reply:
        case AppendedTurn(replayed=True, request_id=request_id):
            logger.debug("%s: replay of request %s", call.function.name, request_id)
        case LinkedFiles(already_linked=[_, *_] as file_ids):
            logger.debug("%s: %d links existed", call.function.name, len(file_ids))
