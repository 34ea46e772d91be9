"""Pictures in files, in memory and in Pillow's or rasterio's hands -> rows: which reader suits, and what went wrong.

GDAL reads TIFF, PNG and all JPEG but CMYK, as it can hand out rows and says so when a JPEG is cut off. It does not
know of EXIF orientation, so headers are looked at first. Pillow decodes the other formats whole. The two hold different
JPEG decoders, whose values differ a little at edges of colour: 0.1 levels on average in photos, rarely tens.
"""

from __future__ import annotations

import contextlib
import io
import operator
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile

from surfacedefect._raster import OPENING, quiet
from surfacedefect._scan_rows import ArrayRows, DatasetRows, Rows, gdal_settings
from surfacedefect._words import shortened
from surfacedefect.errors import ScanError, ScanTooLargeError, SurfaceDefectError

# Formats that Pillow may decode; not those that run other programs (EPS) or draw (WMF). HEIF is a plug-in of others.
_PILLOW_FORMATS = ("JPEG", "MPO", "PNG", "TIFF", "WEBP", "GIF", "BMP", "DIB", "JPEG2000", "PPM", "AVIF", "HEIF")
_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_PNG_START = b"\x89PNG\r\n\x1a\n"
_NEW_SUBFILE_TYPE, _COMPRESSION, _PHOTOMETRIC, _DNG_VERSION = 254, 259, 262, 50706
_RGB, _LARGEST_PLAIN_PHOTOMETRIC, _YCBCR, _JPEG_COMPRESSION = 2, 3, 6, 7
_KNOWN_STARTS = {
    b"%PDF": "a PDF document",
    b"%!PS": "a PostScript document",
    b"PK\3\4": "a zip archive or an office document",
    b"\x1f\x8b": "a gzip archive",
    b"\x93NUMPY": "a NumPy file; numpy.load gives an array that can be passed instead",
    b"\x89HDF": "an HDF5 file",
}
_READABLE = "expected a picture (TIFF, JPEG, PNG, WebP, GIF, BMP ...)"


def open_rows(source: Any, *, name: str, max_pixels: int, again: bool) -> Rows:
    if isinstance(source, np.ndarray):
        return ArrayRows(source, name=name)
    if isinstance(source, Image.Image):
        with own_pillow_limits():
            return _rows_of_image(source, name=name, max_pixels=max_pixels)
    if isinstance(source, Path | bytes):
        return _rows_of_file(source, name=name, max_pixels=max_pixels)
    if source.closed and again and Path(source.name).is_file():
        header = _Header(source.driver)
        return _rows_through_gdal(Path(source.name), header, name=name, max_pixels=max_pixels)
    if source.closed:
        raise ScanError(f"{name}: found a closed dataset, expected an open one; open it again, or pass its path")
    if not source.mode.startswith("r"):
        raise ScanError(f"{name}: found a dataset opened for writing, expected mode 'r'; close it and pass its path")
    return _rows_of_dataset(source, _Header(source.driver), name=name, max_pixels=max_pixels)


def _rows_of_file(source: Path | bytes, *, name: str, max_pixels: int) -> Rows:
    with own_pillow_limits(), _stream(source) as stream:
        start = stream.read(512)
        if start.startswith(b"\xff\xd8\xff"):
            header = _jpeg_header(stream, name=name)
        elif start.startswith(_PNG_START):
            header = _png_header(stream, name=name)
        elif start.startswith(_TIFF_STARTS):
            header = _tiff_header(stream, name=name)
        else:
            header = None
        if header is None:
            return _decoded_by_pillow(stream, start, name=name, max_pixels=max_pixels)
    return _rows_through_gdal(source, header, name=name, max_pixels=max_pixels)


def _rows_through_gdal(source: Path | bytes, header: _Header, *, name: str, max_pixels: int) -> Rows:
    if isinstance(source, Path) and str(source) != readable(str(source)):
        # GDAL cannot take a path that is not UTF-8, as old file servers have them.
        source = source.read_bytes()
    with contextlib.ExitStack() as resources:
        opened = resources.enter_context(MemoryFile(source)) if isinstance(source, bytes) else source
        # Rasterio warns of pictures without georeferencing, which nearly all are.
        with gdal_settings(max_pixels=max_pixels), quiet():
            dataset = resources.enter_context(rasterio.open(opened, driver=header.driver))
        rows = _rows_of_dataset(dataset, header, name=name, max_pixels=max_pixels)
        if isinstance(rows, DatasetRows):
            rows.resources = resources.pop_all()
    return rows


