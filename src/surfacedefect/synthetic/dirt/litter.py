"""Single larger things that stick to a car: labels, chalk marks, bird droppings, insects.

Each is first drawn as a small picture, in mm, and then looked up from the pixels of the view that see it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from surfacedefect.synthetic.draws import log_uniform
from surfacedefect.synthetic.geometry import Float, View
from surfacedefect.synthetic.noise import NoiseTile
from surfacedefect.synthetic.splat import Layer

Box = tuple[float, float, float, float]
_LETTERS = "ABCDEFGHIJKLMNOPRSTUVWXYZ"


@dataclass(frozen=True)
class Stamp:
    """A picture of a thing: linear albedo (h, w, 3) and alpha (h, w), float32; how matt it is, and its size in mm."""

    rgb: Float
    alpha: Float
    matt: float
    size_mm: tuple[float, float]


def stamped(stamp: Stamp, view: View, *, at: tuple[float, float], angle: float) -> Layer:
    """Lay a stamp on the panel, its middle at a point (mm), turned by an angle."""
    cos, sin = float(np.cos(angle)), float(np.sin(angle))
    half = np.asarray([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * np.asarray(stamp.size_mm) / 2
    x, y = view.project(at[0] + half[:, 0] * cos - half[:, 1] * sin, at[1] + half[:, 0] * sin + half[:, 1] * cos)
    left, right = (int(np.clip(v, 0, view.width)) for v in (x.min() - 1, x.max() + 2))
    top, bottom = (int(np.clip(v, 0, view.height)) for v in (y.min() - 1, y.max() + 2))
    x, y = view.grid(slice(top, bottom), slice(left, right))
    dx, dy = x - np.float32(at[0]), y - np.float32(at[1])
    high, wide = stamp.alpha.shape
    # the middle of the first texel is (0, 0)
    col = (dx * np.float32(cos) + dy * np.float32(sin)) * np.float32(wide / stamp.size_mm[0]) + np.float32(
        (wide - 1) / 2
    )
    row = (dy * np.float32(cos) - dx * np.float32(sin)) * np.float32(high / stamp.size_mm[1]) + np.float32(
        (high - 1) / 2
    )
    inside = np.flatnonzero((col > 0) & (row > 0) & (col < wide - 1) & (row < high - 1))
    place, alpha, rgb = _looked_up(stamp, col.ravel()[inside], row.ravel()[inside])
    inside = inside[place]
    across = max(1, right - left)
    pixels = (inside // across + top) * view.width + inside % across + left
    none = np.zeros(pixels.size, np.float32)
    return Layer(pixels.astype(np.int64), alpha, rgb, alpha * np.float32(stamp.matt), none, none)


def _looked_up(stamp: Stamp, col: Float, row: Float) -> tuple[NDArray[np.intp], Float, Float]:
    """Which of the points (n,) the stamp covers, and its alpha and colour there, bilinear."""
    wide = stamp.alpha.shape[1]
    left, top = col.astype(np.intp), row.astype(np.intp)
    first = top * wide + left
    ink = stamp.alpha > np.float32(0.004)
    ink[:, :-1] |= ink[:, 1:]
    ink[:-1] |= ink[1:]
    place = np.flatnonzero(ink.ravel()[first])
    first, ax, ay = first[place], (col - left)[place].astype(np.float32), (row - top)[place].astype(np.float32)
    flat, colours = stamp.alpha.ravel(), stamp.rgb.reshape(-1, 3)
    alpha, rgb = np.zeros(place.size, np.float32), np.zeros((place.size, 3), np.float32)
    for step, share in ((0, (1 - ax) * (1 - ay)), (1, ax * (1 - ay)), (wide, (1 - ax) * ay), (wide + 1, ax * ay)):
        part = flat[first + step] * share
        alpha += part
        rgb += part[:, None] * colours.take(first + step, axis=0)
    rgb /= np.maximum(alpha, np.float32(1e-6))[:, None]
    return place, alpha.clip(0, 1), rgb


def sticker(rng: np.random.Generator, view: View) -> Layer:
    """Draw a label: paper or coloured film, with print, bars or a picture; its edge a little dirty."""
    wide = log_uniform(rng, 15, 80)
    size = wide, float(np.clip(wide * rng.uniform(0.3, 1.1), 8, 60))
    texel, w, h = _texels(view, size)
    round_one = rng.random() < 0.2
    paper = (255, 252, 245) if rng.random() < 0.6 else _rgb8(rng)
    ink = (25, 25, 30) if sum(paper) > 380 else (240, 240, 240)
    face, shape = Image.new("RGB", (w, h), paper), Image.new("L", (w, h), 0)
    edge = max(1, round(0.3 / texel))
    box = (edge, edge, w - 1 - edge, h - 1 - edge)
    if round_one:
        ImageDraw.Draw(shape).ellipse(box, fill=255)
    else:
        ImageDraw.Draw(shape).rounded_rectangle(box, radius=int(rng.uniform(0.2, 3) / texel), fill=255)
    draw = ImageDraw.Draw(face)
    inner = (0.18 * w, 0.18 * h, 0.82 * w, 0.82 * h) if round_one else (0.06 * w, 0.07 * h, 0.94 * w, 0.93 * h)
    if rng.random() < 0.3:
        draw.rectangle((0, 0, w, int(h * rng.uniform(0.15, 0.4))), fill=_rgb8(rng))
    _print_on(rng, draw, inner, ink, texel)
    if rng.random() < 0.25:
        draw.rectangle(box, outline=_rgb8(rng), width=max(1, round(rng.uniform(0.3, 1.2) / texel)))
    alpha = _float(shape.filter(ImageFilter.GaussianBlur(0.6)))
    linear = (np.arange(256, dtype=np.float32) / 255) ** np.float32(2.2) * np.float32(rng.uniform(0.7, 0.85))
    rgb = linear[np.asarray(face)]
    dirt = (_noise(rng, (h, w), fall=1.1) - np.float32(rng.uniform(0.8, 2.5))).clip(0, 1) * np.float32(0.4)
    rgb += dirt[..., None] * (np.asarray([0.25, 0.22, 0.18], np.float32) - rgb)
    glossy = float(rng.uniform(0, 0.9))  # paper takes the mirror image away, foil keeps some of it
    angle = float(rng.normal(0, 0.06) if rng.random() < 0.6 else rng.uniform(-np.pi, np.pi))
    return stamped(Stamp(rgb, alpha, 1 - glossy, size), view, at=somewhere(rng, view.footprint), angle=angle)


def _print_on(
    rng: np.random.Generator, draw: ImageDraw.ImageDraw, box: Box, ink: tuple[int, int, int], texel: float
) -> None:
    """Fill a box with lines of text and, at times, a bar code or a square code."""
    x0, y0, x1, y1 = box
    kind = rng.random()
    if kind < 0.3:
        x, bottom = x0, y0 + (y1 - y0) * rng.uniform(0.45, 0.8)
        module = max(1.0, rng.uniform(0.25, 0.5) / texel)
        while x < x1 - 4 * module:
            bar = module * rng.integers(1, 4)
            draw.rectangle((x, y0, x + (bar - 1), bottom), fill=ink)  # (x + bar) - 1 may be less than x
            x += bar + module * rng.integers(1, 4)
        y0 = bottom + 0.8 / texel
    elif kind < 0.45:
        side = min(x1 - x0, y1 - y0) * 0.9
        cells = int(rng.integers(21, 30))
        code = Image.fromarray(np.where(rng.random((cells, cells)) < 0.5, 255, 0).astype(np.uint8))
        draw.bitmap((int(x0), int(y0)), code.resize((int(side) + 1, int(side) + 1), Image.Resampling.NEAREST), fill=ink)
        x0 += side + 1.5 / texel
    while y0 < y1 - 1.2 / texel and x0 < x1 - 4 / texel:
        high = min(log_uniform(rng, 1.2, 9) / texel, y1 - y0)
        words = "".join(rng.choice(list(_LETTERS + "0123456789  "), int(rng.integers(3, 22))))
        if high >= 4:  # px; below it no letter can be made out
            font = ImageFont.load_default(size=float(high))
            while len(words) > 1 and draw.textlength(words, font=font) > x1 - x0:
                words = words[:-1]
            draw.text((x0, y0 - 0.1 * high), words, fill=ink, font=font)
        y0 += high * rng.uniform(1.15, 1.8)


def chalk(rng: np.random.Generator, view: View) -> Layer:
    """Draw what adjusters write on cars: a cross, a ring, an arrow, a letter, in crumbly wax or chalk."""
    side = log_uniform(rng, 20, 90)
    texel, w, h = _texels(view, (side, side), finest=0.15)
    width = int(max(1, min(rng.uniform(1.2, 3.5), side / 15) / texel))
    canvas = Image.new("L", (w, h), 0)
    draw = ImageDraw.Draw(canvas)
    for line in _sign(rng):
        t = np.linspace(0, 1, 25)
        points = np.stack([np.interp(t, np.linspace(0, 1, len(line)), np.asarray(line)[:, k]) for k in (0, 1)], axis=1)
        points += np.cumsum(rng.normal(0, 0.004, points.shape), axis=0)
        draw.line([(float(x * w), float(y * h)) for x, y in points], fill=255, width=width, joint="curve")
    ink = _float(canvas.filter(ImageFilter.GaussianBlur(0.2 * width)))
    # chalk touches only what stands out: patches of bare paint show through, more at the edges
    bare = _noise(rng, (h, w), fall=0.35) * np.float32(0.4) + _noise(rng, (h, w), fall=1.2) * np.float32(0.3)
    alpha = ((ink - np.float32(rng.uniform(0.35, 0.6)) + bare * np.float32(0.5)) * 3).clip(0, 1) * (ink > 0.02)
    tone = [(0.8, 0.8, 0.76), (0.75, 0.7, 0.1), (0.7, 0.1, 0.08), (0.1, 0.2, 0.6)][
        int(rng.choice(4, p=[0.5, 0.3, 0.1, 0.1]))
    ]
    alpha = (alpha * np.float32(rng.uniform(0.5, 0.95))).astype(np.float32)
    rgb = np.broadcast_to(np.asarray(tone, np.float32), (h, w, 3))
    at, angle = somewhere(rng, view.footprint), float(rng.normal(0, 0.25))
    return stamped(Stamp(rgb, alpha, 1, (side, side)), view, at=at, angle=angle)


def _sign(rng: np.random.Generator) -> list[list[tuple[float, float]]]:
    """Strokes of a mark in a unit square."""
    ring = [(0.5 + 0.38 * float(np.cos(a)), 0.5 + 0.33 * float(np.sin(a))) for a in np.linspace(-1.7, 4.9, 30)]
    signs: list[list[list[tuple[float, float]]]] = [
        [[(0.15, 0.15), (0.85, 0.85)], [(0.85, 0.15), (0.15, 0.85)]],
        [ring],
        [[(0.1, 0.5), (0.9, 0.5)], [(0.65, 0.3), (0.9, 0.5), (0.65, 0.7)]],
        [[(0.5, 0.1), (0.5, 0.9)], [(0.1, 0.5), (0.9, 0.5)]],
        [[(0.1, 0.55), (0.35, 0.85), (0.9, 0.15)]],
        [[(0.2, 0.9), (0.2, 0.1), (0.7, 0.25), (0.2, 0.5), (0.8, 0.9)]],
        [[(0.1, 0.2), (0.35, 0.8), (0.5, 0.4), (0.65, 0.8), (0.9, 0.2)]],
        [[(0.15, 0.3), (0.85, 0.25)], [(0.15, 0.55), (0.85, 0.5)]],
    ]
    return signs[int(rng.integers(len(signs)))]


def dropping(rng: np.random.Generator, view: View) -> Layer:
    """Draw a bird's dropping: white paste around an olive core, splashed to one side and run down."""
    wide = log_uniform(rng, 8, 35)
    size = wide, wide * float(rng.uniform(1.2, 2))
    canvas = _Canvas.of(rng, view, size, bend=0.03)
    splash = canvas.oval(
        radius=rng.uniform(0.25, 0.42), at=(0, -0.25), aspect=rng.uniform(1, 1.4), turn=rng.normal(0, 0.6)
    )
    for _ in range(int(rng.integers(2, 6))):
        at = rng.normal(0, 0.2), rng.normal(-0.25, 0.2)
        splash = _joined(splash, canvas.oval(radius=rng.uniform(0.08, 0.25), at=at), soft=0.12)
    for _ in range(int(rng.choice([0, 1, 2, 3, 4], p=[0.3, 0.25, 0.2, 0.15, 0.1]))):  # what ran down
        at, end = (rng.normal(0, 0.22), -0.2), rng.uniform(0.3, 1.5) * canvas.high * 0.6
        splash = _joined(splash, canvas.drip(at, end=end, radius=rng.uniform(0.025, 0.07)), soft=0.08)
    for _ in range(int(rng.poisson(3))):
        far, turn = rng.uniform(0.45, 0.95), rng.uniform(0, 2 * np.pi)
        at = far * np.cos(turn), far * np.sin(turn) - 0.25
        spot = canvas.oval(radius=rng.uniform(0.012, 0.06), at=at, aspect=rng.uniform(1, 2), turn=turn)
        splash = np.minimum(splash, spot)
    core = canvas.oval(radius=rng.uniform(0.08, 0.2), at=(rng.normal(0, 0.1), rng.normal(-0.25, 0.1)), aspect=1.3)
    for _ in range(int(rng.integers(0, 4))):
        at = rng.normal(0, 0.14), rng.normal(-0.2, 0.14)
        core = _joined(core, canvas.oval(radius=rng.uniform(0.02, 0.09), at=at), soft=0.05)
    # thin paste lets the paint through
    thick = (-splash * np.float32(rng.uniform(4, 12)) + np.float32(0.15) * canvas.noise).clip(0, 1)
    alpha = canvas.inside(splash) * (np.float32(rng.uniform(0.3, 0.75)) + np.float32(0.6) * thick).clip(0, 0.97)
    dark = (np.float32(0.5) - core * 15 + np.float32(0.15) * canvas.noise).clip(0, 1) * np.float32(rng.uniform(0.5, 1))
    white = np.float32(rng.uniform(0.5, 0.72)) * (np.float32(0.8) + np.float32(0.2) * thick)
    white = white[..., None] * np.asarray([1, 0.99, 0.92], np.float32)
    olive = np.asarray([0.1, 0.09, 0.055], np.float32) * np.float32(rng.uniform(0.4, 2))
    rgb = (white + dark[..., None] * (olive - white)).clip(0.01, 0.9).astype(np.float32)
    return stamped(
        Stamp(rgb, alpha, 0.9, size), view, at=somewhere(rng, view.footprint), angle=float(rng.normal(0, 0.1))
    )


