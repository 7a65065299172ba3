"""Runs a spec with PostgreSQL's isolationtester, which steps through its sessions."""

from __future__ import annotations

import os
import re
import subprocess
from itertools import zip_longest
from pathlib import Path

import psycopg

from support.requirements import REQUIREMENTS

HERE = Path(__file__).parent
SPECS = sorted((HERE / "specs").glob("*.spec"))
PRELUDE = HERE / "prelude.sql"
PATIENCE = 60
"""Seconds."""
CURSOR = re.compile(r'"cursor": "\d+/[0-9a-f-]{36}"')


def expected(spec: Path) -> Path:
    """Give the file with the output that ``spec`` must have."""
    return HERE / "expected" / f"{spec.stem}.out"


def prepare(url: str) -> None:
    """Put what the specs share into a database that has the project deployed."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(PRELUDE.read_bytes())


def run(spec: Path, url: str, patience: int = PATIENCE) -> str:
    """Run ``spec`` in a prepared database and give what the tester says.

    Errors are part of the output, also those of a spec that can not be run; the numbers
    of transactions are not. A step is given ``patience`` seconds; then it is cancelled,
    and the rest of its permutation.
    """
    done = subprocess.run(  # noqa: S603
        [_program(), url],
        check=False,
        env={**os.environ, "PGISOLATIONTIMEOUT": str(patience)},
        input=spec.read_text(),
        stderr=subprocess.STDOUT,
        stdout=subprocess.PIPE,
        text=True,
    )
    return _shown(done.stdout)


def difference(spec: Path, url: str, patience: int = PATIENCE) -> str | None:
    """Run ``spec`` to the first line that is not expected, and give it."""
    lines = expected(spec).read_text().splitlines(keepends=True)
    with (
        spec.open() as text,
        subprocess.Popen(  # noqa: S603
            [_program(), url],
            env={**os.environ, "PGISOLATIONTIMEOUT": str(patience)},
            stdin=text,
            stderr=subprocess.STDOUT,
            stdout=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        said = map(_shown, process.stdout or ())
        for line, right in zip_longest(said, lines):
            if line != right:
                process.kill()
                return line or "the end"
    return None


def _program() -> Path:
    tester = REQUIREMENTS["isolationtester"].path
    if tester is None:
        raise FileNotFoundError(REQUIREMENTS["isolationtester"].program)
    return tester


def _shown(output: str) -> str:
    """Leave the numbers of transactions out."""
    return CURSOR.sub('"cursor": "..."', output)
