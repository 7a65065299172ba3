"""Statements that one Sync ends: one transaction, and one trip to the server.

psycopg's own pipelines ask for a Flush behind the Sync that ends them. To a pooler in
transaction mode the transaction is over by then, if the answer was there first: it
takes the Flush for the beginning of the next one, and keeps a session of the server
for the client until that comes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from psycopg import AsyncPipeline, Pipeline

if TYPE_CHECKING:
    from types import TracebackType

    from psycopg.abc import PQGen

# ruff: noqa: SLF001
# psycopg lets nobody say how a pipeline ends; tests count the messages.


class Trip(Pipeline):
    """What is executed in its block goes to the server at once; results come after.

    The connection commits by itself, and has no pipeline.
    """

    def __enter__(self) -> Self:
        """Let the connection's cursors take part."""
        super().__enter__()
        self._conn._pipeline = self
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Send the Sync and wait for all results."""
        try:
            super().__exit__(kind, exception, traceback)
        finally:
            self._conn._pipeline = None

    def _exit_gen(self) -> PQGen[None]:
        return without_flush(self)


class AsyncTrip(AsyncPipeline):
    """A `Trip` of an asynchronous connection."""

    async def __aenter__(self) -> Self:
        """Let the connection's cursors take part."""
        await super().__aenter__()
        self._conn._pipeline = self
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Send the Sync and wait for all results."""
        try:
            await super().__aexit__(kind, exception, traceback)
        finally:
            self._conn._pipeline = None

    def _exit_gen(self) -> PQGen[None]:
        return without_flush(self)


def without_flush(pipeline: Pipeline | AsyncPipeline) -> PQGen[None]:
    """End a pipeline as psycopg does it, but for the Flush."""
    try:
        pipeline._enqueue_sync()
        yield from pipeline._communicate_gen()
    finally:
        yield from pipeline._fetch_gen(flush=False)
