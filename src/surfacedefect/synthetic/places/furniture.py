"""What stands around a parked car: houses, trees, other cars, poles, wires, and whoever holds the camera."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from surfacedefect.synthetic.places.scenery import Scene, Wall, level, lit, ring, tint

_CAR = [(0, 0.3), (0.02, 0.7), (0.15, 0.86), (1.0, 0.95), (1.65, 1.38), (2.2, 1.46), (2.9, 1.44), (3.7, 1.02),
        (4.15, 0.95), (4.3, 0.6), (4.25, 0.28)]  # fmt: skip
_FRONT = [(-0.85, 0.2), (-0.9, 0.7), (-0.78, 0.9), (-0.58, 1.4), (0.58, 1.4), (0.78, 0.9), (0.9, 0.7), (0.85, 0.2)]
# whoever holds the camera, right half, metres: half widths and heights of the jacket, a leg, a shoe
_JACKET = [(0.0, 1.5), (0.06, 1.5), (0.1, 1.46), (0.2, 1.42), (0.225, 1.36), (0.205, 1.2), (0.19, 1.05), (0.2, 0.9),
           (0.205, 0.82), (0.0, 0.8)]  # fmt: skip
_LEG = [(0.0, 0.95), (0.19, 0.95), (0.195, 0.8), (0.165, 0.5), (0.14, 0.25), (0.13, 0.05), (0.05, 0.05), (0.045, 0.25),
        (0.03, 0.5), (0.012, 0.78)]  # fmt: skip
_SHOE = [(0.04, 0.1), (0.13, 0.1), (0.155, 0.03), (0.15, 0.0), (0.035, 0.0)]
_FIGURE_SHARE = 0.15


def car_colour(rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw a car colour as it looks under the sky."""
    colours = [(0.75, 0.75, 0.75), (0.04, 0.04, 0.045), (0.4, 0.41, 0.43), (0.12, 0.12, 0.13), (0.2, 0.05, 0.045),
               (0.07, 0.1, 0.19)]  # fmt: skip
    return np.asarray(colours[int(rng.integers(6))]) * rng.uniform(0.7, 1.2)


def house(scene: Scene, rng: np.random.Generator, wall: Wall, wide: float, tall: float) -> None:
    """Front with roof, windows in frames, and doors or shops."""
    bright = lit(scene, wall.angle - np.pi / 2)
    front = tint(rng, 0.15, 0.6, 0.02) * [1.04, 1, rng.uniform(0.8, 0.98)] * bright
    roof = tint(rng, 0.06, 0.18, 0.08)
    scene.add(wall.at([-0.3, wide + 0.3, wide - 0.8, 0.8], [tall, tall, tall + 2.2, tall + 2.2]), roof)
    scene.add(wall.boxes(0, 0, wide, tall), front)
    storey, pitch = rng.uniform(2.6, 3.2), rng.uniform(1.8, 3.0)
    w, h = pitch * rng.uniform(0.35, 0.6), storey * rng.uniform(0.4, 0.6)
    s, z = np.meshgrid(np.arange(0.5 * (pitch - w) + 0.3, wide - w, pitch), np.arange(0.9, tall - h - 0.2, storey))
    frame, glass = front * rng.uniform(0.75, 1.3), front * rng.uniform(0.2, 0.55)
    scene.add(wall.boxes(s - 0.1, z - 0.15, w + 0.2, h + 0.25), frame)
    scene.add(wall.boxes(s, z, w, h), glass)
    # some upper panes mirror the sky
    sky = glass * rng.uniform(1.1, 1.8) + np.where(rng.random((s.size, 1)) < 0.1, rng.uniform(0.1, 0.5), 0)
    scene.add(wall.boxes(s, z + h * 0.55, w, h * 0.45), sky)
    scene.add(wall.boxes(s + w / 2 - 0.04, z, 0.08, h), frame)
    scene.add(wall.boxes(0, storey - 0.25, wide, 0.18), front * 0.6)
    scene.add(wall.boxes(rng.uniform(0.5, wide - 1.5), 0, 1.1, 2.2), tint(rng, 0.06, 0.25, 0.1))


def houses(scene: Scene, rng: np.random.Generator, y: float, storeys: tuple[float, float]) -> None:
    """Add a row of houses along the street, in front (y above 0) or behind the panel."""
    x, side = -float(rng.uniform(22, 30)), np.sign(y)
    while x < 24:
        wide, tall = float(rng.uniform(7, 14)), 0.5 + 2.9 * float(rng.uniform(*storeys))
        wall = Wall(x, y + rng.uniform(0, 1.5) * side, 0.0) if side > 0 else Wall(x + wide, y, np.pi)
        house(scene, rng, wall, wide, tall)
        x += wide + (float(rng.uniform(2, 7)) if rng.random() < 0.4 else 0)


