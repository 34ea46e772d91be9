"""Every random choice of one synthetic scan, made before the first pixel is computed.

Each part draws from its own stream of the seed. So the same seed shows the same damage on the same panel whatever
light falls on it.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from surfacedefect.errors import OptionError
from surfacedefect.synthetic.config import SyntheticConfig
from surfacedefect.synthetic.damage import Damage, chips, line_scratch, scuff
from surfacedefect.synthetic.dents import DentSort, pressed, random_dent
from surfacedefect.synthetic.dirt.contamination import Film, random_drops, random_films, random_specks
from surfacedefect.synthetic.draws import log_uniform
from surfacedefect.synthetic.geometry import View
from surfacedefect.synthetic.lighting import Lighting, random_falloff, random_shadow, reflected_range
from surfacedefect.synthetic.paints import Paint, random_paint
from surfacedefect.synthetic.panel import Panel, random_panel
from surfacedefect.synthetic.parts.choice import Part, covers, random_parts
from surfacedefect.synthetic.places.environment import random_environment
from surfacedefect.synthetic.splat import Layer

Point = tuple[float, float]
_STEEPEST = float(np.radians(82))


@dataclass(frozen=True)
class Scene:
    """All of it, in drawing order: panel, parts, films and specks of dirt, damages."""

    view: View
    panel: Panel
    paint: Paint
    lighting: Lighting
    parts: tuple[Part, ...]
    films: tuple[Film, ...]
    specks: tuple[Layer, ...]
    damages: tuple[Damage, ...]
    flake_px: float
    """Contrast of the flakes at this scale."""


def stream(seed: int, name: str) -> np.random.Generator:
    """Give the seed's own random stream for one part of the scene."""
    return np.random.default_rng(np.random.SeedSequence([seed, zlib.crc32(name.encode())]))


def random_scene(seed: int, config: SyntheticConfig, *, environment_size: int) -> Scene:
    """Draw the scene of a seed."""
    rng = stream(seed, "view")
    view = View.looking(
        (config.width, config.height), mm_per_px=config.mm_per_px, distance_mm=config.distance_mm,
        tilt=float(np.radians(rng.uniform(*config.tilt_degrees))), towards=float(rng.uniform(0, 2 * np.pi)),
    )  # fmt: skip
    if view.steepest > _STEEPEST:
        raise OptionError(
            f"at {np.degrees(view.steepest):.0f} degrees to its normal a border of the picture sees past the panel; "
            f"expected at most {np.degrees(_STEEPEST):.0f}: make tilt_degrees (to {config.tilt_degrees[1]:g}) or "
            f"the picture smaller, or distance_mm ({config.distance_mm:g}) larger"
        )
    footprint, extent = view.footprint, view.extent_mm
    panel = random_panel(stream(seed, "panel"), extent, mm_per_px=config.mm_per_px)
    paint = random_paint(stream(seed, "paint"), config.paints)
    share = config.lookalikes
    parts = random_parts(stream(seed, "parts"), footprint=footprint, paint=paint, share=0.8 * share, far=extent > 250)
    films = random_films(stream(seed, "films"), footprint=footprint, share=share)
    rng = stream(seed, "specks")
    specks = (*random_specks(rng, view=view, paint=paint, share=share), *random_drops(rng, view=view, share=share))
    lighting = _random_lighting(seed, config, view=view, panel=panel, paint=paint, size=environment_size)
    damages = _random_damages(stream(seed, "damage"), config, view=view, paint=paint, parts=parts)
    flakes = paint.flakes * min(1.0, 0.15 / config.mm_per_px)
    return Scene(view, panel, paint, lighting, parts, films, specks, damages, flakes)


def _random_lighting(
    seed: int, config: SyntheticConfig, *, view: View, panel: Panel, paint: Paint, size: int
) -> Lighting:
    rng = stream(seed, "light")
    # doors and wings stand upright, bonnets and roofs lie
    leans = rng.normal(0, 8), rng.uniform(15, 60), rng.uniform(60, 90)
    lean = float(np.radians(rng.choice(leans, p=[0.6, 0.2, 0.2])))
    roll = float(rng.normal(0, 0.08))
    up = np.sin(roll) * np.cos(lean), -np.cos(roll) * np.cos(lean), np.sin(lean)
    rows, cols = (np.linspace(0, size - 1, 16).astype(np.int64) for size in (view.height, view.width))
    x, y = view.grid(rows, cols)
    *centre, half = reflected_range(view, *panel.slopes(x, y, view.rulers(rows, cols)), x, y)
    half += 0.3  # dents turn the ray further
    environment = random_environment(
        rng,
        places=config.places,
        up=(float(up[0]), float(up[1]), float(up[2])),
        centre=(centre[0], centre[1]),
        half=half,
        size=size,
    )
    shaded = environment.sun is not None and rng.random() < 0.4 * config.lookalikes
    shadow = random_shadow(rng, view.extent_mm) if shaded else None
    falloff = random_falloff(rng, view.extent_mm)
    return Lighting(view, paint, environment, config.fringe, shadow, falloff)


