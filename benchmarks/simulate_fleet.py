"""How many workers does a fleet of so many scans a day need, and what do queues, stragglers and failures do to it?

No measurement but a simulation, seeded: scans arrive over a day, wait in one queue, and are inspected by workers of one
core each. What a scan costs is measured (`results/speed.json`, `results/batch.json`); every other number is an
assumption, named in `ASSUMED` and written into the result, `results/fleet.json`.
"""

from __future__ import annotations

import argparse
import heapq
import json
import math
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from common import RESULTS, write_result

DAY_S = 86_400.0
VOLUMES = (1_000_000, 10_000_000, 1_000_000_000)
QUIET_LOAD = 1.0
CELL = 1_000_000
"""Scans a day of one cell: a cluster with its own queue, journal and destination. Larger volumes are so many cells."""

SHARES = np.array([1, 1, 1, 1, 1, 2, 4, 7, 9, 8, 6, 5, 5, 5, 6, 7, 8, 8, 6, 4, 2, 1, 1, 1], float)
"""Returns by hour of the day: a morning and an evening peak. An assumption."""


@dataclass(frozen=True)
class Assumed:
    """What was not measured.

    Attributes
    ----------
    spread
        Standard deviation of the logarithm of a scan's seconds, over sizes and surfaces.
    slow_workers, slow_factor
        Share of workers on a slow machine, and by how much: the stragglers.
    workers_per_machine
        Workers that fail together.
    hours_between_failures, restart_s
        Of one machine, spot instances that are taken away included; until it works again, model loaded.
    corrupt_share, killer_share
        Scans that cannot be decoded, in no time; that end their process, so many times `tries`.
    scan_mb, result_kb, map_mb
        A scan of 12 megapixels as JPEG; its GeoJSON and table row; its probability map, where it is kept.
    core_hour_usd, gb_month_usd
        Prices of a core and of object storage.
    keep_days
        How long scans are kept.
    """

    spread: float = 0.35
    slow_workers: float = 0.05
    slow_factor: float = 2.5
    workers_per_machine: int = 16
    hours_between_failures: float = 200.0
    restart_s: float = 180.0
    corrupt_share: float = 0.002
    killer_share: float = 0.00002
    tries: int = 2
    scan_mb: float = 5.0
    result_kb: float = 4.0
    map_mb: float = 1.0
    core_hour_usd: float = 0.04
    gb_month_usd: float = 0.023
    keep_days: float = 30.0


ASSUMED = Assumed()


def measured() -> dict[str, float]:
    """Return what a scan of 12 megapixels costs a worker of one core, from the results of the benchmarks."""
    speed = json.loads((RESULTS / "speed.json").read_text(encoding="utf-8"))
    seconds = {
        (case["group"], case["size"], case["format"], case["threads"]): case["seconds"]
        for case in speed["cases"]
        if case["method"] == "surfacedefect" and (case["engine"], case["overlap_px"], case["batch"]) == ("onnx", 128, 1)
    }
    both_cores, one_thread = seconds["options", "4 MP", "tif", None], seconds["options", "4 MP", "tif", 1]
    batch_file, share = RESULTS / "batch.json", 1.0
    if batch_file.exists():
        batch = json.loads(batch_file.read_text(encoding="utf-8"))
        if batch["load_before"] < QUIET_LOAD:  # on a busy machine the two were not measured alike
            share = batch["throughput"]["middle"].get("share_of_bare_2", 1.0)
    two_cores = seconds["formats", "12 MP", "jpg", None]
    return {
        "seconds_12mp_two_cores": two_cores,
        "one_thread_over_two": one_thread / both_cores,
        "batch_share_of_bare": share,
        "core_seconds_a_scan": two_cores * one_thread / both_cores / min(1.0, share),
    }


def arrivals(count: int, draw: np.random.Generator, *, at_once: bool) -> np.ndarray:
    """Return when scans come, in seconds from midnight, sorted."""
    if at_once:
        return np.zeros(count)
    hours = draw.choice(24, count, p=SHARES / SHARES.sum())
    return np.sort((hours + draw.random(count)) * 3600)


