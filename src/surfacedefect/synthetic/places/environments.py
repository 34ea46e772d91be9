"""The individual places that a car panel may mirror."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from surfacedefect.synthetic.draws import log_uniform
from surfacedefect.synthetic.places.furniture import (
    cables,
    car_front,
    car_side,
    ground_lines,
    house,
    houses,
    photographer,
    post,
    skyline,
    tree,
    wood,
)
from surfacedefect.synthetic.places.jumble import jumble
from surfacedefect.synthetic.places.scenery import Scene, Wall, level, lit, open_scene, ring, shine, tint

_FLUX = 40.0  # radiance of all strip lights of a room times their area, m2: they light its walls as bright as they are


def _open(rng: np.random.Generator, scene: Scene, camera: float) -> Scene:
    """Build a car park or a field: far skyline, a few trees, posts, wires and cars."""
    skyline(scene, rng, 60.0)
    if rng.random() < 0.7:
        wood(scene, rng, 30.0, rng.uniform(4, 9), int(rng.integers(2, 7)))
    ground_lines(scene, rng)
    if rng.random() < 0.35:
        wide = float(rng.uniform(12, 30))
        wall = Wall.around(rng.uniform(-12, 12), rng.uniform(10, 20), rng.normal(0, 0.2), wide)
        house(scene, rng, wall, wide, float(rng.uniform(4, 11)))
    for _ in range(int(rng.integers(1, 4)) if rng.random() < 0.45 else 0):
        tree(scene, rng, rng.uniform(-12, 12), rng.uniform(7, 14), rng.uniform(5, 11))
    _row(scene, rng, float(rng.uniform(4, 12)), 0.5)
    if rng.random() < 0.5:
        _lamp_post(scene, rng)
    if rng.random() < 0.4:
        cables(scene, rng)
    photographer(scene, rng, camera)
    return scene


def _row(scene: Scene, rng: np.random.Generator, y: float, often: float) -> None:
    """Parked cars, seen from the side or from the front."""
    if rng.random() > often:
        return
    if rng.random() < 0.5:
        for x in np.arange(-13, 12, 5.2) + rng.uniform(-2, 2):
            if rng.random() < 0.6:
                car_side(scene, rng, Wall(x, y, rng.normal(0, 0.02)))
    else:
        for x in np.arange(-10, 11, 2.5) + rng.uniform(-1, 1):
            if rng.random() < 0.7:
                car_front(scene, rng, Wall(x, y, rng.normal(0, 0.04)))


def _lamp_post(scene: Scene, rng: np.random.Generator) -> None:
    x, y, tall = rng.uniform(-6, 6), rng.uniform(3, 9), rng.uniform(4, 8)
    grey = tint(rng, 0.05, 0.35)
    post(scene, x, y, tall, 0.14, grey)
    scene.add(level(x, y - 0.6, 0.1, 1.4, tall), grey)
    scene.add(level(x, y - 1.3, 0.25, 0.6, tall - 0.02), grey * 1.5)


def _overcast(rng: np.random.Generator, camera: float) -> Scene:
    return _open(rng, open_scene(rng, "grey"), camera)


def _clear(rng: np.random.Generator, camera: float) -> Scene:
    scene = open_scene(rng, "blue")
    scene.cloudy = (scene.cloudy[0] - 0.4, 0.5 * scene.cloudy[1])
    return _open(rng, scene, camera)


def _sunny(rng: np.random.Generator, camera: float) -> Scene:
    scene = open_scene(rng, "blue")
    shine(scene, rng)
    return _open(rng, scene, camera)


def _street(rng: np.random.Generator, camera: float) -> Scene:
    scene = open_scene(rng, "grey" if rng.random() < 0.6 else "blue")
    if not scene.overcast and rng.random() < 0.6:
        shine(scene, rng)
    scene.yaw *= 0.6
    skyline(scene, rng, 80.0)
    across = float(rng.uniform(7, 15))
    houses(scene, rng, -float(rng.uniform(3, 8)), (1, 4))
    houses(scene, rng, across, (1, 4.5))
    kerb = rng.uniform(0.45, 0.7) * across
    scene.add(level(0, 0.5 * (kerb + across), 60, across - kerb, 0.08), scene.ground * rng.uniform(1.1, 1.6))
    scene.add(level(0, kerb, 60, 0.15, 0.04), scene.ground * 1.8)
    ground_lines(scene, rng)
    for _ in range(int(rng.integers(0, 4))):
        tree(scene, rng, rng.uniform(-9, 9), kerb + rng.uniform(0.5, 1.5), rng.uniform(4, 9))
    _row(scene, rng, kerb - 1.2, 0.75)
    if rng.random() < 0.6:
        _lamp_post(scene, rng)
    if rng.random() < 0.6:
        cables(scene, rng)
    photographer(scene, rng, camera)
    return scene


def _room(scene: Scene, rng: np.random.Generator, wall_rgb: tuple[float, float], top: float, roof: float) -> list[Wall]:
    """Four walls and a ceiling around the car; gives the walls, each with s = 0 in its left corner."""
    left, right, front, back = rng.uniform(3, 9), rng.uniform(3, 9), rng.uniform(2.2, 7), rng.uniform(1.5, 6)
    scene.horizon = scene.zenith = scene.cloud = np.full(3, 0.05, np.float32)
    corners = [(-left, front), (right, front), (right, -back), (-left, -back)]
    rgb = tint(rng, *wall_rgb, 0.02)
    scene.add(level(0.5 * (right - left), 0.5 * (front - back), left + right, front + back, top), rgb * roof)
    walls = []
    for k, (x, y) in enumerate(corners):
        length = (left + right, front + back)[k % 2]
        wall = Wall(x, y, -0.5 * np.pi * k)
        scene.add(wall.boxes(0, 0, length, top), rgb * rng.uniform(0.6, 1.3))
        scene.add(wall.boxes(0, 0, length, 0.1), rgb * 0.4)
        walls.append(wall)
    return walls


def _lamp(rng: np.random.Generator, low: float, high: float) -> NDArray[np.float64]:
    """Radiance of a lamp: neutral to warm, log-uniform in brightness."""
    bright = log_uniform(rng, low, high)
    return np.asarray(bright * np.asarray([1, rng.uniform(0.93, 1), rng.uniform(0.82, 1.03)]))


def _tubes(scene: Scene, rng: np.random.Generator, top: float, count: int, size: tuple[float, float]) -> None:
    """Rows of strip lights (length, width) under the ceiling, in their housings; the larger, the less bright."""
    long, wide = size
    turned = rng.random() < 0.5
    rows, pitch, gap = int(rng.integers(3, 6)), rng.uniform(1.2, 2.6), long * rng.uniform(1.02, 2.0)
    across = (np.arange(count) - 0.5 * count + rng.random()) * pitch + 1
    a, b = np.meshgrid(across, (np.arange(rows) - 0.5 * rows + rng.random()) * gap)
    rgb = _lamp(rng, 0.7, 1.4) * float(np.clip(_FLUX / (count * rows * long * wide), 6, 50))
    x, y = (b, a) if turned else (a, b)
    sx, sy = (long, wide) if turned else (wide, long)
    scene.add(level(x, y, sx + 0.06, sy + 0.06, top - 0.05), rgb * 0.03 + 0.2)
    scene.add(level(x, y, sx, sy, top - 0.06), rgb)


def _panes(scene: Scene, rng: np.random.Generator, wall: Wall, top: float) -> None:
    """Add a row of windows to the day: sky above, something darker below, bars."""
    s, wide = np.arange(rng.uniform(0.2, 1.5), 8, rng.uniform(1.2, 2.2)), float(rng.uniform(0.8, 1.2))
    z = float(rng.uniform(0.8, max(0.9, top - 1.6)))
    tall, day = min(float(rng.uniform(0.7, 1.6)), top - z - 0.1), float(rng.uniform(4, 10))
    sky = day * np.asarray([0.94, 1, 1.06])
    scene.add(wall.boxes(s - 0.06, z - 0.06, wide + 0.12, tall + 0.12), [0.5, 0.5, 0.5])
    scene.add(wall.boxes(s, z, wide, tall), sky)
    scene.add(wall.boxes(s, z, wide, tall * rng.uniform(0.1, 0.5)), sky * rng.uniform(0.15, 0.4))
    scene.add(wall.boxes(s + 0.5 * wide - 0.03, z, 0.06, tall), [0.4, 0.4, 0.4])
    scene.add(wall.boxes(s, z + 0.5 * tall, wide, 0.05), [0.4, 0.4, 0.4])


def _garage(rng: np.random.Generator, camera: float) -> Scene:
    scene = open_scene(rng, "grey")
    top = float(rng.uniform(2.4, 4.5))
    walls = _room(scene, rng, (0.2, 0.75), top, rng.uniform(0.25, 0.8))
    scene.rise = float(rng.uniform(0.3, 1.1))
    for x in np.arange(-8, 8, 2.4) + rng.uniform(-1, 1):
        scene.add(level(x, 0, 0.25, 13, top - 0.02), scene.ground * 0.7)
    count, long = int(rng.integers(2, 6)), rng.uniform(1.2, 1.6)
    _tubes(scene, rng, top, count, (long, rng.uniform(0.04, 0.16)))
    for wall in walls:
        _furnish(scene, rng, wall, top)
    for x in (-rng.uniform(1.5, 4), rng.uniform(1.5, 4)):
        if rng.random() < 0.6:
            rgb, y = tint(rng, 0.2, 0.6), rng.uniform(1.5, 3.5)
            post(scene, x, y, top, 0.4, rgb)
            post(scene, x + 0.13, y - 0.01, top, 0.14, rgb * 0.6)
    _row(scene, rng, float(rng.uniform(2.2, 4)), 0.4)
    scene.lobes = _lobes(rng, 4, -0.5, 1.2)
    photographer(scene, rng, camera)
    return scene


def _furnish(scene: Scene, rng: np.random.Generator, wall: Wall, top: float) -> None:
    """Put a roller door, a gate to the day, windows, or doors and cupboards into a wall."""
    kind, s = rng.random(), rng.uniform(0.3, 2.5)
    if kind < 0.3:
        grey = tint(rng, 0.2, 0.7)
        scene.add(wall.boxes(s, 0, 3, 2.3), grey)
        scene.add(wall.boxes(s, np.arange(0.2, 2.3, 0.25), 3, 0.03), grey * 0.6)
    elif kind < 0.5:
        day = rng.uniform(2, 4) * np.asarray([0.95, 1, 1.04])
        scene.add(wall.boxes(s, 0, 2.8, 2.2), day * 2.2)
        scene.add(wall.boxes(s, 0, 2.8, rng.uniform(0.8, 1.4)), day * 0.8)
        scene.add(wall.boxes(s, 0, 2.8, rng.uniform(0.3, 0.7)), day * 0.4)
    elif kind < 0.75:
        _panes(scene, rng, wall, top)
    else:
        scene.add(wall.boxes([s, s + 1.5], 0, 0.9, 2.05), tint(rng, 0.1, 0.6, 0.1))
        scene.add(wall.boxes([s, s + 2, s + 3], [0.1, 0.9, 0.2], [0.8, 1.2, 0.6], [1.4, 0.7, 1.0]),
                  tint(rng, 0.05, 0.4, 0.12))  # fmt: skip


def _lobes(
    rng: np.random.Generator, count: int, low: float, high: float
) -> list[tuple[NDArray[np.float64], float, float]]:
    """Patches of more or less light, most of them before the panel: way, narrowness and amount."""
    out = []
    for _ in range(count):
        way = rng.standard_normal(3) * [0.8, 0.5, 0.5] + [0, 0.8, 0.2]
        narrow = log_uniform(rng, 1.5, 40)
        out.append((way / np.linalg.norm(way), narrow, float(rng.uniform(low, high))))
    return out


def _studio(rng: np.random.Generator, camera: float) -> Scene:
    scene = open_scene(rng, "grey")
    scene.rough *= 0.4
    return (_white_studio if rng.random() < 0.55 else _dark_studio)(scene, rng, camera)


def _white_studio(scene: Scene, rng: np.random.Generator, camera: float) -> Scene:
    """Build a pale cove around the car, light above it, the dark hall over its edge."""
    top, edge = float(rng.uniform(3.2, 4.5)), float(rng.uniform(2.0, 3.0))
    scene.ground = tint(rng, 0.22, 0.5, 0.02).astype(np.float32)
    walls = _room(scene, rng, (0.5, 0.95), top, rng.uniform(0.08, 0.7))
    scene.rise = float(rng.uniform(0.4, 1.2))
    if rng.random() < 0.5:
        for wall in walls:
            scene.add(wall.boxes(-0.5, edge, 20, top - edge), tint(rng, 0.05, 0.2))
    count = int(rng.integers(1, 4))
    if rng.random() < 0.6:
        size = rng.uniform(1.2, 2.5), rng.uniform(0.15, 0.8)
        _tubes(scene, rng, top, count, size)
    else:
        x, y, wide, deep = rng.uniform(-1, 1), rng.uniform(0, 1.5), rng.uniform(2, 5), rng.uniform(1, 2)
        _soft_box(scene, level(x, y, wide, deep, top - 0.3)[0], _lamp(rng, 4, 14))
    for wall in walls:
        s = np.arange(rng.uniform(0.3, 1.2), 12, rng.uniform(1.0, 2.5))
        if rng.random() < 0.4:
            scene.add(wall.boxes(s, 0, 0.025, edge), [0.25, 0.25, 0.26])
        if rng.random() < 0.3:
            scene.add(wall.boxes(rng.uniform(0.5, 3), 0, 0.95, 2.1), tint(rng, 0.15, 0.6))
    if rng.random() < 0.6:
        scene.add(level(0, rng.uniform(0.8, 2.5), 12, 0.03, 0.0), scene.ground * 0.4)
    scene.lobes = _lobes(rng, 5, -0.5, 0.9)
    photographer(scene, rng, camera)
    return scene


def _dark_studio(scene: Scene, rng: np.random.Generator, camera: float) -> Scene:
    """Build a dark hall with large soft boxes above and beside the car."""
    top = float(rng.uniform(2.8, 4.5))
    scene.ground = tint(rng, 0.06, 0.3, 0.02).astype(np.float32)
    walls = _room(scene, rng, (0.06, 0.3), top, rng.uniform(0.4, 1.0))
    scene.rise = float(rng.uniform(0.0, 0.8))
    rgb = _lamp(rng, 5, 18)
    for _ in range(int(rng.integers(1, 4))):
        x, y, wide, deep = rng.uniform(-2.5, 2.5), rng.uniform(0.2, 3), rng.uniform(1, 4), rng.uniform(0.6, 1.6)
        _soft_box(scene, level(x, y, wide, deep, top - 0.4)[0], rgb)
    for wall in walls:
        if rng.random() < 0.55:
            wide, tall = rng.uniform(0.5, 2.5), rng.uniform(0.8, 1.8)
            s, z = rng.uniform(0.3, 5), rng.uniform(0.4, max(0.5, top - tall - 0.2))
            _soft_box(scene, wall.boxes(s, z, wide, tall)[0], rgb * rng.uniform(0.3, 1))
    scene.lobes = _lobes(rng, 4, -0.5, 1.8)
    photographer(scene, rng, camera)
    return scene


def _soft_box(scene: Scene, corners: NDArray[np.float64], rgb: NDArray[np.float64]) -> None:
    """Add a lamp that is brightest in its middle, in a black rim."""
    middle = corners.mean(axis=0)
    scene.add(middle + 1.04 * (corners - middle), [0.03, 0.03, 0.03])
    for share in np.linspace(1, 0.2, 9):
        scene.add(middle + share * (corners - middle), rgb * (0.55 + 0.55 * (1 - share)))


def _forecourt(rng: np.random.Generator, camera: float) -> Scene:
    scene = open_scene(rng, "grey" if rng.random() < 0.5 else "blue")
    if rng.random() < 0.25:
        shine(scene, rng)
    skyline(scene, rng, 70.0)
    if rng.random() < 0.5:
        wood(scene, rng, 35.0, 7.0, 4)
    ground_lines(scene, rng)
    y, wide, tall = float(rng.uniform(7, 16)), float(rng.uniform(14, 30)), float(rng.uniform(3.5, 7))
    _glass_front(scene, rng, Wall.around(rng.normal(0, 4), y, rng.normal(0, 0.1), wide), wide, tall)
    for far, often in ((y - 2.5, 0.8), (rng.uniform(3, 4.5), 0.5)):
        _row(scene, rng, float(far), often)
    if rng.random() < 0.6:
        _canopy(scene, rng)
    if rng.random() < 0.4:
        _lamp_post(scene, rng)
    if rng.random() < 0.3:
        cables(scene, rng)
    photographer(scene, rng, camera)
    return scene


def _glass_front(scene: Scene, rng: np.random.Generator, wall: Wall, wide: float, tall: float) -> None:
    """Add a showroom: panes between mullions, the sky in the upper ones, a light band above."""
    bright = lit(scene, wall.angle - np.pi / 2)
    scene.add(wall.boxes(-0.4, 0, wide + 0.8, tall + 1.1), tint(rng, 0.25, 0.8, 0.05) * bright)
    pitch = rng.uniform(1.2, 2.5)
    s = np.arange(0, wide - 0.2, pitch)
    glass = tint(rng, 0.06, 0.16) * np.asarray([0.92, 1, 1.08])
    scene.add(wall.boxes(0, 0.2, wide, tall), glass)
    scene.add(wall.boxes(s, 0.5 * tall, pitch, 0.5 * tall), glass[None] * rng.choice([1.5, 2, 3.5, 6], (len(s), 1)))
    scene.add(wall.boxes(rng.uniform(0, wide - 1, 5), 0.75 * tall, 0.8, 0.08), _lamp(rng, 4, 15))
    frame = tint(rng, 0.03, 0.6)
    scene.add(wall.boxes(s, 0.2, 0.09, tall), frame)
    scene.add(wall.boxes(0, [0.2, 0.5 * tall, tall + 0.1], wide, 0.1), frame)
    scene.add(wall.boxes(0, tall + 0.3, wide, 0.6), tint(rng, 0.1, 0.7, 0.15))


def _canopy(scene: Scene, rng: np.random.Generator) -> None:
    top, wide, deep = rng.uniform(3.8, 5.5), rng.uniform(7, 16), rng.uniform(5, 9)
    x, y = rng.uniform(-3, 3), rng.uniform(0, 4)
    under = tint(rng, 0.12, 0.4)
    for sx in (-0.35, 0.35):
        post(scene, x + sx * wide, y + 0.3 * deep, top, 0.35, under * 1.6)
    scene.add(level(x, y, wide, deep, top), under)
    for k in np.arange(-3, 4):
        scene.add(level(x + k * wide / 7, y, 0.04, deep, top - 0.01), under * 0.6)
    scene.add(Wall(x - wide / 2, y + deep / 2, 0).boxes(0, top, wide, 0.6), tint(rng, 0.2, 0.8, 0.12))
    a, b = np.meshgrid(x + wide * np.asarray([-0.36, -0.12, 0.12, 0.36]), y + deep * np.asarray([-0.3, 0, 0.3]))
    if rng.random() < 0.5:
        scene.add(level(a, b, 0.5, 0.5, top - 0.02), _lamp(rng, 8, 30))
    else:
        scene.add(level(a, b, 0.15, 1.4, top - 0.02), _lamp(rng, 15, 40))


def _courtyard(rng: np.random.Generator, camera: float) -> Scene:
    """Build brick all round: courses, arches below, a grid of windows above, a patch of sky."""
    scene = open_scene(rng, "grey" if rng.random() < 0.5 else "blue")
    left, right, front, back = rng.uniform(4, 12, 4)
    brick = rng.uniform(0.18, 0.4) * np.asarray([1, rng.uniform(0.55, 0.75), rng.uniform(0.4, 0.6)])
    arch = np.concatenate([[[1, 0]], ring(20)[:11] * [1.0, 0.8] + [0, 1.8], [[-1, 0]]])
    for k, (x, y) in enumerate([(-left, front), (right, front), (right, -back), (-left, -back)]):
        length, tall = (left + right, front + back)[k % 2], float(rng.uniform(6, 13))
        wall = Wall(x, y, -0.5 * np.pi * k)
        rgb = brick * rng.uniform(0.8, 1.2)
        scene.add(wall.boxes(0, 0, length, tall), rgb)
        scene.add(wall.boxes(0, np.arange(0.3, tall, 0.3), length, 0.03), rgb * 1.35)
        scene.add(wall.boxes(-0.2, [3.4, tall - 0.3], length + 0.4, [0.25, 0.4]), rgb * 0.5 + 0.2)
        pitch = rng.uniform(2.4, 3.4)
        middles = np.arange(pitch / 2, length, pitch)
        for scale, light in ((0.36, rgb * 0.4 + 0.25), (0.31, np.full(3, rng.uniform(0.01, 0.06)))):
            points = [wall.at(s + arch[:, 0] * scale * pitch, arch[:, 1] * (0.95 + 0.2 * scale)) for s in middles]
            scene.add(np.stack(points), light)
        s, z = np.meshgrid(middles, np.arange(4.3, tall - 1.8, 2.9))
        scene.add(wall.boxes(s - 0.6, z - 0.1, 1.2, 1.8), rgb * 0.4 + 0.3)
        scene.add(wall.boxes(s - 0.5, z, 1.0, 1.6), rng.uniform(0.04, 0.2) * np.asarray([0.9, 1, 1.1]))
        scene.add(wall.boxes(s - 0.03, z, 0.06, 1.6), rgb * 0.4 + 0.3)
    scene.add(level(0, np.arange(-4, 4.5, 0.5), 8, 0.03, 0.0), scene.ground * 0.6)
    photographer(scene, rng, camera)
    return scene


def _tunnel(rng: np.random.Generator, camera: float) -> Scene:
    """Build a scanner: bright arches over the car, dark between them."""
    scene = open_scene(rng, "grey")
    scene.yaw *= 0.2
    scene.horizon = scene.zenith = scene.cloud = tint(rng, 0.01, 0.05).astype(np.float32)
    scene.ground = tint(rng, 0.03, 0.15).astype(np.float32)
    lamp = _lamp(rng, 6, 20)
    wide, tall = rng.uniform(1.2, 2.2), rng.uniform(2.3, 3.2)
    centre = -rng.uniform(0.4, 0.9)  # the car's middle lies behind the panel
    angle = np.linspace(-0.1, np.pi + 0.1, 25)
    power = rng.uniform(0.5, 1.0)
    y = centre + (wide - centre) * np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** power
    z = tall * np.abs(np.sin(angle)) ** power
    pitch, strip = rng.uniform(0.35, 0.8), rng.uniform(0.03, 0.14)
    first = rng.uniform(-0.5, 0.5) * pitch
    for x in sorted(first + pitch * np.arange(-10, 11), key=abs, reverse=True):
        for half, light in ((strip * 0.5 + 0.06, lamp * 0.02), (strip * 0.5, lamp)):
            points = np.empty((24, 4, 3))
            points[:, :2, 0], points[:, 2:, 0] = x - half, x + half
            for c, curve in ((1, y), (2, z)):
                points[:, 0, c] = points[:, 3, c] = curve[:-1]
                points[:, 1, c] = points[:, 2, c] = curve[1:]
            scene.add(points, light)
    photographer(scene, rng, camera)
    return scene


BUILDERS: dict[str, Callable[[np.random.Generator, float], Scene]] = {
    "overcast": _overcast, "clear sky": _clear, "sunny": _sunny, "street": _street, "garage": _garage,
    "studio": _studio, "forecourt": _forecourt, "courtyard": _courtyard, "light tunnel": _tunnel, "jumble": jumble,
}  # fmt: skip
