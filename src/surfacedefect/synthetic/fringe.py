"""A printed, back-lit fringe pattern that the panel mirrors: deflectometry's light.

A flat screen stands parallel to the panel, around the camera. A ray that leaves the panel with direction (rx, ry, rz)
meets it at x + distance rx / rz; how the pattern's phase there differs from an undamaged panel's measures the slope
(Häusler, Knauer, Faber: "Deflectometry: 3D-metrology from nanometer to meter", 2008).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from surfacedefect._checks import check_choice, check_number, checked_pair
from surfacedefect.synthetic.geometry import Float

Pattern = Literal["crossed", "x", "y"]


@dataclass(frozen=True, kw_only=True)
class Fringe:
    """The pattern, and how much daylight lies over it.

    Parameters
    ----------
    period_mm
        Period on the screen, in mm; 1 to 500. On a flat panel as far from the screen as from the camera it looks
        half as long, on a bulging one shorter still.
    pattern
        ``"x"``: the intensity varies along x (upright stripes), ``"y"``: along y, ``"crossed"``: both.
    distance_mm
        From the panel to the screen, 100 to 10,000 mm.
    size_mm
        Width and height of the screen; rays that miss it meet the surroundings. Where the panel mirrors no part of a
        small screen and ``daylight`` is 0, the picture is black.
    daylight
        Mean radiance of the surroundings over the screen's, 0 (dark room) to 100; a lit hall is about 0.2, an
        overcast day 1, full sun 10. The surroundings of a fringe scan are this bright, whatever the place.
    contrast
        Of the print, 0 to 1.

    Raises
    ------
    OptionError
        A value is out of its range.

    Examples
    --------
    >>> Fringe(daylight=1.0).pattern
    'crossed'
    """

    period_mm: float = 24.0
    pattern: Pattern = "crossed"
    distance_mm: float = 1200.0
    size_mm: tuple[float, float] = (3000.0, 2400.0)
    daylight: float = 0.0
    contrast: float = 0.9

    def __post_init__(self) -> None:
        """Check every range."""
        for name, low, high in (("period_mm", 1, 500), ("distance_mm", 100, 10_000), ("daylight", 0, 100),
                                ("contrast", 0, 1)):  # fmt: skip
            check_number(f"fringe {name}", getattr(self, name), low, high)
        check_choice("fringe pattern", self.pattern, get_args(Pattern))
        for side in checked_pair("fringe size_mm", self.size_mm, "width, height"):
            check_number("fringe size_mm", side, 10, 100_000)

    def screen(self, x: Float, y: Float, rx: Float, ry: Float, rz: Float) -> tuple[Float, Float]:
        """Give the screen's radiance, 0 to 1, that rays from these points meet, and whether they meet it (0 or 1).

        ``x`` and ``y`` are points of the panel in mm, ``rx, ry, rz`` unit directions; all float32 of one shape.
        """
        reach = np.float32(self.distance_mm) / np.maximum(rz, np.float32(1e-3))
        across, down = x + reach * rx, y + reach * ry
        width, height = (np.float32(side / 2) for side in self.size_mm)
        hit = (np.abs(across) < width) & (np.abs(down) < height) & (rz > 1e-3)
        turn = np.float32(2 * np.pi / self.period_mm)
        if self.pattern == "x":
            wave = np.cos(turn * across)
        elif self.pattern == "y":
            wave = np.cos(turn * down)
        else:
            wave = np.float32(0.5) * (np.cos(turn * across) + np.cos(turn * down))
        lit = np.float32(0.5) + np.float32(0.5 * self.contrast) * wave
        return (lit * hit).astype(np.float32), hit.astype(np.float32)

    @property
    def spread_light(self) -> float:
        """Share of the half space over the panel that the screen fills, as matt paint sees it, times its mean."""
        # cosine-weighted form factor of a centred rectangle parallel to the surface, four equal corners
        a, b = (side / 2 / self.distance_mm for side in self.size_mm)
        ra, rb = np.sqrt(1 + a * a), np.sqrt(1 + b * b)
        corner = (a / ra * np.arctan(b / ra) + b / rb * np.arctan(a / rb)) / (2 * np.pi)
        return float(0.5 * 4 * corner)
