"""From the sensor's noisy colour mosaic to an 8-bit picture: demosaicking, denoising, tone curve, sharpening.

Every step is elementwise or a short sum of shifted copies in a fixed order, so bands with enough rows of context join
to the whole picture's very bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from surfacedefect.synthetic.geometry import Float

DEMOSAIC_PX = 3  # reach of demosaicking
SIDE_PX = 2  # reach of the box and the bell
COLOUR_PX = 3  # reach of smoothing colour; twice that in a mosaic, whose colours have half the size
LUMA = (0.2126, 0.7152, 0.0722)  # Rec. ITU-R BT.709
BOX = np.full(SIDE_PX + 1, 1 / (2 * SIDE_PX + 1), np.float32)
WIDE_BOX = np.full(COLOUR_PX + 1, 1 / (2 * COLOUR_PX + 1), np.float32)
BELL = np.asarray([0.375, 0.25, 0.0625], np.float32)
_TONE_STEPS = 1 << 14
_SHOULDER = 0.55  # linear level above which the tone curve bends towards the sensor's clipping
_CORING = 1.0  # grey levels of detail that sharpening leaves alone: that is mostly noise
_STRIP = 1 << 14  # floats filtered at once: few enough for the processor's cache


@dataclass(frozen=True)
class Grain:
    """Noise of a level L (share of white): its variance is read + shot L."""

    read: float
    shot: float

    def variance(self, level: Float) -> Float:
        """Give the variance at these levels; float32, same shape."""
        out = np.maximum(level, np.float32(0))
        out *= np.float32(self.shot)
        out += np.float32(self.read)
        return np.asarray(out, np.float32)


def filtered(image: Float, half: Float) -> Float:
    """Filter along columns and rows with a symmetric kernel; edges replicate.

    Parameters
    ----------
    image
        float32 (h, w) or (h, w, c).
    half
        float32 (r + 1,): the kernel from its middle on.

    Returns
    -------
    float32, of the image's shape.
    """
    reach, (h, w) = half.size - 1, image.shape[:2]
    out = np.empty(image.shape, np.float32)
    step = max(8, _STRIP // max(1, image[0].size))
    wide = np.empty((step, w + 2 * reach, *image.shape[2:]), np.float32)
    spare = np.empty((step, *image.shape[1:]), np.float32)
    for top in range(0, h, step):
        rows = min(step, h - top)
        padded = wide[:rows]
        inner = padded[:, reach : reach + w]
        _symmetric(_rows(image, top - reach, top + rows + reach), half, inner, spare=spare[:rows], axis=0)
        padded[:, :reach], padded[:, reach + w :] = inner[:, :1], inner[:, -1:]
        _symmetric(padded, half, out[top : top + rows], spare=spare[:rows], axis=1)
    return out


def _rows(image: Float, first: int, last: int) -> Float:
    """Give the rows first to last, also beyond the edges, where they replicate."""
    h = image.shape[0]
    if first >= 0 and last <= h:
        return image[first:last]
    return np.asarray(image[np.arange(first, last).clip(0, h - 1)], np.float32)


def _symmetric(padded: Float, half: Float, out: Float, *, spare: Float, axis: int) -> None:
    """Put the sum of symmetric pairs of shifted copies into ``out``, which is shorter by the reach on both sides."""
    reach, size = half.size - 1, out.shape[axis]
    shifted = [padded[k : k + size] if axis == 0 else padded[:, k : k + size] for k in range(2 * reach + 1)]
    np.multiply(shifted[reach], half[0], out=out)
    for k in range(1, reach + 1):
        np.add(shifted[reach - k], shifted[reach + k], out=spare)
        np.multiply(spare, half[k], out=spare)
        np.add(out, spare, out=out)


def grey(r: Float, g: Float, b: Float) -> Float:
    """Give (r + 2 g + b) / 4, the brightness that the camera's own filters work on."""
    out = r + b
    out *= np.float32(0.25)
    out += g * np.float32(0.5)
    return out


