"""Every random choice of one synthetic scan, made before the first pixel is computed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from surfacedefect.synthetic import lookalikes
from surfacedefect.synthetic.config import SyntheticConfig
from surfacedefect.synthetic.dents import Bump, random_dent
from surfacedefect.synthetic.environment import random_environment
from surfacedefect.synthetic.lookalikes import Dirt, Gap, Ground
from surfacedefect.synthetic.marks import Float, Mark, MarkName, random_mark
from surfacedefect.synthetic.optics import Panel, mirrored, panel_slopes, random_panel
from surfacedefect.synthetic.paints import Paint, random_paint


@dataclass(frozen=True)
class PaintedMark:
    """A mark and the linear RGB of what shows there, (3,) or (h, w, 3); ``rough`` marks do not mirror."""

    mark: Mark
    rgb: Float
    lip: float
    is_damage: bool
    rough: float = 0.9


@dataclass(frozen=True)
class Scene:
    """All of it. Lists are in drawing order; dents are bumps with truth, water drops bumps without."""

    width: int
    height: int
    mm_per_px: float
    panel: Panel
    paint: Paint
    environment: Float
    even_light: Float  # (3,), the surroundings' mean
    bumps: tuple[Bump, ...]
    marks: tuple[PaintedMark, ...]
    gaps: tuple[Gap, ...]
    grounds: tuple[Ground, ...]
    dirt: Dirt | None

    def x_mm(self, cols: NDArray[np.int64] | slice) -> Float:
        """Give x of the pixel centres of these columns, in mm from the middle."""
        return ((np.arange(self.width)[cols] + 0.5 - self.width / 2) * self.mm_per_px).astype(np.float32)

    def y_mm(self, rows: NDArray[np.int64] | slice) -> Float:
        """Give y of the pixel centres of these rows, in mm from the middle."""
        return ((np.arange(self.height)[rows] + 0.5 - self.height / 2) * self.mm_per_px).astype(np.float32)


@dataclass(frozen=True)
class Counts:
    """How many damages of each sort, drawn from a config."""

    scratches: int
    chips: int
    scuffs: int
    dents: int


def draw_counts(rng: np.random.Generator, config: SyntheticConfig) -> Counts:
    """Numbers within the config's ranges."""
    return Counts(*(int(rng.integers(low, high + 1)) for low, high in
                    (config.scratches, config.chips, config.scuffs, config.dents)))  # fmt: skip


def random_scene(
    rng: np.random.Generator, *, size: tuple[int, int], mm_per_px: float, counts: Counts, config: SyntheticConfig,
    reach_px: float, environment_size: int,
) -> Scene:  # fmt: skip
    """Draw a scene of size (width, height)."""
    width, height = size
    extent = max(width, height) * mm_per_px
    panel = random_panel(rng, extent)
    paint = random_paint(rng, config.paint)
    environment = random_environment(rng, size=environment_size)
    allowed = config.lookalikes
    gaps = lookalikes.random_gaps(rng, size, mm_per_px) if rng.random() < 0.5 * allowed else ()
    grounds = (lookalikes.random_ground(rng, size, mm_per_px),) if rng.random() < 0.35 * allowed else ()
    dirt = lookalikes.random_dirt(rng, extent) if rng.random() < 0.6 * allowed else None

    def is_free(x: float, y: float) -> bool:
        xy = (x - width / 2) * mm_per_px, (y - height / 2) * mm_per_px
        return not any(g.covers(*xy, margin=4.0) for g in gaps) and not any(g.covers(*xy, margin=4.0) for g in grounds)

    places = _places(rng, size, counts.scratches + counts.chips + counts.scuffs, is_free)
    wanted: list[tuple[MarkName, int]] = [
        ("scratch", counts.scratches), ("chip", counts.chips), ("scuff", counts.scuffs),
    ]  # fmt: skip
    names = [name for name, count in wanted for _ in range(count)]
    marks = lookalikes.random_harmless(rng, size, mm_per_px, paint, allowed)
    for name, xy in zip(names, places, strict=True):
        if name == "scratch" and rng.random() < 0.25:
            name = "scratches"
        mark = random_mark(rng, xy, name=name, mm_per_px=mm_per_px / config.damage_scale, reach_px=reach_px)
        here = mark.clipped(height, width)
        if here is not None:
            rgb = _damage_colour(rng, paint)
            marks.append(PaintedMark(here, rgb, lip=float(rng.uniform(0.05, 0.4)), is_damage=True))
    telling = _telling(panel, environment, size, mm_per_px)
    bumps = [random_dent(rng, xy, size=size, mm_per_px=mm_per_px, scale=config.damage_scale, reach_px=reach_px)
             for xy in _places(rng, size, counts.dents, is_free, worth=telling)]  # fmt: skip
    bumps += lookalikes.random_drops(rng, size, mm_per_px) if rng.random() < 0.3 * allowed else []
    even = environment[..., 3:].mean(axis=(0, 1))
    return Scene(width, height, mm_per_px, panel, paint, environment, even, tuple(bumps), tuple(marks), tuple(gaps),
                 tuple(grounds), dirt)  # fmt: skip


