"""`ingest`: list a source, fetch what is new, decode every picture, write the view and the manifest."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from surfacedefect._machine import usable_cores
from surfacedefect._words import shortened
from surfacedefect.datasets._journal import Journal
from surfacedefect.datasets._layout import Layout
from surfacedefect.datasets._sources import (
    Lasting,
    Patience,
    Source,
    SourceFile,
    Stopped,
    open_source,
    shown_reason,
)
from surfacedefect.datasets._transfer import Throttle, TooManyBytes, Transfer
from surfacedefect.datasets._view import write_view
from surfacedefect.datasets.manifest import manifest_batches, manifest_version, write_manifest
from surfacedefect.datasets.options import IngestOptions
from surfacedefect.datasets.pictures import PictureCheck, check_picture, wrong_extension
from surfacedefect.datasets.progress import Meter, Told
from surfacedefect.errors import OutputError, SourceError, SurfaceDefectError, require

_FEWEST_FAILURES = 10  # in a row, before the source itself is given up


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What an ingest found and did.

    Attributes
    ----------
    dest
        Folder of the data set.
    states
        Rows of the whole manifest by state (`STATES`), those of other sources and earlier runs too.
    listed
        Paths that the source listed.
    failed
        Paths and folders of the source that could not be had this time; the next ingest tries again.
    fetched_files, fetched_bytes
        What came from the source in this run.
    seconds
        How long it took.
    version
        SHA-256 of the manifest.
    """

    dest: Path
    states: dict[str, int]
    listed: int
    failed: int
    fetched_files: int
    fetched_bytes: int
    seconds: float
    version: str


def ingest(
    source: str | os.PathLike[str],
    dest: str | os.PathLike[str],
    *,
    options: IngestOptions | None = None,
    progress: Told | None = None,
) -> IngestReport:
    """Bring a messy share into a content-addressed data set with a manifest; the same call goes on where it stopped.

    Parameters
    ----------
    source
        A folder, or an address: ``webdavs://user@host/path``, ``s3://bucket/path``, ``sftp://host/path``,
        ``zip://archive.zip`` or any other that fsspec opens.
    dest
        Folder of the data set; a new one, or that of an earlier ingest, which then gets what is new.
    options
        Connections, limits and the like; None for the defaults.
    progress
        Called with a `Progress` at most ten times a second, from any thread, never two at a time.

    Raises
    ------
    OptionError
        An option is out of its range.
    SourceError
        The source cannot be opened or listed, or stops answering. What was fetched stays.
    DatasetLockedError
        Another ingest is writing into `dest`.
    DatasetError
        `dest` holds something else than a data set.
    OutputError
        `dest` cannot be written.
    MissingExtraError
        A package of the extra ``data`` is missing.

    Examples
    --------
    >>> import tempfile
    >>> from PIL import Image
    >>> share, dest = Path(tempfile.mkdtemp()), Path(tempfile.mkdtemp()) / "set"
    >>> Image.new("RGB", (40, 30)).save(share / "a.png")
    >>> _ = (share / "copy of a.png").write_bytes((share / "a.png").read_bytes())
    >>> _ = (share / "b.jpg").write_bytes(b"")
    >>> ingest(share, dest).states
    {'good': 1, 'duplicate': 1, 'zero_bytes': 1}
    """
    options = options or IngestOptions()
    require("pyarrow.parquet", extra="data")
    started, layout = time.monotonic(), Layout(dest)
    files = open_source(source, options=options, dest=layout.folder)
    try:
        layout.prepare()
        with layout.locked():
            journal = Journal(layout.journal)
            try:
                run = _Run(files, layout=layout, journal=journal, options=options, meter=Meter(progress))
                states = run.run()
            finally:
                journal.close()
    finally:
        files.close()
    return IngestReport(
        dest=layout.folder,
        states=states,
        listed=run.listed,
        failed=run.failed,
        fetched_files=run.fetched_files,
        fetched_bytes=run.fetched_bytes,
        seconds=time.monotonic() - started,
        version=manifest_version(layout.folder),
    )


