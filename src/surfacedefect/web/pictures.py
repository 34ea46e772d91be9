"""The picture of a scan as tiles: read from the file where it is tiled, else from a copy that is made once."""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rasterio.errors import RasterioError
from rasterio.windows import Window

from surfacedefect._files import write_json
from surfacedefect._raster import open_raster
from surfacedefect._scan_files import as_scan_error, open_rows
from surfacedefect._scan_rows import DatasetRows, Rows
from surfacedefect.errors import ScanTooLargeError
from surfacedefect.web import pyramid
from surfacedefect.web.pyramid import Pixels
from surfacedefect.web.values import TILE_PX

_LARGEST_BLOCK_PX = 1024
_BAND_ROWS = 256
_MOST_OPEN = 4
CHANNELS = 4


@dataclass(frozen=True, slots=True)
class Picture:
    """What is known of a scan whose tiles can be read.

    Attributes
    ----------
    width, height
        In px, turned as its EXIF orientation says.
    levels
        How often it is halved until it fits into one tile.
    from_file
        How many levels, from full size on, are read from the scan itself: 0 where a copy is kept.
    """

    width: int
    height: int
    levels: int
    from_file: int


def build(path: Path, folder: Path, *, name: str, max_pixels: int, max_tiled_pixels: int) -> Picture:
    """Read a whole scan once and keep what its tiles need; a folder that is there is used as it is.

    Parameters
    ----------
    path
        The scan.
    folder
        Where to keep levels; it appears whole or not at all.
    name
        For messages.
    max_pixels, max_tiled_pixels
        Most pixels of a scan that must be decoded whole, and of any.

    Raises
    ------
    ScanError
        The scan cannot be read, or is damaged somewhere.
    OutputError
        There is no room.
    """
    known = _read(folder)
    if known is not None:
        return known
    part = folder.with_name(f".{folder.name}-{secrets.token_hex(6)}.part")
    with as_scan_error(name):
        rows = open_rows(path, name=name, max_pixels=max_pixels, again=False)
    try:
        check_size(rows, name=name, most=max_tiled_pixels)
        picture = Picture(rows.width, rows.height, pyramid.levels_of(rows.width, rows.height), _levels_in(rows, path))
        with pyramid.disk_errors(folder):
            part.mkdir(parents=True)
        _write(rows, path, part, picture, name=name, max_pixels=max_pixels)
        write_json(part / "picture.json", asdict(picture))
        with pyramid.disk_errors(folder):
            shutil.rmtree(folder, ignore_errors=True)
            try:
                part.replace(folder)
            except OSError:
                if _read(folder) != picture:  # else another process has just made the same
                    raise
    finally:
        rows.close()
        shutil.rmtree(part, ignore_errors=True)
    return picture


def size_of(path: Path, *, name: str, max_pixels: int, max_tiled_pixels: int) -> tuple[int, int]:
    """Return width and height; only the header is read where that is enough.

    Raises
    ------
    ScanError
        It cannot be read, or is too large.
    """
    with (
        as_scan_error(name),
        contextlib.closing(open_rows(path, name=name, max_pixels=max_pixels, again=False)) as rows,
    ):
        check_size(rows, name=name, most=max_tiled_pixels)
        return rows.width, rows.height


def check_size(rows: Any, *, name: str, most: int) -> None:
    """Refuse what is larger than allowed.

    Raises
    ------
    ScanTooLargeError
        It is.
    """
    if rows.width * rows.height > most:
        raise ScanTooLargeError(
            f"{name}: found {rows.width} x {rows.height} px, expected at most {most:,} px; cut it into parts"
        )


