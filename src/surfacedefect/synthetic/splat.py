"""Things on or in the paint, pixel by pixel, built by dropping small samples into the pixels around them.

A line is sampled along and across on a grid finer than the pixels and every sample drops its own small area. So the
result is anti-aliased, a line of 0.3 px covers 0.3 of a pixel, and thousands of specks cost one vectorised pass.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from surfacedefect.synthetic.geometry import Float


@dataclass(frozen=True)
class Layer:
    """What replaces the paint's look at some pixels.

    Attributes
    ----------
    pixels
        int64 (n,), ascending and unique: row * width + column.
    alpha
        float32 (n,) in [0, 1]: share of the pixel's albedo that is replaced by ``rgb``.
    rgb
        float32 (n, 3): linear albedo.
    matt
        float32 (n,) in [0, 1]: share of the mirror image that is lost.
    slope_x, slope_y
        float32 (n,): slopes added to the panel's, mean over the pixel.
    """

    pixels: NDArray[np.int64]
    alpha: Float
    rgb: Float
    matt: Float
    slope_x: Float
    slope_y: Float

    def rows(self, first: int, last: int, width: int) -> slice:
        """Which of the entries lie in these rows of a picture of this width."""
        begin, end = np.searchsorted(self.pixels, [first * width, last * width])
        return slice(int(begin), int(end))


def drop(
    x: Float, y: Float, values: Float, *, width: int, height: int, soft: bool = True
) -> tuple[NDArray[np.int64], Float]:
    """Sum samples into the pixels of a picture of this size; what falls outside is lost.

    Parameters
    ----------
    x, y
        float32 (n,): picture coordinates in px.
    values
        float32 (n, k): what each sample brings; usually its area in px, times something.
    soft
        Share each sample out over its four nearest pixels instead of giving all to the one it lies in.

    Returns
    -------
    pixels, sums
        int64 (m,), ascending and unique, row * width + column; and float32 (m, k).
    """
    if soft:
        x, y = x - np.float32(0.5), y - np.float32(0.5)
    col, row = np.floor(x).astype(np.int32), np.floor(y).astype(np.int32)
    # one pixel of margin all around, so that the right and lower neighbours of any sample exist
    keep = (col >= -1) & (row >= -1) & (col < width) & (row < height)
    if not keep.all():
        col, row, x, y, values = col[keep], row[keep], x[keep], y[keep], values[keep]
    if col.size == 0:
        return np.empty(0, np.int64), np.empty((0, values.shape[1]), np.float32)
    ax, ay = x - col, y - row
    shares = [(1 - ax) * (1 - ay), ax * (1 - ay), (1 - ax) * ay, ax * ay] if soft else [np.ones_like(ax)]
    across, top = width + 2, int(row.min())
    steps = (0, 1, across, across + 1) if soft else (0,)
    spots, index = _numbered((row - top).astype(np.int64) * across + (col + 1), steps)
    sums = np.empty((spots.size, values.shape[1]), np.float32)
    for k in range(values.shape[1]):
        sums[:, k] = np.bincount(index, np.concatenate([values[:, k] * share for share in shares]), spots.size)
    rows, cols = np.divmod(spots, across)
    rows += top
    cols -= 1
    inside = (rows >= 0) & (rows < height) & (cols >= 0) & (cols < width) & (sums != 0).any(axis=1)
    return (rows * width + cols)[inside], sums[inside]


def _numbered(first: NDArray[np.int64], steps: tuple[int, ...]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Give the places first + step that occur, ascending, and for every step and sample the number of its place."""
    used = np.zeros(int(first.max()) + steps[-1] + 1, bool)
    for step in steps:
        used[first + step] = True
    spots = np.flatnonzero(used)
    number = np.empty(used.size, np.int32)  # written and read only where used: the rest takes no memory
    number[spots] = np.arange(spots.size, dtype=np.int32)
    return spots, np.concatenate([number[first + step] for step in steps])
