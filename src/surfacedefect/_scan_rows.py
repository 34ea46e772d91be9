"""Rows of a picture as RGB bytes, from an array or through GDAL, and which of their pixels count."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import Interleaving, MaskFlags
from rasterio.session import DummySession
from rasterio.windows import Window

from surfacedefect.errors import ScanError

CACHE_BYTES = 64 * 2**20
"""What GDAL may keep of decoded blocks while rows are read."""
_PIECE_BYTES = CACHE_BYTES // 4

Rgb = NDArray[np.uint8]
Valid = NDArray[np.bool_]


class Rows(Protocol):
    """Something that hands out the rows of one picture from top to bottom."""

    width: int
    height: int
    streams: bool
    transform: Affine | None
    crs: Any

    def read(self, start: int, stop: int) -> tuple[Rgb, Valid | None]:
        """Return rows ``[start, stop)``: RGB (rows, width, 3), and (rows, width) or None when all are valid."""

    def close(self) -> None:
        """Let go of the file, when there is one of our own."""


class ArrayRows:
    """Rows of an array in memory; samples become bytes when they are asked for, so nothing is copied whole."""

    streams = False

    def __init__(
        self,
        array: NDArray[Any],
        *,
        name: str,
        valid: Valid | None = None,
        orientation: int = 1,
        transform: Affine | None = None,
        crs: Any = None,
    ) -> None:
        if isinstance(array, np.ma.MaskedArray):
            array, valid = _unmasked(array)
        _check_array(array, name=name)
        array = array[..., np.newaxis] if array.ndim == 2 else array
        _check_some_valid(array, valid, name=name)
        self._array = oriented(array, orientation)
        self._valid = None if valid is None else oriented(valid, orientation)
        self._name = name
        self.height, self.width = self._array.shape[:2]
        self.transform = None if transform is None else _turned(transform, orientation, self.width, self.height)
        self.crs = crs

    def read(self, start: int, stop: int) -> tuple[Rgb, Valid | None]:
        samples = self._array[start:stop]
        rgb = np.empty((stop - start, self.width, 3), np.uint8)
        rgb[...], valid = _to_bytes(samples[..., :3], name=self._name)
        if samples.shape[-1] == 4:
            valid = _both(valid, samples[..., 3] > 0)
        if self._valid is not None:
            valid = _both(valid, self._valid[start:stop])
        return rgb, _none_if_all(valid)

    def close(self) -> None:
        pass


class DatasetRows:
    """Rows of an open rasterio dataset, read as they are asked for.

    ``resources`` are closed with it: the dataset itself when it is ours, nothing when it is the caller's.
    ``streams=False`` is a file that GDAL decodes whole inside, up to ``max_pixels``. ``whole_blocks=False`` is an
    overview, of which GDAL does not tell which blocks were written.
    """

    def __init__(self, dataset: Any, *, name: str, streams: bool, max_pixels: int, whole_blocks: bool = True) -> None:
        self._dataset, self._name = dataset, name
        self.resources = contextlib.ExitStack()
        self.streams, self._max_pixels = streams, max_pixels
        self.width, self.height = int(dataset.width), int(dataset.height)
        self.transform = None if dataset.transform.is_identity else dataset.transform
        self.crs = dataset.crs or None
        self._colour, self._alpha = _bands(dataset, name=name)
        first = self._colour[0]
        self._type = _sample_type(dataset, self._colour, name=name)
        bits = dataset.tags(first, ns="IMAGE_STRUCTURE").get("NBITS")
        self._top = 2 ** int(bits) - 1 if bits and self._type.kind == "u" else None
        self._inverted = dataset.tags(ns="IMAGE_STRUCTURE").get("MINISWHITE") == "YES"
        self._palette = _palette(dataset, first)
        flags = dataset.mask_flag_enums[first - 1]
        self._nodata = _nodata(dataset, self._colour, self._type)
        # A mask inside the file or beside it; alpha and nodata are seen in the samples themselves.
        self._masked = MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags and MaskFlags.nodata not in flags
        split = dataset.driver == "GTiff" and _is_split(dataset)
        # In a file that is open for update, blocks may still wait in GDAL's cache.
        self._tiff_blocks = dataset.driver == "GTiff" and dataset.mode == "r" and not split and whole_blocks
        if self._tiff_blocks and self._no_block_at_all():
            raise ScanError(
                f"{name}: found a TIFF in which no pixel was ever written, as an interrupted job leaves it, "
                "expected a finished picture; write it again"
            )
        tall, wide = dataset.block_shapes[0]
        # One compressed strip for each band: GDAL would start again at the top for every band of every piece.
        restarts = split and dataset.count > 1 and dataset.interleaving is Interleaving.band
        self._piece_bytes = sys.maxsize if restarts else _PIECE_BYTES
        self.must_be_read_whole = self._piece_bytes > CACHE_BYTES or self._sample_bytes * tall * wide > CACHE_BYTES

    @property
    def _sample_bytes(self) -> int:
        # GDAL keeps every band of a block that it decodes.
        return int(self._type.itemsize * self._dataset.count)

    def read(self, start: int, stop: int) -> tuple[Rgb, Valid | None]:
        rgb = np.empty((stop - start, self.width, 3), np.uint8)
        valid: Valid | None = None
        with gdal_settings(max_pixels=self._max_pixels):
            for window in self._pieces(start, stop):
                rows, columns = window.toslices()
                here = np.s_[rows.start - start : rows.stop - start, columns]
                rgb[here], piece_valid = self._read_piece(window)
                if piece_valid is not None and not piece_valid.all():
                    valid = np.ones(rgb.shape[:2], np.bool_) if valid is None else valid
                    valid[here] = piece_valid
        return rgb, valid

    def part(self, window: Window) -> tuple[Rgb, Valid | None]:
        """Read a window; cheap where the file is tiled."""
        with gdal_settings(max_pixels=self._max_pixels):
            return self._read_piece(window)

    @property
    def tile_shape(self) -> tuple[int, int] | None:
        """Rows and columns of the tiles of the file; None where it is in strips or rows."""
        tall, wide = self._dataset.block_shapes[0]
        return None if self.must_be_read_whole or not self.streams or wide >= self.width else (tall, wide)

    def close(self) -> None:
        self.resources.close()

    def _pieces(self, start: int, stop: int) -> Iterator[Window]:
        """Windows of whole blocks, few enough at a time for GDAL to keep all their bands."""
        tall, wide = self._dataset.block_shapes[0]
        columns = max(wide, self._piece_bytes // (tall * self._sample_bytes) // wide * wide)
        columns = min(columns, self.width)
        rows = max(tall, self._piece_bytes // (columns * self._sample_bytes) // tall * tall)
        tops = [start, *range((start // rows + 1) * rows, stop, rows)] if start < stop else []
        for top, bottom in zip(tops, [*tops[1:], stop], strict=False):
            for left in range(0, self.width, columns):
                yield Window(left, top, min(columns, self.width - left), bottom - top)

    def _read_piece(self, window: Window) -> tuple[Rgb, Valid | None]:
        bands = [*self._colour, *([self._alpha] if self._alpha else [])]
        samples = np.moveaxis(self._dataset.read(bands, window=window), 0, -1)
        colour = samples[..., : len(self._colour)]
        valid = _differs(colour, self._nodata) if self._nodata is not None else None
        if self._palette is not None:
            looked_up = self._palette[colour[..., 0]]
            rgb, valid = looked_up[..., :3], _both(valid, looked_up[..., 3] > 0)
        else:
            if valid is not None and colour.dtype.kind == "f":
                colour = np.where(valid[..., np.newaxis], colour, np.nan)
            rgb, number = _to_bytes(colour, name=self._name, top=self._top)
            rgb = 255 - rgb if self._inverted else rgb
            valid = _both(valid, number)
        if self._alpha:
            valid = _both(valid, samples[..., -1] > 0)
        if self._masked:
            valid = _both(valid, self._dataset.read_masks(self._colour[0], window=window) > 0)
        if self._tiff_blocks:
            valid = _both(valid, self._written(window))
        return rgb, valid

    def _written(self, window: Window) -> Valid | None:
        """Which pixels lie in blocks that the TIFF really holds; GDAL reads the others as black."""
        tall, wide = self._dataset.block_shapes[0]
        rows, columns = window.toslices()
        written: Valid | None = None
        for row in range(rows.start // tall, -(-rows.stop // tall)):
            for column in range(columns.start // wide, -(-columns.stop // wide)):
                if self._has_block(row, column):
                    continue
                if written is None:
                    written = np.ones((window.height, window.width), np.bool_)
                top, left = max(0, row * tall - rows.start), max(0, column * wide - columns.start)
                written[top : (row + 1) * tall - rows.start, left : (column + 1) * wide - columns.start] = False
        return written

    def _has_block(self, row: int, column: int) -> bool:
        return _block_offset(self._dataset, row, column, band=self._colour[0]) is not None

    def _no_block_at_all(self) -> bool:
        tall, wide = self._dataset.block_shapes[0]
        down, across = -(-self.height // tall), -(-self.width // wide)
        # Beyond that it would take long to find out; it shows at the end of the picture then.
        few = down * across <= 100_000
        return few and not any(self._has_block(row, column) for row in range(down) for column in range(across))


def gdal_settings(*, max_pixels: int) -> Any:
    """GDAL's settings while one of our reads lasts; they are put back after it."""
    return rasterio.Env(
        session=DummySession(),
        GDAL_CACHEMAX=CACHE_BYTES,
        # A cut or damaged JPEG is only a warning to libjpeg, and the rest of it comes out grey.
        GDAL_ERROR_ON_LIBJPEG_WARNING="YES",
        # Six bytes for the coefficients of a pixel of a progressive JPEG; 500 MB is what GDAL allows otherwise.
        JPEGMEM=f"{max(500, 8 * max_pixels // 10**6)}M",
        GDAL_PNG_WHOLE_IMAGE_OPTIM="NO",
        GDAL_DISABLE_READDIR_ON_OPEN="TRUE",
    )


