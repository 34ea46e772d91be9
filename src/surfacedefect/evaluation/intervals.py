"""Bootstrap intervals over groups: scans of one car are alike, so whole cars are drawn, not scans."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from surfacedefect.errors import EvaluationError
from surfacedefect.evaluation._counts import Counts

CountsT = TypeVar("CountsT", bound=Counts)


@dataclass(frozen=True)
class Interval:
    """A confidence interval, both ends included."""

    low: float
    high: float


def bootstrap_intervals(
    counts: Sequence[CountsT],
    groups: Sequence[str | None],
    *,
    metrics: Mapping[str, Callable[[CountsT], float]],
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
    least_groups: int = 10,
) -> dict[str, Interval | None]:
    """Percentile bootstrap over groups, every metric on the same resamples.

    As many groups as there are get drawn with replacement, their counts are added up, and the metric is taken of the
    sum. A resample in which a metric is undefined is left out for that metric. (Efron and Tibshirani, An Introduction
    to the Bootstrap, 1993, chapter 13; groups as in the cluster bootstrap.)

    Parameters
    ----------
    counts
        Counts of each scan.
    groups
        Group of each scan; ``None`` is a group of its own.
    metrics
        Name and function of each metric.
    confidence
        Share of the resamples inside the interval, in (0, 1).
    resamples
        How many, at least 1.
    seed
        The same seed gives the same intervals.
    least_groups
        With fewer groups there is no interval.

    Returns
    -------
    dict of str to Interval or None
        ``None`` where there are too few groups, or the metric is undefined in over half of the resamples.

    Raises
    ------
    EvaluationError
        There are not as many groups as counts, or a number is out of its range.

    Examples
    --------
    >>> from surfacedefect.evaluation import LengthCounts
    >>> counts = [LengthCounts(100, 10 * i) for i in range(11)]
    >>> bootstrap_intervals(counts, [None] * 11, metrics={"recall": lambda c: c.recall})["recall"] is not None
    True
    >>> bootstrap_intervals(counts, ["car"] * 11, metrics={"recall": lambda c: c.recall})["recall"] is None
    True
    """
    _check(len(counts), len(groups), confidence=confidence, resamples=resamples)
    values: dict[str, list[float]] = {name: [] for name in metrics}
    for drawn in _resampled(counts, groups, resamples=resamples, seed=seed, least_groups=least_groups):
        for name, metric in metrics.items():
            values[name].append(metric(drawn))
    return {name: _percentiles(np.array(found), confidence=confidence) for name, found in values.items()}


def bootstrap_bands(
    counts: Sequence[CountsT],
    groups: Sequence[str | None],
    *,
    metrics: Callable[[CountsT], Mapping[str, NDArray[np.float64]]],
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
    least_groups: int = 10,
) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Percentile bootstrap of whole curves, as `bootstrap_intervals` makes it of single figures.

    Parameters
    ----------
    counts, groups, confidence, resamples, seed, least_groups
        See `bootstrap_intervals`.
    metrics
        Gives the curves of some counts, each float64 (n,), nan where it is undefined.

    Returns
    -------
    dict of str to (low, high)
        float64 (n,) each; nan where there is no interval. Empty where there are too few groups.

    Raises
    ------
    EvaluationError
        See `bootstrap_intervals`.

    Examples
    --------
    >>> from surfacedefect.evaluation import LengthCounts
    >>> counts = [LengthCounts(4, 2)] * 10
    >>> low, high = bootstrap_bands(counts, [None] * 10, metrics=lambda c: {"r": np.array([c.recall])})["r"]
    >>> low.tolist(), high.tolist()
    ([0.5], [0.5])
    """
    _check(len(counts), len(groups), confidence=confidence, resamples=resamples)
    curves: dict[str, list[NDArray[np.float64]]] = {}
    for drawn in _resampled(counts, groups, resamples=resamples, seed=seed, least_groups=least_groups):
        for name, values in metrics(drawn).items():
            curves.setdefault(name, []).append(values)
    ends = (1 - confidence) / 2, (1 + confidence) / 2
    bands = {}
    for name, rows in curves.items():
        values = np.stack(rows)
        known = 2 * (~np.isnan(values)).sum(axis=0) >= len(values)
        band = np.full((2, values.shape[1]), np.nan)
        if known.any():
            band[:, known] = np.nanquantile(values[:, known], ends, axis=0)
        bands[name] = band[0], band[1]
    return bands


def _check(counts: int, groups: int, *, confidence: float, resamples: int) -> None:
    if counts != groups:
        raise EvaluationError(f"there are {counts} counts and {groups} groups; expected one group a count")
    if not (0 < confidence < 1 and resamples >= 1):
        raise EvaluationError(
            f"confidence is {confidence} and resamples {resamples}; expected between 0 and 1, and at least 1"
        )


def _resampled(
    counts: Sequence[CountsT], groups: Sequence[str | None], *, resamples: int, seed: int, least_groups: int
) -> Iterator[CountsT]:
    """Draw as many groups as there are, again and again, and add up their counts; nothing with too few groups."""
    merged = merge_groups(counts, groups=groups)
    if len(merged) < max(least_groups, 1):
        return
    for part in merged[1:]:
        merged[0].check_same(part)
    rows = np.stack([part.numbers() for part in merged])
    generator = np.random.default_rng(seed)
    for _ in range(resamples):
        times = np.bincount(generator.integers(len(rows), size=len(rows)), minlength=len(rows))
        yield merged[0].rebuilt(times @ rows)


def bootstrap_interval(
    counts: Sequence[CountsT], groups: Sequence[str | None], *, metric: Callable[[CountsT], float], seed: int = 0
) -> Interval | None:
    """Bootstrap one metric; see `bootstrap_intervals`.

    Examples
    --------
    >>> from surfacedefect.evaluation import LengthCounts
    >>> bootstrap_interval([LengthCounts(4, 2)] * 10, [None] * 10, metric=lambda counts: counts.recall)
    Interval(low=0.5, high=0.5)
    """
    return bootstrap_intervals(counts, groups, metrics={"metric": metric}, seed=seed)["metric"]


def merge_groups(counts: Sequence[CountsT], *, groups: Sequence[str | None]) -> list[CountsT]:
    """Add up the counts of each group, groups in the order of their first scan."""
    merged: dict[object, CountsT] = {}
    for index, (part, group) in enumerate(zip(counts, groups, strict=True)):
        key: object = ("alone", index) if group is None else group
        merged[key] = merged[key] + part if key in merged else part
    return list(merged.values())


def _percentiles(values: np.ndarray[tuple[int], np.dtype[np.float64]], *, confidence: float) -> Interval | None:
    defined = values[~np.isnan(values)]
    if not len(values) or 2 * len(defined) < len(values):
        return None
    low, high = np.quantile(defined, [(1 - confidence) / 2, (1 + confidence) / 2])
    return None if math.isnan(low) else Interval(float(low), float(high))
