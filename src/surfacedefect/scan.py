"""`Scan`: one picture of a surface, whatever it is held in, read from top to bottom as RGB bytes.

With its two private modules, `_scan_files` and `_scan_rows`, it is all of the detecting part that reads pictures.
Tiled and striped TIFF, sequential JPEG and non-interlaced PNG stream: their rows are decoded when they are asked for,
so that memory grows with the width of the scan alone. Everything else is decoded whole, up to ``max_pixels``.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Self, TypeAlias

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from PIL import Image
from rasterio.io import DatasetReader
from rasterio.windows import WindowMethodsMixin

from surfacedefect._scan_files import as_scan_error, open_rows, readable
from surfacedefect._scan_rows import ArrayRows, Rows
from surfacedefect._words import shortened, type_name
from surfacedefect.errors import OptionError, ScanError

MAX_PIXELS = 250_000_000
"""How many pixels a picture may have that must be decoded whole."""

ScanSource: TypeAlias = (
    str | os.PathLike[str] | NDArray[Any] | Image.Image | bytes | bytearray | memoryview | BinaryIO | DatasetReader
)
"""What `Scan.open` takes."""


class Scan:
    """One picture of a surface, as rows of RGB bytes from top to bottom.

    Open it with `Scan.open`, as a context manager or with `close` at the end. Ask for rows forwards: a sequential
    JPEG or PNG is then decoded once; asking backwards is right too, but decodes it again from the top. A scan
    is not to be used by two threads at a time; `reopen` gives the other one its own.

    Attributes
    ----------
    name
        File name, or ``"array"``, ``"image"``, ``"bytes"`` for what has none.
    width, height
        Size in px, with the EXIF orientation applied.
    mm_per_px
        Millimetres on the surface for a pixel, as given by the caller, or None when unknown.
    transform
        From (x, y) in px, corners on integers, to the coordinates of ``crs``; None when not georeferenced.
    crs
        A ``rasterio.crs.CRS``, or None.
    streams
        True when rows are read from the file as they are asked for, False when the picture is decoded whole.

    Examples
    --------
    >>> import numpy as np
    >>> with Scan.open(np.full((40, 60), 65535, np.uint16)) as scan:
    ...     scan.width, scan.height, scan.rows(0, 2).shape, int(scan.rows(2, 3).max())
    (60, 40, (2, 60, 3), 255)
    """

    def __init__(
        self, rows: Rows, *, name: str, source: Any, max_pixels: int = MAX_PIXELS, mm_per_px: float | None = None
    ) -> None:
        self.name = name
        self.width, self.height = rows.width, rows.height
        self.mm_per_px = mm_per_px
        self.transform: Affine | None = rows.transform
        self.crs: Any = rows.crs
        self.streams = rows.streams
        self._rows: Rows | None = rows
        self._source, self._max_pixels = source, max_pixels
        self._kept: tuple[tuple[int, int], NDArray[np.uint8] | None, NDArray[np.bool_] | None] | None = None
        self._read_down_to, self._any_valid = 0, False

    @classmethod
    def open(cls, source: ScanSource | Scan, *, max_pixels: int | None = None, mm_per_px: float | None = None) -> Scan:
        """Open a picture.

        Parameters
        ----------
        source
            Path (``~`` is expanded); array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) of uint8, uint16 or float in
            [0, 1] with NaN where there is no picture, masked arrays too; PIL image; binary file or bytes, kept
            encoded in memory; an open rasterio dataset, which is left open and whose EXIF orientation is not
            applied, as its own pixel grid has none; or another `Scan`, which is opened a second time.
        max_pixels
            Most pixels of a picture that must be decoded whole, `MAX_PIXELS` when None. What streams and what is an
            array already may be larger.
        mm_per_px
            Scale, when it is known; it is never guessed from the file.

        Raises
        ------
        ScanError
            The source cannot be read or is not a picture. A file that breaks off further down raises from `rows`.
        ScanTooLargeError
            It must be decoded whole and has more than ``max_pixels``.
        OptionError
            ``max_pixels`` is not a positive integer, or ``mm_per_px`` not a positive finite number.

        Examples
        --------
        >>> import numpy as np
        >>> Scan.open(np.zeros((3, 4, 3), np.uint8), mm_per_px=0.1)
        <Scan array, 4 x 3 px>
        """
        again = isinstance(source, Scan)
        if isinstance(source, Scan):
            if isinstance(source._rows, ArrayRows) and max_pixels in (None, source._max_pixels):
                return source._shared(source.mm_per_px if mm_per_px is None else _checked_scale(mm_per_px))
            max_pixels = source._max_pixels if max_pixels is None else max_pixels
            mm_per_px = source.mm_per_px if mm_per_px is None else mm_per_px
            name, source = source.name, source._source
        else:
            name, source = _held(source)
        max_pixels = MAX_PIXELS if max_pixels is None else _checked_max_pixels(max_pixels)
        mm_per_px = None if mm_per_px is None else _checked_scale(mm_per_px)
        with as_scan_error(name):
            if isinstance(source, Path):
                _check_file(source)
            rows = open_rows(source, name=name, max_pixels=max_pixels, again=again)
        return cls(rows, name=name, source=source, max_pixels=max_pixels, mm_per_px=mm_per_px)

    @classmethod
    def unopened(cls, source: ScanSource, *, width: int, height: int, mm_per_px: float | None = None) -> Scan:
        """Refer to a picture whose size is known already, without reading it; `reopen` opens it when it is needed.

        Parameters
        ----------
        source
            See `open`.
        width, height
            Its size in px; a picture that has another one by then is refused.
        mm_per_px
            Scale, when it is known.

        Raises
        ------
        ScanError
            The source is none that can be opened.

        Examples
        --------
        >>> import numpy as np
        >>> Scan.unopened(np.zeros((3, 4), np.uint8), width=4, height=3).reopen().rows(0, 3).shape
        (3, 4, 3)
        """
        name, held = _held(source)
        scan = cls(_Unread(width, height), name=name, source=held, mm_per_px=mm_per_px)
        scan.close()
        return scan

    def rows(self, start: int, stop: int) -> NDArray[np.uint8]:
        """Read the rows ``[start, stop)``.

        Returns
        -------
        numpy.ndarray
            (stop - start, width, 3) uint8, RGB, C-contiguous, the caller's to change. Where `valid_rows` is False
            the values mean nothing.

        Raises
        ------
        ScanError
            The rows are not in the picture, the file is cut off or damaged there, or no pixel of it is valid.

        Examples
        --------
        >>> import numpy as np
        >>> Scan.open(np.array([[0.0, 1.0]])).rows(0, 1).tolist()
        [[[0, 0, 0], [255, 255, 255]]]
        """
        kept = self._kept
        if kept is None or kept[0] != (start, stop) or kept[1] is None:
            kept = self._read(start, stop)
        rgb = kept[1]
        # The pixels are given away; their validity may still be asked for.
        self._kept = (kept[0], None, kept[2])
        if rgb is None:
            raise RuntimeError("rows were read without pixels")
        return rgb

    def valid_rows(self, start: int, stop: int) -> NDArray[np.bool_] | None:
        """Say which pixels of the rows ``[start, stop)`` show something.

        Transparent pixels, nodata, NaN and blocks that a TIFF does not hold are not valid. Asking for the same rows
        as the last call of `rows`, or before it, reads nothing twice.

        Returns
        -------
        numpy.ndarray or None
            (stop - start, width) bool; None when all of these rows are valid.

        Raises
        ------
        ScanError
            As `rows`.

        Examples
        --------
        >>> import numpy as np
        >>> Scan.open(np.array([[0.5, np.nan]])).valid_rows(0, 1).tolist()
        [[True, False]]
        """
        if self._kept is None or self._kept[0] != (start, stop):
            self._kept = self._read(start, stop)
        return self._kept[2]

    def close(self) -> None:
        """Let go of the picture; a dataset that the caller opened stays open."""
        if self._rows is not None:
            self._rows.close()
        self._rows = self._kept = None

    def reopen(self) -> Scan:
        """Open the same source again, also after `close`.

        Examples
        --------
        >>> import numpy as np
        >>> scan = Scan.open(np.zeros((3, 4), np.uint8))
        >>> scan.close()
        >>> scan.reopen().rows(0, 3).shape
        (3, 4, 3)
        """
        if isinstance(self._rows, ArrayRows):
            return self._shared(self.mm_per_px)
        again = Scan.open(self)
        if (again.width, again.height) != (self.width, self.height):
            found = f"{again.width} x {again.height}"
            again.close()
            raise ScanError(
                f"{self.name}: found {found} px, expected {self.width} x {self.height} px as at first; "
                "the file was changed meanwhile, start again"
            )
        return again

    def _shared(self, mm_per_px: float | None) -> Scan:
        """Return a scan of the same rows: they are decoded already, and an array has no position to lose."""
        rows, most = self._rows, self._max_pixels
        if rows is None:
            raise RuntimeError("the rows of a closed scan cannot be shared")
        return Scan(rows, name=self.name, source=self._source, max_pixels=most, mm_per_px=mm_per_px)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def __repr__(self) -> str:
        """Name and size."""
        return f"<Scan {self.name}, {self.width} x {self.height} px>"

    def _read(self, start: int, stop: int) -> tuple[tuple[int, int], NDArray[np.uint8], NDArray[np.bool_] | None]:
        if self._rows is None:
            raise ScanError(f"{self.name}: the scan is closed; reopen() opens it again")
        if not 0 <= start <= stop <= self.height:
            raise ScanError(f"{self.name}: rows {start} to {stop} asked for, expected some of 0 to {self.height}")
        self._kept = None
        with as_scan_error(self.name):
            rgb, valid = self._rows.read(start, stop)
        self._any_valid |= stop > start and (valid is None or bool(valid.any()))
        self._read_down_to = max(self._read_down_to, stop) if start <= self._read_down_to else self._read_down_to
        if self._read_down_to == self.height and not self._any_valid:
            raise ScanError(
                f"{self.name}: found no valid pixel (all is transparent, nodata or was never written), "
                "expected a picture; look at its alpha channel and its nodata value"
            )
        return (start, stop), rgb, valid


def encoded_in(source: Any) -> Path | bytes | None:
    """Return the file or the bytes that hold a picture, unread; None for what is decoded already.

    Raises
    ------
    ScanError
        There is no such file, or the source is none that can be opened.

    Examples
    --------
    >>> encoded_in(b"GIF89a"), encoded_in(np.zeros((3, 4), np.uint8))
    (b'GIF89a', None)
    """
    name, held = _held(source)
    if not isinstance(held, Path | bytes):
        return None
    if isinstance(held, Path):
        with as_scan_error(name):
            _check_file(held)
    return held


@dataclass
class _Unread:
    """Stands for the rows of a picture that nobody has opened yet."""

    width: int
    height: int
    streams: bool = False
    transform: Affine | None = None
    crs: Any = None

    def read(self, start: int, stop: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_] | None]:
        raise RuntimeError("rows are read of an opened scan")

    def close(self) -> None:
        pass


def _held(source: Any) -> tuple[str, Any]:
    """Name of a source, and the source in a form that can be opened again later."""
    if isinstance(source, bytes | bytearray | memoryview):
        return "bytes", bytes(source)
    if isinstance(source, np.ndarray):
        return "array", source
    if isinstance(source, Image.Image):
        return Path(str(getattr(source, "filename", "") or "image")).name, source
    if isinstance(source, WindowMethodsMixin):
        return Path(source.name).name, source
    if isinstance(source, str | os.PathLike):
        return _held_path(os.fspath(source))
    if hasattr(source, "read"):
        return _held_file(source)
    raise ScanError(
        f"found {type_name(source)}, expected a path, an array, a PIL image, a "
        "binary file, bytes or an open rasterio dataset; numpy.asarray makes an array of many things"
    )


def _held_path(path: str | bytes) -> tuple[str, Path]:
    text = os.fsdecode(path)
    if not text.strip():
        raise ScanError(f"found the empty path {text!r}, expected the path of a picture, such as 'scan.jpg'")
    if "://" in text:
        raise ScanError(f"found the address {shortened(text)}, expected a file on this machine; download it first")
    with as_scan_error(text):
        # Absolute, as the working directory may be another one when the scan is reopened.
        full = Path(text).expanduser().absolute()
    return readable(full.name), full


def _check_file(path: Path) -> None:
    shown = shortened(readable(str(path)))
    if path.is_dir():
        raise ScanError(f"{shown}: found a directory, expected a picture; name one file in it")
    if not path.exists():
        raise ScanError(f"{shown}: there is no such file, expected a picture; check the path")
    if not path.is_file():
        raise ScanError(f"{shown}: found a device or a pipe, expected a file; pass an open binary file instead")


def _held_file(file: Any) -> tuple[str, bytes]:
    name = getattr(file, "name", None)
    name = Path(name).name if isinstance(name, str) and name else "bytes"
    with as_scan_error(name):
        where = file.tell() if getattr(file, "seekable", bool)() else None
        if where is not None:
            file.seek(0)
        data = file.read()
        if where is not None:
            file.seek(where)
    if not isinstance(data, bytes | bytearray | memoryview):
        raise ScanError(f"{name}: found a file opened as text, expected bytes; open it with mode 'rb'")
    return name, bytes(data)


def _checked_max_pixels(max_pixels: Any) -> int:
    if isinstance(max_pixels, bool) or not isinstance(max_pixels, int | np.integer) or max_pixels < 1:
        raise OptionError(f"max_pixels is {max_pixels!r}, expected a whole number of at least 1")
    return int(max_pixels)


def _checked_scale(mm_per_px: Any) -> float:
    number = isinstance(mm_per_px, int | float | np.integer | np.floating) and not isinstance(mm_per_px, bool)
    if not number or not math.isfinite(mm_per_px) or mm_per_px <= 0:
        raise OptionError(f"mm_per_px is {mm_per_px!r}, expected millimetres for a pixel, a finite number above 0")
    return float(mm_per_px)
