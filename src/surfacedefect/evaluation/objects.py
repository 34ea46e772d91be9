"""Object scores: which true regions are found, and how many predictions are false alarms.

A *blob* is what is connected (also over a corner) in the map at a threshold, or one predicted polygon. Blobs of under
30 px are dropped. A true region is found when the blobs together cover at least a quarter of its area. A blob is

- a hit when it touches the truth grown by 8 px;
- ignored when it does not, and at least half of its pixels are doubt or ignored (or of another kind);
- a false alarm otherwise.
"""

from __future__ import annotations

import math
import typing
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from shapely.geometry import MultiPolygon, Polygon

from surfacedefect._raster import burnt
from surfacedefect.errors import EvaluationError
from surfacedefect.evaluation._counts import Counts, ratio
from surfacedefect.evaluation._masks import Mask, as_probabilities, label_pixels
from surfacedefect.evaluation.protocol import NEITHER, KindTruth, Protocol
from surfacedefect.polygons import damaged_level

FROC_THRESHOLDS: tuple[float, ...] = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
"""Thresholds of the FROC curve, unless others are asked for."""


class Outlined(typing.Protocol):
    """A predicted polygon: a `Defect`, an annotated `Region`, or anything that has these three."""

    @property
    def kind(self) -> str:
        """What it is, such as ``"scratch"``."""

    @property
    def polygon(self) -> Polygon | MultiPolygon:
        """Its outline, (x, y) in pixels."""

    @property
    def score(self) -> float | None:
        """How sure the predictor is, in [0, 1]; ``None`` counts as 1."""


@dataclass(frozen=True, eq=False)
class FrocCurve:
    """Recall of the true regions against false alarms a scan.

    Parameters
    ----------
    thresholds, recall, false_alarms_per_scan
        float64 arrays of one length, thresholds rising.
    """

    thresholds: NDArray[np.float64]
    recall: NDArray[np.float64]
    false_alarms_per_scan: NDArray[np.float64]


