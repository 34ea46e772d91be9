"""A place that is none: lamps, bars, panes, crumbs and wires of any size and brightness, any way round.

A model that has seen paint mirror anything takes no mirror image for damage. Domain randomisation: Tobin et al.,
*Domain randomization for transferring deep neural networks from simulation to the real world*, 2017.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from surfacedefect.synthetic.draws import log_uniform
from surfacedefect.synthetic.places.scenery import Scene, open_scene, shine, tint

_AWAY = 6.0  # metres from the panel: all sizes below are angles
_GROUPS = 30, 80
_TONES = 6  # of one group: a scene has 255 inks in all

Points = NDArray[np.float64]


def jumble(rng: np.random.Generator, camera: float) -> Scene:
    """Build one: groups of like things all over the hemisphere in front of the panel, under any sky."""
    del camera  # nobody holds it
    scene = open_scene(rng, "grey" if rng.random() < 0.5 else "blue")
    if rng.random() < 0.2:
        shine(scene, rng)
    scene.ground = tint(rng, 0.02, 0.6, 0.1).astype(np.float32)
    scene.yaw = float(rng.uniform(-np.pi, np.pi))
    for _ in range(int(rng.integers(*_GROUPS))):
        shapes = _SHAPES[int(rng.choice(len(_SHAPES), p=_SHARES))](rng)
        if rng.random() < 0.15:
            scene.wire(_placed(_line(rng)[None], rng, scene)[0], width_m=_AWAY * log_uniform(rng, 0.002, 0.02))
        scene.add(_placed(shapes, rng, scene), _tones(rng)[rng.integers(0, _TONES, len(shapes))])
    return scene


def _placed(shapes: Points, rng: np.random.Generator, scene: Scene) -> Points:
    """Put shapes (n, v, 2), in radians, somewhere around the panel: (n, v, 3) in metres."""
    middle = rng.standard_normal(3)
    middle /= np.linalg.norm(middle)
    across = np.cross(middle, rng.standard_normal(3))
    across /= np.linalg.norm(across)
    points = middle + shapes[..., :1] * across + shapes[..., 1:] * np.cross(middle, across)
    return np.asarray(_AWAY * points + [0, 0, scene.height_m])


def _tones(rng: np.random.Generator) -> Points:
    """Draw the radiances of a group, (tones, 3): dark things, lit ones, or lamps."""
    low, high = ((0.01, 0.12), (0.1, 1.5), (1.5, 40.0))[int(rng.choice(3, p=[0.35, 0.35, 0.3]))]
    spread = log_uniform(rng, 0.02, 0.6)
    light = log_uniform(rng, low, high) * np.exp(rng.normal(0, spread, _TONES))
    return np.asarray((light[:, None] * rng.normal(1, 0.08, 3)).clip(0.005, 60))


def _plates(rng: np.random.Generator) -> Points:
    """Walls, doors, soft boxes: one to three rectangles."""
    count = int(rng.integers(1, 4))
    wide = log_uniform(rng, 0.03, 0.7)
    return _rectangles(rng.normal(0, 0.2, (count, 2)), wide, wide / log_uniform(rng, 1, 8))


def _strips(rng: np.random.Generator) -> Points:
    """Tubes, slats, rails: parallel bars, evenly spaced or nearly so."""
    count, thick = int(rng.integers(1, 14)), log_uniform(rng, 0.005, 0.09)
    pitch = thick * log_uniform(rng, 1.2, 8)
    middles = np.zeros((count, 2))
    middles[:, 1] = (np.arange(count) - 0.5 * count) * pitch + rng.normal(0, 0.2 * rng.random() * pitch, count)
    return _rectangles(middles, log_uniform(rng, 0.08, 1.2), thick)


def _panes(rng: np.random.Generator) -> Points:
    """Windows and tiles: a grid of rectangles with gaps."""
    columns, rows = int(rng.integers(2, 7)), int(rng.integers(1, 6))
    wide, tall = log_uniform(rng, 0.01, 0.15), log_uniform(rng, 0.01, 0.15)
    gap = 1 + log_uniform(rng, 0.03, 0.5)
    a, b = np.meshgrid(np.arange(columns) * wide * gap, np.arange(rows) * tall * gap)
    return _rectangles(np.stack([a.ravel(), b.ravel()], axis=1), wide, tall)


def _crumbs(rng: np.random.Generator) -> Points:
    """Leaves, gravel, people far away: many small triangles around a middle."""
    count, size = int(rng.integers(8, 60)), log_uniform(rng, 0.005, 0.05)
    middles = rng.normal(0, log_uniform(rng, 0.05, 0.4), (count, 1, 2)) * [1, rng.uniform(0.3, 1)]
    return np.asarray(middles + rng.normal(0, size, (count, 3, 2)))


def _arches(rng: np.random.Generator) -> Points:
    """Rings and bows of light: short pieces along a part of an ellipse."""
    pieces, reach = 24, rng.uniform(0.5, 2 * np.pi)
    angle = rng.uniform(0, 2 * np.pi) + np.linspace(0, reach, pieces + 1)
    wide, tall = log_uniform(rng, 0.05, 0.6), log_uniform(rng, 0.05, 0.6)
    thick = 1 + log_uniform(rng, 0.03, 0.4)
    inner = np.stack([wide * np.cos(angle), tall * np.sin(angle)], axis=1)
    return np.stack([inner[:-1], inner[1:], thick * inner[1:], thick * inner[:-1]], axis=1)


def _line(rng: np.random.Generator) -> Points:
    """Draw a cable: some points along a sagging line."""
    along = np.linspace(-1, 1, 12) * log_uniform(rng, 0.1, 0.8)
    return np.stack([along, rng.uniform(0, 0.6) * along**2], axis=1)


def _rectangles(middles: Points, wide: float, tall: float) -> Points:
    corners = 0.5 * np.asarray([(-wide, -tall), (wide, -tall), (wide, tall), (-wide, tall)])
    return np.asarray(middles[:, None] + corners)


_SHAPES: tuple[Callable[[np.random.Generator], Points], ...] = (_plates, _strips, _panes, _crumbs, _arches)
_SHARES = 0.25, 0.3, 0.15, 0.2, 0.1
