from __future__ import annotations

import numpy as np
import pytest
from skimage.measure import label

from surfacedefect.synthetic.dirt import contamination, litter
from surfacedefect.synthetic.dirt import films as films_module
from surfacedefect.synthetic.dirt.contamination import dress_films, random_drops, random_films, random_specks
from surfacedefect.synthetic.geometry import View
from surfacedefect.synthetic.paints import random_paint
from surfacedefect.synthetic.splat import Layer
from surfacedefect.synthetic.surface import Surface

VIEW = View.looking((200, 160), mm_per_px=0.15, distance_mm=500, tilt=0.4, towards=0.7)
PAINT = random_paint(np.random.default_rng(0))
SMALL = ("_dust", "_pollen", "_fibres", "_spray", "_mud", "_rings")


def check(layer: Layer, view: View = VIEW) -> None:
    n = layer.pixels.size
    assert layer.pixels.dtype == np.int64
    assert layer.rgb.shape == (n, 3)
    if n:
        assert (np.diff(layer.pixels) > 0).all()
        assert layer.pixels[0] >= 0
        assert layer.pixels[-1] < view.width * view.height
    for values in (layer.alpha, layer.rgb, layer.matt, layer.slope_x, layer.slope_y):
        assert values.dtype == np.float32
        assert np.isfinite(values).all()
    for values in (layer.alpha, layer.rgb, layer.matt):
        assert ((values >= 0) & (values <= 1)).all()


def same(a: tuple[Layer, ...], b: tuple[Layer, ...]) -> bool:
    names = Layer.__dataclass_fields__
    return len(a) == len(b) and all(
        np.array_equal(getattr(p, n), getattr(q, n)) for p, q in zip(a, b, strict=True) for n in names
    )


def test_a_clean_car_has_nothing_on_it() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        assert random_films(rng, footprint=VIEW.footprint, share=0.0) == ()
        assert random_specks(rng, view=VIEW, paint=PAINT, share=0.0) == ()
        assert random_drops(rng, view=VIEW, share=0.0) == ()


@pytest.mark.parametrize("seed", range(8))
def test_layers_are_sound_and_the_same_for_the_same_seed(seed: int) -> None:
    def drawn() -> tuple[Layer, ...]:
        rng = np.random.default_rng(seed)
        return random_specks(rng, view=VIEW, paint=PAINT, share=1.0) + random_drops(rng, view=VIEW, share=1.0)

    layers = drawn()
    assert same(layers, drawn())
    for layer in layers:
        check(layer)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("size", [(1, 1), (3, 90), (200, 160)])
def test_every_small_thing_at_any_size_and_scale(name: str, size: tuple[int, int]) -> None:
    for mm_per_px in (0.03, 0.3):
        view = View.looking(size, mm_per_px=mm_per_px, distance_mm=400, tilt=0.8)
        for layer in getattr(contamination, name)(np.random.default_rng(1), view, PAINT, 1.0):
            check(layer, view)
            assert not layer.slope_x.any()


@pytest.mark.parametrize("thing", [thing for thing, _ in litter.LITTER], ids=lambda thing: thing.__name__)
def test_larger_things(thing: object) -> None:
    assert callable(thing)
    seen = 0
    for seed in range(6):
        layer = thing(np.random.default_rng(seed), VIEW)
        check(layer)
        seen += layer.pixels.size
    assert seen


def test_many_usual_pictures_are_clean_and_few_are_dirty() -> None:
    clean, several, number = 0, 0, 400
    view = View.looking((64, 64), mm_per_px=0.8, distance_mm=500)
    for seed in range(number):
        films = random_films(np.random.default_rng([seed, 0]), footprint=view.footprint, share=0.5)
        specks = random_specks(np.random.default_rng([seed, 1]), view=view, paint=PAINT, share=0.5)
        clean += not films and not specks
        several += len(films) + len(specks) > 2
    assert 0.1 < clean / number < 0.35
    assert several / number < 0.12
    assert sum(usual for _, usual in litter.LITTER) < 0.05


def test_usual_dust_is_faint_and_sparse() -> None:
    covered, strong = [], []
    view = View.looking((512, 512), mm_per_px=0.15, distance_mm=800)
    for seed in range(30):
        (layer,) = contamination._dust(np.random.default_rng(seed), view, PAINT, 0.5)
        covered.append((layer.alpha > 0.1).mean() * layer.pixels.size / (512 * 512))
        strong.append(int((layer.alpha > 0.4).sum()))
    assert np.median(covered) < 0.003
    assert np.median(strong) < 150


def test_blobs_that_the_edge_cuts_go_on_outside() -> None:
    wide, narrow = (View.looking((size, 60), mm_per_px=0.1, distance_mm=500) for size in (60, 20))
    values = [np.asarray([v], np.float32) for v in (1.0, 0.5, 0.8, 1.4, 0.3, 0.7)]
    layers = [
        contamination._spots(np.random.default_rng(0), view, contamination._Blobs(*values), rgb=(0.5, 0.5, 0.5))
        for view in (wide, narrow)
    ]
    pictures = []
    for layer, size in zip(layers, (60, 20), strict=True):
        picture = np.zeros((60, size), np.float32)
        picture.ravel()[layer.pixels] = layer.alpha
        pictures.append(picture)
    assert pictures[1].sum() > 10
    assert pictures[0][:, 20:40] == pytest.approx(pictures[1], abs=1e-3)


