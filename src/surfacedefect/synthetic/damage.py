"""The damages of one scan: scratches, scuffs, chips and dents, each with its look and its exact truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from surfacedefect.synthetic.coats import Cut, Wear, cut
from surfacedefect.synthetic.dents import Bump
from surfacedefect.synthetic.draws import log_uniform
from surfacedefect.synthetic.geometry import Float, View
from surfacedefect.synthetic.paints import Paint
from surfacedefect.synthetic.strokes import (
    Path,
    Samples,
    groove,
    line_profile,
    random_path,
    scrape,
    smooth_noise,
)

Sort = Literal["hairline", "scratch", "gouge", "scratch group", "scuff", "chip", "ding", "round dent", "crease dent",
               "hail dent"]  # fmt: skip
_SAMPLE_PX = 0.4
_SCUFF_SAMPLE_PX = 0.6
_CHIP_SAMPLE_PX = 0.35
_MOST_SAMPLES = 3_000_000


@dataclass(frozen=True)
class CentreLine:
    """Middle of a scratch: points float32 (n, 2) as (x, y) in px, and the width in px there, (n,); 0 = lifted off."""

    xy: Float
    width_px: Float


@dataclass(frozen=True)
class Damage:
    """One damage.

    Attributes
    ----------
    kind
        ``"scratch"`` or ``"dent"``.
    sort
        What a body shop would call it.
    cut
        What it does to the paint, or None.
    bump
        What it does to the shape, or None.
    lines
        Centre lines of scratches; empty for the rest.
    length_mm, width_mm, depth_mm
        True size on the panel: of a scratch along and across its longest line, of anything else its long and short
        axis.
    """

    kind: Literal["scratch", "dent"]
    sort: Sort
    cut: Cut | None
    bump: Bump | None
    lines: tuple[CentreLine, ...]
    length_mm: float
    width_mm: float
    depth_mm: float


def random_wear(rng: np.random.Generator, *, foreign: bool) -> Wear:
    """Draw how old and dirty a damage is."""
    dirty, rusty = rng.random(2) < [0.4, 0.12]
    colour = None
    if foreign:  # another car's paint, a post's, or rubber
        level = float(rng.choice([0.7, 0.25, 0.02], p=[0.5, 0.2, 0.3]))
        r, g, b = (float(c) for c in (level * rng.normal(1, 0.12, 3)).clip(0.01, 0.85))
        colour = r, g, b
    return Wear(
        haze=float(rng.uniform(0.05, 0.3)), dirt=float(rng.uniform(0.2, 0.95)) if dirty else float(rng.uniform(0, 0.1)),
        rust=float(rng.uniform(0.3, 1)) if rusty else 0.0, foreign=colour,
    )  # fmt: skip


def line_scratch(
    rng: np.random.Generator, xy_mm: tuple[float, float], *, view: View, paint: Paint, length_mm: float,
    width_mm: float, lines: int = 1,
) -> Damage | None:  # fmt: skip
    """Draw one scratch, or several side by side that one rough edge left; None when it misses the picture."""
    sample = _SAMPLE_PX * view.mm_per_px
    width_mm = min(width_mm, length_mm / 3)
    angle, bend = float(rng.uniform(0, 2 * np.pi)), float(rng.choice([0.0, 1.0]) * rng.normal(0, 0.5))
    wobble = float(rng.choice([0.01, 0.03, 0.08]))
    first = random_path(rng, xy_mm, length_mm=length_mm, step_mm=sample, angle=angle, bend=bend, wobble=wobble)
    # wide things press harder; the spread covers clear coat only to bare metal
    deepest = float(np.clip(55 * width_mm**0.6 * rng.lognormal(0, 0.6), 4, 400))
    samples, spines, centres = [], [], []
    for k in range(lines):
        path, own = first, width_mm
        if k:
            gap = rng.normal(0, 1) * (6 * sample + 3.5 * width_mm) + rng.normal(0, 0.6) * first.t
            begin, end = sorted(rng.uniform(0, 1, 2))
            part = slice(int(begin * 0.7 * first.t.size), max(8, int((0.4 + 0.6 * end) * first.t.size)))
            path, own = first.beside(gap.astype(np.float32), part), width_mm * float(rng.uniform(0.3, 1.0))
        lifted = bool(rng.random() < (0.25 if own < 0.6 else 0.05))
        width, pressure = line_profile(rng, path, own, broken=lifted and path.t.size > 30)
        depth = pressure * np.float32(deepest * (own / width_mm) ** 0.5)
        centres.append(_centre_line(view, path, width))
        seen = _near_picture(view, path, margin_px=own / view.mm_per_px + 4)
        if seen is not None:
            path, width, depth = path.only(seen), width[seen], depth[seen]
            count = path.t.size * max(1.0, float(width.max()) / sample)
            across = sample * min(2.5, max(1.0, count / _MOST_SAMPLES))
            samples.append(groove(rng, path, width_mm=width, depth_um=depth, sample_mm=across))
            spines.append((path.x[width > 0], path.y[width > 0]))
    if not samples:
        return None
    spine = np.concatenate([s[0] for s in spines]), np.concatenate([s[1] for s in spines])
    done = cut(Samples.joined(samples), view=view, paint=paint, wear=random_wear(rng, foreign=False), spine=spine)
    if done is None:
        return None
    wide_px = width_mm / view.mm_per_px
    name: Sort = (
        "scratch group" if lines > 1 else "hairline" if wide_px <= 2 else "gouge" if width_mm > 1 else "scratch"
    )
    return Damage("scratch", name, done, None, tuple(centres), length_mm, width_mm, deepest / 1000)


def _centre_line(view: View, path: Path, width_mm: Float) -> CentreLine:
    every = slice(None, None, max(1, round(2 / _SAMPLE_PX)))
    x, y = path.x[every], path.y[every]
    across = np.arctan2(path.normal_y, path.normal_x)[every]
    xy = np.column_stack(view.project(x, y)).astype(np.float32)
    return CentreLine(xy, width_mm[every] * view.px_per_mm(x, y, across))


def scuff(
    rng: np.random.Generator, xy_mm: tuple[float, float], *, view: View, paint: Paint, length_mm: float,
) -> Damage | None:  # fmt: skip
    """Scrape a band: another car, a post or a wall dragged along; None when it misses the picture.

    What would cover more than about a million pixels is made smaller.
    """
    width = length_mm * log_uniform(rng, 0.06, 0.5)
    sample = _SCUFF_SAMPLE_PX * view.mm_per_px
    smaller = min(1.0, float(np.sqrt(_MOST_SAMPLES * sample**2 / (length_mm * width))))
    length_mm, width = length_mm * smaller, width * smaller
    angle, bend = float(rng.uniform(0, 2 * np.pi)), float(rng.normal(0, 0.25))
    depth = log_uniform(rng, 20, 170)
    fine = log_uniform(rng, 0.05, 0.6)
    passes = int(rng.choice([1, 2, 3], p=[0.5, 0.35, 0.15]))
    density = float(rng.uniform(0.08, 0.8)) / passes
    found = []
    for _ in range(passes):  # what rubs along seldom keeps its direction to the degree
        path = random_path(
            rng, xy_mm, length_mm=length_mm * float(rng.uniform(0.6, 1)), step_mm=sample,
            angle=angle + float(rng.normal(0, 0.06)), bend=bend, wobble=0.02,
        )  # fmt: skip
        part = _near_picture(view, path, margin_px=0.6 * width / view.mm_per_px)
        if part is not None:
            found.append(scrape(
                rng, path, width_mm=width * float(rng.uniform(0.5, 1)), depth_um=depth, fine_mm=fine, density=density,
                sample_mm=sample, part=part,
            ))  # fmt: skip
    samples = Samples.joined([part for part in found if part.x.size])
    wear = random_wear(rng, foreign=rng.random() < 0.4)
    done = cut(samples, view=view, paint=paint, wear=wear, least_cover=0.15) if samples.x.size else None
    if done is None:
        return None
    # lines closer than this are one damage to whoever pays for it
    mask = _closed(done.mask_pixels, view.width, radius=int(np.clip(round(0.35 / view.mm_per_px), 1, 4)))
    return Damage("scratch", "scuff", Cut(done.layer, mask), None, (), length_mm, width, depth / 1000)


def _near_picture(view: View, path: Path, *, margin_px: float) -> slice | None:
    """Which part of a line, from its first to its last point, is in the picture or within a margin of it."""
    col, row = view.project(path.x, path.y)
    near = (col > -margin_px) & (row > -margin_px) & (col < view.width + margin_px) & (row < view.height + margin_px)
    at = np.flatnonzero(near)
    return slice(int(at[0]), int(at[-1]) + 1) if at.size > 3 else None


def _closed(pixels: NDArray[np.int64], width: int, *, radius: int) -> NDArray[np.int64]:
    """Close gaps of up to twice the radius between pixels."""
    rows, cols = pixels // width, pixels % width
    pad = 2 * radius
    top, left = int(rows.min()) - pad, int(cols.min()) - pad
    canvas = np.zeros((int(rows.max()) - top + pad + 1, int(cols.max()) - left + pad + 1), bool)
    canvas[rows - top, cols - left] = True
    closed = ~_grown(~_grown(canvas, radius), radius)
    r, c = np.nonzero(closed | canvas)
    keep = (c + left >= 0) & (c + left < width) & (r + top >= 0) & (r + top <= rows.max())
    return np.asarray(((r + top) * width + c + left)[keep], np.int64)


def _grown(a: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    """Grow what is set by a square; in plain numpy, for it runs inside the training loop."""
    for axis in (0, 1):
        out = a.copy()
        for shift in range(1, radius + 1):
            ahead: list[slice] = [slice(None)] * 2
            behind = list(ahead)
            ahead[axis], behind[axis] = slice(shift, None), slice(None, -shift)
            out[tuple(ahead)] |= a[tuple(behind)]
            out[tuple(behind)] |= a[tuple(ahead)]
        a = out
    return a


def chips(
    rng: np.random.Generator, xy_mm: tuple[float, float], *, view: View, paint: Paint, count: int, spread_mm: float,
    scale: float,
) -> list[Damage | None]:  # fmt: skip
    """Draw a cluster of stone chips around a point: craters with a flaked rim, each a damage of its own."""
    found: list[Damage | None] = []
    wear = random_wear(rng, foreign=False)
    for k in range(count):
        away = rng.normal(0, spread_mm, 2) if k else np.zeros(2)
        radius = float(np.clip(rng.lognormal(-0.55, 0.55), 0.12, 4)) * scale
        samples = _crater(
            rng, (xy_mm[0] + away[0], xy_mm[1] + away[1]), radius, sample_mm=_CHIP_SAMPLE_PX * view.mm_per_px
        )
        middle = samples.x.mean()[None], samples.y.mean()[None]
        done = cut(samples, view=view, paint=paint, wear=wear, spine=middle)
        if done is not None:
            depth = float(samples.depth_um.max()) / 1000
            found.append(Damage("scratch", "chip", done, None, (), 2 * radius, 2 * radius, depth))
    return found


def _crater(rng: np.random.Generator, xy_mm: tuple[float, float], radius_mm: float, *, sample_mm: float) -> Samples:
    """Sample an irregular crater: steep broken edge, terraces where coats flaked off, a slightly raised rim."""
    reach = 1.25
    n = int(np.clip(2 * reach * radius_mm / sample_mm, 5, 400))
    axis = (np.arange(n) + 0.5) / n * 2 - 1
    u, v = np.meshgrid(*(np.asarray(axis * a, np.float32) for a in (reach, reach * rng.uniform(0.5, 1.0))))
    theta = np.asarray(np.arctan2(v, u), np.float32)
    turn = theta / np.float32(2 * np.pi) + np.float32(0.5)
    outline = 1 + np.float32(0.2) * smooth_noise(rng, turn, lowest=1.3)
    # noise over the angle must close up
    seam = (np.abs(theta) / np.float32(np.pi)) ** 4
    r = np.hypot(u, v) / (outline * (1 - seam) + seam)
    deepest = log_uniform(rng, 40, 220)
    uneven = smooth_noise(rng, u * np.float32(1.3) + v * np.float32(0.4), lowest=1, waves=5)
    uneven = uneven * smooth_noise(rng, v * np.float32(1.2) - u * np.float32(0.5), lowest=1, waves=5)
    # the clear coat flakes off farther out than what is below it
    core = np.float32(rng.uniform(0.45, 1.0))
    inner = np.float32(deepest) * (1 - (r / core) ** 4).clip(0, 1)
    ring = np.float32(min(deepest, rng.uniform(10, 50))) * (1 - r**8).clip(0, 1)
    depth = np.maximum(inner, ring) * (1 + np.float32(0.25) * uneven).clip(0.3, 1.3)
    rim = np.float32(-0.12 * min(deepest, 60)) * np.exp(-(((r - np.float32(1.08)) / np.float32(0.06)) ** 2))
    depth = np.where(r < 1, depth, np.where(r < reach, rim, 0))
    pitch = 2 * reach * radius_mm / n
    down, across = np.gradient(depth * np.float32(-1e-3 / pitch))
    angle = rng.uniform(0, 2 * np.pi)
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    stretch = float(v.max() / u.max())
    x, y = u * np.float32(radius_mm), v * np.float32(radius_mm)
    return Samples.flat(
        depth.shape, x * cos - y * sin + np.float32(xy_mm[0]), x * sin + y * cos + np.float32(xy_mm[1]), depth,
        across * cos - down * sin, across * sin + down * cos, np.float32(pitch * pitch * stretch), uneven,
    )  # fmt: skip
