"""The kinds of things that a picture of a panel shows besides the panel: how each is drawn at random.

A builder gives the parts of one thing, in the order in which they are laid over each other. All sizes in mm.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from surfacedefect.synthetic.paints import Paint
from surfacedefect.synthetic.parts.drawing import Part, Profile
from surfacedefect.synthetic.parts.grounds import random_ground, random_outline
from surfacedefect.synthetic.parts.materials import (
    Even,
    Material,
    Streak,
    Wheel,
    chrome,
    plastic,
    random_lamp,
    random_texture,
    rubber,
)
from surfacedefect.synthetic.parts.shapes import (
    Both,
    Box,
    Circle,
    Drum,
    Edge,
    Frame,
    Junction,
    Ring,
    Seam,
    Shape,
    Text,
)

_WORDS = ("SPORT", "HYBRID", "4x4", "GT", "1.6", "V6", "16V", "LINE", "TURBO", "S", "XL", "2.0", "R", "ELECTRIC", "90")
_LEVEL, _UPRIGHT = np.pi / 2, 0.0  # directions of lines, seen at right angles to them


@dataclass(frozen=True)
class Site:
    """Where a part goes: through this point, in a footprint of this size (its smaller side), on this paint."""

    x: float
    y: float
    span: float
    paint: Paint
    footprint: tuple[float, float, float, float]


Builder = Callable[[np.random.Generator, Site], list[Part]]


def _uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(rng.uniform(low, high))


def _placed(rng: np.random.Generator, site: Site, half_w: float, half_h: float, *, angle: float, radius: float) -> Box:
    """Put a box on the site: its middle if the picture sees all of it, else a point of its edge."""
    u = v = 0.0
    if site.span < 4 * max(half_w, half_h):
        if rng.random() < half_w / (half_w + half_h):
            u, v = _uniform(rng, -half_w, half_w), float(rng.choice([-half_h, half_h]))
        else:
            u, v = float(rng.choice([-half_w, half_w])), _uniform(rng, -half_h, half_h)
    cos, sin = float(np.cos(angle)), float(np.sin(angle))
    return Box(site.x - u * cos + v * sin, site.y - u * sin - v * cos, half_w, half_h, radius, angle)


def _slit(rng: np.random.Generator) -> Profile:
    floor = _uniform(rng, 0.0, 0.12) if rng.random() < 0.8 else _uniform(rng, 0.15, 0.4)
    return Profile(
        rim_slope=_uniform(rng, 0.4, 1.2), rim_mm=_uniform(rng, 0.5, 1.8), floor=floor, deep_mm=_uniform(rng, 0.2, 0.9)
    )


def _slit_material(rng: np.random.Generator) -> Material | None:
    return None if rng.random() < 0.5 else Even((0.02, 0.02, 0.021), 0.1)


def _lip(rng: np.random.Generator, line: Shape) -> Part:
    """Build the light that a rounded edge catches, along a line beside the gap."""
    thick, tone = _uniform(rng, 0.35, 0.9), _uniform(rng, 0.35, 0.9)
    patches = random_texture(rng, texel_mm=12.0, fall=1.2)
    light = Streak((tone, tone, tone), 1.5, _uniform(rng, 0.1, 0.45), patches, 0.4, thick)
    flat = Profile(hides=False, soft_mm=thick)
    return Part("lip", Ring(line, 0.3 * thick), flat, light, solid=False)


def _soot(rng: np.random.Generator, line: Shape) -> Part:
    """Build the dirt that gathers along a gap."""
    half, tone = _uniform(rng, 2, 7), _uniform(rng, 0.02, 0.16)
    patches = random_texture(rng, texel_mm=_uniform(rng, 0.8, 3), fall=1.0)
    dirt = Streak((tone, 0.93 * tone, 0.8 * tone), 0.3, _uniform(rng, 0.05, 0.25), patches, 0.5)
    return Part("soot", Ring(line, 0.5 * half), Profile(hides=False, soft_mm=2 * half), dirt, solid=False)


def _beside(rng: np.random.Generator, line: Edge, half: float) -> tuple[list[Part], list[Part]]:
    """Build what goes below and over a gap of this half width: soot, a lit lip, each in most cases."""
    below = [_soot(rng, line)] if rng.random() < 0.55 else []
    side = (half + 0.5) * float(rng.choice([-1, 1]))
    over = [_lip(rng, _moved(line, side))] if rng.random() < 0.75 else []
    return below, over


def _moved(line: Edge, inwards: float) -> Edge:
    x, y = line.x + inwards * float(np.cos(line.angle)), line.y + inwards * float(np.sin(line.angle))
    return Edge(x, y, line.angle, line.bend)


def _trim_material(rng: np.random.Generator, paint: Paint) -> Material:
    kind = rng.random()
    if kind < 0.65:
        return plastic(rng)
    return chrome(rng) if kind < 0.75 else Even(paint.rgb, 1.0)


def _raised(rng: np.random.Generator, half_mm: float) -> Profile:
    """Something laid on the paint: rounded edges, perhaps bulging, with a shadow and a dark line around it."""
    return Profile(
        edge_slope=_uniform(rng, 0.5, 1.1), edge_mm=min(0.4 * half_mm, _uniform(rng, 0.6, 2.5)),
        bulge_slope=_uniform(rng, 0, 0.35), bulge_mm=min(15.0, half_mm), keep=0.8,
        shade=_uniform(rng, 0.35, 0.75), shade_mm=min(half_mm, _uniform(rng, 0.8, 2.2)),
        crevice=_uniform(rng, 0.5, 0.95), crevice_mm=_uniform(rng, 0.4, min(1.8, half_mm)),
    )  # fmt: skip


def _line(rng: np.random.Generator, site: Site) -> Edge:
    angle = float(rng.choice([_LEVEL, _UPRIGHT, _UPRIGHT]) + rng.normal(0, 0.18))
    bend = float(rng.normal(0, 1)) * min(1 / 700, 0.5 / site.span)
    return Edge(site.x, site.y, angle, bend)


def _neighbour(rng: np.random.Generator, shape: Shape) -> Part:
    """Build the panel beyond a gap: never quite in line, and perhaps a little higher, which shades this one."""
    tilt = float(rng.normal(0, 0.03)), float(rng.normal(0, 0.03))
    shade = max(0.0, float(rng.normal(0, 0.3)))
    profile = Profile(tilt=tilt, shade=min(0.5, shade), shade_mm=_uniform(rng, 1.5, 3.5), hides=False)
    return Part("neighbour", shape, profile, solid=False)


def _gap(rng: np.random.Generator, site: Site) -> list[Part]:
    line, half = _line(rng, site), _uniform(rng, 1.3, 2.6) if rng.random() < 0.8 else _uniform(rng, 0.5, 1.2)
    along = line.angle + np.pi / 2
    seam = Seam(
        line, half, site.x, site.y, along, half * float(rng.normal(0, 0.3)) / site.span,
        half * _uniform(rng, 0, 0.12), site.span * _uniform(rng, 0.15, 0.8),
    )  # fmt: skip
    slit = Part("gap", seam, _slit(rng), _slit_material(rng))
    below, over = _beside(rng, line, half)
    return [_neighbour(rng, line), *below, slit, *over]


def _tee(rng: np.random.Generator, site: Site) -> list[Part]:
    """Two gaps that meet."""
    line, half = _line(rng, site), _uniform(rng, 1.5, 2.5)
    bend = float(rng.normal(0, 0.3)) * min(1 / 700, 0.5 / site.span)
    second = Edge(site.x, site.y, line.angle + np.pi / 2 + float(rng.normal(0, 0.15)), bend)
    narrow, radius = half * _uniform(rng, 0.8, 1.2), _uniform(rng, 1, 12)
    slits = Part("gap", Junction(line, second, half, narrow, radius), _slit(rng), _slit_material(rng))
    below, over = _beside(rng, line, half)
    return [_neighbour(rng, line), _neighbour(rng, Both(line, second)), *below, slits, *over]


def _fuel_door(rng: np.random.Generator, site: Site) -> list[Part]:
    size, angle = _uniform(rng, 70, 95), float(rng.normal(0, 0.1))
    half_h = size * _uniform(rng, 0.75, 1.0)
    radius = half_h if rng.random() < 0.4 else half_h * _uniform(rng, 0.25, 0.6)
    door = _placed(rng, site, size, half_h, angle=angle, radius=radius)
    slit = Part("gap", Ring(door, _uniform(rng, 1.0, 1.8)), _slit(rng), _slit_material(rng))
    # light falls on the edge that looks up, or on the one that looks to a side
    way = float(rng.choice([_LEVEL, -_LEVEL, 0, np.pi]))
    rim = Box(door.x, door.y, door.half_w + 2, door.half_h + 2, door.radius + 2, angle)
    lit = _lip(rng, rim)
    lit = replace(lit, shape=Both(lit.shape, Edge(door.x + 25 * np.cos(way), door.y + 25 * np.sin(way), way)))
    return [_neighbour(rng, door), *([_soot(rng, door)] if rng.random() < 0.5 else []), slit, lit]


def _handle(rng: np.random.Generator, site: Site) -> list[Part]:
    half_w, half_h = _uniform(rng, 60, 110), _uniform(rng, 10, 17)
    radius = half_h * _uniform(rng, 0.6, 1.0)
    grip = _placed(rng, site, half_w, half_h, angle=float(rng.normal(0, 0.06)), radius=radius)
    deep = _uniform(rng, 26, 36)
    hollow = Box(grip.x - 0.15 * half_w, grip.y, 0.55 * half_w, deep, min(deep, 0.55 * half_w), grip.angle)
    bowl = Profile(bowl_slope=_uniform(rng, 0.2, 0.5), bowl_mm=0.9 * deep, floor=_uniform(rng, 0.2, 0.6),
                   deep_mm=18.0, soft_mm=12.0, hides=False)  # fmt: skip
    profile = Profile(
        edge_slope=0.7, edge_mm=1.5, bulge_slope=_uniform(rng, 0.5, 1.0), bulge_mm=half_h, keep=0.6,
        shade=_uniform(rng, 0.5, 0.85), shade_mm=_uniform(rng, 2, 5), crevice=_uniform(rng, 0.5, 0.9),
        crevice_mm=_uniform(rng, 0.6, 1.6),
    )  # fmt: skip
    kind = rng.random()
    body: Material = Even(site.paint.rgb, 1.0)
    material = body if kind < 0.8 else chrome(rng) if kind < 0.87 else plastic(rng)
    split = Both(Ring(_across(grip, 0.62 * half_w), 0.5), grip)
    lock = Circle(*_on(grip, 0.82 * half_w), 5.5)
    parts = [Part("bowl", hollow, bowl), Part("handle", grip, profile, material)]
    parts.append(Part("gap", split, Profile(floor=0.05, deep_mm=0.2)))
    if rng.random() < 0.4:
        parts.append(Part("lock", lock, Profile(edge_slope=0.5, crevice=0.9, crevice_mm=0.8, shade=0.4), chrome(rng)))
        parts.append(Part("lock", Box(lock.x, lock.y, 0.7, 3.5, 0.5), Profile(floor=0.0, deep_mm=0.2)))
    return parts


def _on(box: Box, along: float) -> tuple[float, float]:
    return box.x + along * float(np.cos(box.angle)), box.y + along * float(np.sin(box.angle))


def _across(box: Box, along: float) -> Edge:
    return Edge(*_on(box, along), box.angle)


def _trim(rng: np.random.Generator, site: Site) -> list[Part]:
    half_h = _uniform(rng, 12, 40) if rng.random() < 0.75 else _uniform(rng, 4, 8)
    half_w, angle = _uniform(rng, 350, 600), float(rng.normal(0, 0.08))
    radius = half_h * _uniform(rng, 0.1, 1.0)
    if rng.random() < 0.15:
        angle += np.pi / 2
    strip = _placed(rng, site, half_w, half_h, angle=angle, radius=radius)
    parts = [Part("trim", strip, _raised(rng, half_h), _trim_material(rng, site.paint))]
    if half_h > 15 and rng.random() < 0.35:
        inlay = Box(strip.x, strip.y, half_w - 15, half_h * _uniform(rng, 0.12, 0.3), 1.5, angle)
        parts.append(Part("inlay", inlay, _raised(rng, inlay.half_h), chrome(rng)))
    return parts


def _cladding(rng: np.random.Generator, site: Site) -> list[Part]:
    """Build a bumper's or sill's bare plastic: everything beyond a line, with a step in it."""
    angle = float(rng.choice([_LEVEL, _LEVEL, 0, np.pi]) + rng.normal(0, 0.25))
    edge = Edge(site.x, site.y, angle, float(rng.normal(0, 1)) * min(1 / 500, 0.5 / site.span))
    rolled = replace(_raised(rng, 60.0), edge_slope=_uniform(rng, 0.5, 1.3), edge_mm=_uniform(rng, 1.5, 6),
                     crevice_mm=_uniform(rng, 0.8, 3), bulge_mm=_uniform(rng, 15, 50),
                     shade_mm=_uniform(rng, 1, 3))  # fmt: skip
    parts = [Part("cladding", edge, rolled, plastic(rng))]
    if rng.random() < 0.5:
        step = _moved(edge, _uniform(rng, 8, 60))
        parts.append(Part("step", Ring(step, _uniform(rng, 0.6, 2)), _slit(rng)))
    if rng.random() < 0.5:
        parts.append(_lip(rng, _moved(edge, _uniform(rng, 0.5, 2))))
    return parts


def _window(rng: np.random.Generator, site: Site) -> list[Part]:
    """Glass above a line, set in rubber or chrome."""
    angle, half = float(-_LEVEL + rng.normal(0, 0.2)), _uniform(rng, 4, 11)
    edge = Edge(site.x, site.y, angle, float(rng.normal(0, 0.4)) * min(1 / 700, 0.5 / site.span))
    tone = _uniform(rng, 0.006, 0.03)
    lean = Profile(keep=0.3, tilt=(float(rng.normal(0, 0.03)), _uniform(rng, 0, 0.25)))
    glass = Part("glass", edge, lean, Even((tone, tone * 1.05, tone), 1.1))
    seal = Part("seal", Ring(edge, half), _raised(rng, half), rubber(rng))
    if rng.random() < 0.3:
        bright = _moved(edge, -half)
        return [glass, seal, Part("trim", Ring(bright, 0.4 * half), _raised(rng, 0.4 * half), chrome(rng))]
    return [glass, seal]


def _letters(rng: np.random.Generator, site: Site) -> list[Part]:
    word = str(rng.choice(_WORDS))
    height, angle = _uniform(rng, 15, 38), float(rng.normal(0, 0.05))
    stroke = height * _uniform(rng, 0.0, 0.06)
    text = Text(word, site.x, site.y, height, angle, stroke, slant=float(rng.choice([0.0, 0.0, 0.2])))
    if text.width > site.span:  # only some of it is seen
        x = site.x + _uniform(rng, -0.5, 0.5) * text.width
        text = Text(word, x, site.y, height, angle, stroke, text.slant)
    profile = Profile(
        edge_slope=0.8, edge_mm=_uniform(rng, 0.3, 0.8), keep=0.8, shade=_uniform(rng, 0.4, 0.7),
        shade_mm=_uniform(rng, 0.6, 2), crevice=0.7, crevice_mm=0.5,
    )  # fmt: skip
    kind = rng.random()
    tone = float(rng.choice([0.012, 0.6]))
    material = chrome(rng) if kind < 0.65 else Even((tone, tone, tone), 0.7)
    if kind > 0.93:
        material = Even((0.4, 0.01, 0.015), 0.8)
    return [Part("letters", text, profile, material)]


def _badge(rng: np.random.Generator, site: Site) -> list[Part]:
    size = _uniform(rng, 28, 45)
    half_h = size * float(rng.choice([1.0, 1.0, 0.6, 0.45]))
    plate = _placed(rng, site, size, half_h, angle=0.0, radius=half_h * float(rng.choice([1.0, 1.0, 0.3])))
    rgb = [(0.01, 0.01, 0.012), (0.01, 0.03, 0.2), (0.3, 0.01, 0.015), (0.02, 0.02, 0.02)][int(rng.integers(4))]
    sign = Text(str(rng.choice(list("ABDEGKMNRSTVX"))), plate.x, plate.y, 0.8 * half_h, bolder=0.05 * half_h)
    return [
        Part("badge", plate, _raised(rng, 5.0), Even(rgb, 1.0)),
        Part("badge", Frame(plate, _uniform(rng, 3, 6)), _raised(rng, 3.0), chrome(rng)),
        Part("badge", sign, Profile(edge_slope=0.7, edge_mm=1.0, keep=0.7), chrome(rng)),
    ]


def _lamp(rng: np.random.Generator, site: Site) -> list[Part]:
    small = rng.random() < 0.35  # a reflector or an indicator
    half_w = _uniform(rng, 28, 60) if small else _uniform(rng, 80, 170)
    half_h = half_w * _uniform(rng, 0.25, 0.45) if small else half_w * _uniform(rng, 0.4, 0.8)
    angle = float(rng.choice([0, np.pi / 2]) + rng.normal(0, 0.25))
    shape: Shape
    shape = body = _placed(rng, site, half_w, half_h, angle=angle, radius=half_h * _uniform(rng, 0.15, 0.9))
    if not small:  # one end is cut off at a slant
        end = _uniform(rng, 0.1, 0.7) * half_w * float(rng.choice([-1, 1]))
        cut = Edge(
            *_on(body, end), angle + _uniform(rng, -0.6, 0.6) + (np.pi if end > 0 else 0), 1 / _uniform(rng, 250, 900)
        )
        shape = Both(body, cut)
    material = random_lamp(rng, body.x, body.y, angle=angle, half_mm=half_h, small=small)
    glass = Profile(
        edge_slope=0.5, edge_mm=2.0, bulge_slope=0.25, bulge_mm=min(25.0, half_h), keep=0.7, crevice=0.9, crevice_mm=1.0
    )
    return [
        Part("gap", Ring(shape, _uniform(rng, 1.5, 3)), _slit(rng), _slit_material(rng)),
        Part("lamp", shape, glass, material),
        Part("bezel", Frame(shape, _uniform(rng, 2, 7)), Profile(keep=0.8), plastic(rng)),
    ]


def _sensor(rng: np.random.Generator, site: Site) -> list[Part]:
    """Build a parking sensor or a cap: a small disc in a thin slit."""
    disc = Circle(site.x, site.y, _uniform(rng, 7, 12))
    material = Even(site.paint.rgb, 1.0) if rng.random() < 0.7 else plastic(rng)
    flat = Profile(
        edge_slope=0.5, edge_mm=1.2, tilt=(float(rng.normal(0, 0.03)), float(rng.normal(0, 0.03))),
        shade=_uniform(rng, 0.3, 0.6), shade_mm=_uniform(rng, 0.8, 2),
    )  # fmt: skip
    ring = Part("gap", Ring(disc, _uniform(rng, 0.3, 0.8)), _slit(rng))
    return [Part("sensor", disc, flat, material), ring, _lip(rng, Circle(disc.x, disc.y, disc.radius + 1.2))]


def _arch(rng: np.random.Generator, site: Site) -> list[Part]:
    """Build a wheel in its arch; the site is on the arch's edge."""
    tyre, squeeze = _uniform(rng, 285, 335), _uniform(rng, 0.5, 1.0)
    opening, where = tyre + _uniform(rng, 20, 65), float(-_LEVEL + rng.normal(0, 0.7))
    x, y = site.x - opening * squeeze * float(np.cos(where)), site.y - opening * float(np.sin(where))
    hole = Drum(x, y, opening, squeeze)
    lip = Profile(
        rim_slope=_uniform(rng, 0.5, 1.4), rim_mm=_uniform(rng, 1.5, 4),
        turn_slope=float(rng.choice([-1, 1])) * _uniform(rng, 0.05, 0.3), turn_mm=_uniform(rng, 10, 40),
        floor=0.05, deep_mm=6.0, keep=0.0,
    )  # fmt: skip
    # the body ends not far below the hub
    sill = Edge(x, y + tyre * _uniform(rng, 0.15, 0.5), _LEVEL + float(rng.normal(0, 0.06)))
    parts = []
    if site.footprint[3] > sill.y - 50:
        extent = max(200.0, site.footprint[3] - sill.y)
        ground = random_ground(rng, sill, at=(sill.x, sill.y), angle=_LEVEL, extent=extent, floor=True)
        under = Profile(turn_slope=_uniform(rng, 0.3, 1.2), turn_mm=_uniform(rng, 15, 60), rim_slope=0.4, rim_mm=3.0,
                        keep=0.0, tilt=(0.0, 0.4), soft_mm=1.0)  # fmt: skip
        parts.append(Part("floor", sill, under, ground))
    body = Edge(sill.x, sill.y, sill.angle - np.pi)
    parts.append(Part("arch", Both(hole, body), lip, Even((0.015, 0.015, 0.015), 0.05)))
    if rng.random() < 0.4:
        half = _uniform(rng, 15, 35)
        ring = Both(Ring(Drum(x, y, opening + half, squeeze), half), body)
        parts.append(Part("cladding", ring, replace(_raised(rng, half), edge_mm=_uniform(rng, 1, 5)), plastic(rng)))
    elif rng.random() < 0.5:
        lit = _lip(rng, Drum(x, y, opening + 1.5, squeeze))
        parts.append(replace(lit, shape=Both(lit.shape, body)))
    wheel = _wheel(rng, x, y + _uniform(rng, 0, 12), radius=tyre, squeeze=squeeze)
    return [*parts, replace(wheel, shape=Both(wheel.shape, hole))]


