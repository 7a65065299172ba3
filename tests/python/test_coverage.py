"""The pgTAP tests reach every statement of the functions, but for listed ones."""

from __future__ import annotations

import pytest

from covered.measuring import measure
from covered.reasons import REASONS


@pytest.mark.requires_postgresql
@pytest.mark.requires_pgtap
@pytest.mark.requires_plpgsql_check
def test_every_statement_and_branch_is_reached() -> None:
    coverage = measure()
    assert coverage.unreached.keys() == REASONS.keys()
    excused = {name for name, _ in REASONS}
    below = {
        name: rates
        for name, rates in coverage.rates.items()
        if min(rates) < 1 and name not in excused
    }
    assert below == {}
