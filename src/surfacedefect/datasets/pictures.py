"""Is a file a sound picture? Decoded in full, by the reader that detections use; nothing is believed from its name."""

from __future__ import annotations

import datetime
import mimetypes
import re
import threading
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import ExifTags, Image

from surfacedefect._raster import quiet
from surfacedefect._scan_files import content_of, own_pillow_limits
from surfacedefect.errors import ScanError, ScanTooLargeError
from surfacedefect.scan import MAX_PIXELS, Scan

_ROWS = 256
_LARGE_PX = 30_000_000
_one_large_at_a_time = threading.Lock()
_SIGNATURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG", "PNG"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"GIF8", "GIF"),
    (b"\0\0\0\x0cjP  ", "JPEG2000"),
    (b"\xff\x4f\xff\x51", "JPEG2000"),
)
_BRANDS = {b"avif": "AVIF", b"avis": "AVIF", b"heic": "HEIF", b"heix": "HEIF", b"mif1": "HEIF", b"msf1": "HEIF"}
_SUFFIXES = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".mpo"),
    "PNG": (".png", ".apng"),
    "TIFF": (".tif", ".tiff", ".gtiff"),
    "GIF": (".gif",),
    "BMP": (".bmp", ".dib"),
    "WEBP": (".webp",),
    "JPEG2000": (".jp2", ".j2k", ".jpf", ".jpx", ".jpc"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm", ".pfm"),
    "AVIF": (".avif", ".avifs"),
    "HEIF": (".heic", ".heif", ".hif"),
}
_SAME = {"MPO": "JPEG", "DIB": "BMP"}
_CUT = re.compile(
    r"truncated|breaks off|premature|unexpected end|not enough|broken data stream|read error|got \d+ bytes"
)
# Of this package only, not of the machine's own lists: the same names mean the same everywhere.
_TYPES = mimetypes.MimeTypes()


@dataclass(frozen=True, slots=True)
class PictureCheck:
    """What a file turned out to be.

    Attributes
    ----------
    state
        ``"good"``, ``"zero_bytes"``, ``"not_a_picture"``, ``"truncated"``, ``"corrupt"``, ``"unsuitable"`` (whole, but
        of a kind that a `Scan` cannot be) or ``"too_many_pixels"``.
    reason
        Why it is not good, in words; empty when it is.
    format
        ``"JPEG"``, ``"PNG"``, ``"TIFF"`` ...; None when it is none that is known.
    width_px, height_px
        Size with the EXIF orientation applied; None when it could not be read.
    exif_orientation
        1..8, or None.
    exif_date
        When it was taken, by the camera's clock, or None.
    """

    state: str
    reason: str = ""
    format: str | None = None
    width_px: int | None = None
    height_px: int | None = None
    exif_orientation: int | None = None
    exif_date: datetime.datetime | None = None


