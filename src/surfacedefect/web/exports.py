"""Files to take away: what holds after all decisions, in the library's own formats, and a report of one page."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import shapely

from surfacedefect import _exports
from surfacedefect.annotations import Dataset
from surfacedefect.defect import Defect
from surfacedefect.detections import Detections
from surfacedefect.errors import WebError
from surfacedefect.web import report
from surfacedefect.web.values import EXPORTS, Export, Outline, Review

_MIMES = {
    "geojson": "application/geo+json",
    "csv": "text/csv; charset=utf-8",
    "png": "image/png",
    "html": "text/html; charset=utf-8",
    "pdf": "application/pdf",
    "coco": "application/json",
}
_ENDINGS = {"geojson": ".geojson", "csv": ".csv", "png": ".png", "html": ".html", "pdf": ".pdf", "coco": ".coco.json"}
_PICTURE_PX = 4096


@dataclass(frozen=True, slots=True)
class Subject:
    """What is to be written.

    Attributes
    ----------
    name, shown
        Of the scan: its key, and for people.
    found
        What the model found, at the chosen threshold.
    outlines
        What holds, rejected ones too.
    review
        Who decided, and when.
    measured
        See `surfacedefect.web.workspace.Workspace.card_row`.
    """

    name: str
    shown: str
    found: Detections
    outlines: Sequence[Outline]
    review: Review
    measured: dict[str, dict[str, Any]] | None = None

    @property
    def standing(self) -> list[Outline]:
        """All but the rejected ones."""
        return [outline for outline in self.outlines if outline.decision != "rejected"]

    @property
    def standing_found(self) -> Detections:
        """The same as `Detections`, in the same order."""
        pm = self.found.probability_map
        defects = tuple(
            Defect(
                shapely.Polygon(outline.polygon, outline.holes),
                outline.kind,
                score=outline.score or 0.0,
                area_px=outline.area_px,
                length_px=outline.length_px,
                width_px=outline.width_px,
                mm_per_px=pm.mm_per_px,
            )
            for outline in self.standing
        )
        kinds = tuple(dict.fromkeys((*self.found.kinds, *(defect.kind for defect in defects))))
        missing = tuple((kind, 1.0) for kind in kinds if kind not in dict(self.found.thresholds))
        return replace(self.found, defects=defects, kinds=kinds, thresholds=(*self.found.thresholds, *missing))


def export(subject: Subject, what: str) -> Export:
    """Write one file.

    Raises
    ------
    WebError
        There is no such format.
    """
    if what not in EXPORTS:
        raise WebError(f"there is no export '{what}'; expected one of {', '.join(EXPORTS)}")
    stem = Path(subject.name).name
    data = _WRITERS[what](subject)
    return Export(f"{stem}{_ENDINGS[what]}", _MIMES[what], data)


def _geojson(subject: Subject) -> bytes:
    found, standing = subject.standing_found, subject.standing
    record = _exports.geojson(found)
    record["threshold"] = subject.found.threshold
    for feature, outline in zip(record["features"], standing, strict=True):
        feature["properties"] |= {
            "score": None if outline.score is None else feature["properties"]["score"],
            "outline": outline.id,
            "decision": outline.decision,
            "found_kind": outline.found_kind,
        }
    record["review"] = review_record(subject)
    return _json(record)


def _csv(subject: Subject) -> bytes:
    rows = list(csv.reader(io.StringIO(_exports.csv_text(subject.standing_found))))
    head, body = rows[0], rows[1:]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((*head, "decision", "found_kind", "outline"))
    score, threshold = head.index("score"), head.index("threshold")
    for number, row in enumerate(body):
        outline = subject.standing[number] if number < len(subject.standing) else None  # then what was not inspected
        if outline is None:
            writer.writerow((*row, "", "", ""))
            continue
        row[score] = "" if outline.score is None else row[score]
        row[threshold] = row[threshold] if outline.kind in subject.found.kinds else ""
        writer.writerow((*row, outline.decision or "", outline.found_kind or "", outline.id))
    return text.getvalue().encode()


def _coco(subject: Subject) -> bytes:
    """Annotations to train on: what a person decided has no score, as truth has none; the rest keeps the model's."""
    from surfacedefect.annotations.coco import write_coco

    dataset = _exports.coco(subject.standing_found)
    (image,) = dataset.images
    decided = [outline.decision is not None for outline in subject.standing]
    regions = tuple(
        replace(region, score=None) if number < len(decided) and decided[number] else region
        for number, region in enumerate(image.regions)
    )
    image = replace(image, file_name=subject.name, regions=regions)
    return report.written(lambda path: write_coco(path, Dataset(dataset.categories, (image,))), ".json")


