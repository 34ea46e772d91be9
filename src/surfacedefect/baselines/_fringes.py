"""The arithmetic of deflectometry: a mirrored fringe pattern taken apart into phase, curvature and what is left over.

Everything here is done on a coarser grid than the scan's, of `Grid.step` px, as fringes are tens of px long.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from surfacedefect.errors import ScanError

Floats = NDArray[np.float32]
Complexes = NDArray[np.complex64]

_COARSE_PERIOD_PX = 30  # of the fringes on a flat panel, after shrinking
_SHORTEST, _LONGEST = 1 / 6, 2.0  # fringes looked for, in periods on a flat panel
_SHORTEST_PX = 4.0
_BLOCK_PERIODS = 4.2
_LEAST_PERIODS = 3.0  # of a picture
_TURN = 0.6  # tangent of how far fringes may be turned away from their axis
_DEGREE = 3
_ROUNDS = 12
_AGREES = 0.25  # of its frequency that a block may be off the smooth carrier
_LEAST_PEAK = 0.05  # share of a block's energy in its fringes
_LEAST_BLOCKS = 0.3  # share of the blocks that have fringes
_LEAST_CONTRAST = 0.002  # of a set of fringes
_USUAL = 0.75  # quantile
_DEMODULATE = 0.5  # periods, standard deviation of the low pass
_BACKGROUND = 0.6
_STICKS_OUT = 1.2  # standard deviations of the fringes
# lengths below are in diameters of the smallest dent
_AROUND, _BROKEN = 1.0, 0.2  # standard deviations of the blurs
_FAINT = 0.25  # share of the usual fringe energy under which there are no fringes
_BESIDE = 0.8  # left out around such places
_JOIN, _THICK = 0.4, 0.8  # gaps closed in a line, and half the width from which a place on it is no line


@dataclass(frozen=True)
class Grid:
    """The coarse grid: its scale, how many px of the scan one of its own is long, and the fringes on a flat panel.

    ``axes`` are those along which the pattern's intensity varies: 1 = x, 0 = y. ``dent_px`` is the diameter of the
    smallest dent.
    """

    mm_per_px: float
    step: int
    period_px: float
    dent_px: float
    axes: tuple[int, ...]

    @classmethod
    def of(cls, *, mm_per_px: float, period_px: float, dent_mm: float, axes: tuple[int, ...]) -> Grid:
        """Choose the step for a scan with fringes of so many px on a flat panel."""
        step = max(1, round(period_px / _COARSE_PERIOD_PX))
        return cls(mm_per_px * step, step, period_px / step, dent_mm / mm_per_px / step, axes)

    def dents(self, diameters: float) -> float:
        """Length, in px, of so many diameters of the smallest dent; at least half a px."""
        return max(0.5, diameters * self.dent_px)

    @property
    def block_px(self) -> int:
        """Side of the squares in which the carrier is measured."""
        return 2 * round(_BLOCK_PERIODS * self.period_px / 2)


@dataclass(frozen=True)
class Wave:
    """One of the pattern's two sets of fringes, Re(amplitude x carrier), along ``axis``.

    ``panel_phase`` is the phase, in rad, that a polynomial gives the carrier: the panel without waves and dents.
    """

    axis: int
    panel_phase: Floats
    carrier: Complexes
    amplitude: Complexes

    @property
    def signal(self) -> Complexes:
        """Amplitude times carrier: its angle is the phase."""
        return np.asarray(self.amplitude * self.carrier, np.complex64)


@dataclass(frozen=True)
class Fringes:
    """A picture taken apart; all fields float32 (h, w).

    Attributes
    ----------
    waves
        What a smooth panel explains.
    background
        Linear light around which the fringes swing.
    energy
        Mean square of the light around the background, over half a fringe or so.
    broken
        Share of the fringes, from about 0 to 1, that no smooth panel explains.
    longest_px
        Median length of the longer fringes, on the coarse grid.
    """

    waves: tuple[Wave, ...]
    background: Floats
    energy: Floats
    broken: Floats
    longest_px: float


def shrunk(window: NDArray[np.uint8], step: int) -> tuple[Floats, Floats]:
    """Return mean and variance of the linear light in squares of `step` px; slivers at the end are filled up."""
    light = _LINEAR[window].mean(axis=2) if window.ndim == 3 else _LINEAR[window]
    if step == 1:
        return light, np.zeros_like(light)
    missing = [(0, -side % step) for side in light.shape]
    light = np.pad(light, missing, mode="edge")
    height, width = light.shape[0] // step, light.shape[1] // step
    squares = light.reshape(height, step, width, step)
    return squares.mean(axis=(1, 3)), squares.var(axis=(1, 3))


def _linear() -> Floats:
    """Linear light of the 256 grey levels of sRGB (IEC 61966-2-1)."""
    level = np.arange(256) / 255
    return np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4).astype(np.float32)


_LINEAR = _linear()


def smoothed(field: Floats, *sigmas_px: float) -> list[Floats]:
    """Return Gaussian blurs of (..., h, w), mirrored at the border.

    By the cosine transform, which makes wide ones as cheap as narrow ones.
    """
    from scipy.fft import dctn, idctn

    spectrum = dctn(field, axes=(-2, -1))
    down, across = (np.pi * np.arange(side, dtype=np.float32) / side for side in field.shape[-2:])
    square = down[:, None] ** 2 + across**2
    return [idctn(spectrum * np.exp(-0.5 * np.float32(s) ** 2 * square), axes=(-2, -1)) for s in sigmas_px]


def _low_pass(field: Complexes, sigma_px: float) -> Complexes:
    real, imaginary = smoothed(np.stack([field.real, field.imag]), sigma_px)[0]
    return np.asarray(real + 1j * imaginary, np.complex64)


def demodulated(light: Floats, ripple: Floats, grid: Grid) -> Fringes:
    """Take a picture apart: twice, as the second time the carrier follows the phase that was found the first time.

    Raises
    ------
    ScanError
        The picture is too small, or shows no fringes of the expected period.
    """
    if min(light.shape) < _LEAST_PERIODS * grid.period_px:
        raise ScanError(
            f"found a picture of {light.shape[1] * grid.step} x {light.shape[0] * grid.step} px with fringes of about "
            f"{grid.period_px * grid.step:.0f} px; expected at least {_LEAST_PERIODS:g} of them on each side. Pass a "
            "larger part of the scan, or check period_mm and mm_per_px"
        )
    peaks = _peaks(light - smoothed(light, 0.8 * grid.period_px)[0], grid)
    waves = [_first_wave(axis, found, light.shape, grid) for axis, found in peaks.items()]
    lengths = [1 / float(np.median(np.hypot(found[:, 2], found[:, 3]))) for found in peaks.values()]
    background = smoothed(light, _BACKGROUND * max(lengths))[0]
    most = _STICKS_OUT * float(np.std(light - background))
    calm = light
    for _ in range(2):
        waves = [_sharper(w, calm - background, _DEMODULATE * n) for w, n in zip(waves, lengths, strict=True)]
        explained: Floats = np.sum([wave.signal.real for wave in waves], axis=0, dtype=np.float32)
        background = smoothed(calm - explained, _BACKGROUND * max(lengths))[0]
        calm = _without_outliers(light, background + explained, most)
    if min(float(np.quantile(np.abs(wave.amplitude), _USUAL)) for wave in waves) < _LEAST_CONTRAST * light.mean():
        raise ScanError(
            f"found fringes of a contrast below {_LEAST_CONTRAST:.1%}; expected more. Make the room darker or the "
            "screen brighter, and check that the panel mirrors it"
        )
    energy, broken = _compared(light - background, explained, ripple, grid, nearby_px=0.5 * max(lengths))
    return Fringes(tuple(waves), background, energy, broken, max(lengths))


def _without_outliers(light: Floats, expected: Floats, most: float) -> Floats:
    """Pull what sticks out of the fringes, such as a scratch or dust, back to where they may reach."""
    return np.asarray(expected + np.clip(light - expected, -most, most), np.float32)


def _compared(
    swing: Floats, explained: Floats, ripple: Floats, grid: Grid, *, nearby_px: float
) -> tuple[Floats, Floats]:
    """Return the energy of the light around the background, and the share of it that the waves do not explain.

    Detail finer than the coarse grid counts as unexplained: in a deep dent fringes can be a few px long.
    """
    finer = ripple - np.median(ripple)
    energy, around = smoothed(swing**2 + finer, nearby_px, grid.dents(_AROUND))
    around = np.maximum(around, _FAINT * usual(around))
    rest = np.minimum((swing - explained) ** 2 + finer, around)
    return energy, smoothed(rest, grid.dents(_BROKEN))[0] / around


def usual(energy: Floats) -> float:
    """Return the energy of most places with fringes, even where half of a picture has none."""
    return float(np.quantile(energy, _USUAL))


def _first_wave(axis: int, peaks: NDArray[np.float64], shape: tuple[int, ...], grid: Grid) -> Wave:
    phase, agree = _fitted_phase(peaks, shape)
    if np.mean(agree & (peaks[:, 4] > _LEAST_PEAK)) < _LEAST_BLOCKS:
        raise ScanError(
            f"found no fringes along {'yx'[axis]}; expected some of about {grid.period_px * grid.step:.0f} px, or on a "
            f"curved panel {_SHORTEST:.2g} to {_LONGEST:g} times that. Check pattern, period_mm, the distances and "
            "mm_per_px, and that the panel mirrors the screen"
        )
    return Wave(axis, phase, np.exp(1j * phase).astype(np.complex64), np.ones(shape, np.complex64))


def _sharper(wave: Wave, fringes: Floats, sigma_px: float) -> Wave:
    """Demodulate with the carrier that follows the phase known so far."""
    carrier = wave.signal / (np.abs(wave.signal) + np.float32(1e-12))
    return replace(wave, carrier=carrier, amplitude=2 * _low_pass(fringes * carrier.conj(), sigma_px))


def _peaks(fringes: Floats, grid: Grid) -> dict[int, NDArray[np.float64]]:
    """Measure the carriers in overlapping squares.

    Returns for each axis (n, 5): row and column of the middle, frequency along y and x in 1/px, and its share of the
    square's energy.
    """
    from scipy.fft import rfft2

    side = min(grid.block_px, *fringes.shape)
    taper = np.hanning(side + 2)[1:-1].astype(np.float32)
    starts = [np.linspace(0, n - side, max(2, round(2 * n / side) - 1)).astype(int) for n in fringes.shape]
    along_y, along_x = np.meshgrid(np.fft.fftfreq(side), np.fft.rfftfreq(side), indexing="ij")
    bands = {axis: _band(along_y, along_x, axis, grid) for axis in grid.axes}
    found: dict[int, list[tuple[float, ...]]] = {axis: [] for axis in grid.axes}
    for top, left in product(*starts):
        block = fringes[top : top + side, left : left + side]
        power = np.abs(rfft2((block - block.mean()) * taper * taper[:, None])) ** 2
        for axis, band in bands.items():
            row, column = divmod(int(np.where(band, power, -1).argmax()), power.shape[1])
            near = power[np.arange(row - 2, row + 3) % side, max(0, column - 2) : column + 3]
            # the foot of what lies outside the band is no peak
            share = near.sum() / (power.sum() + 1e-20) if near.max() <= power[row, column] else 0.0
            frequency = _between(power, row, column, along_y[row, 0], along_x[0, column])
            found[axis].append((top + side / 2, left + side / 2, *frequency, share))
    return {axis: np.asarray(values) for axis, values in found.items()}


def _band(along_y: NDArray[Any], along_x: NDArray[Any], axis: int, grid: Grid) -> NDArray[np.bool_]:
    """Where in a spectrum fringes of one axis can be."""
    main, other = (along_x, along_y) if axis == 1 else (along_y, along_x)
    low = 1 / (_LONGEST * grid.period_px)
    high = min(1 / (_SHORTEST * grid.period_px), 1 / _SHORTEST_PX)
    return np.asarray((main >= low) & (main <= high) & (np.abs(other) <= _TURN * main))


def _between(power: Floats, row: int, column: int, y: float, x: float) -> tuple[float, float]:
    """Refine a peak by parabolas through the logarithms of its neighbours."""
    side, width = power.shape
    level = np.log(power + 1e-20)
    down = _vertex(level[row - 1, column], level[row, column], level[(row + 1) % side, column])
    right = _vertex(level[row, abs(column - 1)], level[row, column], level[row, min(column + 1, width - 1)])
    return y + down / side, x + right / side


def _vertex(before: float, at: float, after: float) -> float:
    bend = before - 2 * at + after
    return float(np.clip(0.5 * (before - after) / bend, -0.5, 0.5)) if bend < 0 else 0.0


def _fitted_phase(peaks: NDArray[np.float64], shape: tuple[int, ...]) -> tuple[Floats, NDArray[np.bool_]]:
    """Fit the polynomial whose gradient is the measured frequency; blocks with dents or creases in them count little.

    Returns the phase, (h, w), and which blocks agree with it.
    """
    measured, unit = len(peaks), max(shape) / 2
    peaks = _with_border(peaks, shape)
    terms = [(i, j) for i in range(_DEGREE + 1) for j in range(_DEGREE + 1 - i) if i + j]
    y, x = ((peaks[:, k] - shape[k] / 2) / unit for k in (0, 1))
    slopes = [
        np.stack([i * y ** max(i - 1, 0) * x**j for i, j in terms], axis=1),
        np.stack([j * y**i * x ** max(j - 1, 0) for i, j in terms], axis=1),
    ]
    matrix, target = np.concatenate(slopes) / unit, 2 * np.pi * peaks[:, 2:4].T.ravel()
    size = 2 * np.pi * float(np.median(np.hypot(peaks[:, 2], peaks[:, 3])))
    weight = np.sqrt(peaks[:, 4]) + 1e-6
    for _ in range(_ROUNDS):
        twice = np.tile(weight, 2)
        factors = np.linalg.lstsq(matrix * twice[:, None], target * twice, rcond=None)[0]
        off = np.hypot(*np.split(matrix @ factors - target, 2))
        scale = max(2 * float(np.median(off)), 0.02 * size)
        weight = (np.sqrt(peaks[:, 4]) + 1e-6) / (1 + (off / scale) ** 2)
    down, across = ((np.arange(n) + 0.5 - n / 2) / unit for n in shape)
    table = np.zeros((_DEGREE + 1, _DEGREE + 1))
    table[tuple(np.transpose(terms))] = factors
    phase = np.polynomial.polynomial.polygrid2d(down, across, table)
    return phase.astype(np.float32), off[:measured] < _AGREES * size


def _with_border(peaks: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Repeat the outermost blocks at the border itself, lest the polynomial run away between them and it."""
    moved = peaks.copy()
    for k in (0, 1):
        moved[peaks[:, k] == peaks[:, k].min(), k] = 0
        moved[peaks[:, k] == peaks[:, k].max(), k] = shape[k]
    return np.concatenate([peaks, moved[(moved != peaks).any(axis=1)]])


