"""What the database functions reply with: frozen structs, the SQL shape in each.

Ids are `uuid.UUID`, times are aware `datetime`.
"""

from __future__ import annotations

from datetime import datetime  # noqa: TC003  msgspec reads the annotations
from typing import Any, Literal
from uuid import UUID  # noqa: TC003

from msgspec import Struct

Role = Literal["user", "assistant", "system", "tool"]
FileType = Literal["user_upload", "generated", "cache"]


class AppendedMessage(Struct, frozen=True):
    """`{"id", "seq", "role", "created_at"}`."""

    id: UUID
    seq: int
    role: Role
    created_at: datetime


class AppendedFile(Struct, frozen=True):
    """`{"id", "bucket_id", "storage_path", "created", "linked"}`."""

    id: UUID
    bucket_id: str
    storage_path: str
    created: bool
    linked: bool
    """This call made the link."""


class AppendedTurn(Struct, frozen=True):
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


class Conversation(Struct, frozen=True):
    """`{"id", "continuation_id", "title", "metadata", "created_at", "updated_at",
    "next_seq", "version"}`.
    """  # noqa: D205

    id: UUID
    continuation_id: str
    title: str | None
    metadata: dict[str, Any]
    created_at: datetime
    updated_at: datetime
    next_seq: int
    version: int
    """Grows with every change of the conversation, its messages or its links."""


class Message(Struct, frozen=True):
    """`{"id", "seq", "role", "content", "metadata", "file_ids", "created_at"}`."""

    id: UUID
    seq: int
    role: Role
    content: str
    metadata: dict[str, Any]
    file_ids: tuple[UUID, ...]
    created_at: datetime


class ThreadFile(Struct, frozen=True):
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


class Thread(Struct, frozen=True):
    """`{"conversation": {...}, "messages": [...], "files": [...], "before_seq"}`.

    Messages oldest first, files newest first. `before_seq` is the argument for the page
    before, None at the beginning.
    """

    conversation: Conversation
    messages: tuple[Message, ...]
    files: tuple[ThreadFile, ...]
    before_seq: int | None


class RegisteredFile(Struct, frozen=True):
    """`{"id", "bucket_id", "storage_path", "created", "upload_needed"}`."""

    id: UUID
    bucket_id: str
    storage_path: str
    created: bool
    upload_needed: bool


class RegisteredFiles(Struct, frozen=True):
    """`{"files": [...]}`, in the order of the input."""

    files: tuple[RegisteredFile, ...]


class LinkedFiles(Struct, frozen=True):
    """`{"conversation_id", "linked", "already_linked", "unknown"}`, sorted ids."""

    conversation_id: UUID
    linked: tuple[UUID, ...]
    already_linked: tuple[UUID, ...]
    unknown: tuple[UUID, ...]


class UnlinkedFiles(Struct, frozen=True):
    """`{"conversation_id", "unlinked", "not_linked", "orphaned"}`, sorted ids."""

    conversation_id: UUID
    unlinked: tuple[UUID, ...]
    not_linked: tuple[UUID, ...]
    orphaned: tuple[UUID, ...]
    """Unlinked here, and linked nowhere else."""


class CleanedUp(Struct, frozen=True):
    """One row `(deleted_count, healed_count, more)`."""

    deleted_count: int
    healed_count: int
    """Files that were marked as orphans and turned out to be linked."""
    more: bool
    """Orphans are left: call again."""


class UpsertedConversation(Struct, frozen=True):
    """`{"id", "continuation_id", "created", "title", "metadata", "next_seq"}`."""

    id: UUID
    continuation_id: str
    created: bool
    """The conversation is new."""
    title: str | None
    metadata: dict[str, Any]
    next_seq: int


class ConversationPage(Struct, frozen=True):
    """`{"conversations": [...], "cursor"}`, the most recently active first."""

    conversations: tuple[Conversation, ...]
    cursor: str | None
    """The argument for the next page, None on the last."""


