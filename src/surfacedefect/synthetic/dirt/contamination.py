"""Harmless things that lie on the paint: films, dust, drops, droppings, labels. None of them is damage.

Two sorts of outcome: a `Film` changes the surface everywhere as a function of the place on the panel; everything small
becomes sparse `Layer`s of the picture's pixels. All sizes are in mm on the panel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from surfacedefect.synthetic.dirt.films import Film, dress_films, random_films
from surfacedefect.synthetic.dirt.litter import LITTER, Box, colour, px2_per_mm2, somewhere
from surfacedefect.synthetic.geometry import Float, View
from surfacedefect.synthetic.noise import NoiseTile
from surfacedefect.synthetic.paints import Paint
from surfacedefect.synthetic.splat import Layer, drop

_MOST = 60_000  # specks of one sort in a picture; more would only be a grey film
_MOST_PX = 3_000_000  # pixels looked at for one sort
_FAINTEST = 0.008  # of a pixel's albedo; fainter specks are not drawn
_LEAST_PX = np.float32(0.7)  # radius that anything smaller is spread over
_DM2 = 1e4  # mm²

__all__ = ["Film", "dress_films", "random_drops", "random_films", "random_specks"]


@dataclass(frozen=True)
class _Blobs:
    """Roundish spots, all float32 (n,): place and radius in mm, aspect >= 1 along ``angle``, alpha."""

    x: Float
    y: Float
    radius: Float
    aspect: Float
    angle: Float
    alpha: Float


@dataclass(frozen=True)
class _Axes:
    """Blobs in the picture, all float32 (n,), in px: their middles, and their half axes a and b as vectors."""

    x: Float
    y: Float
    ax: Float
    ay: Float
    bx: Float
    by: Float

    @classmethod
    def of(cls, blobs: _Blobs, view: View) -> _Axes:
        """Project the blobs; axes thinner than `_LEAST_PX` are lengthened to it."""
        x, y = view.project(blobs.x, blobs.y)
        step, ends = np.float32(view.mm_per_px), []
        for turn, power in ((0.0, 0.5), (np.pi / 2, -0.5)):
            cos, sin = (f(blobs.angle + np.float32(turn)) * step for f in (np.cos, np.sin))
            x1, y1 = view.project(blobs.x + cos, blobs.y + sin)
            per_mm = np.hypot(x1 - x, y1 - y) / step
            length = blobs.radius * blobs.aspect ** np.float32(power) / step
            length *= np.maximum(1, _LEAST_PX / (length * step * per_mm))
            ends += [np.asarray(side * length, np.float32) for side in (x1 - x, y1 - y)]
        return cls(x, y, *ends)


@dataclass(frozen=True)
class _Points:
    """Pixels that blobs cover, all (m,).

    Whose it is, column and row, how far out it lies (0 to 1) and in which direction (u along the blob's longer axis),
    which share of the pixel is covered; and a smooth pattern of standard deviation 1 that every blob has its own of.
    """

    owner: NDArray[np.intp]
    col: NDArray[np.int64]
    row: NDArray[np.int64]
    out: Float
    u: Float
    v: Float
    cover: Float
    pattern: Float


def random_specks(rng: np.random.Generator, *, view: View, paint: Paint, share: float) -> tuple[Layer, ...]:
    """Draw what lies on the paint in small pieces; ``share`` in [0, 1] is how dirty things are, 0.5 = usual."""
    layers = []
    for things, usual in (
        (_dust, 0.6), (_pollen, 0.015), (_fibres, 0.12), (_spray, 0.07), (_mud, 0.04), (_rings, 0.08),
    ):  # fmt: skip
        if rng.random() < 2 * usual * share:
            layers += things(rng, view, paint, share)
    for thing, usual in LITTER:
        if rng.random() < 2 * usual * share:
            layers.append(thing(rng, view))
    return tuple(layer for layer in layers if layer.pixels.size)


def random_drops(rng: np.random.Generator, *, view: View, share: float) -> tuple[Layer, ...]:
    """Draw water drops, seldom: small caps of 0.5 to 4 mm whose slopes make a lens."""
    if rng.random() >= 0.08 * share:
        return ()
    box = view.footprint
    n = _count(rng, box, per_dm2=float(rng.lognormal(4.6, 0.8)), most=1000)
    radius = np.sort(rng.lognormal(np.log(rng.uniform(0.3, 0.8)), 0.5, n).clip(0.2, 2.2))[::-1].astype(np.float32)
    blobs = _scattered(rng, box, radius=radius, aspect=1 + np.abs(rng.normal(0, 0.08, n)), alpha=np.full(n, 0.1))
    # drops that touch run together: keep the larger one
    near = np.hypot(blobs.x[:, None] - blobs.x, blobs.y[:, None] - blobs.y) < 1.15 * (radius[:, None] + radius)
    blobs = _some(blobs, ~np.tril(near, -1).any(axis=1))
    steep = rng.uniform(0.3, 0.6) * rng.uniform(0.85, 1.1, blobs.x.size)  # tangent of the contact angle
    p = _points(rng, blobs, view, uneven=0.05)
    sine = np.sin(np.arctan(steep)).astype(np.float32)[p.owner] * p.out.clip(0, 1)
    slope = -p.cover * sine / np.sqrt(1 - sine**2)  # a spherical cap
    turn = np.arctan2(p.v, p.u) + blobs.angle[p.owner]
    alpha = p.cover * blobs.alpha[p.owner] * (1 + 2 * p.out.clip(0, 1) ** 6)
    layer = _layer(view, p.col, p.row, alpha, rgb=(0.0, 0.0, 0.0), matt=0,
                   slopes=(slope * np.cos(turn), slope * np.sin(turn)))  # fmt: skip
    return (layer,) if layer.pixels.size else ()


def _dust(rng: np.random.Generator, view: View, paint: Paint, share: float) -> list[Layer]:
    """Faint pale specks in loose clumps, and very few larger crumbs; a washed car has next to none."""
    box, along = view.footprint, float(rng.uniform(0, np.pi))
    much = float(rng.choice([0.25, 1, 3], p=[0.42, 0.41, 0.17]) * rng.lognormal(0, 0.5) * (0.4 + 1.2 * share))
    # from farther away most are too faint to be worth drawing
    fine = _count(rng, box, per_dm2=330 * much * min(1, 0.35 / view.mm_per_px))
    few = _count(rng, box, per_dm2=float(8 * much**0.5 * rng.lognormal(0, 0.7)), most=2000)
    n, bit = fine + few, np.arange(fine + few) >= fine
    alpha = np.where(bit, rng.uniform(0.1, 0.65, n), 0.04 + 0.85 * rng.beta(0.7, rng.uniform(1.5, 3.5), n))
    middle = np.where(bit, 0.19, rng.uniform(0.08, 0.12))
    radius = (middle * rng.lognormal(0, 0.42, n)).clip(0.03, np.where(bit, 0.7, 0.25))
    aspect = 1 + np.where(bit, 0.9, rng.uniform(0.2, 0.8)) * rng.exponential(1, n)
    tone = np.asarray([0.62, 0.58, 0.52]) * rng.uniform(0.7, 1.1)
    if np.mean(paint.rgb) > 0.3:  # on a pale car only dark dust is seen
        tone *= rng.uniform(0.1, 0.6)
    blobs = _scattered(rng, box, radius=radius, aspect=aspect, alpha=alpha, angle=rng.normal(along, 0.7, n),
                       clumped=1.2)  # fmt: skip
    return [_spots(rng, view, blobs, rgb=colour(tone), uneven=0.25, mottled=0.5)]


def _pollen(rng: np.random.Generator, view: View, paint: Paint, share: float) -> list[Layer]:
    """Yellow grains, all alike; from farther away nothing is seen of them."""
    if view.mm_per_px > 0.3:
        return []
    n = _count(rng, view.footprint, per_dm2=float(4000 * share * rng.lognormal(0, 0.7)))
    radius, alpha = rng.normal(0.025, 0.006, n).clip(0.012, 0.06), rng.uniform(0.2, 0.8, n)
    blobs = _scattered(rng, view.footprint, radius=radius, aspect=np.ones(n), alpha=alpha, clumped=1.5)
    return [_spots(rng, view, blobs, rgb=colour(np.asarray([0.62, 0.5, 0.08]) * rng.uniform(0.6, 1.1, 3)), matt=0.6)]


def _spray(rng: np.random.Generator, view: View, paint: Paint, share: float) -> list[Layer]:
    """Fine drops of dirty water from the road, dried; denser downwards, drawn out along their flight."""
    box, along = view.footprint, float(rng.choice([0, np.pi]) - rng.uniform(0.2, 0.9))
    n = _count(rng, box, per_dm2=float(900 * share * rng.lognormal(0, 0.7)))
    tone = np.asarray([0.28, 0.24, 0.19]) * rng.uniform(0.3, 1.4)
    strong = rng.uniform(0.2, 0.7)
    blobs = _scattered(rng, box, radius=rng.lognormal(np.log(0.12), 0.6, n).clip(0.03, 1),
                       alpha=strong * rng.beta(1.2, 2, n), aspect=1 + rng.exponential(0.4, n),
                       angle=rng.normal(along, 0.25, n), clumped=0.8, down=float(rng.uniform(1, 2.5)))  # fmt: skip
    return [_spots(rng, view, blobs, rgb=colour(tone), uneven=0.1, rim=0.4)]


def _mud(rng: np.random.Generator, view: View, paint: Paint, share: float) -> list[Layer]:
    """Throw a splash: large clods near its middle, small ones farther out along its flight."""
    x, y = somewhere(rng, view.footprint)
    n, reach, along = int(rng.integers(8, 120)), float(rng.uniform(8, 60)), float(rng.uniform(0, 2 * np.pi))
    radius = rng.lognormal(np.log(0.24), 0.7, n).clip(0.05, 2.5)
    far = reach * rng.exponential(1, n) / (0.4 + radius)
    turn = along + rng.normal(0, 0.5, n)
    tone = np.asarray([0.2, 0.165, 0.125]) * rng.uniform(0.5, 1.8) * rng.normal(1, 0.04, 3)
    values = (x + far * np.cos(turn), y + far * np.sin(turn), radius, 1 + rng.exponential(0.5, n), turn,
              rng.uniform(0.25, 0.85) * rng.uniform(0.5, 1.15, n))  # fmt: skip
    blobs = _Blobs(*(v.astype(np.float32) for v in values))
    return [_spots(rng, view, blobs, rgb=colour(tone), uneven=0.16, mottled=0.3, rim=0.15)]


def _rings(rng: np.random.Generator, view: View, paint: Paint, share: float) -> list[Layer]:
    """Water that has dried: broken rims of pale mineral, often in steps, with an uneven breath inside."""
    n = _count(rng, view.footprint, per_dm2=float(share * rng.lognormal(3.7, 0.9)), most=400)
    radius = rng.lognormal(np.log(rng.uniform(0.7, 2)), 0.45, n).clip(0.4, 5)
    blobs = _scattered(rng, view.footprint, radius=radius, aspect=1 + rng.exponential(0.08, n),
                       alpha=rng.uniform(0.12, 0.55) * rng.uniform(0.4, 1.3, n), clumped=0.9)  # fmt: skip
    p = _points(rng, blobs, view, uneven=float(rng.uniform(0.03, 0.08)))

    def own(low: float, high: float) -> Float:
        return rng.uniform(low, high, blobs.x.size).astype(np.float32)[p.owner]

    thin = np.maximum(own(0.03, 0.09), _LEAST_PX * np.float32(view.mm_per_px) / blobs.radius[p.owner])
    phase = own(0, 2 * np.pi)
    broken = np.arctan2(p.v, p.u) + phase
    broken = np.sin(broken) + np.float32(0.7) * np.sin(2 * broken + phase) + np.float32(0.8) * p.pattern
    rim = np.exp(-(((1 - thin - p.out) / thin) ** 2)) * (own(0.1, 0.9) + np.float32(0.45) * broken).clip(0, 1)
    # it dried in steps: the water drew back from one side
    inner = np.hypot(p.u - own(-0.35, 0.35), p.v - own(-0.35, 0.35)) + np.float32(0.12) * p.pattern
    rim += np.float32(0.6) * np.exp(-(((inner - own(0.3, 0.8)) / thin) ** 2)) * (own(-1.5, 0.6) + broken / 2).clip(0, 1)
    breath = own(0, 0.35) * (np.float32(0.6) + np.float32(0.5) * p.pattern).clip(0, 1.5)
    alpha = p.cover * blobs.alpha[p.owner] * (rim + breath).clip(0, 1)
    tone = np.asarray([0.62, 0.61, 0.58]) * rng.uniform(0.6, 1.1)
    return [_layer(view, p.col, p.row, alpha, rgb=colour(tone), matt=0.6)]


def _fibres(rng: np.random.Generator, view: View, paint: Paint, share: float) -> list[Layer]:
    """Hairs and lint: as thin as a scratch, but curled; dark or pale, each with its own colour."""
    n = 1 + min(40, int(rng.poisson(_area(view.footprint) * share * rng.lognormal(-1, 0.7))))
    length = rng.lognormal(np.log(4), 0.5, n).clip(1.5, 15)[:, None]
    steps = int(np.clip(length.max() / (0.4 * view.mm_per_px), 24, 1500))
    t = np.linspace(0, 1, steps)
    turns = rng.normal(0, 1, (n, 5, 1)) * np.asarray([2.5, 1.6, 1, 0.6, 0.4])[:, None]
    phases = rng.uniform(0, 2 * np.pi, (n, 5, 1))
    heading = rng.uniform(0, 2 * np.pi, (n, 1))
    for k in range(5):
        heading = heading + turns[:, k] * np.sin(np.pi * (k + 1) * t + phases[:, k])
    step = length / steps
    x0, y0 = (rng.uniform(view.footprint[k], view.footprint[k + 2], (n, 1)) for k in (0, 1))
    x, y = (np.ravel(a0 + np.cumsum(f(heading), axis=1) * step) for a0, f in ((x0, np.cos), (y0, np.sin)))
    width = rng.uniform(0.02, 0.07, (n, 1))
    area = np.ravel(step * width * np.ones(steps)) * px2_per_mm2(view, x, y)
    x_px, y_px = view.project(x.astype(np.float32), y.astype(np.float32))
    alpha = np.ravel(rng.uniform(0.3, 0.9, (n, 1)) * np.ones(steps)).astype(np.float32)
    tone = rng.choice([0.015, 0.03, 0.5, 0.65], (n, 1)) * rng.uniform(0.7, 1.3, (n, 1)) * rng.normal(1, 0.08, (n, 3))
    rgb = np.repeat(tone.clip(0.005, 0.9), steps, axis=0).astype(np.float32)
    return [_layer(view, x_px, y_px, area.astype(np.float32) * alpha, rgb=rgb, matt=0.9, soft=True)]


def _spots(
    rng: np.random.Generator, view: View, blobs: _Blobs, *, rgb: tuple[float, float, float], matt: float = 1.0,
    uneven: float = 0.0, mottled: float = 0.0, rim: float = 0.0,
) -> Layer:  # fmt: skip
    """Make one layer of many blobs; ``rim`` is the share of alpha that only the rim has, ``mottled`` a darkening."""
    p = _points(rng, blobs, view, uneven=uneven)
    alpha = p.cover * blobs.alpha[p.owner]
    if rim:
        edge = np.exp(-(((p.out - np.float32(0.85)) / np.float32(0.15)) ** 2))
        alpha *= 1 - np.float32(rim) + np.float32(rim) * edge
    if not mottled:
        return _layer(view, p.col, p.row, alpha, rgb=rgb, matt=matt)
    # lit from one side, with grey hollows
    shade = (np.float32(0.35) + np.float32(0.4) * p.pattern + np.float32(0.3) * p.v).clip(0, 1)
    tone = (1 - np.float32(mottled) * shade)[:, None] * np.asarray(rgb, np.float32)
    return _layer(view, p.col, p.row, alpha, rgb=tone, matt=matt)


def _scattered(
    rng: np.random.Generator, box: Box, *, radius: NDArray[np.floating], aspect: NDArray[np.floating],
    alpha: NDArray[np.floating], angle: NDArray[np.floating] | None = None, clumped: float = 0.0, down: float = 0.0,
) -> _Blobs:  # fmt: skip
    """Place blobs over a box, in loose clumps if wanted, and denser downwards by the power ``down``."""
    n = radius.size
    x = rng.uniform(box[0], box[2], n)
    y = box[1] + (box[3] - box[1]) * rng.random(n) ** (1 / (1 + down))
    if angle is None:
        angle = rng.uniform(0, np.pi, n)
    blobs = _Blobs(*(np.asarray(v, np.float32) for v in (x, y, radius, aspect, angle, alpha)))
    if not (clumped and n):
        return blobs
    texel_mm = max(box[2] - box[0], box[3] - box[1]) / 45
    where = NoiseTile.random(rng, texel_mm=texel_mm, size=64, fall=1.2)(blobs.x, blobs.y)
    return _some(blobs, rng.random(n) < np.exp(np.float32(clumped) * (where - 1)))


def _some(blobs: _Blobs, keep: NDArray[np.bool_]) -> _Blobs:
    return _Blobs(*(getattr(blobs, name)[keep] for name in _Blobs.__dataclass_fields__))


def _points(rng: np.random.Generator, blobs: _Blobs, view: View, *, uneven: float) -> _Points:
    """Find the pixels of every blob, whose outline swings by ``uneven`` (1 = its radius)."""
    axes = _Axes.of(blobs, view)
    area = np.float32(np.pi) * blobs.radius**2 * px2_per_mm2(view, blobs.x, blobs.y)
    owner, col, row = _boxes(axes, 1 + 2 * uneven, view, seen=blobs.alpha * area > _FAINTEST)
    dx = col.astype(np.float32) + np.float32(0.5) - axes.x[owner]
    dy = row.astype(np.float32) + np.float32(0.5) - axes.y[owner]
    size = axes.ax * axes.by - axes.ay * axes.bx
    ax, ay, bx, by = ((a / size)[owner] for a in (axes.ax, axes.ay, axes.bx, axes.by))
    u, v = by * dx - bx * dy, ax * dy - ay * dx
    far = np.hypot(u, v)
    # distances in px are distances in radii over their gradient
    px = np.maximum(far, np.float32(1e-4)) / np.maximum(np.hypot(by * u - ay * v, ax * v - bx * u), np.float32(1e-6))
    near = np.flatnonzero((far - np.float32(1 + 2 * uneven)) * px < np.float32(0.5))
    owner, col, row = owner[near], col[near], row[near]
    u, v, far, px = (np.asarray(a[near], np.float32) for a in (u, v, far, px))
    pattern = np.zeros_like(far)
    if uneven:
        tile, shift = NoiseTile.random(rng, texel_mm=1, size=64, fall=1.6), rng.uniform(0, 64, (2, blobs.x.size))
        reach, (right, below) = np.float32(5), shift.astype(np.float32)
        pattern = tile(u * reach + right[owner], v * reach + below[owner]).clip(-2, 2)
    out = far - np.float32(uneven) * pattern
    cover = (np.float32(0.5) + (1 - out) * px).clip(0, 1)
    # blobs of a few pixels cover just their area
    total = np.bincount(owner, cover, blobs.x.size).astype(np.float32)
    small = np.minimum(np.hypot(axes.ax, axes.ay), np.hypot(axes.bx, axes.by)) < 2.5
    right_size = np.where(small, area / np.maximum(total, np.float32(1e-3)), np.float32(1))
    return _Points(owner, col, row, out, u, v, np.minimum(cover * right_size[owner], 1), pattern)


def _boxes(
    axes: _Axes, reach: float, view: View, *, seen: NDArray[np.bool_]
) -> tuple[NDArray[np.intp], NDArray[np.int64], NDArray[np.int64]]:
    """List the pixels (owner, column, row) of the boxes around the ``seen`` blobs, ``reach`` times their half axes."""
    ends = []
    for middle, a, b, size in ((axes.x, axes.ax, axes.bx, view.width), (axes.y, axes.ay, axes.by, view.height)):
        half = np.hypot(a, b) * np.float32(reach) + np.float32(0.5)
        first, last = (np.floor(middle + side).astype(np.int64) for side in (-half, half))
        seen = seen & (last >= 0) & (first < size)
        # a small blob at the picture's edge needs all its pixels: they must add up to its area
        wide = half > 8
        ends.append((np.where(wide, first.clip(0, size), first), np.where(wide, last.clip(-1, size - 1), last)))
    (left, right), (top, bottom) = ends
    across, high = right - left + 1, bottom - top + 1
    count = np.where(seen, across * high, 0)
    count[np.cumsum(count) > _MOST_PX] = 0
    owner = np.repeat(np.arange(count.size), count)
    number = np.arange(owner.size) - np.repeat(np.cumsum(count) - count, count)
    row = number // across[owner]
    return owner, number - row * across[owner] + left[owner], row + top[owner]


def _layer(
    view: View, x: NDArray[np.generic], y: NDArray[np.generic], alpha: Float, *,
    rgb: tuple[float, float, float] | Float, matt: float, slopes: tuple[Float, Float] | None = None, soft: bool = False,
) -> Layer:  # fmt: skip
    """Sum up looks in the pixels (columns x, rows y; or soft samples at x, y); where they overlap the mean is taken."""
    coloured = not isinstance(rgb, tuple)
    values = [alpha]
    if coloured:
        values += [alpha * np.asarray(rgb)[:, k] for k in range(3)]
    values += list(slopes or ())
    place = (np.asarray(x, np.float32), np.asarray(y, np.float32))
    pixels, sums = drop(*place, np.stack(values, axis=1), width=view.width, height=view.height, soft=soft)
    cover = sums[:, 0]
    even = np.broadcast_to(np.asarray(rgb if not coloured else (0, 0, 0), np.float32), (pixels.size, 3))
    tone = np.asarray(sums[:, 1:4] / np.maximum(cover, np.float32(1e-9))[:, None] if coloured else even, np.float32)
    none = np.zeros_like(cover)
    slope_x, slope_y = (sums[:, -2].copy(), sums[:, -1].copy()) if slopes else (none, none)
    cover = np.minimum(cover, np.float32(1))
    return Layer(pixels, cover, tone.clip(0, 1), cover * np.float32(matt), slope_x, slope_y)


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1]) / _DM2


def _count(rng: np.random.Generator, box: Box, *, per_dm2: float, most: int = _MOST) -> int:
    return int(min(most, rng.poisson(min(per_dm2 * _area(box), 1e7))))
