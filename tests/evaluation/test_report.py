"""Scans scored and added up: shards equal the whole, intervals are over groups, what is undefined stays so."""

from __future__ import annotations

import json
import math
import os
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import box

from surfacedefect.annotations import Region, rasterise, read_coco
from surfacedefect.errors import EvaluationError
from surfacedefect.evaluation import (
    METRICS,
    Interval,
    KindScore,
    LengthCounts,
    PixelCounts,
    Protocol,
    ScanScore,
    bootstrap_interval,
    bootstrap_intervals,
    prepare_truth,
    probabilities_of,
    score_scan,
    summarise,
    truth_of,
)

REAL = Path(os.environ.get("SURFACEDEFECT_REAL_DATA", "../shared/data"))
SHAPE = (300, 300)


def scan(seed: int) -> tuple[dict[str, Any], dict[str, Any], Any]:
    """Truth and prediction of a small scan, all damage far from the edges."""
    generator = np.random.default_rng(seed)
    truth, guess = ({kind: np.zeros(SHAPE, np.uint8) for kind in ("scratch", "dent")} for _ in range(2))
    ignore = np.zeros(SHAPE, np.uint8)
    for kind, (height, width) in (("scratch", (3, 60)), ("dent", (30, 40))):
        for _ in range(generator.integers(3)):
            row, col = generator.integers(20, 200, 2)
            truth[kind][row : row + height, col : col + width] = 1
            guess[kind][row + 1 : row + height, col + 5 : col + width] = generator.integers(256)
        row, col = generator.integers(20, 250, 2)
        guess[kind][row : row + 8, col : col + 8] = generator.integers(256)
    row, col = generator.integers(20, 200, 2)
    ignore[row : row + 60, col : col + 60] = 1
    return truth, guess, ignore


def scored(seed: int, group: str | None = None) -> ScanScore:
    truth, guess, ignore = scan(seed)
    return score_scan(guess, prepare_truth(truth, ignore=ignore), threshold=0.4, group=group)


def test_two_scans_side_by_side_score_as_their_sum() -> None:
    parts = [scan(seed) for seed in (3, 8)]
    truth, guess = ({k: np.hstack([part[i][k] for part in parts]) for k in ("scratch", "dent")} for i in (0, 1))
    ignore = np.hstack([part[2] for part in parts])
    whole = score_scan(guess, prepare_truth(truth, ignore=ignore), threshold=0.4)
    one, other = (scored(seed) for seed in (3, 8))
    for kind in ("scratch", "dent", "damage"):
        total = one.kinds[kind] + other.kinds[kind]
        assert total.pixels == whole.kinds[kind].pixels
        assert total.lengths == whole.kinds[kind].lengths
        assert total.tiles == whole.kinds[kind].tiles
        assert (total.objects.found_at, total.objects.false_alarms_at) == (
            whole.kinds[kind].objects.found_at,
            whole.kinds[kind].objects.false_alarms_at,
        )
        assert total.objects.scans == 2


SCORES = [scored(seed) for seed in range(8)]


@given(order=st.permutations(range(8)), cut=st.integers(1, 7))
@settings(max_examples=20, deadline=None)
def test_shards_in_any_order_add_up_to_the_whole(order: list[int], cut: int) -> None:
    for kind in ("scratch", "dent", "damage"):
        counts = [SCORES[i].kinds[kind] for i in order]
        shards = reduce(add, counts[:cut]) + reduce(add, counts[cut:])
        assert shards == summarise(SCORES, resamples=1).kinds[kind].score
        assert shards.rebuilt(shards.numbers()) == shards


def test_a_perfect_prediction_is_perfect_and_an_empty_one_is_not() -> None:
    truth, _, ignore = scan(5)
    truth["scratch"][100:104, 30:250] = 1
    ready = prepare_truth(truth, ignore=ignore)
    perfect = summarise([score_scan({k: 255 * m for k, m in truth.items()}, ready, threshold=0.5)])
    metrics = perfect.kinds["scratch"].metrics
    ones = set(METRICS) - {"pixel_prevalence", "false_alarms_per_scan", "tile_prevalence"}
    ones -= {"tile_accuracy_of_everything_is_clean"}
    assert {name: metrics[name].value for name in ones} == dict.fromkeys(ones, 1.0)
    assert metrics["false_alarms_per_scan"].value == 0
    nothing = summarise([score_scan({k: 0 * m for k, m in truth.items()}, ready, threshold=0.5)])
    metrics = nothing.kinds["damage"].metrics
    assert metrics["object_recall"].value == metrics["length_recall"].value == metrics["pixel_recall"].value == 0
    assert math.isnan(metrics["pixel_precision"].value) and math.isnan(metrics["object_precision"].value)


