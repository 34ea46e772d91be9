from __future__ import annotations

import pickle
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import surfacedefect as sd
from surfacedefect.baselines import Deflectometry, FringeGeometry, FringeNoise, deflectometry_card, slope_field
from surfacedefect.baselines._slopes import Pattern
from surfacedefect.evaluation import prepare_truth, score_scan
from surfacedefect.synthetic import Fringe, SyntheticConfig, preset, render_scan
from surfacedefect.synthetic import fringe as synthetic_fringe
from surfacedefect.synthetic.scene import random_scene

FINE = FringeGeometry(mm_per_px=0.2, period_mm=12.0)  # fringes of 30 px on a flat panel
SIDE = 360
INNER = np.s_[40:-40, 40:-40]


def as_bytes(light):
    """Linear light as sRGB bytes."""
    return np.uint8(255 * np.where(light < 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055) + 0.5)


def places(side=SIDE, geometry=FINE):
    """x and y in mm, from the middle of the picture."""
    y, x = (np.mgrid[:side, :side] + 0.5 - side / 2) * geometry.mm_per_px
    return x, y


def mirrored(slope_x, slope_y, *, geometry=FINE, brightness=0.35, contrast=0.7, shift=0.0):
    """The picture of a panel with these slopes, by the law of reflection."""
    x, y = places(len(slope_x), geometry)
    turn = 2 * np.pi / geometry.period_mm
    waves = {
        "x": np.cos(turn * (geometry.stretch * x - 2 * geometry.screen_mm * slope_x) + shift),
        "y": np.cos(turn * (geometry.stretch * y - 2 * geometry.screen_mm * slope_y) + shift),
    }
    wave = 0.5 * (waves["x"] + waves["y"]) if geometry.pattern == "crossed" else waves[geometry.pattern]
    return as_bytes(brightness * (1 + contrast * wave))


def bowl(depth_mm, radius_mm, *, side=SIDE, geometry=FINE, at=(0.0, 0.0)):
    """Slopes and second derivatives along x and y of the dent -depth (1 - r^2)^3."""
    x, y = places(side, geometry)
    x, y = x - at[0], y - at[1]
    inside = (1 - (x**2 + y**2) / radius_mm**2).clip(0)
    steep = 6 * depth_mm / radius_mm**2
    bends = (steep * (inside**2 - 4 * inside * along**2 / radius_mm**2) for along in (x, y))
    return steep * x * inside**2, steep * y * inside**2, *bends


@pytest.fixture(scope="module")
def flat():
    return mirrored(*np.zeros((2, SIDE, SIDE)))


@pytest.fixture(scope="module")
def dented():
    slope_x, slope_y, _, _ = bowl(0.15, 8.0, at=(10.0, -8.0))
    return mirrored(slope_x, slope_y)


def dent_mask(image_shape=(SIDE, SIDE), *, at=(10.0, -8.0), radius_mm=8.0):
    x, y = places(image_shape[0])
    return (x - at[0]) ** 2 + (y - at[1]) ** 2 < radius_mm**2


def test_a_flat_panel_has_no_slope_and_no_curvature(flat):
    field = slope_field(flat, FINE)
    assert (field.step, field.mm_per_px, field.curvature_per_mm.shape) == (1, 0.2, (SIDE, SIDE))
    # half a fringe is 3 mm, or a slope of 0.0025
    assert max(np.abs(field.slope_x[INNER]).max(), np.abs(field.slope_y[INNER]).max()) < 5e-5
    assert np.abs(field.curvature_per_mm[INNER]).max() < 3e-5
    assert field.inspected.all()
    assert field.broken[INNER].max() < 0.01
    assert np.median(field.modulation) == pytest.approx(0.7, abs=0.05)


def test_the_phase_is_that_of_the_carrier(flat):
    field = slope_field(flat, FINE)
    per_px = 2 * np.pi / FINE.flat_period_px
    assert np.diff(field.phase_x, axis=1)[INNER] == pytest.approx(per_px, rel=0.02)
    assert np.diff(field.phase_y, axis=0)[INNER] == pytest.approx(per_px, rel=0.02)
    assert np.abs(np.diff(field.phase_x, axis=0)[INNER]).max() < 0.005


