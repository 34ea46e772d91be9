"""Write the pictures of `docs/images/` that show rendered scans, and what the shipped weights make of them.

``python docs/figures/make_gallery.py`` writes all of them in a few minutes; with names, such as ``damage light``, some.
"""

from __future__ import annotations

import argparse
import io
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont
from shapely import contains_xy
from shapely.ops import unary_union

import surfacedefect as sd
from surfacedefect.synthetic.config import FIRST_BENCHMARK_SEED, PLACES, SyntheticConfig
from surfacedefect.synthetic.fringe import Fringe
from surfacedefect.synthetic.presets import PRESETS, preset
from surfacedefect.synthetic.render import SyntheticScan, render_scan, render_window
from surfacedefect.synthetic.truth import SyntheticTruth, TrueDefect

IMAGES = Path(__file__).parents[1] / "images"
MOST_BYTES = 300_000
LABEL_PX = 20
ERROR_PX, ERRORS_A_ROW = 192, 6
YELLOW, BLUE, GREY, RED = (255, 212, 0), (60, 170, 255), (150, 150, 150), (255, 40, 40)
COLOURS = {"scratch": YELLOW, "dent": BLUE}

Mask = NDArray[np.uint8]

# What each sort of damage is looked for in: none of the others in its way.
NONE = SyntheticConfig(
    width=900, height=680, scratches=(0, 0), chips=(0, 0), scuffs=(0, 0), dents=(0, 0), lookalikes=0.1, groups=0.0,
    hairlines=0.0, tilt_degrees=(0.0, 15.0), scratch_length_mm=(12.0, 40.0), damage_scale=0.6,
)  # fmt: skip
DENTS = replace(NONE, dents=(2, 3), mm_per_px=0.25)
SORTS: dict[str, SyntheticConfig] = {
    "hairline": replace(NONE, scratches=(3, 3), hairlines=1.0, paint="grey"),
    "scratch": replace(NONE, scratches=(3, 3), scratch_width_mm=(0.3, 0.8), paint="red"),
    "gouge": replace(NONE, scratches=(3, 3), scratch_width_mm=(1.05, 1.8), paint="blue"),
    "scratch group": replace(NONE, scratches=(3, 3), groups=1.0, scratch_width_mm=(0.1, 0.5), paint="silver"),
    "scuff": replace(NONE, scuffs=(2, 2), paint="red"),
    "chip": replace(NONE, chips=(6, 9), paint="blue", damage_scale=1.5, mm_per_px=0.06),
    "ding": replace(DENTS, paint="black", place="garage"),
    "round dent": replace(DENTS, paint="red", place="garage"),
    "crease dent": replace(DENTS, paint="silver", place="street"),
    "hail dent": replace(NONE, hail=(6, 9), mm_per_px=0.2, paint="blue", place="studio"),
}
TRIES = 12  # seeds a sort


def crops() -> Image.Image:
    """Show 24 training windows, at half their size."""
    windows = [Image.fromarray(render_window(seed).image).reduce(2) for seed in range(24)]
    return sheet(windows, columns=6)


def damage() -> Image.Image:
    """Show every sort of damage as it is, and beside it outlined."""
    pairs = []
    for number, (sort, config) in enumerate(SORTS.items()):
        scan, defect = best_example(sort, config, first_seed=FIRST_BENCHMARK_SEED + 1000 + 100 * number)
        left, top = corner_around(defect, scan.truth, (320, 240))
        box = (left, top, left + 320, top + 240)
        picture = Image.fromarray(scan.image)
        pair = sheet([picture.crop(box), outlined(picture, scan.truth).crop(box)], columns=2, gap=0)
        pairs.append(labelled(pair, f"{sort}, {scan.mm_per_px:g} mm a pixel, contrast {defect.contrast:.0f}"))
    return sheet(pairs, columns=2, gap=8)


def best_example(sort: str, config: SyntheticConfig, *, first_seed: int) -> tuple[SyntheticScan, TrueDefect]:
    """Find one that is well seen, neither tiny nor larger than the crop."""
    found: list[tuple[float, SyntheticScan, TrueDefect]] = []
    for seed in range(first_seed, first_seed + TRIES):
        scan = render_scan(seed, config)
        for defect in scan.truth.defects:
            if defect.sort == sort and defect.visible > 0:
                found.append((worth(defect), scan, defect))
        if found and max(value for value, _, _ in found) >= 1:
            break
    if not found:
        raise SystemExit(f"no visible {sort} with {TRIES} seeds from {first_seed} on")
    _, scan, defect = max(found, key=lambda entry: entry[0])
    return scan, defect


def worth(defect: TrueDefect) -> float:
    """Say how well a damage serves as an example: 1 is well enough."""
    left, top, right, bottom = defect.box
    long = max((right - left) / 320, (bottom - top) / 240)
    large = min(1, long / (0.12 if defect.sort == "chip" else 0.3))
    return defect.visible**2 * min(1, defect.contrast / 25) * large / max(1, long) ** 2


