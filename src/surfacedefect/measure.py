"""Length, width, area and score of a polygon: the figures a defect is charged by.

*Length* is the longest path through the skeleton of the polygon's pixels, its ends extended to the outline. *Width* is
the mean of twice the distance to the outline along that path. *Area* is the polygon's, holes left out. *Score* is the
mean probability over the pixels whose centre lies in the polygon.

A skeleton of pixels alone would be off by more than what is charged, so:

- A chain of pixels is up to 8 % too long, depending on its angle. `_Skeleton.of` smooths the chain; the usual weights
  for straight and diagonal steps (Vossepoel and Smeulders, "Vector code probability and metrication error in the
  representation of straight lines of finite length", 1982) leave up to 3 % and do not help curves.
- The skeleton of a bar forks into its corners. `_tip` cuts the fork off, and `_reach` goes on along the middle instead.
- A closed loop has no longest path. `_Skeleton.longest` opens it.
- Steps of the outline bias the distance to it. `_Border` runs through the middles of the steps.

skan, sknw and FilFinder build graphs of skeletons too, but none extends ends to the outline or opens loops, their
lengths are those of pixel chains, and each brings dependencies of its own (numba, networkx, astropy).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
import shapely
from numpy.typing import NDArray

from surfacedefect.errors import OptionError
from surfacedefect.polygons import outline

if TYPE_CHECKING:
    from scipy.spatial import cKDTree

# A polygon is measured on a grid whose cells are a whole number of pixels wide: the least that keeps the cells of its
# bounding box under the first figure, and cells times thickness (what thinning costs) under the second, if that leaves
# the thickness at or above the third.
_MOST_CELLS = 64_000_000
_MOST_WORK = 25_000_000
_LEAST_THICKNESS = 4.0
# A hole with at least this share of the area within the outer outline makes the polygon a loop.
_LOOP_SHARE = 0.05
# The fork into a corner widens with the sine of 45 degrees; an end that widens faster than 1 in this is such a fork.
_FORK_SLOPE = 1.6
# Places along the path at which the width is taken, and steps across it in which its middle is sought.
_WIDTH_PLACES = 512
_MIDDLE_STEPS = 9
# Rows of probabilities looked at together.
_SCORE_ROWS = 1024

_Points = NDArray[np.float64]
_Indices = NDArray[np.intp]


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
    of its smallest enclosing rectangle and as wide as twice its greatest distance to the outline. A closed loop is as
    long as its whole middle line; a hole counts as a loop from 5 % of the enclosed area, smaller ones are walked round
    on the shorter side. A polygon too thin for the pixel grid is as wide as its area over its length. A polygon whose
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
    >>> measure(shapely.box(10, 10, 110, 14), probabilities=np.full((40, 200), 102, dtype=np.uint8))
    Measurement(area_px=400.0, length_px=100.0, width_px=4.0, score=0.4)
    """
    if not isinstance(polygon, shapely.Polygon) or polygon.is_empty or not polygon.is_valid or polygon.area == 0:
        what = shapely.is_valid_reason(polygon) if isinstance(polygon, shapely.Geometry) else "not a geometry"
        raise OptionError(
            f"polygon is a {type(polygon).__name__} ({what}), expected one valid shapely.Polygon with an area; "
            "repair it with shapely.make_valid and measure its parts"
        )
    length, width = _extent(polygon)
    score = math.nan if probabilities is None else _score(polygon, probabilities, origin)
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
    >>> measure_mask(np.ones((3, 50), dtype=bool))
    (50.0, 3.0)
    """
    parts = outline(mask)
    if not parts:
        raise OptionError("mask has no pixel inside, expected at least one; there is nothing to measure")
    return max(_extent(part) for part in parts)


def _score(polygon: shapely.Polygon, probabilities: NDArray[np.uint8], origin: tuple[int, int]) -> float:
    left, top, right, bottom = _box(polygon)
    left, top, right, bottom = left - origin[0], top - origin[1], right - origin[0], bottom - origin[1]
    rows, cols = probabilities.shape
    if left < 0 or top < 0 or right > cols or bottom > rows or probabilities.dtype != np.uint8:
        raise OptionError(
            f"probabilities are {probabilities.dtype} of {cols} x {rows} px from {origin} and the polygon's bounds are "
            f"{polygon.bounds}, expected uint8 that covers the polygon; read a larger window or correct origin"
        )
    # A polygon between the pixel centres has the pixels that it touches.
    for all_touched in (False, True):
        total = count = 0
        for start in range(top, bottom, _SCORE_ROWS):
            stop = min(start + _SCORE_ROWS, bottom)
            corner = (left + origin[0], start + origin[1])
            part = polygon
            if bottom - top > _SCORE_ROWS:
                part = shapely.clip_by_rect(polygon, corner[0], corner[1], right + origin[0], stop + origin[1])
            inside = _rasterised(part, corner=corner, shape=(stop - start, right - left), all_touched=all_touched)
            total += int(np.sum(probabilities[start:stop, left:right][inside], dtype=np.int64))
            count += int(np.count_nonzero(inside))
        if count:
            break
    return total / (255 * count)


def _extent(polygon: shapely.Polygon) -> tuple[float, float]:
    """Return length and width in pixels."""
    cell = _cell_px(polygon)
    left, top, right, bottom = _box(polygon)
    local = cast("shapely.Polygon", shapely.transform(polygon, lambda xy: (xy - (left, top)) / cell))
    shape = (math.ceil((bottom - top) / cell), math.ceil((right - left) / cell))
    thickness = _thickness(local)
    skeleton = _Skeleton.of(_rasterised(local, shape=shape), thickness=thickness)
    if skeleton.is_connected:
        length, width = _path_extent(local, skeleton, step=1 / cell)
    else:
        touched = _Skeleton.of(_rasterised(local, shape=shape, all_touched=True), thickness=thickness)
        length, width = _sliver_extent(local, touched)
    return float(cell * length), float(cell * min(width, length))


def _path_extent(polygon: shapely.Polygon, skeleton: _Skeleton, *, step: float) -> tuple[float, float]:
    border = _Border.of(polygon, step=step)
    indices = skeleton.longest(loop=_is_loop(polygon))
    path = skeleton.points[indices]
    radius = border.distance(path)
    along = _along(path)
    first_is_tip, last_is_tip = skeleton.degree[indices[[0, -1]]] <= 1
    first = _tip(along, radius) if first_is_tip else 0
    last = len(path) - 1 - (_tip(along[-1] - along[::-1], radius[::-1]) if last_is_tip else 0)
    if last <= first or along[last] - along[first] < max(2.0, float(np.mean(radius[first : last + 1]))):
        return _compact_extent(polygon, path[np.argmax(radius)], float(radius.max()))
    middle = path[first : last + 1]
    length = float(along[last] - along[first])
    if first_is_tip:
        length += _reach(polygon, middle, float(radius[first]))
    if last_is_tip:
        length += _reach(polygon, middle[::-1], float(radius[last]))
    gap = float(np.hypot(*(middle[0] - middle[-1])))
    if not first_is_tip and not last_is_tip and gap < 2:
        length += gap  # the step at which a loop was opened
    return length, 2 * _mean_radius(border, middle, around=max(1.0, 0.5 / step))


def _compact_extent(polygon: shapely.Polygon, centre: _Points, radius: float) -> tuple[float, float]:
    steps = np.array([-0.5, 0.0, 0.5])
    near = centre + np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    exact = float(shapely.distance(shapely.points(near), polygon.boundary).max())
    return _longer_side(polygon), 2 * max(radius, exact)


def _sliver_extent(polygon: shapely.Polygon, skeleton: _Skeleton) -> tuple[float, float]:
    """Extent of a polygon in which pixel centres do not hang together."""
    path = skeleton.points[skeleton.longest(loop=_is_loop(polygon))]
    length = max(float(_along(path)[-1]), _longer_side(polygon))
    return length, polygon.area / max(length, skeleton.length)


@dataclass(frozen=True, slots=True)
class _Skeleton:
    """A graph of skeleton pixels, smoothed."""

    points: _Points
    degree: NDArray[np.intp]
    steps: Any  # scipy.sparse.csr_array of step lengths, symmetric

    @classmethod
    def of(cls, mask: NDArray[np.bool_], *, thickness: float) -> Self:
        from scipy import sparse
        from skimage.morphology import skeletonize

        # Lee's method: Zhang's eats diagonal bars of an even width from their ends.
        rows, cols = np.nonzero(skeletonize(np.pad(mask, 1), method="lee"))
        start, end = _neighbours(rows, cols, width=mask.shape[1] + 2)
        points = np.column_stack([cols, rows]) - 0.5
        ones = np.ones(2 * len(start))
        size = (len(points), len(points))
        both = (np.concatenate([start, end]), np.concatenate([end, start]))
        adjacent = sparse.csr_array((ones, both), shape=size)
        degree = np.diff(adjacent.indptr)
        # Each round replaces a point by the mean of itself and its neighbours; tips stay.
        averaged = adjacent + sparse.eye_array(len(points), format="csr")
        share = np.where(degree > 1, 1 / (degree + 1), 0.0)[:, np.newaxis]
        for _ in range(round(6 + thickness / 2)):
            points = np.where(share > 0, share * (averaged @ points), points)
        lengths = np.maximum(np.hypot(*(points[both[0]] - points[both[1]]).T), 1e-9)
        return cls(points, degree, sparse.csr_array((lengths, both), shape=size))

    @property
    def is_connected(self) -> bool:
        from scipy.sparse import csgraph

        return len(self.points) > 0 and csgraph.connected_components(self.steps, return_labels=False) == 1

    @property
    def length(self) -> float:
        """Length of all branches together."""
        return float(self.steps.sum()) / 2

    def longest(self, *, loop: bool) -> _Indices:
        """Return the points of the longest path from tip to tip.

        Without a loop that is the longest of the shortest paths between two points, exact for a tree. With one, the
        graph is first made a tree: that of the shortest ways from one end of that path, which opens every loop at its
        far side. Of both ends, the one that leaves the longer path is taken.
        """
        _, before = self._ways(self.steps, self._farthest(self.steps, 0))
        path = self._back(before, self._farthest(self.steps, self._farthest(self.steps, 0)))
        if not loop:
            return path
        opened = [self._longest_opened(root) for root in (path[-1], path[0])]
        return max(opened, key=lambda indices: float(_along(self.points[indices])[-1]))

    def _longest_opened(self, root: int) -> _Indices:
        from scipy import sparse

        _, before = self._ways(self.steps, root)
        child = np.flatnonzero(before >= 0)
        parent = before[child]
        lengths = np.maximum(np.hypot(*(self.points[child] - self.points[parent]).T), 1e-9)
        both = (np.concatenate([child, parent]), np.concatenate([parent, child]))
        tree = sparse.csr_array((np.tile(lengths, 2), both), shape=self.steps.shape)
        end = self._farthest(tree, root)
        _, before = self._ways(tree, end)
        return self._back(before, self._farthest(tree, end))

    @staticmethod
    def _ways(steps: Any, root: int) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
        from scipy.sparse import csgraph

        found = csgraph.dijkstra(steps, directed=True, indices=root, return_predecessors=True)
        return cast("tuple[NDArray[np.float64], NDArray[np.int32]]", found)

    def _farthest(self, steps: Any, root: int) -> int:
        distance, _ = self._ways(steps, root)
        return int(np.argmax(np.where(np.isfinite(distance), distance, -1)))

    @staticmethod
    def _back(before: NDArray[np.int32], end: int) -> _Indices:
        path = [end]
        while before[path[-1]] >= 0:
            path.append(int(before[path[-1]]))
        return np.array(path, dtype=np.intp)


@dataclass(frozen=True, slots=True)
class _Border:
    """The outline without the steps of its pixels."""

    tree: cKDTree

    @classmethod
    def of(cls, polygon: shapely.Polygon, *, step: float) -> Self:
        """Take an outline whose pixels are ``step`` wide."""
        from scipy.spatial import cKDTree

        return cls(cKDTree(np.concatenate([_smooth_ring(ring, step) for ring in (polygon.exterior, *polygon.interiors)])))

    def distance(self, points: _Points) -> NDArray[np.float64]:
        return np.asarray(self.tree.query(points)[0], dtype=np.float64)


def _smooth_ring(ring: shapely.LinearRing, step: float) -> _Points:
    corners = shapely.get_coordinates(shapely.segmentize(ring, 1.001 * step))
    # Short pieces are the bridges between pixels that touch at a corner; there the line passes by.
    whole = np.hypot(*np.diff(corners, axis=0).T) > 0.1 * step
    middles = ((corners[1:] + corners[:-1]) / 2)[whole]
    smooth = (np.roll(middles, 1, axis=0) + 2 * middles + np.roll(middles, -1, axis=0)) / 4
    ahead = np.roll(smooth, -1, axis=0) - smooth
    quarters = np.arange(4)[:, np.newaxis] / 4
    return cast("_Points", (smooth[:, np.newaxis] + quarters * ahead[:, np.newaxis]).reshape(-1, 2))


def _neighbours(rows: _Indices, cols: _Indices, *, width: int) -> tuple[_Indices, _Indices]:
    """Return the pairs of neighbouring pixels; a diagonal pair only where no third pixel joins the two."""
    place = rows * width + cols
    everyone = np.arange(len(place))

    def at(row_step: int, col_step: int) -> _Indices:
        wanted = place + row_step * width + col_step
        found = np.minimum(np.searchsorted(place, wanted), len(place) - 1)
        return np.where(place[found] == wanted, found, -1)

    if not len(place):
        return everyone, everyone
    left, right, below = at(0, -1), at(0, 1), at(1, 0)
    pairs = [right, below]
    pairs += [np.where((below < 0) & (side < 0), at(1, col_step), -1) for side, col_step in ((right, 1), (left, -1))]
    start = np.concatenate([everyone[other >= 0] for other in pairs])
    return start, np.concatenate([other[other >= 0] for other in pairs])


def _tip(along: NDArray[np.float64], radius: NDArray[np.float64]) -> int:
    """Return where the path's first end stops being a fork into a corner of the outline."""
    fork = (along < _FORK_SLOPE * (radius - radius[0])) & (along <= 3 * radius)
    return int(np.flatnonzero(fork).max(initial=-1)) + 1


