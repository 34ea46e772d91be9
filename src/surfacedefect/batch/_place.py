"""The folder in which a batch keeps its journal and its lock: in the destination, or beside the user's other state."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from surfacedefect._files import check_folder
from surfacedefect._holder import held, holder
from surfacedefect._words import shortened
from surfacedefect.batch._outputs import local_folder
from surfacedefect.errors import BatchError, BatchLockedError, require

PRIVATE = ".batch"
_PATIENCE_S = 0.5  # `status` holds the lock for a moment to see whether it is free


class Place:
    """Journal and lock of one destination."""

    def __init__(self, dest: str | os.PathLike[str], *, state_folder: str | os.PathLike[str] | None) -> None:
        folder = local_folder(dest)
        if folder is not None:
            self.folder = folder / PRIVATE
        elif state_folder is not None:
            self.folder = Path(state_folder).expanduser().absolute()
        else:
            home = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
            digest = hashlib.sha256(os.fspath(dest).rstrip("/").encode()).hexdigest()[:16]
            self.folder = home / "surfacedefect" / "batch" / digest
        self.journal = self.folder / "journal.sqlite"
        self._lock, self._holder = self.folder / "lock", self.folder / "holder.json"
        self._dest = shortened(dest)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other batches out while the block runs; the system lets go of the lock when the process dies.

        Raises
        ------
        BatchLockedError
            Another process holds it.
        BatchError
            The file system knows no locks.
        """
        check_folder(self.folder)
        lock: Any = require("filelock", extra="batch").FileLock(self._lock, timeout=_PATIENCE_S)
        self._acquire(lock)
        try:
            with held(self._holder):
                yield
        finally:
            lock.release()

    def _acquire(self, lock: Any) -> None:
        timeout: Any = require("filelock", extra="batch").Timeout
        try:
            lock.acquire()
        except timeout as error:
            raise BatchLockedError(
                f"'{self._dest}' is being written by another batch{self.holder()}; expected one at a time: wait until "
                "it ends, or choose another destination"
            ) from error
        except (NotImplementedError, OSError) as error:
            raise BatchError(
                f"'{shortened(self.folder)}' cannot be locked ({error}); expected a file system with locks: choose a "
                "destination, or a state folder, on one"
            ) from error

    def is_running(self) -> bool:
        """Whether a batch is writing there now."""
        if not self._lock.exists():
            return False
        filelock: Any = require("filelock", extra="batch")
        lock = filelock.FileLock(self._lock, timeout=0)
        try:
            lock.acquire()
        except filelock.Timeout:
            return True
        except (NotImplementedError, OSError):
            return False
        lock.release()
        return False

    def holder(self) -> str:
        """Say which process is writing, in brackets; empty where that is not known."""
        return holder(self._holder)
