"""What does a scan cost in seconds and memory: by size, overlap, batch, threads and engine, and beside two peers?

Every run is a process of its own; the runs of a group take turns, and the figure of a row is its median. Memory is the
highest resident set minus the resident set right after the model was loaded. All of them feed the same windows of the
same file to the same weights: `engine` throws the result away, which is the least time possible; `surfacedefect`
is `Detector.probability_map`; `monai` is MONAI's `sliding_window_inference`; `tiler` is Tiler and Merger. What they
take beyond the engine is the price of stitching.

``--engine torch --name gpu`` measures the torch engine, on a CUDA GPU where there is one, into results/speed-gpu.json.
"""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from common import fitted_exponent, memory_mib, write_result
from speed_figures import draw
from speed_methods import METHODS, OVERLAP, PACKAGES, predictor_of, write_scan

SIZES = {"1 MP": (1024, 1000), "4 MP": (2048, 2000), "12 MP": (4096, 3000), "64 MP": (8000, 8000)}
PEERS, LARGE, OPTIONS, FORMATS = "peers", "large", "options", "formats"
OVERLAPS, BATCHES = (0, 64, 256), (2, 4, 8)


@dataclass(frozen=True)
class Case:
    """One thing to time; what is not named is as the library has it."""

    group: str
    method: str
    size: str
    engine: str
    overlap_px: int = OVERLAP
    batch: int = 1
    threads: int | None = None
    format: str = "tif"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="1 MP, one round: does it run?")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--engine", choices=("onnx", "torch"), default="onnx")
    parser.add_argument("--name", help="what the result is called: results/speed-NAME.json")
    parser.add_argument("--run", nargs=2, metavar=("CASE", "SCAN"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        print(json.dumps(measured(Case(**json.loads(arguments.run[0])), Path(arguments.run[1]))))
        return
    name = "-".join(["speed", *filter(None, (arguments.name, "quick" if arguments.quick else None))])
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for case in turns(arguments):
            rows.append({**asdict(case), **run(case, scan_of(case, Path(folder)))})
            print(json.dumps(rows[-1]), flush=True)
    result = {"question": __doc__, "quick": arguments.quick, "engine": arguments.engine, **digest(rows), "runs": rows}
    write_result(name, result)
    draw(result, name)


def turns(arguments: argparse.Namespace) -> list[Case]:
    """Return the runs in the order in which they are made: of each group, round by round."""
    engine = arguments.engine
    sizes = ["1 MP"] if arguments.quick else ["1 MP", "12 MP"]
    peers = [Case(PEERS, method, size, engine) for size in sizes for method in METHODS]
    small = "1 MP" if arguments.quick else "4 MP"
    other = "torch" if engine == "onnx" else "onnx"
    options = [
        Case(OPTIONS, "surfacedefect", small, engine),
        *(Case(OPTIONS, "surfacedefect", small, engine, overlap_px=overlap) for overlap in OVERLAPS),
        *(Case(OPTIONS, "surfacedefect", small, engine, batch=batch) for batch in BATCHES),
        Case(OPTIONS, "surfacedefect", small, engine, threads=1),
        Case(OPTIONS, "surfacedefect", small, other),
    ]
    if arguments.quick:
        return peers + options[:2]
    large = [Case(LARGE, method, "64 MP", engine) for method in METHODS if method != "engine"]
    formats = [Case(FORMATS, "surfacedefect", "12 MP", engine, format=ending) for ending in ("jpg", "png")]
    return peers * arguments.rounds + options * min(arguments.rounds, 3) + formats + large


def scan_of(case: Case, folder: Path) -> Path:
    """Return the scan of a case, written on its first use."""
    width, height = SIZES[case.size]
    path = folder / f"{width}x{height}.{case.format}"
    return path if path.exists() else write_scan(path, width, height)


def run(case: Case, scan: Path) -> dict[str, Any]:
    command = [sys.executable, __file__, "--run", json.dumps(asdict(case)), str(scan)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{case} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def measured(case: Case, scan: Path) -> dict[str, Any]:
    """Run a case here, in a process that has done nothing else; the model has looked at one window before."""
    for package in PACKAGES.get(case.method, ()):
        importlib.import_module(package)
    predictor = predictor_of(case.engine, threads=case.threads)
    base, side = memory_mib("VmRSS"), predictor.card.window_px
    predictor(np.zeros((1, side, side, 3), np.uint8))
    seconds, windows = METHODS[case.method](scan, predictor, case.overlap_px, case.batch)
    return {
        "seconds": round(seconds, 3),
        "peak_mib": round(memory_mib("VmHWM") - base, 1),
        "gpu_mib": gpu_mib(),
        "windows": windows,
    }


def gpu_mib() -> float | None:
    """Return the most memory that torch took on a GPU, weights included; None without one."""
    torch = sys.modules.get("torch")
    return round(torch.cuda.max_memory_allocated() / 2**20, 1) if torch and torch.cuda.is_available() else None


def digest(rows: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return the median of each case, its time over the engine's of the same round, and how time grows with size."""
    several: dict[Case, list[dict[str, Any]]] = {}
    for row in rows:
        several.setdefault(Case(**{name: row[name] for name in Case.__dataclass_fields__}), []).append(row)
    cases = []
    for case, group in several.items():
        width, height = SIZES[case.size]
        engine = several.get(Case(case.group, "engine", case.size, case.engine))
        seconds = float(np.median([row["seconds"] for row in group]))
        over = [one["seconds"] / least["seconds"] for one, least in zip(group, engine or (), strict=False)]
        cases.append(
            {
                **asdict(case),
                "megapixels": width * height / 1e6,
                "rounds": len(group),
                "seconds": round(seconds, 3),
                "seconds_range": [min(row["seconds"] for row in group), max(row["seconds"] for row in group)],
                "over_engine": round(float(np.median(over)), 3) if over else None,
                "peak_mib": float(np.median([row["peak_mib"] for row in group])),
                "gpu_mib": group[0]["gpu_mib"],
                "windows": group[0]["windows"],
            }
        )
    return {"cases": cases, "exponents": exponents(cases)}


def exponents(cases: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Return, for each method, the powers of the scan's pixels that its time and its memory grow with."""
    found = {}
    for method in METHODS:
        sizes = [case for case in cases if case["method"] == method and case["group"] in (PEERS, LARGE)]
        if len(sizes) > 1:
            pixels = [case["megapixels"] for case in sizes]
            found[method] = {
                name: round(fitted_exponent(pixels, [case[key] for case in sizes]), 3)
                for name, key in (("time", "seconds"), ("memory", "peak_mib"))
            }
    return found


if __name__ == "__main__":
    main()
