"""Scenes of flat polygons and wires in metres around the panel, under a sky.

World axes: x to the right, y towards the camera, z up; the panel is the origin, the ground lies ``height_m`` below.
Things are added from far to near, as a painter would.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from surfacedefect.synthetic.geometry import Float
from surfacedefect.synthetic.noise import NoiseTile


@dataclass(frozen=True)
class Wire:
    """A thin dark line: points in metres (n, 3), its width, and how much of the light behind it is lost."""

    points: Float
    width_m: float
    dark: float


@dataclass(frozen=True)
class SunAt:
    """The sun in world coordinates."""

    direction: NDArray[np.float64]
    irradiance: Float


@dataclass
class Scene:
    """Sky and ground, and everything between them; radiance 1 is a white sheet, lamps are far above it.

    ``rise`` says how much brighter things are above than below: their radiance grows as its exponential times the sine
    of the altitude. ``overcast`` is a sky that darkens to the horizon, else one with a bright band there.
    ``bright_side`` is the azimuth where the sky is brighter by the factor 1 + the second number.
    """

    height_m: float
    blur: float
    noise: NoiseTile
    horizon: Float
    zenith: Float
    cloud: Float
    cloudy: tuple[float, float]  # density of clouds = first + second * noise
    ground: Float
    rough: float
    sun: SunAt | None = None
    overcast: bool = True
    bright_side: tuple[float, float] = (0.0, 0.0)
    rise: float = 0.0
    yaw: float = 0.0
    lobes: list[tuple[NDArray[np.float64], float, float]] = field(default_factory=list)
    polygons: list[NDArray[np.float64]] = field(default_factory=list)
    colours: list[NDArray[np.float64]] = field(default_factory=list)
    turned: list[bool] = field(default_factory=list)
    wires: list[Wire] = field(default_factory=list)

    def add(self, points: ArrayLike, rgb: ArrayLike, *, turned: bool = True) -> None:
        """Add polygons (n, v, 3) or one (v, 3), in metres, of one radiance (3,) or (n, 3) of them.

        All but the photographer are turned with the scene.
        """
        corners = np.asarray(points, np.float64)
        corners = corners[None] if corners.ndim == 2 else corners
        self.polygons.append(corners)
        self.colours.append(np.asarray(rgb, np.float64))
        self.turned.append(turned)

    def wire(self, points: ArrayLike, width_m: float, dark: float = 0.8) -> None:
        """Add one thin dark line through points (n, 3)."""
        self.wires.append(Wire(self._placed(np.array(points, np.float64), np.True_), width_m, dark))

    def corners(self) -> tuple[Float, NDArray[np.int64]]:
        """Corners of all polygons seen from the panel, float32 (n, 3), and how many each has."""
        count = np.concatenate([np.full(len(p), p.shape[1]) for p in self.polygons])
        turned = np.repeat(self.turned, [p.shape[0] * p.shape[1] for p in self.polygons])
        return self._placed(np.concatenate([p.reshape(-1, 3) for p in self.polygons]), turned), count

    def _placed(self, points: NDArray[np.float64], turned: NDArray[np.bool_] | np.bool_) -> Float:
        cos, sin = np.where(turned, np.cos(self.yaw), 1), np.where(turned, np.sin(self.yaw), 0)
        out = np.empty(points.shape, np.float32)
        out[:, 0] = points[:, 0] * cos - points[:, 1] * sin
        out[:, 1] = points[:, 0] * sin + points[:, 1] * cos
        out[:, 2] = points[:, 2] - self.height_m
        return out

    def inks(self) -> tuple[NDArray[np.int64], Float]:
        """Give the ink of every polygon, 1 to 255, and the radiance and cover of every ink, float32 (256, 4)."""
        groups = zip(self.colours, self.polygons, strict=True)
        rgb = np.concatenate([np.broadcast_to(colour, (len(points), 3)) for colour, points in groups])
        # 3 % steps are never seen next to each other
        step = np.rint(np.log2(rgb.clip(2e-3, None)) * 24).astype(np.int64) + 512
        _, first, ink, count = np.unique(
            (step[:, 0] << 20) + (step[:, 1] << 10) + step[:, 2],
            return_index=True, return_inverse=True, return_counts=True,
        )  # fmt: skip
        if len(first) > 255:  # rare colours give way to their nearest
            kept = np.sort(np.argsort(-count, kind="stable")[:255])
            far = np.abs(step[first][:, None] - step[first[kept]][None]).sum(axis=2)
            ink, first = far.argmin(axis=1)[ink], first[kept]
        table = np.zeros((256, 4), np.float32)
        table[1 : len(first) + 1, :3] = rgb[first]
        table[1 : len(first) + 1, 3] = 1
        return ink.ravel() + 1, table

    @property
    def sun_rgb(self) -> Float:
        """Colour of the sun, at most 1."""
        return np.ones(3, np.float32) if self.sun is None else self.sun.irradiance / self.sun.irradiance.max()

    def mottle(self, wx: Float, wy: Float, wz: Float) -> Float:
        """Noise of standard deviation about 1 on the plane of the clouds, and on the ground; float32, any shape."""
        above = wz > 0
        near = np.where(above, np.float32(1), np.float32(self.height_m))
        near /= np.abs(wz) + np.where(above, np.float32(0.25), np.float32(0.05))
        x, y = np.asarray(wx * near, np.float32), np.asarray(wy * near, np.float32)
        noise = self.noise(x, y)
        # far away the clouds and the stains on the ground run together
        noise *= (np.abs(wz) * np.float32(6)).clip(0.15, 1)
        return noise

    def sky_light(self, wx: Float, wy: Float, wz: Float, mottle: Float) -> list[Float]:
        """Sky without the sun, three channels; an overcast one as the CIE's, darker towards the horizon."""
        rest = 1 - wz.clip(0, 1)
        if not self.overcast:
            rest *= rest * rest
        dense = (mottle * np.float32(self.cloudy[1]) + np.float32(self.cloudy[0])).clip(0, 1)
        azimuth, more = self.bright_side
        side = wx * np.float32(0.5 * np.cos(azimuth)) + wy * np.float32(0.5 * np.sin(azimuth)) + np.float32(0.5)
        side *= side * np.float32(more)
        side += 1
        out = []
        for low, high, white in zip(self.horizon, self.zenith, self.cloud, strict=True):
            clear = rest * np.float32(low - high)
            clear += np.float32(high)
            clear += dense * (np.float32(white) * (clear if self.overcast else 1) - clear)
            clear *= side
            out.append(clear)
        return out

    def ground_light(self, wz: Float, mottle: Float, shade: Float) -> list[Float]:
        """Ground: stained, darker beside the car, paler towards the horizon; three channels."""
        down = (-wz).clip(0, 1)
        light = 1 - down
        light *= light * light * np.float32(0.8)
        light -= down * np.float32(0.8)
        light += 1
        light *= 1 + np.float32(self.rough) * mottle
        light *= shade
        return [light * np.float32(c) for c in self.ground]

    def shade(self, wx: Float, wy: Float, wz: Float) -> Float:
        """Give the factor on the radiance of things: height, and light from windows and lamps."""
        light = np.exp(wz.clip(-0.6, 0.8) * np.float32(self.rise))
        for (x, y, z), narrow, amount in self.lobes:
            near = wx * np.float32(x) + wy * np.float32(y) + wz * np.float32(z) - 1
            light *= 1 + np.float32(amount) * np.exp(np.float32(narrow) * near)
        return light

    def sunshine(self, wx: Float, wy: Float, wz: Float, edge: np.float32) -> tuple[Float | None, Float | None]:
        """Glow around the sun, and its disc in [0, 1]."""
        if self.sun is None:
            return None, None
        x, y, z = (np.float32(c) for c in self.sun.direction)
        away = 1 - (wx * x + wy * y + wz * z)
        glow = np.float32(0.03) / (away + np.float32(0.02))
        glow += np.float32(0.006) / (away + np.float32(0.0015))
        radius = np.sqrt(2 * away.clip(0, None))
        disc = (np.float32(0.5) - (radius - np.float32(0.014)) / (2.5 * edge)).clip(0, 1)
        return glow, disc


