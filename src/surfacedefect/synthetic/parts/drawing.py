"""How a part changes the surface: its outline, its profile across the edge, and what it is made of."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from surfacedefect.synthetic.geometry import Float
from surfacedefect.synthetic.parts.materials import Material
from surfacedefect.synthetic.parts.shapes import Shape, gradient
from surfacedefect.synthetic.surface import Surface

_BLOCK = 8  # px: what is not near a part is skipped in blocks of this size
_PIECE_PX = 1 << 16
_DEEP_MM = 1e5
_FADE = 3.5  # a fall-off ends after so many times its length, so that far pixels are untouched


@dataclass(frozen=True)
class Profile:
    """What happens across the edge of a part; lengths in mm, slopes as dz over mm away from the edge.

    Attributes
    ----------
    rim_slope, rim_mm
        The paint outside bends down towards the edge, steepest there.
    turn_slope, turn_mm
        The same in a wider sweep, as where a panel turns away from the camera; nothing beyond ``turn_mm``.
    edge_slope, edge_mm
        The same for the part itself, seen from within.
    bulge_slope, bulge_mm
        A wide bulge: steepest at the edge, flat so far inside.
    bowl_slope, bowl_mm
        A hollow in the paint, so far from its edge to its bottom.
    keep
        How much of the panel's own slopes the part follows.
    shade, shade_mm
        Contact shadow beside it, deeper below it than above.
    crevice, crevice_mm
        Darkness and width of the thin gap around it, in the paint beside it.
    floor, deep_mm
        Share of light that gets to its middle, and how soon inside the edge half of the rest is lost.
    tilt
        Slopes (x, y) added inside: a neighbouring panel that does not quite line up.
    soft_mm
        How far its edge is smeared out, beyond what a pixel averages: 0 is sharp.
    hides
        Whether there is no paint inside.
    """

    rim_slope: float = 0.0
    rim_mm: float = 1.0
    turn_slope: float = 0.0
    turn_mm: float = 1.0
    edge_slope: float = 0.0
    edge_mm: float = 1.0
    bulge_slope: float = 0.0
    bulge_mm: float = 1.0
    bowl_slope: float = 0.0
    bowl_mm: float = 1.0
    keep: float = 1.0
    shade: float = 0.0
    shade_mm: float = 1.0
    crevice: float = 0.0
    crevice_mm: float = 0.5
    floor: float = 1.0
    deep_mm: float = 1.0
    tilt: tuple[float, float] = (0.0, 0.0)
    soft_mm: float = 0.0
    hides: bool = True

    @property
    def reach_mm(self) -> float:
        """How far outside its edge the part changes anything."""
        rim = self.rim_mm * _FADE if self.rim_slope else 0.0
        turn = self.turn_mm if self.turn_slope else 0.0
        shade = self.shade_mm * _FADE if self.shade else 0.0
        return max(rim, turn, shade, self.crevice_mm if self.crevice else 0.0, 0.5 * self.soft_mm)

    @property
    def inner_mm(self) -> float:
        """How far inside its edge anything depends on where the edge is, but for the light."""
        edge = self.edge_mm * _FADE if self.edge_slope else 0.0
        return max(edge, self.bulge_mm if self.bulge_slope else 0.0, self.bowl_mm if self.bowl_slope else 0.0)

    @property
    def deep_from_mm(self) -> float:
        """How far inside its edge nothing depends on the edge any more."""
        return self.inner_mm + self.soft_mm if self.floor == 1 else _DEEP_MM

    @property
    def bends(self) -> bool:
        """Whether anything depends on the direction of the edge, or lies along it."""
        slopes = self.rim_slope, self.turn_slope, self.edge_slope, self.bulge_slope, self.bowl_slope
        return any(slopes) or bool(self.shade or self.crevice)

    @property
    def flat(self) -> bool:
        """Whether nothing but the colour changes."""
        return not (self.hides or self.bends or any(self.tilt) or self.floor < 1)


@dataclass(frozen=True)
class Part:
    """One thing on or beside the panel; ``material`` None leaves the paint as it is."""

    name: str
    shape: Shape
    profile: Profile = field(default_factory=Profile)
    material: Material | None = None
    solid: bool = True  # False: damage may lie on it


def shape_parts(parts: Sequence[Part], surface: Surface, x: Float, y: Float, mm_per_px: float) -> None:
    """Lay the parts' shapes over the surface, in place, in their order: slopes, light and what they hide.

    ``x`` and ``y`` are float32 (h, w), the points that the pixels see, in mm. To be called before anything is
    mirrored; `dress_parts` does the rest.
    """
    parts = [part for part in parts if not part.profile.flat]
    if not parts:
        return
    for rows in _pieces(x.shape):
        band = _Band(x[rows], y[rows], mm_per_px)
        arrays = surface.slope_x, surface.slope_y, surface.light, surface.hidden
        with _Whole(*(a[rows] for a in arrays)) as (p, q, light, hidden):
            state = _State(p, q, p.copy(), q.copy(), light, hidden)
            for part in parts:
                near = band.near(
                    part.shape, part.profile.reach_mm + mm_per_px, deep_mm=part.profile.deep_from_mm + mm_per_px
                )
                if near is not None:
                    _shape(part, near, state, np.float32(mm_per_px))


def dress_parts(parts: Sequence[Part], surface: Surface, x: Float, y: Float, mm_per_px: float) -> None:
    """Give the surface the parts' albedo and gloss, in place; ``x`` and ``y`` as in `shape_parts`."""
    parts = [part for part in parts if part.material is not None]
    if not parts:
        return
    for rows in _pieces(x.shape):
        band = _Band(x[rows], y[rows], mm_per_px)
        with _Whole(surface.albedo[rows], surface.gloss[rows]) as (albedo, gloss):
            for part in parts:
                soft = mm_per_px + 0.5 * part.profile.soft_mm
                near = band.near(part.shape, soft, deep_mm=soft)
                if near is not None:
                    _dress(part, near, albedo, gloss, mm_per_px)


