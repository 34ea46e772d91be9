"""What do the shipped weights find, and do they reach what was asked of them?

Every score of the protocol, on the real validation set, on the 4K demo photo, on rendered scans that training never
meets, and on rendered scans without damage; beside it the tile classifier, by its tiles. The demo photo shows the same
car as the validation's 4K photo, so it is reported apart and never chosen by.

Objects and lengths in the reports are those of the polygons that are reported by default. "At 10 false alarms" means
all polygons at the default threshold, ranked by score; "at a pixel precision of 0.80" means the best threshold of the
map of scratches, in steps of 0.01. Without the real pictures
(SURFACEDEFECT_REAL_DATA) only the rendered scans are judged.
"""

from __future__ import annotations

import argparse
import math
import operator
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from common import REAL_DATA, RESULTS, write_result
from validation_figures import draw_reliability, draw_scores
from validation_parts import SCRATCH, STEPS, Looked, Part, Picture, look, photographs, rendered

import surfacedefect as sd
from surfacedefect._files import without_nan
from surfacedefect.baselines import TileClassifier
from surfacedefect.evaluation import TOGETHER, TileCounts, bootstrap_intervals
from surfacedefect.evaluation._counts import Counts
from surfacedefect.runtimes import shipped_models
from surfacedefect.synthetic import FIRST_BENCHMARK_SEED, preset
from surfacedefect.training.calibration import reliability_curve

PHOTO_4K, DEMO_4K, PANELS, ALL = "valid/photos4k", "demo/photos4k", "valid/panels", "valid/all"
SYNTHETIC, CLEAN = "synthetic", "clean"
FIRST_CLEAN_SEED = FIRST_BENCHMARK_SEED + 1000
FALSE_ALARMS = 10  # a scan
PRECISION = 0.80  # of pixels, at which the length is asked for
LEAST_TILE_AP = {PHOTO_4K: 0.88, DEMO_4K: 0.88, PANELS: 0.75}
LEAST_PIXEL_AP = {PHOTO_4K: 0.60, PANELS: 0.25, SYNTHETIC: 0.85}
KINDS = (SCRATCH, "dent")
BINS, LEAST_SAID = 10, 0.05  # of the reliability curve
LEAST_REGIONS_FOUND, LEAST_LENGTH, MOST_POLYGONS = 0.80, 0.90, 1.0
NAMES = {
    PANELS: "close-ups of paint",
    "valid/claims": "claim photos",
    "valid/cars": "whole cars",
    PHOTO_4K: "4K photo (valid)",
    DEMO_4K: "4K photo (demo)",
    SYNTHETIC: "rendered scans",
}
FITTED = {ALL: "validation together: fitted on"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="default", help="shipped weights, or path of an .onnx with its card")
    parser.add_argument("--tiles", default="tile-lite0", help="the same of a tile classifier; without it: skipped")
    parser.add_argument("--name", default="validation", help="name of the result")
    parser.add_argument("--limit", type=int, help="at most so many photographs of each part, for trying out")
    parser.add_argument("--synthetic", type=int, default=4, help="rendered scans with damage")
    parser.add_argument("--clean", type=int, default=6, help="rendered scans without")
    arguments = parser.parse_args()
    detector, tiles = sd.Detector(arguments.model), tile_detector(arguments.tiles)
    looked: dict[str, list[Looked]] = defaultdict(list)
    for picture in pictures(arguments):
        started = time.perf_counter()
        looked[picture.part].append(look(picture, detector, tiles))
        print(f"{picture.part}, {picture.name}: {time.perf_counter() - started:.1f} s", flush=True)
    if not looked:
        sys.exit("skipped: no pictures")
    if valid := [one for part, several in looked.items() if part.startswith("valid/") for one in several]:
        looked[ALL] = valid
    parts = {part: Part.of(several) for part, several in looked.items()}
    skipped = {"skipped": f"no weights '{arguments.tiles}'"}
    rows = must_hold(parts)
    result = {
        "question": __doc__,
        "model": card_of(detector),
        "tile_classifier": skipped if tiles is None else card_of(tiles),
        "must_hold": rows,
        **figures(parts),
    }
    for part, of in parts.items():
        print(f"== {part}\n{of.report.to_text()}")
    print_tables(parts, rows, missing=None if tiles else skipped["skipped"])
    write_result(arguments.name, without_nan(result))
    draw_scores(parts, RESULTS / f"{arguments.name}.png", names=NAMES, alarms=FALSE_ALARMS, tile_asked=LEAST_TILE_AP)
    draw_reliability(result["reliability"], RESULTS / f"{arguments.name}-reliability.png", names=NAMES | FITTED)


def pictures(arguments: argparse.Namespace) -> Iterator[Picture]:
    if REAL_DATA.is_dir():
        yield from photographs(limit=arguments.limit)
    else:
        print("real pictures skipped: set SURFACEDEFECT_REAL_DATA")
    clean = replace(preset("clean"), materials="benchmark")  # paints and places that no training window has
    yield from rendered(SYNTHETIC, preset("bench-v1"), first_seed=FIRST_BENCHMARK_SEED, count=arguments.synthetic)
    yield from rendered(CLEAN, clean, first_seed=FIRST_CLEAN_SEED, count=arguments.clean)


