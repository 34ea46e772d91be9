"""Length, width, area and score of a polygon: the figures a defect is charged by.

*Length* is the longest path through the skeleton of the polygon's pixels, its ends extended to the outline. *Width* is
the mean of twice the distance to the outline along that path. *Area* is the polygon's, holes left out. *Score* is the
mean probability over the pixels whose centre lies in the polygon.

A skeleton of pixels alone would be off by more than what is charged, so:

- A chain of pixels is up to 8 % too long, depending on its angle. `_smooth` takes the steps out; the usual weights
  for straight and diagonal steps (Vossepoel and Smeulders, "Vector code probability and metrication error in the
  representation of straight lines of finite length", 1982) leave up to 3 % and do not help curves.
- The skeleton of a bar forks into its corners. `_tip` cuts the fork off, and `_reach` goes on along the middle instead.
- A closed loop has no longest path. `Skeleton.longest` opens it.
- Steps of the outline bias the distance to it. `_border` runs through the middles of the steps.

skan, sknw and FilFinder build graphs of skeletons too, but none extends ends to the outline or opens loops, their
lengths are those of pixel chains, and each brings dependencies of its own (numba, networkx, astropy).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, cast

import numpy as np
import shapely
from numpy.typing import NDArray

from surfacedefect._raster import burnt
from surfacedefect._skeleton import SMOOTHING_ROUNDS, Indices, Points, Skeleton, distances, smoothed, walked
from surfacedefect._words import type_name
from surfacedefect.errors import OptionError
from surfacedefect.polygons import outline

if TYPE_CHECKING:
    from scipy.spatial import cKDTree

# A polygon is measured on a grid whose cells are a whole number of pixels wide: the least that keeps the cells of its
# bounding box under the first figure, and cells times thickness (what thinning costs) under the second, if that leaves
# the thickness at or above the third.
_MOST_CELLS = 64_000_000
_MOST_WORK = 15_000_000
_LEAST_THICKNESS = 3.0
# Below this thickness in cells, that of two pixels that touch at a corner, their centres say little.
_SLIVER_THICKNESS = 0.4
# A hole with at least this share of the area within the outer outline makes a loop; smaller ones are filled.
_LOOP_SHARE = 0.05
# An end is a fork into a corner up to where a disc within the outline comes within this many of its radii of the tip,
# and is larger than at the tip by this factor. The fork of a straight bar lies 1.41 radii from its corners.
_FORK_REACH = 2.0
_FORK_GROWTH = 1.5
# A bend at an end whose sag is below this is more likely one of the skeleton than of the polygon.
_LEAST_SAG_PX = 0.4
# Rows of probabilities looked at together.
_SCORE_ROWS = 1024


@dataclass(frozen=True, slots=True)
class Measurement:
    """What was measured on one polygon.

    Parameters
    ----------
    area_px
        Area in square pixels, holes left out.
    length_px
        Length of the longest path along the middle, from outline to outline, in pixels.
    width_px
        Mean width along that path, in pixels.
    score
        Mean probability over the polygon's pixels, in [0, 1]; ``nan`` when no probabilities were given.
    """

    area_px: float
    length_px: float
    width_px: float
    score: float


def measure(
    polygon: shapely.Polygon, *, probabilities: NDArray[np.uint8] | None = None, origin: tuple[int, int] = (0, 0)
) -> Measurement:
    """Measure one polygon.

    A shape so compact that no path is left once its ends are cut back (a disc, a square) is as long as the longer side
    of its narrowest enclosing rectangle and as wide as twice its greatest distance to the outline. A closed loop is as
    long as its whole middle line; a hole makes a loop from 5 % of the enclosed area, and smaller ones are as if filled
    for length and width. A polygon too thin for the pixel grid is as wide as its area over its length. A polygon whose
    bounding box is over 64 million pixels, or that is large and thick, is measured on a coarser grid.

    Parameters
    ----------
    polygon
        Valid polygon in pixel coordinates ``(x, y)``, pixel corners on integers.
    probabilities
        uint8 (0..255 = 0..1), shape (H, W), that covers the polygon; anything that slices like an array will do.
    origin
        ``(x, y)`` of the top left corner of ``probabilities``, whole numbers.

    Returns
    -------
    Measurement
        In pixels. Accurate to 3 % or 2 px of length and 1 px of width for lines from 1 to 20 px wide.

    Raises
    ------
    OptionError
        The polygon is empty or invalid, or the probabilities do not cover it.

    Examples
    --------
    >>> found = measure(shapely.box(10, 10, 110, 14), probabilities=np.full((40, 200), 102, dtype=np.uint8))
    >>> found.area_px, round(found.length_px), round(found.width_px, 1), found.score
    (400.0, 100, 4.0, 0.4)
    """
    if not isinstance(polygon, shapely.Polygon) or polygon.is_empty or not polygon.is_valid or polygon.area == 0:
        what = shapely.is_valid_reason(polygon) if isinstance(polygon, shapely.Geometry) else "not a geometry"
        raise OptionError(
            f"polygon is {type_name(polygon)} ({what}), expected one valid shapely.Polygon with an area; "
            "repair it with shapely.make_valid and measure its parts"
        )
    filled = _filled(polygon)
    grid = _Grid.of(filled)
    length, width = _extent(grid)
    score = math.nan
    if probabilities is not None:
        inside = grid.inside if filled is polygon and grid.cell_px == 1 else None
        score = mean_probability(polygon, probabilities, origin=origin, inside=inside)
    return Measurement(area_px=float(polygon.area), length_px=length, width_px=width, score=score)


def measure_mask(mask: NDArray[np.bool_] | NDArray[np.uint8]) -> tuple[float, float]:
    """Measure length and width of a mask.

    Parameters
    ----------
    mask
        bool or uint8, shape (H, W); non-zero is inside. Of several separate parts the longest is measured.

    Returns
    -------
    length_px, width_px
        As in `measure`.

    Raises
    ------
    OptionError
        The mask is empty, or has another shape or type.

    Examples
    --------
    >>> length_px, width_px = measure_mask(np.ones((3, 50), dtype=bool))
    >>> round(length_px, 6), round(width_px, 6)
    (50.0, 3.0)
    """
    parts = outline(mask)
    if not parts:
        raise OptionError("mask has no pixel inside, expected at least one; there is nothing to measure")
    return max(_extent(_Grid.of(_filled(part))) for part in parts)


@dataclass(frozen=True, slots=True)
class _Grid:
    """A polygon in the cells on which it is measured."""

    polygon: shapely.Polygon
    cell_px: int
    inside: NDArray[np.bool_]

    @classmethod
    def of(cls, polygon: shapely.Polygon) -> Self:
        left, top, right, bottom = _box(polygon)
        cells = (right - left) * (bottom - top)
        thickness = _thickness(polygon)
        cheap = min(math.ceil((cells * thickness / _MOST_WORK) ** (1 / 3)), math.floor(thickness / _LEAST_THICKNESS))
        cell = max(1, math.ceil(math.sqrt(cells / _MOST_CELLS)), cheap)
        local = cast("shapely.Polygon", shapely.transform(polygon, lambda xy: (xy - (left, top)) / cell))
        shape = (math.ceil((bottom - top) / cell), math.ceil((right - left) / cell))
        return cls(local, cell, _rasterised(local, shape=shape))


def mean_probability(
    polygon: shapely.Polygon,
    probabilities: NDArray[np.uint8],
    *,
    origin: tuple[int, int] = (0, 0),
    inside: NDArray[np.bool_] | None = None,
) -> float:
    """Return the mean probability over a polygon's pixels: the score of `measure`, at a fraction of its cost.

    Parameters
    ----------
    polygon, probabilities, origin
        See `measure`.
    inside
        bool, of the shape of the polygon's bounds: its pixels, when they are known.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    OptionError
        The probabilities do not cover the polygon.

    Examples
    --------
    >>> mean_probability(shapely.box(1, 1, 3, 2), np.array([[0, 0, 0], [0, 51, 153]], dtype=np.uint8))
    0.4
    """
    left, top, right, bottom = _box(polygon)
    shape, (x, y) = probabilities.shape, map(int, origin)
    known = len(shape) == 2 and probabilities.dtype == np.uint8 and (x, y) == tuple(origin)
    if not known or left < x or top < y or right > x + shape[1] or bottom > y + shape[0]:
        raise OptionError(
            f"probabilities are {probabilities.dtype} of shape {shape} from {origin} and the polygon reaches from "
            f"({left}, {top}) to ({right}, {bottom}), expected uint8 (rows, columns) that covers it; read a larger part"
        )
    columns = slice(left - x, right - x)
    if inside is not None and inside.any():
        values = probabilities[top - y : bottom - y, columns][inside]
        return int(values.sum(dtype=np.int64)) / (255 * values.size)
    # A polygon between the pixel centres has the pixels that it touches.
    for all_touched in (False, True):
        total = count = 0
        for start in range(top, bottom, _SCORE_ROWS):
            stop = min(start + _SCORE_ROWS, bottom)
            part = shapely.clip_by_rect(polygon, left, start, right, stop)
            size = (stop - start, right - left)
            inside = _rasterised(part, shape=size, corner=(left, start), all_touched=all_touched)
            total += int(np.sum(probabilities[start - y : stop - y, columns][inside], dtype=np.int64))
            count += int(np.count_nonzero(inside))
        if count:
            break
    return total / (255 * count)


def _extent(grid: _Grid) -> tuple[float, float]:
    """Return length and width in pixels."""
    polygon, thickness = grid.polygon, _thickness(grid.polygon)
    skeleton = Skeleton.of(grid.inside)
    path = skeleton.longest(loop=bool(polygon.interiors))
    if path is not None and thickness >= _SLIVER_THICKNESS:
        length, width = _path_extent(polygon, skeleton, path, step=1 / grid.cell_px)
    else:
        touched = _rasterised(polygon, shape=grid.inside.shape, all_touched=True)
        length, width = _sliver_extent(polygon, Skeleton.of(touched))
    return float(grid.cell_px * length), float(grid.cell_px * min(width, length))


def _path_extent(polygon: shapely.Polygon, skeleton: Skeleton, indices: Indices, *, step: float) -> tuple[float, float]:
    border = _border(polygon, step=step)
    path = smoothed(skeleton.points[indices], rounds=round(SMOOTHING_ROUNDS + _thickness(polygon) / 2))
    radius = border.query(path)[0]
    along = walked(path)
    first_is_tip, last_is_tip = skeleton.degree[indices[[0, -1]]] <= 1
    first = _tip(along, radius) if first_is_tip else 0
    last = len(path) - 1 - (_tip(along[-1] - along[::-1], radius[::-1]) if last_is_tip else 0)
    if last <= first or along[last] - along[first] < max(2.0, float(np.mean(radius[first : last + 1]))):
        return _compact_extent(polygon, border, path)
    middle = path[first : last + 1]
    length = float(along[last] - along[first])
    centred, radius = _centred(border, middle)
    if first_is_tip:
        length += _reach(polygon, centred, float(radius[0]))
    if last_is_tip:
        length += _reach(polygon, centred[::-1], float(radius[-1]))
    gap = float(np.hypot(*(middle[0] - middle[-1])))
    if not first_is_tip and not last_is_tip and gap < 2:
        length += gap  # the step at which a loop was opened
    return length, 2 * float(np.mean(radius))


def _compact_extent(polygon: shapely.Polygon, border: cKDTree, path: Points) -> tuple[float, float]:
    steps = np.linspace(-1, 1, 5)
    around = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 1, 2)
    points = (path + around).reshape(-1, 2)
    inner = shapely.get_coordinates(shapely.point_on_surface(polygon))
    points = np.concatenate([inner, points[shapely.contains_xy(polygon, points)]])
    radius = border.query(points)[0]
    centre = shapely.Point(points[np.argmax(radius)])
    return _longer_side(polygon), 2 * max(float(radius.max()), centre.distance(polygon.boundary))


def _sliver_extent(polygon: shapely.Polygon, skeleton: Skeleton) -> tuple[float, float]:
    """Return the extent of a polygon whose pixels, taken by their centres, do not hang together."""
    length = _longer_side(polygon)
    path = skeleton.longest(loop=bool(polygon.interiors))
    if path is not None:
        length = max(length, float(walked(smoothed(skeleton.points[path], rounds=SMOOTHING_ROUNDS))[-1]))
    return length, polygon.area / max(length, float(skeleton.steps.sum()) / 2)


def _border(polygon: shapely.Polygon, *, step: float) -> cKDTree:
    """Return points along an outline without the steps of its pixels, which are ``step`` wide."""
    from scipy.spatial import cKDTree

    return cKDTree(np.concatenate([_smooth_ring(ring, step) for ring in (polygon.exterior, *polygon.interiors)]))


def _smooth_ring(ring: shapely.LinearRing, step: float) -> Points:
    corners = shapely.get_coordinates(shapely.segmentize(ring, 1.001 * step))
    # A single short piece is the bridge between pixels that touch at a corner; there the line passes by.
    short = distances(corners[1:], corners[:-1]) < 0.1 * step
    bridge = short & ~np.roll(short, 1) & ~np.roll(short, -1)
    middles = ((corners[1:] + corners[:-1]) / 2)[~bridge]
    smooth = (np.roll(middles, 1, axis=0) + 2 * middles + np.roll(middles, -1, axis=0)) / 4
    ahead = np.roll(smooth, -1, axis=0) - smooth
    quarters = np.arange(4)[:, np.newaxis] / 4
    return cast("Points", (smooth[:, np.newaxis] + quarters * ahead[:, np.newaxis]).reshape(-1, 2))


def _tip(along: NDArray[np.float64], radius: NDArray[np.float64]) -> int:
    """Return where the path's first end stops being a fork into a corner of the outline."""
    fork = (along + radius[0] < _FORK_REACH * radius) & (radius > _FORK_GROWTH * radius[0])
    return int(np.flatnonzero(fork).max(initial=-1)) + 1


