"""What a cache does, step by step, without doing it.

A step is a value: a `Call` for the database, a `Command` for Redis, a pause, or the
answer that is to be computed. Who carries steps out sends each reply back, and throws
what a step has raised; `take` waits for them, `take_async` awaits them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from turnkeep.calls import Call

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from uuid import UUID

    from turnkeep.cache.redis import AsyncRedis, Redis

Reply = TypeVar("Reply")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Command:
    """A command for Redis; None is the reply when there is none."""

    name: str
    arguments: tuple[Any, ...]
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait for others."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Compute:
    """Find the answer out that is not kept."""


Steps = Generator[Call[Any] | Command | Pause | Compute, Any, Result]


class Caller(Protocol):
    """A `Client`, or what sends calls as it does."""

    @property
    def user_id(self) -> UUID | None:
        """The user whose calls these are."""

    def __call__(self, call: Call[Reply]) -> Reply:
        """Send a call and give its reply."""


class AsyncCaller(Protocol):
    """An `AsyncClient`, or what sends calls as it does."""

    @property
    def user_id(self) -> UUID | None:
        """The user whose calls these are."""

    async def __call__(self, call: Call[Reply]) -> Reply:
        """Send a call and give its reply."""


def take(
    steps: Steps[Result],
    client: Caller,
    redis: Redis | None,
    compute: Callable[[], Any] | None = None,
) -> Result:
    """Carry steps out, to their result."""
    answer: Any = None
    error: BaseException | None = None
    while True:
        try:
            step = steps.send(answer) if error is None else steps.throw(error)
        except StopIteration as end:
            result: Result = end.value
            return result
        answer, error = None, None
        try:
            match step:
                case Call():
                    answer = client(step)
                case Command() if redis is not None:
                    answer = redis(step.name, *step.arguments, **step.options)
                case Pause():
                    time.sleep(step.seconds)
                case Compute() if compute is not None:
                    answer = compute()
        except BaseException as raised:  # noqa: BLE001  the steps see to it
            error = raised


async def take_async(
    steps: Steps[Result],
    client: AsyncCaller,
    redis: AsyncRedis | None,
    compute: Callable[[], Awaitable[Any]] | None = None,
) -> Result:
    """Carry steps out as `take` does; one that is cancelled is one that raises."""
    answer: Any = None
    error: BaseException | None = None
    while True:
        try:
            step = steps.send(answer) if error is None else steps.throw(error)
        except StopIteration as end:
            result: Result = end.value
            return result
        answer, error = None, None
        try:
            match step:
                case Call():
                    answer = await client(step)
                case Command() if redis is not None:
                    answer = await redis(step.name, *step.arguments, **step.options)
                case Pause():
                    await asyncio.sleep(step.seconds)
                case Compute() if compute is not None:
                    answer = await compute()
        except BaseException as raised:  # noqa: BLE001  the steps see to it
            error = raised
