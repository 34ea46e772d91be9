"""Outlines of things as signed distance functions: how far each point is from the edge, in mm, negative inside.

Formulas of the primitives after I. Quilez, "2D distance functions" (https://iquilezles.org/articles/distfunctions2d/).
A function's value at a point depends on that point alone, so a picture may be computed in any bands of rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np

from surfacedefect.synthetic.geometry import Float

_STEP_MM = 0.25  # float32 keeps 3e-5 mm half a metre away, so slopes by differences are right to 3e-4
_FONT_PX = 48
_MARGIN_PX = 30  # around drawn letters


class Shape(Protocol):
    """An outline in panel coordinates."""

    def distance(self, x: Float, y: Float) -> Float:
        """Distance from the edge in mm, negative inside, at points in mm; all float32 of one shape."""
        ...


def gradient(shape: Shape, x: Float, y: Float, distance: Float) -> tuple[Float, Float]:
    """Direction away from the shape: known for lines, else differences from its ``distance`` at the same points."""
    if isinstance(shape, Edge):
        return shape.away(x, y)
    if isinstance(shape, Ring | Seam) and isinstance(shape.of, Edge):
        gx, gy = shape.of.away(x, y)
        side = np.sign(shape.of.distance(x, y))
        return gx * side, gy * side
    step = np.float32(_STEP_MM)
    return (shape.distance(x + step, y) - distance) / step, (shape.distance(x, y + step) - distance) / step


@dataclass(frozen=True)
class Edge:
    """Everything beyond a slightly bent line: a half plane, or a very big circle.

    The line passes through (x, y). The inside lies in the direction ``angle`` (radians, from x to y); ``bend`` is the
    line's curvature in 1/mm, positive where the inside bulges.
    """

    x: float
    y: float
    angle: float
    bend: float = 0.0

    def distance(self, x: Float, y: Float) -> Float:
        """See `Shape.distance`."""
        cos, sin = float(np.cos(self.angle)), float(np.sin(self.angle))
        across = _mixed(x, y, -cos, -sin, -(self.x * cos + self.y * sin))
        if self.bend:
            # parabola, made a distance to first order by its slope
            along = _mixed(x, y, -sin, cos, self.y * cos - self.x * sin)
            slope = along * np.float32(self.bend)
            along *= slope
            along *= np.float32(0.5)
            across += along
            slope *= slope
            slope += 1
            across /= np.sqrt(slope, out=slope)
        return across

    def away(self, x: Float, y: Float) -> tuple[Float, Float]:
        """Give unit vectors that point out of it."""
        cos, sin = float(np.cos(self.angle)), float(np.sin(self.angle))
        slope = _mixed(x, y, -sin, cos, self.y * cos - self.x * sin)
        slope *= np.float32(self.bend)
        length = 1 / np.sqrt(1 + slope * slope)
        return (slope * np.float32(-sin) - np.float32(cos)) * length, (
            slope * np.float32(cos) - np.float32(sin)
        ) * length


@dataclass(frozen=True)
class Circle:
    """A disc of this radius in mm."""

    x: float
    y: float
    radius: float

    def distance(self, x: Float, y: Float) -> Float:
        """See `Shape.distance`."""
        dx, dy = x - np.float32(self.x), y - np.float32(self.y)
        return np.asarray(np.sqrt(dx * dx + dy * dy) - np.float32(self.radius))


@dataclass(frozen=True)
class Box:
    """A rectangle with rounded corners, turned by ``angle``; half sizes and corner radius in mm.

    With ``radius`` equal to the smaller half size it is a capsule.
    """

    x: float
    y: float
    half_w: float
    half_h: float
    radius: float = 0.0
    angle: float = 0.0

    def distance(self, x: Float, y: Float) -> Float:
        """See `Shape.distance`."""
        u, v = _turned(x, y, self.x, self.y, self.angle)
        u = np.abs(u) - np.float32(self.half_w - self.radius)
        v = np.abs(v) - np.float32(self.half_h - self.radius)
        inside = np.minimum(np.maximum(u, v), 0)
        np.maximum(u, 0, out=u)
        np.maximum(v, 0, out=v)
        return np.asarray(np.sqrt(u * u + v * v) + inside - np.float32(self.radius), np.float32)


@dataclass(frozen=True)
class Ring:
    """The band of this half width along another shape's edge."""

    of: Shape
    half_mm: float

    def distance(self, x: Float, y: Float) -> Float:
        """See `Shape.distance`."""
        return np.asarray(np.abs(self.of.distance(x, y)) - np.float32(self.half_mm))