def turning(wave: Wave, *sigmas_px: float) -> list[Floats]:
    """Return how fast the phase turns along the wave's own axis, in rad/px, averaged over each of these widths.

    The angle between neighbours needs no unwrapping. It is taken against the smooth panel's phase, which stands alone
    where the fringes are lost.
    """
    off = np.moveaxis(wave.signal * np.exp(-1j * wave.panel_phase), wave.axis, 0)
    step = _as_long(off[1:] * off[:-1].conj(), wave.axis)
    panel = _as_long(np.diff(np.moveaxis(wave.panel_phase, wave.axis, 0), axis=0), wave.axis)
    weight = np.abs(step).astype(np.float32)
    floor = 0.02 * np.median(weight) + 1e-20
    pairs = smoothed(np.stack([np.angle(step).astype(np.float32) * weight, weight]), *sigmas_px)
    return [panel + top / (bottom + floor) for top, bottom in pairs]


def _as_long(differences: NDArray[Any], axis: int) -> NDArray[Any]:
    """Repeat the last of differences along the first axis, and move that back."""
    return np.moveaxis(np.concatenate([differences, differences[-1:]]), 0, axis)


def without_fringes(fringes: Fringes, usual_energy: float, grid: Grid) -> NDArray[np.bool_]:
    """Say where the panel mirrors too little of the pattern, and a little around it."""
    from scipy.ndimage import distance_transform_edt

    lit = fringes.energy > _FAINT * usual_energy
    return ~lit if lit.all() else np.asarray(distance_transform_edt(lit) < grid.dents(_BESIDE))