def _read(folder: Path) -> Picture | None:
    try:
        picture = Picture(**json.loads((folder / "picture.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    kept = range(picture.from_file, picture.levels + 1)
    return picture if all(pyramid.level_path(folder, level).is_file() for level in kept) else None


def _write(rows: Rows, path: Path, folder: Path, picture: Picture, *, name: str, max_pixels: int) -> None:
    first = picture.from_file
    size = {"width": picture.width, "height": picture.height}
    with contextlib.ExitStack() as held:
        source: Rows = rows
        if first > 1:
            source = held.enter_context(
                contextlib.closing(_overview(path, first - 2, name=name, max_pixels=max_pixels))
            )
        if first > picture.levels:
            return
        bands = _bands(source, name=name)
        pyramid.write_levels(
            bands, folder, **size, channels=CHANNELS, halve=pyramid.averaged, first=first, last=picture.levels
        )


def _bands(rows: Rows, *, name: str) -> Iterator[Pixels]:
    for start in range(0, rows.height, _BAND_ROWS):
        stop = min(start + _BAND_ROWS, rows.height)
        with as_scan_error(name):
            rgb, valid = rows.read(start, stop)
        yield rgba(rgb, valid)


def rgba(rgb: Pixels, valid: Any) -> Pixels:
    """Return colours with 255 in a fourth channel where they mean something."""
    pixels = np.empty((*rgb.shape[:2], CHANNELS), np.uint8)
    pixels[..., :3] = rgb
    pixels[..., 3] = 255 if valid is None else np.where(valid, np.uint8(255), np.uint8(0))
    return pixels


def _levels_in(rows: Rows, path: Path) -> int:
    """How many levels can be read from the file itself: none, the full size, or its overviews too."""
    if not isinstance(rows, DatasetRows) or (shape := rows.tile_shape) is None or max(shape) > _LARGEST_BLOCK_PX:
        return 0
    try:
        with open_raster(path) as file:
            factors = file.overviews(1)
            plain = set(file.dtypes) == {"uint8"} and file.colorinterp[0].name != "palette"
    except RasterioError:
        return 1
    levels = 1
    while plain and levels <= len(factors) and factors[levels - 1] == 2**levels:
        levels += 1
    return min(levels, pyramid.levels_of(rows.width, rows.height) + 1)


def _overview(path: Path, number: int, *, name: str, max_pixels: int) -> DatasetRows:
    """Open the overview of a file, counted from 0, as rows of RGB."""
    with as_scan_error(name):
        file = open_raster(path, overview_level=number)
        rows = DatasetRows(file, name=name, streams=True, max_pixels=max_pixels, whole_blocks=False)
        rows.resources.callback(file.close)
    return rows


class Pictures:
    """Reads tiles of scans; keeps a few files open."""

    def __init__(self, *, max_pixels: int) -> None:
        self._max_pixels = max_pixels
        self._open: OrderedDict[tuple[Any, ...], tuple[DatasetRows, threading.Lock]] = OrderedDict()
        self._lock = threading.Lock()

    def tile(self, path: Path, folder: Path, picture: Picture, *, level: int, x: int, y: int, name: str) -> Pixels:
        """Read tile (x, y) of a level, uint8 (256, 256, RGBA); level 0 is full size, beyond the edge all is 0.

        Raises
        ------
        ScanError
            The file is gone or damaged there.
        """
        with as_scan_error(name):
            if level >= picture.from_file:
                return pyramid.read_level(pyramid.level_path(folder, level), x=x, y=y, channels=CHANNELS)
            width, height = pyramid.size_at(level, width=picture.width, height=picture.height)
            tile = np.zeros((TILE_PX, TILE_PX, CHANNELS), np.uint8)
            window = pyramid.tile_window(x, y, width=width, height=height)
            if window is not None:
                tile[: window.height, : window.width] = self._part(path, level, window, name=name)
            return tile

    def _part(self, path: Path, level: int, window: Window, *, name: str) -> Pixels:
        rows, lock = self._rows(path, level, name=name)
        with lock:
            return rgba(*rows.part(window))

    def _rows(self, path: Path, level: int, *, name: str) -> tuple[DatasetRows, threading.Lock]:
        found = path.stat()
        key = (path, level, found.st_size, found.st_mtime_ns)
        with self._lock:
            if key not in self._open:
                opened = (
                    open_rows(path, name=name, max_pixels=self._max_pixels, again=False)
                    if level == 0
                    else _overview(path, level - 1, name=name, max_pixels=self._max_pixels)
                )
                if not isinstance(opened, DatasetRows):
                    raise TypeError("the scan is no tiled file any more")
                self._open[key] = opened, threading.Lock()
                while len(self._open) > _MOST_OPEN:
                    self._open.popitem(last=False)  # closed with its last reader
            self._open.move_to_end(key)
            return self._open[key]

    def close(self) -> None:
        """Close all files."""
        with self._lock:
            for rows, lock in self._open.values():
                with lock:
                    rows.close()
            self._open.clear()
