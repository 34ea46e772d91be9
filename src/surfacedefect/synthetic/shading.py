"""From a scene to linear light, one band of rows at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from surfacedefect.synthetic.marks import Float
from surfacedefect.synthetic.optics import mirrored, panel_slopes
from surfacedefect.synthetic.scene import PaintedMark, Scene


@dataclass(frozen=True)
class Shaded:
    """A band of rows.

    ``light`` is the linear light (h, w, 3); ``hidden`` (h, w) how much of each pixel is not panel at all;
    ``damaged`` and ``undamaged`` (n, 3) the light with and without damage at the n pixels of ``hurt`` (h, w).
    """

    light: Float
    hidden: Float
    hurt: NDArray[np.bool_]
    damaged: Float
    undamaged: Float


def shade(scene: Scene, rows: slice, hurt: NDArray[np.bool_], *, noise_rng: np.random.Generator) -> Shaded:
    """Compute the rows of the scan, all columns; ``hurt`` (h, w) are the pixels to compare with undamaged paint."""
    optics = scene.panel, scene.environment, scene.paint.mirror
    x, y = scene.x_mm(slice(None)), scene.y_mm(rows)
    p, q = panel_slopes(scene.panel, x, y)
    hidden = np.zeros_like(p)
    shadow = _gaps(scene, x, y, p, q, hidden)
    hurt = hurt & (hidden < 0.5)
    _add_bumps(scene, rows, p, q, damage=False)
    mirror, fresnel = mirrored(*optics, x, y, p, q)
    grain = noise_rng.standard_normal(p.shape, dtype=np.float32)
    albedo, gloss = _paint(scene, x, y, grain)
    _draw_marks(scene, rows, albedo, gloss, grain, damage=False)
    undamaged = _light(scene, albedo[hurt], gloss[hurt], mirror[hurt], fresnel[hurt])
    for cols in _add_bumps(scene, rows, p, q, damage=True):
        mirror[:, cols], fresnel[:, cols] = mirrored(*optics, x[cols], y, p[:, cols], q[:, cols])
    _draw_marks(scene, rows, albedo, gloss, grain, damage=True)
    light = _light(scene, albedo, gloss, mirror, fresnel)
    light *= shadow[..., None]
    damaged, undamaged = light[hurt], undamaged * shadow[hurt][:, None]
    _cover(scene, x, y, light, hidden, grain)
    return Shaded(light, hidden, hurt, damaged, undamaged)


def preview(scene: Scene, stride: int) -> Float:
    """Compute the bare panel's light at every stride-th pixel: what the camera's exposure is set by."""
    optics = scene.panel, scene.environment, scene.paint.mirror
    x = scene.x_mm(np.arange(stride // 2, scene.width, stride))
    y = scene.y_mm(np.arange(stride // 2, scene.height, stride))
    mirror, fresnel = mirrored(*optics, x, y, *panel_slopes(scene.panel, x, y))
    albedo, gloss = _paint(scene, x, y, np.zeros(fresnel.shape, np.float32))
    return _light(scene, albedo, gloss, mirror, fresnel)


def _light(scene: Scene, albedo: Float, gloss: Float, mirror: Float, fresnel: Float) -> Float:
    """Matt share of the paint in the spread light, plus the clear coat's mirror image."""
    metallic = np.float32(0.9 if scene.paint.flakes else 0.45)
    light = mirror[..., 3:] * metallic
    light += scene.even_light * (1 - metallic)
    light *= albedo
    light += mirror[..., :3] * (fresnel * gloss)[..., None]
    return light


def _paint(scene: Scene, x: Float, y: Float, grain: Float) -> tuple[Float, Float]:
    flake = np.float32(scene.paint.flakes * min(1.0, 0.15 / scene.mm_per_px))
    albedo = np.asarray(scene.paint.rgb, np.float32) * (1 + flake * grain)[..., None]
    gloss = np.ones_like(grain)
    if scene.dirt is not None:
        film = (scene.dirt.field(x, y) - np.float32(scene.dirt.level)).clip(0, 1) * np.float32(scene.dirt.strength)
        film *= 1 + np.float32(0.2) * grain
        albedo += film[..., None] * (scene.dirt.rgb - albedo)
        gloss -= film
    return albedo.clip(0, 1), gloss


