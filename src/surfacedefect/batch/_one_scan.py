"""One scan from bytes to results: the only place that inspects, so that every engine gives the same bytes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from surfacedefect._words import unnamed
from surfacedefect.batch._model import card_hash, load
from surfacedefect.batch._outputs import Destination
from surfacedefect.batch._reading import Fetched
from surfacedefect.batch.jobs import GRID, Job, Result
from surfacedefect.batch.options import BatchOptions
from surfacedefect.detector import Detector
from surfacedefect.errors import (
    BatchError,
    MissingExtraError,
    ModelError,
    OptionError,
    OutputError,
    SurfaceDefectError,
)
from surfacedefect.scan import Scan

if TYPE_CHECKING:
    from surfacedefect.detections import Detections

_FOR_ALL = (ModelError, MissingExtraError, OptionError, OutputError)
"""Errors that no other scan would be spared."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What a worker must know to begin.

    Attributes
    ----------
    model, runtime
        See `surfacedefect.batch.run`.
    card_hash
        Of the card that the driver has; a worker with another one would give other results.
    dest
        Address of the destination.
    options
        Those of the batch.
    threads
        Threads of the engine in each worker.
    """

    model: str
    runtime: str
    card_hash: str
    dest: str
    options: BatchOptions
    threads: int | None


class Inspector:
    """Holds the model; inspects scans and writes their results.

    Raises
    ------
    SurfaceDefectError
        The model cannot be loaded, or it is not the driver's.
    """

    def __init__(self, setup: Setup) -> None:
        options = setup.options
        predictor = load(setup.model, runtime=setup.runtime, threads=setup.threads)
        if (found := card_hash(predictor.card)) != setup.card_hash:
            raise BatchError(
                f"this worker has '{setup.model}' with the card {found[:12]}..., the driver has "
                f"{setup.card_hash[:12]}...; expected the same weights on every machine: copy weights and card there"
            )
        self._detector = Detector(predictor, options=options.detect)
        self._outputs = options.outputs
        self._dest = Destination(
            setup.dest,
            storage_options=options.dest_storage_options,
            retries=options.retries,
            backoff_s=options.backoff_s,
        )

    def inspect(self, job: Job, fetched: Fetched) -> Result:
        """Inspect one scan and write what was found; whatever goes wrong is part of the result."""
        started = time.perf_counter()
        try:
            found = self._detect(job, fetched.path)
            if fetched.changed:
                return _replaced(job)
            self._write(job, found)
        except _FOR_ALL as error:
            return _ended(job, fetched, "stop", str(error))
        except SurfaceDefectError as error:
            if fetched.changed:
                return _replaced(job)
            reason = unnamed(str(error), job.file_name, fetched.path, fetched.path.name)
            return _ended(job, fetched, "set_aside", reason)
        except MemoryError:
            reason = "there is not enough memory for it; see `surfacedefect plan`"
            return _ended(job, fetched, "set_aside", reason)
        except Exception as error:
            return _ended(job, fetched, "set_aside", f"{type(error).__name__}: {error}")
        seconds = time.perf_counter() - started
        return Result(job, "done", "", fetched.picture, fetched.version, _facts(found), seconds)

    def _detect(self, job: Job, path: Path) -> Detections:
        options = self._detector.options
        scan = Scan.open(path, max_pixels=options.max_pixels, mm_per_px=options.mm_per_px)
        scan.name = job.file_name or scan.name  # what the results show: not the hash that a store keeps it under
        scan.close()
        return self._detector.detect(scan)

    def _write(self, job: Job, found: Detections) -> None:
        """Write the GeoJSON last: where it is, the others are."""
        if "map" in self._outputs:
            with self._dest.writing(f"{job.stem}.map.tif") as part:
                found.probability_map.save(part)
        if "overlay" in self._outputs:
            with self._dest.writing(f"{job.stem}.overlay.png") as part:
                found.plot(part)
        with self._dest.writing(f"{job.stem}.geojson") as part:
            found.to_geojson(part)


def _replaced(job: Job) -> Result:
    """Say that a scan was written anew, or removed, while it was looked at: what was seen is of no known picture."""
    reason = "it changed while it was inspected; expected a scan that is written in full"
    return Result(job, "unread", reason, found={"lasting": True})


def _ended(job: Job, fetched: Fetched, state: Any, reason: str) -> Result:
    return Result(job, state, " ".join(reason.split()), fetched.picture, fetched.version)


def _facts(found: Detections) -> dict[str, Any]:
    """Sum up what the table and the fleet's page need of a scan."""
    cells: dict[tuple[str, int], int] = {}
    for defect in found:
        middle = defect.polygon.envelope.centroid
        row = min(GRID[0] - 1, int(GRID[0] * middle.y / found.height))
        column = min(GRID[1] - 1, int(GRID[1] * middle.x / found.width))
        at = (defect.kind, row * GRID[1] + column)
        cells[at] = cells.get(at, 0) + 1
    scratches = [defect for defect in found if defect.kind == "scratch"]
    longest = max((defect.length_px for defect in scratches), default=0.0) if "scratch" in found.kinds else None
    scale = found.mm_per_px
    return {
        "counts": {kind: sum(defect.kind == kind for defect in found) for kind in found.kinds},
        "longest_scratch_px": None if longest is None else round(longest, 2),
        "longest_scratch_mm": None if longest is None or scale is None else round(longest * scale, 3),
        "coverage": found.coverage,
        "width_px": found.width,
        "height_px": found.height,
        "mm_per_px": scale,
        "cells": [[kind, cell, count] for (kind, cell), count in sorted(cells.items())],
    }