@pytest.mark.parametrize("radius_mm", [800.0, 2000.0, -8000.0])
def test_the_curvature_of_a_sphere(radius_mm):
    x, y = places()
    field = slope_field(mirrored(-x / radius_mm, -y / radius_mm), FINE)
    assert np.median(field.curvature_per_mm) == pytest.approx(-2 / radius_mm, abs=2e-6)
    assert np.abs(field.curvature_per_mm[INNER] + 2 / radius_mm).max() < 3e-5
    assert field.slope_x[INNER] == pytest.approx(-x[INNER] / radius_mm, abs=5e-5)


def test_a_shallow_dent_has_its_analytic_slope_and_curvature():
    slope_x, slope_y, bend_x, bend_y = bowl(0.008, 30.0)
    field = slope_field(mirrored(slope_x, slope_y), FINE)
    error = np.hypot(field.slope_x - slope_x, field.slope_y - slope_y)[INNER]
    assert error.max() < 0.08 * np.hypot(slope_x, slope_y).max()
    curvature = bend_x + bend_y
    assert np.abs(field.curvature_per_mm - curvature)[INNER].max() < 0.15 * curvature.max()
    assert field.broken[INNER].max() < 0.05


@pytest.mark.parametrize(("pattern", "other"), [("x", "y"), ("y", "x")])
def test_a_single_pattern_gives_one_component(pattern, other):
    geometry = replace(FINE, pattern=pattern)
    slopes = bowl(0.008, 30.0)
    field = slope_field(mirrored(*slopes[:2], geometry=geometry), geometry)
    assert getattr(field, f"slope_{other}") is None
    assert getattr(field, f"phase_{other}") is None
    true_slope, true_bend = (slopes[0], slopes[2]) if pattern == "x" else (slopes[1], slopes[3])
    assert np.abs(getattr(field, f"slope_{pattern}") - true_slope)[INNER].max() < 0.08 * true_slope.max()
    assert np.abs(field.curvature_per_mm - true_bend)[INNER].max() < 0.25 * true_bend.max()


@settings(max_examples=6)
@given(st.floats(0.1, 0.45), st.floats(0.3, 1.0), st.floats(0, 6.3))
@example(0.1, 0.3, 3.0)
def test_brightness_contrast_and_phase_change_nothing(brightness, contrast, shift):
    slope_x, slope_y, bend_x, bend_y = bowl(0.008, 30.0)
    image = mirrored(slope_x, slope_y, brightness=brightness, contrast=contrast, shift=shift)
    field = slope_field(image, FINE)
    assert np.abs(field.curvature_per_mm - bend_x - bend_y)[INNER].max() < 0.15 * (bend_x + bend_y).max()
    assert np.abs(field.slope_x - slope_x)[INNER].max() < 0.08 * slope_x.max()


def test_grey_and_colour_are_the_same(dented):
    colour = np.repeat(dented[..., None], 3, axis=2)
    predictor = Deflectometry(FINE)
    np.testing.assert_allclose(predictor.z_score(colour), predictor.z_score(dented), atol=1e-2)


def test_a_dent_stands_out_of_a_panel_and_nothing_else_does(dented, flat):
    z = Deflectometry(FINE).z_score(dented)
    mask = dent_mask()
    assert (z.dtype, z.shape) == (np.float32, dented.shape)
    assert (z[mask] > 6).mean() > 0.5
    assert (z[~dent_mask(radius_mm=14)] > 6).sum() == 0
    assert Deflectometry(FINE).z_score(flat).max() < 3


def test_an_outward_dent_is_a_dent():
    slope_x, slope_y, _, _ = bowl(-0.15, 8.0)
    z = Deflectometry(FINE).z_score(mirrored(slope_x, slope_y))
    assert (z[dent_mask(at=(0, 0))] > 6).mean() > 0.5


