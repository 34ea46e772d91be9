"""Which method finds damage best: the U-Net, the tile classifier, its dense variant, or deflectometry?

Photographs first: the real validation set, and the 4K demo photograph of the same car, reported apart. Then rendered
scans of the frozen `bench-v1`, one after the other in each of its four paints, which like its places training never
uses. Deflectometry cannot look at photographs; it gets its own rendering of the same damage, under fringes, in three
amounts of daylight. What a picture does not show
cannot be asked of it, so each method is judged by what its own picture shows; the parts called `dents` then ask for
every dent that any of these pictures shows.

What a scan costs, map and polygons, is measured on one of 4096 x 3000 px, each method in a process of its own.

``--quick`` takes few and small scans, so that everything is exercised in minutes; its figures mean nothing.
Without the real pictures (SURFACEDEFECT_REAL_DATA) only the rendered scans are judged.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from common import REAL_DATA, watched, write_result
from numpy.typing import NDArray
from quality_figures import draw_curves, print_table
from validation_parts import photographs, ranked

import surfacedefect as sd
from surfacedefect._files import without_nan
from surfacedefect.baselines import Deflectometry, FringeGeometry, TileClassifier
from surfacedefect.baselines.deflectometry import deflectometry_card
from surfacedefect.errors import ScanError
from surfacedefect.evaluation import (
    TOGETHER,
    KindScore,
    ObjectCounts,
    ScanScore,
    Truth,
    prepare_truth,
    score_scan,
    summarise,
)
from surfacedefect.synthetic import FIRST_BENCHMARK_SEED, SyntheticConfig, preset, render_scan
from surfacedefect.synthetic.paints import BENCHMARK_PAINTS

Scan = Path | NDArray[np.uint8]
DAYLIGHT = {"dark room": 0.0, "lit hall": 0.2, "full sun": 10.0}
ALL, RENDERED, DENTS = "valid/all", "rendered", "dents"
PLAIN, FRINGES = preset("bench-v1"), preset("bench-v1-fringe")
QUICK_PX = {"width": 1280, "height": 960}
"""Size of the rendered scans with --quick."""


@dataclass(frozen=True)
class Method:
    """A way to look at a scan; `of` gives its detector, for deflectometry made from the scan itself."""

    name: str
    of: Callable[[Scan], sd.Detector]
    fringes: bool = False
    tells_dents: bool = True
    model: sd.Detector | None = None
    refused: Sequence[str] = ()


@dataclass(frozen=True, eq=False)
class Shown:
    """One picture, and by each part of the tables in which it counts, what is asked there."""

    scan: Scan
    truths: Mapping[str, Truth]
    group: str | None = None
    fringes: bool = False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few and small scans: does it run?")
    parser.add_argument("--scans", type=int, default=5, help="rendered scans")
    parser.add_argument("--limit", type=int, help="at most so many photographs of each part")
    parser.add_argument("--cost-of", metavar="METHOD", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.cost_of:
        print(json.dumps(cost(arguments.cost_of, quick=arguments.quick)))
        return
    if arguments.quick:
        arguments.scans, arguments.limit = 2, 2
    ways = methods()
    scores: dict[str, dict[str, list[ScanScore]]] = defaultdict(lambda: defaultdict(list))
    for shown in pictures(arguments):
        for way in ways:
            if way.fringes == shown.fringes:
                for part, score in look(way, shown).items():
                    scores[part][way.name].append(score)
        part = next(iter(shown.truths))
        print(part, {name: f"{of[-1].seconds:.1f} s" for name, of in scores[part].items()}, flush=True)
    if valid := [of for part, of in scores.items() if part.startswith("valid/")]:
        scores[ALL] = {way.name: [one for of in valid for one in of[way.name]] for way in ways if not way.fringes}
    reports = {
        part: {name: summarise(several).to_dict() for name, several in of.items()} for part, of in scores.items()
    }
    result = {
        "question": __doc__,
        "quick": arguments.quick,
        "methods": {way.name: described(way) for way in ways},
        "cost": costs(quick=arguments.quick),
        "reports": reports,
    }
    name = "quality-quick" if arguments.quick else "quality"
    print_table(reports)
    write_result(name, without_nan(result))
    draw_curves(result, name)


def methods() -> list[Method]:
    """Return the methods; those whose weights are not here are left out, and it is said."""
    net, tiles = sd.Detector(), TileClassifier.load()
    refused: list[str] = []
    plain, dense = sd.Detector(tiles), sd.Detector(tiles.dense())
    return [
        Method("U-Net", lambda scan: net, model=net),
        Method("tile classifier", lambda scan: plain, tells_dents=False, model=plain),
        Method("dense tile classifier", lambda scan: dense, tells_dents=False, model=dense),
        Method("deflectometry", lambda scan: fitted(scan, refused), fringes=True, refused=refused),
    ]


def fitted(scan: Scan, refused: list[str]) -> sd.Detector:
    """Return deflectometry with the noise of this scan; it is told how the picture was taken, as its user would.

    A scan that it refuses, for lack of fringes, is one on which it finds nothing.
    """
    fringe = FRINGES.fringe
    geometry = FringeGeometry(
        mm_per_px=FRINGES.mm_per_px,
        period_mm=fringe.period_mm,
        screen_mm=fringe.distance_mm,
        camera_mm=FRINGES.distance_mm,
        pattern=fringe.pattern,
    )
    try:
        return sd.Detector(Deflectometry.fitted(scan, geometry))
    except ScanError as error:
        refused.append(str(error))
        print(f"refused: {error}")
        card = deflectometry_card(geometry)
        return sd.Detector(
            sd.FunctionPredictor(lambda windows: np.zeros((len(windows), 1, *windows.shape[1:3])), card=card)
        )


def described(way: Method) -> dict[str, Any]:
    if way.model is None:
        return {"fitted": "to each scan", "refused": way.refused}
    card = way.model.predictor.card
    return {"card": card.name, "sha256": card.sha256, "thresholds": dict(card.thresholds)}


def costs(*, quick: bool) -> dict[str, Any]:
    """Return what one scan costs each method."""
    found = {}
    for way in methods():
        command = [sys.executable, __file__, "--cost-of", way.name, *(["--quick"] if quick else [])]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found[way.name] = json.loads(done.stdout.splitlines()[-1])
        print(way.name, found[way.name], flush=True)
    return found


def cost(name: str, *, quick: bool) -> dict[str, float]:
    """Look at one rendered scan, in a process that has done nothing with this method's model but load it."""
    way = next(way for way in methods() if way.name == name)
    config = replace(FRINGES if way.fringes else PLAIN, **(QUICK_PX if quick else {}))
    scan = render_scan(FIRST_BENCHMARK_SEED, config).image
    _, seconds, peak_mib = watched(lambda: way.of(scan).detect(scan))
    return {"width": config.width, "height": config.height, "seconds": seconds, "peak_mib": peak_mib}