def covers(parts: Sequence[Part], x_mm: float, y_mm: float, margin_mm: float) -> bool:
    """Whether a point of the panel lies on any part or within a margin of it."""
    x, y = np.asarray([x_mm], np.float32), np.asarray([y_mm], np.float32)
    return any(part.solid and float(part.shape.distance(x, y)[0]) < margin_mm for part in parts)


def _pieces(shape: tuple[int, ...]) -> Iterator[slice]:
    """Cut a band into pieces that fit into the processor's cache, which makes it twice as fast."""
    step = max(_BLOCK, _PIECE_PX // max(1, shape[1]) // _BLOCK * _BLOCK)
    return (slice(first, first + step) for first in range(0, shape[0], step))


@dataclass(frozen=True)
class _Near:
    """Where in a band the pixels near a part are, their points in mm and their distance from the edge.

    They are the rectangle around them, or where that would be mostly empty, a list.
    """

    box: tuple[slice, slice]
    at: NDArray[np.intp] | None  # places in the flattened band
    width: int  # of the whole band
    x: Float
    y: Float
    d: Float

    def get(self, array: Float) -> Float:
        """Give these pixels' values: a view of a rectangle, a copy of a list."""
        return array[self.box] if self.at is None else array.reshape(-1)[self.at]

    def put(self, array: Float, values: Float) -> None:
        """Write them back where they are a copy."""
        if self.at is not None:
            array.reshape(-1)[self.at] = values

    def only(self, wanted: NDArray[np.bool_]) -> _Near | None:
        """Give a list of those that are wanted if that is quicker, all of them if not, None if none is wanted."""
        count = int(np.count_nonzero(wanted))
        if count == 0:
            return None
        if 1.6 * count > wanted.size:
            return self
        chosen = np.flatnonzero(wanted)
        if self.at is not None:
            at = self.at[chosen]
        else:
            rows, cols = np.divmod(chosen, self.d.shape[1])
            at = (rows + self.box[0].start) * self.width + cols + self.box[1].start
        x, y, d = (a.ravel()[chosen] for a in (self.x, self.y, self.d))
        return _Near(self.box, at, self.width, x, y, d)


@dataclass(frozen=True)
class _State:
    """The surface, and the slopes of the bare panel."""

    slope_x: Float
    slope_y: Float
    panel_x: Float
    panel_y: Float
    light: Float
    hidden: Float


class _Band:
    """The points of a band of rows, with a coarse grid that tells quickly which of them are near a part."""

    def __init__(self, x: Float, y: Float, mm_per_px: float) -> None:
        self.x, self.y = np.ascontiguousarray(x), np.ascontiguousarray(y)
        rows, cols = (np.arange(_BLOCK // 2, n + _BLOCK // 2, _BLOCK).clip(0, n - 1) for n in x.shape)
        at = rows[:, None], cols
        self.coarse_x, self.coarse_y = x[at], y[at]
        # outlines change by hardly more than 1 mm a mm: a block is far when its middle is farther than its corners
        self.slack = 2 * mm_per_px + 0.65 * sum(self._step(axis) or 3 * _BLOCK * mm_per_px for axis in (0, 1))

    def _step(self, axis: int) -> float:
        """Longest step of the coarse grid along an axis; perspective puts it at one of the four corners."""
        x, y = (a.T if axis else a for a in (self.coarse_x, self.coarse_y))
        corners = [(i, i + 1, j) for i in (0, -2) for j in (0, -1)] if len(x) > 1 else []
        return max((math.hypot(x[k, j] - x[i, j], y[k, j] - y[i, j]) for i, k, j in corners), default=0.0)

    def near(self, shape: Shape, reach_mm: float, *, deep_mm: float) -> _Near | None:
        """Give the pixels inside the shape or within reach of it, if there are any.

        Where all of them are more than ``deep_mm`` inside, that is all that is said of how far.
        """
        coarse = shape.distance(self.coarse_x, self.coarse_y)
        blocks = coarse < reach_mm + self.slack
        if not blocks.any():
            return None
        height, width = self.x.shape
        spans = []
        for axis, size in ((1, height), (0, width)):
            used = np.flatnonzero(blocks.any(axis=axis))
            spans.append(slice(int(used[0]) * _BLOCK, min(size, (int(used[-1]) + 1) * _BLOCK)))
        box = spans[0], spans[1]
        area = (box[0].stop - box[0].start) * (box[1].stop - box[1].start)
        if 2.5 * np.count_nonzero(blocks) * _BLOCK * _BLOCK < area:
            wide = np.repeat(blocks, _BLOCK, axis=1)[:, :width]
            at = np.repeat(wide, _BLOCK, axis=0)[:height].ravel().nonzero()[0]
            x, y = self.x.ravel()[at], self.y.ravel()[at]
            return _Near(box, at, width, x, y, shape.distance(x, y))
        # copied: the last bits of a function must not depend on how its argument lies in memory
        x, y = np.ascontiguousarray(self.x[box]), np.ascontiguousarray(self.y[box])
        inside = float(coarse.max()) < -deep_mm - self.slack
        d = np.full(x.shape, -_DEEP_MM, np.float32) if inside else shape.distance(x, y)
        return _Near(box, None, width, x, y, d)


class _Whole:
    """Arrays without holes between their pixels; what had to be copied for that is written back."""

    def __init__(self, *arrays: Float) -> None:
        self.arrays = arrays
        self.whole = tuple(np.ascontiguousarray(a) for a in arrays)

    def __enter__(self) -> tuple[Float, ...]:
        return self.whole

    def __exit__(self, *_: object) -> None:
        for array, whole in zip(self.arrays, self.whole, strict=True):
            if not np.may_share_memory(array, whole):
                array[...] = whole


def _shape(part: Part, near: _Near, state: _State, px: np.float32) -> None:
    profile, width = part.profile, px + np.float32(part.profile.soft_mm)
    if profile.hides or any(profile.tilt) or profile.floor < 1:
        within = near.only(near.d < 0.5 * width)
        if within is not None:
            _fill(profile, within, state, px)
    edge = near.only((near.d > -profile.inner_mm - px) & (near.d < profile.reach_mm + px)) if profile.bends else None
    if edge is None:
        return
    inside = _inside(edge.d, width)
    gx, gy = gradient(part.shape, edge.x, edge.y, edge.d)
    slope = _slope(profile, edge.d, inside, px)
    changes = [(state.slope_x, gx), (state.slope_y, gy)]
    for array, along in changes:
        values = edge.get(array)
        values += slope * along
        edge.put(array, values)
    if profile.shade or profile.crevice:
        light = edge.get(state.light)
        light *= _shadow(profile, edge.d, inside, gy, px)
        edge.put(state.light, light)


def _fill(profile: Profile, near: _Near, state: _State, px: np.float32) -> None:
    """Change what lies inside a part."""
    width = px + np.float32(profile.soft_mm)
    inside = np.float32(1) if float(near.d.max()) < -0.5 * width else _inside(near.d, width)
    slope_x, slope_y = near.get(state.slope_x), near.get(state.slope_y)
    if profile.hides:  # what was drawn below it is gone
        for slope, panel in ((slope_x, state.panel_x), (slope_y, state.panel_y)):
            slope += inside * (near.get(panel) * np.float32(profile.keep) - slope)
        hidden = near.get(state.hidden)
        near.put(state.hidden, np.maximum(hidden, inside, out=hidden))
    for array, slope, tilt in ((state.slope_x, slope_x, profile.tilt[0]), (state.slope_y, slope_y, profile.tilt[1])):
        if tilt:
            slope += inside * np.float32(tilt)
        near.put(array, slope)
    if profile.hides or profile.floor < 1:
        light = near.get(state.light)
        if profile.hides:
            light += inside * (1 - light)
        if profile.floor < 1:
            # a coarse pixel's middle stands for all of it, or thin gaps would be dotted
            depth = np.minimum(near.d - np.float32(0.35) * px, 0) * np.float32(1 / profile.deep_mm)
            depth *= depth
            light *= 1 - inside * (np.float32(1 - profile.floor) * (1 - 1 / (1 + depth)))
        near.put(state.light, light)


def _slope(profile: Profile, d: Float, inside: Float | np.float32, px: np.float32) -> Float:
    """Slope along the direction away from the part; less where pixels are so coarse that glints would be dotted."""
    rim, edge = (min(1.0, 0.8 * length / float(px)) for length in (profile.rim_mm, profile.edge_mm))
    slope = np.zeros_like(d)
    if profile.rim_slope:
        slope += (1 - inside) * np.float32(profile.rim_slope * rim) * _fall(d, profile.rim_mm)
    if profile.turn_slope:
        near = (1 - np.abs(d) * np.float32(1 / profile.turn_mm)).clip(0, 1)
        slope += (1 - inside) * np.float32(profile.turn_slope) * near * near
    if profile.edge_slope:
        slope -= inside * np.float32(profile.edge_slope * edge) * _fall(-d, profile.edge_mm)
    if profile.bulge_slope:
        slope -= inside * np.float32(profile.bulge_slope) * (1 + d * np.float32(1 / profile.bulge_mm)).clip(0, 1)
    if profile.bowl_slope:
        share = (d * np.float32(-1 / profile.bowl_mm)).clip(0, 1)
        share *= 1 - share
        slope += np.float32(16 * profile.bowl_slope) * share * share
    return slope


def _shadow(profile: Profile, d: Float, inside: Float | np.float32, down: Float, px: np.float32) -> Float:
    light = np.ones_like(d)
    if profile.shade:
        light -= (1 - inside) * np.float32(profile.shade) * _fall(d, profile.shade_mm) * (0.6 + np.float32(0.4) * down)
    if profile.crevice:
        half = np.float32(0.5 * profile.crevice_mm)
        line = ((half - np.abs(d - np.float32(0.6) * half)) / px + np.float32(0.5)).clip(
            0, min(1, float(2 * half / px))
        )
        light *= 1 - np.float32(profile.crevice) * line
    return np.maximum(light, 0)


def _dress(part: Part, near: _Near, albedo: Float, gloss: Float, mm_per_px: float) -> None:
    assert part.material is not None
    width = np.float32(mm_per_px + part.profile.soft_mm)
    within = near.only(near.d < np.float32(0.5) * width)
    if within is None:
        return
    rgb, shine, cover = part.material.look(within.x.ravel(), within.y.ravel(), mm_per_px)
    share, size = _inside(within.d, width), within.d.shape
    if isinstance(cover, np.ndarray) or cover < 1:
        share *= cover.reshape(size) if isinstance(cover, np.ndarray) else np.float32(cover)
    for channel, new in enumerate((*rgb, shine)):
        if within.at is None:
            old = (albedo[..., channel] if channel < 3 else gloss)[within.box]
            old += share * ((new.reshape(size) if isinstance(new, np.ndarray) else np.float32(new)) - old)
            continue
        flat, at = (albedo.reshape(-1), within.at * 3 + channel) if channel < 3 else (gloss.reshape(-1), within.at)
        before = flat[at]
        flat[at] = before + share * ((new if isinstance(new, np.ndarray) else np.float32(new)) - before)


def _inside(d: Float, width: np.float32) -> Float:
    """Share of a pixel, or of a softer edge, that lies inside."""
    share = d * (-1 / width)
    share += np.float32(0.5)
    return np.asarray(np.clip(share, 0, 1, out=share), np.float32)


def _fall(d: Float, length_mm: float) -> Float:
    """Exponential fall-off from 1 at the edge, drawn down to exactly 0 where the reach ends."""
    t = np.maximum(d, 0) * np.float32(1 / length_mm)
    return np.asarray(np.exp(-t) * (1 - t * np.float32(1 / _FADE)).clip(0, None), np.float32)
