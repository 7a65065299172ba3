"""Where a command works: ``-C``, before or behind the verb."""

from __future__ import annotations

import os
from pathlib import Path

from turnkeep.cli.verbs import option
from turnkeep.errors import TurnkeepError


def _change_directory(_context: object, _option: object, value: Path | None) -> None:
    """Go to another directory before anything is looked for."""
    if value is None:
        return
    try:
        os.chdir(value)
    except OSError as error:
        raise TurnkeepError(
            f"Cannot change to directory {value}: {error.strerror}"
        ) from None


chdir = option(
    "-C",
    "--chdir",
    "--cd",
    type=Path,
    expose_value=False,
    is_eager=True,
    callback=_change_directory,
    help="Change to this directory first.",
)
