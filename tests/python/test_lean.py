"""What stands in for `typing` is what it stands for, in what is used of it."""

from __future__ import annotations

import typing

import pytest

from turnkeep import lean

Class = typing.Any


def made_with(base: Class) -> Class:
    class Point(base):
        """A place."""

        x: int
        y: int = 2
        label: str | None = None

        origin = "here"

        @property
        def total(self) -> int:
            """Add up."""
            return self.x + self.y

        @classmethod
        def at(cls, text: str) -> Class:
            return cls(*map(int, text.split()))

        @staticmethod
        def unit() -> int:
            return 1

        def moved(self, by: int) -> Class:
            return self._replace(x=self.x + by)

        def __str__(self) -> str:
            return f"<{self.x}>"

        def __bool__(self) -> bool:
            return self.x > 0

    return Point


USES: dict[str, typing.Callable[[Class], object]] = {
    "fields": lambda cls: (cls._fields, cls._field_defaults),
    "match": lambda cls: cls.__match_args__,
    "doc": lambda cls: (cls.__doc__, cls.total.__doc__),
    "defaults": lambda cls: tuple(cls(1)),
    "names": lambda cls: tuple(cls(y=4, x=3)),
    "equality": lambda cls: (cls(1) == (1, 2, None), hash(cls(1))),
    "unpacking": lambda cls: [*cls(1, 2, "a")],
    "repr": lambda cls: repr(cls(1)),
    "str": lambda cls: str(cls(1)),
    "bool": lambda cls: (bool(cls(0)), bool(cls(1))),
    "property": lambda cls: cls(3).total,
    "class attribute": lambda cls: cls(1).origin,
    "classmethod": lambda cls: repr(cls.at("5 6")),
    "staticmethod": lambda cls: cls.unit(),
    "_replace": lambda cls: repr(cls(1).moved(4)),
    "_asdict": lambda cls: cls(1)._asdict(),
    "names of the class": lambda cls: (cls.__name__, cls.__qualname__, cls.__module__),
}
REFUSED: dict[str, typing.Callable[[Class], object]] = {
    "too few": lambda cls: cls(),
    "too many": lambda cls: cls(1, 2, "a", 4),
    "unknown": lambda cls: cls(1, z=3),
    "unknown replacement": lambda cls: cls(1)._replace(z=3),
    "assignment": lambda cls: setattr(cls(1), "x", 2),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_a_tuple_with_names_is_that_of_typing(
    use: typing.Callable[[Class], object],
) -> None:
    assert use(made_with(lean.NamedTuple)) == use(made_with(typing.NamedTuple))


@pytest.mark.parametrize("use", REFUSED.values(), ids=REFUSED)
def test_it_refuses_what_typing_does(use: typing.Callable[[Class], object]) -> None:
    for base in (lean.NamedTuple, typing.NamedTuple):
        with pytest.raises((TypeError, ValueError, AttributeError)):
            use(made_with(base))
