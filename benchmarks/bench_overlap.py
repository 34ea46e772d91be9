"""How large must the overlap be? Seam error against windows, which is what time grows with.

The map of a scan at each overlap is compared with the map at the largest one, where every pixel has been seen near the
middle of some window. The error is taken where either map holds more than a tenth: on clean paint all of them agree.
"""

from __future__ import annotations

import argparse

import numpy as np
from common import RESULTS, write_result

from surfacedefect import DetectOptions, Detector
from surfacedefect.synthetic import FIRST_BENCHMARK_SEED, SyntheticConfig, render_scan

OVERLAPS = (0, 32, 64, 96, 128, 192, 256)
REFERENCE = 384


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scans", type=int, default=2)
    arguments = parser.parse_args()
    config = SyntheticConfig(width=1800, height=1400, scratches=(6, 8), dents=(2, 3))
    scans = [render_scan(FIRST_BENCHMARK_SEED + 100 + n, config).image for n in range(arguments.scans)]
    references = [maps_of(scan, REFERENCE)[0] for scan in scans]
    rows = []
    for overlap in OVERLAPS:
        errors, flipped, windows = [], [], 0
        for scan, reference in zip(scans, references, strict=True):
            found, count = maps_of(scan, overlap)
            windows += count
            different = np.abs(found.astype(int) - reference)
            counted = np.maximum(found, reference) > 25
            errors.append(float(different[counted].mean() / 255))
            both = (found > 127) | (reference > 127)
            flipped.append(float(((found > 127) != (reference > 127)).sum() / both.sum()))
        rows.append(
            {
                "overlap_px": overlap,
                "windows": windows,
                "mean_error": round(float(np.mean(errors)), 4),
                "flipped_share": round(float(np.mean(flipped)), 4),
            }
        )
        print(rows[-1])
    write_result("overlap", {"question": __doc__, "reference_overlap_px": REFERENCE, "rows": rows})
    draw(rows)


def maps_of(scan: np.ndarray, overlap: int) -> tuple[np.ndarray, int]:
    detector = Detector(options=DetectOptions(overlap=overlap))
    found = detector.probability_map(scan)
    return np.stack([found.read(kind) for kind in found.kinds]), detector.plan(scan).windows


def draw(rows: list[dict[str, float]]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(6, 3.6), layout="constrained")
    axis.plot([row["windows"] for row in rows], [100 * row["flipped_share"] for row in rows], "o-", color="#1f5fa8")
    for row in rows:
        axis.annotate(
            f"{row['overlap_px']} px", (row["windows"], 100 * row["flipped_share"]), (6, 4), textcoords="offset points"
        )
    axis.set(
        xlabel="windows (time grows with them)",
        ylabel="damage pixels that change, %",
        title="Overlap: seam error against windows",
    )
    axis.margins(0.14)
    axis.set_ylim(bottom=0)
    axis.grid(alpha=0.3)
    figure.savefig(RESULTS / "overlap.png", dpi=110)


if __name__ == "__main__":
    main()
