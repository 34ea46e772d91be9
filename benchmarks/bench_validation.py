"""What do weights find on real photographs? Every score of the protocol, on the validation set and the 4K demo photo.

Needs the real pictures (SURFACEDEFECT_REAL_DATA); without them it says so and ends. The demo photo shows the same car
as the validation's 4K photo, so it is reported apart and never chosen by.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict
from pathlib import Path

from common import REAL_DATA, write_result

import surfacedefect as sd
from surfacedefect.annotations import read_coco
from surfacedefect.evaluation import TOGETHER, ScanScore, score_scan, summarise, truth_of

THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(1, 20))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="default")
    parser.add_argument("--name", default="validation", help="name of the result")
    arguments = parser.parse_args()
    if not REAL_DATA.is_dir():
        sys.exit(f"skipped: no real pictures at '{REAL_DATA}'; set SURFACEDEFECT_REAL_DATA")
    detector = sd.Detector(arguments.model)
    parts: dict[str, list[ScanScore]] = defaultdict(list)
    share = {}
    for folder in ("valid", "demo"):
        for record in read_coco(REAL_DATA / folder / "annotations.json").images:
            score, covered = look(detector, REAL_DATA / folder / "images", record)
            part = f"{folder}/{record.origin}"
            parts[part].append(score)
            share[part] = share.get(part, 0) + covered
    parts["valid/all"] = [score for part, scores in parts.items() if part.startswith("valid/") for score in scores]
    reports = {part: summarise(scores) for part, scores in parts.items()}
    for part, report in reports.items():
        print(f"== {part}\n{report.to_text()}")
    card = detector.predictor.card
    result = {
        "question": __doc__,
        "model": {"name": card.name, "sha256": card.sha256, "thresholds": dict(card.thresholds)},
        "scratch_area_covered": {part: ratio(share[part]) for part in share},
        "froc": {part: froc(scores) for part, scores in parts.items()},
        "reports": {part: report.to_dict() for part, report in reports.items()},
    }
    print(json.dumps(result["scratch_area_covered"], indent=1))
    write_result(arguments.name, result)


def look(detector: sd.Detector, images: Path, record) -> tuple[ScanScore, complex]:
    """Return the scores of a picture, and its covered + true scratch pixels (as one complex number, which adds)."""
    started = time.perf_counter()
    found = detector.detect(images / record.file_name)
    seconds = time.perf_counter() - started
    truth = truth_of(record, kinds=found.kinds)
    maps = {kind: found.probability_map.read(kind) for kind in found.kinds}
    thresholds = dict(found.thresholds)
    thresholds[TOGETHER] = min(thresholds.values())
    score = score_scan(
        maps,
        truth,
        threshold=thresholds,
        polygons=found,
        group=record.group,
        seconds=seconds,
        froc_thresholds=THRESHOLDS,
    )
    scratch = truth.views["scratch"].state == 1
    predicted = maps["scratch"] >= round(thresholds["scratch"] * 255)
    return score, complex((scratch & predicted).sum(), scratch.sum())


def ratio(covered_and_true: complex) -> float | None:
    return None if covered_and_true.imag == 0 else round(covered_and_true.real / covered_and_true.imag, 4)


def froc(scores: list[ScanScore]) -> dict[str, list[dict[str, float]]]:
    curves = {}
    for kind in scores[0].kinds:
        total = sum((score.kinds[kind].objects for score in scores[1:]), scores[0].kinds[kind].objects)
        curve = total.froc()
        curves[kind] = [
            {"score": float(t), "recall": round(float(r), 4), "false_alarms_per_scan": round(float(f), 3)}
            for t, r, f in zip(curve.thresholds, curve.recall, curve.false_alarms_per_scan, strict=True)
            if r == r
        ]
    return curves


if __name__ == "__main__":
    main()
