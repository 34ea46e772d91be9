"""Outlines of a map that is too large for memory, found through one of its reduced levels.

A reduced pixel is the largest of those below it, so where it is under the threshold they all are. What touches, be it
at a corner, lies in reduced pixels that touch: each group of them holds regions whole, and only groups are read. The
library's own way reads and traces every pixel of a thousand million, which is too slow for a slider.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from surfacedefect._raster import open_raster
from surfacedefect._regions import ScoredRegion, regions_of
from surfacedefect.measure import mean_probability
from surfacedefect.polygons import damaged_level, polygons_of, simplified
from surfacedefect.probability import ProbabilityMap
from surfacedefect.web import pyramid

_COARSE_PX = 2048
_LARGEST_PART_PX = 48_000_000


def scored_regions(
    pm: ProbabilityMap,
    folder: Path,
    thresholds: Sequence[tuple[str, float]],
    *,
    least_scores: Mapping[str, float],
    least_area_px: float,
    simplify_px: float,
) -> list[ScoredRegion]:
    """Do what `surfacedefect._regions.regions_of` does; the order is another one.

    Parameters
    ----------
    pm
        The map.
    folder
        Where its reduced levels are kept.
    thresholds, least_scores, least_area_px, simplify_px
        See `surfacedefect.Detections.from_map`.
    """
    options: dict[str, Any] = {"least_area_px": least_area_px, "simplify_px": simplify_px}
    level = _level(pm)
    if pm.in_memory or level == 0:
        return regions_of(pm, thresholds, least_scores=least_scores, **options)
    found: list[ScoredRegion] = []
    for kind, threshold in thresholds:
        coarse = _coarse(folder, level, band=pm.kinds.index(kind))
        groups = _groups(coarse >= damaged_level(threshold))
        if any(_size(place) * 4**level > _LARGEST_PART_PX for _, place in groups):  # one that runs all around
            return regions_of(pm, thresholds, least_scores=least_scores, **options)
        for own, place in groups:
            part, origin = _part(pm, kind, own, place, level=level)
            found += [
                (polygon, kind, score)
                for polygon in _outlined(part, kind, threshold=threshold, origin=origin, **options)
                if (score := mean_probability(polygon, part, origin=origin)) >= least_scores[kind]
            ]
    return found


def _outlined(
    part: NDArray[np.uint8],
    kind: str,
    *,
    threshold: float,
    origin: tuple[int, int],
    least_area_px: float,
    simplify_px: float,
) -> Iterator[shapely.Polygon]:
    alone = ProbabilityMap.from_arrays(part[np.newaxis], (kind,))
    for polygon in polygons_of(alone, kind, threshold=threshold, least_area_px=least_area_px, simplify_px=0):
        # Simplified in its place: which corners go may hang on the last digit of their coordinates.
        yield simplified(shapely.transform(polygon, lambda xy: xy + origin), simplify_px=simplify_px)


def _level(pm: ProbabilityMap) -> int:
    for level in range(pyramid.levels_of(pm.width, pm.height) + 1):
        if max(pyramid.size_at(level, width=pm.width, height=pm.height)) <= _COARSE_PX:
            return level
    return 0


def _coarse(folder: Path, level: int, *, band: int) -> NDArray[np.uint8]:
    with open_raster(pyramid.level_path(folder, level)) as file:
        values: NDArray[np.uint8] = file.read(band + 1)
    return values


def _groups(cells: NDArray[np.bool_]) -> list[tuple[NDArray[np.bool_], tuple[slice, slice]]]:
    """Return each group of cells that touch: which cells of its box are its own, and the box."""
    from scipy import ndimage

    numbers, _ = ndimage.label(cells, structure=np.ones((3, 3)))
    return [(numbers[place] == number, place) for number, place in enumerate(ndimage.find_objects(numbers), start=1)]


def _size(place: tuple[slice, slice]) -> int:
    return int((place[0].stop - place[0].start) * (place[1].stop - place[1].start))


def _part(
    pm: ProbabilityMap, kind: str, own: NDArray[np.bool_], place: tuple[slice, slice], *, level: int
) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Read the pixels of a group, 0 where others lie, and their (x, y)."""
    scale = 2**level
    rows, cols = (
        slice(side.start * scale, min(side.stop * scale, most)) for side, most in zip(place, pm.shape, strict=True)
    )
    part = pm.read(kind, rows=rows, cols=cols)
    fine = np.repeat(np.repeat(own, scale, axis=0), scale, axis=1)[: part.shape[0], : part.shape[1]]
    return np.where(fine, part, np.uint8(0)), (cols.start, rows.start)
