"""Every function of schema `public`, as the database declares it.

`turnkeep.calls` has what each is asked with; a test compares both with pg_proc.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from turnkeep import replies

if TYPE_CHECKING:
    from collections.abc import Mapping

Reply = TypeVar("Reply")


@dataclass(frozen=True, eq=False)
class Function(Generic[Reply]):
    """A function of schema `public`: its arguments in order, and its reply."""

    name: str
    parameters: Mapping[str, str]
    """Argument name to PostgreSQL type, in the function's own order."""
    reply: Any
    """The type of the reply: a struct, or a union of one with None."""
    required: int = 1
    """How many of the arguments, the first ones, have no default."""
    returns_table: bool = False
    """It returns rows (always exactly one) and not one jsonb."""
    request_argument: str | None = None
    """The argument without which sending the call twice would do it twice."""
    takes_what_comes_later: bool = False
    """A second time it would delete what others have added since the first."""
    needed: frozenset[str] = field(init=False, repr=False)
    """The names of those that have no default."""
    documents: frozenset[str] = field(init=False, repr=False)
    """The names of those that are jsonb."""
    decoder: msgspec.json.Decoder[Reply] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Find out once what each call needs to know."""
        names, kinds = list(self.parameters), self.parameters
        for name, value in (
            ("needed", frozenset(names[: self.required])),
            ("documents", frozenset(n for n in names if kinds[n] == "jsonb")),
            ("decoder", msgspec.json.Decoder(self.reply)),
        ):
            object.__setattr__(self, name, value)


APPEND_TURN: Function[replies.AppendedTurn] = Function(
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
    replies.AppendedTurn,
    required=2,
    request_argument="request_id",
)
GET_THREAD: Function[replies.Thread | None] = Function(
    "get_thread",
    {
        "continuation_id": "text",
        "message_limit": "integer",
        "before_seq": "bigint",
        "owner_id": "uuid",
    },
    replies.Thread | None,
)
REGISTER_FILES: Function[replies.RegisteredFiles] = Function(
    "register_files", {"files": "jsonb", "owner_id": "uuid"}, replies.RegisteredFiles
)
LINK_FILE_TO_CONVERSATION: Function[replies.LinkedFiles] = Function(
    "link_file_to_conversation",
    {"conversation_id": "uuid", "file_id": "uuid"},
    replies.LinkedFiles,
    required=2,
)
LINK_FILES_TO_CONVERSATION: Function[replies.LinkedFiles] = Function(
    "link_files_to_conversation",
    {"conversation_id": "uuid", "file_ids": "uuid[]"},
    replies.LinkedFiles,
    required=2,
)
UNLINK_FILES_FROM_CONVERSATION: Function[replies.UnlinkedFiles] = Function(
    "unlink_files_from_conversation",
    {"conversation_id": "uuid", "file_ids": "uuid[]"},
    replies.UnlinkedFiles,
    required=2,
)
CLEANUP_ORPHANED_FILES: Function[replies.CleanedUp] = Function(
    "cleanup_orphaned_files",
    {"grace": "interval", "max_files": "integer", "dry_run": "boolean"},
    replies.CleanedUp,
    required=0,
    returns_table=True,
)
UPSERT_CONVERSATION: Function[replies.UpsertedConversation] = Function(
    "upsert_conversation",
    {
        "continuation_id": "text",
        "title": "text",
        "metadata": "jsonb",
        "owner_id": "uuid",
    },
    replies.UpsertedConversation,
)
LIST_CONVERSATIONS: Function[replies.ConversationPage] = Function(
    "list_conversations",
    {"page_size": "integer", "cursor": "text", "owner_id": "uuid"},
    replies.ConversationPage,
    required=0,
)
DELETE_CONVERSATION: Function[replies.DeletedConversation] = Function(
    "delete_conversation",
    {"continuation_id": "text", "owner_id": "uuid"},
    replies.DeletedConversation,
    takes_what_comes_later=True,
)
TRUNCATE_THREAD: Function[replies.TruncatedThread] = Function(
    "truncate_thread",
    {"continuation_id": "text", "after_seq": "bigint", "owner_id": "uuid"},
    replies.TruncatedThread,
    required=2,
    takes_what_comes_later=True,
)
SEARCH_MESSAGES: Function[replies.MatchPage] = Function(
    "search_messages",
    {"query": "text", "page_size": "integer", "cursor": "text", "owner_id": "uuid"},
    replies.MatchPage,
)
INDEX_MESSAGES: Function[replies.IndexedMessages] = Function(
    "index_messages", {"max_messages": "integer"}, replies.IndexedMessages, required=0
)
SET_SEARCH_LANGUAGE: Function[replies.SearchLanguage] = Function(
    "set_search_language", {"language": "text"}, replies.SearchLanguage
)
CLAIM_STORAGE_DELETIONS: Function[replies.ClaimedDeletions] = Function(
    "claim_storage_deletions",
    {"worker": "text", "max_paths": "integer", "lease": "interval"},
    replies.ClaimedDeletions,
)
FINISH_STORAGE_DELETIONS: Function[replies.FinishedDeletions] = Function(
    "finish_storage_deletions",
    {"worker": "text", "done": "uuid[]", "failed": "jsonb"},
    replies.FinishedDeletions,
    required=2,
)
FORGET_OWNER: Function[replies.ForgottenOwner] = Function(
    "forget_owner", {"owner_id": "uuid", "max_rows": "integer"}, replies.ForgottenOwner
)
HEALTH: Function[replies.Health] = Function("health", {}, replies.Health, required=0)
LIST_EVENTS: Function[replies.EventPage] = Function(
    "list_events",
    {"cursor": "text", "page_size": "integer", "kinds": "text[]", "owner_id": "uuid"},
    replies.EventPage,
    required=0,
)
RECORD_EVENTS: Function[replies.RecordedEvents] = Function(
    "record_events", {"events": "jsonb"}, replies.RecordedEvents
)
SET_EVENTS: Function[replies.EventsSetting] = Function(
    "set_events", {"enabled": "boolean"}, replies.EventsSetting
)
PRUNE_EVENTS: Function[replies.PrunedEvents] = Function(
    "prune_events",
    {"keep": "interval", "max_events": "integer"},
    replies.PrunedEvents,
    required=0,
)
PUMP_EVENTS: Function[replies.PumpedEvents] = Function(
    "pump_events", {"max_events": "integer"}, replies.PumpedEvents, required=0
)
CACHE_GET: Function[replies.CachedResponse | None] = Function(
    "cache_get", {"key": "text", "owner_id": "uuid"}, replies.CachedResponse | None
)
CACHE_PUT: Function[replies.StoredResponse] = Function(
    "cache_put",
    {
        "key": "text",
        "value": "jsonb",
        "ttl": "interval",
        "scope": "text",
        "embedding": "real[]",
        "owner_id": "uuid",
    },
    replies.StoredResponse,
    required=2,
)
CACHE_NEAREST: Function[replies.NearestResponse | None] = Function(
    "cache_nearest",
    {
        "scope": "text",
        "embedding": "real[]",
        "max_distance": "double precision",
        "owner_id": "uuid",
    },
    replies.NearestResponse | None,
    required=2,
)
CACHE_PURGE: Function[replies.PurgedResponses] = Function(
    "cache_purge",
    {"max_entries": "integer", "max_bytes": "bigint"},
    replies.PurgedResponses,
    required=0,
)
METRICS: Function[replies.Metrics] = Function(
    "metrics", {}, replies.Metrics, required=0
)
FUNCTIONS: Mapping[str, Function[Any]] = {
    each.name: each for each in list(vars().values()) if isinstance(each, Function)
}
"""All of them by name."""
