"""Shape of the panel and what it mirrors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from surfacedefect.synthetic.marks import Float
from surfacedefect.synthetic.waves import Waves


@dataclass(frozen=True)
class Crease:
    """A feature line: along it the panel's slope changes by ``slope`` within about ``width`` mm."""

    angle: float
    offset: float
    bend: float
    slope: float
    width: float


@dataclass(frozen=True)
class Panel:
    """Smooth shape of the panel: slopes in mm/mm over coordinates in mm from the picture's middle."""

    tilt: tuple[float, float]
    curvature: tuple[float, float, float]
    creases: tuple[Crease, ...]
    wavy: Waves
    wavy_slope: float
    peel: Waves
    peel_slope: float
    view_mm: float


def random_panel(rng: np.random.Generator, extent: float) -> Panel:
    """Curved so that the picture mirrors a fair part of the surroundings whatever its scale."""
    turn = rng.uniform(0.05, 0.45, 2) / extent  # slope over the whole picture
    sign = -1 if rng.random() < 0.85 else 1
    creases = []
    for _ in range(int(rng.choice([0, 1, 2], p=[0.35, 0.4, 0.25]))):
        angle = float(np.pi / 2 + rng.normal(0, 0.25)) if rng.random() < 0.75 else float(rng.uniform(0, np.pi))
        offset, bend = float(rng.uniform(-0.45, 0.45) * extent), float(rng.normal(0, 0.15) / extent)
        slope, width = float(rng.normal(0, 0.12)), float(np.exp(rng.uniform(np.log(1.5), np.log(15))))
        creases.append(Crease(angle, offset, bend, slope, width))
    return Panel(
        tilt=(float(rng.normal(0, 0.12)), float(rng.uniform(-0.2, 0.12))),
        curvature=(float(sign * turn[0]), float(rng.normal(0, 0.05) / extent), float(sign * turn[1])),
        creases=tuple(creases),
        wavy=Waves.random(rng, count=16, shortest=60, longest=240), wavy_slope=float(rng.uniform(0.001, 0.008)),
        peel=Waves.random(rng, count=28, shortest=1.5, longest=6), peel_slope=float(rng.uniform(0.0002, 0.0016)),
        view_mm=float(rng.uniform(1.5, 4) * max(extent, 200)),
    )  # fmt: skip


def panel_slopes(panel: Panel, x: Float, y: Float) -> tuple[Float, Float]:
    """Slopes of the undamaged panel on a grid of points in mm, each float32 (y.size, x.size)."""
    cxx, cxy, cyy = (np.float32(c) for c in panel.curvature)
    p = (np.float32(panel.tilt[0]) + cxx * x)[None] + cxy * y[:, None]
    q = (np.float32(panel.tilt[1]) + cyy * y)[:, None] + cxy * x[None]
    for waves, slope in ((panel.wavy, panel.wavy_slope), (panel.peel, panel.peel_slope)):
        wave_x, wave_y = waves.slopes(x, y)
        p += np.float32(slope) * wave_x
        q += np.float32(slope) * wave_y
    for crease in panel.creases:
        cos, sin = np.float32(np.cos(crease.angle)), np.float32(np.sin(crease.angle))
        along = y[:, None] * cos - x[None] * sin
        s = x[None] * cos + y[:, None] * sin + along**2 * np.float32(crease.bend) - np.float32(crease.offset)
        s /= np.float32(crease.width)
        turn = np.float32(crease.slope) * s / np.sqrt(1 + s * s)
        p += cos * turn
        q += sin * turn
    return p, q


def mirrored(
    panel: Panel, environment: Float, base: float, x: Float, y: Float, p: Float, q: Float
) -> tuple[Float, Float]:
    """Give what a surface with these slopes mirrors, float32 (h, w, 6), and its reflectance, float32 (h, w)."""
    vx, vy = -x[None] / np.float32(panel.view_mm), -y[:, None] / np.float32(panel.view_mm)
    facing = 1 - p * vx - q * vy
    steep = 1 + p * p + q * q
    twice = 2 * facing / steep
    far = 1 / np.sqrt(1 + vx * vx + vy * vy)
    rx, ry = (-p * twice - vx) * far, (-q * twice - vy) * far
    cosine = (facing * far / np.sqrt(steep)).clip(0, 1)
    dim = 1 - cosine
    square = dim * dim
    fresnel = np.float32(base) + np.float32(1 - base) * square * square * dim  # Schlick 1994
    return _lookup(environment, rx, ry), fresnel


def _lookup(texture: Float, rx: Float, ry: Float) -> Float:
    """Bilinear; image y points down, so a reflection going up (ry < 0) meets the first rows."""
    size = texture.shape[0]
    col = ((rx + 1) * np.float32(0.5 * (size - 1))).clip(0, np.float32(size - 1.001))
    row = ((ry + 1) * np.float32(0.5 * (size - 1))).clip(0, np.float32(size - 1.001))
    left, top = col.astype(np.int32), row.astype(np.int32)
    ax, ay = (col - left)[..., None], (row - top)[..., None]
    flat, index = texture.reshape(-1, texture.shape[2]), top * size + left
    # the index is in range already; mode="clip" only spares numpy a slower checked gather
    upper, right = flat.take(index, axis=0, mode="clip"), flat.take(index + 1, axis=0, mode="clip")
    right -= upper
    right *= ax
    upper += right
    index += size
    lower, right = flat.take(index, axis=0, mode="clip"), flat.take(index + 1, axis=0, mode="clip")
    right -= lower
    right *= ax
    lower += right
    lower -= upper
    lower *= ay
    upper += lower
    return np.asarray(upper, np.float32)
