"""How sizes are drawn."""

from __future__ import annotations

import numpy as np


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw a number whose logarithm is uniform: as often from 1 to 10 as from 10 to 100."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
