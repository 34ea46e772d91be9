"""What the paint mirrors: a square picture of the surroundings, indexed by the reflected direction.

Row 0 is straight up, the last row straight down; columns run from left to right; both are the sine of the angle.
Channels 0-2 are the sharp mirror image, 3-5 the same light spread wide, as a matt or metallic paint gathers it.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from surfacedefect.synthetic.marks import Float
from surfacedefect.synthetic.waves import Waves


def random_environment(rng: np.random.Generator, *, size: int) -> Float:
    """Linear light float32 (size, size, 6)."""
    up = np.linspace(1, -1, size, dtype=np.float32)[:, None]
    side = np.linspace(-1, 1, size, dtype=np.float32)[None]
    light = _hall(rng, up, side) if rng.random() < 0.4 else _outdoors(rng, up, side)
    if rng.random() < 0.3:  # whoever holds the camera
        x, width, top = rng.uniform(-0.3, 0.3), rng.uniform(0.05, 0.1), rng.uniform(0.05, 0.25)
        body = (np.abs(side - x) < width) & (up < top - 0.06)
        head = (side - x) ** 2 + (up - top) ** 2 < (0.55 * width) ** 2
        light[body | head] *= np.float32(rng.uniform(0.1, 0.4))
    for _ in range(int(rng.integers(1, 4))):
        light = _soften(light)
    small = max(16, size // 12)
    wide = np.stack([_spread(light[..., c], small) for c in range(3)], axis=-1)
    return np.ascontiguousarray(np.concatenate([light, wide], axis=-1))


def _colour(rng: np.random.Generator, low: float, high: float, tint: float = 0.06) -> Float:
    return np.asarray(rng.uniform(low, high) * rng.normal(1, tint, 3), np.float32).clip(0.01, None)


def _outdoors(rng: np.random.Generator, up: Float, side: Float) -> Float:
    size = up.size
    zenith = np.asarray([0.35, 0.5, 0.8], np.float32) * np.float32(rng.uniform(0.6, 1.0))
    grey = np.float32(rng.uniform(0, 1))
    zenith = zenith * (1 - grey) + grey * zenith.mean()
    horizon = _colour(rng, 0.9, 1.4, 0.03)
    blend = (up.clip(0, 1) ** np.float32(rng.uniform(0.4, 0.9)))[..., None]
    sky = np.broadcast_to(horizon * (1 - blend) + zenith * blend, (size, size, 3)).copy()
    cloud = Waves.random(rng, count=24, shortest=0.12, longest=0.9)(side[0], up[:, 0])
    sky += (cloud - np.float32(rng.uniform(-0.5, 1))).clip(0, 1.2)[..., None] * np.float32(rng.uniform(0.2, 0.8))
    if rng.random() < 0.5:  # the sun, or a hole in the clouds
        far = (side - rng.uniform(-0.5, 0.5)) ** 2 + (up - rng.uniform(0.2, 0.8)) ** 2
        sky += (np.exp(-far / np.float32(rng.uniform(0.02, 0.08) ** 2)) * np.float32(rng.uniform(1, 5)))[..., None]
    ground = np.broadcast_to(_colour(rng, 0.08, 0.3) * (1 + 0.6 * up.clip(-1, 0))[..., None], sky.shape).copy()
    ground *= (1 + 0.15 * Waves.random(rng, count=16, shortest=0.05, longest=0.4)(side[0], up[:, 0]))[..., None]
    skyline = np.zeros(size, np.float32)
    middle = ground.copy()
    for _ in range(int(rng.integers(0, 7))):  # houses, hedges, other cars
        start, wide, tall = rng.uniform(-1, 0.9), rng.uniform(0.05, 0.5), rng.uniform(0.03, 0.3)
        inside = (side[0] > start) & (side[0] < start + wide)
        skyline[inside] = np.maximum(skyline[inside], tall)
        middle[:, inside] = _colour(rng, 0.05, 0.6)
    if rng.random() < 0.5:
        trees = Waves.random(rng, count=20, shortest=0.02, longest=0.3)(side[0], np.zeros(1, np.float32))[0]
        skyline = np.maximum(skyline, (0.08 + 0.05 * trees).clip(0, None))
    above = up > skyline[None]
    return np.asarray(np.where(above[..., None], sky, np.where((up > 0)[..., None], middle, ground)), np.float32)


def _hall(rng: np.random.Generator, up: Float, side: Float) -> Float:
    size = up.size
    wall, ceiling, floor = _colour(rng, 0.4, 0.9, 0.03), _colour(rng, 0.25, 0.7, 0.03), _colour(rng, 0.1, 0.45, 0.05)
    top, bottom = rng.uniform(0.25, 0.6), rng.uniform(-0.2, 0.02)
    light = np.empty((size, size, 3), np.float32)
    light[:] = np.where((up > top)[..., None], ceiling, np.where((up > bottom)[..., None], wall, floor))
    for _ in range(int(rng.integers(1, 6))):  # doors and pillars
        start = rng.uniform(-1, 0.9)
        inside = (side > start) & (side < start + rng.uniform(0.02, 0.3)) & (up > bottom) & (up < rng.uniform(0.1, top))
        light[inside] = _colour(rng, 0.03, 0.9)
    slope = rng.uniform(-0.4, 0.4)
    start, pitch = rng.uniform(-0.1, 0.4), rng.uniform(0.1, 0.25)
    for k in range(int(rng.integers(2, 7))):  # tubes of light, side by side
        across = np.abs(up - np.float32(start + k * pitch) - np.float32(slope) * side)
        ends = np.abs(side) < rng.uniform(0.3, 1.2)
        light[(across < rng.uniform(0.008, 0.03)) & ends] = _colour(rng, 2, 5, 0.02)
    light *= 1 + np.float32(rng.uniform(-0.4, 0.4)) * side[..., None]
    return light


def _soften(a: Float) -> Float:
    p = np.pad(a, [(1, 1), (1, 1), (0, 0)], mode="edge")
    rows = p[:-2] + 2 * p[1:-1] + p[2:]
    return np.asarray((rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) / np.float32(16), np.float32)


def _spread(channel: Float, small: int) -> Float:
    tiny = Image.fromarray(channel).resize((small, small), Image.Resampling.BOX)
    grid = np.asarray(tiny)[..., None]
    for _ in range(6):
        grid = _soften(grid)
    return np.asarray(Image.fromarray(grid[..., 0]).resize(channel.shape[::-1], Image.Resampling.BICUBIC), np.float32)
