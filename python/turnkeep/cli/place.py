"""Where a command works: ``-C``, before or behind the verb."""

from __future__ import annotations

import os
from pathlib import Path

import click

from turnkeep.errors import TurnkeepError


def _change_directory(
    _context: click.Context, _option: click.Parameter, value: Path | None
) -> None:
    """Go to another directory before anything is looked for."""
    if value is None:
        return
    try:
        os.chdir(value)
    except OSError as error:
        raise TurnkeepError(
            f"Cannot change to directory {value}: {error.strerror}"
        ) from None


chdir = click.option(
    "-C",
    "--chdir",
    "--cd",
    type=click.Path(path_type=Path),
    expose_value=False,
    is_eager=True,
    callback=_change_directory,
    help="Change to this directory first.",
)
