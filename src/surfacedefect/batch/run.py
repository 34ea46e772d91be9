"""`run`: inspect every scan of a source once, on this machine or on a Ray cluster; the same call goes on."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Protocol

from surfacedefect._machine import usable_cores
from surfacedefect._words import shortened
from surfacedefect.batch._beforehand import check_apart, check_options, check_travels, check_types, first_of
from surfacedefect.batch._journal import Journal, Known
from surfacedefect.batch._model import card_hash, card_of, checked_model
from surfacedefect.batch._one_scan import Setup
from surfacedefect.batch._outputs import Destination
from surfacedefect.batch._place import Place
from surfacedefect.batch.fleet import PAGE, write_page
from surfacedefect.batch.jobs import BUCKETS, Job, Result
from surfacedefect.batch.options import BatchOptions, checked_place
from surfacedefect.batch.progress import Meter, Told
from surfacedefect.batch.sources import ScanSource, open_scans
from surfacedefect.batch.table import FOLDER, adopted_facts, adopted_rows, missing_buckets, write_table
from surfacedefect.errors import BatchError, SourceError, require

_MOST_UNREAD, _MOST_CRASHED = 50, 20
"""Scans in a row that cannot be had, or that end their process, before the source or the machine is given up."""

_MOST_LOOKED_UP = 500

_ENDINGS = {"": ".geojson", "map": ".map.tif", "overlay": ".overlay.png"}
"""Of the files of a scan, by the output that asks for them."""

_TABLE_SHARE = 0.02
"""Most of the time that may go into writing the table while the batch runs."""


@dataclass(frozen=True, slots=True)
class BatchReport:
    """What a batch did.

    Attributes
    ----------
    dest
        The destination, without user and password.
    done, set_aside, unread
        Scans of this source that are inspected; that cannot be, for a reason that stays; that could not be had this
        time. Earlier runs count too.
    partly
        Those of `done` that were not inspected in full.
    computed, skipped
        Scans that this run inspected, and that were recorded before.
    repeated
        Names that the source gave again, which changes nothing.
    seconds
        How long this run took.
    not_done
        Name and reason of the first scans that are not done.
    page, table
        The fleet's page and the folder of the table, relative to the destination.
    """

    dest: str
    done: int
    set_aside: int
    unread: int
    partly: int
    computed: int
    skipped: int
    repeated: int
    seconds: float
    not_done: tuple[tuple[str, str], ...]
    page: str = PAGE
    table: str = FOLDER

    @property
    def complete(self) -> bool:
        """Whether every scan was inspected in full."""
        return not (self.set_aside or self.unread or self.partly)


class Engine(Protocol):
    """Something that inspects jobs, in any order, a bounded number at a time."""

    workers: int

    def results(self, jobs: Iterator[Job]) -> Iterator[Result]:
        """Yield what became of each job once."""


def run(
    source: str | os.PathLike[str],
    dest: str | os.PathLike[str],
    *,
    model: str | Path = "default",
    runtime: str = "auto",
    ray: str | None = None,
    options: BatchOptions | None = None,
    progress: Told | None = None,
) -> BatchReport:
    """Inspect every scan of a source once and write its results; the same call goes on where it stopped.

    For each scan that can be inspected the destination gets ``results/xx/NAME-<id>.geojson`` and, on wish,
    ``.map.tif`` and ``.overlay.png``; besides the table ``table/bucket=*/scans.parquet`` and the page ``index.html``.

    Parameters
    ----------
    source
        A folder or an address of scans; a list of names (``.txt``, one a line, a car after a tab); a data set of
        ``surfacedefect data`` or its ``manifest.parquet``, of which the good pictures are taken.
    dest
        A folder, or an address that fsspec writes to.
    model, runtime
        As for `Detector`; or ``"package.module:function"``, a function that returns a `Predictor` in each worker.
    ray
        None: processes of this machine. ``"local"``: a Ray cluster that is started here. ``"auto"`` or an address
        such as ``"ray://head:10001"``: that cluster, whose machines see source and destination under the same names.
    options
        Workers, outputs and so on; None for the defaults.
    progress
        Called with a `Progress` at most five times a second.

    Raises
    ------
    OptionError, ModelError, SourceError, OutputError, MissingExtraError
        What was given cannot be used, or no longer.
    BatchLockedError
        Another batch is writing into `dest`.
    BatchError
        The batch cannot go on; what was done is kept.

    Examples
    --------
    >>> import tempfile
    >>> from PIL import Image
    >>> folder = Path(tempfile.mkdtemp())
    >>> (folder / "scans").mkdir()
    >>> Image.new("RGB", (96, 64), "grey").save(folder / "scans" / "a.png")
    >>> run(folder / "scans", folder / "out", options=BatchOptions(workers=1)).done
    1
    """
    options = BatchOptions() if options is None else options
    source, dest, model = checked_place("source", source), checked_place("dest", dest), checked_model(model)
    check_types(ray, options, progress)
    require("pyarrow.parquet", extra="batch")
    started = time.monotonic()
    destination = Destination(
        dest,
        storage_options=options.dest_storage_options,
        retries=options.retries,
        backoff_s=options.backoff_s,
    )
    scans = open_scans(source, options=options, dest=destination.folder)
    with ExitStack() as held:
        held.callback(scans.close)
        card = card_of(model)
        check_options(options.detect, card)
        check_apart(source, destination)
        setup = Setup(model, runtime, card_hash(card), _address(dest, destination), options, _threads(options, ray=ray))
        check_travels(setup)
        engine = _engine(setup, ray)
        jobs = first_of(scans)
        destination.check()
        place = Place(dest, state_folder=options.state_folder)
        held.enter_context(place.locked())
        journal = Journal(place.journal)
        held.callback(journal.close)
        batch = _Batch(scans, journal, destination, setup, meter=Meter(progress, count=scans.count))
        batch.begin(card.name, card.kinds)
        batch.inspect(engine, jobs)
        batch.finish()
    return batch.report(seconds=time.monotonic() - started)


def _address(dest: str, destination: Destination) -> str:
    return str(destination.folder) if destination.folder is not None else dest


def _threads(options: BatchOptions, *, ray: str | None) -> int | None:
    if options.detect.threads is not None:
        return options.detect.threads
    if ray is not None:
        return max(1, round(options.cpus_per_worker))
    return max(1, usable_cores() // (options.workers or usable_cores()))


def _engine(setup: Setup, ray: str | None) -> Engine:
    if ray is not None:
        from surfacedefect.batch.ray_engine import RayEngine

        return RayEngine(setup, address=ray)
    from surfacedefect.batch.local import LocalEngine

    return LocalEngine(setup, workers=setup.options.workers or usable_cores())


class _Batch:
    """One run over a source, under the lock."""

    def __init__(self, scans: ScanSource, journal: Journal, dest: Destination, setup: Setup, *, meter: Meter) -> None:
        self._scans, self._journal, self._dest, self._setup, self._meter = scans, journal, dest, setup, meter
        self._model, self._options_hash = setup.card_hash, setup.options.results_hash()
        self._out: set[str] = set()  # names under way: bounded by the engine
        self._unread_in_row = self._crashed_in_row = 0
        self._table_at, self._table_took = time.monotonic(), 0.0
        self._table_written = self.repeated = 0
        self._stopped = False  # whether an earlier run did not come to its end
        self._holds_results = True
        self._asked = tuple(ending for name, ending in _ENDINGS.items() if not name or name in setup.options.outputs)
        self._counts = dict.fromkeys(("done", "set_aside", "unread", "partly"), 0)
        self._not_done: list[tuple[str, str]] = []

    def begin(self, model: str, kinds: tuple[str, ...]) -> None:
        """Take over what is there already, and note what runs now."""
        journal = self._journal
        if journal.fact("begun") is None:
            found_kinds, found_models = adopted_facts(self._dest)
            journal.adopt(adopted_rows(self._dest))
            journal.set_fact("kinds", found_kinds)
            journal.set_fact("models", found_models)
            journal.set_fact("begun", time.time())
        journal.begin_run()
        known = journal.fact("kinds", [])
        if new := [kind for kind in kinds if kind not in known]:
            journal.set_fact("kinds", [*known, *new])
            journal.outdate(range(BUCKETS))
        journal.outdate(missing_buckets(self._dest))
        self._holds_results = bool(self._dest.names("results"))
        self._stopped = bool(journal.fact("unfinished"))
        journal.set_fact("unfinished", True)
        journal.set_fact("models", {**journal.fact("models", {}), self._model: model})
        journal.set_fact("run", {"source": self._scans.name, "model": model, "at": time.time()})

    def inspect(self, engine: Engine, jobs: Iterator[Job]) -> None:
        """Have every scan inspected that is not recorded yet; record each as it comes."""
        results = engine.results(self._to_do(jobs))
        try:
            for result in results:
                self._take(result)
                self._refresh_table()
        finally:
            close = getattr(results, "close", None)
            if close is not None:
                close()

    def finish(self) -> None:
        """Write table and page, and clear up."""
        changed = write_table(self._journal, self._dest) or self._table_written
        if changed or self._stopped or PAGE not in self._dest.names(""):
            write_page(self._journal, self._dest, source=self._scans.name)
        # In a store of millions of objects, listing them all is not for nothing.
        if self._stopped or self._dest.folder is not None:
            self._dest.sweep("results")
        self._journal.set_fact("unfinished", False)
        self._meter.end()

    def report(self, *, seconds: float) -> BatchReport:
        """Sum up."""
        return BatchReport(
            dest=self._dest.shown,
            done=self._counts["done"],
            set_aside=self._counts["set_aside"],
            unread=self._counts["unread"],
            partly=self._counts["partly"],
            computed=self._meter.computed,
            skipped=self._meter.skipped,
            repeated=self.repeated,
            seconds=seconds,
            not_done=tuple(self._not_done),
        )

    def _to_do(self, jobs: Iterator[Job]) -> Iterator[Job]:
        """Hand out what is not recorded, with what is known of it.

        Where one scan after the other is recorded they are looked up many at a time; else one by one, so that no scan
        waits for a slow source to name the next.
        """
        many = 1
        while some := list(islice(jobs, many)):
            known = self._journal.known_of([job.name for job in some])
            to_do, passed = 0, dict[str, None]()
            for job in some:
                if job.name in passed:
                    self.repeated += 1
                    continue
                # What was recorded since the look-up counts: a name may come twice.
                left = self._left(job, self._journal.known(job.name) if to_do else known.get(job.name))
                if left is None:
                    passed[job.name] = None
                else:
                    to_do += 1
                    self._out.add(job.name)
                    yield left
            if passed:
                self._journal.seen(list(passed))
            many = 1 if to_do else min(_MOST_LOOKED_UP, 2 * many)

    def _left(self, job: Job, known: Known | None) -> Job | None:
        """Return the job with what is known of it, or None when nothing is to be done."""
        if job.name in self._out or (known is not None and known.run == self._journal.run):
            self.repeated += 1
            return None
        if known is None or not known.picture or (known.model, known.options) != (self._model, self._options_hash):
            return job
        if self._setup.options.retry_set_aside and known.state != "done":
            return job
        if known.state == "done" and not self._holds(job):
            return job  # somebody removed its results
        same = job.picture == known.picture or (known.version is not None and job.version == known.version)
        if same and not job.trouble:
            self._skip(job, known)
            return None
        return replace(job, known=(known.picture, known.version))

    def _holds(self, job: Job) -> bool:
        """Whether the results of a scan are there; in a store, where asking for each costs, whether any are."""
        folder = self._dest.folder
        if folder is None:
            return self._holds_results
        return all(os.path.isfile(f"{folder}/{job.stem}{ending}") for ending in self._asked)  # noqa: PTH113 - many

    def _skip(self, job: Job, known: Known) -> None:
        if job.group and job.group != known.car:
            self._journal.regroup(job)
        self._count(job.name, known.state, known.coverage, reason=known.reason)
        self._meter.add(skipped=1)

    def _count(self, name: str, state: str, coverage: float | None, *, reason: str) -> None:
        if state == "done":
            self._counts["done"] += 1
            self._counts["partly"] += coverage is not None and coverage < 1
            return
        self._counts["unread" if state == "unread" else "set_aside"] += 1
        if len(self._not_done) < 100:
            self._not_done.append((name, reason))

    def _take(self, result: Result) -> None:
        """Record one result; its files are written already."""
        job = result.job
        self._out.discard(job.name)
        if result.state == "stop":
            raise BatchError(
                f"stopped at '{shortened(job.name)}': {result.reason}. What was done is kept: run the same again to "
                "go on"
            )
        if result.state == "same":
            known = self._journal.known(job.name)
            self._journal.seen_again(result)
            self._journal.seen([job.name])
            if known is not None:
                self._skip(job, known)
            return
        if (old := self._journal.known(job.name)) is not None:
            if result.state == "unread" and old.state != "unread":
                # Out of reach today; what is known of the picture still holds.
                self._journal.seen([job.name])
                self._count(job.name, "unread", None, reason=result.reason)
                self._meter.add(not_done=1)
                self._give_up(result)
                return
            self._remove_old(job, keep=self._asked if result.state == "done" else ())
        self._journal.record(result, model=self._model, options=self._options_hash)
        self._count(job.name, result.state, result.found.get("coverage"), reason=result.reason)
        self._meter.add(computed=result.state == "done", not_done=result.state != "done")
        self._give_up(result)

    def _remove_old(self, job: Job, *, keep: tuple[str, ...]) -> None:
        """Remove what an earlier picture, model or option gave: it must not be taken for what is known now."""
        for ending in _ENDINGS.values():
            if ending not in keep:
                self._dest.remove(job.stem + ending)

    def _give_up(self, result: Result) -> None:
        """End when one scan after the other fails for a reason that is not theirs."""
        lost = result.state == "unread" and not result.found.get("lasting")
        self._unread_in_row = self._unread_in_row + 1 if lost else 0
        self._crashed_in_row = self._crashed_in_row + 1 if result.state == "crashed" else 0
        if self._unread_in_row >= _MOST_UNREAD:
            raise SourceError(
                f"'{shortened(self._scans.name)}' no longer answers: {_MOST_UNREAD} scans in a row could not be had, "
                f"the last with: {result.reason}. What was done is kept: run the same again to go on"
            )
        if self._crashed_in_row >= _MOST_CRASHED:
            raise BatchError(
                f"{_MOST_CRASHED} scans in a row ended their process, the last with: {result.reason}; expected a "
                "machine with enough memory and an engine that runs: try one with `surfacedefect detect`"
            )

    def _refresh_table(self) -> None:
        started = time.monotonic()
        least = max(self._setup.options.table_every_s, self._table_took / _TABLE_SHARE)
        if started - self._table_at >= least:
            self._table_written += write_table(self._journal, self._dest)
            self._table_at = time.monotonic()
            self._table_took = self._table_at - started
