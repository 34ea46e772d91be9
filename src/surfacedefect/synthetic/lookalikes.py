"""Harmless things that look like damage: dust, drops, dirt, panel gaps, stickers, ground. None of them is truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from surfacedefect.synthetic.dents import Bump, random_drop
from surfacedefect.synthetic.marks import Float, Mark, chip, scratch
from surfacedefect.synthetic.paints import Paint
from surfacedefect.synthetic.waves import Waves

if TYPE_CHECKING:
    from surfacedefect.synthetic.scene import PaintedMark


@dataclass(frozen=True)
class Gap:
    """Slit between two panels; distances in mm from the middle of the picture."""

    angle: float
    offset: float
    bend: float
    half_mm: float
    step: float  # how much the other panel is tilted

    def distance(self, x: Float, y: Float) -> Float:
        """Signed distance of a grid of points from the slit's middle, in mm."""
        cos, sin = np.float32(np.cos(self.angle)), np.float32(np.sin(self.angle))
        along = y[:, None] * cos - x[None] * sin
        return np.asarray(x[None] * cos + y[:, None] * sin - np.float32(self.offset) + along**2 * np.float32(self.bend))

    def covers(self, x: float, y: float, *, margin: float) -> bool:
        """Whether the point lies in the slit or within margin (mm) of it."""
        d = self.distance(np.asarray([x], np.float32), np.asarray([y], np.float32))
        return bool(abs(d[0, 0]) < self.half_mm + margin)


@dataclass(frozen=True)
class Ground:
    """Whatever lies beyond the car's edge: everything inside a large circle."""

    centre: tuple[float, float]
    radius: float
    rgb: Float
    texture: Waves
    contrast: float

    def depth(self, x: Float, y: Float) -> Float:
        """How deep inside, in mm; negative on the car."""
        away = np.hypot(x[None] - np.float32(self.centre[0]), y[:, None] - np.float32(self.centre[1]))
        return np.asarray(np.float32(self.radius) - away, np.float32)

    def covers(self, x: float, y: float, *, margin: float) -> bool:
        """Whether the point lies inside or within margin (mm) of it."""
        return bool(self.depth(np.asarray([x], np.float32), np.asarray([y], np.float32))[0, 0] > -margin)


@dataclass(frozen=True)
class Dirt:
    """A film of dirt where a smooth random field is high."""

    field: Waves
    level: float
    strength: float
    rgb: Float


def random_gaps(rng: np.random.Generator, size: tuple[int, int], mm_per_px: float) -> tuple[Gap, ...]:
    """One or two slits, mostly upright or level."""
    extent = max(size) * mm_per_px
    gaps = []
    for _ in range(int(rng.integers(1, 3))):
        angle = float(rng.choice([0, np.pi / 2]) + rng.normal(0, 0.12))
        gaps.append(Gap(angle, float(rng.uniform(-0.45, 0.45) * extent), float(rng.normal(0, 0.15) / extent),
                        float(rng.uniform(1.0, 2.5)), float(rng.normal(0, 0.02))))  # fmt: skip
    return tuple(gaps)


def random_ground(rng: np.random.Generator, size: tuple[int, int], mm_per_px: float) -> Ground:
    """Tyre, plastic trim or floor at one border."""
    extent = max(size) * mm_per_px
    radius = float(extent * np.exp(rng.uniform(np.log(0.4), np.log(8))))
    angle = float(rng.choice([np.pi / 2, np.pi / 2, 0, np.pi]) + rng.normal(0, 0.3))
    away = radius + float(rng.uniform(0.15, 0.42)) * extent
    rgb = np.asarray(rng.choice([0.015, 0.03, 0.15, 0.3]) * rng.normal(1, 0.06, 3), np.float32).clip(0.005, 1)
    shortest = float(rng.uniform(2, 6) * mm_per_px)
    texture = Waves.random(rng, count=48, shortest=shortest, longest=shortest * rng.uniform(4, 30))
    return Ground((away * np.cos(angle), away * np.sin(angle)), radius, rgb, texture, float(rng.uniform(0.05, 0.35)))


def random_dirt(rng: np.random.Generator, extent: float) -> Dirt:
    """Dried road spray, drawn downwards."""
    down = float(rng.uniform(1, 5))
    field = Waves.random(rng, count=40, shortest=0.02 * extent, longest=0.6 * extent, stretch_y=down)
    rgb = np.asarray([0.3, 0.26, 0.2], np.float32) * np.float32(rng.uniform(0.4, 1.2))
    return Dirt(field, float(rng.uniform(0.3, 1.4)), float(rng.uniform(0.04, 0.22)), rgb)


