"""Whole synthetic scans and training windows: pure functions of a seed and a config."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from surfacedefect._checks import expect, is_whole
from surfacedefect.errors import OptionError
from surfacedefect.synthetic.camera import Camera, jpeg_round_trip
from surfacedefect.synthetic.config import WIDEST_SCRATCH_PX, WINDOWS, SyntheticConfig
from surfacedefect.synthetic.draws import log_uniform
from surfacedefect.synthetic.geometry import Float
from surfacedefect.synthetic.scene import Scene, random_scene, stream
from surfacedefect.synthetic.shading import Shaded, preview, shade
from surfacedefect.synthetic.truth import SyntheticTruth, contrast_of, truth_of

_BAND_PX = 1 << 16  # pixels shaded at once: few enough for the processor's cache
_DEVELOP_PX = 1 << 18  # pixels developed at once: the rows of context around them cost time too
_BALANCED = 0.85  # share, as a power, of the light's colour that the camera corrects
_SCAN_LIGHT, _WINDOW_LIGHT = 768, 256  # texels of the surroundings' picture


@dataclass(frozen=True)
class SyntheticScan:
    """A picture with its truth.

    Attributes
    ----------
    image
        uint8 (H, W, 3), sRGB.
    truth
        What is damaged in it.
    mm_per_px
        Scale in the middle of the picture.
    seed
        What it was drawn from.
    blur_px
        How far, in px, the lens and the camera's development spread the light of one pixel, at most.
    noise
        Standard deviation of the sensor's noise at half of white, in 8-bit grey levels of the linear signal.
    """

    image: NDArray[np.uint8]
    truth: SyntheticTruth
    mm_per_px: float
    seed: int
    blur_px: int
    noise: float


def render_scan(seed: int, config: SyntheticConfig | None = None) -> SyntheticScan:
    """Render a scan of a painted car panel with scratches, scuffs, chips and dents.

    Parameters
    ----------
    seed
        0 to 2**63 - 1; 10**9 and above for demo and benchmark scans. The same seed and config give the same bytes
        on the same machine and library versions, in any process.
    config
        What to show; None is a 4096 x 3000 scan at 0.1 mm a pixel.

    Returns
    -------
    SyntheticScan
        The picture and its truth.

    Raises
    ------
    OptionError
        The seed or the config is out of its range.

    Examples
    --------
    >>> scan = render_scan(10**9, SyntheticConfig(width=320, height=240))
    >>> scan.image.shape, sorted(scan.truth.masks)
    ((240, 320, 3), ['dent', 'scratch'])
    """
    config = _config(config, SyntheticConfig())
    seed = _seed(seed)
    scene = random_scene(seed, config, environment_size=_SCAN_LIGHT)
    return _photograph(scene, seed=seed, config=config)


def render_window(seed: int, *, size: int = 512, config: SyntheticConfig | None = None) -> SyntheticScan:
    """Render a training window: any paint, light, sharpness, tilt and scale; one in four holds look-alikes only.

    Parameters
    ----------
    seed
        As in `render_scan`; below 10**9 for training.
    size
        Side in px, 64 to 2048.
    config
        Ranges to draw from instead of `WINDOWS`; its width, height, mm_per_px, tilt_degrees, distance_mm
        and jpeg_quality are not used: the scale is drawn from 0.08 to 2 mm a pixel, and the rest as widely.

    Returns
    -------
    SyntheticScan
        The picture, size x size, and its truth.

    Raises
    ------
    OptionError
        The seed, the size or the config is out of its range.

    Examples
    --------
    >>> render_window(7, size=128).image.shape
    (128, 128, 3)
    """
    expect(is_whole(size) and 64 <= size <= 2048, "size", size, "a whole number from 64 to 2048 px")
    config, seed = _config(config, WINDOWS), _seed(seed)
    rng = stream(seed, "window")
    mm_per_px = log_uniform(rng, 0.08, 2.0)
    counts = {name: getattr(config, name) for name in ("scratches", "chips", "scuffs", "dents", "hail")}
    if rng.random() < 0.25:
        counts = dict.fromkeys(counts, (0, 0))
    elif counts["scratches"][0] == 0 < counts["scratches"][1] and rng.random() < 0.8:
        counts["scratches"] = (1, counts["scratches"][1])
    # at coarse scales only what is large can be seen
    widest = min(config.scratch_width_mm[1], WIDEST_SCRATCH_PX * mm_per_px)
    thinnest = min(max(config.scratch_width_mm[0], 0.35 * mm_per_px), widest)
    shortest = min(max(config.scratch_length_mm[0], 10 * mm_per_px), config.scratch_length_mm[1])
    config = replace(
        config, width=int(size), height=int(size), mm_per_px=mm_per_px, **counts,
        scratch_width_mm=(thinnest, widest), scratch_length_mm=(shortest, config.scratch_length_mm[1]),
        damage_scale=float(np.clip(config.damage_scale * (mm_per_px / 0.12) ** 0.5, 0.1, 10)),
        tilt_degrees=(0.0, float(rng.choice([10.0, 30.0, 60.0]))),
        distance_mm=float(np.clip(log_uniform(rng, 300, 2500), 2.5 * size * mm_per_px, 20_000)),
        jpeg_quality=int(rng.integers(60, 98)) if rng.random() < 0.8 else None,
    )  # fmt: skip
    scene = random_scene(seed, config, environment_size=_WINDOW_LIGHT)
    return _photograph(scene, seed=seed, config=config)


def _seed(seed: int) -> int:
    expect(is_whole(seed) and 0 <= seed < 2**63, "seed", seed, "a whole number from 0 to 2**63 - 1")
    return int(seed)


def _config(config: SyntheticConfig | None, default: SyntheticConfig) -> SyntheticConfig:
    if config is None:
        return default
    if not isinstance(config, SyntheticConfig):
        raise OptionError(f"config is {type(config).__name__}; expected a SyntheticConfig or None")
    return config


def _photograph(
    scene: Scene,
    *,
    seed: int,
    config: SyntheticConfig,
    camera: Camera | None = None,
    band_px: int = _BAND_PX,
    develop_px: int = _DEVELOP_PX,
) -> SyntheticScan:
    """Shade band by band and develop every row as soon as the rows around it are known."""
    view = scene.view
    if camera is None:
        balance = _white_balance(scene)
        camera = Camera.random(stream(seed, "camera"), preview(scene) * balance, look=config.camera)
        camera = replace(camera, gain=camera.gain * balance)
    corners = np.meshgrid(np.asarray([0, view.width], np.float32), np.asarray([0, view.height], np.float32))
    depths = view.depth(*view.points(*corners))
    camera = camera.at_depths(float(depths.min()), float(depths.max()))
    grain_rng, noise_rng = stream(seed, "grain"), stream(seed, "noise")
    image = np.empty((view.height, view.width, 3), np.uint8)
    contrast = np.zeros((view.height, view.width), np.float16)
    hidden = np.zeros((view.height, view.width), bool)
    held = _Held(camera, view.width)
    done, step = 0, max(8, band_px // view.width)
    for top in range(0, view.height, step):
        rows = slice(top, min(top + step, view.height))
        shape = rows.stop - top, view.width
        shaded = shade(scene, rows, grain_rng.standard_normal(shape, dtype=np.float32) if scene.flake_px else None)
        hidden[rows] = shaded.hidden > 0.5
        held.add(shaded, camera.noise_rows(noise_rng, rows.stop - top, view.width))
        ready = rows.stop if rows.stop == view.height else rows.stop - camera.margin_px
        if (ready - done) * view.width >= develop_px or rows.stop == view.height:
            image[done:ready], contrast[done:ready] = held.develop(done, ready, view.height)
            done = ready
    if config.jpeg_quality is not None:
        image = jpeg_round_trip(image, config.jpeg_quality)
    truth = truth_of(scene.damages, contrast=contrast, hidden=hidden)
    noise = 255 * float(camera.sigma(np.full(1, 0.5, np.float32))[0])
    return SyntheticScan(image, truth, view.mm_per_px, seed, camera.margin_px, noise)


def _white_balance(scene: Scene) -> Float:
    """Gains that take most of the light's own colour away, as a camera's automatic white balance does."""
    environment = scene.lighting.environment
    light = environment.even.astype(np.float64)
    if environment.sun is not None:
        light += environment.sun.irradiance * (max(0.0, environment.sun.direction[2]) / np.pi)
    return np.asarray((light.mean() / light) ** _BALANCED, np.float32)


class _Held:
    """The last shaded rows: as many as the camera's blur still needs."""

    def __init__(self, camera: Camera, width: int) -> None:
        self.camera, self.width, self.first = camera, width, 0
        self.rows: list[tuple[Float, ...]] = []  # light, change by damage, level without it, depth, noise

    def add(self, shaded: Shaded, noise: Float) -> None:
        gain = self.camera.gain
        change = np.zeros((shaded.light.shape[0], self.width, 1), np.float32)
        level = np.zeros(change.shape[:2], np.float32)
        if shaded.hurt.size:
            # the blur carries the change to pixels around: their noise counts too
            for k in range(3):
                level += shaded.light[..., k] * np.float32(gain[k] / 3)
            without = (shaded.undamaged * gain).clip(0, 1)
            difference = (shaded.light.reshape(-1, 3)[shaded.hurt] * gain).clip(0, 1) - without
            strongest = np.abs(difference).argmax(axis=1)
            change.ravel()[shaded.hurt] = difference[np.arange(strongest.size), strongest]
            level.ravel()[shaded.hurt] = without.mean(axis=-1)
        self.rows.append((shaded.light, change, level, shaded.depth, noise))

    def develop(self, begin: int, end: int, height: int) -> tuple[NDArray[np.uint8], NDArray[np.float16]]:
        """Give the picture and the damage's contrast of these rows, and forget the rows that nobody needs any more."""
        joined = tuple(np.concatenate(parts) for parts in zip(*self.rows, strict=True))
        light, change, level, depth, noise = joined
        own = slice(begin - self.first, end - self.first)
        picture = self.camera.expose(light, noise, depth=depth, first_row=self.first, height=height)[own]
        contrast = np.zeros((end - begin, self.width), np.float16)
        changed = np.flatnonzero(change.any(axis=(0, 2)))
        if changed.size:
            reach = self.camera.margin_px
            cols = slice(max(0, int(changed[0]) - reach), int(changed[-1]) + reach + 1)
            spread = self.camera.blur(change[:, cols], depth[:, cols])[own, :, 0]
            contrast[:, cols] = contrast_of(spread, self.camera.sigma(level[own, cols].clip(0, 1)))
        drop = max(0, end - self.camera.margin_px - self.first)
        self.rows = [tuple(part[drop:] for part in joined)]
        self.first += drop
        return picture, contrast