def insect(rng: np.random.Generator, view: View) -> Layer:
    """Draw a fly that hit the car: a thin yellowish smear along its way, and a few dark crumbs of its body."""
    size = (float(rng.uniform(3, 11)),) * 2
    canvas = _Canvas.of(rng, view, size, bend=0.05)
    smear = canvas.oval(radius=rng.uniform(0.12, 0.25), at=(-0.3, 0), aspect=rng.uniform(1, 1.6))
    for _ in range(int(rng.integers(2, 5))):
        at = rng.uniform(-0.3, 0.5), rng.normal(0, 0.08)
        smear = _joined(smear, canvas.oval(radius=rng.uniform(0.05, 0.14), at=at, aspect=rng.uniform(1.5, 5)), soft=0.1)
    body = canvas.oval(
        radius=rng.uniform(0.05, 0.1), at=(-0.3, 0), aspect=rng.uniform(1.2, 2.2), turn=rng.normal(0, 0.5)
    )
    for _ in range(int(rng.integers(1, 6))):
        at = rng.uniform(-0.5, 0.2), rng.normal(0, 0.1)
        crumb = canvas.oval(radius=rng.uniform(0.015, 0.05), at=at, aspect=rng.uniform(1, 3), turn=rng.uniform(0, 3.1))
        body = np.minimum(body, crumb)
    paste = (-smear * 6 + np.float32(0.12) * canvas.noise).clip(0, 1) * np.float32(rng.uniform(0.15, 0.5))
    crumbs = canvas.inside(body) * (np.float32(0.8) + np.float32(0.2) * canvas.noise).clip(0.3, 1)
    pale = np.asarray([0.58, 0.53, 0.36], np.float32) * np.float32(rng.uniform(0.6, 1.1))
    dark = np.asarray([0.04, 0.03, 0.022], np.float32) * np.float32(rng.uniform(0.6, 2))
    alpha = 1 - (1 - paste) * (1 - crumbs)
    rgb = pale + (crumbs / np.maximum(alpha, np.float32(1e-3)))[..., None].clip(0, 1) * (dark - pale)
    at, angle = somewhere(rng, view.footprint), float(rng.uniform(-np.pi, np.pi))
    return stamped(Stamp(rgb, alpha, 0.9, size), view, at=at, angle=angle)


