"""What a hard thing does when it is dragged over paint: the depth of its grooves, sampled along and across its path.

The tool's edge is a profile of asperities across the path that changes slowly along it. Where an asperity presses
deeper than the surface it leaves a groove, so one model gives hairlines (one asperity), gouges (a wide one, with lips
of displaced paint), groups of parallel lines (several) and scrapes (very many: a streaky band with ragged ends).
All lengths are in mm on the panel, depths in µm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from surfacedefect.synthetic.geometry import Float

LIP = 0.3
"""How far, as a share of half a groove's width, its lip of displaced paint reaches beyond it."""


@dataclass(frozen=True)
class Path:
    """Centre line: points (n,) in mm, unit normals, the step between points in mm, and the share of the way (n,)."""

    x: Float
    y: Float
    normal_x: Float
    normal_y: Float
    step_mm: float
    t: Float

    def beside(self, offset_mm: Float | float, part: slice = slice(None)) -> Path:
        """Give the line, or a part of it, moved along its normals."""
        x, y = self.x + self.normal_x * offset_mm, self.y + self.normal_y * offset_mm
        x, y, nx, ny = (np.asarray(a[part], np.float32) for a in (x, y, self.normal_x, self.normal_y))
        return Path(x, y, nx, ny, self.step_mm, np.linspace(0, 1, x.size, dtype=np.float32))

    def only(self, part: slice) -> Path:
        """Give a part of the line, whose share of the way stays that of the whole."""
        x, y, nx, ny, t = (a[part] for a in (self.x, self.y, self.normal_x, self.normal_y, self.t))
        return Path(x, y, nx, ny, self.step_mm, t)


@dataclass(frozen=True)
class Samples:
    """Points of a damage, each float32 (n,): place (mm), depth (µm), its slope (mm/mm), area (mm²) and noise."""

    x: Float
    y: Float
    depth_um: Float
    slope_x: Float
    slope_y: Float
    area_mm2: Float
    grain: Float  # about normal: what varies the colour from streak to streak

    @staticmethod
    def joined(parts: list[Samples]) -> Samples:
        """Put several together, or none."""
        if not parts:
            return Samples.flat((0,), *[np.zeros(1, np.float32)] * 7)
        return Samples(*(np.concatenate(column) for column in zip(*(p.columns for p in parts), strict=True)))

    @staticmethod
    def flat(shape: tuple[int, ...], *columns: ArrayLike) -> Samples:
        """Take the columns from arrays that can be broadcast to this shape."""
        return Samples(*(np.asarray(np.broadcast_to(column, shape).ravel(), np.float32) for column in columns))

    @property
    def columns(self) -> tuple[Float, ...]:
        """Its arrays, in order."""
        return self.x, self.y, self.depth_um, self.slope_x, self.slope_y, self.area_mm2, self.grain

    def only(self, keep: NDArray[np.bool_]) -> Samples:
        """Give those that are kept; bool (n,)."""
        return Samples(*(column[keep] for column in self.columns))


def smooth_noise(rng: np.random.Generator, position: Float, *, lowest: float = 1.0, waves: int = 4) -> Float:
    """Sum of a few sines over positions, about in [-1, 1]; ``lowest`` is about the longest wave's frequency."""
    out = np.zeros_like(position)
    for k in range(waves):
        rate = (0.4 + 2.6 * (k + rng.random()) / waves) * lowest  # no common period: no beads on a string
        swing, phase = np.float32(rng.normal() / (1 + 0.3 * k)), np.float32(rng.uniform(0, 2 * np.pi))
        out += swing * np.sin(np.float32(2 * np.pi * rate) * position + phase)
    return out / np.float32(1.1)


