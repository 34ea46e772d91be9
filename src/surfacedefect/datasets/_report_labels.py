"""What outlines add to a report: regions by kind and split, prevalence, sizes, and pictures to show them on."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import shapely

from surfacedefect.annotations import AnnotatedImage, Region
from surfacedefect.datasets._prevalence import IGNORE, Prevalence, prevalence_of
from surfacedefect.datasets._report_facts import Bins, Bounds, Sample, Shown, pictures_of
from surfacedefect.datasets.progress import Meter

if TYPE_CHECKING:
    from surfacedefect.datasets.labels import Labels

_AREAS_PX = (0, 30, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000, 1_000_000)
OTHERS = "other kinds"
_LENGTHS_PX = (0, 10, 30, 60, 100, 200, 400, 800, 1_600, 3_200)


@dataclass(slots=True)
class SplitLabels:
    """What is outlined in the pictures of one split, or of all."""

    pictures: int = 0
    clean: int = 0
    without: int = 0
    regions: Counter[str] = field(default_factory=Counter)
    pictures_with: Counter[str] = field(default_factory=Counter)
    prevalence: dict[str, Prevalence] = field(default_factory=lambda: defaultdict(Prevalence))


@dataclass(slots=True)
class LabelFacts:
    """What the outlines of a data set come to; `kinds` are those of damage, `others` are counted as `OTHERS`."""

    kinds: tuple[str, ...]
    labels: Labels
    others: frozenset[str] = frozenset()
    splits: dict[str, SplitLabels] = field(default_factory=lambda: defaultdict(SplitLabels))
    areas: dict[str, Bins] = field(default_factory=dict)
    lengths: dict[str, Bins] = field(default_factory=dict)
    shown: list[tuple[Shown, tuple[Region, ...]]] = field(default_factory=list)

    @property
    def total(self) -> SplitLabels:
        """All splits together."""
        total = SplitLabels()
        for one in self.splits.values():
            total.pictures, total.clean = total.pictures + one.pictures, total.clean + one.clean
            total.without += one.without
            total.regions += one.regions
            total.pictures_with += one.pictures_with
            for kind, counts in one.prevalence.items():
                total.prevalence[kind] += counts
        return total


def label_facts(manifest: Path, labels: Labels, *, splits: Collection[str], bounds: Bounds, meter: Meter) -> LabelFacts:
    """Count what is outlined in the good pictures of a data set."""
    kinds, others = _most_frequent(labels, most=bounds.kinds)
    facts = LabelFacts(kinds, labels, others)
    facts.areas, facts.lengths = ({kind: Bins(edges) for kind in kinds} for edges in (_AREAS_PX, _LENGTHS_PX))
    samples = {kind: Sample(bounds.annotated) for kind in kinds}
    meter.begin("counting", of_files=len(labels.by_hash))
    for shown, split in pictures_of(manifest, splits=splits):
        meter.check()
        image, into = labels.by_hash.get(shown.hash), facts.splits[split]
        if image is None:
            into.without += 1
            continue
        meter.add(files=1)
        image = _with_others(image, others)
        _add(facts, into, image)
        for kind in {region.kind for region in image.regions} & samples.keys():
            samples[kind].add(shown.hash, (shown, image.regions))
    facts.shown = list(itertools.islice(_in_turn(list(samples.values())), bounds.annotated))
    meter.end()
    return facts


def _most_frequent(labels: Labels, *, most: int) -> tuple[tuple[str, ...], frozenset[str]]:
    """Give the kinds of damage in their order; above so many, the rarest ones are one: each costs time."""
    kinds = [kind for kind in labels.categories if kind != IGNORE]
    if len(kinds) <= most:
        return tuple(kinds), frozenset()
    counts = Counter(region.kind for image in labels.by_hash.values() for region in image.regions)
    kept = {kind for kind, _ in sorted(((k, -counts[k]) for k in kinds), key=lambda pair: pair[1])[: most - 1]}
    return (*(kind for kind in kinds if kind in kept), OTHERS), frozenset(kinds) - kept


def _with_others(image: AnnotatedImage, others: frozenset[str]) -> AnnotatedImage:
    if not others:
        return image
    regions = (replace(region, kind=OTHERS) if region.kind in others else region for region in image.regions)
    return replace(image, regions=tuple(regions))


def _add(facts: LabelFacts, into: SplitLabels, image: AnnotatedImage) -> None:
    damage = [region for region in image.regions if region.kind in facts.areas]
    into.pictures += 1
    into.clean += not damage
    into.regions.update(region.kind for region in image.regions)
    into.pictures_with.update({region.kind for region in image.regions})
    for region in damage:
        facts.areas[region.kind].add(region.polygon.area)
        facts.lengths[region.kind].add(extent_px(region))
    for kind, counts in prevalence_of(image, facts.kinds).items() if facts.kinds else ():
        into.prevalence[kind] += counts


def extent_px(region: Region) -> float:
    """Longer side of the smallest rectangle, however turned, around an outline.

    Examples
    --------
    >>> from shapely.geometry import box
    >>> extent_px(Region("scratch", box(0, 0, 30, 4)))
    30.0
    """
    corners = shapely.get_coordinates(shapely.minimum_rotated_rectangle(region.polygon))
    sides = ((corners[1:] - corners[:-1]) ** 2).sum(axis=1)
    return float(sides.max() ** 0.5)


def _in_turn(samples: list[Sample]) -> Iterator[tuple[Shown, tuple[Region, ...]]]:
    """Take one picture of each kind in turn, so that a rare kind is seen too; no picture twice."""
    seen: set[str] = set()
    for row in itertools.zip_longest(*samples):
        for entry in row:
            if entry is not None and entry[0].hash not in seen:
                seen.add(entry[0].hash)
                yield entry
