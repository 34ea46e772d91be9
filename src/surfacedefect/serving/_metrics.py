"""What Prometheus sees of a server; each server has a registry of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from surfacedefect.errors import require
from surfacedefect.serving._refusals import CODES

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250)
STAGES = ("read", "queue", "open", "map", "engine", "outline", "encode", "whole")


class Metrics:
    """Counters, gauges and histograms of one server.

    Examples
    --------
    >>> metrics = Metrics(waiting=lambda: 3, working=lambda: 2)
    >>> metrics.looked(4, 2)
    >>> text = metrics.text().decode()
    >>> "surfacedefect_queue_length 3.0" in text, "surfacedefect_windows_total 4.0" in text
    (True, True)
    """

    def __init__(self, *, waiting: Callable[[], float], working: Callable[[], float]) -> None:
        prometheus = require("prometheus_client", extra="serve")
        registry = prometheus.CollectorRegistry()
        self._write, self._registry = prometheus.generate_latest, registry
        self.content_type: str = prometheus.CONTENT_TYPE_LATEST
        prometheus.ProcessCollector(registry=registry)
        self._stages = prometheus.Histogram(
            "surfacedefect_stage_seconds",
            "Time of one request in one stage: read the request, queue, open the scan, map (reading rows and blending "
            "included), engine (its share of the map), outline, encode, and the whole.",
            ["stage"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._requests = prometheus.Counter(
            "surfacedefect_requests", "Requests by protocol and outcome.", ["protocol", "outcome"], registry=registry
        )
        self._rejected = prometheus.Counter(
            "surfacedefect_rejected_requests", "Requests that got no answer, by reason.", ["reason"], registry=registry
        )
        self._windows = prometheus.Counter(
            "surfacedefect_windows",
            "Windows that the engine looked at; its rate is windows a second.",
            registry=registry,
        )
        self._batches = prometheus.Histogram(
            "surfacedefect_batch_windows",
            "Windows that the engine looked at together.",
            buckets=(1, 2, 4, 8, 16, 32, 64),
            registry=registry,
        )
        self._shared = prometheus.Counter(
            "surfacedefect_shared_batches", "Batches with windows of more than one request.", registry=registry
        )
        self._ready = prometheus.Gauge(
            "surfacedefect_ready", "1 once the model has run and until the server stops.", registry=registry
        )
        gauge = prometheus.Gauge("surfacedefect_queue_length", "Requests that wait.", registry=registry)
        gauge.set_function(waiting)
        gauge = prometheus.Gauge("surfacedefect_in_progress", "Requests that are worked on.", registry=registry)
        gauge.set_function(working)
        # Series that are there from the start can be alarmed on.
        for stage in STAGES:
            self._stages.labels(stage)
        for reason in CODES:
            self._rejected.labels(reason)

    def text(self) -> bytes:
        """Return all of it in Prometheus' text format."""
        written: bytes = self._write(self._registry)
        return written

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time one stage of one request, whether it ends well or not."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.spent(name, time.perf_counter() - started)

    def spent(self, stage: str, seconds: float) -> None:
        """Note the time of one stage of one request."""
        self._stages.labels(stage).observe(seconds)

    def ended(self, protocol: str, reason: str | None) -> None:
        """Note how a request ended; None: answered."""
        self._requests.labels(protocol, "answered" if reason is None else "rejected").inc()
        if reason is not None:
            self._rejected.labels(reason).inc()

    def looked(self, windows: int, jobs: int) -> None:
        """Note one batch."""
        self._windows.inc(windows)
        self._batches.observe(windows)
        if jobs > 1:
            self._shared.inc()

    def set_ready(self, ready: bool) -> None:
        """Note whether requests are taken."""
        self._ready.set(ready)
