"""From linear light to the 8-bit picture that a camera or a phone would give, band of rows by band of rows.

Every step is elementwise or a short sum of shifted copies in a fixed order, and what depends on a place depends on the
absolute row. So bands with ``margin_px`` rows of context join to the whole picture's very bytes.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from surfacedefect.errors import OptionError
from surfacedefect.synthetic.demosaic import (
    COLOUR_PX,
    DEMOSAIC_PX,
    LUMA,
    SIDE_PX,
    Grain,
    calm_brightness,
    calm_colour,
    demosaic,
    develop,
    filtered,
)
from surfacedefect.synthetic.geometry import Float

_MOST_DEFOCUS_PX = 2.5
_SHARP_VARIANCE = 0.03  # px^2 of extra blur that nobody sees: the depth of field

# Ranges to draw from. Shot noise is 1 / sqrt(electrons at white): 12 Mpx machine vision 10,000, a phone 6,000 and less,
# but phones add up several exposures.
_LOOKS: dict[str, dict[str, tuple[float, float]]] = {
    "scanner": {
        "focus_blur_px": (0.45, 0.9), "defocus_px_per_mm": (0.001, 0.006), "vignetting": (0.0, 0.2),
        "read_noise": (0.0003, 0.002), "shot_noise": (0.004, 0.009), "contrast": (0.0, 0.2),
        "saturation": (0.9, 1.08), "sharpening": (0.0, 0.35), "denoise": (0.0, 0.3),
        "headroom": (1.0, 1.2), "grain": (0.35, 0.6),
    },
    "phone": {
        "focus_blur_px": (0.5, 1.1), "defocus_px_per_mm": (0.003, 0.02), "vignetting": (0.0, 0.3),
        "read_noise": (0.0005, 0.003), "shot_noise": (0.006, 0.018), "contrast": (0.05, 0.45),
        "saturation": (0.88, 1.12), "sharpening": (0.4, 1.3), "denoise": (0.4, 1.0),
        "headroom": (1.1, 1.9), "grain": (0.35, 0.6),
    },
}  # fmt: skip
_BAYER_SHARE = {"scanner": 0.75, "phone": 1.0}
_MOTION_SHARE = {"scanner": 0.0, "phone": 0.15}
# Largest linear levels, of white, that the meter allows the middle and the brightest 3 % of the paint
_MOST_MIDDLE = {"scanner": (0.6, 0.75), "phone": (0.6, 0.8)}
_MOST_BRIGHT = {"scanner": (0.8, 1.0), "phone": (0.95, 1.3)}
_LEAST_MIDDLE = 0.02
_BALANCE_ERROR = {"scanner": 0.025, "phone": 0.035}


@dataclass(frozen=True)
class Camera:
    """Lens, sensor and development of one picture.

    The order is: defocus and motion blur, vignetting, gain, colour mosaic, noise, clipping, demosaicking, denoising,
    saturation, tone curve, sharpening, grain, rounding. Noise enters before demosaicking, so it comes out blotchy; its
    colour is what denoising takes away first.

    Attributes
    ----------
    gain
        float32 (3,): exposure times white balance; it turns linear light into shares of the sensor's white.
    focus_blur_px
        Gaussian sigma of what is in focus, lens and pixel together; 0.3 to 1.2.
    defocus_px_per_mm
        Extra sigma per mm away from the plane in focus, added in quadrature.
    focus_mm
        Depth that is in focus, relative to the middle of the picture.
    motion_px
        Way (dx, dy) that the picture moves during the exposure.
    vignetting
        Share of the light that is lost in the corners; 0 to 0.3.
    read_noise, shot_noise
        Noise of a level L (share of white) has sigma sqrt(read_noise^2 + shot_noise^2 L).
    bayer
        One colour per pixel (RGGB) and demosaicking; else three full lines as in a line scanner.
    contrast
        Strength of an S-shaped curve on top of sRGB; 0 is none.
    saturation
        Factor of the distance from grey; about 1.
    sharpening
        Amount of the unsharp mask after the tone curve; 0 to 0.8.
    denoise
        How much of what looks like noise the camera smooths away; 0 to 1.
    most_defocus_px
        Extra sigma beyond which it grows no more; see `at_depths`.
    headroom
        Level at which the sensor clips; the tone curve bends smoothly towards it. 1 is no bend, hard clipping.
    grain
        Noise, in grey levels, that is left even where the sensor clips, so that 8-bit steps do not show; 0 to 1.
    """

    gain: Float
    focus_blur_px: float
    defocus_px_per_mm: float
    focus_mm: float
    motion_px: tuple[float, float]
    vignetting: float
    read_noise: float
    shot_noise: float
    bayer: bool
    contrast: float
    saturation: float
    sharpening: float
    denoise: float
    most_defocus_px: float = _MOST_DEFOCUS_PX
    headroom: float = 1.0
    grain: float = 0.0

    @classmethod
    def random(cls, rng: np.random.Generator, sample: Float, *, look: str = "any") -> Camera:
        """Draw a camera that exposes a scene well, or as well as cameras do.

        Parameters
        ----------
        sample
            float32 (h, w, 3): linear light of a coarse preview of the scene, 1 = a white sheet in its light.
        look
            "scanner" (little noise, no motion, mild sharpening), "phone", or "any" of the two.

        Raises
        ------
        OptionError
            There is no such look.
        """
        if look != "any" and look not in _LOOKS:
            raise OptionError(f"look is {look!r}; expected 'any', {', '.join(map(repr, _LOOKS))}")
        if look == "any":
            look = "scanner" if rng.random() < 0.5 else "phone"
        balance = rng.normal(1, _BALANCE_ERROR[look], 3).clip(0.88, 1.12)
        middle, bright = (float(rng.uniform(*limits[look])) for limits in (_MOST_MIDDLE, _MOST_BRIGHT))
        error = 2 ** min(0.5, max(-0.5, float(rng.normal(0, 0.25))))
        exposure = _exposure(sample, error=error, most_middle=middle, most_bright=bright)
        drawn = {name: float(rng.uniform(*limits)) for name, limits in _LOOKS[look].items()}
        way, angle = float(rng.uniform(0.5, 4.0)), float(rng.uniform(0, 2 * np.pi))
        if rng.random() >= _MOTION_SHARE[look]:
            way = 0.0
        return cls(
            gain=(exposure * balance).astype(np.float32),
            focus_mm=float(rng.normal(0, 15)),
            motion_px=(way * float(np.cos(angle)), way * float(np.sin(angle))),
            bayer=bool(rng.random() < _BAYER_SHARE[look]),
            **drawn,
        )

    def at_depths(self, nearest_mm: float, furthest_mm: float) -> Camera:
        """Give the camera for a scene within these depths: the same, with no larger margin than it needs there."""
        off = max(abs(nearest_mm - self.focus_mm), abs(furthest_mm - self.focus_mm))
        return replace(self, most_defocus_px=min(self.most_defocus_px, self.defocus_px_per_mm * off))

    @property
    def margin_px(self) -> int:
        """How far the light of one pixel reaches in the picture, at most: rows of context above and below a band."""
        motion = max(abs(way) for way in self.motion_px)
        colour = COLOUR_PX * (self.denoise > 0)
        own = DEMOSAIC_PX + 2 * colour if self.bayer else colour
        steps = (self.denoise > 0) + (self.sharpening > 0)
        return _radius(self._levels()[-1]) + _motion_radius(motion) + own + SIDE_PX * steps

    def sigma(self, level: Float) -> Float:
        """Give the noise's standard deviation at linear levels (share of white, after gain); float32, same shape."""
        return np.sqrt(self._grain.variance(level))

    @property
    def _grain(self) -> Grain:
        return Grain(self.read_noise**2, self.shot_noise**2)

    def noise_rows(self, rng: np.random.Generator, rows: int, width: int) -> Float:
        """Draw the noise of the next rows: standard normal float32, (rows, width) with ``bayer``, else 3 of them."""
        return rng.standard_normal((rows, width) if self.bayer else (rows, width, 3), dtype=np.float32)

    def blur(self, light: Float, depth: Float | None) -> Float:
        """Blur as the lens and the motion do.

        Parameters
        ----------
        light
            float32 (h, w, c), any c; beyond the edges it goes on as it ends.
        depth
            float32 (h, w): mm along the optical axis relative to the middle of the picture; None: all in focus.

        Returns
        -------
        float32 (h, w, c). Between a few levels of blur the variance is interpolated.
        """
        levels = self._levels()
        if depth is None or len(levels) == 1:
            return _shake(filtered(light, _half_kernel(levels[0])), self.motion_px)
        extra = ((depth - np.float32(self.focus_mm)) * np.float32(self.defocus_px_per_mm)) ** 2
        steps = np.asarray([level**2 - levels[0] ** 2 for level in levels], np.float32)
        place = (extra - np.float32(_SHARP_VARIANCE)).clip(0, steps[-1])
        out = np.zeros_like(light)
        for sigma, share in zip(levels, _tents(place, steps), strict=True):
            rows, cols = _used(share)
            if rows.stop == 0:
                continue
            part = _part_filtered(light, _half_kernel(sigma), rows, cols)
            # repeated by hand: broadcasting over a short last axis is slow
            part *= np.repeat(share[rows, cols], light.shape[2], axis=1).reshape(part.shape)
            out[rows, cols] += part
        return _shake(out, self.motion_px)

    def _levels(self) -> list[float]:
        """Sigmas to interpolate between. They hold for the whole picture, else bands would differ."""
        most = self.most_defocus_px**2 - _SHARP_VARIANCE if self.defocus_px_per_mm else 0.0
        if most <= 0.35 * self.focus_blur_px**2:  # less than 16 % of the sigma: not worth a second level
            return [self.focus_blur_px]
        middle = [0.35] if most > 1 else []
        return [float(np.sqrt(self.focus_blur_px**2 + most * share)) for share in (0.0, *middle, 1.0)]

    def expose(
        self, light: Float, noise: Float, *, depth: Float | None, first_row: int, height: int
    ) -> NDArray[np.uint8]:
        """Develop rows of a picture.

        Parameters
        ----------
        light
            float32 (h, w, 3): linear light of the rows from ``first_row`` on, context included.
        noise
            What `noise_rows` gave for the same rows.
        depth
            As in `blur`.
        first_row, height
            The absolute row of ``light[0]``, and the height of the whole picture.

        Returns
        -------
        uint8 (h, w, 3). The first and last ``margin_px`` rows of a band are not final, except at the picture's own top
        and bottom.

        Raises
        ------
        OptionError
            The noise does not fit the light.
        """
        expected = light.shape[:2] if self.bayer else light.shape
        if light.ndim != 3 or light.shape[2] != 3 or noise.shape != expected:
            raise OptionError(f"light {light.shape} with noise {noise.shape}; expected (h, w, 3) with `noise_rows`'s")
        soft = self.blur(light, depth)
        fall = self._fall(first_row, height, *light.shape[:2])
        colours = self._mosaic(soft, noise, fall, first_row) if self.bayer else self._lines(soft, noise, fall)
        if self.denoise > 0:
            calm_brightness(colours, self._grain, self.denoise)
        return develop(
            colours, noise if self.bayer else noise[..., 1], grain=self.grain, contrast=self.contrast,
            headroom=self.headroom, saturation=self.saturation, sharpening=self.sharpening,
        )  # fmt: skip

    def _fall(self, first_row: int, height: int, h: int, w: int) -> Float:
        x = np.arange(w, dtype=np.float32) + np.float32(0.5 - w / 2)
        y = np.arange(first_row, first_row + h, dtype=np.float32) + np.float32(0.5 - height / 2)
        corner = np.float32(self.vignetting * 4 / (w**2 + height**2))
        return np.asarray(1 - ((x**2)[None] + (y**2)[:, None]) * corner, np.float32)

    def _noisy(self, level: Float, noise: Float) -> Float:
        grain = self.sigma(level)
        grain *= noise
        grain += level
        return grain.clip(0, self.headroom, out=grain)

    def _calm(self, difference: Float, level: Float) -> Float:
        amount = min(1.0, 1.3 * self.denoise**0.25)  # phones: all of it
        return calm_colour(difference, level, grain=self._grain, amount=amount)

    def _lines(self, light: Float, noise: Float, fall: Float) -> Float:
        planes = [self._noisy(light[..., k] * self.gain[k] * fall, noise[..., k]) for k in range(3)]
        if self.denoise > 0:
            for k in (0, 2):
                planes[k] = self._calm(planes[k] - planes[1], planes[1]) + planes[1]
        return np.stack(planes)

    def _mosaic(self, light: Float, noise: Float, fall: Float, first_row: int) -> Float:
        level = np.empty(light.shape[:2], np.float32)
        odd = first_row & 1
        for row, col, colour in ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 2)):
            place = slice((row + odd) & 1, None, 2), slice(col, None, 2)
            np.multiply(light[..., colour][place], self.gain[colour], out=level[place])
        level *= fall
        return demosaic(self._noisy(level, noise), odd, self._calm if self.denoise > 0 else None)


