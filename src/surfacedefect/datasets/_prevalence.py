"""How much of a picture is damaged: per pixel and per tile, by the rules that results are judged by.

A picture is drawn and judged by one row of tiles at a time, and tiles far from any region by their size alone, so time
and memory follow the damage, not the scan. A margin makes the parts exact: no region that is small enough to be
dropped, and no doubt, reaches through it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import shapely
from numpy.typing import NDArray

from surfacedefect._raster import burnt
from surfacedefect.annotations import AnnotatedImage
from surfacedefect.evaluation import KindTruth, Protocol, label_tiles, prepare_truth
from surfacedefect.evaluation.protocol import CLEAN, DAMAGED, TOGETHER

IGNORE = "ignore"
ALL = ""
"""Name of all kinds together, which no kind can have."""

# Only pixels and tiles are counted here: centre lines and the reach of false alarms cost most of the time.
RULES = Protocol(line_kinds=(), false_alarm_dilation_px=0)


@dataclass(frozen=True, slots=True)
class Prevalence:
    """Counts of pixels and of tiles.

    Attributes
    ----------
    damaged_px, clean_px
        Pixels that are valid, so neither doubt nor ignored.
    damaged_tiles, clean_tiles, left_out
        Tiles by the rule of `surfacedefect.evaluation.label_tiles`.
    """

    damaged_px: int = 0
    clean_px: int = 0
    damaged_tiles: int = 0
    clean_tiles: int = 0
    left_out: int = 0

    def __add__(self, other: Prevalence) -> Prevalence:
        return Prevalence(
            self.damaged_px + other.damaged_px,
            self.clean_px + other.clean_px,
            self.damaged_tiles + other.damaged_tiles,
            self.clean_tiles + other.clean_tiles,
            self.left_out + other.left_out,
        )

    @property
    def pixel_share(self) -> float | None:
        """Share of valid pixels that are damaged; None without any."""
        valid = self.damaged_px + self.clean_px
        return self.damaged_px / valid if valid else None

    @property
    def tile_share(self) -> float | None:
        """Share of judged tiles that are damaged; None without any."""
        judged = self.damaged_tiles + self.clean_tiles
        return self.damaged_tiles / judged if judged else None


def prevalence_of(image: AnnotatedImage, kinds: Sequence[str], *, rules: Protocol = RULES) -> dict[str, Prevalence]:
    """Count the damaged pixels and tiles of a picture, for each kind and for `ALL`.

    Examples
    --------
    >>> from shapely.geometry import box
    >>> from surfacedefect.annotations import Region
    >>> door = AnnotatedImage("door.jpg", 600, 300, (Region("dent", box(10, 10, 30, 30)),))
    >>> prevalence_of(door, ["dent"])[ALL]
    Prevalence(damaged_px=400, clean_px=179436, damaged_tiles=1, clean_tiles=1, left_out=0)
    """
    counts = dict.fromkeys((*kinds, ALL), Prevalence())
    wanted = {*kinds, IGNORE}
    regions = [(region.kind, region.polygon) for region in image.regions if region.kind in wanted]
    spans = np.array([polygon.bounds for _, polygon in regions]).reshape(-1, 4)
    reach = rules.least_true_px + rules.doubt_px
    for top in range(0, image.height, rules.tile_px):
        below = min(top + rules.tile_px, image.height)
        near = np.flatnonzero((spans[:, 1] < below + reach) & (spans[:, 3] > top - reach))
        left, right = _tiles_between(spans[near], reach=reach, width=image.width, tile_px=rules.tile_px)
        beside = _clean(below - top, left, rules) + _clean(below - top, image.width - right, rules)
        counts = {view: count + beside for view, count in counts.items()}
        if right == left:
            continue
        around = _Box(
            top=max(0, top - reach),
            below=min(image.height, below + reach),
            left=max(0, left - reach),
            right=min(image.width, right + reach),
        )
        for view, truth in _truth([regions[at] for at in near], kinds, around=around, rules=rules).items():
            inner = truth.state[top - around.top : below - around.top, left - around.left : right - around.left]
            counts[view] += _counted(inner, rules=rules)
    return counts


def _tiles_between(spans: NDArray[np.float64], *, reach: int, width: int, tile_px: int) -> tuple[int, int]:
    """First and last px of the whole tiles that regions may reach, so that clean tiles are left beside them."""
    if not len(spans):
        return 0, 0
    first, last = spans[:, 0].min() - reach, spans[:, 2].max() + reach
    left = min(max(0, int(first // tile_px) * tile_px), width)
    return left, max(left, min(width, int(-(-last // tile_px)) * tile_px))


@dataclass(frozen=True, slots=True)
class _Box:
    """Part of a picture in px."""

    top: int
    below: int
    left: int
    right: int


def _truth(
    regions: Sequence[tuple[str, shapely.Geometry]], kinds: Sequence[str], *, around: _Box, rules: Protocol
) -> dict[str, KindTruth]:
    """Truth of a part of a picture. Kinds get other names within, as one may be called "damage"."""
    shape, masks = (around.below - around.top, around.right - around.left), {}
    for kind in (*kinds, IGNORE):
        outlines = [polygon for name, polygon in regions if name == kind]
        corner = (around.left, around.top)
        masks[kind] = burnt(outlines, shape=shape, corner=corner) if outlines else np.zeros(shape, np.uint8)
    ignored = masks.pop(IGNORE)
    truth = prepare_truth({f"kind {kind}": mask for kind, mask in masks.items()}, ignore=ignored, protocol=rules)
    return {**{kind: truth.views[f"kind {kind}"] for kind in kinds}, ALL: truth.views[TOGETHER]}


def _counted(state: NDArray[np.uint8], *, rules: Protocol) -> Prevalence:
    nothing = np.empty(0, np.int64)
    band = KindTruth(state, np.empty((0, 0), np.int32), nothing, np.empty((0, 0), bool), nothing.reshape(0, 2))
    tiles = label_tiles(band, protocol=rules)
    damaged = int(tiles.damaged_px.sum())
    damaged_tiles, clean_tiles = (int(np.count_nonzero(tiles.labels == what)) for what in (DAMAGED, CLEAN))
    return Prevalence(
        damaged_px=damaged,
        clean_px=int(tiles.valid_px.sum()) - damaged,
        damaged_tiles=damaged_tiles,
        clean_tiles=clean_tiles,
        left_out=tiles.labels.size - damaged_tiles - clean_tiles,
    )


@lru_cache(maxsize=256)
def _clean(rows: int, width: int, rules: Protocol) -> Prevalence:
    """Count a band in which there is nothing."""
    if not width:
        return Prevalence()
    return _counted(np.zeros((rows, width), np.uint8), rules=rules)
