"""Where scans come from: a folder, an address, a list of names or a data set; always one after the other.

Nothing is listed in full before the first scan is handed out, so that a million names cost no more memory than ten.
"""

from __future__ import annotations

import os
import re
import stat
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from surfacedefect._words import shortened
from surfacedefect.batch.jobs import Job
from surfacedefect.batch.options import BatchOptions
from surfacedefect.datasets._layout import Layout
from surfacedefect.datasets._sources import Patience, SourceFile, open_source, shown_reason, without_secrets
from surfacedefect.datasets.manifest import manifest_batches
from surfacedefect.datasets.options import IngestOptions
from surfacedefect.errors import SourceError, SurfaceDefectError, require

PICTURES = frozenset({".jpg", ".jpeg", ".jpe", ".png", ".tif", ".tiff", ".webp", ".bmp", ".jp2"})
"""Endings of the files of a folder that are taken for scans; a list may name others."""

_LISTS = (".txt", ".lst", ".list")
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+(?=://)")
_LONGEST_LINE, _PIECE_BYTES = 8192, 2**20
_MANIFEST_COLUMNS = ["source_path", "hash", "state", "view_name", "group", "size_bytes"]


@dataclass(frozen=True, slots=True)
class ScanSource:
    """Scans of one source.

    Attributes
    ----------
    name
        What it is called, without user and password.
    jobs
        Starts handing out its scans.
    count
        Counts them, which may take a while; None where that would cost as much as listing them twice.
    close
        Lets go of connections.
    """

    name: str
    jobs: Callable[[], Iterator[Job]]
    count: Callable[[], int] | None
    close: Callable[[], None] = lambda: None


def open_scans(source: str | os.PathLike[str], *, options: BatchOptions, dest: Path | None) -> ScanSource:
    """Open what SRC means: a data set or its manifest, a list, a folder, or an address.

    Parameters
    ----------
    source
        A folder; an address as ingest takes them; a text file (``.txt``, ``.lst``, ``.list``) with a scan a line; a
        data set of ``surfacedefect data`` or its ``manifest.parquet``.
    options
        Group pattern, retries, storage options.
    dest
        Folder of the results, which must not lie in the source; None where it is no folder of this machine.

    Raises
    ------
    SourceError
        There is no such source, or it is none of these.
    """
    try:
        return _opened(os.fspath(source), options, dest=dest)
    except SurfaceDefectError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise SourceError(f"'{shortened(source)}' cannot be opened ({reason}); expected a folder or a list") from error


def _opened(text: str, options: BatchOptions, *, dest: Path | None) -> ScanSource:
    path = None if _SCHEME.match(text) else Path(text).expanduser()
    if PurePosixPath(text.split("?")[0]).suffix.lower() in _LISTS and not (path and path.is_dir()):
        opened = _list(text, path, options)
    elif path and (path.name == "manifest.parquet" or (path / "manifest.parquet").is_file()):
        opened = _manifest(path.parent if path.name == "manifest.parquet" else path)
    else:
        opened = _folder(text, options, dest=dest)
    if options.group_pattern is None:
        return opened
    pattern = re.compile(options.group_pattern)
    return replace(opened, jobs=lambda: (_grouped(job, pattern) for job in opened.jobs()))


def ingest_options(options: BatchOptions) -> IngestOptions:
    """Say retries and keys in the words of the sources that `datasets` has."""
    return IngestOptions(
        connections=1,
        retries=options.retries,
        backoff_s=options.backoff_s,
        storage_options=options.storage_options or None,
    )


def _grouped(job: Job, pattern: re.Pattern[str]) -> Job:
    found = pattern.search(job.name)
    return replace(job, group=found["group"] or "") if found else job


def _text(name: str) -> str:
    """Text that can be stored; bytes that are no UTF-8 by their numbers."""
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")


def _folder(text: str, options: BatchOptions, *, dest: Path | None) -> ScanSource:
    elsewhere = dest or Path(os.sep, "nowhere", "surfacedefect")
    source = open_source(text, options=ingest_options(options), dest=elsewhere)
    local = not _SCHEME.match(text) or text.lower().startswith(("file://", "local://"))

    def jobs() -> Iterator[Job]:
        patience = Patience(retries=options.retries, backoff_s=options.backoff_s, stop=threading.Event())
        for file in source.walk(patience.call):
            if _is_scan(file):
                yield _job_of(file, root="" if local else text)

    def count() -> int:
        patience = Patience(retries=0, backoff_s=0, stop=threading.Event())
        return sum(1 for file in source.walk(patience.call) if _is_scan(file))

    return ScanSource(source.name, jobs, count if local else None, source.close)


def _is_scan(file: SourceFile) -> bool:
    """Whether a listed path is a scan, or may hide some: a folder that cannot be listed is not passed over."""
    if file.path.endswith("/"):
        return bool(file.state)
    path = PurePosixPath(file.path)
    return path.suffix.lower() in PICTURES and not any(part.startswith(".") for part in path.parts)


def _job_of(file: SourceFile, *, root: str) -> Job:
    name = _text(file.path)
    return Job(
        name,
        locator=file.locator,
        root=root,
        file_name=PurePosixPath(name).name,
        size=file.size,
        tag=file.tag,
        trouble=file.reason or file.state,
    )


def _list(text: str, path: Path | None, options: BatchOptions) -> ScanSource:
    """Lines of names: a path from the list's folder on, or an address; after a tab, the car."""
    if path is not None and not path.is_file():
        raise SourceError(f"there is no list '{shortened(path)}'; expected a text file with a scan a line")

    def opened() -> IO[bytes]:
        if path is not None:
            try:
                return path.open("rb")
            except OSError as error:
                raise SourceError(f"the list '{shortened(path)}' cannot be read: {error.strerror}") from error
        fsspec: Any = require("fsspec", extra="batch")
        try:
            return cast("IO[bytes]", fsspec.open(text, "rb", **(options.storage_options or {})).open())
        except Exception as error:
            shown = shortened(without_secrets(text))
            raise SourceError(f"the list '{shown}' cannot be read: {shown_reason(error)}") from error

    base = str(path.absolute().parent) if path is not None else text.split("?")[0].rpartition("/")[0]

    def jobs() -> Iterator[Job]:
        with opened() as file:
            for number, line in enumerate(_lines(file), start=1):
                if line.strip() and not line.startswith("#"):
                    yield _listed(line, base, where=f"line {number}")

    def count() -> int:
        """Count the lines, in large pieces: about right is enough for the time left, and it must cost nothing."""
        with opened() as file:
            return sum(piece.count(b"\n") for piece in iter(lambda: file.read(_PIECE_BYTES), b""))

    return ScanSource(without_secrets(text), jobs, count)


def _lines(file: IO[bytes]) -> Iterator[str]:
    first = True
    while line := file.readline(_LONGEST_LINE):
        if not line.endswith(b"\n") and len(line) == _LONGEST_LINE:
            raise SourceError(
                f"the list has a line of over {_LONGEST_LINE} bytes; expected a text file with a scan a line"
            )
        yield os.fsdecode(line.removeprefix(b"\xef\xbb\xbf") if first else line).rstrip("\r\n")
        first = False


def _listed(line: str, base: str, *, where: str) -> Job:
    place, _, group = line.partition("\t")
    place, group = place.strip(), _text(group.strip())
    while (scheme := _SCHEME.match(place)) and scheme.group().lower() in ("file", "local"):
        place, base = place.partition("://")[2], os.sep
    name = _text(without_secrets(place) if _SCHEME.match(place) else place)
    file_name = name.split("?")[0].replace("\\", "/").rpartition("/")[2]
    if "\0" in place or not file_name:
        return Job(name, "", group=group, trouble=f"{where} of the list names no file")
    if _SCHEME.match(place):
        return _addressed(place, name, file_name, group)
    if _SCHEME.match(base):
        return _addressed(f"{base}/{place}", name, file_name, group)
    locator = os.path.join(base, os.path.expanduser(place))  # noqa: PTH111, PTH118 - a million of them
    try:
        about = os.stat(locator)  # noqa: PTH116
    except OSError as error:
        return Job(name, locator, file_name=file_name, group=group, trouble=error.strerror or str(error))
    if not stat.S_ISREG(about.st_mode):
        return Job(name, locator, file_name=file_name, group=group, trouble="not a file")
    tag = f"mtime:{about.st_mtime_ns}"
    return Job(name, locator, file_name=file_name, group=group, size=about.st_size, tag=tag)


def _addressed(address: str, name: str, file_name: str, group: str) -> Job:
    scheme = address.partition("://")[0].lower()
    if scheme in ("dav", "davs", "webdav", "webdavs", "zip"):
        trouble = f"a list cannot name files by {scheme}://; give the folder itself as the source"
        return Job(name, "", file_name=file_name, group=group, trouble=trouble)
    return Job(name, address, root=address.rpartition("/")[0], file_name=file_name, group=group)


def _manifest(folder: Path) -> ScanSource:
    """Take the good pictures of a data set, by their readable names."""
    layout = Layout(folder)
    layout_name = _text(str(layout.folder))
    for batch in islice(manifest_batches(layout.manifest, columns=_MANIFEST_COLUMNS), 1):
        _check_columns(batch.schema, shortened(layout.manifest))

    def jobs() -> Iterator[Job]:
        for batch in manifest_batches(layout.manifest, columns=_MANIFEST_COLUMNS):
            for row in batch.to_pylist():
                if row["state"] == "good":
                    if not row["view_name"] or not row["hash"]:
                        raise SourceError(
                            f"the manifest '{shortened(layout.manifest)}' has a good picture without name or hash; "
                            "expected what an ingest wrote: ingest again"
                        )
                    yield Job(
                        row["view_name"],
                        str(layout.object(row["hash"])),
                        file_name=row["view_name"],
                        group=row["group"] or "",
                        size=row["size_bytes"],
                        picture=row["hash"],
                    )

    def count() -> int:
        batches = manifest_batches(layout.manifest, columns=["state"])
        return sum(state == "good" for batch in batches for state in batch.column(0).to_pylist())

    return ScanSource(layout_name, jobs, count)


def _check_columns(columns: Any, shown: str) -> None:
    types: Any = require("pyarrow.types", extra="batch")
    for field in columns:
        right = [types.is_string, types.is_large_string, types.is_dictionary]
        if field.name == "size_bytes":
            right = [types.is_integer]
        if field.name in ("size_bytes", "group"):
            right.append(types.is_null)
        if not any(check(field.type) for check in right):
            raise SourceError(
                f"the manifest '{shown}' has a column {field.name!r} of {field.type}; expected what an ingest wrote: "
                "move it away and ingest again"
            )
