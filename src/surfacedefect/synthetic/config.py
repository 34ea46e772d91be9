"""What a synthetic scan shall show, and which seeds are for what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from surfacedefect._checks import check_choice, check_number, check_whole, checked_pair
from surfacedefect.errors import OptionError
from surfacedefect.synthetic.fringe import Fringe
from surfacedefect.synthetic.paints import BENCHMARK_PAINTS, TRAINING_PAINTS, PaintName
from surfacedefect.synthetic.places.environment import BENCHMARK_PLACES, JUMBLE, TRAINING_PLACES

FIRST_BENCHMARK_SEED = 10**9
"""Seeds below are for training; demo and benchmark scans use this one and above, so they never meet."""

DEMO_SEED = FIRST_BENCHMARK_SEED + 15
"""Seed of the demo scan."""

Look = Literal["any", "scanner", "phone"]
Materials = Literal["training", "benchmark"]

_NUMBERS = {
    "mm_per_px": (0.02, 5), "damage_scale": (0.1, 10),
    "hairlines": (0, 1), "groups": (0, 1), "lookalikes": (0, 1), "distance_mm": (200, 20_000),
}  # fmt: skip
WIDEST_SCRATCH_PX = 400
_COUNTS = {"scratches": 500, "chips": 2000, "scuffs": 100, "dents": 200, "hail": 1000}
_RANGES = {"scratch_length_mm": (0.5, 5000), "scratch_width_mm": (0.01, 50), "tilt_degrees": (0, 75)}


@dataclass(frozen=True, kw_only=True)
class SyntheticConfig:
    """What a synthetic scan shows; every range is (least, most), both included.

    Parameters
    ----------
    width, height
        Size in px, 64 to 20,000 each.
    mm_per_px
        Scale, in mm, in the middle of the picture, 0.02 to 5.
    scratches, chips, scuffs, dents, hail
        How many of each, at most 500, 2000, 100, 200 and 1000. Chips come in clusters; dents are dings, round dents
        and creases; hail is hail dents.
    scratch_length_mm, scratch_width_mm
        True size of scratches, drawn log-uniformly; the width is the mean along the scratch, at most 400 px
        and a third of the length.
    hairlines
        Least share of scratches, in [0, 1], that are at most 2 px wide; the others have the width drawn.
    groups
        Share of scratches, in [0, 1], that come as a group of parallel lines.
    damage_scale
        Factor, 0.1 to 10, on the size of scuffs, chips and dents.
    lookalikes
        Share, in [0, 1], of the harmless things (dust, drops, dirt, gaps, handles, stickers, ground) that may appear.
    paint
        One of the names of `PaintName`, or None to draw one.
    place
        What the panel mirrors: one of `PLACES`, or None to draw one. ``"jumble"``, random shapes all around, comes only
        where it is asked for: it is there to train with.
    materials
        Which paints and places are drawn from: ``"training"`` or the ``"benchmark"``'s own, which training never uses.
    tilt_degrees
        Between the camera's axis and the panel's normal, 0 to 75.
    distance_mm
        From camera to panel, 200 to 20,000.
    fringe
        A fringe pattern seen in the paint, for deflectometry; None = the surroundings alone.
    camera
        ``"scanner"`` (little noise), ``"phone"`` or ``"any"``.
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
    scratches: tuple[int, int] = (6, 10)
    chips: tuple[int, int] = (2, 8)
    scuffs: tuple[int, int] = (1, 3)
    dents: tuple[int, int] = (1, 3)
    hail: tuple[int, int] = (0, 0)
    scratch_length_mm: tuple[float, float] = (8.0, 220.0)
    scratch_width_mm: tuple[float, float] = (0.05, 1.8)
    hairlines: float = 0.2
    groups: float = 0.25
    damage_scale: float = 1.0
    lookalikes: float = 0.5
    paint: PaintName | None = None
    place: str | None = None
    materials: Materials = "training"
    tilt_degrees: tuple[float, float] = (0.0, 20.0)
    distance_mm: float = 1200.0
    fringe: Fringe | None = None
    camera: Look = "any"
    jpeg_quality: int | None = 92

    def __post_init__(self) -> None:
        """Check every value, and make numbers plain ones."""

        def settle(name: str, value: object) -> None:
            object.__setattr__(self, name, value)

        for name in ("width", "height"):
            check_whole(name, getattr(self, name), 64, 20_000)
            settle(name, int(getattr(self, name)))
        for name, (low, high) in _NUMBERS.items():
            check_number(name, getattr(self, name), low, high)
            settle(name, float(getattr(self, name)))
        for name, most in _COUNTS.items():
            least, largest = checked_pair(name, getattr(self, name))
            check_whole(f"the most {name}", largest, 0, most)
            check_whole(f"the least {name}", least, 0, int(largest))
            settle(name, (int(least), int(largest)))
        for name, (low, high) in _RANGES.items():
            ends = checked_pair(name, getattr(self, name))
            for end in ends:
                check_number(name, end, low, high)
            if ends[0] > ends[1]:
                raise OptionError(f"{name} is {ends}; expected (least, most) with least <= most")
            settle(name, (float(ends[0]), float(ends[1])))
        for name, known in (("paint", get_args(PaintName)), ("place", PLACES)):
            if getattr(self, name) is not None:
                check_choice(name, getattr(self, name), known)
        for name, known in (("materials", get_args(Materials)), ("camera", get_args(Look))):
            check_choice(name, getattr(self, name), known)
        if self.fringe is not None and not isinstance(self.fringe, Fringe):
            raise OptionError(f"fringe is {type(self.fringe).__name__}; expected a Fringe or None")
        widest = self.scratch_width_mm[1] / self.mm_per_px
        if widest > WIDEST_SCRATCH_PX:
            raise OptionError(
                f"scratch_width_mm is {self.scratch_width_mm}: {widest:.0f} px at {self.mm_per_px} mm a pixel; "
                f"expected at most {WIDEST_SCRATCH_PX} px: make scratches narrower, or mm_per_px larger"
            )
        if self.jpeg_quality is not None:
            check_whole("jpeg_quality", self.jpeg_quality, 40, 100)
            settle("jpeg_quality", int(self.jpeg_quality))

    @property
    def paints(self) -> tuple[PaintName, ...]:
        """Paints to draw from."""
        if self.paint is not None:
            return (self.paint,)
        return BENCHMARK_PAINTS if self.materials == "benchmark" else TRAINING_PAINTS

    @property
    def places(self) -> tuple[str, ...]:
        """Surroundings to draw from."""
        if self.place is not None:
            return (self.place,)
        return BENCHMARK_PLACES if self.materials == "benchmark" else TRAINING_PLACES


PLACES: tuple[str, ...] = (*TRAINING_PLACES, *BENCHMARK_PLACES, JUMBLE)
"""Names of the surroundings that a panel may mirror."""


CLEAN = SyntheticConfig(scratches=(0, 0), chips=(0, 0), scuffs=(0, 0), dents=(0, 0))
"""A scan of an undamaged panel, with the usual look-alikes: its truth is empty."""

DEMO = SyntheticConfig(
    scratches=(7, 9), scratch_width_mm=(0.25, 2.0), hairlines=0.0, damage_scale=1.4, lookalikes=0.4, camera="scanner"
)  # fmt: skip
"""What the demo scan shows: damage that a person finds at a glance."""

WINDOWS = SyntheticConfig(
    scratches=(0, 3), chips=(0, 3), scuffs=(0, 1), dents=(0, 1), lookalikes=0.5, hairlines=0.0,
    scratch_length_mm=(3.0, 150.0), jpeg_quality=None,
)  # fmt: skip
"""Ranges from which `render_window` draws what a training window shows."""
