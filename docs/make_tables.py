"""Write the measured figures of benchmarks/results/ into the tables of the pages, between their marks.

Run it after a benchmark; tests/test_docs.py fails when a page says something else than the files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import batch_tables
import benchmark_tables

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
DOCS = (
    "batch",
    "benchmarks",
    "data-check",
    "deflectometry",
    "gpu",
    "how-it-works",
    "model-card",
    "planning",
    "serve",
    "tile-classifier",
    "web",
    "why-not-accuracy",
    "deploy/README",
)
PAGES = (ROOT / "README.md", ROOT / "benchmarks" / "README.md", *(ROOT / "docs" / f"{name}.md" for name in DOCS))
PARTS = {
    "demo/photos4k": "bumper photo, 4096 x 3072",
    "valid/photos4k": "quarter panel photo, 4096 x 3072",
    "valid/panels": "close-ups of paint",
    "valid/claims": "claim photos",
    "valid/cars": "whole cars",
    "valid/all": "validation set together",
    "synthetic": "rendered scans held out",
}
SCANS = ("demo/photos4k", "valid/photos4k", "synthetic")
SHORT = ("demo/photos4k", "valid/photos4k", "valid/panels", "valid/all")
COLUMNS = {
    "area covered": ("pixel_recall", ".2f"),
    "regions found": ("object_recall", ".2f"),
    "false alarms a picture": ("false_alarms_per_scan", ".1f"),
    "length recall": ("length_recall", ".2f"),
    "pixel AP": ("pixel_average_precision", ".2f"),
    "tile AP": ("tile_average_precision", ".2f"),
}


def main() -> None:
    """Fill the tables of every page."""
    made = tables(read_results())
    for page in PAGES:
        page.write_text(filled(page.read_text(encoding="utf-8"), made), encoding="utf-8")
        print(page.relative_to(ROOT))


def read_results() -> dict[str, Any]:
    """Return every result that is committed, by its name."""
    files = sorted(path for path in RESULTS.glob("*.json") if not path.name.endswith((".schema.json", "-quick.json")))
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in files}


def filled(text: str, made: Mapping[str, list[str]]) -> str:
    """Put each table between its marks; a page need not have every one."""
    for name, lines in made.items():
        marks = rf"(<!-- begin {re.escape(name)} -->\n).*?(<!-- end {re.escape(name)} -->)"
        text = re.sub(marks, lambda found, lines=lines: found[1] + "\n".join(lines) + "\n" + found[2], text, flags=re.S)
    return text


def tables(results: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the lines of every table by its name."""
    validation = results["validation"]
    reports = {part: validation["reports"][part] for part in PARTS if part in validation["reports"]}
    return {
        "scratches": table("scratch", {part: reports[part] for part in SHORT if part in reports}),
        "scratches in full": table("scratch", reports, intervals=True),
        "dents": table("dent", {part: one for part, one in reports.items() if has(one, "dent")}, intervals=True),
        "ranked": ranked(validation["scratch_recall_at_10_false_alarms"]),
        "tiles": tiles(validation),
        "asked": asked(validation["must_hold"]) if "must_hold" in validation else [],
        **benchmark_tables.tables(results),
        **batch_tables.tables(results),
    }


def table(kind: str, reports: Mapping[str, Any], *, intervals: bool = False) -> list[str]:
    """Return a row for each part, of damage of one kind."""
    lines = [
        f"| {'scratches' if kind == 'scratch' else 'dents'} on | pictures | " + " | ".join(COLUMNS) + " |",
        "| --- " * (len(COLUMNS) + 2) + "|",
    ]
    for part, report in reports.items():
        metrics = report["kinds"][kind]["metrics"]
        cells = [cell(metrics[name], form, intervals=intervals) for name, form in COLUMNS.values()]
        lines.append(f"| {PARTS[part]} | {report['scans']} | " + " | ".join(cells) + " |")
    return lines


def ranked(parts: Mapping[str, Any]) -> list[str]:
    """Return what is found of the scratches at ten false alarms a picture, by score and by one threshold."""
    lines = ["| scratches found on | outlined, then ranked by score | one threshold |", "| --- | --- | --- |"]
    for part, best in parts.items():
        if part in SCANS and best["value"] is not None:  # ten are nothing on a scan, and a lot on a close-up
            both = (cell(one, ".2f", intervals=True) for one in (best, best["one_threshold"]))
            lines.append(f"| {PARTS[part]} | {' | '.join(both)} |")
    return lines


def tiles(result: Mapping[str, Any]) -> list[str]:
    """Return average precision over tiles of both models, and the U-Net's lead on the same resamples."""
    heads = ("300 px tiles with any damage on", "pictures", "damaged tiles", "U-Net", "tile classifier", "lead")
    lines = ["| " + " | ".join(heads) + " |", "| --- " * len(heads) + "|"]
    for part, rival in result["tile_classifier_reports"].items():
        if part not in PARTS or not has(rival, "damage", "tile_average_precision"):
            continue
        ours, theirs = (one["kinds"]["damage"]["metrics"] for one in (result["reports"][part], rival))
        both = [cell(one["tile_average_precision"], ".2f", intervals=True) for one in (ours, theirs)]
        lead = cell(result["tile_average_precision"][part]["lead"], "+.2f", intervals=True)
        damaged = cell(ours["tile_prevalence"], ".0%", intervals=False)
        lines.append(f"| {PARTS[part]} | {rival['scans']} | {damaged} | {' | '.join(both)} | {lead} |")
    return lines


def cell(metric: Mapping[str, Any], form: str, *, intervals: bool) -> str:
    """Return a figure, its interval in brackets; a dash for what is undefined."""
    if metric["value"] is None or metric["value"] != metric["value"]:
        return "-"
    text = f"{metric['value']:{form}}"
    if intervals and metric["interval"]:
        low, high = metric["interval"]
        text += f" ({low:{form}}{' to ' if '+' in form else '-'}{high:{form}})"
    return text


def has(report: Mapping[str, Any], kind: str, metric: str = "object_recall") -> bool:
    """Whether there is true damage of a kind."""
    value = report["kinds"][kind]["metrics"][metric]["value"]
    return value is not None and value == value


def asked(rows: list[Mapping[str, Any]]) -> list[str]:
    """Return what was asked beside what was measured."""
    words = {True: "yes", False: "no", None: "not measured"}
    lines = ["| what was asked | asked | measured | reached |", "| --- | --- | --- | --- |"]
    for row in rows:
        value = "-" if row["value"] is None else f"{row['value']:.2f}"
        lines.append(f"| {row['name']} | {row['asked']} | {value} | {words[row['holds']]} |")
    return lines


if __name__ == "__main__":
    main()
