"""Write docs/images/deflectometry-steps.jpg: what deflectometry makes of one fringe picture, step by step.

The panel is the first one from a fixed seed on that bulges and has no feature lines.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from make_gallery import IMAGES, RED, labelled, sheet
from numpy.typing import NDArray
from PIL import Image, ImageDraw

import surfacedefect as sd
from surfacedefect.baselines import Deflectometry, FringeGeometry, slope_field
from surfacedefect.synthetic import FIRST_BENCHMARK_SEED, preset, render_scan
from surfacedefect.synthetic.scene import random_scene

FIRST_SEED = FIRST_BENCHMARK_SEED + 9900
SIZE = (440, 330)
MOST_BYTES = 150_000
CONFIG = replace(
    preset("deflectometry"), width=1440, height=1080, mm_per_px=0.2, scratches=(0, 0), chips=(0, 0), scuffs=(0, 0),
    dents=(2, 2), hail=(4, 4), lookalikes=0.0, paint="black",
)  # fmt: skip
GEOMETRY = FringeGeometry(mm_per_px=CONFIG.mm_per_px)
Floats = NDArray[np.float32]


def seeds() -> Iterator[int]:
    """Give the seeds whose panel bulges and has no feature lines."""
    for seed in range(FIRST_SEED, FIRST_SEED + 1000):
        panel = random_scene(seed, CONFIG, environment_size=64).panel
        if panel.curvature_per_mm[0] < 0 and not panel.creases:
            yield seed


def coloured(values: Floats, largest: float) -> Image.Image:
    """Draw values from -largest (blue) over 0 (white) to largest (red)."""
    share = (values / largest).clip(-1, 1)[..., None]
    white, red, blue = (np.asarray(c, np.float32) for c in ((255, 255, 255), (178, 24, 43), (33, 102, 172)))
    end = np.where(share > 0, red, blue)
    return small(Image.fromarray((white + np.abs(share) * (end - white)).astype(np.uint8)))


def grey(values: Floats, most: float) -> Image.Image:
    """Draw values from 0 (black) to the most (white)."""
    return small(Image.fromarray((255 * (values / most).clip(0, 1)).astype(np.uint8)).convert("RGB"))


def small(picture: Image.Image) -> Image.Image:
    """Scale to the size of a part of the figure."""
    return picture.resize(SIZE, Image.Resampling.LANCZOS)


def steps() -> Image.Image:
    """Lay out the fringe picture, phase, slope, curvature, what is unexplained, the z-score, and the dents found."""
    scan = render_scan(next(seeds()), CONFIG)
    field = slope_field(scan.image, GEOMETRY)
    assert field.phase_x is not None and field.slope_x is not None
    predictor = Deflectometry.fitted(scan.image, GEOMETRY)
    picture, steepest = small(Image.fromarray(scan.image)), float(np.abs(field.slope_x).max())
    found = picture.copy()
    draw, scale = ImageDraw.Draw(found), SIZE[0] / CONFIG.width
    for dent in sd.Detector(predictor).detect(scan.image):
        draw.line([(x * scale, y * scale) for x, y in dent.polygon.exterior.coords], fill=RED, width=2)
    bend = field.curvature_per_mm - np.median(field.curvature_per_mm)
    parts = [
        (picture, "1. the picture: mirrored fringes"),
        (grey((field.phase_x % (2 * np.pi)).astype(np.float32), 2 * np.pi), "2. phase along x, modulo one fringe"),
        (coloured(field.slope_x, steepest), f"3. slope along x, blue -{steepest:.2g} to red {steepest:.2g}"),
        (coloured(bend, 6e-4), "4. curvature around its median, 0.0006 per mm"),
        (grey(field.broken, 1.0), "5. share of broken fringes, 0 to 1"),
        (grey(predictor.z_score(scan.image), 12.0), "6. z-score, 0 to 12"),
        (small(Image.fromarray(255 * scan.truth.masks["dent"]).convert("RGB")), "the true dents"),
        (found, "7. the dents found"),
    ]
    return sheet([labelled(part, name) for part, name in parts], columns=2)


def main() -> None:
    """Write the figure, of the best quality that is small enough."""
    picture, path = steps(), IMAGES / "deflectometry-steps.jpg"
    for quality in range(92, 30, -4):
        picture.save(path, quality=quality, optimize=True, progressive=True)
        if path.stat().st_size <= MOST_BYTES:
            break
    print(f"{path.name}: {picture.width} x {picture.height}, quality {quality}, {path.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
