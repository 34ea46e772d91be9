"""Car paints as stacks of coats: colour, flakes and gloss on top, primer and metal or plastic below."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

PaintName = Literal[
    "white", "black", "silver", "grey", "red", "blue", "green", "beige", "yellow",
    "burgundy", "petrol", "copper", "pearl",
]  # fmt: skip
BENCHMARK_PAINTS: tuple[PaintName, ...] = ("burgundy", "petrol", "copper", "pearl")
"""Paints of the frozen benchmark scans; training never uses them."""
TRAINING_PAINTS: tuple[PaintName, ...] = tuple(name for name in get_args(PaintName) if name not in BENCHMARK_PAINTS)

Rgb = tuple[float, float, float]

# linear RGB, share with metallic flakes, share with mica (pearl), share among cars
_PAINTS: dict[PaintName, tuple[Rgb, float, float, float]] = {
    "white": ((0.72, 0.72, 0.70), 0.1, 0.25, 0.25),
    "black": ((0.010, 0.010, 0.012), 0.4, 0.1, 0.19),
    "silver": ((0.36, 0.37, 0.38), 1.0, 0.0, 0.14),
    "grey": ((0.09, 0.095, 0.105), 0.8, 0.1, 0.16),
    "red": ((0.34, 0.016, 0.022), 0.3, 0.2, 0.08),
    "blue": ((0.018, 0.055, 0.21), 0.6, 0.2, 0.1),
    "green": ((0.03, 0.10, 0.045), 0.5, 0.2, 0.03),
    "beige": ((0.46, 0.39, 0.28), 0.6, 0.1, 0.03),
    "yellow": ((0.62, 0.40, 0.025), 0.2, 0.0, 0.02),
    "burgundy": ((0.075, 0.008, 0.016), 0.6, 0.3, 0.25),
    "petrol": ((0.012, 0.060, 0.075), 0.6, 0.3, 0.25),
    "copper": ((0.25, 0.085, 0.030), 1.0, 0.2, 0.25),
    "pearl": ((0.62, 0.60, 0.55), 0.2, 1.0, 0.25),
}


@dataclass(frozen=True)
class Paint:
    """One paint job; depths in µm below the surface, colours as linear RGB.

    Attributes
    ----------
    rgb
        Albedo of the base coat.
    flakes
        Contrast of metallic flakes at 0.1 mm a pixel; 0 = solid.
    flop
        How much darker a metallic coat looks at a grazing view, in [0, 1].
    pearl
        What mica adds to the albedo at a grazing view; all 0 without it.
    mirror
        Reflectance of the clear coat seen frontally (0.04 for a refractive index of 1.5).
    clear_um, base_um, primer_um
        Where the clear coat, the base coat and the primer end.
    primer, substrate
        Colours of the primer, and of the metal or plastic below it.
    """

    name: PaintName
    rgb: Rgb
    flakes: float
    flop: float
    pearl: Rgb
    mirror: float
    clear_um: float
    base_um: float
    primer_um: float
    primer: Rgb
    substrate: Rgb


def random_paint(
    rng: np.random.Generator, names: tuple[PaintName, ...] = TRAINING_PAINTS, *, rgb: Rgb | None = None
) -> Paint:
    """Draw one of these paints, each as frequent as on the road; ``rgb`` overrules its colour.

    Thicknesses are those of factory finishes: 35-55 µm clear coat, 12-20 base coat, 50-80 primer and e-coat on metal;
    about half of that on plastic, which is most bumpers.
    """
    share = np.asarray([_PAINTS[name][3] for name in names])
    name = names[int(rng.choice(share.size, p=share / share.sum()))]
    base, metallic, mica, _ = _PAINTS[name]
    colour = np.asarray(base) * rng.uniform(0.75, 1.15) * rng.normal(1, 0.03, 3)
    has_flakes, has_mica, is_plastic = rng.random(3) < [metallic, mica, 0.35]
    pearl = rng.uniform(0.02, 0.12) * rng.normal(1, 0.4, 3).clip(0.2, 2) * has_mica
    thin = 0.7 if is_plastic else 1.0
    clear, coat = rng.uniform(35, 55) * thin, rng.uniform(12, 20)
    priming = rng.uniform(25, 60) if is_plastic else rng.uniform(50, 80)
    primer = rng.choice([0.62, 0.45, 0.28, 0.12], p=[0.4, 0.3, 0.2, 0.1]) * rng.normal(1, 0.03, 3)
    plastic, metal = rng.uniform(0.015, 0.04) * np.ones(3), rng.uniform(0.22, 0.42) * rng.normal(1, 0.015, 3)
    flakes = float(rng.uniform(0.025, 0.07)) if has_flakes else 0.0
    return Paint(
        name=name, rgb=_rgb(colour, 0.006) if rgb is None else rgb, flakes=flakes,
        flop=float(rng.uniform(0.2, 0.6)) if has_flakes else 0.0,
        pearl=_rgb(pearl, 0.0), mirror=float(rng.uniform(0.038, 0.05)), clear_um=float(clear),
        base_um=float(clear + coat), primer_um=float(clear + coat + priming), primer=_rgb(primer, 0.02),
        substrate=_rgb(plastic if is_plastic else metal, 0.01),
    )  # fmt: skip


def _rgb(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]], least: float) -> Rgb:
    r, g, b = (float(c) for c in values.clip(least, 0.85))
    return r, g, b
