"""Ratios, last: what the counts of many scans come to, with intervals, as a table and as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import reduce
from operator import add
from typing import Any

from surfacedefect._files import without_nan
from surfacedefect._words import counted
from surfacedefect.errors import EvaluationError
from surfacedefect.evaluation.intervals import Interval, bootstrap_intervals, merge_groups
from surfacedefect.evaluation.protocol import Protocol
from surfacedefect.evaluation.score import KindScore, ScanScore

METRICS: Mapping[str, Callable[[KindScore], float]] = {
    "pixel_average_precision": lambda score: score.pixels.average_precision,
    "pixel_precision": lambda score: score.pixels.precision(score.threshold),
    "pixel_recall": lambda score: score.pixels.recall(score.threshold),
    "pixel_f1": lambda score: score.pixels.f1(score.threshold),
    "pixel_prevalence": lambda score: score.pixels.prevalence,
    "length_recall": lambda score: score.lengths.recall,
    "object_recall": lambda score: score.objects.recall,
    "object_precision": lambda score: score.objects.precision,
    "false_alarms_per_scan": lambda score: score.objects.false_alarms_per_scan,
    "froc_recall_at_1": lambda score: score.objects.recall_at(1),
    "froc_recall_at_5": lambda score: score.objects.recall_at(5),
    "tile_average_precision": lambda score: score.tiles.average_precision,
    "tile_precision": lambda score: score.tiles.precision(score.threshold),
    "tile_recall": lambda score: score.tiles.recall(score.threshold),
    "tile_f1": lambda score: score.tiles.f1(score.threshold),
    "tile_accuracy": lambda score: score.tiles.accuracy(score.threshold),
    "tile_accuracy_of_everything_is_clean": lambda score: score.tiles.all_clean_accuracy,
    "tile_prevalence": lambda score: score.tiles.prevalence,
}
"""Every ratio of the report, in its order. All are shares in [0, 1] but the false alarms a scan."""


@dataclass(frozen=True)
class Measured:
    """A metric and its interval; the value is nan when undefined, the interval ``None`` when there is none."""

    value: float
    interval: Interval | None


@dataclass(frozen=True)
class KindReport:
    """All figures of one kind, or of all together.

    Parameters
    ----------
    score
        The counts, added up over all scans.
    metrics
        The ratios of `METRICS`, in that order.
    """

    score: KindScore
    metrics: Mapping[str, Measured]

    def counts(self) -> dict[str, int]:
        """Give the counts that the ratios are made from."""
        pixels, lengths, objects, tiles = self.score.pixels, self.score.lengths, self.score.objects, self.score.tiles
        return {
            "damaged_px": pixels.positive_count,
            "clean_px": pixels.negative_count,
            "line_px": lengths.line_px,
            "regions": objects.regions,
            "regions_found": objects.found,
            "predictions": objects.predictions,
            "hits": objects.hits,
            "false_alarms": objects.false_alarms,
            "predictions_ignored": objects.ignored,
            "damaged_tiles": tiles.positive_count,
            "clean_tiles": tiles.negative_count,
            "tiles_left_out": tiles.left_out,
        }


@dataclass(frozen=True)
class Report:
    """The score of many scans.

    Parameters
    ----------
    kinds
        The figures of every kind, and of ``"damage"`` (all together) last.
    scans, groups
        How many of each.
    protocol
        The rules.
    seconds
        Time of the runs, added up; ``None`` when it was not measured for every scan.
    peak_mib
        The largest peak memory; ``None`` when it was not measured for every scan.
    """

    kinds: Mapping[str, KindReport]
    scans: int
    groups: int
    protocol: Protocol
    seconds: float | None = None
    peak_mib: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Give everything as plain dicts, lists and numbers; undefined metrics are nan, missing intervals ``None``."""
        return {
            "scans": self.scans,
            "groups": self.groups,
            "seconds": self.seconds,
            "peak_mib": self.peak_mib,
            "protocol": asdict(self.protocol),
            "kinds": {kind: _kind_dict(report) for kind, report in self.kinds.items()},
        }

    def to_json(self) -> str:
        """Give everything as JSON, nan as null."""
        return json.dumps(without_nan(self.to_dict()), indent=2, allow_nan=False)

    def to_text(self) -> str:
        """Give a table for reading, one column a kind."""
        kinds = list(self.kinds)
        rows = [["", *kinds]]
        rows.append(["threshold", *(f"{self.kinds[kind].score.threshold:.3f}" for kind in kinds)])
        for name in METRICS:
            rows.append([name, *(_cell(self.kinds[kind].metrics[name]) for kind in kinds)])
        counts = {kind: self.kinds[kind].counts() for kind in kinds}
        for name in next(iter(counts.values())):
            rows.append([name, *(f"{counts[kind][name]:,}" for kind in kinds)])
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        table = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join([*table, self._footnote()])

    def _footnote(self) -> str:
        parts = [f"{counted(self.scans, 'scan')} of {counted(self.groups, 'group')}"]
        if self.groups < self.protocol.least_groups:
            parts.append(f"no interval: at least {self.protocol.least_groups} groups are needed")
        else:
            parts.append(f"[{self.protocol.confidence:.0%} bootstrap interval over groups]")
        if self.seconds is not None:
            parts.append(f"{self.seconds:.1f} s")
        if self.peak_mib is not None:
            parts.append(f"peak {self.peak_mib:.0f} MiB")
        return "; ".join(parts)


