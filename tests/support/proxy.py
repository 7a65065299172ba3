"""A TCP proxy before a server, which fails as networks do: cut, silent, slow."""

from __future__ import annotations

import asyncio
import socket
from contextlib import contextmanager, suppress
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

CHUNK = 2**16


class Proxy:
    """Passes bytes on between clients and a port of this machine, or fails to.

    It runs in a loop of its own thread; everything here may be called from another,
    and has taken effect when it returns.
    """

    def __init__(self, port: int, target: int) -> None:
        """Take the port to listen at, and the server's."""
        self.port = port
        self.accepted = 0
        """How many connections have been made to it."""
        self._target = target
        self._delay = 0.0
        self._silent = False
        self._drip = 0.0
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._started = Event()
        self._thread = Thread(target=asyncio.run, args=[self._run()])
        self._thread.start()
        self._started.wait()

    def listen(self) -> None:
        """Take connections."""
        self._do(self._listen())

    def cut(self) -> None:
        """End every connection, and refuse new ones."""
        self._do(self._cut())

    def be_silent(self) -> None:
        """Let nothing through any more, and tell nobody: a black hole.

        Who connects is accepted, by us as by a firewall that drops; connections from
        before are half open.
        """
        self._do(self._set(silent=True))

    def be_slow(self, seconds: float) -> None:
        """Let every piece take so long, there and back; it arrives in any case."""
        self._do(self._set(delay=seconds))

    def drip(self, seconds: float) -> None:
        """Let answers through byte by byte, each after so long: never silent."""
        self._do(self._set(drip=seconds))

    def heal(self) -> None:
        """Work; what was lost is lost, so connections that were silent end."""
        self._do(self._heal())

    def close(self) -> None:
        """End everything."""
        self.cut()
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._started.set()
        await self._stop.wait()

    def _do(self, coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    async def _set(
        self, *, silent: bool = False, delay: float = 0.0, drip: float = 0.0
    ) -> None:
        self._silent, self._delay, self._drip = silent, delay, drip

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(
                self._serve, "127.0.0.1", self.port
            )

    async def _cut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._end_all()

    async def _heal(self) -> None:
        if self._silent:
            await self._end_all()
        await self._set()
        await self._listen()

    async def _end_all(self) -> None:
        for writer in list(self._writers):
            # At once, with a reset: there is nothing left to say.
            writer.transport.abort()

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.accepted += 1
        self._writers.add(writer)
        try:
            answers, questions = await asyncio.open_connection(
                "127.0.0.1", self._target
            )
        except OSError:
            self._end(writer)
            return
        self._writers.add(questions)
        await asyncio.gather(
            self._pass_on(reader, questions, is_answer=False),
            self._pass_on(answers, writer, is_answer=True),
        )

    async def _pass_on(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        is_answer: bool,
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                if self._silent:
                    continue
                await asyncio.sleep(self._delay)
                while is_answer and self._drip and data:
                    writer.write(data[:1])
                    data = data[1:]
                    await asyncio.sleep(self._drip)
                writer.write(data)
                await writer.drain()
        if not self._silent:
            self._end(writer)

    def _end(self, writer: asyncio.StreamWriter) -> None:
        self._writers.discard(writer)
        writer.close()


@contextmanager
def proxied(target: int) -> Iterator[Proxy]:
    """Run a proxy before a port for the block."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    proxy = Proxy(port, target)
    try:
        proxy.listen()
        yield proxy
    finally:
        proxy.close()
