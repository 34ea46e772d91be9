"""What a model does at every threshold, measured on annotated pictures, and the threshold to use by default."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from surfacedefect.card import OperatingPoint
from surfacedefect.evaluation import KindScore, Protocol, bootstrap_bands, score_scan, truth_of
from surfacedefect.evaluation.objects import FROC_THRESHOLDS
from surfacedefect.polygons import damaged_level

if TYPE_CHECKING:
    from surfacedefect.annotations import AnnotatedImage
    from surfacedefect.detector import Detector

Floats = NDArray[np.float64]

THRESHOLDS = tuple(math.floor(1e4 * level / 255) / 1e4 for level in range(1, 256))
"""Every level of a map, 1/255 to 1, rounded down so that it is that level and not the next."""
MOST_FALSE_ALARMS = 10.0
"""False alarms a scan that the default threshold allows."""
LEAST_FOUND = 0.25
"""Share of the true regions that a default threshold has to find, whatever its false alarms."""
NEAR_BEST = 0.95
"""Thresholds whose pixel F1 is at least this share of the highest are as good."""
SCAN_PX = 4096 * 3072
"""Pixels of a scan, to count false alarms by where pictures are smaller."""


@dataclass(frozen=True)
class PictureScores:
    """A model's counts on a set of pictures.

    Attributes
    ----------
    kinds
        For every kind its counts on each picture.
    groups
        Group of each picture, such as one car; None: a group of its own.
    pixels
        Pixels of all pictures together.
    data
        What was measured on, in words.
    """

    kinds: dict[str, list[KindScore]]
    groups: list[str | None]
    pixels: int
    data: str

    def total(self, kind: str) -> KindScore:
        """Add up the counts of all pictures."""
        first, *others = self.kinds[kind]
        return sum(others, first)


def score_pictures(
    detector: Detector,
    pictures: Iterable[tuple[AnnotatedImage, Path | NDArray[np.uint8]]],
    *,
    data: str,
    kinds: Sequence[str] | None = None,
    thresholds: Sequence[float] = FROC_THRESHOLDS,
) -> PictureScores:
    """Run a model over annotated pictures and count by the scoring protocol.

    Parameters
    ----------
    detector
        The model with its options; spots under its least area are dropped, as `detect` does.
    pictures
        Annotations, and the picture or its path.
    data
        What these pictures are, in words.
    kinds
        Kinds of the annotations; None for those of the model.
    thresholds
        Where objects are counted.
    """
    card = detector.predictor.card
    predicted = card.kinds
    protocol = Protocol(least_predicted_px=max(math.ceil(detector.options.least_area_for(card)), 1))
    counts: dict[str, list[KindScore]] = {kind: [] for kind in predicted}
    groups, pixels = [], 0
    for record, picture in pictures:
        groups.append(record.group)
        pixels += record.width * record.height
        found = detector.probability_map(picture)
        truth = truth_of(record, kinds=kinds or predicted, protocol=protocol)
        maps = {kind: found.read(kind) for kind in predicted}
        score = score_scan(maps, truth, threshold=0.5, froc_thresholds=thresholds)
        for kind in predicted:
            counts[kind].append(score.kinds[kind])
    return PictureScores(counts, groups, pixels, data)


def operating_points(scores: PictureScores) -> tuple[OperatingPoint, ...]:
    """Put the figures at every threshold into words that a card keeps, with 95 % intervals where groups suffice."""
    points = []
    for kind, counts in scores.kinds.items():
        total = scores.total(kind)
        values = figures(total)
        bands = bootstrap_bands(counts, scores.groups, metrics=figures)
        for number, threshold in enumerate(total.objects.thresholds):
            ends = {name: (float(low[number]), float(high[number])) for name, (low, high) in bands.items()}
            points.append(
                OperatingPoint(
                    kind=kind,
                    threshold=threshold,
                    data=scores.data,
                    intervals={name: _rounded(pair) for name, pair in ends.items() if not np.isnan(pair).any()},
                    **{name: float(np.round(column[number], 4)) for name, column in values.items()},
                )
            )
    return tuple(points)


def figures(score: KindScore) -> dict[str, Floats]:
    """Return the four figures of an operating point at each threshold of the curve; nan where undefined."""
    levels = [damaged_level(threshold) for threshold in score.objects.thresholds]
    right, wrong = (
        np.cumsum(np.asarray(counts, np.float64)[::-1])[::-1][levels]
        for counts in (score.pixels.positives, score.pixels.negatives)
    )
    froc = score.objects.froc()
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "pixel_recall": right / np.float64(score.pixels.positive_count),
            "pixel_precision": right / (right + wrong),
            "regions_found": froc.recall,
            "false_alarms_per_scan": froc.false_alarms_per_scan,
        }


def lowest_threshold(kind: str, *limits: tuple[PictureScores, float]) -> float:
    """Return the lowest threshold from which on false alarms stay within limits on several sets of pictures.

    Parameters
    ----------
    kind
        Damage kind.
    limits
        Scores of a set of pictures, each at the same thresholds, and the most false alarms on all of them together.

    Returns
    -------
    float
        In (0, 1]; the highest measured one when none keeps within the limits.
    """
    totals = [(scores.total(kind).objects, most) for scores, most in limits]
    thresholds = totals[0][0].thresholds
    allowed = np.all([np.asarray(counts.false_alarms_at) <= most for counts, most in totals], axis=0)
    first = len(allowed) - int(np.argmin(np.append(allowed[::-1], False)))
    return thresholds[min(first, len(thresholds) - 1)]


def default_threshold(kind: str, scores: PictureScores, *limits: tuple[PictureScores, float]) -> float:
    """Return the threshold to use by default: the lowest within the limits, unless it would find next to nothing.

    Parameters
    ----------
    kind
        Damage kind.
    scores
        All validation pictures: where less than `LEAST_FOUND` of their regions would be found, the highest threshold
        whose pixel F1 on them is nearly the best is taken instead, and its false alarms are borne.
    limits
        See `lowest_threshold`.
    """
    threshold = lowest_threshold(kind, *limits)
    total = scores.total(kind)
    thresholds = total.objects.thresholds
    if not total.objects.froc().recall[thresholds.index(threshold)] < LEAST_FOUND:  # nan: nothing is to be found
        return threshold
    f1 = np.nan_to_num([total.pixels.f1(each) for each in thresholds])
    return max(each for each, near in zip(thresholds, f1 >= NEAR_BEST * f1.max(), strict=True) if near)


def most_on(scores: PictureScores) -> float:
    """Return how many false alarms `MOST_FALSE_ALARMS` a scan are on pictures of these sizes."""
    return MOST_FALSE_ALARMS * scores.pixels / SCAN_PX


def _rounded(pair: tuple[float, float]) -> tuple[float, float]:
    return round(pair[0], 4), round(pair[1], 4)