class DeletedConversation(Struct, frozen=True):
    """`{"deleted", "messages", "unlinked_files"}`."""

    deleted: bool
    """It was there."""
    messages: int
    unlinked_files: int


class TruncatedThread(Struct, frozen=True):
    """`{"conversation_id", "continuation_id", "messages", "unlinked_files",
    "next_seq"}`.
    """  # noqa: D205

    conversation_id: UUID
    continuation_id: str
    messages: int
    """How many were deleted."""
    unlinked_files: int
    next_seq: int


class Match(Struct, frozen=True):
    """`{"conversation_id", "continuation_id", "seq", "role", "snippet", "rank",
    "created_at"}`.
    """  # noqa: D205

    conversation_id: UUID
    continuation_id: str
    seq: int
    role: Role
    snippet: str
    """Up to two passages of the message, the words that were found in **asterisks**."""
    rank: float
    """Greater is better."""
    created_at: datetime


class MatchPage(Struct, frozen=True):
    """`{"matches": [...], "cursor"}`, the best of the newest 200 matches first."""

    matches: tuple[Match, ...]
    cursor: str | None
    """The argument for the next page, None on the last."""


class IndexedMessages(Struct, frozen=True):
    """`{"indexed", "more"}`."""

    indexed: int
    more: bool
    """Messages are left: call again."""


class SearchLanguage(Struct, frozen=True):
    """`{"language"}`."""

    language: str
    """A text search configuration of PostgreSQL, with its schema."""


class ClaimedDeletion(Struct, frozen=True):
    """`{"id", "bucket_id", "storage_path", "version", "attempts"}`."""

    id: UUID
    bucket_id: str
    storage_path: str
    version: str | None
    """Of the object, as Supabase Storage counts; None where it does not."""
    attempts: int
    """This one included."""


class ClaimedDeletions(Struct, frozen=True):
    """`{"deletions": [...]}`."""

    deletions: tuple[ClaimedDeletion, ...]


class FinishedDeletions(Struct, frozen=True):
    """`{"finished", "retried", "lost_lease"}`."""

    finished: int
    retried: int
    lost_lease: int
    """Claimed by another worker since, or saved by a registration."""


class ForgottenOwner(Struct, frozen=True):
    """`{"messages", "conversations", "files", "more"}`."""

    messages: int
    conversations: int
    files: int
    more: bool
    """Rows may be left: call again."""


class Health(Struct, frozen=True):
    """`{"status", "schema_version", "server_version", "in_recovery", "now"}`."""

    status: Literal["ok", "read_only"]
    schema_version: str
    server_version: str
    in_recovery: bool
    now: datetime


class Event(Struct, frozen=True):
    """`{"id", "owner_id", "kind", "conversation_id", "subject", "payload",
    "created_at"}`.
    """  # noqa: D205

    id: UUID
    owner_id: UUID
    kind: str
    """`turn_appended`, `files_linked` ...; of clients `client_...`."""
    conversation_id: UUID | None
    subject: str | None
    """The continuation_id of the conversation, or what a client named."""
    payload: dict[str, Any]
    created_at: datetime
    """When the transaction began that wrote it."""


class EventPage(Struct, frozen=True):
    """`{"events": [...], "cursor", "more", "missed"}`."""

    events: tuple[Event, ...]
    cursor: str
    """For the page after."""
    more: bool
    """Call again at once."""
    missed: bool
    """Events were pruned before they were read."""


class RecordedEvents(Struct, frozen=True):
    """`{"recorded"}`."""

    recorded: int
    """0 while events are turned off."""


class EventsSetting(Struct, frozen=True):
    """`{"enabled"}`."""

    enabled: bool


class PrunedEvents(Struct, frozen=True):
    """`{"pruned", "more"}`."""

    pruned: int
    more: bool


