"""One picture annotated several times: the copies become one, and nothing drawn is lost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import shapely

from surfacedefect._words import counted
from surfacedefect.annotations import _rle
from surfacedefect.annotations.issues import AnnotationIssue
from surfacedefect.annotations.record import AnnotatedImage, Region

_SHARED = 0.5  # of the smaller region's area, from which two regions are one damage


def merged(
    images: Iterable[AnnotatedImage], *, same_pictures: Mapping[str, str], issues: list[AnnotationIssue]
) -> list[AnnotatedImage]:
    """Return every picture once, in the order of its first copy; `issues` grows."""
    copies: dict[str, list[AnnotatedImage]] = {}
    for image in images:
        copies.setdefault(same_pictures.get(image.file_name, image.file_name), []).append(image)
    return [_one(name, same, issues=issues) for name, same in copies.items()]


def _one(name: str, copies: list[AnnotatedImage], *, issues: list[AnnotationIssue]) -> AnnotatedImage:
    first = next((image for image in copies if image.file_name == name), copies[0])
    alike = [first]
    for image in copies:
        if image is first:
            continue
        if image.shape != first.shape:
            what = (
                f"annotated again at {image.width} x {image.height} px"
                f"{_called(image, name)}, but first at {first.width} x {first.height} px"
            )
            done = f"the copy was set aside with its {counted(len(image.regions), 'region')}"
            issues.append(AnnotationIssue(name, what, done, _wkt(image.regions), set_aside=True))
        else:
            alike.append(image)
    if len(alike) == 1:
        return first if first.file_name == name else replace(first, file_name=name)
    regions, notes = _merged_regions([image.regions for image in alike])
    what = f"annotated {len(alike)} times{''.join(_called(image, name) for image in alike)}"
    issues.append(AnnotationIssue(name, what, f"merged: {notes}", "; ".join(_wkt(image.regions) for image in alike)))
    group, origin = (_first_of(key, alike, name=name, issues=issues) for key in ("group", "origin"))
    return replace(first, file_name=name, regions=regions, group=group, origin=origin)


def _merged_regions(copies: list[tuple[Region, ...]]) -> tuple[tuple[Region, ...], str]:
    """Regions of all copies, those that are one damage joined, and what was done in words."""
    regions = [region for copy in copies for region in copy]
    of_copy = [number for number, copy in enumerate(copies) for _ in copy]
    leader = list(range(len(regions)))

    def find(at: int) -> int:
        while leader[at] != at:
            leader[at] = leader[leader[at]]
            at = leader[at]
        return at

    tree = shapely.STRtree([region.polygon for region in regions])
    for a, region in enumerate(regions):
        for b in sorted(tree.query(region.polygon, predicate="intersects").tolist()):
            if a < b and of_copy[a] != of_copy[b] and _same_damage(region, regions[b]):
                low, high = sorted((find(a), find(b)))
                leader[high] = low
    groups: dict[int, list[Region]] = {}
    for at, region in enumerate(regions):
        groups.setdefault(find(at), []).append(region)
    joined = sum(len(same) > 1 for same in groups.values())
    notes = f"{counted(len(regions), 'region')} became {len(groups)}, {joined} of them the union of several"
    return tuple(_union(same) for same in groups.values()), notes


def _same_damage(a: Region, b: Region) -> bool:
    if a.kind != b.kind:
        return False
    smaller = min(a.polygon.area, b.polygon.area)
    return bool(a.polygon.intersection(b.polygon).area >= _SHARED * smaller)


def _union(same: list[Region]) -> Region:
    """Join regions; the highest score, or none where a person drew one of them."""
    if all(region.polygon.equals(same[0].polygon) for region in same[1:]):
        outline = same[0].polygon
    else:
        outline = _rle.polygonal(shapely.union_all([region.polygon for region in same]))
    scores = [region.score for region in same if region.score is not None]
    return Region(same[0].kind, outline, max(scores) if len(scores) == len(same) else None)


def _first_of(key: str, copies: list[AnnotatedImage], *, name: str, issues: list[AnnotationIssue]) -> str | None:
    found: list[str] = list(dict.fromkeys(v for image in copies if (v := getattr(image, key)) is not None))
    if len(found) > 1:
        what = f"its copies name different {key}s: {', '.join(map(repr, found))}"
        issues.append(AnnotationIssue(name, what, f"{found[0]!r} kept", ", ".join(found)))
    return found[0] if found else None


def _called(image: AnnotatedImage, name: str) -> str:
    return "" if image.file_name == name else f", as '{image.file_name}'"


def _wkt(regions: Iterable[Region]) -> str:
    return "; ".join(f"{region.kind} {region.polygon.wkt}" for region in regions)
