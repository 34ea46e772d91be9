"""The same numbers as MONAI and scikit-learn give, on random cases that both can count."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from shapely.geometry import box

from surfacedefect.annotations import Region
from surfacedefect.evaluation import ObjectCounts, count_pixels, count_tiles, objects_from_polygons, prepare_truth

CELL, ROWS, COLUMNS = 60, 3, 4
"""Damage lies in the middle of cells, so no polygon touches the truth of another cell."""
bytes_of_cells = arrays(np.uint8, (ROWS, COLUMNS), elements=st.sampled_from([0, 0, 40, 90, 128, 200, 255]))
cells = arrays(np.bool_, (ROWS, COLUMNS))


def truth_mask(damaged: Any) -> np.ndarray[Any, Any]:
    """A square of 20 px in the middle of every damaged cell."""
    mask = np.zeros((ROWS * CELL, COLUMNS * CELL), np.uint8)
    for row, column in np.argwhere(damaged):
        mask[row * CELL + 20 : row * CELL + 40, column * CELL + 20 : column * CELL + 40] = 1
    return mask


def outlines(scores: Any) -> list[Region]:
    """A square of 16 px in the middle of every cell with a score; it covers most of what is true there."""
    squares = []
    for row, column in np.argwhere(scores > 0):
        left, top = column * CELL + 22, row * CELL + 22
        squares.append(Region("dent", box(left, top, left + 16, top + 16), scores[row, column] / 255))
    return squares


def ours(scenes: list[tuple[Any, Any]], thresholds: list[float]) -> ObjectCounts:
    counts = [
        objects_from_polygons(
            outlines(scores), prepare_truth({"dent": truth_mask(damaged)}).views["dent"], froc_thresholds=thresholds
        )
        for damaged, scores in scenes
    ]
    return sum(counts[1:], counts[0])


@given(st.lists(st.tuples(cells, bytes_of_cells), min_size=1, max_size=3))
@settings(max_examples=25, deadline=None)
def test_froc_equals_monai(scenes: list[tuple[Any, Any]]) -> None:
    froc = pytest.importorskip("monai.metrics.froc", reason="needs the extra [test]")
    false_alarms, hits, targets = [], [], 0
    for damaged, scores in scenes:
        found = np.argwhere(scores > 0)
        if not damaged.any():
            false_alarms.extend(scores[scores > 0] / 255)
            continue
        labels = np.zeros(truth_mask(damaged).shape, int)
        for number, (row, column) in enumerate(np.argwhere(damaged), start=1):
            labels[row * CELL : (row + 1) * CELL, column * CELL : (column + 1) * CELL] = number
        middles = found * CELL + CELL // 2
        wrong, right, number = froc.compute_fp_tp_probs_nd(scores[scores > 0] / 255, middles, labels)
        false_alarms.extend(wrong)
        hits.extend(right.astype(float))
        targets += number
    assume(targets and any(scores.any() for _, scores in scenes))
    alarms, sensitivity = froc.compute_froc_curve_data(
        np.round(false_alarms, 5), np.round(hits, 5), targets, len(scenes)
    )
    levels = sorted({*np.round(false_alarms, 5), *np.round(hits, 5)})[1:]
    if not levels:
        return
    counts = ours(scenes, [float(level) - 1e-4 for level in levels])
    assert np.allclose(np.divide(counts.false_alarms_at, counts.scans), alarms[:-1], atol=1e-6)
    assert np.allclose(np.divide(counts.found_at, counts.regions), sensitivity[:-1], atol=1e-6)


@given(arrays(np.uint8, (40, 50)), st.integers(1, 255))
@settings(max_examples=20, deadline=None)
def test_pixel_f1_is_the_dice_of_monai(scan: Any, level: int) -> None:
    torch = pytest.importorskip("torch", reason="needs the extra [train]")
    metrics = pytest.importorskip("monai.metrics", reason="needs the extra [test]")
    mask = np.zeros(scan.shape, np.uint8)
    mask[10:25, 12:40] = 1
    truth = prepare_truth({"dent": mask}).views["dent"]
    predicted, damaged = (
        torch.from_numpy(np.where(truth.state == 2, False, what)[None, None]) for what in (scan >= level, mask > 0)
    )
    dice = metrics.compute_dice(predicted.float(), damaged.float()).item()
    assert count_pixels(scan, truth).f1(level / 255) == pytest.approx(dice, abs=1e-6)


@given(cells, arrays(np.uint8, (ROWS, COLUMNS)), st.integers(1, 255))
@settings(max_examples=25, deadline=None)
def test_tiles_equal_scikit_learn(damaged: Any, scores: Any, level: int) -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="needs the extra [test]")
    assume(damaged.any())
    side = 300
    mask = np.zeros((ROWS * side, COLUMNS * side), np.uint8)
    scan = np.zeros(mask.shape, np.uint8)
    for row, column in np.ndindex(ROWS, COLUMNS):
        place = np.s_[row * side + 100 : row * side + 120, column * side + 100 : column * side + 120]
        mask[place], scan[place] = damaged[row, column], scores[row, column]
    counts = count_tiles(scan, prepare_truth({"dent": mask}).views["dent"])
    truth, found = damaged.ravel(), scores.ravel()
    assert counts.average_precision == pytest.approx(metrics.average_precision_score(truth, found), abs=1e-6)
    assert counts.accuracy(level / 255) == pytest.approx(metrics.accuracy_score(truth, found >= level), abs=1e-6)
    assert counts.recall(level / 255) == pytest.approx(metrics.recall_score(truth, found >= level), abs=1e-6)
    assert counts.all_clean_accuracy == pytest.approx(metrics.accuracy_score(truth, 0 * truth), abs=1e-6)