class PumpedEvents(Struct, frozen=True):
    """`{"leader", "events", "topics", "more"}`."""

    leader: bool
    """False: another pump was at it."""
    events: int
    topics: int
    """Messages to Supabase Realtime."""
    more: bool


class CachedResponse(Struct, frozen=True):
    """`{"key", "value", "hits", "created_at", "expires_at"}`."""

    key: str
    value: Any
    hits: int
    """Seconds in which it was found before."""
    created_at: datetime
    expires_at: datetime


class StoredResponse(Struct, frozen=True):
    """`{"key", "size_bytes", "expires_at"}`."""

    key: str
    size_bytes: int
    expires_at: datetime


class NearestResponse(Struct, frozen=True):
    """`{"key", "value", "distance", "created_at", "expires_at"}`."""

    key: str
    value: Any
    distance: float
    """Of cosine: 0 for the same direction, 1 for a right angle."""
    created_at: datetime
    expires_at: datetime


class PurgedResponses(Struct, frozen=True):
    """`{"expired", "evicted", "entries", "bytes", "more"}`."""

    expired: int
    evicted: int
    entries: int
    """That are left, as are the bytes."""
    bytes: int
    more: bool


class TableMetrics(Struct, frozen=True):
    """`{"rows", "inserted", "updated", "deleted", "bytes"}`."""

    rows: int
    """An estimate, as are the bytes; the others count since the statistics began."""
    inserted: int
    updated: int
    deleted: int
    bytes: int


class OrphanMetrics(Struct, frozen=True):
    """`{"count", "oldest_at"}`."""

    count: int
    """At most 1,001."""
    oldest_at: datetime | None


class OutboxMetrics(Struct, frozen=True):
    """`{"count", "due", "failing", "oldest_at", "most_attempts"}`."""

    count: int
    """At most 1,001."""
    due: int
    failing: int
    oldest_at: datetime | None
    most_attempts: int


class RecentEvents(Struct, frozen=True):
    """`{"count", "since", "kinds": {kind: count}}`, of the newest 1,000.

    What a client reports counts as often as its payload's `count` says.
    """

    count: int
    since: datetime | None
    kinds: dict[str, int]


class EventMetrics(Struct, frozen=True):
    """`{"enabled", "lag_seconds", "unpushed", "unpushed_seconds", "pushed_at",
    "recent"}`.
    """  # noqa: D205

    enabled: bool
    lag_seconds: float
    """Age of the oldest event that waits for an older transaction to end."""
    unpushed: int
    """Of how many listeners were not told; at most 1,001."""
    unpushed_seconds: float
    """Age of the oldest of them."""
    pushed_at: datetime | None
    recent: RecentEvents


class ConnectionMetrics(Struct, frozen=True):
    """`{"count", "most", "states": {state: count}}`."""

    count: int
    most: int
    """What the server allows."""
    states: dict[str, int]


class FunctionMetrics(Struct, frozen=True):
    """`{"name", "calls", "total_ms", "self_ms"}`."""

    name: str
    calls: int
    total_ms: float
    self_ms: float


class StatementMetrics(Struct, frozen=True):
    """`{"query", "calls", "total_ms", "mean_ms"}`."""

    query: str
    calls: int
    total_ms: float
    mean_ms: float


class Metrics(Struct, frozen=True):
    """`{"schema_version", "now", "in_recovery", "tables", "orphans", "outbox",
    "events", "connections", "functions", "statements"}`.
    """  # noqa: D205

    schema_version: str
    now: datetime
    in_recovery: bool
    tables: dict[str, TableMetrics]
    orphans: OrphanMetrics
    outbox: OutboxMetrics
    events: EventMetrics
    connections: ConnectionMetrics
    functions: tuple[FunctionMetrics, ...]
    """The slowest ten; empty where track_functions is none."""
    statements: tuple[StatementMetrics, ...]
    """The slowest ten; empty without pg_stat_statements."""
