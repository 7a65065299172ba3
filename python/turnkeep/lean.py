"""What ``turnkeep status`` needs of ``typing``, in a hundredth of its time.

``typing`` takes as long to import as all else that a command line needs, and its
NamedTuple compiles each annotation. To a type checker these are the originals.
"""

from __future__ import annotations

from collections import namedtuple

TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import NamedTuple, Protocol
else:
    Protocol = object

    class _Maker(type):
        def __new__(cls, name: str, bases: tuple[type, ...], body: dict) -> type:
            if not bases:
                return super().__new__(cls, name, bases, body)
            fields = body.pop("__annotations__")
            defaults = [body.pop(field) for field in fields if field in body]
            made = namedtuple(name, fields, defaults=defaults)  # noqa: PYI024
            for key, value in body.items():
                setattr(made, key, value)
            return made

    class NamedTuple(metaclass=_Maker):
        """A class of this base is a tuple with names."""


__all__ = ["TYPE_CHECKING", "NamedTuple", "Protocol"]
