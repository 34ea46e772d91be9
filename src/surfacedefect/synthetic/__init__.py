"""Seeded, physically based scans of damaged car panels with exact truth, and damage painted on real pictures.

Seeds below 10**9 are for training; demo and benchmark scans use 10**9 and above.
"""

# The names below load when they are first used: painting damage needs numpy and Pillow only.
from typing import TYPE_CHECKING, Any

from surfacedefect._lazy import load as _load

if TYPE_CHECKING:
    from surfacedefect.synthetic.config import (
        CLEAN,
        DEMO,
        DEMO_SEED,
        FIRST_BENCHMARK_SEED,
        PLACES,
        WINDOWS,
        SyntheticConfig,
    )
    from surfacedefect.synthetic.damage import CentreLine
    from surfacedefect.synthetic.dataset import write_dataset
    from surfacedefect.synthetic.fringe import Fringe
    from surfacedefect.synthetic.paint import paint_damage
    from surfacedefect.synthetic.presets import PRESETS, preset
    from surfacedefect.synthetic.render import SyntheticScan, render_scan, render_window
    from surfacedefect.synthetic.truth import SyntheticTruth, TrueDefect

_HOMES = {
    "CLEAN": "config", "DEMO": "config", "DEMO_SEED": "config", "FIRST_BENCHMARK_SEED": "config", "PLACES": "config",
    "WINDOWS": "config", "SyntheticConfig": "config", "CentreLine": "damage", "write_dataset": "dataset",
    "Fringe": "fringe", "paint_damage": "paint", "PRESETS": "presets", "preset": "presets", "SyntheticScan": "render",
    "render_scan": "render", "render_window": "render", "SyntheticTruth": "truth", "TrueDefect": "truth",
}  # fmt: skip

__all__ = [
    "CLEAN",
    "DEMO",
    "DEMO_SEED",
    "FIRST_BENCHMARK_SEED",
    "PLACES",
    "PRESETS",
    "WINDOWS",
    "CentreLine",
    "Fringe",
    "SyntheticConfig",
    "SyntheticScan",
    "SyntheticTruth",
    "TrueDefect",
    "paint_damage",
    "preset",
    "render_scan",
    "render_window",
    "write_dataset",
]


def __getattr__(name: str) -> Any:
    """Load a public name from its module."""
    return _load(__name__, name, _HOMES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
