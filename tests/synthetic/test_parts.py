from __future__ import annotations

import itertools

import numpy as np
import pytest

from surfacedefect.errors import OptionError
from surfacedefect.synthetic.geometry import View
from surfacedefect.synthetic.paints import Paint, random_paint
from surfacedefect.synthetic.parts.choice import Part, covers, dress_parts, random_parts, shape_parts
from surfacedefect.synthetic.parts.drawing import Profile
from surfacedefect.synthetic.parts.kinds import KINDS, Site
from surfacedefect.synthetic.parts.materials import Even
from surfacedefect.synthetic.parts.shapes import (
    Both,
    Box,
    Circle,
    Drum,
    Edge,
    Either,
    Frame,
    Junction,
    Ring,
    Seam,
    Text,
    gradient,
)
from surfacedefect.synthetic.surface import Surface

SHAPES = [
    Edge(3, -2, 0.4),
    Edge(3, -2, 0.4, 1 / 300),
    Circle(1, 2, 20),
    Box(2, 3, 25, 10, 4, 0.3),
    Box(2, 3, 25, 10, 10, -0.2),
    Ring(Circle(1, 2, 20), 2),
    Both(Circle(1, 2, 30), Edge(0, 0, 1)),
    Junction(Edge(0, 0, 0.1), Edge(0, 0, 1.6), 2, 1.5, 6),
    Text("G4", 0, 0, 20),
    Seam(Edge(0, 0, 0.3, 1 / 400), 2, 0, 0, 1.8, 0.01, 0.3, 60),
    Either(Edge(20, 0, 0.2), Edge(0, 20, 1.3), 15),
    Frame(Circle(1, 2, 30), 6),
    Drum(1, 2, 50, 0.6),
    Drum(1, 2, 40, 0.7, -15),
]
FIELDS = ("slope_x", "slope_y", "albedo", "gloss", "light", "hidden")


def some_paint() -> Paint:
    return random_paint(np.random.default_rng(3))


def view(mm_per_px: float, width: int = 150, height: int = 131) -> View:
    return View.looking((width, height), mm_per_px=mm_per_px, distance_mm=900 * mm_per_px, tilt=0.3, towards=0.8)


def panel(x: np.ndarray, y: np.ndarray) -> Surface:
    surface = Surface.plain(*np.zeros((2, *x.shape), np.float32), rgb=(0.3, 0.1, 0.1))
    surface.slope_x[:] = x * np.float32(1e-4)
    surface.slope_y[:] = y * np.float32(2e-4)
    return surface


def drawn(parts: tuple[Part, ...], seen: View, rows: slice) -> Surface:
    x, y = seen.grid(rows)
    surface = panel(x, y)
    shape_parts(parts, surface, x, y, seen.mm_per_px)
    dress_parts(parts, surface, x, y, seen.mm_per_px)
    return surface


def every_kind(seen: View) -> list[tuple[Part, ...]]:
    rng = np.random.default_rng(11)
    x0, y0, x1, y1 = seen.footprint
    site = Site(0.1 * x1, 0.1 * y1, min(x1 - x0, y1 - y0), some_paint(), seen.footprint)
    return [tuple(builder(rng, site)) for builder, _, _ in KINDS]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: type(s).__name__)
def test_a_shape_is_a_distance(shape) -> None:
    x, y = (a.astype(np.float32) for a in np.meshgrid(np.linspace(-60, 60, 241), np.linspace(-60, 60, 241)))
    d = shape.distance(x, y)
    assert d.dtype == np.float32 and d.shape == x.shape
    assert d.min() < 0 < d.max()
    near = np.abs(d) < 5
    assert np.median(np.hypot(*gradient(shape, x, y, d))[near]) == pytest.approx(1, abs=0.05)
    # what is skipped as far away relies on this
    a, b = np.random.default_rng(1).uniform(-90, 90, (2, 2, 5000)).astype(np.float32)
    apart = np.hypot(*(a - b))
    assert (np.abs(shape.distance(*a) - shape.distance(*b)) <= 1.1 * apart + 0.01).all()


def test_a_box_knows_its_distances() -> None:
    x, y = np.asarray([0, 10, 13, 14], np.float32), np.asarray([0, 0, 0, 9], np.float32)
    np.testing.assert_allclose(Box(0, 0, 10, 5).distance(x, y), [-5, 0, 3, np.hypot(4, 4)], rtol=1e-5, atol=1e-5)