def _exposure(sample: Float, *, error: float, most_middle: float, most_bright: float) -> float:
    """Meter as phones do: white cars bright, black ones dark, grey in between, and lamps may clip.

    ``error`` is the factor by which this exposure errs; it never exceeds the most that the middle and the brightest
    3 % may have, in linear levels.
    """
    bright = np.float32(0.7) * (sample @ np.asarray(LUMA, np.float32)) + np.float32(0.3) * sample.max(axis=-1)
    median, high = (float(level) for level in np.quantile(bright, (0.5, 0.97)))
    middle = max(0.7 * median + 0.3 * float(bright.mean()), 1e-4)
    # the surroundings count too: dark cars stay dark and white ones bright, unless the light itself is strong
    gain = 1.25 / (1 + 0.6 * middle**2)
    # nothing bright in the picture: the camera opens up a little
    gain *= min(1.5, max(1.0, (0.8 / max(gain * high, 1e-4)) ** 0.3))
    gain = max(gain, _LEAST_MIDDLE / middle)
    return float(min(gain * error, most_middle / middle, most_bright / max(high, 1e-4)))


def _radius(sigma: float) -> int:
    return max(1, int(np.ceil(2.5 * sigma))) if sigma > 0 else 0


@lru_cache(maxsize=64)
def _half_kernel(sigma: float) -> Float:
    """Middle and right half of a Gaussian: the discrete one (Lindeberg 1990), cut off, yet of the right variance."""
    turns, place = 2 * np.pi * np.fft.rfftfreq(128), np.arange(_radius(sigma) + 1)
    half, variance = np.ones(1), sigma**2
    for _ in range(8):  # a little wider, to make up for what is cut off
        half = np.fft.irfft(np.exp(variance * (np.cos(turns) - 1)), 128)[: place.size]
        half /= 2 * half.sum() - half[0]
        variance *= sigma**2 / max(1e-12, 2 * float((half * place**2).sum()))
    return np.asarray(half, np.float32)


