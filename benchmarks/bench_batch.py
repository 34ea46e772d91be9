"""How much of the bare detector's speed does a batch keep, and do its memory and its start stay small as it grows?"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from common import memory_mib, write_result
from PIL import Image

from surfacedefect import batch
from surfacedefect.batch.jobs import Job, Result

HERE = Path(__file__)
NAME = f"{HERE.stem}:nothing"
SIDE_PX = 640


def nothing():
    """Make the predictor of the mocked runs: it finds nothing, at no cost."""
    from surfacedefect import FunctionPredictor, ModelCard

    card = ModelCard(name="nothing", kinds=("scratch",), window_px=64, overlap_px=0)
    return FunctionPredictor(lambda windows: np.zeros((len(windows), 1, 64, 64), np.float32), card=card)


def write_scans(folder: Path, count: int, side: int) -> list[Path]:
    """Write seeded panels with a scratch each."""
    draw, paths = np.random.default_rng(0), []
    folder.mkdir()
    for number in range(count):
        pixels = draw.normal(150, 6, (side, side, 3)).clip(0, 255).astype(np.uint8)
        top = int(draw.integers(40, side - 40))
        pixels[top : top + 3, side // 8 : side // 2] = 30
        paths.append(folder / f"{number:05d}.jpg")
        Image.fromarray(pixels).save(paths[-1], quality=92)
    return paths


def loop(ready: Path, go: Path, out: Path, paths: list[str]) -> None:
    """Run one bare loop: a detector on a thread over its share of the scans; it waits until all are ready."""
    from surfacedefect import DetectOptions, Detector

    detector = Detector(options=DetectOptions(threads=1))
    detector.detect(paths[0])
    ready.touch()
    while not go.exists():
        time.sleep(0.01)
    for path in paths:
        detector.detect(path).to_geojson(out / f"{Path(path).stem}.geojson")


def bare_seconds(paths: list[Path], workers: int, folder: Path) -> float:
    """Time so many bare loops over all scans, from when the last is ready to when the last is done."""
    folder.mkdir()
    go, environment = folder / "go", _environment()
    loops = []
    for number in range(workers):
        share = json.dumps([str(path) for path in paths[number::workers]])
        arguments = [sys.executable, str(HERE), "--loop", str(folder / f"ready-{number}"), str(go), str(folder), share]
        loops.append(subprocess.Popen(arguments, env=environment))
    while not all((folder / f"ready-{number}").exists() for number in range(workers)):
        time.sleep(0.01)
    started = time.perf_counter()
    go.touch()
    assert not any(process.wait() for process in loops)
    return time.perf_counter() - started


def batch_seconds(source: Path, workers: int, dest: Path) -> float:
    """Time a batch from its first result to its last, scaled to all: as the bare loops, without loading the model."""
    moments: list[tuple[float, int]] = []

    def told(now: batch.Progress) -> None:
        if not moments or now.computed > moments[-1][1]:
            moments.append((time.perf_counter(), now.computed))

    report = batch.run(source, dest, options=batch.BatchOptions(workers=workers), progress=told)
    first, last = next(one for one in moments if one[1] >= workers), moments[-1]
    assert last[1] == report.computed
    return (last[0] - first[0]) * report.computed / (last[1] - first[1])


def throughput(folder: Path, scans: int, rounds: int) -> dict[str, object]:
    """Compare in turn, so that a slow moment of the machine hits both; the middle round counts."""
    paths = write_scans(folder / "scans", scans, SIDE_PX)
    rows: list[dict[str, float]] = []
    for turn in range(rounds):
        row: dict[str, float] = {}
        for workers in (1, 2):
            bare = bare_seconds(paths, workers, folder / f"bare-{turn}-{workers}")
            ours = batch_seconds(folder / "scans", workers, folder / f"batch-{turn}-{workers}")
            row[f"bare_{workers}"], row[f"batch_{workers}"] = scans / bare, scans / ours
            row[f"share_of_bare_{workers}"] = bare / ours
        row["second_worker"] = row["batch_2"] / row["batch_1"]
        rows.append({name: round(value, 3) for name, value in row.items()})
        print(rows[-1], flush=True)
    middle = {name: float(np.median([row[name] for row in rows])) for name in (rows[0] if rows else ())}
    return {"scans": scans, "side_px": SIDE_PX, "unit": "scans a second; shares", "middle": middle, "rounds": rows}


@dataclass
class Mocked:
    """An engine that answers at once with an empty file; the driver does all else that it does."""

    dest: Path
    workers: int = 2

    def results(self, jobs: Iterator[Job]) -> Iterator[Result]:
        """Answer each job."""
        found = {"counts": {"scratch": 1}, "coverage": 1.0, "cells": [["scratch", 3, 1]], "longest_scratch_px": 4.0}
        for job in jobs:
            file = self.dest / f"{job.stem}.geojson"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
            yield Result(job, "done", "", hashlib.sha256(job.name.encode()).hexdigest(), job.version, found, 0.1)


def driver(folder: Path, count: int) -> dict[str, float]:
    """Run the driver alone over so many empty scans in this process; say its memory and time."""
    module = sys.modules["surfacedefect.batch.run"]
    module._engine = lambda setup, ray: Mocked(Path(setup.dest))
    names = folder / "names.txt"
    for number in range(count):
        (folder / "scans" / f"{number // 1000:03d}").mkdir(parents=True, exist_ok=True) if not number % 1000 else None
        (folder / "scans" / f"{number // 1000:03d}" / f"{number}.jpg").touch()
    with names.open("w", encoding="utf-8") as file:
        file.writelines(f"scans/{n // 1000:03d}/{n}.jpg\tcar-{n // 20}\n" for n in range(count))
    peaks: list[tuple[int, float]] = []

    def told(now: batch.Progress) -> None:
        peaks.append((now.seen, memory_mib("VmHWM")))

    started = time.perf_counter()
    report = batch.run(names, folder / "out", model=NAME, progress=told)
    seconds, at_run_end = time.perf_counter() - started, peaks[-1][1]
    assert report.done == count
    started = time.perf_counter()
    again = batch.run(names, folder / "out", model=NAME)
    assert (again.skipped, again.computed) == (count, 0)
    return {
        "scans": count,
        "seconds": round(seconds, 2),
        "peak_mib": round(memory_mib("VmHWM"), 1),
        "peak_mib_first_run": round(at_run_end, 1),
        "resume_seconds": round(time.perf_counter() - started, 2),
    }


def first_result(folder: Path, count: int) -> dict[str, float]:
    """Time from the start of a command over a list of a million names to its first recorded scan."""
    (image,) = write_scans(folder / "scans", 1, 128)
    for number in range(200):
        (folder / "scans" / f"{number}.jpg").write_bytes(image.read_bytes())
    with (folder / "names.txt").open("w", encoding="utf-8") as file:
        file.writelines(f"scans/{n}.jpg\n" if n < 200 else f"scans/missing/{n}.jpg\n" for n in range(count))
    arguments = ["batch", str(folder / "names.txt"), "--out", str(folder / "out"), "--workers", "2", "--model", NAME]
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "surfacedefect", *arguments],
        env=_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    journal = folder / "out" / ".batch" / "journal.sqlite"
    try:
        while not _recorded(journal) and process.poll() is None:
            time.sleep(0.01)
        seconds = time.perf_counter() - started
    finally:
        process.kill()
        process.wait()
    return {"names": count, "seconds": round(seconds, 2)}


def _recorded(journal: Path) -> int:
    with contextlib.suppress(sqlite3.Error):
        if journal.exists():
            with contextlib.closing(sqlite3.connect(journal)) as database:
                return int(database.execute("SELECT COUNT(*) FROM scans WHERE state = 'done'").fetchone()[0])
    return 0


def _environment() -> dict[str, str]:
    places = [str(HERE.parent), *filter(None, sys.path)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(places), **dict.fromkeys(("OMP_NUM_THREADS",), "1")}


def _in_own_process(what: str, count: int) -> dict[str, float]:
    arguments = [sys.executable, str(HERE), "--only", what, str(count)]
    done = subprocess.run(arguments, env=_environment(), check=True, stdout=subprocess.PIPE, text=True)
    print(done.stdout.splitlines()[-1], flush=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scans", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3, help="of the comparison of speed; 0 for none")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000, 100_000], help="scans of the driver")
    parser.add_argument("--quick", action="store_true", help="few scans; shows that it runs")
    parser.add_argument("--loop", nargs=4, metavar=("READY", "GO", "OUT", "PATHS"), help=argparse.SUPPRESS)
    parser.add_argument("--only", nargs=2, metavar=("WHAT", "COUNT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.loop:
        ready, go, out, paths = arguments.loop
        loop(Path(ready), Path(go), Path(out), json.loads(paths))
        return
    with tempfile.TemporaryDirectory() as folder:
        if arguments.only:
            work = {"driver": driver, "first_result": first_result}[arguments.only[0]]
            print(json.dumps(work(Path(folder), int(arguments.only[1]))))
            return
        scans, rounds = (8, 1) if arguments.quick else (arguments.scans, arguments.rounds)
        sizes, names = ([100, 1000], 10_000) if arguments.quick else (arguments.sizes, 1_000_000)
        record = {
            "question": __doc__,
            "load_before": os.getloadavg()[0],
            "driver": [_in_own_process("driver", size) for size in sizes],
            "first_result": _in_own_process("first_result", names),
            "throughput": throughput(Path(folder), scans, rounds),
            "load_after": os.getloadavg()[0],
        }
    print(json.dumps(record, indent=1))
    write_result("batch-quick" if arguments.quick else "batch", record)


if __name__ == "__main__":
    main()