def _rows_of_dataset(dataset: Any, header: _Header, *, name: str, max_pixels: int) -> Rows:
    # GDAL raises once, at the first question, for a damaged EXIF block, which says nothing of the pixels, and for
    # what went wrong with another file before.
    with contextlib.suppress(Exception):
        _ = dataset.colorinterp
    rows = DatasetRows(dataset, name=name, streams=header.sequential, max_pixels=max_pixels)
    if header.sequential and header.orientation == 1 and not rows.must_be_read_whole:
        return rows
    kind = "(progressive, interlaced, turned by its EXIF orientation or stored in one piece)"
    _check_size(rows.width, rows.height, what=f"a {header.driver} {kind}", name=name, most=max_pixels)
    if header.orientation == 1 and not rows.must_be_read_whole:
        # GDAL keeps the coefficients of a progressive JPEG; a copy of all pixels would come on top of them.
        return rows
    rgb, valid = rows.read(0, rows.height)
    return ArrayRows(
        rgb, name=name, valid=valid, orientation=header.orientation, transform=rows.transform, crs=rows.crs
    )


def _decoded_by_pillow(stream: IO[bytes], start: bytes, *, name: str, max_pixels: int) -> Rows:
    formats = [name for name in _PILLOW_FORMATS if name in _registered_formats()]
    try:
        with quiet():
            image = Image.open(stream, formats=formats)
    except UnidentifiedImageError as error:
        raise ScanError(f"{name}: found {content_of(start)}, {_READABLE}; check that it is the right file") from error
    with image:
        return _rows_of_image(image, name=name, max_pixels=max_pixels)


def _rows_of_image(image: Image.Image, *, name: str, max_pixels: int) -> Rows:
    what = f"a {image.format or 'PIL'} image"
    if 0 in image.size:
        raise ScanError(f"{name}: found {what} of {image.width} x {image.height} px, expected at least one pixel")
    _check_size(image.width, image.height, what=what, name=name, most=max_pixels)
    image.load()
    # After loading: Pillow turns a TIFF itself then, and forgets its orientation.
    return ArrayRows(_array_of_image(image, name=name), name=name, orientation=_orientation(image))


def _array_of_image(image: Image.Image, *, name: str) -> NDArray[Any]:
    if image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16)
    if image.mode == "F":
        return np.asarray(image)
    if image.mode == "I":
        values = np.asarray(image)
        lowest, highest = int(values.min()), int(values.max())
        if lowest < 0 or not 255 < highest < 2**16:
            raise ScanError(
                f"{name}: found a picture of mode I with values from {lowest} to {highest}, expected 16 bits "
                "(0 to 65535); convert it to mode L or I;16"
            )
        return values.astype(np.uint16)
    return np.asarray(image.convert("RGBA" if image.has_transparency_data else "RGB"))


@dataclass(frozen=True)
class _Header:
    """What must be known of a file before GDAL opens it."""

    driver: str
    orientation: int = 1
    sequential: bool = True


def _jpeg_header(stream: IO[bytes], *, name: str) -> _Header | None:
    try:
        with quiet():
            image = Image.open(stream, formats=["JPEG"])
            orientation = _orientation(image)
    except UnidentifiedImageError as error:
        raise ScanError(
            f"{name}: found a JPEG with a damaged or unusual header, expected an ordinary 8-bit one; save it again"
        ) from error
    # GDAL's way from CMYK to RGB differs from that of other programs.
    return None if image.mode == "CMYK" else _Header("JPEG", orientation, not image.info.get("progressive"))


def _png_header(stream: IO[bytes], *, name: str) -> _Header:
    """Walk over the chunks: Pillow would decode the picture to find EXIF behind it, GDAL misses a lost end."""
    stream.seek(len(_PNG_START))
    kept: dict[bytes, bytes] = {}
    while b"IEND" not in kept:
        length, kind = struct.unpack(">I4s", stream.read(8).ljust(8, b"\0"))
        if kind in (b"IHDR", b"eXIf", b"IEND"):
            kept[kind] = stream.read(length)
            complete = len(stream.read(4)) == 4
        else:
            stream.seek(length + 4, io.SEEK_CUR)
            complete = kind != b"\0\0\0\0"
        if not complete:
            raise ScanError(f"{name}: found a PNG that breaks off, expected a whole one; copy the file again")
    image = Image.new("1", (1, 1))
    if b"eXIf" in kept:
        image.info["exif"] = kept[b"eXIf"]
    else:
        # Older programs put EXIF into a text. What Pillow has against the file is no matter here: GDAL will read it.
        with quiet(), contextlib.suppress(Exception):
            image = Image.open(stream, formats=["PNG"])
    orientation = _orientation(image, getexif=Image.Image.getexif)
    return _Header("PNG", orientation, sequential=kept[b"IHDR"][12:13] == b"\0")


def _tiff_header(stream: IO[bytes], *, name: str) -> _Header | None:
    try:
        tags = _tiff_tags(stream)
    except struct.error as error:
        raise ScanError(f"{name}: found a TIFF that breaks off, expected a whole one; copy the file again") from error
    if tags.get(_DNG_VERSION) or tags.get(_NEW_SUBFILE_TYPE, 0) & 1:
        raise ScanError(
            f"{name}: found a camera's raw file or a TIFF that begins with a preview, expected the picture itself; "
            "develop it and save it as TIFF"
        )
    photometric = tags.get(_PHOTOMETRIC, _RGB)
    jpeg_inside = photometric == _YCBCR and tags.get(_COMPRESSION) == _JPEG_COMPRESSION
    if photometric > _LARGEST_PLAIN_PHOTOMETRIC and not jpeg_inside:
        return None
    orientation = tags.get(ExifTags.Base.Orientation, 1)
    return _Header("GTiff", orientation if orientation in range(1, 9) else 1)


