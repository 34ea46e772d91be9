"""The pictures that weights are judged on, and what is counted on each of them.

Real photographs (SURFACEDEFECT_REAL_DATA), rendered scans with damage and rendered scans without any. Each model looks
at a picture once; everything else comes from its map and its polygons.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path

from common import REAL_DATA
from numpy.typing import NDArray

import surfacedefect as sd
from surfacedefect.annotations import read_coco
from surfacedefect.evaluation import (
    TOGETHER,
    KindTruth,
    LengthCounts,
    ObjectCounts,
    Report,
    ScanScore,
    Truth,
    count_length,
    prepare_truth,
    score_scan,
    summarise,
    truth_of,
)
from surfacedefect.evaluation.objects import judge_map, objects_from_polygons
from surfacedefect.synthetic import SyntheticConfig, render_scan

STEPS = tuple(round(0.01 * step, 2) for step in range(1, 101))
"""Thresholds of the map, and least scores of the polygons, for what any other operating point would give."""
SCRATCH = "scratch"


@dataclass(frozen=True, eq=False)
class Picture:
    """One picture to be looked at, and its truth."""

    part: str
    name: str
    scan: Path | NDArray
    truth: Truth
    group: str | None = None


def photographs(folders: Sequence[str] = ("valid", "demo"), *, limit: int | None = None) -> Iterator[Picture]:
    """Yield the real photographs, at most `limit` of each part; a part is a folder and an origin."""
    taken: Counter[str] = Counter()
    for folder in folders:
        for record in read_coco(REAL_DATA / folder / "annotations.json").images:
            part = f"{folder}/{record.origin}"
            taken[part] += 1
            if limit is None or taken[part] <= limit:
                path = REAL_DATA / folder / "images" / record.file_name
                yield Picture(part, record.file_name, path, truth_of(record), record.group)


def rendered(part: str, config: SyntheticConfig, *, first_seed: int, count: int) -> Iterator[Picture]:
    """Yield rendered scans, seed after seed."""
    for seed in range(first_seed, first_seed + count):
        made = render_scan(seed, config)
        yield Picture(part, f"seed {seed}", made.image, prepare_truth(made.truth.masks, ignore=made.truth.ignore))


@dataclass(frozen=True, eq=False)
class Looked:
    """What is counted on one picture.

    Attributes
    ----------
    score
        The U-Net's: the polygons that it reports by default as objects, its map as pixels and tiles.
    polygons
        How many polygons of any kind, wherever they lie.
    ranked
        For every kind all polygons at the default threshold, counted from each of `STEPS` on as the least score.
    blobs, lengths
        Scratches in its map at each of `STEPS`: regions found and false alarms, and length met.
    rival
        The tile classifier's score; None without one.
    """

    score: ScanScore
    polygons: int
    ranked: dict[str, ObjectCounts]
    blobs: ObjectCounts
    lengths: tuple[LengthCounts, ...]
    rival: ScanScore | None


def look(picture: Picture, detector: sd.Detector, tiles: sd.Detector | None) -> Looked:
    """Let both models look at a picture."""
    started = time.perf_counter()
    found = detector.detect(picture.scan)
    seconds = time.perf_counter() - started
    maps = {kind: found.probability_map.read(kind) for kind in found.kinds}
    thresholds = dict(found.thresholds)
    thresholds[TOGETHER] = min(thresholds.values())
    score = score_scan(
        maps,
        picture.truth,
        threshold=thresholds,
        polygons=found,
        group=picture.group,
        seconds=seconds,
        froc_thresholds=(),
    )
    blobs, lengths = at_every_step(maps[SCRATCH], picture.truth)
    rival = None if tiles is None else look_at_tiles(picture, tiles)
    return Looked(score, len(found), ranked(found, picture.truth), blobs, lengths, rival)


def ranked(found: sd.Detections, truth: Truth) -> dict[str, ObjectCounts]:
    """Judge all outlines at the default thresholds, whatever their score, from each of `STEPS` on."""
    outlines = found.at(dict(found.thresholds))
    return {
        kind: objects_from_polygons(
            [one for one in outlines if kind in (one.kind, TOGETHER)],
            truth.views[kind],
            froc_thresholds=STEPS,
            protocol=truth.protocol,
        )
        for kind in {*found.kinds, TOGETHER} & truth.views.keys()
    }


def look_at_tiles(picture: Picture, tiles: sd.Detector) -> ScanScore:
    """Score the tile classifier's map, in which each tile has one probability."""
    started = time.perf_counter()
    found = tiles.probability_map(picture.scan).read(TOGETHER)
    seconds = time.perf_counter() - started
    threshold = tiles.predictor.card.threshold(TOGETHER)
    return score_scan(
        {TOGETHER: found},
        picture.truth,
        threshold=threshold,
        group=picture.group,
        seconds=seconds,
        froc_thresholds=(),
    )


def at_every_step(values: NDArray, truth: Truth) -> tuple[ObjectCounts, tuple[LengthCounts, ...]]:
    """Judge the scratches of a map at each of `STEPS`, one after the other: a mask of a 4K scan takes 12 MB."""
    view: KindTruth = truth.views[SCRATCH]
    found, alarms, lengths = [], [], []
    for step in STEPS:
        predicted, judged, _ = judge_map(values, view, threshold=step, steps=(), protocol=truth.protocol)
        found.append(judged.found)
        alarms.append(judged.false_alarms)
        lengths.append(count_length(predicted, view, protocol=truth.protocol))
    curve = {"thresholds": STEPS, "found_at": tuple(found), "false_alarms_at": tuple(alarms)}
    return ObjectCounts(scans=1, regions=len(view.areas_px), **curve), tuple(lengths)


@dataclass(frozen=True, eq=False)
class Part:
    """The pictures of a part, added up."""

    looked: Sequence[Looked]
    report: Report
    rival: Report | None
    ranked: dict[str, ObjectCounts]
    blobs: ObjectCounts
    lengths: Sequence[LengthCounts]

    @classmethod
    def of(cls, looked: Sequence[Looked]) -> Part:
        """Add up the pictures."""
        rivals = [one.rival for one in looked if one.rival is not None]
        return cls(
            looked,
            report=summarise([one.score for one in looked]),
            rival=summarise(rivals) if rivals else None,
            ranked={kind: reduce(add, (one.ranked[kind] for one in looked)) for kind in looked[0].ranked},
            blobs=reduce(add, (one.blobs for one in looked)),
            lengths=[reduce(add, step) for step in zip(*(one.lengths for one in looked), strict=True)],
        )

    @property
    def groups(self) -> list[str | None]:
        """Group of each picture."""
        return [one.score.group for one in self.looked]

    @property
    def polygons_per_scan(self) -> float:
        """Polygons at the default thresholds, of any kind, wherever they lie."""
        return sum(one.polygons for one in self.looked) / len(self.looked)

    def metric(self, kind: str, name: str) -> float:
        """Give a figure of the U-Net."""
        return self.report.kinds[kind].metrics[name].value

    def rival_metric(self, name: str) -> float:
        """Give a figure of the tile classifier; nan without one."""
        return float("nan") if self.rival is None else self.rival.kinds[TOGETHER].metrics[name].value
