from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from surfacedefect.errors import OptionError
from surfacedefect.synthetic.camera import Camera, encode_jpeg, jpeg_round_trip
from surfacedefect.synthetic.demosaic import demosaic
from surfacedefect.synthetic.geometry import Float

PLAIN = Camera(
    gain=np.ones(3, np.float32), focus_blur_px=0.5, defocus_px_per_mm=0.0, focus_mm=0.0, motion_px=(0.0, 0.0),
    vignetting=0.0, read_noise=0.0, shot_noise=0.0, bayer=False, contrast=0.0, saturation=1.0, sharpening=0.0,
    denoise=0.0,
)  # fmt: skip
PHONE = replace(
    PLAIN, gain=np.asarray([1.1, 1.0, 0.95], np.float32), focus_blur_px=0.7, defocus_px_per_mm=0.05, focus_mm=5.0,
    vignetting=0.25, read_noise=0.003, shot_noise=0.02, bayer=True, contrast=0.3, saturation=1.1, sharpening=0.6,
    denoise=0.7,
)  # fmt: skip
CAMERAS = {
    "plain": PLAIN,
    "phone": PHONE,
    "shaken": replace(PHONE, motion_px=(1.3, -3.4)),
    "in focus": replace(PHONE, defocus_px_per_mm=0.0),
    "line scanner": replace(PHONE, bayer=False, denoise=0.0),
    "no development": replace(PHONE, denoise=0.0, sharpening=0.0, saturation=1.0),
    "far out of focus": replace(PHONE, defocus_px_per_mm=0.5),
    "headroom and grain": replace(PHONE, headroom=1.5, grain=0.5),
    "calm line scanner": replace(PHONE, bayer=False, denoise=0.3),
}


