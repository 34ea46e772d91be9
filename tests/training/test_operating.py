"""What is measured at every threshold, the default threshold, and calibration in the exported graph."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from shapely.geometry import box

import surfacedefect as sd
from surfacedefect.annotations import AnnotatedImage, Region
from surfacedefect.evaluation import KindScore, LengthCounts, ObjectCounts, PixelCounts, TileCounts
from surfacedefect.training.calibration import Platt
from surfacedefect.training.operating import (
    SCAN_PX,
    THRESHOLDS,
    PictureScores,
    default_points,
    default_score,
    least_score,
    most_on,
    operating_points,
    outline_threshold,
    score_pictures,
)

CARD = sd.ModelCard(name="bright", kinds=("scratch",), window_px=64, overlap_px=16, least_area_px=40)


@pytest.fixture
def detector():
    bright = sd.FunctionPredictor(lambda windows: (windows[..., 0] / 255).astype(np.float32)[:, None], card=CARD)
    return sd.Detector(bright)


def scene(scratch=200, wrong=150, speck=250, group=None):
    """A scratch of 80 x 6 px, a false alarm of 20 x 20 px and one of 6 x 6 px, which is under the least area."""
    image = np.zeros((128, 128, 3), np.uint8)
    image[20:26, 20:100], image[60:80, 60:80], image[100:106, 100:106] = scratch, wrong, speck
    return AnnotatedImage("a.png", 128, 128, (Region("scratch", box(20, 20, 100, 26)),), group=group), image


def test_levels_are_themselves():
    from surfacedefect.polygons import damaged_level

    assert [damaged_level(threshold) for threshold in THRESHOLDS] == list(range(1, 256))


def test_every_threshold_has_its_figures(detector):
    scores = score_pictures(detector, [scene(), scene(wrong=100)], data="two scenes", thresholds=THRESHOLDS)
    points = {round(point.threshold * 255): point for point in operating_points(scores)}
    assert len(points) == 255
    assert [points[level].false_alarms_per_scan for level in (100, 101, 150, 151)] == [1.0, 0.5, 0.5, 0.0]
    assert [points[level].regions_found for level in (200, 201)] == [1.0, 0.0]
    assert [points[level].pixel_recall for level in (200, 201)] == [1.0, 0.0]
    assert points[160].pixel_precision == pytest.approx(960 / (960 + 2 * 36), abs=1e-4)
    assert np.isnan(points[251].pixel_precision), "nothing is predicted"
    assert points[160].data == "two scenes"
    assert all(not point.intervals for point in points.values()), "two pictures are too few for an interval"


def test_intervals_are_of_groups(detector):
    pictures = [scene(wrong=150 if number < 6 else 0, group=f"car {number}") for number in range(12)]
    scores = score_pictures(detector, pictures, data="d", thresholds=(0.5, 0.9))
    low, high = operating_points(scores)[0].intervals["false_alarms_per_scan"]
    assert low < 0.5 < high
    one_car = replace(scores, groups=["car"] * 12)
    assert all(not point.intervals for point in operating_points(one_car))


def counted(alarms, pixels=SCAN_PX):
    objects = ObjectCounts(1, 0, 0, 0, 0, 0, (0.2, 0.4, 0.6, 0.8), (0, 0, 0, 0), alarms)
    score = KindScore(0.5, PixelCounts(), LengthCounts(), objects, TileCounts())
    return PictureScores({"scratch": [score]}, [None], pixels, "d", {"scratch": [score]})


@pytest.mark.parametrize(
    ("alarms", "most", "expected"),
    [
        ((30, 12, 10, 0), 10, 0.6),
        ((5, 12, 10, 0), 10, 0.6),  # spots that melt together at a low threshold do not make it a good one
        ((5, 4, 3, 0), 10, 0.2),
        ((30, 30, 30, 30), 10, 0.8),
    ],
)
def test_the_least_score_keeps_within_its_limit(alarms, most, expected):
    assert least_score("scratch", (counted(alarms), most)) == expected


def test_the_least_score_keeps_within_every_limit():
    assert least_score("scratch", (counted((9, 8, 7, 6)), 10), (counted((3, 2, 1, 0)), 1)) == 0.6
    assert most_on(counted((0, 0, 0, 0), pixels=SCAN_PX // 4)) == 2.5


def test_the_outline_threshold_is_that_of_the_best_pixel_f1(detector):
    pictures = [scene(scratch=100, wrong=220, speck=0), scene(scratch=120, wrong=0, speck=0)]
    scores = score_pictures(detector, pictures, data="d", thresholds=())
    assert round(255 * outline_threshold("scratch", scores)) == 1, "all levels from 1 to 100 outline the same"
    brighter = [scene(scratch=100, wrong=60, speck=0), scene(scratch=120, wrong=60, speck=0)]
    scores = score_pictures(detector, brighter, data="d", thresholds=())
    assert round(255 * outline_threshold("scratch", scores)) == 61, "just above what is wrong"


def test_polygons_are_counted_from_every_score_on(detector):
    pictures = [scene(scratch=200, wrong=150), scene(scratch=120, wrong=100)]
    outline = {"scratch": 80 / 255}
    scores = score_pictures(detector, pictures, data="d", thresholds=THRESHOLDS, outline=outline)
    objects = scores.objects("scratch")
    assert [objects.found_at[level - 1] for level in (119, 121, 199, 201)] == [2, 1, 1, 0]
    assert [objects.false_alarms_at[level - 1] for level in (99, 101, 149, 151)] == [2, 1, 1, 0]
    assert score_pictures(detector, pictures, data="d").outlined == {}

    least = {"scratch": least_score("scratch", (scores, 1))}
    assert round(255 * least["scratch"]) == 101, "just above the false alarm that is one too many"
    (point,) = default_points(scores, thresholds=outline, least=least)
    assert (point.threshold, point.least_score) == (80 / 255, least["scratch"])
    assert (point.regions_found, point.false_alarms_per_scan, point.pixel_recall) == (1.0, 0.5, 1.0)
    assert point.pixel_precision == pytest.approx(960 / (960 + 400), abs=1e-4), "of the pixels that are reported"

    card = replace(CARD, thresholds=outline, least_scores=least)
    looking = sd.Detector(sd.FunctionPredictor(detector.predictor, card=card))
    assert [len(looking.detect(image)) for _, image in pictures] == [2, 1]


def test_a_limit_that_leaves_next_to_nothing_gives_way_to_the_first():
    def outlined(found, alarms):
        objects = ObjectCounts(1, 10, 0, 0, 0, 0, (0.2, 0.4, 0.6, 0.8), found, alarms)
        score = KindScore(0.5, PixelCounts(), LengthCounts(), objects, TileCounts())
        return PictureScores({}, [None], SCAN_PX, "d", {"scratch": [score]})

    valid, clean = outlined((9, 6, 3, 1), (30, 9, 4, 0)), outlined((0, 0, 0, 0), (9, 5, 2, 1))
    assert default_score("scratch", valid, (valid, 10)) == 0.4
    assert default_score("scratch", valid, (valid, 10), (clean, 2)) == 0.6, "three of ten are enough"
    assert default_score("scratch", valid, (valid, 10), (clean, 1)) == 0.4, "one of ten is not"
    nothing = outlined((0, 0, 0, 0), (0, 0, 0, 0))
    assert default_score("scratch", nothing, (valid, 10), (clean, 1)) == 0.4


def test_calibration_is_part_of_the_graph(tmp_path):
    torch = pytest.importorskip("torch", reason="needs the extra [train]")
    pytest.importorskip("onnxruntime", reason="needs the extra [cpu]")
    from surfacedefect.training.export import export_onnx

    torch.manual_seed(0)
    network = torch.nn.Conv2d(3, 2, 3, padding=1).eval()
    card = sd.ModelCard(name="own", kinds=("scratch", "dent"), window_px=64, overlap_px=16)
    fit = Platt(0.6, -1.5)
    windows = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    given = {}
    for name, calibration in (("raw", None), ("set", {"scratch": fit._asdict()})):
        path = tmp_path / f"{name}.onnx"
        written = export_onnx(network, path, card=replace(card, calibration=calibration))
        assert written.calibration == calibration
        from surfacedefect.runtimes import load_predictor

        given[name] = load_predictor(path)(windows)
    np.testing.assert_allclose(given["set"][:, 0], fit.apply(given["raw"][:, 0]), atol=1e-5)
    np.testing.assert_allclose(given["set"][:, 1], given["raw"][:, 1], atol=1e-6)
