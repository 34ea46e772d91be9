"""Which engine is the quickest on this machine, what memory does it take, and do they all say the same?

Every run is a process of its own: it loads the shipped weights, looks at one window, then at those of a rendered scan
one after the other. The engines take turns; figures are medians of the rounds, and ``over_onnx`` that of the ratios
within a round. Memory is the highest resident set minus what the process had before the engine was loaded.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from common import memory_mib, write_result

from surfacedefect.runtimes import load_predictor
from surfacedefect.synthetic import DEMO, FIRST_BENCHMARK_SEED, render_scan

PACKAGES = {"onnx": "onnxruntime", "openvino": "openvino", "torch": "torch"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="one round: does it run?")
    parser.add_argument("--run", nargs=2, metavar=("ENGINE", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        print(json.dumps(measured(arguments.run[0], Path(arguments.run[1]))))
        return
    engines = [name for name, package in PACKAGES.items() if find_spec(package)]
    rounds = 1 if arguments.quick else arguments.rounds
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "windows.npy", windows())
        runs = [{name: run(name, folder) for name in engines} for _ in range(rounds)]
        maps = {name: np.load(Path(folder) / f"{name}.npy") for name in engines}
    rows = [row(name, runs, maps) for name in engines]
    write_result(
        "engines-quick" if arguments.quick else "engines", {"question": __doc__, "engines": rows, "runs": runs}
    )


def windows() -> np.ndarray:
    """Cut a rendered scan into twelve windows of 512 px, without overlap."""
    pixels = render_scan(FIRST_BENCHMARK_SEED + 7, replace(DEMO, width=2048, height=1536)).image
    return pixels.reshape(3, 512, 4, 512, 3).swapaxes(1, 2).reshape(12, 512, 512, 3)


def run(engine: str, folder: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--run", engine, folder]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{engine} failed:\n{done.stderr}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def measured(engine: str, folder: Path) -> dict[str, float]:
    """Load and look here, in a process that has done nothing else."""
    given = np.load(folder / "windows.npy")
    before, start = memory_mib("VmRSS"), time.perf_counter()
    predictor = load_predictor("default", runtime=engine)
    predictor(given[:1])
    loaded = time.perf_counter() - start
    found, seconds = [], []
    for one in given:
        start = time.perf_counter()
        found.append(predictor(one[np.newaxis]))
        seconds.append(time.perf_counter() - start)
    np.save(folder / f"{engine}.npy", np.concatenate(found))
    return {
        "ms_per_window": round(1000 * median(seconds), 1),
        "load_seconds": round(loaded, 2),
        "mib": round(memory_mib("VmHWM") - before, 1),
    }


def row(engine: str, runs: list[dict[str, dict[str, float]]], maps: dict[str, np.ndarray]) -> dict[str, Any]:
    own = [one[engine] for one in runs]
    over = [one[engine]["ms_per_window"] / one["onnx"]["ms_per_window"] for one in runs if "onnx" in one]
    difference = np.abs(maps[engine] - maps["onnx"]).max() if "onnx" in maps else None
    return {
        "engine": engine,
        **{name: round(median(one[name] for one in own), 2) for name in own[0]},
        "ms_range": [min(one["ms_per_window"] for one in own), max(one["ms_per_window"] for one in own)],
        "over_onnx": round(median(over), 2) if over else None,
        "largest_difference": None if difference is None else float(f"{difference:.2g}"),
    }


if __name__ == "__main__":
    main()
