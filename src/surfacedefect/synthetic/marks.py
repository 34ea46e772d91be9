"""Where a damage of the paint lies: scratches, scuffs and stone chips as coverage, without any colour.

A line is sampled along and across on a grid finer than the pixels and every sample drops its own small area into
the pixels around it. So the coverage is anti-aliased, a line of 0.3 px is 0.3 of a pixel dark, and many lines of
varying width cost one vectorised pass. Needs numpy only, for it runs inside the training loop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]
MarkName = Literal["scratch", "scratches", "scuff", "chip"]

_STEP = 0.4  # px between samples: fine enough that the grid cannot be seen in the coverage


@dataclass(frozen=True)
class Mark:
    """One damage of the paint on its own small canvas.

    Attributes
    ----------
    top, left
        Pixel of the picture on which the canvas's first pixel lies; may be negative.
    cover
        float32 (h, w) in [0, 1]: coverage times how strongly the paint is hurt there.
    lip
        float32 (h, w) in [-1, 1]: the thin raised edge beside the line; positive catches the light.
    mask
        bool (h, w): the truth.
    """

    top: int
    left: int
    cover: Float
    lip: Float
    mask: NDArray[np.bool_]

    @property
    def region(self) -> tuple[slice, slice]:
        """The canvas's rows and columns in the picture, if it lies wholly inside."""
        height, width = self.mask.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)

    def clipped(self, height: int, width: int) -> Mark | None:
        """Cut out the part that lies in a picture of this size, or None if nothing does."""
        rows = slice(max(0, -self.top), max(0, min(self.mask.shape[0], height - self.top)))
        cols = slice(max(0, -self.left), max(0, min(self.mask.shape[1], width - self.left)))
        if rows.start >= rows.stop or cols.start >= cols.stop:
            return None
        here = rows, cols
        return Mark(self.top + rows.start, self.left + cols.start, self.cover[here], self.lip[here], self.mask[here])


def smooth_noise(rng: np.random.Generator, t: Float, *, waves: int, lowest: float = 1.0) -> Float:
    """Sum of ``waves`` sines over t in [0, 1], about in [-1, 1]."""
    out = np.zeros_like(t)
    for k in range(waves):
        rate = (0.4 + 2.6 * (k + rng.random()) / waves) * lowest  # no common period: no beads on a string
        swing, phase = np.float32(rng.normal() / (1.0 + 0.3 * k)), np.float32(rng.uniform(0, 2 * np.pi))
        out += swing * np.sin(np.float32(2 * np.pi * rate) * t + phase)
    return out / np.float32(1.1)


@dataclass(frozen=True)
class _Path:
    x: Float  # px, centre line
    y: Float
    nx: Float  # unit normal
    ny: Float
    step: float
    t: Float  # 0 .. 1 along

    def moved(self, offset: Float | float) -> _Path:
        return _Path(self.x + self.nx * offset, self.y + self.ny * offset, self.nx, self.ny, self.step, self.t)


def _path(rng: np.random.Generator, x: float, y: float, *, angle: float, length: float, bend: float) -> _Path:
    """Draw a line through (x, y), its middle, that turns by ``bend`` radians and wobbles a little."""
    n = max(4, int(np.ceil(length / _STEP)))
    t = np.linspace(0, 1, n, dtype=np.float32)
    wobble = smooth_noise(rng, t, waves=4, lowest=1.0 + length / 150) * rng.choice([0.01, 0.04, 0.12])
    heading = np.float32(angle) + np.float32(bend) * (t - np.float32(0.5)) + wobble.astype(np.float32)
    step = length / n
    px, py = np.cumsum(np.cos(heading)) * step, np.cumsum(np.sin(heading)) * step
    middle = n // 2
    return _Path(
        (px - px[middle] + x).astype(np.float32), (py - py[middle] + y).astype(np.float32),
        -np.sin(heading), np.cos(heading), step, t,
    )  # fmt: skip