def _used(share: Float) -> tuple[slice, slice]:
    """Find the rows and columns outside which a share is zero."""
    rows, cols = (np.flatnonzero(share.any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return slice(0, 0), slice(0, 0)
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(cols[0]), int(cols[-1]) + 1)


def _part_filtered(light: Float, half: Float, rows: slice, cols: slice) -> Float:
    """Give `filtered` of the whole in these rows and columns only."""
    reach = half.size - 1
    top, left = max(0, rows.start - reach), max(0, cols.start - reach)
    part = filtered(light[top : rows.stop + reach, left : cols.stop + reach], half)
    return part[rows.start - top : rows.stop - top, cols.start - left : cols.stop - left]


def _tents(place: Float, steps: Float) -> Iterator[Float]:
    """Give the share of each level at places between the levels' steps: they sum to one, at most two are above zero."""
    rise = np.ones_like(place)
    for low, high in pairwise(steps):
        past = ((place - low) * (1 / (high - low))).clip(0, 1)
        yield rise - past
        rise = past
    yield rise


def _motion_radius(way: float) -> int:
    return int(np.ceil(way / 2))


def _shake(light: Float, motion_px: tuple[float, float]) -> Float:
    """Blur along a straight way; the samples along it are shared out over their four nearest pixels."""
    dx, dy = motion_px
    if dx == 0 and dy == 0:
        return light
    across, down = _motion_radius(abs(dx)), _motion_radius(abs(dy))
    kernel = np.zeros((2 * down + 2, 2 * across + 2))
    along = (np.arange(count := 4 * (across + down) + 1) + 0.5) / count - 0.5
    x, y = along * dx + across, along * dy + down
    col, row = np.floor(x).astype(int), np.floor(y).astype(int)
    for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
        np.add.at(kernel, (row + i, col + j), np.abs(1 - i - (y - row)) * np.abs(1 - j - (x - col)) / count)
    h, w = light.shape[:2]
    padded = np.pad(light, ((down, down), (across, across), (0, 0)), mode="edge")
    out = np.zeros_like(light)
    for i, j in np.argwhere(kernel[:-1, :-1] > 1e-4):
        out += padded[i : i + h, j : j + w] * np.float32(kernel[i, j])
    return out / np.float32(kernel[kernel > 1e-4].sum())


def encode_jpeg(image: NDArray[np.uint8], quality: int) -> bytes:
    """Give the JPEG file of a picture, with colour at half resolution as cameras store it.

    Parameters
    ----------
    image
        uint8 (H, W, 3), sRGB.
    quality
        1 to 100, as libjpeg counts it.
    """
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality, subsampling=2)
    return file.getvalue()


def jpeg_round_trip(image: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """Give the picture after JPEG compression; see `encode_jpeg`."""
    with Image.open(io.BytesIO(encode_jpeg(image, quality))) as picture:
        return np.array(picture, dtype=np.uint8)
