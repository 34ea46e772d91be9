"""Thin films over large areas of the paint: road dirt, dried runs, polish haze, and what was wiped through them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from surfacedefect.synthetic.dirt.litter import Box, colour, somewhere
from surfacedefect.synthetic.draws import log_uniform
from surfacedefect.synthetic.geometry import Float
from surfacedefect.synthetic.noise import NoiseTile

if TYPE_CHECKING:
    from surfacedefect.synthetic.surface import Surface


_CHUNK = 1 << 15  # px
_FAR = 1 << 17  # texels; a multiple of every tile's size


@dataclass(frozen=True)
class Wipe:
    """A hand, cloth or sponge drawn once through a film along an arc: parallel faint streaks.

    Attributes
    ----------
    centre, radius_mm, half_mm
        The arc's centre and radius, and half the width of what was drawn.
    angle, half_angle
        Direction of the arc's middle from its centre, and how far it reaches to both sides, in radians.
    depth
        Share of the film that is taken away, at most; negative where it is smeared on instead.
    streaks
        float32 (512,): how much each 0.25 mm across takes, in [0, 1].
    """

    centre: tuple[float, float]
    radius_mm: float
    half_mm: float
    angle: float
    half_angle: float
    depth: float
    streaks: Float

    def take(self, amount: Float, x: Float, y: Float, wobble: Float) -> None:
        """Take from the amounts (n,), in place, at points (n,); ``wobble``, about in [-1, 1], frays the edges."""
        dx, dy = x - np.float32(self.centre[0]), y - np.float32(self.centre[1])
        far2 = dx * dx
        far2 += dy * dy
        least, most = max(0.0, self.radius_mm - self.half_mm), self.radius_mm + self.half_mm
        on = np.flatnonzero((far2 > np.float32(least**2)) & (far2 < np.float32(most**2)))
        if on.size == 0:
            return
        turn = np.arctan2(dy[on], dx[on]) - np.float32(self.angle)
        turn -= np.float32(2 * np.pi) * np.round(turn / np.float32(2 * np.pi))
        across, shaky = np.sqrt(far2[on]) - np.float32(self.radius_mm), np.float32(0.3) * wobble[on]
        ends = (np.float32(self.half_angle) - np.abs(turn)) * np.float32(self.radius_mm / 12)
        sides = (np.float32(self.half_mm) - np.abs(across)) / np.float32(2.5)
        streak = self.streaks[np.floor((across + np.float32(0.2) * shaky) * 4).astype(np.intp) & 511]
        # lifted at the ends, the cloth leaves some streaks before the others
        inside = sides.clip(0, 1) * (ends + shaky - streak).clip(0, 1)
        amount[on] *= 1 - np.float32(self.depth) * inside * (1 - np.float32(0.75) * streak)


@dataclass(frozen=True)
class Film:
    """Something thin over large areas: road dirt, dried runs, polish haze.

    Attributes
    ----------
    rgb
        Linear albedo of the film.
    strength, matt
        Share of the paint's albedo that it replaces, and of its mirror image that is lost, where it is thick.
    level, swing
        The film is ``level + swing * cover`` thick, 0 meaning clean paint and 1 thick.
    fall
        How much the thickness grows per mm downwards from ``middle``.
    middle
        y in mm where the thickness is ``level`` in the mean.
    cover, grain
        The coarse and the fine texture.
    rough, veins
        Contrast of the grain; and of mineral ridges, where dirty water has dried in steps.
    runs
        Share that water has washed out in streaks.
    wipes
        What was drawn through it.
    """

    rgb: tuple[float, float, float]
    strength: float
    matt: float
    level: float
    swing: float
    fall: float
    middle: float
    cover: NoiseTile
    grain: NoiseTile
    rough: float
    veins: float
    runs: float
    wipes: tuple[Wipe, ...]


def random_films(rng: np.random.Generator, *, footprint: Box, share: float) -> tuple[Film, ...]:
    """Draw films for a footprint (x0, y0, x1, y1) in mm; ``share`` in [0, 1] is how dirty things are, 0.5 = usual."""
    films = []
    for film, usual in ((_dirt, 0.19), (_runs, 0.06), (_haze, 0.06)):
        if rng.random() < 2 * usual * share:
            films.append(film(rng, footprint, share))
    return tuple(films)


def dress_films(films: tuple[Film, ...], surface: Surface, x: Float, y: Float, mm_per_px: float) -> None:
    """Change the surface's albedo and gloss, in place, at points x and y (h, w) in mm, each row by itself."""
    step = max(1, _CHUNK // max(1, x.shape[1]))  # few rows at once stay in the processor's cache
    for film in films:
        for first in range(0, x.shape[0], step):
            rows = slice(first, first + step)
            _dress(film, surface.albedo[rows], surface.gloss[rows], x[rows], y[rows], mm_per_px)


def _dress(film: Film, albedo: Float, gloss: Float, x: Float, y: Float, mm_per_px: float) -> None:
    thick = _thickness(film, x, y, stride=int(np.clip(film.cover.texel_mm / mm_per_px, 1, 16)))
    covered = np.count_nonzero(thick)
    if 2.5 * covered > thick.size:
        _cover(film, albedo, gloss, thick, x, y, mm_per_px)
    elif covered:
        on = np.nonzero(thick)
        part, shine = albedo[on], gloss[on]
        _cover(film, part, shine, thick[on], x[on], y[on], mm_per_px)
        albedo[on], gloss[on] = part, shine


def _cover(film: Film, albedo: Float, gloss: Float, thick: Float, x: Float, y: Float, mm_per_px: float) -> None:
    """Cover points, arrays of any one shape, by a film so thick."""
    fine = min(1.0, 4 * film.grain.texel_mm / mm_per_px)  # what a pixel holds several of averages out
    grain = _nearest(film.grain, x, y)
    amount = grain * np.float32(film.rough * fine)
    amount += 1
    amount *= thick
    if film.runs:
        amount *= 1 - np.float32(film.runs) * (1 + np.float32(3) * (grain - thick)).clip(0, 1)
    for wipe in film.wipes:
        wipe.take(amount.reshape(-1), x.reshape(-1), y.reshape(-1), grain.reshape(-1))
    if film.veins:
        ridge = 1 - np.abs(grain - np.float32(0.4)) * np.float32(9)
        amount += np.float32(film.veins * fine) * ridge.clip(0, 1) * thick
    np.clip(amount, 0, 1, out=amount)
    gloss *= 1 - np.float32(film.matt) * amount
    amount *= np.float32(film.strength)
    kept = 1 - amount
    for k in range(3):
        albedo[..., k] *= kept
        albedo[..., k] += amount * np.float32(film.rgb[k])


def _thickness(film: Film, x: Float, y: Float, *, stride: int) -> Float:
    """Give the film's thickness in [0, 1]: a straight line between every stride-th column."""
    wide = x.shape[1]
    if wide <= 2 * stride:
        stride = 1
    if stride > 1:  # one column more than the picture has
        x, y = (np.concatenate([a, 2 * a[:, -1:] - a[:, -2:-1]], axis=1) for a in (x[:, ::stride], y[:, ::stride]))
    thick = film.cover(x, y)
    thick *= np.float32(film.swing)
    thick += np.float32(film.level - film.fall * film.middle) + np.float32(film.fall) * y
    if stride > 1:
        share = np.arange(stride, dtype=np.float32) / np.float32(stride)
        thick = thick[:, :-1, None] + np.diff(thick, axis=1)[..., None] * share
        thick = thick.reshape(x.shape[0], -1)[:, :wide]
    return np.asarray(thick.clip(0, 1), np.float32)


def _nearest(tile: NoiseTile, x: Float, y: Float) -> Float:
    """Look a texture up without blending: for one whose texels are no larger than pixels."""
    size = tile.values.shape[0]
    cos, sin = np.cos(tile.angle) / tile.texel_mm, np.sin(tile.angle) / tile.texel_mm
    # far from 0 whole numbers are cut off as they are rounded down
    col = x * np.float32(cos)
    col += y * np.float32(sin) + np.float32(_FAR)
    row = y * np.float32(cos / tile.stretch)
    row -= x * np.float32(sin / tile.stretch) - np.float32(_FAR)
    place = row.astype(np.int32)
    place &= size - 1
    place *= size
    across = col.astype(np.int32)
    across &= size - 1
    place += across
    return np.asarray(tile.values.reshape(-1)[place], np.float32)


def _doubled(tile: NoiseTile) -> NoiseTile:
    """Halve the texels, so that looking up the nearest one will do."""
    values = np.repeat(np.repeat(tile.values, 2, axis=0), 2, axis=1)
    for axis in (0, 1):
        values = (values + np.roll(values, 1, axis=axis)) * np.float32(0.5)
    return replace(tile, values=values, texel_mm=tile.texel_mm / 2)


def _dirt(rng: np.random.Generator, box: Box, share: float) -> Film:
    """Road dirt: thicker downwards, sometimes wiped, washed out or dried in veins."""
    high = max(40.0, box[3] - box[1])
    tone = np.asarray([0.32, 0.27, 0.21]) * rng.uniform(0.4, 1.3) * rng.normal(1, 0.05, 3)
    strength = float(np.clip(rng.lognormal(-2.3, 0.8) * (0.5 + share), 0.02, 0.7))
    wipes = [_wipe(rng, box) for _ in range(rng.poisson(0.6))]
    if rng.random() < 0.15:
        wipes += _fingers(rng, box)
    return Film(colour(tone), strength, float(min(0.95, strength * rng.uniform(1, 2))),
                float(rng.uniform(-0.3, 0.7)), float(rng.uniform(0.15, 0.5)), float(rng.uniform(0, 0.8) / high),
                float(rng.uniform(box[1], box[3])),
                _hanging(rng, texel_mm=float(rng.uniform(1, 4)), fall=1.5, stretch=float(rng.uniform(1, 4)), size=128),
                _doubled(_hanging(rng, texel_mm=float(rng.uniform(0.12, 0.3)), fall=float(rng.uniform(0.7, 1.1)),
                                  stretch=float(rng.choice([1, 1, 2, 8])))),
                float(rng.uniform(0.1, 0.4)), float(rng.uniform(0.2, 0.8) * (rng.random() < 0.3)),
                float(rng.uniform(0.3, 0.9) * (rng.random() < 0.3)), tuple(wipes))  # fmt: skip


def _runs(rng: np.random.Generator, box: Box, share: float) -> Film:
    """Streaks that water has left on its way down, pale mineral or dark soot."""
    tone = np.asarray([0.5, 0.49, 0.46]) * (rng.uniform(0.7, 1.2) if rng.random() < 0.7 else 0.1)
    strength = float(rng.uniform(0.02, 0.1))
    return Film(colour(tone), strength, strength, float(rng.uniform(-1, -0.4)), float(rng.uniform(0.3, 0.6)), 0, 0,
                _hanging(rng, texel_mm=float(rng.uniform(0.35, 0.8)), fall=0.9, stretch=float(rng.uniform(30, 80))),
                _doubled(_hanging(rng, texel_mm=0.3, fall=1.0, stretch=10, size=128)), 0.25, 0, 0, ())  # fmt: skip


def _haze(rng: np.random.Generator, box: Box, share: float) -> Film:
    """Polish or wax that was not buffed off: a milky breath in arcs."""
    strength = float(rng.uniform(0.02, 0.09))
    wipes = [_wipe(rng, box) for _ in range(rng.integers(2, 6))]
    return Film((0.6, 0.6, 0.6), strength, float(rng.uniform(0.05, 0.3)), float(rng.uniform(0, 0.5)), 0.5, 0, 0,
                NoiseTile.random(rng, texel_mm=float(rng.uniform(1, 3)), size=128, fall=1.8),
                _doubled(NoiseTile.random(rng, texel_mm=0.3, size=128, fall=1.2)), 0.1, 0, 0, tuple(wipes))  # fmt: skip


def _hanging(rng: np.random.Generator, *, texel_mm: float, fall: float, stretch: float, size: int = 256) -> NoiseTile:
    """Noise that is drawn out downwards, as water runs; the camera is held a little askew."""
    tile = NoiseTile.random(rng, texel_mm=texel_mm, size=size, fall=fall, stretch=stretch)
    return replace(tile, angle=0.12 * tile.angle)


def _wipe(rng: np.random.Generator, box: Box) -> Wipe:
    radius = log_uniform(rng, 80, 900)
    half = float(rng.uniform(6, 35))
    return _arc(rng, box, radius, half, float(rng.uniform(15, 90) / radius), float(rng.uniform(0.3, 0.95)))


def _fingers(rng: np.random.Generator, box: Box) -> list[Wipe]:
    """Two to four fingers side by side."""
    first = _arc(rng, box, float(rng.uniform(120, 500)), float(rng.uniform(4, 6)), float(rng.uniform(0.05, 0.2)),
                 float(rng.uniform(0.4, 1)))  # fmt: skip
    pitch = 2 * first.half_mm + rng.uniform(3, 9)
    return [Wipe(first.centre, float(first.radius_mm + k * pitch), float(first.half_mm * rng.uniform(0.8, 1.1)),
                 float(first.angle + rng.normal(0, 0.2) * first.half_angle), first.half_angle, first.depth,
                 np.roll(first.streaks, 97 * k)) for k in range(int(rng.integers(1, 5)))]  # fmt: skip


def _arc(rng: np.random.Generator, box: Box, radius: float, half: float, half_angle: float, depth: float) -> Wipe:
    angle, (x, y) = float(rng.uniform(-np.pi, np.pi)), somewhere(rng, box)
    centre = float(x - radius * np.cos(angle)), float(y - radius * np.sin(angle))
    frequency = np.fft.rfftfreq(512)
    frequency[0] = 1
    streaks = np.fft.irfft(np.fft.rfft(rng.standard_normal(512)) * frequency**-0.4)
    streaks = (np.float64(0.4) + 0.35 * streaks / streaks.std()).clip(0, 1).astype(np.float32)
    return Wipe(centre, radius, half, angle, half_angle, depth, streaks)
