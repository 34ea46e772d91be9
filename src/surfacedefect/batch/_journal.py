"""What became of every scan, in SQLite: a driver that is killed at any point loses nothing that was recorded.

A scan is done when its results are written *and* that is recorded here, in this order. Killed between the two, it is
computed again and gives the same files. The row's key is the scan's name; it counts as done for one picture, model and
set of options, as its files in the destination can be those of one only.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from surfacedefect._sqlite import SqliteJournal
from surfacedefect.batch.jobs import Job, Result, bucket_of
from surfacedefect.errors import BatchError

_PAGE = 2000
_TABLES = """
CREATE TABLE IF NOT EXISTS scans (
    name TEXT PRIMARY KEY, picture TEXT NOT NULL, version TEXT, model TEXT NOT NULL, options TEXT NOT NULL,
    state TEXT NOT NULL, reason TEXT NOT NULL, car TEXT NOT NULL, bucket INTEGER NOT NULL, defects INTEGER NOT NULL,
    longest_px REAL, coverage REAL, seconds REAL NOT NULL, computed INTEGER NOT NULL, at REAL NOT NULL,
    run INTEGER NOT NULL, stem TEXT NOT NULL, found TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS scans_by_bucket ON scans (bucket, name);
CREATE INDEX IF NOT EXISTS scans_by_state ON scans (state, name);
CREATE TABLE IF NOT EXISTS stale (bucket INTEGER PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
_COLUMNS = (
    "name", "picture", "version", "model", "options", "state", "reason", "car", "bucket", "defects", "longest_px",
    "coverage", "seconds", "computed", "at", "run", "stem", "found",
)  # fmt: skip
_RECORD = f"""
INSERT INTO scans ({", ".join(_COLUMNS)}) VALUES ({", ".join("?" * len(_COLUMNS))})
ON CONFLICT (name) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in _COLUMNS if name != "computed")},
    computed = scans.computed + excluded.computed
"""

Unit = Literal["px", "mm"]
_LONGEST: dict[Unit, str] = {"px": "longest_px", "mm": "json_extract(found, '$.longest_scratch_mm')"}
_KNOWN = "SELECT name, picture, version, model, options, state, reason, coverage, car, run FROM scans"


@dataclass(frozen=True, slots=True)
class Known:
    """What the journal says of one scan; `run` is the number of the last run that dealt with it."""

    picture: str
    version: str | None
    model: str
    options: str
    state: str
    reason: str
    coverage: float | None
    car: str
    run: int


class Journal(SqliteJournal):
    """The state of one destination; safe for many threads."""

    layout_version = 2
    tables = _TABLES
    error = BatchError
    written_by = "a batch"
    when_damaged = (
        "then run the same again; where it is damaged, remove it: the next run takes over what the table says"
    )
    when_newer = ", or another destination"

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.run = 0
        super().__init__(path, read_only=read_only)

    def begin_run(self) -> None:
        """Give this run its number: clocks go back, so that times do not say what belongs to which run."""
        self.run = int(self.fact("runs", 0)) + 1
        self.set_fact("runs", self.run)

    def known(self, name: str) -> Known | None:
        """Return what is recorded of a scan."""
        return self.known_of([name]).get(name)

    def known_of(self, names: Sequence[str]) -> dict[str, Known]:
        """Return what is recorded of scans, at most 500 at a time."""
        found = self._all(_KNOWN + f" WHERE name IN ({', '.join('?' * len(names))})", *names)
        return {name: Known(*values) for name, *values in found}

    def record(self, result: Result, *, model: str, options: str, computed: bool = True) -> None:
        """Record what became of a scan: one transaction, after its results are written."""
        job, found = result.job, result.found
        counts: Mapping[str, int] = found.get("counts", {})
        values = (
            job.name, result.picture, result.version, model, options, result.state, result.reason, job.group,
            bucket_of(job), sum(counts.values()), found.get("longest_scratch_px"), found.get("coverage"),
            result.seconds, int(computed), time.time(), self.run, job.stem, json.dumps(found),
        )  # fmt: skip
        with self._transaction() as database:
            # A car that the list now calls otherwise is in another partition: the old one holds the row still.
            database.execute("INSERT OR IGNORE INTO stale SELECT bucket FROM scans WHERE name = ?", (job.name,))
            database.execute(_RECORD, values)
            database.execute("INSERT OR IGNORE INTO stale VALUES (?)", (bucket_of(job),))

    def seen_again(self, result: Result) -> None:
        """Record the version at the source of a picture that is the same, so that the next run need not read it."""
        self._do("UPDATE scans SET version = ? WHERE name = ?", result.version, result.job.name)

    def seen(self, names: Sequence[str]) -> None:
        """Note that this run has dealt with scans that need nothing, at most 500 at a time."""
        self._do(f"UPDATE scans SET run = ? WHERE name IN ({', '.join('?' * len(names))})", self.run, *names)

    def regroup(self, job: Job) -> None:
        """Say which car a scan is of, where that has become known since."""
        with self._transaction() as database:
            database.execute("INSERT OR IGNORE INTO stale SELECT bucket FROM scans WHERE name = ?", (job.name,))
            change = "UPDATE scans SET car = ?, bucket = ? WHERE name = ?"
            database.execute(change, (job.group, bucket_of(job), job.name))
            database.execute("INSERT OR IGNORE INTO stale VALUES (?)", (bucket_of(job),))

    def adopt(self, rows: Iterable[tuple[Any, ...]]) -> int:
        """Take over the rows of a destination whose journal is not at hand; return how many."""
        count = 0
        with self._transaction() as database:
            for row in rows:
                database.execute(_RECORD, row)
                count += 1
        return count

    def stale(self) -> list[int]:
        """Partitions of the table that are older than the journal."""
        return [bucket for (bucket,) in self._all("SELECT bucket FROM stale ORDER BY bucket")]

    def outdate(self, buckets: Iterable[int]) -> None:
        """Have partitions written anew."""
        self._many("INSERT OR IGNORE INTO stale VALUES (?)", [(n,) for n in buckets])

    def written(self, bucket: int) -> None:
        """Note that a partition says what the journal says."""
        self._do("DELETE FROM stale WHERE bucket = ?", bucket)

    def rows(self, bucket: int | None = None) -> Iterator[dict[str, Any]]:
        """Yield all rows, or those of a partition, by name."""
        last = ""
        where = "name > ?" if bucket is None else f"bucket = {int(bucket)} AND name > ?"
        while page := self._all(
            f"SELECT {', '.join(_COLUMNS)} FROM scans WHERE {where} ORDER BY name LIMIT {_PAGE}", last
        ):
            for values in page:
                row = dict(zip(_COLUMNS, values, strict=True))
                row["found"] = json.loads(row["found"])
                yield row
            last = page[-1][0]

    def states(self) -> dict[str, int]:
        """Count the scans of each state."""
        return dict(self._all("SELECT state, COUNT(*) FROM scans GROUP BY state ORDER BY state"))

    def not_done(self, most: int) -> list[tuple[str, str, str]]:
        """Name, state and reason of those that are not done, by name, so many at most."""
        found = "SELECT name, state, reason FROM scans WHERE state <> 'done' ORDER BY name LIMIT ?"
        return self._all(found, most)

    def partly(self, most: int) -> tuple[int, list[tuple[str, float]]]:
        """Count the scans that are done, but not inspected in full; name and coverage of the least inspected."""
        (count,) = self._all("SELECT COUNT(*) FROM scans WHERE state = 'done' AND coverage < 1")[0]
        found = "SELECT name, coverage FROM scans WHERE state = 'done' AND coverage < 1 ORDER BY coverage, name LIMIT ?"
        return count, self._all(found, most)

    def totals(self) -> tuple[int, int, int, int, float, float]:
        """Count scans done, those with damage, defects and cars; seconds in all, and when the last was recorded."""
        found: tuple[int, int, int, int, float, float] = self._all(
            "SELECT COUNT(*), COALESCE(SUM(defects > 0), 0), COALESCE(SUM(defects), 0), "
            "COUNT(DISTINCT NULLIF(car, '')), COALESCE(SUM(seconds), 0), COALESCE(MAX(at), 0) "
            "FROM scans WHERE state = 'done'"
        )[0]
        return found

    def scaled(self) -> tuple[int, int]:
        """Count the scans done in which scratches were looked for, and those of them that have a scale."""
        found: tuple[int, int] = self._all(
            f"SELECT COUNT(*), COUNT({_LONGEST['mm']}) FROM scans WHERE state = 'done' AND longest_px IS NOT NULL"
        )[0]
        return found

    def worst_cars(self, most: int, *, unit: Unit = "px") -> list[tuple[str, int, int, float | None, int]]:
        """Car, scans done, defects, longest scratch and scans not done, most defects first."""
        return self._all(
            f"SELECT car, SUM(state = 'done'), SUM(defects), MAX({_LONGEST[unit]}), SUM(state <> 'done') FROM scans "
            "WHERE car <> '' GROUP BY car ORDER BY SUM(defects) DESC, car LIMIT ?",
            most,
        )

    def cars_by_defects(self) -> list[tuple[int, int]]:
        """Count the cars with 0, 1, 2-4, 5-9, 10-19, 20-49, 50 and more defects: (least, cars)."""
        return self._all(
            "SELECT CASE WHEN n < 2 THEN n WHEN n < 5 THEN 2 WHEN n < 10 THEN 5 WHEN n < 20 THEN 10 WHEN n < 50 "
            "THEN 20 ELSE 50 END AS least, COUNT(*) FROM (SELECT SUM(defects) AS n FROM scans WHERE car <> '' "
            "AND state = 'done' GROUP BY car) GROUP BY least ORDER BY least"
        )

    def worst_scans(self, most: int, *, unit: Unit = "px") -> list[tuple[str, str, int, float | None, str]]:
        """Name, car, defects, longest scratch and stem of the scans with most defects."""
        return self._all(
            f"SELECT name, car, defects, {_LONGEST[unit]}, stem FROM scans WHERE defects > 0 "
            "ORDER BY defects DESC, name LIMIT ?",
            most,
        )

    def set_fact(self, name: str, value: Any) -> None:
        """Keep something about the batch."""
        self._do("INSERT OR REPLACE INTO facts VALUES (?, ?)", name, json.dumps(value))

    def fact(self, name: str, default: Any = None) -> Any:
        """Return what was kept."""
        rows = self._all("SELECT value FROM facts WHERE name = ?", name)
        return json.loads(rows[0][0]) if rows else default
