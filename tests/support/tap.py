"""What a test file said in TAP, judged as ``pg_prove`` judges it.

The grammar is TAP::Parser's (perldoc TAP::Parser::Grammar, version 12): plan, test,
bail out; TODO and SKIP; everything else is commentary.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

PLAN = re.compile(r"1\.\.(\d+)\s*(?:#\s*SKIP\S*\s*(.*))?$", re.IGNORECASE)
TEST = re.compile(r"(not )?ok\b\s*(\d+)?\s*(.*)$")
DIRECTIVE = re.compile(
    r"([^\\#]*(?:\\.[^\\#]*)*)#\s*(SKIP|TODO)\b\s*(.*)$", re.IGNORECASE
)
BAIL_OUT = re.compile(r"\s*Bail out!\s*(.*)$")


@dataclass(slots=True)
class Assertion:
    """One line ``ok`` or ``not ok``, and what was said about it."""

    number: int
    passed: bool
    description: str
    directive: str = ""
    """``TODO``, ``SKIP`` or nothing."""
    reason: str = ""
    said: list[str] = field(default_factory=list)
    """The lines before it that were no test's, and the diagnostics after it."""

    @property
    def is_failure(self) -> bool:
        """A test that is still to do may fail."""
        return not self.passed and self.directive != "TODO"


@dataclass(slots=True)
class Tap:
    """A whole file's output."""

    assertions: list[Assertion] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """What is wrong with the file rather than with an assertion."""
    skipped: str | None = None
    """Why the file as a whole was skipped."""

    @classmethod
    def parse(cls, output: str) -> Tap:
        """Read the standard output of a test file."""
        tap = cls()
        plans: list[int] = []
        loose: list[str] = []
        for line in output.splitlines():
            if match := BAIL_OUT.match(line):
                tap.problems.append(f"Bail out! {match[1]}".rstrip())
                return tap
            if match := PLAN.match(line):
                plans.append(int(match[1]))
                if plans == [0]:
                    tap.skipped = match[2] or "no reason given"
            elif match := TEST.match(line):
                tap._add(match, loose)
                loose = []
            elif line.startswith("#") and tap.assertions:
                tap.assertions[-1].said.append(line)
            else:
                loose.append(line)
        tap._check(plans)
        return tap

    def _add(self, match: re.Match[str], loose: list[str]) -> None:
        number = len(self.assertions) + 1
        if match[2] and int(match[2]) != number:
            self.problems.append(f"test {match[2]} came where {number} was due")
        description, directive, reason = match[3], "", ""
        if parts := DIRECTIVE.match(description):
            description, directive, reason = parts[1], parts[2].upper(), parts[3]
        description = description.removeprefix("-").strip()
        self.assertions.append(
            Assertion(number, not match[1], description, directive, reason, loose)
        )

    def _check(self, plans: list[int]) -> None:
        ran = len(self.assertions)
        if len(plans) != 1:
            self.problems.append(
                f"{len(plans)} plans instead of one" if plans else "no plan"
            )
        elif plans[0] != ran:
            self.problems.append(f"planned {plans[0]} tests, ran {ran}")
