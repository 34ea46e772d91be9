"""Painted damage on real photographs: scratches, scuffs and chips with exact truth, for training.

The damage is the renderer's own (`surfacedefect.synthetic.damage`), seen frontally. What a renderer knows and a
photograph hides, the colour of the paint and the light on it, is guessed from the picture around the damage.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from surfacedefect._checks import check_number, check_whole, checked_pair
from surfacedefect.errors import OptionError
from surfacedefect.synthetic.damage import Damage, chips, line_scratch, scuff
from surfacedefect.synthetic.draws import log_uniform
from surfacedefect.synthetic.geometry import Float, View
from surfacedefect.synthetic.paints import Paint, random_paint

_SHARES = (0.45, 0.2, 0.2, 0.15)  # scratch, group, scuff, chips
_COARSE_PX = 12  # over which the light is taken to be even


def paint_damage(
    image: NDArray[np.uint8],
    *,
    rng: np.random.Generator,
    count: tuple[int, int] = (1, 4),
    mm_per_px: float | None = None,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Paint scratches, scuffs and stone chips on a picture and say which pixels they hurt.

    Parameters
    ----------
    image
        uint8 (H, W, 3), at least 16 x 16; it is not changed.
    rng
        Source of every choice; the same state gives the same bytes.
    count
        Least and most number of damages, both included, 0 <= least <= most <= 1000.
    mm_per_px
        Scale, in mm, of the picture, 0.02 to 100; None draws one from 0.08 to 1.2 mm: damage of all sizes.

    Returns
    -------
    painted, mask
        uint8 (H, W, 3), and uint8 (H, W) with 1 where the paint is hurt over half of the pixel or more, and on every
        pixel that the centre line of a thinner scratch passes through; else 0. Of scuffs, lines closer than about
        0.7 mm count as one.

    Raises
    ------
    OptionError
        The picture, the count or the scale is out of its range.

    Examples
    --------
    >>> import numpy as np
    >>> paint = np.full((64, 64, 3), 90, np.uint8)
    >>> painted, mask = paint_damage(paint, rng=np.random.default_rng(3), count=(2, 2))
    >>> painted.shape, mask.shape, bool(mask.any())
    ((64, 64, 3), (64, 64), True)
    """
    _check(image, rng, count, mm_per_px)
    height, width = image.shape[:2]
    painted, mask = image.copy(), np.zeros((height, width), np.uint8)
    scale = log_uniform(rng, 0.08, 1.2) if mm_per_px is None else mm_per_px
    view = View.looking((width, height), mm_per_px=scale, distance_mm=20 * max(width, height) * scale)
    blurs = _blurs(image)
    for _ in range(int(rng.integers(count[0], count[1] + 1))):
        xy = view.point(float(rng.uniform(0.05, 0.95) * width), float(rng.uniform(0.05, 0.95) * height))
        col, row = (int(c) for c in view.project(*xy))
        paint = _guessed_paint(rng, painted, col, row)
        for damage in _random_damage(rng, xy, view=view, paint=paint):
            if damage is not None and damage.cut is not None:
                _blend(painted, damage, rng=rng, blurs=blurs)
                mask.ravel()[damage.cut.mask_pixels] = 1
    return painted, mask


def _check(image: NDArray[np.uint8], rng: np.random.Generator, count: tuple[int, int], mm_per_px: float | None) -> None:
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        found = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise OptionError(f"image is {found}; expected a uint8 array (H, W, 3): convert the picture to RGB first")
    if min(image.shape[:2]) < 16:
        size = f"{image.shape[1]} x {image.shape[0]}"
        raise OptionError(f"image is {size} px; expected at least 16 x 16: take a larger crop")
    if not isinstance(rng, np.random.Generator):
        raise OptionError(f"rng is {type(rng).__name__}; expected a numpy Generator: np.random.default_rng(seed)")
    least, most = checked_pair("count", count)
    check_whole("the most of count", most, 0, 1000)
    check_whole("the least of count", least, 0, int(most))
    if mm_per_px is not None:
        check_number("mm_per_px", mm_per_px, 0.02, 100)


