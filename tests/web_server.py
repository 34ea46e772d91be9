"""An embedded server with a fake in the model's place, for tests: ends with its parent as the real one does."""

from __future__ import annotations

import argparse
import os
import time

import numpy as np

from surfacedefect import FunctionPredictor, ModelCard
from surfacedefect.serving import ServeOptions, serve
from surfacedefect.serving._logs import configure
from surfacedefect.web.embedded import end_with_parent

CARD = ModelCard(
    name="graded",
    kinds=("scratch", "dent"),
    window_px=128,
    overlap_px=32,
    thresholds={"scratch": 0.7, "dent": 0.8},
    least_scores={"scratch": 0.8},
    least_area_px=20,
)


def graded(windows: np.ndarray) -> np.ndarray:
    """The darker the more of a scratch, the lighter the more of a dent; grey paint is neither."""
    value = windows.astype(np.float32).mean(axis=3) / np.float32(255)
    return np.stack([np.clip(1 - value, 0, 1), value], axis=1) * np.float32(1)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--delay", type=float, default=0.0)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--orphan", action="store_true", help="not a child of a workspace")
    given = parser.parse_args()
    if not given.orphan:
        end_with_parent()

    def slow(windows: np.ndarray) -> np.ndarray:
        time.sleep(given.delay * len(windows))
        return graded(windows)

    configure()
    token = os.environ.get("SURFACEDEFECT_TOKEN")
    options = ServeOptions(http_port=0, grpc_port=given.port, token=token, grace_seconds=0.0)
    serve(FunctionPredictor(slow, card=CARD), options=options)


if __name__ == "__main__":
    main()
