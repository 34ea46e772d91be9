"""Write the pictures of the first pages: demo.jpg, result-measures.svg and result-colours.jpg in docs/images/.

All three are of the scan that ``surfacedefect demo`` renders, and of what the shipped weights find on it.
"""

from __future__ import annotations

import base64
import io
import math
import subprocess
import sys
import tempfile
from html import escape
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray
from PIL import Image

import surfacedefect as sd
from surfacedefect._skeleton import Skeleton
from surfacedefect.annotations import AnnotatedImage, Region, rasterise

IMAGES = Path(__file__).parents[1] / "images"
MOST_PX = 1600
CROP_PX = (1800, 1350)
FAILED_WINDOW = 6
YELLOW, WHITE, CYAN = "#ffd400", "#ffffff", "#27d3ff"


def main() -> None:
    """Write all three."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "surfacedefect", "demo", "--out", folder], check=True)
        overlay = Image.open(Path(folder) / "scan.overlay.png").convert("RGB")
        overlay.thumbnail((MOST_PX, MOST_PX), Image.Resampling.LANCZOS)
        overlay.save(IMAGES / "demo.jpg", quality=82, optimize=True)
        scan = np.asarray(Image.open(Path(folder) / "scan.jpg").convert("RGB"))
    from surfacedefect.synthetic import DEMO

    detector = sd.Detector(options=sd.DetectOptions(mm_per_px=DEMO.mm_per_px))
    found = detector.detect(scan)
    (IMAGES / "result-measures.svg").write_text(measures(scan, clearest(found)), encoding="utf-8")
    failing(detector, busiest(scan, found)).plot(long_side_px=1200).save(
        IMAGES / "result-colours.jpg", quality=82, optimize=True
    )
    for name in ("demo.jpg", "result-measures.svg", "result-colours.jpg"):
        print(f"docs/images/{name}")


def clearest(found: sd.Detections) -> sd.Defect:
    """Return the surest scratch that is long and wide enough to be looked at."""
    large = [d for d in found if d.kind == "scratch" and 80 < d.length_px < 500 and d.width_px > 5]
    return max(large, key=lambda defect: defect.score)


def busiest(scan: NDArray[np.uint8], found: sd.Detections) -> NDArray[np.uint8]:
    """Return the piece of the scan that holds most defects."""
    width, height = CROP_PX
    corners = [
        (x, y) for y in range(0, scan.shape[0] - height + 1, 150) for x in range(0, scan.shape[1] - width + 1, 200)
    ]
    x, y = max(corners, key=lambda at: sum(shapely.box(*at, at[0] + width, at[1] + height).contains(found.polygons)))
    return scan[y : y + height, x : x + width]


def failing(detector: sd.Detector, scan: NDArray[np.uint8]) -> sd.Detections:
    """Detect with one window on which the model fails."""
    calls = 0

    def look(windows: NDArray[np.uint8]) -> NDArray[np.float32]:
        nonlocal calls
        calls += 1
        if calls == FAILED_WINDOW:
            raise RuntimeError("made to fail")
        return detector.predictor(windows)

    model = sd.FunctionPredictor(look, card=detector.predictor.card)
    return sd.Detector(model, options=sd.DetectOptions(on_error="skip", batch=1)).detect(scan)


def measures(scan: NDArray[np.uint8], defect: sd.Defect) -> str:
    """Draw one defect over its piece of the scan, with what is measured of it."""
    left, top, right, bottom = defect.polygon.bounds
    pad = 30
    x0, y0 = max(0, math.floor(left) - pad), max(0, math.floor(top) - pad)
    x1, y1 = min(scan.shape[1], math.ceil(right) + pad), min(scan.shape[0], math.ceil(bottom) + pad)
    scale = 720 / (x1 - x0)
    width, height = 720, scale * (y1 - y0)

    def places(points: NDArray[np.float64]) -> str:
        return " ".join(f"{scale * (x - x0):.1f},{scale * (y - y0):.1f}" for x, y in points)

    outline = shapely.transform(defect.polygon, lambda xy: xy - (x0, y0))
    piece = AnnotatedImage("piece", x1 - x0, y1 - y0, (Region(defect.kind, outline),))
    skeleton = Skeleton.of(rasterise(piece, defect.kind)[defect.kind] > 0)
    path = skeleton.longest(loop=False)
    middle = skeleton.points[path] + (x0, y0) if path is not None else np.empty((0, 2))
    rings = [defect.polygon.exterior, *defect.polygon.interiors]
    outlines = "".join(
        f'<polygon points="{places(np.asarray(ring.coords))}" fill="none" stroke="{YELLOW}" stroke-width="2.5"/>'
        for ring in rings
    )
    rows = (
        (YELLOW, "polygon", f"{defect.area_px:,.0f} px² = {defect.area_mm2:.1f} mm²"),
        (CYAN, "length, along its middle", f"{defect.length_px:.0f} px = {defect.length_mm:.1f} mm"),
        ("#c9d3d8", "width, mean along that way", f"{defect.width_px:.1f} px = {defect.width_mm:.2f} mm"),
        ("#c9d3d8", "kind and score", f"{defect.kind}, {defect.score:.2f}"),
    )
    legend = "".join(
        f'<rect x="20" y="{height + 17 + 28 * n:.0f}" width="16" height="16" rx="3" fill="{colour}"/>'
        f'<text x="46" y="{height + 31 + 28 * n:.0f}" font-weight="600">{escape(name)}</text>'
        f'<text x="340" y="{height + 31 + 28 * n:.0f}">{escape(value)}</text>'
        for n, (colour, name, value) in enumerate(rows)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height + 136:.0f}" width="{width}" '
        f'height="{height + 136:.0f}" font-family="system-ui, \'DejaVu Sans\', sans-serif" font-size="18" '
        f'fill="#10232b" role="img"><title>One defect and its measurements</title><rect width="100%" height="100%" '
        f'fill="#fff"/><image width="{width}" height="{height:.1f}" href="{encoded(scan[y0:y1, x0:x1])}"/>{outlines}'
        f'<polyline points="{places(middle)}" fill="none" stroke="{CYAN}" stroke-width="2.5"/>{legend}</svg>\n'
    )


def encoded(pixels: NDArray[np.uint8]) -> str:
    """Return pixels, twice enlarged, as an address that holds the picture itself."""
    image = Image.fromarray(pixels)
    image = image.resize((2 * image.width, 2 * image.height), Image.Resampling.BICUBIC)
    data = io.BytesIO()
    image.save(data, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(data.getvalue()).decode()


if __name__ == "__main__":
    main()
