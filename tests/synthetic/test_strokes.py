"""Grooves, scrapes and what they bare: sizes as asked, coats in their order, masks from the damage itself."""

from __future__ import annotations

import numpy as np
import pytest

from surfacedefect.synthetic.coats import Wear, cut
from surfacedefect.synthetic.damage import chips, line_scratch, scuff
from surfacedefect.synthetic.geometry import View
from surfacedefect.synthetic.paints import random_paint
from surfacedefect.synthetic.splat import drop
from surfacedefect.synthetic.strokes import Samples, groove, line_profile, random_path, scrape, streaks

VIEW = View.looking((300, 200), mm_per_px=0.1, distance_mm=1000.0)
PAINT = random_paint(np.random.default_rng(0), ("red",))


def test_drop_keeps_the_sum_and_the_place() -> None:
    rng = np.random.default_rng(0)
    x, y = (rng.uniform(3, 40, 500).astype(np.float32) for _ in range(2))
    values = rng.random((500, 2), dtype=np.float32)
    for soft in (True, False):
        pixels, sums = drop(x, y, values, width=50, height=45, soft=soft)
        assert (np.diff(pixels) > 0).all() and sums.sum(axis=0) == pytest.approx(values.sum(axis=0), rel=1e-4)
        assert (sums[:, 0] @ (pixels % 50 + 0.5)) == pytest.approx(float(values[:, 0] @ x), rel=0.02)
    picture = np.zeros((45, 50))
    np.add.at(picture, (y.astype(int), x.astype(int)), values[:, 1])
    assert np.array_equal(np.flatnonzero(picture), pixels) and sums[:, 1] == pytest.approx(
        picture[picture > 0], rel=1e-5
    )


def test_drop_loses_what_is_outside_and_nothing_else() -> None:
    x = np.float32([-0.4, -3, 10, 9.9, 5])
    y = np.float32([5, 5, 5, 9.9, -7])
    pixels, sums = drop(x, y, np.ones((5, 1), np.float32), width=10, height=10)
    assert pixels.min() >= 0 and pixels.max() < 100 and 0.5 < sums.sum() < 3
    empty, none = drop(x[:0], y[:0], np.ones((0, 3), np.float32), width=10, height=10)
    assert empty.size == 0 and none.shape == (0, 3)


def test_streaks_are_long_thin_and_normalised() -> None:
    field = streaks(np.random.default_rng(1), 3000, 300, fine=4, along=30)
    assert abs(field.mean()) < 0.15 and field.std() == pytest.approx(1, abs=0.12)
    along = np.abs(np.diff(field, axis=0)).mean()
    assert np.abs(np.diff(field, axis=1)).mean() > 8 * along


@pytest.mark.parametrize("broken", [False, True])
def test_line_profile_has_the_mean_width_asked_for(broken: bool) -> None:
    for seed in range(10):
        rng = np.random.default_rng(seed)
        path = random_path(rng, (0.0, 0.0), length_mm=40, step_mm=0.04, angle=0.3, bend=0.4)
        width, pressure = line_profile(rng, path, 0.7, broken=broken)
        assert float(width[width > 0.1 * 0.7].mean()) == pytest.approx(0.7, rel=0.1)
        assert width.min() >= 0 and pressure.min() >= 0 and pressure.max() <= 1
        length = np.hypot(np.diff(path.x), np.diff(path.y)).sum()
        assert length == pytest.approx(40, rel=0.005)


def test_a_groove_is_deep_inside_and_raised_beside() -> None:
    rng = np.random.default_rng(2)
    path = random_path(rng, (0.0, 0.0), length_mm=20, step_mm=0.04, angle=0.0, wobble=0.0)
    n = path.t.size
    samples = groove(
        rng, path, width_mm=np.full(n, 2.0, np.float32), depth_um=np.full(n, 80, np.float32), sample_mm=0.04
    )
    away = np.abs(samples.y)
    assert samples.depth_um[away < 0.3].mean() > 40 > 0 > samples.depth_um[(away > 0.85) & (away < 0.95)].mean()
    assert away.max() <= 1.15 and samples.area_mm2.sum() == pytest.approx(2.0 * 20, rel=0.02)


