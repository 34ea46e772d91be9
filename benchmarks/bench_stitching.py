"""What does stitching cost over the engine itself, in time and in memory, against two peers on the same ONNX file?

Every run is a process of its own. Memory is the highest resident set minus the resident set right after the model was
loaded. `engine` feeds the same windows to the same engine and throws the result away: the least time possible.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from common import RESULTS, memory_mib, write_result

SIZES = {"4096x3000": (4096, 3000), "8000x8000": (8000, 8000), "8000x32000": (8000, 32000)}
WINDOW, OVERLAP = 512, 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds at 4096x3000")
    parser.add_argument("--quick", action="store_true", help="4096x3000 only")
    parser.add_argument("--run", nargs=2, metavar=("METHOD", "SCAN"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        print(json.dumps(METHODS[arguments.run[0]](Path(arguments.run[1]))))
        return
    with tempfile.TemporaryDirectory() as folder:
        rows = small(Path(folder), arguments.rounds)
        keep(rows)
        if not arguments.quick:
            for row in large(Path(folder)):
                rows.append(row)
                keep(rows)


def keep(rows: list[dict]) -> None:
    """Write what is known so far."""
    ratios = median_ratios(rows)
    print(json.dumps(ratios))
    write_result("stitching", {"question": __doc__, "overlap_px": OVERLAP, "time_over_engine": ratios, "rows": rows})
    draw(rows)


def small(folder: Path, rounds: int) -> list[dict]:
    """Return every method at 4096 x 3000, in turns; then ours on a JPEG and a PNG."""
    scan = write_scan(folder / "4096x3000.tif", *SIZES["4096x3000"])
    rows = [run(name, scan, "4096x3000") for _ in range(rounds) for name in METHODS]
    for ending in ("jpg", "png"):
        other = folder / f"4096x3000.{ending}"
        convert(scan, other)
        rows.append({**run("surfacedefect", other, "4096x3000"), "format": ending})
    return rows


def large(folder: Path) -> Iterator[dict]:
    """Yield ours and the peers at 8000 x 8000, and ours alone on the tallest scan: for their memory."""
    scan = write_scan(folder / "8000x8000.tif", *SIZES["8000x8000"])
    yield run("surfacedefect", scan, "8000x8000")
    yield run("surfacedefect", write_scan(folder / "8000x32000.tif", *SIZES["8000x32000"]), "8000x32000")
    for name in ("monai", "tiler"):
        yield run(name, scan, "8000x8000")


def run(method: str, scan: Path, size: str) -> dict:
    command = [sys.executable, __file__, "--run", method, str(scan)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    row = {"method": method, "size": size, "format": "tif", **json.loads(done.stdout.splitlines()[-1])}
    print(row, flush=True)
    return row


def median_ratios(rows: list[dict]) -> dict[str, float]:
    """Return the median over the rounds of seconds over the engine's seconds of the same round."""
    times = {
        name: [
            row["seconds"] for row in rows if (row["method"], row["size"], row["format"]) == (name, "4096x3000", "tif")
        ]
        for name in METHODS
    }
    return {name: round(float(np.median(np.divide(times[name], times["engine"]))), 3) for name in METHODS}


