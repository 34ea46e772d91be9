"""Small pictures for the tests of scans, how to write them, and how to read a scan whole."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from PIL import Image

from surfacedefect.scan import Scan


def picture(height: int, width: int, *, bands: int = 3, seed: int = 0) -> NDArray[np.uint8]:
    """A smooth picture with some noise, as JPEG likes it, unlike its own turned and mirrored copies."""
    rows, columns = np.mgrid[:height, :width]
    planes = [(rows * (3 + band) + columns * (2 - band)) // 4 % 200 for band in range(bands)]
    noise = np.random.default_rng(seed).integers(0, 40, (height, width, bands))
    return (np.stack(planes, axis=-1) + noise).astype(np.uint8)


def png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def drawn(seed: int = 0, *, width: int = 320, height: int = 240) -> Image.Image:
    """Sharp squares on a smooth ground."""
    draw = np.random.default_rng(seed)
    image = np.full((height, width, 3), 110, np.uint8)
    for _ in range(40):
        top, left = draw.integers(0, height - 20), draw.integers(0, width - 20)
        image[top : top + draw.integers(5, 20), left : left + draw.integers(5, 20)] = draw.integers(30, 220)
    return Image.fromarray(image)


def whole(scan: Scan, step: int = 37) -> NDArray[np.uint8]:
    """All rows of a scan, in bands that fit no block size."""
    bands = [scan.rows(top, min(top + step, scan.height)) for top in range(0, scan.height, step)]
    assert all(band.flags.c_contiguous and band.dtype == np.uint8 for band in bands)
    return np.concatenate(bands)


def all_valid(scan: Scan, step: int = 37) -> NDArray[np.bool_]:
    bands = []
    for top in range(0, scan.height, step):
        stop = min(top + step, scan.height)
        valid = scan.valid_rows(top, stop)
        bands.append(np.ones((stop - top, scan.width), np.bool_) if valid is None else valid)
    return np.concatenate(bands)


def write_tiff(path: Path, array: NDArray[Any], **options: Any) -> Path:
    """Write (rows, columns, bands) with rasterio."""
    array = array[..., np.newaxis] if array.ndim == 2 else array
    height, width, count = array.shape
    profile = {"driver": "GTiff", "width": width, "height": height, "count": count, "dtype": array.dtype, **options}
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.write(np.moveaxis(array, -1, 0))
    return path
