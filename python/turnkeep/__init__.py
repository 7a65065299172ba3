"""Turnkeep: every turn of an assistant's conversation, exactly once."""

from __future__ import annotations

from turnkeep.lean import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from turnkeep.client import AsyncClient, Client, connect, connect_async

__version__ = "0.1.0.dev0"
__all__ = ["AsyncClient", "Client", "connect", "connect_async"]


def __getattr__(name: str) -> Any:
    """Import the client when it is asked for: `turnkeep status` never does."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from turnkeep import client  # noqa: PLC0415

    return getattr(client, name)
