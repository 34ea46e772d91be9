"""Shape of the panel: a height field in millimetres with analytic slopes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from surfacedefect.synthetic.draws import log_uniform
from surfacedefect.synthetic.geometry import Float
from surfacedefect.synthetic.waves import Waves


@dataclass(frozen=True)
class Crease:
    """A feature line: across it the slope turns by 2 ``slope`` within about ``width_mm``; hyperbolic in section."""

    angle: float
    offset_mm: float
    bend_per_mm: float
    slope: float
    width_mm: float

    def section(self, x: Float, y: Float) -> tuple[Float, Float, Float]:
        """Give the distance from the line over its width, and that distance's derivatives along x and y."""
        cos, sin = np.float32(np.cos(self.angle)), np.float32(np.sin(self.angle))
        along = y * cos - x * sin
        bend = np.float32(self.bend_per_mm)
        s = x * cos + y * sin + along * along * bend - np.float32(self.offset_mm)
        twice = 2 * along * bend
        width = np.float32(self.width_mm)
        return s / width, (cos - twice * sin) / width, (sin + twice * cos) / width


@dataclass(frozen=True)
class Panel:
    """Sum of a crowned quadric, feature lines, long waves of the sheet and the orange peel of the clear coat.

    Attributes
    ----------
    curvature_per_mm
        Second derivatives (xx, xy, yy), in 1/mm; negative where the panel bulges out.
    wavy, peel
        Random waves of the sheet metal (60-240 mm long) and of the clear coat (0.6-12 mm), each with the root mean
        square of its slope.
    """

    curvature_per_mm: tuple[float, float, float]
    creases: tuple[Crease, ...]
    wavy: Waves
    wavy_slope: float
    peel: Waves
    peel_slope: float

    def height_mm(self, x: Float, y: Float) -> Float:
        """Height float32 at each pair of the 1-D coordinates x and y in mm: (y.size, x.size)."""
        cxx, cxy, cyy = (np.float32(c) for c in self.curvature_per_mm)
        across, down = x[None], y[:, None]
        height = 0.5 * cxx * across * across + cxy * across * down + 0.5 * cyy * down * down
        for waves, slope in ((self.wavy, self.wavy_slope), (self.peel, self.peel_slope)):
            height = height + np.float32(slope / waves.steepness) * waves(x, y)
        for crease in self.creases:
            s, _, _ = crease.section(across, down)
            height = height + np.float32(crease.slope * crease.width_mm) * np.sqrt(1 + s * s)
        return np.asarray(height, np.float32)

    def slopes(self, x: Float, y: Float, rulers: tuple[Float, Float]) -> tuple[Float, Float]:
        """Slopes dz/dx and dz/dy at points x and y in mm, each float32 (h, w).

        The waves, being random, are computed without perspective, on `View.rulers` (w,) and (h,).
        """
        cxx, cxy, cyy = (np.float32(c) for c in self.curvature_per_mm)
        p, q = cxx * x + cxy * y, cyy * y + cxy * x
        for waves, slope in ((self.wavy, self.wavy_slope), (self.peel, self.peel_slope)):
            wave_x, wave_y = waves.slopes(*rulers)
            p += np.float32(slope) * wave_x
            q += np.float32(slope) * wave_y
        for crease in self.creases:
            s, s_x, s_y = crease.section(x, y)
            turn = np.float32(crease.slope * crease.width_mm) * s / np.sqrt(1 + s * s)
            p += turn * s_x
            q += turn * s_y
        return p, q


def random_panel(rng: np.random.Generator, extent_mm: float, *, mm_per_px: float) -> Panel:
    """Draw a piece of a door, wing, bonnet or bumper that is about ``extent_mm`` wide.

    What matters for the look is how far the panel turns across the picture: 6 to 50 degrees, log-uniform, as long as
    its radius stays above 150 mm. Waves too short for the pixels are left out.
    """
    turn = log_uniform(rng, 0.1, 0.9)
    turns = np.asarray([turn, turn * rng.uniform(0.1, 1)])[rng.permutation(2)]
    curvature = np.minimum(turns / extent_mm, 1 / 150) * (-1 if rng.random() < 0.9 else 1)
    creases = []
    for _ in range(int(rng.choice(4, p=[0.3, 0.4, 0.2, 0.1]))):
        upright = rng.random() < 0.75  # most feature lines run along the car
        angle = float(np.pi / 2 + rng.normal(0, 0.2)) if upright else float(rng.uniform(0, np.pi))
        creases.append(
            Crease(
                angle=angle, offset_mm=float(rng.uniform(-0.6, 0.6) * extent_mm),
                bend_per_mm=float(rng.normal(0, 0.1) / max(extent_mm, 300)), slope=float(rng.normal(0, 0.13)),
                width_mm=log_uniform(rng, 3, 30),
            )
        )  # fmt: skip
    resprayed = rng.random() < 0.05
    shortest = max(0.6, 2.5 * mm_per_px)
    return Panel(
        curvature_per_mm=(float(curvature[0]), float(rng.normal(0, 0.03 / max(extent_mm, 300))), float(curvature[1])),
        creases=tuple(creases),
        wavy=Waves.random(rng, count=12, shortest=60, longest=240), wavy_slope=float(rng.uniform(0.0005, 0.004)),
        peel=Waves.random(rng, count=36, shortest=shortest, longest=max(12.0, 1.5 * shortest), rise=1.3),
        peel_slope=0.003 if resprayed else log_uniform(rng, 0.0002, 0.0012),
    )  # fmt: skip
