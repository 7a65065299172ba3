"""Supabase Storage as a `turnkeep.storage.Storage`. Needs the extra ``supabase``."""

from __future__ import annotations

from contextlib import contextmanager
from copy import copy
from functools import cached_property
from io import BufferedReader
from typing import TYPE_CHECKING, Any, BinaryIO, Self, cast
from urllib.parse import quote

import httpx
from storage3 import SyncStorageClient
from storage3.exceptions import StorageApiError

from turnkeep.errors import (
    CallError,
    Forbidden,
    NotFound,
    TooLarge,
    Unavailable,
    Unprocessable,
)
from turnkeep.storage import WHERE, StoredObject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from io import RawIOBase

    from storage3._sync.file_api import SyncBucketProxy
    from storage3.types import SearchV2Options

TIMEOUT_SECONDS = 60.0
PAGE_SIZE = 1000
BY_STATUS: dict[str, type[CallError]] = {
    "400": Unprocessable,
    "401": Forbidden,
    "403": Forbidden,
    "404": NotFound,
    "413": TooLarge,
    "422": Unprocessable,
    "429": Unavailable,
    "500": Unavailable,
    "502": Unavailable,
    "503": Unavailable,
    "504": Unavailable,
    "544": Unavailable,
}
"""HTTP status to exception; 544 is the Storage API's own for its database."""


class SupabaseStorage:
    """The storage of a Supabase project, through its API."""

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str] | Callable[[], Mapping[str, str]],
    ) -> None:
        """Take the URL of the Storage API, ``https://.../storage/v1``, and the keys.

        ``headers`` go with every request: ``apikey``, and ``Authorization``; or they
        are asked for each time.
        """
        self._url = f"{url.rstrip('/')}/"
        self._headers = headers

    @cached_property
    def _http(self) -> httpx.Client:
        return httpx.Client(timeout=TIMEOUT_SECONDS)

    def _bucket(self, bucket_id: str) -> SyncBucketProxy:
        headers = self._headers() if callable(self._headers) else self._headers
        client = SyncStorageClient(self._url, dict(headers), http_client=self._http)
        return client.from_(bucket_id)

    def with_headers(
        self, headers: Mapping[str, str] | Callable[[], Mapping[str, str]]
    ) -> Self:
        """Give the same storage, over the same connections, for somebody else."""
        self._http  # noqa: B018  made, to be the same
        other = copy(self)
        other._headers = headers  # noqa: SLF001
        return other

    def close(self) -> None:
        """Close the connections, if there are any."""
        if "_http" in vars(self):
            self._http.close()

    def put(
        self,
        bucket_id: str,
        storage_path: str,
        content: BinaryIO,
        *,
        mime_type: str | None = None,
    ) -> None:
        """Upload the object as a stream."""
        # The client reads what is no BufferedReader as the name of a file.
        reader: BufferedReader[Any] = BufferedReader(cast("RawIOBase", content))
        try:
            with _translated(f"{storage_path} in bucket {bucket_id}"):
                self._bucket(bucket_id).upload(
                    quote(storage_path),
                    reader,
                    {"content-type": mime_type or "application/octet-stream"},
                )
        except _Exists:
            return
        finally:
            reader.detach()

    def delete(self, bucket_id: str, storage_paths: Sequence[str]) -> dict[str, str]:
        """Delete the objects in one request, bytes and rows."""
        with _translated(f"bucket {bucket_id}"):
            self._bucket(bucket_id).remove(list(storage_paths))
        # The API answers with what it deleted; what is missing there was not there.
        return {}

    def list(self, bucket_id: str) -> Iterator[StoredObject]:
        """Read the bucket in pages, in the order of the paths."""
        options: SearchV2Options = {"limit": PAGE_SIZE}
        while True:
            with _translated(f"bucket {bucket_id}"):
                page = self._bucket(bucket_id).list_v2(options)
            for item in page.objects:
                size = (item.metadata or {}).get("size")
                yield StoredObject(item.key or item.name, size, item.updated_at)
            if not page.hasNext or page.nextCursor is None:
                return
            options["cursor"] = page.nextCursor


class _Exists(CallError):
    """The object is there already."""


@contextmanager
def _translated(about: str) -> Iterator[None]:
    """Raise what the storage says as one of ours; ``about`` is the detail."""
    try:
        yield
    except StorageApiError as cause:
        status = str(cause.status)
        kind = _Exists if status == "409" else BY_STATUS.get(status, CallError)
        raise kind(_said(cause), where=WHERE, detail=about) from cause
    except httpx.TransportError as cause:
        raise Unavailable(
            str(cause) or type(cause).__name__, where=WHERE, detail=about
        ) from cause


def _said(cause: StorageApiError) -> str:
    """Give the API's message; what is no JSON is the page of a proxy before it."""
    origin: BaseException | None = cause
    while origin is not None and not isinstance(origin, httpx.HTTPStatusError):
        origin = origin.__cause__ or origin.__context__
    if origin is None:
        return cause.message
    response = origin.response
    if "json" in response.headers.get("content-type", ""):
        return cause.message
    return f"HTTP {response.status_code} {response.reason_phrase}".rstrip()