def test_a_bent_edge_is_a_big_circle() -> None:
    x, y = np.zeros(9, np.float32), np.linspace(-40, 40, 9, dtype=np.float32)
    bent, disc = Edge(0, 0, 0, 1 / 500), Circle(500, 0, 500)
    np.testing.assert_allclose(bent.distance(x, y), disc.distance(x, y), atol=0.05)


def test_letters_have_the_height_that_was_asked_for() -> None:
    y = np.linspace(-40, 40, 801, dtype=np.float32)
    stem = Text("I", 0, 0, 25).distance(np.zeros_like(y), y) < 0
    assert np.ptp(y[stem]) == pytest.approx(25, abs=0.6)
    assert Text("GT", 0, 0, 25).width == pytest.approx(2 * Text("GT", 0, 0, 12.5).width)


@pytest.mark.parametrize("mm_per_px", [0.1, 0.4, 2.0])
def test_bands_of_rows_make_the_same_picture(mm_per_px: float) -> None:
    seen = view(mm_per_px)
    for parts in every_kind(seen):
        whole = drawn(parts, seen, slice(0, seen.height))
        cuts = [0, 37, 38, 101, seen.height]
        bands = [drawn(parts, seen, slice(a, b)) for a, b in itertools.pairwise(cuts)]
        for name in FIELDS:
            together = np.concatenate([getattr(band, name) for band in bands])
            assert np.array_equal(together, getattr(whole, name)), (parts[0].name, name)


@pytest.mark.parametrize("mm_per_px", [0.1, 0.4, 2.0])
def test_every_kind_stays_in_range(mm_per_px: float) -> None:
    seen = view(mm_per_px)
    for parts in every_kind(seen):
        surface = drawn(parts, seen, slice(0, seen.height))
        for name in FIELDS:
            assert getattr(surface, name).dtype == np.float32
            assert np.isfinite(getattr(surface, name)).all()
        assert surface.hidden.min() >= 0 and surface.hidden.max() <= 1
        assert surface.light.min() >= 0 and surface.light.max() <= 1
        assert surface.albedo.min() >= 0 and surface.albedo.max() <= 1.2
        assert surface.gloss.min() >= 0
        assert np.abs(surface.slope_x).max() < 3


def test_same_state_same_parts() -> None:
    def draw(far: bool) -> Surface:
        seen = view(2.0 if far else 0.3)
        rng = np.random.default_rng(5)
        parts = random_parts(rng, footprint=seen.footprint, paint=some_paint(), share=1, far=far)
        return drawn(parts, seen, slice(0, seen.height))

    for far in (False, True):
        for name in FIELDS:
            assert np.array_equal(getattr(draw(far), name), getattr(draw(far), name))


@pytest.mark.parametrize("far", [False, True])
def test_share_says_how_much_there_is_and_paint_is_left(far: bool) -> None:
    rng, half = np.random.default_rng(8), 600 if far else 40
    footprint = (-half, -half, half, half)
    counts = {
        share: [
            len(random_parts(rng, footprint=footprint, paint=some_paint(), share=share, far=far)) for _ in range(12)
        ]
        for share in (0.0, 0.3, 1.0)
    }
    assert max(counts[0.0]) == 0
    assert sum(counts[0.3]) < sum(counts[1.0])
    parts = random_parts(rng, footprint=footprint, paint=some_paint(), share=1, far=far)
    seen = View.looking((64, 64), mm_per_px=half / 32, distance_mm=3 * half)
    assert drawn(parts, seen, slice(0, 64)).hidden.mean() < 0.65


@pytest.mark.parametrize(
    "bad", [{"share": 1.5}, {"share": -0.1}, {"share": float("nan")}, {"footprint": (0.0, 0.0, 0.0, 5.0)}]
)
def test_bad_options_are_refused(bad: dict) -> None:
    options = {"footprint": (0.0, 0.0, 9.0, 9.0), "paint": some_paint(), "share": 0.5, "far": False} | bad
    with pytest.raises(OptionError, match="expected"):
        random_parts(np.random.default_rng(0), **options)


