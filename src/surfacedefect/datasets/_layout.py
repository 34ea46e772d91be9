"""Where things lie in a data set's folder, and the lock on it.

    DEST/objects/ab/cdef...      every file once, under its SHA-256; never changed, never deleted
    DEST/view/name-<hash>.jpg    the good pictures under readable names, linked to their objects
    DEST/manifest.parquet        one row for every source path
    DEST/split.json              how the pictures were split, for the next time
    DEST/.surfacedefect/         journal, lock and half-fetched files; of no use to others

SHA-256 and not BLAKE2b: `sha256sum` checks a store without this library, S3 and DVC remotes know it, model cards use
it, and with the SHA instructions of today's processors it is the faster one of the two.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from surfacedefect._files import check_folder
from surfacedefect._holder import held, holder
from surfacedefect._words import shortened, type_name
from surfacedefect.errors import DatasetError, DatasetLockedError, OutputError, require

HASH_DIGITS = 64
READ_BYTES = 2**20
_HASH = re.compile(f"[0-9a-f]{{{HASH_DIGITS}}}")
_OURS = frozenset({"objects", "view", "manifest.parquet", "split.json", ".surfacedefect"})
_READ_ONLY = 0o444


class Layout:
    """The folder of one data set."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        if not str(folder).strip():
            raise DatasetError("the folder of the data set is empty; expected its path, or . for the current folder")
        if not isinstance(folder, str | os.PathLike) or "\0" in str(os.fspath(folder)):
            found = shortened(repr(folder)) if isinstance(folder, str) else type_name(folder)
            raise DatasetError(f"the folder of the data set is {found}; expected a path")
        try:
            self.folder = Path(folder).expanduser().absolute()
        except RuntimeError as error:  # ~ of an unknown user
            raise DatasetError(f"'{shortened(folder)}' cannot be found ({error}); expected a folder") from error
        self.manifest = self.folder / "manifest.parquet"
        self.view = self.folder / "view"
        self.objects = self.folder / "objects"
        self.split = self.folder / "split.json"
        self._private = self.folder / ".surfacedefect"
        self.journal = self._private / "journal.sqlite"
        self.parts = self._private / "parts"
        self.compared = self._private / "compared.sqlite"

    def prepare(self) -> None:
        """Make the folder; refuse one that holds something else.

        Raises
        ------
        DatasetError
            It holds other files and no data set.
        OutputError
            It cannot be made or written.
        """
        shown = shortened(self.folder)
        if self.folder.is_dir():
            others = sorted(path.name for path in self.folder.iterdir() if path.name not in _OURS)
            for place in (self.objects, self.view):
                others += [place.name for _ in place.glob("*")][:1]
            if others and not self.journal.exists() and not self.manifest.exists():
                raise DatasetError(
                    f"'{shown}' holds {shortened(others[0])!r} and no data set; expected an empty or new folder, "
                    "or one that an ingest made: choose another"
                )
            if self.manifest.exists() and not self.journal.exists():
                raise DatasetError(
                    f"'{shown}' holds a manifest but not the journal of its ingest ('{self.journal.name}'); expected "
                    "both: ingest into a new folder, or copy the folder '.surfacedefect' from where it was made"
                )
        check_folder(self.folder)
        for place in (self.objects, self.view, self.parts):
            check_folder(place)

    def object(self, digest: str) -> Path:
        """Path of a file's bytes; the hash is checked, as it may come from a manifest that others wrote."""
        if not _HASH.fullmatch(digest):
            raise DatasetError(
                f"found the hash {shortened(digest)!r}, expected {HASH_DIGITS} digits 0 to f; the manifest is damaged"
            )
        return self.objects / digest[:2] / digest[2:]

    def look(self, digest: str) -> Path:
        """Path of what a check saw of a picture."""
        return self._private / "looks" / digest[:2] / f"{digest[2:]}.npz"

    def has_object(self, digest: str, *, size: int) -> bool:
        """Whether the bytes are there in full length."""
        try:
            return self.object(digest).stat().st_size == size
        except OSError:
            return False

    def place(self, part: Path, digest: str) -> Path:
        """Move a whole file under its hash; what is there already stays, as links lead to it."""
        target = self.object(digest)
        try:
            if self.has_object(digest, size=part.stat().st_size):
                part.unlink()
                return target
            part.chmod(_READ_ONLY)
            try:
                part.replace(target)
            except FileNotFoundError:
                target.parent.mkdir(exist_ok=True)
                part.replace(target)
        except OSError as error:
            raise OutputError(
                f"'{shortened(target)}' cannot be written ({error.strerror}); expected a disk with room"
            ) from error
        return target

    def digests(self) -> Iterator[str]:
        """Hashes of all objects, in order."""
        for folder in sorted(self.objects.glob("[0-9a-f][0-9a-f]")):
            for path in sorted(folder.iterdir()):
                if _HASH.fullmatch(folder.name + path.name):
                    yield folder.name + path.name

    def need_manifest(self) -> None:
        """Refuse a folder that is no data set; make room for the lock in a copy that came without it.

        Raises
        ------
        DatasetError
            There is no manifest.
        OutputError
            The folder cannot be written.
        """
        if not os.path.isfile(self.manifest):  # noqa: PTH113 - Path.is_file raises for names that are too long
            raise DatasetError(
                f"there is no manifest '{shortened(self.manifest)}'; expected a data set, as "
                "'surfacedefect data ingest' makes"
            )
        check_folder(self._private)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other ingests out while the block runs; the system lets go of the lock when the process dies.

        Raises
        ------
        DatasetLockedError
            Another process, or another thread, holds it.
        DatasetError
            The file system knows no locks.
        """
        filelock: Any = require("filelock", extra="data")
        lock, holding = filelock.FileLock(self._private / "lock", timeout=0), self._private / "holder.json"
        try:
            lock.acquire()
        except filelock.Timeout as error:
            raise DatasetLockedError(
                f"'{shortened(self.folder)}' is being written by another process{holder(holding)}; expected one at a "
                "time: wait until it ends, or choose another folder"
            ) from error
        except (NotImplementedError, OSError) as error:
            raise DatasetError(
                f"'{shortened(self.folder)}' cannot be locked ({error}); expected a file system with locks: choose a "
                "folder on a local disk"
            ) from error
        try:
            with held(holding):
                yield
        finally:
            lock.release()


def hash_of(path: Path, *, seen: Callable[[int], None] | None = None) -> tuple[str, int]:
    """SHA-256 and size of a file; `seen` is told the bytes of each piece."""
    hasher, size = hashlib.sha256(), 0
    with path.open("rb", buffering=0) as file:
        while piece := file.read(READ_BYTES):
            hasher.update(piece)
            size += len(piece)
            if seen:
                seen(len(piece))
    return hasher.hexdigest(), size