def _reach(polygon: shapely.Polygon, path: _Points, radius: float) -> float:
    """Return how far the outline lies before the first point of a path, going on along its bend.

    A strip of half the path's width is laid there and cut with the polygon: its area over its width is the mean
    distance, whatever the slant and steps of the outline.
    """
    radius = max(radius, 0.5)
    along = _along(path)
    near = max(3, int(np.searchsorted(along, max(6.0, 4 * radius))))
    bend = 2 if along[:near][-1] >= max(6.0, 3 * radius) else 1
    fit = np.polynomial.polynomial.polyfit(along[:near], path[:near] - path[0], bend)
    ahead = -np.linspace(0, 4 * radius + 4, 9)
    line = path[0] + np.polynomial.polynomial.polyval(ahead, fit).T - fit[0]
    half = max(0.25, radius / 4)
    strip = shapely.LineString(line).buffer(half, cap_style="flat")
    parts = [part for part in shapely.get_parts(polygon.intersection(strip)) if part.area > 0]
    if not parts:
        return 0.0
    nearest = int(np.argmin(shapely.distance(parts, shapely.Point(path[0]))))
    return float(parts[nearest].area) / (2 * half)


def _mean_radius(border: _Border, path: _Points, *, around: float) -> float:
    """Return the mean distance to the outline along a path, moved to the middle by up to ``around`` cells."""
    places = np.unique(np.linspace(0, len(path) - 1, _WIDTH_PLACES).astype(np.intp))
    tangent = np.gradient(path, axis=0)[places]
    across = np.column_stack([-tangent[:, 1], tangent[:, 0]]) / np.maximum(np.hypot(*tangent.T), 1e-9)[:, np.newaxis]
    steps = np.linspace(-around, around, _MIDDLE_STEPS)[:, np.newaxis]
    points = path[places][:, np.newaxis] + steps * across[:, np.newaxis]
    return float(border.distance(points.reshape(-1, 2)).reshape(len(places), -1).max(axis=1).mean())


