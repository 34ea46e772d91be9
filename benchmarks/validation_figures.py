"""The pictures of `bench_validation.py`: what is found, which tiles, and whether probabilities mean what they say."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from validation_parts import SCRATCH, Part

from surfacedefect.evaluation import TOGETHER

COLOURS = ("#1f5fa8", "#7a8b99", "#c2a83e", "#d9480f", "#8a2be2", "#2b8a3e", "#222222")
FEWEST_PIXELS = 500
"""Bins of the reliability curve with fewer are not drawn."""


def draw_scores(
    parts: Mapping[str, Part],
    path: Path,
    *,
    names: Mapping[str, str],
    alarms: float,
    tile_asked: Mapping[str, float],
) -> None:
    """Draw recall against false alarms, precision against recall, and the tiles of both models."""
    figure, (froc, pixels, bars) = plt.subplots(1, 3, figsize=(15, 5.2), layout="constrained")
    drawn = {part: label for part, label in names.items() if part in parts}
    for (part, label), colour in zip(drawn.items(), COLOURS, strict=False):
        of = parts[part]
        scratch = of.report.kinds[SCRATCH].score
        style = {"color": colour, "label": f"{label}, n = {len(of.looked)}"}
        froc.plot(*best_recall(of), drawstyle="steps-post", **style)
        at_default = scratch.objects
        froc.plot(max(at_default.false_alarms_per_scan, 0.1), at_default.recall, "o", color=colour)
        curve = scratch.pixels.curve()
        pixels.plot(curve.recall, curve.precision, **style)
    froc.axvline(alarms, color="#999999", linestyle=":", linewidth=1)
    froc.set(xscale="log", xlim=(0.1, None), ylim=(0, 1.02), xlabel="at most so many false alarms a scan")
    froc.set(ylabel="share of true scratches found", title="Scratches found, by score (dot: by default)")
    pixels.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="recall", ylabel="precision", title="Pixels of scratches")
    draw_bars(bars, parts, drawn, asked=tile_asked)
    for axis in (froc, pixels):
        axis.grid(alpha=0.3)
    figure.legend(*froc.get_legend_handles_labels(), loc="outside lower left", ncols=len(drawn), frameon=False)
    figure.savefig(path, dpi=100)
    plt.close(figure)
    print(path.name)


def best_recall(part: Part) -> tuple[np.ndarray, np.ndarray]:
    """Give recall against false alarms from the highest score down to that of most alarms; 0.1 stands for fewer."""
    curve = part.ranked[SCRATCH].froc()
    most = int(np.argmax(curve.false_alarms_per_scan))
    alarms, recall = curve.false_alarms_per_scan[most:][::-1], curve.recall[most:][::-1]
    return np.maximum(np.maximum.accumulate(alarms), 0.1), np.maximum.accumulate(recall)


def draw_bars(axis: Any, parts: Mapping[str, Part], drawn: Mapping[str, str], *, asked: Mapping[str, float]) -> None:
    at = np.arange(len(drawn))
    metric = "tile_average_precision"
    sides = {"U-Net": [parts[part].metric(TOGETHER, metric) for part in drawn]}
    if any(parts[part].rival for part in drawn):
        sides["tile classifier"] = [parts[part].rival_metric(metric) for part in drawn]
    width = 0.8 / len(sides)
    for k, ((label, heights), colour) in enumerate(zip(sides.items(), ("#1f5fa8", "#b8c4ce"), strict=False)):
        bars = axis.bar(at + (k - (len(sides) - 1) / 2) * width, heights, width, color=colour, label=label)
        axis.bar_label(bars, fmt="%.2f", fontsize=8, padding=1)
    levels = [asked.get(part, math.nan) for part in drawn]
    axis.hlines(levels, at - 0.45, at + 0.45, color="#222222", linewidth=1.5, label="asked")
    axis.set_xticks(at, [textwrap.fill(label, 11) for label in drawn.values()])
    axis.tick_params(axis="x", labelsize=8)
    title = "Tiles with any damage" + ("" if len(sides) > 1 else " (tile classifier skipped)")
    axis.set(ylim=(0, 1.12), ylabel="average precision", title=title)
    axis.legend(loc="upper right", ncols=3, frameon=False, fontsize=8)


def draw_reliability(curves: Mapping[str, Any], path: Path, *, names: Mapping[str, str]) -> None:
    """Draw, a kind each, the share of damaged pixels against the probability that was said."""
    drawn = {part: label for part, label in names.items() if part in curves}
    kinds = next(iter(curves.values()))
    figure, axes = plt.subplots(1, len(kinds), figsize=(5 * len(kinds), 6), layout="constrained", squeeze=False)
    for axis, kind in zip(axes[0], kinds, strict=True):
        axis.plot([0, 1], [0, 1], color="#999999", linestyle=":", linewidth=1, label="as said")
        for (part, label), colour in zip(drawn.items(), COLOURS, strict=False):
            curve = curves[part][kind]
            enough = np.asarray(curve["pixels"]) >= FEWEST_PIXELS
            said, true = (np.asarray(curve[name])[enough] for name in ("said", "true"))
            axis.plot(said, true, marker="o", markersize=4, color=colour, label=label)
        axis.set(xlim=(0, 1), ylim=(0, 1.01), box_aspect=1, title=kind)
        axis.set(xlabel="probability that was said", ylabel="share that is damaged")
        axis.grid(alpha=0.3)
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside lower left", ncols=4, frameon=False)
    figure.savefig(path, dpi=100)
    plt.close(figure)
    print(path.name)
