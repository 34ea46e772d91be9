"""From a probability map to measured defects, and to the regions that nobody looked at."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from shapely.geometry import Polygon, shape

from surfacedefect.defect import Defect
from surfacedefect.errors import OptionError
from surfacedefect.measure import measure
from surfacedefect.polygons import polygons_of

if TYPE_CHECKING:
    from surfacedefect.probability import ProbabilityMap

_BAND_ROWS = 1024


def checked_kinds(kinds: Sequence[str], *, known: Sequence[str]) -> tuple[str, ...]:
    """Return the kinds to look for, each once; refuse none and unknown ones."""
    wanted = (kinds,) if isinstance(kinds, str) else tuple(dict.fromkeys(kinds))
    unknown = [kind for kind in wanted if kind not in known]
    if unknown or not wanted:
        found = f"kinds holds {', '.join(map(repr, unknown))}" if unknown else "kinds is empty"
        raise OptionError(f"{found}; expected one or more of {', '.join(map(repr, known))}")
    return wanted


def checked_thresholds(
    threshold: float | Mapping[str, float], *, kinds: Sequence[str], known: Sequence[str]
) -> tuple[tuple[str, float], ...]:
    """Return the threshold of each kind; refuse what is out of (0, 1], a missing kind and an unknown one."""
    if not isinstance(threshold, Mapping):
        threshold = dict.fromkeys(kinds, threshold)
    for kind, value in threshold.items():
        if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0 < value <= 1:
            raise OptionError(f"threshold of '{kind}' is {value!r}; expected a number in (0, 1]")
    if threshold:
        checked_kinds(tuple(threshold), known=known)
    if missing := [kind for kind in kinds if kind not in threshold]:
        raise OptionError(f"threshold has no value for {', '.join(map(repr, missing))}; expected one a kind")
    return tuple((kind, float(threshold[kind])) for kind in kinds)


def defects_of(
    probability_map: ProbabilityMap,
    thresholds: Sequence[tuple[str, float]],
    *,
    least_area_px: float,
    simplify_px: float,
) -> tuple[Defect, ...]:
    """Outline and measure every kind at its threshold; score from high to low, then kind, top, left."""
    found = [
        _measured(polygon, kind, probability_map)
        for kind, threshold in thresholds
        for polygon in polygons_of(
            probability_map, kind, threshold=threshold, least_area_px=least_area_px, simplify_px=simplify_px
        )
    ]
    return tuple(sorted(found, key=_rank))


def unseen_in(probability_map: ProbabilityMap) -> list[Polygon]:
    """Outline what was not inspected, in pixels, from top to bottom."""
    if probability_map.coverage >= 1:
        return []
    whole = shapely.union_all(list(_unseen_parts(probability_map))).simplify(0)
    flat = [part for part in shapely.get_parts(whole) if isinstance(part, Polygon) and part.area > 0]
    return sorted(flat, key=lambda part: (part.bounds[1], part.bounds[0], part.bounds[3], part.bounds[2]))


def _unseen_parts(probability_map: ProbabilityMap) -> Iterator[shapely.Geometry]:
    from rasterio import Affine
    from rasterio.features import shapes

    for rows in probability_map.row_bands(_BAND_ROWS):
        unseen = ~probability_map.read_coverage(rows=rows, cols=slice(0, probability_map.width))
        if unseen.any():
            moved = Affine.translation(0, rows.start)
            outlines = shapes(unseen.astype(np.uint8), mask=unseen, connectivity=4, transform=moved)
            yield from (shape(outline) for outline, _ in outlines)


def _rank(defect: Defect) -> tuple[Any, ...]:
    left, top, right, bottom = defect.polygon.bounds
    return -defect.score, defect.kind, top, left, bottom, right, shapely.to_wkb(defect.polygon)


def _measured(polygon: Polygon, kind: str, probability_map: ProbabilityMap) -> Defect:
    left, top, right, bottom = polygon.bounds
    cols = slice(max(0, math.floor(left)), min(probability_map.width, math.ceil(right)))
    rows = slice(max(0, math.floor(top)), min(probability_map.height, math.ceil(bottom)))
    part = probability_map.read(kind, rows=rows, cols=cols)
    sizes = measure(polygon, probabilities=part, origin=(cols.start, rows.start))
    return Defect(
        polygon,
        kind,
        score=sizes.score,
        area_px=sizes.area_px,
        length_px=sizes.length_px,
        width_px=sizes.width_px,
        mm_per_px=probability_map.mm_per_px,
    )
