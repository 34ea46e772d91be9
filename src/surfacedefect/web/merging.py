"""What the model found at a threshold and what people decided, as one list of outlines.

A decision belongs to a place, not to a number in a list. It holds for a region of the same kind that lies for the most
part within the outline that was decided on, or that has grown out of it: at another threshold, and after an inspection
by another model. What a person accepted, changed, redrew or added stands as it was seen; regions that it holds for do
not stand beside it a second time.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import shapely

from surfacedefect.defect import Defect
from surfacedefect.errors import WebError
from surfacedefect.measure import Measurement, mean_probability, measure
from surfacedefect.probability import ProbabilityMap
from surfacedefect.web.results import Found
from surfacedefect.web.values import Outline, Points, Verdict

_MOSTLY = 0.5
_MOST_GROWTH = 4.0
_MOST_CORNERS = 5_000
_LEAST_AREA_PX = 1.0


@dataclass(frozen=True, slots=True)
class Merged:
    """Outlines, and which decision holds for each (by the id that it was decided under)."""

    outlines: list[Outline]
    decided_as: Mapping[str, str]


def merged(
    found: Found | None,
    verdicts: Sequence[Verdict],
    *,
    size: tuple[int, int] | None,
    pm: ProbabilityMap | None,
    mm_per_px: float | None,
) -> Merged:
    """Merge; score from high to low, those without one last, then kind, top and left.

    What lies outside of the scan, `size` in px, is left out: a file changed by hand would be measured for hours.
    """
    shapes = [one for one in (_Decided.of(verdict, size) for verdict in verdicts) if one.polygon.area > 0]
    held = _held_for(found, shapes)
    outlines: list[Outline] = []
    decided_as: dict[str, str] = {}
    taken: set[str] = set()
    for one in shapes:
        if _stands(one.verdict):
            outlines.append(_standing(one, pm=pm, mm_per_px=mm_per_px))
            decided_as[one.verdict.outline] = one.verdict.outline
            taken.add(one.verdict.outline)
    named = {verdict.outline for verdict, best in held.values() if best}
    if found is None:
        return Merged(sorted(outlines, key=_rank), decided_as)
    for index, defect in enumerate(found.detections):
        own = found.ids[index]
        verdict, best = held.get(index, (None, False))
        if verdict is not None and _stands(verdict):
            continue
        name = verdict.outline if verdict is not None and best else own
        while name in taken or (name in named and not best):
            name += "+"
        taken.add(name)
        if verdict is not None:
            decided_as[name] = verdict.outline
        drawn = found.drawn.get(index)
        if drawn is None:
            drawn = found.drawn[index] = _outline(defect, name=own)
        if verdict is not None or name != own:
            drawn = replace(drawn, id=name, decision=None if verdict is None else verdict.verdict)
        outlines.append(drawn)
    return Merged(sorted(outlines, key=_rank), decided_as)


def exterior(points: Sequence[Sequence[float]] | None, *, width: int, height: int) -> Points:
    """Check an outline that a person drew; return it closed and within the scan.

    Raises
    ------
    WebError
        It is none, crosses itself, or lies outside.
    """
    try:
        ring = [(float(x), float(y)) for x, y in points or ()]
    except (TypeError, ValueError) as error:
        raise WebError("the outline is no list of points; expected (x, y) in px of the scan") from error
    if len(ring) > _MOST_CORNERS:
        raise WebError(f"the outline has {len(ring):,} corners; expected at most {_MOST_CORNERS:,}, draw it with fewer")
    if not all(math.isfinite(value) and abs(value) < 1e9 for point in ring for value in point):
        raise WebError("the outline holds what is no number; expected (x, y) in px of the scan")
    if len(set(ring)) < 3:
        raise WebError("the outline has fewer than three corners; draw around the damage")
    drawn = shapely.Polygon(ring)
    if not drawn.is_valid:
        raise WebError("the outline crosses itself; draw around the damage without crossing the line")
    within = shapely.clip_by_rect(drawn, 0, 0, width, height)
    if not isinstance(within, shapely.Polygon) or not within.is_valid or within.area < _LEAST_AREA_PX:
        raise WebError("the outline lies outside of the scan, or is smaller than a pixel; draw it on the scan")
    return _ring(shapely.Polygon(within.exterior).normalize().exterior)


@dataclass(frozen=True, slots=True)
class _Decided:
    """A decision, the polygon that stands for it, and the place that it is about."""

    verdict: Verdict
    polygon: shapely.Polygon
    place: shapely.Geometry

    @classmethod
    def of(cls, verdict: Verdict, size: tuple[int, int] | None) -> _Decided:
        seen = shapely.Polygon(verdict.found, verdict.found_holes) if verdict.found else None
        drawn = shapely.Polygon(verdict.polygon) if verdict.polygon else None
        seen, drawn = _within(_valid(seen), size), _within(_valid(drawn), size)
        place = shapely.union_all([part for part in (seen, drawn) if part is not None])
        return cls(verdict, drawn or seen or shapely.Polygon(), place)


def _valid(polygon: shapely.Polygon | None) -> shapely.Polygon | None:
    """Return a polygon that can be worked with: somebody may have written the file by hand."""
    if polygon is None or polygon.is_valid:
        return polygon
    return _largest(shapely.make_valid(polygon))


def _within(polygon: shapely.Polygon | None, size: tuple[int, int] | None) -> shapely.Polygon | None:
    """Return what lies on the scan; almost always all of it."""
    if polygon is None or polygon.is_empty or size is None:
        return polygon
    left, top, right, bottom = polygon.bounds
    if left >= 0 and top >= 0 and right <= size[0] and bottom <= size[1]:
        return polygon
    return _largest(shapely.clip_by_rect(polygon, 0, 0, *size))


def _largest(geometry: shapely.Geometry) -> shapely.Polygon | None:
    parts = [part for part in shapely.get_parts(geometry) if isinstance(part, shapely.Polygon) and part.area > 0]
    return max(parts, key=lambda part: part.area, default=None)


def _held_for(found: Found | None, shapes: Sequence[_Decided]) -> dict[int, tuple[Verdict, bool]]:
    """Say for each region which decision holds for it, and whether it is the best one of that decision's."""
    if found is None or not shapes:
        return {}
    tree = shapely.STRtree([one.place for one in shapes])
    closest: dict[int, tuple[float, int]] = {}
    for index, defect in enumerate(found.detections):
        for number in tree.query(defect.polygon):
            near = _nearness(defect, found.ids[index], shapes[int(number)])
            if near > closest.get(index, (0.0, 0))[0]:
                closest[index] = near, int(number)
    best: dict[int, int] = {}
    for index, (near, number) in closest.items():
        if number not in best or near > closest[best[number]][0]:
            best[number] = index
    return {index: (shapes[number].verdict, best[number] == index) for index, (_, number) in closest.items()}


