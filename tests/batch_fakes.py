"""Predictors that worker processes make for themselves: ``batch_fakes:dark`` and the like, and pictures for them."""

from __future__ import annotations

import os
import signal
import sys
import time

import numpy as np
from numpy.typing import NDArray

from surfacedefect import FunctionPredictor, ModelCard

CARD = ModelCard(
    name="dark", kinds=("scratch", "dent"), window_px=64, overlap_px=16, thresholds={"scratch": 0.5}, least_area_px=20
)


def look(windows: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Black is a scratch, dark blue a dent; pure green cannot be looked at, pure magenta ends the process."""
    red, green, blue = (windows[..., channel].astype(int) for channel in range(3))
    if ((red == 255) & (green == 0) & (blue == 255)).any():
        os.kill(os.getpid(), signal.SIGKILL)
    if ((red == 0) & (green == 255) & (blue == 0)).any():
        raise RuntimeError("the engine stumbled")
    scratch, dent = windows.max(axis=3) < 40, (blue > 150) & (red < 40)
    return np.stack([scratch, dent], axis=1).astype(np.float32) * np.float32(0.8)


def dark() -> FunctionPredictor:
    return FunctionPredictor(look, card=CARD)


def slow() -> FunctionPredictor:
    """As `dark`, taking about the time of a small scan for each window."""

    def wait(windows: NDArray[np.uint8]) -> NDArray[np.float32]:
        time.sleep(float(os.environ.get("BATCH_FAKE_SECONDS", "0.005")))
        return look(windows)

    return FunctionPredictor(wait, card=CARD)


def nothing() -> FunctionPredictor:
    """Finds nothing, at no cost."""
    card = ModelCard(name="nothing", kinds=("scratch",), window_px=64, overlap_px=0)
    return FunctionPredictor(lambda windows: np.zeros((len(windows), 1, 64, 64), np.float32), card=card)


def ends_the_program() -> FunctionPredictor:
    """A module that is a program, and ends it as if all were well."""
    raise SystemExit(0)


def hangs_in_workers() -> FunctionPredictor:
    """Loads at once in the driver and not in a minute in a worker."""
    if "surfacedefect.batch._child" in sys.orig_argv:
        time.sleep(60)
    return dark()
