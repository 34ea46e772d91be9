"""What the paint mirrors: a picture of the surroundings, indexed by the reflected direction.

The surroundings are a small three-dimensional scene of polygons and wires around the panel (see `environments`), so
that perspective, horizon and sizes are right by themselves. Only the part of it that a picture can mirror is painted.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from surfacedefect.errors import OptionError
from surfacedefect.synthetic.geometry import Float, Vector
from surfacedefect.synthetic.places.environments import BUILDERS
from surfacedefect.synthetic.places.scenery import Scene

TRAINING_PLACES: tuple[str, ...] = (
    "overcast", "clear sky", "sunny", "street", "garage", "studio", "forecourt",
)  # fmt: skip
BENCHMARK_PLACES: tuple[str, ...] = ("courtyard", "light tunnel")
JUMBLE = "jumble"
"""Drawn only where it is asked for: no place, but anything at all, to train with."""

_LOBE = 0.28  # standard deviation, in (rx, ry), of the wide lobe
_WHOLE = 40  # texels across the whole hemisphere where only the wide lobe and the mean are wanted
_RIM = 1.6  # what lies behind the panel is pushed out this far, so that the rim's light goes on outside the rim
_STEP = 0.09  # longest piece of an edge, radians: straight edges are curves in (rx, ry)
_BRIGHTEST = 100.0
_TEXEL = 1.5  # width of a texel in units of the mirror image's blur: finer ones would show nothing more
_OVER = 3  # polygons are drawn this many times finer than they are kept

_PIECE = 1 << 15  # directions looked up at once: few enough to stay in the cache


@dataclass(frozen=True)
class Sun:
    """Direct sunlight.

    Attributes
    ----------
    direction
        Unit vector towards the sun, in panel coordinates; may lie behind the panel.
    irradiance
        float32 (3,): linear light on a surface that faces the sun, on the scale of the map's radiance.
    """

    direction: Vector
    irradiance: Float


@dataclass(frozen=True)
class Environment:
    """What a panel mirrors, as seen from one point.

    Attributes
    ----------
    place
        Which kind of place it is.
    texture
        float32 (n, n, 6), linear light, n at most the size asked for. Rows go along ry and columns along rx; texel
        (0, 0) is centred half a texel inside (rx, ry) = centre - half. Channels 0-2 are the sharp mirror image, 3-5
        the same spread over a wide lobe. A white sheet in this place is about 1, lamps are 5 to 60, the sun's disc 100.
    centre, half
        The texture covers centre +- half in rx and ry, components of the unit reflected direction.
    even
        float32 (3,): mean radiance over the hemisphere in front of the panel, weighted by the cosine to the panel's
        normal; irradiance over pi, as a matt surface gathers it, without the sun's disc.
    turning
        float32 (2, 3): how much ``even`` changes as the surface turns, by dz/dx and by dz/dy, for small slopes.
    sun
        Direct sun, or None; its disc and glow are painted into the sharp image too.
    """

    place: str
    texture: Float
    centre: tuple[float, float]
    half: float
    even: Float
    turning: Float
    sun: Sun | None

    def lookup(self, rx: Float, ry: Float) -> Float:
        """Give the six channels at reflected directions, bilinear and clipped at the border.

        Parameters
        ----------
        rx, ry
            float32, any one shape: x and y components of unit vectors in panel coordinates.

        Returns
        -------
        Float
            float32 (..., 6); in memory one channel after the other, which is what work on whole channels likes.
        """
        flat_x, flat_y = rx.ravel(), ry.ravel()
        out = np.empty((6, flat_x.size), np.float32)
        for first in range(0, flat_x.size, _PIECE):
            part = slice(first, first + _PIECE)
            self._gather(flat_x[part], flat_y[part], out[:, part])
        return np.moveaxis(out.reshape(6, *rx.shape), 0, -1)

    @cached_property
    def _pairs(self) -> list[NDArray[np.complex64]]:
        """The channels two by two, as real and imaginary parts: one gather and one product then serve both."""
        pairs = np.empty((3, *self.texture.shape[:2]), np.complex64)
        pairs.real, pairs.imag = (np.moveaxis(self.texture[..., k::2], -1, 0) for k in (0, 1))
        return [pair.ravel() for pair in pairs]

    def _gather(self, rx: Float, ry: Float, out: Float) -> None:
        size = self.texture.shape[0]
        col, row = self._texels(rx, self.centre[0]), self._texels(ry, self.centre[1])
        left, top = col.astype(np.intp), row.astype(np.intp)
        col -= left
        row -= top
        ax, ay = col.astype(np.complex64), row.astype(np.complex64)
        top *= size
        top += left
        right, below, last = top + 1, top + size, top + (size + 1)
        upper, lower, other = np.empty_like(ax), np.empty_like(ax), np.empty_like(ax)
        for k, pair in enumerate(self._pairs):
            # the index is in range already; mode="clip" only spares numpy a slower checked gather
            for line, first, second in ((upper, top, right), (lower, below, last)):
                pair.take(first, mode="clip", out=line)
                pair.take(second, mode="clip", out=other)
                other -= line
                other *= ax
                line += other
            lower -= upper
            lower *= ay
            lower += upper
            out[2 * k], out[2 * k + 1] = lower.real, lower.imag

    def _texels(self, r: Float, centre: float) -> Float:
        size = self.texture.shape[0]
        place = r - np.float32(centre - self.half)
        place *= np.float32(0.5 * size / self.half)
        place -= np.float32(0.5)
        return place.clip(0, np.float32(size - 1.001), out=place)


def random_environment(
    rng: np.random.Generator,
    *,
    places: tuple[str, ...],
    up: Vector,
    centre: tuple[float, float] = (0.0, 0.0),
    half: float = 1.0,
    size: int = 384,
) -> Environment:
    """Draw a place and paint the part of it that the panel mirrors.

    The same generator state gives the same place whatever the centre, half and size: zooming in shows finer detail.

    Parameters
    ----------
    rng
        Source of everything random.
    places
        Names to choose from, of `TRAINING_PLACES` and `BENCHMARK_PLACES`.
    up
        Unit vector to the zenith in panel coordinates (y points down the picture): (0, -1, 0) for an upright door.
    centre, half
        Paint centre +- half in the x and y components of the reflected direction; past the rim the rim goes on.
    size
        Texels along a side, at most: a soft mirror image needs fewer.

    Raises
    ------
    OptionError
        If there is no place to choose from, or one is unknown.

    Examples
    --------
    >>> around = random_environment(np.random.default_rng(1), places=("garage",), up=(0.0, -1.0, 0.0), size=64)
    >>> around.texture.shape, around.sun is None
    ((64, 64, 6), True)
    """
    unknown = [p for p in places if p not in BUILDERS]
    if unknown or not places:
        raise OptionError(f"places is {places!r}; choose one or more of {', '.join(BUILDERS)}")
    if not half > 0 or size < 2:
        raise OptionError(f"half is {half} and size {size}; half must be above 0 and size at least 2")
    place = places[int(rng.integers(len(places)))]
    axes = _world_axes(up)
    scene = BUILDERS[place](rng, float(np.arcsin(np.clip(axes[2, 2], -1, 1))))
    outline = _outline(scene, axes)
    whole = _paint(scene, outline, axes, _Frame(-1.0, -1.0, 2 / _WHOLE, _WHOLE, 0.0), coarse=True)
    corner, span = (centre[0] - half, centre[1] - half), 2 * half
    fine = int(np.clip(np.ceil(span / (_TEXEL * scene.blur)), 8, size))
    planes = np.empty((6, fine, fine), np.float32)
    planes[:3] = _paint(scene, outline, axes, _Frame(*corner, span / fine, fine, scene.blur), coarse=False)
    planes[3:] = _wide(whole, corner, span, fine)
    place_of = (np.arange(_WHOLE) + 0.5) * 2 / _WHOLE - 1
    disc = place_of[:, None] ** 2 + place_of[None] ** 2 <= 1
    sun = None
    if scene.sun is not None:
        x, y, z = (float(c) for c in axes.T @ scene.sun.direction)
        sun = Sun((x, y, z), scene.sun.irradiance)
    even = whole[:, disc].mean(axis=1).astype(np.float32)
    # the irradiance's derivative by the normal is the mean of radiance times direction; the rim, where the mean over
    # the disc weighs too much, is held back
    rise = np.sqrt((1 - place_of[:, None] ** 2 - place_of[None] ** 2).clip(0.06, None))
    towards = np.broadcast_to(place_of[None], rise.shape) / rise, np.broadcast_to(place_of[:, None], rise.shape) / rise
    turning = -np.stack([(whole[:, disc] * t[disc]).mean(axis=1) for t in towards]).astype(np.float32)
    return Environment(place, np.moveaxis(planes, 0, -1), centre, half, even, turning, sun)


def _world_axes(up: Vector) -> NDArray[np.float64]:
    """Rows: to the right, towards the camera, and up, in panel coordinates."""
    zenith = np.asarray(up, np.float64) / np.linalg.norm(up)
    ahead = np.asarray([0, 0.5, 1.0])  # the camera; above a level panel whoever holds it stands below the picture
    ahead = ahead - zenith * (ahead @ zenith)
    if np.linalg.norm(ahead) < 1e-3:
        ahead = np.asarray([1.0, 0, 0]) - zenith * zenith[0]
    ahead /= np.linalg.norm(ahead)
    return np.stack([np.cross(ahead, zenith), ahead, zenith])


@dataclass(frozen=True)
class _Frame:
    """A square part of the map: its corner and texel in (rx, ry), texels along a side, and blur."""

    x: float
    y: float
    texel: float
    size: int
    blur: float


@dataclass(frozen=True)
class _Outline:
    """All polygons' corners in (rx, ry): where each begins, its ink and its bounding box; and the inks."""

    xy: Float
    begin: NDArray[np.int64]
    ink: NDArray[np.int64]
    table: Float  # (256, 4): radiance and cover of every ink; 0 is no ink
    low: Float
    high: Float


