"""Storages keep whole objects, in buckets, and forget what they are told to."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, BinaryIO

import pytest

from turnkeep.errors import Unprocessable
from turnkeep.storage import DirectoryStorage

if TYPE_CHECKING:
    from pathlib import Path

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
