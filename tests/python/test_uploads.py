"""Files are uploaded when their bytes are missing, and then linked by the turn."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from datetime import timedelta
from hashlib import sha256
from io import BytesIO, RawIOBase
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from turnkeep import uploads
from turnkeep.calls import append_turn, cleanup_orphaned_files, get_thread
from turnkeep.client import Client, connect, connect_async
from turnkeep.errors import Forbidden, Misconfigured, Unavailable, Unprocessable
from turnkeep.storage import DirectoryStorage
from turnkeep.uploads import Checked, KnownFiles, LocalFile, measure

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import psycopg

    from gateway.running import Gateway
    from turnkeep.calls import NewMessage
    from turnkeep.uploads import Progress

HELLO: list[NewMessage] = [{"role": "user", "content": "What do these show?"}]


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    """Give 8 files of different content."""
    paths = [tmp_path / f"{number}.PNG" for number in range(8)]
    for number, path in enumerate(paths):
        path.write_bytes(bytes([number]) * 300_000)
    return paths


@pytest.fixture
def supabase(gateway: Gateway) -> Iterator[Client]:
    gateway.storage.create_schema()
    gateway.traffic.clear()
    with connect(gateway.url, key=gateway.service_key) as client:
        yield client


@pytest.fixture
def folder(tmp_path: Path) -> DirectoryStorage:
    return DirectoryStorage(tmp_path / "storage")


@pytest.fixture
def client(database: str, folder: DirectoryStorage) -> Iterator[Client]:
    with connect(database, storage=folder) as client:
        yield client


def requests(gateway: Gateway) -> Counter[str]:
    """Count what went over the wire since the last time, by kind."""
    kinds = Counter(
        path.split("/rpc/")[-1] if "/rpc/" in path else path.split("/object/")[0]
        for path in gateway.traffic.paths
    )
    gateway.traffic.clear()
    return kinds


@pytest.mark.bare
def test_new_files_cost_their_uploads_and_two_requests_and_stored_ones_none(
    supabase: Client, gateway: Gateway, pictures: list[Path]
) -> None:
    reply = supabase.append_with_files(append_turn("c", HELLO), pictures)
    assert requests(gateway) == {
        "register_files": 1,
        "POST /storage/v1": 8,
        "append_turn": 1,
    }
    assert len(reply.files) == 8
    assert all(file.linked for file in reply.files)
    again = supabase.append_with_files(append_turn("c", HELLO), pictures)
    assert requests(gateway) == {"append_turn": 1}
    assert [file.id for file in again.files] == [file.id for file in reply.files]
    # Another process asks once, and uploads nothing.
    with connect(gateway.url, key=gateway.service_key) as other:
        other.append_with_files(append_turn("d", HELLO), pictures)
    assert requests(gateway) == {"register_files": 1, "append_turn": 1}
    for path, file in zip(pictures, reply.files, strict=True):
        where = (file.bucket_id, file.storage_path)
        assert gateway.storage.objects[where] == path.read_bytes()
        assert gateway.storage.types[where] == "image/png"


def test_the_async_client_does_the_same(gateway: Gateway, pictures: list[Path]) -> None:
    async def talk() -> None:
        told: list[Progress] = []
        threads: set[int] = set()

        def note(progress: Progress) -> None:
            told.append(progress)
            threads.add(threading.get_ident())

        async with connect_async(gateway.url, key=gateway.service_key) as client:
            await client.append_with_files(
                append_turn("c", HELLO), pictures, on_progress=note
            )
            assert requests(gateway)["POST /storage/v1"] == 8
            await client.append_with_files(append_turn("c", HELLO), pictures)
            assert requests(gateway) == {"append_turn": 1}
            files = await client.upload(pictures[:2])
            assert [file.uploaded for file in files] == [False, False]
        assert threads == {threading.get_ident()}
        assert {p.name for p in told if p.sent_bytes == p.size_bytes == 300_000} == {
            path.name for path in pictures
        }

    asyncio.run(talk())


def test_a_directory_does_as_well(
    client: Client, folder: DirectoryStorage, pictures: list[Path]
) -> None:
    stream = BytesIO(b"streamed")
    sources = [
        pictures[0],
        LocalFile(b"Hello", "hello.txt", metadata={"page": 1}),
        LocalFile(stream, "a.tar.gz", mime_type="application/gzip"),
        LocalFile(b"Hello", "same.txt"),
    ]
    files = client.upload(sources)
    assert [file.uploaded for file in files] == [True, True, True, True]
    assert files[1].id == files[3].id
    stored = {item.storage_path: item.size_bytes for item in folder.list("user-files")}
    assert stored == {file.storage_path: file.size_bytes for file in files}
    assert files[1].storage_path == f"service/{sha256(b'Hello').hexdigest()}.txt"
    turn = append_turn("c", HELLO, files=[{"id": file.id} for file in files])
    assert len(client(turn).files) == 3
    thread = client(get_thread("c"))
    assert thread
    described = {file.original_name: file for file in thread.files}
    assert described["hello.txt"].metadata == {"page": 1}
    assert described["a.tar.gz"].mime_type == "application/gzip"
    assert [file.uploaded for file in client.upload(sources)] == [False] * 4


def test_a_file_that_was_cleaned_up_meanwhile_is_uploaded_again(
    client: Client,
    folder: DirectoryStorage,
    pictures: list[Path],
    connection: psycopg.Connection[Any],
) -> None:
    first = client.upload(pictures[:2])
    client(cleanup_orphaned_files(timedelta(0)))
    client(append_turn("c", HELLO))
    lost = [file.storage_path for file in first]
    assert folder.delete("user-files", lost) == {}
    connection.execute("delete from turnkeep.storage_deletions")
    reply = client.append_with_files(append_turn("c", HELLO), pictures[:2])
    assert reply.unknown_files == ()
    assert len(reply.files) == 2
    thread = client(get_thread("c"))
    assert thread
    assert len(thread.files) == 2
    assert {item.storage_path for item in folder.list("user-files")} == set(lost)


@pytest.mark.bare
def test_a_user_uploads_into_the_own_folder_and_nowhere_else(
    gateway: Gateway, supabase: Client, pictures: list[Path]
) -> None:
    user_id = uuid4()
    with connect(
        gateway.url,
        key=gateway.anon_key,
        access_token=lambda: gateway.user_token(user_id),
    ) as user:
        (file,) = user.upload(pictures[:1])
        assert file.storage_path.startswith(f"{user_id}/")
    (same,) = supabase.signed_in(gateway.user_token(user_id)).upload(pictures[:1])
    assert (same.id, same.uploaded) == (file.id, False)
    token = gateway.user_token()
    gateway.traffic.clear()
    assert supabase.signed_in(token).upload(pictures[:1])[0].id != file.id
    # The bytes are brought by the user, as the row is.
    assert len(gateway.traffic.headers) == 2
    for headers in gateway.traffic.headers:
        assert headers["authorization"] == f"Bearer {token}"
    with connect(gateway.url, key=gateway.anon_key) as nobody, pytest.raises(Forbidden):
        nobody.upload(pictures[:1])


def test_the_service_uploads_into_the_folder_of_whom_it_names(client: Client) -> None:
    owner_id = uuid4()
    file = LocalFile(b"Hello", "hello.txt")
    (uploaded,) = client.upload([file], owner_id=owner_id)
    turn = append_turn("c", HELLO, owner_id=owner_id)
    reply = client.append_with_files(turn, [file])
    assert uploaded.storage_path.startswith(f"{owner_id}/")
    assert [linked.id for linked in reply.files] == [uploaded.id]


def test_each_request_of_an_upload_has_a_fresh_token(
    gateway: Gateway, pictures: list[Path]
) -> None:
    user_id = uuid4()
    tokens: list[str] = []

    def fresh() -> str:
        lifetime = 3600 + len(tokens)
        tokens.append(gateway.user_token(user_id, expires_in=lifetime))
        return tokens[-1]

    with connect(gateway.url, key=gateway.anon_key, access_token=fresh) as user:
        gateway.traffic.clear()
        user.upload(pictures[:3])
    sent = {headers["authorization"] for headers in gateway.traffic.headers}
    assert len(sent) == len(gateway.traffic.headers) == 1 + 3


def test_a_stream_that_is_begun_again_is_looked_at_anew() -> None:
    content = b"12345"
    measured = measure(LocalFile(content, "a"))
    checked = Checked(BytesIO(content), measured, None)
    for _ in range(2):
        assert checked.seek(0) == 0
        assert checked.readall() == content


def test_the_loop_goes_on_while_a_file_is_uploaded(
    database: str, tmp_path: Path
) -> None:
    begun, may_end = threading.Event(), threading.Event()

    class Slow(DirectoryStorage):
        def put(self, *args: Any, **options: Any) -> None:
            begun.set()
            assert may_end.wait(20)
            super().put(*args, **options)

    async def upload() -> None:
        async with connect_async(database, storage=Slow(tmp_path)) as client:
            uploading = asyncio.create_task(client.upload([LocalFile(b"a")]))
            await asyncio.to_thread(begun.wait)
            may_end.set()
            assert (await uploading)[0].uploaded

    asyncio.run(upload())


def test_a_client_remembers_so_many_files_and_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(uploads, "REMEMBERED", 2)
    known = KnownFiles()
    ids = [uuid4() for _ in range(3)]
    for number, file_id in enumerate(ids):
        known.add(("folder", "sha256", number), file_id)
    found = [known.get(("folder", "sha256", number)) for number in range(3)]
    assert found == [None, *ids[1:]]


def test_an_upload_that_fails_is_tried_again_and_then_raised(
    gateway: Gateway, pictures: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    with connect(gateway.url, key=gateway.service_key, retry_budget=0.1) as client:
        gateway.storage.failing = 1
        client.upload(pictures)
        assert client.retries == 1
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        gateway.storage.failing = 1_000
        with pytest.raises(Unavailable) as raised:
            client.upload([LocalFile(b"new")])
    assert raised.value.__cause__ is not None
    assert raised.value.where == "storage"


def test_a_file_that_changes_on_the_way_is_not_stored(
    client: Client, folder: DirectoryStorage, tmp_path: Path
) -> None:
    class Changing(BytesIO):
        """Has another content each time that it is read from the beginning."""

        times = 0

        def seek(self, offset: int, whence: int = 0, /) -> int:
            self.times += offset == whence == 0
            self.getbuffer()[:1] = bytes([self.times])
            return super().seek(offset, whence)

    with pytest.raises(Unprocessable, match="changed"):
        client.upload([LocalFile(Changing(b"12345"), "a")])
    assert list(folder.list("user-files")) == []
    assert list((tmp_path / "storage").iterdir()) == []


class Endless(RawIOBase):
    """Many bytes that are nowhere; counts in which pieces they are asked for."""

    def __init__(self, size: int) -> None:
        """Take how many."""
        self.pieces: list[int] = []
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go somewhere."""
        self._at = {0: 0, 1: self._at, 2: self._size}[whence] + offset
        return self._at

    def tell(self) -> int:
        """Say where it is."""
        return self._at

    def read(self, size: int = -1, /) -> bytes:
        """Read on."""
        left = self._size - self._at
        piece = bytes(left if size < 0 else min(size, left))
        self._at += len(piece)
        self.pieces.append(len(piece))
        return piece


