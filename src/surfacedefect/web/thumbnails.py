"""The small picture of a scan in the list."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps

from surfacedefect._files import atomic_path
from surfacedefect._scan_files import as_scan_error, open_rows, own_pillow_limits
from surfacedefect.errors import OutputError
from surfacedefect.web import pictures, tiles
from surfacedefect.web.pyramid import Pixels

SIDE_PX = 256
_BAND_ROWS = 1024


def thumbnail(
    path: Path, place: Path, *, name: str, max_pixels: int, max_tiled_pixels: int
) -> tuple[bytes, tuple[int, int] | None]:
    """Return a JPEG, kept in `place` once it is made, and the size of the scan where it was read for it.

    Raises
    ------
    ScanError
        The scan cannot be read.
    """
    kept = place / "thumbnail.jpg"
    with contextlib.suppress(OSError):
        data = kept.read_bytes()
        if data.endswith(b"\xff\xd9"):
            return data, None
    with as_scan_error(name):
        image, size = (
            _of_jpeg(path, max_pixels) if _is_jpeg(path) else _of_rows(path, name, max_pixels, max_tiled_pixels)
        )
        data = tiles.thumbnail(image, side_px=SIDE_PX)
    with contextlib.suppress(OutputError), atomic_path(kept) as part:
        part.write_bytes(data)
    return data, size


def _is_jpeg(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(3) == b"\xff\xd8\xff"


def _of_jpeg(path: Path, max_pixels: int) -> tuple[Image.Image, tuple[int, int]]:
    """Decode at an eighth of the size, which libjpeg does ten times as fast."""
    with own_pillow_limits(), Image.open(path, formats=["JPEG"]) as image:
        if image.width * image.height > max_pixels:
            return _of_rows(path, path.name, max_pixels, max_pixels)
        size = image.size
        image.draft("RGB", (2 * SIDE_PX, 2 * SIDE_PX))
        image.load()
        try:
            small = ImageOps.exif_transpose(image)
        except Exception:  # a damaged EXIF block, of which there are many, says nothing of the pixels
            small = image.copy()
        turned = (small.width, small.height) == (image.height, image.width) and _is_turned(image)
        return small.convert("RGB"), (size[1], size[0]) if turned else size


def _is_turned(image: Image.Image) -> bool:
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
    except Exception:
        return False


def _of_rows(path: Path, name: str, max_pixels: int, max_tiled_pixels: int) -> tuple[Image.Image, tuple[int, int]]:
    """Shrink band by band; what is huge is shrunk from the levels that its tiles need anyway."""
    with contextlib.closing(open_rows(path, name=name, max_pixels=max_pixels, again=False)) as rows:
        pictures.check_size(rows, name=name, most=max_tiled_pixels)
        factor = max(1, max(rows.width, rows.height) // (2 * SIDE_PX))
        bands: list[Pixels] = []
        step = max(factor, _BAND_ROWS // factor * factor)
        for start in range(0, rows.height, step):
            rgb, valid = rows.read(start, min(start + step, rows.height))
            pixels = Image.fromarray(pictures.rgba(rgb, valid))
            bands.append(np.asarray(pixels.reduce(factor)))
        return Image.fromarray(np.concatenate(bands)), (rows.width, rows.height)