def _nearness(defect: Defect, name: str, one: _Decided) -> float:
    """How well a decision fits a region: 0 not at all, up to 1 the overlap, above 1 the same region."""
    verdict, area = one.verdict, one.place.area
    if defect.kind not in (verdict.kind, verdict.found_kind) or area <= 0:
        return 0.0
    common = shapely.intersection(defect.polygon, one.place).area
    mine = defect.polygon.area
    grown = common >= _MOSTLY * area and mine <= _MOST_GROWTH * area
    if not (common >= _MOSTLY * mine or grown) or common <= 0:
        return 0.0
    return float(common / (mine + area - common)) + (1.0 if name == verdict.outline else 0.0)


def _stands(verdict: Verdict) -> bool:
    """Whether the outline of a decision is shown itself; what the model found is rejected where it is found."""
    return verdict.verdict != "rejected" or verdict.polygon is not None


def _standing(one: _Decided, *, pm: ProbabilityMap | None, mm_per_px: float | None) -> Outline:
    """Make the outline that a decision put there."""
    verdict, polygon = one.verdict, one.polygon
    sizes = _measured(shapely.to_wkb(polygon)) if polygon.area > 0 else Measurement(0, 0, 0, math.nan)
    score = verdict.score if verdict.polygon is None else _score(polygon, verdict, pm)
    defect_scale = None if pm is None else pm.mm_per_px
    scale = defect_scale if mm_per_px is None else mm_per_px
    return Outline(
        id=verdict.outline,
        kind=verdict.kind,
        score=score,
        length_px=sizes.length_px,
        width_px=sizes.width_px,
        area_px=sizes.area_px,
        length_mm=None if scale is None else sizes.length_px * scale,
        width_mm=None if scale is None else sizes.width_px * scale,
        area_mm2=None if scale is None else sizes.area_px * scale**2,
        polygon=_ring(polygon.exterior),
        holes=tuple(_ring(hole) for hole in polygon.interiors),
        decision=verdict.verdict,
        found_kind=verdict.found_kind,
    )


def _score(polygon: shapely.Polygon, verdict: Verdict, pm: ProbabilityMap | None) -> float | None:
    """Mean probability of what was drawn, of the kind that it is now or else of the one it was found as."""
    kind = next((kind for kind in (verdict.kind, verdict.found_kind) if pm is not None and kind in pm.kinds), None)
    within = None if pm is None else shapely.clip_by_rect(polygon, 0, 0, pm.width, pm.height)
    if pm is None or kind is None or not isinstance(within, shapely.Polygon) or within.area <= 0:
        return None
    left, top, right, bottom = within.bounds
    cols, rows = slice(math.floor(left), math.ceil(right)), slice(math.floor(top), math.ceil(bottom))
    return mean_probability(within, pm.read(kind, rows=rows, cols=cols), origin=(cols.start, rows.start))


@functools.lru_cache(maxsize=4096)
def _measured(outline: bytes) -> Measurement:
    return measure(shapely.from_wkb(outline))


def _outline(defect: Defect, *, name: str) -> Outline:
    scaled = defect.mm_per_px is not None
    return Outline(
        id=name,
        kind=defect.kind,
        score=defect.score,
        length_px=defect.length_px,
        width_px=defect.width_px,
        area_px=defect.area_px,
        length_mm=defect.length_mm if scaled else None,
        width_mm=defect.width_mm if scaled else None,
        area_mm2=defect.area_mm2 if scaled else None,
        polygon=_ring(defect.polygon.exterior),
        holes=tuple(_ring(hole) for hole in defect.polygon.interiors),
        found_kind=defect.kind,
    )


def _ring(ring: shapely.LinearRing) -> Points:
    return tuple(map(tuple, shapely.get_coordinates(ring).tolist()))


def _rank(outline: Outline) -> tuple[float | str, ...]:
    score = -1.0 if outline.score is None else outline.score
    return -score, outline.kind, min(y for _, y in outline.polygon), min(x for x, _ in outline.polygon), outline.id