def _reach(polygon: shapely.Polygon, path: Points, radius: float) -> float:
    """Return how far the outline lies before the first point of a path, going on along its bend.

    A strip of half the path's width is laid there and cut with the polygon: its area over its width is the mean
    distance, whatever the slant and steps of the outline.
    """
    radius = max(radius, 0.5)
    along = walked(path)
    near = max(3, int(np.searchsorted(along, max(6.0, 6 * radius))))
    start, seen = path[:near] - path[0], along[:near]
    powers = np.vander(seen, 3)
    fit = np.linalg.lstsq(powers, start, rcond=None)[0]
    # A bend of so little is more likely one of the skeleton than of the polygon.
    if seen[-1] < 6 or float(np.hypot(*fit[0])) * (seen[-1] / 2) ** 2 < _LEAST_SAG_PX:
        fit[0], fit[1:] = 0.0, np.linalg.lstsq(powers[:, 1:], start, rcond=None)[0]
    ahead = -np.linspace(0, 4 * radius + 4, 9)
    line = path[0] + np.vander(ahead, 3) @ fit - fit[2]
    half = max(0.25, radius / 4)
    strip = shapely.LineString(line).buffer(half, cap_style="flat")
    parts = [part for part in shapely.get_parts(polygon.intersection(strip)) if part.area > 0]
    if not parts:
        return 0.0
    nearest = int(np.argmin(shapely.distance(parts, shapely.Point(path[0]))))
    return float(parts[nearest].area) / (2 * half)


