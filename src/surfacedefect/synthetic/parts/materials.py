"""What the things beside the paint are made of: albedo and gloss at points of the panel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np

from surfacedefect.synthetic.geometry import Float
from surfacedefect.synthetic.noise import NoiseTile
from surfacedefect.synthetic.parts.shapes import Text

Rgb = tuple[float, float, float]
Plane = Float | float
Look = tuple[Sequence[Plane], Plane, Plane]
_TILE, _TABLES = 256, 4


class Material(Protocol):
    """A look."""

    def look(self, x: Float, y: Float, mm_per_px: float) -> Look:
        """Linear albedo (three channels), gloss and opacity, each (n,) or one number for all, at n points in mm."""
        ...


def random_texture(rng: np.random.Generator, *, texel_mm: float, fall: float, stretch: float = 1.0) -> NoiseTile:
    """Draw a texture as `NoiseTile.random` does, but quickly: one of a few tables, moved and turned at random."""
    table = _table(round(fall, 1), int(rng.integers(_TABLES)))
    moved = np.roll(table, rng.integers(_TILE, size=2).tolist(), axis=(0, 1))
    return NoiseTile(
        moved, texel_mm, float(rng.uniform(-np.pi, np.pi) if stretch == 1 else rng.normal(0, 0.1)), stretch
    )


@lru_cache(maxsize=64)
def _table(fall: float, number: int) -> Float:
    return NoiseTile.random(np.random.default_rng(number), texel_mm=1.0, size=_TILE, fall=fall).values


def textured(tile: NoiseTile, x: Float, y: Float, *, px_mm: float) -> Float:
    """Give a texture at points in mm as ``tile`` itself does, quicker: the nearest texel where texels are small."""
    cos, sin = np.float32(np.cos(tile.angle) / tile.texel_mm), np.float32(np.sin(tile.angle) / tile.texel_mm)
    start = np.float32(1 << 14)  # whole tiles away: then cutting off the decimals rounds down everywhere
    u = x * cos
    u += y * sin
    u += start
    v = y * (cos / np.float32(tile.stretch))
    v -= x * (sin / np.float32(tile.stretch))
    v += start
    col, row = u.astype(np.intp), v.astype(np.intp)
    u -= col
    v -= row
    row &= _TILE - 1
    row *= _TILE
    col &= _TILE - 1
    flat = tile.values.ravel()
    here = row + col
    if tile.texel_mm < 0.8 * px_mm:
        return np.asarray(flat[here], np.float32)
    col += 1
    col &= _TILE - 1
    upper, aside = flat[here], row + col
    upper += u * (flat[aside] - upper)
    row += _TILE
    row &= _TILE * _TILE - 1
    lower = flat[np.add(row, col, out=col)]
    left = flat[np.add(row, here & (_TILE - 1), out=row)]
    left += u * (lower - left)
    left -= upper
    left *= v
    upper += left
    return np.asarray(upper, np.float32)


def seen(grain: NoiseTile, mm_per_px: float) -> float:
    """How much of a grain is left when a pixel averages over it."""
    return min(1.0, 1.5 * grain.texel_mm / mm_per_px)


def coloured(tone: Float, rgb: Rgb) -> list[Float]:
    """Give a colour, lighter and darker by a tone."""
    return [tone * np.float32(c) for c in rgb]


@dataclass(frozen=True)
class Even:
    """One colour, perhaps with a grain that disappears where pixels are coarser than it, and with wider blotches."""

    rgb: Rgb
    gloss: float
    grain: NoiseTile | None = None
    contrast: float = 0.0
    blotches: NoiseTile | None = None
    blotch_contrast: float = 0.0

    def look(self, x: Float, y: Float, mm_per_px: float) -> Look:
        """See `Material.look`."""
        tone: Float | None = None
        for tile, contrast in ((self.grain, self.contrast), (self.blotches, self.blotch_contrast)):
            if tile is not None and contrast * seen(tile, mm_per_px) > 0.01:
                more = textured(tile, x, y, px_mm=mm_per_px)
                more *= np.float32(contrast * seen(tile, mm_per_px))
                tone = more if tone is None else tone + more
        if tone is None:
            return self.rgb, self.gloss, 1.0
        tone += 1
        np.maximum(tone, np.float32(0.15), out=tone)
        return coloured(tone, self.rgb), tone * np.float32(self.gloss), 1.0


@dataclass(frozen=True)
class Streak:
    """A line of light or of dirt: one colour over the paint, so opaque at most, more here and less there."""

    rgb: Rgb
    gloss: float
    opacity: float
    patches: NoiseTile
    uneven: float
    thick_mm: float = 1e3  # thinner than a pixel, it covers only so much of it

    def look(self, x: Float, y: Float, mm_per_px: float) -> Look:
        """See `Material.look`."""
        cover = textured(self.patches, x, y, px_mm=mm_per_px)
        cover *= np.float32(self.uneven)
        cover += 1
        cover *= np.float32(self.opacity * min(1.0, self.thick_mm / mm_per_px))
        return self.rgb, self.gloss, cover.clip(0, 0.95)


@dataclass(frozen=True)
class Lamp:
    """Coloured glass over a bright, ribbed mirror, with a clear stripe across perhaps."""

    rgb: Rgb
    stripe: tuple[float, float]  # from, to, in mm along the ribs' direction from (x, y)
    x: float
    y: float
    angle: float
    pitch_mm: float
    cells: float  # 0 = ribs, 1 = cells as in old lamps

    def look(self, x: Float, y: Float, mm_per_px: float) -> Look:
        """See `Material.look`."""
        cos, sin = np.float32(np.cos(self.angle)), np.float32(np.sin(self.angle))
        dx, dy = x - np.float32(self.x), y - np.float32(self.y)
        u, v = dx * cos + dy * sin, dy * cos - dx * sin
        wave = np.float32(2 * np.pi / self.pitch_mm)
        clear = np.float32(min(1.0, max(0.0, self.pitch_mm / (2 * mm_per_px) - 1)))
        tone = np.sin(u * wave)
        if self.cells:
            tone += np.float32(self.cells) * np.sin(v * wave)
        # the reflector behind is far brighter in some places than in others, and the bulb's chamber brightest
        tone = np.exp(tone * (np.float32(0.3) * clear)) * (np.float32(0.7) + np.float32(0.3) * np.sin(v * wave / 17))
        tone *= np.float32(0.45) + np.exp((u * u + v * v) * np.float32(-1 / 55**2))
        first, last = (np.float32(s) for s in self.stripe)
        if first >= last:
            return [np.minimum(tone * np.float32(c), 1) for c in self.rgb], 1.0, 1.0
        white = (np.minimum(v - first, last - v) / np.float32(mm_per_px) + np.float32(0.5)).clip(0, 1)
        rgb = [np.float32(c) + white * np.float32(0.55 - c) for c in self.rgb]
        return [np.minimum(tone * c, 1) for c in rgb], 1.0, 1.0


def random_lamp(rng: np.random.Generator, x: float, y: float, *, angle: float, half_mm: float, small: bool) -> Lamp:
    """Draw the glass of a lamp around (x, y), its half height ``half_mm``: red, clear or amber."""
    colours = ((0.34, 0.008, 0.012), (0.34, 0.008, 0.012), (0.5, 0.5, 0.5), (0.5, 0.14, 0.01))
    rgb = colours[int(rng.integers(4))]
    first = _uniform(rng, -0.6, 0.6) * half_mm
    stripe = (first, first + _uniform(rng, 0.3, 0.6) * half_mm) if not small and rng.random() < 0.5 else (1.0, -1e6)
    return Lamp(rgb, stripe, x, y, angle, _uniform(rng, 1.5, 6), float(rng.choice([0.0, 1.0])))


def plastic(rng: np.random.Generator) -> Material:
    """Draw black plastic: grained, satin or glossy."""
    tone = _uniform(rng, 0.012, 0.05)
    rgb = (tone, tone * _uniform(rng, 0.98, 1.03), tone * _uniform(rng, 0.97, 1.1))
    if rng.random() < 0.1:
        return Even(rgb, 1.0)
    # bleached and wiped in blotches; the grain is moulded in
    blotches = random_texture(rng, texel_mm=_uniform(rng, 0.6, 3), fall=1.3, stretch=float(rng.choice([1.0, 6.0])))
    if rng.random() < 0.75:
        grain = random_texture(rng, texel_mm=_uniform(rng, 0.15, 0.5), fall=float(rng.choice([0.2, 0.3, 0.4])))
        return Even(rgb, _uniform(rng, 0.15, 0.5), grain, _uniform(rng, 0.1, 0.28), blotches, _uniform(rng, 0.03, 0.14))
    return Even(rgb, _uniform(rng, 0.35, 0.7), None, 0.0, blotches, _uniform(rng, 0.03, 0.15))


def rubber(rng: np.random.Generator) -> Material:
    """Draw the rubber of a seal."""
    grain = random_texture(rng, texel_mm=0.3, fall=0.7)
    return Even((0.022, 0.022, 0.021), _uniform(rng, 0.03, 0.15), grain, 0.15)


def chrome(rng: np.random.Generator) -> Material:
    """Draw polished or brushed metal."""
    if rng.random() < 0.12:  # brushed
        return Even((0.12, 0.12, 0.12), 5.0, random_texture(rng, texel_mm=0.1, fall=0.3, stretch=30.0), 0.12)
    return Even((0.03, 0.03, 0.03), _uniform(rng, 11, 16))


def _uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(rng.uniform(low, high))


@dataclass(frozen=True)
class Wheel:
    """A tyre with its rim, seen at a slant, so that it is ``squeeze`` times as wide as high; lengths in mm.

    The tread is seen over ``depth`` mm beside the side wall, to the right of it or, negative, to the left.
    """

    x: float
    y: float
    radius: float
    squeeze: float
    depth: float
    rim: float  # radius
    blocks: int  # of tread, around
    lean: float  # of the grooves between them
    spokes: int
    rim_rgb: Rgb
    rim_gloss: float
    tone: float  # albedo of the rubber
    letters: Text | None
    dust: NoiseTile

    def look(self, x: Float, y: Float, mm_per_px: float) -> Look:
        """See `Material.look`."""
        px = np.float32(mm_per_px)
        dx, dy = (x - np.float32(self.x)) * np.float32(1 / self.squeeze), y - np.float32(self.y)
        r, turn = np.sqrt(dx * dx + dy * dy), np.arctan2(dy, dx)
        tone = self._wall(r, turn, px)
        gloss = np.full(x.shape, 0.12, np.float32)
        tread = (r > np.float32(0.93 * self.radius)).nonzero()[0]
        if tread.size:
            tone[tread] = self._tread(x[tread], dy[tread], r[tread], turn[tread], px)
            gloss[tread] = np.float32(0.07)
        if seen(self.dust, mm_per_px) > 0.1:
            tone *= 1 + np.float32(0.12) * textured(self.dust, x, y, px_mm=mm_per_px)
        rgb = coloured(tone, (1.02 * self.tone, self.tone, 0.96 * self.tone))
        metal = (r < np.float32(self.rim)).nonzero()[0]
        if metal.size:
            bright, gloss[metal] = self._metal(r[metal], turn[metal], px)
            for plane, colour in zip(rgb, self.rim_rgb, strict=True):
                plane[metal] = bright * np.float32(colour)
        return rgb, gloss, 1.0

    def _wall(self, r: Float, turn: Float, px: np.float32) -> Float:
        """Side wall: bulging, dark where it meets the rim, with moulded rings and letters."""
        # it depends on the radius alone, so it is looked up
        steps = np.linspace(0, 1, 1024, dtype=np.float32)
        table = np.float32(0.62) + np.float32(1.5) * steps * (1 - steps)
        fine = np.float32(min(1.0, 2 / float(px)))
        for at, width, strength in ((0.16, 1.5, 0.3), (0.21, 1.0, -0.25), (0.72, 2.0, -0.3), (0.78, 1.5, 0.2)):
            away = (steps - np.float32(at)) * np.float32((self.radius - self.rim) / (width + 0.5 * float(px)))
            table += np.exp(-away * away) * (np.float32(strength) * fine)
        table *= (steps * np.float32(9)).clip(0.12, 1)
        share = (r - np.float32(self.rim)) * np.float32(1023 / (self.radius - self.rim))
        tone = table[share.clip(0, 1023).astype(np.intp)]
        tone *= 1 - np.float32(0.13) * np.sin(turn + np.float32(0.9))  # light from above
        if self.letters is not None:
            middle = np.float32(0.5 * (self.rim + self.radius))
            row = np.flatnonzero(np.abs(r - middle) < self.letters.height)
            d = self.letters.distance((turn[row] + np.float32(np.pi / 2)) * middle, middle - r[row])
            raised = (np.float32(0.5) - d / (px + np.float32(0.6))).clip(0, 1)
            tone[row] += raised * np.float32(0.3) - np.exp(-np.abs(d - np.float32(0.5))) * np.float32(0.22)
        return np.asarray(np.maximum(tone, np.float32(0.05)), np.float32)

    def _tread(self, x: Float, dy: Float, r: Float, turn: Float, px: np.float32) -> Float:
        """Shoulder and tread: blocks between grooves that run around and across, all of them curved with the tyre."""
        radius = np.float32(self.radius)
        # around: the angle at which the tread is met; across: 0 where it leaves the side wall, 1 at the far side
        level = (dy / radius).clip(-1, 1)
        bow = np.sqrt(1 - level * level)
        on_tread = r > radius
        around = np.where(on_tread, np.arcsin(level), turn)
        far = max(abs(self.depth), 1.0)
        edge = (x - np.float32(self.x)) * np.float32(np.sign(self.depth) or 1) - bow * (
            radius * np.float32(self.squeeze)
        )
        across = np.where(on_tread, edge * np.float32(1 / far), (r / radius - 1) * np.float32(2.0))
        pitch = np.float32(2 * np.pi / self.blocks)
        # the foreshortened pitch: near top and bottom the blocks close up
        size = pitch * radius * np.where(on_tread, np.maximum(bow, np.float32(0.15)), 1)
        lean = np.float32(self.lean)
        along = around / pitch + lean * np.sin(across * np.float32(7))
        cut = np.abs(along - np.rint(along)) * size - np.float32(2.2)
        sipe = np.abs(along * 3 - np.rint(along * 3)) * (size * np.float32(1 / 3)) - np.float32(0.5)
        wide = across * np.float32(4.2) - np.float32(0.55)
        ring = np.abs(wide - np.rint(wide)) * np.float32(far / 4.2) - np.float32(0.045 * far + 1)
        ring = np.where(on_tread, ring, 9)
        sharp = 1 / (px + np.float32(0.8))
        block = (cut * sharp + np.float32(0.5)).clip(0, 1) * (ring * sharp + np.float32(0.5)).clip(0, 1)
        thin = np.float32(min(1.0, 1 / float(px)))
        block *= 1 - thin * np.float32(0.5) * (1 - (sipe * sharp + np.float32(0.5)).clip(0, 1))
        # away from the side wall it turns out of the light
        tone = (np.float32(0.25) + np.float32(0.75) * block) * (np.float32(0.95) - np.float32(0.45) * across.clip(0, 1))
        return np.asarray(tone, np.float32)

    def _metal(self, r: Float, turn: Float, px: np.float32) -> tuple[Float, Float]:
        """Rim: a bright flange, spokes that widen towards it, and darkness between them."""
        rim = np.float32(self.rim)
        around = turn * np.float32(self.spokes / (2 * np.pi)) + np.float32(0.3)
        across = np.abs(around - np.rint(around)) * np.float32(2 * np.pi / self.spokes) * r
        out = r / rim
        half = rim * (np.float32(0.075) + np.float32(0.07) * out * out)
        solid = np.maximum(np.maximum(half - across, np.float32(0.25) * rim - r), (out - np.float32(0.93)) * rim)
        share = (solid / (px + 1) + np.float32(0.5)).clip(0, 1)
        # bevelled spokes with a groove along their middle, nuts around the hub, the bright lip of the flange
        face = np.float32(0.55) + np.float32(0.45) * (solid / 7).clip(0, 1)
        face *= 1 - np.float32(0.35) * np.exp(-((across / 6) ** 2)) * (out > 0.3)
        nut = np.abs(out - np.float32(0.17)) * rim
        face *= 1 - np.float32(0.8) * (nut < 9) * (np.cos(turn * 5) > np.float32(0.6))
        face *= 1 - np.float32(0.75) * np.exp(-(((out - np.float32(0.955)) * rim / 4) ** 2))
        tone = share * face + np.float32(0.025) * (1 - share)
        return tone, share * np.float32(self.rim_gloss)