def _outline(scene: Scene, axes: NDArray[np.float64]) -> _Outline:
    corners, count = scene.corners()
    start = corners @ axes.astype(np.float32)
    start /= np.sqrt((start * start).sum(axis=1, keepdims=True))
    after, last = np.arange(1, len(start) + 1), np.cumsum(count)
    after[last - 1] = last - count
    turn = start[after] - start
    angle = 2 * np.arcsin((0.5 * np.sqrt((turn * turn).sum(axis=1))).clip(1e-6, 0.9999))
    pieces = np.ceil(angle / np.float32(_STEP)).astype(np.int64)
    first = np.concatenate([[0], np.cumsum(pieces)])
    edge = np.repeat(np.arange(len(pieces)), pieces)
    share = ((np.arange(first[-1]) - first[edge]) / pieces[edge]).astype(np.float32)
    wide = angle[edge]
    way = start[edge] * np.sin((1 - share) * wide)[:, None] + start[after][edge] * np.sin(share * wide)[:, None]
    long = np.sqrt((way * way).sum(axis=1))
    long[way[:, 2] < 0] = np.hypot(way[:, 0], way[:, 1])[way[:, 2] < 0] / np.float32(_RIM)
    xy = np.asarray(way[:, :2] / np.maximum(long, np.float32(1e-9))[:, None], np.float32)
    begin = first[np.concatenate([[0], last])]
    low, high = np.minimum.reduceat(xy, begin[:-1]), np.maximum.reduceat(xy, begin[:-1])
    hidden = np.maximum.reduceat(way[:, 2], begin[:-1]) <= 0
    high[hidden] = -9
    return _Outline(xy, begin, *scene.inks(), low, high)