def _centred(border: cKDTree, path: Points) -> tuple[Points, NDArray[np.float64]]:
    """Move a path to where it is farthest from the outline, by up to a cell's half; return those distances too."""
    tangent = np.gradient(path, axis=0)
    across = np.column_stack([-tangent[:, 1], tangent[:, 0]]) / distances(tangent, np.zeros(2))[:, np.newaxis]
    steps = np.linspace(-0.5, 0.5, 5)[:, np.newaxis]
    places = path[:, np.newaxis] + steps * across[:, np.newaxis]
    radius = border.query(places)[0]
    best = (np.arange(len(path)), np.argmax(radius, axis=1))
    return places[best], radius[best]


def _thickness(polygon: shapely.Polygon) -> float:
    """Return twice the area over the perimeter: the width of a long line, half the diameter of a disc."""
    return float(2 * polygon.area / polygon.length)


def _filled(polygon: shapely.Polygon) -> shapely.Polygon:
    """Return a polygon without its small holes; itself when it has none."""
    whole = shapely.Polygon(polygon.exterior)
    large = [hole for hole in polygon.interiors if shapely.Polygon(hole).area >= _LOOP_SHARE * whole.area]
    return polygon if len(large) == len(polygon.interiors) else shapely.Polygon(polygon.exterior, large)