def _png(subject: Subject) -> bytes:
    picture = subject.standing_found.plot(long_side_px=_PICTURE_PX)
    data = io.BytesIO()
    picture.save(data, format="PNG", compress_level=3)
    return data.getvalue()


def _html(subject: Subject) -> bytes:
    return report.html(_page(subject), subject.standing_found)


def _pdf(subject: Subject) -> bytes:
    return report.pdf(_page(subject), subject.standing_found)


def _page(subject: Subject) -> report.Page:
    found, review = subject.found, subject.review
    mm = found.mm_per_px
    counts = {
        word: sum(outline.decision == word for outline in subject.outlines)
        for word in ("accepted", "changed", "redrawn", "added", "rejected")
    }
    undecided = sum(outline.decision is None for outline in subject.outlines)
    words = [f"{number} {word}" for word, number in counts.items() if number] + [f"{undecided} undecided"]
    facts = [
        ("Scan", f"{subject.shown}, {found.width} x {found.height} px" + ("" if mm is None else f", {mm:g} mm/px")),
        ("Model", found.probability_map.model or "unknown"),
        ("Threshold", _threshold(found)),
        ("Inspected", f"{int(1000 * found.coverage) / 10:g} % of the scan"),
        ("Decisions", ", ".join(words)),
        ("Reviewed", "yes" if review.reviewed else "not yet"),
    ]
    if review.who and review.when:
        facts.append(("Last decision", f"by {review.who} at {review.when}"))
    facts += [(f"Measured, {kind}", _measured(row)) for kind, row in (subject.measured or {}).items()]
    if review.note:
        facts.append(("Note", review.note))
    warnings = (
        [] if found.coverage >= 1 else ["Parts of the scan were not inspected; damage there is not in this list."]
    )
    if undecided:
        warnings.append(f"{undecided} of the outlines below were found by the model and decided by nobody.")
    unit = "px" if mm is None else "mm"
    columns = ("#", "Kind", "Score", f"Length ({unit})", f"Width ({unit})", f"Area ({unit}²)", "Decision")
    rows = [_row(number, outline, mm is not None) for number, outline in enumerate(subject.standing, start=1)]
    return report.Page(subject.shown, tuple(facts), tuple(warnings), columns, tuple(rows))


def _row(number: int, outline: Outline, scaled: bool) -> tuple[str, ...]:
    sizes = (
        (outline.length_mm, outline.width_mm, outline.area_mm2)
        if scaled
        else (outline.length_px, outline.width_px, outline.area_px)
    )
    score = "" if outline.score is None else f"{outline.score:.2f}"
    texts = [f"{0.0 if size is None else size:.{places}f}" for size, places in zip(sizes, (1, 2, 1), strict=True)]
    return (str(number), outline.kind, score, *texts, outline.decision or "undecided")


def _threshold(found: Detections) -> str:
    scores = ", ".join(f"{kind} {least:g}" for kind, least in found.least_scores if least)
    chosen = ", ".join(f"{kind} {value:.3g}" for kind, value in found.thresholds)
    return chosen + (f"; smallest score {scores}" if scores else "")


def _measured(row: dict[str, Any]) -> str:
    recall, precision = row["pixel_recall"], row["pixel_precision"]
    texts = [
        f"{name} {'undefined' if value is None else format(value, '.2f')}"
        for name, value in (("pixel recall", recall), ("pixel precision", precision))
    ]
    return f"{', '.join(texts)} on {row['data']}"


def review_record(subject: Subject) -> dict[str, Any]:
    """Return who decided what, for files that others read."""
    review = subject.review
    rejected = [outline.id for outline in subject.outlines if outline.decision == "rejected"]
    return {
        "version": review.version,
        "reviewed": review.reviewed,
        "who": review.who,
        "when": review.when,
        "note": review.note,
        "rejected": rejected,
    }


def _json(record: Any) -> bytes:
    return (json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n").encode()


_WRITERS: dict[str, Callable[[Subject], bytes]] = {
    "geojson": _geojson,
    "csv": _csv,
    "png": _png,
    "html": _html,
    "pdf": _pdf,
    "coco": _coco,
}
