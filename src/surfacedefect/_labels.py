"""Words on a picture: labels that find room beside the damage, and the caption below."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import shapely
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from shapely.geometry import Polygon

YELLOW, BLUE, DARK, LIGHT, DIM = (255, 214, 0), (112, 150, 210), (22, 24, 28), (240, 240, 240), (150, 155, 165)

_MOST_LABELS = 80
_ANCHORS = 16  # points along an outline beside which a label may stand
_DISTANCES = (0.5, 1.2, 2.5)  # from the outline, in heights of the text
_SIDES = ((0, -1), (1, 0), (-1, 0), (0, 1), (1, -1), (-1, -1), (1, 1), (-1, 1))

Point = tuple[float, float]
Box = tuple[float, float, float, float]


def font_size(cols: int, rows: int) -> int:
    """Height of the text, in px: to be read when the whole picture fills a screen."""
    return round(min(48, max(12, max(cols, rows) / 90)))


def plain(text: str) -> str:
    """Text in the letters that the built-in font has."""
    folded = unicodedata.normalize("NFKD", text)
    kept = "".join(letter for letter in folded if not unicodedata.combining(letter))
    return "".join(letter if 32 <= ord(letter) < 127 else "?" for letter in kept)


def add_labels(
    image: Image.Image, outlines: Sequence[Polygon], labels: Sequence[str], *, margin_px: float
) -> list[Box]:
    """Write a label beside each outline, largest first; never over damage, over another label or out of the picture.

    Where no room is found, an outline stays without. `margin_px` is how far the drawn line reaches beyond an outline.
    Returns where labels stand: left, top, right, bottom in px.
    """
    size = font_size(*image.size)
    font = ImageFont.load_default(size)
    draw = ImageDraw.Draw(image, "RGBA")
    room = _Room.around(outlines, cols=image.width, rows=image.height, cell_px=max(1, size // 6), margin_px=margin_px)
    largest = sorted(range(len(outlines)), key=lambda at: (-math.hypot(*_extent(outlines[at])), at))
    for at in largest:
        if len(room.taken) == _MOST_LABELS:
            break
        if len(outlines) > _ANCHORS and max(_extent(outlines[at])) < size:
            continue
        text = plain(labels[at])
        pad = max(2.0, size / 5)
        extent = (font.getlength(text) + 2 * pad, size + 1.2 * pad)
        place = room.place_beside(outlines[at], extent=extent, text_px=size, margin_px=margin_px)
        if place is None:
            continue
        box, anchor = place
        draw.line([anchor, _nearest(box, anchor)], fill=(*YELLOW, 255), width=max(1, size // 14))
        draw.rounded_rectangle(box, radius=size / 5, fill=(*DARK, 215))
        draw.text((box[0] + pad, (box[1] + box[3]) / 2), text, font=font, fill=(*YELLOW, 255), anchor="lm")
    return room.taken


def _extent(polygon: Polygon) -> Point:
    left, top, right, bottom = polygon.bounds
    return right - left, bottom - top


@dataclass(slots=True)
class _Room:
    """Where in the picture nothing stands yet: damage on a coarse grid (as sums from the corner), labels as boxes."""

    cols: int
    rows: int
    cell_px: int
    sums: NDArray[np.int64]
    taken: list[Box] = field(default_factory=list)

    @classmethod
    def around(cls, outlines: Sequence[Polygon], *, cols: int, rows: int, cell_px: int, margin_px: float) -> _Room:
        grid = Image.new("L", (cols // cell_px + 1, rows // cell_px + 1))
        draw = ImageDraw.Draw(grid)
        for polygon in outlines:
            for part in shapely.get_parts(polygon.buffer(margin_px + cell_px / 2, quad_segs=2)):
                draw.polygon([*map(tuple, shapely.get_coordinates(part.exterior) / cell_px)], fill=1, outline=1)
        sums = np.pad(np.asarray(grid, np.int64).cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
        return cls(cols, rows, cell_px, sums)

    def place_beside(
        self, polygon: Polygon, *, extent: Point, text_px: int, margin_px: float
    ) -> tuple[Box, Point] | None:
        """Find the first free box beside an outline and the point of the outline it belongs to, or None."""
        ring = polygon.exterior
        points = [ring.interpolate(share, normalized=True) for share in np.arange(_ANCHORS) / _ANCHORS]
        anchors = sorted(((point.x, point.y) for point in points), key=lambda point: (round(point[1]), point[0]))
        for distance in _DISTANCES:
            gap = margin_px + distance * text_px
            for side in _SIDES:
                for anchor in anchors:
                    box = _beside(anchor, extent, side, gap)
                    if self.is_free(box) and self.is_clear(anchor, _nearest(box, anchor), margin_px=margin_px):
                        self.taken.append(box)
                        return box, anchor
        return None

    def is_free(self, box: Box) -> bool:
        left, top, right, bottom = box
        if left < 1 or top < 1 or right > self.cols - 1 or bottom > self.rows - 1:
            return False
        if any(left < b[2] + 2 and b[0] < right + 2 and top < b[3] + 2 and b[1] < bottom + 2 for b in self.taken):
            return False
        first_col, first_row = int(left / self.cell_px), int(top / self.cell_px)
        last_col, last_row = int(right / self.cell_px) + 1, int(bottom / self.cell_px) + 1
        sums = self.sums
        inside = sums[last_row, last_col] - sums[first_row, last_col] - sums[last_row, first_col]
        return bool(inside + sums[first_row, first_col] == 0)

    def is_clear(self, anchor: Point, end: Point, *, margin_px: float) -> bool:
        """Whether the line from an outline to its label crosses no damage."""
        length = math.dist(anchor, end)
        steps = np.arange(margin_px + 2 * self.cell_px, length, self.cell_px)[:, None] / max(length, 1e-9)
        points = (np.array(anchor) + steps * (np.array(end) - anchor)) / self.cell_px
        sums = self.sums
        cols, rows = np.clip(points.astype(int), 0, np.array(sums.shape[::-1]) - 2).T
        return not (sums[rows + 1, cols + 1] - sums[rows, cols + 1] - sums[rows + 1, cols] + sums[rows, cols]).any()


def _nearest(box: Box, point: Point) -> Point:
    return min(max(point[0], box[0]), box[2]), min(max(point[1], box[1]), box[3])


def _beside(anchor: Point, extent: Point, side: tuple[int, int], gap: float) -> Box:
    width, height = extent
    across = gap / math.hypot(*side)
    x = anchor[0] + side[0] * (across + width / 2)
    y = anchor[1] + side[1] * (across + height / 2)
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def add_caption(
    image: Image.Image,
    *,
    title: str,
    counts: str,
    threshold: str,
    coverage: float,
    hatched: bool,
    mm_per_px: float | None,
) -> Image.Image:
    """Return the picture with a strip below it: what the colours mean, what was found, how large it is.

    `coverage` is a share in [0, 1] of the pixels that hold a picture; `hatched` says whether any pixel is drawn so;
    `mm_per_px` is that of the picture, not of the scan.
    """
    facts = {"title": title, "counts": counts, "threshold": threshold}
    items = _items(**facts, coverage=coverage, hatched=hatched, mm_per_px=mm_per_px, cols=image.width)
    size = font_size(*image.size)
    font = ImageFont.load_default(size)
    pad = round(0.7 * size)
    lines: list[list[tuple[float, _Item]]] = [[]]
    x = float(pad)
    for item in items:
        wide = item.mark_px(size) + font.getlength(item.text)
        if lines[-1] and x + wide + pad > image.width:
            lines.append([])
            x = float(pad)
        lines[-1].append((x, item))
        x += wide + 2 * pad
    line_height = round(1.7 * size)
    strip = Image.new("RGB", (image.width, line_height * len(lines) + pad), DARK)
    draw = ImageDraw.Draw(strip)
    for number, line in enumerate(lines):
        middle = pad / 2 + (number + 0.5) * line_height
        for x, item in line:
            if item.mark is not None:
                item.mark(draw, x, middle, size)
            draw.text((x + item.mark_px(size), middle), item.text, font=font, fill=LIGHT, anchor="lm")
    whole = Image.new("RGB", (image.width, image.height + strip.height), DARK)
    whole.paste(image, (0, 0))
    whole.paste(strip, (0, image.height))
    return whole


@dataclass(frozen=True, slots=True)
class _Item:
    """A piece of the caption: a mark, `mark_width` px wide (None: as the text is high), and its text."""

    text: str
    mark: Callable[[ImageDraw.ImageDraw, float, float, int], None] | None = None
    mark_width: float | None = None

    def mark_px(self, size: int) -> float:
        if self.mark is None:
            return 0.0
        return (size if self.mark_width is None else self.mark_width) + size / 2


def _items(
    *, title: str, counts: str, threshold: str, coverage: float, hatched: bool, mm_per_px: float | None, cols: int
) -> Iterator[_Item]:
    yield _Item(plain(counts), _damage_mark)
    if threshold:
        yield _Item(plain(f"threshold {threshold}"))
    if coverage > 0:
        yield _Item("inspected, nothing found", _clean_mark)
    if coverage < 1:
        yield _Item(f"NOT inspected: {not_inspected_percent(coverage)}", _unseen_mark)
    elif hatched:
        yield _Item("no picture there", _unseen_mark)
    if title:
        yield _Item(plain(title))
    if mm_per_px is None:
        yield _Item("scale unknown")
        return
    length_mm = _round_length(cols * mm_per_px / 6)

    def bar(draw: ImageDraw.ImageDraw, x: float, middle: float, size: int) -> None:
        end, tick, width = x + length_mm / mm_per_px, size / 3, max(1, size // 8)
        draw.line([(x, middle), (end, middle)], fill=LIGHT, width=width)
        for at in (x, end):
            draw.line([(at, middle - tick), (at, middle + tick)], fill=LIGHT, width=width)

    yield _Item(f"{length_mm:g} mm", bar, length_mm / mm_per_px)


def not_inspected_percent(coverage: float) -> str:
    """Share that was not inspected, in words; never "0 %" when something is missing."""
    share = 100 * (1 - coverage)
    return f"{share:.1f} %" if share >= 0.1 else "under 0.1 %"


def _round_length(largest: float) -> float:
    """Return the largest of 1, 2, 5 times a power of ten that is not above `largest`."""
    power = 10.0 ** math.floor(math.log10(largest))
    return max(step * power for step in (1, 2, 5) if step * power <= largest * (1 + 1e-9))


def _square(x: float, middle: float, size: int) -> Box:
    return x, middle - size / 2, x + size, middle + size / 2


def _damage_mark(draw: ImageDraw.ImageDraw, x: float, middle: float, size: int) -> None:
    draw.rectangle(_square(x, middle, size), fill=(120, 108, 40), outline=YELLOW, width=max(2, size // 8))


def _clean_mark(draw: ImageDraw.ImageDraw, x: float, middle: float, size: int) -> None:
    draw.rectangle(_square(x, middle, size), fill=BLUE)


def _unseen_mark(draw: ImageDraw.ImageDraw, x: float, middle: float, size: int) -> None:
    box = _square(x, middle, size)
    draw.rectangle(box, fill=(70, 70, 74))
    for share in (0.0, 0.4, 0.8):
        stripe = [(x + share * size, box[3]), (min(x + size, x + (share + 0.5) * size), box[1])]
        draw.line(stripe, fill=(170, 170, 170), width=max(1, size // 6))
