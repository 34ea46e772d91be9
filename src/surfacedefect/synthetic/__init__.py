"""Seeded scans of painted car panels with exact truth, and damage painted on real pictures.

Seeds below 10**9 are for training windows; demo and benchmark scans use 10**9 and above.
"""

from __future__ import annotations

from surfacedefect.synthetic.config import CLEAN, DEMO_SEED, FIRST_BENCHMARK_SEED, SyntheticConfig
from surfacedefect.synthetic.paint import paint_damage
from surfacedefect.synthetic.render import SyntheticScan, SyntheticTruth, render_scan, render_window

__all__ = [
    "CLEAN",
    "DEMO_SEED",
    "FIRST_BENCHMARK_SEED",
    "SyntheticConfig",
    "SyntheticScan",
    "SyntheticTruth",
    "paint_damage",
    "render_scan",
    "render_window",
]