def oriented(array: NDArray[Any], orientation: int) -> NDArray[Any]:
    """View of an array (rows, columns, ...) turned and mirrored as its EXIF orientation 1..8 says."""
    array = array.swapaxes(0, 1) if orientation >= 5 else array
    upside_down, mirrored = _flips(orientation)
    return array[:: -1 if upside_down else 1, :: -1 if mirrored else 1]


def _flips(orientation: int) -> tuple[bool, bool]:
    """Whether rows and columns are to be reversed, after the transposition of 5..8."""
    return (orientation - 1) % 4 in (2, 3), (orientation - 1) % 4 in (1, 2)


def _turned(transform: Affine, orientation: int, width: int, height: int) -> Affine:
    """Transform of the turned picture, which is width x height, from that of the stored one."""
    upside_down, mirrored = _flips(orientation)
    to_stored = np.array(
        [[-1 if mirrored else 1, 0, width * mirrored], [0, -1 if upside_down else 1, height * upside_down], [0, 0, 1]]
    )
    to_stored = to_stored[[1, 0, 2]] if orientation >= 5 else to_stored
    # Not transform * ..., which newer versions of affine spell transform @ ...
    return Affine(*(np.array(transform).reshape(3, 3) @ to_stored)[:2].ravel().tolist())


def _both(one: Valid | None, other: Valid | None) -> Valid | None:
    return other if one is None else one if other is None else one & other


