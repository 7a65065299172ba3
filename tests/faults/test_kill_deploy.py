"""A small helping of the battery, on every run."""

from __future__ import annotations

from .kill_deploy import run


def test_a_killed_deployment_is_whole_and_the_next_one_finishes(
    empty_database: str,
) -> None:
    rounds = run(empty_database, 6, sessions=3, seed=20260101)
    assert [each.faults for each in rounds] == [()] * 6
    assert sum(each.hit == "inside" for each in rounds) >= 3
