"""What the engine raises, one sentence a class.

The texts are Sqitch's own where Sqitch has one, so that a search for them finds help.
"""

from __future__ import annotations

from turnkeep.errors import TurnkeepError


class SqitchError(TurnkeepError):
    """Something about a Sqitch project, its scripts or its registry is wrong."""


class PlanError(SqitchError):
    """The plan file cannot be read as a plan.

    ``line`` counts from 1; it is None when the fault has no single line.
    """

    def __init__(
        self,
        message: str,
        *,
        file: str,
        line: int | None = None,
        hint: str | None = None,
    ) -> None:
        """Take the message in Sqitch's words; a file they do not name goes before."""
        place = file if line is None else f"{file}:{line}"
        super().__init__(message, where=None if file in message else place, hint=hint)
        self.file = file
        self.line = line


class UnknownChangeError(SqitchError):
    """A name on the command line or in a plan names no change, or several."""


class AuthoringError(SqitchError):
    """What was to be written into the project cannot be."""


class TemplateError(SqitchError):
    """The template of a new script cannot be filled."""


class EmptyNoteError(SqitchError):
    """The editor was left without a note for the change or the tag."""


class ConfigError(SqitchError):
    """The configuration or the arguments do not name a target that can be used."""


class ScriptError(SqitchError):
    """A script cannot be used as it stands; nothing of it was run."""


class MissingScriptError(ScriptError):
    """There is no file of the name that a script has to have."""


class NeedsPsqlError(ScriptError):
    """A script does what only psql itself can do, and there is no psql."""


class ScriptFailedError(SqitchError):
    """The server refused a statement of a script; its effects were rolled back."""


class BlockedError(ScriptFailedError):
    """A statement did not get a lock in time; its transaction was rolled back."""


class VerifyFailedError(SqitchError):
    """A verify script failed, or the database does not agree with the plan."""


class RegistryError(SqitchError):
    """The registry is missing, of another version, or belongs to another project."""


class DeployError(SqitchError):
    """The deployment was refused before it began, or it failed."""


class RevertError(SqitchError):
    """The changes cannot be reverted."""


class DataLossError(RevertError):
    """A revert script would destroy rows, and nobody has said that it may."""


class CheckoutError(SqitchError):
    """The other branch has no plan to go on with, or Git failed."""


class NotConfirmedError(SqitchError):
    """Nobody could be asked whether to revert, so nothing was reverted."""


class LockTimeoutError(SqitchError):
    """Another deployment or revert kept the database for too long."""


class ServerError(SqitchError):
    """The server cannot be reached, refused the login, or went away."""
