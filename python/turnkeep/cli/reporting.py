"""How a run is told: text, one JSON document, a JSON line an event, annotations."""

from __future__ import annotations

import io
import sys
from contextlib import contextmanager
from functools import wraps
from itertools import pairwise

from turnkeep.cli.verbs import option, say
from turnkeep.errors import TurnkeepError
from turnkeep.lean import TYPE_CHECKING
from turnkeep.sqitch.report import (
    Collected,
    Events,
    GithubReport,
    TerminalReport,
    TextReport,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from turnkeep.cli.opening import Work
    from turnkeep.sqitch.report import Report

STYLES = ("text", "json", "events", "github")


def told(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say how a run is told."""

    @option(
        "--format",
        "style",
        type=STYLES,
        help="text, one JSON document at the end (json, as --json), a line of JSON as "
        "soon as something happens (events), or text with annotations for GitHub's "
        "reviews (github).  [default: text]",
    )
    @option("--quiet", is_flag=True, help="Say only what is wrong.")
    @wraps(function)
    def command(
        *args: Any, as_json: bool, style: str | None, quiet: bool, **options: Any
    ) -> None:
        chosen = style or ("json" if as_json else "quiet" if quiet else "text")
        function(*args, style=chosen, **options)

    return command


@contextmanager
def telling(work: Work, style: str) -> Iterator[Report]:
    """Give who listens to a run, and at its end print what is to be printed then."""
    report = _report(style)
    if style != "quiet":
        say(work.title, err=style in ("json", "events"))
    if isinstance(report, Events):
        report.write("start", **work.document)
    failure: str | None = None
    code = 2
    try:
        yield report
        code = 0
    except TurnkeepError as error:
        failure, error.is_told = str(error), True
        if isinstance(report, GithubReport):
            report.annotate("error", failure)
        raise
    except KeyboardInterrupt:
        failure = "stopped"
        raise
    except SystemExit as end:
        code = int(end.code or 0)
        raise
    finally:
        if isinstance(report, Collected):
            outcome = {
                "ok": code == 0,
                "messages": report.messages,
                "changes": report.changes,
                "errors": [*report.errors, *([failure] if failure else [])],
            }
            import json  # noqa: PLC0415 - only where this is asked for

            say(json.dumps(work.document | outcome, indent=2))
        elif isinstance(report, Events):
            report.write("finish", ok=code == 0, error=failure)


def tell(error: TurnkeepError, words: Sequence[str]) -> None:
    """Tell what ended a command line in the style that it asks for, if nobody has."""
    if error.is_told:
        return
    style = "json" if "--json" in words else "text"
    for option_, value in pairwise([*words, ""]):
        if option_ == "--format":
            style = value
        elif option_.startswith("--format="):
            style = option_.partition("=")[2]
    if style == "github":
        GithubReport().annotate("error", str(error))
    elif style == "events":
        Events().write("finish", ok=False, error=str(error))
    elif style == "json":
        import json  # noqa: PLC0415 - only where this is asked for

        say(json.dumps({"ok": False, "errors": [str(error)]}, indent=2))


def _report(style: str) -> Report:
    match style:
        case "json":
            return Collected(sys.stderr)
        case "events":
            return Events()
        case "github":
            return GithubReport()
        case "quiet":
            return TextReport(stdout=io.StringIO())
    return TerminalReport() if sys.stdout.isatty() else TextReport()
