"""The pictures of `bench_speed.py` and `bench_scaling.py`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from common import RESULTS
from matplotlib.axes import Axes

COLOURS = {"engine": "#9aa0a6", "surfacedefect": "#1f5fa8", "monai": "#d98c00", "tiler": "#8e5ea2"}
BOUND_MIB = 300
"""What the library keeps below, at any height of a scan up to 8000 px wide."""


def draw(result: Mapping[str, Any], name: str) -> None:
    """Draw seconds and memory beside the peers, and what the options cost."""
    figure, axes = plt.subplots(1, 3, figsize=(14, 4.2), layout="constrained", width_ratios=(1, 1, 1.1))
    peers = [case for case in result["cases"] if case["group"] in ("peers", "large")]
    largest = max(case["megapixels"] for case in peers if case["rounds"] > 1 or result["quick"])
    _bars(axes[0], [case for case in peers if case["megapixels"] == largest], "seconds", "seconds a scan, {size}")
    _growth(axes[1], peers)
    options = [case for case in result["cases"] if case["group"] == "options"]
    labels = [_label(case, options[0]) for case in options]
    bars = axes[2].barh(labels, [case["seconds"] for case in options], color=COLOURS["surfacedefect"])
    axes[2].bar_label(bars, [f"{case['seconds']:.1f} s, {case['peak_mib']:.0f} MiB" for case in options], padding=3)
    axes[2].set(xlabel=f"seconds a scan, {options[0]['size']}", xlim=(0, 1.45 * max(c["seconds"] for c in options)))
    axes[2].invert_yaxis()
    figure.savefig(RESULTS / f"{name}.png", dpi=90)
    plt.close(figure)
    print(f"{name}.png")


def _bars(axis: Axes, cases: list[Mapping[str, Any]], key: str, label: str) -> None:
    names = [case["method"] for case in cases]
    bars = axis.barh(names, [case[key] for case in cases], color=[COLOURS[name] for name in names])
    over = [f"{case[key]:.1f} s" + (f", x {case['over_engine']:.2f}" if case["over_engine"] else "") for case in cases]
    axis.bar_label(bars, over, padding=3)
    axis.set(xlabel=label.format(size=cases[0]["size"]), xlim=(0, 1.5 * max(case[key] for case in cases)))
    axis.invert_yaxis()


def _growth(axis: Axes, cases: list[Mapping[str, Any]]) -> None:
    for method, colour in COLOURS.items():
        own = sorted((case["megapixels"], case["peak_mib"]) for case in cases if case["method"] == method)
        if own:
            axis.plot(*zip(*own, strict=True), "o-", color=colour, label=method)
    axis.axhline(BOUND_MIB, color="black", linestyle=":", linewidth=1, label=f"{BOUND_MIB} MiB")
    axis.set(xscale="log", yscale="log", xlabel="megapixels", ylabel="peak MiB above the model")
    axis.grid(alpha=0.3, which="both")
    axis.legend()


def _label(case: Mapping[str, Any], usual: Mapping[str, Any]) -> str:
    """Say in what a case differs from the first one."""
    names = {"overlap_px": "overlap {} px", "batch": "batch {}", "threads": "{} thread", "engine": "{} engine"}
    changed = [text.format(case[key]) for key, text in names.items() if case[key] != usual[key]]
    return ", ".join(changed) or f"{usual['engine']}, overlap {usual['overlap_px']} px"


def draw_scaling(result: Mapping[str, Any], name: str) -> None:
    """Draw time and memory over the size of a scan, with the fitted powers."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    for number, (shape, of) in enumerate(result["shapes"].items()):
        for call, style in (("probability_map", "o-"), ("detect", "s--")):
            rows = [row for row in of["rows"] if row["call"] == call]
            powers = of["exponents"][call]
            for axis, key, power in ((axes[0], "seconds", "time"), (axes[1], "peak_mib", "memory")):
                label = f"{shape}, {call}: power {powers[power]['exponent']:.2f}"
                points = [(row["megapixels"], row[key]) for row in rows]
                axis.plot(*zip(*points, strict=True), style, color=f"C{number}", label=label)
    axes[0].set(ylabel="seconds, without the model")
    axes[1].set(ylabel="peak MiB")
    for axis in axes:
        axis.set(xscale="log", yscale="log", xlabel="megapixels")
        axis.grid(alpha=0.3, which="both")
        axis.legend(fontsize=8)
    axes[1].set_ylim(bottom=10)
    figure.savefig(RESULTS / f"{name}.png", dpi=90)
    plt.close(figure)
    print(f"{name}.png")


if __name__ == "__main__":
    raise SystemExit("run bench_speed.py or bench_scaling.py")
