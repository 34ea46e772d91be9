"""How fast are synthetic scans rendered, and is their clean paint like that of photos, as far as cheap statistics tell?

Speed: training windows in one process and in two at once, start-up not counted; a 4096 x 3000 scan in a process of its
own, with the highest resident set above that after the imports. Likeness: the calmer half of 256 px crops without
damage, of real close-ups of panels and of undamaged training windows. Each distance between them is divided by the one
between two random halves of the real pictures: 1 = no further apart than those. Without the real pictures
(SURFACEDEFECT_REAL_DATA) that part is left out.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from appearance import (
    COLOUR_FREE,
    OCTAVE_NAMES,
    OCTAVES,
    PIXELS,
    SIDE,
    STATISTICS,
    Crops,
    Floats,
    between_halves,
    describe,
    distance,
    features,
    most_telling,
    structure,
    told_apart,
)
from common import REAL_DATA, RESULTS, memory_mib, write_result
from numpy.typing import NDArray
from PIL import Image

from surfacedefect._workers import reuse_freed_memory
from surfacedefect.annotations import rasterise, read_coco
from surfacedefect.synthetic.config import CLEAN, FIRST_BENCHMARK_SEED, SyntheticConfig
from surfacedefect.synthetic.presets import preset
from surfacedefect.synthetic.render import render_scan, render_window

SCANS = {"default": SyntheticConfig(), "bench-v1-fringe": preset("bench-v1-fringe")}
TARGETS = {"windows_per_second_two_processes": 10, "scan_seconds": 25, "scan_peak_mib": 1536}
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
FAR_PX = 32  # from any damage
ALIKE = 35  # grey levels that the colour of a crop may be off the paint's, so that floors and walls drop out
STEP_PX = 128  # from crop to crop
MOST_A_PICTURE = 4
FIRST_SEED = 500_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few windows, one small scan; nothing is written")
    parser.add_argument("--skip-speed", action="store_true", help="likeness only; nothing is written")
    parser.add_argument("--scan", choices=SCANS, help=argparse.SUPPRESS)
    parser.add_argument("--width", type=int, default=4096, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.scan:
        print(json.dumps(scan_cost(arguments.scan, arguments.width)))
        return
    os.environ.update(ONE_THREAD)  # for the processes that are started from here
    result: dict[str, Any] = {"question": __doc__, "targets": TARGETS}
    if not arguments.skip_speed:
        result["speed"] = speed(windows=8 if arguments.quick else 60, width=1024 if arguments.quick else 4096)
    result["likeness"], curves = likeness(windows=40 if arguments.quick else 160)
    if not (arguments.quick or arguments.skip_speed):
        write_result("synthetic", result)
        if curves:
            draw(curves, RESULTS / "synthetic.png")


def speed(*, windows: int, width: int) -> dict[str, Any]:
    found: dict[str, Any] = {"windows_a_process": windows}
    for processes, name in ((1, "one_process"), (2, "two_processes")):
        rate, cpu = window_rate(processes, windows)
        found[f"windows_per_second_{name}"] = round(rate, 2)
        found[f"cpu_ms_a_window_{name}"] = round(1000 * cpu)
        print(
            f"512 px windows per second, {processes} at once: {rate:.2f}, {1000 * cpu:.0f} ms of CPU each", flush=True
        )
    print(f"  target: {TARGETS['windows_per_second_two_processes']} with two")
    found["scans"] = {}
    for name in SCANS:
        command = [sys.executable, __file__, "--scan", name, "--width", str(width)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found["scans"][name] = json.loads(done.stdout.splitlines()[-1])
        print(f"{name}: {found['scans'][name]}", flush=True)
    print(f"  target: {TARGETS['scan_seconds']} s, {TARGETS['scan_peak_mib']} MiB")
    return found


def window_rate(processes: int, windows: int) -> tuple[float, float]:
    """Render in so many fresh processes at once; give the rate of the slowest, and CPU seconds a window."""
    context = multiprocessing.get_context("spawn")
    begin, times = context.Barrier(processes), context.Queue()
    workers = [context.Process(target=render_some, args=(k, windows, begin, times)) for k in range(processes)]
    for worker in workers:
        worker.start()
    taken = [times.get() for _ in workers]
    for worker in workers:
        worker.join()
    return processes * windows / max(wall for wall, _ in taken), sum(cpu for _, cpu in taken) / processes / windows


def render_some(number: int, windows: int, begin: Any, times: Any) -> None:
    reuse_freed_memory()  # as the processes do that prepare training samples and write data sets
    render_window(FIRST_SEED - 1)  # the late imports
    begin.wait()
    started, worked = time.perf_counter(), time.process_time()
    for k in range(windows):
        render_window(FIRST_SEED + number * windows + k)
    times.put((time.perf_counter() - started, time.process_time() - worked))


def scan_cost(name: str, width: int) -> dict[str, Any]:
    from dataclasses import replace

    base = memory_mib("VmRSS")
    config = replace(SCANS[name], width=width, height=width * 3000 // 4096)
    started = time.perf_counter()
    image = render_scan(FIRST_BENCHMARK_SEED + 300, config).image
    seconds = time.perf_counter() - started
    size = f"{image.shape[1]}x{image.shape[0]}"
    return {"size": size, "seconds": round(seconds, 1), "peak_mib": round(memory_mib("VmHWM") - base)}


def likeness(*, windows: int) -> tuple[dict[str, Any], dict[str, dict[str, Floats]]]:
    if not (REAL_DATA / "train").is_dir():
        reason = "no real pictures; set SURFACEDEFECT_REAL_DATA"
        print(f"likeness skipped: {reason}")
        return {"skipped": reason}, {}
    rng = np.random.default_rng(1)
    every = {"real": real_crops(), "synthetic": synthetic_crops(windows)}
    (real, cars), (made, seeds) = (calm(*cut, rng) for cut in every.values())
    quartiles = {
        who: np.quantile([structure(c) for c in crops], (0.25, 0.5, 0.75)) for who, (crops, _) in every.items()
    }
    print("structure of every crop, quartiles:", {who: q.round(4).tolist() for who, q in quartiles.items()})
    curves = {"real": describe(real), "synthetic": describe(made)}
    distances = {}
    for name in STATISTICS:
        apart = distance(curves["real"], curves["synthetic"], name)
        chance = between_halves(curves["real"], cars, name, rng)
        distances[name] = {"distance": round(apart, 4), "times_two_halves_of_real": round(apart / chance, 2)}
        print(f"{name:22s} {apart:8.3f}   {apart / chance:6.2f} x two halves of the real ones")
    steps = {n: float(np.median(curves["synthetic"][n]) - np.median(curves["real"][n])) for n in OCTAVE_NAMES}
    mean_step = float(np.mean(np.abs(list(steps.values()))))
    print(f"spectrum: {mean_step:.2f} mean |log10| an octave")
    told = classified(curves, cars, seeds)
    print(json.dumps(told, indent=1))
    result = {
        "real": {"crops": len(real), "cars": len(np.unique(cars)), "origin": "train/panels"},
        "synthetic": {"crops": len(made), "windows": len(np.unique(seeds))},
        "structure_of_every_crop_quartiles": {who: q.round(4).tolist() for who, q in quartiles.items()},
        "distances": distances,
        "spectrum_log10_difference": {name: round(step, 3) for name, step in steps.items()},
        "spectrum_mean_abs_log10_difference": round(mean_step, 3),
        "told_apart_balanced_accuracy": told,
    }
    return result, curves


def classified(curves: dict[str, dict[str, Floats]], cars: NDArray[np.intp], seeds: NDArray[np.intp]) -> dict[str, Any]:
    (real, names), (made, _) = features(curves["real"]), features(curves["synthetic"])
    fine = [k for k, name in enumerate(names) if any(word in name for word in COLOUR_FREE)]
    halves = np.isin(cars, np.unique(cars)[::2])
    return {
        "all statistics": told_apart(real, made, cars, seeds),
        "without brightness and colour": told_apart(real[:, fine], made[:, fine], cars, seeds),
        "two halves of the real ones": told_apart(real[halves], real[~halves], cars[halves], cars[~halves]),
        "most telling, area under the ROC curve": most_telling(real, made, names),
    }  # fmt: skip


def real_crops() -> tuple[Crops, list[int]]:
    """Cut the real close-ups of panels into crops without damage, each with its car."""
    crops, cars, known = [], [], {}
    for record in read_coco(REAL_DATA / "train" / "annotations.json").images:
        if record.origin != "panels":
            continue
        with Image.open(REAL_DATA / "train" / "images" / record.file_name) as opened:
            picture = np.asarray(opened.convert("RGB"))
        masks = rasterise(record, ("scratch", "dent", "ignore"))
        paint = paint_around(picture, masks["scratch"] | masks["dent"])
        if paint is None:
            continue
        own = clean_crops(picture, np.maximum.reduce(list(masks.values())))
        own = [crop for crop in own if np.abs(np.median(crop, axis=(0, 1)) - paint).max() < ALIKE]
        crops += own
        cars += [known.setdefault(record.group, len(known))] * len(own)
    return crops, cars


def paint_around(picture: NDArray[np.uint8], damaged: NDArray[np.uint8]) -> Floats | None:
    """Give the median colour close around the damage, which is the paint's and not the floor's; None without damage."""
    from scipy.ndimage import distance_transform_edt

    if not damaged.any():
        return None
    away = distance_transform_edt(damaged == 0)
    return np.median(picture[(away > 4) & (away < 20)], axis=0)


def synthetic_crops(windows: int) -> tuple[Crops, list[int]]:
    crops, seeds = [], []
    for seed in range(FIRST_SEED, FIRST_SEED + windows):
        image = render_window(seed, config=CLEAN).image
        own = clean_crops(image, np.zeros(image.shape[:2], np.uint8))
        crops += own
        seeds += [seed] * len(own)
    return crops, seeds


def clean_crops(picture: NDArray[np.uint8], damaged: NDArray[np.uint8]) -> Crops:
    """Cut out every crop on a grid that has no damage within `FAR_PX`."""
    high, wide = damaged.shape
    crops = []
    for top in range(0, high - SIDE + 1, STEP_PX):
        for left in range(0, wide - SIDE + 1, STEP_PX):
            near = damaged[max(0, top - FAR_PX) : top + SIDE + FAR_PX, max(0, left - FAR_PX) : left + SIDE + FAR_PX]
            if not near.any():
                crops.append(picture[top : top + SIDE, left : left + SIDE])
    return crops


def calm(crops: Crops, groups: list[int], rng: np.random.Generator) -> tuple[Crops, NDArray[np.intp]]:
    """Keep the half with the least structure, which is mostly paint, and of that a few a group."""
    busy = np.asarray([structure(crop) for crop in crops])
    group = np.asarray(groups)
    quiet = np.flatnonzero(busy <= np.median(busy))
    kept = np.concatenate([rng.permutation(quiet[group[quiet] == g])[:MOST_A_PICTURE] for g in np.unique(group[quiet])])
    return [crops[k] for k in kept], group[kept]


def draw(curves: dict[str, dict[str, Floats]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    colours = {"real": "#333333", "synthetic": "#d9480f"}
    figure, axes = plt.subplots(2, 4, figsize=(14, 6), layout="constrained")
    for axis, (name, bins) in zip(axes.flat, PIXELS.items(), strict=False):
        for who, found in curves.items():
            shares = found[name].mean(axis=0)
            axis.stairs(shares / shares.max(), bins, color=colours[who], label=who, fill=who == "real", alpha=0.6)
        axis.set(title=name, ylabel="share of pixels, largest = 1")
    axes[0, 0].legend()
    for axis, name in zip(axes[1], ("noise (log10)", "channel correlation"), strict=False):
        bins = np.histogram_bin_edges(np.concatenate([found[name] for found in curves.values()]), 30)
        for who, found in curves.items():
            axis.hist(found[name], bins, density=True, color=colours[who], alpha=0.6, histtype="stepfilled", label=who)
        axis.set(title=name, ylabel="density of crops")
    middles = [np.sqrt(low * high) / SIDE for low, high in OCTAVES]
    for who, found in curves.items():
        quartiles = np.quantile(np.stack([found[name] for name in OCTAVE_NAMES]), (0.25, 0.5, 0.75), axis=1)
        axes[1, 2].plot(middles, quartiles[1], "o-", color=colours[who], label=who)
        axes[1, 2].fill_between(middles, quartiles[0], quartiles[2], color=colours[who], alpha=0.2)
    axes[1, 2].set(title="spectrum, median and quartiles", xlabel="cycles per px", ylabel="log10 power", xscale="log")
    axes[1, 2].legend()
    for who, found in curves.items():
        middle = (PIXELS["luminance"][1:] + PIXELS["luminance"][:-1]) / 2
        mean = found["luminance"] @ middle
        spread = np.sqrt(np.maximum(found["luminance"] @ middle**2 - mean**2, 0))
        axes[1, 3].plot(mean, spread, ".", color=colours[who], label=who, alpha=0.5)
    axes[1, 3].set(title="a dot a crop", xlabel="mean luminance", ylabel="standard deviation", yscale="log")
    figure.savefig(path, dpi=100)


if __name__ == "__main__":
    main()
