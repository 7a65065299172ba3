"""Arguments, from right to absurd, of which some name what belongs to another owner."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

TEXTS = (
    *(
        "",
        " ",
        "a",
        "A\u0000B",
        "\x01",
        "\ud800",
        "x\udc00y",
        "\ud83d\ude00",
        "é" * 500,
    ),
    *("x" * 501, "x" * 5000, "' or true --", "%_\\", "../../etc", "a//b", "null"),
    *('"', "{}", "[]", "{a,b}", "\N{RIGHT-TO-LEFT OVERRIDE}abc", "eq.1", "platform"),
    *('"some words"', "-platform", "english", "simple", "german", "no_language"),
)
NUMBERS = (
    *(None, -(2**63), -(2**31), -1, 0, 1, 2, 10, 50, 200, 201, 1000, 1001),
    *(10000, 10001, 2**31 - 1, 2**31, 2**63 - 1, 2**63, "x", 1.5, True, {}),
)
INTERVALS = (
    *(None, "1 hour", "0", "24 hours", "-1 second", "1000 years", "a while", "P1D"),
    *("infinity", "178000000 years", 5, {}),
)
ROLES = ("user", "assistant", "system", "tool", "User", "", None, 1)
TYPES = ("user_upload", "generated", "cache", "other", "", None, 1)
LARGE = 1_000_000


@dataclass
class Names:
    """What a caller knows of, its own and the other owner's."""

    owner_id: str
    other_id: str
    conversations: list[str] = field(default_factory=list)
    """Ids."""
    files: list[str] = field(default_factory=list)
    continuations: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    """Ids of everything that the other owner has."""
    other_texts: list[str] = field(default_factory=list)
    """The other owner's continuation_ids, paths, request_ids and contents."""


