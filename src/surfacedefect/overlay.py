"""The picture that a person looks at: damage yellow, inspected and clean blue, not inspected hatched grey.

The scan is read, shrunk and coloured in bands of rows, so memory follows the size of the picture, not of the scan.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import shapely
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from shapely.geometry import Polygon

from surfacedefect._checks import expect, is_number
from surfacedefect._labels import add_caption, add_labels, font_size
from surfacedefect.errors import OptionError

if TYPE_CHECKING:
    from surfacedefect.defect import Defect
    from surfacedefect.probability import ProbabilityMap
    from surfacedefect.scan import Scan

YELLOW = (255, 214, 0)
BLUE = (30, 110, 255)
GREY = (150, 150, 150)
DARK = (20, 20, 24)

_FILL, _CASING, _TINT = 0.30, 0.75, 0.16  # opacities
_FINE = 4  # outlines are drawn this many times finer, then averaged: smooth edges
_BAND_BYTES = 6 * 2**20
_LARGEST_SIDE_PX = 65_500  # what PNG and JPEG writers take


@dataclass(frozen=True, slots=True)
class _Frame:
    """The scan (width, height) and the picture of it (cols, rows), both in px."""

    width: int
    height: int
    cols: int
    rows: int

    @property
    def factor(self) -> float:
        """Picture px a scan px."""
        return max(self.cols / self.width, self.rows / self.height)

    @property
    def line_px(self) -> float:
        """Width of an outline: to be seen when the whole picture is, and not to hide a hairline when it is not."""
        return max(1.5, max(self.cols, self.rows) / 1400)

    def bands(self) -> Iterator[tuple[int, int]]:
        """Rows of the picture, in pieces whose scan pixels and fine masks fit into `_BAND_BYTES`."""
        scan_row = 3 * self.width * max(1.0, self.height / self.rows)
        mask_row = self.cols * _FINE * _FINE
        step = max(1, int(_BAND_BYTES / max(scan_row, mask_row)))
        for start in range(0, self.rows, step):
            yield start, min(start + step, self.rows)

    def scan_rows(self, start: int, stop: int) -> tuple[int, int]:
        """Scan rows that picture rows [start, stop) lie on."""
        ratio = self.height / self.rows
        return math.floor(start * ratio), min(self.height, math.ceil(stop * ratio - 1e-9))


def draw_overlay(
    scan: Scan | None,
    defects: Sequence[Defect],
    *,
    probability_map: ProbabilityMap,
    title: str = "",
    threshold: str = "",
    scale: float | None = None,
    long_side_px: int = 4096,
    caption: bool = True,
) -> Image.Image:
    """Draw defects and coverage over a scan.

    The damage itself stays visible: its outline runs around it, and labels lie beside it. A label carries the number
    of the defect in `defects`, from 1, its kind and its score; small defects go without when there is no room.

    Parameters
    ----------
    scan
        Open scan, read in bands of rows; None draws on plain grey.
    defects
        What to outline, in scan pixels.
    probability_map
        Where the scan was inspected, and its scale.
    title, threshold
        Text for the caption.
    scale
        Picture px a scan px, above 0. None takes 1, or less where the picture would exceed `long_side_px`.
    long_side_px
        Longer side of the picture without its caption when `scale` is None, in px.
    caption
        Whether to add a strip with legend, counts and scale bar below the scan.

    Returns
    -------
    PIL.Image.Image
        RGB. Pixel (0, 0) is the corner of the scan; the caption adds rows below.

    Raises
    ------
    OptionError
        `scale` or `long_side_px` is out of its range.
    ScanError
        The scan can no longer be read.

    Examples
    --------
    >>> import shapely
    >>> from surfacedefect import Defect, ProbabilityMap
    >>> pm = ProbabilityMap.from_arrays(np.zeros((1, 300, 400), np.uint8), ("dent",))
    >>> dent = Defect(shapely.box(50, 60, 90, 100), "dent", score=0.8, area_px=1600, length_px=40, width_px=40)
    >>> draw_overlay(None, [dent], probability_map=pm, caption=False).size
    (400, 300)
    """
    frame = _frame(probability_map.width, probability_map.height, scale=scale, long_side_px=long_side_px)
    outlines = [_Outline.of(defect.polygon, frame) for defect in defects]
    source = None if scan is None else _Downwards(scan)
    stripe_px = max(3, round(font_size(frame.cols, frame.rows) / 3))
    hatched = False
    image = Image.new("RGB", (frame.cols, frame.rows))
    for start, stop in frame.bands():
        band = _photo(source, frame, start, stop)
        inspected = _inspected(probability_map, frame, start, stop)
        hatched = hatched or not inspected.all()
        drawn = _masks(outlines, first_row=start, size=(frame.cols, stop - start), line_px=frame.line_px)
        coloured = _coloured(band, inspected, drawn, first_row=start, stripe_px=stripe_px)
        image.paste(Image.fromarray(coloured), (0, start))
    labels = [f"#{number} {defect.kind} {defect.score:.2f}" for number, defect in enumerate(defects, start=1)]
    add_labels(image, [outline.polygon for outline in outlines], labels, margin_px=2 * frame.line_px)
    if not caption:
        return image
    return add_caption(
        image,
        title=title,
        counts=_counts(defects, coverage=probability_map.coverage),
        threshold=threshold,
        coverage=probability_map.coverage,
        hatched=hatched,
        mm_per_px=None if probability_map.mm_per_px is None else probability_map.mm_per_px / frame.factor,
    )


def _frame(width: int, height: int, *, scale: float | None, long_side_px: int) -> _Frame:
    good_side = is_number(long_side_px) and 1 <= long_side_px < math.inf
    expect(good_side, "long_side_px", long_side_px, "at least 1 px, such as 4096")
    if scale is None:
        scale = min(1.0, long_side_px / max(width, height))
    good_scale = is_number(scale) and 0 < scale < math.inf
    expect(good_scale, "scale", scale, "a number above 0, such as 0.5 for half the width")
    cols, rows = max(1, round(width * scale)), max(1, round(height * scale))
    if max(cols, rows) > _LARGEST_SIDE_PX:
        raise OptionError(
            f"a picture of {cols} x {rows} px was asked for; at most {_LARGEST_SIDE_PX} px a side can be written. "
            "Take a smaller scale, or save the probability map as GeoTIFF"
        )
    return _Frame(width, height, cols, rows)


def _counts(defects: Sequence[Defect], *, coverage: float) -> str:
    if coverage == 0:
        return "nothing was inspected"
    if not defects:
        return "no damage found" if coverage == 1 else "no damage found where inspected"
    kinds = [defect.kind for defect in defects]
    parts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in sorted(set(kinds)))
    return f"{len(kinds)} defect{'s' if len(kinds) > 1 else ''}: {parts}"


@dataclass(frozen=True, slots=True)
class _Outline:
    """A defect in picture px, the rows it reaches over, and the middle of the line that runs around it outside."""

    polygon: Polygon
    rows: tuple[float, float]
    around: shapely.Geometry

    @classmethod
    def of(cls, polygon: Polygon, frame: _Frame) -> _Outline:
        factors = np.array([frame.cols / frame.width, frame.rows / frame.height])
        placed = shapely.transform(polygon, lambda points: points * factors)
        coarse = placed.simplify(0.25, preserve_topology=True)  # the picture cannot show more
        if isinstance(coarse, Polygon) and not coarse.is_empty:
            placed = coarse
        around = placed.buffer(frame.line_px / 2, quad_segs=4).boundary
        return cls(placed, (placed.bounds[1], placed.bounds[3]), around)


class _Downwards:
    """Rows of a scan from top to bottom, none asked for twice: neighbouring bands of the picture share a scan row."""

    def __init__(self, scan: Scan) -> None:
        self._scan = scan
        self._stop = 0
        self._last = np.empty((0, scan.width, 3), np.uint8)

    def rows(self, start: int, stop: int) -> NDArray[np.uint8]:
        """Return scan rows [start, stop), uint8 (rows, width, 3); `start` is at most one row above the last `stop`."""
        fresh = self._scan.rows(max(start, self._stop), stop) if stop > self._stop else self._last[:0]
        both = np.concatenate([self._last, fresh]) if start < self._stop else fresh
        self._stop, self._last = max(stop, self._stop), both[-1:].copy()
        return both


def _photo(source: _Downwards | None, frame: _Frame, start: int, stop: int) -> NDArray[np.uint8]:
    """Shrink the scan to picture rows [start, stop) by averaging; plain grey without a scan."""
    if source is None:
        return np.full((stop - start, frame.cols, 3), 128, np.uint8)
    first, last = frame.scan_rows(start, stop)
    rows = Image.fromarray(np.ascontiguousarray(source.rows(first, last)))
    ratio = frame.height / frame.rows
    box = (0.0, start * ratio - first, float(frame.width), min(stop * ratio - first, float(last - first)))
    return np.array(rows.resize((frame.cols, stop - start), Image.Resampling.BOX, box=box))


def _inspected(probability_map: ProbabilityMap, frame: _Frame, start: int, stop: int) -> NDArray[np.bool_]:
    """Picture pixels whose scan pixels were all inspected."""
    first, last = frame.scan_rows(start, stop)
    seen = probability_map.read_coverage(rows=slice(first, last), cols=slice(0, frame.width))
    if seen.all():
        return np.ones((stop - start, frame.cols), bool)
    rows = np.arange(start, stop + 1) * (frame.height / frame.rows) - first
    cols = np.arange(frame.cols + 1) * (frame.width / frame.cols)
    return _all_between(_all_between(seen, rows).T, cols).T


def _all_between(flags: NDArray[np.bool_], edges: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Whether all rows are set that lie, be it in part, between two neighbouring edges."""
    starts = np.floor(edges[:-1] + 1e-9).astype(int)
    stops = np.minimum(np.ceil(edges[1:] - 1e-9).astype(int), len(flags))
    padded = np.concatenate([flags, np.ones((1, flags.shape[1]), bool)])  # reduceat takes no stop at the very end
    between: NDArray[np.bool_] = np.logical_and.reduceat(padded, np.stack([starts, stops], axis=1).ravel(), axis=0)[::2]
    return between


