"""WebDAV: folders by PROPFIND, files by GET from any byte on.

Paths go out as the server wrote them. A client that builds addresses from names (webdav4 does) cannot ask for a name
with ``?``, ``#``, ``%41`` or a line break in it, nor say from which version of a file the rest is wanted.
"""

from __future__ import annotations

import netrc
import os
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from surfacedefect._words import shortened, type_name
from surfacedefect.datasets._sources import (
    Lasting,
    Patiently,
    SourceFile,
    StartOver,
    Stream,
    refuse_storage_options,
    walk_folders,
    without_secrets,
)
from surfacedefect.datasets.options import IngestOptions
from surfacedefect.errors import OptionError, SourceError, require

PASSWORD_VARIABLE = "SURFACEDEFECT_SOURCE_PASSWORD"
_ASKED = (
    '<?xml version="1.0" encoding="utf-8"?><propfind xmlns="DAV:"><prop>'
    "<resourcetype/><getcontentlength/><getetag/><getlastmodified/></prop></propfind>"
)
_LASTING_STATUS = {400, 401, 403, 404, 405, 407, 410, 414, 451, 501}
_UNAUTHORIZED, _PARTIAL, _BEYOND_THE_END = 401, 206, 416


class _StatusError(Exception):
    """The server refuses for now; `least_s` is how long it asks to be left alone."""

    def __init__(self, status: int, *, least_s: float = 0.0) -> None:
        super().__init__(f"the server answers with status {status}")
        self.least_s = least_s


