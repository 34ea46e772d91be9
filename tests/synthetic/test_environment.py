"""What a panel mirrors: one place whatever part of it is painted, upright, bright where it should be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from surfacedefect.errors import OptionError
from surfacedefect.synthetic.geometry import Float
from surfacedefect.synthetic.places.environment import (
    BENCHMARK_PLACES,
    JUMBLE,
    TRAINING_PLACES,
    Environment,
    Sun,
    random_environment,
)
from surfacedefect.synthetic.places.environments import BUILDERS

ALL = (*TRAINING_PLACES, *BENCHMARK_PLACES, JUMBLE)
DOOR = (0.0, -1.0, 0.0)
BONNET = (0.0, -0.5, 0.75**0.5)


def paint(place: str, seed: int = 0, **options: Any) -> Environment:
    settings: dict[str, Any] = {"up": DOOR, "size": 96, **options}
    return random_environment(np.random.default_rng(seed), places=(place,), **settings)


def grid(centre: tuple[float, float], half: float, size: int) -> tuple[Float, Float]:
    ruler = ((np.arange(size) + 0.5) / size * 2 - 1) * half
    rx, ry = np.meshgrid(ruler + centre[0], ruler + centre[1])
    return rx.astype(np.float32), ry.astype(np.float32)


@pytest.mark.parametrize("place", ALL)
@pytest.mark.parametrize("up", [DOOR, BONNET, (0.0, 0.0, 1.0), (0.6, -0.8, 0.0), (1.0, 0.0, 0.0)])
def test_every_place_is_light_on_every_panel(place: str, up: tuple[float, float, float]) -> None:
    around = paint(place, 3, up=up)
    assert around.place == place
    assert around.texture.shape == (96, 96, 6)  # the whole hemisphere needs more, so it is what was asked for
    assert around.texture.dtype == np.float32
    assert np.isfinite(around.texture).all()
    assert around.texture.min() >= 0
    assert around.texture.max() <= 100
    assert around.texture[..., :3].std() > 0.01
    assert around.even.shape == (3,)
    assert 0.02 < around.even.mean() < 8


def test_the_same_state_gives_the_same_bytes() -> None:
    one, two, other = paint("street", 5), paint("street", 5), paint("street", 6)
    assert one.texture.tobytes() == two.texture.tobytes()
    assert one.texture.tobytes() != other.texture.tobytes()


def test_places_are_drawn_from_those_asked_for() -> None:
    rng = np.random.default_rng(0)
    seen = {random_environment(rng, places=("studio", "garage"), up=DOOR, size=16).place for _ in range(12)}
    assert seen == {"studio", "garage"}


@pytest.mark.parametrize("place", ALL)
@pytest.mark.parametrize("up", [DOOR, BONNET])
def test_zooming_in_shows_the_same_place(place: str, up: tuple[float, float, float]) -> None:
    centre, half = (0.1, -0.15), 0.3
    whole, part = paint(place, 2, up=up, size=384), paint(place, 2, up=up, size=192, centre=centre, half=half)
    seen, closer = (e.lookup(*grid(centre, half, 192)) for e in (whole, part))
    # averages over 16 x 16 texels: finer detail may differ at edges
    seen, closer = (a.reshape(12, 16, 12, 16, 6).mean(axis=(1, 3)).clip(0, 1.5) for a in (seen, closer))
    assert np.abs(seen[..., :3] - closer[..., :3]).mean() < 0.04
    assert np.abs(seen[..., 3:] - closer[..., 3:]).max() < 0.04
    assert np.array_equal(whole.even, part.even)


def test_the_generator_ends_in_the_same_state_whatever_part_is_painted() -> None:
    one, two = np.random.default_rng(4), np.random.default_rng(4)
    random_environment(one, places=ALL, up=DOOR, size=32)
    random_environment(two, places=ALL, up=DOOR, size=64, centre=(0.3, 0.2), half=0.1)
    assert one.random() == two.random()


@pytest.mark.parametrize("up", [DOOR, (0.6, -0.8, 0.0), (0.0, -0.5, 0.75**0.5)])
def test_the_sky_is_up(up: tuple[float, float, float]) -> None:
    for seed in range(4):
        around = paint("overcast", seed, up=up)
        rx, ry = grid((0, 0), 1, 96)
        rz = np.sqrt(np.maximum(0, 1 - rx**2 - ry**2))
        altitude = rx * up[0] + ry * up[1] + rz * up[2]
        inside = rx**2 + ry**2 < 1
        sky = around.texture[inside & (altitude > 0.75)][:, :3]
        ground = around.texture[inside & (altitude < -0.1)][:, :3]
        assert 0.5 < np.median(sky) < 4
        assert ground.size == 0 or np.median(ground) < 0.5 * np.median(sky)


def test_past_the_rim_the_rim_goes_on() -> None:
    around = paint("street", 1, size=256)
    angle = np.linspace(0, 2 * np.pi, 200, dtype=np.float32)
    rim, beyond = (
        around.lookup(np.cos(angle)[None] * r, np.sin(angle)[None] * r) for r in np.asarray([0.985, 1.05], np.float32)
    )
    assert np.median(np.abs(rim - beyond)) < 0.05


def test_lookup_gives_texels_back_and_clips_at_the_border() -> None:
    around = paint("garage", 1, size=64, centre=(0.2, 0.1), half=0.4)
    rx, ry = grid((0.2, 0.1), 0.4, 64)
    assert np.allclose(around.lookup(rx, ry), around.texture, atol=0.02)
    far = around.lookup(np.full((1, 2), -5, np.float32), np.full((1, 2), 5, np.float32))
    assert np.allclose(far, around.texture[-1, 0], atol=0.02)


def test_lookup_does_not_depend_on_how_the_directions_are_cut() -> None:
    around = paint("street", 2)
    rx, ry = grid((0, 0), 0.7, 200)
    whole = around.lookup(rx, ry)
    bands = [around.lookup(rx[k : k + 7], ry[k : k + 7]) for k in range(0, 200, 7)]
    assert np.array_equal(whole, np.concatenate(bands))
    few = np.arange(0, rx.size, 37)
    assert np.array_equal(whole.reshape(-1, 6)[few], around.lookup(rx.ravel()[few], ry.ravel()[few]))


def test_lookup_is_bilinear() -> None:
    texture = np.zeros((8, 8, 6), np.float32)
    texture[:] = (np.arange(8, dtype=np.float32)[None] + 10 * np.arange(8, dtype=np.float32)[:, None])[..., None]
    around = Environment("street", texture, (0.0, 0.0), 1.0, np.ones(3, np.float32), np.zeros((2, 3), np.float32), None)
    rx, ry = np.asarray([[0.0, 0.25]], np.float32), np.asarray([[0.0, 0.5]], np.float32)
    assert np.allclose(around.lookup(rx, ry)[0, :, 0], [38.5, 59.5])


def test_the_sun_is_where_it_is_painted() -> None:
    found = 0
    for seed in range(60):
        around = paint("sunny", seed, size=384)
        assert isinstance(around.sun, Sun)
        x, y, z = around.sun.direction
        assert np.isclose(x * x + y * y + z * z, 1)
        assert y < 0  # above the horizon
        assert 1 <= around.sun.irradiance.max() <= 4.2
        if z > 0.3:
            peak = around.lookup(np.asarray([[x]], np.float32), np.asarray([[y]], np.float32))[0, 0, :3].max()
            found += peak > 10
    assert found >= 5


def test_places_without_sun_have_none() -> None:
    for place in ("overcast", "garage", "studio", "light tunnel"):
        assert paint(place).sun is None


def test_the_wide_lobe_is_smooth_and_as_bright_as_the_mirror_image() -> None:
    around = paint("garage", 2, size=128)
    sharp, wide = around.texture[..., :3], around.texture[..., 3:]
    assert np.abs(np.diff(wide, axis=0)).max() < 0.1 * max(1.0, float(np.ptp(wide)))
    assert wide.std() < sharp.std()
    assert 0.5 < wide[24:104, 24:104].mean() / sharp[24:104, 24:104].mean() < 2


def test_the_wide_lobe_of_an_upright_panel_is_brighter_above_than_below() -> None:
    share = []
    for place in ("overcast", "garage", "studio"):
        for seed in range(8):
            wide = paint(place, seed).texture[..., 3:].mean(axis=-1)
            share.append(wide[20, 48] / wide[76, 48])
    assert np.median(share) > 2


def test_lamps_are_far_brighter_than_walls() -> None:
    ceiling = [paint("garage", seed, size=256, up=BONNET).texture[..., :3].mean(axis=-1) for seed in range(12)]
    assert np.median([light.max() / np.median(light) for light in ceiling]) > 20
    tunnel = paint("light tunnel", 0, size=256)
    assert 5 < tunnel.texture[..., :3].max() < 30


def test_dark_things_have_no_8_bit_steps() -> None:
    light = paint("studio", 1, size=256).texture[..., 0]
    dark = light[light < 0.2]
    assert np.unique(dark).size > 0.9 * dark.size > 1000


def test_somebody_stands_there_now_and_then() -> None:
    with_figure = [not all(BUILDERS["street"](np.random.default_rng(seed), 0.0).turned) for seed in range(150)]
    assert 0.07 < np.mean(with_figure) < 0.25


def test_more_colours_than_inks_are_merged() -> None:
    scene = BUILDERS["studio"](np.random.default_rng(0), 0.0)
    rng = np.random.default_rng(1)
    colours = rng.uniform(0.01, 3, (600, 3))
    scene.add(rng.normal(0, 1, (600, 4, 3)), colours)
    ink, table = scene.inks()
    assert ink.min() >= 1
    assert ink.max() <= 255
    assert np.abs(np.log(table[ink[-600:], :3] / colours)).mean() < 0.5


@pytest.mark.parametrize("places", [(), ("moon",), ("street", "moon")])
def test_unknown_places_are_refused(places: tuple[str, ...]) -> None:
    with pytest.raises(OptionError, match="choose one or more"):
        random_environment(np.random.default_rng(0), places=places, up=DOOR)


@pytest.mark.parametrize("options", [{"half": 0.0}, {"size": 1}, {"half": float("nan")}])
def test_sizes_are_checked(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match="half"):
        paint("street", **options)


def test_a_jumble_has_shapes_everywhere_and_no_two_are_alike() -> None:
    one, two = (paint(JUMBLE, seed, size=128).texture[..., :3].mean(axis=-1) for seed in (1, 2))
    assert abs(np.corrcoef(one.ravel(), two.ravel())[0, 1]) < 0.3
    quarters = [part for row in np.split(one, 2) for part in np.split(row, 2, axis=1)]
    edges = [np.abs(np.diff(np.log(part + 0.01), axis=1)) > 0.1 for part in quarters]
    assert min(edge.mean() for edge in edges) > 0.02, "some edge in each quarter"


def test_benchmark_places_are_not_for_training() -> None:
    assert not set(TRAINING_PLACES) & set(BENCHMARK_PLACES)
