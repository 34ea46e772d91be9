"""How a worker gets at the bytes of a scan: in place where they lie on this machine, else fetched into a file."""

from __future__ import annotations

import hashlib
import os
import threading
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from surfacedefect.batch.jobs import Job, version_of
from surfacedefect.batch.options import BatchOptions
from surfacedefect.batch.sources import ingest_options
from surfacedefect.datasets._remote import tag_of
from surfacedefect.datasets._sources import Lasting, Patience, Source, SourceFile, open_source, shown_reason
from surfacedefect.datasets._transfer import Throttle, TooManyBytes, Transfer
from surfacedefect.datasets.progress import Meter
from surfacedefect.errors import OutputError, SurfaceDefectError, require

_SOURCES_KEPT, _LONGEST_NAME = 16, 200


class UnreadError(Exception):
    """The bytes of a scan cannot be had; `lasting` where another try soon would end alike."""

    def __init__(self, reason: str, *, lasting: bool) -> None:
        super().__init__(reason)
        self.lasting = lasting


@dataclass(frozen=True, slots=True)
class Fetched:
    """The bytes of a scan on this machine.

    Attributes
    ----------
    path
        Where they lie; a file of that folder's own, to be removed, where `temporary`.
    picture
        SHA-256 of them; where `same`, that of the results which are there.
    version
        What tells this version at the source from others.
    same
        Whether the results that are there are of these very bytes.
    stamp
        Size, time and number of a file that is read in place, from before its hash was taken; else None.
    """

    path: Path
    picture: str
    version: str | None
    same: bool = False
    temporary: bool = False
    stamp: tuple[int, int, int] | None = None

    @property
    def changed(self) -> bool:
        """Whether the file is no longer the one whose hash was taken."""
        try:
            return self.stamp is not None and self.stamp != _stamp(os.stat(self.path))  # noqa: PTH116
        except OSError:
            return True

    def drop(self) -> None:
        """Remove what was fetched."""
        if self.temporary:
            self.path.unlink(missing_ok=True)
            self.path.parent.rmdir()


class Reader:
    """Fetches scans one at a time into a folder for what is on its way."""

    def __init__(self, scratch: Path, *, options: BatchOptions) -> None:
        self._scratch, self._options, self._number = scratch, options, 0
        self._ingest = ingest_options(options)
        self._stop = threading.Event()
        self._patience = Patience(retries=options.retries, backoff_s=options.backoff_s, stop=self._stop)
        self._source = lru_cache(maxsize=_SOURCES_KEPT)(self._open)

    def fetch(self, job: Job) -> Fetched:
        """Get the bytes of a scan, and their hash.

        Raises
        ------
        UnreadError
            They cannot be had.
        OutputError
            There is no room for them here.
        """
        if job.trouble:
            raise UnreadError(job.trouble, lasting=True)
        try:
            return self._remote(job) if job.root else self._local(job)
        except (UnreadError, OutputError):
            raise
        except Lasting as error:
            raise UnreadError(str(error), lasting=True) from error
        except TooManyBytes as error:
            most = self._ingest.max_file_bytes
            raise UnreadError(f"found more than {most:,} bytes; expected a scan", lasting=True) from error
        except SurfaceDefectError as error:  # the source, not the scan
            raise UnreadError(str(error), lasting=False) from error
        except Exception as error:
            raise UnreadError(shown_reason(error), lasting=False) from error

    def _local(self, job: Job) -> Fetched:
        try:
            about = os.stat(job.locator)  # noqa: PTH116 - a name that is no UTF-8 stays as it is
            if job.picture and about.st_size == job.size:
                digest = job.picture
            else:
                with open(job.locator, "rb") as file:  # noqa: PTH123
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            lasting = isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError)
            raise UnreadError(error.strerror or str(error), lasting=lasting) from error
        return Fetched(Path(job.locator), digest, job.version, same=_is_known(job, digest), stamp=_stamp(about))

    def _remote(self, job: Job) -> Fetched:
        source, locator = self._source(job.root), job.locator
        tag, size = job.tag, job.size
        if "://" in locator:  # named by a list, which says no more than the address
            files: Any
            files, locator = require("fsspec.core", extra="batch").url_to_fs(
                job.locator, **(self._options.storage_options or {})
            )
            about = self._patience.call(lambda: _info(files, locator))
            tag, size = tag_of(about), about.get("size")
        version = version_of(tag, size)
        if job.known is not None and version is not None and job.known[1] == version:
            return Fetched(Path(), job.known[0], version, same=True)
        self._number += 1
        folder = self._scratch / f"{os.getpid()}-{self._number}"
        folder.mkdir(parents=True)
        part = folder / _fitting(job.file_name)
        try:
            digest, _ = self._transfer(source).fetch(SourceFile(job.name, size, tag, locator), part)
        except BaseException:
            part.unlink(missing_ok=True)
            folder.rmdir()
            raise
        return Fetched(part, digest, version, same=_is_known(job, digest), temporary=True)

    def _open(self, root: str) -> Source:
        return open_source(root, options=self._ingest, dest=self._scratch)

    def _transfer(self, source: Source) -> Transfer:
        throttle = Throttle(None, stop=self._stop)
        return Transfer(source, options=self._ingest, patience=self._patience, throttle=throttle, meter=Meter(None))


def _fitting(name: str) -> str:
    """Return a name that every file system takes; stores take longer ones, and some that mean folders here."""
    fits = name not in ("", ".", "..") and len(name.encode(errors="replace")) <= _LONGEST_NAME
    return name if fits else f"scan{PurePosixPath(name).suffix[:8]}"


def _stamp(about: os.stat_result) -> tuple[int, int, int]:
    return about.st_size, about.st_mtime_ns, about.st_ino


def _info(files: Any, locator: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = files.info(locator)
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
        if _is_connection(error.__cause__):  # fsspec says of a server that does not answer that there is no file
            raise ConnectionError(f"{type(error.__cause__).__name__}: {error.__cause__}") from error
        raise Lasting(f"there is no such file, or it may not be read ({error})") from error
    return found


def _is_connection(cause: BaseException | None) -> bool:
    name = type(cause).__name__
    return isinstance(cause, OSError) or "Connection" in name or "Disconnected" in name or "Timeout" in name


def _is_known(job: Job, digest: str) -> bool:
    return job.known is not None and job.known[0] == digest