def _random_damages(
    rng: np.random.Generator, config: SyntheticConfig, *, view: View, paint: Paint, parts: tuple[Part, ...]
) -> tuple[Damage, ...]:
    def is_free(xy: Point) -> bool:
        return not covers(parts, *xy, margin_mm=4.0)

    def count(ends: tuple[int, int]) -> int:
        return int(rng.integers(ends[0], ends[1] + 1))

    scratches, scuffs, dents, hail = (count(c) for c in (config.scratches, config.scuffs, config.dents, config.hail))
    chip_groups = _split(rng, count(config.chips))
    places = iter(_places(rng, view, scratches + scuffs + len(chip_groups) + dents + hail, is_free))
    found: list[Damage | None] = []
    for k in range(dents + hail):
        found += _dent(rng, next(places), config, view=view, paint=paint, hail=k >= dents)
    thin = int(np.ceil(config.hairlines * scratches))
    low, high = config.scratch_width_mm
    fine = float(np.clip(1.9 * config.mm_per_px, low, high))  # mean width that counts as a hairline
    for k in range(scratches):
        width = log_uniform(rng, low, fine if k < thin else high)
        found.append(line_scratch(
            rng, next(places), view=view, paint=paint, length_mm=log_uniform(rng, *config.scratch_length_mm),
            width_mm=width, lines=int(rng.integers(2, 7)) if rng.random() < config.groups else 1,
        ))  # fmt: skip
    for _ in range(scuffs):
        length = log_uniform(rng, 12, 180) * config.damage_scale
        found.append(scuff(rng, next(places), view=view, paint=paint, length_mm=length))
    for size in chip_groups:
        spread = float(rng.uniform(3, 30)) * config.damage_scale
        found += chips(
            rng, next(places), view=view, paint=paint, count=size, spread_mm=spread, scale=config.damage_scale
        )
    return tuple(damage for damage in found if damage is not None)


def _dent(
    rng: np.random.Generator, xy: Point, config: SyntheticConfig, *, view: View, paint: Paint, hail: bool
) -> list[Damage | None]:
    sorts: tuple[DentSort, ...] = ("ding", "round dent", "crease dent")
    sort: DentSort = "hail dent" if hail else sorts[int(rng.choice(3, p=[0.5, 0.3, 0.2]))]
    x0, y0, x1, y1 = view.footprint
    most_mm = 0.3 * min(x1 - x0, y1 - y0)  # a dent that fills the picture shows in nothing but its shape
    dent = random_dent(rng, xy, sort=sort, scale=config.damage_scale, most_mm=most_mm)
    dents = [dent]
    if not hail and rng.random() < 0.4:  # sheet metal seldom gives way in one place only
        turn, away = rng.uniform(0, 2 * np.pi), 0.7 * dent.half_mm[0]
        beside = xy[0] + away * float(np.cos(turn)), xy[1] + away * float(np.sin(turn))
        dents.append(
            random_dent(
                rng, beside, sort=sort, scale=config.damage_scale * float(rng.uniform(0.3, 0.7)), most_mm=most_mm
            )
        )
    bump = pressed(dents, view)
    if bump is None:
        return []
    size = 2 * max(dent.half_mm), 2 * min(dent.half_mm)
    found: list[Damage | None] = [Damage("dent", sort, None, bump, (), *size, abs(dent.depth_mm))]
    if not hail and rng.random() < 0.25:  # what dented it hurt the paint too
        found.append(line_scratch(
            rng, xy, view=view, paint=paint, length_mm=float(size[0] * rng.uniform(0.3, 0.9)),
            width_mm=log_uniform(rng, *config.scratch_width_mm), lines=int(rng.integers(1, 4)),
        ))  # fmt: skip
    return found


def _split(rng: np.random.Generator, total: int) -> list[int]:
    """Split chips into clusters of one to a dozen."""
    groups = []
    while total > 0:
        groups.append(min(total, int(rng.choice([1, 2, 5, 12], p=[0.4, 0.3, 0.2, 0.1]))))
        total -= groups[-1]
    return groups


def _places(rng: np.random.Generator, view: View, count: int, is_free: Callable[[Point], bool]) -> list[Point]:
    """Points of the panel, off gaps and other parts: of a dozen candidates the one farthest from the others wins."""
    chosen = np.empty((count, 2))
    for k in range(count):
        tries = rng.uniform(0.05, 0.95, (12, 2)) * [view.width, view.height]
        points = np.column_stack(view.points(*tries.astype(np.float32).T)).astype(np.float64)
        free = points[[is_free((float(x), float(y))) for x, y in points]]
        free = free if len(free) else points[:1]
        away = np.hypot(*(free[:, None] - chosen[None, :k]).transpose(2, 0, 1)).min(axis=1, initial=np.inf)
        chosen[k] = free[int(np.argmax(away))]
    return [(float(x), float(y)) for x, y in chosen]