def tile_detector(name: str) -> sd.Detector | None:
    """Load the tile classifier; None when there are no such weights."""
    if name in shipped_models() or (name.endswith(".onnx") and Path(name).is_file()):
        return sd.Detector(TileClassifier.load(name))
    print(f"tile classifier skipped: no weights '{name}'")
    return None


def card_of(detector: sd.Detector) -> dict[str, Any]:
    card = detector.predictor.card
    told = {"thresholds": dict(card.thresholds), "least_scores": dict(card.least_scores)}
    return {"name": card.name, "sha256": card.sha256, **told}


def figures(parts: Mapping[str, Part]) -> dict[str, Any]:
    """Put everything that was measured into plain values, part by part."""
    return {
        "polygons_per_scan": {part: of.polygons_per_scan for part, of in parts.items()},
        "scratch_area_covered": {part: of.metric(SCRATCH, "pixel_recall") for part, of in parts.items()},
        "scratch_recall_at_10_false_alarms": {part: recall_at_alarms(of) for part, of in parts.items()},
        "scratch_length_at_precision_080": {part: length_at_precision(of) for part, of in parts.items()},
        "tile_average_precision": {part: tile_precision(of) for part, of in parts.items()},
        "reliability": {part: reliability(of) for part, of in parts.items()},
        "froc": {part: froc_of_polygons(of) for part, of in parts.items()},
        "scratch_by_threshold": {part: by_threshold(of) for part, of in parts.items()},
        "reports": {part: of.report.to_dict() for part, of in parts.items()},
        "tile_classifier_reports": {part: of.rival.to_dict() for part, of in parts.items() if of.rival},
    }


def recall_at_alarms(part: Part) -> dict[str, Any]:
    """Give the best recall of true scratches among the polygons, ranked by score, before the 11th false alarm a scan.

    Beside it the same of the map's blobs, thresholded once: what a single threshold for shape and certainty would find.
    """
    best, blobs = (
        with_interval(part, counts, lambda one: one.recall_at(FALSE_ALARMS))
        for counts in ([one.ranked[SCRATCH] for one in part.looked], [one.blobs for one in part.looked])
    )
    curve = part.ranked[SCRATCH].froc()
    reached = (curve.false_alarms_per_scan <= FALSE_ALARMS) & (curve.recall == best["value"]) & (curve.recall > 0)
    score = float(curve.thresholds[reached].max()) if reached.any() else math.nan
    return best | {"least_score": score, "one_threshold": blobs}


def length_at_precision(part: Part) -> dict[str, float]:
    """Give the lowest threshold whose pixel precision is high enough, and the length met there; 0 when none is."""
    pixels = part.report.kinds[SCRATCH].score.pixels
    if not pixels.positive_count:
        return {"threshold": math.nan, "length_recall": math.nan}
    for step, lengths in zip(STEPS, part.lengths, strict=True):
        if pixels.precision(step) >= PRECISION:
            return {"threshold": step, "length_recall": lengths.recall}
    return {"threshold": math.nan, "length_recall": 0.0}


@dataclass(frozen=True)
class TilePair(Counts):
    """The same tiles as both models score them."""

    unet: TileCounts
    rival: TileCounts

    @property
    def lead(self) -> float:
        """Average precision that the U-Net has above the tile classifier."""
        return self.unet.average_precision - self.rival.average_precision


def tile_precision(part: Part) -> dict[str, Any]:
    """Give the average precision of tiles of both models, and the lead: both on the same resamples."""
    unet = {"unet": part.metric(TOGETHER, "tile_average_precision")}
    if part.rival is None:
        return unet
    pairs = [TilePair(*(score.kinds[TOGETHER].tiles for score in (one.score, one.rival))) for one in part.looked]
    lead = with_interval(part, pairs, lambda pair: pair.lead)
    return unet | {"tile_classifier": part.rival_metric("tile_average_precision"), "lead": lead}


def with_interval(part: Part, counts: list[Any], metric: Any) -> dict[str, Any]:
    interval = bootstrap_intervals(counts, part.groups, metrics={"it": metric})["it"]
    return {"value": metric(sum(counts[1:], counts[0])), "interval": interval and [interval.low, interval.high]}


def reliability(part: Part) -> dict[str, Any]:
    """Give what was said of the pixels of each kind against what is true; what is surely clean does not count."""
    curves = {}
    for kind in KINDS:
        pixels = part.report.kinds[kind].score.pixels
        curve = reliability_curve(pixels.positives, pixels.negatives, bins=BINS, least=LEAST_SAID)
        columns = {"said": curve.said, "true": curve.true, "pixels": curve.pixels}
        rounded = {name: [round(float(value), 4) for value in values] for name, values in columns.items()}
        curves[kind] = {**rounded, "expected_error": curve.expected_error}
    return curves