def random_drops(rng: np.random.Generator, size: tuple[int, int], mm_per_px: float) -> list[Bump]:
    """Draw a handful of water drops."""
    drops = []
    for _ in range(int(rng.integers(2, 15))):
        xy = float(rng.uniform(0, size[0])), float(rng.uniform(0, size[1]))
        radius_px = float(np.clip(rng.uniform(0.6, 2.5) / mm_per_px, 1.5, 40))
        drops.append(random_drop(rng, xy, size=size, radius_px=radius_px))
    return drops


def random_harmless(
    rng: np.random.Generator, size: tuple[int, int], mm_per_px: float, paint: Paint, share: float
) -> list[PaintedMark]:
    """Dust, fibres and stickers, as marks that are not damage."""
    from surfacedefect.synthetic.scene import PaintedMark

    marks: list[PaintedMark] = []

    def add(mark: Mark, rgb: Float, rough: float) -> None:
        here = mark.clipped(size[1], size[0])
        if here is not None:
            marks.append(PaintedMark(here, rgb, lip=0.0, is_damage=False, rough=rough))

    if rng.random() < 0.8 * share + 0.1 * (share > 0):
        area = size[0] * size[1] * mm_per_px**2
        dust = np.asarray(rng.uniform(0.2, 0.5) * rng.normal(1, 0.04, 3), np.float32)
        for _ in range(int(min(250, rng.lognormal(-7, 1) * area + rng.integers(0, 15)))):
            xy = float(rng.uniform(0, size[0])), float(rng.uniform(0, size[1]))
            mark = chip(rng, xy, radius_px=float(np.clip(rng.lognormal(-1.7, 0.4) / mm_per_px, 0.4, 5)))
            add(_fainter(mark, float(rng.uniform(0.1, 0.5))), dust, 0.3)
    if rng.random() < 0.25 * share:
        corner = float(rng.uniform(0, 0.8) * size[0]), float(rng.uniform(0, 0.8) * size[1])
        mark, rgb = _sticker(rng, corner, mm_per_px, size)
        add(mark, rgb, 0.5)
    if rng.random() < 0.25 * share:  # a hair or thread: as thin as a scratch but curled
        xy = float(rng.uniform(0, size[0])), float(rng.uniform(0, size[1]))
        length_px, width_px = float(np.clip(12 / mm_per_px, 8, 200)), max(0.5, 0.1 / mm_per_px)
        mark = scratch(rng, xy, length_px=length_px, width_px=width_px, curl=3.0)
        add(_fainter(mark, 0.7), np.full(3, 0.03, np.float32), 0.5)
    return marks


def _fainter(mark: Mark, share: float) -> Mark:
    return Mark(mark.top, mark.left, mark.cover * np.float32(share), mark.lip * 0, mark.mask & False)


def _sticker(
    rng: np.random.Generator, corner: tuple[float, float], mm_per_px: float, size: tuple[int, int]
) -> tuple[Mark, Float]:
    """Draw a badge, label or number plate like thing: a rounded shape with bars and letters."""
    w = int(np.clip(rng.uniform(15, 60) / mm_per_px, 20, 0.4 * size[0]))
    h = int(np.clip(w * rng.uniform(0.25, 1.0), 10, 0.4 * size[1]))
    cover, face = Image.new("L", (w, h), 0), Image.new("RGB", (w, h), _rgb8(rng))
    outline = ImageDraw.Draw(cover)
    if rng.random() < 0.4:
        outline.ellipse((0, 0, w - 1, h - 1), fill=255)
    else:
        outline.rounded_rectangle((0, 0, w - 1, h - 1), radius=h // 8, fill=255)
    draw = ImageDraw.Draw(face)
    for _ in range(int(rng.integers(1, 6))):
        x, y = rng.uniform(0.1, 0.7) * w, rng.uniform(0.1, 0.8) * h
        draw.rectangle((x, y, x + rng.uniform(0.05, 0.3) * w, y + rng.uniform(0.03, 0.15) * h), fill=_rgb8(rng))
    alpha = np.asarray(cover, np.float32) / np.float32(255)
    nothing = np.zeros_like(alpha)
    rgb = (np.asarray(face, np.float32) / np.float32(255)) ** np.float32(2.2)
    mark = Mark(int(corner[1]), int(corner[0]), alpha, nothing, nothing > 0)
    here = mark.clipped(size[1], size[0])
    return (here or mark), rgb[: here.mask.shape[0], : here.mask.shape[1]] if here else rgb


def _rgb8(rng: np.random.Generator) -> tuple[int, int, int]:
    r, g, b = (int(v) for v in rng.choice([20, 60, 180, 235]) * rng.uniform(0.6, 1.05, 3))
    return r, g, b
