"""From a scene to linear light, one band of rows at a time, with and without the damage."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from surfacedefect.synthetic.damage import Damage
from surfacedefect.synthetic.dents import Bump
from surfacedefect.synthetic.dirt.contamination import dress_films
from surfacedefect.synthetic.geometry import Float
from surfacedefect.synthetic.parts.choice import dress_parts, shape_parts
from surfacedefect.synthetic.scene import Scene
from surfacedefect.synthetic.splat import Layer
from surfacedefect.synthetic.surface import Surface


@dataclass(frozen=True)
class Shaded:
    """A band of rows.

    Attributes
    ----------
    light
        float32 (h, w, 3): linear light.
    hidden
        float32 (h, w): share of the pixel that is not painted panel.
    hurt
        int64 (n,): pixels of the band, row * width + column, that damage may change.
    undamaged
        float32 (n, 3): their light without the damage.
    depth
        float32 (h, w): mm along the camera's axis, relative to the middle of the picture.
    """

    light: Float
    hidden: Float
    hurt: NDArray[np.int64]
    undamaged: Float
    depth: Float


def shade(scene: Scene, rows: slice, grain: Float | None) -> Shaded:
    """Compute the rows of the scan, all columns.

    ``grain`` is standard normal, float32 (h, w): what varies from pixel to pixel, like flakes; None without them.
    """
    view = scene.view
    x, y = view.grid(rows)
    slope_x, slope_y = scene.panel.slopes(x, y, view.rulers(rows))
    surface = Surface.plain(slope_x, slope_y, rgb=scene.paint.rgb)
    if grain is not None:
        # flakes glint, a few much brighter than the rest, and are a little larger than a pixel
        grain = np.float32(0.75) * (grain + np.roll(grain, 1, axis=1))
        glint = grain + np.float32(0.25) * (grain * grain - 1)
        surface.albedo[:] *= (1 + np.float32(scene.flake_px) * glint)[..., None]
    shape_parts(scene.parts, surface, x, y, view.mm_per_px)
    dress_films(scene.films, surface, x, y, view.mm_per_px)
    for layer in scene.specks:
        _lay(layer, surface, rows, view.width)
    dress_parts(scene.parts, surface, x, y, view.mm_per_px)
    hurt = _hurt(scene.damages, rows, view.width)
    whole = _at(surface, hurt)
    for damage in scene.damages:
        if damage.bump is not None:
            _press(damage.bump, surface, rows)
    for damage in scene.damages:
        if damage.cut is not None:
            _lay(damage.cut.layer, surface, rows, view.width)
    light = _light(scene, x, y, surface)
    undamaged = _light(scene, x.ravel()[hurt], y.ravel()[hurt], whole)
    return Shaded(light, surface.hidden, hurt, undamaged, view.depth(x, y))


def preview(scene: Scene, lines: int = 40) -> Float:
    """Compute the light of the undamaged panel on a coarse grid: what the camera's exposure is set by."""
    view = scene.view
    rows, cols = (np.linspace(0, size - 1, min(size, lines)).astype(np.int64) for size in (view.height, view.width))
    x, y = view.grid(rows, cols)
    surface = Surface.plain(*scene.panel.slopes(x, y, view.rulers(rows, cols)), rgb=scene.paint.rgb)
    return _light(scene, x, y, surface)


def _light(scene: Scene, x: Float, y: Float, surface: Surface) -> Float:
    light = scene.lighting.of(x, y, surface.slope_x, surface.slope_y, surface.albedo, surface.gloss)
    light *= surface.light[..., None]
    return light


def _at(surface: Surface, pixels: NDArray[np.int64]) -> Surface:
    """Copy these pixels of the surface, as arrays (n,)."""
    flat = (surface.slope_x, surface.slope_y, surface.gloss, surface.light, surface.hidden)
    slope_x, slope_y, gloss, light, hidden = (a.ravel()[pixels] for a in flat)
    return Surface(slope_x, slope_y, surface.albedo.reshape(-1, 3)[pixels], gloss, light, hidden)


def _hurt(damages: tuple[Damage, ...], rows: slice, width: int) -> NDArray[np.int64]:
    """Pixels of the band that any damage changes, ascending."""
    touched = np.zeros((rows.stop - rows.start) * width, bool)
    for damage in damages:
        if damage.cut is not None:
            layer = damage.cut.layer
            touched[layer.pixels[layer.rows(rows.start, rows.stop, width)] - rows.start * width] = True
        if damage.bump is not None:
            band, own = _shared(damage.bump, rows)
            columns = damage.bump.region[1]
            touched.reshape(-1, width)[band, columns] |= damage.bump.mask[own]
    return np.flatnonzero(touched)


def _shared(bump: Bump, rows: slice) -> tuple[slice, slice]:
    """Find the rows that a dent shares with a band: within the band, and within the dent."""
    first, last = max(bump.top, rows.start), min(bump.top + bump.mask.shape[0], rows.stop)
    last = max(first, last)
    return slice(first - rows.start, last - rows.start), slice(first - bump.top, last - bump.top)


def _press(bump: Bump, surface: Surface, rows: slice) -> None:
    band, own = _shared(bump, rows)
    columns = bump.region[1]
    panel = 1 - surface.hidden[band, columns]
    surface.slope_x[band, columns] += bump.slope_x[own] * panel
    surface.slope_y[band, columns] += bump.slope_y[own] * panel


def _lay(layer: Layer, surface: Surface, rows: slice, width: int) -> None:
    """Put a sparse layer on the surface, where it is panel."""
    own = layer.rows(rows.start, rows.stop, width)
    if own.start == own.stop:
        return
    at = layer.pixels[own] - rows.start * width
    panel = 1 - surface.hidden.ravel()[at]
    alpha = layer.alpha[own] * panel
    albedo = surface.albedo.reshape(-1, 3)
    albedo[at] += alpha[:, None] * (layer.rgb[own] - albedo[at])
    surface.gloss.ravel()[at] *= 1 - layer.matt[own] * panel
    surface.slope_x.ravel()[at] += layer.slope_x[own] * panel
    surface.slope_y.ravel()[at] += layer.slope_y[own] * panel