def test_a_gap_is_a_dark_line_between_rounded_edges() -> None:
    gap = Part("gap", Ring(Edge(0, 0, 0), 2), Profile(rim_slope=0.8, rim_mm=1, floor=0.02, deep_mm=0.4))
    seen = View.looking((201, 9), mm_per_px=0.1, distance_mm=1000)
    x, y = seen.grid(slice(0, 9))
    surface = Surface.plain(*np.zeros((2, *x.shape), np.float32), rgb=(0.5, 0.5, 0.5))
    shape_parts([gap], surface, x, y, 0.1)
    row = 4
    assert surface.light[row, 100] < 0.1 and surface.hidden[row, 100] == 1
    assert surface.slope_x[row, 123] > 0.4 and surface.slope_x[row, 77] < -0.4  # both sides fall into it
    assert np.abs(surface.slope_y).max() < 1e-2
    far = np.abs(x[row]) > 8
    assert (surface.slope_x[row, far] == 0).all() and (surface.light[row, far] == 1).all()


def test_an_edge_is_one_pixel_soft_and_of_the_right_area() -> None:
    disc = Part("disc", Circle(0.13, -0.2, 8), Profile(), Even((0.0, 0.0, 0.0), 0.0))
    seen = View.looking((64, 64), mm_per_px=0.5, distance_mm=1000)
    surface = drawn((disc,), seen, slice(0, 64))
    assert surface.hidden.sum() * 0.25 == pytest.approx(np.pi * 64, rel=0.01)
    np.testing.assert_allclose(surface.gloss, 1 - surface.hidden, atol=1e-6)


def test_what_lies_on_top_hides_what_lies_below() -> None:
    gap = Part("gap", Ring(Edge(0, 0, 0), 2), Profile(rim_slope=0.8, floor=0.0))
    lid = Part("lid", Circle(0, 0, 12), Profile(), Even((0.4, 0.4, 0.4), 1.0))
    seen = View.looking((64, 64), mm_per_px=0.5, distance_mm=1000)
    surface, alone = (drawn(parts, seen, slice(0, 64)) for parts in ((gap, lid), (lid,)))
    x, y = seen.grid(slice(0, 64))
    below = np.hypot(x, y) < 11
    for name in FIELDS:
        np.testing.assert_allclose(getattr(surface, name)[below], getattr(alone, name)[below], atol=1e-6)


def test_far_parts_change_nothing() -> None:
    seen = view(0.2)
    x, y = seen.grid(slice(0, seen.height))
    before = panel(x, y)
    after = drawn((Part("disc", Circle(500, 500, 30), Profile(shade=0.5), Even((0.0,) * 3, 0.0)),), seen, slice(0, 131))
    assert all(np.array_equal(getattr(before, name), getattr(after, name)) for name in FIELDS)


def test_arrays_that_are_not_contiguous_are_changed_too() -> None:
    seen = view(0.3)
    for parts in every_kind(seen)[:4]:
        whole = drawn(parts, seen, slice(0, seen.height))
        x, y = seen.grid(slice(0, seen.height))
        plain = panel(x, y)
        strided = Surface(*(np.repeat(getattr(plain, name), 2, axis=1)[:, ::2] for name in FIELDS))
        shape_parts(parts, strided, x, y, seen.mm_per_px)
        dress_parts(parts, strided, x, y, seen.mm_per_px)
        assert all(np.array_equal(getattr(strided, name), getattr(whole, name)) for name in FIELDS)


def test_covers_keeps_damage_off_parts() -> None:
    gap = Part("gap", Ring(Edge(0, 0, 0), 2))
    beside = Part("neighbour", Edge(0, 0, 0), Profile(tilt=(0.1, 0), hides=False), solid=False)
    assert covers((beside, gap), 0, 50, 0)
    assert covers((beside, gap), 6, 50, 5)
    assert not covers((beside, gap), 8, 50, 5)
    assert not covers((), 0, 0, 100)


def test_covers_agrees_with_what_is_hidden() -> None:
    seen = view(0.4)
    x, y = seen.grid(slice(0, seen.height))
    for parts in every_kind(seen):
        hidden = drawn(parts, seen, slice(0, seen.height)).hidden
        for row, col in itertools.product(range(5, seen.height, 25), range(5, seen.width, 25)):
            if hidden[row, col] == 1:
                assert covers(parts, float(x[row, col]), float(y[row, col]), 0)