def tint(rng: np.random.Generator, low: float, high: float, spread: float = 0.03) -> NDArray[np.float64]:
    """Draw a grey of this brightness, a little coloured."""
    return np.asarray((rng.uniform(low, high) * rng.normal(1, spread, 3)).clip(0.005, None))


def open_scene(rng: np.random.Generator, kind: str) -> Scene:
    """Open ground under a "grey" or a "blue" sky."""
    level, cover, busy = rng.uniform(0.8, 1.2), rng.uniform(-0.6, 0.3), rng.uniform(0.25, 0.5)
    if kind == "grey":
        zenith = level * rng.uniform(1.0, 1.9) * np.asarray([0.98, 1, 1.03])
        horizon, cloud = zenith * rng.uniform(0.3, 0.6), np.full(3, rng.uniform(0.3, 0.65))  # cloud: share of the rest
        cloudy = rng.uniform(0.1, 0.5), rng.uniform(0.15, 0.4)
    else:
        zenith = level * rng.uniform(0.6, 1.0) * np.asarray([0.3, 0.46, 0.76])
        horizon = level * rng.uniform(0.8, 1.4) * np.asarray([0.93, 0.98, 1.04])
        cloud, cloudy = horizon * rng.uniform(1.0, 1.4), (cover, busy)
    noise = NoiseTile.random(rng, texel_mm=float(rng.uniform(0.02, 0.05)), size=128, fall=1.25)
    ground = tint(rng, 0.07, 0.24, 0.03)
    return Scene(
        height_m=float(rng.uniform(0.5, 0.95)), blur=float(rng.uniform(0.003, 0.008)), noise=noise,
        horizon=horizon.astype(np.float32), zenith=zenith.astype(np.float32), cloud=cloud.astype(np.float32),
        cloudy=cloudy, ground=ground.astype(np.float32), rough=float(rng.uniform(0.06, 0.2)),
        overcast=kind == "grey", rise=float(rng.uniform(0.1, 0.6)), yaw=float(rng.normal(0, 0.25)),
        bright_side=(float(rng.uniform(-np.pi, np.pi)), float(rng.uniform(0, 2.5))),
    )  # fmt: skip


