"""Storages keep whole objects, in buckets, and forget what they are told to."""

from __future__ import annotations

import errno
import os
import resource
import time
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import pytest

from turnkeep.errors import CallError, Forbidden, Unavailable, Unprocessable
from turnkeep.storage import HALF_WRITTEN, DirectoryStorage
from turnkeep.supabase_storage import SupabaseStorage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.running import Gateway
    from turnkeep.storage import Storage


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return DirectoryStorage(tmp_path / "storage")


def content_of(storage: Storage, bucket_id: str) -> dict[str, int | None]:
    return {
        stored.storage_path: stored.size_bytes for stored in storage.list(bucket_id)
    }


def test_what_was_put_is_listed_in_its_bucket(storage: Storage) -> None:
    storage.put("user-files", "me/a.txt", BytesIO(b"Hello"), mime_type="text/plain")
    storage.put("user-files", "me/deep/er/b", BytesIO(b""))
    storage.put("generated-files", "me/a.txt", BytesIO(b"Bye"))
    assert content_of(storage, "user-files") == {"me/a.txt": 5, "me/deep/er/b": 0}
    assert content_of(storage, "generated-files") == {"me/a.txt": 3}
    assert content_of(storage, "no-such-bucket") == {}


def test_an_object_that_is_there_stays_as_it_is(storage: Storage) -> None:
    storage.put("b", "a", BytesIO(b"first"))
    storage.put("b", "a", BytesIO(b"second, longer"))
    assert content_of(storage, "b") == {"a": 5}


def test_deleting_what_is_not_there_is_no_error(storage: Storage) -> None:
    storage.put("b", "x/a", BytesIO(b"1"))
    storage.put("b", "x/c", BytesIO(b"3"))
    assert storage.delete("b", ["x/a", "x/b"]) == {}
    assert content_of(storage, "b") == {"x/c": 1}
    assert storage.delete("b", ["x/c", "x/c"]) == {}
    assert storage.delete("no-such-bucket", ["a"]) == {}


def test_what_cannot_be_deleted_is_named_with_the_reason(storage: Storage) -> None:
    storage.put("b", "folder/a", BytesIO(b"1"))
    storage.put("b", "c", BytesIO(b"2"))
    assert list(storage.delete("b", ["folder", "c"])) == ["folder"]
    assert content_of(storage, "b") == {"folder/a": 1}


