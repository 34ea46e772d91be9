"""One annotated scan cut into labelled tiles, a band of rows at a time.

The rule is the one by which tile scores are counted (`evaluation.label_tiles`), all kinds taken as one. It is applied
to bands: a region that matters for a band and is too small to count lies within a margin around it, so that the labels
are those of the whole scan, while memory grows with its width alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from shapely.affinity import translate

from surfacedefect.annotations import AnnotatedImage, Region
from surfacedefect.datasets._strata import IGNORE
from surfacedefect.evaluation import TOGETHER, KindTruth, Protocol, TileLabels, label_tiles, truth_of
from surfacedefect.evaluation.protocol import CLEAN, DAMAGED, NEITHER
from surfacedefect.scan import Scan
from surfacedefect.windows import lay_grid

NAMES = {DAMAGED: "damaged", CLEAN: "clean"}


@dataclass(frozen=True, slots=True, eq=False)
class Tile:
    """One tile: its place in the grid from the top left, its label, and its pixels when it is damaged or clean."""

    row: int
    col: int
    label: int
    damaged_px: int
    valid_px: int
    rgb: NDArray[np.uint8] | None


def cut(scan: Scan, image: AnnotatedImage, *, kinds: frozenset[str], rules: Protocol) -> Iterator[Tile]:
    """Yield the tiles of a scan, row by row.

    Parameters
    ----------
    scan
        The picture, read from top to bottom.
    image
        Its regions, at the size of the scan.
    kinds
        Which of them are damage; the others are ignored.
    rules
        Side of a tile, and what makes it damaged.
    """
    size = rules.tile_px
    image = replace(image, regions=tuple(_as_one(region, kinds=kinds) for region in image.regions))
    # Centre lines and false alarms are no matter of tiles.
    rules = replace(rules, line_kinds=(), false_alarm_dilation_px=0)
    grid = lay_grid(scan.height, scan.width, window_px=size, overlap_px=0, edge="pad")
    above = np.zeros((0, scan.width, 3), np.uint8)
    for row, top in enumerate(grid.rows.starts):
        stop = min(top + size, scan.height)
        band = scan.rows(top, stop)
        labels = _labels(image, top, stop, valid=scan.valid_rows(top, stop), rules=rules)
        # The last rows are filled by reflection, which reaches into the band above.
        held = band if stop - top == size else np.concatenate([above, band])
        at_rows = grid.rows.indices(top) - (stop - len(held))
        for col, left in enumerate(grid.columns.starts):
            label = int(labels.labels[0, col])
            rgb = held[np.ix_(at_rows, grid.columns.indices(left))] if label in NAMES else None
            yield Tile(row, col, label, int(labels.damaged_px[0, col]), int(labels.valid_px[0, col]), rgb)
        above = band


def _as_one(region: Region, *, kinds: frozenset[str]) -> Region:
    return replace(region, kind=TOGETHER if region.kind in kinds else IGNORE)


def _labels(
    image: AnnotatedImage, top: int, stop: int, *, valid: NDArray[np.bool_] | None, rules: Protocol
) -> TileLabels:
    """Label the tiles of the rows ``[top, stop)``; pixels that show nothing are ignored."""
    # A region of n pixels spans at most n rows, and doubt reaches further by its width.
    margin = rules.least_true_px + rules.doubt_px + 1
    first, last = max(0, top - margin), min(image.height, stop + margin)
    regions = []
    for region in image.regions:
        _, upper, _, lower = region.polygon.bounds
        if upper < last and lower > first:
            regions.append(replace(region, polygon=translate(region.polygon, yoff=-first)))
    band = replace(image, height=last - first, regions=tuple(regions))
    truth: KindTruth = truth_of(band, kinds=(TOGETHER,), ignore=IGNORE, protocol=rules).views[TOGETHER]
    state = truth.state[top - first : stop - first]
    if valid is not None:
        state = np.where(valid, state, np.uint8(NEITHER))
    return label_tiles(replace(truth, state=state), protocol=rules)