def test_a_dent_too_shallow_to_fold_fringes_is_found_by_its_curvature():
    slope_x, slope_y, bend_x, bend_y = bowl(0.008, 14.0)
    picture = mirrored(slope_x, slope_y)
    assert slope_field(picture, FINE).broken[INNER].max() < 0.15
    z = Deflectometry(FINE).z_score(picture)
    assert z[SIDE // 2, SIDE // 2] > 6


@pytest.mark.parametrize("step", [2, 3])
def test_on_a_coarser_grid_the_map_keeps_its_place_and_size(step):
    geometry = FringeGeometry(mm_per_px=0.2 / step, period_mm=12.0)
    side = 300 * step + 1
    slope_x, slope_y, _, _ = bowl(0.15, 8.0, side=side, geometry=geometry, at=(10.0, -8.0))
    predictor = Deflectometry(geometry)
    z = predictor.z_score(mirrored(slope_x, slope_y, geometry=geometry))
    assert geometry.grid.step == step
    assert z.shape == (side, side)
    rows, columns = np.nonzero(z > 6)
    middle = side / 2 + np.array([-8.0, 10.0]) / geometry.mm_per_px
    assert (rows.mean(), columns.mean()) == pytest.approx(tuple(middle), abs=1.5 / geometry.mm_per_px)


def test_places_without_fringes_are_masked(dented):
    picture = dented.copy()
    picture[:, :150] = 90
    field = slope_field(picture, FINE)
    assert not field.inspected[:, :150].any()
    assert field.inspected[:, 220:].all()
    z = Deflectometry(FINE).z_score(picture)
    assert z[:, :150].max() == 0
    assert (z[dent_mask()] > 6).mean() > 0.5
    away = ~dent_mask(radius_mm=14)
    assert (z[away] > 6).sum() == 0


def test_a_feature_line_is_no_dent_and_hides_none_beside_it():
    x, y = places(640)
    across = (y + 40) / 3.0
    crease = 0.06 * across / np.sqrt(1 + across**2)
    slope_x, slope_y, _, _ = bowl(0.15, 8.0, side=640, at=(10.0, 25.0))
    geometry = replace(FINE, dent_mm=(10.0, 30.0))
    with_line = Deflectometry(geometry).z_score(mirrored(slope_x, slope_y + crease))
    assert (with_line[dent_mask((640, 640), at=(10.0, 25.0))] > 6).mean() > 0.5
    assert (with_line[np.abs(y + 40) < 6] > 6).mean() < 0.02
    short = np.where(np.abs(x) < 20, crease, 0)
    assert (Deflectometry(geometry).z_score(mirrored(slope_x, slope_y + short)) > 6)[np.abs(y + 40) < 6].mean() > 0.1


def test_the_probability_is_the_documented_function_of_z(dented):
    predictor = Deflectometry(FINE)
    window = np.repeat(dented[..., None], 3, axis=2)
    before = window.copy()
    found = predictor(np.stack([window, window]))
    z = predictor.z_score(window).astype(np.float64)
    assert (found.shape, found.dtype) == ((2, 1, SIDE, SIDE), np.float32)
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(window, before)
    inside = z > 0
    np.testing.assert_allclose(found[0, 0][inside], 1 / (1 + (6 / z[inside]) ** 3), rtol=1e-4)
    assert (found[0, 0][~inside] == 0).all()


def test_the_noise_of_a_scan_is_estimated_once(dented, flat):
    scan = np.concatenate([np.concatenate([flat, flat]), np.concatenate([flat, dented])], axis=1)
    fitted = Deflectometry.fitted(np.repeat(scan[..., None], 3, axis=2), FINE)
    assert isinstance(fitted.noise, FringeNoise)
    assert fitted.card.window_px == 2 * SIDE
    assert "of a scan" in repr(fitted)
    assert "each window" in repr(Deflectometry(FINE))
    noisier = replace(fitted.noise, broken_spread=1.0, curvature_spread=(1.0, 1.0))
    assert Deflectometry(FINE, noise=noisier).z_score(dented).max() < 2


def test_through_the_detector(dented):
    scan = np.repeat(dented[..., None], 3, axis=2)
    fitted = Deflectometry.fitted(scan, FINE)
    assert isinstance(fitted, sd.Predictor)
    found = sd.Detector(fitted, options=sd.DetectOptions(mm_per_px=0.2)).detect(scan)
    assert [defect.kind for defect in found] == ["dent"]
    centre = found[0].polygon.centroid
    assert (centre.x, centre.y) == pytest.approx((SIDE / 2 + 50, SIDE / 2 - 40), abs=8)
    assert 0.25 * np.pi * 64 < found[0].area_mm2 < 2 * np.pi * 64
    truth = prepare_truth({"scratch": np.zeros((SIDE, SIDE), np.uint8), "dent": dent_mask().astype(np.uint8)})
    score = score_scan({"dent": found.probability_map.read("dent")}, truth, threshold=0.5)
    assert (score.kinds["dent"].objects.found, score.kinds["dent"].objects.false_alarms) == (1, 0)
    again = sd.Detector(pickle.loads(pickle.dumps(fitted))).probability_map(scan).read("dent")
    np.testing.assert_array_equal(again, found.probability_map.read("dent"))


def test_overlapping_windows_agree_with_one(flat):
    side = 720
    slope_x, slope_y, _, _ = bowl(0.15, 8.0, side=side, at=(12.0, 5.0))
    scan = np.repeat(mirrored(slope_x, slope_y)[..., None], 3, axis=2)
    card = deflectometry_card(FINE, window_px=480, overlap_px=240)
    maps = [
        sd.Detector(Deflectometry.fitted(scan, FINE, card=c)).probability_map(scan).array("dent") for c in (None, card)
    ]
    assert ((maps[0] > 0.5) != (maps[1] > 0.5)).sum() < 0.3 * (maps[0] > 0.5).sum()


def test_a_window_without_fringes(dented):
    blank = np.full((1, SIDE, SIDE, 3), 120, np.uint8)
    with pytest.raises(sd.PredictorError, match="no fringes along"):
        Deflectometry(FINE)(blank)
    fitted = Deflectometry.fitted(dented, FINE)
    assert fitted(blank).max() == 0
    scan = np.concatenate([dented, np.full_like(dented, 120)], axis=1)
    card = deflectometry_card(FINE, window_px=SIDE, overlap_px=0)
    skipping = sd.Detector(Deflectometry(FINE, card=card), options=sd.DetectOptions(on_error="skip"))
    assert skipping.probability_map(scan).coverage == pytest.approx(0.5)


def pictures_without_fringes():
    rng = np.random.default_rng(0)
    ramp = np.tile(np.linspace(0, 255, SIDE), (SIDE, 1)).astype(np.uint8)
    stripes = mirrored(*np.zeros((2, SIDE, SIDE)), geometry=replace(FINE, pattern="x"))
    return {
        "black": np.zeros((SIDE, SIDE), np.uint8),
        "noise": rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8),
        "ramp": ramp,
        "one pattern of two": stripes,
        "other period": np.kron(np.indices((60, 60)).sum(axis=0) % 2, np.ones((7, 7))).astype(np.uint8) * 200,
    }


