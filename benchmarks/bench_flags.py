"""Which pictures are flagged as they are, and which once they are blurred, darkened or brightened?"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench_near_duplicates import real, rendered
from common import REAL_DATA, write_result
from PIL import Image, ImageFilter

from surfacedefect.datasets import FLAGS
from surfacedefect.datasets._miniature import miniature_of
from surfacedefect.datasets.flags import flags_of

RENDERED = 150
Change = Callable[[Image.Image], Image.Image]


def gain(factor: float) -> Change:
    return lambda image: image.point(lambda value: min(255, round(value * factor)))


def blur(sigma_px: float) -> Change:
    return lambda image: image.filter(ImageFilter.GaussianBlur(sigma_px))


CHANGES: dict[str, Change] = {
    "as_it_is": lambda image: image,
    "blurred_1_px": blur(1),
    "blurred_2_px": blur(2),
    "blurred_3_px": blur(3),
    "blurred_5_px": blur(5),
    "darkened_to_a_sixth": gain(1 / 6),
    "brightened_threefold": gain(3),
}


def flagged(paths: list[Path]) -> dict[str, Any]:
    record: dict[str, Any] = {"pictures": len(paths), "flagged": {}}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "changed.jpg"
        for name, change in CHANGES.items():
            counts: Counter[str] = Counter()
            for path in paths:
                change(Image.open(path).convert("RGB")).save(file, quality=90)
                counts.update(flags_of(miniature_of(file)))
            record["flagged"][name] = {flag: round(counts[flag] / len(paths), 4) for flag in FLAGS}
            print(name, record["flagged"][name], flush=True)
    return record


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--renders", type=Path, help="folder to keep the rendered panels in")
    parser.add_argument("--quick", action="store_true", help="8 pictures of each; shows that it runs, writes nothing")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        pictures = rendered(arguments.renders or Path(folder) / "renders", 8 if arguments.quick else RENDERED)
        result = {"rendered": flagged([path for path, _ in pictures])}
        if REAL_DATA.is_dir():
            result["real"] = flagged([path for path, _ in real(8 if arguments.quick else 10_000)])
    if not arguments.quick:
        write_result("flags", {"question": __doc__, "jpeg_quality": 90, **result})


if __name__ == "__main__":
    main()