LITTER: tuple[tuple[Callable[[np.random.Generator, View], Layer], float], ...] = (
    (sticker, 0.014), (chalk, 0.006), (dropping, 0.014), (insect, 0.012),
)  # fmt: skip
"""What there is, and in which share of usual pictures."""


@dataclass(frozen=True)
class _Canvas:
    """A canvas of u from -1 to 1 and v from -high to high, gently warped so that nothing on it is quite regular.

    Its shapes are signed distances to their outlines, negative inside.
    """

    u: Float
    v: Float
    high: float
    texel: float
    noise: Float

    @classmethod
    def of(cls, rng: np.random.Generator, view: View, size: tuple[float, float], *, bend: float) -> _Canvas:
        _, w, h = _texels(view, size, most=300)
        high = h / w
        warp = [np.float32(bend) * _noise(rng, (h, w), fall=2.0) for _ in range(2)]
        u, v = np.linspace(-1, 1, w, dtype=np.float32)[None], np.linspace(-high, high, h, dtype=np.float32)[:, None]
        return cls(u + warp[0], v + warp[1], high, 2 / w, _noise(rng, (h, w), fall=1.2))

    def oval(self, *, radius: float, at: tuple[float, float], aspect: float = 1.0, turn: float = 0.0) -> Float:
        """Roundish spot; its distances are exact for a circle only."""
        du, dv = self.u - np.float32(at[0]), self.v - np.float32(at[1])
        cos, sin, stretch = np.float32(np.cos(turn)), np.float32(np.sin(turn)), np.float32(aspect**0.5)
        return np.asarray(
            np.hypot((du * cos + dv * sin) / stretch, (dv * cos - du * sin) * stretch) - np.float32(radius)
        )

    def drip(self, at: tuple[float, float], *, end: float, radius: float) -> Float:
        """Run straight down from a point, thinner on the way, with a drop at the end."""
        dv = self.v - np.float32(at[1])
        along = (dv / np.float32(max(0.05, end))).clip(0, 1)
        wide = np.float32(radius) * (1 - np.float32(0.4) * along + np.float32(0.5) * along**8)
        past = dv - along * np.float32(max(0.05, end))
        return np.asarray(np.hypot(self.u - np.float32(at[0]), past) - wide)

    def inside(self, distance: Float) -> Float:
        """Share of each texel that lies within an outline."""
        return np.asarray((np.float32(0.5) - distance / np.float32(self.texel)).clip(0, 1))


