"""From masks and probability maps to valid polygons, one for every connected damaged region."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import shapely
from numpy.typing import NDArray

from surfacedefect.errors import OptionError

# Half the size of the bridge where pixels of a region touch only at a corner: it adds 2.5e-5 square pixels.
_BRIDGE_PX = 0.005
# A simplified outline may change the area of its region by this share; else it is simplified less.
_AREA_SLACK = 0.02
# Rows read and written at a time when a map on disk is thresholded; a multiple of the tile size.
_BAND_ROWS = 512


class ReadableMap(Protocol):
    """What outlining needs of a probability map: its size, its kinds, and windows of it as uint8 (0..255 = 0..1)."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the map."""
        ...

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds that the map holds."""
        ...

    @property
    def in_memory(self) -> bool:
        """Whether the map is held in memory; else it is read from disk band by band."""
        ...

    def read(self, kind: str, /, *, rows: slice, cols: slice) -> NDArray[np.uint8]:
        """Return a window of one kind, uint8, shape (rows, columns)."""
        ...

    def row_bands(self, rows: int, /) -> Iterator[slice]:
        """Yield slices of at most so many rows that together cover the map from top to bottom."""
        ...


def damaged_level(threshold: float) -> int:
    """Return the least uint8 probability that counts as damaged at a threshold.

    Parameters
    ----------
    threshold
        Probability in [0, 1]. A pixel is damaged when its probability is at least this, and above 0.

    Returns
    -------
    int
        From 1 to 255.

    Raises
    ------
    OptionError
        The threshold is not in [0, 1].

    Examples
    --------
    >>> damaged_level(0.5), damaged_level(1), damaged_level(0)
    (128, 255, 1)
    """
    if not 0 <= threshold <= 1:
        raise OptionError(f"threshold is {threshold}, expected a probability in [0, 1]")
    # Without the small step back 0.2 * 255 = 51.00000000000001 would leave out the pixels that hold exactly 0.2.
    return max(1, math.ceil(threshold * 255 - 1e-9))


def outline(
    mask: NDArray[np.bool_] | NDArray[np.uint8], *, connectivity: int = 8, offset: tuple[float, float] = (0, 0)
) -> list[shapely.Polygon]:
    """Outline the connected regions of a mask.

    Every region becomes one valid polygon along the borders of its pixels, holes kept. Where 8-connected pixels touch
    only at a corner a bridge of 0.01 px joins them, so that a diagonal hairline is one polygon too.

    Parameters
    ----------
    mask
        bool or uint8, shape (H, W); non-zero is inside.
    connectivity
        8 when pixels that touch at a corner belong together, or 4.
    offset
        ``(x, y)`` of the mask's top left corner, added to every coordinate.

    Returns
    -------
    list of shapely.Polygon
        In pixel coordinates ``(x, y)``, pixel corners on integers; ordered by top, left, bottom, right.

    Raises
    ------
    OptionError
        The mask has another shape or type, or the connectivity is neither 4 nor 8.

    Examples
    --------
    >>> [polygon.bounds for polygon in outline(np.eye(3, dtype=bool), offset=(10, 0))]
    [(10.0, 0.0, 13.0, 3.0)]
    >>> outline(np.zeros((3, 3), dtype=bool))
    []
    """
    pixels = np.asarray(mask)
    if pixels.ndim != 2 or pixels.dtype not in (np.dtype(bool), np.dtype(np.uint8)):
        raise OptionError(
            f"mask has shape {pixels.shape} and type {pixels.dtype}, expected (rows, columns) of bool or uint8; "
            "threshold probabilities first"
        )
    if connectivity not in (4, 8):
        raise OptionError(f"connectivity is {connectivity}, expected 4 or 8")
    if not pixels.any():
        return []
    inside = (pixels != 0).astype(np.uint8)
    found = [_as_polygon(rings) for rings in _traced(inside, connectivity=connectivity)]
    return [shapely.transform(polygon, lambda xy: xy + offset) for polygon in _ordered(found)]


def polygons_of(
    pm: ReadableMap, kind: str, *, threshold: float, least_area_px: float, simplify_px: float
) -> list[shapely.Polygon]:
    """Outline the regions of one kind in a probability map.

    A map on disk is thresholded band by band into a temporary file and outlined from there, so memory stays small;
    the polygons are the same as those of a map in memory.

    Parameters
    ----------
    pm
        The probability map.
    kind
        One of the map's kinds.
    threshold
        Probability in [0, 1] from which a pixel is damaged.
    least_area_px
        Regions of fewer pixels are left out, at least 0.
    simplify_px
        How far an outline may be moved to save corners, in pixels, at least 0; see `simplified`.

    Returns
    -------
    list of shapely.Polygon
        Valid polygons in pixel coordinates ``(x, y)``, in the order of `outline`.

    Raises
    ------
    OptionError
        The map has no such kind, or a number is out of its range.

    Examples
    --------
    >>> polygons_of(my_map, "scratch", threshold=0.4, least_area_px=30, simplify_px=0.5)  # doctest: +SKIP
    [<POLYGON ((...))>]
    """
    level = damaged_level(threshold)
    if kind not in pm.kinds:
        raise OptionError(f"kind is {kind!r}, expected one of the map's kinds: {', '.join(pm.kinds)}")
    for name, value in (("least_area_px", least_area_px), ("simplify_px", simplify_px)):
        if not (math.isfinite(value) and value >= 0):
            raise OptionError(f"{name} is {value}, expected a finite number, at least 0")
    kept = (rings for rings in _damaged_rings(pm, kind, level=level) if _area(rings) >= least_area_px)
    return [simplified(polygon, simplify_px=simplify_px) for polygon in _ordered([_as_polygon(r) for r in kept])]


def simplified(polygon: shapely.Polygon, *, simplify_px: float) -> shapely.Polygon:
    """Return a polygon with fewer corners that is still valid and keeps its holes and, within 2 %, its area.

    Parameters
    ----------
    polygon
        A valid polygon in pixel coordinates.
    simplify_px
        How far the outline may move, in pixels. A thin polygon is moved less: by a quarter of its width, but for that
        by up to 0.5 px. Where the area would still change too much, it is halved until it does not.

    Returns
    -------
    shapely.Polygon
        Up to 0.5 px it holds the centres of exactly the same pixels as an outline along pixel borders did.

    Examples
    --------
    >>> stairs = outline(np.tri(40, dtype=bool))[0]
    >>> len(simplified(stairs, simplify_px=0.75).exterior.coords) < len(stairs.exterior.coords) / 10
    True
    """
    # A straight step over a pixel corner moves it by at least 0.35 px; below that nothing is saved.
    tolerance = min(simplify_px, max(0.5, polygon.area / polygon.length / 2))
    while tolerance >= 0.3:
        slim = polygon.simplify(tolerance, preserve_topology=True)
        if (
            isinstance(slim, shapely.Polygon)
            and slim.is_valid
            and len(slim.interiors) == len(polygon.interiors)
            and abs(slim.area - polygon.area) <= _AREA_SLACK * polygon.area
        ):
            return slim
        tolerance /= 2
    return polygon


# A traced region: its outer ring, then its holes; each (N, 2) integer corners, the first repeated at the end.
_Rings = list[NDArray[np.float64]]


def _damaged_rings(pm: ReadableMap, kind: str, *, level: int) -> Iterator[_Rings]:
    rows, cols = pm.shape
    if pm.in_memory:
        damaged = pm.read(kind, rows=slice(0, rows), cols=slice(0, cols)) >= level
        if damaged.any():
            yield from _traced(damaged.astype(np.uint8), connectivity=8)
        return
    import rasterio

    from surfacedefect._raster import open_raster

    with tempfile.TemporaryDirectory(prefix="surfacedefect-") as folder:
        path = Path(folder) / "damaged.tif"
        if not _write_damaged(pm, kind, level=level, path=path):
            return
        with open_raster(path) as damaged_file:
            yield from _traced(rasterio.band(damaged_file, 1), connectivity=8)


def _write_damaged(pm: ReadableMap, kind: str, *, level: int, path: Path) -> bool:
    """Write the thresholded map as a compressed GeoTIFF; return whether anything is damaged."""
    from rasterio.windows import Window

    from surfacedefect._raster import open_raster

    rows, cols = pm.shape
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 1, "height": rows, "width": cols, "tiled": True}
    profile |= {"blockxsize": _BAND_ROWS, "blockysize": _BAND_ROWS, "compress": "deflate", "zlevel": 1}
    any_damaged = False
    with open_raster(path, "w", BIGTIFF="IF_SAFER", **profile) as file:
        for band in pm.row_bands(_BAND_ROWS):
            damaged = pm.read(kind, rows=band, cols=slice(0, cols)) >= level
            any_damaged = any_damaged or bool(damaged.any())
            window = Window(0, band.start, cols, band.stop - band.start)
            file.write(damaged.astype(np.uint8), 1, window=window)
    return any_damaged


def _traced(source: Any, *, connectivity: int) -> Iterator[_Rings]:
    """Trace the non-zero regions of a 0/1 array or band of a file."""
    from surfacedefect._raster import traced

    mask = source.astype(bool) if isinstance(source, np.ndarray) else source
    for geometry in traced(source, mask=mask, connectivity=connectivity):
        yield [np.array(ring, dtype=np.float64) for ring in geometry["coordinates"]]


def _area(rings: _Rings) -> int:
    """Area of a traced region in pixels: that of its outer ring less its holes."""
    doubled = [abs(float(np.sum(r[:-1, 0] * r[1:, 1] - r[1:, 0] * r[:-1, 1]))) for r in rings]
    return round((doubled[0] - sum(doubled[1:])) / 2)


def _as_polygon(rings: _Rings) -> shapely.Polygon:
    bridged = _bridged(rings)
    polygon = shapely.Polygon(bridged[0], bridged[1:])
    return cast("shapely.Polygon", polygon.normalize())


def _bridged(rings: _Rings) -> _Rings:
    """Join what touches only at a corner.

    There the region's outline runs through one corner twice, each time round a pixel outside the region. Each time
    that pixel's corner is cut off, which opens a bridge. (`shapely.make_valid` would take the region apart.)
    """
    corners = np.concatenate([ring[:-1] for ring in rings])
    _, index, counts = np.unique(corners, axis=0, return_inverse=True, return_counts=True)
    if counts.max() == 1:
        return rings
    touching = counts[index.reshape(-1)] > 1
    ends = np.cumsum([len(ring) - 1 for ring in rings])[:-1]
    return [_cut(ring, at) for ring, at in zip(rings, np.split(touching, ends), strict=True)]


def _cut(ring: NDArray[np.float64], at: NDArray[np.bool_]) -> NDArray[np.float64]:
    if not at.any():
        return ring
    open_ring = ring[:-1]
    back = np.sign(np.roll(open_ring, 1, axis=0) - open_ring)
    ahead = np.sign(np.roll(open_ring, -1, axis=0) - open_ring)
    pairs = np.stack([open_ring + _BRIDGE_PX * back, open_ring + _BRIDGE_PX * ahead], axis=1)
    pairs[~at] = open_ring[~at, np.newaxis]
    first_only = np.column_stack([np.ones(len(at), dtype=bool), at])
    cut = pairs[first_only]
    return np.concatenate([cut, cut[:1]])


def _ordered(polygons: list[shapely.Polygon]) -> list[shapely.Polygon]:
    """Sort by top, left, bottom, right, and where two boxes are equal by the first corner."""

    def place(polygon: shapely.Polygon) -> tuple[float, ...]:
        left, top, right, bottom = polygon.bounds
        return (top, left, bottom, right, *polygon.exterior.coords[0])

    return sorted(polygons, key=place)
