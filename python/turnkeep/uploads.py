"""Bring files into the storage, and only those that are not there. No I/O of its own.

What is to be done is a generator of steps, `Call`s to send and `Work` to do in a
thread; both clients carry it out. A file is hashed as a stream, registered by its
content, put into the storage if that needs it, and then linked by a turn: bytes first,
row second. Its path is the owner's folder and its sha256, so the same content is the
same object.
"""

from __future__ import annotations

import mimetypes
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from io import BytesIO, IOBase, RawIOBase
from pathlib import Path, PurePath
from threading import Lock
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from msgspec.structs import replace

from turnkeep.calls import (
    Call,
    link_files_to_conversation,
    register_files,
)
from turnkeep.errors import CallError, Unprocessable
from turnkeep.exchange import Attempts
from turnkeep.replies import AppendedFile, AppendedTurn, FileType

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from turnkeep.calls import NewFile
    from turnkeep.exchange import Policy
    from turnkeep.replies import RegisteredFile
    from turnkeep.storage import Storage

CHUNK_BYTES = 1 << 18
SHARED_FOLDER = "service"
"""Folder of files that belong to the service itself."""
SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,16}")
REMEMBERED = 10_000
"""Files that a client knows to be stored."""

Work = Callable[[], Any]
Steps = Generator[Call[Any] | Work, Any, Any]


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file to upload, and what is to be known of it."""

    content: Path | str | bytes | BinaryIO
    """Where it is, or what it has; a stream must be one that can be sought."""
    name: str | None = None
    """The path's last part, where there is a path."""
    mime_type: str | None = None
    """By default what the name suggests."""
    file_type: FileType = "user_upload"
    bucket_id: str | None = None
    metadata: Mapping[str, object] | None = None


Sources = str | Path | LocalFile | Iterable[str | Path | LocalFile]
"""What to upload: paths or `LocalFile`, or one of them."""


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """A file that is stored and registered, to be used in a turn by its id."""

    id: UUID
    bucket_id: str
    storage_path: str
    sha256: str
    size_bytes: int
    uploaded: bool
    """This upload brought the bytes; they were not there before."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the upload of one file is."""

    name: str
    sent_bytes: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Measured:
    """A file whose content was read once."""

    source: LocalFile
    name: str
    sha256: str
    size_bytes: int

    def described(self, folder: str) -> NewFile:
        """Give it as `register_files` takes it, in the folder of its owner."""
        suffix = PurePath(self.name).suffix
        suffix = suffix.lower() if SUFFIX.fullmatch(suffix) else ""
        guessed = mimetypes.guess_type(self.name, strict=False)[0]
        file: NewFile = {
            "storage_path": f"{folder}/{self.sha256}{suffix}",
            "original_name": self.name,
            "mime_type": self.source.mime_type or guessed or "application/octet-stream",
            "size_bytes": self.size_bytes,
            "sha256": self.sha256,
            "file_type": self.source.file_type,
        }
        if self.source.bucket_id is not None:
            file["bucket_id"] = self.source.bucket_id
        if self.source.metadata is not None:
            file["metadata"] = self.source.metadata
        return file


class KnownFiles:
    """Files that were stored when this client last heard of them, by content."""

    def __init__(self) -> None:
        """Know nothing."""
        self._ids: OrderedDict[tuple[str, str, int], UUID] = OrderedDict()
        self._lock = Lock()

    def get(self, key: tuple[str, str, int]) -> UUID | None:
        """Give the id of a file, None when it is not known."""
        return self._ids.get(key)

    def add(self, key: tuple[str, str, int], file_id: UUID) -> None:
        """Remember a file, and forget the one that was remembered first."""
        with self._lock:
            self._ids[key] = file_id
            if len(self._ids) > REMEMBERED:
                self._ids.popitem(last=False)

    def forget(self, keys: Iterable[tuple[str, str, int]]) -> None:
        """Forget files."""
        with self._lock:
            for key in keys:
                self._ids.pop(key, None)


