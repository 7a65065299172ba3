"""A small helping of the battery, on every run."""

from __future__ import annotations

import pytest

from support.servers import servers

from .kill_deploy import KINDS, own_server, run


@pytest.mark.skipif("15" not in servers(), reason="needs PostgreSQL 15")
def test_a_killed_deployment_is_whole_and_the_next_one_finishes() -> None:
    with own_server() as server:
        url = server.cluster.url("postgres")
        battery = run(url, 4, kinds=KINDS, server=server, seed=20260101, aimed=1)
        rounds = list(battery)
    assert [each.faults for each in rounds] == [()] * 4
    assert any(each.hit == "inside" for each in rounds)
