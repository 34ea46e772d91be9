"""How fringe pictures are taken, and what they measure: phase, slope and curvature of a panel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from surfacedefect._checks import check_choice, check_number, checked_pair, expect
from surfacedefect._words import type_name
from surfacedefect.baselines._fringes import (
    Floats,
    Fringes,
    Grid,
    Wave,
    demodulated,
    shrunk,
    turning,
    usual,
    without_fringes,
)
from surfacedefect.errors import OptionError, ScanError

Pattern = Literal["crossed", "x", "y"]

_AXES: dict[str, tuple[int, ...]] = {"crossed": (1, 0), "x": (1,), "y": (0,)}
_LEAST_PERIOD_PX, _MOST_PERIOD_PX = 8.0, 2000.0
_WIDTH = 0.18  # blur of the curvature, in diameters of the smallest dent


@dataclass(frozen=True, kw_only=True)
class FringeGeometry:
    """How the picture was taken: scale, pattern and distances.

    Parameters
    ----------
    mm_per_px
        Scale of the scan on the panel, 0.005 to 5.
    period_mm
        Period of the fringes on the screen, 1 to 500. On a flat panel it must come to 8 to 2000 px.
    screen_mm, camera_mm
        From the panel to the screen and to the camera, 100 to 20,000.
    pattern
        ``"crossed"``: intensity varies along x and along y; ``"x"``: along x (upright stripes) only, and ``"y"``: along
        y only, which show one component of the slope each.
    dent_mm
        Diameters (least, most) of the dents looked for, 1 to 1000.

    Raises
    ------
    OptionError
        A value is out of its range.

    Examples
    --------
    >>> FringeGeometry(mm_per_px=0.1).flat_period_px
    120.0
    """

    mm_per_px: float
    period_mm: float = 24.0
    screen_mm: float = 1200.0
    camera_mm: float = 1200.0
    pattern: Pattern = "crossed"
    dent_mm: tuple[float, float] = (10.0, 40.0)

    def __post_init__(self) -> None:
        """Check every range."""
        check_number("mm_per_px", self.mm_per_px, 0.005, 5)
        check_number("period_mm", self.period_mm, 1, 500)
        check_number("screen_mm", self.screen_mm, 100, 20_000)
        check_number("camera_mm", self.camera_mm, 100, 20_000)
        check_choice("pattern", self.pattern, get_args(Pattern))
        for size in checked_pair("dent_mm", self.dent_mm):
            check_number("dent_mm", size, 1, 1000)
        expect(self.dent_mm[0] <= self.dent_mm[1], "dent_mm", self.dent_mm, "(least, most) with least <= most")
        if not _LEAST_PERIOD_PX <= self.flat_period_px <= _MOST_PERIOD_PX:
            raise OptionError(
                f"fringes of {self.period_mm:g} mm come to {self.flat_period_px:.3g} px on a flat panel at "
                f"{self.mm_per_px:g} mm a pixel; expected {_LEAST_PERIOD_PX:g} to {_MOST_PERIOD_PX:g} px. Check "
                "period_mm and mm_per_px, print other fringes, or photograph at another scale"
            )

    @property
    def stretch(self) -> float:
        """How many mm of the screen a flat panel mirrors in a mm: 1 + screen_mm / camera_mm."""
        return 1 + self.screen_mm / self.camera_mm

    @property
    def flat_period_px(self) -> float:
        """Length of a fringe in the picture of a flat panel."""
        return self.period_mm / self.stretch / self.mm_per_px

    @property
    def grid(self) -> Grid:
        """The coarse grid on which fringes are looked at."""
        axes, smallest = _AXES[self.pattern], self.dent_mm[0]
        return Grid.of(mm_per_px=self.mm_per_px, period_px=self.flat_period_px, dent_mm=smallest, axes=axes)

    def curvature_per_mm(self, rad_per_px: Floats, grid: Grid) -> Floats:
        """Curvature, in 1/mm, of a surface whose mirrored phase turns so fast on the coarse grid."""
        mirrored = rad_per_px * np.float32(self.period_mm / (2 * np.pi * grid.mm_per_px))
        return np.asarray((np.float32(self.stretch) - mirrored) / np.float32(2 * self.screen_mm), np.float32)


@dataclass(frozen=True, eq=False)
class SlopeField:
    """What deflectometry measures, on a grid ``step`` times coarser than the picture.

    Attributes
    ----------
    phase_x, phase_y
        float32 (h, w): unwrapped phase of the fringes along x and y, in rad, up to a constant; None for the one that
        the pattern does not have.
    slope_x, slope_y
        float32 (h, w): the panel's slopes dz/dx and dz/dy, z towards the camera, less their medians; or None.
    curvature_per_mm
        float32 (h, w): divergence of the slopes (of a single pattern, the one derivative that it shows), in 1/mm,
        averaged over about a sixth of the smallest dent; negative where the panel bulges out.
    modulation
        float32 (h, w): swing of the fringes over the mean light, 0 to about 1.
    broken
        float32 (h, w): share of the fringes that no smooth panel explains, 0 to about 1.
    inspected
        bool (h, w): where there are fringes. The other values mean nothing elsewhere.
    mm_per_px
        Scale of the grid.
    step
        Pixels of the picture in one of the grid.
    """

    phase_x: Floats | None
    phase_y: Floats | None
    slope_x: Floats | None
    slope_y: Floats | None
    curvature_per_mm: Floats
    modulation: Floats
    broken: Floats
    inspected: NDArray[np.bool_]
    mm_per_px: float
    step: int


def slope_field(image: NDArray[np.uint8], geometry: FringeGeometry) -> SlopeField:
    """Measure the slope of a panel from one picture of mirrored fringes.

    A phase of 2 pi is one period on the screen, so the mirrored point s follows; by the law of reflection, for a camera
    that looks along the panel's normal, the slope is (x * stretch - s) / (2 * screen_mm).

    Parameters
    ----------
    image
        uint8 (H, W) or (H, W, 3), at least three fringes wide and high.
    geometry
        How it was taken. Errors in it scale the slopes; a tilted camera adds a smooth slope.

    Returns
    -------
    SlopeField
        Phase, slope, curvature. Where a dent folds the fringes over, phase and slope are wrong and ``broken`` is high.
        A panel so hollow that it focuses beyond the screen gives the slope with the wrong sign.

    Raises
    ------
    ScanError
        No picture, too small a one, or no fringes in it.
    OptionError
        `geometry` is no `FringeGeometry`.

    Examples
    --------
    >>> x = np.arange(600) + 0.5
    >>> stripes = 120 + 80 * np.cos(2 * np.pi * x / 100) * np.ones((600, 1))
    >>> geometry = FringeGeometry(mm_per_px=0.1, period_mm=20, pattern="x")
    >>> flat = slope_field(stripes.astype(np.uint8), geometry)
    >>> flat.slope_x.shape, bool(abs(flat.slope_x[20:-20, 20:-20]).max() < 5e-4), flat.slope_y is None
    ((200, 200), True, True)
    """
    grid = checked_geometry(geometry).grid
    fringes = fringes_of(checked_image(image), grid)
    outside = without_fringes(fringes, usual(fringes.energy), grid)
    phases = {wave.axis: _unwrapped(wave, outside) for wave in fringes.waves}
    slopes = {axis: _slope(phase, axis, outside, geometry, grid) for axis, phase in phases.items()}
    bends = [geometry.curvature_per_mm(turning(wave, grid.dents(_WIDTH))[0], grid) for wave in fringes.waves]
    swing = np.sum([np.abs(wave.amplitude) for wave in fringes.waves], axis=0)
    return SlopeField(
        phases.get(1), phases.get(0), slopes.get(1), slopes.get(0), np.sum(bends, axis=0, dtype=np.float32),
        (swing / np.maximum(fringes.background, 1e-6)).astype(np.float32), fringes.broken, ~outside,
        grid.mm_per_px, grid.step,
    )  # fmt: skip


def fringes_of(image: NDArray[np.uint8], grid: Grid) -> Fringes:
    """Take a picture apart; see `demodulated`."""
    return demodulated(*shrunk(image, grid.step), grid)


def _unwrapped(wave: Wave, outside: NDArray[np.bool_]) -> Floats:
    """Unwrap what the phase is off the smooth panel's, which is far less steep, and add that again."""
    from skimage import restoration

    unwrap_phase: Any = restoration.unwrap_phase
    off = np.angle(wave.signal * np.exp(-1j * wave.panel_phase))
    off = unwrap_phase(np.ma.array(off, mask=outside), rng=0)
    return np.asarray(np.ma.filled(off, 0) + wave.panel_phase, np.float32)


