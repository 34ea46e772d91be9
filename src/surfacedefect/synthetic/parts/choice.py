"""Things on and beside a panel that are neither paint nor damage: gaps, handles, trim, wheels, lamps, the floor.

A detector must stay silent on all of them, although they bring dark lines, bright edges, textures and letters.
"""

from __future__ import annotations

import numpy as np

from surfacedefect.errors import OptionError
from surfacedefect.synthetic.geometry import Float
from surfacedefect.synthetic.paints import Paint
from surfacedefect.synthetic.parts.drawing import Part, covers, dress_parts, shape_parts
from surfacedefect.synthetic.parts.kinds import ARCH, BEYOND, ISLANDS, KINDS, Builder, Site

__all__ = ["Part", "covers", "dress_parts", "random_parts", "shape_parts"]

_MOST_HIDDEN = 0.55  # of a footprint: the rest must be paint


def random_parts(
    rng: np.random.Generator, *, footprint: tuple[float, float, float, float], paint: Paint, share: float, far: bool
) -> tuple[Part, ...]:
    """Draw the things that a picture of a panel shows besides the panel, in the order in which they are drawn.

    Parameters
    ----------
    footprint
        (x0, y0, x1, y1) in mm: what the picture sees. Sizes are true to life, so a small one sees only parts of things.
    paint
        The panel's, for what has the body's colour.
    share
        How likely such things are, in [0, 1].
    far
        Whether a large part of a car is seen: then several things may show.

    Raises
    ------
    OptionError
        A share outside [0, 1] or an empty footprint.
    """
    x0, y0, x1, y1 = footprint
    if not 0 <= share <= 1:
        raise OptionError(f"share is {share}; expected a number from 0 to 1")
    if not (x1 > x0 and y1 > y0):
        raise OptionError(f"footprint is {footprint}; expected (x0, y0, x1, y1) in mm with x0 < x1 and y0 < y1")
    parts: list[Part] = []
    for builder in _choose(rng, share=share, far=far):
        for _ in range(3):
            x, y = float(rng.uniform(x0, x1)), float(rng.uniform(y0, y1))
            more = builder(rng, Site(x, y, min(x1 - x0, y1 - y0), paint, footprint))
            apart = builder not in ISLANDS or not _touch(parts, more, footprint)
            if apart and _hidden_share([*parts, *more], footprint) < _MOST_HIDDEN:
                parts += more
                break
    return tuple(parts)


def _choose(rng: np.random.Generator, *, share: float, far: bool) -> list[Builder]:
    if far:
        drawn = [builder for builder, chance, _ in KINDS if rng.random() < chance * share]
        # a wheel brings its own floor
        return [builder for builder in drawn if builder is not BEYOND or ARCH not in drawn]
    weights = np.asarray([weight for _, _, weight in KINDS])
    count = int(rng.random() < share) + int(rng.random() < 0.35 * share)
    chosen = sorted(rng.choice(weights.size, count, replace=False, p=weights / weights.sum()).tolist())
    return [KINDS[k][0] for k in chosen]


def _hidden_share(parts: list[Part], footprint: tuple[float, float, float, float]) -> float:
    x, y, _ = _sample(footprint)
    hidden = np.zeros(x.shape, bool)
    for part in parts:
        if part.profile.hides:
            hidden |= part.shape.distance(x, y) < 0
    return float(hidden.mean())


def _touch(parts: list[Part], more: list[Part], footprint: tuple[float, float, float, float]) -> bool:
    x, y, step = _sample(footprint)
    there, here = np.zeros(x.shape, bool), np.zeros(x.shape, bool)
    for some, where in ((parts, there), (more, here)):
        for part in some:
            if part.solid:
                where |= part.shape.distance(x, y) < step
    return bool((there & here).any())


def _sample(footprint: tuple[float, float, float, float]) -> tuple[Float, Float, float]:
    """Points all over a footprint, and how far they are apart."""
    x0, y0, x1, y1 = footprint
    x, y = np.meshgrid(np.linspace(x0, x1, 32, dtype=np.float32), np.linspace(y0, y1, 32, dtype=np.float32))
    return x, y, max(x1 - x0, y1 - y0) / 31
