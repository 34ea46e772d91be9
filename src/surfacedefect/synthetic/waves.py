"""Smooth random fields as sums of plane waves: two small matrix products give any part of them at any scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from surfacedefect.synthetic.marks import Float

_COLUMNS = 512
_PIECE = 1 << 18  # multiplications in one call: OpenBLAS's own limit for staying on one thread


@dataclass(frozen=True)
class Waves:
    """Plane waves with wave numbers (kx, ky), phases and amplitudes; the sum has standard deviation 1."""

    kx: Float
    ky: Float
    phase: Float
    amplitude: Float

    @classmethod
    def random(
        cls, rng: np.random.Generator, *, count: int, shortest: float, longest: float, stretch_y: float = 1.0
    ) -> Waves:
        """Waves of lengths between shortest and longest, in the units of x, drawn out along y by stretch_y."""
        length = np.exp(rng.uniform(np.log(shortest), np.log(longest), count))
        angle = rng.uniform(0, 2 * np.pi, count)
        amplitude = rng.rayleigh(1, count) * length ** (0.5 if longest > 2.5 * shortest else 0)
        amplitude *= np.sqrt(2 / (amplitude**2).sum())
        values = (2 * np.pi / length * np.cos(angle), 2 * np.pi / length * np.sin(angle) / stretch_y,
                  rng.uniform(0, 2 * np.pi, count), amplitude)  # fmt: skip
        return cls(*(v.astype(np.float32) for v in values))

    def __call__(self, x: Float, y: Float) -> Float:
        """Compute the field, float32 (y.size, x.size)."""
        return self._sum(x, y, self.amplitude, np.float32(0))

    def slopes(self, x: Float, y: Float) -> tuple[Float, Float]:
        """Compute the field's slopes along x and y, scaled so that together their root mean square is 1."""
        size = np.sqrt(0.5 * float((self.amplitude**2 * (self.kx**2 + self.ky**2)).sum())) + 1e-12
        quarter = np.float32(np.pi / 2)
        weights = (self.amplitude * self.kx / np.float32(size), self.amplitude * self.ky / np.float32(size))
        return self._sum(x, y, weights[0], quarter), self._sum(x, y, weights[1], quarter)

    def _sum(self, x: Float, y: Float, weight: Float, shift: np.float32) -> Float:
        across = self.kx[:, None] * x[None] + (self.phase + shift)[:, None]
        down = y[:, None] * self.ky[None]
        left = np.concatenate([np.cos(down) * weight, np.sin(down) * weight], axis=1)
        right = np.concatenate([np.sin(across), np.cos(across)], axis=0)
        return _product(left, right)


def _product(left: Float, right: Float) -> Float:
    """Multiply matrices in pieces so small that BLAS starts no threads.

    They would fight over the cores of a training loop, and the last bits would depend on how many there are.
    """
    out = np.empty((left.shape[0], right.shape[1]), np.float32)
    step = max(2, _PIECE // (_COLUMNS * left.shape[1]))
    for first in range(0, right.shape[1], _COLUMNS):
        cols = slice(first, first + _COLUMNS)
        part = np.ascontiguousarray(right[:, cols])
        for top in range(0, left.shape[0], step):
            np.matmul(left[top : top + step], part, out=out[top : top + step, cols])
    return out
