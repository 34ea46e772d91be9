"""What a split tells of itself: counts of each split, and what a person should look at."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from surfacedefect._words import counted, shortened
from surfacedefect.datasets._strata import IGNORE, damaged_px
from surfacedefect.datasets._units import SPLITS, Unit, rows_by
from surfacedefect.datasets.labels import Labels

CHECK_FIRST = "run 'surfacedefect data check DEST' first"
_LARGE = 0.5  # of all pictures; a unit above this, or above the share of a split, spoils the shares


@dataclass(frozen=True, slots=True)
class SplitCount:
    """What is in one split.

    Attributes
    ----------
    pictures
        Good pictures, byte duplicates counted once.
    units
        How many of them hang together, at most the number of pictures.
    share
        Of all pictures, in [0, 1].
    annotated, undamaged
        Pictures with annotations, and those of them without damage.
    of_kind
        Kind -> annotated pictures that show it.
    damaged_share
        Damaged pixels over pixels of the annotated pictures; ``nan`` when there is none.
    """

    pictures: int
    units: int
    share: float
    annotated: int
    undamaged: int
    of_kind: Mapping[str, int]
    damaged_share: float


def counts(units: Sequence[Unit], splits: Mapping[str, str], *, labels: Labels | None) -> dict[str, SplitCount]:
    """Count what is in each split."""
    known = labels.by_hash if labels else {}
    kinds = [kind for kind in (labels.categories if labels else ()) if kind != IGNORE]
    found = {}
    for name in SPLITS:
        within = [unit for unit in units if splits[unit.key] == name]
        hashes = [digest for unit in within for digest in unit.hashes]
        images = [known[digest] for digest in hashes if digest in known]
        shown = Counter(kind for image in images for kind in {region.kind for region in image.regions})
        damaged = [damaged_px(image) for image in images]
        all_px = sum(image.width * image.height for image in images)
        found[name] = SplitCount(
            pictures=len(hashes),
            units=len(within),
            share=len(hashes) / len(splits),
            annotated=len(images),
            undamaged=sum(area == 0 for area in damaged),
            of_kind={kind: shown[kind] for kind in kinds},
            damaged_share=math.fsum(damaged) / all_px if all_px else math.nan,
        )
    return found


def warnings(
    units: Sequence[Unit], splits: Mapping[str, str], *, shares: Mapping[str, float], labels: Labels | None
) -> Iterator[str]:
    """Yield what a person should look at, a line each."""
    rows = [row for unit in units for row in unit.rows]
    pictures = len(splits)
    if unseen := len({row.hash for row in rows if not row.looked_at}):
        yield f"{unseen:,} of {counted(pictures, 'picture')} not compared for near duplicates; {CHECK_FIRST}"
    alone = len({row.hash for row in rows} - {row.hash for row in rows if row.group})
    if alone:
        which = "no picture has a" if alone == pictures else f"{alone:,} of {pictures:,} pictures without a"
        yield f"{which} group, such as one car; pictures of one car may get apart. Give a pattern, or annotations"
    if labels and (bare := sum(digest not in labels.by_hash for digest in splits)):
        yield f"{bare:,} of {counted(pictures, 'picture')} without annotations; only their number is balanced"
    yield from _large(units, shares=shares, pictures=pictures)
    for name, share in shares.items():
        if share and name not in splits.values():
            yield f"{name} is empty: {counted(len(units), 'unit')} cannot fill its share of {share:.0%}"
    if len(units) > len(SPLITS):
        biggest = max(len(unit.hashes) for unit in units)
        for name, share in shares.items():
            achieved = sum(split == name for split in splits.values())
            if name in splits.values() and abs(achieved - share * pictures) > 2 * biggest:
                found = f"{achieved / pictures:.1%} of the pictures instead of {share:.1%}"
                yield f"{name} has {found}, as pictures keep the split they have"


def _large(units: Sequence[Unit], *, shares: Mapping[str, float], pictures: int) -> Iterator[str]:
    """Name units that are larger than a split should be, and the picture that joins most groups in them."""
    least = min(share for share in shares.values() if share)
    for unit in units:
        size = len(unit.hashes)
        if len(units) == 1 or size <= 1 or size <= min(least, _LARGE) * pictures:
            continue
        first = shortened(unit.rows[0].source_path)
        line = f"{size:,} of {pictures:,} pictures hang together, more than the share of a split: {first!r} ..."
        groups = {row.group for row in unit.rows if row.group}
        joins = {
            same[0].source_path: len({row.group for row in same if row.group})
            for by in ("hash", "near_duplicate_group")
            for same in rows_by(unit.rows, by).values()
        }
        if len(groups) > 1 and joins:
            worst = max(joins, key=lambda path: (joins[path], path))
            line += f"; {len(groups):,} groups in it, {joins[worst]:,} of them joined by {shortened(worst)!r}"
        yield line