@pytest.mark.parametrize("name", pictures_without_fringes())
def test_a_picture_without_fringes_is_refused(name):
    picture = pictures_without_fringes()[name]
    with pytest.raises(sd.ScanError, match=r"found (no )?fringes.*expected"):
        slope_field(picture, FINE)
    with pytest.raises(sd.ScanError, match=r"array: found (no )?fringes"):
        Deflectometry.fitted(picture, FINE)


@pytest.mark.parametrize(
    "image",
    [np.zeros((SIDE, SIDE), np.float32), np.zeros(SIDE, np.uint8), np.zeros((SIDE, SIDE, 4), np.uint8), "a.png"],
)
def test_what_is_no_picture_is_refused(image):
    with pytest.raises(sd.ScanError, match="expected uint8"):
        slope_field(image, FINE)


def test_a_picture_of_two_fringes_is_refused(flat):
    with pytest.raises(sd.ScanError, match="at least 3 of them on each side"):
        slope_field(flat[:60], FINE)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mm_per_px": 0}, "mm_per_px is 0"),
        ({"mm_per_px": 3.0}, "come to 2 px .* expected 8 to 2000"),
        ({"period_mm": 500.0, "mm_per_px": 0.01}, "expected 8 to 2000 px"),
        ({"period_mm": float("nan")}, "period_mm is nan"),
        ({"screen_mm": 10}, "screen_mm is 10"),
        ({"camera_mm": "far"}, "camera_mm is 'far'"),
        ({"pattern": "spiral"}, "pattern is 'spiral'; expected one of crossed, x, y"),
        ({"dent_mm": 20}, "dent_mm is 20"),
        ({"dent_mm": (40.0, 10.0)}, "least <= most"),
    ],
)
def test_a_geometry_out_of_range_is_refused(change, message):
    with pytest.raises(sd.OptionError, match=message):
        replace(FINE, **change)


def test_a_card_of_other_kinds_is_refused():
    with pytest.raises(sd.OptionError, match="kinds of the card"):
        Deflectometry(FINE, card=deflectometry_card(FINE, kinds=("scratch",), thresholds={}))


@pytest.mark.parametrize("wrong", [None, "crossed", [0.1], {"mm_per_px": 0.1}])
def test_what_is_no_geometry_is_refused(flat, wrong):
    for call in (
        lambda: Deflectometry(wrong),
        lambda: Deflectometry.fitted(flat, wrong),
        lambda: slope_field(flat, wrong),
        lambda: deflectometry_card(wrong),
    ):
        with pytest.raises(sd.OptionError, match="expected a FringeGeometry"):
            call()