@dataclass(frozen=True, slots=True)
class _Masks:
    """How much of each picture pixel of a band is damage, outline and the dark casing of the outline; in [0, 1]."""

    damage: NDArray[np.float32]
    line: NDArray[np.float32]
    casing: NDArray[np.float32]


def _masks(outlines: Sequence[_Outline], *, first_row: int, size: tuple[int, int], line_px: float) -> _Masks | None:
    """Draw the outlines that reach into a band. Lines run outside of the damage, so that a hairline stays visible."""
    reach = math.ceil(line_px) + 2  # rows above and below, so that what is cut off by the band's edge is drawn alike
    cols, rows = size
    near = [one for one in outlines if one.rows[0] - reach < first_row + rows and one.rows[1] + reach > first_row]
    if not near:
        return None
    top = first_row - reach
    fill, line, casing = (Image.new("L", (cols * _FINE, (rows + 2 * reach) * _FINE)) for _ in range(3))
    within = (-reach, top - reach, cols + reach, first_row + rows + 2 * reach)
    for outline in sorted(near, key=lambda outline: -outline.polygon.area):  # a scratch on a dent is drawn over it
        for piece in shapely.get_parts(shapely.clip_by_rect(outline.around, *within)):
            points = [*map(tuple, _fine_points(piece, first_row=top))]
            ImageDraw.Draw(line).line(points, fill=255, width=round(line_px * _FINE), joint="curve")
            ImageDraw.Draw(casing).line(points, fill=255, width=round((line_px + 2) * _FINE), joint="curve")
        for mask, value in ((fill, 255), (line, 0), (casing, 0)):
            _fill(mask, outline.polygon, first_row=top, value=value)
    whole = (np.asarray(mask.reduce(_FINE), np.float32)[reach : reach + rows, :, None] for mask in (fill, line, casing))
    return _Masks(*(share / np.float32(255) for share in whole))


