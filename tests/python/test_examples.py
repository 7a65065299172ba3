"""What the README shows runs as it stands there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from support.requirements import SUPABASE_JS

if TYPE_CHECKING:
    from gateway.running import Gateway

TOP = Path(__file__).parents[2]
EXAMPLES = TOP / "python/examples"


def play(name: str, directory: Path, **environment: str) -> str:
    """Run a Python example, give what it prints; it warns of nothing."""
    done = subprocess.run(  # noqa: S603
        [sys.executable, EXAMPLES / name],
        cwd=directory,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize(
    ("language", "name"), [("python", "chat.py"), ("js", "chat.mjs")]
)
def test_the_readme_shows_the_example_that_is_tested(language: str, name: str) -> None:
    shown = re.findall(
        rf"```{language}\n(.*?)```", (TOP / "README.md").read_text(), re.DOTALL
    )
    assert (EXAMPLES / name).read_text() in shown


def test_the_python_example_runs_on_either_side_of_the_gateway(
    database: str, gateway: Gateway, tmp_path: Path
) -> None:
    assert play("chat.py", tmp_path, TURNKEEP_DATABASE_URL=database).startswith("3 [")
    gateway.traffic.clear()
    printed = play(
        "chat.py",
        tmp_path,
        SUPABASE_URL=gateway.url,
        SUPABASE_SECRET_KEY=gateway.service_key,
        SUPABASE_PUBLISHABLE_KEY=gateway.anon_key,
    )
    assert printed.startswith("5 [")
    assert gateway.traffic.requests == 2


def test_the_async_example_uploads_a_file(database: str, tmp_path: Path) -> None:
    printed = play("chat_async.py", tmp_path, TURNKEEP_DATABASE_URL=database)
    assert printed == "['chat_async.py']\n"
    (stored,) = (tmp_path / "objects").rglob("*.py")
    assert stored.read_bytes() == (EXAMPLES / "chat_async.py").read_bytes()


def test_supabase_py_needs_nothing_of_ours(gateway: Gateway, tmp_path: Path) -> None:
    printed = play(
        "chat_supabase.py",
        tmp_path,
        SUPABASE_URL=gateway.url,
        SUPABASE_SECRET_KEY=gateway.service_key,
        PYTHONWARNINGS="ignore",
    )
    assert printed == "False True True\n"
    assert gateway.traffic.paths[-2:] == ["POST /rest/v1/rpc/append_turn"] * 2


@pytest.mark.skipif(
    not (SUPABASE_JS.is_dir() and shutil.which("node")),
    reason="no Node, or no supabase-js: make test-deps fetches it where npm is",
)
def test_supabase_js_stores_a_turn_in_one_request(
    gateway: Gateway, tmp_path: Path
) -> None:
    shutil.copy(EXAMPLES / "chat.mjs", tmp_path)
    (tmp_path / "node_modules").symlink_to(SUPABASE_JS / "node_modules")
    user_id = str(uuid4())
    gateway.traffic.clear()
    done = subprocess.run(
        ["node", "chat.mjs"],  # noqa: S607
        cwd=tmp_path,
        env={
            "PATH": os.environ["PATH"],
            "SUPABASE_URL": gateway.url,
            "SUPABASE_PUBLISHABLE_KEY": gateway.anon_key,
            "USER_ID": user_id,
            "ACCESS_TOKEN": gateway.user_token(user_id),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "3 1\n", done.stderr
    assert gateway.traffic.paths == ["POST /rest/v1/rpc/append_turn"]