class _Canvas:
    """Collects samples in picture coordinates, then turns them into a `Mark`."""

    def __init__(self, left: float, top: float, right: float, bottom: float) -> None:
        pad = 4
        self.left, self.top = int(np.floor(left)) - pad, int(np.floor(top)) - pad
        self.width, self.height = int(np.ceil(right)) + pad - self.left, int(np.ceil(bottom)) + pad - self.top
        self.size = self.width * self.height

    def drop(self, x: Float, y: Float, weight: Float, *, soft: bool = True) -> Float:
        """Sum of the samples' weights per pixel; soft shares each out over its four nearest pixels."""
        fx, fy = x - np.float32(self.left), y - np.float32(self.top)
        if soft:
            fx, fy = fx - np.float32(0.5), fy - np.float32(0.5)
        col, row = np.floor(fx).astype(np.int32), np.floor(fy).astype(np.int32)
        keep = (col >= 0) & (row >= 0) & (col < self.width - 1) & (row < self.height - 1)
        if not keep.all():
            col, row, fx, fy, weight = col[keep], row[keep], fx[keep], fy[keep], weight[keep]
        index = row * self.width + col
        if not soft:
            return self._grid(np.bincount(index, weight, self.size).astype(np.float64))
        ax, ay = fx - col, fy - row
        total = np.bincount(index, weight * (1 - ax) * (1 - ay), self.size).astype(np.float64)
        total += np.bincount(index + 1, weight * ax * (1 - ay), self.size)
        total += np.bincount(index + self.width, weight * (1 - ax) * ay, self.size)
        total += np.bincount(index + self.width + 1, weight * ax * ay, self.size)
        return self._grid(total)

    def _grid(self, flat: NDArray[np.float64]) -> Float:
        return flat.astype(np.float32).reshape(self.height, self.width)

    def stroke(self, path: _Path, width: Float, strength: Float) -> tuple[Float, Float]:
        """Coverage times strength (soft), and bare coverage by pixel squares (hard), of a band along the path."""
        across = max(1, int(np.ceil(float(width.max()) / _STEP)))
        u = (np.arange(across, dtype=np.float32) + np.float32(0.5)) / across - np.float32(0.5)
        offset = width[:, None] * u
        x = (path.x[:, None] + path.nx[:, None] * offset).ravel().astype(np.float32, copy=False)
        y = (path.y[:, None] + path.ny[:, None] * offset).ravel().astype(np.float32, copy=False)
        area = np.broadcast_to((width * np.float32(path.step / across))[:, None], offset.shape).ravel()
        grooves = 1 - np.float32(0.5) * np.abs(np.sin(np.arange(across, dtype=np.float32) * np.float32(2.4)) ** 3)
        hurt = (strength[:, None] * (grooves if across > 8 else np.ones_like(u))).ravel()
        soft = self.drop(x, y, area * hurt)
        return np.minimum(soft, 1), np.minimum(self.drop(x, y, area, soft=False), 1)

    def spine(self, path: _Path, keep: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Every pixel that the centre line passes through."""
        x, y = path.x[keep], path.y[keep]
        return self.drop(x, y, np.ones_like(x), soft=False) > 0


def _profile(rng: np.random.Generator, path: _Path, width_px: float) -> tuple[Float, Float]:
    """Width (px) and strength (0..1) along a line: tapering ends, uneven pressure, sometimes broken."""
    t = path.t
    head, tail = rng.choice([0.02, 0.08, 0.3], size=2)
    taper = np.minimum(np.minimum(t / head, (1 - t) / tail), 1).clip(0, 1) ** np.float32(0.6)
    length = path.step * t.size
    width = width_px * taper * (1 + 0.16 * smooth_noise(rng, t, waves=6, lowest=1 + length / 90)).clip(0.5, 1.5)
    strength = (0.85 + 0.25 * smooth_noise(rng, t, waves=5, lowest=1 + length / 120)).clip(0.4, 1)
    if rng.random() < 0.2 and length > 25:
        held = smooth_noise(rng, t, waves=4, lowest=1 + length / 200) - np.float32(rng.uniform(-0.9, -0.2))
        if (held > 0).mean() > 0.3:
            width = width * np.sqrt((held * 5).clip(0, 1))
    return width.astype(np.float32), strength.astype(np.float32)


def _extent(paths: list[_Path], margin: float) -> _Canvas:
    return _Canvas(
        min(float(p.x.min()) for p in paths) - margin, min(float(p.y.min()) for p in paths) - margin,
        max(float(p.x.max()) for p in paths) + margin, max(float(p.y.max()) for p in paths) + margin,
    )  # fmt: skip


def scratch(
    rng: np.random.Generator, xy: tuple[float, float], *, length_px: float, width_px: float, lines: int = 1,
    curl: float = 0.35,
) -> Mark:  # fmt: skip
    """One scratch, or several that run side by side, whose middle lies at xy; it turns by about curl radians."""
    angle = float(rng.uniform(0, 2 * np.pi))
    bend = float(rng.choice([0.0, 1.0, 1.0]) * rng.normal(0, curl))
    first = _path(rng, *xy, angle=angle, length=length_px, bend=bend)
    paths = [first]
    for _ in range(lines - 1):
        gap = rng.normal(0, 1) * (3 + 2.5 * width_px) + rng.normal(0, 1.0) * first.t
        start, stop = sorted(rng.uniform(0, 1, 2))
        part = slice(int(start * 0.7 * first.t.size), max(8, int((0.4 + 0.6 * stop) * first.t.size)))
        moved = first.moved(gap.astype(np.float32))
        count = moved.x[part].size
        paths.append(_Path(moved.x[part], moved.y[part], moved.nx[part], moved.ny[part], moved.step,
                           np.linspace(0, 1, count, dtype=np.float32)))  # fmt: skip
    canvas = _extent(paths, 2 * width_px + 2)
    cover = np.zeros((canvas.height, canvas.width), np.float32)
    lip, mask = np.zeros_like(cover), np.zeros(cover.shape, bool)
    for k, path in enumerate(paths):
        own = width_px if k == 0 else width_px * rng.uniform(0.3, 1.0)
        width, strength = _profile(rng, path, own)
        soft, hard = canvas.stroke(path, width, strength)
        np.maximum(cover, soft, out=cover)
        mask |= (hard >= 0.5) | canvas.spine(path, width > 0.25 * min(own, 1.0))
        if own > 1.5 and rng.random() < 0.8:
            side = rng.choice([-1.0, 1.0])
            rim = np.maximum(width * 0.22, 0.7 * (width > 0)).astype(np.float32)
            edge = path.moved((side * 0.5 * (width + rim)).astype(np.float32))
            lip += canvas.stroke(edge, rim, strength)[0] * np.float32(rng.uniform(0.3, 1.0))
    return Mark(canvas.top, canvas.left, cover, lip.clip(0, 1), mask)


def blob_radius(rng: np.random.Generator, theta: Float, *, rough: float) -> Float:
    """Radius, about 1, of an irregular outline at the angles theta (radians)."""
    radius = np.ones_like(theta)
    for k in range(2, 9):
        swing = np.float32(rough * rng.normal() / k**0.7)
        radius += swing * np.cos(k * theta + np.float32(rng.uniform(0, 2 * np.pi)))
    return radius.clip(0.35, 1.8)


def _polar(canvas: _Canvas, xy: tuple[float, float], angle: float, aspect: float) -> tuple[Float, Float, Float]:
    """Give the distance (px, of the long axis) and angle of every pixel centre around xy, and how far along it is."""
    x = np.arange(canvas.width, dtype=np.float32)[None] + np.float32(canvas.left + 0.5 - xy[0])
    y = np.arange(canvas.height, dtype=np.float32)[:, None] + np.float32(canvas.top + 0.5 - xy[1])
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    along, over = x * cos + y * sin, (y * cos - x * sin) / np.float32(aspect)
    return np.hypot(along, over), np.arctan2(over, along).astype(np.float32), along


def chip(rng: np.random.Generator, xy: tuple[float, float], *, radius_px: float) -> Mark:
    """Draw a stone chip: a small irregular blob, lighter or darker inside, with a lit edge on one side."""
    reach = 2 * radius_px + 2
    canvas = _Canvas(xy[0] - reach, xy[1] - reach, xy[0] + reach, xy[1] + reach)
    distance, theta, along = _polar(canvas, xy, rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 1.0))
    inside = radius_px * blob_radius(rng, theta, rough=0.13) - distance
    cover = (inside + 0.5).clip(0, 1)
    rim = np.exp(-((inside + 0.4) ** 2) / np.float32(2 * max(0.5, 0.12 * radius_px) ** 2))
    lip = rim * (along > 0) * np.float32(rng.uniform(0.2, 1.0))
    mask = cover >= 0.5
    if not mask.any():
        mask[int(xy[1]) - canvas.top, int(xy[0]) - canvas.left] = True
    strength = 1 - 0.3 * np.exp(-((inside - radius_px * 0.5) ** 2) / np.float32(max(1.0, radius_px)))
    return Mark(canvas.top, canvas.left, (cover * strength).astype(np.float32), lip.astype(np.float32), mask)


def _box_blur(a: Float, radius: int) -> Float:
    for axis in (0, 1):
        padded = np.pad(a, [(radius + 1, radius) if k == axis else (0, 0) for k in (0, 1)])
        total = np.cumsum(padded, axis=axis, dtype=np.float32)
        n = 2 * radius + 1
        a = (total[n:] - total[:-n] if axis == 0 else total[:, n:] - total[:, :-n]) / np.float32(n)
    return a


def scuff(rng: np.random.Generator, xy: tuple[float, float], *, length_px: float, thin_px: float = 1.0) -> Mark:
    """Rub an area: many fine lines of one direction over a haze. Its truth is the area."""
    aspect, angle = float(rng.uniform(0.12, 0.5)), float(rng.uniform(0, 2 * np.pi))
    half = length_px / 2
    count = int(np.clip(length_px * aspect / (2.5 * thin_px) * rng.uniform(0.5, 1.2), 6, 90))
    bend = float(rng.normal(0, 0.15))
    paths = []
    for _ in range(count):
        over = float(rng.normal(0, 0.45)) * half * aspect
        along = float(rng.normal(0, 0.25)) * half
        cos, sin = float(np.cos(angle)), float(np.sin(angle))
        middle = xy[0] + along * cos - over * sin, xy[1] + along * sin + over * cos
        length = max(6.0, length_px * float(rng.uniform(0.15, 0.7)))
        paths.append(_path(rng, *middle, angle=angle + float(rng.normal(0, 0.05)), length=length, bend=bend))
    canvas = _extent(paths, 2 * thin_px + 2)
    fields = zip(*((p.x, p.y, p.nx, p.ny, p.t) for p in paths), strict=True)
    x, y, nx, ny, t = (np.concatenate(parts) for parts in fields)
    path = _Path(x, y, nx, ny, paths[0].step, t)
    thin = np.concatenate([np.full(p.t.size, thin_px * rng.choice([0.4, 0.7, 1.0, 1.8]), np.float32) for p in paths])
    press = np.concatenate([np.full(p.t.size, rng.uniform(0.25, 1.0), np.float32) for p in paths])
    ends = np.minimum(np.minimum(path.t, 1 - path.t) / np.float32(0.15), 1)
    cover, hard = canvas.stroke(path, thin * ends, press)
    distance, theta, _ = _polar(canvas, xy, angle, aspect)
    inside = (1 - distance / (np.float32(0.75 * half) * blob_radius(rng, theta, rough=0.1))).clip(0, 1)
    near = max(2, round(2.5 * thin_px))
    dense = _box_blur(hard, near)
    haze = np.minimum(inside * 3, 1) * np.float32(rng.uniform(0.03, 0.25)) * (np.float32(0.2) + dense).clip(0, 1)
    mask = (dense > 0.2) | (inside > 0.15) | (hard >= 0.5)
    return Mark(canvas.top, canvas.left, np.maximum(cover, haze).astype(np.float32), np.zeros_like(cover), mask)


def random_mark(
    rng: np.random.Generator, xy: tuple[float, float], *, name: MarkName, mm_per_px: float, reach_px: float
) -> Mark:
    """Draw a mark of true-to-life size: widths and lengths are drawn in mm, then kept drawable at this scale.

    Parameters
    ----------
    name
        ``"scratch"``, ``"scratches"`` (a group side by side), ``"scuff"`` or ``"chip"``.
    reach_px
        No mark is longer than this.
    """
    if name == "chip":
        return chip(rng, xy, radius_px=float(np.clip(rng.lognormal(-0.3, 0.5) / mm_per_px, 1.0, 30)))
    if name == "scuff":
        length = float(np.clip(rng.lognormal(3.4, 0.6) / mm_per_px, 16, reach_px))
        return scuff(rng, xy, length_px=length, thin_px=float(np.clip(0.15 / mm_per_px, 0.6, 2.5)))
    width = float(np.clip(rng.lognormal(-1.25, 0.75) / mm_per_px, 0.45, 13))
    length = float(np.clip(rng.lognormal(3.6, 0.8) / mm_per_px, 8 + 3 * width, reach_px))
    lines = int(rng.integers(2, 6)) if name == "scratches" else 1
    return scratch(rng, xy, length_px=length, width_px=width, lines=lines)
