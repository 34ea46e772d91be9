from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rasterio.features import rasterize

import surfacedefect as sd
from surfacedefect.polygons import damaged_level, outline, polygons_of

masks = arrays(np.uint8, st.tuples(st.integers(1, 24), st.integers(1, 24)), elements=st.integers(0, 1))


@settings(max_examples=150, deadline=None)
@given(masks)
def test_outlines_are_valid_and_hold_exactly_the_mask(mask):
    polygons = outline(mask)
    assert all(isinstance(p, shapely.Polygon) and p.is_valid and not p.is_empty for p in polygons)
    again = rasterize(polygons, out_shape=mask.shape, fill=0, dtype="uint8") if polygons else np.zeros_like(mask)
    np.testing.assert_array_equal(again, mask)
    assert sum(p.area for p in polygons) == pytest.approx(mask.sum(), rel=2e-3)


@settings(max_examples=60, deadline=None)
@given(masks)
def test_one_polygon_a_component(mask):
    from skimage.measure import label

    assert len(outline(mask)) == label(mask, connectivity=2).max()
    assert len(outline(mask, connectivity=4)) == label(mask, connectivity=1).max()


@pytest.mark.parametrize("turn", [0, 1])
def test_a_one_pixel_diagonal_is_one_valid_polygon(turn):
    (polygon,) = outline(np.rot90(np.eye(50, dtype=np.uint8), turn).copy())
    assert polygon.is_valid
    assert polygon.area == pytest.approx(50, rel=1e-3)


def test_a_hole_is_kept():
    mask = np.ones((20, 30), np.uint8)
    mask[5:9, 7:20] = 0
    (polygon,) = outline(mask)
    assert polygon.area == 600 - 52
    assert [shapely.Polygon(ring).bounds for ring in polygon.interiors] == [(7, 5, 20, 9)]


def test_an_empty_map_gives_an_empty_result():
    pm = sd.ProbabilityMap.from_arrays(np.zeros((1, 30, 40), np.uint8), ("scratch",))
    assert polygons_of(pm, "scratch", threshold=0.5, least_area_px=0, simplify_px=0.5) == []


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**31), st.sampled_from([0.1, 0.4, 0.8]), st.sampled_from([0, 5, 40]), st.sampled_from([0, 0.5, 2])
)
def test_a_map_on_disk_gives_the_same_polygons(seed, threshold, least_area_px, simplify_px):
    from scipy.ndimage import gaussian_filter

    noise = gaussian_filter(np.random.default_rng(seed).normal(size=(300, 290)), 4)
    values = np.clip(noise / noise.std() * 70 + 90, 0, 255).astype(np.uint8)[None]
    held = sd.ProbabilityMap.from_arrays(values, ("scratch",))
    from surfacedefect._map_files import MapFrame

    filed = sd.ProbabilityMap.from_bands(held.bands(77), MapFrame(290, 300, ("scratch",)), max_memory=0)
    given_ = {"threshold": threshold, "least_area_px": least_area_px, "simplify_px": simplify_px}
    mine, theirs = (polygons_of(pm, "scratch", **given_) for pm in (held, filed))
    assert [p.wkb for p in mine] == [p.wkb for p in theirs]
    assert all(p.is_valid for p in mine)
    assert all(p.area >= 0.97 * least_area_px for p in mine)


@pytest.mark.parametrize(
    ("threshold", "level"), [(0.0, 1), (0.2, 51), (0.5, 128), (1.0, 255), (1 / 255, 1), (2 / 255, 2)]
)
def test_levels(threshold, level):
    assert damaged_level(threshold) == level


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_thresholds_out_of_range_are_refused(threshold):
    with pytest.raises(sd.OptionError, match="expected"):
        damaged_level(threshold)
