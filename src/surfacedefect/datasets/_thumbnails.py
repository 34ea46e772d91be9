"""Small pictures for a page: decoded at a fraction of their size where the format allows, as data URIs."""

from __future__ import annotations

import base64
import io
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import shapely
from PIL import Image, ImageDraw, ImageOps

from surfacedefect._machine import usable_cores
from surfacedefect._raster import quiet
from surfacedefect._scan_files import own_pillow_limits
from surfacedefect._words import shortened
from surfacedefect.annotations import Region
from surfacedefect.datasets._layout import Layout
from surfacedefect.datasets._report_facts import Shown
from surfacedefect.datasets.progress import Meter
from surfacedefect.errors import ScanTooLargeError
from surfacedefect.scan import MAX_PIXELS, Scan

_LARGE_PX = 30_000_000
_BAND_PX = 4_000_000
_MOST_BYTES = 16_000
_QUALITIES = (76, 58, 40, 25)
_CASING = (16, 18, 24)
_NOTHING = (128, 128, 128)  # where a picture shows nothing: transparent, nodata
_FINE = 2  # outlines are drawn this many times finer, then averaged: smooth edges
_WAITING = 4  # pictures a thread
_one_large_at_a_time = threading.Lock()


@dataclass(frozen=True, slots=True)
class Order:
    """A thumbnail to be made.

    Attributes
    ----------
    shown
        The picture.
    side_px
        Longer side of the thumbnail.
    regions, colours
        Outlines to draw, and the colour of each kind.
    """

    shown: Shown
    side_px: int
    regions: tuple[Region, ...] = ()
    colours: Mapping[str, tuple[int, int, int]] | None = None


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A small picture as a data URI with its size in px; without one, why not."""

    uri: str = ""
    width: int = 0
    height: int = 0
    failure: str = ""


def make_thumbnails(layout: Layout, orders: Iterable[Order], *, meter: Meter) -> Iterator[Thumbnail]:
    """Make thumbnails on all cores, in the order of the orders, with few waiting."""
    waiting: deque[Future[Thumbnail]] = deque()
    pool = ThreadPoolExecutor(usable_cores(), thread_name_prefix="thumbnail")
    try:
        for order in orders:
            waiting.append(pool.submit(_made, layout, order, meter))
            if len(waiting) > _WAITING * usable_cores():
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _made(layout: Layout, order: Order, meter: Meter) -> Thumbnail:
    """Make one; one picture that cannot be drawn is named on the page, and costs nobody the others."""
    try:
        meter.check()
        shown, drawn = order.shown, bool(order.regions)
        side_px, pixels = order.side_px * (_FINE if drawn else 1), shown.width_px * shown.height_px
        small = shrunk(layout.object(shown.hash), side_px=side_px, about_px=pixels)
        if drawn:
            _draw(small, order)
            small.thumbnail((order.side_px, order.side_px), Image.Resampling.BOX)
        return Thumbnail(_data_uri(small), *small.size)
    except FileNotFoundError:
        return Thumbnail(failure="its file is not in the store")
    except Exception as error:  # decoders raise nearly anything for a damaged file
        # Its name in the store tells a reader nothing; the page names the path that it came from.
        why = str(error).removeprefix(f"{order.shown.hash[2:]}: ")
        return Thumbnail(failure=shortened(why) or type(error).__name__)
    finally:
        meter.add(files=1)


def shrunk(path: Path, *, side_px: int, about_px: int = 0, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Read a picture as RGB, as it is to be seen, with a longer side of at most so many px.

    JPEG is decoded at 1/2, 1/4 or 1/8 of its size; all else is read in bands of rows, as detections read it. Of those
    that may have to be whole in memory and have many pixels (`about_px`), one is read at a time.

    Raises
    ------
    ScanError
        It is not a picture, damaged, or has more than `max_pixels`.
    OSError
        The file cannot be read.
    """
    with own_pillow_limits():
        with quiet():
            image = _opened_jpeg(path)
        if image is not None:
            with image:
                _check_pixels(image.width * image.height, path=path, most=max_pixels)
                with _turn(image.width * image.height if image.info.get("progressive") else 0):
                    image.draft("RGB", (2 * side_px, 2 * side_px))
                    small = ImageOps.exif_transpose(image).convert("RGB")
        else:
            with _turn(about_px):
                small = _from_scan(path, side_px=side_px, max_pixels=max_pixels)
    small.thumbnail((side_px, side_px), Image.Resampling.LANCZOS)
    return small


def _opened_jpeg(path: Path) -> Image.Image | None:
    with path.open("rb") as file:
        if file.read(3) != b"\xff\xd8\xff":
            return None
    return Image.open(path, formats=["JPEG", "MPO"])


def _from_scan(path: Path, *, side_px: int, max_pixels: int) -> Image.Image:
    with Scan.open(path, max_pixels=max_pixels) as scan:
        _check_pixels(scan.width * scan.height, path=path, most=max_pixels)
        factor = max(1, max(scan.width, scan.height) // (2 * side_px))
        step = factor * max(1, _BAND_PX // (scan.width * factor))
        small = Image.new("RGB", (-(-scan.width // factor), -(-scan.height // factor)))
        for top in range(0, scan.height, step):
            below = min(top + step, scan.height)
            rows, valid = scan.rows(top, below), scan.valid_rows(top, below)
            if valid is not None:
                rows[~valid] = _NOTHING
            small.paste(Image.fromarray(rows).reduce(factor), (0, top // factor))
    return small


def _check_pixels(pixels: int, *, path: Path, most: int) -> None:
    if pixels > most:
        raise ScanTooLargeError(f"{path.name}: found {pixels:,} px, expected at most {most:,} for a thumbnail")


def _turn(pixels: int) -> threading.Lock | nullcontext[None]:
    """Let one large picture be whole in memory at a time, however many threads there are."""
    return _one_large_at_a_time if pixels > _LARGE_PX else nullcontext()


def _draw(small: Image.Image, order: Order) -> None:
    """Draw outlines as lines of 1.5 px on a dark one of three, thin regions too, finer than they will be shown."""
    factor = (small.width / order.shown.width_px, small.height / order.shown.height_px)
    draw = ImageDraw.Draw(small)
    rings = [
        ([(x * factor[0], y * factor[1]) for x, y in ring.coords], (order.colours or {}).get(region.kind, (255,) * 3))
        for region in order.regions
        for part in shapely.get_parts(region.polygon)
        for ring in (part.exterior, *part.interiors)
    ]
    for points, _ in rings:
        draw.line(points, fill=_CASING, width=3 * _FINE, joint="curve")
    for points, colour in rings:
        draw.line(points, fill=colour, width=round(1.5 * _FINE), joint="curve")


def _data_uri(small: Image.Image) -> str:
    for quality in _QUALITIES:
        out = io.BytesIO()
        small.save(out, "JPEG", quality=quality, optimize=True)
        if out.tell() <= _MOST_BYTES:
            break
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode("ascii")
