"""Where is the model wrong? Its worst false alarms and misses on the validation pictures, as sheets to look at.

A false alarm is a connected spot of the map at the default threshold that touches no truth, as the protocol counts
them; the worst have the highest mean probability. A miss is a true region that is not found, which means that under a
quarter of it is covered; the worst leave the largest area uncovered. Each is shown twice, plain and with outlines:
orange what was predicted, cyan the truth. The demo photo is left out: nothing is chosen by it.

The pictures belong to the data set and number plates may be seen in them. So the sheets are written outside of the
repository only, and are for looking at, not for showing. Needs the real pictures (SURFACEDEFECT_REAL_DATA).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
from common import REAL_DATA, ROOT
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from validation_parts import Picture, photographs

import surfacedefect as sd
from surfacedefect.evaluation import KindTruth, Protocol, damaged_level
from surfacedefect.evaluation._masks import dilate, label
from surfacedefect.evaluation.protocol import NEITHER
from surfacedefect.scan import Scan

FALSE_ALARM, MISS = "false alarm", "miss"
MOST_A_PICTURE = 4
CROP_PX = 192
COLUMNS, ROWS = 4, 6
MARGIN, CAPTION = 8, 30  # px, between the cells of a sheet and above each
ROOM = 1.25  # side of a crop of something large, over its longer side
PREDICTED, TRUE, BACKGROUND, TEXT = (255, 140, 0), (0, 225, 255), (24, 24, 28), (235, 235, 235)


@dataclass(frozen=True)
class Mistake:
    """One false alarm or miss.

    Attributes
    ----------
    sort, kind, picture
        What it is, and in which picture.
    score
        Mean probability over a false alarm; share of a missed region that is covered.
    area_px
        Pixels of a false alarm; pixels of a missed region that are not covered.
    box
        (left, top, right, bottom) in px, right and bottom excluded.
    cell
        Crop without and with outlines, side by side.
    sheet
        File that shows it.
    """

    sort: str
    kind: str
    picture: str
    score: float
    area_px: int
    box: tuple[int, int, int, int]
    cell: Image.Image | None = field(default=None, compare=False, repr=False)
    sheet: str = ""

    @property
    def rank(self) -> tuple[float, int]:
        """Sort key, the worst one the lowest."""
        return (-self.score, -self.area_px) if self.sort == FALSE_ALARM else (-self.area_px, 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="default", help="shipped weights, or path of an .onnx with its card")
    parser.add_argument("--out", type=Path, required=True, help="folder outside of the repository")
    parser.add_argument("--limit", type=int, help="at most so many photographs of each part, for trying out")
    parser.add_argument("--sheets", type=int, default=3, help="at most so many of each kind and sort")
    arguments = parser.parse_args()
    out = arguments.out.expanduser().resolve()
    if out.is_relative_to(ROOT.resolve()):
        parser.error(f"--out is inside the repository ({ROOT}), where no picture of the data set may get")
    if not REAL_DATA.is_dir():
        sys.exit(f"skipped: no real pictures at '{REAL_DATA}'; set SURFACEDEFECT_REAL_DATA")
    detector = sd.Detector(arguments.model)
    out.mkdir(parents=True, exist_ok=True)
    worst: dict[tuple[str, str], list[Mistake]] = defaultdict(list)
    for picture in photographs(("valid",), limit=arguments.limit):
        found = list(mistakes(picture, detector))
        for one in found:
            worst[one.sort, one.kind].append(one)
        for several in worst.values():  # no more pictures are held than will be shown
            several.sort(key=lambda one: one.rank)
            del several[arguments.sheets * COLUMNS * ROWS :]
        print(f"{picture.name}: {len(found)} looked at", flush=True)
    listed = [one for key in sorted(worst) for one in write_sheets(worst[key], out)]
    records = [{name: value for name, value in asdict(one).items() if name != "cell"} for one in listed]
    path = out / "mistakes.json"
    path.write_text(json.dumps({"model": detector.predictor.card.name, "mistakes": records}, indent=1) + "\n")
    print(path)


Found = tuple[str, float, int, NDArray[np.bool_]]
"""Sort, score and area of a mistake, and the mask of it alone."""


def mistakes(picture: Picture, detector: sd.Detector) -> Iterator[Mistake]:
    """Look at a picture and yield its worst false alarms and misses of each kind."""
    thresholds = detector.options.thresholds_for(detector.predictor.card)
    probabilities = detector.probability_map(picture.scan)
    with Scan.open(picture.scan) as scan:
        pixels = scan.rows(0, scan.height)
    for kind, threshold in thresholds.items():
        if kind not in picture.truth.kinds:
            continue
        values, truth = probabilities.read(kind), picture.truth.views[kind]
        spots, sizes = spots_of(values, threshold, picture.truth.protocol)
        several = [
            *false_alarms(values, spots, sizes, truth, picture.truth.protocol),
            *misses(spots, truth, picture.truth.protocol),
        ]
        for sort, score, area, own in several:
            cell = cell_of(pixels, spots > 0, truth.labels > 0, own, sort)
            yield Mistake(sort, kind, picture.name, round(score, 3), area, box_of(own), cell)


def spots_of(values: NDArray, threshold: float, rules: Protocol) -> tuple[NDArray, NDArray]:
    """Give a number to each connected spot of a map that is large enough to count, and the size of each number."""
    spots, count = label(values >= damaged_level(threshold))
    sizes = np.bincount(spots.ravel(), minlength=count + 1)
    spots[sizes[spots] < rules.least_predicted_px] = 0
    sizes[sizes < rules.least_predicted_px] = 0
    sizes[0] = 0
    return spots, sizes


def false_alarms(values: NDArray, spots: NDArray, sizes: NDArray, truth: KindTruth, rules: Protocol) -> Iterator[Found]:
    """Yield the spots that touch no truth and lie mostly where there is no doubt, the most certain ones first."""
    touching = np.bincount(spots[truth.near], minlength=len(sizes))
    neither = np.bincount(spots[truth.state == NEITHER], minlength=len(sizes))
    mean = np.bincount(spots.ravel(), weights=values.ravel(), minlength=len(sizes)) / np.maximum(sizes, 1) / 255
    wrong = np.flatnonzero((sizes > 0) & (touching == 0) & (neither < rules.ignored_share * sizes))
    for number in wrong[np.argsort(-mean[wrong], kind="stable")][:MOST_A_PICTURE]:
        yield FALSE_ALARM, float(mean[number]), int(sizes[number]), spots == number


def misses(spots: NDArray, truth: KindTruth, rules: Protocol) -> Iterator[Found]:
    """Yield the regions of which too little is covered, the largest uncovered area first."""
    covered = np.bincount(truth.labels[spots > 0], minlength=len(truth.areas_px) + 1)[1:]
    open_px = truth.areas_px - covered
    missed = np.flatnonzero(covered < rules.found_share * truth.areas_px)
    for region in missed[np.argsort(-open_px[missed], kind="stable")][:MOST_A_PICTURE]:
        share = covered[region] / truth.areas_px[region]
        yield MISS, float(share), int(open_px[region]), truth.labels == region + 1


def box_of(mask: NDArray) -> tuple[int, int, int, int]:
    rows, cols = np.nonzero(mask)
    return int(cols.min()), int(rows.min()), int(cols.max()) + 1, int(rows.max()) + 1


def cell_of(pixels: NDArray[np.uint8], predicted: NDArray, true: NDArray, own: NDArray, sort: str) -> Image.Image:
    """Cut a square around a box out of the picture, shrunk when it is large: plain, and with outlines beside it.

    The outline of `own`, the mistake itself, is twice as wide as those of what else lies there.
    """
    left, top, right, bottom = box_of(own)
    own_colour = PREDICTED if sort == FALSE_ALARM else TRUE
    height, width = true.shape
    longest = max(right - left, bottom - top)
    side = CROP_PX if ROOM * longest <= CROP_PX else min(round(ROOM * longest), max(height, width))
    x = min(max((left + right - side) // 2, 0), max(width - side, 0))
    y = min(max((top + bottom - side) // 2, 0), max(height - side, 0))

    def cut(array: NDArray) -> Image.Image:
        image = Image.fromarray(np.ascontiguousarray(array[y : y + side, x : x + side]))
        size = (max(1, round(length * CROP_PX / side)) for length in image.size)
        return image if side == CROP_PX else image.resize(tuple(size), Image.Resampling.BOX)

    plain = cut(pixels)
    outlined = np.array(plain)
    for mask, colour, width_px in ((predicted, PREDICTED, 1), (true, TRUE, 1), (own, own_colour, 2)):
        inside = np.asarray(cut(255 * mask.astype(np.uint8))) > 0
        outlined[dilate(inside, radius_px=width_px) & ~inside] = colour
    cell = Image.new("RGB", (2 * CROP_PX + 2, CROP_PX), BACKGROUND)
    cell.paste(plain, (0, 0))
    cell.paste(Image.fromarray(outlined), (CROP_PX + 2, 0))
    return cell


def write_sheets(several: list[Mistake], out: Path) -> Iterator[Mistake]:
    """Write the sheets of one sort and kind, and yield every mistake with the sheet that it is on."""
    font = ImageFont.load_default(12)
    wide, high = 2 * CROP_PX + 2 + MARGIN, CROP_PX + CAPTION + MARGIN
    for first in range(0, len(several), COLUMNS * ROWS):
        here = several[first : first + COLUMNS * ROWS]
        rows = -(-len(here) // COLUMNS)
        sheet = Image.new("RGB", (COLUMNS * wide + MARGIN, rows * high + MARGIN), BACKGROUND)
        draw = ImageDraw.Draw(sheet)
        name = f"{here[0].sort}-{here[0].kind}-{first // (COLUMNS * ROWS) + 1}.png".replace(" ", "-")
        for k, one in enumerate(here):
            x, y = MARGIN + k % COLUMNS * wide, MARGIN + k // COLUMNS * high
            told = "mean probability" if one.sort == FALSE_ALARM else "covered"
            middle = (one.box[0] + one.box[2]) // 2, (one.box[1] + one.box[3]) // 2
            draw.text((x, y), f"#{first + k + 1} {one.picture[-44:]}", fill=TEXT, font=font)
            text = f"{one.kind} {one.sort}, {told} {one.score:.2f}, {one.area_px:,} px at {middle[0]}, {middle[1]}"
            draw.text((x, y + 14), text, fill=TEXT, font=font)
            sheet.paste(one.cell, (x, y + CAPTION))
            yield replace(one, cell=None, sheet=name)
        sheet.save(out / name)
        print(out / name)


if __name__ == "__main__":
    main()
