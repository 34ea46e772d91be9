"""By what the pictures of a split are balanced: kinds of damage, and how much of the picture is damaged."""

from __future__ import annotations

import shapely

from surfacedefect.annotations import AnnotatedImage
from surfacedefect.datasets._stratify import Stratum

DAMAGED_SHARES = (0.001, 0.01, 0.1)
"""Where the bins of the damaged share of a picture's area end; a picture without damage is a bin of its own."""
IGNORE = "ignore"
"""Kind of what nobody can judge; it is no damage."""


def strata_in(image: AnnotatedImage | None) -> list[Stratum]:
    """Return the strata of a picture: its kinds of damage and the bin of its damaged share; none when not annotated."""
    if image is None:
        return []
    share = damaged_px(image) / (image.width * image.height)
    bin_number = 1 + sum(share >= end for end in DAMAGED_SHARES) if share > 0 else 0
    kinds = sorted({region.kind for region in image.regions if region.kind != IGNORE})
    return [("damaged share", bin_number), *(("kind", kind) for kind in kinds)]


def damaged_px(image: AnnotatedImage) -> float:
    """Area that is damaged, in pixels; where damage overlaps it counts once."""
    return float(shapely.union_all([region.polygon for region in image.regions if region.kind != IGNORE]).area)