def _along(path: _Points) -> NDArray[np.float64]:
    """Return the distance walked at every point of a path."""
    return np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(path, axis=0).T))])


def _cell_px(polygon: shapely.Polygon) -> int:
    """Return how many pixels wide the cells are on which a polygon is measured."""
    left, top, right, bottom = _box(polygon)
    cells = (right - left) * (bottom - top)
    thickness = _thickness(polygon)
    cheap = min(math.ceil((cells * thickness / _MOST_WORK) ** (1 / 3)), math.floor(thickness / _LEAST_THICKNESS))
    return max(1, math.ceil(math.sqrt(cells / _MOST_CELLS)), cheap)


def _thickness(polygon: shapely.Polygon) -> float:
    """Return twice the area over the perimeter: the width of a long line, half the diameter of a disc."""
    return float(2 * polygon.area / polygon.length)


def _is_loop(polygon: shapely.Polygon) -> bool:
    holes = [shapely.Polygon(hole).area for hole in polygon.interiors]
    return bool(holes) and max(holes) >= _LOOP_SHARE * (polygon.area + sum(holes))


def _longer_side(polygon: shapely.Polygon) -> float:
    corners = shapely.get_coordinates(shapely.minimum_rotated_rectangle(polygon))
    return float(np.hypot(*np.diff(corners, axis=0).T).max())


def _box(polygon: shapely.Polygon) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of the pixels that a polygon touches."""
    left, top, right, bottom = polygon.bounds
    return math.floor(left), math.floor(top), math.ceil(right), math.ceil(bottom)


def _rasterised(
    geometry: shapely.Geometry, *, shape: tuple[int, int], corner: tuple[int, int] = (0, 0), all_touched: bool = False
) -> NDArray[np.bool_]:
    """Return the pixels whose centre lies in a geometry, or which it touches."""
    from rasterio.features import rasterize
    from rasterio.transform import Affine

    if geometry.is_empty:
        return np.zeros(shape, dtype=bool)
    placed = Affine.translation(*corner)
    burnt = rasterize([(geometry, 1)], out_shape=shape, transform=placed, all_touched=all_touched, dtype=np.uint8)
    return cast("NDArray[np.bool_]", burnt.astype(bool))
