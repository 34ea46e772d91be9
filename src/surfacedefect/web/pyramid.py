"""A scan or a map at half, a quarter ... of its size, so that a viewer reads a few hundred pixels, not a billion.

Everything is read once from top to bottom; memory grows with the width alone. Levels are tiled GeoTIFFs of 256 px, so
that a tile of the page is a block of a file. GDAL's own overviews would do for plain RGB, but not for the rest of what
`Scan` reads (turned pictures, 16 bits, palettes, nodata), nor for the largest of four probabilities.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from PIL import Image
from rasterio.windows import Window

from surfacedefect._raster import open_raster, quiet
from surfacedefect._words import shortened
from surfacedefect.errors import OutputError
from surfacedefect.web.values import TILE_PX

Pixels = NDArray[np.uint8]
Halve = Callable[[Pixels], Pixels]

_CACHE_BYTES = 64 * 2**20


def levels_of(width: int, height: int) -> int:
    """Return how often a scan must be halved until it fits into one tile.

    Examples
    --------
    >>> levels_of(256, 100), levels_of(257, 100), levels_of(4096, 3000)
    (0, 1, 4)
    """
    return max(0, (-(-max(width, height) // TILE_PX) - 1).bit_length())


def size_at(level: int, *, width: int, height: int) -> tuple[int, int]:
    """Return width and height after so many halvings, rounded up.

    Examples
    --------
    >>> size_at(1, width=5, height=4)
    (3, 2)
    """
    return -(-width // 2**level), -(-height // 2**level)


def level_path(folder: Path, level: int) -> Path:
    """Return where a level is kept."""
    return folder / f"level-{level}.tif"


def averaged(pixels: Pixels) -> Pixels:
    """Halve a picture (rows, columns, 4) by averaging."""
    if 0 in pixels.shape:
        return pixels
    return np.asarray(Image.fromarray(np.ascontiguousarray(pixels)).reduce(2))


def largest(pixels: Pixels) -> Pixels:
    """Halve a map (rows, columns, bands): the largest of four, of the last band, coverage, the smallest.

    A hairline of damage is seen from far; a pixel counts as inspected when all below it were.
    """
    rows, columns = pixels.shape[:2]
    if rows % 2 or columns % 2:
        pixels = np.pad(pixels, ((0, rows % 2), (0, columns % 2), (0, 0)), mode="edge")
    top, bottom = pixels[::2], pixels[1::2]
    halved: Pixels = np.maximum(np.maximum(top[:, ::2], top[:, 1::2]), np.maximum(bottom[:, ::2], bottom[:, 1::2]))
    last = np.minimum(top[..., -1], bottom[..., -1])
    halved[..., -1] = np.minimum(last[:, ::2], last[:, 1::2])
    return halved


def write_levels(
    bands: Iterable[Pixels],
    folder: Path,
    *,
    width: int,
    height: int,
    channels: int,
    halve: Halve,
    first: int,
    last: int,
) -> None:
    """Write the levels `first` to `last` of what comes in bands of rows, all in one pass.

    Parameters
    ----------
    bands
        uint8 (rows, width, channels) of level `first - 1` (or, where `first` is 0, of level 0), from top to bottom.
    folder
        Where `level_path` lies.
    width, height
        Size of level 0.
    halve
        `averaged` or `largest`.

    Raises
    ------
    OutputError
        A file cannot be written.
    """
    with contextlib.ExitStack() as files, disk_errors(folder), rasterio.Env(GDAL_CACHEMAX=_CACHE_BYTES):
        follow: _Level | None = None
        for level in range(last, first - 1, -1):
            size = size_at(level, width=width, height=height)
            file = files.enter_context(_new(level_path(folder, level), *size, channels=channels))
            follow = _Level(file, size, halve, follow)
        if follow is None:
            return
        head = follow if first == 0 else _Level(None, size_at(first - 1, width=width, height=height), halve, follow)
        for band in bands:
            head.add(band)


class _Level:
    """Takes rows, writes whole rows of blocks, and hands what it took, halved, to the next level."""

    def __init__(self, file: Any, size: tuple[int, int], halve: Halve, follow: _Level | None) -> None:
        self._file, self._halve, self._follow = file, halve, follow
        self._width, self._height = size
        self._held: list[Pixels] = []
        self._held_rows = self._start = 0

    def add(self, rows: Pixels) -> None:
        while len(rows):
            room = TILE_PX - self._held_rows
            self._held.append(rows[:room])
            self._held_rows += len(rows[:room])
            rows = rows[room:]
            if self._held_rows == TILE_PX or self._start + self._held_rows == self._height:
                self._flush()

    def _flush(self) -> None:
        block = self._held[0] if len(self._held) == 1 else np.concatenate(self._held)
        if self._file is not None:
            window = Window(0, self._start, self._width, len(block))
            self._file.write(np.moveaxis(block, -1, 0), window=window)
        self._start += len(block)
        self._held, self._held_rows = [], 0
        if self._follow is not None:
            self._follow.add(self._halve(block))


def read_level(path: Path, *, x: int, y: int, channels: int) -> Pixels:
    """Read tile (x, y) of a level: uint8 (256, 256, channels), 0 beyond the edge.

    Raises
    ------
    rasterio.errors.RasterioError
        The file is gone or damaged.
    """
    tile = np.zeros((TILE_PX, TILE_PX, channels), np.uint8)
    with open_raster(path) as file:
        window = tile_window(x, y, width=file.width, height=file.height)
        if window is not None:
            tile[: window.height, : window.width] = np.moveaxis(file.read(window=window), 0, -1)
    return tile


def tile_window(x: int, y: int, *, width: int, height: int) -> Window | None:
    """Return the part of a level that tile (x, y) shows; None when it lies outside."""
    left, top = x * TILE_PX, y * TILE_PX
    if x < 0 or y < 0 or left >= width or top >= height:
        return None
    return Window(left, top, min(TILE_PX, width - left), min(TILE_PX, height - top))


def inside(x: int, y: int, *, level: int, width: int, height: int) -> NDArray[np.bool_]:
    """Say which pixels of tile (x, y) of a level lie on the scan, bool (256, 256)."""
    flags = np.zeros((TILE_PX, TILE_PX), np.bool_)
    cols, rows = size_at(level, width=width, height=height)
    window = tile_window(x, y, width=cols, height=rows)
    if window is not None:
        flags[: window.height, : window.width] = True
    return flags


@contextlib.contextmanager
def disk_errors(place: Path) -> Iterator[None]:
    """Turn what GDAL and the system say of a full disk into an OutputError."""
    try:
        yield
    except (rasterio.errors.RasterioError, OSError) as error:
        if isinstance(error, OutputError):
            raise
        why = error.__cause__ or error  # rasterio only says that writing failed; GDAL, below it, says why
        raise OutputError(
            f"'{shortened(place)}' cannot be written ({shortened(why)}); make room on the disk, or look at its rights"
        ) from error


def _new(path: Path, width: int, height: int, *, channels: int) -> Any:
    return open_raster(
        path,
        "w",
        driver="GTiff",
        width=width,
        height=height,
        count=channels,
        dtype="uint8",
        tiled=True,
        blockxsize=TILE_PX,
        blockysize=TILE_PX,
        interleave="pixel",
        photometric="minisblack",
        alpha="unspecified",
        bigtiff="if_safer",
        sparse_ok=True,
        **_compression(),
    )


@functools.cache
def _compression() -> dict[str, Any]:
    """Zstandard where GDAL was built with it: twice as fast as deflate."""
    from rasterio.enums import Compression

    probe = {"driver": "GTiff", "width": 1, "height": 1, "count": 1, "dtype": "uint8"}
    with contextlib.suppress(Exception), quiet(), rasterio.MemoryFile() as memory:
        memory.open(**probe, compress=Compression.zstd.value).close()
        return {"compress": "zstd", "zstd_level": 1, "predictor": 2}
    return {"compress": "deflate", "zlevel": 1, "predictor": 2}
