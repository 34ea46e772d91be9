"""How do time and memory grow with the size of a scan, when the model costs nothing?

The predictor gives every window the same answer, a scratch in its middle, so what is measured is the rest: reading,
stitching, the map (in memory up to 96 MiB, then on disk) and, in `detect`, an outline and its measures for every
scratch. `taller`: 8000 px wide, as a car driven under a scanner. `square`: width and height grow together. The fitted
power p of a law "pixels to the p" is 1 where cost is in proportion and 0 where it does not grow; the same fit without
the smallest scan stands beside it.

Every run is a process of its own. ``--quick`` goes to 64 megapixels instead of 1000.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from common import fitted_exponent, watched, write_result
from speed_figures import draw_scaling
from speed_methods import write_scan

from surfacedefect import Detector, FunctionPredictor, ModelCard

WINDOW, OVERLAP = 512, 128
SHAPES = {
    "taller": ((8000, 2000), (8000, 8000), (8000, 32_000), (8000, 125_000)),
    "square": ((4000, 4000), (8000, 8000), (16_000, 16_000), (31_600, 31_600)),
}
QUICK = {"taller": ((2000, 1000), (2000, 4000)), "square": ((1000, 1000), (2000, 2000))}
CALLS = ("probability_map", "detect")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small scans: does it run?")
    parser.add_argument("--run", nargs=2, metavar=("CALL", "SCAN"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        print(json.dumps(measured(arguments.run[0], Path(arguments.run[1]))))
        return
    shapes: dict[str, Any] = {}
    for name, sizes in (QUICK if arguments.quick else SHAPES).items():
        rows = [row for size in sizes for row in rows_of(size)]
        shapes[name] = {"rows": rows, "exponents": {call: fits(rows, call) for call in CALLS}}
        print(name, json.dumps(shapes[name]["exponents"]), flush=True)
    name = "scaling-quick" if arguments.quick else "scaling"
    result = {"question": __doc__, "quick": arguments.quick, "shapes": shapes}
    write_result(name, result)
    draw_scaling(result, name)


def rows_of(size: tuple[int, int]) -> list[dict[str, Any]]:
    """Write a scan of that size and run every call on it."""
    width, height = size
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        scan = write_scan(Path(folder) / "scan.tif", width, height)
        for call in CALLS:
            command = [sys.executable, __file__, "--run", call, str(scan)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                sys.exit(f"{call} of {width} x {height} px failed:\n{done.stderr}")
            shape = {"call": call, "width": width, "height": height, "megapixels": width * height / 1e6}
            rows.append({**shape, **json.loads(done.stdout.splitlines()[-1])})
            print(json.dumps(rows[-1]), flush=True)
    return rows


def measured(call: str, scan: Path) -> dict[str, Any]:
    """Run a call here, in a process that has done nothing else."""
    detector = Detector(same_answer())
    detector.detect(np.full((WINDOW, WINDOW, 3), 128, np.uint8))  # loads what is imported late
    found, seconds, peak_mib = watched(lambda: getattr(detector, call)(scan))
    defects = len(found) if call == "detect" else None
    return {"seconds": round(seconds, 3), "peak_mib": round(peak_mib, 1), "defects": defects}


def same_answer() -> FunctionPredictor:
    """Return a predictor that finds a scratch of 120 x 6 px in the middle of every window."""
    answer = np.full((1, 1, WINDOW, WINDOW), 0.02, np.float32)
    answer[0, 0, 253:259, 196:316] = 0.98
    card = ModelCard(name="same answer", kinds=("scratch",), window_px=WINDOW, overlap_px=OVERLAP)
    return FunctionPredictor(lambda windows: np.repeat(answer, len(windows), axis=0), card=card)


def fits(rows: list[dict[str, Any]], call: str) -> dict[str, dict[str, float]]:
    """Return the power that time and memory grow with, over all sizes and without the smallest."""
    own = [row for row in rows if row["call"] == call]
    pixels = [row["megapixels"] for row in own]
    found = {}
    for name, key in (("time", "seconds"), ("memory", "peak_mib")):
        values = [max(row[key], 1e-3) for row in own]
        found[name] = {"exponent": round(fitted_exponent(pixels, values), 3)}
        if len(own) > 2:
            found[name]["without_smallest"] = round(fitted_exponent(pixels[1:], values[1:]), 3)
    return found


if __name__ == "__main__":
    main()
