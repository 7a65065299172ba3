"""A connection that loses replies, as networks do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

import psycopg

if TYPE_CHECKING:
    from psycopg.abc import PQGen

Result = TypeVar("Result")
Loss = Literal["after the commit", "in flight"]


class LosingConnection(psycopg.Connection[Any]):
    """Loses one reply, and itself with it, each time that a loss is ordered.

    After the commit: the server's reply has arrived here and is thrown away. In flight:
    the connection closes when the query is on its way; the server carries it out at
    about the time at which the client asks again. Either way the client is told what
    libpq would tell it, and cannot know whether its call was carried out.
    """

    ordered: ClassVar[Loss | None] = None
    """What happens to the next query of this process."""

    def wait(self, gen: PQGen[Result], *args: Any, **options: Any) -> Result:
        """Send and wait as usual, or lose the connection as ordered."""
        loss, LosingConnection.ordered = LosingConnection.ordered, None
        if loss is None:
            return super().wait(gen, *args, **options)
        if loss == "in flight":
            # The generator sends, and first yields when it has to wait.
            next(gen)
            gen.close()
        else:
            super().wait(gen, *args, **options)
        self.pgconn.finish()
        raise psycopg.OperationalError(f"connection lost {loss}")
