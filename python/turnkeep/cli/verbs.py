"""A verb of the command line: its options, read without click where they are in order.

click takes longer to import than ``turnkeep status`` to ask the server. So the options
are only written down here, as click takes them, and a command line without a fault is
read by them. What is wrong with another one, click says, and it writes the help.
"""

from __future__ import annotations

import sys
from pathlib import Path

from turnkeep.lean import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    import click

    Function = Callable[..., None]

_PLAIN = (str, int, Path)
"""Types that are functions of the word; so are a verb's own."""


class Parameter:
    """An option, or an argument if ``is_argument``, with what click is told of it."""

    def __init__(
        self, names: tuple[str, ...], attributes: dict[str, Any], *, is_argument: bool
    ) -> None:
        """Take its names, first that of the function's argument if it has its own."""
        self.names, self.attributes = names, attributes
        self.is_argument = is_argument

    def __call__(self, function: Function) -> Function:
        """Add it to a verb's function, which keeps its own last, as with click."""
        vars(function).setdefault("parameters", []).append(self)
        return function

    def for_click(self, function: Function) -> Function:
        """Add it to a function of which click makes the command."""
        import click  # noqa: PLC0415 - not for a command line that is in order

        attributes = dict(self.attributes)
        kind = attributes.get("type")
        if isinstance(kind, tuple):
            attributes["type"] = click.Choice(kind)
        elif kind is Path:
            attributes["type"] = click.Path(path_type=Path)
        make = click.argument if self.is_argument else click.option
        return make(*self.names, **attributes)(function)

    @property
    def key(self) -> str:
        """Name the function's argument: an identifier of its own, or its long name."""
        own = [each for each in self.names if each.isidentifier()]
        long = [each for each in self.names if each.startswith("--")]
        name = (own or long or self.names)[0].partition("/")[0]
        return name.lstrip("-").replace("-", "_")

    @property
    def is_flag(self) -> bool:
        """Whether no value follows."""
        is_pair = any("/" in each for each in self.names)
        return is_pair or bool(self.attributes.keys() & {"is_flag", "flag_value"})

    @property
    def default(self) -> Any:
        """Give the value when it is not on the command line."""
        empty: Any = None
        if self.attributes.get("multiple"):
            empty = ()
        elif self.is_flag and "flag_value" not in self.attributes:
            empty = False
        return self.attributes.get("default", empty)

    def words(self) -> dict[str, Any]:
        """Give the words that stand for it, and the value that a flag then has."""
        value = self.attributes.get("flag_value", True)
        found: dict[str, Any] = {}
        for name in self.names:
            on, _, off = name.partition("/")
            found |= {on: value, off: False}
        return {name: value for name, value in found.items() if name.startswith("-")}

    def convert(self, word: str) -> Any:
        """Make its value from a word. Raises ValueError if it is none."""
        if word.startswith("-"):
            raise ValueError(word)
        kind = self.attributes.get("type", str)
        if isinstance(kind, tuple):
            if word not in kind:
                raise ValueError(word)
            return word
        if kind not in _PLAIN and not hasattr(kind, "__code__"):
            raise ValueError(word)
        return kind(word)


def option(*names: str, **attributes: Any) -> Parameter:
    """Make an option as ``click.option`` does; a tuple of words is a choice of them."""
    return Parameter(names, attributes, is_argument=False)


def argument(name: str, **attributes: Any) -> Parameter:
    """Make an argument as ``click.argument`` does."""
    return Parameter((name,), attributes, is_argument=True)


class Verb:
    """A function, and the parameters that it takes from a command line."""

    def __init__(self, function: Function, settings: dict[str, Any]) -> None:
        """Take them; ``settings`` are those of click's context."""
        self.function, self.settings = function, settings
        found: list[Parameter] = vars(function).get("parameters", [])
        self.parameters = found[::-1]

    def read(self, words: Sequence[str]) -> dict[str, Any] | None:
        """Read a command line; None: click has to, for what is to be said about it."""
        try:
            given = self._given(words)
        except (KeyError, IndexError, ValueError):
            return None
        for each in self.parameters:
            if not each.attributes.get("expose_value", True):
                value = given.pop(each.key)
                if callback := each.attributes.get("callback"):
                    callback(None, None, value)
        return given

    def _given(self, words: Sequence[str]) -> dict[str, Any]:
        """Read the values. Raises one of three errors for what is out of order."""
        options = [each for each in self.parameters if not each.is_argument]
        known = {
            word: (each, value)
            for each in options
            for word, value in each.words().items()
        }
        given = {each.key: each.default for each in options}
        others: list[str] = []
        waiting = [*reversed(words)]
        while waiting:
            word = waiting.pop()
            if word == "--":
                others += reversed(waiting)
                break
            if not word.startswith("-") or word == "-":
                others.append(word)
                continue
            # --name=text or -ntext
            name, equals, text = word.partition("=")
            if not word.startswith("--"):
                name, equals, text = word[:2], word[2:], word[2:]
            each, value = known[name]
            if not each.is_flag:
                value = each.convert(text if equals else waiting.pop())
            elif equals:
                raise ValueError(word)
            if each.attributes.get("multiple"):
                value = (*given[each.key], value)
            given[each.key] = value
        self._place(others, given)
        return given

    def _place(self, words: list[str], given: dict[str, Any]) -> None:
        """Give the words that are no options to the arguments. Raises IndexError."""
        for each in self.parameters:
            if each.is_argument:
                if each.attributes.get("nargs") == -1:
                    given[each.key] = tuple(words)
                    words = []
                elif words or each.attributes.get("required", True):
                    given[each.key] = each.convert(words.pop(0))
                else:
                    given[each.key] = None
        if words:
            raise IndexError

    def for_click(self, name: str) -> click.Command:
        """Make click's command of it."""
        import click  # noqa: PLC0415 - not for a command line that is in order

        def call(**options: Any) -> None:
            self.function(**options)

        call.__doc__ = self.function.__doc__
        for each in self.parameters[::-1]:
            each.for_click(call)
        return click.command(name, context_settings=self.settings)(call)


def command(**settings: Any) -> Callable[[Function], Verb]:
    """Make a verb of a function; ``settings`` are those of click's context."""
    return lambda function: Verb(function, settings)


def say(text: str, *, err: bool = False) -> None:
    """Print a line; on standard error if ``err``."""
    print(text, file=sys.stderr if err else sys.stdout, flush=True)
