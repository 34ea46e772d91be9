"""What this machine offers."""

from __future__ import annotations

import os

MOST_THREADS = 256
"""Of one engine; far more than there are cores bring a machine to a standstill."""


def usable_cores() -> int:
    """Count the cores that this process may use, at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1