class WebdavSource:
    """A folder of a WebDAV server, and all below."""

    def __init__(self, address: str, *, options: IngestOptions) -> None:
        httpx: Any = require("httpx", extra="data")
        refuse_storage_options(options, known=("user", "password"), source="a WebDAV server")
        for name, value in (options.storage_options or {}).items():
            if not isinstance(value, str | None):
                raise OptionError(f"the {name} of storage_options is {type_name(value)}; expected a text")
        parts = urlsplit(address)
        # Without `?` and `#`: in the address of a folder they are letters of its name.
        path = address.split("://", 1)[1].partition("/")[2]
        self.name = options.name or without_secrets(address)
        self._root = "/" + quote(unquote(path), safe="/~").strip("/")
        scheme = "https" if parts.scheme.lower() in ("webdavs", "davs") else "http"
        host = parts.hostname or ""
        host = f"[{host}]" if ":" in host else host
        self._origin = f"{scheme}://{host}" + (f":{parts.port}" if parts.port else "")
        most = options.connections + 1
        limits = httpx.Limits(max_connections=most, max_keepalive_connections=most)
        self._client = httpx.Client(
            auth=_credentials(parts, options.storage_options or {}), timeout=options.timeout_s, limits=limits
        )

    def walk(self, patiently: Patiently[list[SourceFile]]) -> Iterator[SourceFile]:
        """List folder after folder."""
        return walk_folders(self._list, self._root, name=self.name, patiently=patiently)

    def _list(self, where: str, name: str) -> list[SourceFile]:
        """Children of a folder; folders among them end in ``/``."""
        headers = {"Depth": "1", "Content-Type": "application/xml; charset=utf-8"}
        answer = self._client.request(
            "PROPFIND", self._origin + where.rstrip("/") + "/", headers=headers, content=_ASKED, follow_redirects=True
        )
        self._check(answer)
        if answer.status_code != 207:
            raise Lasting(f"status {answer.status_code} instead of a WebDAV listing; expected a WebDAV server")
        parent = [_decoded(part) for part in where.strip("/").split("/") if part]
        files, known = [], False
        for response in ElementTree.fromstring(answer.content).iter("{DAV:}response"):
            href = urlsplit((response.findtext("{DAV:}href") or "").strip())._replace(scheme="", netloc="").geturl()
            parts = href.strip("/").split("/")
            named = [_decoded(part) for part in parts if part]
            known |= named == parent
            # Only what lies right in this folder: a listing names the folder itself too, and must not lead elsewhere.
            if named[:-1] == parent and named and named[-1] not in (".", ".."):
                files.append(_listed(response, "/" + "/".join(parts), name + named[-1]))
        if not files and not known:
            raise Lasting(f"the server lists other folders than '{shortened(unquote(where))}'; ask for their address")
        return files

    @contextmanager
    def read(self, file: SourceFile, *, start: int, chunk_bytes: int) -> Iterator[Stream]:
        """Stream a file; from its beginning where the server knows no ranges, or has another version by now."""
        headers = {"Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
            etag = (file.tag or "").removeprefix("etag:")
            if file.tag != etag and not etag.startswith("W/"):
                headers["If-Range"] = f'"{_bare(etag)}"'
        with self._client.stream("GET", self._origin + file.locator, headers=headers, follow_redirects=True) as answer:
            if answer.status_code == _BEYOND_THE_END:
                raise StartOver("the file is shorter than it was")
            self._check(answer)
            if answer.headers.get("Content-Encoding", "identity") != "identity":
                raise Lasting("the server sends it compressed although asked not to")
            begins, size = _place(answer, asked=start)
            if begins and _is_other(answer.headers, tag=file.tag or ""):
                raise StartOver("it was changed at the source while it was fetched")
            # Pieces as they come: gathered into larger ones, those of a connection that breaks would be lost.
            yield Stream(begins, answer.iter_raw(), size)

    def close(self) -> None:
        """Close every connection."""
        self._client.close()

    def _check(self, answer: Any) -> None:
        status = answer.status_code
        if status == _UNAUTHORIZED:
            raise SourceError(
                f"'{shortened(self.name)}' asks for a user and a password (status 401); expected both: put the user "
                f"into the address (webdavs://user@host/) and the password into {PASSWORD_VARIABLE} or ~/.netrc"
            )
        if status in _LASTING_STATUS:
            raise Lasting(f"the server answers with status {status}")
        if status >= 400:
            asked = answer.headers.get("Retry-After", "")
            raise _StatusError(status, least_s=float(asked) if asked.isdigit() else 0.0)


def _decoded(part: str) -> str:
    return unquote(part, errors="surrogateescape")


def _listed(response: Any, locator: str, path: str) -> SourceFile:
    if response.find(".//{DAV:}collection") is not None:
        return SourceFile(path + "/", locator=locator)
    size, etag = response.findtext(".//{DAV:}getcontentlength"), response.findtext(".//{DAV:}getetag")
    tag = f"etag:{etag.strip()}" if etag and etag.strip() else None
    tag = tag or _mtime(response.findtext(".//{DAV:}getlastmodified"))
    return SourceFile(path, int(size) if size and size.strip().isdigit() else None, tag, locator)


def _mtime(date: str | None) -> str | None:
    with suppress(ValueError, TypeError):
        return f"mtime:{parsedate_to_datetime(str(date)).timestamp():.0f}"
    return None


def _is_other(headers: Any, *, tag: str) -> bool:
    """Whether an answer is of another version than was listed, as far as it says."""
    if tag.startswith("mtime:"):
        return (_mtime(headers.get("Last-Modified")) or tag) != tag
    return _bare(headers.get("ETag", tag.removeprefix("etag:"))) != _bare(tag.removeprefix("etag:"))


def _bare(etag: str) -> str:
    """Return an ETag without its quotes, which some servers leave out of listings."""
    return etag.strip().removeprefix("W/").strip('"')


def _place(answer: Any, *, asked: int) -> tuple[int, int | None]:
    """Where the body begins in the file, and how large the file is."""
    length = answer.headers.get("Content-Length", "")
    size = int(length) if length.isdigit() else None
    if answer.status_code != _PARTIAL:
        return 0, size
    place = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", answer.headers.get("Content-Range", "").strip())
    if not place or int(place[1]) != asked:
        raise Lasting(f"the server sends another part than asked for ({answer.headers.get('Content-Range')!r})")
    return asked, int(place[3]) if place[3] != "*" else None


def _credentials(parts: Any, given: Any) -> tuple[str, str] | None:
    """User and password: from the options, the address, the environment or ~/.netrc, in this order."""
    user = given.get("user") or unquote(parts.username or "")
    password = given.get("password") or unquote(parts.password or "") or os.environ.get(PASSWORD_VARIABLE, "")
    if not password:
        with suppress(OSError, netrc.NetrcParseError):
            kept = netrc.netrc().authenticators(parts.hostname)
            if kept and (not user or kept[0] == user):
                user, password = kept[0], kept[2]
    return (user, password) if user else None
