"""One pass over the rows of a picture: its miniature, its histogram, how sharp its edges are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from surfacedefect.datasets._alignment import SIDE
from surfacedefect.errors import require
from surfacedefect.scan import MAX_PIXELS, Scan

_BAND = 256  # rows at a time, and the side of a piece whose edges are measured
_PIECES = 3  # along each side
_FINE_PX, _COARSE_PX = 1.0, 4.0
_EDGES, _LEAST_SLOPE, _SHARPEST, _FEWEST = 98.0, 1.5, 75.0, 50


@dataclass(frozen=True, slots=True)
class Miniature:
    """What one pass over a picture keeps.

    Attributes
    ----------
    image
        uint8 (`SIDE`, `SIDE`), gray (Rec. 601), means over areas; the whole picture, squeezed to a square.
    histogram
        int64 (256,): pixels of each gray level, of the picture itself.
    edge_sigma_px
        How blurred the sharper quarter of its strong edges is, see `edge_sigma`; nan when it has too few.
    """

    image: NDArray[np.uint8]
    histogram: NDArray[np.int64]
    edge_sigma_px: float


def miniature_of(path: Path, *, max_pixels: int = MAX_PIXELS) -> Miniature:
    """Read a picture once, from top to bottom.

    Raises
    ------
    ScanError
        It cannot be read, or has more than `max_pixels`.
    """
    with Scan.open(path, max_pixels=max_pixels) as scan:
        sums = np.zeros((SIDE, SIDE), np.float64)
        histogram = np.zeros(256, np.int64)
        bands = range(0, scan.height, _BAND)
        looked_at = {bands[place] for place in np.linspace(0, len(bands) - 1, _PIECES).round().astype(int)}
        pieces: list[NDArray[np.uint8]] = []
        for top in bands:
            gray = Image.fromarray(scan.rows(top, min(top + _BAND, scan.height))).convert("L")
            pixels = np.asarray(gray)
            histogram += np.bincount(pixels.ravel(), minlength=256)
            sums += _row_shares(top, gray.height, height=scan.height) @ _narrowed(pixels)
            if top in looked_at:
                pieces += _pieces(pixels)
    image = np.clip(np.rint(sums), 0, 255).astype(np.uint8)
    return Miniature(image, histogram, edge_sigma(pieces))


def edge_sigma(pieces: list[NDArray[np.uint8]]) -> float:
    """Blur of the sharper ones among the strong edges, as the sigma of a Gaussian in px; nan when there are too few.

    Where a step is blurred by sigma, its slope after a Gaussian of s is as 1 / sqrt(sigma^2 + s^2); so the slopes at
    two s give sigma (Zhuo and Sim 2011, "Defocus map estimation from a single image"). Smooth paint, noise and the
    blocks of JPEG have no strong edges, and no say.

    Parameters
    ----------
    pieces
        uint8 (H, W), gray, in the picture's own resolution.
    """
    ndimage: Any = require("scipy.ndimage", extra="data")
    fine, coarse = (
        np.concatenate([ndimage.gaussian_gradient_magnitude(p.astype(np.float32), s).ravel() for p in pieces])
        for s in (_FINE_PX, _COARSE_PX)
    )
    strong = coarse >= max(_LEAST_SLOPE, np.percentile(coarse, _EDGES))
    if np.count_nonzero(strong) < _FEWEST:
        return float("nan")
    ratio = np.percentile(fine[strong] / coarse[strong], _SHARPEST)
    ratio = np.clip(ratio, 1 + 1e-6, _COARSE_PX / _FINE_PX)
    return float(np.sqrt((_COARSE_PX**2 - (_FINE_PX * ratio) ** 2) / (ratio**2 - 1)))


def _row_shares(top: int, rows: int, *, height: int) -> NDArray[np.float64]:
    """How much of each row of the miniature, (SIDE, rows), each of these rows is."""
    edges = np.arange(SIDE + 1) * (height / SIDE)
    low, high = top + np.arange(rows), top + np.arange(rows) + 1
    common = np.minimum(edges[1:, None], high) - np.maximum(edges[:-1, None], low)
    shares: NDArray[np.float64] = np.clip(common, 0, None) / (height / SIDE)
    return shares


def _narrowed(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Means over the columns that each column of the miniature covers, (rows, SIDE)."""
    rows, width = pixels.shape
    sums = np.zeros((rows, width + 1))
    np.cumsum(pixels, axis=1, out=sums[:, 1:])
    edges = np.arange(SIDE + 1) * (width / SIDE)
    left = np.minimum(edges.astype(np.intp), width - 1)
    up_to = sums[:, left] + pixels[:, left] * (edges - left)
    means: NDArray[np.float64] = np.diff(up_to, axis=1) / (width / SIDE)
    return means


def _pieces(pixels: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    width = min(_BAND, pixels.shape[1])
    lefts = {int(left) for left in np.linspace(0, pixels.shape[1] - width, _PIECES)}
    return [pixels[:, left : left + width] for left in sorted(lefts)]
