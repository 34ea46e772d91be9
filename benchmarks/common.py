"""What every benchmark shares: where results go, what machine it was, how memory is read."""

from __future__ import annotations

import contextlib
import datetime
import importlib.metadata
import json
import os
import platform
import re
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
REAL_DATA = Path(os.environ.get("SURFACEDEFECT_REAL_DATA", ROOT.parent / "shared" / "data"))
PACKAGES = (
    "numpy",
    "rasterio",
    "shapely",
    "scikit-image",
    "pillow",
    "onnxruntime",
    "openvino",
    "monai",
    "tiler",
    "torch",
)


def machine() -> dict[str, Any]:
    """Return what the figures depend on: processor, cores, memory, versions, commit, date."""
    model = next(
        (line.split(":", 1)[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor(),
    )
    return {
        "processor": model,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "gpu": _gpu(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: version for name in PACKAGES if (version := _version(name))},
        "commit": _commit(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


def write_result(name: str, result: dict[str, Any]) -> Path:
    """Write ``benchmarks/results/NAME.json`` and say where."""
    path = RESULTS / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    text = json.dumps({"machine": machine(), **result}, indent=1)
    flat = re.sub(r"\[[^\[\]{}]*\]", lambda found: re.sub(r"\s*\n\s*", " ", found[0]), text)
    path.write_text(flat + "\n", encoding="utf-8")
    print(path.relative_to(ROOT))
    return path


def watched(call: Callable[[], T]) -> tuple[T, float, float]:
    """Return what a call gives, its seconds, and by how many MiB memory rose above where it stood (nan off Linux)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the highest so far starts anew
    base, started = memory_mib("VmRSS"), time.perf_counter()
    given = call()
    return given, time.perf_counter() - started, max(memory_mib("VmHWM") - base, 0.0)


def fitted_exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Return the power p of the least-squares line log(value) = p log(size) + c."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def memory_mib(field: str) -> float:
    """Return ``VmRSS`` (now) or ``VmHWM`` (highest so far) of this process in MiB."""
    for line in _lines("/proc/self/status"):
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    return float("nan")


def _lines(path: str) -> list[str]:
    file = Path(path)
    return file.read_text(encoding="utf-8").splitlines() if file.exists() else []


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _gpu() -> str | None:
    """Return the name of the first CUDA GPU, as its driver gives it."""
    with contextlib.suppress(OSError):
        command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0 and done.stdout.strip():
            return done.stdout.splitlines()[0].strip()
    return None


def _commit() -> str:
    """Return the commit, and whether anything but results differs from it: a run of several scripts writes those."""
    name = _git("describe", "--always")
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":(exclude)benchmarks/results")
    return f"{name}-dirty" if name and changed else name or "unknown"


def _git(*words: str) -> str:
    return subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=False).stdout.strip()
