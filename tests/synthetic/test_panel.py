"""Panel and dents: slopes are the height's derivatives, dents end where their mask ends."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from surfacedefect.synthetic.dents import DentSort, pressed, random_dent
from surfacedefect.synthetic.geometry import View
from surfacedefect.synthetic.panel import random_panel
from surfacedefect.synthetic.waves import Waves


@pytest.mark.parametrize("seed", range(6))
def test_panel_slopes_are_the_gradient_of_its_height(seed: int) -> None:
    panel = random_panel(np.random.default_rng(seed), 60.0, mm_per_px=0.2)
    view = View.looking((160, 120), mm_per_px=0.2, distance_mm=1000.0)
    rows = slice(0, 120)
    slope_x, slope_y = panel.slopes(*view.grid(rows), view.rulers(rows))
    x, y = view.rulers(rows)
    step = 0.02
    wide, tall = (
        (panel.height_mm(x + d, y).astype(float) for d in (step, -step)),
        (panel.height_mm(x, y + d) for d in (step, -step)),
    )
    ahead, behind = wide
    below, above = tall
    assert slope_x == pytest.approx((ahead - behind) / (2 * step), abs=2e-3)
    assert slope_y == pytest.approx((below - above) / (2 * step), abs=2e-3)


def test_waves_too_short_for_the_pixels_are_left_out() -> None:
    panel = random_panel(np.random.default_rng(0), 500.0, mm_per_px=1.0)
    lengths = 2 * np.pi / np.hypot(panel.peel.kx, panel.peel.ky)
    assert lengths.min() >= 2.4


@pytest.mark.parametrize("sort", ["ding", "round dent", "crease dent", "hail dent"])
def test_dents_end_inside_their_piece_of_the_picture(sort: DentSort) -> None:
    view = View.looking((900, 900), mm_per_px=0.5, distance_mm=2000.0, tilt=0.3, towards=1.0)
    for seed in range(25):
        dent = random_dent(np.random.default_rng(seed), (0.0, 0.0), sort=sort, scale=1.0)
        bump = pressed([dent], view)
        assert bump is not None and bump.mask.any()
        border = np.ones_like(bump.mask)
        border[1:-1, 1:-1] = False
        height, width = bump.mask.shape
        if bump.top > 0 and bump.left > 0 and bump.top + height < 900 and bump.left + width < 900:
            assert not (bump.mask & border).any()
        # no kink where it ends
        x, y = view.grid(*bump.region)
        near_end = bump.mask & (np.abs(dent.height_mm(x, y)) < 1e-3 * abs(dent.depth_mm))
        assert (
            np.hypot(bump.slope_x, bump.slope_y)[near_end].max(initial=0)
            < 0.25 * np.hypot(bump.slope_x, bump.slope_y).max()
        )


def test_dent_slopes_integrate_to_its_depth() -> None:
    view = View.looking((600, 600), mm_per_px=0.1, distance_mm=10_000.0)
    dent = random_dent(np.random.default_rng(3), (0.0, 0.0), sort="ding", scale=1.0)
    dent = replace(dent, rim=0.0, fold=0.0)
    bump = pressed([dent], view)
    assert bump is not None
    x, y = view.grid(*bump.region)
    along = np.cumsum(bump.slope_x, axis=1) * 0.1
    middle = int(np.argmin(np.abs(y[:, 0])))
    assert along[middle].min() == pytest.approx(dent.height_mm(x, y)[middle].min(), rel=0.05)
    assert abs(along[middle, -1]) < 0.05 * abs(along[middle]).max()


def test_dent_outside_the_picture_is_none() -> None:
    view = View.looking((64, 64), mm_per_px=0.1, distance_mm=1000.0)
    assert pressed([random_dent(np.random.default_rng(1), (500.0, 0.0), sort="hail dent", scale=1.0)], view) is None


def test_waves_do_not_depend_on_the_band_of_rows() -> None:
    waves = Waves.random(np.random.default_rng(0), count=28, shortest=0.6, longest=12)
    x, y = np.arange(300, dtype=np.float32) * 0.2, np.arange(90, dtype=np.float32) * 0.2
    whole = waves.slopes(x, y)
    for rows in (1, 7, 8, 33):
        bands = [waves.slopes(x, y[top : top + rows]) for top in range(0, 90, rows)]
        assert all(np.array_equal(np.concatenate([b[k] for b in bands]), whole[k]) for k in (0, 1))
