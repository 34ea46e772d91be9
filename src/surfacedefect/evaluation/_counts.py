"""Counts that add up over scans and shards, and the ratios of a histogram of scores."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import Field, dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from surfacedefect.errors import EvaluationError
from surfacedefect.polygons import damaged_level

LEVELS = 256


def ratio(part: float, whole: float) -> float:
    """Divide two counts; nan when there is nothing to divide by."""
    return part / whole if whole else math.nan


class Counts:
    """Base of the frozen records of counts: ``a + b`` is the count of both.

    A field is a number, a tuple of numbers or another record of counts. A field with the metadata ``fixed`` says what
    was counted, such as the thresholds, and has to be equal in both.
    """

    def __add__(self, other: Self) -> Self:
        """Add up the counts of both."""
        if type(other) is not type(self):
            return NotImplemented
        self.check_same(other)
        return self.rebuilt(self.numbers() + other.numbers())

    def check_same(self, other: Self) -> None:
        """Refuse to add up what was counted differently."""
        mine, theirs = self._fixed(), other._fixed()
        if mine != theirs:
            raise EvaluationError(
                f"counts that were made with {theirs} cannot be added to counts made with {mine}; "
                "score all scans with the same thresholds"
            )

    def numbers(self) -> NDArray[np.int64]:
        """All counts in one row."""
        return np.fromiter(self._flat(), np.int64)

    def rebuilt(self, numbers: NDArray[np.int64]) -> Self:
        """Build the same record with other counts, given in one row."""
        return self._taken(iter(numbers.tolist()))

    def _flat(self) -> Iterator[int]:
        for field in _counted(self):
            value = getattr(self, field.name)
            if isinstance(value, Counts):
                yield from value._flat()
            elif isinstance(value, tuple):
                yield from value
            else:
                yield value

    def _taken(self, numbers: Iterator[int]) -> Self:
        values: dict[str, Any] = {}
        for field in fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if field.metadata.get("fixed"):
                values[field.name] = value
            elif isinstance(value, Counts):
                values[field.name] = value._taken(numbers)
            elif isinstance(value, tuple):
                values[field.name] = tuple(next(numbers) for _ in value)
            else:
                values[field.name] = next(numbers)
        return type(self)(**values)

    def _fixed(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for field in fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if field.metadata.get("fixed"):
                found[field.name] = value
            elif isinstance(value, Counts) and (inner := value._fixed()):
                found[field.name] = inner
        return found


def _counted(counts: Counts) -> list[Field[Any]]:
    return [field for field in fields(counts) if not field.metadata.get("fixed")]  # type: ignore[arg-type]


@dataclass(frozen=True)
class Curve:
    """Precision and recall at every threshold at which something is predicted, thresholds falling.

    Parameters
    ----------
    thresholds, precision, recall
        float64 arrays of one length, each in [0, 1].
    """

    thresholds: NDArray[np.float64]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]


@dataclass(frozen=True)
class ScoreHistogram(Counts):
    """How the uint8 scores of damaged and of clean things are distributed.

    Parameters
    ----------
    positives
        For each of the scores 0..255, how many damaged things have it.
    negatives
        The same of clean things.

    Raises
    ------
    EvaluationError
        A histogram does not have 256 bins.

    Examples
    --------
    >>> scores = ScoreHistogram((0,) * 255 + (3,), (5,) + (0,) * 255)
    >>> scores.average_precision, scores.prevalence
    (1.0, 0.375)
    """

    positives: tuple[int, ...] = (0,) * LEVELS
    negatives: tuple[int, ...] = (0,) * LEVELS

    def __post_init__(self) -> None:
        """Refuse histograms of another size."""
        for name, bins in (("positives", self.positives), ("negatives", self.negatives)):
            if len(bins) != LEVELS:
                raise EvaluationError(f"the histogram of {name} has {len(bins)} bins; expected {LEVELS}")

    @property
    def positive_count(self) -> int:
        """How many things are damaged."""
        return sum(self.positives)

    @property
    def negative_count(self) -> int:
        """How many things are clean."""
        return sum(self.negatives)

    @property
    def prevalence(self) -> float:
        """Share of damaged things, in [0, 1]; nan when there is nothing."""
        return ratio(self.positive_count, self.positive_count + self.negative_count)

    def confusion(self, threshold: float) -> tuple[int, int, int, int]:
        """Count true positives, false positives, false negatives and true negatives at a threshold."""
        level = damaged_level(threshold)
        true_positives, false_positives = sum(self.positives[level:]), sum(self.negatives[level:])
        return (
            true_positives,
            false_positives,
            self.positive_count - true_positives,
            self.negative_count - false_positives,
        )

    def precision(self, threshold: float) -> float:
        """Share of the predicted that is damaged, in [0, 1]; nan when nothing is predicted."""
        true_positives, false_positives, _, _ = self.confusion(threshold)
        return ratio(true_positives, true_positives + false_positives)

    def recall(self, threshold: float) -> float:
        """Share of the damaged that is predicted, in [0, 1]; nan when nothing is damaged."""
        true_positives, _, false_negatives, _ = self.confusion(threshold)
        return ratio(true_positives, true_positives + false_negatives)

    def f1(self, threshold: float) -> float:
        """Harmonic mean of precision and recall, in [0, 1]; nan when nothing is damaged and nothing predicted."""
        true_positives, false_positives, false_negatives, _ = self.confusion(threshold)
        return ratio(2 * true_positives, 2 * true_positives + false_positives + false_negatives)

    def accuracy(self, threshold: float) -> float:
        """Share of right answers, in [0, 1]; nan when there is nothing."""
        true_positives, false_positives, false_negatives, true_negatives = self.confusion(threshold)
        right = true_positives + true_negatives
        return ratio(right, right + false_positives + false_negatives)

    def curve(self) -> Curve:
        """Precision and recall over all thresholds that change something; empty when nothing is damaged."""
        hits, alarms = (np.cumsum(np.asarray(bins)[::-1]) for bins in (self.positives, self.negatives))
        levels = np.arange(LEVELS - 1, -1, -1)
        changes = np.diff(hits + alarms, prepend=0) > 0
        if not hits[-1]:
            changes[:] = False
        hits, alarms = hits[changes], alarms[changes]
        return Curve(levels[changes] / 255, hits / np.maximum(hits + alarms, 1), hits / max(self.positive_count, 1))

    @property
    def average_precision(self) -> float:
        """Area under the precision-recall steps, in [0, 1], 1 is best; nan when nothing is damaged.

        As in scikit-learn: the sum over thresholds of (gain in recall) x precision, no interpolation.
        """
        curve = self.curve()
        if not curve.recall.size:
            return math.nan
        return float(np.sum(np.diff(curve.recall, prepend=0.0) * curve.precision))

    def best_f1(self) -> tuple[float, float]:
        """Threshold of the best F1, and that F1; (nan, nan) when nothing is damaged or every score is 0."""
        curve = self.curve()
        thresholds = curve.thresholds[curve.thresholds > 0]  # a score of 0 is never predicted
        if not thresholds.size:
            return math.nan, math.nan
        precision, recall = curve.precision[: thresholds.size], curve.recall[: thresholds.size]
        f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
        best = int(np.argmax(f1))
        return float(thresholds[best]), float(f1[best])
