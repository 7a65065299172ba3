"""A small helping of the battery, on every run."""

from __future__ import annotations

import pytest

from support.servers import servers

from .kill_deploy import KINDS, own_server, run


@pytest.mark.skipif("15" not in servers(), reason="needs PostgreSQL 15")
def test_a_killed_deployment_is_whole_and_the_next_one_finishes() -> None:
    with own_server() as server:
        url = server.cluster.url("postgres")
        settings = {"server": server, "seed": 20260101, "aimed": 1}
        rounds = [
            *run(url, 4, kinds=KINDS, **settings),
            *run(url, 2, kinds=("command", "server"), verb="revert", **settings),
        ]
    assert [each.faults for each in rounds] == [()] * 6
    assert any(each.hit == "inside" for each in rounds)
