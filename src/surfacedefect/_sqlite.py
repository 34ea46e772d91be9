"""A journal in SQLite that many threads write: what is common to that of data sets and that of batches.

Every step is one transaction. `synchronous=NORMAL` with a write-ahead log outlives a killed process always, and a power
cut with at most the last steps undone.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from surfacedefect._words import shortened
from surfacedefect.errors import SurfaceDefectError


class SqliteJournal:
    """One file; what goes wrong with it is told as the error of those who keep it.

    Parameters
    ----------
    path
        The file, made when missing.
    functions
        SQL functions of one argument that depend on nothing else.
    read_only
        True: it is there already, and is not changed.
    """

    layout_version: ClassVar[int]
    tables: ClassVar[str]
    error: ClassVar[type[SurfaceDefectError]]
    written_by: ClassVar[str]
    """Whose journal it is, such as "an ingest"."""
    when_damaged: ClassVar[str]
    when_newer: ClassVar[str]
    """What else can be done about a file that cannot be read, and about one of another layout."""

    def __init__(
        self, path: Path, *, functions: Mapping[str, Callable[[Any], Any]] | None = None, read_only: bool = False
    ) -> None:
        self._lock, self._path = threading.Lock(), path
        with self._own_errors():
            address = f"{path.absolute().as_uri()}?mode=ro" if read_only else str(path)
            self._database = sqlite3.connect(address, uri=read_only, check_same_thread=False, isolation_level=None)
            for name, function in (functions or {}).items():
                self._database.create_function(name, 1, function, deterministic=True)
            version = self._database.execute("PRAGMA user_version").fetchone()[0]
            if not read_only and version in (0, self.layout_version):
                for line in ("journal_mode=WAL", "synchronous=NORMAL", "temp_store=FILE"):
                    self._database.execute(f"PRAGMA {line}")
                self._database.executescript(self.tables)
                self._database.execute(f"PRAGMA user_version={self.layout_version}")
        if version != self.layout_version and (read_only or version):
            self.close()
            raise self.error(
                f"the journal '{shortened(path)}' has layout {version}, expected {self.layout_version}; "
                f"use the version of this library that wrote it{self.when_newer}"
            )

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Do all of the block or nothing, and nothing else meanwhile."""
        with self._lock, self._own_errors(), self._database:
            self._database.execute("BEGIN")
            yield self._database

    def _do(self, what: str, *values: Any) -> None:
        with self._lock, self._own_errors():
            self._database.execute(what, values)

    def _many(self, what: str, rows: Sequence[Any]) -> None:
        with self._transaction() as database:
            database.executemany(what, rows)

    def _all(self, what: str, *values: Any) -> list[Any]:
        with self._lock, self._own_errors():
            return self._database.execute(what, values).fetchall()

    @contextmanager
    def _own_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self.error(
                f"the journal '{shortened(self._path)}' cannot be read or written ({error}); expected what "
                f"{self.written_by} wrote, on a disk with room: free some, {self.when_damaged}"
            ) from error
