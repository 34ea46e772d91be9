"""How long does an ingest of 10,000 small files from a local folder take, how much memory, and a second one?"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
from common import write_result
from PIL import Image

from surfacedefect.datasets import Progress, ingest, verify

WIDTH_PX, HEIGHT_PX = 96, 64


def make_share(folder: Path, files: int) -> None:
    draw = np.random.default_rng(0)
    for number in range(files):
        place = folder / f"car {number // 100}"
        place.mkdir(parents=True, exist_ok=True)
        noise = draw.integers(0, 255, (HEIGHT_PX, WIDTH_PX, 3), np.uint8)
        Image.fromarray(noise).save(place / f"{number}.jpg")


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def timed(work) -> dict[str, float]:
    started, processor = time.perf_counter(), time.process_time()
    work()
    return {
        "seconds": round(time.perf_counter() - started, 1),
        "processor_seconds": round(time.process_time() - processor, 1),
        "peak_mib": round(peak_mib()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--quick", action="store_true", help="200 files; shows that it runs")
    arguments = parser.parse_args()
    files = 200 if arguments.quick else arguments.files
    peaks: list[tuple[int, float]] = []

    def watch(now: Progress) -> None:
        if now.phase == "fetching":
            peaks.append((now.files, peak_mib()))

    with tempfile.TemporaryDirectory() as folder:
        share, dest = Path(folder) / "share", Path(folder) / "set"
        make_share(share, files)
        record = {
            "question": __doc__,
            "files": files,
            "width_px": WIDTH_PX,
            "height_px": HEIGHT_PX,
            "load_before": os.getloadavg()[0],
            "first": timed(lambda: ingest(share, dest, progress=watch)),
            "second": timed(lambda: ingest(share, dest)),
            "verify": timed(lambda: verify(dest)),
            "load_after": os.getloadavg()[0],
        }
    at_a_fifth = next(peak for done, peak in peaks if done >= files // 5)
    record["peak_mib_at_a_fifth"], record["peak_mib_all_fetched"] = round(at_a_fifth), round(peaks[-1][1])
    print(record)
    write_result("ingest-quick" if arguments.quick else "ingest", record)


if __name__ == "__main__":
    main()