def shine(scene: Scene, rng: np.random.Generator) -> None:
    """Let the sun out."""
    height, azimuth = rng.uniform(0.45, 1.2), rng.uniform(-np.pi, np.pi)
    way = np.asarray([np.cos(height) * np.cos(azimuth), np.cos(height) * np.sin(azimuth), np.sin(height)])
    warm = np.asarray([1, 0.95 - 0.1 * (1.2 - height), 0.88 - 0.25 * (1.2 - height)])
    scene.sun = SunAt(way, (rng.uniform(1.2, 4) * warm).astype(np.float32))
    scene.bright_side = float(azimuth), float(rng.uniform(0.4, 1.5))
    dim = np.float32(rng.uniform(0.5, 0.8))  # beside the sun the sky counts less
    scene.horizon, scene.zenith, scene.cloud = scene.horizon * dim, scene.zenith * dim, scene.cloud * dim
    scene.ground = scene.ground * np.float32(rng.uniform(1.2, 2.5))


def lit(scene: Scene, angle: float) -> float:
    """Brightness of an upright wall whose normal has this azimuth, before the scene is turned."""
    if scene.sun is None:
        return 0.8
    x, y, _ = scene.sun.direction
    facing = x * np.cos(angle + scene.yaw) + y * np.sin(angle + scene.yaw)
    return float(0.5 + 1.5 * max(facing, 0))


# --- shapes -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wall:
    """An upright plane: a point on the ground and the azimuth along it."""

    x: float
    y: float
    angle: float

    @classmethod
    def around(cls, x: float, y: float, angle: float, wide: float) -> Wall:
        """Put the middle of a wall of this width at a point."""
        return cls(x - 0.5 * wide * float(np.cos(angle)), y - 0.5 * wide * float(np.sin(angle)), angle)

    def at(self, s: ArrayLike, z: ArrayLike) -> NDArray[np.float64]:
        """Give the points s metres along and z metres up."""
        s, z = np.asarray(s, np.float64), np.asarray(z, np.float64)
        out = np.empty((*np.broadcast(s, z).shape, 3))
        out[..., 0] = self.x + s * math.cos(self.angle)
        out[..., 1] = self.y + s * math.sin(self.angle)
        out[..., 2] = z
        return out

    def boxes(self, s: ArrayLike, z: ArrayLike, wide: ArrayLike, tall: ArrayLike) -> NDArray[np.float64]:
        """Give rectangles (n, 4, 3) with their lower left corners at (s, z)."""
        return self.at(*_rectangles(s, z, wide, tall))


def _rectangles(
    x: ArrayLike, y: ArrayLike, wide: ArrayLike, tall: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    shape = np.broadcast(x, y, wide, tall).shape
    across, along = np.empty((*shape, 4)), np.empty((*shape, 4))
    x, y, wide, tall = (np.asarray(a, np.float64) for a in (x, y, wide, tall))
    across[..., 0] = across[..., 3] = x
    across[..., 1] = across[..., 2] = x + wide
    along[..., 0] = along[..., 1] = y
    along[..., 2] = along[..., 3] = y + tall
    across, along = across.reshape(-1, 4), along.reshape(-1, 4)
    return across, along


def level(x: ArrayLike, y: ArrayLike, wide: ArrayLike, deep: ArrayLike, z: float) -> NDArray[np.float64]:
    """Give level rectangles (n, 4, 3) around their middles."""
    across, along = _rectangles(x, y, wide, deep)
    out = np.empty((*across.shape, 3))
    out[..., 0] = across - 0.5 * np.ravel(wide)[:, None]
    out[..., 1] = along - 0.5 * np.ravel(deep)[:, None]
    out[..., 2] = z
    return out


def ring(count: int) -> NDArray[np.float64]:
    """Give corners (n, 2) of a regular polygon of radius 1."""
    angle = np.arange(count) * 2 * np.pi / count
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)