def test_one_file_needs_no_list(client: Client, pictures: list[Path]) -> None:
    for number, source in enumerate((str(pictures[0]), pictures[0])):
        turn = append_turn(f"c {number}", HELLO)
        reply = client.append_with_files(turn, source)
        assert [file.linked for file in reply.files] == [True]


@pytest.mark.parametrize(
    ("sources", "kind"),
    [(b"a", "bytes"), ([b"a"], "bytes"), ([7], "int"), (BytesIO(b"a"), "BytesIO")],
)
def test_what_is_no_file_is_said_to_be_none(
    client: Client, sources: Any, kind: str
) -> None:
    with pytest.raises(TypeError, match=f"and no {kind}"):
        client.append_with_files(append_turn("c", HELLO), sources)


@pytest.mark.bare
def test_a_large_file_is_read_in_pieces_and_told_of_as_it_goes(
    client: Client, supabase: Client
) -> None:
    size = 20_000_000
    for uploading in (client, supabase):
        content: Any = Endless(size)
        told: list[Progress] = []
        (file,) = uploading.upload(
            [LocalFile(content, "large")], on_progress=told.append
        )
        assert file.size_bytes == size
        # Once to know it, once to bring it.
        assert sum(content.pieces) == 2 * size
        assert max(content.pieces) <= 2**20
        sent = [progress.sent_bytes for progress in told]
        assert sent == sorted(sent)
        assert (len(sent) > 10, sent[-1]) == (True, size)


def test_without_a_storage_it_says_what_to_do(database: str) -> None:
    with connect(database) as client, pytest.raises(Misconfigured, match="storage"):
        client.upload([LocalFile(b"a")])


def test_few_uploads_are_under_way_at_a_time(database: str, tmp_path: Path) -> None:
    lock = threading.Lock()
    running = most = 0
    together = threading.Barrier(3)

    class Slow(DirectoryStorage):
        def put(self, *args: Any, **options: Any) -> None:
            nonlocal running, most
            with lock:
                running += 1
                most = max(most, running)
            together.wait(20)
            super().put(*args, **options)
            with lock:
                running -= 1

    with connect(database, storage=Slow(tmp_path)) as client:
        client.upload([LocalFile(bytes([n])) for n in range(6)], parallel=3)
    assert most == 3