def _wheel(rng: np.random.Generator, x: float, y: float, *, radius: float, squeeze: float) -> Part:
    rim, tone = radius * _uniform(rng, 0.62, 0.76), _uniform(rng, 0.15, 0.5)
    letters = Text(str(rng.choice(_WORDS)), 0, 0, _uniform(rng, 14, 24), bolder=1.0) if rng.random() < 0.7 else None
    depth = float(rng.choice([-1, 1])) * _uniform(rng, 150, 220) * float(np.sqrt(1 - squeeze * squeeze))
    x -= 0.5 * depth  # side wall and tread lie in the middle of the arch together
    wheel = Wheel(
        x, y, radius, squeeze, depth, rim, int(rng.integers(55, 85)), _uniform(rng, -0.8, 0.8),
        int(rng.integers(5, 12)), (tone, tone, tone * 1.02), _uniform(rng, 0.5, 2.5), _uniform(rng, 0.02, 0.05),
        letters, random_texture(rng, texel_mm=1.5, fall=1.0),
    )  # fmt: skip
    # it stands back in the arch, where half of the light does not reach
    profile = Profile(floor=_uniform(rng, 0.4, 0.95), deep_mm=8.0, edge_slope=0.8, edge_mm=12.0, keep=0.0,
                      tilt=(0.0, _uniform(rng, -0.2, 0.2)), soft_mm=1.0)  # fmt: skip
    return Part("wheel", Drum(x, y, radius, squeeze, depth), profile, wheel)