def test_json_has_no_nan_and_text_says_undefined() -> None:
    empty = {"scratch": np.zeros(SHAPE, np.uint8)}
    report = summarise([score_scan(empty, prepare_truth(empty), threshold=0.5, seconds=2.0, peak_mib=90.0)] * 2)
    assert math.isnan(report.to_dict()["kinds"]["scratch"]["metrics"]["object_recall"]["value"])
    read = json.loads(report.to_json(), parse_constant=pytest.fail)
    assert read["kinds"]["scratch"]["metrics"]["object_recall"] == {"value": None, "interval": None}
    assert read["kinds"]["damage"]["counts"]["clean_px"] == 2 * 90_000
    assert (read["seconds"], read["peak_mib"], read["scans"]) == (4.0, 90.0, 2)
    text = report.to_text()
    assert "undefined" in text and "no interval: at least 10 groups" in text and "4.0 s" in text


def test_text_shows_intervals() -> None:
    report = summarise([scored(seed, group=f"car-{seed}") for seed in range(12)], resamples=50)
    recall = report.kinds["scratch"].metrics["object_recall"]
    assert recall.interval is not None
    assert f"{recall.value:.3f} [{recall.interval.low:.3f}, {recall.interval.high:.3f}]" in report.to_text()
    assert report.groups == report.scans == 12 and report.seconds is None
    again = summarise([scored(seed, group=f"car-{seed}") for seed in range(12)], resamples=50)
    assert again.to_json() == report.to_json(), "the same seed, the same bytes"


def test_no_interval_under_ten_groups() -> None:
    counts = [LengthCounts(10, i % 10) for i in range(40)]
    nine, ten = ([f"car-{i % n}" for i in range(40)] for n in (9, 10))
    assert bootstrap_interval(counts, nine, metric=lambda c: c.recall) is None
    assert bootstrap_interval(counts, ten, metric=lambda c: c.recall) is not None
    assert bootstrap_interval(counts, [None] * 40, metric=lambda c: c.recall) is not None


def test_whole_groups_are_drawn() -> None:
    counts = [LengthCounts(1, i % 2) for i in range(200)]
    apart = bootstrap_interval(counts, [None] * 200, metric=lambda c: c.recall)
    alike = bootstrap_interval(counts, [f"car-{i % 20}" for i in range(200)], metric=lambda c: c.recall)
    assert apart is not None and alike is not None
    assert apart.high - apart.low == pytest.approx(2 * 1.96 * math.sqrt(0.25 / 200), rel=0.15)
    assert alike.high - alike.low == pytest.approx(2 * 1.96 * math.sqrt(0.25 / 20), rel=0.15)


def test_undefined_resamples_are_left_out_or_give_no_interval() -> None:
    rare = [LengthCounts(4, 2)] + [LengthCounts()] * 11  # about a third of the resamples hold no line
    assert bootstrap_interval(rare, [None] * 12, metric=lambda c: c.recall) == Interval(0.5, 0.5)
    assert bootstrap_interval([LengthCounts()] * 12, [None] * 12, metric=lambda c: c.recall) is None


def test_wrong_bootstraps_are_refused() -> None:
    metrics = {"recall": lambda counts: counts.recall}
    with pytest.raises(EvaluationError, match="one group a count"):
        bootstrap_intervals([LengthCounts()], [], metrics=metrics)
    with pytest.raises(EvaluationError, match="confidence"):
        bootstrap_intervals([], [], metrics=metrics, confidence=1.0)


def test_polygons_replace_the_blobs_of_the_map() -> None:
    truth = np.zeros(SHAPE, np.uint8)
    truth[50:53, 50:150] = 1
    ready = prepare_truth({"scratch": truth, "dent": 0 * truth})
    maps = {"scratch": 255 * truth, "dent": 0 * truth}
    none = score_scan(maps, ready, threshold=0.5, polygons=[])
    assert none.kinds["scratch"].objects.found == 0 and none.kinds["scratch"].lengths.recall == 0
    assert none.kinds["scratch"].pixels.f1(0.5) == 1.0
    regions = [Region("scratch", box(50, 50, 150, 53), 0.7), Region("dent", box(200, 200, 220, 220), 0.2)]
    some = score_scan(maps, ready, threshold=0.5, polygons=regions)
    assert [some.kinds[k].objects.false_alarms for k in ("scratch", "dent", "damage")] == [0, 1, 1]
    assert some.kinds["damage"].lengths.recall == 1.0
    with pytest.raises(EvaluationError, match="kind 'rust'"):
        score_scan(maps, ready, threshold=0.5, polygons=[Region("rust", box(0, 0, 9, 9))])


