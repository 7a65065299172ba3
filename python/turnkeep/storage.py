"""Where the bytes of files are: Supabase Storage, or a directory.

The database keeps a row for each stored object and never touches the bytes. Whoever
does, an upload or the worker behind the outbox, goes through a `Storage`. All of them
may be used by several threads at once.
"""

from __future__ import annotations

import errno
import os
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, BinaryIO, Protocol

from turnkeep.directories import sync
from turnkeep.errors import Forbidden, Unavailable, Unprocessable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from turnkeep.errors import CallError

WHERE = "storage"
CHUNK_BYTES = 1 << 18
HALF_WRITTEN = ".upload-"
"""Begins the name of a file that is not an object yet."""
ABANDONED_SECONDS = 86_400.0
"""Who lives writes on in less."""
DENIED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
IMPOSSIBLE = frozenset(
    {errno.EEXIST, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOTDIR}
)
"""What the path is to blame for; anything else may work later."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """What a storage says about an object."""

    storage_path: str
    size_bytes: int | None
    """None where the storage does not know."""
    updated_at: datetime


class Storage(Protocol):
    """Buckets of objects, each under a path like ``folder/name``."""

    def put(
        self,
        bucket_id: str,
        storage_path: str,
        content: BinaryIO,
        *,
        mime_type: str | None = None,
    ) -> None:
        """Store all that ``content`` has, or nothing; it stands at its beginning.

        An object that is there already is left as it is.

        :raises turnkeep.errors.CallError: `Unavailable` when it may work later
        """

    def delete(self, bucket_id: str, storage_paths: Sequence[str]) -> dict[str, str]:
        """Delete up to 1,000 objects; one that is not there is deleted already.

        Gives, for each path whose object may still be there, the reason. What concerns
        them all is raised.

        :raises turnkeep.errors.CallError: `Unavailable` when it may work later
        """

    def list(self, bucket_id: str) -> Iterator[StoredObject]:
        """Give every object of a bucket; none when there is no such bucket.

        :raises turnkeep.errors.CallError: `Unavailable` when it may work later
        """


class DirectoryStorage:
    """A folder for each bucket in one directory, a file for each object.

    Who else may read them is for the process's umask to say.
    """

    def __init__(self, root: Path | str) -> None:
        """Take the directory; it is made when something is put into it."""
        self.root = Path(root)

    def put(
        self,
        bucket_id: str,
        storage_path: str,
        content: BinaryIO,
        *,
        mime_type: str | None = None,  # noqa: ARG002  a file has no type
    ) -> None:
        """Write the object beside its place, then give it its name, all on the disk."""
        target = self._path(bucket_id, storage_path)
        with _translated():
            is_there = target.is_file()
        if not is_there:
            self._write(target, content)
        # Also where it was there: who put it may not have come so far.
        for folder in target.relative_to(self.root).parents:
            with _translated(), suppress(FileNotFoundError):
                sync(self.root / folder)

    def _write(self, target: Path, content: BinaryIO) -> None:
        # Beside the buckets, so that nobody lists what is half written.
        beside = self.root / f"{HALF_WRITTEN}{token_hex(8)}"
        with _translated():
            if not self.root.exists():
                self.root.mkdir(parents=True, exist_ok=True)
                sync(self.root.parent)
            self._tidy()
            file = beside.open("xb")
        try:
            while chunk := content.read(CHUNK_BYTES):
                with _translated():
                    file.write(chunk)
            with _translated():
                file.flush()
                os.fsync(file.fileno())
                _move(beside, target)
        finally:
            # Closing writes again what a full disk did not take.
            with suppress(OSError):
                file.close()
            beside.unlink(missing_ok=True)

    def delete(self, bucket_id: str, storage_paths: Sequence[str]) -> dict[str, str]:
        """Delete the files, and the folders that are empty then, also on the disk."""
        self._tidy()
        kept = {}
        changed: set[Path] = set()
        for storage_path in storage_paths:
            path = self._path(bucket_id, storage_path)
            self._see()
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                kept[storage_path] = str(error)
                continue
            changed.add(path.parent)
            with suppress(OSError):
                for folder in path.relative_to(self.root).parents[:-1]:
                    (self.root / folder).rmdir()
                    changed.add((self.root / folder).parent)
        # A name that a power cut brings back would be one that no row knows.
        for folder in changed:
            with _translated(), suppress(FileNotFoundError):
                sync(folder)
        return kept

    def list(self, bucket_id: str) -> Iterator[StoredObject]:
        """Walk through the folder of the bucket."""
        self._see()
        bucket = self._path(bucket_id, "")
        for folder, _, names in os.walk(bucket, onerror=_raise_unless_missing):
            for name in names:
                path = Path(folder, name)
                with _translated():
                    try:
                        status = path.stat()
                    except FileNotFoundError:
                        continue
                yield StoredObject(
                    path.relative_to(bucket).as_posix(),
                    status.st_size,
                    datetime.fromtimestamp(status.st_mtime, UTC),
                )

    def _tidy(self) -> None:
        """Remove what uploads that were killed have left."""
        for path in self.root.glob(f"{HALF_WRITTEN}*"):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > ABANDONED_SECONDS:
                    path.unlink()

    def _see(self) -> None:
        """Let no directory that is not there pass for one that is empty."""
        if not self.root.is_dir():
            raise Unavailable("there is no such directory", where=str(self.root))

    def _path(self, bucket_id: str, storage_path: str) -> Path:
        parts = [bucket_id, *storage_path.split("/")]
        if {".", ".."} & set(parts) or "/" in bucket_id or "\0" in storage_path:
            raise Unprocessable(
                "the path leaves its bucket",
                where=WHERE,
                detail=f"{storage_path} in bucket {bucket_id}",
            )
        return self.root.joinpath(*parts)


@contextmanager
def _translated() -> Iterator[None]:
    """Raise what the system says as one of ours."""
    try:
        yield
    except OSError as cause:
        kind: type[CallError] = Unavailable
        if cause.errno in DENIED:
            kind = Forbidden
        elif cause.errno in IMPOSSIBLE:
            kind = Unprocessable
        raise kind(str(cause), where=WHERE) from cause


def _raise_unless_missing(error: OSError) -> None:
    """Let no folder that cannot be read pass for one that is empty."""
    with _translated(), suppress(FileNotFoundError):
        raise error


def _move(source: Path, target: Path) -> None:
    """Give a file its name; a deletion may take an empty folder away meanwhile."""
    while True:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            source.rename(target)
        except FileNotFoundError:
            if not source.exists():
                raise
        else:
            return
