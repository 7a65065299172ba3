"""What the workers are to write, decided beforehand from a seed."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from turnkeep.calls import NewFile, NewMessage
    from turnkeep.demo.corpus import Dialogue

FILES_A_TURN = 8
FILES_A_TOPIC = 24
SHARED_FILES = 40
"""Files that turn up in conversations of every topic."""
BUCKET = "user-files"
WITHOUT_FILES = 0.5
SHARED = 0.2


@dataclass(frozen=True, slots=True)
class Turn:
    """One call of append_turn."""

    continuation_id: str
    request_id: str
    messages: tuple[NewMessage, ...]
    files: tuple[NewFile, ...]


def write_script(
    dialogues: Sequence[Dialogue], turns: int, seed: int
) -> list[list[Turn]]:
    """Choose dialogues until there are that many turns; each is a list of its turns.

    A topic is one conversation: all its dialogues stand side by side in the script, so
    that workers who share it out write the same conversation at the same time. When
    the corpus is used up it starts again, in new conversations.
    """
    random = Random(seed)  # noqa: S311  a script, no secret
    script: list[list[Turn]] = []
    left = turns
    round_ = 0
    while left > 0:
        round_ += 1
        chosen = random.sample(dialogues, len(dialogues))
        total = 0
        for needed, dialogue in enumerate(chosen, 1):
            total += (len(dialogue.lines) + 1) // 2
            if total >= left:
                chosen = chosen[:needed]
                break
        left -= total
        chosen.sort(key=lambda dialogue: dialogue.topic)
        script += [
            list(turns_of(dialogue, f"{dialogue.topic}/{round_}", number, random))
            for number, dialogue in enumerate(chosen)
        ]
    return script


def turns_of(
    dialogue: Dialogue, continuation_id: str, number: int, random: Random
) -> Iterator[Turn]:
    """Cut a dialogue into turns of a question and its answer."""
    for start in range(0, len(dialogue.lines), 2):
        request_id = f"{number}:{start}"
        pair = zip(
            ("user", "assistant"), dialogue.lines[start : start + 2], strict=False
        )
        yield Turn(
            continuation_id,
            request_id,
            tuple(
                {
                    "role": "user" if role == "user" else "assistant",
                    "content": line,
                    # Found again in the table without the help of any key.
                    "metadata": {"request": request_id, "ordinal": ordinal},
                }
                for ordinal, (role, line) in enumerate(pair)
            ),
            tuple(files_of(dialogue.topic, random)),
        )


def files_of(topic: str, random: Random) -> list[NewFile]:
    """Give the files of a turn: none for every other, else 1 to 8, some named twice."""
    if random.random() < WITHOUT_FILES:
        return []
    # Drawn from few enough that the same one comes up again now and then.
    return [a_file(topic, random) for _ in range(random.randint(1, FILES_A_TURN))]


def a_file(topic: str, random: Random) -> NewFile:
    """Give a file of the topic, or one that all topics share."""
    if random.random() < SHARED:
        return file(f"shared/{random.randrange(SHARED_FILES):02}.pdf")
    return file(f"{topic}/{random.randrange(FILES_A_TOPIC):02}.png")


def file(path: str) -> NewFile:
    """Describe the file of a path, the same each time."""
    content = path.encode()
    return {
        "storage_path": path,
        "bucket_id": BUCKET,
        "original_name": path.rpartition("/")[2],
        "size_bytes": len(content),
        "sha256": sha256(content).hexdigest(),
    }
