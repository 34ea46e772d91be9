"""Make probabilities mean what they say: of the pixels given 0.3, three in ten are damaged.

All is computed from two histograms a kind, how often each of the probabilities 0..255 was given to a damaged and to a
clean pixel: `evaluation.ScoreHistogram` has them as `positives` and `negatives`, `training.loop.count_levels` as an
array. They add up over pictures, so that a fit costs nothing however many pixels there are.

Calibration holds for the share of damage it was fitted on: where damage is ten times as rare, so is it at each
probability. It is strictly monotone, so that the order of the pixels stays, and with it average precision.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from surfacedefect.errors import EvaluationError

Floats = NDArray[np.float64]

LEVELS = 256
LEAST_SLOPE = 0.01
"""Smallest slope of a fit: a higher probability never becomes a lower one."""

_LEVEL = np.clip(np.arange(LEVELS), 0.25, LEVELS - 1.25) / (LEVELS - 1)  # the ends stand for half a step each
_LOGIT = np.log(_LEVEL / (1 - _LEVEL))
_RIDGE_PX = 1e-3  # pulls to the identity where the histograms leave a choice
_ROUNDS = 200


class Platt(NamedTuple):
    """The calibrated log-odds are ``slope * log-odds + offset``.

    Examples
    --------
    >>> Platt(1.0, 0.0).apply([0.0, 0.3, 1.0]).tolist()
    [0.0, 0.3, 1.0]
    >>> Platt(1.0, -2.0).apply([0.5]).round(3).tolist()
    [0.119]
    """

    slope: float
    offset: float

    def apply(self, probabilities: ArrayLike) -> Floats:
        """Return calibrated probabilities in [0, 1], float64 of the same shape; 0 stays 0 and 1 stays 1."""
        given = np.asarray(probabilities, np.float64)
        damaged, clean = given**self.slope, (1 - given) ** self.slope
        return np.asarray(damaged / (damaged + clean * np.exp(-self.offset)))


IDENTITY = Platt(1.0, 0.0)
"""Leaves every probability as it is."""


def fit_platt(damaged: ArrayLike, clean: ArrayLike) -> Platt:
    """Return the slope and offset of the least log loss, the slope at least `LEAST_SLOPE`.

    Parameters
    ----------
    damaged, clean
        256 counts each: how many damaged, and how many clean, pixels were given the probability v / 255.

    Returns
    -------
    Platt
        The identity when there is no damaged or no clean pixel: there is nothing to learn from.

    Raises
    ------
    EvaluationError
        Not 256 counts, or one that is negative or not finite.

    Notes
    -----
    Platt, *Probabilistic outputs for support vector machines*, 1999, with his targets, (n + 1) / (n + 2) instead of 1,
    which keep the slope finite where damaged and clean part perfectly; solved by Newton's method as in Lin, Lin and
    Weng, *A note on Platt's probabilistic outputs*, 2007. The loss is convex, so the bound is met by solving again on
    it.

    Examples
    --------
    >>> given = np.arange(256) / 255
    >>> truth = Platt(0.8, -1.5).apply(given)
    >>> slope, offset = fit_platt(1e6 * truth, 1e6 * (1 - truth))
    >>> round(slope, 2), round(offset, 2)
    (0.8, -1.5)
    """
    hurt, sound = _checked(damaged, clean)
    if not hurt.sum() or not sound.sum():
        return IDENTITY
    high, low = (hurt.sum() + 1) / (hurt.sum() + 2), 1 / (sound.sum() + 2)
    yes, pixels = hurt * high + sound * low, hurt + sound
    slope, offset = _least(yes, pixels, start=np.array([1.0, 0.0]), free=np.array([True, True]))
    if slope < LEAST_SLOPE:
        start = np.array([LEAST_SLOPE, _log_odds(float(yes.sum() / pixels.sum()))])
        slope, offset = _least(yes, pixels, start=start, free=np.array([False, True]))
    return Platt(float(slope), float(offset))


def fit_kinds(histograms: Mapping[str, tuple[ArrayLike, ArrayLike]]) -> dict[str, Platt]:
    """Fit every kind by itself, from (damaged, clean) a kind; see `fit_platt`."""
    return {kind: fit_platt(damaged, clean) for kind, (damaged, clean) in histograms.items()}


def log_loss(damaged: ArrayLike, clean: ArrayLike, *, platt: Platt = IDENTITY) -> float:
    """Return the mean log loss a pixel after a calibration, in nats, at least 0; nan without pixels.

    See `fit_platt` for the parameters. The ends of the scale stand for 0.25 / 255 and 1 - 0.25 / 255.
    """
    hurt, sound = _checked(damaged, clean)
    if not (pixels := hurt.sum() + sound.sum()):
        return float("nan")
    odds = platt.slope * _LOGIT + platt.offset
    return float((hurt @ np.logaddexp(0, -odds) + sound @ np.logaddexp(0, odds)) / pixels)


@dataclass(frozen=True, eq=False)
class ReliabilityCurve:
    """What was said against what was true, bin by bin; a well calibrated model lies on the diagonal.

    Parameters
    ----------
    edges
        float64 (B + 1): limits of the bins, from `least` to 1.
    said, true
        float64 (B): mean calibrated probability, and share of damaged pixels, in each bin; nan in an empty one.
    pixels
        float64 (B): pixels in each bin.
    """

    edges: Floats
    said: Floats
    true: Floats
    pixels: Floats

    @property
    def expected_error(self) -> float:
        """Expected calibration error: the mean of abs(said - true) over the pixels, in [0, 1]; nan without pixels."""
        if not self.pixels.sum():
            return float("nan")
        filled = self.pixels > 0
        gaps = np.abs(self.said[filled] - self.true[filled])
        return float(gaps @ self.pixels[filled] / self.pixels.sum())


def reliability_curve(
    damaged: ArrayLike, clean: ArrayLike, *, platt: Platt = IDENTITY, bins: int = 15, least: float = 0.0
) -> ReliabilityCurve:
    """Return the reliability curve after a calibration, over bins of even width.

    Parameters
    ----------
    damaged, clean
        See `fit_platt`.
    platt
        The calibration that is judged.
    bins
        How many bins, at least 1.
    least
        Pixels whose calibrated probability is below this count for nothing, in [0, 1). Nearly all pixels of a scan are
        clean and given about 0, so that with 0 the expected error is next to nothing for any model.

    Raises
    ------
    EvaluationError
        Not 256 counts, or `bins` or `least` is out of its range.

    Examples
    --------
    >>> sure = np.zeros(256)
    >>> sure[204] = 50
    >>> curve = reliability_curve(sure, sure, bins=5)
    >>> float(curve.said[4]), float(curve.true[4]), round(curve.expected_error, 3)
    (0.8, 0.5, 0.3)
    """
    hurt, sound = _checked(damaged, clean)
    if bins < 1 or not 0 <= least < 1:
        raise EvaluationError(f"bins={bins}, least={least}; expected at least 1, and a number in [0, 1)")
    edges = np.linspace(least, 1, bins + 1)
    given = platt.apply(_LEVEL)
    bin_of = np.clip(np.searchsorted(edges, given, side="right") - 1, 0, bins - 1)
    counted = given >= least

    def total(values: Floats) -> Floats:
        return np.bincount(bin_of[counted], weights=values[counted], minlength=bins).astype(np.float64)

    pixels = total(hurt + sound)
    with np.errstate(invalid="ignore"):
        return ReliabilityCurve(edges, total((hurt + sound) * given) / pixels, total(hurt) / pixels, pixels)


def expected_calibration_error(
    damaged: ArrayLike, clean: ArrayLike, *, platt: Platt = IDENTITY, bins: int = 15, least: float = 0.0
) -> float:
    """Return the expected calibration error, in [0, 1], 0 is best; see `reliability_curve`.

    Guo et al., *On calibration of modern neural networks*, 2017.
    """
    return reliability_curve(damaged, clean, platt=platt, bins=bins, least=least).expected_error


def _checked(damaged: ArrayLike, clean: ArrayLike) -> tuple[Floats, Floats]:
    checked = []
    for name, counts in (("damaged", damaged), ("clean", clean)):
        values = np.asarray(counts, np.float64)
        if values.shape != (LEVELS,):
            raise EvaluationError(f"the histogram of {name} pixels has shape {values.shape}; expected ({LEVELS},)")
        if not np.isfinite(values).all() or values.min() < 0:
            raise EvaluationError(
                f"the histogram of {name} pixels goes from {values.min()} to {values.max()}; expected counts"
            )
        checked.append(values)
    return checked[0], checked[1]


def _log_odds(share: float) -> float:
    return float(np.log(share / (1 - share)))


def _least(yes: Floats, pixels: Floats, *, start: Floats, free: NDArray[np.bool_]) -> Floats:
    """Newton's method with halved steps; only the free ones of slope and offset move."""
    design = np.column_stack([_LOGIT, np.ones(LEVELS)])
    aim = np.array([1.0, 0.0])

    def loss(at: Floats) -> float:
        odds = design @ at
        return float(pixels @ np.logaddexp(0, odds) - yes @ odds + _RIDGE_PX / 2 * np.sum((at - aim) ** 2))

    at, value = start, loss(start)
    for _ in range(_ROUNDS):
        share = np.exp(-np.logaddexp(0, -(design @ at)))
        gradient = design.T @ (pixels * share - yes) + _RIDGE_PX * (at - aim)
        curvature = (design.T * (pixels * share * (1 - share))) @ design + _RIDGE_PX * np.eye(2)
        step = np.zeros(2)
        step[free] = np.linalg.solve(curvature[np.ix_(free, free)], gradient[free])
        while (next_value := loss(at - step)) > value and np.abs(step).max() > 1e-12:
            step /= 2
        if next_value >= value:
            break
        at, value = at - step, next_value
        if np.abs(step).max() < 1e-10:
            break
    return at
