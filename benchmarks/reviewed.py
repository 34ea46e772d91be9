"""What the first models saw on the training photographs outside of the annotation, judged by eye, as more annotation.

About two in five "false alarms" on the training photographs are scratches that nobody outlined. `reviewed.json` says of
each whether it is damage, clean or in doubt; pictures are named, not shown. `annotate` writes a COCO file in which

- what was judged damage is outlined by the model that saw it, as a scratch with a margin of doubt around it,
- what is in doubt is ignored,
- and gives the places that were judged clean, which are the hard negatives.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image
from shapely.affinity import translate
from shapely.geometry import Point

import surfacedefect as sd
from surfacedefect.annotations import Dataset, Region, read_coco, write_coco

REVIEWED = Path(__file__).with_name("reviewed.json")
OPTIONS = sd.DetectOptions(threshold=0.3, least_area_px=20)
SIDE_PX = 256
REACH_PX = 12
"""A verdict is on what lies this near to its place."""
MARGIN_PX = 5


def places(verdict: str) -> list[tuple[str, float, float]]:
    """Picture, x and y in px of every spot with a verdict: ``"damage"``, ``"clean"`` or ``"unclear"``."""
    record = json.loads(REVIEWED.read_text(encoding="utf-8"))
    return [(name, x, y) for name, spots in record[verdict].items() for x, y in spots]


def annotate(model: Path, annotations: Path, images: Path, out: Path) -> None:
    """Write the COCO file, outlining by a model with windows of 256 px; see the module."""
    detector = sd.Detector(model, options=OPTIONS)
    more: dict[str, list[Region]] = defaultdict(list)
    for verdict in ("damage", "unclear"):
        for name, x, y in places(verdict):
            for outline in _outlines(detector, images / name, x=x, y=y):
                more[name].append(Region("ignore", outline.buffer(MARGIN_PX)))
                if verdict == "damage":
                    more[name].append(Region("scratch", outline))
    given = read_coco(annotations)
    records = [replace(one, regions=(*one.regions, *more[one.file_name])) for one in given.images]
    write_coco(out, Dataset(given.categories, tuple(records)))


def _outlines(detector: sd.Detector, picture: Path, *, x: float, y: float) -> list:
    """Outline what the model sees at a place, in px of the picture; a small disc when it sees nothing there."""
    with Image.open(picture) as opened:
        pixels = np.asarray(opened.convert("RGB"))
    left = int(np.clip(x - SIDE_PX / 2, 0, max(pixels.shape[1] - SIDE_PX, 0)))
    top = int(np.clip(y - SIDE_PX / 2, 0, max(pixels.shape[0] - SIDE_PX, 0)))
    found = detector.detect(np.ascontiguousarray(pixels[top : top + SIDE_PX, left : left + SIDE_PX]))
    place = Point(x, y)
    moved = [translate(defect.polygon, left, top) for defect in found]
    return [outline for outline in moved if outline.distance(place) <= REACH_PX] or [place.buffer(REACH_PX)]
