"""What does "over 80 % accuracy" say? The same models on the same tiles, with damage rarer and rarer.

The tiles, their labels and the scores are those of `bench_quality.py`. Each model gets the threshold at which its
accuracy is highest where half of the tiles are damaged, which is how tile classifiers are usually tested and sold. Then
the tiles are weighted so that the damaged ones make up a fifth, a tenth ... a thousandth of all. What a model answers
does not change: its recall stays. Its accuracy goes wherever the clean tiles go, and so does that of saying "clean"
without looking. Its precision falls.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from common import RESULTS, write_result
from quality_figures import COLOURS

from surfacedefect.evaluation import TOGETHER, ScoreHistogram

PREVALENCES = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001)
PARTS = {"valid/all": "validation photographs", "rendered": "rendered scans"}
CLAIM = 0.80
"""What tile classifiers are sold by."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quality", default="quality", help="name of the result of bench_quality.py to start from")
    name = parser.parse_args().quality
    path = RESULTS / f"{name}.json"
    if not path.is_file():
        sys.exit(f"skipped: no '{path.name}'; run bench_quality.py first")
    reports = json.loads(path.read_text(encoding="utf-8"))["reports"]
    rows = {
        part: {method: at_prevalences(report["kinds"][TOGETHER]) for method, report in reports[part].items()}
        for part in PARTS
        if part in reports
    }
    for part, methods in rows.items():
        for method, row in methods.items():
            print(f"{part}, {method}: recall {row['recall']:.2f}, false positives {row['false_positive_rate']:.4f}")
            for figures in row["at"]:
                print("  ", *(f"{key} {value:.3f}" for key, value in figures.items()))
    result = f"accuracy_trap{name.removeprefix('quality').replace('-', '_')}"
    write_result(result, {"question": __doc__, "from": path.name, "claim": CLAIM, "rows": rows})
    draw(rows, result)


def at_prevalences(kind: Mapping[str, Any]) -> dict[str, Any]:
    """Give recall, false positives and what they make of accuracy and precision at each share of damaged tiles."""
    tiles = kind["histograms"]["tiles"]
    counts = ScoreHistogram(tuple(tiles["positives"]), tuple(tiles["negatives"]))
    level = max(range(1, 256), key=lambda level: _share(counts.positives, level) - _share(counts.negatives, level))
    recall, false_positives = _share(counts.positives, level), _share(counts.negatives, level)
    at = []
    for share in PREVALENCES:
        right, wrong = share * recall, (1 - share) * false_positives
        at.append(
            {
                "prevalence": share,
                "accuracy": right + (1 - share) * (1 - false_positives),
                "all_clean_accuracy": 1 - share,
                "precision": right / (right + wrong) if right + wrong else float("nan"),
            }
        )
    return {"threshold": level / 255, "recall": recall, "false_positive_rate": false_positives, "at": at}


def _share(levels: Sequence[int], first: int) -> float:
    """Return the share of tiles whose score reaches a level."""
    return sum(levels[first:]) / sum(levels)


def draw(rows: Mapping[str, Any], name: str) -> None:
    figure, axes = plt.subplots(len(rows), 3, figsize=(13, 3.9 * len(rows)), layout="constrained", squeeze=False)
    for line, (part, methods) in zip(axes, rows.items(), strict=True):
        for axis, (key, label) in zip(line, (("accuracy", "accuracy"), ("precision", "precision")), strict=False):
            for method, row in methods.items():
                axis.plot(PREVALENCES, [one[key] for one in row["at"]], "o-", color=COLOURS[method], label=method)
            axis.set(title=f"{PARTS[part]}: {label}", ylabel=label)
        line[0].plot(PREVALENCES, 1 - np.asarray(PREVALENCES), "k:", label='"everything is clean"')
        line[0].axhline(CLAIM, color="#999999", linewidth=1)
        for method, row in methods.items():
            line[2].plot(PREVALENCES, [row["recall"]] * len(PREVALENCES), "o-", color=COLOURS[method])
        line[2].plot(PREVALENCES, [0] * len(PREVALENCES), "k:")
        line[2].set(title=f"{PARTS[part]}: recall", ylabel="recall")
        for axis in line:
            axis.set(xscale="log", ylim=(-0.02, 1.02), xlabel="share of tiles that are damaged")
            axis.invert_xaxis()
            axis.grid(alpha=0.3)
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside lower left", ncols=4, frameon=False)
    figure.savefig(RESULTS / f"{name}.png", dpi=90)
    plt.close(figure)
    print(f"{name}.png")


if __name__ == "__main__":
    main()