def _random_damage(
    rng: np.random.Generator, xy: tuple[float, float], *, view: View, paint: Paint
) -> list[Damage | None]:
    """Draw a damage of true-to-life size, or as small as can still be drawn at this scale."""
    pixel, extent = view.mm_per_px, max(view.width, view.height) * view.mm_per_px
    sort = int(rng.choice(4, p=_SHARES))
    if sort == 2:
        length = float(np.clip(log_uniform(rng, 12, 180), 16 * pixel, 1.2 * extent))
        return [scuff(rng, xy, view=view, paint=paint, length_mm=length)]
    if sort == 3:
        count, scale = int(rng.integers(1, 5)), max(1.0, 3 * pixel)
        return chips(rng, xy, view=view, paint=paint, count=count, spread_mm=12 * pixel, scale=scale)
    width = float(np.clip(log_uniform(rng, 0.06, 1.6), 0.5 * pixel, 14 * pixel))
    length = float(np.clip(log_uniform(rng, 4, 200), (8 * pixel + 3 * width), 1.2 * extent))
    lines = int(rng.integers(2, 7)) if sort == 1 else 1
    return [line_scratch(rng, xy, view=view, paint=paint, length_mm=length, width_mm=width, lines=lines)]


def _guessed_paint(rng: np.random.Generator, image: NDArray[np.uint8], col: int, row: int) -> Paint:
    """Take the picture's own colour there for the paint's, under light that makes white white."""
    near = image[max(0, row - 8) : row + 9, max(0, col - 8) : col + 9].reshape(-1, 3)
    r, g, b = (float(c) for c in _linear(np.median(near, axis=0).astype(np.float32)).clip(0.004, 0.85))
    return random_paint(rng, rgb=(r, g, b))


def _linear(grey_levels: Float) -> Float:
    """Undo sRGB's tone curve, roughly: 0..255 to 0..1."""
    return np.asarray((grey_levels * np.float32(1 / 255)) ** np.float32(2.2), np.float32)


def _blurs(image: NDArray[np.uint8]) -> int:
    """Guess how many small blurs make a line as soft as the picture: soft edges keep growing over 2 px."""
    grey = image[::2, :, 1].astype(np.float32)
    near, far = np.abs(grey[:, 1:] - grey[:, :-1]), np.abs(grey[:, 2:] - grey[:, :-2])
    ratio = float(np.quantile(far[:, ::2], 0.995)) / max(1.0, float(np.quantile(near[:, ::2], 0.995)))
    return 0 if ratio < 1.4 else 1 if ratio < 1.75 else 2


def _soften(a: Float, times: int) -> Float:
    for _ in range(times):
        p = np.pad(a, [(1, 1), (1, 1), (0, 0)], mode="edge")
        rows = p[:-2] + 2 * p[1:-1] + p[2:]
        a = (rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) / np.float32(16)
    return a


def _blend(painted: NDArray[np.uint8], damage: Damage, *, rng: np.random.Generator, blurs: int) -> None:
    """Put one damage on the picture, in place, in the light that falls there."""
    assert damage.cut is not None
    layer, width = damage.cut.layer, painted.shape[1]
    rows, cols = layer.pixels // width, layer.pixels % width
    pad = blurs + 1
    top, left = max(0, int(rows.min()) - pad), max(0, int(cols.min()) - pad)
    here = slice(top, int(rows.max()) + pad + 1), slice(left, int(cols.max()) + pad + 1)
    patch = painted[here]
    at = rows - top, cols - left
    planes = np.zeros((*patch.shape[:2], 6), np.float32)  # alpha, alpha * rgb, gleam, lost gloss
    planes[..., 0][at] = layer.alpha
    planes[..., 1:4][at] = layer.alpha[:, None] * layer.rgb
    sun = rng.uniform(0, 2 * np.pi)  # where the strongest light comes from
    planes[..., 4][at] = layer.slope_x * np.float32(np.cos(sun)) + layer.slope_y * np.float32(np.sin(sun))
    planes[..., 5][at] = layer.matt
    planes = _soften(planes, blurs)
    base = _linear(patch.astype(np.float32))
    size = max(1, patch.shape[1] // _COARSE_PX), max(1, patch.shape[0] // _COARSE_PX)
    coarse = Image.fromarray(patch).resize(size, Image.Resampling.BOX)
    smooth = _linear(np.asarray(coarse.resize(patch.shape[1::-1], Image.Resampling.BILINEAR), np.float32))
    level = smooth.mean(axis=-1, keepdims=True)
    light = (level / max(float(level.mean()), 1e-4)).clip(0.4, 2.5)
    alpha = planes[..., :1]
    # the picture's own noise stays on the damage
    grain = (base - smooth) * np.float32(0.5)
    out = base * (1 - alpha) + planes[..., 1:4] * light + grain * alpha
    gleam = planes[..., 4:5] * np.float32(rng.uniform(0.2, 1.0)) * (np.float32(0.15) + level)
    out += gleam * (1 - np.float32(0.7) * planes[..., 5:6])
    touched = (np.abs(planes).max(axis=-1) > 0)[..., None]
    levels = 255 * out.clip(0, 1) ** np.float32(1 / 2.2) + np.float32(0.5)
    patch[...] = np.where(touched, levels.clip(0, 255).astype(np.uint8), patch)