@dataclass(frozen=True)
class ObjectCounts(Counts):
    """True regions and predicted blobs, at the operating point and at the thresholds of the FROC curve.

    Parameters
    ----------
    scans
        How many scans were counted.
    regions, found
        True regions, and those that are found.
    hits, false_alarms, ignored
        Blobs of each sort; ``predictions`` is their sum.
    thresholds
        Thresholds of the curve, rising.
    found_at, false_alarms_at
        Regions found and false alarms at each of them.

    Raises
    ------
    EvaluationError
        The three tuples of the curve differ in length.

    Examples
    --------
    >>> counts = ObjectCounts(scans=2, regions=4, found=3, hits=3, false_alarms=1)
    >>> counts.recall, counts.precision, counts.false_alarms_per_scan
    (0.75, 0.75, 0.5)
    """

    scans: int = 0
    regions: int = 0
    found: int = 0
    hits: int = 0
    false_alarms: int = 0
    ignored: int = 0
    thresholds: tuple[float, ...] = field(default=(), metadata={"fixed": True})
    found_at: tuple[int, ...] = ()
    false_alarms_at: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a curve whose parts do not belong together."""
        if not len(self.thresholds) == len(self.found_at) == len(self.false_alarms_at):
            raise EvaluationError(
                f"the curve has {len(self.thresholds)} thresholds, {len(self.found_at)} counts of regions found and "
                f"{len(self.false_alarms_at)} of false alarms; expected as many of each"
            )

    @property
    def predictions(self) -> int:
        """Blobs of every sort."""
        return self.hits + self.false_alarms + self.ignored

    @property
    def recall(self) -> float:
        """Share of the true regions that is found, in [0, 1]; nan when there are none."""
        return ratio(self.found, self.regions)

    @property
    def precision(self) -> float:
        """Share of hits among the blobs that are not ignored, in [0, 1]; nan when there are none."""
        return ratio(self.hits, self.hits + self.false_alarms)

    @property
    def false_alarms_per_scan(self) -> float:
        """False alarms over scans; nan when no scan was counted."""
        return ratio(self.false_alarms, self.scans)

    def froc(self) -> FrocCurve:
        """Recall and false alarms a scan at each threshold; nan where there is no region or no scan."""
        recall = np.array([ratio(found, self.regions) for found in self.found_at], np.float64)
        alarms = np.array([ratio(count, self.scans) for count in self.false_alarms_at], np.float64)
        return FrocCurve(np.array(self.thresholds, np.float64), recall, alarms)

    def recall_at(self, false_alarms_per_scan: float) -> float:
        """Best recall among the thresholds of the curve down to which there are at most so many false alarms a scan.

        Below the first threshold that gives more none counts, even if it gives fewer: there blobs have melted into few
        that touch the truth somewhere. No interpolation; 0 when every threshold gives more, nan when there is no
        curve, no region or no scan.
        """
        if not (self.thresholds and self.regions and self.scans):
            return math.nan
        curve = self.froc()
        within = (curve.false_alarms_per_scan <= false_alarms_per_scan)[::-1]
        allowed = curve.recall[::-1][np.logical_and.accumulate(within)]
        return float(allowed.max()) if allowed.size else 0.0


def objects_from_map(
    probabilities: NDArray[np.uint8],
    truth: KindTruth,
    *,
    threshold: float,
    froc_thresholds: Sequence[float] = FROC_THRESHOLDS,
    protocol: Protocol | None = None,
) -> ObjectCounts:
    """Count regions and blobs of one scan, the blobs of the map at each threshold.

    Parameters
    ----------
    probabilities
        (H, W) uint8, 0..255 for 0..1.
    truth
        The truth of that scan, one view.
    threshold
        The operating point, in [0, 1].
    froc_thresholds
        Thresholds of the FROC curve, each in [0, 1]; empty for none.
    protocol
        The numbers; ``None`` for the published ones.

    Raises
    ------
    EvaluationError
        The map is not uint8 or not of the shape of the truth.
    OptionError
        A threshold is out of its range.

    Examples
    --------
    >>> from surfacedefect.evaluation import prepare_truth
    >>> mask = np.zeros((100, 100), np.uint8)
    >>> mask[10:20, 10:20] = 1
    >>> objects_from_map(200 * mask[::-1], prepare_truth({"dent": mask}).views["dent"], threshold=0.5).false_alarms
    1
    """
    rules = protocol or Protocol()
    values = as_probabilities(probabilities, name="probabilities", shape=truth.shape)
    _, operating, curve = judge_map(values, truth, threshold=threshold, steps=rising(froc_thresholds), protocol=rules)
    return object_counts(operating, curve=curve, truth=truth)


@dataclass(frozen=True)
class Judged:
    """The blobs of one scan at one threshold: regions found, and the count of each sort."""

    found: int
    hits: int
    false_alarms: int
    ignored: int


def object_counts(operating: Judged, *, curve: typing.Mapping[float, Judged], truth: KindTruth) -> ObjectCounts:
    """Put the judged blobs of one scan into counts."""
    return ObjectCounts(
        scans=1,
        regions=len(truth.areas_px),
        found=operating.found,
        hits=operating.hits,
        false_alarms=operating.false_alarms,
        ignored=operating.ignored,
        thresholds=tuple(curve),
        found_at=tuple(judged.found for judged in curve.values()),
        false_alarms_at=tuple(judged.false_alarms for judged in curve.values()),
    )


def judge_map(
    values: NDArray[np.uint8], truth: KindTruth, *, threshold: float, steps: Sequence[float], protocol: Protocol
) -> tuple[Mask, Judged, dict[float, Judged]]:
    """Judge the blobs of a map at the operating point and at every step of the curve.

    Returns
    -------
    predicted, operating, curve
        What is predicted at the operating point, small blobs dropped; its counts; the counts at each step.
    """
    levels = {step: damaged_level(step) for step in (threshold, *steps)}
    at = np.flatnonzero(values >= min(levels.values()))  # blobs are rare: work on their pixels only
    known = (truth.state.ravel()[at] == NEITHER, truth.near.ravel()[at], truth.labels.ravel()[at])
    pixels = _Pixels(at, values.ravel()[at], *known)
    kept, operating = pixels.from_level(levels[threshold]).judged(truth, protocol=protocol)
    predicted = np.zeros(truth.shape, bool)
    predicted.ravel()[kept] = True
    curve = {}
    for step in sorted(steps):  # each leaves fewer pixels for the next
        pixels = pixels.from_level(levels[step])
        curve[step] = pixels.judged(truth, protocol=protocol)[1]
    return predicted, operating, curve


class _Pixels(typing.NamedTuple):
    """Some pixels of a map: where in the flattened map, their values, and what the truth says of each."""

    at: NDArray[np.int64]
    values: NDArray[np.uint8]
    neither: Mask
    near: Mask
    region: NDArray[np.int32]

    def from_level(self, level: int) -> _Pixels:
        """Keep those from a level on."""
        kept = self.values >= level
        if kept.all():
            return self
        return _Pixels(self.at[kept], self.values[kept], self.neither[kept], self.near[kept], self.region[kept])

    def judged(self, truth: KindTruth, *, protocol: Protocol) -> tuple[NDArray[np.int64], Judged]:
        """Judge the blobs that these pixels make; return where those are that are large enough, too."""
        numbers, count = label_pixels(self.at, width=truth.shape[1])
        large = np.bincount(numbers, minlength=count) >= protocol.least_predicted_px
        kept = large[numbers]
        numbers = numbers[kept]
        sizes = np.bincount(numbers, minlength=count)
        neither = np.bincount(numbers[self.neither[kept]], minlength=count)
        touches = np.bincount(numbers[self.near[kept]], minlength=count) > 0
        outside = neither >= protocol.ignored_share * sizes
        return self.at[kept], Judged(
            found=_found(self.region[kept], truth, protocol=protocol),
            hits=int((large & touches).sum()),
            false_alarms=int((large & ~touches & ~outside).sum()),
            ignored=int((large & ~touches & outside).sum()),
        )


def objects_from_polygons(
    polygons: Iterable[Outlined],
    truth: KindTruth,
    *,
    froc_thresholds: Sequence[float] = FROC_THRESHOLDS,
    protocol: Protocol | None = None,
) -> ObjectCounts:
    """Count regions and predicted polygons of one scan; the FROC curve takes those with at least a score.

    A polygon's pixels are those whose centres lie inside it; it is dropped when its area is under 30 px². One that lies
    outside of the scan is a false alarm.

    Parameters
    ----------
    polygons
        The predictions at the operating point, such as `Detections`. Their kinds are not looked at here.
    truth
        The truth of that scan, one view.
    froc_thresholds
        Scores of the FROC curve, each in [0, 1]; empty for none.
    protocol
        The numbers; ``None`` for the published ones.

    Raises
    ------
    EvaluationError
        A score is out of its range.
    OptionError
        A threshold is out of its range.

    Examples
    --------
    >>> from shapely.geometry import box
    >>> from surfacedefect.annotations import Region
    >>> from surfacedefect.evaluation import prepare_truth
    >>> mask = np.zeros((100, 100), np.uint8)
    >>> mask[10:20, 10:20] = 1
    >>> found = [Region("dent", box(10, 10, 20, 14), 0.8), Region("dent", box(50, 50, 70, 70), 0.3)]
    >>> counts = objects_from_polygons(found, prepare_truth({"dent": mask}).views["dent"])
    >>> counts.recall, counts.false_alarms, counts.recall_at(0)
    (1.0, 1, 1.0)
    """
    judged = judge_polygons(polygons, truth, protocol=protocol or Protocol())
    curve = {step: judged.at(step) for step in rising(froc_thresholds)}
    return object_counts(judged.at(0.0), curve=curve, truth=truth)


@dataclass(frozen=True, eq=False)
class JudgedPolygons:
    """The polygons of one scan: the score of each sort, and the score up to which each region stays found."""

    predicted: Mask
    found: NDArray[np.float64]
    hits: NDArray[np.float64]
    false_alarms: NDArray[np.float64]
    ignored: NDArray[np.float64]

    def at(self, score: float) -> Judged:
        """Count the polygons with at least a score."""
        sorts = (self.found, self.hits, self.false_alarms, self.ignored)
        return Judged(*(int((scores >= score).sum()) for scores in sorts))


def judge_polygons(polygons: Iterable[Outlined], truth: KindTruth, *, protocol: Protocol) -> JudgedPolygons:
    """Judge predicted polygons."""
    best = np.full(truth.shape, -1.0)  # highest score of a polygon over each pixel
    scores: dict[str, list[float]] = {"hits": [], "false_alarms": [], "ignored": []}
    for outlined in polygons:
        score = _score(outlined)
        if outlined.polygon.area < protocol.least_predicted_px:
            continue
        box, inside = pixels_of(outlined.polygon, shape=truth.shape)
        np.maximum(best[box], score, out=best[box], where=inside)
        pixels = int(inside.sum())
        if truth.near[box][inside].any():
            sort = "hits"
        elif pixels and (truth.state[box][inside] == NEITHER).sum() >= protocol.ignored_share * pixels:
            sort = "ignored"
        else:
            sort = "false_alarms"
        scores[sort].append(score)
    sorted_scores = {sort: np.array(values, np.float64) for sort, values in scores.items()}
    return JudgedPolygons(best >= 0, found=_found_up_to(best, truth, protocol=protocol), **sorted_scores)


def pixels_of(polygon: Polygon | MultiPolygon, *, shape: tuple[int, int]) -> tuple[tuple[slice, slice], Mask]:
    """Box of a polygon within an array (rows and cols as slices), and which of the box's pixels lie inside it."""
    x_min, y_min, x_max, y_max = polygon.bounds
    (top, bottom), (left, right) = (
        (min(max(math.floor(low), 0), side), min(max(math.ceil(high), 0), side))
        for low, high, side in ((y_min, y_max, shape[0]), (x_min, x_max, shape[1]))
    )
    box = slice(top, bottom), slice(left, right)
    size = bottom - top, right - left
    if 0 in size:
        return box, np.zeros(size, bool)
    return box, burnt([polygon], shape=size, corner=(left, top)) > 0