def _longer_side(polygon: shapely.Polygon) -> float:
    """Return the longer side of the narrowest enclosing rectangle, of two equally narrow ones of the longer."""
    corners = shapely.get_coordinates(polygon.convex_hull)
    ahead = np.diff(corners, axis=0)
    ahead /= distances(ahead, np.zeros(2))[:, np.newaxis]
    lengths = np.ptp(corners @ ahead.T, axis=0)
    widths = np.ptp(corners @ np.column_stack([-ahead[:, 1], ahead[:, 0]]).T, axis=0)
    best = np.argmin(np.minimum(lengths, widths) - 1e-6 * np.maximum(lengths, widths))
    return float(max(lengths[best], widths[best]))


def _box(polygon: shapely.Polygon) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of the pixels that a polygon touches."""
    left, top, right, bottom = polygon.bounds
    return math.floor(left), math.floor(top), math.ceil(right), math.ceil(bottom)


def _rasterised(
    geometry: shapely.Geometry, *, shape: tuple[int, int], corner: tuple[int, int] = (0, 0), all_touched: bool = False
) -> NDArray[np.bool_]:
    """Return the pixels whose centre lies in a geometry, or which it touches."""
    if geometry.is_empty:
        return np.zeros(shape, dtype=bool)
    return burnt([geometry], shape=shape, corner=corner, all_touched=all_touched).astype(bool)
