"""From a probability map to measured defects, and to the regions that nobody looked at."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from shapely.geometry import Polygon, shape

from surfacedefect._raster import traced
from surfacedefect.defect import Defect
from surfacedefect.measure import mean_probability, measure
from surfacedefect.polygons import polygons_of

if TYPE_CHECKING:
    from surfacedefect.probability import ProbabilityMap

_BAND_ROWS = 1024


def defects_of(
    probability_map: ProbabilityMap,
    thresholds: Sequence[tuple[str, float]],
    *,
    least_scores: Mapping[str, float],
    least_area_px: float,
    simplify_px: float,
) -> tuple[Defect, ...]:
    """Outline and measure every kind at its threshold; score from high to low, then kind, top, left."""
    regions = regions_of(
        probability_map, thresholds, least_scores=least_scores, least_area_px=least_area_px, simplify_px=simplify_px
    )
    return measured(regions, mm_per_px=probability_map.mm_per_px)


# A polygon, its kind and its score.
ScoredRegion = tuple[Polygon, str, float]


def regions_of(
    probability_map: ProbabilityMap,
    thresholds: Sequence[tuple[str, float]],
    *,
    least_scores: Mapping[str, float],
    least_area_px: float,
    simplify_px: float,
) -> list[ScoredRegion]:
    """Outline every kind at its threshold and leave out what scores too low: most of the work is in the lengths."""
    return [
        (polygon, kind, score)
        for kind, threshold in thresholds
        for polygon in polygons_of(
            probability_map, kind, threshold=threshold, least_area_px=least_area_px, simplify_px=simplify_px
        )
        if (score := _score(polygon, kind, probability_map)) >= least_scores[kind]
    ]


def measured(regions: Sequence[ScoredRegion], *, mm_per_px: float | None) -> tuple[Defect, ...]:
    """Measure regions; score from high to low, then kind, top, left."""
    found = []
    for polygon, kind, score in regions:
        sizes = measure(polygon)
        found.append(
            Defect(
                polygon,
                kind,
                score=score,
                area_px=sizes.area_px,
                length_px=sizes.length_px,
                width_px=sizes.width_px,
                mm_per_px=mm_per_px,
            )
        )
    return tuple(sorted(found, key=_rank))


def unseen_in(probability_map: ProbabilityMap) -> list[Polygon]:
    """Outline what was not inspected, in pixels, from top to bottom."""
    if probability_map.coverage >= 1:
        return []
    whole = shapely.union_all(list(_unseen_parts(probability_map))).simplify(0)
    flat = [part for part in shapely.get_parts(whole) if isinstance(part, Polygon) and part.area > 0]
    return sorted(flat, key=lambda part: (part.bounds[1], part.bounds[0], part.bounds[3], part.bounds[2]))


def _unseen_parts(probability_map: ProbabilityMap) -> Iterator[shapely.Geometry]:
    for rows in probability_map.row_bands(_BAND_ROWS):
        unseen = ~probability_map.read_coverage(rows=rows, cols=slice(0, probability_map.width))
        if unseen.any():
            outlines = traced(unseen.astype(np.uint8), mask=unseen, connectivity=4, first_row=rows.start)
            yield from map(shape, outlines)


def _rank(defect: Defect) -> tuple[Any, ...]:
    left, top, right, bottom = defect.polygon.bounds
    return -defect.score, defect.kind, top, left, bottom, right, shapely.to_wkb(defect.polygon)


def _score(polygon: Polygon, kind: str, probability_map: ProbabilityMap) -> float:
    left, top, right, bottom = polygon.bounds
    cols = slice(max(0, math.floor(left)), min(probability_map.width, math.ceil(right)))
    rows = slice(max(0, math.floor(top)), min(probability_map.height, math.ceil(bottom)))
    part = probability_map.read(kind, rows=rows, cols=cols)
    return mean_probability(polygon, part, origin=(cols.start, rows.start))