@dataclass(frozen=True)
class Frame:
    """The band of this width inside another shape's edge."""

    of: Shape
    width_mm: float

    def distance(self, x: Float, y: Float) -> Float:
        """See `Shape.distance`."""
        d = self.of.distance(x, y)
        return np.asarray(np.maximum(d, np.float32(-self.width_mm) - d), np.float32)


@dataclass(frozen=True)
class Seam:
    """The band along another shape's edge whose half width changes slowly along the direction ``angle``.

    ``half_mm`` at (x, y), wider by ``taper`` a mm, and unevenly so by ``uneven_mm`` over ``wave_mm``.
    """

    of: Shape
    half_mm: float
    x: float
    y: float
    angle: float
    taper: float = 0.0
    uneven_mm: float = 0.0
    wave_mm: float = 200.0

    def distance(self, x: Float, y: Float) -> Float:
        """See `Shape.distance`."""
        cos, sin = np.float32(np.cos(self.angle)), np.float32(np.sin(self.angle))
        along = (x - np.float32(self.x)) * cos + (y - np.float32(self.y)) * sin
        half = np.float32(self.half_mm) + np.float32(self.uneven_mm) * np.sin(along * np.float32(6.28 / self.wave_mm))
        half += (along * np.float32(self.taper)).clip(-0.5 * self.half_mm, self.half_mm)
        return np.asarray(np.abs(self.of.distance(x, y)) - half)


@dataclass(frozen=True)
class Either:
    """What belongs to one of two shapes or to both; the inner corners between them are filled over ``round_mm``."""

    first: Shape
    second: Shape
    round_mm: float = 0.0

    def distance(self, x: Float, y: Float) -> Float:
        """See `Shape.distance`."""
        first, second = self.first.distance(x, y), self.second.distance(x, y)
        nearer = np.minimum(first, second)
        if self.round_mm:
            close = np.maximum(1 - np.abs(first - second) * np.float32(1 / self.round_mm), 0)
            nearer -= close * close * np.float32(0.25 * self.round_mm)
        return np.asarray(nearer, np.float32)


@dataclass(frozen=True)
class Drum:
    """A disc seen at a slant, ``squeeze`` times as wide as high, and what it covers when moved by ``depth`` mm in x."""

    x: float
    y: float
    radius: float
    squeeze: float = 1.0
    depth: float = 0.0

    def distance(self, x: Float, y: Float) -> Float:
        """See `Shape.distance`."""
        dx, dy = x - np.float32(self.x), y - np.float32(self.y)
        if self.depth:
            dx -= dx.clip(min(0.0, self.depth), max(0.0, self.depth))
        dx *= np.float32(1 / self.squeeze)
        across = np.sqrt(dx * dx + dy * dy)
        # to first order a distance, which it is no more far inside: there it is cut off
        dx *= np.float32(1 / self.squeeze)
        steep = np.sqrt(dx * dx + dy * dy) / np.maximum(across, np.float32(1e-3))
        away = (across - np.float32(self.radius)) / np.maximum(steep, 1)
        return np.asarray(np.maximum(away, np.float32(-0.3 * self.squeeze * self.radius)), np.float32)


@dataclass(frozen=True)
class Both:
    """What two shapes have in common."""

    first: Shape
    second: Shape

    def distance(self, x: Float, y: Float) -> Float:
        """See `Shape.distance`."""
        return np.maximum(self.first.distance(x, y), self.second.distance(x, y))