def _slope(
    phase: Floats, axis: int, outside: NDArray[np.bool_], geometry: FringeGeometry, grid: Grid
) -> Floats:  # fmt: skip
    place = (np.arange(phase.shape[axis], dtype=np.float32) + np.float32(0.5)) * np.float32(grid.mm_per_px)
    place = place[None] if axis == 1 else place[:, None]
    mirrored = phase * np.float32(geometry.period_mm / (2 * np.pi))
    slope = (place * np.float32(geometry.stretch) - mirrored) / np.float32(2 * geometry.screen_mm)
    return np.asarray(slope - np.median(slope[~outside]), np.float32)


def checked_geometry(geometry: object) -> FringeGeometry:
    """Refuse what is no geometry."""
    if not isinstance(geometry, FringeGeometry):
        raise OptionError(
            f"the geometry is {type_name(geometry)}; expected a FringeGeometry, such as FringeGeometry(mm_per_px=0.1)"
        )
    return geometry


def checked_image(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Refuse what is no picture of bytes."""
    try:
        found = image if isinstance(image, np.ndarray) else np.asarray(image)
    except (ValueError, TypeError) as error:  # lists of different lengths
        raise ScanError(
            f"found {type_name(image)} that is no array ({error}), expected uint8 (rows, columns)"
        ) from error
    if found.dtype != np.uint8 or found.ndim not in (2, 3) or (found.ndim == 3 and found.shape[2] != 3):
        raise ScanError(
            f"found an array of {found.dtype} {found.shape}, expected uint8 (rows, columns) or (rows, columns, 3); "
            "Scan.open(...).rows(...) gives that of most pictures"
        )
    return found
