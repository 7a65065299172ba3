"""What the page is sent: one sample a second for all who watch, none for nobody."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from turnkeep.serve.sampling import NotSampled, Sample, compare, sample

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from turnkeep.client import Client
    from turnkeep.health import Health
    from turnkeep.metrics import CallMetrics

SECONDS = 1.0
LONGEST_SECONDS = 10.0
"""Over which rates are taken."""


class Feed:
    """Samples while somebody watches. For one event loop; close it."""

    def __init__(
        self,
        health: Health,
        about: str,
        client: Client | None,
        metrics: CallMetrics | None,
    ) -> None:
        """Take what is watched; `about` names it for people."""
        self._health = health
        self._about = about
        self._client = client
        self._metrics = metrics
        self._watchers: set[asyncio.Queue[str | None]] = set()
        self._sampling: asyncio.Task[None] | None = None
        self._before: Sample | None = None

    async def watch(self) -> AsyncGenerator[str]:
        """Give one JSON document after the other, until the feed is closed."""
        # One: who cannot follow gets the newest.
        queue: asyncio.Queue[str | None] = asyncio.Queue(1)
        self._watchers.add(queue)
        if self._sampling is None or self._sampling.done():
            self._sampling = asyncio.create_task(self._sample())
        try:
            while (document := await queue.get()) is not None:
                yield document
        finally:
            self._watchers.discard(queue)

    async def close(self) -> None:
        """Let everybody go."""
        if self._sampling is not None and not self._sampling.done():
            self._sampling.cancel()
            await asyncio.wait({self._sampling})
        for queue in self._watchers:
            _replace(queue, None)

    def _last(self, now: Sample) -> Sample:
        """Give what to compare with: also that of a stream that has just ended."""
        before = self._before
        return now if before is None or now.at - before.at > LONGEST_SECONDS else before

    async def _sample(self) -> None:
        while self._watchers:
            report = await self._health.check()
            document: dict[str, Any] = {
                "about": self._about,
                "at": report.checked_at.timestamp(),
                "health": report.document(),
            }
            now = None
            if not report.has_answer:
                document["missing"] = "the database does not answer"
            else:
                try:
                    now = await sample(self._health.sessions)
                except NotSampled as error:
                    document["missing"] = str(error)
            if now is not None:
                document |= compare(now, self._last(now))
                found = report.components["redis"].finding.details
                if "lookups" in found:
                    document["redis"] = in_redis(found["lookups"])
                if self._metrics is not None:
                    document["clients"] = {
                        **self._metrics.totals(),
                        "scope": "of this process",
                    }
            self._before = now
            text = json.dumps(document, default=str)
            for queue in self._watchers:
                _replace(queue, text)
            await asyncio.sleep(SECONDS)


def in_redis(lookups: Mapping[str, int]) -> dict[str, Any]:
    """Sum up what has been looked for in Redis, threads and answers, and was there."""
    return {
        "hits": lookups.get("threads hit", 0) + lookups.get("answers hit", 0),
        "misses": lookups.get("threads miss", 0) + lookups.get("answers miss", 0),
        "scope": "in Redis",
    }


def _replace(queue: asyncio.Queue[str | None], item: str | None) -> None:
    if queue.full():
        queue.get_nowait()
    queue.put_nowait(item)
