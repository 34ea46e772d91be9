"""Whole synthetic scans and training windows: pure functions of a seed and a config."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from surfacedefect.errors import OptionError
from surfacedefect.synthetic.camera import Camera, blur_rows, jpeg_round_trip
from surfacedefect.synthetic.config import SyntheticConfig
from surfacedefect.synthetic.marks import Float
from surfacedefect.synthetic.scene import Counts, Scene, draw_counts, random_scene
from surfacedefect.synthetic.shading import damage_masks, preview, shade

if TYPE_CHECKING:
    from shapely import Polygon

_BAND_PX = 1 << 15  # pixels computed at once: enough to keep numpy busy, few enough for the cache
_LEAST_VISIBLE = 3.0  # contrast, in standard deviations of the noise, below which damage is `ignore`
_LEAST_PIECE = 8  # px; smaller visible pieces of a mark go to `ignore` too
_CORNER = 0.01  # px
_WINDOWS = SyntheticConfig(
    scratches=(0, 3), chips=(0, 3), scuffs=(0, 1), dents=(0, 1), damage_scale=1.0, lookalikes=0.8, jpeg_quality=None
)


@dataclass(frozen=True)
class SyntheticTruth:
    """Which pixels are damaged.

    Attributes
    ----------
    masks
        ``"scratch"`` and ``"dent"``: uint8 (H, W), 1 = damage that can be seen.
    ignore
        uint8 (H, W), 1 = damage whose contrast against the same scan without damage is below three standard
        deviations of the noise, so that nobody can be asked to find it; 0 wherever a mask is 1.
    """

    masks: dict[str, NDArray[np.uint8]]
    ignore: NDArray[np.uint8]

    @property
    def polygons(self) -> list[tuple[str, Polygon]]:
        """List (kind, polygon) of every 8-connected region, in pixel coordinates (x, y), 0.01 px wider."""
        from rasterio.features import shapes
        from shapely import make_valid
        from shapely.geometry import shape

        found: list[tuple[str, Polygon]] = []
        for kind, mask in self.masks.items():
            for geometry, _ in shapes(mask, mask=mask.astype(bool), connectivity=8):
                # pixels that meet at a corner only would fall apart into single polygons: let the corners overlap
                joined = make_valid(shape(geometry)).buffer(_CORNER, join_style="mitre")
                found += [(kind, part) for part in getattr(joined, "geoms", [joined])]
        return found


@dataclass(frozen=True)
class SyntheticScan:
    """A picture with its truth: image uint8 (H, W, 3), truth, scale in mm, and the seed it came from."""

    image: NDArray[np.uint8]
    truth: SyntheticTruth
    mm_per_px: float
    seed: int


def render_scan(seed: int, config: SyntheticConfig | None = None) -> SyntheticScan:
    """Render a scan of a painted car panel with scratches, scuffs, chips and dents.

    Parameters
    ----------
    seed
        0 to 2**63 - 1; 10**9 and above for demo and benchmark scans. The same seed and config give the same bytes
        (on the same machine and numpy).
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
    config = SyntheticConfig() if config is None else config
    if not isinstance(config, SyntheticConfig):
        raise OptionError(f"config is {type(config).__name__}; expected a SyntheticConfig or None")
    rng = np.random.default_rng(np.random.SeedSequence([_seed(seed), 1]))
    size = config.width, config.height
    scene = random_scene(
        rng, size=size, mm_per_px=config.mm_per_px, counts=draw_counts(rng, config), config=config,
        reach_px=0.4 * max(size), environment_size=768,
    )  # fmt: skip
    return _photograph(scene, rng, seed=seed, jpeg_quality=config.jpeg_quality)


