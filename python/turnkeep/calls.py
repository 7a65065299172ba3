"""Every database function as a value: what to ask, and how to read the answer.

A `Call` does no input or output; `turnkeep.client` sends it. Ids are `uuid.UUID`, times
are aware `datetime`, every reply is a frozen struct. Leaving an optional argument
out and passing None both mean the default that the database function declares.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from secrets import token_hex
from typing import TYPE_CHECKING, Generic, NotRequired, Required, TypedDict, TypeVar

import msgspec

from turnkeep import functions, replies

if TYPE_CHECKING:
    from datetime import timedelta
    from uuid import UUID

Reply = TypeVar("Reply")
Metadata = Mapping[str, object]


class NewMessage(TypedDict, total=False):
    """A message to append, as the JSON that append_turn takes."""

    role: Required[replies.Role]
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
    file_type: replies.FileType
    metadata: Metadata


class FailedDeletion(TypedDict, total=False):
    """A stored object that could not be deleted, and why."""

    id: Required[UUID]
    error: str


class NewEvent(TypedDict, total=False):
    """What a client reports: a kind that begins with `client_`, and about what."""

    kind: Required[str]
    owner_id: UUID
    subject: str
    payload: Metadata


class Call(msgspec.Struct, Generic[Reply], frozen=True):
    """One function and its arguments by name; a transport sends it."""

    function: functions.Function[Reply]
    arguments: Mapping[str, object]
    """Every argument of the function. None stands for its default; where there is none,
    it is sent as null, so that the function itself says what it needs."""

    def repeatable(self) -> Call[Reply]:
        """Give the same call in a form that may be sent again after a lost reply."""
        name = self.function.request_argument
        if name is None or self.arguments[name] is not None:
            return self
        return Call(self.function, {**self.arguments, name: token_hex(16)})

    def decode(self, reply: bytes) -> Reply:
        """Read the reply, a JSON document.

        :raises msgspec.ValidationError: it does not have the shape of the reply type
        """
        return self.function.decoder.decode(reply)


def append_turn(  # noqa: PLR0913  the function's own arguments, by name
    continuation_id: str,
    messages: Iterable[NewMessage],
    *,
    files: Iterable[NewFile] = (),
    request_id: str | None = None,
    title: str | None = None,
    metadata: Metadata | None = None,
    owner_id: UUID | None = None,
) -> Call[replies.AppendedTurn]:
    """Append 1 to 200 messages with 0 to 200 files, all in one transaction.

    Creates the conversation when it is new, registers and links the files. The same
    request_id again gives the same reply with `replayed` and writes nothing; without
    one, a client makes one up for each call, so that only its own retries are replays.

    Fails with `Conflict` (the request_id stands for another turn), `TooLarge`,
    `Unprocessable`, `InvalidArgument`, `Forbidden`.
    """
    return Call(
        functions.APPEND_TURN,
        {
            "continuation_id": continuation_id,
            "messages": list(messages),
            "files": list(files) or None,
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
) -> Call[replies.Thread | None]:
    """Read the newest messages of a conversation; None when there is none.

    `message_limit` is 1 to 1,000 and 50 by default; `before_seq` is that of the thread
    read before, for the page before it.
    """
    return Call(
        functions.GET_THREAD,
        {
            "continuation_id": continuation_id,
            "message_limit": message_limit,
            "before_seq": before_seq,
            "owner_id": owner_id,
        },
    )


def register_files(
    files: Iterable[NewFile], *, owner_id: UUID | None = None
) -> Call[replies.RegisteredFiles]:
    """Register 0 to 1,000 files; the reply says which bytes are still to upload.

    Fails with `TooLarge`, `Unprocessable`, `InvalidArgument`, `Forbidden`.
    """
    return Call(functions.REGISTER_FILES, {"files": list(files), "owner_id": owner_id})


def link_file_to_conversation(
    conversation_id: UUID, file_id: UUID
) -> Call[replies.LinkedFiles]:
    """Link one file. Fails with `NotFound` for an unknown conversation."""
    return Call(
        functions.LINK_FILE_TO_CONVERSATION,
        {"conversation_id": conversation_id, "file_id": file_id},
    )


def link_files_to_conversation(
    conversation_id: UUID, file_ids: Iterable[UUID]
) -> Call[replies.LinkedFiles]:
    """Link up to 1,000 files; doubles and files already linked are no error.

    Fails with `NotFound` for an unknown conversation, `TooLarge`.
    """
    return Call(
        functions.LINK_FILES_TO_CONVERSATION,
        {"conversation_id": conversation_id, "file_ids": [*map(str, file_ids)]},
    )


def unlink_files_from_conversation(
    conversation_id: UUID, file_ids: Iterable[UUID]
) -> Call[replies.UnlinkedFiles]:
    """Remove up to 1,000 links. Fails with `NotFound` for an unknown conversation."""
    return Call(
        functions.UNLINK_FILES_FROM_CONVERSATION,
        {"conversation_id": conversation_id, "file_ids": [*map(str, file_ids)]},
    )


def cleanup_orphaned_files(
    grace: timedelta | None = None,
    *,
    max_files: int | None = None,
    dry_run: bool | None = None,
) -> Call[replies.CleanedUp]:
    """Delete files that no conversation has linked for longer than `grace`.

    24 hours and 1,000 files by default. For the service alone, over all owners.
    """
    return Call(
        functions.CLEANUP_ORPHANED_FILES,
        {"grace": grace, "max_files": max_files, "dry_run": dry_run},
    )


def upsert_conversation(
    continuation_id: str,
    *,
    title: str | None = None,
    metadata: Metadata | None = None,
    owner_id: UUID | None = None,
) -> Call[replies.UpsertedConversation]:
    """Get or create a conversation; change its title, merge its metadata.

    Fails with `TooLarge`, `Unprocessable`, `InvalidArgument`, `Forbidden`.
    """
    return Call(
        functions.UPSERT_CONVERSATION,
        {
            "continuation_id": continuation_id,
            "title": title,
            "metadata": metadata,
            "owner_id": owner_id,
        },
    )


def list_conversations(
    *,
    page_size: int | None = None,
    cursor: str | None = None,
    owner_id: UUID | None = None,
) -> Call[replies.ConversationPage]:
    """List conversations, the most recently active first, to five minutes.

    `page_size` is 1 to 1,000 and 50 by default; `cursor` is that of the page before.
    """
    return Call(
        functions.LIST_CONVERSATIONS,
        {"page_size": page_size, "cursor": cursor, "owner_id": owner_id},
    )


def delete_conversation(
    continuation_id: str, *, owner_id: UUID | None = None
) -> Call[replies.DeletedConversation]:
    """Delete a conversation with its messages and links; no error when it is gone.

    Not sent again when the reply is lost: a turn of somebody else may have come since.
    Fails with `Unprocessable` for what can not be a `continuation_id`.
    """
    return Call(
        functions.DELETE_CONVERSATION,
        {"continuation_id": continuation_id, "owner_id": owner_id},
    )


def truncate_thread(
    continuation_id: str, after_seq: int, *, owner_id: UUID | None = None
) -> Call[replies.TruncatedThread]:
    """Delete the messages after the one with seq `after_seq`; all of them with 0.

    Not sent again when the reply is lost: a turn of somebody else may have come since.
    Fails with `NotFound` for an unknown conversation, `Unprocessable`.
    """
    return Call(
        functions.TRUNCATE_THREAD,
        {
            "continuation_id": continuation_id,
            "after_seq": after_seq,
            "owner_id": owner_id,
        },
    )


def search_messages(
    query: str,
    *,
    page_size: int | None = None,
    cursor: str | None = None,
    owner_id: UUID | None = None,
) -> Call[replies.MatchPage]:
    """Find messages by their words; "in quotes" they follow one another, -word is out.

    Finds what `index_messages` has been called for. `page_size` is 1 to 200 and 20 by
    default; `cursor` is that of the page before.

    Fails with `Unprocessable`, `InvalidArgument`, `Forbidden`.
    """
    return Call(
        functions.SEARCH_MESSAGES,
        {
            "query": query,
            "page_size": page_size,
            "cursor": cursor,
            "owner_id": owner_id,
        },
    )


def index_messages(*, max_messages: int | None = None) -> Call[replies.IndexedMessages]:
    """Let search_messages find up to 1,000 more messages. For the service alone.

    Call it every minute or so, and again while the reply has `more`.
    """
    return Call(functions.INDEX_MESSAGES, {"max_messages": max_messages})


def set_search_language(language: str) -> Call[replies.SearchLanguage]:
    """Choose how words are reduced: `simple`, `english`, `german` ...

    For the service alone; after a change index_messages goes through all messages
    again. Fails with `Unprocessable` for a language that the server does not know.
    """
    return Call(functions.SET_SEARCH_LANGUAGE, {"language": language})


def claim_storage_deletions(
    worker: str,
    *,
    max_paths: int | None = None,
    lease: timedelta | None = None,
) -> Call[replies.ClaimedDeletions]:
    """Lease up to 1,000 stored objects that are to be deleted. For the service alone.

    Delete them before the lease ends (5 minutes by default), then say so with
    `finish_storage_deletions`.
    """
    return Call(
        functions.CLAIM_STORAGE_DELETIONS,
        {"worker": worker, "max_paths": max_paths, "lease": lease},
    )


def finish_storage_deletions(
    worker: str,
    done: Iterable[UUID],
    *,
    failed: Iterable[FailedDeletion] = (),
) -> Call[replies.FinishedDeletions]:
    """Report what became of claimed deletions, 1,000 at most. For the service alone."""
    return Call(
        functions.FINISH_STORAGE_DELETIONS,
        {"worker": worker, "done": [*map(str, done)], "failed": list(failed)},
    )


def forget_owner(
    owner_id: UUID, *, max_rows: int | None = None
) -> Call[replies.ForgottenOwner]:
    """Erase an owner, 10,000 rows a call by default; again while the reply has `more`.

    For the service alone.
    """
    return Call(functions.FORGET_OWNER, {"owner_id": owner_id, "max_rows": max_rows})


def health() -> Call[replies.Health]:
    """Ask whether the database answers. For everybody."""
    return Call(functions.HEALTH, {})


def list_events(
    cursor: str | None = None,
    *,
    page_size: int | None = None,
    kinds: Iterable[str] | None = None,
    owner_id: UUID | None = None,
) -> Call[replies.EventPage]:
    """Read the stream of events from a cursor on. For the service alone.

    `cursor` is that of the page before, None for the oldest events that are kept,
    `"now"` for those to come. `page_size` is 1 to 1,000 and 100 by default. `kinds` and
    `owner_id` leave out the others; None leaves out none.

    Fails with `InvalidArgument` and `Unprocessable` for a cursor of another server.
    """
    return Call(
        functions.LIST_EVENTS,
        {
            "cursor": cursor,
            "page_size": page_size,
            "kinds": None if kinds is None else list(kinds),
            "owner_id": owner_id,
        },
    )


def record_events(events: Iterable[NewEvent]) -> Call[replies.RecordedEvents]:
    """Report up to 1,000 events of a client, such as retries. For the service alone.

    Fails with `TooLarge`, `Unprocessable`, `InvalidArgument`.
    """
    return Call(functions.RECORD_EVENTS, {"events": list(events)})


def set_events(enabled: bool) -> Call[replies.EventsSetting]:  # noqa: FBT001
    """Turn the writing of events on or off. For the service alone."""
    return Call(functions.SET_EVENTS, {"enabled": enabled})


def prune_events(
    keep: timedelta | None = None, *, max_events: int | None = None
) -> Call[replies.PrunedEvents]:
    """Delete events older than `keep`; 7 days and 10,000 events by default.

    For the service alone; again while the reply has `more`.
    """
    return Call(functions.PRUNE_EVENTS, {"keep": keep, "max_events": max_events})


def pump_events(*, max_events: int | None = None) -> Call[replies.PumpedEvents]:
    """Tell listeners of up to 1,000 new events. For the service alone.

    Call it every second or so, and again while the reply has `more`.
    """
    return Call(functions.PUMP_EVENTS, {"max_events": max_events})


def cache_get(
    key: str, *, owner_id: UUID | None = None
) -> Call[replies.CachedResponse | None]:
    """Get the answer under a key; None when there is none. For the service alone.

    Fails with `Unprocessable` when the key is not a SHA-256.
    """
    return Call(functions.CACHE_GET, {"key": key, "owner_id": owner_id})


def cache_put(  # noqa: PLR0913  the function's own arguments, by name
    key: str,
    value: object,
    *,
    ttl: timedelta | None = None,
    scope: str | None = None,
    embedding: Iterable[float] | None = None,
    owner_id: UUID | None = None,
) -> Call[replies.StoredResponse]:
    """Put an answer under a key, for a day by default. For the service alone.

    `scope` and `embedding` are for `cache_nearest`. Fails with `TooLarge` over 1 MiB,
    `Unprocessable`, `InvalidArgument`.
    """
    return Call(
        functions.CACHE_PUT,
        {
            "key": key,
            "value": value,
            "ttl": ttl,
            "scope": scope,
            "embedding": None if embedding is None else list(map(float, embedding)),
            "owner_id": owner_id,
        },
    )


def cache_nearest(
    scope: str,
    embedding: Iterable[float],
    *,
    max_distance: float | None = None,
    owner_id: UUID | None = None,
) -> Call[replies.NearestResponse | None]:
    """Get the answer whose prompt is nearest; None beyond `max_distance` (0.05).

    For the service alone. Fails with `InvalidArgument`, and with `Unprocessable` when
    `scope` is not a SHA-256.
    """
    return Call(
        functions.CACHE_NEAREST,
        {
            "scope": scope,
            "embedding": list(map(float, embedding)),
            "max_distance": max_distance,
            "owner_id": owner_id,
        },
    )


def cache_purge(
    *, max_entries: int | None = None, max_bytes: int | None = None
) -> Call[replies.PurgedResponses]:
    """Delete expired answers, and the least used over 1 GiB. For the service alone.

    1,000 a call by default; again while the reply has `more`.
    """
    return Call(
        functions.CACHE_PURGE, {"max_entries": max_entries, "max_bytes": max_bytes}
    )


def metrics() -> Call[replies.Metrics]:
    """Ask how the store is doing. For the service alone."""
    return Call(functions.METRICS, {})