def scene(height: int, width: int) -> tuple[Float, Float]:
    rng = np.random.default_rng(3)
    light = np.empty((height, width, 3), np.float32)
    light[:] = np.linspace(0.02, 0.7, width, dtype=np.float32)[None, :, None]
    light *= rng.uniform(0.7, 1.3, light.shape).astype(np.float32)
    light[height // 3, :, :] = 0.9
    depth = np.linspace(-40, 40, height, dtype=np.float32)[:, None] + np.linspace(-9, 9, width, dtype=np.float32)
    return light, depth


def expose(camera: Camera, light: Float, depth: Float | None = None, *, seed: int = 0) -> NDArray[np.uint8]:
    noise = camera.noise_rows(np.random.default_rng(seed), *light.shape[:2])
    return camera.expose(light, noise, depth=depth, first_row=0, height=light.shape[0])


def linear(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    v = picture / 255.0
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)


@pytest.mark.parametrize("name", CAMERAS)
@pytest.mark.parametrize("band", [7, 16, 33])
@pytest.mark.parametrize("with_depth", [False, True])
def test_bands_join_to_the_whole_picture_bit_for_bit(name: str, band: int, with_depth: bool) -> None:
    camera, (light, depth) = CAMERAS[name], scene(91, 45)
    whole = expose(camera, light, depth if with_depth else None)
    rng = np.random.default_rng(0)
    noise = np.concatenate([camera.noise_rows(rng, min(band, 91 - top), 45) for top in range(0, 91, band)])
    joined = []
    for top in range(0, 91, band):
        first, last = max(0, top - camera.margin_px), min(91, top + band + camera.margin_px)
        part = camera.expose(
            light[first:last],
            noise[first:last],
            depth=depth[first:last] if with_depth else None,
            first_row=first,
            height=91,
        )
        joined.append(part[top - first : top - first + band])
    np.testing.assert_array_equal(np.concatenate(joined), whole)


@pytest.mark.parametrize("name", CAMERAS)
@pytest.mark.parametrize("row", [40, 41])
def test_a_pixel_reaches_no_further_than_the_margin(name: str, row: int) -> None:
    camera, (light, depth) = CAMERAS[name], scene(81, 81)
    before = expose(camera, light, depth)
    for value in (0.0, 5.0):
        changed = light.copy()
        changed[row, 40] = value
        rows, cols = np.nonzero((expose(camera, changed, depth) != before).any(axis=-1))
        assert rows.size
        assert max(abs(rows - row).max(), abs(cols - 40).max()) <= camera.margin_px


def test_the_margin_stays_small_and_shrinks_with_the_depths_of_the_scene() -> None:
    assert PLAIN.margin_px == 2
    still = replace(PHONE, defocus_px_per_mm=0.0)
    assert still.margin_px == 2 + (3 + 6) + 2 + 2  # lens, mosaic and its colours, denoising, sharpening
    assert replace(still, denoise=0.0).margin_px == 2 + 3 + 2
    assert PHONE.at_depths(4.0, 6.0).margin_px == 15
    assert PHONE.margin_px == PHONE.at_depths(-1e3, 1e3).margin_px == 20


@pytest.mark.parametrize("look", ["any", "scanner", "phone"])
def test_same_generator_state_gives_the_same_camera_and_bytes(look: str) -> None:
    light, depth = scene(40, 40)
    cameras = [Camera.random(np.random.default_rng(5), light[::8, ::8], look=look) for _ in range(2)]
    pictures = [expose(camera, light, depth) for camera in cameras]
    np.testing.assert_array_equal(*pictures)
    assert pictures[0].dtype == np.uint8 and pictures[0].shape == light.shape


def test_looks_differ_as_they_should() -> None:
    light, _ = scene(40, 40)
    drawn = {
        look: [Camera.random(np.random.default_rng(s), light, look=look) for s in range(60)]
        for look in ("scanner", "phone")
    }
    assert not any(camera.motion_px != (0, 0) for camera in drawn["scanner"])
    assert 0 < sum(camera.motion_px != (0, 0) for camera in drawn["phone"]) < 25
    for name in ("shot_noise", "sharpening", "denoise"):
        scanner, phone = (np.mean([getattr(camera, name) for camera in drawn[look]]) for look in drawn)
        assert phone > 1.5 * scanner


def developed(light: Float, *, look: str = "any", count: int = 40) -> NDArray[np.float64]:
    """Grey levels, (count, h, w), of the same light before as many random cameras."""
    rng = np.random.default_rng(0)
    cameras = [Camera.random(rng, light, look=look) for _ in range(count)]
    return np.stack([expose(camera, light).mean(axis=-1) for camera in cameras])


def flat(level: float) -> Float:
    return np.full((16, 16, 3), level, np.float32)


def test_exposure_keeps_dark_cars_dark_and_white_cars_below_clipping() -> None:
    black, grey, white = (np.median(developed(flat(level)), axis=(1, 2)) for level in (0.012, 0.2, 0.6))
    assert 20 < np.median(black) < 50
    assert 110 < np.median(grey) < 165
    assert 185 < np.median(white) < 225 and np.quantile(white, 0.95) < 240


def test_exposures_err_by_up_to_half_a_stop() -> None:
    rng = np.random.default_rng(0)
    gains = np.asarray([Camera.random(rng, flat(0.1)).gain.mean() for _ in range(200)])
    stops = np.log2(gains / np.median(gains))
    assert 0.15 < stops.std() < 0.35 and np.abs(stops).max() < 0.65


@pytest.mark.parametrize("look", ["scanner", "phone"])
def test_lamps_in_black_paint_reach_white_and_the_paint_stays_black(look: str) -> None:
    light = flat(0.012)
    light[6:8] = 0.04 * 30
    levels = developed(light, look=look)
    assert np.median(levels[:, 6:8].max(axis=(1, 2))) > 225
    assert 15 < np.median(levels) < 55


@pytest.mark.parametrize("strength", [0.02, 0.3, 1.0, 10.0, 100.0])
@pytest.mark.parametrize("look", ["scanner", "phone"])
def test_no_light_gives_a_black_or_a_blown_out_picture(strength: float, look: str) -> None:
    ramp = np.linspace(0.1, 0.9, 40, dtype=np.float32)[:, None, None] * np.ones((40, 40, 3), np.float32)
    levels = np.median(developed(ramp * np.float32(strength), look=look), axis=(1, 2))
    assert levels.min() > 20 and levels.max() < 240


def test_black_preview_is_no_error() -> None:
    assert np.isfinite(Camera.random(np.random.default_rng(0), flat(0.0)).gain).all()


def test_tone_is_srgb_without_contrast_and_darker_below_the_middle_with_it() -> None:
    light = np.full((8, 8, 3), 0.2, np.float32)
    assert np.unique(expose(PLAIN, light)) == [124]  # IEC 61966-2-1: 0.4845
    assert expose(replace(PLAIN, contrast=0.5), light).max() < 124
    assert expose(replace(PLAIN, contrast=0.5), light + np.float32(0.4)).min() > expose(PLAIN, light + 0.4).max()


def test_headroom_bends_towards_clipping_and_leaves_the_middle() -> None:
    ramp = np.broadcast_to(np.linspace(0, 1.6, 64, dtype=np.float32)[None, :, None], (8, 64, 3)).copy()
    hard, soft = (expose(replace(PLAIN, headroom=level), ramp)[4, :, 0].astype(int) for level in (1.0, 1.6))
    dark = ramp[0, :, 0] < 0.5
    assert np.abs(hard - soft)[dark].max() <= 1
    assert (soft <= hard + 1).all() and soft[-3] > 250
    assert (np.diff(soft) >= 0).all() and (soft == 255).sum() < (hard == 255).sum() / 2


@pytest.mark.parametrize("level", [0.4, 3.0])
def test_grain_is_left_where_the_sensor_clips(level: float) -> None:
    light = np.full((64, 64, 3), level, np.float32)
    assert np.unique(expose(PLAIN, light)).size == 1
    assert np.unique(expose(replace(PLAIN, grain=0.5), light)).size >= 2


def test_sigma_is_the_noise_of_the_sensor() -> None:
    camera = replace(PLAIN, read_noise=0.01, shot_noise=0.05)
    for level in (0.1, 0.4):
        picture = expose(camera, np.full((128, 128, 3), level, np.float32))
        expected = float(camera.sigma(np.asarray([level], np.float32))[0])
        assert expected == pytest.approx(np.hypot(0.01, 0.05 * level**0.5), rel=1e-5)
        assert linear(picture).std() == pytest.approx(expected, rel=0.03)


def test_mosaic_makes_noise_blotchy_and_denoising_reduces_it() -> None:
    light = np.full((128, 128, 3), 0.3, np.float32)
    still = replace(PHONE, gain=np.ones(3, np.float32), vignetting=0.0, sharpening=0.0, denoise=0.0)
    raw = expose(still, light).astype(float).mean(axis=-1)
    raw -= raw.mean()
    assert (raw[:, 1:] * raw[:, :-1]).mean() > 0.15 * raw.var()
    assert expose(replace(still, denoise=0.8), light).std() < 0.6 * expose(still, light).std()


@pytest.mark.parametrize("bayer", [True, False])
def test_denoising_takes_the_colour_of_the_noise_first(bayer: bool) -> None:
    light = np.full((128, 128, 3), 0.05, np.float32) * np.float32([3, 1, 1])
    camera = replace(PHONE, bayer=bayer, vignetting=0.0, sharpening=0.0, saturation=1.0, denoise=0.4)

    def spread(picture: NDArray[np.uint8]) -> tuple[float, float]:
        p = linear(picture)  # the tone curve makes colour of grey noise
        return float((p[..., 0] - p[..., 1]).std()), float(p[..., 1].std())

    (colour, grey), (raw_colour, raw_grey) = (spread(expose(c, light)) for c in (camera, replace(camera, denoise=0.0)))
    assert colour < 0.45 * raw_colour and colour / raw_colour < 0.8 * grey / raw_grey


def test_sharpening_leaves_a_thin_halo() -> None:
    light = np.full((32, 64, 3), 0.1, np.float32)
    light[:, 32:] = 0.5
    soft = replace(PHONE, vignetting=0.0, read_noise=0.0, shot_noise=0.0, denoise=0.0, sharpening=0.0)
    sharp, plain = (expose(replace(soft, sharpening=amount), light)[16].mean(axis=-1) for amount in (1.0, 0.0))
    assert sharp[:32].min() < plain[:20].mean() - 4 and sharp[32:].max() > plain[44:].mean() + 4
    far = [*range(26), *range(38, 64)]
    np.testing.assert_allclose(sharp[far], plain[far], atol=1)


def test_denoising_leaves_strong_lines() -> None:
    light = np.full((32, 32, 3), 0.1, np.float32)
    light[16] = 0.8
    with_it, without = expose(PHONE, light), expose(replace(PHONE, denoise=0.0), light)
    contrast = [picture[16].mean() - picture[8].mean() for picture in (with_it, without)]
    assert contrast[0] > 0.93 * contrast[1]


@pytest.mark.parametrize("sigma", [0.3, 0.5, 0.8, 1.2])
def test_blur_spreads_a_point_as_asked_and_keeps_its_light(sigma: float) -> None:
    light = np.zeros((31, 31, 1), np.float32)
    light[15, 15] = 1
    out = replace(PLAIN, focus_blur_px=sigma).blur(light, None)[..., 0].astype(float)
    place = np.arange(31) - 15
    assert out.sum() == pytest.approx(1, abs=1e-5)
    assert (out.sum(axis=1) * place**2).sum() == pytest.approx(sigma**2, rel=0.1)
    np.testing.assert_allclose(out, out.T, atol=1e-7)


@pytest.mark.parametrize("mm", [0.0, 10.0, 20.0, 30.0])
def test_defocus_grows_with_the_distance_from_the_plane_in_focus(mm: float) -> None:
    camera = replace(PLAIN, focus_blur_px=0.6, defocus_px_per_mm=0.06, focus_mm=-20.0)
    light = np.zeros((41, 41, 2), np.float32)
    light[20, 20] = 1
    out = camera.blur(light, np.full((41, 41), -20 + mm, np.float32))[..., 1].astype(float)
    variance = (out.sum(axis=1) * (np.arange(41) - 20) ** 2).sum()
    assert out.sum() == pytest.approx(1, abs=1e-4)
    assert variance == pytest.approx(0.36 + (0.06 * mm) ** 2, rel=0.06, abs=0.05)


def test_motion_smears_along_its_way_only() -> None:
    light = np.zeros((21, 21, 1), np.float32)
    light[10, 10] = 1
    still = PLAIN.blur(light, None)[..., 0]
    smeared = replace(PLAIN, motion_px=(4.0, 0.0)).blur(light, None)[..., 0]
    assert smeared.sum() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(smeared.sum(axis=1), still.sum(axis=1), atol=1e-6)
    place = np.arange(21) - 10
    assert (smeared.sum(axis=0) * place**2).sum() > 1.0
    assert (smeared.sum(axis=0) * place).sum() == pytest.approx(0, abs=1e-5)


def test_vignetting_darkens_the_corners() -> None:
    light = np.full((60, 80, 3), 0.5, np.float32)
    level = linear(expose(replace(PLAIN, vignetting=0.3), light))[..., 0]
    assert level[0, 0] == pytest.approx(0.35, rel=0.05)
    assert level[30, 40] == pytest.approx(0.5, rel=0.02)


@pytest.mark.parametrize("odd", [0, 1])
@pytest.mark.parametrize("size", [(16, 16), (15, 17)])
def test_demosaicking_keeps_gradients_exactly(odd: int, size: tuple[int, int]) -> None:
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
    colours = np.stack([base + np.float32(0.01) * x + np.float32(0.02) * y for base in (0.1, 0.3, 0.5)])
    place = ((y.astype(int) + odd) % 2) + (x.astype(int) % 2)
    mosaic = np.take_along_axis(colours, place[None], axis=0)[0]
    np.testing.assert_allclose(demosaic(mosaic, odd)[:, 5:-5, 5:-5], colours[:, 5:-5, 5:-5], atol=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 3), (5, 1)])