def render_window(seed: int, *, size: int = 512, config: SyntheticConfig | None = None) -> SyntheticScan:
    """Render a training window: any paint, light, sharpness and scale; one in four holds look-alikes only.

    Parameters
    ----------
    seed
        As in `render_scan`; below 10**9 for training.
    size
        Side in px, 64 to 2048.
    config
        Ranges to draw from instead of the ones for training; its width, height and mm_per_px are not used, for the
        scale is drawn from 0.1 to 1 mm a pixel.

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
    if not 64 <= size <= 2048:
        raise OptionError(f"size is {size}; expected 64 to 2048 px")
    if config is not None and not isinstance(config, SyntheticConfig):
        raise OptionError(f"config is {type(config).__name__}; expected a SyntheticConfig or None")
    rng = np.random.default_rng(np.random.SeedSequence([_seed(seed), 2]))
    config = replace(config or _WINDOWS, width=size, height=size)
    counts = draw_counts(rng, config)
    if rng.random() < 0.25:
        counts = Counts(0, 0, 0, 0)
    elif counts == Counts(0, 0, 0, 0) and config.scratches[1] > 0:
        counts = Counts(1, 0, 0, 0)
    quality = config.jpeg_quality or (int(rng.integers(60, 98)) if rng.random() < 0.8 else None)
    scene = random_scene(
        rng, size=(size, size), mm_per_px=float(np.exp(rng.uniform(np.log(0.1), 0))), counts=counts, config=config,
        reach_px=float(size), environment_size=256,
    )  # fmt: skip
    return _photograph(scene, rng, seed=seed, jpeg_quality=quality)


def _seed(seed: int) -> int:
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < 2**63:
        raise OptionError(f"seed is {seed!r}; expected a whole number from 0 to 2**63 - 1")
    return int(seed)


def _photograph(scene: Scene, rng: np.random.Generator, *, seed: int, jpeg_quality: int | None) -> SyntheticScan:
    camera = Camera.random(rng, preview(scene, max(4, max(scene.width, scene.height) // 96)))
    noise_rng = np.random.default_rng(rng.integers(2**63))
    masks = damage_masks(scene)
    contrast = np.zeros((scene.height, scene.width), np.float16)
    image = np.empty((scene.height, scene.width, 3), np.uint8)
    held: Float | None = None  # the last rows of the band above: what the blur at a band's edge needs
    band = max(16, _BAND_PX // scene.width)
    for top in range(0, scene.height, band):
        rows = slice(top, min(top + band, scene.height))
        hurt = (masks["scratch"][rows] | masks["dent"][rows]).astype(bool)
        shaded = shade(scene, rows, hurt, noise_rng=noise_rng)
        for mask in masks.values():
            mask[rows] &= shaded.hidden < 0.5
        contrast[rows][shaded.hurt] = _contrast(camera, shaded.damaged, shaded.undamaged)
        # row r is finished once row r + 1 is known
        light = shaded.light if held is None else np.concatenate([held, shaded.light])
        first = rows.stop - light.shape[0]
        soft = blur_rows(light, 0.5 * camera.blur)
        begin, end = (0 if first == 0 else 1), light.shape[0] - (0 if rows.stop == scene.height else 1)
        image[first + begin : first + end] = camera.expose(soft[begin:end], first + begin, scene.height, rng=noise_rng)
        held = light[-2:]
    if jpeg_quality is not None:
        image = jpeg_round_trip(image, jpeg_quality)
    return SyntheticScan(image, _truth(scene, masks, contrast), scene.mm_per_px, int(seed))


def _contrast(camera: Camera, damaged: Float, undamaged: Float) -> NDArray[np.float16]:
    """Difference of two sets of pixels (n, 3), in standard deviations of the noise."""
    without = camera.tone(undamaged)
    difference = np.abs(camera.tone(damaged) - without).max(axis=-1, initial=0)
    ratio = difference / camera.noise(without.mean(axis=-1))
    return np.asarray(ratio.clip(0, 1000), np.float16)


def _truth(scene: Scene, masks: dict[str, NDArray[np.uint8]], contrast: NDArray[np.float16]) -> SyntheticTruth:
    """Move what cannot be seen from the masks to ignore: scratches piece by piece, dents as a whole."""
    from scipy.ndimage import label, uniform_filter

    seen = {kind: np.zeros_like(mask) for kind, mask in masks.items()}
    for painted in scene.marks:
        if painted.is_damage:
            mark = painted.mark
            here = mark.region
            own = (mark.mask & masks["scratch"][here].astype(bool)).astype(np.float32)
            near = uniform_filter(own * contrast[here].astype(np.float32), 13, mode="constant")
            near /= np.maximum(uniform_filter(own, 13, mode="constant"), np.float32(1e-3))
            pieces, _ = label((near >= _LEAST_VISIBLE) & (own > 0), np.ones((3, 3)))
            sizes = np.bincount(pieces.ravel())
            sizes[0] = 0
            seen["scratch"][here] |= (sizes >= _LEAST_PIECE)[pieces].astype(np.uint8)
    for bump in scene.bumps:
        if bump.mask is not None:
            here = bump.region
            own_dent = bump.mask & masks["dent"][here].astype(bool)
            strong = np.quantile(contrast[here][own_dent], 0.8) if own_dent.any() else 0
            if strong >= _LEAST_VISIBLE:
                seen["dent"][here] |= own_dent.astype(np.uint8)
    damaged, visible = masks["scratch"] | masks["dent"], seen["scratch"] | seen["dent"]
    return SyntheticTruth(seen, damaged & (1 - visible))
