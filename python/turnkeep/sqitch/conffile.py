"""Edit a configuration file as Git does: what nobody touches stays as it was."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from turnkeep.sqitch import config as configuration
from turnkeep.sqitch.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from turnkeep.sqitch.config import Part

_QUOTED = re.compile(r"^\s|\s$|[;#\"\\]|  ")
_ESCAPES = {"\n": r"\n", "\t": r"\t", "\b": r"\b", "\\": r"\\", '"': r"\""}


@dataclass(slots=True)
class ConfigFile:
    """A file of the configuration; every method writes it."""

    path: Path

    def values(self, key: str) -> list[str]:
        """Give all values of a key."""
        return [part.value for part in self._settings(*_split(key))]

    def set(self, key: str, value: str, *, matching: str | None = None) -> None:
        """Set a key to one value. Raises ConfigError if it has several."""
        found = self._matching(key, matching)
        if len(found) > 1:
            raise ConfigError("Cannot overwrite multiple values with a single value")
        self._replace(key, value, found)

    def replace_all(self, key: str, value: str, *, matching: str | None = None) -> None:
        """Set a key to one value in the place of all it has."""
        self._replace(key, value, self._matching(key, matching))

    def set_all(self, values: Mapping[str, str]) -> None:
        """Set several keys."""
        for key, value in values.items():
            self.set(key, value)

    def add(self, key: str, value: str) -> None:
        """Add a value to those of a key."""
        self._replace(key, value, [])

    def unset(
        self, key: str, *, matching: str | None = None, may_be_many: bool = False
    ) -> None:
        """Take a key away. Raises ConfigError if there is none, or several."""
        found = self._matching(key, matching)
        if not found:
            raise ConfigError(f"No occurrence of {key} found to unset in {self.path}")
        if len(found) > 1 and not may_be_many:
            raise ConfigError("Cannot unset key with multiple values")
        text = self._text()
        for part in reversed(found):
            text = _without_line(text, part.start, part.end)
        self._write(text)

    def rename_section(self, old: str, new: str | None) -> bool:
        """Rename a section, or take it away with all in it; False: there is none."""
        text, section = self._text(), _section(old)
        parts = list(configuration.scan(text, str(self.path)))
        headings = [part for part in parts if part.key is None]
        found = False
        for heading in reversed(headings):
            if heading.section != section:
                continue
            found = True
            if new is not None:
                shown = _heading(_section(new))
                text = text[: heading.start] + shown + text[heading.end :]
                continue
            later = [each.start for each in headings if each.start > heading.start]
            text = text[: heading.start] + text[min(later, default=len(text)) :]
        if found:
            self._write(text)
        return found

    def comment(self, lines: Iterable[str]) -> None:
        """Add lines of comment at the end; a tab before the text stays before it."""
        text = self._text()
        for line in lines:
            indent = "\t" if line.startswith("\t") else ""
            text += f"{indent}# {line.removeprefix(indent)}\n"
        self._write(text)

    def _text(self) -> str:
        return configuration.read(self.path).replace("\r\n", "\n")

    def _write(self, text: str) -> None:
        if "\r\n" in configuration.read(self.path):
            text = text.replace("\n", "\r\n")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_bytes(text.encode())
        except OSError as error:
            raise ConfigError(
                f"cannot be written: {error.strerror}", where=str(self.path)
            ) from None

    def _settings(self, section: str, name: str) -> list[Part]:
        name = name if section.endswith("variables") else name.lower()
        return [
            part
            for part in configuration.scan(self._text(), str(self.path))
            if part.key == name and part.section == section
        ]

    def _matching(self, key: str, pattern: str | None) -> list[Part]:
        found = self._settings(*_split(key))
        if pattern is None:
            return found
        # Git's way to say "those that do not match".
        wanted = not pattern.startswith("!")
        rest = pattern.removeprefix("!")
        return [part for part in found if bool(re.search(rest, part.value)) is wanted]

    def _replace(self, key: str, value: str, found: list[Part]) -> None:
        section, name = _split(key)
        text = self._text()
        for part in reversed(found[1:]):
            text = _without_line(text, part.start, part.end)
        line = f"{name} = {_shown(value)}"
        if found:
            text = text[: found[0].start] + line + text[found[0].end :]
        else:
            text = self._with(text, section, line)
        self._write(text)

    def _with(self, text: str, section: str, line: str) -> str:
        """Put a line at the end of its section, or in a new one."""
        if text and not text.endswith("\n"):
            text += "\n"
        ends = [
            part.end
            for part in configuration.scan(text, str(self.path))
            if part.section == section
        ]
        if not ends:
            return f"{text}{_heading(section)}\n\t{line}\n"
        end = text.find("\n", ends[-1])
        end = len(text) if end < 0 else end + 1
        return f"{text[:end]}\t{line}\n{text[end:]}"


def _split(key: str) -> tuple[str, str]:
    """Split ``target.prod.uri``: section with subsection, and name."""
    section, dot, name = key.rpartition(".")
    if not dot or not section:
        raise ConfigError(f"No section given in key: {key}")
    return _section(section), name


def _section(text: str) -> str:
    name, dot, sub = text.partition(".")
    return name.lower() + dot + sub


def _heading(section: str) -> str:
    name, dot, sub = section.partition(".")
    if not dot:
        return f"[{name}]"
    escaped = sub.replace("\\", "\\\\").replace('"', '\\"')
    return f'[{name} "{escaped}"]'


def _shown(value: str) -> str:
    escaped = re.sub(r'[\n\t\b\\"]', lambda found: _ESCAPES[found[0]], value)
    return f'"{escaped}"' if _QUOTED.search(value) else escaped


def _without_line(text: str, start: int, end: int) -> str:
    """Take a setting away, with its line if nothing else is on it."""
    begin = text.rfind("\n", 0, start) + 1
    stop = text.find("\n", end)
    stop = len(text) if stop < 0 else stop + 1
    if text[begin:start].strip():
        return text[:start] + text[end:]
    return text[:begin] + text[stop:]
