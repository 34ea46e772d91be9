"""What lies beyond the car's edge: floors of asphalt, concrete, paving or a studio, and walls."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from surfacedefect.synthetic.draws import log_uniform
from surfacedefect.synthetic.geometry import Float
from surfacedefect.synthetic.noise import NoiseTile
from surfacedefect.synthetic.parts.materials import Look, Rgb, coloured, random_texture, seen, textured
from surfacedefect.synthetic.parts.shapes import Edge, Either, Shape

_CRACK_MM = 1400.0  # from one crack to the next


@dataclass(frozen=True)
class Ground:
    """Floor or wall far behind the car: matt, out of focus by ``blur_mm``, floors seen at a slant.

    ``slabs`` are the pitch across and along in mm and the share by which every other row is shifted; ``shading`` how
    the light changes over a millimetre in x and y. ``near`` 1/mm says how fast a floor recedes (0 for a wall).
    ``groove`` is an ellipse cut into the floor (x, y, radius; a turntable's edge), ``border`` a line (x, y, direction,
    width) beyond which everything is ``beyond`` times as bright: where floor and wall meet. The car's shadow lies
    beside the ``car``, ``dark`` at its edge and half so ``dark_mm`` away.
    """

    rgb: Rgb
    grain: NoiseTile
    grain_contrast: float
    patches: NoiseTile
    patch_contrast: float
    x: float = 0.0
    y: float = 0.0
    angle: float = 0.0
    near: float = 0.0
    flat: float = 1.0
    slabs: tuple[float, float, float] | None = None
    joint_mm: float = 4.0
    joint_tone: float = 0.4
    slab_contrast: float = 0.0
    cracks: float = 0.0
    groove: tuple[float, float, float] | None = None
    border: tuple[float, float, float, float] | None = None
    beyond: float = 1.0
    shading: tuple[float, float] = (0.0, 0.0)
    blur_mm: float = 1.5
    car: Shape | None = None
    dark: float = 0.0
    dark_mm: float = 50.0

    def look(self, x: Float, y: Float, mm_per_px: float) -> Look:
        """See `Material.look`."""
        dx, dy = x - np.float32(self.x), y - np.float32(self.y)
        tone = (dx * np.float32(self.shading[0]) + dy * np.float32(self.shading[1])).clip(-0.45, 0.45)
        tone += 1
        # what is out of focus is as if seen by coarser pixels
        coarse = float(np.hypot(mm_per_px, self.blur_mm))
        self._marks(dx, dy, tone, coarse)
        if self.groove is not None:
            gx, gy, radius = (np.float32(v) for v in self.groove)
            along, down = dx - gx, (dy - gy) * np.float32(self.flat)
            away = np.abs(np.sqrt(along * along + down * down) - radius)
            tone *= 1 - np.float32(0.55) * (1 - (away - np.float32(0.5 * self.joint_mm)) / np.float32(coarse)).clip(
                0, 1
            )
        if self.border is not None:
            bx, by, angle, width = self.border
            across = (dx - np.float32(bx)) * np.float32(np.cos(angle)) + (dy - np.float32(by)) * np.float32(
                np.sin(angle)
            )
            across += dx * dx * np.float32(2e-4)
            tone *= 1 + np.float32(self.beyond - 1) * (across / np.float32(width + coarse) + np.float32(0.5)).clip(0, 1)
        if self.car is not None:
            inwards = np.minimum(self.car.distance(x, y), 0)
            tone *= 1 - np.float32(self.dark) / (1 - inwards * np.float32(1 / self.dark_mm))
        np.maximum(tone, np.float32(0.02), out=tone)
        np.minimum(tone, 1 / max(self.rgb), out=tone)
        return coloured(tone, self.rgb), 0.0, 1.0

    def _marks(self, dx: Float, dy: Float, tone: Float, coarse: float) -> None:
        """Draw grain, patches, joints and cracks into the tone, as far as they can be seen."""
        grainy, patchy = (
            contrast * seen(tile, coarse) > 0.02
            for tile, contrast in ((self.grain, self.grain_contrast), (self.patches, self.patch_contrast))
        )
        if not (grainy or patchy or self.cracks or self.slabs is not None):
            return
        u, v = dx, dy
        if self.near:
            far = 1 / np.maximum(1 + np.float32(self.near) * dy, np.float32(0.3))
            u, v = dx * far, dy * far * np.float32(self.flat)
        cos, sin = np.float32(np.cos(self.angle)), np.float32(np.sin(self.angle))
        u, v = u * cos + v * sin, v * cos - u * sin
        if grainy:
            tone += textured(self.grain, u, v, px_mm=coarse) * np.float32(
                self.grain_contrast * seen(self.grain, coarse)
            )
        patches = textured(self.patches, u, v, px_mm=coarse) if patchy or self.cracks else np.float32(0)
        tone += patches * np.float32(self.patch_contrast)
        if self.slabs is not None:
            tone *= self._joints(u, v, np.float32(coarse))
        if self.cracks:
            # lines a stride apart, bent out of shape by the patches' noise
            stride = np.float32(_CRACK_MM)
            away = u / stride + patches * np.float32(0.02)
            away = np.abs(away - np.rint(away)) * stride
            thin = min(1.0, 1.5 / coarse)
            tone *= 1 - np.float32(self.cracks * thin) * (1 - (away - np.float32(0.5)) / np.float32(coarse)).clip(0, 1)

    def _joints(self, u: Float, v: Float, blur: np.float32) -> Float:
        across, along, shift = (np.float32(s) for s in self.slabs or (1, 1, 0))
        row = v / along
        number = np.floor(row).astype(np.int32)
        col = u / across + (number & 1) * shift
        at = np.floor(col).astype(np.int32)
        row -= number
        col -= at
        away = np.minimum(np.minimum(row, 1 - row) * along, np.minimum(col, 1 - col) * across)
        joint = (1 - (away - np.float32(0.5 * self.joint_mm)) / blur).clip(0, 1)
        joint *= np.float32(min(1.0, 1.5 * self.joint_mm / float(blur)))
        mixed = ((number * 374761393 + at * 668265263) ^ (at * 1274126177)) >> 7
        stone = (mixed & 1023).astype(np.float32) * np.float32(1 / 512) - 1
        tone = (1 + np.float32(self.slab_contrast) * stone) * (1 - np.float32(1 - self.joint_tone) * joint)
        return np.asarray(tone, np.float32)


def random_ground(
    rng: np.random.Generator, edge: Shape, *, at: tuple[float, float], angle: float, extent: float, floor: bool
) -> Ground:
    """Draw a floor or a wall inside ``edge``, in a picture that is ``extent`` mm large.

    ``at`` is a point of the car's edge, ``angle`` the direction away from the car there.
    """
    lighter = float(rng.normal(0.1, 0.35)) / extent
    shading = lighter * float(np.cos(angle)), lighter * float(np.sin(angle)) + float(rng.normal(0, 0.2)) / extent
    blur = extent * log_uniform(rng, 0.003, 0.015)
    if not floor:
        ground = replace(_wall(rng), dark=float(rng.uniform(0, 0.3)), dark_mm=float(rng.uniform(0.02, 0.2)) * extent)
        if rng.random() < 0.5:
            border = float(rng.normal(0, 0.3)) * extent, float(rng.normal(0, 0.3)) * extent
            width = extent * float(rng.uniform(0.01, 0.3))
            ground = replace(ground, border=(*border, float(rng.normal(1.57, 0.2)), width),
                             beyond=float(rng.uniform(0.55, 0.95)))  # fmt: skip
        return replace(ground, x=at[0], y=at[1], shading=shading, blur_mm=blur, car=edge)
    kinds = (_asphalt, _concrete, _paving, _studio)
    ground = kinds[int(rng.choice(4, p=[0.2, 0.25, 0.15, 0.4]))](rng)
    return replace(
        ground, x=at[0], y=at[1],
        angle=float(rng.uniform(-np.pi, np.pi)),
        near=float(rng.uniform(0, 0.5)) / max(extent, 200.0),
        flat=float(rng.uniform(1, 2.5)),
        shading=shading, blur_mm=blur, car=edge,
        dark=float(rng.uniform(0.25, 0.95)), dark_mm=log_uniform(rng, 0.02, 0.25) * extent,
    )  # fmt: skip


def random_outline(
    rng: np.random.Generator, middle: tuple[float, float], *, angle: float, extent: float
) -> tuple[Shape, tuple[float, float]]:
    """Draw where the car ends, ``angle`` off the middle of a picture ``extent`` mm large; and give a point of it."""
    cos, sin = float(np.cos(angle)), float(np.sin(angle))
    out = extent * (0.5 - float(rng.uniform(0.08, 0.4)))
    x, y = middle[0] + out * cos, middle[1] + out * sin
    first = Edge(x, y, angle, -float(rng.uniform(0, 1.2) ** 2) / extent)
    if rng.random() > 0.7:
        return first, (x, y)
    # it turns somewhere
    aside = extent * float(rng.normal(0, 0.35))
    turned = angle + float(np.sign(aside) * rng.uniform(0.15, 0.9))
    second = Edge(x - aside * sin, y + aside * cos, turned, -float(rng.uniform(0, 0.8)) / extent)
    return Either(first, second, extent * float(rng.uniform(0.03, 0.3))), (x, y)


def _grey(rng: np.random.Generator, low: float, high: float) -> Rgb:
    tone, warm = float(rng.uniform(low, high)), float(rng.normal(0, 0.03))
    return tone * (1 + warm), tone, tone * (1 - warm)


def _asphalt(rng: np.random.Generator) -> Ground:
    grain = random_texture(rng, texel_mm=float(rng.uniform(1.2, 3)), fall=0.4)
    patches = random_texture(rng, texel_mm=8.0, fall=1.3)
    rgb = _grey(rng, 0.05, 0.15)
    return Ground(rgb, grain, float(rng.uniform(0.2, 0.4)), patches, 0.12, cracks=0.6 * (rng.random() < 0.2))


def _concrete(rng: np.random.Generator) -> Ground:
    grain = random_texture(rng, texel_mm=1.2, fall=0.8)
    patches = random_texture(rng, texel_mm=float(rng.uniform(4, 9)), fall=1.5)
    pitch = float(rng.uniform(600, 2000))
    return Ground(
        _grey(rng, 0.22, 0.5), grain, float(rng.uniform(0.04, 0.1)), patches, float(rng.uniform(0.04, 0.14)),
        slabs=(pitch, pitch, 0.0) if rng.random() < 0.5 else None, cracks=0.5 * (rng.random() < 0.3),
    )  # fmt: skip


def _paving(rng: np.random.Generator) -> Ground:
    grain = random_texture(rng, texel_mm=1.5, fall=0.6)
    patches = random_texture(rng, texel_mm=3.0, fall=1.2)
    across = float(rng.choice([100, 200, 200, 300]))
    return Ground(
        _grey(rng, 0.12, 0.35), grain, float(rng.uniform(0.06, 0.14)), patches, 0.08,
        slabs=(across, float(rng.choice([100, 200])), 0.5), joint_mm=float(rng.uniform(3, 9)),
        joint_tone=float(rng.uniform(0.3, 0.7)), slab_contrast=float(rng.uniform(0.05, 0.2)),
    )  # fmt: skip


def _studio(rng: np.random.Generator) -> Ground:
    grain = random_texture(rng, texel_mm=2.0, fall=0.8)
    patches = random_texture(rng, texel_mm=8.0, fall=1.6)
    groove = float(rng.normal(0, 500)), float(rng.uniform(-3000, 3000)), float(rng.uniform(1500, 3500))
    border = float(rng.normal(0, 300)), float(rng.normal(0, 300)), float(rng.normal(-1.57, 0.25)), 5.0
    return Ground(
        _grey(rng, 0.4, 0.75), grain, 0.02, patches, float(rng.uniform(0.02, 0.06)),
        groove=groove if rng.random() < 0.6 else None, joint_mm=float(rng.uniform(3, 8)),
        border=border if rng.random() < 0.6 else None, beyond=float(rng.uniform(1.1, 1.6)),
    )  # fmt: skip


def _wall(rng: np.random.Generator) -> Ground:
    grain = random_texture(rng, texel_mm=3.0, fall=0.8)
    patches = random_texture(rng, texel_mm=20.0, fall=1.8)
    return Ground(_grey(rng, 0.45, 0.85), grain, float(rng.uniform(0.0, 0.03)), patches, 0.03)
