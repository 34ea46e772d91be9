"""The real command line and the real detector on a predictor that calls dark pixels damaged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from surfacedefect import FunctionPredictor, ModelCard
from surfacedefect.cli import app

CARD = ModelCard(
    name="dark", kinds=("scratch", "dent"), window_px=64, overlap_px=16, thresholds={"scratch": 0.5}, least_area_px=20
)


def dark(windows: np.ndarray) -> np.ndarray:
    """Black is a scratch, dark blue a dent; pure green is what no engine can look at."""
    red, green, blue = (windows[..., channel].astype(int) for channel in range(3))
    if ((green == 255) & (red == 0)).any():
        raise RuntimeError("the engine stumbled")
    scratch, dent = windows.max(axis=3) < 40, (blue > 150) & (red < 40)
    return np.stack([scratch, dent], axis=1).astype(np.float32) * np.float32(0.8)


@pytest.fixture(autouse=True)
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Every call that loads a model gives the fake one; the calls are kept."""
    calls: list[dict[str, Any]] = []

    def load(model: str, **options: Any) -> FunctionPredictor:
        calls.append({"model": model, **options})
        return FunctionPredictor(dark, card=CARD)

    monkeypatch.setattr("surfacedefect.detector.load_predictor", load)
    return calls


@pytest.fixture
def run() -> Callable[..., Any]:
    """Call the command line and give its result."""

    def call(*arguments: object) -> Any:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return call


@pytest.fixture
def picture(tmp_path: Path) -> Callable[..., Path]:
    """Write a picture of grey paint with one scratch, one dent, or a spot that stops the predictor."""

    def write(name: str, *, scratch: bool = True, dent: bool = False, stumbles: bool = False) -> Path:
        pixels = np.full((150, 200, 3), 160, np.uint8)
        if scratch:
            pixels[20:24, 30:150] = 0
        if dent:
            pixels[80:110, 60:100] = (0, 0, 200)
        if stumbles:
            pixels[140:, 190:] = (0, 255, 0)
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
        return path

    return write
