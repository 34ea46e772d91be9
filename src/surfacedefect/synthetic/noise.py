"""Natural-looking random texture: a small periodic picture of 1/f noise, laid over the panel again and again."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from surfacedefect.synthetic.geometry import Float


@dataclass(frozen=True)
class NoiseTile:
    """A periodic texture of mean 0 and standard deviation 1; turned, so that its repetition is hard to see."""

    values: Float
    texel_mm: float
    angle: float
    stretch: float

    @classmethod
    def random(
        cls, rng: np.random.Generator, *, texel_mm: float, size: int = 256, fall: float = 1.0, stretch: float = 1.0
    ) -> NoiseTile:
        """Noise whose amplitude falls as frequency to the power ``-fall``; drawn out along its y by ``stretch``."""
        values = _tile(size, fall)
        # one tile in every attitude, from anywhere: drawing a new one each time would cost more than all the rest
        turned = np.rot90(values[:, ::-1] if rng.random() < 0.5 else values, int(rng.integers(4)))
        shifted = np.roll(turned, tuple(int(n) for n in rng.integers(0, size, 2)), axis=(0, 1))
        return cls(np.ascontiguousarray(shifted), texel_mm, float(rng.uniform(-0.5, 0.5)), stretch)

    def __call__(self, x_mm: Float, y_mm: Float) -> Float:
        """Give the texture at points in mm, any shape, bilinear."""
        size = self.values.shape[0]
        cos, sin = np.float32(np.cos(self.angle) / self.texel_mm), np.float32(np.sin(self.angle) / self.texel_mm)
        col = x_mm * cos + y_mm * sin
        row = (y_mm * cos - x_mm * sin) * np.float32(1 / self.stretch)
        left, top = np.floor(col), np.floor(row)
        ax, ay = col - left, row - top
        left, top = left.astype(np.int32) % size, top.astype(np.int32) % size
        right, below = (left + 1) % size, ((top + 1) % size) * size
        top = top * size
        flat = self.values.ravel()
        upper = flat[top + left]
        upper += ax * (flat[top + right] - upper)
        lower = flat[below + left]
        lower += ax * (flat[below + right] - lower)
        return np.asarray(upper + ay * (lower - upper), np.float32)


@lru_cache(maxsize=32)
def _tile(size: int, fall: float) -> Float:
    grain = np.fft.rfft2(np.random.default_rng(0).standard_normal((size, size), dtype=np.float32))
    fy, fx = np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None]
    frequency = np.hypot(fx, fy)
    frequency[0, 0] = 1
    shaped = grain * frequency**-fall
    shaped[0, 0] = 0
    values = np.fft.irfft2(shaped, s=(size, size))
    return np.asarray(values / values.std(), np.float32)
