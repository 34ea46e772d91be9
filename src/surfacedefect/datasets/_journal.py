"""What is known of every path and every object, in SQLite: a process that is killed at any point loses nothing."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator
from dataclasses import astuple
from pathlib import Path
from typing import Any

from surfacedefect._sqlite import SqliteJournal
from surfacedefect.datasets._parts import parts
from surfacedefect.datasets._sources import SourceFile
from surfacedefect.datasets.pictures import PictureCheck
from surfacedefect.errors import DatasetError

_BATCH = 1000
_TABLES = """
CREATE TABLE IF NOT EXISTS sources (id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL, run INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS files (
    source INTEGER NOT NULL, path BLOB NOT NULL, size INTEGER, tag TEXT, locator BLOB, seen INTEGER NOT NULL,
    hash TEXT, fetched_size INTEGER, state TEXT, reason TEXT, PRIMARY KEY (source, path)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS files_by_hash ON files (hash);
CREATE TABLE IF NOT EXISTS objects (
    hash TEXT PRIMARY KEY, state TEXT NOT NULL, reason TEXT, format TEXT, width_px INTEGER, height_px INTEGER,
    exif_orientation INTEGER, exif_date TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS view (name TEXT PRIMARY KEY, hash TEXT NOT NULL, run INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS later (
    source TEXT NOT NULL, path TEXT NOT NULL, hash TEXT, columns TEXT NOT NULL,
    PRIMARY KEY (source, path)) WITHOUT ROWID;
"""
# What a path that is listed again keeps: nothing when it is another file, no state that may be another one this time.
_LISTED = """
INSERT INTO files (source, path, size, tag, locator, seen, state, reason) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (source, path) DO UPDATE SET
    hash = CASE WHEN {same} THEN hash END, fetched_size = CASE WHEN {same} THEN fetched_size END,
    state = COALESCE(excluded.state, CASE WHEN {same} AND NOT {passing} THEN state END),
    reason = COALESCE(excluded.reason, CASE WHEN {same} AND NOT {passing} THEN reason END),
    size = excluded.size, tag = excluded.tag, seen = excluded.seen, locator = excluded.locator
""".format(
    same="(tag = excluded.tag AND size IS excluded.size)",
    passing="(state IN ('failed', 'link', 'not_a_file', 'wrong_extension', 'too_many_bytes', 'too_many_pixels') "
    "OR (state = 'good' AND reason IS NOT NULL))",
)
# The kept one of equal pictures is the first by source and path, whichever came first.
_MANIFEST = """
SELECT name, files.path, COALESCE(fetched_size, size), files.hash, COALESCE(files.state, 'failed'), files.reason,
    format, width_px, height_px, exif_orientation, exif_date, seen = run,
    ROW_NUMBER() OVER twins, FIRST_VALUE(files.path) OVER twins, FIRST_VALUE(name) OVER twins, columns
FROM files JOIN sources ON sources.id = files.source LEFT JOIN objects ON objects.hash = files.hash
LEFT JOIN later ON later.source = name AND later.path = text(files.path) AND later.hash IS files.hash
WINDOW twins AS (PARTITION BY files.hash, files.state ORDER BY name, files.path)
ORDER BY name, files.path
"""


class Journal(SqliteJournal):
    """The state of one data set; safe for many threads."""

    layout_version = 1
    tables = _TABLES
    error = DatasetError
    written_by = "an ingest"
    when_damaged = "bring back a copy of it, or ingest into a new folder"
    when_newer = ""

    def __init__(self, path: Path) -> None:
        self._source = self._run = 0
        super().__init__(path, functions={"text": path_text})

    def begin(self, source: str) -> None:
        """Begin a run over a source."""
        with self._transaction() as database:
            database.execute(
                "INSERT INTO sources (name, run) VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET run = run + 1",
                (source,),
            )
            found = database.execute("SELECT id, run FROM sources WHERE name = ?", (source,)).fetchone()
            self._source, self._run = found
            # Folders that could not be listed last time.
            database.execute("DELETE FROM files WHERE source = ? AND substr(path, -1) = x'2f'", (self._source,))

    def list_files(self, files: Iterable[SourceFile]) -> int:
        """Note what the source lists; return how many paths.

        A path whose size and tag are as before keeps its hash. One without a tag is new each time. What was in a
        folder that cannot be listed, whose path ends in ``/``, is taken to be there still.
        """
        count, unlisted = 0, []
        for batch in parts(files, _BATCH):
            rows = []
            for file in batch:
                name, where = _bytes(file.path), _bytes(file.locator)
                unlisted += [name] if name.endswith(b"/") else []
                state = (file.state or None, file.reason or None)
                rows.append((self._source, name, file.size, file.tag, where, self._run, *state))
            self._many(_LISTED, rows)
            count += len(rows)
        for folder in unlisted:
            self._do(
                "UPDATE files SET seen = ? WHERE source = ? AND path > ? AND path < ?",
                self._run,
                self._source,
                folder,
                folder[:-1] + b"0",  # the letter after the slash
            )
        return count - len(unlisted)

    def forget_object(self, digest: str) -> None:
        """Have whatever has this hash fetched again, as its bytes are lost."""
        self._do(
            "UPDATE files SET hash = NULL, state = NULL, reason = NULL WHERE source = ? AND hash = ?",
            self._source,
            digest,
        )

    def hashes(self) -> Iterator[tuple[str, int]]:
        """Hash and size of all that this source lists and that was fetched."""
        last = ""
        while rows := self._all(
            "SELECT DISTINCT hash, fetched_size FROM files WHERE hash > ? AND source = ? AND seen = ? "
            f"ORDER BY hash LIMIT {_BATCH}",
            last,
            self._source,
            self._run,
        ):
            yield from rows
            last = rows[-1][0]

    def to_do(self) -> tuple[int, int]:
        """Count the listed files that are not done, and the bytes of those that must be fetched."""
        files, size = self._all(
            "SELECT COUNT(*), SUM(CASE WHEN hash IS NULL THEN size END) FROM files "
            "WHERE source = ? AND seen = ? AND state IS NULL",
            self._source,
            self._run,
        )[0]
        return files, size or 0

    def pending(self) -> Iterator[tuple[SourceFile, str | None]]:
        """Yield the listed files that are not done, by path, and their hash where it is known."""
        last = b""
        while rows := self._all(
            "SELECT path, size, tag, locator, hash FROM files WHERE source = ? AND seen = ? AND state IS NULL "
            f"AND path > ? ORDER BY path LIMIT {_BATCH}",
            self._source,
            self._run,
            last,
        ):
            for path, size, tag, locator, digest in rows:
                yield SourceFile(_str(path), size, tag, _str(locator)), digest
            last = rows[-1][0]

    def set_hash(self, file: SourceFile, digest: str, *, size: int) -> None:
        """Note the hash of a file that was fetched; before its bytes move to their place."""
        self._do(
            "UPDATE files SET hash = ?, fetched_size = ? WHERE source = ? AND path = ?",
            digest,
            size,
            self._source,
            _bytes(file.path),
        )

    def set_state(self, file: SourceFile, state: str, *, reason: str) -> None:
        """Note what became of a file: it is done."""
        self._do(
            "UPDATE files SET state = ?, reason = ? WHERE source = ? AND path = ?",
            state,
            reason or None,
            self._source,
            _bytes(file.path),
        )

    def check_of(self, digest: str) -> PictureCheck | None:
        """Return what an object was found to be, when it was looked at before."""
        rows = self._all(
            "SELECT state, reason, format, width_px, height_px, exif_orientation, exif_date "
            "FROM objects WHERE hash = ?",
            digest,
        )
        if not rows:
            return None
        state, reason, kind, width, height, orientation, date = rows[0]
        taken = datetime.datetime.fromisoformat(date) if date else None
        return PictureCheck(state, reason, kind, width, height, orientation, taken)

    def set_check(self, digest: str, check: PictureCheck) -> None:
        """Note what an object was found to be."""
        *values, date = astuple(check)
        self._do(
            "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            digest,
            *values,
            date.isoformat() if date else None,
        )

    def failed(self) -> Iterator[tuple[str, SourceFile]]:
        """Yield the source's name and the file of all, of any source, that are still to be fetched."""
        for name, path, size, tag in self._all(
            "SELECT name, path, size, tag FROM files JOIN sources ON sources.id = source "
            "WHERE state = 'failed' OR state IS NULL"
        ):
            yield name, SourceFile(_str(path), size, tag)

    def count_failed(self) -> int:
        """Count the paths that the source lists and that could not be had."""
        found: int = self._all(
            "SELECT COUNT(*) FROM files WHERE source = ? AND seen = ? AND COALESCE(state, 'failed') = 'failed'",
            self._source,
            self._run,
        )[0][0]
        return found

    def set_later(self, rows: Iterable[tuple[str, str, str | None, str]]) -> None:
        """Keep the columns that later steps added: source, path, hash, and the values as JSON."""
        self._do("DELETE FROM later")
        for batch in parts(rows, _BATCH):
            self._many("INSERT OR REPLACE INTO later VALUES (?, ?, ?, ?)", batch)

    def twin_prefixes(self, digits: int) -> set[str]:
        """Beginnings of so many digits that two different pictures share: none, but for who looks for them."""
        found = self._all("SELECT substr(hash, 1, ?) AS start FROM objects GROUP BY start HAVING COUNT(*) > 1", digits)
        return {start for (start,) in found}

    def manifest_rows(self) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of the manifest in its order; nothing may be written meanwhile."""
        with self._own_errors():
            yield from self._database.execute(_MANIFEST)

    def view_names(self, digests: dict[str, str]) -> None:
        """Note names of the view (name -> hash) as those of this run; a run is told from others by `view_begin`."""
        self._many("INSERT OR REPLACE INTO view VALUES (?, ?, 1)", list(digests.items()))

    def view_begin(self) -> None:
        """Take every name of the view for an old one."""
        self._do("UPDATE view SET run = 0")

    def view_old(self) -> list[str]:
        """Return the names that the view no longer has, and forget them."""
        names = [name for (name,) in self._all("SELECT name FROM view WHERE run = 0")]
        self._do("DELETE FROM view WHERE run = 0")
        return names


def path_text(path: bytes) -> str:
    """Return a path as the manifest shows it: bytes that are not UTF-8 by their numbers."""
    return path.decode(errors="backslashreplace")


def _bytes(path: str) -> bytes:
    try:
        return path.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        return path.encode(errors="surrogatepass")


def _str(path: bytes) -> str:
    return path.decode(errors="surrogateescape")
