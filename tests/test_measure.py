"""Measuring many drawn lines, and shapes that are no lines; its plain laws are in tests/test_measure_laws.py."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rasterio.features import rasterize
from scipy import ndimage

from surfacedefect import measure as module
from surfacedefect.errors import OptionError
from surfacedefect.measure import measure, measure_mask
from surfacedefect.polygons import outline, simplified


def bent_line(length, bend, angle):
    """A line of a length along a circle of curvature ``bend`` (0: straight)."""
    along = np.linspace(-length / 2, length / 2, max(3, 4 * int(length)))
    heading = angle + bend * (along[1:] + along[:-1]) / 2
    steps = np.diff(along)[:, np.newaxis] * np.column_stack([np.cos(heading), np.sin(heading)])
    return shapely.LineString(np.concatenate([[[0.0, 0.0]], np.cumsum(steps, axis=0)]))


def drawn(shape, *, shift=(0.0, 0.0)):
    """The pixels whose centre lies in a shape, with an empty border."""
    left, top, right, bottom = shape.bounds
    moved = shapely.transform(shape, lambda xy: xy - np.floor([left - 3, top - 3]) + shift)
    size = (int(bottom - top) + 8, int(right - left) + 8)
    return rasterize([moved], out_shape=size, dtype="uint8").astype(bool)


def band(line, width, cap_style="flat"):
    return line.buffer(width / 2, cap_style=cap_style, quad_segs=32)


def largest(mask):
    return max(outline(mask), key=lambda polygon: polygon.area)


def segment(length, angle, centre=(0.0, 0.0)):
    ahead = length / 2 * np.array([math.cos(angle), math.sin(angle)])
    return shapely.LineString([np.asarray(centre) - ahead, np.asarray(centre) + ahead])


def off(found, length):
    """Error of a length as a share of what is allowed."""
    return abs(found - length) / max(2.0, 0.03 * length)


def random_line(rng):
    width = rng.uniform(1, 20) if rng.random() < 0.5 else float(rng.choice([1, 1.5, 2, 3, 4, 5, 7, 10, 14, 20]))
    length = math.exp(rng.uniform(math.log(max(15, 2 * width)), math.log(400)))
    angle = (
        rng.uniform(0, 2 * math.pi) if rng.random() < 0.7 else math.radians(rng.choice([0, 1, 5, 22.5, 26.6, 45, 90]))
    )
    radius = max(15, 2 * width, (length + 2 * width) / 5) * math.exp(rng.uniform(0, 3))
    return width, length, angle, float(rng.choice([0, 1, -1])) / radius


@pytest.mark.parametrize("cap_style", ["flat", "round"])
@pytest.mark.parametrize("simplify_px", [0.0, 0.5])
def test_drawn_lines_have_their_length_and_width(cap_style, simplify_px, record_property):
    """60 lines each of any width from 1 to 20 px, angle and bend; round ends lie half a width beyond the line's."""
    rng = np.random.default_rng(17)
    lengths, widths = [], []
    for _ in range(60):
        width, length, angle, bend = random_line(rng)
        line = bent_line(length, bend, angle)
        polygon = simplified(largest(drawn(band(line, width, cap_style), shift=rng.random(2))), simplify_px=simplify_px)
        found = measure(polygon)
        lengths.append(off(found.length_px, length + (width if cap_style == "round" else 0)))
        widths.append(abs(found.width_px - width))
    record_property("worst_length_of_allowed", max(lengths))
    record_property("worst_width_px", max(widths))
    print(f"worst length error {max(lengths):.2f} of allowed, worst width error {max(widths):.2f} px")
    assert max(lengths) <= 1
    assert max(widths) <= 1


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.floats(0, math.pi), st.floats(30, 300), st.floats(0, 1), st.floats(0, 1))
def test_hairlines_one_pixel_wide(angle, length, x, y):
    found = measure(largest(drawn(band(segment(length, angle), 1.0), shift=(x, y))))
    assert off(found.length_px, length) <= 1
    assert found.width_px == pytest.approx(1, abs=0.6)


@pytest.mark.parametrize("between", [25, 50, 90])
@pytest.mark.parametrize("width", [1, 4, 10])
def test_two_crossing_lines_are_as_long_as_the_longer(between, width):
    arms = [segment(240, 0.3), segment(200, 0.3 + math.radians(between))]
    length, mean_width = measure_mask(drawn(shapely.union_all([band(arm, width) for arm in arms])))
    assert off(length, 240) <= 1
    assert mean_width == pytest.approx(width, abs=1.1)


def test_side_branches_do_not_count():
    trunk = segment(300, 0.2)
    twigs = [segment(30, 1.5, trunk.interpolate(at).coords[0]) for at in (60, 140, 210)]
    length, _ = measure_mask(drawn(shapely.union_all([band(line, 5) for line in [trunk, *twigs]])))
    assert off(length, 300) <= 1