def _joined(a: Float, b: Float, *, soft: float) -> Float:
    """Unite two shapes with a fillet between them: the smooth minimum of their distances."""
    overlap = (np.float32(soft) - np.abs(a - b)).clip(0, None)
    return np.asarray(np.minimum(a, b) - overlap * overlap * np.float32(0.25 / soft))


def px2_per_mm2(view: View, x: NDArray[np.floating], y: NDArray[np.floating]) -> Float:
    """How many px² one mm² of the panel covers there: the Jacobian of a plane's perspective."""
    away = float(np.linalg.norm(view.position))
    depth = view.depth(np.asarray(x, np.float32), np.asarray(y, np.float32)) + np.float32(away)
    return np.asarray(np.float32(view.focal_px**2 * view.position[2]) / depth**3, np.float32)


def somewhere(rng: np.random.Generator, box: Box) -> tuple[float, float]:
    """Draw a point of a box (x0, y0, x1, y1)."""
    return float(rng.uniform(box[0], box[2])), float(rng.uniform(box[1], box[3]))


def colour(tone: NDArray[np.floating]) -> tuple[float, float, float]:
    """Give an albedo that a real thing can have."""
    r, g, b = (float(c) for c in np.asarray(tone).clip(0.005, 0.9))
    return r, g, b


def _texels(
    view: View, size_mm: tuple[float, float], *, finest: float = 0.04, most: int = 800
) -> tuple[float, int, int]:
    """Give a texel in mm that the view resolves, and a canvas of that size."""
    texel = max(finest, 0.85 * view.mm_per_px, max(size_mm) / most)
    return texel, max(8, round(size_mm[0] / texel)), max(8, round(size_mm[1] / texel))


def _noise(rng: np.random.Generator, shape: tuple[int, int], *, fall: float) -> Float:
    """1/f noise of standard deviation 1; it repeats after 256 texels, which a thing's own pattern hides."""
    tile = NoiseTile.random(rng, texel_mm=1, fall=fall).values
    rows, cols = (np.arange(n) & 255 for n in shape)
    return np.asarray(tile[rows[:, None], cols], np.float32)


def _float(image: Image.Image) -> Float:
    return np.asarray(image, np.float32) / np.float32(255)


def _rgb8(rng: np.random.Generator) -> tuple[int, int, int]:
    r, g, b = (int(v) for v in rng.choice([20, 60, 180, 235], 3) * rng.uniform(0.7, 1.05, 3))
    return r, g, b
