"""What a model does at every threshold, measured on annotated pictures, and what to report by default."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from surfacedefect.card import OperatingPoint
from surfacedefect.detections import Detections
from surfacedefect.evaluation import (
    KindScore,
    ObjectCounts,
    Protocol,
    bootstrap_bands,
    bootstrap_intervals,
    probabilities_of,
    score_scan,
    truth_of,
)
from surfacedefect.evaluation.objects import FROC_THRESHOLDS
from surfacedefect.polygons import damaged_level

if TYPE_CHECKING:
    from surfacedefect.annotations import AnnotatedImage
    from surfacedefect.detector import Detector

Floats = NDArray[np.float64]

THRESHOLDS = tuple(math.floor(1e4 * level / 255) / 1e4 for level in range(1, 256))
"""Every level of a map, 1/255 to 1, rounded down so that it is that level and not the next."""
MOST_FALSE_ALARMS = 10.0
"""False alarms a scan that are reported by default, at most."""
LEAST_FOUND = 0.25
"""Share of the true regions that has to be reported by default, as far as the first limit allows."""
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
    outlined
        As `kinds`, but objects are the polygons of a threshold, counted from each score on, and a pixel has the highest
        score of the polygons over it; empty when nothing was outlined.
    """

    kinds: dict[str, list[KindScore]]
    groups: list[str | None]
    pixels: int
    data: str
    outlined: dict[str, list[KindScore]]

    def total(self, kind: str) -> KindScore:
        """Add up the counts of all pictures."""
        first, *others = self.kinds[kind]
        return sum(others, first)

    def objects(self, kind: str) -> ObjectCounts:
        """Add up the polygons of all pictures, from each score on."""
        first, *others = (score.objects for score in self.outlined[kind])
        return sum(others, first)


def score_pictures(
    detector: Detector,
    pictures: Iterable[tuple[AnnotatedImage, Path | NDArray[np.uint8]]],
    *,
    data: str,
    kinds: Sequence[str] | None = None,
    thresholds: Sequence[float] = FROC_THRESHOLDS,
    outline: Mapping[str, float] | None = None,
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
        Where objects are counted: blobs of the map at each, polygons from each score on.
    outline
        Threshold of each kind at which polygons are outlined; None for none.
    """
    card = detector.predictor.card
    predicted = card.kinds
    protocol = Protocol(least_predicted_px=max(math.ceil(detector.options.least_area_for(card)), 1))
    counts: dict[str, list[KindScore]] = {kind: [] for kind in predicted}
    outlined: dict[str, list[KindScore]] = {kind: [] for kind in predicted if outline}
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
        if outline:
            polygons = Detections.from_map(
                found, scan_reference=None, threshold=outline, kinds=predicted,
                least_area_px=detector.options.least_area_for(card), simplify_px=card.simplify_px,
            )  # fmt: skip
            drawn = probabilities_of(polygons, shape=(found.height, found.width), kinds=predicted)
            score = score_scan(drawn, truth, threshold=0.5, polygons=polygons, froc_thresholds=thresholds)
            for kind in predicted:
                outlined[kind].append(score.kinds[kind])
    return PictureScores(counts, groups, pixels, data, outlined)


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


def outline_threshold(kind: str, scores: PictureScores) -> float | None:
    """Return the threshold whose outlines fit the true ones best: that of the highest pixel F1, the lowest of equals.

    None where no threshold finds any damage of that kind, or there is none.

    Parameters
    ----------
    kind
        Damage kind.
    scores
        All validation pictures.
    """
    pixels = scores.total(kind).pixels
    fits = np.nan_to_num([pixels.f1(threshold) for threshold in THRESHOLDS])
    return THRESHOLDS[int(fits.argmax())] if fits.any() else None


def least_score(kind: str, *limits: tuple[PictureScores, float]) -> float:
    """Return the lowest score from which on false alarms stay within limits on several sets of pictures.

    Parameters
    ----------
    kind
        Damage kind.
    limits
        Scores of a set of pictures, their `outlined` at the same scores, and the most false alarms on all of them
        together.

    Returns
    -------
    float
        In (0, 1]; the highest measured one when none keeps within the limits.
    """
    totals = [(scores.objects(kind), most) for scores, most in limits]
    steps = totals[0][0].thresholds
    allowed = np.all([np.asarray(counts.false_alarms_at) <= most for counts, most in totals], axis=0)
    first = len(allowed) - int(np.argmin(np.append(allowed[::-1], False)))
    return steps[min(first, len(steps) - 1)]


def default_score(kind: str, scores: PictureScores, *limits: tuple[PictureScores, float]) -> float:
    """Return the score to report from by default: the lowest within the limits, unless it would find next to nothing.

    Parameters
    ----------
    kind
        Damage kind.
    scores
        All validation pictures: where less than `LEAST_FOUND` of their regions would be found, the last limit is left
        out, and then the one before it; the first one always holds.
    limits
        See `least_score`, the one that matters most first.
    """
    objects = scores.objects(kind)
    chosen = least_score(kind, *limits)
    found = objects.froc().recall[objects.thresholds.index(chosen)]
    if len(limits) > 1 and found < LEAST_FOUND:  # nan: there is nothing to be found
        return default_score(kind, scores, *limits[:-1])
    return chosen


def default_points(
    scores: PictureScores, *, thresholds: Mapping[str, float], least: Mapping[str, float]
) -> tuple[OperatingPoint, ...]:
    """Return what is reported by default: outlined at the threshold, with at least the score.

    Parameters
    ----------
    scores
        Of a set of pictures, with what was `outlined` at these thresholds.
    thresholds, least
        Of every kind.
    """
    points = []
    for kind, counts in scores.outlined.items():
        number = THRESHOLDS.index(least[kind])

        def reported(score: KindScore, number: int = number) -> dict[str, float]:
            return {name: float(column[number]) for name, column in figures(score).items()}

        values = reported(sum(counts[1:], counts[0]))
        names = {name: (lambda score, name=name: reported(score)[name]) for name in values}
        intervals = bootstrap_intervals(counts, scores.groups, metrics=names)
        points.append(
            OperatingPoint(
                kind=kind,
                threshold=thresholds[kind],
                data=scores.data,
                least_score=least[kind],
                intervals={name: _rounded((ends.low, ends.high)) for name, ends in intervals.items() if ends},
                **{name: float(np.round(value, 4)) for name, value in values.items()},
            )
        )
    return tuple(points)


def most_on(scores: PictureScores) -> float:
    """Return how many false alarms `MOST_FALSE_ALARMS` a scan are on pictures of these sizes."""
    return MOST_FALSE_ALARMS * scores.pixels / SCAN_PX


def _rounded(pair: tuple[float, float]) -> tuple[float, float]:
    return round(pair[0], 4), round(pair[1], 4)
