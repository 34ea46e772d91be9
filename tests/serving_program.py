"""A server for tests that need a process of its own: `surfacedefect serve` with a fake in the model's place.

``--delay`` seconds a window, slept; ``--batch`` and the like as ServeOptions.
"""

from __future__ import annotations

import argparse
import logging
import time

import numpy as np
from serving_calls import CARD, graded

from surfacedefect import FunctionPredictor
from surfacedefect.serving import ServeOptions, serve
from surfacedefect.serving._logs import configure


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--delay", type=float, default=0.0)
    for name in ("queue-length", "workers", "batch", "max-pixels", "max-request-bytes"):
        parser.add_argument(f"--{name}", type=int)
    for name in ("deadline-seconds", "grace-seconds", "drain-seconds"):
        parser.add_argument(f"--{name}", type=float)
    parser.add_argument("--token")
    parser.add_argument("--quiet", action="store_true")
    given = vars(parser.parse_args())
    delay, quiet = given.pop("delay"), given.pop("quiet")

    def slow(windows: np.ndarray) -> np.ndarray:
        time.sleep(delay * len(windows))
        return graded(windows)

    configure()
    options = ServeOptions(
        http_port=0, grpc_port=0, **{name: value for name, value in given.items() if value is not None}
    )
    if quiet:
        logging.getLogger("surfacedefect.serving").addFilter(lambda record: record.getMessage() == "ready")
    serve(FunctionPredictor(slow, card=CARD), options=options)


if __name__ == "__main__":
    main()
