"""The command line's exit codes: 0 done, 1 findings, 2 could not."""

from __future__ import annotations

import click
import pytest

from turnkeep import cli
from turnkeep.errors import TurnkeepError


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["turnkeep", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


def interrupt() -> None:
    raise KeyboardInterrupt


def fail() -> None:
    raise TurnkeepError("it did not work", where="plan:3", hint="try another")


def end_with_findings() -> None:
    click.get_current_context().exit(1)


@pytest.mark.parametrize(
    ("what", "code", "said"),
    [
        (lambda: None, 0, ""),
        (end_with_findings, 1, ""),
        (interrupt, 2, "turnkeep: stopped\n"),
        (fail, 2, "turnkeep: plan:3: it did not work\nhint: try another\n"),
    ],
)
def test_how_a_command_ends(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    what: object,
    code: int,
    said: str,
) -> None:
    command = click.Command("up", callback=what)  # type: ignore[arg-type]
    monkeypatch.setattr("turnkeep.cli.server.up_command", command)
    assert run(monkeypatch, "up") == code
    assert capsys.readouterr().err.strip("\n") == said.strip("\n")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["--help"], 0), (["--version"], 0), (["nosuch"], 2), (["up", "--nosuch"], 2)],
)
def test_what_is_no_command(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int
) -> None:
    assert run(monkeypatch, *arguments) == code


def test_the_list_of_commands_says_what_each_does_to_the_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--help") == 0
    lines = capsys.readouterr().out.partition("Commands:\n")[2].splitlines()
    assert len(lines) == len(cli.COMMANDS)
    assert [line for line in lines if line.endswith("...")] == []
