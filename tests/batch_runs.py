"""Folders of scans for batches, batches that are killed, and what must hold at the end."""

from __future__ import annotations

import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from surfacedefect.batch._outputs import Destination
from surfacedefect.batch.table import read_table

CORRUPT = {
    "corrupt-0.png": b"this is no picture",
    "corrupt-1.jpg": b"",
    "corrupt-2.png": b"\x89PNG\r\n\x1a\n" + bytes(40),
    "corrupt-3.jpg": b"\xff\xd8\xff\xe0" + bytes(100),
    "corrupt-4.tif": b"II*\0" + bytes(20),
}
KILLER = "killer.png"
MARK, OURS = "BATCH_STARTED_BY", str(os.getpid())


def write_scan(path: Path, *, number: int = 0, side: int = 160, kills: bool = False, stumbles: bool = False) -> Path:
    """A grey panel with a scratch whose place tells the number; a spot may end the process or the predictor."""
    pixels = np.full((side, side, 3), 160, np.uint8)
    top = 8 + number % (side // 2)
    pixels[top : top + 4, 16 : side - 40] = 0
    if number % 3 == 0:
        pixels[-40:-16, 16:48] = (0, 0, 200)
    if kills or stumbles:
        pixels[-8:, -8:] = (255, 0, 255) if kills else (0, 255, 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def write_fleet(folder: Path, good: int, *, side: int = 160, corrupt: int = 0, killer: bool = False) -> Path:
    for number in range(good):
        write_scan(folder / f"car-{number // 5:02d}" / f"{number}.png", number=number, side=side)
    for name, content in list(CORRUPT.items())[:corrupt]:
        (folder / name).write_bytes(content)
    if killer:
        write_scan(folder / "car-00" / KILLER, kills=True, side=side)
    return folder


def results(dest: Path) -> dict[str, str]:
    """Name and hash of every file below ``results``, hidden ones too."""
    folder = dest / "results"
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def table(dest: Path) -> list[dict[str, Any]]:
    """The table without its times, by scan."""
    rows: list[dict[str, Any]] = read_table(Destination(str(dest))).drop_columns("seconds").to_pylist()
    return rows


def recorded(dest: Path) -> dict[str, int]:
    """How often each scan was computed, of those that are done."""
    journal = dest / ".batch" / "journal.sqlite"
    if not journal.exists():
        return {}
    with closing(sqlite3.connect(journal)) as database:
        try:
            return dict(database.execute("SELECT name, computed FROM scans WHERE state = 'done'").fetchall())
        except sqlite3.OperationalError:  # killed before the tables were made
            return {}


def command(source: Path, dest: Path, *more: str, model: str = "batch_fakes:slow") -> list[str]:
    head = [sys.executable, "-m", "surfacedefect", "batch", str(source), "--out", str(dest), "--model", model]
    return [*head, "--group-pattern", r"(?P<group>car-\d+)", *more]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "RAY_USAGE_STATS_ENABLED": "0"}


def killed_when(arguments: Sequence[str], dest: Path, *, done: int, within_s: float = 240) -> set[str]:
    """Start a batch, kill it by SIGKILL once so many scans are recorded, and return which those were."""
    with subprocess.Popen(
        arguments, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        end = time.monotonic() + within_s
        while len(recorded(dest)) < done and process.poll() is None and time.monotonic() < end:
            time.sleep(0.02)
        assert process.poll() is None, "it was to be killed in the middle"
        process.send_signal(signal.SIGKILL)
    found = set(recorded(dest))
    assert len(found) >= done
    return found


def inspecting() -> set[int]:
    """Numbers of the processes that hold a model for a batch that this process's tests started, in whatever process."""
    mark, found = f"{MARK}={OURS}".encode(), set()
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if b"surfacedefect.batch._child" in (place / "cmdline").read_bytes() and mark in (
                place / "environ"
            ).read_bytes().split(b"\0"):
                found.add(int(place.name))
        except OSError:
            continue
    return found
