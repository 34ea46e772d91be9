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
    "pixel_recall": "pixel recall",
    "pixel_precision": "pixel precision",
    "tile_accuracy": "tile accuracy",
    "tile_accuracy_of_everything_is_clean": "all-clean accuracy",
}


def print_table(reports: Reports) -> None:
    """Print every part, method and kind."""
    heads = list(COLUMNS.values())
    print(f"\n{'part':34s} {'method':22s} {'kind':8s}", *(head.rjust(len(head)) for head in heads), sep="  ")
    for part, methods in reports.items():
        for method, report in methods.items():
            for kind, figures in report["kinds"].items():
                values = [figures["metrics"][name]["value"] for name in COLUMNS]
                cells = ("-" if value is None or value != value else f"{value:.3g}" for value in values)
                shown = (cell.rjust(len(head)) for cell, head in zip(cells, heads, strict=True))
                print(f"{part:34s} {method:22s} {kind:8s}", *shown, sep="  ")


def draw_curves(result: Mapping[str, Any], name: str) -> None:
    """Draw, a row for each part: precision and recall of tiles and pixels, regions by false alarms; beside it cost."""
    reports = result["reports"]
    rows = {part: title for part, title in SHOWN.items() if part in reports}
    figure, axes = plt.subplots(
        max(len(rows), 2), 4, figsize=(15, 3.7 * max(len(rows), 2)), layout="constrained", squeeze=False
    )
    for line, (part, title) in zip(axes, rows.items(), strict=False):
        for method, report in reports[part].items():
            _draw_method(line, report, label=method, colour=COLOURS[method])
        for axis, what in zip(line, ("300 px tiles", "pixels", "regions, a quarter of each covered"), strict=False):
            axis.set_title(what)
            axis.grid(alpha=0.3)
        for axis in line[:2]:
            axis.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
        line[0].set_ylabel(f"{title}\nprecision")
        line[2].set(xscale="symlog", ylim=(0, 1.02), xlabel="false alarms a scan", ylabel="recall")
        line[2].set_xlim(left=-0.05)
    for axis in axes[len(rows) :].ravel():
        axis.set_axis_off()
    for line in axes[2:]:
        line[3].set_axis_off()
    for line, key, form in ((axes[0], "seconds", "%.1f s"), (axes[1], "peak_mib", "%.0f MiB")):
        _draw_cost(line[3], result["cost"], key, form)
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


def _draw_cost(axis: Axes, costs: Mapping[str, Any], key: str, form: str) -> None:
    values = [cost[key] for cost in costs.values()]
    names = [name.replace(" tile", "\ntile") for name in costs]
    bars = axis.barh(names, values, color=[COLOURS[name] for name in costs])
    axis.bar_label(bars, fmt=form, padding=2)
    one = next(iter(costs.values()))
    what = f"seconds, {one['width']} x {one['height']} px" if key == "seconds" else "MiB for it, above the model"
    axis.set(title=what, xlim=(0, 1.35 * np.nanmax(values)))
    axis.set_axis_on()
    axis.invert_yaxis()


if __name__ == "__main__":
    raise SystemExit("run bench_quality.py")
