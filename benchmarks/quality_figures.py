"""The table and the picture of `bench_quality.py`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from common import RESULTS
from matplotlib.axes import Axes

from surfacedefect.evaluation import TOGETHER, ScoreHistogram

Reports = Mapping[str, Mapping[str, Any]]

COLOURS = {
    "U-Net": "#1f5fa8",
    "tile classifier": "#d9480f",
    "dense tile classifier": "#e8a33d",
    "deflectometry": "#2b8a3e",
}
SHOWN = {
    "valid/panels": "close-ups of paint",
    "valid/photos4k": "4K photo (valid)",
    "rendered": "rendered scans",
}
COLUMNS = {
    "tile_average_precision": "tile AP",
    "pixel_average_precision": "pixel AP",
    "object_recall": "found",
    "false_alarms_per_scan": "false alarms",
    "tile_accuracy": "tile accuracy",
    "tile_accuracy_of_everything_is_clean": "all-clean accuracy",
}


def print_table(reports: Reports) -> None:
    """Print every part, method and kind."""
    heads = [*COLUMNS.values(), "s a scan", "MiB"]
    print(f"\n{'part':34s} {'method':22s} {'kind':8s}", *(head.rjust(len(head)) for head in heads), sep="  ")
    for part, methods in reports.items():
        for method, report in methods.items():
            for kind, figures in report["kinds"].items():
                values = [figures["metrics"][name]["value"] for name in COLUMNS]
                values += [(report["seconds"] or np.nan) / report["scans"], report["peak_mib"] or np.nan]
                cells = ("-" if value != value else f"{value:.3g}" for value in values)
                shown = (cell.rjust(len(head)) for cell, head in zip(cells, heads, strict=True))
                print(f"{part:34s} {method:22s} {kind:8s}", *shown, sep="  ")


def draw_curves(reports: Reports, name: str) -> None:
    """Draw, a row for each part: tiles and pixels by precision and recall, objects by recall and false alarms, cost."""
    rows = {part: title for part, title in SHOWN.items() if part in reports}
    figure, axes = plt.subplots(len(rows), 4, figsize=(15, 3.7 * len(rows)), layout="constrained", squeeze=False)
    for line, (part, title) in zip(axes, rows.items(), strict=True):
        for method, report in reports[part].items():
            _draw_method(line, report, label=method, colour=COLOURS[method])
        line[0].set_title(f"{title}: 300 px tiles, any damage")
        line[1].set_title("pixels, any damage")
        line[2].set_title("regions found")
        for axis in line[:2]:
            axis.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
        line[2].set(xscale="symlog", ylim=(0, 1.02), xlabel="false alarms a scan", ylabel="recall")
        _draw_cost(line[3], reports[part])
        for axis in line[:3]:
            axis.grid(alpha=0.3)
    handles = axes[0][0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower left", ncols=len(COLOURS), frameon=False)
    figure.savefig(RESULTS / f"{name}.png", dpi=90)
    plt.close(figure)
    print(f"{name}.png")


def _draw_method(line: np.ndarray[Any, Any], report: Mapping[str, Any], *, label: str, colour: str) -> None:
    kind = report["kinds"][TOGETHER]
    style = {"color": colour, "label": label}
    for axis, counted in zip(line, ("tiles", "pixels"), strict=False):
        histogram = kind["histograms"][counted]
        curve = ScoreHistogram(tuple(histogram["positives"]), tuple(histogram["negatives"])).curve()
        axis.plot(curve.recall, curve.precision, **style)
    froc = kind["froc"]
    line[2].plot(froc["false_alarms_per_scan"], froc["recall"], marker=".", **style)


def _draw_cost(axis: Axes, methods: Mapping[str, Any]) -> None:
    seconds = [(report["seconds"] or np.nan) / report["scans"] for report in methods.values()]
    names = [f"{name}\n{report['peak_mib'] or np.nan:.0f} MiB" for name, report in methods.items()]
    bars = axis.barh(names, seconds, color=[COLOURS[name] for name in methods])
    axis.bar_label(bars, fmt="%.1f s", padding=2)
    axis.set(title="seconds a scan, MiB above the model", xlim=(0, 1.25 * np.nanmax(seconds)))
    axis.invert_yaxis()


if __name__ == "__main__":
    raise SystemExit("run bench_quality.py")
