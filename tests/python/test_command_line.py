"""A verb's command line is read as click reads it, or left to click."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnkeep.cli import COMMANDS, command_of
from turnkeep.cli.verbs import Verb

if TYPE_CHECKING:
    from collections.abc import Iterator

VERBS = {name: verb for name in COMMANDS if isinstance(verb := command_of(name), Verb)}
TEXTS = ("tag", "text", "10", "0.5", "-1", "nan", "a=b", "", "-", "--", "=", "-x", "-h")


@pytest.fixture(autouse=True, scope="module")
def stay_here() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "chdir", lambda _: None)
        yield


@st.composite
def command_lines(draw: st.DrawFn) -> tuple[str, list[str]]:
    name = draw(st.sampled_from([*VERBS]))
    known = [word for each in VERBS[name].parameters for word in each.words()]
    texts = st.sampled_from(TEXTS)
    words = st.one_of(
        st.sampled_from(known),
        texts,
        st.builds("{}={}".format, st.sampled_from(known), texts),
        st.builds("{}{}".format, st.sampled_from(known), texts),
    )
    return name, draw(st.lists(words, max_size=6))


def by_click(name: str, words: list[str]) -> dict[str, Any] | None:
    """Give what click makes of the words; None: it finds fault, or shows help."""
    try:
        return VERBS[name].for_click(name).make_context(name, [*words]).params
    except (click.ClickException, click.exceptions.Exit):
        return None


@given(command_lines())
def test_words_are_read_as_click_reads_them(line: tuple[str, list[str]]) -> None:
    name, words = line
    found = VERBS[name].read(words)
    assert found is None or found == by_click(name, words)


@pytest.mark.parametrize(
    "line",
    [
        "status",
        "status --target db:pg:a --registry=r",
        "verify -C . --from @a --to @b postgresql://h/d",
        "deploy --no-verify --mode change -s a=1 --set b=2 --lock-wait 0 -fa.plan",
        "deploy --verify --single-transaction -h host -p 5433 -- change",
        "revert -y --to @HEAD^ --lock-timeout=2.5 --max-wait 7",
        "checkout branch db:pg: -e a=1 -r b=2",
        "rebase -m -y --format events --quiet",
    ],
)
def test_what_is_in_order_needs_no_click(line: str) -> None:
    name, *words = line.split()
    found = VERBS[name].read(words)
    assert found is not None
    assert found == by_click(name, words)
