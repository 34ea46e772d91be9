"""From linear light to the picture a camera would give."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from surfacedefect.synthetic.marks import Float


def _srgb() -> Float:
    level = np.linspace(0, 1, 1 << 14)
    return (255 * np.where(level < 0.0031308, 12.92 * level, 1.055 * level ** (1 / 2.4) - 0.055)).astype(np.float32)


_TONES = _srgb()  # IEC 61966-2-1, as grey levels


@dataclass(frozen=True)
class Camera:
    """Gain per channel (exposure times white balance), softness, vignetting and noise.

    ``read_noise`` is in grey levels of 255; ``shot_noise`` grows with the square root of the linear light.
    """

    gain: Float
    blur: float
    vignetting: float
    read_noise: float
    shot_noise: float

    @classmethod
    def random(cls, rng: np.random.Generator, sample: Float) -> Camera:
        """Draw a camera that exposes this sample of the scene's light well."""
        grey = sample.mean(axis=-1)
        reference = 0.3 * float(np.quantile(grey, 0.5)) + 0.7 * float(np.quantile(grey, 0.95))
        exposure = min(0.66 / max(reference, 1e-6), 1.7) * float(rng.lognormal(0, 0.18))
        balance = rng.normal(1, 0.035, 3).clip(0.85, 1.15)
        return cls(
            gain=(exposure * balance).astype(np.float32),
            blur=float(rng.uniform(0, 1.0)),
            vignetting=float(rng.uniform(0, 0.25)),
            read_noise=float(rng.uniform(0.3, 2.0)),
            shot_noise=float(rng.uniform(0.5, 3.5)),
        )

    def tone(self, light: Float) -> Float:
        """Grey levels, 0..255, of linear light: gain, then the sRGB curve."""
        steps = (light * (self.gain * np.float32(_TONES.size - 1))).clip(0, _TONES.size - 1)
        levels: Float = _TONES.take(steps.astype(np.int32), mode="clip")
        return levels

    def noise(self, level: Float) -> Float:
        """Give the standard deviation of the noise, in grey levels, at these grey levels."""
        return np.asarray(np.sqrt(self.read_noise**2 + self.shot_noise**2 * (level / np.float32(255))), np.float32)

    def expose(self, light: Float, first_row: int, height: int, *, rng: np.random.Generator) -> NDArray[np.uint8]:
        """Picture of a band of linear light, uint8 (h, w, 3)."""
        h, w = light.shape[:2]
        x = (np.arange(w, dtype=np.float32) + np.float32(0.5 - w / 2)) / np.float32(w / 2)
        y = (np.arange(first_row, first_row + h, dtype=np.float32) + np.float32(0.5 - height / 2)) / np.float32(w / 2)
        fall = 1 - np.float32(self.vignetting) * np.float32(0.6) * (x[None] ** 2 + y[:, None] ** 2)
        level = self.tone(light * fall.clip(0.2, 1)[..., None])
        grain = rng.standard_normal(level.shape, dtype=np.float32)
        level += grain * self.noise(level.mean(axis=-1, keepdims=True))
        return np.asarray((level + np.float32(0.5)).clip(0, 255), np.uint8)


def blur_rows(light: Float, weight: float) -> Float:
    """Three-tap blur; the first and last row are context and come back without neighbours: cut them."""
    side, middle = np.float32(weight / 2), np.float32(1 - weight)
    out = light * middle
    out[1:] += side * light[:-1]
    out[:-1] += side * light[1:]
    out[0] += side * light[0]
    out[-1] += side * light[-1]
    across = out * middle
    across[:, 1:] += side * out[:, :-1]
    across[:, :-1] += side * out[:, 1:]
    across[:, 0] += side * out[:, 0]
    across[:, -1] += side * out[:, -1]
    return across


def jpeg_round_trip(image: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """Give the picture after JPEG compression, with colour at half resolution as cameras store it."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality, subsampling=2)
    file.seek(0)
    with Image.open(file) as picture:
        return np.array(picture, dtype=np.uint8)