def _tiff_tags(stream: IO[bytes]) -> dict[int, int]:
    """First value of each short whole-number tag of a TIFF's first directory.

    Pillow reads a directory only together with a picture of a kind that it can decode, and GDAL hides these tags.
    """
    stream.seek(0)
    start = stream.read(16)
    order = "<" if start.startswith(b"II") else ">"
    big = start[2:4] in (b"+\0", b"\0+")
    (where,) = struct.unpack_from(order + ("Q" if big else "I"), start, 8 if big else 4)
    stream.seek(where)
    count_format, entry_format = (order + "Q", order + "HHQ8s") if big else (order + "H", order + "HHI4s")
    (count,) = struct.unpack(count_format, stream.read(struct.calcsize(count_format)))
    size = struct.calcsize(entry_format)
    tags = {}
    for tag, kind, number, value in struct.iter_unpack(entry_format, stream.read(min(count, 2**16) * size)):
        code = {1: "B", 3: "H", 4: "I", 16: "Q"}.get(kind)
        if code and number and number * struct.calcsize(code) <= len(value):
            (tags[tag],) = struct.unpack_from(order + code, value)
    return tags


def _orientation(image: Image.Image, *, getexif: Callable[[Any], Any] = operator.methodcaller("getexif")) -> int:
    """EXIF orientation 1..8; a damaged EXIF block, of which there are many, says nothing of the pixels."""
    try:
        value = getexif(image).get(ExifTags.Base.Orientation, 1)
    except Exception:
        return 1
    return int(value) if value in range(1, 9) else 1


def _check_size(width: int, height: int, *, what: str, name: str, most: int) -> None:
    if width * height > most:
        raise ScanTooLargeError(
            f"{name}: found {what} of {width} x {height} px ({width * height:,} px), which must be decoded whole, "
            f"expected at most {most:,} px; save it as a tiled TIFF, which may be of any size, or raise max_pixels"
        )


def content_of(start: bytes) -> str:
    """Say what a file that is no picture is, from its first bytes."""
    for known, what in _KNOWN_STARTS.items():
        if start.startswith(known):
            return what
    if not start:
        return "an empty file (0 bytes)"
    if start[4:8] == b"ftyp":
        return "a HEIF photo or a video; export it as JPEG or TIFF"
    text = start.decode("utf-8", errors="ignore").strip("\ufeff \t\r\n")
    if "<svg" in text:
        return "an SVG drawing"
    if text.startswith("<"):
        return "an XML or HTML document"
    # A character may be cut in two at the end.
    if len(text.encode()) > len(start) - 8 and " ".join(text.split()).isprintable():
        return f"text ({text[:40]!r})"
    return f"bytes of an unknown kind ({start[:12]!r})"


def readable(path: str) -> str:
    """Return a path with ``?`` for what is not UTF-8 in it."""
    return path.encode(errors="replace").decode()


def _registered_formats() -> set[str]:
    Image.init()
    return set(Image.OPEN)


def _stream(source: Path | bytes) -> IO[bytes]:
    return io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")


_pillow_limits: list[tuple[int | None, bool]] = []


@contextlib.contextmanager
def own_pillow_limits() -> Iterator[None]:
    """Let ``max_pixels`` and our strictness rule, not Pillow's globals; the last one to leave puts them back."""
    with OPENING:
        _pillow_limits.append((Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES))
        Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = None, False
    try:
        yield
    finally:
        with OPENING:
            limits = _pillow_limits[0]
            _pillow_limits.pop()
            if not _pillow_limits:
                Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = limits


@contextlib.contextmanager
def as_scan_error(name: str) -> Iterator[None]:
    """Turn whatever the readers raise, which may be nearly anything for a damaged file, into our own errors."""
    name = shortened(name)
    try:
        yield
    except SurfaceDefectError:
        raise
    except MemoryError as error:
        raise ScanTooLargeError(
            f"{name}: found a picture that does not fit into memory, expected a smaller one; "
            "save it as a tiled TIFF, which is read row by row"
        ) from error
    except Exception as error:
        cause: BaseException = error
        # Rasterio only says that reading failed; GDAL, below it, says why.
        while isinstance(error, RasterioError) and cause.__cause__ is not None:
            cause = cause.__cause__
        why = shortened(cause).strip() or type(cause).__name__
        raise ScanError(
            f"{name}: cannot be read ({why}), expected an undamaged picture; "
            "copy the file again, or open and save it with another program"
        ) from error
