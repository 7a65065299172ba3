"""The dialogues that the demo plays: those of the package ``chatterbot-corpus``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from turnkeep.errors import TurnkeepError


@dataclass(frozen=True, slots=True)
class Dialogue:
    """Two or more lines, said by turns: first the person, then the assistant."""

    topic: str
    """``language/name`` of the file it stands in: ``english/food``."""
    lines: tuple[str, ...]


def read_corpus() -> list[Dialogue]:
    """Read every dialogue of every language, in the order of the files.

    :raises TurnkeepError: the packages of the extra ``embedded`` are not installed
    """
    try:
        import chatterbot_corpus  # type: ignore[import-untyped]  # noqa: PLC0415
        import yaml  # noqa: PLC0415
    except ImportError as error:
        raise TurnkeepError(
            f"the demo needs a package that is not installed: {error.name}",
            hint="pip install 'turnkeep[embedded]'",
        ) from error
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    dialogues: list[Dialogue] = []
    for path in sorted(Path(chatterbot_corpus.__file__).parent.glob("data/*/*.yml")):
        topic = f"{path.parent.name}/{path.stem}"
        document = yaml.load(path.read_text(encoding="utf-8"), Loader=loader)  # noqa: S506
        dialogues += [
            Dialogue(topic, tuple(lines))
            for lines in document["conversations"]
            # Here and there a file has a lone line where a dialogue should be.
            if isinstance(lines, list) and len(lines) > 1
        ]
    return dialogues
