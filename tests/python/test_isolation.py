"""Each spec of tests/isolation, against the output that it must have."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from isolation.tester import HERE, SPECS, expected, prepare, run

if TYPE_CHECKING:
    from pathlib import Path

FORBIDDEN = re.compile(
    "deadlock detected|LINKED AND MARKED|ORPHAN, NOT MARKED|duplicate key"
    "|violates foreign key|WARNING|timed out"
)
"""What no output may hold, unless its spec is about it."""
ABOUT = {"plain_delete": "violates foreign key"}


@pytest.mark.requires_isolationtester
@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.stem)
def test_spec(spec: Path, database: str, tmp_path: Path) -> None:
    prepare(database)
    output = run(spec, database)
    actual = tmp_path / expected(spec).name
    actual.write_text(output)
    assert output.splitlines() == expected(spec).read_text().splitlines(), (
        f"see {actual}; if it is right, copy it to {expected(spec).parent}"
    )


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.stem)
def test_no_spec_expects_what_must_not_happen(spec: Path) -> None:
    found = set(FORBIDDEN.findall(expected(spec).read_text()))
    assert found <= {ABOUT.get(spec.stem)}


def test_every_expected_output_has_its_spec() -> None:
    outputs = {path.stem for path in (HERE / "expected").iterdir()}
    assert outputs == {spec.stem for spec in SPECS}


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.stem)
def test_a_spec_prints_no_ids_and_no_times(spec: Path) -> None:
    text = expected(spec).read_text()
    assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}|\d{4}-\d\d-\d\d", text)
