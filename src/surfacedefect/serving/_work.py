"""What a request's thread does: scan in, outputs out, all through the library's own `Detector`."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray

from surfacedefect.detections import Detections
from surfacedefect.detector import Detector
from surfacedefect.errors import ScanTooLargeError
from surfacedefect.predictor import Probabilities, Windows
from surfacedefect.probability import ProbabilityMap
from surfacedefect.scan import Scan
from surfacedefect.serving._batcher import Batcher, SharedPredictor
from surfacedefect.serving._call import Call
from surfacedefect.serving._metrics import Metrics
from surfacedefect.serving._refusals import RequestError
from surfacedefect.serving._request import DetectRequest

Output = bytes | NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What was asked for, and how it came about.

    Attributes
    ----------
    outputs
        By name, as ordered.
    detection
        What `Detections.from_map` needs beside the map to outline it in the same way, as JSON.
    """

    outputs: dict[str, Output]
    detection: str


def answer(request: DetectRequest, call: Call, *, batcher: Batcher, metrics: Metrics) -> Answer:
    """Inspect a scan; ends early, between two windows, when nobody waits any more.

    Raises
    ------
    RequestError
        The client has gone, or the deadline passed.
    SurfaceDefectError
        As `Detector.detect`.
    """
    call.check()
    predictor = _Timed(batcher, call)
    _check_overlap(request, predictor)
    detector = Detector(predictor, options=request.options)
    # An environment of this thread: without one, GDAL writes its warnings to stderr, into the log of lines of JSON.
    with contextlib.ExitStack() as held:
        held.enter_context(rasterio.Env())
        with metrics.stage("open"):
            scan = held.enter_context(_opened(request))
        call.notes |= {"width": scan.width, "height": scan.height}
        with metrics.stage("map"):
            found = detector.probability_map(scan, progress=call.step)
        metrics.spent("engine", predictor.seconds)
        call.notes["windows"] = predictor.windows
        outlining = request.options.outlining_for(predictor.card)
        outputs: dict[str, Output] = {}
        for name, _ in request.outputs:
            call.check()
            if name == "geojson":
                with metrics.stage("outline"):
                    detections = Detections.from_map(found, scan_reference=scan, **outlining)
                    call.notes["defects"] = len(detections)
                    outputs[name] = _json(detections.to_geojson()).encode()
            else:
                with metrics.stage("encode"):
                    outputs[name] = _encoded(name, found)
    call.check()
    return Answer(outputs, _json({"width": found.width, "height": found.height, "model": found.model, **outlining}))


class _Timed(SharedPredictor):
    """Counts windows and the time they took, waiting for the engine included."""

    def __init__(self, batcher: Batcher, call: Call) -> None:
        super().__init__(batcher, call)
        self.seconds, self.windows = 0.0, 0

    def __call__(self, windows: Windows) -> Probabilities:
        started = time.perf_counter()
        try:
            return super().__call__(windows)
        finally:
            self.seconds += time.perf_counter() - started
            self.windows += len(windows)


def _check_overlap(request: DetectRequest, predictor: SharedPredictor) -> None:
    """Windows that overlap by all but a pixel would be hundreds of times the work."""
    overlap, window_px = request.options.overlap, predictor.card.window_px
    if overlap is not None and overlap > window_px // 2:
        raise RequestError("option", f"overlap is {overlap}; expected at most half a window, {window_px // 2} px")


@contextlib.contextmanager
def _opened(request: DetectRequest) -> Iterator[Scan]:
    """Open the scan, and refuse it by its header when it is too large, also when it could stream."""
    options = request.options
    with Scan.open(request.scan, max_pixels=options.max_pixels, mm_per_px=options.mm_per_px) as scan:
        if scan.width * scan.height > options.max_pixels:
            raise ScanTooLargeError(
                f"found {scan.width} x {scan.height} px; expected at most {options.max_pixels:,} px, the server's limit"
            )
        yield scan


def _encoded(name: str, found: ProbabilityMap) -> Output:
    if name == "map":
        return np.stack([found.read(kind) for kind in found.kinds])
    if name == "coverage":
        return found.read_coverage()
    return found.to_bytes()


def _json(record: dict[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False, allow_nan=False)
