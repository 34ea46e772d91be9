"""Dents: where the sheet was pressed out of shape, with paint that mostly holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from surfacedefect.synthetic.draws import log_uniform
from surfacedefect.synthetic.geometry import Float, View

DentSort = Literal["ding", "round dent", "crease dent", "hail dent"]
_STRIP_PX = 1 << 15  # computed at once: few enough for the processor's cache
_EDGE_MM = 1e-4  # the dent ends where it is shallower


@dataclass(frozen=True)
class Bump:
    """Slopes that a dent adds, float32 (h, w), on its own piece of the picture, and its mask, bool (h, w)."""

    top: int
    left: int
    slope_x: Float
    slope_y: Float
    mask: NDArray[np.bool_]

    @property
    def region(self) -> tuple[slice, slice]:
        """The piece's rows and columns in the picture."""
        height, width = self.mask.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)


@dataclass(frozen=True)
class Dent:
    """A dent as a function of the panel's coordinates.

    In the frame turned by ``angle``, with semi-axes ``half_mm``, the depth at the scaled radius r is
    ``depth_mm * (1 - r^2)^3 * (1 - rim * r^2)`` inside r = 1 and nothing outside: slope and curvature run out to
    zero at the border, as a mirror image shows any jump of either. The rim is displaced metal. ``skew`` makes one
    wall steeper than the other, ``bend`` curves the long axis, ``fold`` > 0 sharpens it into a crease.
    """

    x_mm: float
    y_mm: float
    half_mm: tuple[float, float]
    angle: float
    depth_mm: float
    rim: float
    fold: float
    skew: float
    bend: float
    outline: tuple[tuple[float, float], ...]  # amplitude and phase of the 2nd, 3rd ... harmonic

    def height_mm(self, x: Float, y: Float) -> Float:
        """Height in mm that the dent adds at these points; negative in the bowl."""
        return self._height(*self._scaled(x, y))

    def _height(self, r2: Float, v: Float) -> Float:
        inside = 1 - r2
        bowl = inside * inside * inside * (1 - np.float32(self.rim) * r2)
        if self.fold:
            sharp = np.sqrt(v * v + np.float32(0.02))
            bowl *= 1 + np.float32(self.fold) * (np.float32(0.5) - sharp) * inside
        return np.asarray(np.float32(-self.depth_mm) * bowl, np.float32)

    def _covers(self, r2: Float) -> NDArray[np.bool_]:
        """Which points are dented: where the bowl without its rim is deeper than 0.1 micrometres."""
        return np.asarray(abs(self.depth_mm) * (1 - r2) ** 3 > _EDGE_MM)

    def press(
        self, slope_x: Float, slope_y: Float, mask: NDArray[np.bool_], *, x: Float, y: Float, step_mm: float
    ) -> None:
        """Add the slopes at these points, and what is dented, in place; by differences over a step."""
        step = np.float32(step_mm)
        r2, v = self._scaled(x, y)
        here, own = self._height(r2, v), self._covers(r2)
        slope_x += own * ((self.height_mm(x + step, y) - here) / step)
        slope_y += own * ((self.height_mm(x, y + step) - here) / step)
        mask |= own

    def _scaled(self, x: Float, y: Float) -> tuple[Float, Float]:
        """Squared scaled radius, at most 1, and the scaled distance from the long axis."""
        cos, sin = np.float32(np.cos(self.angle)), np.float32(np.sin(self.angle))
        x, y = x - np.float32(self.x_mm), y - np.float32(self.y_mm)
        u = (x * cos + y * sin) / np.float32(self.half_mm[0])
        v = (y * cos - x * sin) / np.float32(self.half_mm[1])
        v = v + np.float32(self.bend) * u * u
        v = v / (1 + np.float32(self.skew) * v / np.sqrt(v * v + np.float32(0.1)))
        far = u * u + v * v
        # harmonics of the angle as powers of (u + iv) / |u + iv|: no arctangent
        length = np.sqrt(far) + np.float32(1e-6)
        c1, s1 = u / length, v / length
        c, s, size = c1, s1, np.ones_like(far)
        for amplitude, phase in self.outline:
            c, s = c * c1 - s * s1, s * c1 + c * s1
            size += np.float32(amplitude * np.cos(phase)) * c + np.float32(amplitude * np.sin(phase)) * s
        return np.asarray((far / (size * size)).clip(0, 1), np.float32), np.asarray(v, np.float32)

    @property
    def reach_mm(self) -> float:
        """How far from its middle the dent ends, at most."""
        widest = 1 + sum(abs(amplitude) for amplitude, _ in self.outline)
        # a bent axis and a skewed wall move the border across the long axis
        return max(self.half_mm[0], self.half_mm[1] * (1 + abs(self.skew) + abs(self.bend))) * widest * 1.45


