"""What a synthetic scan shall show, and which seeds are for what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from surfacedefect.errors import OptionError
from surfacedefect.synthetic.paints import PaintName

FIRST_BENCHMARK_SEED = 10**9
"""Seeds below are for training windows; demo and benchmark scans use this one and above, so they never meet."""

DEMO_SEED = FIRST_BENCHMARK_SEED + 4
"""Seed of the demo scan."""


@dataclass(frozen=True, kw_only=True)
class SyntheticConfig:
    """What a synthetic scan shows; every range is (least, most), both included.

    Parameters
    ----------
    width, height
        Size in px, 64 to 20,000 each.
    mm_per_px
        Scale in mm, 0.02 to 5.
    scratches, chips, scuffs, dents
        How many of each.
    damage_scale
        Factor on the true-to-life length and width of the damage, 0.1 to 10.
    lookalikes
        Share, in [0, 1], of the harmless things (dust, drops, gaps, stickers, ground) that may appear.
    paint
        One of the names of `PaintName`, or None to draw one.
    jpeg_quality
        40 to 100; None leaves the picture uncompressed.

    Raises
    ------
    OptionError
        A value is out of its range.

    Examples
    --------
    >>> SyntheticConfig(width=1024, height=768, dents=(0, 0)).mm_per_px
    0.1
    """

    width: int = 4096
    height: int = 3000
    mm_per_px: float = 0.1
    scratches: tuple[int, int] = (7, 10)
    chips: tuple[int, int] = (3, 6)
    scuffs: tuple[int, int] = (2, 4)
    dents: tuple[int, int] = (2, 4)
    damage_scale: float = 1.6
    lookalikes: float = 0.5
    paint: PaintName | None = None
    jpeg_quality: int | None = 92

    def __post_init__(self) -> None:
        """Check every range."""
        for name, low, high in (("width", 64, 20_000), ("height", 64, 20_000), ("mm_per_px", 0.02, 5),
                                ("damage_scale", 0.1, 10), ("lookalikes", 0, 1)):  # fmt: skip
            value = getattr(self, name)
            if not low <= value <= high:
                raise OptionError(f"{name} is {value}; expected {low} to {high}")
        for name in ("scratches", "chips", "scuffs", "dents"):
            value = getattr(self, name)
            if len(value) != 2 or not 0 <= value[0] <= value[1]:
                raise OptionError(f"{name} is {value}; expected (least, most) with 0 <= least <= most")
        if self.paint is not None and self.paint not in get_args(PaintName):
            raise OptionError(f"paint is {self.paint!r}; expected one of {', '.join(get_args(PaintName))}, or None")
        if self.jpeg_quality is not None and not 40 <= self.jpeg_quality <= 100:
            raise OptionError(f"jpeg_quality is {self.jpeg_quality}; expected 40 to 100, or None")


CLEAN = SyntheticConfig(scratches=(0, 0), chips=(0, 0), scuffs=(0, 0), dents=(0, 0))
"""A scan of an undamaged panel, with the usual look-alikes: its truth is empty."""