def simulate(
    count: int, workers: int, seconds: float, *, seed: int = 0, at_once: bool = False, assumed: Assumed = ASSUMED
) -> dict[str, float]:
    """Run the queue: first come, first served; what a failed machine had is inspected again, before the others."""
    draw = np.random.default_rng(seed)
    came = arrivals(count, draw, at_once=at_once)
    work = seconds * np.exp(draw.normal(-(assumed.spread**2) / 2, assumed.spread, count))
    work[draw.random(count) < assumed.corrupt_share] = 0.1
    killers = draw.random(count) < assumed.killer_share
    work[killers] *= assumed.tries
    slow = np.where(np.arange(workers) < round(assumed.slow_workers * workers), assumed.slow_factor, 1.0)
    machines = -(-workers // assumed.workers_per_machine)
    fails = draw.exponential(3600 * assumed.hours_between_failures, machines).tolist()
    free = [(0.0, int(worker)) for worker in draw.permutation(workers)]
    heapq.heapify(free)
    again: list[tuple[float, float, float]] = []
    ended, waited = np.zeros(count), np.zeros(count)
    busy = lost = 0.0
    failures, at, done = 0, 0, 0
    while done < count:
        begin, worker = heapq.heappop(free)
        if again and (again[0][0] <= begin or at == count or again[0][0] <= came[at]):
            ready, first, length = heapq.heappop(again)
        elif at < count:
            ready = first = float(came[at])
            length = float(work[at])
            at += 1
        else:
            break
        begin = max(begin, ready)
        machine = worker // assumed.workers_per_machine
        while fails[machine] + assumed.restart_s < begin:  # it failed while it had nothing to do
            fails[machine] += assumed.restart_s + float(draw.exponential(3600 * assumed.hours_between_failures))
        begin = max(begin, fails[machine] + assumed.restart_s) if fails[machine] < begin else begin
        end = begin + length * slow[worker]
        if begin < fails[machine] < end:
            lost += fails[machine] - begin
            failures += 1
            heapq.heappush(again, (fails[machine], first, length))
            heapq.heappush(free, (fails[machine] + assumed.restart_s, worker))
            continue
        busy += end - begin
        ended[done], waited[done] = end, end - first
        done += 1
        heapq.heappush(free, (end, worker))
    span = float(ended.max())
    ideal = float(work.sum()) / float((1 / slow).sum())
    return {
        "workers": workers,
        "hours": round(span / 3600, 2),
        "over_ideal": round(span / ideal, 3) if at_once else math.nan,
        "busy_share": round(busy / (workers * span), 3),
        "minutes_median": round(float(np.median(waited)) / 60, 1),
        "minutes_95": round(float(np.percentile(waited, 95)) / 60, 1),
        "minutes_99": round(float(np.percentile(waited, 99)) / 60, 1),
        "inspections_lost": failures,
        "work_lost_share": round(lost / max(busy, 1e-9), 5),
    }


def smallest(count: int, seconds: float, minutes_95: float, *, scale: int) -> dict[str, float]:
    """Find the fewest workers with which 95 % of a cell's scans are done within so many minutes.

    A cell of 1/`scale` of the scans and workers is simulated, with the same load a worker: its waits are no shorter.
    """
    sample = count // scale
    low, high = 1, max(2, math.ceil(4 * sample * seconds / DAY_S))
    best: dict[str, float] = {}
    while low <= high:
        middle = (low + high) // 2
        found = simulate(sample, middle, seconds)
        if found["minutes_95"] <= minutes_95:
            best, high = found, middle - 1
        else:
            low = middle + 1
    return {**best, "workers": int(best["workers"]) * scale, "simulated_scans": sample}


def plan(volume: int, seconds: float, found: dict[str, float], assumed: Assumed) -> dict[str, Any]:
    """Say what a volume takes: cells, machines, network, storage, money, and what fails every day."""
    cells = max(1, volume // CELL)
    workers = int(found["workers"]) * cells
    machines = math.ceil(workers / assumed.workers_per_machine)
    stored_gb = volume * assumed.scan_mb / 1000
    return {
        "scans_a_day": volume,
        "cells": cells,
        "workers_at_full_load": math.ceil(volume * seconds / DAY_S),
        "workers": workers,
        "machines": machines,
        "core_hours_a_day": round(volume * seconds / 3600),
        "usd_a_day_on_demand": round(volume * seconds / 3600 * assumed.core_hour_usd),
        "usd_a_day_always_on": round(24 * workers * assumed.core_hour_usd),
        "network_in_gbit_s_mean": round(stored_gb * 8 / DAY_S, 2),
        "network_in_gbit_s_peak": round(stored_gb * 8 / 3600 * float(SHARES.max() / SHARES.sum()), 2),
        "scans_kept_tb": round(stored_gb / 1000 * assumed.keep_days),
        "usd_a_month_scans_kept": round(stored_gb * assumed.keep_days * assumed.gb_month_usd),
        "results_gb_a_day": round(volume * assumed.result_kb / 1e6, 1),
        "maps_tb_a_day": round(volume * assumed.map_mb / 1e6, 1),
        "machine_failures_a_day": round(24 * machines / assumed.hours_between_failures, 1),
        "scans_set_aside_a_day": round(volume * (assumed.corrupt_share + assumed.killer_share)),
    }


def stragglers(count: int, workers: int, seconds: float) -> list[dict[str, Any]]:
    """Run a night's job at once, with slow workers, failures, both and neither."""
    calm = replace(ASSUMED, slow_workers=0.0, hours_between_failures=1e9)
    cases = {
        "neither": calm,
        "slow workers": replace(calm, slow_workers=ASSUMED.slow_workers),
        "machines that fail": replace(calm, hours_between_failures=ASSUMED.hours_between_failures),
        "machines taken away every 10 h": replace(calm, hours_between_failures=10.0),
        "all of it": replace(ASSUMED, hours_between_failures=10.0),
    }
    return [
        {"case": name, **simulate(count, workers, seconds, at_once=True, assumed=assumed)}
        for name, assumed in cases.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=15.0, help="within which 95 % of the scans are to be done")
    parser.add_argument("--quick", action="store_true", help="a small sample; shows that it runs")
    arguments = parser.parse_args()
    base = measured()
    seconds = base["core_seconds_a_scan"]
    found = smallest(CELL, seconds, arguments.minutes, scale=200 if arguments.quick else 10)
    night = 2_000 if arguments.quick else 100_000
    record = {
        "question": (__doc__ or "").partition("\n")[0],
        "measured": {name: round(value, 4) for name, value in base.items()},
        "assumed": {**asdict(ASSUMED), "arrivals_by_hour": SHARES.tolist(), "minutes_95": arguments.minutes},
        "cell": found,
        "volumes": [plan(volume, seconds, found, ASSUMED) for volume in VOLUMES],
        "night": stragglers(night, math.ceil(night * seconds / (8 * 3600)), seconds),
    }
    write_result("fleet-quick" if arguments.quick else "fleet", _no_nan(record))


def _no_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _no_nan(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_no_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


if __name__ == "__main__":
    main()