def lines_across(likely: NDArray[np.bool_], outside: NDArray[np.bool_], grid: Grid, *, least_mm: float) -> Any:
    """Find feature lines, gaps and the borders of parts among regions: thin, long, and from border to border.

    ``outside`` is where nothing is known. What is thicker and compact stays, as a dent may lie on a line.

    Returns a bool array (h, w).
    """
    from scipy import ndimage

    least, rim = least_mm / grid.mm_per_px, max(2, round(grid.dents(_JOIN)))
    border = ndimage.binary_dilation(np.pad(outside, 1, constant_values=True), iterations=rim)[1:-1, 1:-1]
    joined = ndimage.binary_closing(np.pad(likely, rim), iterations=rim // 2)[rim:-rim, rim:-rim]
    labels, _ = ndimage.label(joined, np.ones((3, 3)))
    found = np.zeros_like(likely)
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        long = float(np.hypot(*(side.stop - side.start for side in box)))
        region = labels[box] == number
        ends = np.argwhere(region & border[box])
        if long >= least and region.sum() <= 0.3 * long**2 and ends.size and np.hypot(*np.ptp(ends, axis=0)) >= least:
            thick = _thick(region, grid.dents(_THICK), longest=least)
            grown = ndimage.binary_dilation(np.pad(region & ~thick, rim), iterations=rim)[rim:-rim, rim:-rim]
            found[box] |= grown & ~thick
    return found


def _thick(region: NDArray[np.bool_], radius: float, *, longest: float) -> NDArray[np.bool_]:
    """Give the parts of a region that hold a disc of this radius and are shorter than ``longest``."""
    from scipy import ndimage

    core: NDArray[np.bool_] = ndimage.distance_transform_edt(np.pad(region, 1))[1:-1, 1:-1] > radius
    if not core.any():
        return core
    labels, _ = ndimage.label(region & (ndimage.distance_transform_edt(~core) <= radius))
    boxes = ndimage.find_objects(labels)
    short = [np.hypot(*(side.stop - side.start for side in box)) < longest for box in boxes]
    kept: NDArray[np.bool_] = np.asarray([False, *short])[labels]
    return kept