def tree(scene: Scene, rng: np.random.Generator, x: float, y: float, tall: float, leaves: int = 220) -> None:
    """Trunk and a crown of many small clumps of leaves, darker inside and below."""
    radius = tall * rng.uniform(0.28, 0.4)
    away = np.arctan2(y, x) - np.pi / 2
    wall = Wall(x, y, away)
    green = tint(rng, 0.04, 0.1, 0.1) * np.asarray([0.8, 1.15, 0.4])
    thick = 0.035 * tall
    scene.add(wall.at([-thick, thick, thick * 0.5, -thick * 0.5], [0, 0, tall - radius, tall - radius]), green * 0.4)
    core = ring(16) * rng.uniform(0.45, 0.75, (16, 1)) * radius
    scene.add(wall.at(core[:, 0], core[:, 1] + tall - radius), green * 0.6)
    middle = rng.normal(0, 0.5, (9, 2)).clip(-0.85, 0.85)
    spot = middle[rng.integers(9, size=leaves)] + rng.normal(0, 0.22, (leaves, 2))
    size = 0.3 * np.exp(rng.uniform(-2.3, 0, leaves))
    shape = ring(7)[None] * (size[:, None] * rng.uniform(0.45, 1.2, (leaves, 7)))[..., None]
    corner = (spot[:, None] + shape) * radius
    shade = (0.75 + 0.5 * spot[:, 1] + rng.uniform(-0.35, 0.45, leaves)).clip(0.3, 1.7)
    level = np.round(shade * 4) / 4
    order = np.argsort(level + (size < 0.12), kind="stable")
    points = wall.at(corner[..., 0], corner[..., 1] + tall - radius)
    scene.add(points[order], (green * level[:, None] * 1.3)[order])


def wood(scene: Scene, rng: np.random.Generator, far: float, tall: float, count: int) -> None:
    """Add a row of trees and hedges far away, all around."""
    for _ in range(count):
        azimuth, y = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 1)
        tree(scene, rng, far * np.cos(azimuth), far * np.sin(azimuth), tall * (0.4 + y), leaves=50)


def skyline(scene: Scene, rng: np.random.Generator, far: float) -> None:
    """Hazy blocks and hills at the horizon, all around."""
    count = 26
    edge = np.sort(rng.uniform(0, 2 * np.pi, count))
    past = np.roll(edge, -1) + 0.01
    tall = far * np.exp(rng.uniform(np.log(0.01), np.log(0.16), count))
    lean = np.where(rng.random(count) < 0.4, rng.uniform(0.4, 1, count), 1)
    points = np.zeros((count, 4, 3))
    low = np.zeros(count)
    for k, (angle, top) in enumerate(((edge, low), (past, low), (past, tall), (edge, tall * lean))):
        points[:, k] = np.stack([far * np.cos(angle), far * np.sin(angle), top], axis=1)
    haze = rng.uniform(0.15, 0.5, (count, 1))
    light = np.asarray([lit(scene, a + np.pi) for a in edge])[:, None]
    rgb = rng.uniform(0.08, 0.4, (count, 1)) * rng.normal(1, 0.06, (count, 3)) * light
    scene.add(points, rgb * (1 - haze) + haze * scene.horizon * 0.6)


def car_side(scene: Scene, rng: np.random.Generator, wall: Wall) -> None:
    """Add a car seen from its side."""
    rgb, scale = car_colour(rng), np.asarray([1.0, rng.uniform(0.95, 1.35)])
    flip = rng.random() < 0.5

    def on(points: ArrayLike) -> NDArray[np.float64]:
        p = np.asarray(points) * scale
        return wall.at(4.3 - p[:, 0] if flip else p[:, 0], p[:, 1])

    across = np.asarray([np.sin(wall.angle), -np.cos(wall.angle), 0]) * 0.5
    low = wall.at([-0.1, 4.4], [0, 0])
    scene.add(np.concatenate([low + across, low[::-1] - across]), scene.ground * 0.25)
    scene.add(on(_CAR), rgb)
    scene.add(on([(0.05, 0.3), (0.05, 0.55), (4.25, 0.55), (4.25, 0.28)]), rgb * 0.6)
    scene.add(on([(0.2, 0.82), (1.0, 0.9), (4.1, 0.92), (4.2, 0.86), (1.0, 0.84)]), rgb * 0.6 + 0.35)
    glass = float(rng.uniform(0.03, 0.12))
    scene.add(on([(1.15, 0.97), (1.7, 1.33), (2.2, 1.39), (2.2, 0.99)]), glass * np.ones(3))
    scene.add(on([(2.27, 0.99), (2.27, 1.39), (2.85, 1.37), (3.4, 1.02)]), glass * 1.6 * np.ones(3))
    for s in (0.8, 3.45):
        for radius, light in ((0.36, 0.01), (0.31, 0.02), (0.2, 0.3)):
            scene.add(on(ring(12) * [radius, radius / scale[1]] + [s, 0.31 / scale[1]]), light * np.ones(3))


