"""What is kept beside the scans, in ``.surfacedefect``: all of it may be deleted at any time and is made again.

``scans/KEY/`` holds what was made of a picture, by the digest of its content, so that a copy or a scan that was renamed
finds it again; ``names/`` a record a file name; ``locks/`` the locks between processes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from surfacedefect._files import write_json
from surfacedefect._words import shortened
from surfacedefect.errors import OutputError, ScanError, WebError, require

KEPT_FOLDER = ".surfacedefect"
_LOCK_SECONDS = 20.0


class Kept:
    """The folder ``.surfacedefect`` of a folder of scans."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / KEPT_FOLDER
        self._lock = threading.RLock()
        self._records: dict[str, tuple[tuple[int, int] | None, dict[str, Any]]] = {}
        self._locks: dict[str, Any] = {}

    def place(self, key: str) -> Path:
        """Return the folder of a picture's content."""
        return self.root / "scans" / key

    def key_of(self, name: str, path: Path) -> str:
        """Return the digest of a file's content; read once, then known by its size and time.

        Raises
        ------
        ScanError
            The file cannot be read.
        """
        known = self.known_key(name, path)
        if known is not None:
            return known
        try:
            stamp = stamp_of(path)
            with path.open("rb") as file:
                key = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=20)).hexdigest()
        except OSError as error:
            raise ScanError(f"{shortened(name)}: cannot be read ({error.strerror or error}); copy it again") from error
        other = (
            {} if self.record(name).get("key") == key else dict.fromkeys(("width", "height", "inspected", "defects"))
        )
        self.note(name, stamp=stamp, key=key, error=None, **other)
        return key

    def known_key(self, name: str, path: Path) -> str | None:
        """Return the digest if the file is the one that was read before."""
        key = self.record(name).get("key")
        return key if isinstance(key, str) and self.is_current(name, path) else None

    def is_current(self, name: str, path: Path) -> bool:
        """Say whether what is noted is about the file that is there now."""
        with contextlib.suppress(OSError):
            return bool(self.record(name).get("stamp") == stamp_of(path))
        return False

    def record(self, name: str) -> dict[str, Any]:
        """Return what is noted about a name; empty when nothing is, or when the note is damaged."""
        path = self._record_path(name)
        try:
            found = path.stat()
            stamp = (found.st_mtime_ns, found.st_size)
        except OSError:
            # Where nothing can be written, what is known lasts as long as the process.
            held = self._records.get(name)
            return held[1] if held and held[0] is None else {}
        with self._lock:
            held = self._records.get(name)
            if held is not None and held[0] == stamp:
                return held[1]
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            record = {}
        record = record if isinstance(record, dict) and record.get("name") == name else {}
        with self._lock:
            self._records[name] = stamp, record
        return record

    def note(self, name: str, **changes: Any) -> None:
        """Add to what is noted about a name; a note that cannot be written is kept in memory."""
        with self._lock:
            record = {**self.record(name), "name": name, **changes}
            try:
                write_json(self._record_path(name), record)
                self._records.pop(name, None)
            except OutputError:
                self._records[name] = None, record

    @contextlib.contextmanager
    def locked(self, name: str, *, what: str = "review") -> Iterator[None]:
        """Be the only one, of all threads and processes, while the block runs.

        Raises
        ------
        WebError
            Somebody else held on for too long, or there is no place for a lock.
        """
        lock = self.lock(name, what=what)
        filelock = require("filelock", extra="web")
        try:
            lock.acquire(timeout=_LOCK_SECONDS)
        except filelock.Timeout as error:
            raise WebError(
                f"'{shortened(name)}' is being saved by another program for {_LOCK_SECONDS:g} s now; try again, and "
                f"end that program if it hangs"
            ) from error
        except OSError as error:
            raise OutputError(
                f"'{self.root}' cannot be written ({error.strerror or error}); look at its rights"
            ) from error
        try:
            yield
        finally:
            lock.release()

    def lock(self, name: str, *, what: str) -> Any:
        """Return a new lock of a name; it is between threads as well as between processes."""
        filelock = require("filelock", extra="web")
        path = self.root / "locks" / f"{_digest(name)}.{what}"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"'{self.root}' cannot be made ({error.strerror or error}); look at its rights"
            ) from error
        return filelock.FileLock(path, thread_local=False)

    def _record_path(self, name: str) -> Path:
        return self.root / "names" / f"{_digest(name)}.json"


def stamp_of(path: Path) -> list[int]:
    """Return size and time of a file: while they stay, its content is taken to stay."""
    found = path.stat()
    return [found.st_size, found.st_mtime_ns]


def _digest(name: str) -> str:
    return hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