def test_tiny_pictures_work(size: tuple[int, int]) -> None:
    light = np.full((*size, 3), 0.3, np.float32)
    for camera in CAMERAS.values():
        assert expose(camera, light, np.zeros(size, np.float32)).shape == light.shape


def test_inputs_stay_as_they_are() -> None:
    light, depth = scene(40, 40)
    noise = PHONE.noise_rows(np.random.default_rng(0), 40, 40)
    before = light.copy(), noise.copy(), depth.copy()
    PHONE.expose(light, noise, depth=depth, first_row=0, height=40)
    for a, b in zip(before, (light, noise, depth), strict=True):
        np.testing.assert_array_equal(a, b)


def test_jpeg_round_trip_is_close_and_of_the_same_size() -> None:
    picture = expose(PHONE, np.full((40, 50, 3), 0.3, np.float32))
    again = jpeg_round_trip(picture, 95)
    assert again.shape == picture.shape and again.dtype == np.uint8
    assert np.abs(again.astype(int) - picture).mean() < 3


def test_jpeg_round_trip_reads_what_encode_jpeg_writes() -> None:
    picture = expose(PHONE, scene(40, 50)[0])
    data = encode_jpeg(picture, 80)
    with Image.open(io.BytesIO(data)) as file:
        assert file.format == "JPEG" and file.size == (50, 40)
        np.testing.assert_array_equal(np.asarray(file), jpeg_round_trip(picture, 80))
    assert len(encode_jpeg(picture, 40)) < len(data)


def test_wrong_options_say_what_to_do() -> None:
    light, _ = scene(16, 16)
    with pytest.raises(OptionError, match="'polaroid'.*'scanner'"):
        Camera.random(np.random.default_rng(0), light, look="polaroid")
    with pytest.raises(OptionError, match="noise_rows"):
        PHONE.expose(light, np.zeros(light.shape, np.float32), depth=None, first_row=0, height=16)