class Generator:
    """Random values for arguments, by their names and types."""

    def __init__(self, chance: random.Random, names: Names) -> None:
        """Draw from ``chance`` and from what the caller knows."""
        self.chance = chance
        self.names = names
        self.by_name: dict[str, Callable[[], Any]] = {
            "continuation_id": self.continuation_id,
            "failed": lambda: self.array(self.failure, 1001),
            "file_ids": self.ids,
            "files": lambda: self.array(self.file, 201),
            "messages": lambda: self.array(self.message, 201),
            "metadata": self.metadata,
        }
        self.by_type: dict[str, Callable[[], Any]] = {
            "bigint": lambda: self.chance.choice(NUMBERS),
            "boolean": lambda: self.chance.choice((None, True, False, "perhaps", 1)),
            "integer": lambda: self.chance.choice(NUMBERS),
            "interval": lambda: self.chance.choice(INTERVALS),
            "jsonb": self.document,
            "text": self.text,
            "uuid": self.id,
            "uuid[]": self.ids,
        }

    def value(self, name: str, kind: str) -> Any:
        """Give a value for an argument."""
        if self.chance.random() < 0.04:
            return self.by_type[self.chance.choice(list(self.by_type))]()
        make = self.by_name.get(name) or self.by_type.get(kind, self.document)
        return make()

    def one_of(self, *things: Any) -> Any:
        """Give one of some things, or what a function among them makes."""
        thing = self.chance.choice(things)
        return thing() if callable(thing) else thing

    def id(self) -> Any:
        """Give an id: mine, the other's, nobody's, or none at all."""
        return self.one_of(
            *(self.mine, self.mine, self.theirs, self.theirs, None, "no uuid", 7),
            *(str(UUID(int=0)), str(UUID(int=self.chance.getrandbits(128)))),
            *(self.names.owner_id, self.names.other_id),
        )

    def mine(self) -> str:
        """Give the id of a row of the caller's."""
        return self.chance.choice(
            [*self.names.conversations[-20:], *self.names.files[-20:]]
        )

    def theirs(self) -> str:
        """Give the id of a row of the other owner's."""
        return self.chance.choice(self.names.others or [self.names.other_id])

    def ids(self) -> Any:
        """Give an array of ids, or something like it."""
        some = [self.id() for _ in range(self.chance.randint(0, 4))]
        right = [self.one_of(self.mine, self.theirs) for _ in range(3)]
        return self.one_of(
            *(some, right, right, [], None, {}, [some], "x"),
            lambda: right * self.chance.choice((1, 400)),
        )

    def text(self) -> Any:
        """Give a text, now and then a huge one."""
        if self.chance.random() < 0.004:
            return "x" * LARGE
        return self.one_of(
            None, *self.chance.sample(TEXTS, 4), self.their_text, self.path
        )

    def their_text(self) -> str:
        """Give a text of the other owner's."""
        return self.chance.choice(self.names.other_texts or ["x"])

    def continuation_id(self) -> Any:
        """Give the name of a conversation."""
        return self.one_of(
            lambda: f"mine {self.chance.randint(0, 9)}",
            lambda: f"mine {self.chance.randint(0, 9)}",
            self.their_text,
            self.text,
        )

    def path(self) -> str:
        """Give a path, in the caller's folder or in the other's."""
        mine, other = self.names.owner_id, self.names.other_id
        name = self.chance.randint(0, 30)
        return self.one_of(
            *(f"{mine}/{name}", f"{mine}/{name}", f"{other}/{name}", self.their_text),
            *(f"{mine}/../{other}/{name}", f"{mine}//x", f"/{mine}/x", f"{mine}"),
            *(f"{mine.upper()}/{name}", f"{mine}/" + "é" * 600),
        )

    def metadata(self) -> Any:
        """Give metadata, now and then a megabyte of it."""
        if self.chance.random() < 0.01:
            return {"large": "x" * LARGE}
        return self.one_of({}, {"a": 1}, {"a": self.text()}, None, [], "x", 5)

    def document(self) -> Any:
        """Give any JSON."""
        return self.one_of(self.metadata, self.text, self.ids, None, [[[]]])

    def array(self, element: Callable[[], Any], many: int) -> Any:
        """Give an array of a few elements, of none, or of one too many."""
        size = self.one_of(0, 1, 1, 2, 3, lambda: self.chance.choice((3, 3, 3, many)))
        return self.one_of(
            *([[element() for _ in range(size)]] * 6), [element()] * 2, None, {}, "x"
        )

    def some_of(self, **parts: Callable[[], Any]) -> Any:
        """Give an object with some of these keys, or no object."""
        if self.chance.random() < 0.03:
            return self.one_of(None, 5, [], "x")
        return {
            key: make() for key, make in parts.items() if self.chance.random() < 0.8
        }

    def message(self) -> Any:
        """Give a message."""
        return self.some_of(
            role=lambda: self.chance.choice(ROLES[: self.one_of(4, 4, 8)]),
            content=lambda: self.one_of("words", "words", self.text),
            metadata=self.metadata if self.chance.random() < 0.1 else dict,
            file_ids=self.ids if self.chance.random() < 0.2 else list,
        )

    def file(self) -> Any:
        """Give a file, by its path or by its id."""
        if self.chance.random() < 0.3:
            return {"id": self.id()}
        return self.some_of(
            storage_path=self.path,
            bucket_id=lambda: self.one_of("user-files", "user-files", self.text),
            sha256=lambda: self.one_of(None, "0" * 64, "A" * 64, self.text),
            size_bytes=lambda: self.one_of(None, 5, self.chance.choice(NUMBERS)),
            file_type=lambda: self.chance.choice(TYPES[: self.one_of(3, 3, 7)]),
            metadata=self.metadata if self.chance.random() < 0.1 else dict,
        )

    def failure(self) -> Any:
        """Give what a worker says of an object that it could not delete."""
        return self.some_of(id=self.id, error=self.text)


def as_parameter(value: Any, kind: str) -> str | None:
    """Write a value as the text of a parameter, as nearly of its type as it can be."""
    if value is None or (isinstance(value, str) and kind != "jsonb"):
        return value  # type: ignore[no-any-return]
    if kind.endswith("[]") and isinstance(value, list):
        inner = ("NULL" if item is None else json.dumps(str(item)) for item in value)
        return f"{{{','.join(inner)}}}"
    return json.dumps(value)
