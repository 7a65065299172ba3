"""Everything that Turnkeep raises on purpose."""

from __future__ import annotations


class TurnkeepError(Exception):
    """What went wrong, where (file and line, or server), and what to do about it."""

    is_told = False
    """Whether the account of a run has it already."""

    def __init__(
        self, message: str, *, where: str | None = None, hint: str | None = None
    ) -> None:
        """Take the three parts that a message has for people."""
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        """Give one line a part, as a person reads them: where, what, what to do."""
        text = f"{self.where}: {self.message}" if self.where else self.message
        return f"{text}\nhint: {self.hint}" if self.hint else text


class Misconfigured(TurnkeepError):
    """An address or a key is missing, or does not fit what is asked of the client."""


class CallError(TurnkeepError):
    """A call failed; the class says why, by SQLSTATE, and the cause is chained.

    Raised as itself for an SQLSTATE that no subclass names.
    """

    advice: str | None = None
    """The hint of all of a class, in place of the server's."""

    def __init__(
        self,
        message: str,
        *,
        where: str | None = None,
        detail: str | None = None,
        hint: str | None = None,
        sqlstate: str | None = None,
    ) -> None:
        """Take what the server said, part by part."""
        super().__init__(message, where=where, hint=self.advice or hint)
        self.detail = detail
        self.sqlstate = sqlstate
        """Five characters, or None when the server never got to say anything."""

    def __str__(self) -> str:
        """Give the message with its detail, and the hint on a line of its own."""
        if self.detail is None:
            return super().__str__()
        what, separator, hint = super().__str__().partition("\nhint: ")
        return f"{what}: {self.detail}{separator}{hint}"


class InvalidArgument(CallError):
    """An argument has the wrong form: no array, no object, a wrong type inside."""


class Forbidden(CallError):
    """The caller may not act for this owner, or may not call this function."""


class NotFound(CallError):
    """The call names something that is not stored."""


class Conflict(CallError):
    """The request_id was used before, for another turn."""


class TooLarge(CallError):
    """The batch, the content or the metadata is over its limit."""


class Unprocessable(CallError):
    """Well-formed, but refused: what it says cannot be stored."""


class NotDeployed(CallError):
    """The database does not have the function: Turnkeep is missing or older."""

    advice = "deploy it: turnkeep deploy"


class ReadOnly(CallError):
    """The server stores nothing: a standby, or one that was told not to."""

    advice = "send it to the primary; a project whose disk is full is read-only too"


class Unavailable(CallError):
    """Not now: no free connection, a deadlock, a server that is starting.

    Unless it is `Lost`, nothing was done.
    """


class Lost(Unavailable):
    """The connection went while a call was on its way: it may have been carried out.

    Sent again with the same request_id it is not carried out twice.
    """


class Closed(CallError):
    """The client was closed before the call."""


class Unanswered(Unavailable):
    """Nobody answered the first attempt at all; whoever is to may be starting."""

    advice = "check the address, and that the server is running"


class Unreachable(CallError):
    """The first connection of all was refused: something is named wrongly."""

    advice = "check the address, the user and the password"


BY_SQLSTATE: dict[str, type[CallError]] = {
    "PT400": InvalidArgument,
    "PT403": Forbidden,
    "PT404": NotFound,
    "PT409": Conflict,
    "PT413": TooLarge,
    "PT422": Unprocessable,
    # A worker deletes the stored object that a file names: soon it will have.
    "PT503": Unavailable,
    # What the server itself says before a function of ours is reached.
    "22003": InvalidArgument,
    "22007": InvalidArgument,
    "22P02": InvalidArgument,
    "22P05": Unprocessable,
    "25006": ReadOnly,
    "42501": Forbidden,
    "42846": InvalidArgument,
    "42883": NotDeployed,
    "42P01": NotDeployed,
    "3F000": NotDeployed,
    "53300": Unavailable,
    "57P01": Unavailable,
    "57P02": Lost,
    "57P03": Unavailable,
    "57P05": Unavailable,
    "40P01": Unavailable,
    "40001": Unavailable,
}
"""SQLSTATE to exception; class 08 (connection) is `Lost` as a whole."""


def class_for(sqlstate: str | None) -> type[CallError]:
    """Give the exception class of an SQLSTATE, `CallError` when none is named."""
    if sqlstate is None:
        return CallError
    if sqlstate.startswith("08"):
        return Lost
    return BY_SQLSTATE.get(sqlstate, CallError)
