"""Painted damage on real photographs: scratches, scuffs and chips with exact truth, for training.

Needs numpy and Pillow only, and takes a few milliseconds on a 256 x 256 crop.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from surfacedefect.errors import OptionError
from surfacedefect.synthetic.marks import Float, Mark, MarkName, random_mark

_NAMES: tuple[MarkName, ...] = ("scratch", "scratches", "scuff", "chip")
_SHARES = (0.55, 0.15, 0.12, 0.18)
_LEAST_CONTRAST = 14.0  # grey levels between a full-strength mark and the paint around it


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
        Least and most number of marks, both included, 0 <= least <= most.
    mm_per_px
        Scale, in mm, of the picture; None draws one from 0.08 to 0.8 mm, so that lines of all widths appear.

    Returns
    -------
    painted, mask
        uint8 (H, W, 3), and uint8 (H, W) with 1 where damage covers half of the pixel or more, on every pixel that
        the centre line of a thinner scratch passes through, and on the whole rubbed area of a scuff; else 0.

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
    _check(image, count, mm_per_px)
    height, width = image.shape[:2]
    painted, mask = image.copy(), np.zeros((height, width), np.uint8)
    scale = float(np.exp(rng.uniform(np.log(0.08), np.log(0.8)))) if mm_per_px is None else mm_per_px
    blurs = _blurs(image)
    for _ in range(int(rng.integers(count[0], count[1] + 1))):
        name = _NAMES[int(rng.choice(len(_NAMES), p=_SHARES))]
        xy = float(rng.uniform(0.05, 0.95) * width), float(rng.uniform(0.05, 0.95) * height)
        mark = random_mark(rng, xy, name=name, mm_per_px=scale, reach_px=0.9 * max(height, width))
        mark_here = mark.clipped(height, width)
        if mark_here is not None:
            _blend(painted, mask, mark_here, rng=rng, blurs=blurs)
    return painted, mask


def _check(image: NDArray[np.uint8], count: tuple[int, int], mm_per_px: float | None) -> None:
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        found = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise OptionError(f"image is {found}; expected a uint8 array (H, W, 3): convert the picture to RGB first")
    if min(image.shape[:2]) < 16:
        size = f"{image.shape[1]} x {image.shape[0]}"
        raise OptionError(f"image is {size} px; expected at least 16 x 16: take a larger crop")
    if not 0 <= count[0] <= count[1]:
        raise OptionError(f"count is {count}; expected (least, most) with 0 <= least <= most")
    if mm_per_px is not None and not 0 < mm_per_px < 100:
        raise OptionError(f"mm_per_px is {mm_per_px}; expected more than 0 and less than 100 mm, or None")


def _blurs(image: NDArray[np.uint8]) -> int:
    """Guess how many small blurs make a line as soft as the picture: soft edges keep growing over 2 px."""
    grey = image[::2, :, 1].astype(np.float32)
    near, far = np.abs(grey[:, 1:] - grey[:, :-1]), np.abs(grey[:, 2:] - grey[:, :-2])
    ratio = float(np.quantile(far[:, ::2], 0.995)) / max(1.0, float(np.quantile(near[:, ::2], 0.995)))
    return 0 if ratio < 1.4 else 1 if ratio < 1.75 else 2


def _soften(a: Float, times: int) -> Float:
    for _ in range(times):
        p = np.pad(a, 1, mode="edge")
        rows = p[:-2] + 2 * p[1:-1] + p[2:]
        a = (rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) / np.float32(16)
    return a


def _blend(
    painted: NDArray[np.uint8], mask: NDArray[np.uint8], mark: Mark, *, rng: np.random.Generator, blurs: int
) -> None:
    """Put one mark on the picture, in place, in the light that falls there."""
    height, width = mark.mask.shape
    here = mark.region
    if not mark.mask.any():
        return
    patch = painted[here]
    coarse_size = max(1, width // 12), max(1, height // 12)
    coarse = Image.fromarray(patch).resize(coarse_size, Image.Resampling.BOX)
    light = np.asarray(coarse.resize((width, height), Image.Resampling.BILINEAR), dtype=np.float32)
    base = patch.astype(np.float32)
    target, bright = _target(0.6 * light + 0.4 * base, light, float(light[mark.mask].mean()), rng)
    grain = rng.standard_normal((height, width), dtype=np.float32)
    target += (grain * np.float32(rng.uniform(1, 9)))[..., None]
    alpha = _soften(mark.cover, blurs) * np.float32(rng.uniform(0.55, 1.0))
    alpha *= (1 + np.float32(0.15) * grain).clip(0, 1)
    out = base + alpha[..., None] * (target - base)
    edge = np.float32(rng.uniform(10, 55) * (-1 if bright else 1))
    out += (_soften(mark.lip, blurs) * edge)[..., None] * (np.float32(0.3) + light / np.float32(255))
    painted[here] = (out + np.float32(0.5)).clip(0, 255).astype(np.uint8)
    mask[here] |= mark.mask


def _target(base: Float, light: Float, level: float, rng: np.random.Generator) -> tuple[Float, bool]:
    """Colour of the hurt paint: primer, metal or scraped-off paint (bright), or bare depth and dirt (dark)."""
    bright = bool(rng.random() < np.interp(level, [40, 110, 200], [0.92, 0.6, 0.12]))
    strength = float(rng.uniform(0.35, 0.95))
    if bright and (230 - level) * strength < _LEAST_CONTRAST:
        bright = False
    elif not bright and level * strength < _LEAST_CONTRAST:
        bright = True
    if bright:
        tint = np.asarray(rng.normal(1, 0.04, 3) * rng.uniform(200, 255), np.float32)
        lit = np.float32(0.4) + np.float32(0.6) * light.mean(axis=2, keepdims=True) / np.float32(255)
        return base + np.float32(strength) * np.maximum(tint * lit - base, np.float32(_LEAST_CONTRAST)), True
    tint = np.asarray(rng.normal(1, 0.06, 3) * (1 - strength), np.float32)
    return base * tint.clip(0, 1), False
