"""Every other address: what fsspec knows (S3, SFTP, ...), and zip archives wherever they lie."""

from __future__ import annotations

import datetime
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from surfacedefect._words import shortened
from surfacedefect.datasets._sources import (
    Lasting,
    Patiently,
    SourceFile,
    Stream,
    refuse_storage_options,
    shown_reason,
    walk_folders,
    without_secrets,
)
from surfacedefect.datasets.options import IngestOptions
from surfacedefect.errors import SourceError, require

_LASTING = (FileNotFoundError, PermissionError, IsADirectoryError)
_ETAGS = ("ETag", "etag", "md5", "checksum")
_TIMES = ("LastModified", "last_modified", "mtime", "modified", "updated", "created")
_ENCRYPTED = 0x1


class FsspecSource:
    """A folder of any file system that fsspec opens."""

    def __init__(self, address: str, *, options: IngestOptions) -> None:
        core: Any = require("fsspec.core", extra="data")
        self.name = options.name or without_secrets(address)
        try:
            self._files, root = core.url_to_fs(address, **(options.storage_options or {}))
        except Exception as error:
            raise _cannot_open(self.name, error) from error
        self._root = root.rstrip("/")

    def walk(self, patiently: Patiently[list[SourceFile]]) -> Iterator[SourceFile]:
        """List folder after folder."""
        self._files.invalidate_cache()
        return walk_folders(self._list, self._root, name=self.name, patiently=patiently)

    def _list(self, where: str, name: str) -> list[SourceFile]:
        try:
            entries = self._files.ls(where, detail=True)
        except _LASTING as error:
            raise Lasting(str(error) or type(error).__name__) from error
        files = []
        for entry in entries:
            locator = str(entry["name"]).rstrip("/")
            if locator == where.rstrip("/"):
                if not name and entry.get("type") == "file":
                    raise SourceError(f"'{shortened(self.name)}' is a file; expected a folder")
                continue  # some stores list the folder itself
            path = name + locator.rsplit("/", 1)[-1]
            kind = entry.get("type")
            if kind == "directory":
                files.append(SourceFile(path + "/", locator=locator))
            elif kind == "link":
                files.append(SourceFile(path, state="link", reason="a link; from such a source none is followed"))
            elif kind == "other":
                files.append(SourceFile(path, state="not_a_file", reason="a device, a pipe or a socket"))
            else:
                files.append(SourceFile(path, entry.get("size"), tag_of(entry), locator))
        return files

    @contextmanager
    def read(self, file: SourceFile, *, start: int, chunk_bytes: int) -> Iterator[Stream]:
        """Stream a file; remote file systems ask for a range."""
        try:
            opened = self._files.open(file.locator, "rb")
        except _LASTING as error:
            raise Lasting(str(error) or type(error).__name__) from error
        with opened:
            if start:
                opened.seek(start)
            yield Stream(start, iter(lambda: opened.read(chunk_bytes), b""))

    def close(self) -> None:
        """Leave the connections to the file system, which keeps them."""


class ZipSource:
    """The members of a zip archive; one that is packed again under the same size and checksum is the same."""

    def __init__(self, address: str, *, options: IngestOptions) -> None:
        fsspec: Any = require("fsspec", extra="data")
        inner, chained, archive = address.partition("::")
        archive = archive if chained else inner.split("://", 1)[1]
        self._inside = inner.split("://", 1)[1].strip("/") if chained and "://" in inner else ""
        if "://" not in archive:
            refuse_storage_options(options, known=(), source="an archive on this machine")
        self.name = options.name or without_secrets(address)
        self._held = ExitStack()
        try:
            file = self._held.enter_context(fsspec.open(archive, "rb", **(options.storage_options or {})))
            self._archive = self._held.enter_context(zipfile.ZipFile(file))
        except Exception as error:
            self._held.close()
            raise _cannot_open(self.name, error) from error
        self._members = self._archive.infolist()

    def walk(self, patiently: Patiently[list[SourceFile]]) -> Iterator[SourceFile]:
        """List the members, under the names that the archive gives them, however hostile."""
        named: dict[str, int] = {}
        for number, member in enumerate(self._members):
            name = member.filename
            if member.is_dir() or (self._inside and not name.startswith(self._inside + "/")):
                continue
            path = name[len(self._inside) + 1 :] if self._inside else name
            named[path] = named.get(path, 0) + 1
            # An archive may hold one name several times.
            path = f"{path}#{named[path]}" if named[path] > 1 else path
            state = "failed" if member.flag_bits & _ENCRYPTED else ""
            reason = "encrypted; expected an archive without a password: unpack it first" if state else ""
            yield SourceFile(path, member.file_size, f"crc32:{member.CRC:08x}", str(number), state, reason)

    @contextmanager
    def read(self, file: SourceFile, *, start: int, chunk_bytes: int) -> Iterator[Stream]:
        """Unpack a member from `start` on."""
        try:
            with self._archive.open(self._members[int(file.locator)]) as opened:
                opened.seek(start)
                yield Stream(start, iter(lambda: opened.read(chunk_bytes), b""))
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
            raise Lasting(f"the archive is damaged there: {shown_reason(error)}") from error

    def close(self) -> None:
        """Close the archive."""
        self._held.close()


def tag_of(entry: Any) -> str | None:
    """ETag, else modification time."""
    for name in _ETAGS:
        if entry.get(name):
            return f"etag:{entry[name]}"
    for name in _TIMES:
        if value := entry.get(name):
            return f"mtime:{value.timestamp() if isinstance(value, datetime.datetime) else value}"
    return None


def _cannot_open(name: str, error: Exception) -> SourceError:
    if isinstance(error, ImportError):
        advice = "install the package that it names"
    else:
        advice = "expected a folder, or an address such as webdavs://, s3://, sftp:// or zip://"
    return SourceError(f"the source '{shortened(name)}' cannot be opened ({shown_reason(error)}); {advice}")
