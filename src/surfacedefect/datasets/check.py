"""`check`: look at every good picture of a data set; flag what is no good scan, gather near duplicates into groups."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from surfacedefect._checks import check_whole
from surfacedefect._machine import usable_cores
from surfacedefect._workers import WorkerDiedError, in_processes
from surfacedefect.datasets._layout import Layout
from surfacedefect.datasets._looks import CompareJob, LookJob, Verdicts, compare, read_look, take_looks
from surfacedefect.datasets._parts import parts
from surfacedefect.datasets.manifest import change_manifest, manifest_batches, manifest_version
from surfacedefect.datasets.near_duplicates import Candidate, Fingerprint, candidates, groups
from surfacedefect.datasets.progress import Meter, Told
from surfacedefect.errors import DatasetError, OutputError, require

Job = TypeVar("Job")
Answer = TypeVar("Answer")

_LOOKS_A_JOB, _PAIRS_A_JOB = 8, 64
_WORTH_PROCESSES = 4  # jobs a worker, as each takes a second or two to start
_GROUP_DIGITS = 16
_COLUMNS = ["source_path", "hash", "state", "width_px", "height_px"]


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a check found.

    Attributes
    ----------
    dest
        Folder of the data set.
    pictures
        Good pictures, each once however often it is in the sources.
    looked_at
        Those that were looked at in this run; the others were known.
    flags
        Pictures by flag (`FLAGS`), without those that have none.
    groups
        Groups of near duplicates, as source paths of their members, the largest first.
    compared
        Pairs that were compared in this run.
    unreadable
        Source path and reason of good pictures that were to be looked at in this run and whose bytes are gone or can no
        longer be read; `verify` looks for such among all.
    seconds
        How long it took.
    version
        SHA-256 of the manifest.
    """

    dest: Path
    pictures: int
    looked_at: int
    flags: dict[str, int]
    groups: tuple[tuple[str, ...], ...]
    compared: int
    unreadable: tuple[tuple[str, str], ...]
    seconds: float
    version: str


@dataclass(frozen=True, slots=True)
class _Picture:
    hash: str
    source_path: str
    pixels: int


def check(dest: str | os.PathLike[str], *, workers: int | None = None, progress: Told | None = None) -> CheckReport:
    """Look at every good picture: flags and groups of near duplicates go into the manifest.

    Nothing is taken out of the view. What was looked at and compared before is not again.

    Parameters
    ----------
    dest
        Folder of the data set.
    workers
        Processes, 1 or more; None for one a core. A small data set is checked in this process.
    progress
        Called with a `Progress` at most ten times a second.

    Raises
    ------
    OptionError
        `workers` is out of its range.
    DatasetError
        `dest` holds no data set.
    DatasetLockedError
        Another process is writing into `dest`.
    OutputError
        `dest` cannot be written, or a worker process died.
    MissingExtraError
        A package of the extra ``data`` is missing.

    Examples
    --------
    >>> import tempfile
    >>> from PIL import Image
    >>> from surfacedefect.datasets import ingest
    >>> share, dest = Path(tempfile.mkdtemp()), Path(tempfile.mkdtemp()) / "set"
    >>> Image.new("RGB", (40, 30)).save(share / "lens cap.png")
    >>> _ = ingest(share, dest)
    >>> check(dest).flags
    {'blank': 1, 'underexposed': 1}
    """
    if workers is not None:
        check_whole("workers", workers, 1, 1024)
    for package in ("cv2", "imagehash"):
        require(package, extra="data")
    started, layout = time.monotonic(), Layout(dest)
    layout.need_manifest()
    with layout.locked():
        run = _Run(layout, workers=workers or usable_cores(), meter=Meter(progress))
        run.look()
        flags, prints = run.seen()
        tied = run.compare(prints)
        members = groups(len(run.known), tied)
        run.write(flags, members)
    return CheckReport(
        dest=layout.folder,
        pictures=len(run.pictures),
        looked_at=run.looked_at,
        flags=dict(Counter(flag for found in flags for flag in found)),
        groups=tuple(
            sorted((tuple(sorted(run.known[n].source_path for n in group)) for group in members), key=_largest_first)
        ),
        compared=run.compared,
        unreadable=tuple(sorted(run.unreadable.values())),
        seconds=time.monotonic() - started,
        version=manifest_version(layout.folder),
    )