def summarise(scores: Sequence[ScanScore], *, resamples: int = 1000, seed: int = 0) -> Report:
    """Add up the scores of scans and take the ratios, with bootstrap intervals over groups.

    Parameters
    ----------
    scores
        The score of every scan, all of the same kinds, thresholds and rules.
    resamples, seed
        Of the bootstrap; see `bootstrap_intervals`.

    Returns
    -------
    Report
        The figures.

    Raises
    ------
    EvaluationError
        There is no score, or scores differ in kinds, thresholds or rules.

    Examples
    --------
    >>> import numpy as np
    >>> from surfacedefect.evaluation import prepare_truth, score_scan
    >>> mask = np.zeros((300, 600), np.uint8)
    >>> mask[10:20, 10:90] = 1
    >>> score = score_scan({"scratch": 200 * mask}, prepare_truth({"scratch": mask}), threshold=0.5)
    >>> summarise([score, score]).kinds["scratch"].metrics["pixel_f1"]
    Measured(value=1.0, interval=None)
    """
    if not scores:
        raise EvaluationError("there is no score; expected the scores of at least one scan")
    names, rules = list(scores[0].kinds), scores[0].protocol
    for score in scores:
        if score.protocol != rules:
            raise EvaluationError(
                f"one scan is scored by {score.protocol}, another by other rules, {rules}; score all by the same"
            )
        if list(score.kinds) != names:
            raise EvaluationError(
                f"one scan is scored for {list(score.kinds)}, another for {names}; predict the same kinds on every scan"
            )
    groups = [score.group for score in scores]
    kinds: dict[str, KindReport] = {}
    for kind in names:
        counts = [score.kinds[kind] for score in scores]
        total = reduce(add, counts)
        intervals = bootstrap_intervals(
            counts,
            groups,
            metrics=METRICS,
            confidence=rules.confidence,
            resamples=resamples,
            seed=seed,
            least_groups=rules.least_groups,
        )
        kinds[kind] = KindReport(total, {n: Measured(metric(total), intervals[n]) for n, metric in METRICS.items()})
    return Report(
        kinds,
        scans=len(scores),
        groups=len(merge_groups([score.kinds[names[0]] for score in scores], groups=groups)),
        protocol=rules,
        seconds=_all([score.seconds for score in scores], combine=sum),
        peak_mib=_all([score.peak_mib for score in scores], combine=max),
    )


def _all(values: Sequence[float | None], *, combine: Callable[[list[float]], float]) -> float | None:
    known = [value for value in values if value is not None]
    return combine(known) if len(known) == len(values) else None


def _kind_dict(report: KindReport) -> dict[str, Any]:
    froc = report.score.objects.froc()
    metrics = {
        name: {"value": one.value, "interval": None if one.interval is None else [one.interval.low, one.interval.high]}
        for name, one in report.metrics.items()
    }
    curve = {
        "thresholds": froc.thresholds.tolist(),
        "recall": froc.recall.tolist(),
        "false_alarms_per_scan": froc.false_alarms_per_scan.tolist(),
    }
    histograms = {
        name: {"positives": list(counts.positives), "negatives": list(counts.negatives)}
        for name, counts in (("pixels", report.score.pixels), ("tiles", report.score.tiles))
    }
    head = {"threshold": report.score.threshold, "metrics": metrics, "counts": report.counts()}
    return head | {"froc": curve, "histograms": histograms}


def _cell(measured: Measured) -> str:
    if math.isnan(measured.value):
        return "undefined"
    if measured.interval is None:
        return f"{measured.value:.3f}"
    return f"{measured.value:.3f} [{measured.interval.low:.3f}, {measured.interval.high:.3f}]"
