"""Everything that Turnkeep raises on purpose."""

from __future__ import annotations


class TurnkeepError(Exception):
    """What went wrong, where (file and line, or server), and what to do about it."""

    def __init__(
        self, message: str, *, where: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        """Give one line a part, as a person reads them: where, what, what to do."""
        text = f"{self.where}: {self.message}" if self.where else self.message
        return f"{text}\nhint: {self.hint}" if self.hint else text
