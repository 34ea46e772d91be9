"""Pixel scores: how well the map parts damaged from clean pixels, and how much of the thin damage's length it meets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from surfacedefect.evaluation._counts import Counts, ScoreHistogram, ratio
from surfacedefect.evaluation._masks import Mask, as_mask, as_probabilities, dilate, histogram
from surfacedefect.evaluation.protocol import CLEAN, DAMAGED, KindTruth, Protocol


@dataclass(frozen=True)
class PixelCounts(ScoreHistogram):
    """How the probabilities of damaged and of clean pixels are distributed; see `ScoreHistogram` for the ratios.

    Pixels that are neither count for nothing. No predicted blob is dropped here: it is the map that is judged.
    """


@dataclass(frozen=True)
class LengthCounts(Counts):
    """How much of the true centre line of thin damage has a prediction nearby.

    Parameters
    ----------
    line_px
        Pixels of the true centre lines.
    covered_px
        Those within the tolerance of a prediction.

    Examples
    --------
    >>> (LengthCounts(100, 50) + LengthCounts(100, 100)).recall
    0.75
    """

    line_px: int = 0
    covered_px: int = 0

    @property
    def recall(self) -> float:
        """Share of the length that is met, in [0, 1]; nan when there is no thin damage."""
        return ratio(self.covered_px, self.line_px)


def count_pixels(probabilities: NDArray[np.uint8], truth: KindTruth) -> PixelCounts:
    """Count the probabilities of the damaged and of the clean pixels of one scan.

    Parameters
    ----------
    probabilities
        (H, W) uint8, 0..255 for 0..1.
    truth
        The truth of that scan, one view.

    Raises
    ------
    EvaluationError
        The map is not uint8 or not of the shape of the truth.

    Examples
    --------
    >>> from surfacedefect.evaluation import prepare_truth
    >>> mask = np.eye(40, dtype=np.uint8)
    >>> count_pixels(255 * mask, prepare_truth({"scratch": mask}).views["scratch"]).average_precision
    1.0
    """
    values = as_probabilities(probabilities, name="probabilities", shape=truth.shape)
    return PixelCounts(histogram(values, where=truth.state == DAMAGED), histogram(values, where=truth.state == CLEAN))


def count_length(predicted: Mask, truth: KindTruth, *, protocol: Protocol | None = None) -> LengthCounts:
    """Count the pixels of the true centre line that have a prediction within 4 px.

    Parameters
    ----------
    predicted
        (H, W) bool: what is predicted, small blobs already dropped.
    truth
        The truth of that scan, one view. A kind that is not thin has no centre line, and its recall is nan.
    protocol
        The numbers; ``None`` for the published ones.

    Raises
    ------
    EvaluationError
        The mask is not of the shape of the truth.

    Examples
    --------
    >>> from surfacedefect.evaluation import prepare_truth
    >>> mask = np.zeros((30, 100), np.uint8)
    >>> mask[10:13, 10:90] = 1
    >>> truth = prepare_truth({"scratch": mask}).views["scratch"]
    >>> 0.45 < count_length(mask.astype(bool) & (np.arange(100) < 46), truth).recall < 0.55
    True
    """
    predicted = as_mask(predicted, name="predicted", shape=truth.shape)
    rules = protocol or Protocol()
    rows, cols = truth.line[:, 0], truth.line[:, 1]
    if not rows.size:
        return LengthCounts()
    reach = dilate(predicted, radius_px=rules.line_tolerance_px)
    return LengthCounts(int(rows.size), int(reach[rows, cols].sum()))
