"""Write the two drawings of docs/architecture.md: the way of a scan through the code, and the layers of imports.

The layers are read from the import-linter contract in pyproject.toml, so the drawing shows what is checked.
"""

from __future__ import annotations

import tomllib
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "docs" / "images"
WIDTH = 560
INK, SOFT, LINE = "#10232b", "#4a5d66", "#7a8c95"
FILLS = {"core": "#e6f0f5", "engine": "#fff3c4", "result": "#e3f3e6", "outer": "#f1ecf7"}
FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"

# Box: kind of fill, title, what it does, and what goes on from it to the next.
WAY = (
    (
        "core",
        "scan",
        "opens what people hold; reads rows, turns EXIF, 16 bit, alpha",
        "bands of rows, uint8 (rows, W, 3)",
    ),
    ("core", "windows", "where windows lie, and their blending weights: integers only", "windows, uint8 (N, S, S, 3)"),
    (
        "engine",
        "Predictor",
        "runtimes.onnx, runtimes.torch, baselines, a function of yours",
        "probabilities, float32 (N, K, S, S)",
    ),
    (
        "core",
        "stitching",
        "adds weighted windows; a row is done with its last window",
        "bands of rows, with coverage",
    ),
    (
        "core",
        "probability",
        "the map: in memory, or in a tiled GeoTIFF when large",
        "uint8 (K, H, W), and coverage",
    ),
    ("core", "polygons", "pixels from the threshold on, outlined, made valid", "polygons in pixels"),
    ("core", "measure", "score, length, width, area", "Defect, one a region"),
    ("result", "Detections", "from the least score on, best first; owns its map", ""),
)
USERS = (
    ("result", "files and pictures", "GeoJSON, COCO, CSV, GeoPackage, overlay"),
    ("outer", "cli · serving · batch · web", "thin users of the same public names"),
    ("outer", "evaluation", "map and polygons against truth, for any Predictor"),
)
SAYS = {
    "errors": "every error, and how extras are asked for",
    "card": "what a model is and was measured to do",
    "predictor": "the contract in the middle",
    "options": "DetectOptions",
    "defect": "one damage",
    "windows": "where to look",
    "scan": "reads pictures",
    "stitching": "windows to bands",
    "probability": "the map",
    "polygons": "map to outlines",
    "measure": "length, width, area",
    "annotations": "COCO, LabelMe, VIA, CVAT, YOLO, masks",
    "detections": "the result",
    "networks": "U-Net and tile classifier in torch",
    "runtimes": "weights to Predictor",
    "baselines": "tiles, deflectometry",
    "detector": "Detector, detect, plan",
    "synthetic": "rendered scans",
    "evaluation": "scores",
    "datasets": "share to data set",
    "training": "pictures to weights",
    "batch": "many scans",
    "serving": "gRPC and REST",
    "web": "page",
    "cli": "commands",
    "overlay": "drawing",
}


def main() -> None:
    """Write both drawings."""
    for name, svg in {"architecture-way.svg": way(), "architecture-layers.svg": layers()}.items():
        (IMAGES / name).write_text(svg, encoding="utf-8")
        print(f"docs/images/{name}")


def way() -> str:
    """Draw the way of a scan through the code, from top to bottom."""
    parts, top = [text(WIDTH / 2, 26, "a picture", size=15, anchor="middle", weight=600)], 38
    parts.append(arrow(top, "path, array, PIL image, bytes, rasterio dataset"))
    top += 40
    for fill, title, does, gives in WAY:
        parts.append(box(20, top, WIDTH - 40, 56, fill, title, does))
        top += 56
        if gives:
            parts.append(arrow(top, gives))
            top += 40
    parts.append(arrow(top, "used by"))
    top += 40
    for fill, title, does in USERS:
        parts.append(box(20, top, WIDTH - 40, 56, fill, title, does))
        top += 66
    return svg(parts, top + 4, "The way of a scan through the code, from a picture to outlined defects")


def layers() -> str:
    """Draw the layers of imports, the outermost on top."""
    parts, top = [], 14
    for names in contract():
        shown = [name for name in names if not name.startswith("_")]
        if not shown:
            continue
        width = (WIDTH - 40 - 10 * (len(shown) - 1)) / len(shown)
        for place, name in enumerate(shown):
            fill = "outer" if name in ("cli", "serving", "batch", "web", "training", "datasets") else "core"
            fill = "engine" if name in ("predictor", "runtimes", "baselines", "networks") else fill
            fill = "result" if name == "detections" else fill
            parts.append(row(20 + place * (width + 10), top, width, fill, name))
        top += 42
    return svg(parts, top + 8, "Layers of imports: each module imports only from below it")


def contract() -> list[list[str]]:
    """Return the layers of pyproject.toml, the outermost first."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (found,) = config["tool"]["importlinter"]["contracts"]
    return [[name.strip().removeprefix("surfacedefect.") for name in row.split("|")] for row in found["layers"]]


def box(left: float, top: float, width: float, height: float, fill: str, title: str, does: str) -> str:
    """Draw a box with a name and a line of what it does."""
    shape = (
        f'<rect x="{left:g}" y="{top:g}" width="{width:g}" height="{height:g}" rx="6" fill="{FILLS[fill]}" '
        f'stroke="{LINE}"/>'
    )
    middle = top + height / 2
    name = text(left + 12, middle - 5, title, size=15, weight=600)
    return shape + name + text(left + 12, middle + 15, does, size=13, colour=SOFT)


def row(left: float, top: float, width: float, fill: str, name: str) -> str:
    """Draw a box of one line: a module and what it is for."""
    shape = (
        f'<rect x="{left:g}" y="{top:g}" width="{width:g}" height="34" rx="6" fill="{FILLS[fill]}" stroke="{LINE}"/>'
    )
    says = text(left + (112 if width < 300 else 150), top + 22, SAYS.get(name, ""), size=13, colour=SOFT)
    return shape + text(left + 12, top + 22, name, size=15, weight=600) + says


def arrow(top: float, label: str) -> str:
    """Draw an arrow down and name what goes along it."""
    x = 44
    line = f'<path d="M{x} {top + 4:g}v28m-5 -7l5 7l5 -7" fill="none" stroke="{INK}" stroke-width="1.6"/>'
    return line + text(x + 18, top + 24, label, size=13, colour=INK, style="italic")


def text(
    x: float,
    y: float,
    words: str,
    *,
    size: int,
    anchor: str = "start",
    weight: int = 400,
    colour: str = INK,
    style: str = "normal",
) -> str:
    """Draw a line of text."""
    return (
        f'<text x="{x:g}" y="{y:g}" font-size="{size}" font-weight="{weight}" font-style="{style}" fill="{colour}" '
        f'text-anchor="{anchor}">{escape(words)}</text>'
    )


def svg(parts: list[str], height: float, title: str) -> str:
    """Put the parts on a white page."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" width="{WIDTH}" '
        f'height="{height:g}" role="img" font-family="{FONT}">'
    )
    ground = f'<rect width="{WIDTH}" height="{height:g}" fill="#fff"/>'
    return "\n".join((head, f"<title>{escape(title)}</title>", ground, *parts, "</svg>")) + "\n"


if __name__ == "__main__":
    main()
