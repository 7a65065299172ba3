"""The pgTAP tests reach every statement of the functions, but for listed ones."""

from __future__ import annotations

import pytest

from covered.measuring import measure
from covered.reasons import REASONS


@pytest.mark.requires_postgresql
@pytest.mark.requires_pgtap
@pytest.mark.requires_plpgsql_check
def test_every_statement_is_reached() -> None:
    coverage = measure()
    assert coverage.unreached.keys() == REASONS.keys()
    excused = {name for name, _ in REASONS}
    # Each branch has a statement: all are reached when all statements are.
    below = {
        name: statements
        for name, (statements, _) in coverage.rates.items()
        if statements < 1 and name not in excused
    }
    assert below == {}
