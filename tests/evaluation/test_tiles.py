"""The rule that labels tiles, and the tile ratios."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from surfacedefect.evaluation import Protocol, TileCounts, count_tiles, label_tiles, prepare_truth


def view(mask: Any, ignore: Any = None) -> Any:
    """Truth of one kind."""
    return prepare_truth({"dent": mask}, ignore=ignore).views["dent"]


def test_damaged_from_64_px_and_left_out_between() -> None:
    mask = np.zeros((300, 1200), np.uint8)
    mask[100:108, 100:108] = 1  # 64 px
    mask[100:107, 400:409] = 1  # 63 px
    mask[100:104, 700:704] = 1  # 16 px: dropped, so it counts for nothing
    assert label_tiles(view(mask)).labels.tolist() == [[1, -1, 0, 0]]
    assert label_tiles(view(mask)).damaged_px.tolist() == [[64, 63, 0, 0]]


@pytest.mark.parametrize(("sliver", "expected"), [(149, -1), (150, 0), (299, 0)])
def test_slivers_count_from_half_a_tile_on(sliver: int, expected: int) -> None:
    mask = np.zeros((300, 300 + sliver), np.uint8)
    assert label_tiles(view(mask)).labels.tolist() == [[0, expected]]
    assert label_tiles(view(mask.T.copy())).labels.tolist() == [[0], [expected]]


def test_a_scan_of_4096_x_3000_has_14_x_10_tiles() -> None:
    labels = label_tiles(view(np.zeros((3000, 4096), np.uint8)))
    assert labels.labels.shape == (10, 14) and (labels.labels == 0).all()  # the last column is 196 px wide
    assert labels.valid_px[0].tolist() == [90_000] * 13 + [196 * 300]


def test_ignored_and_doubt_pixels_are_not_valid() -> None:
    mask, ignore = np.zeros((2, 300, 600), np.uint8)
    ignore[:, :148] = 1  # and 2 px of doubt: exactly half of the first tile is valid
    ignore[:, 451:] = 1
    mask[10:30, 10:30] = 1
    labels = label_tiles(view(mask, ignore))
    assert labels.valid_px.tolist() == [[300 * 150 + 400, 300 * 149]]
    assert labels.labels.tolist() == [[1, -1]]


def test_the_score_is_the_largest_of_the_valid_pixels() -> None:
    mask, ignore = np.zeros((2, 300, 600), np.uint8)
    mask[100:120, 100:120] = 1
    ignore[0:50, 300:350] = 1
    scan = np.zeros(mask.shape, np.uint8)
    scan[110, 110], scan[110, 121], scan[20, 320], scan[200, 500] = 180, 255, 255, 90
    counts = count_tiles(scan, view(mask, ignore))
    assert counts.positives[180] == 1 and counts.negatives[90] == 1
    assert (counts.positive_count, counts.negative_count, counts.left_out) == (1, 1, 0)


@given(
    mask=arrays(np.uint8, (23, 37), elements=st.sampled_from([0] * 30 + [1])),
    ignore=arrays(np.uint8, (23, 37), elements=st.sampled_from([0] * 60 + [1])),
    scan=arrays(np.uint8, (23, 37)),
)
@settings(max_examples=40, deadline=None)
def test_every_tile_follows_the_rule(mask: Any, ignore: Any, scan: Any) -> None:
    rules = Protocol(doubt_px=1, least_true_px=2, tile_px=10, tile_damaged_px=4)
    truth = prepare_truth({"dent": mask}, ignore=ignore, protocol=rules).views["dent"]
    positives: list[int] = []
    negatives: list[int] = []
    left_out = 0
    for row in range(0, 23, 10):
        for col in range(0, 37, 10):
            state, values = (a[row : row + 10, col : col + 10] for a in (truth.state, scan))
            damaged, valid = (state == 1).sum(), (state != 2).sum()
            if valid < 50 or 0 < damaged < 4:
                left_out += 1
            else:
                (positives if damaged else negatives).append(values[state != 2].max())
    counts = count_tiles(scan, truth, protocol=rules)
    assert counts.positives == tuple(np.bincount(np.array(positives, int), minlength=256).tolist())
    assert counts.negatives == tuple(np.bincount(np.array(negatives, int), minlength=256).tolist())
    assert counts.left_out == left_out


def test_accuracy_is_held_against_everything_is_clean() -> None:
    mask = np.zeros((3000, 3000), np.uint8)
    mask[310:330, 310:330] = 1
    counts = count_tiles(np.zeros(mask.shape, np.uint8), view(mask))
    assert counts.accuracy(0.5) == counts.all_clean_accuracy == 0.99
    assert counts.prevalence == pytest.approx(0.01)
    assert counts.recall(0.5) == 0 and counts.average_precision == pytest.approx(0.01)
    assert math.isnan(TileCounts().all_clean_accuracy)