def car_front(scene: Scene, rng: np.random.Generator, wall: Wall) -> None:
    """Add a car seen from its front."""
    rgb, tall = car_colour(rng), rng.uniform(0.95, 1.3)
    s, z = np.asarray(_FRONT).T
    scene.add(wall.boxes(-1.0, -0.0, 2.0, 0.25), scene.ground * 0.2)
    scene.add(wall.at(s, z * tall), rgb)
    scene.add(wall.at([-0.7, -0.53, 0.53, 0.7], np.asarray([0.93, 1.33, 1.33, 0.93]) * tall), tint(rng, 0.04, 0.3))
    scene.add(wall.at([-0.85, -0.6, 0.6, 0.85], np.asarray([0.86, 0.91, 0.91, 0.86]) * tall), rgb * 0.5 + 0.4)
    scene.add(wall.boxes([-0.8, 0.5], 0.6 * tall, 0.3, 0.16), [0.55, 0.56, 0.57])
    scene.add(wall.boxes(-0.45, 0.45 * tall, 0.9, 0.22), [0.02, 0.02, 0.02])
    scene.add(wall.boxes([-0.85, 0.62], 0, 0.23, 0.3), [0.015, 0.015, 0.015])


def post(scene: Scene, x: float, y: float, tall: float, wide: float, rgb: ArrayLike) -> None:
    """Add an upright pole that faces the panel."""
    away = np.arctan2(y, x) - np.pi / 2
    scene.add(Wall(x, y, away).at([-wide / 2, wide / 2, wide * 0.4, -wide * 0.4], [0, 0, tall, tall]), rgb)


def cable(scene: Scene, rng: np.random.Generator, y: float, z: float, sag: float) -> None:
    """Add one sagging overhead wire."""
    x = np.linspace(-30, 30, 121)
    inner = (x - rng.uniform(-10, 10)) % 24 / 12 - 1
    slant = rng.normal(0, 0.06)
    scene.wire(np.stack([x, y + slant * x, z - sag * (1 - inner**2)], 1), float(rng.uniform(0.015, 0.05)), 0.85)


def cables(scene: Scene, rng: np.random.Generator) -> None:
    """Add some overhead wires along the street."""
    y, z, sag = float(rng.uniform(2.5, 7)), float(rng.uniform(5, 7)), float(rng.uniform(0.1, 0.6))
    for k in range(int(rng.integers(1, 5))):
        cable(scene, rng, y + 0.3 * k * rng.normal(), z + 0.35 * k, sag)


def ground_lines(scene: Scene, rng: np.random.Generator) -> None:
    """Parking lines, kerb and joints on the ground."""
    if rng.random() < 0.6:
        x = np.arange(-7.5, 8, 2.5) + rng.uniform(-1, 1)
        scene.add(level(x, rng.uniform(3.5, 6), 0.12, 4.5, 0.0), scene.ground * rng.uniform(1.5, 3))
    if rng.random() < 0.6:
        y = rng.uniform(1.2, 5)
        scene.add(level(0, y, 60, 0.15, 0.0), scene.ground * rng.uniform(1.3, 2.5))
        scene.add(level(0, y + 0.12, 60, 0.05, 0.0), scene.ground * 0.4)
    if rng.random() < 0.4:
        scene.add(level(0, np.arange(0.6, 8, 0.6), 30, 0.02, 0.0), scene.ground * 0.6)
        scene.add(level(np.arange(-6, 6.5, 0.6), 4, 0.02, 8, 0.0), scene.ground * 0.6)


