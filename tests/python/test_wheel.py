"""What is installed brings the database's project along."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).parents[2]


def test_what_is_installed_can_deploy(tmp_path: Path) -> None:
    subprocess.run(  # noqa: S603
        [
            *(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"),
            "--no-build-isolation",
            *("--disable-pip-version-check", "--wheel-dir", tmp_path, ROOT),
        ],
        check=True,
    )
    (wheel,) = tmp_path.glob("turnkeep-*.whl")
    installed = tmp_path / "installed"
    ZipFile(wheel).extractall(installed)
    shown = subprocess.run(
        [sys.executable, "-m", "turnkeep", "plan", "--max-count", "1"],
        check=True,
        capture_output=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(installed), "LC_ALL": "C.UTF-8"},
        text=True,
    ).stdout
    assert shown.splitlines()[:2] == [
        "# Project: turnkeep",
        f"# File:    {installed}/turnkeep/project/sqitch.plan",
    ]
    project = installed / "turnkeep" / "project"
    for name in ("sqitch.plan", "sqitch.conf", "deploy", "revert", "verify"):
        assert files(project / name) == files(ROOT / name)


def files(place: Path) -> dict[Path, bytes]:
    """Give what is in a file, or in the files of a directory."""
    found = place.rglob("*.*") if place.is_dir() else [place]
    return {path.relative_to(place): path.read_bytes() for path in found}
