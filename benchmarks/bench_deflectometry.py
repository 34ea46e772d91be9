"""How many dents does deflectometry find on one fringe picture, and what drowns it: depth, daylight, feature lines?

Rendered scans of 4096 x 3000 px at 0.1 mm a pixel, fringes of 24 mm, crossed, camera and screen at 1.2 m. Whether a
panel has feature lines is read off the drawn scene, and seeds are taken in a row from those that have what a case asks
for; nothing else is chosen. The noise is fitted to each scan, the threshold is the card's for every case.

A dent counts where it is 10 to 40 mm long and at least 30 um deep, and at least half of it can be seen; it is found
when a quarter of its area is covered. Other dents are neither missed nor false. False alarms are those of the scoring
protocol: polygons that touch no dent of any size. On a scan that is refused for lack of fringes nothing is found.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from common import RESULTS, write_result
from numpy.typing import NDArray

from surfacedefect import Detector
from surfacedefect.baselines import Deflectometry, FringeGeometry
from surfacedefect.errors import ScanError
from surfacedefect.evaluation import ObjectCounts, bootstrap_intervals, prepare_truth, score_scan
from surfacedefect.synthetic import FIRST_BENCHMARK_SEED, Fringe, SyntheticConfig, SyntheticScan, preset, render_scan
from surfacedefect.synthetic.damage import Damage
from surfacedefect.synthetic.dents import pressed, random_dent
from surfacedefect.synthetic.panel import Panel
from surfacedefect.synthetic.render import _photograph
from surfacedefect.synthetic.scene import random_scene, stream

FIRST_SEED = FIRST_BENCHMARK_SEED + 8000
TARGET = {"recall": 0.9, "false_alarms_per_scan": 2.0}
LENGTHS_MM = (10.0, 40.0)
LEAST_DEPTH_UM = 30.0
DEPTHS_UM = (10, 20, 30, 60, 120, 250, 500, 5000)
DIAMETERS_MM = (10, 14, 20, 28, 40.01)
RESPRAYED = 0.002  # slope of the orange peel, rms; a factory coat has at most 0.0012
GEOMETRY = FringeGeometry(mm_per_px=0.1)

DOOR = replace(
    preset("deflectometry"), scratches=(0, 0), chips=(0, 0), scuffs=(0, 0), dents=(3, 6), hail=(3, 6), lookalikes=0.0
)


def crowned(panel: Panel) -> bool:
    return panel.curvature_per_mm[0] < 0 and not panel.creases


def hollow(panel: Panel) -> bool:
    return panel.curvature_per_mm[0] > 0 and not panel.creases


def creased(panel: Panel) -> bool:
    return panel.curvature_per_mm[0] < 0 and bool(panel.creases)


def any_panel(panel: Panel) -> bool:
    return True


@dataclass(frozen=True)
class Case:
    """What is rendered: a config, which panels, how many, and whether the dents are laid on a grid of depths."""

    what: str
    config: SyntheticConfig
    suits: Callable[[Panel], bool]
    scans: int
    laid: bool = False


CASES = {
    "dark room": Case("crowned, no feature lines, dents only", DOOR, crowned, 12),
    "shallow dents": Case("the same panels, 24 dents of 10 to 500 um, log-uniform", DOOR, crowned, 4, laid=True),
    "lit hall": Case("daylight 0.2", replace(DOOR, fringe=Fringe(daylight=0.2)), crowned, 4),
    "overcast": Case("daylight 1", replace(DOOR, fringe=Fringe(daylight=1.0)), crowned, 4),
    "full sun": Case("daylight 10", replace(DOOR, fringe=Fringe(daylight=10.0)), crowned, 4),
    "scratches": Case(
        "with scratches, chips, scuffs", replace(preset("deflectometry"), lookalikes=0.0), crowned, 6
    ),
    "feature lines": Case("crowned with one to three feature lines, dents only", DOOR, creased, 4),
    "hollow": Case("hollow panels, no feature lines, dents only", DOOR, hollow, 3),
    "as it comes": Case("feature lines, parts, dirt, scratches", preset("deflectometry"), any_panel, 4),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", nargs="*", choices=CASES, default=list(CASES))
    parser.add_argument("--scans", type=int, help="at most so many a case; nothing is written")
    parser.add_argument("--cache", type=Path, help="folder for what was measured, to go on after an interruption")
    arguments = parser.parse_args()
    found = {}
    for name in arguments.cases:
        case = CASES[name]
        seeds = islice(suitable(case), min(case.scans, arguments.scans or case.scans))
        records = [measured(name, case, seed, cache=arguments.cache) for seed in seeds]
        found[name] = summary(case, records)
        brief = {k: v for k, v in found[name].items() if k not in ("by_depth_um", "by_depth_and_diameter", "scans")}
        print(name, json.dumps(brief), flush=True)
    if arguments.scans or set(arguments.cases) != set(CASES):
        return
    settings = {"geometry": asdict(GEOMETRY), "threshold": 0.5, "target in the dark room": TARGET}
    write_result("deflectometry", {"question": __doc__, **settings, "cases": found})
    draw(found, RESULTS / "deflectometry.png")


def suitable(case: Case) -> Iterator[int]:
    for seed in range(FIRST_SEED, FIRST_SEED + 10_000):
        if case.suits(random_scene(seed, case.config, environment_size=64).panel):
            yield seed


def measured(name: str, case: Case, seed: int, *, cache: Path | None) -> dict[str, Any]:
    path = None if cache is None else cache / f"{name.replace(' ', '-')}-{seed}.json"
    if path is not None and path.exists():
        return json.loads(path.read_text(encoding="utf-8"))
    record = look(render_laid(seed, case.config) if case.laid else render_scan(seed, case.config))
    record["resprayed"] = random_scene(seed, case.config, environment_size=64).panel.peel_slope > RESPRAYED
    print(
        f"  {name} {seed - FIRST_BENCHMARK_SEED}: {json.dumps({**record, 'dents': len(record['dents'])})}", flush=True
    )
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(record), encoding="utf-8")
    return record


def render_laid(seed: int, config: SyntheticConfig) -> SyntheticScan:
    """Render a panel with four rows of six dents, depth and diameter log-uniform."""
    scene = random_scene(seed, replace(config, dents=(0, 0), hail=(0, 0)), environment_size=768)
    rng = stream(seed, "laid dents")
    damages = []
    for number in range(24):
        row, column = divmod(number, 6)
        col, line = (column + 0.5) * config.width / 6, (row + 0.5) * config.height / 4
        xy = scene.view.point(col + rng.uniform(-80, 80), line + rng.uniform(-80, 80))
        long, depth = np.exp(rng.uniform(np.log(LENGTHS_MM[0]), np.log(LENGTHS_MM[1]))), 10 ** rng.uniform(-2, -0.301)
        short = long * rng.uniform(0.7, 1)
        dent = replace(random_dent(rng, xy, sort="hail dent", scale=1.0), half_mm=(long / 2, short / 2), depth_mm=depth)
        bump = pressed([dent], scene.view)
        damages.append(Damage("dent", "hail dent", None, bump, (), float(long), float(short), float(depth)))
    return _photograph(replace(scene, damages=tuple(damages)), seed=seed, config=config)


def look(scan: SyntheticScan) -> dict[str, Any]:
    """Detect, score, and say of each dent that counts how deep and long it is and how much of it is covered.

    On a scan that is refused, for lack of fringes, nothing is found.
    """
    started = time.process_time()
    try:
        found = list(detections := Detector(Deflectometry.fitted(scan.image, GEOMETRY)).detect(scan.image))
        values = detections.probability_map.read("dent")
    except ScanError as error:
        print(f"  refused: {error}")
        found, values = None, np.zeros(scan.image.shape[:2], np.uint8)
    seconds = time.process_time() - started
    truth = prepare_truth(scan.truth.masks, ignore=scan.truth.ignore)
    objects = score_scan({"dent": values}, truth, threshold=0.5, polygons=found or []).kinds["dent"].objects
    return {
        "dents": list(covered(scan, values >= 128)),
        "false_alarms": objects.false_alarms,
        "regions": objects.regions,
        "regions_found": objects.found,
        "cpu_seconds": round(seconds, 2),
        "refused": found is None,
    }


def covered(scan: SyntheticScan, predicted: NDArray[np.bool_]) -> Iterator[dict[str, float]]:
    for defect in scan.truth.defects:
        if defect.kind != "dent" or defect.visible < 0.5 or not LENGTHS_MM[0] <= defect.length_mm <= LENGTHS_MM[1]:
            continue
        left, top, right, bottom = defect.box
        own = scan.truth.masks["dent"][top:bottom, left:right] > 0
        share = float(predicted[top:bottom, left:right][own].mean()) if own.any() else 0.0
        depth, length = round(1000 * defect.depth_mm, 1), round(defect.length_mm, 1)
        yield {"depth_um": depth, "length_mm": length, "covered": round(share, 3)}


def summary(case: Case, records: list[dict[str, Any]]) -> dict[str, Any]:
    dents = [dent for record in records for dent in record["dents"]]
    counts = [counted(record) for record in records]
    factory = [c for c, record in zip(counts, records, strict=True) if not record["resprayed"]]
    total = sum(counts[1:], counts[0])
    metrics = {"recall": lambda c: c.recall, "false_alarms_per_scan": lambda c: c.false_alarms_per_scan}
    intervals = bootstrap_intervals(counts, [None] * len(counts), metrics=metrics)
    return {
        "what": case.what,
        "scans_rendered": len(records),
        "dents": total.regions,
        "recall": rounded(total.recall),
        "false_alarms_per_scan": rounded(total.false_alarms_per_scan),
        "interval_95": {name: ends and [rounded(ends.low), rounded(ends.high)] for name, ends in intervals.items()},
        "refused_scans": sum(record.get("refused", False) for record in records),
        "resprayed_scans": len(counts) - len(factory),
        "recall_without_resprayed": rounded(sum(factory[1:], factory[0]).recall) if factory else None,
        "cpu_seconds_a_scan": rounded(float(np.median([record["cpu_seconds"] for record in records]))),
        "by_depth_um": by_depth(dents),
        "by_depth_and_diameter": by_depth_and_diameter(dents) if case.laid else None,
        "scans": [
            {k: record[k] for k in ("false_alarms", "regions", "regions_found", "resprayed")} for record in records
        ],
    }


def counted(record: dict[str, Any]) -> ObjectCounts:
    deep = [dent for dent in record["dents"] if dent["depth_um"] >= LEAST_DEPTH_UM]
    return ObjectCounts(
        scans=1, regions=len(deep), found=int(hits(deep)), false_alarms=int(record["false_alarms"])
    )  # fmt: skip


def hits(dents: Iterable[dict[str, float]]) -> int:
    return sum(dent["covered"] >= 0.25 for dent in dents)


def by_depth(dents: list[dict[str, float]]) -> list[dict[str, Any]]:
    rows = []
    for low, high in zip(DEPTHS_UM, DEPTHS_UM[1:], strict=False):
        here = [dent for dent in dents if low <= dent["depth_um"] < high]
        if here:
            rows.append({"depth_um": [low, high], "dents": len(here), "recall": rounded(hits(here) / len(here))})
    return rows


def by_depth_and_diameter(dents: list[dict[str, float]]) -> list[dict[str, Any]]:
    rows = []
    for low, high in zip(DEPTHS_UM, DEPTHS_UM[1:], strict=False):
        for short, long in zip(DIAMETERS_MM, DIAMETERS_MM[1:], strict=False):
            here = [d for d in dents if low <= d["depth_um"] < high and short <= d["length_mm"] < long]
            if here:
                sizes = {"depth_um": [low, high], "diameter_mm": [short, round(long)]}
                rows.append({**sizes, "dents": len(here), "found": hits(here)})
    return rows


def rounded(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 3)


def draw(found: dict[str, dict[str, Any]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    names = list(found)
    left.barh(names, [found[name]["recall"] or 0 for name in names], color="#333333")
    left.axvline(TARGET["recall"], color="#d9480f", label="target in the dark room")
    left.set(xlabel=f"recall of dents of 10 to 40 mm, at least {LEAST_DEPTH_UM:g} um deep", xlim=(0, 1))
    right.barh(names, [found[name]["false_alarms_per_scan"] for name in names], color="#333333")
    right.axvline(TARGET["false_alarms_per_scan"], color="#d9480f", label="target in the dark room")
    right.set(xlabel="false alarms a scan", yticklabels=[])
    for axis in (left, right):
        axis.invert_yaxis()
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower left", frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
