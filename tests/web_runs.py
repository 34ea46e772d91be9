"""What the tests of the web page's back half share: a workspace on a fake server, and scans with known damage."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from surfacedefect.web import WebOptions, Workspace

SERVER = Path(__file__).with_name("web_server.py")


def options(*arguments: object, **more: Any) -> WebOptions:
    """Options with a fake in the place of the embedded server's model."""
    return WebOptions(program=(sys.executable, str(SERVER), *map(str, arguments)), who="tester", **more)


def panel(height: int = 300, width: int = 700, *, seed: int = 0) -> np.ndarray:
    """Grey paint with a graded dark bar, a darker spot and a light square: the fake calls dark scratch, light dent."""
    scan = np.full((height, width, 3), 128, np.uint8)
    generator = np.random.default_rng(seed)
    scan += generator.integers(0, 4, scan.shape, dtype=np.uint8)
    scan[40:48, 60:260] = np.linspace(90, 10, 200).astype(np.uint8)[:, None]
    scan[150:170, 400:430] = 20
    scan[200:240, 100:150] = 240
    return scan


def save(path: Path, scan: np.ndarray, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(scan).save(path, **options)
    return path


def wait(workspace: Workspace, name: str, *, seconds: float = 60) -> None:
    """Wait until an inspection has ended."""
    end = time.monotonic() + seconds
    while workspace.progress(name) is not None:
        if time.monotonic() > end:
            raise TimeoutError(f"{name} is not done: {workspace.progress(name)}")
        time.sleep(0.02)


def inspect(workspace: Workspace, name: str) -> None:
    workspace.run(name)
    wait(workspace, name)
    entry = workspace.scan(name)
    assert entry.error is None, entry.error
