"""Shapes to outlines, and rings without holes and back."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from annotated import RING, TWO, outlines
from hypothesis import given, settings
from shapely.geometry import MultiPolygon, Polygon, box

from surfacedefect.annotations import _outlines

NESTED = MultiPolygon([box(0, 0, 20, 20).difference(box(2, 2, 18, 18)), box(5, 5, 9, 9), box(11, 4, 17, 17)])


@given(outline=outlines)
@settings(max_examples=40, deadline=None)
def test_a_bridged_ring_gives_the_outline_back(outline: Any) -> None:
    ring = Polygon(_outlines.one_ring(outline))
    found, crossed = _outlines.made_valid(ring)
    assert found.is_valid and not crossed
    assert found.symmetric_difference(outline).area < 1e-9
    parts = [_outlines.made_valid(Polygon(part))[0] for part in _outlines.rings(outline)]
    assert _outlines.joined(parts).symmetric_difference(outline).area < 1e-9


@pytest.mark.parametrize("outline", [RING, TWO, NESTED])
def test_no_corner_is_made_up(outline: Any) -> None:
    corners = {tuple(corner) for corner in _outlines.one_ring(outline).tolist()}
    parts = outline.geoms if isinstance(outline, MultiPolygon) else [outline]
    assert corners == {xy for part in parts for ring in (part.exterior, *part.interiors) for xy in ring.coords}


def test_a_plain_ring_is_left_as_it_is() -> None:
    square = box(1, 2, 3, 4)
    np.testing.assert_array_equal(_outlines.one_ring(square), np.array(square.exterior.coords)[:-1])


@pytest.mark.parametrize(
    ("points", "area"),
    [
        ([(0, 0), (4, 4), (4, 0), (0, 4)], 8),  # a figure of eight: both halves
        ([(0, 0), (6, 0), (6, 6), (2, 6), (2, 2), (8, 2), (8, 4), (0, 4)], None),
    ],
)
def test_crossings_are_seen(points: Any, area: float | None) -> None:
    found, crossed = _outlines.made_valid(Polygon(points))
    assert crossed and found.is_valid
    assert area is None or found.area == pytest.approx(area)


def test_what_has_no_area_is_empty() -> None:
    for points in ([(0, 0), (1, 1), (2, 2)], [(3, 3)] * 3, [(0, 0), (5, 0), (5, 1e-9)]):
        assert _outlines.made_valid(Polygon(points))[0].is_empty


def test_overlapping_parts_are_their_union() -> None:
    found, crossed = _outlines.made_valid(MultiPolygon([box(0, 0, 2, 2), box(1, 1, 3, 3)]))
    assert crossed and found.area == 7
    side_by_side, crossed = _outlines.made_valid(MultiPolygon([box(0, 0, 2, 2), box(2, 0, 4, 2)]))
    assert not crossed and side_by_side.area == 8


def test_circles_and_turned_boxes_have_their_area() -> None:
    assert _outlines.ellipse((5, 5), (4, 2), degrees=20).area == pytest.approx(8 * math.pi, rel=1e-3)
    assert _outlines.rectangle((4, 6), (1, 2), degrees=33).area == pytest.approx(12)