def _beyond(rng: np.random.Generator, site: Site) -> list[Part]:
    """Build the floor or a wall beyond the car's edge, on one side of the picture."""
    x0, y0, x1, y1 = site.footprint
    floor = rng.random() < 0.55
    angle = float(rng.choice([_LEVEL] if floor else [0, 0, np.pi, np.pi, -_LEVEL]) + rng.normal(0, 0.3))
    extent = float(abs(np.cos(angle)) * (x1 - x0) + abs(np.sin(angle)) * (y1 - y0))
    edge, at = random_outline(rng, ((x0 + x1) / 2, (y0 + y1) / 2), angle=angle, extent=extent)
    ground = random_ground(rng, edge, at=at, angle=angle, extent=extent, floor=floor)
    rim = Profile(
        rim_slope=_uniform(rng, 0.2, 0.8), rim_mm=_uniform(rng, 0.002, 0.01) * extent,
        turn_slope=_uniform(rng, 0.3, 1.6), turn_mm=_uniform(rng, 0.03, 0.16) * extent, keep=0.0,
        tilt=(0.0, 0.4 if floor else 0.0), soft_mm=_uniform(rng, 0.3, 3.0) * extent / 600,
    )  # fmt: skip
    parts = [Part("floor" if floor else "wall", edge, rim, ground)]
    if rng.random() < 0.3:  # a dark gap or seal runs along the outline
        parts.append(Part("seam", Ring(edge, _uniform(rng, 0.8, 3)), replace(_slit(rng), soft_mm=1.0), plastic(rng)))
    return parts


# builder, chance in a whole scan, weight among what a small picture sees; in the order of drawing
KINDS: tuple[tuple[Builder, float, float], ...] = (
    (_gap, 0.4, 0.32),
    (_tee, 0.25, 0.12),
    (_fuel_door, 0.1, 0.06),
    (_sensor, 0.08, 0.04),
    (_handle, 0.18, 0.05),
    (_trim, 0.15, 0.08),
    (_letters, 0.04, 0.012),
    (_badge, 0.03, 0.01),
    (_lamp, 0.15, 0.08),
    (_cladding, 0.22, 0.1),
    (_window, 0.1, 0.05),
    (_beyond, 0.35, 0.13),
    (_arch, 0.25, 0.09),
)

# what nothing drawn before may cross
ISLANDS = (_tee, _fuel_door, _sensor, _handle, _letters, _badge, _lamp)

ARCH, BEYOND = _arch, _beyond