@pytest.mark.parametrize("turn", [20, 45, 70])
@pytest.mark.parametrize("width", [1, 6, 12])
def test_a_line_with_corners(turn, width):
    headings = np.radians(17 + np.array([0, turn, 0, turn]))
    corners = np.concatenate([[[0, 0]], np.cumsum(80 * np.column_stack([np.cos(headings), np.sin(headings)]), axis=0)])
    length, _ = measure_mask(drawn(band(shapely.LineString(corners), width)))
    assert off(length, 320) <= 1


@pytest.mark.parametrize(("radius", "width"), [(12, 2), (30, 1), (60, 12), (150, 5)])
def test_a_closed_loop_is_as_long_as_its_middle_line(radius, width):
    ring = shapely.Point(0.3, 0.4).buffer(radius, 64).exterior.buffer(width / 2)
    length, mean_width = measure_mask(drawn(ring))
    assert off(length, 2 * math.pi * radius) <= 1
    assert mean_width == pytest.approx(width, abs=1)


def test_a_loop_with_a_tail_is_walked_all_round():
    loop = shapely.Point(0, 0).buffer(50, 64).exterior
    tail = shapely.LineString([(50, 0), (170, 0)])
    length, _ = measure_mask(drawn(shapely.union_all([loop.buffer(2), band(tail, 4)])))
    assert off(length, 2 * math.pi * 50 + 120) <= 1


def test_pinholes_do_not_change_length_or_width():
    mask = drawn(band(segment(200, 0.4), 12))
    pierced = mask.copy()
    deep = np.argwhere(ndimage.distance_transform_edt(mask) > 5)
    pierced[tuple(deep[::150].T)] = False
    assert len(outline(pierced)[0].interiors) >= 3
    assert measure_mask(pierced) == pytest.approx(measure_mask(mask), abs=1e-9)


def test_holes_are_left_out_of_the_area_and_the_score():
    mask = np.zeros((40, 60), dtype=bool)
    mask[5:35, 5:55] = True
    mask[20, 30] = False
    values = np.full(mask.shape, 51, dtype=np.uint8)
    values[20, 30] = 255
    (polygon,) = outline(mask)
    found = measure(polygon, probabilities=values)
    assert found.area_px == 30 * 50 - 1
    assert found.score == pytest.approx(0.2)


@pytest.mark.parametrize("diameter", [1, 2, 5, 12, 40, 300])
def test_a_disc_is_as_long_as_its_diameter(diameter):
    mask = drawn(shapely.Point(0.5, 0.5).buffer(max(diameter, 1.2) / 2, 64))
    length, width = measure_mask(mask)
    assert off(length, diameter) <= 1
    assert diameter - 2 <= width <= length


@pytest.mark.parametrize("side", [1, 2, 3, 9, 30])
def test_a_square_is_as_long_and_wide_as_its_side(side):
    assert measure_mask(np.ones((side, side), dtype=bool)) == pytest.approx((side, side))


def test_two_pixels_that_touch_at_a_corner():
    length, width = measure_mask(np.eye(2, dtype=bool))
    assert length == pytest.approx(2 * math.sqrt(2), abs=0.05)
    assert 0.5 <= width <= 1.5


@settings(max_examples=60, deadline=None, derandomize=True)
@given(arrays(np.bool_, st.tuples(st.integers(1, 14), st.integers(1, 14))))
def test_any_mask_has_a_length_about_its_size(mask):
    for polygon in outline(mask)[:3]:
        found = measure(polygon, probabilities=np.full(mask.shape, 102, dtype=np.uint8))
        left, top, right, bottom = polygon.bounds
        assert found.length_px >= 0.6 * max(right - left, bottom - top)
        assert found.length_px <= 2 * polygon.area + 1
        assert 0 < found.width_px <= found.length_px
        assert found.score == pytest.approx(0.4)


@pytest.mark.parametrize("turn", [1, 2, 3])
def test_turning_the_mask_hardly_changes_what_is_measured(turn):
    mask = drawn(band(bent_line(150, 0.01, 0.5), 7))
    assert measure_mask(np.rot90(mask, turn).copy()) == pytest.approx(measure_mask(mask), abs=1)


def test_of_several_parts_of_a_mask_the_longest_is_measured():
    mask = np.zeros((20, 100), dtype=np.uint8)
    mask[2:8, 2:12] = 1
    mask[12:15, 10:90] = 1
    assert measure_mask(mask) == pytest.approx((80, 3), abs=0.1)


def test_score_is_the_mean_of_exactly_the_pixels_of_an_outline():
    rng = np.random.default_rng(5)
    values = rng.integers(0, 256, (80, 90), dtype=np.uint8)
    mask = ndimage.gaussian_filter(rng.normal(size=values.shape), 3) > 0.05
    labels, _ = ndimage.label(mask, np.ones((3, 3)))
    for polygon in outline(mask):
        label = labels[rasterize([polygon], out_shape=mask.shape, dtype="uint8") > 0][0]
        expected = values[labels == label].mean() / 255
        assert measure(polygon, probabilities=values).score == pytest.approx(expected)
        assert measure(simplified(polygon, simplify_px=0.5), probabilities=values).score == pytest.approx(expected)


