"""From a surface to linear light: what the clear coat mirrors plus what the coats below scatter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from surfacedefect.synthetic.draws import log_uniform
from surfacedefect.synthetic.fringe import Fringe
from surfacedefect.synthetic.geometry import Float, Vector, View
from surfacedefect.synthetic.noise import NoiseTile
from surfacedefect.synthetic.paints import Paint
from surfacedefect.synthetic.places.environment import Environment


@dataclass(frozen=True)
class Shadow:
    """Something between the sun and the panel: a straight edge, or leaves; soft over ``soft_mm``."""

    angle: float
    offset_mm: float
    soft_mm: float
    leaves: NoiseTile | None

    def open_to_sun(self, x: Float, y: Float) -> Float:
        """Share of the sun, in [0, 1], that reaches these points."""
        cos, sin = np.float32(np.cos(self.angle)), np.float32(np.sin(self.angle))
        depth = x * cos + y * sin - np.float32(self.offset_mm)
        if self.leaves is not None:
            depth = depth + self.leaves(x, y) * np.float32(self.leaves.texel_mm * 12)
        return np.asarray((np.float32(0.5) + depth / np.float32(self.soft_mm)).clip(0, 1), np.float32)


def random_shadow(rng: np.random.Generator, extent_mm: float) -> Shadow:
    """Draw the shadow of a roof's edge, a mirror or a tree."""
    reach = max(extent_mm, 60.0)
    leaves = NoiseTile.random(rng, texel_mm=float(rng.uniform(0.5, 4)), fall=1.4) if rng.random() < 0.5 else None
    return Shadow(
        float(rng.uniform(0, 2 * np.pi)), float(rng.uniform(-0.5, 0.5) * reach),
        log_uniform(rng, 2, 30), leaves,
    )  # fmt: skip


@dataclass(frozen=True)
class Falloff:
    """How the light on the matt coats changes over the panel, for lamps, walls and people are near.

    The logarithm of the factor is the quadric ``x * across + y * down + (x^2 + y^2) * round`` of the place in mm.
    """

    across: float
    down: float
    round: float

    def factor(self, x: Float, y: Float) -> Float:
        """Give the factor at these points, 0.3 to 3."""
        bent = np.float32(self.round)
        power = x * (np.float32(self.across) + bent * x)
        power += y * (np.float32(self.down) + bent * y)
        return np.exp(power.clip(-1.2, 1.2, out=power), out=power)


def random_falloff(rng: np.random.Generator, extent_mm: float) -> Falloff:
    """Draw one that changes the light by about a third over the picture."""
    across, down, bent = rng.normal(0, 0.5), rng.normal(0, 0.5), rng.normal(0, 0.6)
    return Falloff(float(across / extent_mm), float(down / extent_mm), float(bent / extent_mm**2))