def pressed(dents: Sequence[Dent], view: View) -> Bump | None:
    """See dents, one damage, through the camera; None when nothing of them is in the picture."""
    turn = np.linspace(0, 2 * np.pi, 24)
    x = np.concatenate([d.x_mm + d.reach_mm * np.cos(turn) for d in dents]).astype(np.float32)
    y = np.concatenate([d.y_mm + d.reach_mm * np.sin(turn) for d in dents]).astype(np.float32)
    cols, rows = view.project(x, y)
    left, right = max(0, int(cols.min())), min(view.width, int(cols.max()) + 2)
    top, bottom = max(0, int(rows.min())), min(view.height, int(rows.max()) + 2)
    if left >= right or top >= bottom:
        return None
    shape = bottom - top, right - left
    slope_x, slope_y, mask = np.zeros(shape, np.float32), np.zeros(shape, np.float32), np.zeros(shape, bool)
    strip = max(1, _STRIP_PX // shape[1])
    for first in range(0, shape[0], strip):
        last = min(first + strip, shape[0])
        x, y = view.grid(slice(top + first, top + last), slice(left, right))
        own = slice(first, last)
        for dent in dents:
            dent.press(slope_x[own], slope_y[own], mask[own], x=x, y=y, step_mm=0.25 * view.mm_per_px)
    return Bump(top, left, slope_x, slope_y, mask) if mask.any() else None


# radius (mm), aspect, depth over short radius, share that stands out instead of in
_SIZES: dict[DentSort, tuple[tuple[float, float], tuple[float, float], tuple[float, float], float]] = {
    "ding": ((5, 20), (0.35, 0.9), (0.008, 0.04), 0.03),
    "round dent": ((15, 75), (0.6, 1.0), (0.006, 0.03), 0.08),
    "crease dent": ((30, 150), (0.1, 0.3), (0.012, 0.045), 0.1),
    "hail dent": ((5, 18), (0.8, 1.0), (0.008, 0.035), 0.0),
}


def random_dent(
    rng: np.random.Generator, xy_mm: tuple[float, float], *, sort: DentSort, scale: float, most_mm: float = np.inf
) -> Dent:
    """Draw a dent of true-to-life size, times ``scale``; its longer radius is ``most_mm`` at most.

    Depths are about those met in paintless dent repair: hail 0.05-0.7 mm, door dings 0.05-1 mm, larger ones to 3 mm.
    """
    radii, aspects, steepness, outward = _SIZES[sort]
    long = min(log_uniform(rng, *radii) * scale, most_mm)
    short = long * float(rng.uniform(*aspects))
    depth = short * log_uniform(rng, *steepness)
    even = sort == "hail dent"
    harmonics = [(0.10 * rng.normal() / k, rng.uniform(0, 2 * np.pi)) for k in range(1, 5)]
    return Dent(
        x_mm=xy_mm[0], y_mm=xy_mm[1], half_mm=(long, short), angle=float(rng.uniform(0, np.pi)),
        depth_mm=-depth if rng.random() < outward else depth, rim=float(rng.uniform(0, 2.2)),
        fold=float(rng.uniform(0.3, 1)) if sort == "crease dent" or rng.random() < 0.2 else 0.0,
        skew=0.0 if even else float(rng.uniform(-0.35, 0.35)), bend=0.0 if even else float(rng.normal(0, 0.12)),
        outline=tuple((float(np.clip(a, -0.15, 0.15)), float(phase)) for a, phase in harmonics),
    )  # fmt: skip