def corner_around(defect: TrueDefect, truth: SyntheticTruth, size: tuple[int, int]) -> tuple[int, int]:
    """Give the top left corner of a crop in whose middle the damage, or a part of it, lies."""
    left, top, right, bottom = defect.box
    rows, cols = np.nonzero(truth.masks[defect.kind][top:bottom, left:right])
    middle = int(np.argmin((rows - rows.mean()) ** 2 + (cols - cols.mean()) ** 2))
    centre = left + int(cols[middle]), top + int(rows[middle])
    height, width = truth.ignore.shape
    x, y = (c - s // 2 for c, s in zip(centre, size, strict=True))
    return int(np.clip(x, 0, width - size[0])), int(np.clip(y, 0, height - size[1]))


def light() -> Image.Image:
    """Show one damaged panel in every place, and with a fringe pattern from the dark room to full sun."""
    seed = FIRST_BENCHMARK_SEED + 2000
    config = SyntheticConfig(
        width=640, height=480, mm_per_px=0.5, paint="blue", scratches=(3, 4), scuffs=(1, 1), dents=(2, 3), chips=(2, 3),
        lookalikes=0.0, camera="scanner",
    )  # fmt: skip
    found = [(place, replace(config, place=place)) for place in PLACES]
    fringes = [("upright fringes", Fringe(pattern="x")), ("level fringes", Fringe(pattern="y"))]
    for daylight, name in ((0, "dark room"), (0.2, "lit hall"), (1, "overcast day"), (10, "full sun")):
        fringes.append((f"crossed fringes, {name} ({daylight:g})", Fringe(daylight=daylight)))
    found += [(name, replace(config, place="overcast", fringe=fringe)) for name, fringe in fringes]
    pictures = [labelled(small(render_scan(seed, own).image, 320), name) for name, own in found]
    return sheet(pictures, columns=5)


def scans() -> Image.Image:
    """Show a scan of every preset, scaled down."""
    pictures = []
    for number, name in enumerate(PRESETS):
        scan = render_scan(FIRST_BENCHMARK_SEED + 3000 + (number if "bench" not in name else 99), preset(name))
        pictures.append(labelled(small(scan.image, 512), f"{name}, {len(scan.truth.defects)} damages"))
    return sheet(pictures, columns=3)


def truth() -> Image.Image:
    """Show a window with its truth: kinds, what nobody can see, and every damage with its contrast."""
    seeds = range(40, 60)
    scan = max(
        (render_window(seed) for seed in seeds), key=lambda scan: richness(scan.truth) * min(100, scan.image.mean())
    )
    picture = Image.fromarray(scan.image)
    dark = Image.fromarray(scan.image // 3)
    kinds = painted(dark, {COLOURS[kind]: mask for kind, mask in scan.truth.masks.items()})
    ignored = painted(dark, {GREY: scan.truth.ignore})
    listed = picture.convert("L").convert("RGB")
    draw = ImageDraw.Draw(listed)
    for defect in scan.truth.defects:
        if defect.area_px:
            left, top, right, bottom = defect.box
            draw.rectangle((left - 2, top - 2, right + 1, bottom + 1), outline=COLOURS[defect.kind])
            draw.text(
                (left, max(0, top - 16)), f"{defect.sort} {defect.contrast:.1f}", fill=COLOURS[defect.kind], font=FONT
            )
    parts = [(picture, "window"), (kinds, "scratch (yellow) and dent (blue)"), (ignored, "ignore: contrast below 3"),
             (listed, "every damage, its contrast in sigmas of the noise")]  # fmt: skip
    return sheet([labelled(part, name) for part, name in parts], columns=2)


def errors() -> Image.Image:
    """Show what the shipped weights find, miss and take for damage on two rendered scans: plain, then outlined."""
    detector = sd.Detector()
    shown: dict[str, list[tuple[float, Image.Image, str]]] = {"found": [], "missed": [], "false alarm": []}
    for seed in (FIRST_BENCHMARK_SEED + 4000, FIRST_BENCHMARK_SEED + 4001):
        scan = render_scan(seed, preset("bench-v1"))
        found = list(detector.detect(scan.image))
        picture = Image.fromarray(scan.image)
        marked = outlined(picture, scan.truth)
        draw = ImageDraw.Draw(marked)
        for one in found:
            draw.line([*map(tuple, one.polygon.exterior.coords)], fill=RED, width=2)
        for sort, worth_of, place, text in judged(scan, found):
            box = around(place, marked.size)
            pair = sheet([picture.crop(box), marked.crop(box)], columns=1, gap=0)
            shown[sort].append((worth_of, pair, f"{sort}: {text}"))
    rows = []
    for sort, pairs in shown.items():
        pairs.sort(key=lambda entry: -entry[0])
        if len(pairs) < ERRORS_A_ROW:
            print(f"only {len(pairs)} {sort}")
        blank = (0.0, Image.new("RGB", (ERROR_PX, 2 * ERROR_PX), "white"), "")
        rows += [*pairs, *[blank] * ERRORS_A_ROW][:ERRORS_A_ROW]
    return sheet([labelled(pair, text) for _, pair, text in rows], columns=ERRORS_A_ROW)


def judged(scan: SyntheticScan, found: list[sd.Defect]) -> Iterator[tuple[str, float, tuple[float, float], str]]:
    """Sort damages into found and missed, and polygons that touch none into false alarms; give worth, place, words."""
    union = unary_union([one.polygon.buffer(8) for one in found])
    damaged = scan.truth.ignore.astype(bool)
    for mask in scan.truth.masks.values():
        damaged |= mask > 0
    for defect in scan.truth.defects:
        left, top, right, bottom = defect.box
        if defect.area_px < 60 or defect.visible < 0.5:
            continue
        rows, cols = np.nonzero(scan.truth.masks[defect.kind][top:bottom, left:right])
        share = float(contains_xy(union, left + cols[::7] + 0.5, top + rows[::7] + 0.5).mean())
        place = float(left + np.median(cols)), float(top + np.median(rows))
        text = f"{defect.sort} ({defect.contrast:.0f})"
        if share < 0.1:
            yield "missed", defect.contrast, place, text
        elif share > 0.5:
            yield "found", min(defect.contrast, 40) + len(rows) ** 0.5, place, text
    for one in found:
        x0, y0, x1, y1 = map(int, one.polygon.bounds)
        if not damaged[max(y0 - 8, 0) : y1 + 8, max(x0 - 8, 0) : x1 + 8].any():
            centre = one.polygon.representative_point()
            yield "false alarm", one.score, (centre.x, centre.y), f"{one.kind} ({one.score:.2f})"


def around(place: tuple[float, float], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Give the box of a crop around a place, moved into the picture."""
    left, top = (int(np.clip(at - ERROR_PX / 2, 0, side - ERROR_PX)) for at, side in zip(place, size, strict=True))
    return left, top, left + ERROR_PX, top + ERROR_PX


def richness(truth: SyntheticTruth) -> float:
    """Say how much there is to show: both kinds, and something to ignore."""
    shares = [float((mask > 0).mean()) for mask in (*truth.masks.values(), truth.ignore)]
    return float(sum(min(share, 0.02) ** 0.5 for share in shares))


def outlined(picture: Image.Image, truth: SyntheticTruth) -> Image.Image:
    """Draw a thin line around what is damaged, a pixel away from it so that it hides nothing."""
    out = picture.copy()
    for colour, mask in ((GREY, truth.ignore), *((COLOURS[kind], mask) for kind, mask in truth.masks.items())):
        region = Image.fromarray(mask * np.uint8(255))
        ring = ImageChops.difference(region.filter(ImageFilter.MaxFilter(5)), region.filter(ImageFilter.MaxFilter(3)))
        out.paste(colour, mask=ring)
    return out


def painted(picture: Image.Image, masks: dict[tuple[int, int, int], Mask]) -> Image.Image:
    """Fill masks with their colours."""
    out = picture.copy()
    for colour, mask in masks.items():
        out.paste(colour, mask=Image.fromarray(mask * np.uint8(255)))
    return out


def small(image: NDArray[np.uint8], width: int) -> Image.Image:
    """Scale down to a width."""
    height = round(image.shape[0] * width / image.shape[1])
    return Image.fromarray(image).resize((width, height), Image.Resampling.LANCZOS)


def labelled(picture: Image.Image, text: str) -> Image.Image:
    """Put a line of text above."""
    out = Image.new("RGB", (picture.width, picture.height + LABEL_PX), "white")
    out.paste(picture, (0, LABEL_PX))
    ImageDraw.Draw(out).text((2, 2), text, fill="black", font=FONT)
    return out


def sheet(pictures: list[Image.Image], *, columns: int, gap: int = 4) -> Image.Image:
    """Lay pictures of one size out in rows."""
    wide, high = (side + gap for side in pictures[0].size)
    out = Image.new("RGB", (columns * wide - gap, math.ceil(len(pictures) / columns) * high - gap), "white")
    for number, picture in enumerate(pictures):
        out.paste(picture, (number % columns * wide, number // columns * high))
    return out


def write(name: str, picture: Image.Image) -> None:
    """Write a JPEG of the best quality that is small enough."""
    for quality in range(92, 30, -4):
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=quality, optimize=True, progressive=True)
        if file.tell() <= MOST_BYTES:
            break
    path = IMAGES / f"synthetic-{name}.jpg"
    path.write_bytes(file.getvalue())
    print(f"{path.name}: {picture.width} x {picture.height}, quality {quality}, {file.tell() // 1000} kB", flush=True)


FONT = ImageFont.load_default(size=14)
SHEETS: dict[str, Callable[[], Image.Image]] = {f.__name__: f for f in (crops, damage, light, scans, truth, errors)}


def main() -> None:
    """Write what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sheets", nargs="*", help=f"of {', '.join(SHEETS)}; none = all")
    asked = parser.parse_args().sheets or list(SHEETS)
    if unknown := [name for name in asked if name not in SHEETS]:
        parser.error(f"no picture is called {', '.join(unknown)}; there are {', '.join(SHEETS)}")
    for name in asked:
        write(name, SHEETS[name]())


if __name__ == "__main__":
    main()