def froc_of_polygons(part: Part) -> dict[str, list[dict[str, float]]]:
    curves = {}
    for kind, counts in part.ranked.items():
        curve = counts.froc()
        curves[kind] = [
            {"score": float(t), "recall": round(float(r), 4), "false_alarms_per_scan": round(float(f), 3)}
            for t, r, f in zip(curve.thresholds, curve.recall, curve.false_alarms_per_scan, strict=True)
            if r == r
        ]
    return curves


def by_threshold(part: Part) -> dict[str, list[float]]:
    """Give what the map of scratches would find at each threshold."""
    pixels, curve = part.report.kinds[SCRATCH].score.pixels, part.blobs.froc()
    columns = {
        "threshold": STEPS,
        "regions_found": curve.recall,
        "false_alarms_per_scan": curve.false_alarms_per_scan,
        "length_recall": [lengths.recall for lengths in part.lengths],
        "pixel_precision": [pixels.precision(step) for step in STEPS],
        "pixel_recall": [pixels.recall(step) for step in STEPS],
    }
    return {name: [round(float(value), 4) for value in values] for name, values in columns.items()}


def must_hold(parts: Mapping[str, Part]) -> list[dict[str, Any]]:
    """Hold the figures against what was asked; `holds` is None where there is no figure."""
    rows: list[dict[str, Any]] = []

    def ask(name: str, value: float, sign: str, asked: float, note: str = "") -> None:
        known = not (math.isnan(value) or math.isnan(asked))
        compare = {">": operator.gt, ">=": operator.ge, "<=": operator.le}[sign]
        wanted = f"{sign} {asked:.2f}" if sign != ">" else f"> {asked:.4f}" if known else "> ?"
        holds = bool(compare(value, asked)) if known else None
        rows.append({"name": name, "value": value, "asked": wanted, "holds": holds, "note": note if known else ""})

    def value(part: str, kind: str, metric: str) -> float:
        return parts[part].metric(kind, metric) if part in parts else math.nan

    for part, least in LEAST_TILE_AP.items():
        precision = value(part, TOGETHER, "tile_average_precision")
        rival = parts[part].rival_metric("tile_average_precision") if part in parts else math.nan
        ask(f"tile AP above the tile classifier's, {part}", precision, ">", rival)
        ask(f"tile AP, {part}", precision, ">=", least)
    unknown = dict.fromkeys(("value", "threshold", "least_score", "length_recall"), math.nan)
    for part in (PHOTO_4K, DEMO_4K):
        best = recall_at_alarms(parts[part]) if part in parts else unknown
        note = f"score {best['least_score']:.2f}"
        name = f"scratches found at <= {FALSE_ALARMS} false alarms a scan, {part}"
        ask(name, best["value"], ">=", LEAST_REGIONS_FOUND, note)
    best = length_at_precision(parts[SYNTHETIC]) if SYNTHETIC in parts else unknown
    name = f"scratch length met at pixel precision >= {PRECISION:.2f}, {SYNTHETIC}"
    ask(name, best["length_recall"], ">=", LEAST_LENGTH, f"threshold {best['threshold']:.2f}")
    for part, least in LEAST_PIXEL_AP.items():
        ask(f"pixel AP of scratches, {part}", value(part, SCRATCH, "pixel_average_precision"), ">=", least)
    polygons = parts[CLEAN].polygons_per_scan if CLEAN in parts else math.nan
    ask(f"polygons a scan at the default thresholds, {CLEAN}", polygons, "<=", MOST_POLYGONS)
    return rows


def print_tables(parts: Mapping[str, Part], rows: list[dict[str, Any]], *, missing: str | None) -> None:
    heads = ("scans", "tile AP: U-Net", "tile classifier", "pixel AP: U-Net", "tile classifier")
    heads += (f"scratches at {FALSE_ALARMS}", "least score", "with one threshold")
    print(f"\n{'any damage':16s}", *heads, sep="  ")
    for part, of in parts.items():
        numbers = []
        for name in ("tile_average_precision", "pixel_average_precision"):
            numbers += [of.metric(TOGETHER, name), of.rival_metric(name)]
        at_alarms = recall_at_alarms(of)
        numbers += [at_alarms["value"], at_alarms["least_score"], at_alarms["one_threshold"]["value"]]
        cells = [str(len(of.looked)), *("-" if math.isnan(number) else f"{number:.3f}" for number in numbers)]
        print(f"{part:16s}", *(cell.rjust(len(head)) for cell, head in zip(cells, heads, strict=True)), sep="  ")
    if missing:
        print(f"tile classifier skipped: {missing}")
    print(f"\n{'must hold':72s} {'value':>7s}  asked")
    for row in rows:
        value = "-" if math.isnan(row["value"]) else f"{row['value']:.3f}"
        verdict = {True: "holds", False: "DOES NOT HOLD", None: "not judged"}[row["holds"]]
        print(f"{row['name']:72s} {value:>7s}  {row['asked']:9s} {verdict:14s} {row['note']}")
    print()


if __name__ == "__main__":
    main()
