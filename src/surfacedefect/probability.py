"""The probability map of a scan: uint8, one band a kind and one for coverage; in memory, or a tiled GeoTIFF on disk."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self, cast

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from surfacedefect._files import atomic_path
from surfacedefect._map_files import BLOCK_PX, MapFrame, PixelCount, read_frame, read_window, write_bands
from surfacedefect.errors import OptionError
from surfacedefect.stitching import Band

if TYPE_CHECKING:
    from affine import Affine
    from rasterio.crs import CRS

_ALL = slice(None)


class ProbabilityMap:
    """P(damage of a kind) for every pixel of a scan, and which pixels were inspected.

    Made by `Detector.probability_map`, `from_bands`, `from_arrays` or `open`. A map on disk that nobody asked to be
    kept lives in a temporary folder as long as an object refers to it.

    Examples
    --------
    >>> import numpy as np
    >>> pm = ProbabilityMap.from_arrays(np.full((1, 4, 6), 51, np.uint8), kinds=("scratch",))
    >>> pm.array("scratch").shape, round(float(pm.array().max()), 2), pm.coverage
    ((4, 6), 0.2, 1.0)
    """

    def __init__(
        self,
        frame: MapFrame,
        *,
        counts: PixelCount,
        arrays: tuple[NDArray[np.uint8], NDArray[np.bool_]] | None = None,
        path: Path | None = None,
        folder: Path | None = None,
    ) -> None:
        self._frame = frame
        self._counts = counts
        self._arrays = arrays
        self._path = path
        if folder is not None:
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)

    @property
    def width(self) -> int:
        """Width in px."""
        return self._frame.width

    @property
    def height(self) -> int:
        """Height in px."""
        return self._frame.height

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.height, self.width

    @property
    def kinds(self) -> tuple[str, ...]:
        """Damage kinds in band order."""
        return self._frame.kinds

    @property
    def mm_per_px(self) -> float | None:
        """Scale in mm, or None when unknown."""
        return self._frame.mm_per_px

    @property
    def transform(self) -> Affine | None:
        """From pixel (x, y) to the scan's own units, or None."""
        return self._frame.transform

    @property
    def crs(self) -> CRS | None:
        """Coordinate reference system of the scan, or None."""
        return self._frame.crs

    @property
    def model(self) -> str:
        """Name of the predictor that made it."""
        return self._frame.model

    @property
    def in_memory(self) -> bool:
        """Whether the map is held in memory rather than in a file."""
        return self._arrays is not None

    @property
    def path(self) -> Path | None:
        """The file that holds the map, or None when it is in memory."""
        return self._path

    @property
    def coverage(self) -> float:
        """Share of the scan that was inspected, in [0, 1]; transparent and nodata pixels are not part of it."""
        return self._counts.inspected_px / self._counts.data_px

    def __repr__(self) -> str:
        """Say size, kinds and coverage."""
        where = "in memory" if self.in_memory else f"in '{self._path}'"
        kinds = ", ".join(self.kinds)
        return f"<ProbabilityMap {self.width} x {self.height} px, {kinds}, coverage {self.coverage:.1%}, {where}>"

    def read(self, kind: str | None = None, *, rows: slice = _ALL, cols: slice = _ALL) -> NDArray[np.uint8]:
        """Return a part as uint8 (rows, columns), 0..255 = 0..1; the largest over kinds when `kind` is None.

        Raises
        ------
        OptionError
            The map has no such kind.
        """
        chosen = range(len(self.kinds)) if kind is None else [self._band_of(kind)]
        result: NDArray[np.uint8] | None = None
        for band in chosen:
            part = self._part(band, rows, cols)
            result = part if result is None else np.maximum(result, part)
        if result is None:
            raise OptionError("the map has no kinds")
        return result

    def read_coverage(self, *, rows: slice = _ALL, cols: slice = _ALL) -> NDArray[np.bool_]:
        """Return which pixels of a part were inspected, bool (rows, columns)."""
        if self._arrays is not None:
            return self._arrays[1][rows, cols]
        return self._part(len(self.kinds), rows, cols) > 0

    def array(self, kind: str | None = None) -> NDArray[np.float32]:
        """Return the whole map as float32 (H, W) in [0, 1]; the largest over kinds when `kind` is None."""
        return self.read(kind).astype(np.float32) / np.float32(255)

    def row_bands(self, rows: int = 2 * BLOCK_PX) -> Iterator[slice]:
        """Yield slices of at most `rows` rows that together are the map."""
        for start in range(0, self.height, rows):
            yield slice(start, min(start + rows, self.height))

    def bands(self, rows: int = 2 * BLOCK_PX) -> Iterator[Band]:
        """Yield the map as bands of rows, as stitching does."""
        for part in self.row_bands(rows):
            values = np.stack([self.read(kind, rows=part) for kind in self.kinds])
            yield Band(part.start, values, self.read_coverage(rows=part), data_px=0)

    def save(self, path: str | Path) -> Path:
        """Write a tiled, compressed GeoTIFF: one uint8 band a kind, then ``coverage`` (255 inspected, 0 not).

        Raises
        ------
        OutputError
            The file cannot be written. Nothing half-written is left.
        """
        target = Path(path)
        if self._path is not None:
            with atomic_path(target) as temporary:
                shutil.copyfile(self._path, temporary)
            return target
        write_bands(self.bands(), self._frame, target, counts=self._counts)
        return target

    def to_bytes(self) -> bytes:
        """Return the GeoTIFF that `save` writes; `from_bytes` makes the map of it again.

        Raises
        ------
        OutputError
            There is no room for a temporary file.

        Examples
        --------
        >>> pm = ProbabilityMap.from_arrays(np.full((1, 4, 6), 51, np.uint8), kinds=("scratch",))
        >>> ProbabilityMap.from_bytes(pm.to_bytes()).read("scratch").tolist() == pm.read("scratch").tolist()
        True
        """
        if self._path is not None:
            return self._path.read_bytes()
        with tempfile.TemporaryDirectory(prefix="surfacedefect-") as folder:
            return self.save(Path(folder) / "map.tif").read_bytes()

    def _band_of(self, kind: str) -> int:
        if kind not in self.kinds:
            raise OptionError(f"the map has no kind '{kind}'; it has {list(self.kinds)}")
        return self.kinds.index(kind)

    def _part(self, band: int, rows: slice, cols: slice) -> NDArray[np.uint8]:
        if self._arrays is not None:
            return self._arrays[0][band, rows, cols]
        first_row, last_row, _ = rows.indices(self.height)
        first_col, last_col, _ = cols.indices(self.width)
        window = Window(first_col, first_row, last_col - first_col, last_row - first_row)
        return read_window(cast("Path", self._path), band=band, window=window)

    @classmethod
    def from_arrays(
        cls,
        probabilities: NDArray[np.uint8],
        kinds: Sequence[str],
        *,
        coverage: NDArray[np.bool_] | None = None,
        mm_per_px: float | None = None,
        transform: Affine | None = None,
        crs: CRS | None = None,
        model: str = "",
    ) -> Self:
        """Make a map of arrays.

        Parameters
        ----------
        probabilities
            uint8 (K, H, W), 0..255 = 0..1.
        kinds
            K names.
        coverage
            bool (H, W); None: inspected in full.
        mm_per_px
            Scale in mm; None when unknown.
        transform, crs
            Where the scan lies: from pixel (x, y) to its own units, and their reference system; None when it does not.
        model
            Name of the predictor that made it.

        Raises
        ------
        OptionError
            Shapes or types do not fit.
        """
        if probabilities.dtype != np.uint8 or probabilities.ndim != 3 or len(probabilities) != len(kinds):
            raise OptionError(
                f"probabilities are {probabilities.dtype} {probabilities.shape} for kinds {list(kinds)}; "
                "expected uint8 of shape (kinds, rows, columns)"
            )
        height, width = probabilities.shape[1:]
        if coverage is None:
            coverage = np.ones((height, width), np.bool_)
        if coverage.shape != (height, width) or coverage.dtype != np.bool_:
            raise OptionError(f"coverage is {coverage.dtype} {coverage.shape}; expected bool {(height, width)}")
        frame = MapFrame(width, height, tuple(kinds), mm_per_px, transform, crs, model)
        counts = PixelCount(int(coverage.sum()), coverage.size)
        return cls(frame, counts=counts, arrays=(probabilities, coverage))

    @classmethod
    def from_bands(cls, bands: Iterable[Band], frame: MapFrame, *, max_memory: int, out: Path | None = None) -> Self:
        """Collect bands: in memory up to `max_memory` bytes, else in a file.

        Parameters
        ----------
        bands
            Rows from top to bottom without gap.
        frame
            What the map is of.
        max_memory
            Most bytes to hold in memory.
        out
            File to write to and to keep; None: a temporary one when needed.
        """
        if out is not None:
            return cls(frame, counts=write_bands(bands, frame, out), path=out)
        if (len(frame.kinds) + 1) * frame.width * frame.height > max_memory:
            folder = Path(tempfile.mkdtemp(prefix="surfacedefect-"))
            path = folder / "map.tif"
            try:
                counts = write_bands(bands, frame, path)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
            return cls(frame, counts=counts, path=path, folder=folder)
        probabilities = np.zeros((len(frame.kinds), frame.height, frame.width), np.uint8)
        coverage = np.zeros((frame.height, frame.width), np.bool_)
        data_px = 0
        for band in bands:
            rows = slice(band.start, band.start + band.coverage.shape[0])
            probabilities[:, rows] = band.probabilities
            coverage[rows] = band.coverage
            data_px += band.data_px
        return cls(frame, counts=PixelCount(int(coverage.sum()), data_px), arrays=(probabilities, coverage))

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Open a map that `save` wrote; it stays in its file.

        Raises
        ------
        ScanError
            The file is not such a map.
        """
        path = Path(path)
        frame, counts = read_frame(path)
        return cls(frame, counts=counts, path=path)

    @classmethod
    def from_bytes(cls, data: bytes, *, max_memory: int = 96 * 2**20) -> Self:
        """Make a map of the bytes of a GeoTIFF that `save` or `to_bytes` made.

        Parameters
        ----------
        data
            The file.
        max_memory
            Most bytes to hold in memory; a larger map stays in a temporary file as long as an object refers to it.

        Raises
        ------
        ScanError
            It is not such a map.
        """
        folder = Path(tempfile.mkdtemp(prefix="surfacedefect-"))
        try:
            path = folder / "map.tif"
            path.write_bytes(data)
            frame, counts = read_frame(path)
            if (len(frame.kinds) + 1) * frame.width * frame.height > max_memory:
                return cls(frame, counts=counts, path=path, folder=folder)
            whole = Window(0, 0, frame.width, frame.height)
            bands = [read_window(path, band=band, window=whole) for band in range(len(frame.kinds) + 1)]
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        shutil.rmtree(folder, ignore_errors=True)
        return cls(frame, counts=counts, arrays=(np.stack(bands[:-1]), bands[-1] > 0))
