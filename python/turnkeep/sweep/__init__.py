"""Housekeeping: delete what nothing uses, rows and bytes, and keep the store quick.

One round deletes orphaned files, deletes the stored objects in the outbox, lets the
search find what is new, and prunes events and answers of models. Several sweepers may
run at once and share the work; one that is killed leaves leases, which end after some
minutes, and then another goes on.

Bytes are deleted last: nothing names them any more, and a registration of the same path
takes it back from the outbox, or is told to wait while a sweeper has it.
"""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from turnkeep.calls import (
    cache_purge,
    claim_storage_deletions,
    cleanup_orphaned_files,
    finish_storage_deletions,
    index_messages,
    prune_events,
)
from turnkeep.errors import CallError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from turnkeep.calls import Call, FailedDeletion
    from turnkeep.client import Client
    from turnkeep.replies import ClaimedDeletion, FinishedDeletions
    from turnkeep.storage import Storage

LEASE = timedelta(minutes=10)
SAFE_SECONDS = LEASE.total_seconds() / 2
"""After that a worker begins no deletion: it must end while the path is its own."""
MOST_PATHS = 1000


@dataclass(slots=True)
class Swept:
    """What a round has done."""

    files: int = 0
    """Orphans whose rows were deleted."""
    healed: int = 0
    """Files that were marked as unused and had a link after all."""
    objects: int = 0
    """Stored objects that were deleted."""
    failed_objects: int = 0
    """Stored objects that could not be deleted now; they are tried again later."""
    reason: str | None = None
    """Why the last of them could not be."""
    indexed_messages: int = 0
    pruned_events: int = 0
    purged_responses: int = 0
    """Answers of models that had expired, or had no room."""

    def __str__(self) -> str:
        """Say it in a line."""
        parts = [
            f"{self.files:,} orphaned files deleted",
            f"{self.objects:,} stored objects deleted",
            f"{self.indexed_messages:,} messages indexed",
            f"{self.pruned_events:,} events pruned",
            f"{self.purged_responses:,} answers purged",
        ]
        if self.failed_objects:
            failed = f"{self.failed_objects:,} objects to be tried again"
            parts.append(f"{failed}: {self.reason}" if self.reason else failed)
        return ", ".join(parts)


class Sweeper:
    """Works on one database and one storage; without a storage, the outbox is left."""

    def __init__(
        self,
        client: Client,
        storage: Storage | None,
        *,
        grace: timedelta | None = None,
        is_stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        """Take the database, the storage, and when to stop between two steps."""
        self.worker = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._client = client
        self._storage = storage
        self._grace = grace
        self._is_stopping = is_stopping

    def sweep(self, advance: Callable[[Swept], None] = lambda _: None) -> Swept:
        """Do all that is to do, and tell `advance` after every step.

        :raises turnkeep.errors.CallError: the database refuses, or is not there
        """
        swept = Swept()
        for _ in self._steps(swept):
            advance(swept)
            if self._is_stopping():
                break
        return swept

    def _steps(self, swept: Swept) -> Iterator[None]:
        for cleaned in self._while_more(cleanup_orphaned_files(self._grace)):
            swept.files += cleaned.deleted_count
            swept.healed += cleaned.healed_count
            yield
        if self._storage is not None:
            while self._empty_outbox(self._storage, swept):
                yield
        for indexed in self._while_more(index_messages()):
            swept.indexed_messages += indexed.indexed
            yield
        for pruned in self._while_more(prune_events()):
            swept.pruned_events += pruned.pruned
            yield
        for purged in self._while_more(cache_purge()):
            swept.purged_responses += purged.expired + purged.evicted
            yield

    def _while_more(self, call: Call[Any]) -> Iterator[Any]:
        while True:
            reply = self._client(call)
            yield reply
            if not reply.more:
                return

    def _empty_outbox(self, storage: Storage, swept: Swept) -> bool:
        """Delete what one claim gives; False: no more for now."""
        began = time.monotonic()
        claim = claim_storage_deletions(self.worker, max_paths=MOST_PATHS, lease=LEASE)
        claimed = self._client(claim).deletions
        by_bucket: defaultdict[str, list[ClaimedDeletion]] = defaultdict(list)
        for deletion in claimed:
            by_bucket[deletion.bucket_id].append(deletion)
        is_there = True
        for bucket_id, deletions in by_bucket.items():
            if time.monotonic() - began > SAFE_SECONDS:
                break
            paths = [each.storage_path for each in deletions]
            try:
                kept = storage.delete(bucket_id, paths)
            except CallError as error:
                # A bucket that is refused must not stop the others.
                kept = dict.fromkeys(paths, str(error))
                is_there = is_there and not isinstance(error, Unavailable)
            reply = self._client(_report(self.worker, deletions, kept))
            swept.objects += reply.finished
            swept.failed_objects += reply.retried
            swept.reason = next(reversed(kept.values()), swept.reason)
        return bool(claimed) and is_there


def _report(
    worker: str, deletions: list[ClaimedDeletion], kept: Mapping[str, str]
) -> Call[FinishedDeletions]:
    """Say which of the deletions are done, and why others are not."""
    done = [each.id for each in deletions if each.storage_path not in kept]
    failed: list[FailedDeletion] = [
        {"id": each.id, "error": kept[each.storage_path]}
        for each in deletions
        if each.storage_path in kept
    ]
    return finish_storage_deletions(worker, done, failed=failed)
