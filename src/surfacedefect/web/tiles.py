"""From pixels to the tile that a browser shows."""

from __future__ import annotations

import functools
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, features

from surfacedefect.web.pyramid import Pixels
from surfacedefect.web.values import TILE_PX, Palette

_JPEG_QUALITY = 88
_STRIPE_PX = 8  # twice this divides a tile, so that stripes go on in the next one
_DAMAGE_ALPHA, _CLEAN_ALPHA, _UNSEEN_ALPHA = 217, 77, 150
_NOTHING, _DAMAGE, _CLEAN, _STRIPE, _GAP = range(5)

Flags = NDArray[np.bool_]


def photo(pixels: Pixels) -> tuple[bytes, str]:
    """Encode RGBA (256, 256, 4): JPEG, or where something is transparent WebP."""
    if pixels[..., 3].all():
        return _encoded(Image.fromarray(pixels[..., :3]), "JPEG", quality=_JPEG_QUALITY, subsampling=0), "image/jpeg"
    if features.check("webp"):
        image = Image.fromarray(pixels)
        return _encoded(image, "WEBP", quality=_JPEG_QUALITY, method=1, alpha_quality=100), "image/webp"
    return _encoded(Image.fromarray(pixels), "PNG", compress_level=1), "image/png"


def findings(damaged: Flags, inspected: Flags, *, palette: Palette) -> tuple[bytes, str]:
    """Encode what is damaged and what is clean, bool (256, 256) each; the rest is transparent."""
    values = np.where(damaged, np.uint8(_DAMAGE), np.where(inspected, np.uint8(_CLEAN), np.uint8(_NOTHING)))
    return _flat(values, palette), "image/png"


def unseen(hidden: Flags, *, palette: Palette) -> tuple[bytes, str]:
    """Encode where nothing was inspected, as slanting stripes."""
    slant = (np.arange(TILE_PX)[:, None] + np.arange(TILE_PX)) // _STRIPE_PX % 2 == 0
    values = np.where(hidden, np.where(slant, np.uint8(_STRIPE), np.uint8(_GAP)), np.uint8(_NOTHING))
    return _flat(values, palette), "image/png"


def thumbnail(image: Image.Image, *, side_px: int) -> bytes:
    """Encode a small picture; what is transparent becomes grey."""
    image.thumbnail((side_px, side_px), Image.Resampling.LANCZOS)
    if image.mode == "RGBA":
        ground = Image.new("RGB", image.size, (128, 128, 128))
        ground.paste(image, mask=image.getchannel("A"))
        image = ground
    return _encoded(image.convert("RGB"), "JPEG", quality=80)


def rgb_of(colour: str) -> tuple[int, int, int]:
    """Return a colour's three bytes.

    Examples
    --------
    >>> rgb_of("#ffd600")
    (255, 214, 0)
    """
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _flat(values: NDArray[np.uint8], palette: Palette) -> bytes:
    if not values.any():
        return _empty()
    image = Image.new("P", (values.shape[1], values.shape[0]))
    image.frombytes(values.tobytes())
    image.putpalette(
        [0, 0, 0, *rgb_of(palette.damage), *rgb_of(palette.clean), *rgb_of(palette.unseen), 20, 20, 24], "RGB"
    )
    alpha = bytes([0, _DAMAGE_ALPHA, _CLEAN_ALPHA, _UNSEEN_ALPHA, _UNSEEN_ALPHA])
    return _encoded(image, "PNG", transparency=alpha, compress_level=6, bits=4)


@functools.cache
def _empty() -> bytes:
    return _encoded(Image.new("RGBA", (TILE_PX, TILE_PX)), "PNG")


def _encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    data = io.BytesIO()
    image.save(data, format=kind, **options)
    return data.getvalue()