@pytest.mark.parametrize(("name", "words"), [("noise", "a FringeNoise or None"), ("card", "a ModelCard or None")])
@pytest.mark.parametrize("wrong", ["own", 3, []])
def test_noise_and_card_of_another_type_are_refused(name, words, wrong):
    with pytest.raises(sd.OptionError, match=f"{name} is .*; expected {words}"):
        Deflectometry(FringeGeometry(mm_per_px=0.1), **{name: wrong})


@pytest.mark.parametrize("wrong", [None, "scan.tif", [[1, 2], [3]]])
def test_pictures_and_windows_of_another_type_are_refused(wrong):
    geometry = FringeGeometry(mm_per_px=0.1)
    for call in (lambda: slope_field(wrong, geometry), lambda: Deflectometry(geometry).z_score(wrong)):
        with pytest.raises(sd.ScanError, match="expected uint8"):
            call()
    with pytest.raises(sd.PredictorError, match=r"expected an array of windows, uint8 \(N, S, S, 3\)"):
        Deflectometry(geometry)(wrong)
    with pytest.raises(sd.PredictorError, match=r"an? numpy.ndarray \(600, 600, 3\), expected an array of windows"):
        Deflectometry(geometry)(np.zeros((600, 600, 3), np.uint8))


def test_the_card_has_room_for_a_dent_and_its_surroundings():
    card = deflectometry_card(FringeGeometry(mm_per_px=0.1))
    assert (card.kinds, card.window_px, card.threshold("dent")) == (("dent",), 2048, 0.5)
    assert card.overlap_px * 0.1 > 40
    assert deflectometry_card(FringeGeometry(mm_per_px=0.02)).window_px > 2048


def test_the_geometry_is_that_of_the_rendered_fringes():
    geometry, fringe = FringeGeometry(mm_per_px=0.1), Fringe()
    assert get_args(Pattern) == get_args(synthetic_fringe.Pattern)
    assert (geometry.period_mm, geometry.pattern, geometry.screen_mm) == (
        fringe.period_mm,
        fringe.pattern,
        fringe.distance_mm,
    )
    assert geometry.camera_mm == SyntheticConfig().distance_mm


def crowned_seed(config, first):
    """The first seed from there on whose panel bulges and has no feature lines."""
    for seed in range(first, first + 100):
        panel = random_scene(seed, config, environment_size=64).panel
        if panel.curvature_per_mm[0] < 0 and not panel.creases and panel.peel_slope < 0.002:
            return seed
    raise AssertionError("no such panel")


def test_a_dent_of_a_rendered_scan_is_found():
    config = replace(
        preset("deflectometry"), width=1100, height=900, mm_per_px=0.2, scratches=(0, 0), chips=(0, 0), scuffs=(0, 0),
        dents=(0, 0), hail=(2, 2), lookalikes=0.0,
    )  # fmt: skip
    scan = render_scan(crowned_seed(config, 3_000), config)
    found = sd.Detector(Deflectometry.fitted(scan.image, FringeGeometry(mm_per_px=0.2))).detect(scan.image)
    truth = prepare_truth(scan.truth.masks, ignore=scan.truth.ignore)
    objects = (
        score_scan({"dent": found.probability_map.read("dent")}, truth, threshold=0.5, polygons=found)
        .kinds["dent"]
        .objects
    )
    assert (objects.regions, objects.found, objects.false_alarms) == (2, 2, 0)


@pytest.mark.slow
@pytest.mark.parametrize(("daylight", "recall"), [(0.0, 0.9), (1.0, 0.8)])
def test_dents_of_a_door_are_found_in_the_dark_room_and_by_day(daylight, recall):
    config = replace(
        preset("deflectometry"), scratches=(0, 0), chips=(0, 0), scuffs=(0, 0), dents=(0, 0), hail=(8, 8),
        lookalikes=0.0, fringe=Fringe(daylight=daylight),
    )  # fmt: skip
    scan = render_scan(crowned_seed(config, 4_000), config)
    found = sd.Detector(Deflectometry.fitted(scan.image, FringeGeometry(mm_per_px=0.1))).detect(scan.image)
    truth = prepare_truth(scan.truth.masks, ignore=scan.truth.ignore)
    objects = score_scan({"dent": found.probability_map.read("dent")}, truth, threshold=0.5, polygons=found)
    counts = objects.kinds["dent"].objects
    assert counts.recall >= recall
    assert counts.false_alarms <= 2