def _coloured(
    photo: NDArray[np.uint8],
    inspected: NDArray[np.bool_],
    drawn: _Masks | None,
    *,
    first_row: int,
    stripe_px: int,
) -> NDArray[np.uint8]:
    """Blue over what is clean, grey with slanting stripes over what was not inspected, yellow over damage."""
    clean = np.float32(1) if drawn is None else 1 - drawn.damage
    band = _mix(photo, BLUE, _TINT * clean)
    if not inspected.all():
        grey = photo.mean(axis=2, keepdims=True, dtype=np.float32)
        rows = np.arange(first_row, first_row + len(photo))[:, None]
        stripes = ((rows + np.arange(photo.shape[1])) // stripe_px % 2 == 0)[..., None]
        unseen = np.where(stripes, _mix(grey, GREY, np.float32(0.55)), _mix(grey, DARK, np.float32(0.65)))
        band = np.where(inspected[..., None], band, unseen)
    if drawn is None:
        return band
    band = _mix(band, DARK, _CASING * drawn.casing)
    band = _mix(band, YELLOW, _FILL * drawn.damage)
    return _mix(band, YELLOW, drawn.line)


def _fill(mask: Image.Image, polygon: Polygon, *, first_row: int, value: int) -> None:
    """Set a polygon in a fine mask to a value; its holes keep what another polygon drew there."""
    outer = _fine_points(polygon.exterior, first_row=first_row)
    if not polygon.interiors:
        ImageDraw.Draw(mask).polygon([*map(tuple, outer)], fill=value)
        return
    left, top = np.maximum(np.floor(outer.min(axis=0)), 0).astype(int)
    right, bottom = np.minimum(np.ceil(outer.max(axis=0)) + 1, mask.size).astype(int)
    if right <= left or bottom <= top:
        return
    own = Image.new("L", (int(right - left), int(bottom - top)))
    draw = ImageDraw.Draw(own)
    draw.polygon([*map(tuple, outer - (left, top))], fill=255)
    for hole in polygon.interiors:
        draw.polygon([*map(tuple, _fine_points(hole, first_row=first_row) - (left, top))], fill=0)
    mask.paste(value, (int(left), int(top)), own)


def _fine_points(ring: shapely.Geometry, *, first_row: int) -> NDArray[np.float64]:
    points: NDArray[np.float64] = (shapely.get_coordinates(ring) - (0, first_row)) * _FINE - 0.5
    return points


def _mix(
    picture: NDArray[np.uint8] | NDArray[np.float32],
    colour: tuple[int, int, int],
    opacity: np.float32 | NDArray[np.float32],
) -> NDArray[np.uint8]:
    target = np.asarray(colour, np.float32)
    mixed: NDArray[np.uint8] = (picture + (target - picture) * opacity + 0.5).astype(np.uint8)
    return mixed
