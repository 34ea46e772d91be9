"""Which near duplicates are found, and is anything merged that is none? Of rendered panels, and of real ones."""

from __future__ import annotations

import argparse
import io
import random
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from common import REAL_DATA, write_result
from PIL import Image, ImageOps

from surfacedefect.annotations import read_annotations
from surfacedefect.datasets import near_duplicates
from surfacedefect.synthetic import write_dataset

RENDERED, WIDTH_PX, HEIGHT_PX, FIRST_SEED = 500, 640, 480, 5000
FLIPS = {"mirrored": ImageOps.mirror, "upside_down": ImageOps.flip, "turned": lambda image: image.rotate(180)}
CHANGES: dict[str, dict[str, Any]] = {
    "crop_2": {"crop": 0.02},
    "crop_5": {"crop": 0.05},
    "jpeg_50": {"quality": 50},
    "brighter_20": {"gain": 1.2},
    "darker_20": {"gain": 0.8},
    "flipped": {"flip": True},
    "all_of_these": {"crop": 0.05, "quality": 50, "gain": None, "flip": True},
    "crop_10": {"crop": 0.10, "quality": 75},
    "crop_20": {"crop": 0.20, "quality": 75},
    "crop_30": {"crop": 0.30, "quality": 75},
    "crop_30_half_size": {"crop": 0.30, "quality": 75, "scale": 0.5},
}
ASKED = ("crop_2", "crop_5", "jpeg_50", "brighter_20", "darker_20", "flipped", "all_of_these")


def changed(image: Image.Image, draw: random.Random, *, crop=0.0, quality=90, gain=1.0, flip=False, scale=1.0) -> bytes:
    """Return a JPEG of the picture; `crop` is the share of width and of height that is cut off, anywhere."""
    width, height = image.size
    left, top = draw.uniform(0, crop) * width, draw.uniform(0, crop) * height
    image = image.crop((round(left), round(top), round(left + (1 - crop) * width), round(top + (1 - crop) * height)))
    gain = draw.choice((0.8, 1.2)) if gain is None else gain
    image = image.point(lambda value: min(255, round(value * gain)))
    image = FLIPS[draw.choice(sorted(FLIPS))](image) if flip else image
    image = image.resize((round(image.width * scale), round(image.height * scale)))
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


def judged(pictures: list[tuple[Path, str]]) -> dict[str, Any]:
    """Recall of every change, and groups in which cars meet."""
    draw = random.Random(0)
    started = time.perf_counter()
    alone = near_duplicates([path for path, _ in pictures])
    seconds = time.perf_counter() - started
    meeting = [group for group in alone if len({pictures[number][1] for number in group}) > 1]
    record: dict[str, Any] = {
        "pictures": len(pictures),
        "cars": len({car for _, car in pictures}),
        "seconds_a_picture": round(seconds / len(pictures), 3),
        "groups": len(alone),
        "groups_of_one_car": len(alone) - len(meeting),
        "groups_of_several_cars": [[pictures[number][0].name for number in group] for group in meeting],
        "recall": {},
        "merged_wrongly": {},
    }
    for name, change in CHANGES.items():
        with tempfile.TemporaryDirectory() as folder:
            copies = []
            for number, (path, _) in enumerate(pictures):
                copy = Path(folder) / f"{number}.jpg"
                copy.write_bytes(changed(Image.open(path).convert("RGB"), draw, **change))
                copies.append(copy)
            found = near_duplicates([*(path for path, _ in pictures), *copies])
        at = {number: place for place, group in enumerate(found) for number in group}
        hits = sum(at.get(number, -1) == at.get(number + len(pictures), -2) for number in range(len(pictures)))
        known = {frozenset(pictures[number][1] for number in group) for group in alone}
        wrong = 0
        for group in found:
            cars = frozenset(pictures[number % len(pictures)][1] for number in group)
            wrong += len(cars) > 1 and cars not in known
        record["recall"][name] = round(hits / len(pictures), 4)
        record["merged_wrongly"][name] = wrong
        print(name, record["recall"][name], wrong, flush=True)
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
        result = {name: judged(pictures) for name, pictures in sets.items()}
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
        write_result("near-duplicates", record)


if __name__ == "__main__":
    main()