def _places(
    rng: np.random.Generator, size: tuple[int, int], count: int, is_free: Callable[[float, float], bool],
    *, worth: Callable[[float, float], float] = lambda x, y: 1.0,
) -> list[tuple[float, float]]:  # fmt: skip
    """Points off the ground and gaps: of a dozen candidates the one far from the others and of most worth wins."""
    chosen: list[tuple[float, float]] = []
    for _ in range(count):
        tries = rng.uniform(0.06, 0.94, (12, 2)) * size
        points = [(float(x), float(y)) for x, y in tries]
        free = [xy for xy in points if is_free(*xy)] or points[:1]
        lonely = [min((np.hypot(x - a, y - b) for a, b in chosen), default=1.0) * worth(x, y) for x, y in free]
        chosen.append(free[int(np.argmax(lonely))])
    return chosen


def _telling(
    panel: Panel, environment: Float, size: tuple[int, int], mm_per_px: float
) -> Callable[[float, float], float]:
    """How much the mirrored surroundings change at a place when the surface turns a little: there a dent shows."""

    def change(x: float, y: float) -> float:
        at_x = np.asarray([(x - size[0] / 2) * mm_per_px], np.float32)
        at_y = np.asarray([(y - size[1] / 2) * mm_per_px], np.float32)
        p, q = panel_slopes(panel, at_x, at_y)
        turns = np.float32(0.05) * np.asarray([[0, 0], [1, 0], [-1, 0], [0, 1], [0, -1]], np.float32)
        seen = [mirrored(panel, environment, 0.05, at_x, at_y, p + a, q + b)[0][0, 0, :3].mean() for a, b in turns]
        return float(np.std(seen)) + 0.02

    return change


def _damage_colour(rng: np.random.Generator, paint: Paint) -> Float:
    """Primer, metal, dirt in the groove or foreign paint; mostly one that stands out from this paint."""
    own = np.sqrt(np.mean(paint.rgb))
    least = 0.28 if rng.random() < 0.9 else 0.08
    rgb = np.full(3, 0.6)
    for _ in range(12):
        sort = rng.choice(4, p=[0.45, 0.2, 0.25, 0.1])
        if sort == 0:
            rgb = rng.uniform(0.45, 0.8) * rng.normal(1, 0.04, 3)
        elif sort == 1:
            rgb = rng.uniform(0.3, 0.5) * rng.normal(1, 0.02, 3)
        elif sort == 2:
            rgb = rng.uniform(0.01, 0.06) * rng.normal(1, 0.15, 3)
        else:
            rgb = np.asarray(random_paint(rng).rgb)
        if abs(np.sqrt(np.mean(rgb)) - own) > least:
            break
    return rgb.astype(np.float32).clip(0.005, 0.9)