def test_a_stamp_covers_its_area() -> None:
    side = 12.0
    square = litter.Stamp(np.full((64, 64, 3), 0.5, np.float32), np.ones((64, 64), np.float32), 0.5, (side, side))
    layer = litter.stamped(square, VIEW, at=(1.0, -2.0), angle=0.6)
    check(layer)
    area_px2 = float(litter.px2_per_mm2(VIEW, np.asarray([1.0]), np.asarray([-2.0]))[0]) * side**2
    assert layer.alpha.sum() == pytest.approx(area_px2, rel=0.06)  # half a texel is lost at each edge
    assert layer.rgb == pytest.approx(0.5, abs=1e-5)
    assert layer.matt == pytest.approx(0.5, abs=1e-5)


def test_the_area_of_specks_does_not_depend_on_the_scale() -> None:
    areas = []
    for mm_per_px in (0.05, 0.2):
        size = round(40 / mm_per_px)
        view = View.looking((size, size), mm_per_px=mm_per_px, distance_mm=500)
        values = [np.asarray(v, np.float32) for v in ([0, 4], [0, 3], [0.4, 0.05], [1, 2], [0, 1], [0.5, 0.5])]
        layer = contamination._spots(np.random.default_rng(0), view, contamination._Blobs(*values), rgb=(0.5, 0.5, 0.5))
        areas.append(float(layer.alpha.sum()) * mm_per_px**2)
    assert areas == pytest.approx([0.5 * np.pi * (0.4**2 + 0.05**2)] * 2, rel=0.02)


def drops() -> Layer:
    for seed in range(200):
        layers = random_drops(np.random.default_rng(seed), view=VIEW, share=1.0)
        if layers and layers[0].pixels.size > 1500:
            return layers[0]
    raise AssertionError("no drops at all")


def test_drops_are_lenses_that_take_away_no_mirror_image() -> None:
    layer = drops()
    steep = np.hypot(layer.slope_x, layer.slope_y)
    assert 0.2 < steep.max() < 0.75
    assert not layer.matt.any()
    assert layer.alpha.max() < 0.35


def test_a_drop_stands_out_of_the_paint() -> None:
    layer = drops()
    picture = np.zeros(VIEW.width * VIEW.height, np.float32)
    picture[layer.pixels] = layer.slope_x
    wet = np.zeros_like(picture, bool)
    wet[layer.pixels] = True
    # a drop that the picture's edge cuts has only one of its two sides
    number = label(wet.reshape(VIEW.height, VIEW.width))
    whole = np.isin(number, np.setdiff1d(number, np.r_[number[0], number[-1], number[:, 0], number[:, -1]]))
    height = np.cumsum(picture.reshape(number.shape) * whole, axis=1)
    assert whole.sum() > 500
    assert height.max() > 5 * -height.min()
    assert abs(height[:, -1].sum()) < 0.1 * height.sum()


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", ["_dirt", "_runs", "_haze"])
def test_films_do_not_depend_on_bands_of_rows(name: str, seed: int) -> None:
    films = (getattr(films_module, name)(np.random.default_rng(seed), VIEW.footprint, 1.0),)
    whole = Surface.plain(*np.zeros((2, VIEW.height, VIEW.width), np.float32), rgb=PAINT.rgb)
    dress_films(films, whole, *VIEW.grid(slice(None)), VIEW.mm_per_px)
    for rows in (slice(0, 33), slice(33, 34), slice(34, 160)):
        band = Surface.plain(*np.zeros((2, rows.stop - rows.start, VIEW.width), np.float32), rgb=PAINT.rgb)
        dress_films(films, band, *VIEW.grid(rows), VIEW.mm_per_px)
        assert np.array_equal(band.albedo, whole.albedo[rows])
        assert np.array_equal(band.gloss, whole.gloss[rows])
    assert whole.albedo.dtype == np.float32
    assert ((whole.albedo >= 0) & (whole.albedo <= 1)).all()
    assert ((whole.gloss >= 0) & (whole.gloss <= 1)).all()


def test_films_change_the_paint_and_nothing_else() -> None:
    changed = 0
    for seed in range(20):
        surface = Surface.plain(*np.zeros((2, VIEW.height, VIEW.width), np.float32), rgb=(0.3, 0.02, 0.02))
        films = random_films(np.random.default_rng(seed), footprint=VIEW.footprint, share=1.0)
        dress_films(films, surface, *VIEW.grid(slice(None)), VIEW.mm_per_px)
        changed += bool(films) and bool((surface.gloss < 1).any())
        assert not surface.slope_x.any()
        assert not surface.hidden.any()
        assert (surface.light == 1).all()
    assert changed >= 4
