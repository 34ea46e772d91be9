"""What a customer is charged by: lengths and widths of rendered truth masks, against what they were drawn from."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.features import rasterize
from shapely.geometry import LineString

from surfacedefect.measure import measure
from surfacedefect.polygons import outline

SETTINGS = settings(max_examples=60, deadline=None)


def rendered(line: LineString, width: float) -> tuple[shapely.Polygon, float]:
    """Draw a line of a width with flat ends at pixel centres; return its outline and its true length."""
    shape = line.buffer(width / 2, cap_style="flat", join_style="round")
    left, top, right, bottom = shape.bounds
    moved = shapely.affinity.translate(shape, 5 - np.floor(left), 5 - np.floor(top))
    size = (int(bottom - top) + 12, int(right - left) + 12)
    polygons = outline(rasterize([moved], out_shape=size, fill=0, dtype="uint8"))
    return max(polygons, key=lambda polygon: polygon.area), line.length


def assert_measures(line: LineString, width: float) -> None:
    polygon, length = rendered(line, width)
    found = measure(polygon)
    assert abs(found.length_px - length) <= max(2, 0.03 * length), (found, length)
    assert abs(found.width_px - width) <= 1, (found, width)


def arc(radius: float, sweep: float, start: float, width: float) -> LineString:
    angles = start + np.linspace(0, sweep, 200)
    return LineString(np.stack([radius * np.cos(angles), radius * np.sin(angles)], axis=1))


@SETTINGS
@given(st.floats(0, np.pi), st.floats(1.5, 20), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_straight_lines_at_any_angle(angle, width, longer, x, y):
    length = max(3 * width, 30) + longer * 300
    assert_measures(LineString([(x, y), (x + length * np.cos(angle), y + length * np.sin(angle))]), width)


@SETTINGS
@given(st.floats(0.4, 2.8), st.floats(0, 2 * np.pi), st.floats(1.5, 20), st.floats(0, 1))
def test_arcs(sweep, start, width, wider):
    radius = max(4 * width, 40 / sweep) + wider * 150
    assert_measures(arc(radius, sweep, start, width), width)


@pytest.mark.parametrize("angle", np.linspace(0, np.pi, 13))
@pytest.mark.parametrize("length", [20, 80, 300])
def test_one_pixel_lines(angle, length):
    """Every pixel that the line passes: what a hairline's truth is."""
    line = LineString([(5.3, 305.7), (5.3 + length * np.cos(angle), 305.7 - length * np.sin(angle))])
    left, top, *_ = line.bounds
    moved = shapely.affinity.translate(line, 5.3 - left, 5.7 - top)
    mask = rasterize([moved], out_shape=(320, 620), fill=0, dtype="uint8", all_touched=False)
    (polygon,) = outline(mask)
    found = measure(polygon)
    assert abs(found.length_px - length) <= max(2, 0.03 * length)
    assert abs(found.width_px - 1) <= 1


@pytest.mark.parametrize("width", [2, 5, 12])
@pytest.mark.parametrize("angle", [0, 0.4, 1.1])
def test_of_a_cross_the_longer_arm_counts(width, angle):
    long, short = 240, 120
    cross = [
        LineString(
            [
                (200 - size / 2 * np.cos(a), 200 - size / 2 * np.sin(a)),
                (200 + size / 2 * np.cos(a), 200 + size / 2 * np.sin(a)),
            ]
        )
        for size, a in ((long, angle), (short, angle + np.pi / 2))
    ]
    shape = shapely.union_all([line.buffer(width / 2, cap_style="flat") for line in cross])
    (polygon,) = outline(rasterize([shape], out_shape=(400, 400), fill=0, dtype="uint8"))
    found = measure(polygon)
    assert abs(found.length_px - long) <= max(2, 0.03 * long)
    assert abs(found.width_px - width) <= 1 + 0.05 * width


def test_a_ring_is_as_long_as_its_middle_line():
    ring = shapely.Point(100, 100).buffer(60).difference(shapely.Point(100, 100).buffer(54))
    (polygon,) = outline(rasterize([ring], out_shape=(200, 200), fill=0, dtype="uint8"))
    assert len(polygon.interiors) == 1
    found = measure(polygon)
    assert found.length_px == pytest.approx(2 * np.pi * 57, rel=0.03)
    assert found.width_px == pytest.approx(6, abs=1)
    assert found.area_px == polygon.area == pytest.approx(ring.area, rel=0.02)


def test_a_disc_is_as_long_as_wide():
    (polygon,) = outline(rasterize([shapely.Point(50, 50).buffer(30)], out_shape=(100, 100), fill=0, dtype="uint8"))
    found = measure(polygon)
    assert found.length_px == pytest.approx(60, abs=2)


def test_score_is_the_mean_over_the_pixels_inside():
    probabilities = np.zeros((50, 60), np.uint8)
    probabilities[10:20, 5:25] = 102
    probabilities[10:20, 25:35] = 204
    assert measure(shapely.box(5, 10, 35, 20), probabilities=probabilities).score == pytest.approx((0.4 * 2 + 0.8) / 3)
    part = probabilities[8:30, 3:40]
    assert measure(shapely.box(5, 10, 35, 20), probabilities=part, origin=(3, 8)).score == pytest.approx(1.6 / 3)
