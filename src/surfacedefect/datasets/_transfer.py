"""One file from its source into a part file: in pieces, hashed on the way, taken up again where it broke off."""

from __future__ import annotations

import hashlib
import threading
import time
from pathlib import Path
from typing import IO, Any

from surfacedefect._words import shortened
from surfacedefect.datasets._layout import READ_BYTES
from surfacedefect.datasets._sources import Lasting, Patience, Source, SourceFile, StartOver, Stopped
from surfacedefect.datasets.options import IngestOptions
from surfacedefect.datasets.progress import Meter
from surfacedefect.errors import OutputError, SurfaceDefectError

LARGEST_CHUNK_BYTES, LEAST_CHUNK_BYTES = 2**18, 2**12


class TooManyBytes(Exception):
    """A file turned out larger than is allowed."""


class Throttle:
    """A cap on the bytes a second of all threads together; every thread waits until its bytes are due."""

    def __init__(self, bytes_per_s: float | None, *, stop: threading.Event) -> None:
        self._rate, self._stop = bytes_per_s, stop
        self._lock, self._due = threading.Lock(), 0.0

    @property
    def chunk_bytes(self) -> int:
        """Size of the pieces to read: small enough for an even flow."""
        if self._rate is None:
            return LARGEST_CHUNK_BYTES
        return int(min(LARGEST_CHUNK_BYTES, max(LEAST_CHUNK_BYTES, self._rate / 8)))

    def take(self, count: int) -> None:
        """Wait until `count` more bytes may have come; raise `Stopped` when the run is to end."""
        if self._stop.is_set():
            raise Stopped
        if self._rate is None:
            return
        with self._lock:
            now = time.monotonic()
            self._due = max(self._due, now) + count / self._rate
            wait = self._due - now
        if self._stop.wait(wait):
            raise Stopped


class Transfer:
    """Fetches files of one source; safe for many threads as long as each file is fetched by one."""

    def __init__(
        self, source: Source, *, options: IngestOptions, patience: Patience, throttle: Throttle, meter: Meter
    ) -> None:
        self._source, self._patience, self._throttle, self._meter = source, patience, throttle, meter
        self._most_bytes = options.max_file_bytes

    def fetch(self, file: SourceFile, part: Path) -> tuple[str, int]:
        """Bring a file into `part`, on top of what is there already, and return its hash and size.

        What is there is from the same version of the file: the name of a part is made of path, size and tag.
        """
        try:
            # Not by name: without a tag nothing says that it is the same version.
            opened = part.open("a+b" if file.tag else "w+b", buffering=0)
        except OSError as error:
            raise _disk_error(part, error) from error
        with opened:
            return self._fetch(file, _Part(opened, path=part, meter=self._meter))

    def _fetch(self, file: SourceFile, part: _Part) -> tuple[str, int]:
        failures, furthest = 0, part.size
        while file.size is None or part.size != file.size:
            try:
                self._stream(file, part)
                break
            except (Stopped, TooManyBytes, Lasting, SurfaceDefectError):
                raise
            except Exception as error:
                if isinstance(error, StartOver):
                    part.cut()
                # New bytes count as success: a server that drops every connection still gives a file in the end.
                failures = 1 if part.size > furthest else failures + 1
                furthest = max(furthest, part.size)
                if failures > self._patience.retries:
                    raise
                self._patience.wait(failures, least_s=getattr(error, "least_s", 0.0))
        return part.hasher.hexdigest(), part.size

    def _stream(self, file: SourceFile, part: _Part) -> None:
        if file.size is not None and part.size > file.size:
            part.cut()
        with self._source.read(file, start=part.size, chunk_bytes=self._throttle.chunk_bytes) as stream:
            if stream.start != part.size:
                part.cut()
            for chunk in stream.chunks:
                self._throttle.take(len(chunk))
                if part.size + len(chunk) > self._most_bytes:
                    raise TooManyBytes
                part.write(chunk)
        expected = file.size if stream.size is None else stream.size
        if expected is not None and part.size < expected:
            raise ConnectionError(f"it broke off after {part.size:,} of {expected:,} bytes")


class _Part:
    """A part file open for appending, with the hash of what it holds."""

    def __init__(self, file: IO[bytes], *, path: Path, meter: Meter) -> None:
        self._file, self._path, self._meter = file, path, meter
        self.hasher: Any = hashlib.sha256()
        self.size, self._counted = 0, 0
        file.seek(0)
        while piece := file.read(READ_BYTES):
            self.hasher.update(piece)
            self.size += len(piece)

    def write(self, chunk: bytes) -> None:
        left = memoryview(chunk)
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            raise _disk_error(self._path, error) from error
        self.hasher.update(chunk)
        self.size += len(chunk)
        self._counted += len(chunk)
        self._meter.add(size_bytes=len(chunk))

    def cut(self) -> None:
        """Begin again with nothing."""
        self._file.truncate(0)
        self._meter.add(size_bytes=-self._counted)
        self.hasher, self.size, self._counted = hashlib.sha256(), 0, 0


def _disk_error(path: Path, error: OSError) -> OutputError:
    return OutputError(f"'{shortened(path)}' cannot be written ({error.strerror}); expected a disk with room")