@dataclass(frozen=True)
class Junction:
    """Two slits in the shape of a T: one along the edge of ``line``, the other along ``arm``'s edge inside ``line``.

    ``half_mm`` and ``arm_half_mm`` are half their widths; the two corners are rounded to ``radius`` mm.
    """

    line: Shape
    arm: Shape
    half_mm: float
    arm_half_mm: float
    radius: float

    def distance(self, x: Float, y: Float) -> Float:
        """See `Shape.distance`."""
        line, arm = self.line.distance(x, y), self.arm.distance(x, y)
        # what is left beside the slits: one panel beyond the line, and two rounded ones
        beyond = np.float32(self.half_mm) - line
        u = line + np.float32(self.half_mm + self.radius)
        v = np.float32(self.arm_half_mm + self.radius) - np.abs(arm)
        corner = np.minimum(np.maximum(u, v), 0)
        np.maximum(u, 0, out=u)
        np.maximum(v, 0, out=v)
        corner += np.sqrt(u * u + v * v)
        corner -= np.float32(self.radius)
        return np.asarray(-np.minimum(beyond, corner), np.float32)


@dataclass(frozen=True)
class Text:
    """Letters whose line is centred on (x, y); ``height`` of a capital in mm, drawn ``bolder`` by so many mm."""

    text: str
    x: float
    y: float
    height: float
    angle: float = 0.0
    bolder: float = 0.0
    slant: float = 0.0

    @property
    def width(self) -> float:
        """Length of the line in mm."""
        table, texels = _glyphs(self.text)
        return float((table.shape[1] - 2 * _MARGIN_PX) * self.height / texels)

    def distance(self, x: Float, y: Float) -> Float:
        """See `Shape.distance`."""
        table, texels = _glyphs(self.text)
        scale = np.float32(texels / self.height)
        u, v = _turned(x, y, self.x, self.y, self.angle)
        u = (u + v * np.float32(self.slant)) * scale + np.float32((table.shape[1] - 1) / 2)
        v = v * scale + np.float32((table.shape[0] - 1) / 2)
        col, row = u.clip(0, table.shape[1] - 1.001), v.clip(0, table.shape[0] - 1.001)
        du, dv = u - col, v - row
        beyond = du * du + dv * dv
        left, top = col.astype(np.int32), row.astype(np.int32)
        col -= left
        row -= top
        flat, corner = table.ravel(), top * table.shape[1] + left
        upper = flat[corner] * (1 - col) + flat[corner + 1] * col
        corner += table.shape[1]
        lower = flat[corner] * (1 - col) + flat[corner + 1] * col
        texels_away = upper * (1 - row) + lower * row
        texels_away = np.where(beyond > 0, np.sqrt(texels_away * texels_away + beyond), texels_away)
        return np.asarray(texels_away / scale - np.float32(self.bolder), np.float32)


@lru_cache(maxsize=64)
def _glyphs(text: str) -> tuple[Float, float]:
    """Give the signed distance of drawn letters, in texels, with a wide margin; and the height of a capital."""
    from PIL import Image, ImageDraw, ImageFont
    from scipy.ndimage import distance_transform_edt, gaussian_filter

    fine = 3
    font = ImageFont.load_default(size=_FONT_PX * fine)
    left, top, right, bottom = (int(v) for v in font.getbbox(text))
    _, high, _, low = (int(v) for v in font.getbbox("H"))
    margin = _MARGIN_PX * fine
    size = tuple(-(-(n + 2 * margin) // fine) * fine for n in (right - left, bottom - top))
    canvas = Image.new("L", (size[0], size[1]), 0)
    ImageDraw.Draw(canvas).text((margin - left, margin - top), text, fill=255, font=font)
    drawn = np.asarray(canvas) > 127
    signed = distance_transform_edt(~drawn) - distance_transform_edt(drawn)
    signed = gaussian_filter(signed, 1.0)  # or the steps of the drawn pixels would show
    rows, cols = signed.shape
    table = signed.reshape(rows // fine, fine, cols // fine, fine).mean(axis=(1, 3)) / fine
    return np.ascontiguousarray(table, np.float32), (low - high) / fine


def _turned(x: Float, y: Float, x0: float, y0: float, angle: float) -> tuple[Float, Float]:
    """Coordinates along ``angle`` and at right angles to it, from (x0, y0)."""
    cos, sin = float(np.cos(angle)), float(np.sin(angle))
    return _mixed(x, y, cos, sin, x0 * cos + y0 * sin), _mixed(x, y, -sin, cos, y0 * cos - x0 * sin)


def _mixed(x: Float, y: Float, a: float, b: float, start: float) -> Float:
    mixed = x * np.float32(a)
    mixed += y * np.float32(b)
    mixed -= np.float32(start)
    return np.asarray(mixed, np.float32)
