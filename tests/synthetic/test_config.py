"""Configs, presets and the frozen benchmark."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from surfacedefect.errors import OptionError
from surfacedefect.synthetic.config import FIRST_BENCHMARK_SEED, PLACES, SyntheticConfig
from surfacedefect.synthetic.fringe import Fringe
from surfacedefect.synthetic.paints import BENCHMARK_PAINTS, TRAINING_PAINTS
from surfacedefect.synthetic.places.environment import BENCHMARK_PLACES, JUMBLE, TRAINING_PLACES
from surfacedefect.synthetic.presets import PRESETS, preset
from surfacedefect.synthetic.scene import random_scene, stream

NAN = float("nan")


@pytest.mark.parametrize(
    ("name", "value"),
    [("width", 10), ("width", 100.0), ("height", 10**6), ("mm_per_px", 0), ("mm_per_px", NAN), ("mm_per_px", "0.1"),
     ("dents", (2, 1)), ("scratches", (-1, 2)), ("scratches", 3), ("scuffs", (0, 1, 2)), ("hail", (0.5, 2)),
     ("chips", (0, 10**6)), ("paint", "pink"), ("place", "moon"), ("materials", "mine"), ("camera", "film"),
     ("jpeg_quality", 5), ("jpeg_quality", 92.5), ("jpeg_quality", "92"),
     ("lookalikes", 2), ("damage_scale", 0), ("scratch_width_mm", (0, 1)), ("hairlines", -0.1),
     ("scratch_length_mm", (20.0, 10.0)), ("tilt_degrees", (0.0, 90.0)), ("distance_mm", 10), ("fringe", True),
     ("groups", True)],
)  # fmt: skip
def test_bad_config_values_are_named(name: str, value: object) -> None:
    with pytest.raises(OptionError, match=f"{name}.* is .*expected"):
        SyntheticConfig(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value"),
    [("period_mm", 0), ("daylight", -1), ("daylight", NAN), ("contrast", 2), ("pattern", "dots"), ("distance_mm", 1),
     ("size_mm", (0, 10)), ("size_mm", 3), ("period_mm", None)],
)  # fmt: skip
def test_bad_fringe_values_are_named(name: str, value: object) -> None:
    with pytest.raises(OptionError, match=name):
        Fringe(**{name: value})  # type: ignore[arg-type]


def test_scratches_wider_than_can_be_drawn_are_refused() -> None:
    with pytest.raises(OptionError, match="2500 px at 0.02 mm a pixel; expected at most 400 px"):
        SyntheticConfig(mm_per_px=0.02, scratch_width_mm=(1.0, 50.0))


def test_any_sort_of_number_becomes_a_plain_one() -> None:
    config = SyntheticConfig(
        width=np.int64(320), mm_per_px=Fraction(1, 4), scratches=(np.int32(1), np.int64(2)), jpeg_quality=np.uint8(80),  # type: ignore[arg-type]
    )  # fmt: skip
    assert config == SyntheticConfig(width=320, mm_per_px=0.25, scratches=(1, 2), jpeg_quality=80)
    assert type(config.mm_per_px) is float and type(config.scratches[1]) is int and type(config.jpeg_quality) is int


def test_a_camera_that_sees_past_the_panel_is_refused() -> None:
    config = SyntheticConfig(width=480, height=400, tilt_degrees=(75.0, 75.0), distance_mm=200.0, mm_per_px=1.0)
    with pytest.raises(OptionError, match="sees past the panel.*tilt_degrees"):
        random_scene(7, config, environment_size=64)


def test_unknown_preset_is_named_with_the_known_ones() -> None:
    with pytest.raises(OptionError, match="preset is 'rent'; expected one of rental"):
        preset("rent")
    assert all(isinstance(preset(name), SyntheticConfig) for name in PRESETS)
    assert {"rental", "deflectometry", "hail", "clean", "bench-v1", "bench-v1-fringe"} <= set(PRESETS)


def test_benchmark_materials_are_its_own() -> None:
    assert not set(TRAINING_PAINTS) & set(BENCHMARK_PAINTS) and not set(TRAINING_PLACES) & set(BENCHMARK_PLACES)
    for name in ("bench-v1", "bench-v1-fringe"):
        config = preset(name)
        assert config.paints == BENCHMARK_PAINTS and config.places == BENCHMARK_PLACES
    for name in ("rental", "deflectometry", "hail", "clean"):
        assert preset(name).paints == TRAINING_PAINTS and preset(name).places == TRAINING_PLACES
    assert JUMBLE in PLACES and JUMBLE not in TRAINING_PLACES + BENCHMARK_PLACES, "only where it is asked for"


def test_bench_v1_is_frozen() -> None:
    """A change of this config needs a new version name: results with the old one would be compared with others."""
    frozen = SyntheticConfig(
        width=4096, height=3000, mm_per_px=0.1, scratches=(6, 12), chips=(2, 6), scuffs=(1, 2), dents=(2, 5),
        hail=(0, 0), scratch_length_mm=(10.0, 250.0), scratch_width_mm=(0.05, 1.2), hairlines=0.35, groups=0.2,
        damage_scale=1.0, lookalikes=0.5, paint=None, place=None, materials="benchmark", tilt_degrees=(0.0, 15.0),
        distance_mm=1200.0, fringe=None, camera="scanner", jpeg_quality=None,
    )  # fmt: skip
    assert preset("bench-v1") == frozen
    fringe = Fringe(
        period_mm=24.0, pattern="crossed", distance_mm=1200.0, size_mm=(3000.0, 2400.0), daylight=0.0, contrast=0.9
    )
    assert preset("bench-v1-fringe") == replace(frozen, fringe=fringe)


def test_bench_v1_holds_enough_hairlines_and_twins_show_the_same_damage() -> None:
    thin = scratches = 0
    for seed in range(FIRST_BENCHMARK_SEED, FIRST_BENCHMARK_SEED + 2):
        plain, fringe = (
            random_scene(seed, preset(name), environment_size=64) for name in ("bench-v1", "bench-v1-fringe")
        )
        assert [d.sort for d in plain.damages] == [d.sort for d in fringe.damages]
        for a, b in zip(plain.damages, fringe.damages, strict=True):
            if a.cut is not None and b.cut is not None:
                assert np.array_equal(a.cut.mask_pixels, b.cut.mask_pixels)
        lines = [d for d in plain.damages if d.lines]
        thin += sum(d.width_mm / 0.1 <= 2 for d in lines)
        scratches += len(lines)
    assert thin >= 0.3 * scratches


def test_streams_of_a_seed_are_independent() -> None:
    a, b, c = stream(1, "panel").random(4), stream(1, "paint").random(4), stream(2, "panel").random(4)
    assert len({*a, *b, *c}) == 12 and np.array_equal(a, stream(1, "panel").random(4))


def test_fringes_have_the_period_that_the_mirror_gives_them() -> None:
    # a flat mirror as far from the screen as from the camera shows the period at half its length
    fringe = Fringe(period_mm=20.0, pattern="x", distance_mm=1000.0, contrast=1.0)
    x = np.arange(-30, 30, 0.05, dtype=np.float32)[None]
    y = np.zeros_like(x)
    far = np.sqrt(x * x + 1000.0**2)
    lit, hit = fringe.screen(x, y, x / far, y, 1000.0 / far)
    assert hit.all() and lit.min() < 0.01 and lit.max() > 0.99
    rises = np.flatnonzero((lit[0, :-1] < 0.5) & (lit[0, 1:] >= 0.5))
    assert np.diff(x[0, rises]) == pytest.approx(10.0, abs=0.1)
    missed, none = fringe.screen(x, y, np.full_like(x, 0.99), y, np.full_like(x, 0.14))
    assert not none.any() and not missed.any()
    assert 0 < fringe.spread_light <= 0.5