def random_path(
    rng: np.random.Generator, xy_mm: tuple[float, float], *, length_mm: float, step_mm: float, angle: float,
    bend: float = 0.0, wobble: float = 0.02,
) -> Path:  # fmt: skip
    """Draw a line whose middle lies at xy, that turns by ``bend`` radians and wobbles by about ``wobble`` radians."""
    n = max(6, int(np.ceil(length_mm / step_mm)))
    t = np.linspace(0, 1, n, dtype=np.float32)
    shaky = smooth_noise(rng, t, lowest=1 + length_mm / 25) * np.float32(wobble)
    heading = np.float32(angle) + np.float32(bend) * (t - np.float32(0.5)) + shaky
    step = length_mm / n
    x, y = np.cumsum(np.cos(heading, dtype=np.float64)) * step, np.cumsum(np.sin(heading, dtype=np.float64)) * step
    x, y = x - x[n // 2] + xy_mm[0], y - y[n // 2] + xy_mm[1]
    normals = -np.sin(heading), np.cos(heading)
    return Path(x.astype(np.float32), y.astype(np.float32), *normals, step, t)


def line_profile(rng: np.random.Generator, path: Path, width_mm: float, *, broken: bool) -> tuple[Float, Float]:
    """Give width (mm, of mean ``width_mm`` where the tool touches) and pressure (0..1) along a line.

    Tapering ends, uneven pressure; a broken line lifts off in between (width 0).
    """
    t, length = path.t, path.step_mm * path.t.size
    head, tail = rng.choice([0.02, 0.06, 0.2], size=2)
    ends = np.minimum(np.minimum(t / head, (1 - t) / tail), 1).clip(0, 1)
    uneven = float(rng.choice([0.1, 0.2, 0.35])) * smooth_noise(rng, t, lowest=1 + length / 20)
    width = ends ** np.float32(0.6) * (1 + uneven).clip(0.25, 2)
    pressure = (0.8 + 0.3 * smooth_noise(rng, t, lowest=1 + length / 15)).clip(0.3, 1)
    if broken:
        held = smooth_noise(rng, t, lowest=1 + length / 20) - np.float32(rng.uniform(-0.8, -0.2))
        if (held > 0).mean() > 0.3:
            width *= (held * 3).clip(0, 1)
    touching = width > 0.05
    width *= np.float32(width_mm / max(float(width[touching].mean()), 1e-6)) if touching.any() else np.float32(0)
    return width.astype(np.float32), (pressure * ends ** np.float32(0.4)).astype(np.float32)


def groove(rng: np.random.Generator, path: Path, *, width_mm: Float, depth_um: Float, sample_mm: float) -> Samples:
    """Sample a groove of rounded section, with lips where it is wide enough to be seen across.

    ``width_mm``, lips included, and ``depth_um`` hold along the path; lips have negative depth.
    """
    widest = float(width_mm.max())
    resolved = widest > 4 * sample_mm
    reach = 1 + LIP if resolved else 1.0
    across = max(1, int(np.ceil(widest / sample_mm)))
    s = np.asarray(((np.arange(across) + 0.5) / across * 2 - 1) * reach, np.float32)
    half = width_mm[:, None] / np.float32(2 * reach)
    offset = s * half
    section, steepness = _section(s)
    if across > 6:  # the tool's edge is not smooth: finer grooves in the groove
        fine = streaks(rng, path.t.size, across, fine=max(1.5, across / 9), along=60)
        section = section * np.where(np.abs(s) < 1, (1 + np.float32(0.35) * fine).clip(0.15, 2), 1)
        grain = fine
        # paint flakes off along one side
        side = np.float32(rng.choice([-1.0, 1.0]))
        flaked = streaks(rng, 1, path.t.size, fine=5, along=1)[0] * np.float32(rng.uniform(0, 0.15))
        offset = offset * (1 + (flaked[:, None] * (side * s).clip(0, 1)).clip(-0.4, 0.4))
    else:
        grain = smooth_noise(rng, path.t, lowest=8)[:, None]
    depth = depth_um[:, None] * section
    slope = np.where(half > 0, depth_um[:, None] * np.float32(1e-3) * -steepness / np.maximum(half, 1e-4), 0)
    return _laid(path, offset, depth, slope, half * np.float32(2 * reach / across), grain)


def _section(s: Float) -> tuple[Float, Float]:
    """Depth of a groove over its greatest depth at s = -1..1 (beyond: its lips), and the derivative by s."""
    inside = np.abs(s) <= 1
    beyond = (np.abs(s) - 1) / np.float32(LIP)
    lip = np.float32(-0.35) * np.sin(np.float32(np.pi) * beyond.clip(0, 1))
    rise = np.float32(-0.35 * np.pi / LIP) * np.cos(np.float32(np.pi) * beyond.clip(0, 1)) * np.sign(s)
    return np.where(inside, 1 - s * s, lip), np.where(inside, -2 * s, rise)


def scrape(
    rng: np.random.Generator, path: Path, *, width_mm: float, depth_um: float, fine_mm: float, density: float,
    sample_mm: float, part: slice = slice(None),
) -> Samples:  # fmt: skip
    """Sample a band of streaks as a rough thing leaves: asperities ``fine_mm`` wide, a share ``density`` touching.

    Only a ``part`` of the path is sampled: what lies outside the picture need not be.
    """
    pressing = np.float32(0.25) * smooth_noise(rng, path.t, lowest=2)[part, None]
    path = path.only(part)
    across = max(8, int(np.ceil(width_mm / sample_mm)))
    fine = max(1.2, fine_mm / sample_mm)
    field = streaks(rng, path.t.size, across, fine=fine, along=float(rng.uniform(25, 90)), octaves=4)
    s = np.linspace(-1, 1, across, dtype=np.float32)
    edge = (1 - np.abs(s)) / np.float32(rng.uniform(0.2, 0.9))
    head, tail = (np.float32(share) for share in rng.choice([0.03, 0.15, 0.4], size=2))
    t = path.t[:, None]
    end = np.minimum(t / head, (1 - t) / tail)
    pressure = np.minimum(edge.clip(0, 1)[None], end.clip(0, 1))
    pressure += pressing
    level = np.float32(_normal_quantile(1 - density))
    # it presses in some places more than in others: hot spots, and mere haze between them
    spots = streaks(rng, path.t.size, across, fine=max(2.0, across / 4), along=float(rng.uniform(1.5, 6)), octaves=2)
    # the less pressure, the fewer asperities touch: this is what frays the ends
    bite = field + np.float32(rng.uniform(0.2, 0.9)) * spots - level - np.float32(2.2) * (1 - pressure.clip(0, 1))
    depth = np.float32(depth_um) * (1 - np.exp(-bite.clip(0, None) * np.float32(1.4)))
    haze = (bite + np.float32(rng.uniform(0.2, 0.9))).clip(0, 1) * np.float32(min(6, depth_um / 4))
    depth = np.maximum(depth, np.where(haze > 1, haze, 0))
    depth[[0, -1]] = 0
    depth[:, [0, -1]] = 0
    slope = np.zeros_like(depth)
    slope[:, 1:-1] = (depth[:, 2:] - depth[:, :-2]) * np.float32(-1e-3 / (2 * width_mm / across))
    grain = streaks(rng, path.t.size, across, fine=max(1.2, fine / 2), along=20)
    offset = np.broadcast_to(s * np.float32(width_mm / 2), depth.shape)
    area = np.full((path.t.size, 1), width_mm / across, np.float32)
    samples = _laid(path, offset, depth, slope.clip(-0.3, 0.3), area, grain)
    return samples.only(samples.depth_um > 0)


def _normal_quantile(share: float) -> float:
    from statistics import NormalDist

    return NormalDist().inv_cdf(min(max(share, 1e-4), 1 - 1e-4))


def _laid(path: Path, offset: Float, depth: Float, slope: Float, spacing: Float, grain: Float) -> Samples:
    """Lay samples (n, across), given by their distance from the path, on the panel."""
    nx, ny = path.normal_x[:, None], path.normal_y[:, None]
    return Samples.flat(
        depth.shape, path.x[:, None] + nx * offset, path.y[:, None] + ny * offset, depth, nx * slope, ny * slope,
        spacing * np.float32(path.step_mm), grain,
    )  # fmt: skip


def streaks(
    rng: np.random.Generator, length: int, across: int, *, fine: float, along: float, octaves: int = 3
) -> Float:
    """Random field float32 (length, across) of mean 0 and standard deviation 1, drawn out along its rows.

    Value noise: random numbers on lattices whose cells are ``fine`` samples wide, then twice as wide and so on, and
    ``along`` times as long.
    """
    total, power = np.zeros((length, across), np.float32), 0.0
    for k in range(octaves):
        wide = fine * 2**k
        cells = int(length / (wide * along)) + 3, int(across / wide) + 3
        lattice = rng.standard_normal(cells, dtype=np.float32)
        weight = 0.8**k
        # every column begins elsewhere: a common lattice would show as beads side by side
        rows = _interpolated(lattice, length, wide * along, rng.random(cells[1], dtype=np.float32))
        total += np.float32(weight) * _interpolated(rows.T, across, wide, float(rng.random())).T
        power += weight**2
    return total * np.float32(1.346 / np.sqrt(power))  # interpolation takes away variance


def _interpolated(lattice: Float, count: int, cell: float, shift: Float | float) -> Float:
    """Smoothstep interpolation along axis 0 at ``count`` places, ``1 / cell`` apart; one shift, or one a column."""
    at = np.arange(count, dtype=np.float32)[:, None] / np.float32(cell) + np.asarray(shift, np.float32)
    first = np.minimum(at.astype(np.int64), lattice.shape[0] - 2)
    part = (at - first).clip(0, 1)
    part = part * part * (3 - 2 * part)
    if first.shape[1] == 1:
        low, high = lattice[first[:, 0]], lattice[first[:, 0] + 1]
    else:
        low, high = np.take_along_axis(lattice, first, 0), np.take_along_axis(lattice, first + 1, 0)
    return np.asarray(low + part * (high - low), np.float32)