def _score(outlined: Outlined) -> float:
    score = 1.0 if outlined.score is None else float(outlined.score)
    if not 0 <= score <= 1:
        raise EvaluationError(f"the score of a predicted polygon is {score}; expected a number in [0, 1]")
    return score


def rising(thresholds: Sequence[float]) -> tuple[float, ...]:
    """Check thresholds, sort them, and leave out what stands twice."""
    for threshold in thresholds:
        damaged_level(threshold)  # checks the range
    return tuple(sorted(set(thresholds)))


def _found(region_of_pixel: NDArray[np.int32], truth: KindTruth, *, protocol: Protocol) -> int:
    """How many regions are covered, from the region number at every predicted pixel."""
    covered = np.bincount(region_of_pixel, minlength=len(truth.areas_px) + 1)[1:]
    return int((covered >= protocol.found_share * truth.areas_px).sum())


def _found_up_to(best: NDArray[np.float64], truth: KindTruth, *, protocol: Protocol) -> NDArray[np.float64]:
    """For every region the score of the last pixel, best first, that makes it found; -1 when it is not."""
    at = np.flatnonzero(truth.labels)
    numbers = truth.labels.ravel()[at]
    order = np.lexsort((-best.ravel()[at], numbers))
    starts = np.cumsum(truth.areas_px) - truth.areas_px
    needed = np.maximum(np.ceil(protocol.found_share * truth.areas_px - 1e-9).astype(np.int64), 1)
    up_to: NDArray[np.float64] = best.ravel()[at][order][starts + needed - 1]
    return up_to
