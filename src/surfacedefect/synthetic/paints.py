"""Car paints: linear base colour, metallic flakes, and how mirror-like they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

PaintName = Literal["white", "black", "silver", "grey", "red", "blue", "green", "beige", "yellow"]

# (linear RGB, metallic with this probability, share among cars)
_PAINTS: dict[PaintName, tuple[tuple[float, float, float], float, float]] = {
    "white": ((0.74, 0.74, 0.72), 0.1, 0.25),
    "black": ((0.012, 0.012, 0.014), 0.4, 0.19),
    "silver": ((0.42, 0.43, 0.44), 1.0, 0.14),
    "grey": ((0.10, 0.105, 0.115), 0.8, 0.16),
    "red": ((0.36, 0.018, 0.022), 0.3, 0.08),
    "blue": ((0.02, 0.06, 0.22), 0.6, 0.1),
    "green": ((0.03, 0.11, 0.05), 0.5, 0.03),
    "beige": ((0.5, 0.42, 0.3), 0.6, 0.03),
    "yellow": ((0.62, 0.42, 0.03), 0.2, 0.02),
}


@dataclass(frozen=True)
class Paint:
    """One paint: linear RGB, flake strength (0 = solid), share of mirror light at frontal view."""

    rgb: tuple[float, float, float]
    flakes: float
    mirror: float


def random_paint(rng: np.random.Generator, name: PaintName | None = None) -> Paint:
    """Draw a paint of this name, or any with the frequency it has on the road."""
    if name is None:
        share = np.asarray([p[2] for p in _PAINTS.values()])
        name = list(_PAINTS)[int(rng.choice(share.size, p=share / share.sum()))]
    base, metallic, _ = _PAINTS[name]
    rgb = np.asarray(base) * rng.uniform(0.75, 1.15) * rng.normal(1, 0.06, 3).clip(0.8, 1.2)
    flakes = float(rng.uniform(0.03, 0.1)) if rng.random() < metallic else 0.0
    r, g, b = (float(c) for c in rgb.clip(0.008, 0.85))
    return Paint(rgb=(r, g, b), flakes=flakes, mirror=float(rng.uniform(0.04, 0.075)))
