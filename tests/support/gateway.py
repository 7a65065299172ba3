"""The fixture ``gateway``: Supabase's REST API on the database of a test."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.running import Gateway


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what answered the requests."""
    real = os.environ.get("POSTGREST_BIN")
    terminalreporter.write_line(f"gateway: {real or 'the stand-in of tests/gateway'}")


@pytest.fixture
def gateway(database: str) -> Iterator[Gateway]:
    """Run the REST API on ``database``: url, anon_key, service_key, user_token()."""
    from gateway.running import running  # noqa: PLC0415  half a second

    with running(database) as found:
        yield found