def photographer(scene: Scene, rng: np.random.Generator, camera: float) -> None:
    """Whoever holds the camera, at its azimuth and about as far away as its altitude demands; seldom in the picture."""
    if rng.random() >= _FIGURE_SHARE:
        return
    eye = rng.uniform(1.35, 1.65) - scene.height_m
    away = float(np.clip(eye / np.tan(max(camera, 0.05)), 0.6, rng.uniform(0.8, 2.4)))
    wall = Wall(rng.normal(0, 0.2) * away, away, rng.normal(0, 0.15))
    tall, wide, lean = rng.uniform(0.9, 1.06), rng.uniform(0.95, 1.25), rng.normal(0, 0.04)

    def put(points: ArrayLike, rgb: ArrayLike, shades: int = 1) -> None:
        """Add an outline, softly rounded, brighter above than below."""
        outline = _rounded(np.asarray(points, np.float64)) * [wide, tall]
        low, high, share = outline[:, 1].min(), outline[:, 1].max(), np.arange(shades)[:, None] / shades
        z = np.maximum(outline[:, 1], low + share * (high - low))
        scene.add(wall.at(outline[:, 0] + lean * z, z), np.asarray(rgb) * (1 + 1.2 * share), turned=False)

    cloth, trousers = tint(rng, 0.02, 0.15, 0.06), tint(rng, 0.015, 0.09, 0.06)
    skin, hair = np.asarray([0.27, 0.19, 0.155]) * rng.uniform(0.3, 1.4), tint(rng, 0.01, 0.08, 0.1)
    for side in (-1, 1):
        put(np.asarray(_SHOE) * [side, 1], trousers * 0.6)
        put(np.asarray(_LEG) * [side * rng.uniform(0.95, 1.25), 1], trousers, 8)
    put(_both(_JACKET), cloth, 10)
    for _ in range(7):  # folds
        s, z, long = rng.uniform(-0.15, 0.15), rng.uniform(0.85, 1.3), rng.uniform(0.06, 0.2)
        put(_limb((s, z), (s + rng.normal(0, 0.05), z + long), 0.008, 0.014), cloth * rng.choice([0.8, 1.3, 1.9]))
    put(_limb((0, 1.46), (0, 1.58), 0.055, 0.05), skin * 0.7)
    put(ring(16) * [0.082, 0.118] + [0, 1.655], hair)
    put(ring(16) * [0.07, 0.092] + [0, 1.63], skin, 4)
    _arms(put, rng, cloth, skin)


def _arms(
    put: Callable[..., None], rng: np.random.Generator, cloth: NDArray[np.float64], skin: NDArray[np.float64]
) -> None:
    """Bent arms that hold a telephone before the chest or the face."""
    hold, upright, sleeve = float(rng.uniform(1.3, 1.62)), rng.random() < 0.4, cloth * rng.uniform(0.7, 1.3)
    if rng.random() < 0.35:
        sleeve = skin
    reach, half_tall = (0.05, 0.08) if upright else (0.085, 0.042)
    for side in (-1, 1):
        elbow = side * rng.uniform(0.25, 0.33), min(hold - 0.12, rng.uniform(1.08, 1.2))
        hand = side * (reach + 0.01), hold - 0.02
        put(_limb((side * 0.19, 1.38), elbow, 0.062, 0.05), cloth * 1.1, 4)
        put(_limb(elbow, hand, 0.05, 0.035), sleeve * 1.4, 3)
        put(ring(12) * [0.034, 0.045] + hand, skin * 1.6)
    device = np.asarray([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * [reach, half_tall] + [0, hold]
    put(np.repeat(device, 2, axis=0), tint(rng, 0.015, 0.25))
    put(ring(8) * 0.012 + [reach * 0.6, hold + half_tall * 0.6], [0.01, 0.01, 0.01])


def _both(half: ArrayLike) -> NDArray[np.float64]:
    """Close a right half with its mirror image."""
    right = np.asarray(half, np.float64)
    return np.concatenate([right, right[::-1] * [-1, 1]])


def _limb(a: tuple[float, float], b: tuple[float, float], thick_a: float, thick_b: float) -> NDArray[np.float64]:
    """Outline from a to b with these half widths, and round ends."""
    angle = np.arctan2(b[1] - a[1], b[0] - a[0]) + np.linspace(0.5, 1.5, 5) * np.pi
    end = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return np.concatenate([np.asarray(a) + thick_a * end, np.asarray(b) - thick_b * end])


def _rounded(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cut the corners of a closed outline (Chaikin 1974)."""
    for _ in range(2):
        after = np.roll(points, -1, axis=0)
        points = np.stack([0.75 * points + 0.25 * after, 0.25 * points + 0.75 * after], axis=1).reshape(-1, 2)
    return points
