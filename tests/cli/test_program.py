"""The program as a whole: help, version, info, plan, how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import surfacedefect
from surfacedefect import ModelCard, OperatingPoint
from surfacedefect.cli import _show
from surfacedefect.runtimes import shipped_models

Run = Callable[..., Any]
Picture = Callable[..., Path]

SLOW = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in what a shell started in the background
import numpy as np
import surfacedefect.detector
from surfacedefect import FunctionPredictor, ModelCard
from surfacedefect.cli import app

def slow(windows):
    open(sys.argv[-1] + "/started", "w").close()
    time.sleep(0.2)
    return np.zeros((len(windows), 1, 64, 64), np.float32)

predictor = FunctionPredictor(slow, card=ModelCard(name="slow", kinds=("scratch",), window_px=64, overlap_px=0))
surfacedefect.detector.load_predictor = lambda *_, **__: predictor
app(sys.argv[1:])
"""


def python(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, **options)


def test_help_names_commands_and_exit_codes_and_starts_no_engine() -> None:
    code = "import sys; from surfacedefect.cli import app; app(['--help'], standalone_mode=False); print(*sys.modules)"
    result = python("-c", code, env={**os.environ, "COLUMNS": "200", "TERM": "dumb"})
    assert result.returncode == 0, result.stderr
    *page, modules = result.stdout.strip().splitlines()
    text = " ".join(page)
    for word in ("detect", "plan", "info", "Exit codes", "130"):
        assert word in text
    loaded = {name.split(".")[0] for name in modules.split()}
    assert not loaded & {"torch", "onnxruntime", "openvino", "skimage", "scipy", "pandas", "matplotlib"}


def test_module_and_version() -> None:
    result = python("-m", "surfacedefect", "--version")
    assert (result.returncode, result.stdout) == (0, f"surfacedefect {surfacedefect.__version__}\n")


def test_detect_help_documents_exit_codes(run: Run) -> None:
    result = run("detect", "--help")
    assert result.exit_code == 0
    assert "Exit codes" in result.stdout
    assert "geojson" in result.stdout


def test_no_scan_is_wrong_usage(run: Run) -> None:
    for arguments, words in (
        (("detect",), "SCAN"),
        (("no-such-command",), "no-such-command"),
        (("--wrong",), "--wrong"),
    ):
        result = run(*arguments)
        assert result.exit_code == 2
        (line,) = result.stderr.splitlines()
        assert line.startswith("surfacedefect: ") and line.endswith("--help'")
        assert words in line


def test_no_argument_shows_the_help(run: Run) -> None:
    result = run()
    assert result.exit_code == 2
    assert "Exit codes" in result.output


@pytest.mark.skipif(os.name == "nt", reason="signals differ")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_leaves_no_half_file_and_no_traceback(
    picture: Picture, tmp_path: Path, number: int, code: int
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    scan = picture("door.png")
    command = [
        sys.executable,
        "-c",
        SLOW,
        "detect",
        str(scan),
        "--overlap",
        "60",
        "--format",
        "geojson,csv,tif",
        "--out",
        str(out),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not (out / "started").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(number)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == code
    assert "Traceback" not in stderr
    assert [path.name for path in out.iterdir()] == ["started"]


def test_plan(run: Run, picture: Picture, tmp_path: Path) -> None:
    one, other = picture("a.png"), picture("b.png")
    result = run("plan", one, other)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["scan", "size", "px", "windows", "time", "memory"]
    assert "200 x 150" in lines[1]
    assert "MiB" in lines[1]
    assert lines[3].split()[0] == "together"
    assert "above the loaded model" in lines[4]
    (tmp_path / "bad.png").write_bytes(b"")
    result = run("plan", one, tmp_path / "bad.png", "--overlap", 0, "--json")
    assert json.loads(result.stdout)["windows"] == 12
    assert result.exit_code == 1
    assert "bad.png" in result.stderr


def test_info(run: Run) -> None:
    result = run("info")
    assert result.exit_code == 0
    for word in ("surfacedefect", "python", "numpy", "rasterio", "gdal", "onnxruntime", "torch", "Models in"):
        assert word in result.stdout
    record = json.loads(run("info", "--json").stdout)
    assert record["versions"]["surfacedefect"] == surfacedefect.__version__
    assert set(record["engines"]) == {"onnxruntime", "onnxruntime-gpu", "openvino", "torch"}
    assert len(record["models"]) == len(shipped_models())


@pytest.mark.skipif("unet-lite0" not in shipped_models(), reason="the shipped weights are not here")
def test_shipped_model_from_end_to_end(picture: Picture, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    scan = picture("door.png")
    result = python(
        "-m", "surfacedefect", "detect", scan, "--out", tmp_path / "out", "--format", "geojson,coco,csv,png,tif"
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert len(list((tmp_path / "out").iterdir())) == 5
    assert json.loads((tmp_path / "out" / "door.geojson").read_text())["coverage"] == 1


def test_training_in_a_pipe_prints_a_line_every_twentieth(capsys: pytest.CaptureFixture[str]) -> None:
    with _show.steps_bar() as told:
        for done in range(1, 201):
            told(done, 200, f"loss {1 / done:.2f}")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 20
    assert lines[-1] == "step 200 of 200: loss 0.01"


def test_operating_points_of_a_model_are_shown(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    point = OperatingPoint("dent", 0.4, 0.7, 0.6, regions_found=0.8, false_alarms_per_scan=1.5, data="ten cars")
    point = replace(point, intervals={"pixel_recall": (0.65, 0.75)})
    known = {"thresholds": {"dent": 0.4}, "operating_points": (point, replace(point, threshold=0.9, data="other"))}
    card = ModelCard(name="m", kinds=("dent",), summary="for tests", licence="free", **known)
    monkeypatch.setattr("surfacedefect.runtimes.shipped_models", lambda: {"m": card})
    text = run("info").stdout
    for words in (
        "dent from 0.4: 80% of the regions found, 1.5 false alarms",
        "pixel recall 0.70 (0.65 to 0.75), pixel precision 0.60, on ten cars",
        "for tests",
        "licence: free",
    ):
        assert words in text
    assert "90%" not in text and "other" not in text, "only what is known at the default threshold"
    assert json.loads(run("info", "--json").stdout)["models"][0]["operating_points"][0]["regions_found"] == [0.8]