def test_the_deeper_the_lower_the_coat_that_shows() -> None:
    x = np.linspace(-10, 10, 200, dtype=np.float32)
    wear = Wear(haze=0.1)
    shown = []
    for depth in (0.5 * PAINT.clear_um, (PAINT.clear_um + PAINT.base_um) / 2, (PAINT.base_um + PAINT.primer_um) / 2,
                  2 * PAINT.primer_um):  # fmt: skip
        flat = np.zeros(200, np.float32)
        samples = Samples(x, flat, flat + np.float32(depth), flat, flat, flat + np.float32(0.01), flat)
        done = cut(samples, view=VIEW, paint=PAINT, wear=wear)
        assert done is not None
        shown.append(done.layer.rgb.mean(axis=0))
    assert shown[2] == pytest.approx(PAINT.primer, rel=0.05) and shown[3] == pytest.approx(PAINT.substrate, rel=0.05)
    assert shown[0][0] > 2 * shown[0][1]  # still red
    foreign = cut(samples, view=VIEW, paint=PAINT, wear=Wear(haze=0.1, foreign=(0.0, 0.7, 0.0)))
    assert foreign is not None  # too deep for anything to stay there
    assert foreign.layer.rgb.mean(axis=0) == pytest.approx(PAINT.substrate, rel=0.05)


def test_everything_visible_of_a_cut_is_near_its_mask() -> None:
    for seed in range(8):
        rng = np.random.default_rng(seed)
        damages = [
            line_scratch(rng, (0.0, 0.0), view=VIEW, paint=PAINT, length_mm=12, width_mm=0.05, lines=3),
            scuff(rng, (0.0, 0.0), view=VIEW, paint=PAINT, length_mm=15),
            *chips(rng, (0.0, 0.0), view=VIEW, paint=PAINT, count=3, spread_mm=4, scale=1.0),
        ]
        for damage in damages:
            if damage is None or damage.cut is None:
                continue
            from scipy.ndimage import binary_dilation

            mask = np.zeros((200, 300), bool)
            mask.ravel()[damage.cut.mask_pixels] = True
            seen = np.zeros((200, 300), bool)
            layer = damage.cut.layer
            seen.ravel()[layer.pixels[layer.alpha > 0.02]] = True
            assert not (seen & ~binary_dilation(mask, np.ones((7, 7)))).any(), damage.sort


def test_a_scrape_touches_about_the_share_asked_for_and_frays() -> None:
    rng = np.random.default_rng(5)
    path = random_path(rng, (0.0, 0.0), length_mm=40, step_mm=0.05, angle=0.0)
    sparse, dense = (
        scrape(np.random.default_rng(7), path, width_mm=10, depth_um=80, fine_mm=0.3, density=d, sample_mm=0.05)
        for d in (0.1, 0.7)
    )
    assert 0 < sparse.x.size < dense.x.size < 40 * 10 / 0.05**2
    assert dense.depth_um.min() > 0 and dense.depth_um.max() <= 80
    several = [
        scrape(np.random.default_rng(n), path, width_mm=10, depth_um=80, fine_mm=0.3, density=0.4, sample_mm=0.1)
        for n in range(12)
    ]
    x = np.abs(np.concatenate([s.x for s in several]))
    assert (x > 19).sum() < 0.7 * (x < 1).sum()  # fewer towards the ends


def test_damage_outside_the_picture_is_none() -> None:
    rng = np.random.default_rng(0)
    assert line_scratch(rng, (900.0, 0.0), view=VIEW, paint=PAINT, length_mm=5, width_mm=0.3) is None
    assert scuff(rng, (900.0, 0.0), view=VIEW, paint=PAINT, length_mm=20) is None