def _none_if_all(valid: Valid | None) -> Valid | None:
    return None if valid is None or valid.all() else np.ascontiguousarray(valid)


@functools.lru_cache(maxsize=4)
def _byte_of(top: int) -> Rgb:
    """Byte for every sample value when ``top`` is white: rounded, so that 16 bits are divided by 257."""
    value = np.arange(2**16, dtype=np.int64)
    return np.minimum((value * 255 + top // 2) // top, 255).astype(np.uint8)


def _to_bytes(samples: NDArray[Any], *, name: str, top: int | None = None) -> tuple[Rgb, Valid | None]:
    """Make bytes of samples (rows, columns, bands), and say where all bands are numbers (None: everywhere)."""
    if samples.dtype.kind == "u":
        top = top or np.iinfo(samples.dtype).max
        return (samples if top == 255 else _byte_of(top)[samples]), None
    if not samples.size:
        return samples.astype(np.uint8), None
    _check_range(samples, name=name)
    valid = ~np.isnan(samples).any(axis=-1)
    scaled = np.rint(np.multiply(samples, 255, dtype=np.float32, casting="same_kind"))
    return np.nan_to_num(scaled, copy=False).clip(0, 255).astype(np.uint8), valid


def _check_range(samples: NDArray[Any], *, name: str) -> None:
    lowest, highest = np.fmin.reduce(samples, axis=None), np.fmax.reduce(samples, axis=None)
    if np.isinf(lowest) or np.isinf(highest):
        raise ScanError(
            f"{name}: found infinite values, expected numbers from 0 (black) to 1 (white); "
            "repair them, or set them to NaN where there is no picture"
        )
    if lowest < -1e-6 or highest > 1 + 1e-6:
        advice = "divide them by 255" if lowest >= 0 and highest <= 255 else "scale them, or pass uint8 or uint16"
        raise ScanError(
            f"{name}: found float values from {float(lowest):g} to {float(highest):g}, "
            f"expected 0 (black) to 1 (white); {advice}"
        )


def _check_array(array: NDArray[Any], *, name: str) -> None:
    found = f"{name}: found an array of shape {array.shape} and type {array.dtype}"
    if array.dtype == np.bool_:
        raise ScanError(f"{found}, expected a picture, not a mask; array.astype('uint8') * 255 makes one of it")
    if array.dtype.kind != "f" and (array.dtype.kind != "u" or array.dtype.itemsize > 2):
        raise ScanError(
            f"{found}, expected uint8, uint16 or float in [0, 1]; "
            "array.astype('uint8') does for values of 0..255, astype('uint16') for 0..65535"
        )
    wanted = "(rows, columns), (rows, columns, 1), (rows, columns, 3) or (rows, columns, 4)"
    if array.ndim not in (2, 3):
        raise ScanError(f"{found}, expected {wanted}; pass one picture at a time")
    if 0 in array.shape:
        raise ScanError(f"{found}, expected at least one pixel")
    if array.ndim == 3 and array.shape[2] not in (1, 3, 4):
        channels_first = array.shape[0] in (1, 3, 4)
        advice = "; the channels stand first, numpy.moveaxis(array, 0, -1) puts them last" if channels_first else ""
        raise ScanError(f"{found}, expected {wanted}{advice}")


def _check_some_valid(array: NDArray[Any], valid: Valid | None, *, name: str) -> None:
    if array.dtype.kind == "f":
        if np.isnan(np.fmax.reduce(array, axis=None)):
            raise ScanError(f"{name}: found NaN in every pixel, expected a picture with some valid ones")
        _check_range(array, name=name)
    if valid is not None and not valid.any():
        raise ScanError(f"{name}: found every pixel masked out, expected a picture with some valid ones")
    if array.shape[-1] == 4 and not (array[..., 3] > 0).any():
        raise ScanError(f"{name}: found every pixel fully transparent, expected a picture with some opaque ones")


def _unmasked(array: np.ma.MaskedArray[Any, Any]) -> tuple[NDArray[Any], Valid]:
    """Take a masked array apart into samples and validity; what is masked need not be in any range."""
    hidden: Any = np.ma.getmaskarray(array)
    samples: NDArray[Any] = array.filled(np.nan) if array.dtype.kind == "f" else np.asarray(array.data)
    valid: Valid = ~(hidden.any(axis=-1) if array.ndim == 3 else hidden)
    return samples, valid


def _bands(dataset: Any, *, name: str) -> tuple[list[int], int | None]:
    """Numbers of the one or three bands that are the picture, and of its alpha band."""
    meanings = [meaning.name for meaning in dataset.colorinterp]
    alpha = meanings.index("alpha") + 1 if "alpha" in meanings else None
    if {"red", "green", "blue"} <= set(meanings):
        return [meanings.index(colour) + 1 for colour in ("red", "green", "blue")], alpha
    others = [number for number in dataset.indexes if number != alpha]
    if len(others) not in (1, 3):
        raise ScanError(
            f"{name}: found {dataset.count} bands ({', '.join(meanings)}), expected gray, gray + alpha, RGB or "
            "RGB + more; say in the file which bands are red, green and blue, or pass an array of those three"
        )
    return others, alpha


def _sample_type(dataset: Any, bands: list[int], *, name: str) -> np.dtype[Any]:
    kinds = {dataset.dtypes[band - 1] for band in bands}
    if len(kinds) > 1 or not kinds <= {"uint8", "uint16", "float16", "float32", "float64"}:
        raise ScanError(
            f"{name}: found samples of type {', '.join(sorted(kinds))}, expected uint8, uint16 or float in [0, 1]; "
            "convert the file, for instance with gdal_translate -ot Byte -scale"
        )
    kind: np.dtype[Any] = np.dtype(kinds.pop())
    return kind


def _palette(dataset: Any, band: int) -> Rgb | None:
    """Colours (value, RGBA) of a palette picture, or None."""
    if dataset.colorinterp[band - 1].name != "palette":
        return None
    palette = np.zeros((2**16, 4), np.uint8)
    palette[:, 3] = 255
    for value, colour in dataset.colormap(band).items():
        palette[value] = colour
    return palette


def _nodata(dataset: Any, bands: list[int], kind: np.dtype[Any]) -> NDArray[Any] | None:
    """Return what means no data in each band, in the type of the samples; None when there is no such value."""
    values = [dataset.nodatavals[band - 1] for band in bands]
    if any(value is None for value in values):
        return None
    if kind.kind == "u" and not all(float(value).is_integer() and 0 <= value <= np.iinfo(kind).max for value in values):
        return None
    with np.errstate(over="ignore"):
        return np.array(values, dtype=np.float64).astype(kind)


def _differs(samples: NDArray[Any], nodata: NDArray[Any]) -> Valid:
    """Where integers differ from nodata in some band, floats in every band: black paint may share one value."""
    if samples.dtype.kind == "f":
        hidden = (samples == nodata) | (np.isnan(samples) & np.isnan(nodata))
        differs: Valid = ~hidden.any(axis=-1)
    else:
        differs = (samples != nodata).any(axis=-1)
    return differs


def _block_offset(dataset: Any, row: int, column: int, *, band: int = 1) -> Any:
    return dataset.get_tag_item(f"BLOCK_OFFSET_{column}_{row}", "TIFF", bidx=band)


def _is_split(dataset: Any) -> bool:
    """Whether GDAL shows one tall strip of a TIFF as single rows: its blocks are then not those of the file."""
    single_rows = dataset.block_shapes[0][0] == 1 and dataset.height > 1
    return single_rows and _block_offset(dataset, 0, 0) is not None and _block_offset(dataset, 1, 0) is None