def calm_brightness(colours: Float, grain: Grain, amount: float) -> None:
    """Smooth the brightness of planes (3, h, w), in place, where its variance is what noise explains.

    A local Wiener filter over 5 x 5 px (Lee 1980).
    """
    luma = grey(*colours)
    # 0.5: what the mean of the channels leaves of the variance; 1.5: the variance of few px is itself noisy
    step = _towards_mean(luma, BOX, variance=grain.variance, factor=0.5 * 1.5)
    step *= np.float32(amount)
    colours += step


def calm_colour(difference: Float, level: Float, *, grain: Grain, amount: float) -> Float:
    """Smooth a colour's difference to green, as `calm_brightness` does but more strongly, as cameras do.

    ``level`` is green at the same places; both float32 (h, w).
    """
    # 2: both have noise; 3: rather too smooth than grains of colour
    step = _towards_mean(difference, WIDE_BOX, variance=lambda _: grain.variance(level), factor=2 * 3)
    step *= np.float32(amount)
    step += difference
    return step


def _towards_mean(plane: Float, box: Float, *, variance: Callable[[Float], Float], factor: float) -> Float:
    """Give the step from each value to the mean around it, smaller where more than noise makes them vary."""
    mean = filtered(plane, box)
    spread = filtered(plane * plane, box)
    spread -= mean * mean
    np.maximum(spread, np.float32(1e-9), out=spread)
    flat = variance(mean)
    flat *= np.float32(factor)
    flat /= spread
    np.minimum(flat, np.float32(1), out=flat)
    mean -= plane
    mean *= flat
    return mean


def demosaic(mosaic: Float, odd: int, calm: Callable[[Float, Float], Float] | None = None) -> Float:
    """Interpolate the colours of an RGGB mosaic along edges (Hamilton and Adams 1997).

    Green comes from its neighbours along or across, weighted by how little changes that way; red and blue come from
    their differences to green. Beyond the edges the mosaic is mirrored, which keeps its colours in place.

    Parameters
    ----------
    mosaic
        float32 (h, w).
    odd
        1 where the first row is one of green and blue, else 0.
    calm
        Takes the differences of red or blue to green, where they are known (half the height and width), and green
        there; gives smoother ones.

    Returns
    -------
    float32 (3, h, w).
    """
    h, w = mosaic.shape
    rows, cols = (h + odd + 1) // 2, (w + 1) // 2
    padded = mosaic[_mirrored(h, 4 + odd, 2 * rows + 8)][:, _mirrored(w, 4, 2 * cols + 8)]
    planes = [[np.ascontiguousarray(padded[i::2, j::2]) for j in (0, 1)] for i in (0, 1)]
    inner = (slice(2, -2), slice(2, -2))
    out = np.empty((3, 2 * rows, 2 * cols), np.float32)
    red, blue = planes[0][0], planes[1][1]
    green_red, green_blue = planes[0][1], planes[1][0]
    # one pixel of each colour around the picture is kept, for the differences' own interpolation
    at_red = _green(red, green_red[1:-1, :-1], green_blue[:-1, 1:-1])
    at_blue = _green(blue, green_blue[1:-1, 1:], green_red[1:, 1:-1])
    d_red, d_blue = red[1:-1, 1:-1] - at_red, blue[1:-1, 1:-1] - at_blue
    if calm is not None:
        d_red, d_blue = calm(d_red, at_red), calm(d_blue, at_blue)
    greens = [[at_red[1:-1, 1:-1], green_red[inner]], [green_blue[inner], at_blue[1:-1, 1:-1]]]
    for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
        site = slice(i, None, 2), slice(j, None, 2)
        out[1][site] = greens[i][j]
        np.add(greens[i][j], _between(d_red, i, j), out=out[0][site])
        np.add(greens[i][j], _between(d_blue, i - 1, j - 1), out=out[2][site])
    return out[:, odd : odd + h, :w]