def test_score_of_a_window_of_the_map():
    values = np.random.default_rng(0).integers(0, 256, (100, 120), dtype=np.uint8)
    polygon = shapely.box(40, 30, 70, 45)
    whole = measure(polygon, probabilities=values)
    part = measure(polygon, probabilities=values[25:50, 38:75], origin=(38, 25))
    assert part == whole


@pytest.mark.parametrize("half", [0.001, 0.05, 0.3])
def test_slivers_between_pixel_centres_have_a_score_and_a_size(half):
    values = np.full((20, 60), 204, dtype=np.uint8)
    found = measure(segment(40, 0.15, (30.2, 10.03)).buffer(half, cap_style="flat"), probabilities=values)
    assert found.score == pytest.approx(0.8)
    assert found.length_px == pytest.approx(40, abs=2)
    assert found.width_px == pytest.approx(2 * half, rel=0.15)


def test_without_probabilities_the_score_is_nan():
    assert math.isnan(measure(shapely.box(0, 0, 9, 9)).score)


@pytest.mark.parametrize(("most", "cell"), [(40_000, 2), (10_000, 4)])
def test_large_boxes_are_measured_on_coarser_cells(most, cell, monkeypatch):
    polygon = largest(drawn(band(bent_line(500, 0.003, 0.6), 14)))
    values = np.random.default_rng(0).integers(0, 256, (700, 700), dtype=np.uint8)
    fine = measure(polygon, probabilities=values)
    monkeypatch.setattr(module, "_MOST_CELLS", most)
    monkeypatch.setattr(module, "_SCORE_ROWS", 100)
    assert module._Grid.of(polygon).cell_px == cell
    coarse = measure(polygon, probabilities=values)
    assert off(coarse.length_px, 500) <= 1
    assert coarse.width_px == pytest.approx(14, abs=1)
    assert coarse.area_px == fine.area_px
    assert coarse.score == pytest.approx(fine.score, rel=1e-9)


def test_cells_wider_than_the_line_still_give_its_length(monkeypatch):
    polygon = largest(drawn(band(segment(500, 0.6), 3)))
    monkeypatch.setattr(module, "_MOST_CELLS", 10_000)
    found = measure(polygon)
    assert off(found.length_px, 500) <= 1
    assert found.width_px == pytest.approx(3, abs=1)


def test_a_large_thick_region_is_measured():
    found = measure(shapely.Point(3000, 3000).buffer(2500, 64))
    assert found.length_px == pytest.approx(5000, rel=0.01)
    assert found.width_px == pytest.approx(5000, rel=0.01)


BOW_TIE = shapely.Polygon([(0, 0), (2, 2), (2, 0), (0, 2)])


@pytest.mark.parametrize("polygon", [BOW_TIE, shapely.Polygon(), shapely.LineString([(0, 0), (1, 1)]), None])
def test_what_is_no_valid_polygon_is_refused(polygon):
    with pytest.raises(OptionError, match="expected one valid shapely.Polygon"):
        measure(polygon)


BOX = shapely.box(10, 10, 20, 20)


@pytest.mark.parametrize(
    ("values", "origin"),
    [
        (np.zeros((15, 30), dtype=np.uint8), (0, 0)),
        (np.zeros((30, 15), dtype=np.uint8), (0, 0)),
        (np.zeros((30, 30), dtype=np.uint8), (11, 0)),
        (np.zeros((30, 30), dtype=np.uint8), (0.5, 0)),
        (np.zeros((30, 30), dtype=np.float32), (0, 0)),
        (np.zeros((1, 30, 30), dtype=np.uint8), (0, 0)),
    ],
)
def test_probabilities_that_do_not_fit_are_refused(values, origin):
    with pytest.raises(OptionError, match="expected uint8 .* that covers it"):
        measure(BOX, probabilities=values, origin=origin)


def test_an_empty_mask_is_refused():
    with pytest.raises(OptionError, match="no pixel inside"):
        measure_mask(np.zeros((5, 5), dtype=bool))


def test_lines_are_measured_by_several_threads_at_once_in_a_new_process():
    """scikit-image is loaded by whoever comes first; who came while it was loading once got half of it."""
    program = (
        "import threading, time\n"
        "import numpy as np\n"
        "from surfacedefect.measure import measure_mask\n"
        "found = []\n"
        "def one(late):\n"
        "    time.sleep(late)\n"
        "    found.append(measure_mask(np.ones((3, 60), bool)))\n"
        "threads = [threading.Thread(target=one, args=(late / 50,)) for late in range(20)]\n"
        "[thread.start() for thread in threads]\n"
        "[thread.join() for thread in threads]\n"
        "assert len(found) == 20, len(found)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr[-2000:]