@dataclass(frozen=True)
class Lighting:
    """All that turns a surface into light: paint, surroundings, sun, shadow, fringe screen, camera position.

    The clear coat mirrors with Schlick's approximation of Fresnel's reflectance (Schlick 1994). Below it the base
    coat scatters the light of all directions evenly (Lambert), and metallic flakes the light around the mirror
    direction, the less the more grazing the view (flop).
    """

    view: View
    paint: Paint
    environment: Environment
    fringe: Fringe | None
    shadow: Shadow | None
    falloff: Falloff

    @property
    def _daylight(self) -> float:
        """Factor on the surroundings."""
        if self.fringe is None:
            return 1.0
        return self.fringe.daylight * 0.5 / max(float(self.environment.even.mean()), 1e-6)

    def of(self, x: Float, y: Float, slope_x: Float, slope_y: Float, albedo: Float, gloss: Float) -> Float:
        """Linear light (..., 3) that the camera gets from these points; all others (...) but albedo (..., 3)."""
        rx, ry, rz, cosine = _reflected(self.view.position, x, y, slope_x, slope_y)
        dim = 1 - cosine
        fresnel = self._fresnel(dim, gloss)
        seen = self.environment.lookup(rx, ry)
        around, spread = self._daylight, 0.0
        lit: Float | None = None
        mirrored = fresnel if around == 1 else fresnel * np.float32(around)
        if self.fringe is not None:
            spread = self.fringe.spread_light
            lit, hit = self.fringe.screen(x, y, rx, ry, rz)
            lit *= fresnel
            mirrored = mirrored * (1 - hit)
        sunlight = self._sunlight(x, y, slope_x, slope_y)
        near = self.falloff.factor(x, y)
        glossy = np.float32(0.85 if self.paint.flakes else 0.3)
        dulled = 1 - np.float32(self.paint.flop) * dim if self.paint.flop else None
        pearly = dim * gloss.clip(0, 1) if any(self.paint.pearl) else None
        light = np.empty((*x.shape, 3), np.float32)
        for k in range(3):  # one colour after the other: numpy is much faster with whole planes
            scattered = self._spread(k, slope_x, slope_y)
            scattered *= 1 - glossy
            scattered += seen[..., 3 + k] * glossy
            scattered *= near
            if dulled is not None:
                scattered *= dulled
            if sunlight is not None and self.environment.sun is not None:
                scattered += sunlight * np.float32(self.environment.sun.irradiance[k] / np.pi)
            if around != 1:
                scattered *= np.float32(around)
            if spread:
                scattered += np.float32(spread)
            tone = albedo[..., k] if pearly is None else albedo[..., k] + np.float32(self.paint.pearl[k]) * pearly
            scattered *= tone
            scattered += seen[..., k] * mirrored
            if lit is not None:
                scattered += lit
            light[..., k] = scattered
        return light

    def _fresnel(self, dim: Float, gloss: Float) -> Float:
        """Reflectance at 1 - cosine of the angle, after Schlick, times the gloss."""
        square = dim * dim
        mirror = np.float32(self.paint.mirror)
        return np.asarray(((mirror + (1 - mirror) * (square * square * dim)) * gloss).clip(0, 0.9), np.float32)

    def _spread(self, colour: int, slope_x: Float, slope_y: Float) -> Float:
        """Light of the whole surroundings on a matt surface: more where it turns to the brighter side."""
        even, turning = self.environment.even[colour], self.environment.turning[:, colour]
        light = slope_x * turning[0]
        light += slope_y * turning[1]
        light += even
        return np.asarray(np.maximum(light, even * np.float32(0.15), out=light), np.float32)

    def _sunlight(self, x: Float, y: Float, slope_x: Float, slope_y: Float) -> Float | None:
        """Cosine to the sun, 0 in the shadow; None without sun."""
        if self.environment.sun is None:
            return None
        towards = _towards(self.environment.sun.direction, slope_x, slope_y)
        if self.shadow is not None:
            towards *= self.shadow.open_to_sun(x, y)
        return towards


def _reflected(position: Vector, x: Float, y: Float, p: Float, q: Float) -> tuple[Float, Float, Float, Float]:
    """Give the unit direction (x, y, z) of a ray from the camera after the surface, and the cosine it arrives with."""
    dx, dy, dz = np.float32(position[0]) - x, np.float32(position[1]) - y, np.float32(position[2])
    far = 1 / np.sqrt(dx * dx + dy * dy + dz * dz)
    vx, vy, vz = dx * far, dy * far, dz * far
    steep = 1 + p * p + q * q
    facing = vz - p * vx - q * vy
    twice = 2 * facing / steep
    cosine = (facing / np.sqrt(steep)).clip(0, 1)
    rx, ry, rz = -p * twice - vx, -q * twice - vy, twice - vz
    return tuple(np.asarray(c, np.float32) for c in (rx, ry, rz, cosine))  # type: ignore[return-value]


def _towards(direction: Vector, p: Float, q: Float) -> Float:
    sx, sy, sz = (np.float32(c) for c in direction)
    facing = (sz - p * sx - q * sy) / np.sqrt(1 + p * p + q * q)
    return np.asarray(facing.clip(0, None), np.float32)


def reflected_range(view: View, slope_x: Float, slope_y: Float, x: Float, y: Float) -> tuple[float, float, float]:
    """Give the middle (x, y) and the half width of the directions that these points mirror."""
    rx, ry, _, _ = _reflected(view.position, x, y, slope_x, slope_y)
    middle = float(rx.max() + rx.min()) / 2, float(ry.max() + ry.min()) / 2
    half = max(float(rx.max() - rx.min()), float(ry.max() - ry.min())) / 2
    return middle[0], middle[1], half