def _green(own: Float, beside: Float, above: Float) -> Float:
    """Green at all red or all blue pixels but the outermost.

    ``own`` is their colour, ``beside`` and ``above`` the greens of their rows and columns, from the left and the upper
    neighbour on.
    """
    estimates = []
    for near, far in (
        ((beside[:, :-1], beside[:, 1:]), own[1:-1, :-2] + own[1:-1, 2:]),
        ((above[:-1], above[1:]), own[:-2, 1:-1] + own[2:, 1:-1]),
    ):
        bend = own[1:-1, 1:-1] - np.float32(0.5) * far
        change = np.abs(near[0] - near[1]) + 2 * np.abs(bend)
        estimates.append((np.float32(0.5) * (near[0] + near[1] + bend), change * change + np.float32(1e-8)))
    (across, change_across), (down, change_down) = estimates
    share = change_down / (change_across + change_down)
    return np.asarray(down + share * (across - down), np.float32)


def _between(plane: Float, i: int, j: int) -> Float:
    """Mean of the nearest differences to green, at i rows and j columns (-1, 0, 1) away from where they are."""
    h, w = plane.shape
    near = [plane[1 + a : h - 1 + a, 1 + b : w - 1 + b] for a in sorted({0, i}) for b in sorted({0, j})]
    total = near[0] if len(near) == 1 else sum(near[1:], start=near[0])
    return total * np.float32(1 / len(near))


def _mirrored(size: int, before: int, total: int) -> NDArray[np.int64]:
    """Give the indices of an axis with mirrored ends, the end itself not repeated."""
    index = np.abs(np.arange(total) - before)
    return np.asarray((size - 1 - np.abs(size - 1 - index)).clip(0, size - 1), np.int64)


def develop(
    colours: Float,
    noise: Float,
    *,
    contrast: float,
    headroom: float,
    saturation: float,
    sharpening: float,
    grain: float,
) -> NDArray[np.uint8]:
    """Apply saturation, tone curve, sharpening and the last grain, and round; see `Camera` for what the options mean.

    Parameters
    ----------
    colours
        float32 (3, h, w), linear; used up.
    noise
        float32 (h, w): standard normal.

    Returns
    -------
    uint8 (h, w, 3).
    """
    extra = noise * np.float32(grain)
    extra += np.float32(0.5)  # to round, not to cut off
    if saturation != 1:
        pale = np.zeros_like(extra)
        spare = np.empty_like(extra)
        for plane, share in zip(colours, LUMA, strict=True):
            pale += np.multiply(plane, np.float32(share * (1 - saturation)), out=spare)
        colours *= np.float32(saturation)
        colours += pale
    tones, index = _tones(contrast, headroom), np.empty(extra.shape, np.intp)
    for plane in colours:
        plane *= np.float32((_TONE_STEPS - 1) / headroom)
        plane += np.float32(0.5)
        np.copyto(index, plane, casting="unsafe")
        tones.take(index, out=plane, mode="clip")
    if sharpening > 0:
        luma = grey(*colours)
        luma -= filtered(luma, BELL)
        luma -= luma.clip(-_CORING, _CORING)
        luma *= np.float32(sharpening)
        extra += luma
    picture = np.empty((*extra.shape, 3), np.uint8)
    for k, plane in enumerate(colours):
        plane += extra
        picture[..., k] = plane.clip(0, 255, out=plane)
    return picture


@lru_cache(maxsize=64)
def _tones(contrast: float, headroom: float) -> Float:
    """Grey levels 0..255 of linear levels up to the headroom.

    A shoulder, smooth from `_SHOULDER` to the headroom; then sRGB (IEC 61966-2-1); then part of the way to the curve
    3 v^2 - 2 v^3.
    """
    level = np.linspace(0, headroom, _TONE_STEPS)
    steep = (headroom - _SHOULDER) / (1 - _SHOULDER)
    past = ((level - _SHOULDER) / (headroom - _SHOULDER)).clip(0, 1)
    level = np.where(past > 0, _SHOULDER + (1 - _SHOULDER) * (1 - (1 - past) ** steep), level)
    v = np.where(level <= 0.0031308, 12.92 * level, 1.055 * level ** (1 / 2.4) - 0.055)
    v += contrast * (v * v * (3 - 2 * v) - v)
    return np.asarray(255 * v, np.float32)
