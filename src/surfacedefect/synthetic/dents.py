"""Bumps of the panel's shape: dents, which are damage, and water drops, which are not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from surfacedefect.synthetic.marks import Float
from surfacedefect.synthetic.waves import Waves

_TRUTH_DEPTH = 0.15  # of the greatest depth: what is deeper counts as dented


@dataclass(frozen=True)
class Bump:
    """Slopes that a bump adds on its own canvas, and its truth (None for a harmless one)."""

    top: int
    left: int
    slope_x: Float
    slope_y: Float
    mask: NDArray[np.bool_] | None

    @property
    def region(self) -> tuple[slice, slice]:
        """The canvas's rows and columns in the picture, if it lies wholly inside."""
        height, width = self.slope_x.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)


def random_dent(
    rng: np.random.Generator, xy: tuple[float, float], *, size: tuple[int, int], mm_per_px: float, scale: float,
    reach_px: float,
) -> Bump:  # fmt: skip
    """Draw a door ding to a fist-sized dent: an irregular bowl, sometimes drawn out into a crease."""
    radius_px = float(np.clip(rng.lognormal(1.9, 0.5) * scale / mm_per_px, 5, min(0.2 * min(size), reach_px / 5)))
    aspect = float(rng.uniform(0.6, 1.0) if rng.random() < 0.7 else rng.uniform(0.2, 0.5))
    steep = float(rng.uniform(0.05, 0.16)) * (1 if rng.random() < 0.9 else -1)
    return _bump(rng, xy, size, radius_px=radius_px, aspect=aspect, steep=steep, rough=0.15, is_damage=True)


def random_drop(rng: np.random.Generator, xy: tuple[float, float], *, size: tuple[int, int], radius_px: float) -> Bump:
    """Draw a water drop: a small round lens that stands out of the paint."""
    aspect, steep = float(rng.uniform(0.7, 1)), -float(rng.uniform(0.2, 0.5))
    return _bump(rng, xy, size, radius_px=radius_px, aspect=aspect, steep=steep, rough=0.1, is_damage=False)


def _bump(
    rng: np.random.Generator, xy: tuple[float, float], size: tuple[int, int], *, radius_px: float, aspect: float,
    steep: float, rough: float, is_damage: bool,
) -> Bump:  # fmt: skip
    """Press a bowl of standard radius radius_px whose wall is as steep as ``steep`` (mm/mm); below 0 it stands out."""
    reach = 4.0 * radius_px
    left, right = max(0, int(xy[0] - reach)), min(size[0], int(xy[0] + reach) + 1)
    top, bottom = max(0, int(xy[1] - reach)), min(size[1], int(xy[1] + reach) + 1)
    x = (np.arange(left, right, dtype=np.float32) + np.float32(0.5 - xy[0]))[None]
    y = (np.arange(top, bottom, dtype=np.float32) + np.float32(0.5 - xy[1]))[:, None]
    angle = rng.uniform(0, np.pi)
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    along, over = (x * cos + y * sin) / np.float32(radius_px), (y * cos - x * sin) / np.float32(radius_px * aspect)
    uneven = Waves.random(rng, count=12, shortest=1.5, longest=4)(x[0] / radius_px, y[:, 0] / radius_px)
    far = (along**2 + over**2) * (1 + np.float32(rough) * uneven).clip(0.5, 2)
    if is_damage:
        depth = np.exp(-far / np.float32(2))
    else:
        depth = (1 - far / np.float32(2)).clip(0, 1) ** np.float32(0.75)
    deep = steep * radius_px * aspect / 0.61  # a Gaussian bowl is steepest at one radius: 0.61 of depth over radius
    # the depth counts away from the viewer: z = -depth
    down, across = np.gradient(depth * np.float32(-deep)) if min(depth.shape) > 1 else (depth * 0, depth * 0)
    mask = depth > _TRUTH_DEPTH if is_damage else None
    return Bump(top, left, across.astype(np.float32), down.astype(np.float32), mask)
