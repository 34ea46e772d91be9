"""Outlining apart from its laws (tests/test_outline_laws.py): order, offset, files, simplification, refusals."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
import shapely
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rasterio.features import rasterize
from scipy import ndimage

from surfacedefect import polygons as module
from surfacedefect.errors import OptionError
from surfacedefect.polygons import damaged_level, outline, polygons_of, simplified

masks = arrays(np.bool_, st.tuples(st.integers(1, 20), st.integers(1, 20)))


@dataclass(frozen=True)
class FakeMap:
    """A probability map of one kind, "scratch", held in an array; it says what it is told about where it is."""

    values: np.ndarray
    in_memory: bool = True
    kinds: tuple[str, ...] = ("scratch",)

    @property
    def shape(self):
        return self.values.shape

    def read(self, kind, *, rows, cols):
        assert kind in self.kinds
        return self.values[rows, cols]

    def row_bands(self, rows):
        for start in range(0, self.shape[0], rows):
            yield slice(start, min(start + rows, self.shape[0]))


def outlined(pm, *, threshold=0.5, least_area_px=0.0, simplify_px=0.0):
    return polygons_of(pm, "scratch", threshold=threshold, least_area_px=least_area_px, simplify_px=simplify_px)


def pixels(polygon, shape):
    return rasterize([polygon], out_shape=shape, dtype="uint8").astype(bool)


def ragged(seed, shape=(90, 110)):
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 2.5)
    return np.clip(noise / noise.std() * 60 + 110, 0, 255).astype(np.uint8)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(masks)
@example(np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], dtype=bool))
@example(np.array([[1, 1, 1, 1], [1, 0, 1, 1], [1, 1, 0, 1], [1, 1, 1, 1]], dtype=bool))
def test_each_region_is_one_valid_polygon_of_exactly_its_pixels(mask):
    labels, count = ndimage.label(mask, np.ones((3, 3)))
    found = outline(mask)
    assert len(found) == count
    for polygon in found:
        assert polygon.is_valid, shapely.is_valid_reason(polygon)
        inside = pixels(polygon, mask.shape)
        (label,) = np.unique(labels[inside])
        np.testing.assert_array_equal(inside, labels == label)
        assert polygon.area == pytest.approx(inside.sum(), rel=1e-3)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(masks)
def test_holes_are_those_of_the_mask(mask):
    background, count = ndimage.label(np.pad(~mask, 1, constant_values=True))  # what holes are to 8-connected regions
    areas = sorted(np.bincount(background.ravel())[1:])
    areas.remove(np.count_nonzero(background == background[0, 0]))
    whole = outline(mask)
    # A region within a hole takes its own pixels from it; filled, the hole is larger by these.
    holes = [shapely.Polygon(ring) for polygon in whole for ring in polygon.interiors]
    assert len(holes) == count - 1
    free = [hole.difference(shapely.union_all(whole)).area for hole in holes]
    np.testing.assert_allclose(sorted(free), areas, atol=0.01)


@pytest.mark.parametrize("flip", [1, -1])
def test_a_diagonal_hairline_is_one_polygon_of_its_area(flip):
    (polygon,) = outline(np.eye(200, dtype=bool)[:, ::flip])
    assert polygon.is_valid
    assert polygon.area == pytest.approx(200, rel=1e-3)
    assert polygon.bounds == (0, 0, 200, 200)


def test_corners_lie_on_integers_where_nothing_touches():
    mask = np.zeros((9, 12), dtype=np.uint8)
    mask[2:5, 3:10] = 255
    (polygon,) = outline(mask)
    assert polygon.equals(shapely.box(3, 2, 10, 5))


def test_offset_moves_x_and_y():
    mask = np.zeros((9, 12), dtype=bool)
    mask[2:5, 3:10] = True
    (polygon,) = outline(mask, offset=(1000, 20))
    assert polygon.bounds == (1003, 22, 1010, 25)


def test_order_is_top_then_left():
    mask = np.zeros((20, 20), dtype=bool)
    for row, col in ((12, 2), (3, 15), (3, 1), (8, 8)):
        mask[row : row + 3, col : col + 3] = True
    assert [polygon.bounds[:2] for polygon in outline(mask)] == [(1, 3), (15, 3), (8, 8), (2, 12)]


@pytest.mark.parametrize(
    "mask",
    [np.zeros((4, 4)), np.zeros((4, 4), dtype=np.int64), np.zeros(4, dtype=bool), np.zeros((4, 4, 3), dtype=np.uint8)],
)
def test_what_is_no_mask_is_refused(mask):
    with pytest.raises(OptionError, match="expected \\(rows, columns\\) of bool or uint8"):
        outline(mask)


def test_other_connectivities_are_refused():
    with pytest.raises(OptionError, match="connectivity is 6"):
        outline(np.ones((2, 2), dtype=bool), connectivity=6)


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (6, 7)])
def test_nothing_inside_gives_no_polygon(shape):
    assert outline(np.zeros(shape, dtype=bool)) == []


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.floats(0, 1))
def test_level_is_the_least_that_reaches_the_threshold(threshold):
    level = damaged_level(threshold)
    assert 1 <= level <= 255
    assert level / 255 >= threshold - 1e-9
    assert level == 1 or (level - 1) / 255 < threshold


def test_every_level_is_reached_by_its_own_probability():
    assert [damaged_level(level / 255) for level in range(1, 256)] == list(range(1, 256))


@pytest.mark.parametrize("simplify_px", [0.0, 0.5, 1.5])
def test_a_map_on_disk_gives_the_polygons_of_one_in_memory(simplify_px, monkeypatch):
    monkeypatch.setattr(module, "_BAND_ROWS", 32)  # several bands and tiles
    values = ragged(4)
    mine = outlined(FakeMap(values), simplify_px=simplify_px, least_area_px=3)
    theirs = outlined(FakeMap(values, in_memory=False), simplify_px=simplify_px, least_area_px=3)
    assert len(mine) > 5
    assert shapely.to_wkb(mine).tolist() == shapely.to_wkb(theirs).tolist()


@pytest.mark.parametrize("in_memory", [True, False])
def test_an_undamaged_map_gives_nothing(in_memory):
    assert outlined(FakeMap(np.full((40, 50), 127, dtype=np.uint8), in_memory)) == []


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_map_over_its_threshold_everywhere_is_one_rectangle(in_memory):
    (polygon,) = outlined(FakeMap(np.full((40, 50), 128, dtype=np.uint8), in_memory))
    assert polygon.equals(shapely.box(0, 0, 50, 40))


def test_regions_are_dropped_by_their_pixels_before_they_are_simplified():
    values = np.zeros((30, 60), dtype=np.uint8)
    values[2:7, 2:7] = 200  # 25 px
    values[10:15, 20:26] = 200  # 30 px
    values[20:29, 30:50] = 200  # 180 px, of them 100 in a hole
    values[22:27, 30 + 1 : 30 + 19] = 0
    assert [len(outlined(FakeMap(values), least_area_px=area)) for area in (0, 25, 25.5, 30, 31, 90, 91)] == [
        3, 3, 2, 2, 1, 1, 0,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"threshold": 1.5}, "threshold is 1.5"),
        ({"least_area_px": -1.0}, "least_area_px is -1.0"),
        ({"least_area_px": math.nan}, "least_area_px is nan"),
        ({"simplify_px": math.inf}, "simplify_px is inf"),
    ],
)
def test_options_out_of_range_are_refused(change, said):
    with pytest.raises(OptionError, match=said):
        outlined(FakeMap(np.zeros((5, 5), dtype=np.uint8)), **change)


def test_an_unknown_kind_is_refused_with_those_there_are():
    pm = FakeMap(np.zeros((5, 5), dtype=np.uint8), kinds=("scratch", "dent"))
    with pytest.raises(OptionError, match="'rust'.*scratch, dent"):
        polygons_of(pm, "rust", threshold=0.5, least_area_px=0, simplify_px=0)


@pytest.mark.parametrize("seed", range(2))
def test_simplified_by_half_a_pixel_holds_the_same_pixels(seed):
    mask = ragged(seed) > 128
    saved = 0
    for polygon in outline(mask):
        slim = simplified(polygon, simplify_px=0.5)
        np.testing.assert_array_equal(pixels(slim, mask.shape), pixels(polygon, mask.shape))
        saved += len(polygon.exterior.coords) - len(slim.exterior.coords)
    assert saved > 0


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("simplify_px", [0.5, 2.0, 50.0])
def test_simplified_stays_valid_keeps_area_and_holes(seed, simplify_px):
    rng = np.random.default_rng(seed)
    for mask in (ragged(seed) > 120, rng.random((30, 30)) < 0.55, np.eye(60, dtype=bool)):
        for polygon in outline(mask):
            slim = simplified(polygon, simplify_px=simplify_px)
            assert isinstance(slim, shapely.Polygon)
            assert slim.is_valid
            assert slim.area == pytest.approx(polygon.area, rel=0.02)
            assert len(slim.interiors) == len(polygon.interiors)


def test_simplified_saves_most_corners_of_a_slanted_bar():
    bar = shapely.affinity.rotate(shapely.box(50, 50, 250, 62), 20)
    (polygon,) = outline(rasterize([bar], out_shape=(300, 300), dtype="uint8"))
    slim = simplified(polygon, simplify_px=1.0)
    assert len(slim.exterior.coords) < len(polygon.exterior.coords) / 4
    assert slim.hausdorff_distance(polygon) <= 1.5