def check_picture(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> PictureCheck:
    """Decode a picture in full and say what it is.

    Memory grows with the width of the picture where its format can be read by rows. Of those that must be decoded
    whole, one large one is in memory at a time, however many threads ask.

    Parameters
    ----------
    path
        The file; its name does not matter.
    max_pixels
        Most pixels, width times height; a larger picture is not decoded.

    Raises
    ------
    OSError
        The file cannot be opened.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "a.jpg"
    >>> _ = path.write_bytes(b"<html>")
    >>> check_picture(path).state
    'not_a_picture'
    >>> Image.new("RGB", (40, 30)).save(path, "PNG")
    >>> found = check_picture(path)
    >>> found.state, found.format, found.width_px, found.height_px
    ('good', 'PNG', 40, 30)
    """
    place = Path(path)
    with place.open("rb") as file:
        start = file.read(512)
    if not start:
        return PictureCheck("zero_bytes", "found no bytes, expected a picture; copy the file again")
    about = _about(place, _signature(start))
    if about.format is None:
        return PictureCheck("not_a_picture", f"found {content_of(start)}, expected a picture")
    pixels = (about.width_px or 0) * (about.height_px or 0)
    if pixels > max_pixels:
        found = f"found {about.width_px} x {about.height_px} px ({pixels:,} px), expected at most {max_pixels:,} px"
        return _changed(about, "too_many_pixels", f"{found}; raise max_pixels when you trust the file")
    try:
        with _one_large_at_a_time if pixels > _LARGE_PX else nullcontext():
            size = _decode(place, max_pixels=max_pixels)
    except ScanError as error:
        state = "truncated" if _is_cut_riff(place, start) else _state_of(error, format=about.format)
        return _changed(about, state, str(error).removeprefix(f"{place.name}: "))
    return PictureCheck("good", "", about.format, *size, about.exif_orientation, about.exif_date)


def wrong_extension(path: str, *, format: str) -> str:
    """Say what is wrong with the extension of a path for a picture of this format; nothing when it is right.

    A name without an extension, or with one that no kind of file has, says nothing wrong.

    Examples
    --------
    >>> wrong_extension("a/scan.png", format="JPEG")
    "named '.png', but is JPEG; expected '.jpg'"
    >>> wrong_extension("a/scan.JPEG", format="JPEG"), wrong_extension("scan.2024", format="JPEG")
    ('', '')
    """
    suffix = PurePosixPath(path).suffix.lower()
    known = any(suffix in suffixes for suffixes in _SUFFIXES.values()) or suffix in _TYPES.types_map[True]
    if not known or suffix in _SUFFIXES.get(format, (suffix,)):
        return ""
    return f"named {suffix!r}, but is {format}; expected {suffix_of(format)!r}"


def suffix_of(format: str | None) -> str:
    """Return the usual extension of a format, with its dot.

    Examples
    --------
    >>> suffix_of("JPEG"), suffix_of(None)
    ('.jpg', '.bin')
    """
    return _SUFFIXES.get(format or "", (".bin",))[0]


def _decode(path: Path, *, max_pixels: int) -> tuple[int, int]:
    with Scan.open(path, max_pixels=max_pixels) as scan:
        if scan.width * scan.height > max_pixels:
            raise ScanTooLargeError(
                f"{path.name}: found {scan.width} x {scan.height} px ({scan.width * scan.height:,} px), "
                f"expected at most {max_pixels:,} px; raise max_pixels when you trust the file"
            )
        for top in range(0, scan.height, _ROWS):
            scan.rows(top, min(top + _ROWS, scan.height))
        return scan.width, scan.height


def _is_cut_riff(path: Path, start: bytes) -> bool:
    """Whether a WebP is shorter than it says; its decoder only says that it cannot."""
    return start.startswith(b"RIFF") and int.from_bytes(start[4:8], "little") + 8 > path.stat().st_size


def _state_of(error: ScanError, *, format: str) -> str:
    if isinstance(error, ScanTooLargeError):
        return "too_many_pixels"
    if format == "HEIF" and "HEIF" not in Image.OPEN:
        return "unsuitable"
    if _CUT.search(str(error).lower()):
        return "truncated"
    # What a reader stumbled over has a cause; what we have against a whole picture ourselves has none.
    return "corrupt" if error.__cause__ is not None else "unsuitable"


def _about(path: Path, signature: str | None) -> PictureCheck:
    """Format, size and EXIF from the header, as far as it can be read."""
    try:
        with own_pillow_limits(), quiet(), Image.open(path) as image:
            width, height = image.size
            orientation, date = _exif(image)
            if orientation and orientation >= 5:
                width, height = height, width
            kind = _SAME.get(image.format or "", image.format)
            return PictureCheck("", "", signature or _accepted(kind), width, height, orientation, date)
    except Exception:
        return PictureCheck("", format=signature)


def _accepted(kind: str | None) -> str | None:
    """Take formats without a signature of ours (PPM), but none that Pillow draws or has drawn (EPS, WMF)."""
    return kind if kind in _SUFFIXES else None


def _exif(image: Image.Image) -> tuple[int | None, datetime.datetime | None]:
    try:
        exif = image.getexif()
        orientation: Any = exif.get(ExifTags.Base.Orientation)
        inner = exif.get_ifd(ExifTags.IFD.Exif)
        told = inner.get(ExifTags.Base.DateTimeOriginal) or exif.get(ExifTags.Base.DateTime)
    except Exception:
        return None, None
    date = None
    with suppress(ValueError, TypeError):
        date = datetime.datetime.strptime(str(told).strip("\0 ")[:19], "%Y:%m:%d %H:%M:%S")
    return (orientation if orientation in range(1, 9) else None), date


def _signature(start: bytes) -> str | None:
    for known, name in _SIGNATURES:
        if start.startswith(known):
            return name
    if start.startswith(b"RIFF") and start[8:12] == b"WEBP":
        return "WEBP"
    if start.startswith(b"BM") and not any(start[6:10]):
        return "BMP"
    return _BRANDS.get(start[8:12]) if start[4:8] == b"ftyp" else None


def _changed(about: PictureCheck, state: str, reason: str) -> PictureCheck:
    size = (about.width_px, about.height_px)
    return PictureCheck(state, reason, about.format, *size, about.exif_orientation, about.exif_date)
