"""Which near duplicates are found, and is anything merged that is none? Of rendered panels, and of real ones."""

from __future__ import annotations

import argparse
import io
import multiprocessing
import random
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from common import REAL_DATA, write_result
from PIL import Image, ImageOps

from surfacedefect.annotations import read_annotations
from surfacedefect.datasets._miniature import miniature_of
from surfacedefect.datasets.near_duplicates import Fingerprint, candidates, fingerprint, groups, show_the_same
from surfacedefect.synthetic import write_dataset

RENDERED, WIDTH_PX, HEIGHT_PX, FIRST_SEED = 500, 640, 480, 5000
FLIPS = {"mirrored": ImageOps.mirror, "upside_down": ImageOps.flip, "turned": lambda image: image.rotate(180)}
CHANGES: dict[str, dict[str, Any]] = {
    "crop_5": {"crop": 0.05},
    "jpeg_50": {"quality": 50},
    "brighter_20": {"gain": 1.2},
    "darker_20": {"gain": 0.8},
    "flipped": {"flip": True},
    "all_of_these": {"crop": 0.05, "quality": 50, "gain": None, "flip": True},
    "crop_10": {"crop": 0.10, "quality": 75},
    "crop_20": {"crop": 0.20, "quality": 75},
    "crop_30": {"crop": 0.30, "quality": 75},
}
ASKED = ("crop_5", "jpeg_50", "brighter_20", "darker_20", "flipped", "all_of_these")


def changed(image: Image.Image, draw: random.Random, *, crop=0.0, quality=90, gain=1.0, flip=False) -> bytes:
    """Return a JPEG of the picture; `crop` is the share of width and of height that is cut off, anywhere."""
    width, height = image.size
    left, top = draw.uniform(0, crop) * width, draw.uniform(0, crop) * height
    image = image.crop((round(left), round(top), round(left + (1 - crop) * width), round(top + (1 - crop) * height)))
    gain = draw.choice((0.8, 1.2)) if gain is None else gain
    image = image.point(lambda value: min(255, round(value * gain)))
    image = FLIPS[draw.choice(sorted(FLIPS))](image) if flip else image
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


def rendered(folder: Path, count: int) -> list[tuple[Path, str]]:
    size = {"width": WIDTH_PX, "height": HEIGHT_PX}
    write_dataset(folder, count=count, seed=FIRST_SEED, size=size)
    return [(path, path.stem) for path in sorted((folder / "images").iterdir())]


def real(most: int) -> list[tuple[Path, str]]:
    """Real pictures and the car of each; without the 4K ones."""
    found = []
    for part in ("train", "valid"):
        folder = REAL_DATA / part
        if folder.is_dir():
            for image in read_annotations(folder / "annotations.json", "coco").images:
                if image.origin != "photos4k":
                    found.append((folder / "images" / Path(image.file_name).name, str(image.group)))
    return found[:: max(1, len(found) // most)]


class Pictures:
    """Pictures with the car of each; what was seen of them is kept, and so are the pairs that show the same."""

    def __init__(self, pictures: list[tuple[Path, str]]) -> None:
        self.paths = [path for path, _ in pictures]
        self.cars = [car for _, car in pictures]
        self.prints = [fingerprint(miniature_of(path)) for path in self.paths]
        self.pairs = tied(self.prints, known=0)

    def with_copies(self, change: dict[str, Any], draw: random.Random) -> list[list[int]]:
        """Group the pictures and, after them, a changed copy of each."""
        with tempfile.TemporaryDirectory() as folder:
            copies = []
            for path in self.paths:
                copy = Path(folder) / "copy.jpg"
                copy.write_bytes(changed(Image.open(path).convert("RGB"), draw, **change))
                copies.append(fingerprint(miniature_of(copy)))
        prints = [*self.prints, *copies]
        return groups(len(prints), [*self.pairs, *tied(prints, known=len(self.prints))])


def tied(prints: list[Fingerprint], *, known: int) -> list[tuple[int, int]]:
    """Pairs that show the same, without those of the first `known` among themselves."""
    return [
        (pair.first, pair.second)
        for pair in candidates(prints)
        if pair.second >= known and show_the_same(prints[pair.first], prints[pair.second], way=pair.way)
    ]


def judged(given: list[tuple[Path, str]]) -> dict[str, Any]:
    """Recall of every change, and groups in which cars meet."""
    draw = random.Random(0)
    started = time.process_time()
    pictures = Pictures(given)
    seconds, count = time.process_time() - started, len(given)
    alone = groups(count, pictures.pairs)
    meeting = [group for group in alone if len({pictures.cars[number] for number in group}) > 1]
    record: dict[str, Any] = {
        "pictures": count,
        "cars": len(set(pictures.cars)),
        "processor_seconds_a_picture": round(seconds / count, 3),
        "groups": len(alone),
        "groups_of_one_car": len(alone) - len(meeting),
        "groups_of_several_cars": [[pictures.paths[number].name for number in group] for group in meeting],
        "recall": {},
        "merged_wrongly": {},
    }
    known = {frozenset(pictures.cars[number] for number in group) for group in meeting}
    for name, change in CHANGES.items():
        found = pictures.with_copies(change, draw)
        place = {number: at for at, group in enumerate(found) for number in group}
        hits = [number for number in range(count) if number in place and place[number] == place.get(number + count)]
        cars = [frozenset(pictures.cars[number % count] for number in group) for group in found]
        record["recall"][name] = round(len(hits) / count, 4)
        record["merged_wrongly"][name] = sum(len(group) > 1 and group not in known for group in cars)
        print(name, record["recall"][name], record["merged_wrongly"][name], flush=True)
    return record


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rendered", type=int, default=RENDERED)
    parser.add_argument("--real", type=int, default=10_000, help="most real pictures")
    parser.add_argument("--renders", type=Path, help="folder to keep the rendered panels in")
    parser.add_argument("--quick", action="store_true", help="12 panels of each; shows that it runs, writes nothing")
    arguments = parser.parse_args()
    count = 12 if arguments.quick else arguments.rendered
    with tempfile.TemporaryDirectory() as folder:
        sets = {"rendered": rendered(arguments.renders or Path(folder) / "renders", count)}
        if REAL_DATA.is_dir():
            sets["real"] = real(12 if arguments.quick else arguments.real)
        with ProcessPoolExecutor(len(sets), mp_context=multiprocessing.get_context("spawn")) as pool:
            result = dict(zip(sets, pool.map(judged, sets.values()), strict=True))
    record = {
        "question": __doc__,
        "changes": {name: {key: str(value) for key, value in change.items()} for name, change in CHANGES.items()},
        "asked": list(ASKED),
        "sizes_of_sets": dict(Counter({name: part["pictures"] for name, part in result.items()})),
        **result,
    }
    if arguments.quick:
        print(record)
    else:
        write_result("near_duplicates", record)


if __name__ == "__main__":
    main()