def _enlarge(a: Float, size: int) -> Float:
    if a.shape[0] == size:
        return a
    return np.asarray(Image.fromarray(a).resize((size, size), Image.Resampling.BICUBIC), np.float32)


def _wide(whole: Float, corner: tuple[float, float], span: float, size: int) -> list[Float]:
    few = min(size, 32)
    known = (np.arange(_WHOLE) + 0.5) * 2 / _WHOLE - 1
    rulers = []
    for first in corner:
        wanted = first + (np.arange(few) + 0.5) * span / few
        weight = np.exp(-0.5 * ((wanted.clip(-1, 1)[:, None] - known[None]) / _LOBE) ** 2)
        rulers.append((weight / weight.sum(axis=1, keepdims=True)).astype(np.float32))
    across, down = rulers
    return [_enlarge(np.ascontiguousarray(down @ channel @ across.T), size) for channel in whole]


def _paint(scene: Scene, outline: _Outline, axes: NDArray[np.float64], frame: _Frame, *, coarse: bool) -> Float:
    """Radiance float32 (3, n, n) of one frame."""
    rgb, cover = _draw(scene, outline, frame, coarse=coarse)
    wx, wy, wz = _directions(axes, frame, frame.size)
    coarser = _directions(axes, frame, min(frame.size, max(48, frame.size // 2)))
    mottle, shade = (_enlarge(of(*coarser), frame.size) for of in (scene.mottle, scene.shade))
    edge = np.float32(max(frame.blur, frame.texel))
    below = (np.float32(0.5) - wz / (3 * edge)).clip(0, 1)
    bare = 1 - cover
    glow, disc = scene.sunshine(wx, wy, wz, edge)
    sky, ground = scene.sky_light(wx, wy, wz, mottle), scene.ground_light(wz, mottle, shade)
    shade = shade * (1 + np.float32(0.04) * mottle)
    dim = None if coarse or not scene.wires else _wires(scene, axes, frame)
    out = np.empty((3, *wz.shape), np.float32)
    for c in range(3):
        part = sky[c]
        if glow is not None:
            part += glow * np.float32(scene.sun_rgb[c])
        part += below * (ground[c] - part)
        part *= bare
        part += rgb[c] * shade
        if dim is not None:
            part *= dim
        if disc is not None and not coarse:
            part += disc * bare * np.float32(_BRIGHTEST * scene.sun_rgb[c])
        out[c] = part
    return out.clip(0, _BRIGHTEST, out=out)


def _directions(axes: NDArray[np.float64], frame: _Frame, count: int) -> tuple[Float, Float, Float]:
    """World components of count x count reflected directions; outside the rim those of the rim."""
    ruler = (np.arange(count, dtype=np.float32) + np.float32(0.5)) * np.float32(frame.texel * frame.size / count)
    rx, ry = ruler + np.float32(frame.x), ruler + np.float32(frame.y)
    square = rx[None] ** 2 + ry[:, None] ** 2
    shrink = 1 / np.sqrt(np.maximum(square, 1))
    rz = np.sqrt(np.maximum(1 - square, 0))
    x, y = rx[None] * shrink, ry[:, None] * shrink
    a = axes.astype(np.float32)
    wx, wy, wz = (x * row[0] + y * row[1] + rz * row[2] for row in a)
    return wx, wy, wz


def _draw(scene: Scene, outline: _Outline, frame: _Frame, *, coarse: bool) -> tuple[list[Float], Float]:
    """Paint the polygons: radiance times cover, three channels, and cover; each float32 (n, n)."""
    side = frame.size * _OVER
    canvas = Image.new("L", (side, side))
    draw = ImageDraw.Draw(canvas)
    corner = np.asarray([frame.x, frame.y], np.float32)
    span, pixel = np.float32(frame.texel * frame.size), np.float32(frame.texel / _OVER)
    table = outline.table
    seen = (outline.high >= corner).all(axis=1) & (outline.low <= corner + span).all(axis=1)
    if coarse:  # what is small does not count, unless it is a lamp
        small = (outline.high - outline.low).max(axis=1) <= frame.texel * 0.7
        seen &= ~small | (table.max(axis=1)[outline.ink] > 1.5)
    xy = ((outline.xy - corner) / pixel).clip(-4 * side, 5 * side)
    flat, begin, ink = xy.ravel().tolist(), (2 * outline.begin).tolist(), outline.ink.tolist()
    for k in np.flatnonzero(seen).tolist():
        draw.polygon(flat[begin[k] : begin[k + 1]], fill=ink[k])
    index = np.asarray(canvas).astype(np.intp)
    pairs = np.ascontiguousarray(table.view(np.complex64).T)  # two channels at once, as in `Environment.lookup`
    totals = np.stack([_summed(_summed(pair.take(index, mode="clip")).T).T for pair in pairs])
    totals *= np.float32(1 / _OVER**2)
    parts = [_blurred(part, frame) for total in totals for part in (total.real, total.imag)]
    return parts[:3], parts[3]


def _summed(fine: NDArray[np.complex64]) -> NDArray[np.complex64]:
    """Sum groups of rows; slices are faster here than a sum over a short axis."""
    total = fine[::_OVER] + fine[1::_OVER]
    for k in range(2, _OVER):
        total += fine[k::_OVER]
    return total


def _blurred(picture: Float, frame: _Frame) -> Float:
    """Average over neighbours; together with the average over the texel as wide as the blur."""
    return _soft(_soft(picture).T).T if frame.texel < 2.5 * frame.blur else picture


def _soft(a: Float) -> Float:
    """Weight rows 1, 2, 1; sigma 0.7."""
    out = a * np.float32(0.5)
    quarter = a * np.float32(0.25)
    out[1:] += quarter[:-1]
    out[:-1] += quarter[1:]
    out[0] += quarter[0]
    out[-1] += quarter[-1]
    return out


def _wires(scene: Scene, axes: NDArray[np.float64], frame: _Frame) -> Float | None:
    """How much light thin dark lines let pass: dropped as many small samples, as they are thinner than a texel."""
    size, total = frame.size, np.zeros((frame.size + 2) ** 2)
    a = axes.astype(np.float32)
    for wire in scene.wires:
        way = wire.points @ a
        far = np.sqrt((way * way).sum(axis=1))
        way = way / far[:, None]
        xy = (way[:, :2] - np.asarray([frame.x, frame.y], np.float32)) / np.float32(frame.texel)
        hop = np.hypot(*np.diff(xy, axis=0).T)
        keep = (way[:-1, 2] > 0) & (way[1:, 2] > 0) & (np.maximum(xy[:-1], xy[1:]) > -1).all(axis=1)
        keep &= (np.minimum(xy[:-1], xy[1:]) < size + 1).all(axis=1)
        if not keep.any():
            continue
        count = np.ceil(hop[keep] * 1.5).astype(np.int64).clip(1, 4000)
        piece = np.repeat(np.flatnonzero(keep), count)
        first = np.cumsum(count) - count
        share = (np.arange(piece.size) - np.repeat(first, count) + 0.5) / np.repeat(count, count)
        at = xy[piece] + share[:, None] * (xy[piece + 1] - xy[piece]) + 0.5
        weight = wire.width_m * wire.dark / far[piece] / frame.texel * hop[piece] / np.repeat(count, count)
        inside = (at > 0).all(axis=1) & (at < size + 1).all(axis=1)
        at, weight = at[inside], weight[inside]
        cell = np.floor(at).astype(np.int64)
        ax, ay = (at - cell).T
        index = cell[:, 1] * (size + 2) + cell[:, 0]
        for step, part in ((0, (1 - ax) * (1 - ay)), (1, ax * (1 - ay)), (size + 2, (1 - ax) * ay),
                           (size + 3, ax * ay)):  # fmt: skip
            total += np.bincount(index + step, part * weight, total.size)
    if not total.any():
        return None
    return 1 - _blurred(total.reshape(size + 2, size + 2)[1:-1, 1:-1].clip(0, 1).astype(np.float32), frame)
