"""The database project that ships with the package: plan, scripts, configuration."""

from __future__ import annotations

from pathlib import Path


def project_directory() -> Path:
    """Give the directory of ``sqitch.plan``, ``deploy``, ``revert`` and ``verify``.

    An installed wheel carries them beside its modules; a checkout keeps them at its
    top, two directories above.
    """
    packaged = Path(__file__).parent / "project"
    return packaged if packaged.is_dir() else Path(__file__).parents[2]