class _Run:
    """One check."""

    def __init__(self, layout: Layout, *, workers: int, meter: Meter) -> None:
        self._layout, self._workers, self._meter = layout, workers, meter
        self.pictures = _good(layout)
        self.known: list[_Picture] = []
        self.unreadable: dict[str, tuple[str, str]] = {}
        self._seen: dict[str, tuple[Fingerprint, list[str]]] = {}
        self.looked_at = self.compared = 0

    def look(self) -> None:
        """Look at the pictures that no check has looked at."""
        self._read(self.pictures)
        missing = [picture for picture in self.pictures if picture.hash not in self._seen]
        jobs = [LookJob(self._layout.object(p.hash), self._layout.look(p.hash), p.pixels) for p in missing]
        of = {job.picture: picture for job, picture in zip(jobs, missing, strict=True)}

        def took(seen: list[tuple[Path, str]]) -> None:
            for path, reason in seen:
                if reason:
                    self.unreadable[of[path].hash] = (of[path].source_path, reason)

        self._meter.begin("looking", of_files=len(jobs))
        self._all(take_looks, list(parts(jobs, _LOOKS_A_JOB)), took=took)
        self._meter.end()
        self._read(missing)
        self.looked_at = len(jobs) - len(self.unreadable)

    def seen(self) -> tuple[list[list[str]], list[Fingerprint]]:
        """Return flags and fingerprints of all that could be looked at, which are `known` from now on."""
        self.known = [picture for picture in self.pictures if picture.hash in self._seen]
        seen = [self._seen.pop(picture.hash) for picture in self.known]
        return [flags for _, flags in seen], [found for found, _ in seen]

    def compare(self, prints: list[Fingerprint]) -> list[tuple[int, int]]:
        """Find the pairs that show the same."""
        verdicts = Verdicts(self._layout.compared)
        try:
            tied: list[tuple[int, int]] = []
            open_pairs: list[Candidate] = []
            self._meter.begin("comparing")
            for pair in candidates(prints):
                self._meter.check()
                same = verdicts.known(self._hash(pair.first), self._hash(pair.second), way=pair.way)
                if same is None:
                    open_pairs.append(pair)
                elif same:
                    tied.append((pair.first, pair.second))
            prints.clear()  # the workers read their own
            self._meter.begin("comparing", of_files=len(open_pairs))

            def took(answers: list[tuple[int, bool]]) -> None:
                pairs = [(open_pairs[number], same) for number, same in answers]
                verdicts.note((self._hash(p.first), self._hash(p.second), p.way, same) for p, same in pairs)
                tied.extend((pair.first, pair.second) for pair, same in pairs if same)

            numbered = enumerate(open_pairs)
            jobs = [
                CompareJob(tuple((n, self._look(p.first), self._look(p.second), p.way) for n, p in part))
                for part in parts(numbered, _PAIRS_A_JOB)
            ]
            self._all(compare, jobs, took=took)
            self._meter.end()
            self.compared = len(open_pairs)
            return tied
        finally:
            verdicts.close()

    def write(self, flags: list[list[str]], members: Sequence[list[int]]) -> None:
        """Write flags and groups into the manifest."""
        self._meter.begin("finishing")
        flags_of = {picture.hash: found for picture, found in zip(self.known, flags, strict=True)}
        group_of = {}
        for group in members:
            hashes = sorted(self.known[number].hash for number in group)
            group_of.update(dict.fromkeys(hashes, f"near-{hashes[0][:_GROUP_DIGITS]}"))

        def change(row: dict[str, Any]) -> dict[str, Any]:
            digest = str(row["hash"] if row["state"] in ("good", "duplicate") else None)
            return {"flags": flags_of.get(digest), "near_duplicate_group": group_of.get(digest)}

        change_manifest(self._layout, change)

    def _all(
        self,
        task: Callable[[Job], list[Answer]],
        jobs: Sequence[Job],
        *,
        took: Callable[[list[Answer]], None],
    ) -> None:
        """Do all jobs, in processes when there are many; what they return has as many members as they have."""

        def taken(answer: list[Answer]) -> None:
            took(answer)
            self._meter.add(files=len(answer))
            self._meter.check()

        try:
            if self._workers > 1 and len(jobs) >= _WORTH_PROCESSES * self._workers:
                in_processes(task, jobs, workers=self._workers, took=taken)
            else:
                for job in jobs:
                    taken(task(job))
        except WorkerDiedError as error:
            raise OutputError(
                f"a worker process died while it looked at pictures of '{self._layout.folder}', perhaps for lack of "
                f"memory: check again with fewer than {self._workers} workers, it goes on where it stopped. If it "
                "happens at once, in a script of your own, put the call behind `if __name__ == '__main__':`"
            ) from error

    def _read(self, pictures: Sequence[_Picture]) -> None:
        """Note what was seen of these, where there is a look."""
        for picture in pictures:
            if (found := read_look(self._layout.look(picture.hash), with_image=False)) is not None:
                self._seen[picture.hash] = found

    def _look(self, number: int) -> Path:
        return self._layout.look(self._hash(number))

    def _hash(self, number: int) -> str:
        return self.known[number].hash


def _good(layout: Layout) -> list[_Picture]:
    """Every good picture once, by hash, under its first path."""
    found = {}
    for batch in manifest_batches(layout.manifest, columns=_COLUMNS):
        for row in batch.to_pylist():
            if row["state"] == "good":
                if None in (row["hash"], row["width_px"], row["height_px"]):
                    raise DatasetError(
                        f"the manifest calls {row['source_path']!r} good but has no hash or size of it; expected what "
                        "an ingest wrote: move it away and ingest again"
                    )
                found[row["hash"]] = _Picture(row["hash"], row["source_path"], row["width_px"] * row["height_px"])
    return [found[digest] for digest in sorted(found)]


def _largest_first(group: tuple[str, ...]) -> tuple[int, tuple[str, ...]]:
    return -len(group), group
