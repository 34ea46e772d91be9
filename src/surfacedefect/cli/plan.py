"""``surfacedefect plan``."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import typer

from surfacedefect.cli import _options, _scans, _show
from surfacedefect.cli.detect import name_troubles
from surfacedefect.errors import ScanError


def plan(
    scans: _options.Scans,
    model: _options.Model = "default",
    runtime: _options.Runtime = "auto",
    overlap: _options.Overlap = None,
    threads: _options.Threads = None,
    max_pixels: _options.MaxPixels = None,
    as_json: _options.Json = False,
) -> None:
    """Say how many windows, how long and how much memory, before running."""
    from surfacedefect.detector import Detector

    paths = _scans.expand(scans)
    options = _options.detect_options(overlap=overlap, threads=threads, max_pixels=max_pixels)
    detector = Detector(model=model, runtime=runtime, options=options)
    troubles: list[tuple[Path, str]] = []
    plans = []
    for path in paths:
        try:
            plans.append((path, detector.plan(path)))
        except ScanError as error:
            troubles.append((path, str(error)))
    if as_json:
        for path, one in plans:
            typer.echo(json.dumps({"path": str(path), **asdict(one)}))
    elif plans:
        rows = [
            _row(str(path), f"{one.width} x {one.height}", one.windows, one.seconds, one.peak_memory_bytes)
            for path, one in plans
        ]
        if len(plans) > 1:
            windows, seconds = sum(one.windows for _, one in plans), sum(one.seconds for _, one in plans)
            rows.append(_row("together", "", windows, seconds, max(one.peak_memory_bytes for _, one in plans)))
        _show.table(("scan", "size px", "windows", "time", "memory"), rows)
        typer.echo("memory: above the loaded model; what the engine itself takes for a window comes on top")
    name_troubles(troubles, of=len(paths), what="could not be planned")


def _row(name: str, size: str, windows: int, seconds: float, memory_bytes: int) -> tuple[str, ...]:
    return name, size, str(windows), _show.duration(seconds), _show.size(memory_bytes)