def pictures(arguments: argparse.Namespace) -> Iterator[Shown]:
    """Yield the photographs, then every rendered scan plain and under fringes."""
    if REAL_DATA.is_dir():
        for one in photographs(limit=arguments.limit):
            if not (arguments.quick and one.part.endswith("photos4k")):
                yield Shown(one.scan, {one.part: one.truth}, one.group)
    else:
        print("real pictures skipped: set SURFACEDEFECT_REAL_DATA")
    size = QUICK_PX if arguments.quick else {}
    plain, fringe = (replace(config, **size) for config in (PLAIN, FRINGES))
    for number in range(arguments.scans):
        paint = BENCHMARK_PAINTS[number % len(BENCHMARK_PAINTS)]
        yield from rendered(FIRST_BENCHMARK_SEED + number, replace(plain, paint=paint), replace(fringe, paint=paint))


def rendered(seed: int, plain: SyntheticConfig, fringe: SyntheticConfig) -> Iterator[Shown]:
    """Yield one panel as a photograph and under fringes in every light, each with what it shows and with all dents."""
    photo = render_scan(seed, plain)
    lights = {
        name: render_scan(seed, replace(fringe, fringe=replace(fringe.fringe, daylight=daylight)))
        for name, daylight in DAYLIGHT.items()
    }
    every = np.maximum.reduce([photo.truth.masks["dent"], *(one.truth.masks["dent"] for one in lights.values())])
    dents, group = prepare_truth({"dent": every}), f"seed {seed}"
    for where, scan in {"": photo, **{f", fringes, {name}": scan for name, scan in lights.items()}}.items():
        own = prepare_truth(scan.truth.masks, ignore=scan.truth.ignore)
        yield Shown(scan.image, {f"{RENDERED}{where}": own, f"{DENTS}{where}": dents}, group, fringes=bool(where))


def look(way: Method, shown: Shown) -> dict[str, ScanScore]:
    """Let a method look at a picture once, and score what it says by each part's truth."""

    def run() -> tuple[dict[str, NDArray[np.uint8]], sd.Detections]:
        found = way.of(shown.scan).detect(shown.scan)
        return {kind: found.probability_map.read(kind) for kind in found.kinds}, found

    (maps, found), seconds, peak_mib = watched(run)
    return {
        part: replace(scored(maps, found, truth), group=shown.group, seconds=seconds, peak_mib=peak_mib)
        for part, truth in shown.truths.items()
        if way.tells_dents or not part.startswith(DENTS)
    }


def scored(maps: Mapping[str, NDArray[np.uint8]], found: sd.Detections, truth: Truth) -> ScanScore:
    """Score the map as pixels and tiles, and what is reported by default as objects.

    The FROC curve is of all outlines, ranked by score.
    """
    thresholds = dict(found.thresholds)
    outlines = ranked(found.at(thresholds), truth)
    known = {kind: values for kind, values in maps.items() if kind in (*truth.kinds, TOGETHER)}
    score = score_scan(
        known,
        truth,
        threshold={**thresholds, TOGETHER: min(thresholds[kind] for kind in known)},
        polygons=[one for one in found if one.kind in known],
        froc_thresholds=(),
    )
    return replace(score, kinds={kind: with_curve(of, outlines[kind]) for kind, of in score.kinds.items()})


def with_curve(score: KindScore, outlines: ObjectCounts) -> KindScore:
    """Put the curve of all outlines beside the counts of those that are reported."""
    curve = {name: getattr(outlines, name) for name in ("thresholds", "found_at", "false_alarms_at")}
    return replace(score, objects=replace(score.objects, **curve))


if __name__ == "__main__":
    main()
