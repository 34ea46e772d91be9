"""Tile scores: the same scan cut into 300 x 300 tiles, as the usual classifier looks at it.

Tiles start at the top left and never overlap; those at the right and lower edge may stick out of the scan. Valid are
the pixels inside the scan that are damaged or clean, so neither ignored nor doubt. A tile is

- left out when under half of its 300 x 300 pixels are valid (so a sliver of under half a tile is left out too);
- damaged with at least 64 damaged pixels, clean with none, and left out between.

A tile's score is the highest probability of its valid pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from surfacedefect.evaluation._counts import ScoreHistogram, ratio
from surfacedefect.evaluation._masks import as_probabilities
from surfacedefect.evaluation.protocol import CLEAN, DAMAGED, NEITHER, KindTruth, Protocol

LEFT_OUT = -1


@dataclass(frozen=True, eq=False)
class TileLabels:
    """What each tile of a scan is.

    Parameters
    ----------
    labels
        (tile rows, tile cols) int8: 1 damaged, 0 clean, -1 left out. Tile (i, j) starts at pixel (i * 300, j * 300).
    damaged_px, valid_px
        int64 arrays of the same shape: damaged and valid pixels of each tile.
    """

    labels: NDArray[np.int8]
    damaged_px: NDArray[np.int64]
    valid_px: NDArray[np.int64]


@dataclass(frozen=True)
class TileCounts(ScoreHistogram):
    """How the scores of damaged and of clean tiles are distributed; see `ScoreHistogram` for the ratios.

    Parameters
    ----------
    positives, negatives
        Histograms of the scores of damaged and of clean tiles.
    left_out
        Tiles that are neither.

    Examples
    --------
    >>> tiles = TileCounts((0,) * 200 + (1,) + (0,) * 55, (19,) + (0,) * 255)
    >>> tiles.all_clean_accuracy, tiles.recall(0.5)
    (0.95, 1.0)
    """

    left_out: int = 0

    @property
    def all_clean_accuracy(self) -> float:
        """Accuracy of saying "everything is clean", in [0, 1]: what an accuracy has to be held against."""
        return ratio(self.negative_count, self.negative_count + self.positive_count)


def label_tiles(truth: KindTruth, *, protocol: Protocol | None = None) -> TileLabels:
    """Say of every tile of a scan whether it is damaged, clean or left out (the rules stand in the module).

    Parameters
    ----------
    truth
        The truth of the scan, one view.
    protocol
        The numbers; ``None`` for the published ones.

    Examples
    --------
    >>> from surfacedefect.evaluation import prepare_truth
    >>> mask = np.zeros((300, 820), np.uint8)
    >>> mask[10:20, 10:20] = mask[10:20, 300:306] = 1
    >>> label_tiles(prepare_truth({"dent": mask}).views["dent"]).labels.tolist()
    [[1, -1, 0]]
    """
    rules = protocol or Protocol()
    damaged = _per_tile(np.count_nonzero, truth.state == DAMAGED, tile_px=rules.tile_px)
    valid = _per_tile(np.count_nonzero, truth.state != NEITHER, tile_px=rules.tile_px)
    labels = np.full(damaged.shape, LEFT_OUT, np.int8)
    labels[damaged >= rules.tile_damaged_px] = DAMAGED
    labels[damaged == 0] = CLEAN
    labels[valid < rules.tile_valid_share * rules.tile_px**2] = LEFT_OUT
    return TileLabels(labels, damaged, valid)


def count_tiles(probabilities: NDArray[np.uint8], truth: KindTruth, *, protocol: Protocol | None = None) -> TileCounts:
    """Count the scores of the damaged and of the clean tiles of one scan.

    Parameters
    ----------
    probabilities
        (H, W) uint8, 0..255 for 0..1.
    truth
        The truth of that scan, one view.
    protocol
        The numbers; ``None`` for the published ones.

    Raises
    ------
    EvaluationError
        The map is not uint8 or not of the shape of the truth.

    Examples
    --------
    >>> from surfacedefect.evaluation import prepare_truth
    >>> mask = np.zeros((600, 600), np.uint8)
    >>> mask[10:20, 10:20] = 1
    >>> count_tiles(200 * mask, prepare_truth({"dent": mask}).views["dent"]).average_precision
    1.0
    """
    rules = protocol or Protocol()
    values = as_probabilities(probabilities, name="probabilities", shape=truth.shape)
    labels = label_tiles(truth, protocol=rules).labels
    scores = _per_tile(np.max, np.where(truth.state == NEITHER, np.uint8(0), values), tile_px=rules.tile_px)
    positives, negatives = (np.bincount(scores[labels == what], minlength=256) for what in (DAMAGED, CLEAN))
    return TileCounts(tuple(positives.tolist()), tuple(negatives.tolist()), int((labels == LEFT_OUT).sum()))


def _per_tile(measure: Callable[[NDArray[Any]], int], values: NDArray[Any], *, tile_px: int) -> NDArray[np.int64]:
    """Measure every tile by itself: a loop over tiles is several times as fast as numpy's reduceat."""
    rows, cols = (range(0, side, tile_px) for side in values.shape)
    found = [[int(measure(values[r : r + tile_px, c : c + tile_px])) for c in cols] for r in rows]
    return np.array(found, np.int64)