def write_scan(path: Path, width: int, height: int) -> Path:
    """Write a tiled TIFF of that size, a rendered scan repeated."""
    import rasterio
    from rasterio.windows import Window

    from surfacedefect.synthetic import FIRST_BENCHMARK_SEED, SyntheticConfig, render_scan

    part = render_scan(FIRST_BENCHMARK_SEED + 200, SyntheticConfig(width=2048, height=1024)).image
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 3, "tiled": True, "blockxsize": 256, "blockysize": 256}
    with rasterio.open(
        path, "w", width=width, height=height, compress="jpeg", photometric="ycbcr", bigtiff="if_safer", **profile
    ) as file:
        for top in range(0, height, 1024):
            rows = min(1024, height - top)
            band = np.tile(part[:rows], (1, -(-width // 2048), 1))[:, :width]
            file.write(band.transpose(2, 0, 1), window=Window(0, top, width, rows))
    return path


def convert(source: Path, target: Path) -> None:
    import rasterio
    from PIL import Image

    with rasterio.open(source) as file:
        Image.fromarray(file.read().transpose(1, 2, 0)).save(target)


def predictor_and_base():
    from surfacedefect.runtimes import load_predictor

    predictor = load_predictor("default")
    return predictor, memory_mib("VmRSS")


def measured(started: float, base: float, windows: int | None = None) -> dict:
    seconds = time.perf_counter() - started
    return {"seconds": round(seconds, 2), "peak_mib": round(memory_mib("VmHWM") - base, 1), "windows": windows}


def engine(scan: Path) -> dict:
    """Feed one and the same window as often as the scan has windows."""
    import rasterio

    from surfacedefect.windows import lay_grid

    predictor, base = predictor_and_base()
    with rasterio.open(scan) as file:
        grid = lay_grid(file.height, file.width, window_px=WINDOW, overlap_px=OVERLAP)
        window = file.read(window=((0, WINDOW), (0, WINDOW))).transpose(1, 2, 0)[None].copy()
    started = time.perf_counter()
    for _ in range(len(grid)):
        predictor(window)
    return measured(started, base, len(grid))


def ours(scan: Path) -> dict:
    from surfacedefect import DetectOptions, Detector

    predictor, base = predictor_and_base()
    detector = Detector(predictor, options=DetectOptions(overlap=OVERLAP))
    started = time.perf_counter()
    found = detector.probability_map(scan)
    result = measured(started, base)
    assert found.coverage == 1
    return result


def monai(scan: Path) -> dict:
    import rasterio
    import torch
    from monai.inferers import sliding_window_inference

    predictor, base = predictor_and_base()
    started = time.perf_counter()
    with rasterio.open(scan) as file:
        picture = torch.from_numpy(file.read())[None]

    def look(windows):
        return torch.from_numpy(predictor(windows.permute(0, 2, 3, 1).to(torch.uint8).contiguous().numpy()))

    sliding_window_inference(picture.float(), WINDOW, 1, look, overlap=OVERLAP / WINDOW, mode="gaussian")
    return measured(started, base)


def tiler(scan: Path) -> dict:
    import rasterio
    from tiler import Merger, Tiler

    predictor, base = predictor_and_base()
    started = time.perf_counter()
    with rasterio.open(scan) as file:
        picture = file.read().transpose(1, 2, 0)
    tiles = Tiler(
        picture.shape, (WINDOW, WINDOW, 3), overlap=(OVERLAP, OVERLAP, 0), channel_dimension=2, mode="reflect"
    )
    out = Tiler((2, *picture.shape[:2]), (2, WINDOW, WINDOW), overlap=(0, OVERLAP, OVERLAP), channel_dimension=0)
    merger = Merger(out, window="hann")
    for number, window in tiles(picture):
        merger.add(number, predictor(window[None].astype(np.uint8))[0])
    merger.merge(dtype=np.float32)
    return measured(started, base, len(tiles))


METHODS = {"engine": engine, "surfacedefect": ours, "monai": monai, "tiler": tiler}


def draw(rows: list[dict]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    colours = {"engine": "#9aa0a6", "surfacedefect": "#1f5fa8", "monai": "#d98c00", "tiler": "#8e5ea2"}
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for axis, value, label in (
        (axes[0], "seconds", "seconds a scan"),
        (axes[1], "peak_mib", "peak MiB above the model"),
    ):
        bars = {}
        for row in rows:
            timed = value != "seconds" or row["size"] == "4096x3000"  # larger ones are run once, for their memory
            if row["format"] == "tif" and timed:
                bars.setdefault((row["size"], row["method"]), []).append(row[value])
        axis.barh(
            [f"{m}  {s}" for s, m in bars], [np.median(v) for v in bars.values()], color=[colours[m] for _, m in bars]
        )
        axis.set_xlabel(label)
        axis.invert_yaxis()
    axes[1].axvline(300, color="black", linestyle=":", linewidth=1)
    figure.savefig(RESULTS / "stitching.png", dpi=110)


if __name__ == "__main__":
    main()
