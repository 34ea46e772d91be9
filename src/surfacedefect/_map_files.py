"""The file of a probability map, a tiled GeoTIFF: what it holds, writing it band by band, reading parts of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window

from surfacedefect._files import atomic_path
from surfacedefect._raster import open_raster
from surfacedefect._words import shortened
from surfacedefect.errors import OutputError, ScanError
from surfacedefect.stitching import Band

if TYPE_CHECKING:
    from affine import Affine
    from rasterio.crs import CRS

BLOCK_PX = 256
"""Side of a tile of the file; rows are written in multiples of it."""


@dataclass(frozen=True, slots=True)
class MapFrame:
    """What a map is of: its size, its kinds and where it lies.

    Attributes
    ----------
    width, height
        Size of the scan in px.
    kinds
        Damage kinds in band order.
    mm_per_px
        Scale in mm, or None.
    transform, crs
        Where the scan lies, or None.
    model
        Name of the predictor that made it.
    """

    width: int
    height: int
    kinds: tuple[str, ...]
    mm_per_px: float | None = None
    transform: Affine | None = None
    crs: CRS | None = None
    model: str = ""


@dataclass(frozen=True, slots=True)
class PixelCount:
    """How many pixels were inspected, and how many hold data at all."""

    inspected_px: int
    data_px: int


def write_bands(bands: Iterable[Band], frame: MapFrame, path: Path, *, counts: PixelCount | None = None) -> PixelCount:
    """Write bands to a tiled GeoTIFF, whole rows of tiles at a time; count its pixels unless `counts` are known."""
    counter = _Counter()
    tags: dict[str, Any] = {"SURFACEDEFECT_MODEL": frame.model, "SURFACEDEFECT_KINDS": ",".join(frame.kinds)}
    if frame.mm_per_px is not None:
        tags["SURFACEDEFECT_MM_PER_PX"] = repr(frame.mm_per_px)
    with (
        atomic_path(path) as temporary,
        _disk_errors(path),
        open_raster(
            temporary,
            "w",
            driver="GTiff",
            width=frame.width,
            height=frame.height,
            count=len(frame.kinds) + 1,
            dtype="uint8",
            tiled=True,
            blockxsize=BLOCK_PX,
            blockysize=BLOCK_PX,
            compress="deflate",
            zlevel=3,
            interleave="band",
            photometric="minisblack",
            alpha="unspecified",
            bigtiff="if_safer",
            **({} if frame.transform is None else {"transform": frame.transform}),
            **({} if frame.crs is None else {"crs": frame.crs}),
        ) as dataset,
    ):
        dataset.update_tags(**tags)
        for number, name in enumerate((*frame.kinds, "coverage"), 1):
            dataset.set_band_description(number, name)
        for start, stack in _whole_blocks(counter.watch(bands), frame):
            window = Window(0, start, frame.width, stack.shape[1])
            dataset.write(stack, window=window)
        counts = counts or PixelCount(counter.inspected_px, counter.data_px)
        dataset.update_tags(SURFACEDEFECT_INSPECTED_PX=counts.inspected_px, SURFACEDEFECT_DATA_PX=counts.data_px)
    return counts


class _Counter:
    """Counts pixels as bands go by."""

    def __init__(self) -> None:
        self.inspected_px = self.data_px = 0

    def watch(self, bands: Iterable[Band]) -> Iterator[Band]:
        for band in bands:
            self.inspected_px += int(band.coverage.sum())
            self.data_px += band.data_px
            yield band


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    """Turn what GDAL says about a full disk into an OutputError."""
    try:
        yield
    except rasterio.errors.RasterioError as error:
        raise OutputError(f"'{shortened(path)}' cannot be written: {shortened(error)}; is the disk full?") from error


def _whole_blocks(bands: Iterable[Band], frame: MapFrame) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Gather bands of any height into rows of whole tiles, coverage as the last layer; each until the next one."""
    block = np.empty((len(frame.kinds) + 1, BLOCK_PX, frame.width), np.uint8)
    start = filled = 0
    for band in bands:
        height, taken = band.coverage.shape[0], 0
        while taken < height:
            rows = min(height - taken, BLOCK_PX - filled)
            block[:-1, filled : filled + rows] = band.probabilities[:, taken : taken + rows]
            np.multiply(band.coverage[taken : taken + rows], np.uint8(255), out=block[-1, filled : filled + rows])
            taken, filled = taken + rows, filled + rows
            if filled == BLOCK_PX or start + filled == frame.height:
                yield start, block[:, :filled]
                start, filled = start + filled, 0


def read_frame(path: Path) -> tuple[MapFrame, PixelCount]:
    """Read what a map in a file is of; refuse a file that `write_bands` did not write.

    Raises
    ------
    ScanError
        The file cannot be read or is not such a map.
    """
    try:
        with open_raster(path) as dataset:
            return _frame_of(dataset)
    except rasterio.errors.RasterioError as error:
        raise ScanError(f"'{shortened(path)}' cannot be read as a probability map: {shortened(error)}") from error


def read_window(path: Path, *, band: int, window: Window) -> NDArray[np.uint8]:
    """Read a part of one band, counted from 0.

    Raises
    ------
    ScanError
        The file is gone or damaged.
    """
    try:
        with open_raster(path) as dataset:
            values: NDArray[np.uint8] = dataset.read(band + 1, window=window)
    except rasterio.errors.RasterioError as error:
        raise ScanError(
            f"the probability map in '{shortened(path)}' can no longer be read ({shortened(error)}); detect again, "
            "and keep it with probability_map(out=...) where temporary files are cleared"
        ) from error
    return values


def _frame_of(dataset: Any) -> tuple[MapFrame, PixelCount]:
    tags = dataset.tags()
    kinds = tuple(name for name in tags.get("SURFACEDEFECT_KINDS", "").split(",") if name)
    if (
        dataset.count != len(kinds) + 1
        or set(dataset.dtypes) != {"uint8"}
        or not kinds
        or "SURFACEDEFECT_DATA_PX" not in tags
    ):
        raise ScanError(
            f"'{shortened(dataset.name)}' has {dataset.count} band(s) of {dataset.dtypes[0]} "
            f"and names the kinds {list(kinds)}; expected a map that ProbabilityMap.save wrote"
        )
    scale = tags.get("SURFACEDEFECT_MM_PER_PX")
    frame = MapFrame(
        width=dataset.width,
        height=dataset.height,
        kinds=kinds,
        mm_per_px=None if scale is None else float(scale),
        transform=None if dataset.transform.is_identity else dataset.transform,
        crs=dataset.crs,
        model=tags.get("SURFACEDEFECT_MODEL", ""),
    )
    return frame, PixelCount(int(tags["SURFACEDEFECT_INSPECTED_PX"]), int(tags["SURFACEDEFECT_DATA_PX"]))
