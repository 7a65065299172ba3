"""Every database function as a value: what to ask, and how to read the answer.

A `Call` does no input or output; `turnkeep.client` sends it. Ids are `uuid.UUID`, times
are aware `datetime`, every reply is a frozen dataclass. Leaving an optional argument
out and passing None both mean the default that the database function declares.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta  # noqa: TC003  msgspec reads the annotations
from typing import Any, Generic, Literal, NotRequired, Required, TypedDict, TypeVar
from uuid import UUID, uuid4

import msgspec

Reply = TypeVar("Reply")
Role = Literal["user", "assistant", "system", "tool"]
FileType = Literal["user_upload", "generated", "cache"]
Metadata = Mapping[str, object]


class NewMessage(TypedDict, total=False):
    """A message to append, as the JSON that append_turn takes."""

    role: Required[Role]
    content: Required[str]
    metadata: NotRequired[Metadata]
    file_ids: NotRequired[Sequence[UUID]]


class NewFile(TypedDict, total=False):
    """A file of a turn: the id of a registered one, or a path and what is known."""

    id: UUID
    storage_path: str
    bucket_id: str
    original_name: str
    mime_type: str
    size_bytes: int
    sha256: str
    file_type: FileType
    metadata: Metadata


@dataclass(frozen=True, slots=True)
class AppendedMessage:
    """`{"id", "seq", "role", "created_at"}`."""

    id: UUID
    seq: int
    role: Role
    created_at: datetime


@dataclass(frozen=True, slots=True)
class AppendedFile:
    """`{"id", "bucket_id", "storage_path", "created", "linked"}`."""

    id: UUID
    bucket_id: str
    storage_path: str
    created: bool
    linked: bool
    """This call made the link."""


@dataclass(frozen=True, slots=True)
class AppendedTurn:
    """`{"conversation_id", "continuation_id", "request_id", "created", "replayed",
    "messages": [...], "files": [...], "unknown_files": [uuid], "next_seq"}`.
    """  # noqa: D205

    conversation_id: UUID
    continuation_id: str
    request_id: str | None
    created: bool
    """The conversation is new."""
    replayed: bool
    """The turn was stored before; this call wrote nothing."""
    messages: tuple[AppendedMessage, ...]
    files: tuple[AppendedFile, ...]
    unknown_files: tuple[UUID, ...]
    """Ids that name no file; the rest of the turn is stored."""
    next_seq: int


@dataclass(frozen=True, slots=True)
class Conversation:
    """`{"id", "continuation_id", "title", "metadata", "created_at", "updated_at",
    "next_seq"}`.
    """  # noqa: D205

    id: UUID
    continuation_id: str
    title: str | None
    metadata: dict[str, Any]
    created_at: datetime
    updated_at: datetime
    next_seq: int


@dataclass(frozen=True, slots=True)
class Message:
    """`{"id", "seq", "role", "content", "metadata", "file_ids", "created_at"}`."""

    id: UUID
    seq: int
    role: Role
    content: str
    metadata: dict[str, Any]
    file_ids: tuple[UUID, ...]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ThreadFile:
    """`{"id", "bucket_id", "storage_path", "original_name", "mime_type", "size_bytes",
    "sha256", "file_type", "metadata", "added_at"}`.
    """  # noqa: D205

    id: UUID
    bucket_id: str
    storage_path: str
    original_name: str
    mime_type: str | None
    size_bytes: int | None
    sha256: str | None
    file_type: FileType
    metadata: dict[str, Any]
    added_at: datetime


@dataclass(frozen=True, slots=True)
class Thread:
    """`{"conversation": {...}, "messages": [...], "files": [...], "before_seq"}`.

    Messages oldest first, files newest first. `before_seq` is the argument for the page
    before, None at the beginning.
    """

    conversation: Conversation
    messages: tuple[Message, ...]
    files: tuple[ThreadFile, ...]
    before_seq: int | None


@dataclass(frozen=True, slots=True)
class RegisteredFile:
    """`{"id", "bucket_id", "storage_path", "created", "upload_needed"}`."""

    id: UUID
    bucket_id: str
    storage_path: str
    created: bool
    upload_needed: bool


@dataclass(frozen=True, slots=True)
class RegisteredFiles:
    """`{"files": [...]}`, in the order of the input."""

    files: tuple[RegisteredFile, ...]


@dataclass(frozen=True, slots=True)
class LinkedFiles:
    """`{"conversation_id", "linked", "already_linked", "unknown"}`, sorted ids."""

    conversation_id: UUID
    linked: tuple[UUID, ...]
    already_linked: tuple[UUID, ...]
    unknown: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class UnlinkedFiles:
    """`{"conversation_id", "unlinked", "not_linked", "orphaned"}`, sorted ids."""

    conversation_id: UUID
    unlinked: tuple[UUID, ...]
    not_linked: tuple[UUID, ...]
    orphaned: tuple[UUID, ...]
    """Unlinked here, and linked nowhere else."""


@dataclass(frozen=True, slots=True)
class CleanedUp:
    """One row `(deleted_count, healed_count, more)`."""

    deleted_count: int
    healed_count: int
    """Files that were marked as orphans and turned out to be linked."""
    more: bool
    """Orphans are left: call again."""


@dataclass(frozen=True, eq=False)
class Function(Generic[Reply]):
    """A function of schema `public`: its arguments in order, and its reply."""

    name: str
    parameters: Mapping[str, str]
    """Argument name to PostgreSQL type, in the function's own order."""
    reply: Any
    """The type of the reply: a dataclass, or a union of one with None."""
    returns_table: bool = False
    """It returns rows (always exactly one) and not one jsonb."""
    request_argument: str | None = None
    """The argument without which sending the call twice would do it twice."""
    decoder: msgspec.json.Decoder[Reply] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Build the decoder once: it is the larger part of reading a reply."""
        object.__setattr__(self, "decoder", msgspec.json.Decoder(self.reply))


@dataclass(frozen=True, slots=True)
class Call(Generic[Reply]):
    """One function and its arguments by name; a transport sends it."""

    function: Function[Reply]
    arguments: Mapping[str, object]
    """Every argument of the function; None stands for its default."""

    def repeatable(self) -> Call[Reply]:
        """Give the same call in a form that may be sent again after a lost reply."""
        name = self.function.request_argument
        if name is None or self.arguments[name] is not None:
            return self
        return replace(self, arguments={**self.arguments, name: uuid4().hex})

    def decode(self, reply: bytes) -> Reply:
        """Read the reply, a JSON document.

        :raises msgspec.ValidationError: it does not have the shape of the reply type
        """
        return self.function.decoder.decode(reply)


APPEND_TURN: Function[AppendedTurn] = Function(
    "append_turn",
    {
        "continuation_id": "text",
        "messages": "jsonb",
        "files": "jsonb",
        "request_id": "text",
        "title": "text",
        "metadata": "jsonb",
        "owner_id": "uuid",
    },
    AppendedTurn,
    request_argument="request_id",
)
GET_THREAD: Function[Thread | None] = Function(
    "get_thread",
    {
        "continuation_id": "text",
        "message_limit": "integer",
        "before_seq": "bigint",
        "owner_id": "uuid",
    },
    Thread | None,
)
REGISTER_FILES: Function[RegisteredFiles] = Function(
    "register_files", {"files": "jsonb", "owner_id": "uuid"}, RegisteredFiles
)
LINK_FILE_TO_CONVERSATION: Function[LinkedFiles] = Function(
    "link_file_to_conversation",
    {"conversation_id": "uuid", "file_id": "uuid"},
    LinkedFiles,
)
LINK_FILES_TO_CONVERSATION: Function[LinkedFiles] = Function(
    "link_files_to_conversation",
    {"conversation_id": "uuid", "file_ids": "uuid[]"},
    LinkedFiles,
)
UNLINK_FILES_FROM_CONVERSATION: Function[UnlinkedFiles] = Function(
    "unlink_files_from_conversation",
    {"conversation_id": "uuid", "file_ids": "uuid[]"},
    UnlinkedFiles,
)
CLEANUP_ORPHANED_FILES: Function[CleanedUp] = Function(
    "cleanup_orphaned_files",
    {"grace": "interval", "max_files": "integer", "dry_run": "boolean"},
    CleanedUp,
    returns_table=True,
)


def append_turn(  # noqa: PLR0913  the function's own arguments, by name
    continuation_id: str,
    messages: Iterable[NewMessage],
    *,
    files: Iterable[NewFile] = (),
    request_id: str | None = None,
    title: str | None = None,
    metadata: Metadata | None = None,
    owner_id: UUID | None = None,
) -> Call[AppendedTurn]:
    """Append 1 to 200 messages with 0 to 200 files, all in one transaction.

    Creates the conversation when it is new, registers and links the files. The same
    request_id again gives the same reply with `replayed` and writes nothing; without
    one, a client makes one up for each call, so that only its own retries are replays.

    Fails with `Conflict` (the request_id stands for another turn), `TooLarge`,
    `Unprocessable`, `InvalidArgument`, `Forbidden`.
    """
    return Call(
        APPEND_TURN,
        {
            "continuation_id": continuation_id,
            "messages": list(messages),
            "files": list(files),
            "request_id": request_id,
            "title": title,
            "metadata": metadata,
            "owner_id": owner_id,
        },
    )


def get_thread(
    continuation_id: str,
    *,
    message_limit: int | None = None,
    before_seq: int | None = None,
    owner_id: UUID | None = None,
) -> Call[Thread | None]:
    """Read the newest messages of a conversation; None when there is none.

    `message_limit` is 1 to 1,000 and 50 by default; `before_seq` is that of the thread
    read before, for the page before it.
    """
    return Call(
        GET_THREAD,
        {
            "continuation_id": continuation_id,
            "message_limit": message_limit,
            "before_seq": before_seq,
            "owner_id": owner_id,
        },
    )


def register_files(
    files: Iterable[NewFile], *, owner_id: UUID | None = None
) -> Call[RegisteredFiles]:
    """Register 0 to 1,000 files; the reply says which bytes are still to upload.

    Fails with `TooLarge`, `Unprocessable`, `InvalidArgument`, `Forbidden`.
    """
    return Call(REGISTER_FILES, {"files": list(files), "owner_id": owner_id})


def link_file_to_conversation(
    conversation_id: UUID, file_id: UUID
) -> Call[LinkedFiles]:
    """Link one file. Fails with `NotFound` for an unknown conversation."""
    return Call(
        LINK_FILE_TO_CONVERSATION,
        {"conversation_id": conversation_id, "file_id": file_id},
    )


def link_files_to_conversation(
    conversation_id: UUID, file_ids: Iterable[UUID]
) -> Call[LinkedFiles]:
    """Link up to 1,000 files; doubles and files already linked are no error.

    Fails with `NotFound` for an unknown conversation, `TooLarge`.
    """
    return Call(
        LINK_FILES_TO_CONVERSATION,
        {"conversation_id": conversation_id, "file_ids": list(file_ids)},
    )


def unlink_files_from_conversation(
    conversation_id: UUID, file_ids: Iterable[UUID]
) -> Call[UnlinkedFiles]:
    """Remove up to 1,000 links. Fails with `NotFound` for an unknown conversation."""
    return Call(
        UNLINK_FILES_FROM_CONVERSATION,
        {"conversation_id": conversation_id, "file_ids": list(file_ids)},
    )


def cleanup_orphaned_files(
    grace: timedelta | None = None,
    *,
    max_files: int | None = None,
    dry_run: bool | None = None,
) -> Call[CleanedUp]:
    """Delete files that no conversation has linked for longer than `grace`.

    24 hours and 1,000 files by default. For the service alone, over all owners.
    """
    return Call(
        CLEANUP_ORPHANED_FILES,
        {"grace": grace, "max_files": max_files, "dry_run": dry_run},
    )
