"""`surfacedefect synth`: what it prints, how it is refused, how it ends on Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from surfacedefect.synthetic import SyntheticConfig, presets

Run = Callable[..., Any]

SMALL_PRESETS = """
import signal, sys, types
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in what a shell started in the background
from surfacedefect.cli import app
from surfacedefect.synthetic import SyntheticConfig
small = types.SimpleNamespace(PRESETS=("rental",), preset=lambda name: SyntheticConfig(width=160, height=120))
sys.modules["surfacedefect.synthetic.presets"] = small
app(sys.argv[1:])
"""


@pytest.fixture
def small_presets(monkeypatch: pytest.MonkeyPatch) -> None:
    config = SyntheticConfig(width=96, height=64)
    monkeypatch.setattr(presets, "_PRESETS", {"rental": config, "bench-v1": config})
    monkeypatch.setattr(presets, "PRESETS", ("rental", "bench-v1"))


@pytest.mark.usefixtures("small_presets")
def test_writes_and_says_what(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "set"
    result = run("synth", out, "--count", 2, "--seed", 3, "--preset", "bench-v1", "--workers", 1)
    assert (result.exit_code, result.stderr) == (0, "")
    first, *paths = result.stdout.splitlines()
    assert first.startswith("2 scans, seeds 1000000003 to 1000000004, in ")
    images = json.loads((out / "manifest.json").read_text())["images"]
    assert f"{sum(image['regions']['scratch'] for image in images)} scratch" in first
    assert all(Path(path.strip()).exists() for path in paths)
    assert str(out / "annotations.json") in result.stdout
    result = run("synth", tmp_path / "one", "--count", 1, "--seed", 3, "--workers", 1)
    assert result.stdout.startswith("1 scan, seed 3, in ")


@pytest.mark.usefixtures("small_presets")
def test_refuses(run: Run, tmp_path: Path) -> None:
    for arguments, words in (
        (("--count", 0), "count is 0"),
        (("--count", 1, "--preset", "rentl"), "expected one of rental, bench-v1"),
        (("--count", 1, "--format", "yolo"), "expected one of coco"),
        (("--count", 1, "--seed", 10**9), "kept for benchmarks"),
        (("--count", 1, "--workers", 0), "workers is 0"),
        ((), "--count"),
    ):
        result = run("synth", tmp_path / "set", *arguments)
        assert result.exit_code == 2
        assert words in result.stderr
    assert not (tmp_path / "set").exists()


def test_help_names_every_preset(run: Run) -> None:
    presets = pytest.importorskip("surfacedefect.synthetic.presets", exc_type=ImportError)
    page = run("synth", "--help").stdout
    assert all(name in page for name in presets.PRESETS)


@pytest.mark.skipif(os.name == "nt", reason="signals differ")
def test_interrupted_leaves_whole_files_only_and_no_process(tmp_path: Path) -> None:
    """As in a terminal, the workers get the Ctrl-C too."""
    out = tmp_path / "set"
    command = [sys.executable, "-c", SMALL_PRESETS, "synth", str(out), "--count", "5000", "--workers", "2"]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, start_new_session=True, **pipes) as process:
        deadline = time.monotonic() + 60
        while not list(out.glob("records/s*.json")) and time.monotonic() < deadline:
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGINT)
        _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert stderr == "surfacedefect: interrupted; what was already written is complete\n"
    assert not list(out.rglob("*.part*"))
    assert json.loads((out / "manifest.json").read_text())["complete"] is False
    assert len(list(out.glob("records/*.json"))) <= len(list(out.glob("images/*.jpg"))) < 5000
    deadline = time.monotonic() + 30
    while _group_lives(process.pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _group_lives(process.pid)


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