def test_half_an_object_is_none(storage: Storage, tmp_path: Path) -> None:
    class Breaking(BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if not self.tell():
                return super().read(2 if size else 0)
            raise OSError("the disk is gone")

    broken: BinaryIO = Breaking(b"whole")
    with pytest.raises(OSError, match="disk"):
        storage.put("b", "a", broken)
    assert content_of(storage, "b") == {}
    assert list((tmp_path / "storage").iterdir()) == []


def test_what_is_taken_away_while_it_is_written_is_said_to_be(
    storage: Storage, tmp_path: Path
) -> None:
    class Losing(BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            for half in (tmp_path / "storage").glob(f"{HALF_WRITTEN}*"):
                half.unlink()
            return super().read(size)

    with pytest.raises(Unavailable, match="No such file"):
        storage.put("b", "a", Losing(b"whole"))
    with pytest.raises(Unavailable, match="No such file"):
        DirectoryStorage("/proc/none").put("b", "a", BytesIO(b"whole"))


@pytest.mark.parametrize("by", ["upload", "deletion"])
def test_what_a_killed_upload_has_left_goes_after_a_day(
    storage: Storage, tmp_path: Path, by: str
) -> None:
    storage.put("b", "a", BytesIO(b"1"))
    root = tmp_path / "storage"
    for name, age in (("old", 90_000), ("young", 80_000)):
        left = root / f"{HALF_WRITTEN}{name}"
        left.touch()
        os.utime(left, (time.time() - age, time.time() - age))
    if by == "upload":
        storage.put("b", "c", BytesIO(b"2"))
    else:
        storage.delete("b", ["c"])
    assert [each.name for each in root.glob(".*")] == [f"{HALF_WRITTEN}young"]
    assert "a" in content_of(storage, "b")


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> dict[Path, list[str]]:
    """Give the names that each folder had when it was last written to the disk."""
    written: dict[Path, list[str]] = {}
    fsync = os.fsync

    def note(descriptor: int) -> None:
        fsync(descriptor)
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if path.is_dir():
            written[path] = sorted(each.name for each in path.iterdir())

    monkeypatch.setattr(os, "fsync", note)
    return written


def test_an_object_is_on_the_disk_with_its_name_before_put_returns(
    storage: Storage, tmp_path: Path, written: dict[Path, list[str]]
) -> None:
    """What is put survives a power cut: each folder is written after its last name."""
    root = tmp_path / "storage"
    names = {
        tmp_path: ["storage"],
        root: ["b"],
        root / "b": ["me"],
        root / "b/me": ["a"],
    }
    storage.put("b", "me/a", BytesIO(b"1"))
    assert written == names
    written.clear()
    storage.put("b", "me/a", BytesIO(b"1"))
    assert written == {path: names[path] for path in names if path != tmp_path}


def test_what_is_deleted_is_gone_from_the_disk_before_delete_returns(
    storage: Storage,
    tmp_path: Path,
    written: dict[Path, list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No power cut brings back a name: its folder is written after it has gone."""
    for path in ("me/a", "me/b", "you/c", "you/d/e"):
        storage.put("b", path, BytesIO(b"1"))
    written.clear()
    bucket = tmp_path / "storage/b"
    assert storage.delete("b", ["me/a", "you/c", "you/d/e", "me/none"]) == {}
    assert written == {bucket: ["me"], bucket / "me": ["b"]}

    def refuse(_: int) -> None:
        raise OSError(errno.EIO, "refused")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(Unavailable, match="refused"):
        storage.delete("b", ["me/a"])


def test_who_may_read_an_object_is_for_the_umask_to_say(
    storage: Storage, tmp_path: Path
) -> None:
    before = os.umask(0o027)
    try:
        storage.put("b", "a", BytesIO(b"1"))
    finally:
        os.umask(before)
    assert (tmp_path / "storage/b").stat().st_mode & 0o777 == 0o750
    assert (tmp_path / "storage/b/a").stat().st_mode & 0o777 == 0o640


def test_a_full_disk_is_an_exception_of_ours(storage: Storage, tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(Unavailable):
            storage.put("b", "a", BytesIO(bytes(100_500)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list((tmp_path / "storage").iterdir()) == []


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (errno.EACCES, Forbidden),
        (errno.EROFS, Forbidden),
        (errno.ENOSPC, Unavailable),
        (errno.ENAMETOOLONG, Unprocessable),
    ],
)
def test_what_a_directory_refuses_is_an_exception_of_ours(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, code: int, kind: type[CallError]
) -> None:
    storage.put("b", "folder/a", BytesIO(b"1"))

    def refuse(*_: object, **__: object) -> None:
        raise OSError(code, "refused")

    for what in ("os.fsync", "pathlib.Path.open"):
        with monkeypatch.context() as refusing:
            refusing.setattr(what, refuse)
            with pytest.raises(kind, match="refused"):
                storage.put("b", "another", BytesIO(b"2"))
    assert content_of(storage, "b") == {"folder/a": 1}
    monkeypatch.setattr("os.scandir", refuse)
    with pytest.raises(kind, match="refused"):
        list(storage.list("b"))


def test_a_directory_that_has_gone_is_not_empty(
    storage: Storage, tmp_path: Path
) -> None:
    storage.put("b", "a", BytesIO(b"1"))
    (tmp_path / "storage").rename(tmp_path / "elsewhere")
    with pytest.raises(Unavailable):
        storage.delete("b", ["a"])
    with pytest.raises(Unavailable):
        list(storage.list("b"))
    (tmp_path / "elsewhere").rename(tmp_path / "storage")
    assert content_of(storage, "b") == {"a": 1}


def test_what_is_a_file_or_a_folder_already_is_an_exception_of_ours(
    storage: Storage,
) -> None:
    storage.put("b", "a", BytesIO(b"1"))
    with pytest.raises(Unprocessable):
        storage.put("b", "a/b", BytesIO(b"2"))
    storage.put("b", "folder/a", BytesIO(b"3"))
    with pytest.raises(Unprocessable):
        storage.put("b", "folder", BytesIO(b"4"))


@pytest.mark.parametrize(
    ("bucket_id", "path"),
    [("b", "../a"), ("b", "x/../../a"), ("..", "a"), ("b/c", "a")],
)
def test_no_path_leaves_its_bucket(
    storage: Storage, tmp_path: Path, bucket_id: str, path: str
) -> None:
    for attempt in (
        lambda: storage.put(bucket_id, path, BytesIO(b"1")),
        lambda: storage.delete(bucket_id, [path]),
    ):
        with pytest.raises(Unprocessable, match="leaves its bucket"):
            attempt()
    assert list(tmp_path.rglob("a")) == []


def of_project(gateway: Gateway, key: str | None = None) -> SupabaseStorage:
    headers = {"apikey": key or gateway.service_key}
    return SupabaseStorage(f"{gateway.url}/storage/v1", headers)


@pytest.fixture
def project(gateway: Gateway) -> Iterator[SupabaseStorage]:
    storage = of_project(gateway)
    yield storage
    storage.close()


PATHS = ["a b/ü.txt", "a/1", "a/2", "a/3", "z%41?#&.png"]


def test_a_project_lists_what_was_put_page_by_page(
    project: SupabaseStorage, gateway: Gateway
) -> None:
    gateway.storage.page_size = 2
    for size, path in enumerate(PATHS):
        project.put("user-files", path, BytesIO(b"x" * size))
    project.put("generated-files", "other", BytesIO(b""))
    before = gateway.traffic.requests
    listed = list(project.list("user-files"))
    assert [(each.storage_path, each.size_bytes) for each in listed] == [
        (path, size) for size, path in enumerate(PATHS)
    ]
    assert all(each.updated_at.tzinfo for each in listed)
    assert gateway.traffic.requests - before == 3
    assert list(project.list("no-such-bucket")) == []


def test_an_object_that_a_project_has_stays_as_it_is(project: SupabaseStorage) -> None:
    """Somebody else may have brought it between the question and the upload."""
    project.put("b", "a", BytesIO(b"first"))
    project.put("b", "a", BytesIO(b"second, longer"))
    assert content_of(project, "b") == {"a": 5}


def test_a_project_deletes_in_one_request_what_is_there(
    project: SupabaseStorage, gateway: Gateway
) -> None:
    for path in PATHS:
        project.put("b", path, BytesIO(b"x"))
    project.put("other", PATHS[0], BytesIO(b"x"))
    before = gateway.traffic.requests
    assert project.delete("b", [PATHS[0], "was never there", *PATHS[2:]]) == {}
    assert gateway.traffic.requests - before == 1
    assert content_of(project, "b") == {PATHS[1]: 1}
    assert content_of(project, "other") == {PATHS[0]: 1}
    assert project.delete("b", PATHS) == {}
    assert project.delete("no-such-bucket", PATHS) == {}
    assert content_of(project, "b") == {}


def test_a_page_that_fails_is_raised_and_no_shorter_list(
    project: SupabaseStorage, gateway: Gateway
) -> None:
    gateway.storage.page_size = 2
    for path in PATHS:
        project.put("b", path, BytesIO(b"x"))
    pages = project.list("b")
    next(pages)
    gateway.storage.failing = 1
    with pytest.raises(Unavailable):
        list(pages)
    assert len(list(project.list("b"))) == len(PATHS)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [("busy", Unavailable), ("gone", Unavailable), ("wrong key", Forbidden)],
)
def test_what_a_project_refuses_is_an_exception(
    project: SupabaseStorage, gateway: Gateway, fault: str, kind: type[CallError]
) -> None:
    project.put("b", "a", BytesIO(b"x"))
    storage = project
    if fault == "wrong key":
        storage = of_project(gateway, "sb_secret_wrong")
    if fault == "gone":
        storage = SupabaseStorage("http://127.0.0.1:9/storage/v1", {})
    gateway.storage.failing = 2 if fault == "busy" else 0
    with pytest.raises(kind, match="bucket b") as deleted:
        storage.delete("b", ["a"])
    with pytest.raises(kind) as listed:
        list(storage.list("b"))
    for raised in (deleted, listed):
        assert raised.value.__cause__ is not None
        assert raised.value.where == "storage"
    assert content_of(project, "b") == {"a": 1}
    storage.close()
