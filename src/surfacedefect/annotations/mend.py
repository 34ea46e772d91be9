"""Annotations as people leave them, mended where there is one right way and set aside where there is none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import shapely

from surfacedefect._checks import checked_kinds
from surfacedefect._words import counted
from surfacedefect.annotations import _rle
from surfacedefect.annotations._outlines import FARTHEST, made_valid
from surfacedefect.annotations._pictures import size_px
from surfacedefect.annotations._twice import merged
from surfacedefect.annotations.issues import AnnotationIssue
from surfacedefect.annotations.record import AnnotatedImage, Dataset, Region
from surfacedefect.errors import AnnotationError

_ROUNDING_PX = 1e-6  # what a format with shares of the width may be off


@dataclass(frozen=True, slots=True)
class Mended:
    """A data set in which all is well, and what was done for it.

    Parameters
    ----------
    dataset
        Pictures each once, with valid outlines inside them, of known kinds.
    issues
        What was mended or set aside, in the order of the steps.

    Examples
    --------
    >>> len(mend(Dataset(("dent",), ())).issues)
    0
    """

    dataset: Dataset
    issues: tuple[AnnotationIssue, ...]


def mend(
    dataset: Dataset,
    *,
    kinds: Sequence[str] | Mapping[str, str] | None = None,
    images_dir: str | Path | None = None,
    same_pictures: Mapping[str, str] | None = None,
) -> Mended:
    """Mend annotations where there is one right way; set the others aside. Each gives one issue, none is lost.

    ============================  ==================================================================================
    found                         done
    ============================  ==================================================================================
    picture annotated twice       merged, see below; set aside when the sizes differ
    picture missing, of another   set aside with all its regions; only looked for when the folder is known
    size, or outside the folder
    unknown kind                  taken for a known one that differs in case and outer spaces only; else set aside
    outline crosses itself        made valid by ``shapely.make_valid``: both halves of a figure of eight stay, what a
                                  ring goes around twice falls out; overlapping parts become their union
    outline reaches outside       clipped to the picture; set aside when nothing is inside
    coordinate not finite, or     set aside
    beyond 1e9 px; no area
    same region twice             kept once
    ============================  ==================================================================================

    Copies of one picture are merged so that nothing drawn is lost: regions of one kind from different copies that
    share at least half the area of the smaller one are the same damage, and their union is kept; any other region is
    kept as it is. The order of the copies does not matter for the outlines.

    Parameters
    ----------
    dataset
        What to mend; it is not changed.
    kinds
        The kinds that are known, or a mapping of names to them (``{"Kratzer": "scratch"}``); ``None`` takes the
        categories as they are.
    images_dir
        Folder of the pictures, to look whether they are there and of the size that was annotated; ``None`` takes the
        folder of the data set, if any.
    same_pictures
        File names of copies -> file name of the picture to keep, for copies under other names.

    Returns
    -------
    Mended
        The data set and the issues.

    Raises
    ------
    OptionError
        ``kinds`` is empty or holds no names.

    Examples
    --------
    >>> from shapely.geometry import box
    >>> door = AnnotatedImage("door.jpg", 8, 6, (Region("Dent", box(5, 2, 9, 4)),))
    >>> mended = mend(Dataset(("Dent",), (door,)), kinds=("scratch", "dent"))
    >>> mended.dataset.images[0].regions[0].polygon.bounds
    (5.0, 2.0, 8.0, 4.0)
    >>> for issue in mended.issues:
    ...     print(issue)
    door.jpg: region 1 is of the unknown kind 'Dent'; taken for 'dent'
    door.jpg: region 1 (dent) reaches 1 px out of the picture; clipped
    """
    folder = dataset.images_dir if images_dir is None else Path(images_dir)
    known = _known(kinds, dataset.categories)
    issues: list[AnnotationIssue] = []
    whole = [_each_mended(image, known=known, issues=issues) for image in dataset.images]
    copies = same_pictures or {}
    if folder is not None:  # before copies are merged: the one that was annotated at the right size stays
        whole = [i for i in whole if _is_there(i, copies.get(i.file_name, i.file_name), folder=folder, issues=issues)]
    once = merged(whole, same_pictures=copies, issues=issues)
    names = tuple(dict.fromkeys(known.values()))
    return Mended(Dataset(names, tuple(once), folder), tuple(issues))


def _known(kinds: Sequence[str] | Mapping[str, str] | None, categories: Sequence[str]) -> dict[str, str]:
    """Names of kinds -> the kinds that are meant."""
    if kinds is None:
        return {name: name for name in categories}
    if not isinstance(kinds, Mapping):
        return {name: name for name in checked_kinds(kinds)}
    return {name: name for name in checked_kinds(tuple(kinds.values()))} | dict(kinds)


def _each_mended(image: AnnotatedImage, *, known: Mapping[str, str], issues: list[AnnotationIssue]) -> AnnotatedImage:
    regions: list[Region] = []
    for number, region in enumerate(image.regions, start=1):
        for done in _steps(region, image=image, known=known, name=f"region {number}"):
            if isinstance(done, Region):
                regions.append(done)
            else:
                what, how, aside = done
                issues.append(AnnotationIssue(image.file_name, what, how, region.polygon.wkt, aside))
    return replace(image, regions=tuple(_each_once(regions, image=image, issues=issues)))


def _steps(
    region: Region, *, image: AnnotatedImage, known: Mapping[str, str], name: str
) -> Iterator[tuple[str, str, bool] | Region]:
    """Yield what is wrong with a region (what, what was done, whether it is set aside), then the region if it stays."""
    kind = known.get(region.kind) or _alike(region.kind, known)
    if kind is None:
        yield (
            f"{name} is of the unknown kind {region.kind!r}; expected one of {sorted(set(known.values()))}",
            "set aside",
            True,
        )
        return
    if region.kind not in known:
        yield f"{name} is of the unknown kind {region.kind!r}", f"taken for {kind!r}", False
    name = f"{name} ({kind})"
    if not (np.abs(shapely.get_coordinates(region.polygon)) <= FARTHEST).all():
        yield f"{name} has a coordinate that is not finite, or beyond 1e9 px", "set aside", True
        return
    outline, crossed = made_valid(region.polygon)
    if outline.is_empty:
        yield f"{name} has no area", "set aside", True
        return
    if crossed:
        yield f"{name} crosses itself or its parts overlap", "made valid", False
    beyond = _beyond_px(outline, image=image)
    if beyond > _ROUNDING_PX:
        outline = _rle.polygonal(shapely.intersection(outline, shapely.box(0, 0, image.width, image.height)))
        if outline.is_empty:
            yield f"{name} lies outside of the picture of {image.width} x {image.height} px", "set aside", True
            return
        yield f"{name} reaches {beyond:.3g} px out of the picture", "clipped", False
    yield Region(kind, outline, region.score)


def _alike(kind: str, known: Mapping[str, str]) -> str | None:
    """Return the one known kind that differs in case and outer spaces only."""
    found = {meant for name, meant in known.items() if name.strip().casefold() == kind.strip().casefold()}
    return found.pop() if len(found) == 1 else None


def _beyond_px(outline: shapely.Geometry, *, image: AnnotatedImage) -> float:
    left, top, right, bottom = outline.bounds
    return float(max(-left, -top, right - image.width, bottom - image.height))


def _each_once(regions: list[Region], *, image: AnnotatedImage, issues: list[AnnotationIssue]) -> Iterator[Region]:
    seen: set[tuple[str, bytes]] = set()
    for region in regions:
        key = (region.kind, shapely.to_wkb(shapely.normalize(region.polygon)))
        if key in seen:
            what = f"a region ({region.kind}) stands twice with one outline"
            issues.append(AnnotationIssue(image.file_name, what, "kept once", region.polygon.wkt))
        else:
            seen.add(key)
            yield region


def _is_there(image: AnnotatedImage, name: str, *, folder: Path, issues: list[AnnotationIssue]) -> bool:
    """Whether the picture is there, of the size that was annotated; its regions are set aside with it."""
    try:
        found = size_px(Dataset((), (), folder).path_of(replace(image, file_name=name, regions=())))
        if found == (image.width, image.height):
            return True
        what = f"it is {found[0]} x {found[1]} px, but was annotated at {image.width} x {image.height} px"
    except AnnotationError as error:
        what = str(error)
    was = "; ".join(f"{region.kind} {region.polygon.wkt}" for region in image.regions)
    done = f"set aside with its {counted(len(image.regions), 'region')}"
    issues.append(AnnotationIssue(image.file_name, what, done, was, set_aside=True))
    return False