@dataclass
class Uploader:
    """What uploads of one client share: the storage, and what is known to be there."""

    storage: Storage
    policy: Policy
    parallel: int = 4
    on_progress: Callable[[Progress], None] | None = None
    owner_id: UUID | None = None
    folder: str = SHARED_FOLDER
    known: KnownFiles = field(default_factory=KnownFiles)

    def upload(self, sources: Sources) -> Steps:
        """Hash, register, put what is missing; ends with a tuple of `UploadedFile`."""
        measured = yield partial(self._each, measure, local_files(sources))
        return (yield from self._store(measured))

    def append(self, turn: Call[AppendedTurn], sources: Sources) -> Steps:
        """Store a turn that uses the files; ends with its `AppendedTurn`."""
        measured = yield partial(self._each, measure, local_files(sources))
        keys = [self._key(file) for file in measured]
        file_ids = [self.known.get(key) for key in keys]
        if None in file_ids:
            stored = yield from self._store(measured)
            file_ids = [file.id for file in stored]
        files = [
            *cast("list[NewFile]", turn.arguments["files"] or []),
            *({"id": file_id} for file_id in file_ids),
        ]
        reply = yield Call(turn.function, {**turn.arguments, "files": files})
        lost = set(file_ids) & set(reply.unknown_files)
        if not lost:
            return reply
        # Cleaned up since this client saw them: a turn by id was too sure.
        self.known.forget(keys)
        again = [
            file
            for file, file_id in zip(measured, file_ids, strict=True)
            if file_id in lost
        ]
        stored = yield from self._store(again)
        yield link_files_to_conversation(
            reply.conversation_id, [file.id for file in stored]
        )
        return replace(
            reply,
            unknown_files=tuple(i for i in reply.unknown_files if i not in lost),
            files=(
                *reply.files,
                *(
                    AppendedFile(
                        id=file.id,
                        bucket_id=file.bucket_id,
                        storage_path=file.storage_path,
                        created=True,
                        linked=True,
                    )
                    for file in stored
                ),
            ),
        )

    def _store(self, measured: list[Measured]) -> Steps:
        files = [file.described(self.folder) for file in measured]
        reply = yield register_files(files, owner_id=self.owner_id)
        registered: tuple[RegisteredFile, ...] = reply.files
        # A content that is there twice is one file, to be put once.
        missing = {
            stored.id: (file, stored)
            for file, stored in zip(measured, registered, strict=True)
            if stored.upload_needed
        }
        if missing:
            yield partial(self._each, self._put, list(missing.values()))
        for file, stored in zip(measured, registered, strict=True):
            self.known.add(self._key(file), stored.id)
        return tuple(
            UploadedFile(
                stored.id,
                stored.bucket_id,
                stored.storage_path,
                file.sha256,
                file.size_bytes,
                stored.id in missing,
            )
            for file, stored in zip(measured, registered, strict=True)
        )

    def _key(self, file: Measured) -> tuple[str, str, int]:
        return self.folder, file.sha256, file.size_bytes

    def _each(self, work: Callable[[Any], Any], items: list[Any]) -> list[Any]:
        """Do the same with all, some at a time; the first failure is raised."""
        if len(items) == 1:
            return [work(items[0])]
        with ThreadPoolExecutor(self.parallel, "turnkeep-upload") as threads:
            futures = [threads.submit(work, item) for item in items]
            try:
                return [future.result() for future in futures]
            except BaseException:
                threads.shutdown(wait=False, cancel_futures=True)
                raise

    def _put(self, item: tuple[Measured, RegisteredFile]) -> None:
        file, stored = item
        attempts = Attempts(f"upload of {stored.storage_path}", self.policy)
        while True:
            try:
                with opened(file.source) as content:
                    self.storage.put(
                        stored.bucket_id,
                        stored.storage_path,
                        cast("BinaryIO", Checked(content, file, self.on_progress)),
                        mime_type=file.described("")["mime_type"],
                    )
            except CallError as error:
                time.sleep(attempts.failed(error))
            else:
                return


class Checked(RawIOBase):
    """A stream that says how far it is, and fails before the end of changed content.

    An upload that fails before its end is none.
    """

    def __init__(
        self,
        content: BinaryIO,
        file: Measured,
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        """Take the stream, what it had when it was measured, and who wants to know."""
        self._content = content
        self._file = file
        self._on_progress = on_progress
        self._start()

    def _start(self) -> None:
        self._hash = sha256()
        self._sent = 0

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def seekable(self) -> bool:
        """Say that it can be sought: a client asks for the size that way."""
        return True

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go somewhere; from the beginning it is read anew."""
        position = self._content.seek(offset, whence)
        if position == 0:
            self._start()
        return position

    def tell(self) -> int:
        """Say where it is."""
        return self._content.tell()

    def readinto(self, buffer: Any, /) -> int:
        """Read on.

        :raises turnkeep.errors.Unprocessable: this is not what was measured
        """
        chunk = self._content.read(len(buffer))
        self._hash.update(chunk)
        self._sent += len(chunk)
        size = self._file.size_bytes
        is_over = self._sent >= size or not chunk
        if is_over and self._hash.hexdigest() != self._file.sha256:
            raise Unprocessable(
                "the file changed while it was uploaded",
                where=self._file.name,
                hint="upload it again",
            )
        buffer[: len(chunk)] = chunk
        if self._on_progress and chunk:
            self._on_progress(Progress(self._file.name, self._sent, size))
        return len(chunk)


def local_files(sources: Sources) -> list[LocalFile]:
    """Take one for a list, and a path for a file about which nothing else is said.

    :raises TypeError: neither a path nor a `LocalFile`
    """
    one = str | Path | LocalFile
    several = [sources] if isinstance(sources, one | bytes | IOBase) else list(sources)
    for source in several:
        if not isinstance(source, one):
            given = type(source).__name__
            raise TypeError(f"a file is a path or LocalFile(content), and no {given}")
    return [
        source if isinstance(source, LocalFile) else LocalFile(source)
        for source in several
    ]


@contextmanager
def opened(source: LocalFile) -> Iterator[BinaryIO]:
    """Give the content as a stream that stands at its beginning."""
    if isinstance(source.content, str | Path):
        with Path(source.content).open("rb") as file:
            yield file
    elif isinstance(source.content, bytes):
        yield BytesIO(source.content)
    else:
        source.content.seek(0)
        yield source.content


def measure(source: LocalFile) -> Measured:
    """Read a file once, in pieces, for its size and its sha256."""
    size = 0
    hashing = sha256()
    with opened(source) as content:
        while chunk := content.read(CHUNK_BYTES):
            hashing.update(chunk)
            size += len(chunk)
    name = source.name or (
        PurePath(source.content).name
        if isinstance(source.content, str | Path)
        else "unnamed"
    )
    return Measured(source, name, hashing.hexdigest(), size)
