"""What the formats share of geometry: shapes to outlines, outlines to rings without holes and back.

A format without holes gets one ring that goes along the outside, over a bridge to a hole, around it and back over the
same bridge; YOLO tools join the parts of a region in the same way. The bridge is passed twice, so it holds no area, and
`made_valid` gives the hole back to the last digit.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import affinity
from shapely.geometry import LineString, MultiPolygon, Point, Polygon
from shapely.geometry.polygon import orient

from surfacedefect._words import shortened
from surfacedefect.annotations import _rle
from surfacedefect.errors import AnnotationError

Outline: TypeAlias = "Polygon | MultiPolygon"
Points: TypeAlias = list[tuple[float, float]]

_QUARTER_SEGMENTS = 32  # a circle of 128 corners lacks 0.04 % of its area
FARTHEST = 1e9  # px; far beyond any picture, and areas do not overflow
_SAME_AREA = 1e-9
_LEAST_AREA_PX2 = 1e-6  # points on a line enclose this much by rounding alone


def number(value: object, *, where: str, name: str) -> float:
    """Return a number of a size that a picture can have, also one written as text."""
    try:
        found = math.nan if isinstance(value, bool) or value is None else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        found = math.nan
    if not abs(found) <= FARTHEST:
        raise AnnotationError(f"{where}: {name} is {shortened(repr(value))}; expected a finite number up to 1e9")
    return found


def points_of(values: object, *, where: str) -> Points:
    """Return (x, y) pairs of finite numbers."""
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise AnnotationError(f"{where}: the points are {values!r}; expected a list of pairs [x, y]")
    pairs: Points = []
    for pair in values:
        if not isinstance(pair, Sequence) or isinstance(pair, str) or len(pair) != 2:
            raise AnnotationError(f"{where}: a point is {pair!r}; expected a pair [x, y]")
        pairs.append((number(pair[0], where=where, name="x"), number(pair[1], where=where, name="y")))
    return pairs


def polygon(points: Points, *, where: str) -> Polygon:
    """Ring through at least three points; it may cross itself."""
    if len(points) < 3:
        raise AnnotationError(f"{where}: the polygon has {len(points)} points; expected at least three")
    return Polygon(points)


def rectangle(corner: tuple[float, float], opposite: tuple[float, float], *, degrees: float = 0.0) -> Polygon:
    """Rectangle between two corners, turned clockwise about its centre."""
    (x0, x1), (y0, y1) = (sorted(pair) for pair in zip(corner, opposite, strict=True))
    upright = Polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])
    return affinity.rotate(upright, degrees) if degrees else upright


def ellipse(centre: tuple[float, float], radii: tuple[float, float], *, degrees: float = 0.0) -> Polygon:
    """Polygon of 128 corners on an ellipse, turned clockwise as seen, y pointing down."""
    circle = Point(0, 0).buffer(1, quad_segs=_QUARTER_SEGMENTS)
    turned = affinity.rotate(affinity.scale(circle, *map(abs, radii), origin=(0, 0)), degrees, origin=(0, 0))
    return affinity.translate(turned, *centre)


def line(points: Points, *, width_px: float | None, where: str) -> Polygon:
    """Outline of a drawn line: its ring where its ends meet, otherwise the line as wide as told."""
    if len(points) > 3 and points[0] == points[-1]:
        return polygon(points[:-1], where=where)
    if width_px is None:
        raise AnnotationError(
            f"{where} is an open line, which has no area; expected an outline. "
            "Say with line_width_px how wide lines are, or draw an outline"
        )
    if len(points) < 2:
        raise AnnotationError(f"{where}: the line has {len(points)} points; expected at least two")
    return LineString(points).buffer(width_px / 2)


def made_valid(raw: Outline) -> tuple[Outline, bool]:
    """Return a valid outline, empty where there is no area, and whether the raw one crossed itself.

    A ring that only runs back over its own bridges does not cross itself: its signed area is the area of what it goes
    around. Any other one is what ``shapely.make_valid`` makes of its lines (``linework``): of a figure of eight both
    halves stay, and what a ring goes around twice falls out.
    """
    if raw.is_valid:
        return (raw if raw.area > _LEAST_AREA_PX2 else Polygon()), False
    found = [_part_made_valid(part) for part in shapely.get_parts(raw)]
    parts = [part for part, _ in found]
    whole = joined(parts)
    overlap = not math.isclose(sum(part.area for part in parts), whole.area, rel_tol=_SAME_AREA)
    if whole.area <= _LEAST_AREA_PX2:
        return Polygon(), False
    return whole, overlap or any(crossed for _, crossed in found)


def _part_made_valid(part: Polygon) -> tuple[Outline, bool]:
    if part.is_valid:
        return part, False
    of_lines = _rle.polygonal(shapely.make_valid(part))
    if math.isclose(of_lines.area, part.area, rel_tol=_SAME_AREA):
        return of_lines, False
    # Lines alone fill what two bridges enclose; what is turned around does not.
    bridged = _rle.polygonal(shapely.make_valid(part, method="structure", keep_collapsed=False))
    if math.isclose(bridged.area, part.area, rel_tol=_SAME_AREA):
        return bridged, False
    return of_lines, True


def joined(parts: Iterable[Outline]) -> Outline:
    """Join valid outlines into one: side by side where they do not overlap, otherwise their union."""
    pieces = [piece for part in parts for piece in shapely.get_parts(part) if not piece.is_empty]
    if len(pieces) < 2:
        return pieces[0] if pieces else Polygon()
    together = MultiPolygon(pieces)
    return together if together.is_valid else _rle.polygonal(shapely.union_all(pieces))


def rings(outline: Outline) -> list[NDArray[np.float64]]:
    """One ring (n, 2), not closed, for every part; holes are bridged in."""
    return [_bridged([part]) for part in shapely.get_parts(outline)]


def one_ring(outline: Outline) -> NDArray[np.float64]:
    """One ring (n, 2), not closed, of all parts and holes, bridged."""
    return _bridged(list(shapely.get_parts(outline)))


def _bridged(parts: list[Polygon]) -> NDArray[np.float64]:
    if len(parts) == 1 and not parts[0].interiors:
        return _open(parts[0].exterior)
    turned = [orient(part) for part in parts]  # holes run the other way, for tools that count turns
    loops = [_open(ring) for part in turned for ring in (part.exterior, *part.interiors)]
    path = loops[0]
    for loop in loops[1:]:
        at, start = _nearest(path, loop)
        around = np.concatenate((loop[start:], loop[: start + 1]))
        path = np.concatenate((path[: at + 1], around, path[at:]))
    return path


def _open(ring: Any) -> NDArray[np.float64]:
    coordinates: NDArray[np.float64] = shapely.get_coordinates(ring)[:-1]
    return coordinates


def _nearest(path: NDArray[np.float64], loop: NDArray[np.float64]) -> tuple[int, int]:
    """Places of the two corners, one of each, that are next to each other."""
    tree = shapely.STRtree(shapely.points(path))
    found, distances = tree.query_nearest(shapely.points(loop), return_distance=True, all_matches=False)
    best = int(np.argmin(distances))
    return int(found[1][best]), int(found[0][best])
