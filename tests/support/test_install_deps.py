"""The installer leaves a machine as it was, but for the packages."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support import install_deps, marks
from support.install_deps import in_place
from support.requirements import REQUIREMENTS, Requirement

ABSENT = Requirement(("no-such-package",), "no-such-program")


def test_a_file_is_in_place_for_a_while(tmp_path: Path) -> None:
    path = tmp_path / "new/policy"
    with in_place(path, "#!/bin/sh\nexit 101\n"):
        assert subprocess.run([path], check=False).returncode == 101  # noqa: S603
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("kind", ["file", "link to nowhere"])
def test_what_was_there_is_there_again(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "policy"
    if kind == "file":
        path.write_text("the administrator's")
        path.chmod(0o700)
    else:
        path.symlink_to("nowhere")
    before = path.lstat()

    def fail_inside() -> None:
        with in_place(path, "ours"):
            assert path.read_text() == "ours"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail_inside()
    assert path.lstat()[:2] == before[:2]
    assert list(tmp_path.iterdir()) == [path]


def test_the_next_run_repairs_what_a_killed_one_left(tmp_path: Path) -> None:
    path = tmp_path / "policy"
    path.write_text("the administrator's")
    crashed = in_place(path, "ours")
    crashed.__enter__()
    path.write_text("ours")

    with in_place(path, "ours"):
        pass
    assert path.read_text() == "the administrator's"
    assert list(tmp_path.iterdir()) == [path]


def test_an_ordinary_user_is_told_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran: list[tuple[str, ...]] = []
    monkeypatch.setattr(install_deps, "missing", lambda: {"absent": ABSENT})

    def run(*words: str, **_: object) -> int:
        ran.append(words)
        return 1

    monkeypatch.setattr(install_deps, "run", run)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    assert install_deps.main() == 1
    root = Path(__file__).parents[2]
    assert (
        capsys.readouterr().err.splitlines()[-1] == f"  sudo make -C {root} test-deps"
    )
    assert ran == [("sudo", "-n", "true")]


@pytest.mark.parametrize(
    ("complete", "outcome"), [("", pytest.skip.Exception), ("1", pytest.fail.Exception)]
)
def test_a_missing_program_is_a_failure_only_when_nothing_may_be_missing(
    monkeypatch: pytest.MonkeyPatch, complete: str, outcome: type[BaseException]
) -> None:
    monkeypatch.setenv(marks.COMPLETE, complete)
    monkeypatch.setitem(REQUIREMENTS, "absent", ABSENT)
    with pytest.raises(outcome, match="absent is not installed: make test-deps"):
        marks.require("absent")


def test_needs_nothing_but_the_standard_library() -> None:
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-I", "-S", "-c", f"exec({IMPORTS!r})"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "imported\n", done.stderr


IMPORTS = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from support import install_deps, requirements
print("imported")
"""
