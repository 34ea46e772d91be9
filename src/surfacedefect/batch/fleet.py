"""The page over a fleet: damage by car, where it lies on the scans, the worst cars, what was not inspected.

One file of bounded size, however many scans: it shows the worst and counts the rest, which the table lists in full.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from surfacedefect._version import __version__
from surfacedefect._words import counted
from surfacedefect.batch._journal import Journal, Unit
from surfacedefect.batch._outputs import Destination
from surfacedefect.batch.jobs import GRID
from surfacedefect.batch.table import FOLDER
from surfacedefect.datasets import _report_words as words
from surfacedefect.errors import require

PAGE = "index.html"
_MOST = 50
_MOST_KINDS = 8
_SPREAD = {0: "none", 1: "1", 2: "2 to 4", 5: "5 to 9", 10: "10 to 19", 20: "20 to 49", 50: "50 and more"}


def write_page(journal: Journal, dest: Destination, *, source: str) -> None:
    """Write ``index.html`` from the journal.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    text = page(journal, source=source)
    with dest.writing(PAGE) as part:
        part.write_text(text, encoding="utf-8", newline="")


def page(journal: Journal, *, source: str) -> str:
    """Return the page as HTML."""
    done, damaged, defects, cars, seconds, _ = journal.totals()
    partly, least = journal.partly(_MOST)
    states = journal.states()
    not_done = sum(states.values()) - done
    unit, unit_note = _unit(journal)
    worst = journal.worst_cars(_MOST, unit=unit)
    spread = journal.cars_by_defects()
    return _rendered(
        {
            "title": "Fleet report",
            "source": source,
            "model": (journal.fact("run") or {}).get("model", ""),
            "made": datetime.datetime.now(datetime.UTC),
            "done": done,
            "damaged": damaged,
            "defects": defects,
            "cars": cars,
            "seconds": seconds,
            "spread": _bars([(_SPREAD[least], count) for least, count in spread]),
            "unit_note": unit_note,
            "worst_cars": [_car(row, unit) for row in worst if row[2] or row[4]],
            "more_cars": max(0, cars - len(worst)),
            "worst_scans": [_scan(row, unit) for row in journal.worst_scans(_MOST, unit=unit)],
            "heat": heat_maps(journal),
            "grid": {"rows": GRID[0], "columns": GRID[1]},
            "not_done": [
                {"name": name, "state": state, "reason": reason} for name, state, reason in journal.not_done(_MOST)
            ],
            "not_done_count": not_done,
            "partly": [{"name": name, "coverage": words.percent(coverage)} for name, coverage in least],
            "partly_count": partly,
            "table": FOLDER,
        }
    )


def heat_maps(journal: Journal) -> list[dict[str, Any]]:
    """Count the defects of each kind in each cell of the grid; the darkest cell has the most."""
    counts: dict[str, list[int]] = {}
    for row in journal.rows():
        for kind, cell, count in row["found"].get("cells", ()):
            if 0 <= cell < GRID[0] * GRID[1]:
                counts.setdefault(kind, [0] * (GRID[0] * GRID[1]))[cell] += count
    kinds = sorted(counts, key=lambda kind: (-sum(counts[kind]), kind))[:_MOST_KINDS]
    return [{"kind": kind, "defects": sum(counts[kind]), "cells": _cells(counts[kind])} for kind in kinds]


def _cells(counts: Sequence[int]) -> list[dict[str, Any]]:
    most = max(counts)
    return [
        {"row": at // GRID[1], "column": at % GRID[1], "count": count, "shade": round(count / most, 3) if most else 0}
        for at, count in enumerate(counts)
    ]


def _bars(rows: Sequence[tuple[str, int]]) -> list[dict[str, Any]]:
    most = max((count for _, count in rows), default=0)
    return [{"label": label, "count": count, "length": round(100 * count / most, 2)} for label, count in rows]


def _unit(journal: Journal) -> tuple[Unit, str]:
    """Choose one unit for every length, as two compare badly; with a sentence on it where it is not mm."""
    counted, scaled = journal.scaled()
    if scaled == counted:
        return ("mm", "") if counted else ("px", "")
    if not scaled:
        return "px", "Lengths are in px: no scan has a scale. --mm-per-px gives one."
    lacking = counted - scaled
    have = "has" if lacking == 1 else "have"
    return "px", f"Lengths are in px: {lacking:,} of {counted:,} scans {have} no scale. --mm-per-px gives one."


def _car(row: tuple[str, int, int, float | None, int], unit: Unit) -> dict[str, Any]:
    car, scans, defects, longest, not_done = row
    return {"name": car, "scans": scans, "defects": defects, "longest": _length(longest, unit), "not_done": not_done}


def _scan(row: tuple[str, str, int, float | None, str], unit: Unit) -> dict[str, Any]:
    name, car, defects, longest, stem = row
    shown = _length(longest, unit)
    return {"name": name, "car": car, "defects": defects, "longest": shown, "geojson": f"{stem}.geojson"}


def _length(length: float | None, unit: Unit) -> str:
    if length is None:
        return "not looked for"
    if not length:
        return "none"
    return f"{length:,.1f} mm" if unit == "mm" else f"{length:,.0f} px"


def _rendered(values: Mapping[str, Any]) -> str:
    """Fill the template; the policy allows its own style by hash and nothing else."""
    jinja2: Any = require("jinja2", extra="batch")
    from markupsafe import Markup

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("surfacedefect.batch", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for make in (words.name, words.reason, words.number, counted, words.percent):
        environment.filters[make.__name__] = make
    style = environment.loader.get_source(environment, "fleet.css")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    template = environment.get_template("fleet.html.j2")
    head = {"style": Markup(style), "style_hash": Markup(digest)}
    text: str = template.render(**values, **head, program=f"surfacedefect {__version__}")
    return text