def _gaps(scene: Scene, x: Float, y: Float, p: Float, q: Float, hidden: Float) -> Float:
    """Round the panel's edges at each slit, in place, and give the shadow factor."""
    shadow = np.ones_like(p)
    for gap in scene.gaps:
        s = gap.distance(x, y)
        beside = np.abs(s) - np.float32(gap.half_mm)
        edge = np.exp(-beside.clip(0, None) / np.float32(0.8)) * np.float32(0.5) * -np.sign(s)
        turn = edge + np.float32(gap.step) * (s > 0)
        p += turn * np.float32(np.cos(gap.angle))
        q += turn * np.float32(np.sin(gap.angle))
        inside = (np.float32(0.5) - beside / np.float32(scene.mm_per_px)).clip(0, 1)
        shadow *= 1 - np.float32(0.99) * inside
        np.maximum(hidden, inside, out=hidden)
    return shadow


def _cover(scene: Scene, x: Float, y: Float, picture: Float, hidden: Float, grain: Float) -> None:
    """Lay the ground over everything, in place."""
    for ground in scene.grounds:
        depth = ground.depth(x, y)
        if float(depth.max()) < -10:
            continue
        inside = (np.float32(0.5) + depth / np.float32(1.5 * scene.mm_per_px)).clip(0, 1)
        near = 1 - np.float32(0.6) * np.exp(-np.abs(depth) / np.float32(6))
        rough = np.float32(0.6) * ground.texture(x, y) + np.float32(0.5) * grain
        tone = (1 + np.float32(ground.contrast) * rough).clip(0.2, None) * near
        picture += inside[..., None] * (tone[..., None] * (ground.rgb * scene.even_light) - picture)
        np.maximum(hidden, inside, out=hidden)


def _overlap(top: int, count: int, rows: slice) -> tuple[slice, slice]:
    """Find the rows that a canvas shares with a band: within the band, and within the canvas."""
    first, last = max(top, rows.start), min(top + count, rows.stop)
    return slice(first - rows.start, max(first, last) - rows.start), slice(first - top, max(first, last) - top)


def _in_rows(painted: PaintedMark, rows: slice) -> bool:
    first, count = painted.mark.top, painted.mark.mask.shape[0]
    return bool(first < rows.stop and first + count > rows.start)


def _add_bumps(scene: Scene, rows: slice, p: Float, q: Float, *, damage: bool) -> list[slice]:
    """Add the bumps' slopes, in place, and give the columns they lie in."""
    touched = []
    for bump in scene.bumps:
        if (bump.mask is not None) != damage:
            continue
        band, own = _overlap(bump.top, bump.slope_x.shape[0], rows)
        if band.start >= band.stop:
            continue
        cols = slice(bump.left, bump.left + bump.slope_x.shape[1])
        p[band, cols] += bump.slope_x[own]
        q[band, cols] += bump.slope_y[own]
        touched.append(cols)
    return touched


def _draw_marks(scene: Scene, rows: slice, albedo: Float, gloss: Float, grain: Float, *, damage: bool) -> None:
    for painted in scene.marks:
        mark = painted.mark
        if painted.is_damage != damage or not _in_rows(painted, rows):
            continue
        band, own = _overlap(mark.top, mark.mask.shape[0], rows)
        cols = slice(mark.left, mark.left + mark.mask.shape[1])
        cover = mark.cover[own] * (1 + np.float32(0.12) * grain[band, cols]).clip(0, 1)
        rgb = painted.rgb[own] if painted.rgb.ndim == 3 else painted.rgb
        albedo[band, cols] += cover[..., None] * (rgb - albedo[band, cols])
        albedo[band, cols] += (mark.lip[own] * np.float32(painted.lip))[..., None]
        gloss[band, cols] *= 1 - np.float32(painted.rough) * cover


def damage_masks(scene: Scene) -> dict[str, NDArray[np.uint8]]:
    """Truth by kind on the whole scan, before anything hides it."""
    masks = {kind: np.zeros((scene.height, scene.width), np.uint8) for kind in ("scratch", "dent")}
    for painted in scene.marks:
        if painted.is_damage:
            masks["scratch"][painted.mark.region] |= painted.mark.mask
    for bump in scene.bumps:
        if bump.mask is not None:
            masks["dent"][bump.region] |= bump.mask
    return masks
