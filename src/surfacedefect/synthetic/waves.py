"""Smooth random fields as sums of plane waves: two small matrix products give any part of them at any scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from surfacedefect.synthetic.geometry import Float

_ROWS = 8
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
        cls, rng: np.random.Generator, *, count: int, shortest: float, longest: float, rise: float = 0.5
    ) -> Waves:
        """Waves of lengths between shortest and longest, in the units of x; amplitudes grow as length ** rise."""
        length = np.exp(rng.uniform(np.log(shortest), np.log(longest), count))
        angle = rng.uniform(0, 2 * np.pi, count)
        amplitude = rng.rayleigh(1, count) * length**rise
        amplitude *= np.sqrt(2 / (amplitude**2).sum())
        values = (2 * np.pi / length * np.cos(angle), 2 * np.pi / length * np.sin(angle),
                  rng.uniform(0, 2 * np.pi, count), amplitude)  # fmt: skip
        return cls(*(v.astype(np.float32) for v in values))

    def __call__(self, x: Float, y: Float) -> Float:
        """Compute the field, float32 (y.size, x.size)."""
        across, down = self._angles(x, y)
        left = np.concatenate([np.cos(down) * self.amplitude, np.sin(down) * self.amplitude], axis=1)
        return _product(left, np.concatenate([np.sin(across), np.cos(across)], axis=0))

    @property
    def steepness(self) -> float:
        """Root mean square of the field's gradient, in 1 / (unit of x)."""
        return float(np.sqrt(0.5 * float((self.amplitude**2 * (self.kx**2 + self.ky**2)).sum()))) + 1e-12

    def slopes(self, x: Float, y: Float) -> tuple[Float, Float]:
        """Compute the field's slopes along x and y, divided by its `steepness`."""
        across, down = self._angles(x, y)
        right = np.concatenate([np.cos(across), np.sin(across)], axis=0)
        cos, sin = np.cos(down), -np.sin(down)
        size = np.float32(self.steepness)
        weights = self.amplitude * self.kx / size, self.amplitude * self.ky / size
        slope_x, slope_y = (_product(np.concatenate([cos * w, sin * w], axis=1), right) for w in weights)
        return slope_x, slope_y

    def _angles(self, x: Float, y: Float) -> tuple[Float, Float]:
        """Give the phases along x, (waves, x.size), and along y, (y.size, waves): their sum is that of the wave."""
        return self.kx[:, None] * x[None] + self.phase[:, None], y[:, None] * self.ky[None]


def _product(left: Float, right: Float) -> Float:
    """Multiply matrices in pieces so small that BLAS starts no threads.

    They would fight over the cores of a training loop, and the last bits would depend on how many there are. Pieces of
    the height that BLAS computes at once, padded with zeros, keep the last bits from depending on where a band begins.
    """
    height, depth = left.shape
    padded = np.zeros((-(-height // _ROWS) * _ROWS, depth), np.float32)
    padded[:height] = left
    out = np.empty((padded.shape[0], right.shape[1]), np.float32)
    columns = max(16, _PIECE // (_ROWS * depth) // 16 * 16)
    for first in range(0, right.shape[1], columns):
        cols = slice(first, first + columns)
        part = np.ascontiguousarray(right[:, cols])
        for top in range(0, padded.shape[0], _ROWS):
            np.matmul(padded[top : top + _ROWS], part, out=out[top : top + _ROWS, cols])
    return out[:height]
