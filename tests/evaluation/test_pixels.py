"""Pixel ratios against scikit-learn; the length recall counted by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from surfacedefect.errors import EvaluationError, OptionError
from surfacedefect.evaluation import PixelCounts, count_length, count_pixels, damaged_level, prepare_truth

metrics = pytest.importorskip("sklearn.metrics")
values = st.sampled_from([0, 1, 50, 127, 128, 254, 255]) | st.integers(0, 255)


def _counts(scores: np.ndarray[Any, Any], damaged: np.ndarray[Any, Any]) -> PixelCounts:
    histograms = (np.bincount(scores[where], minlength=256).tolist() for where in (damaged, ~damaged))
    return PixelCounts(*map(tuple, histograms))


@given(arrays(np.uint8, 60, elements=values), arrays(np.bool_, 60), st.floats(0, 1))
@settings(max_examples=40, deadline=None)
def test_ratios_equal_scikit_learn(scores: Any, damaged: Any, threshold: float) -> None:
    assume(damaged.any())
    counts = _counts(scores, damaged)
    assert counts.average_precision == pytest.approx(metrics.average_precision_score(damaged, scores), abs=1e-6)
    predicted = scores >= damaged_level(threshold)
    nothing = {"zero_division": np.nan}
    assert counts.precision(threshold) == pytest.approx(
        metrics.precision_score(damaged, predicted, **nothing), abs=1e-9, nan_ok=True
    )
    assert counts.recall(threshold) == pytest.approx(metrics.recall_score(damaged, predicted), abs=1e-9)
    assert counts.f1(threshold) == pytest.approx(metrics.f1_score(damaged, predicted), abs=1e-9)
    assert counts.accuracy(threshold) == pytest.approx(metrics.accuracy_score(damaged, predicted), abs=1e-9)
    best_threshold, best = counts.best_f1()
    if not scores.any():
        assert math.isnan(best)
        return
    assert counts.f1(best_threshold) == pytest.approx(best) and best >= counts.f1(threshold) - 1e-9


def test_quantised_map_of_a_scan_equals_scikit_learn() -> None:
    generator = np.random.default_rng(1)
    mask = np.zeros((120, 160), np.uint8)
    mask[30:36, 20:120] = mask[80:110, 90:140] = 1
    truth = prepare_truth({"dent": mask}).views["dent"]
    scan = (255 * np.clip(0.3 * mask + generator.random(mask.shape), 0, 1)).astype(np.uint8)
    kept = truth.state != 2
    expected = metrics.average_precision_score(mask[kept], scan[kept])
    counts = count_pixels(scan, truth)
    assert counts.average_precision == pytest.approx(expected, abs=1e-6)
    assert counts.positive_count + counts.negative_count == kept.sum() < mask.size
    assert counts.prevalence == pytest.approx(mask.sum() / kept.sum())


@given(st.integers(0, 255))
def test_a_byte_is_predicted_at_its_own_probability(byte: int) -> None:
    assert damaged_level(byte / 255) == max(byte, 1), "as in detect, a probability of 0 is never predicted"
    assert byte in (0, 255) or damaged_level(byte / 255 + 1e-6) == byte + 1


def test_what_is_undefined_is_nan() -> None:
    nothing, clean = PixelCounts(), PixelCounts(negatives=(0,) * 200 + (7,) + (0,) * 55)
    for value in (nothing.prevalence, nothing.average_precision, nothing.f1(0.5), nothing.accuracy(0.5)):
        assert math.isnan(value)
    assert math.isnan(clean.average_precision) and math.isnan(clean.recall(0.5)) and math.isnan(clean.best_f1()[0])
    assert clean.prevalence == 0 and clean.precision(0.5) == 0 and math.isnan(clean.precision(0.9))


def test_doubt_and_ignored_pixels_count_for_nothing() -> None:
    mask, ignore = np.zeros((2, 50, 50), np.uint8)
    mask[10:20, 10:20] = 1
    ignore[30:50] = 1
    truth = prepare_truth({"dent": mask}, ignore=ignore).views["dent"]
    predicted = np.where(truth.state == 2, 255, 200 * mask).astype(np.uint8)
    assert count_pixels(predicted, truth).f1(0.5) == 1.0


def test_length_recall_reaches_4_px_and_no_further() -> None:
    mask = np.zeros((60, 200), np.uint8)
    mask[30, 10:190] = 1
    truth = prepare_truth({"scratch": mask}).views["scratch"]
    columns = np.arange(200)
    for gap, expected in ((4, 1.0), (5, 0.0)):
        beside = np.zeros(mask.shape, bool)
        beside[30 + gap] = True
        assert count_length(beside, truth).recall == expected
    half = count_length((mask > 0) & (columns < 50), truth)
    assert half.covered_px == np.sum(truth.line[:, 1] <= 49 + 4)
    assert math.isnan(count_length(mask > 0, prepare_truth({"dent": mask}).views["dent"]).recall)
    assert count_length(255 * mask, truth).recall == 1.0
    with pytest.raises(EvaluationError, match="expected a uint8 or bool array"):
        count_length(mask * 0.5, truth)


@pytest.mark.parametrize(
    ("scan", "message"),
    [
        (np.zeros((50, 40), np.float32), "float32"),
        (np.zeros((40, 50), np.uint8), r"\(40, 50\)"),
        (np.zeros((50, 40, 1), np.uint8), r"\(50, 40, 1\)"),
        (None, "is None;"),
    ],
)
def test_wrong_maps_are_refused(scan: Any, message: str) -> None:
    truth = prepare_truth({"dent": np.zeros((50, 40), np.uint8)}).views["dent"]
    with pytest.raises(EvaluationError, match=message):
        count_pixels(scan, truth)


def test_wrong_thresholds_and_histograms_are_refused() -> None:
    for threshold in (-0.1, 1.1, math.nan):
        with pytest.raises(OptionError, match="threshold"):
            damaged_level(threshold)
    with pytest.raises(EvaluationError, match="256"):
        PixelCounts((1, 2))