class _Run:
    """One ingest, under the lock."""

    def __init__(
        self, source: Source, *, layout: Layout, journal: Journal, options: IngestOptions, meter: Meter
    ) -> None:
        self._source, self._layout, self._journal = source, layout, journal
        self._options, self._meter = options, meter
        self._stop = threading.Event()
        self._patience = Patience(retries=options.retries, backoff_s=options.backoff_s, stop=self._stop)
        throttle = Throttle(options.max_bytes_per_s, stop=self._stop)
        self._transfer = Transfer(source, options=options, patience=self._patience, throttle=throttle, meter=meter)
        self._decoding = threading.BoundedSemaphore(usable_cores())
        self._counting = threading.Lock()
        self._failures = 0
        self.listed = self.failed = self.fetched_files = self.fetched_bytes = 0

    def run(self) -> dict[str, int]:
        """List, fetch, finish; return the rows of each state."""
        self._meter.begin("listing")
        self._journal.begin(self._source.name)
        self.listed = self._journal.list_files(self._counted(self._source.walk(self._patience.call)))
        self._meter.end()
        for digest, size in self._journal.hashes():
            if not self._layout.has_object(digest, size=size):
                self._journal.forget_object(digest)
        files, size = self._journal.to_do()
        self._meter.begin("fetching", of_files=files, of_bytes=size)
        self._fetch_all()
        self._meter.end()
        self._meter.begin("finishing")
        states = write_manifest(self._layout, self._journal)
        write_view(self._layout, _in_view(self._layout.manifest), names=self._journal)
        self._clear_parts()
        self.failed = self._journal.count_failed()
        self._meter.end()
        return states

    def _counted(self, files: Iterator[SourceFile]) -> Iterator[SourceFile]:
        for file in files:
            self._meter.add(files=1)
            yield file

    def _fetch_all(self) -> None:
        """Keep every connection busy, with few files waiting: memory does not grow with their number."""
        running: set[Future[None]] = set()
        pool = ThreadPoolExecutor(self._options.connections, thread_name_prefix="ingest")
        try:
            for file, digest in self._journal.pending():
                running.add(pool.submit(self._take, file, digest))
                if len(running) >= 2 * self._options.connections:
                    running = self._settled(running)
            while running:
                running = self._settled(running)
        finally:
            # After an error or Ctrl-C the threads end at their next piece; parts stay for the next run.
            self._stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            self._stop.clear()

    def _settled(self, running: set[Future[None]]) -> set[Future[None]]:
        """Wait until something is done, or for a second; raise what went wrong."""
        done, running = wait(running, timeout=1, return_when=FIRST_COMPLETED)
        for future in done:
            future.result()
        self._meter.check()
        return running

    def _take(self, file: SourceFile, digest: str | None) -> None:
        """Fetch one file unless its bytes are here, look at it, and note what it is."""
        if digest is None:
            digest = self._fetch(file)
        if digest is not None:
            check = self._check(digest)
            state, reason = check.state, check.reason
            # Of names that are given as bytes, only the extension matters here.
            if state == "good" and (wrong := wrong_extension(file.path, format=str(check.format))):
                state, reason = ("good" if self._options.accept_wrong_extension else "wrong_extension"), wrong
            self._journal.set_state(file, state, reason=reason)
        self._meter.add(files=1)

    def _fetch(self, file: SourceFile) -> str | None:
        """Bring the bytes into the store; None when they cannot be had, and the journal says why."""
        limit = f"expected at most {self._options.max_file_bytes:,}; raise max_file_bytes to fetch it"
        if file.size is not None and file.size > self._options.max_file_bytes:
            self._journal.set_state(file, "too_many_bytes", reason=f"found {file.size:,} bytes, {limit}")
            return None
        part = self._layout.parts / _part_name(self._source.name, file)
        try:
            digest, size = self._transfer.fetch(file, part)
        except (Stopped, SurfaceDefectError):
            raise
        except TooManyBytes:
            part.unlink(missing_ok=True)
            self._journal.set_state(file, "too_many_bytes", reason=f"found more bytes than the source said, {limit}")
            return None
        except Exception as error:
            self._journal.set_state(file, "failed", reason=shown_reason(error))
            self._note_failure(error)
            return None
        # In this order: killed between the two, the next run finds the part whole and asks the source for nothing.
        self._journal.set_hash(file, digest, size=size)
        self._layout.place(part, digest)
        with self._counting:
            self._failures = 0
            self.fetched_files, self.fetched_bytes = self.fetched_files + 1, self.fetched_bytes + size
        return digest

    def _note_failure(self, error: Exception) -> None:
        """Give up when file after file fails for the same kind of reason: the source is gone, not the files."""
        if isinstance(error, Lasting):
            return
        with self._counting:
            self._failures += 1
            if self._failures < max(_FEWEST_FAILURES, 2 * self._options.connections):
                return
        raise SourceError(
            f"'{shortened(self._source.name)}' no longer answers: {self._failures} files in a row failed, the last "
            f"with {shown_reason(error)}; what was fetched is kept: run the same again to go on"
        )

    def _check(self, digest: str) -> PictureCheck:
        check = self._journal.check_of(digest)
        if check is None or check.state == "too_many_pixels":
            # A connection that waits here fetches nothing meanwhile, so that pictures do not pile up undecoded.
            path = self._layout.object(digest)
            try:
                with self._decoding:
                    check = check_picture(path, max_pixels=self._options.max_pixels)
            except OSError as error:
                raise OutputError(
                    f"'{shortened(path)}' was written and cannot be read ({error.strerror}); expected a sound disk"
                ) from error
            self._journal.set_check(digest, check)
        return check

    def _clear_parts(self) -> None:
        """Remove half-fetched files, except of those that the next run will try again."""
        kept = {_part_name(source, file) for source, file in self._journal.failed()}
        for part in self._layout.parts.iterdir():
            if part.name not in kept:
                part.unlink(missing_ok=True)


def _part_name(source: str, file: SourceFile) -> str:
    identity = json.dumps([source, file.path, file.size, file.tag])
    return hashlib.sha256(identity.encode()).hexdigest()[:40] + ".part"


def _in_view(manifest: Path) -> Iterator[tuple[str, str]]:
    for batch in manifest_batches(manifest, columns=["view_name", "hash", "state"]):
        for row in batch.to_pylist():
            if row["state"] == "good":
                yield row["view_name"], row["hash"]
