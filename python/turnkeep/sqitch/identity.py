"""Identifiers of changes and tags, canonical URIs, hashes of scripts.

An identifier is the SHA-1 of a text that describes the change (Sqitch's "info"), in
the form in which Git hashes its objects: kind, blank, length in bytes, NUL, text.
"""

from __future__ import annotations

import re
from functools import cache
from urllib.parse import quote

from turnkeep.lean import TYPE_CHECKING

try:
    # hashlib loads OpenSSL, which takes longer than to hash a plan.
    from _sha1 import sha1  # type: ignore[import-not-found]
except ImportError:
    from hashlib import sha1

if TYPE_CHECKING:
    from collections.abc import Iterable

# Only a plan with a URI needs these: they are compiled when they are used first.
_SCHEME = r"[a-zA-Z][a-zA-Z0-9.+\-]*(?=:)"
_AUTHORITY = r"(?s)((?:[a-zA-Z][a-zA-Z0-9.+\-]*:)?)//([^/?#]*)(.*)"
_ESCAPE = r"%([0-9a-fA-F]{2})"
_UNRESERVED = "-_.!~*'()"
_KEPT = ";/?:@&=+$,%#" + _UNRESERVED
_DEFAULT_PORT = {
    "ftp": "21",
    "gopher": "70",
    "http": "80",
    "https": "443",
    "ldap": "389",
    "ldaps": "636",
    "mms": "1755",
    "nntp": "119",
    "nntps": "563",
    "pop": "110",
    "rlogin": "513",
    "rsync": "873",
    "rtsp": "554",
    "sftp": "22",
    "sip": "5060",
    "sips": "5061",
    "ssh": "22",
    "telnet": "23",
}
"""Schemes with a host in the sense of RFC 2396, as Perl's URI knows them."""


def change_info(  # noqa: PLR0913 - the fields of Sqitch's text, in its order
    *,
    project: str,
    uri: str | None,
    change: str,
    parent: str | None,
    planner: str,
    planned_at: str,
    requires: Iterable[str],
    conflicts: Iterable[str],
    note: str,
) -> str:
    """Give the text whose hash is the change's identifier."""
    lines = [f"project {project}"]
    if uri is not None:
        lines.append(f"uri {canonical_uri(uri)}")
    lines.append(f"change {change}")
    if parent is not None:
        lines.append(f"parent {parent}")
    lines += [f"planner {planner}", f"date {planned_at}"]
    if required := [f"  + {text}" for text in requires]:
        lines += ["requires", *required]
    if conflicting := [f"  - {text}" for text in conflicts]:
        lines += ["conflicts", *conflicting]
    return "\n".join([*lines, *_note_lines(note)])


def tag_info(  # noqa: PLR0913 - the fields of Sqitch's text, in its order
    *,
    project: str,
    uri: str | None,
    tag: str,
    change_id: str,
    planner: str,
    planned_at: str,
    note: str,
) -> str:
    """Give the text whose hash is the tag's identifier; ``tag`` comes without its @."""
    lines = [f"project {project}"]
    if uri is not None:
        lines.append(f"uri {canonical_uri(uri)}")
    lines += [
        f"tag @{tag}",
        f"change {change_id}",
        f"planner {planner}",
        f"date {planned_at}",
    ]
    return "\n".join([*lines, *_note_lines(note)])


def object_id(kind: str, info: str) -> str:
    """Hash an info text: 40 hexadecimal digits. ``kind`` is ``change`` or ``tag``."""
    content = info.encode()
    return _sha1(f"{kind} {len(content)}\0".encode() + content)


def script_hash(content: bytes) -> str:
    """Hash a deploy script as the registry records it: of its bytes, nothing else."""
    return _sha1(content)


def registered_uri(text: str) -> str:
    """Give a project's URI as the registry stores it: escaped, not canonical."""
    text = re.sub(r"^<(?:URL:)?(.*)>$", r"\1", text)
    text = re.sub(r'^"(.*)"$', r"\1", text).strip()
    found = re.fullmatch(_AUTHORITY, text)
    if found and _scheme(text) in _DEFAULT_PORT:
        scheme, authority, rest = found.groups()
        user, host, port = _split_authority(authority)
        text = f"{scheme}//{user}{_punycode(host)}{port}{rest}"
    escaped = quote(text, safe=_KEPT)
    found = re.fullmatch(_AUTHORITY, escaped)
    if found:
        # Brackets around the host are an IPv6 address and stay.
        scheme, authority, rest = found.groups()
        user, host, port = _split_authority(authority)
        host = re.sub("%5B", "[", host, flags=re.IGNORECASE)
        host = re.sub("%5D", "]", host, flags=re.IGNORECASE)
        return f"{scheme}//{user}{host}{port}{rest}"
    if _scheme(escaped) == "mailto":
        escaped = escaped.replace("%5B", "[").replace("%5D", "]")
    return escaped


@cache
def canonical_uri(text: str) -> str:
    """Give a project's URI as the identifiers contain it."""
    uri = re.sub(_ESCAPE, _canonical_escape, registered_uri(text))
    scheme = _scheme(uri)
    if scheme is None:
        return uri
    uri = scheme + uri[len(scheme) :]
    found = re.fullmatch(_AUTHORITY, uri)
    if scheme not in _DEFAULT_PORT or not found:
        return uri
    _, authority, rest = found.groups()
    user, host, port = _split_authority(authority)
    if port in (":", f":{_DEFAULT_PORT[scheme]}"):
        port = ""
    if scheme in ("http", "https") and not rest.partition("#")[0]:
        rest = f"/{rest}"
    return f"{scheme}://{user}{host.lower()}{port}{rest}"


def _note_lines(note: str) -> list[str]:
    # A note that Perl holds for false is no note.
    return [] if note in ("", "0") else ["", note]


def _sha1(content: bytes) -> str:
    return str(sha1(content, usedforsecurity=False).hexdigest())


def _scheme(uri: str) -> str | None:
    found = re.match(_SCHEME, uri)
    return found[0].lower() if found else None


def _split_authority(authority: str) -> tuple[str, str, str]:
    user, at, host = authority.rpartition("@")
    port = re.search(r":\d*\Z", host)
    if not port:
        return user + at, host, ""
    return user + at, host[: port.start()], port[0]


def _punycode(host: str) -> str:
    if host.isascii():
        return host
    try:
        return host.encode("idna").decode("ascii")
    except UnicodeError:
        return host


def _canonical_escape(found: re.Match[str]) -> str:
    character = chr(int(found[1], 16))
    plain = character.isascii() and (character.isalnum() or character in _UNRESERVED)
    return character if plain else found[0].upper()