def test_maps_drawn_from_polygons() -> None:
    regions = [
        Region("dent", box(0, 0, 2, 1), 1.0),
        Region("dent", box(1, 0, 3, 1), 0.2),
        Region("scratch", box(3, 0, 9, 1)),
    ]
    maps = probabilities_of(regions, shape=(1, 4), kinds=["dent", "damage"])
    assert maps["dent"].tolist() == [[255, 255, 51, 0]] and maps["damage"].tolist() == [[255, 255, 51, 255]]
    with pytest.raises(EvaluationError, match="kind 'scratch'"):
        probabilities_of(regions, shape=(1, 4), kinds=["dent"])


def test_a_predictor_without_kinds_and_one_with_fewer() -> None:
    truth, guess, _ = scan(1)
    truth["scratch"][100:104, 30:250] = 1
    ready = prepare_truth(truth)
    whole = score_scan({"damage": np.maximum(guess["scratch"], guess["dent"])}, ready, threshold=0.4)
    assert list(whole.kinds) == ["damage"]
    assert whole.kinds["damage"] == score_scan(guess, ready, threshold=0.4).kinds["damage"]
    dents = score_scan({"dent": guess["dent"]}, ready, threshold=0.4)
    assert list(dents.kinds) == ["dent", "damage"]
    assert dents.kinds["damage"].objects.regions == len(ready.views["damage"].areas_px)


def test_thresholds_of_their_own() -> None:
    truth, guess, _ = scan(1)
    ready = prepare_truth(truth)
    score = score_scan(guess, ready, threshold={"scratch": 0.2, "dent": 0.9, "damage": 0.5})
    assert [score.kinds[k].threshold for k in ("scratch", "dent", "damage")] == [0.2, 0.9, 0.5]
    with pytest.raises(EvaluationError, match="no threshold for 'damage'"):
        score_scan(guess, ready, threshold={"scratch": 0.2, "dent": 0.9})
    with pytest.raises(EvaluationError, match="cannot be added"):
        score.kinds["scratch"] + SCORES[0].kinds["scratch"]
    assert isinstance(score.kinds["dent"], KindScore)
    with pytest.raises(TypeError):
        PixelCounts() + LengthCounts()  # type: ignore[operator]


def test_wrong_scores_are_refused() -> None:
    truth, guess, _ = scan(1)
    ready = prepare_truth(truth)
    for probabilities, message in (
        ({}, "no probability map"),
        ({"rust": guess["dent"]}, "rust"),
        ({"dent": guess["dent"][1:]}, r"\(299, 300\)"),
        ({"dent": guess["dent"] / 255}, "float64"),
    ):
        with pytest.raises(EvaluationError, match=message):
            score_scan(probabilities, ready, threshold=0.5)
    with pytest.raises(EvaluationError, match="other rules"):
        other = prepare_truth(truth, protocol=Protocol(doubt_px=3))
        summarise([SCORES[0], score_scan(guess, other, threshold=0.4)])
    with pytest.raises(EvaluationError, match="no score"):
        summarise([])
    with pytest.raises(EvaluationError, match="same kinds"):
        summarise([SCORES[0], score_scan({"dent": guess["dent"]}, ready, threshold=0.4)])


@pytest.mark.skipif(not REAL.is_dir(), reason="the real pictures are not here: set SURFACEDEFECT_REAL_DATA")
def test_real_outlines_score_perfectly_against_themselves() -> None:
    images = [image for image in read_coco(REAL / "valid" / "annotations.json").images if image.width < 2000][:14]
    scores = []
    for image in images:
        drawn = rasterise(image, ["scratch", "dent"])
        maps = {kind: 255 * mask for kind, mask in drawn.items()}
        scores.append(score_scan(maps, truth_of(image), threshold=0.5, group=image.group, froc_thresholds=(0.5,)))
    metrics = summarise(scores, resamples=20).kinds["damage"].metrics
    for name in (
        "pixel_average_precision",
        "pixel_f1",
        "length_recall",
        "object_recall",
        "object_precision",
        "tile_f1",
    ):
        assert metrics[name].value == 1.0, name
