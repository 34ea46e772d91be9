"""What the paint shows where something has dug into it: from depths to colours, gloss, slopes and exact masks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from surfacedefect.synthetic.geometry import Float, View
from surfacedefect.synthetic.paints import Paint
from surfacedefect.synthetic.splat import Layer, drop
from surfacedefect.synthetic.strokes import Samples

LEAST_DEPTH_UM = 1.0
"""What is shallower is no damage."""
_STEEPEST = 0.7


@dataclass(frozen=True)
class Wear:
    """How one damage looks besides its depth.

    Attributes
    ----------
    haze
        Albedo that fine scratches in the clear coat add by scattering light, in [0, 1].
    dirt
        How much dirt has settled in the grooves, in [0, 1].
    rust
        How much of the bare substrate has rusted, in [0, 1].
    foreign
        Linear RGB of paint or rubber that was left behind, or None; it lies on the shallow parts.
    """

    haze: float
    dirt: float = 0.0
    rust: float = 0.0
    foreign: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class Cut:
    """A damage of the paint in one picture: its look, and its exact mask as ascending pixel numbers (n,)."""

    layer: Layer
    mask_pixels: NDArray[np.int64]


def cut(
    samples: Samples, *, view: View, paint: Paint, wear: Wear, spine: tuple[Float, Float] | None = None,
    least_cover: float = 0.5,
) -> Cut | None:  # fmt: skip
    """See samples of a damage through the camera; None when nothing of it is in the picture.

    A pixel counts as damaged when at least ``least_cover`` of it is hurt. ``spine`` are points (x, y), in mm, of centre
    lines, closer than a pixel: every pixel on them counts as damaged too.
    """
    col, row = view.project(samples.x, samples.y)
    near = (col > -2) & (row > -2) & (col < view.width + 2) & (row < view.height + 2)
    if not near.any():
        return None
    if not near.all():
        samples, col, row = samples.only(near), col[near], row[near]
    middle = float(samples.x.mean()), float(samples.y.mean())
    scale = np.float32(view.px_per_mm(*middle, 0.0) * view.px_per_mm(*middle, np.pi / 2))
    area = samples.area_mm2 * scale
    alpha, rgb, matt = _look(samples, paint, wear)
    hurt = np.abs(samples.depth_um) >= LEAST_DEPTH_UM
    values = np.column_stack(
        [alpha, alpha[:, None] * rgb, matt, samples.slope_x, samples.slope_y, hurt]
    ).astype(np.float32) * area[:, None]  # fmt: skip
    size = {"width": view.width, "height": view.height}
    # many samples a pixel need no sharing out
    soft = float(np.median(area)) > 0.05
    pixels, sums = drop(col, row, values, soft=soft, **size)
    if pixels.size == 0:
        return None
    alpha = sums[:, 0]
    colour = np.asarray(sums[:, 1:4] / np.maximum(alpha, np.float32(1e-6))[:, None], np.float32)
    layer = Layer(
        pixels, alpha.clip(0, 1), colour, sums[:, 4].clip(0, 1), sums[:, 5].clip(-_STEEPEST, _STEEPEST),
        sums[:, 6].clip(-_STEEPEST, _STEEPEST),
    )  # fmt: skip
    if soft:
        exact, covered = drop(col, row, (area * hurt)[:, None], soft=False, **size)
        mask = exact[covered[:, 0] >= least_cover]
    else:
        mask = pixels[sums[:, 7] >= least_cover]
    if spine is not None:
        mask = np.union1d(mask, _pixels_on(view, *spine))
    return Cut(layer, mask) if mask.size else None


def _pixels_on(view: View, x: Float, y: Float) -> NDArray[np.int64]:
    col, row = (np.floor(c).astype(np.int64) for c in view.project(x, y))
    inside = (col >= 0) & (row >= 0) & (col < view.width) & (row < view.height)
    return np.unique(row[inside] * view.width + col[inside])


def _look(samples: Samples, paint: Paint, wear: Wear) -> tuple[Float, Float, Float]:
    """Give alpha (n,), linear RGB (n, 3) and lost gloss (n,) of every sample, by the coat that its depth bares."""
    depth, grain = samples.depth_um, samples.grain
    own, primer, substrate = (np.asarray(c, np.float32) for c in (paint.rgb, paint.primer, paint.substrate))
    hazy = own + np.float32(wear.haze) * (np.float32(0.8) - own)
    # torn base coat is matt and pale
    torn = own + np.float32(0.25 + 0.5 * wear.haze) * (np.float32(0.6) - own).clip(0, None)
    rusty = np.asarray([0.18, 0.055, 0.018], np.float32)
    bare = substrate + np.float32(wear.rust) * (rusty - substrate)
    rgb = np.empty((depth.size, 3), np.float32)
    rgb[:] = hazy
    in_clear = (depth / np.float32(paint.clear_um)).clip(0, 1)
    alpha = np.where(depth > 0, np.float32(0.25) + np.float32(0.75) * in_clear, 0).astype(np.float32)
    # the coats' borders wander, so that one groove shows them streakily
    wander = depth * (1 + np.float32(0.18) * grain)
    for limit, colour in ((paint.clear_um, torn), (paint.base_um, primer), (paint.primer_um, bare)):
        rgb[wander > limit] = colour
    deep = wander > paint.clear_um
    alpha[deep] = 1
    # a groove is rough inside: the deeper, the less it mirrors
    matt = np.where(deep, np.float32(0.97), np.where(depth > 0, (in_clear * 3).clip(0.3, 0.92), 0))
    if wear.foreign is not None:
        laid = (depth > 0) & (grain > np.float32(-0.3)) & (wander < paint.base_um)
        rgb[laid] = np.asarray(wear.foreign, np.float32)
        alpha[laid] = (np.float32(0.55) + np.float32(0.35) * grain[laid]).clip(0.2, 1)
        matt[laid] = np.maximum(matt[laid], alpha[laid])
    rgb *= (1 + np.float32(0.1) * grain).clip(0.5, 1.5)[:, None]
    rgb *= (1 - np.float32(wear.dirt) * (np.float32(0.6) + np.float32(0.3) * grain).clip(0, 1))[:, None]
    return alpha, rgb.clip(0.003, 0.9), matt.astype(np.float32)
