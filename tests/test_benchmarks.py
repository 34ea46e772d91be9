"""Results of the benchmarks have the form that they promise, and what is derived from them is right."""

from __future__ import annotations

import ast
import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
RESULTS = BENCHMARKS / "results"
QUALITY = sorted(path for path in RESULTS.glob("quality*.json") if not path.name.endswith(".schema.json"))


Script = Callable[[str], Any]
MODULES = ("common", "quality_figures", "speed_figures", "speed_methods", "bench_accuracy_trap", "bench_quality")
MODULES += ("bench_engines", "bench_scaling", "bench_speed", "validation_parts")


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Script:
    """Import a script of the folder by its name, anew."""
    pytest.importorskip("matplotlib", reason="needs the extra [test]")
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    for name in MODULES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module


@pytest.fixture(scope="module")
def schema() -> dict[str, object]:
    jsonschema = pytest.importorskip("jsonschema", reason="needs the extra [test]")
    found: dict[str, object] = json.loads((RESULTS / "quality.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(found)
    return found


@pytest.mark.parametrize("path", QUALITY, ids=lambda path: path.stem)
def test_results_of_the_quality_benchmark_have_its_form(path: Path, schema: dict[str, object]) -> None:
    import jsonschema

    jsonschema.validate(json.loads(path.read_text(encoding="utf-8")), schema)


def test_the_form_is_strict(schema: dict[str, object]) -> None:
    import jsonschema

    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(
            {"machine": {}, "question": "?", "quick": False, "methods": {}, "cost": {}, "reports": {}}, schema
        )


def test_accuracy_follows_the_clean_tiles_and_recall_does_not(script: Script) -> None:
    trap = script("bench_accuracy_trap")
    positives, negatives = [0] * 256, [0] * 256
    positives[200], positives[20] = 80, 20  # four in five damaged tiles are found
    negatives[200], negatives[20] = 50, 950  # one in twenty clean ones is not seen as such
    row = trap.at_prevalences(
        {"threshold": 0.5, "histograms": {"tiles": {"positives": positives, "negatives": negatives}}}
    )
    assert (row["recall"], row["false_positive_rate"]) == (pytest.approx(0.8), pytest.approx(0.05))
    at = {one["prevalence"]: one for one in row["at"]}
    assert at[0.5]["accuracy"] == pytest.approx(0.5 * 0.8 + 0.5 * 0.95)
    assert at[0.001]["accuracy"] == pytest.approx(0.95, abs=1e-3) and at[0.001]["all_clean_accuracy"] == 0.999
    assert at[0.001]["precision"] == pytest.approx(0.0008 / (0.0008 + 0.999 * 0.05))


def test_a_power_law_is_fitted(script: Script) -> None:
    sizes = [1.0, 10.0, 300.0]
    assert script("common").fitted_exponent(sizes, [7 * size**0.5 for size in sizes]) == pytest.approx(0.5)


def test_ratios_to_the_engine_are_those_of_the_same_round(script: Script) -> None:
    speed = script("bench_speed")
    usual = {"overlap_px": 128, "batch": 1, "threads": None, "format": "tif", "engine": "onnx", "group": "peers"}
    memory = {"peak_mib": 100.0, "gpu_mib": None, "windows": 4}
    rows = [
        {**usual, **memory, "size": size, "method": method, "seconds": share * seconds * slower}
        for size, seconds in (("1 MP", 1.0), ("12 MP", 12.0))
        for slower in (1.0, 4.0, 2.0)  # the machine, for a while
        for method, share in (("engine", 1.0), ("surfacedefect", 1.1))
    ]
    result = speed.digest(rows)
    assert [case["over_engine"] for case in result["cases"]] == [1.0, 1.1, 1.0, 1.1]
    assert [case["seconds"] for case in result["cases"]] == [2.0, 2.2, 24.0, 26.4]
    assert result["exponents"]["surfacedefect"]["time"] == pytest.approx(1, abs=0.01)
    assert result["exponents"]["surfacedefect"]["memory"] == 0


def test_engines_are_compared_within_a_round(script: Script) -> None:
    usual = {"load_seconds": 1.0, "mib": 100.0}
    runs = [
        {"onnx": {"ms_per_window": 200.0 * slow, **usual}, "openvino": {"ms_per_window": 100.0 * slow, **usual}}
        for slow in (1.0, 5.0, 2.0)
    ]
    maps = {"onnx": np.zeros((1, 2, 3, 3)), "openvino": np.full((1, 2, 3, 3), 2.5e-6)}
    row = script("bench_engines").row("openvino", runs, maps)
    assert (row["ms_per_window"], row["ms_range"], row["over_onnx"]) == (200.0, [100.0, 500.0], 0.5)
    assert row["largest_difference"] == 2.5e-6


@pytest.mark.filterwarnings("ignore")  # of the peers
def test_every_way_of_stitching_looks_at_the_same_windows(script: Script, tmp_path: Path) -> None:
    methods, scaling = script("speed_methods"), script("bench_scaling")
    scan = methods.write_scan(tmp_path / "scan.tif", 1000, 700)
    seen = {"engine": methods.engine(scan, scaling.same_answer(), 128, 1)[1]}
    for name, packages in {"surfacedefect": (), **methods.PACKAGES}.items():
        if all(importlib.util.find_spec(package.partition(".")[0]) for package in packages):
            seen[name] = methods.METHODS[name](scan, scaling.same_answer(), 128, 1)[1]
    assert len(seen) >= 2 and set(seen.values()) == {6}


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_what_scaling_measures_finds_a_defect_a_window(script: Script, tmp_path: Path) -> None:
    scaling, methods = script("bench_scaling"), script("speed_methods")
    found = scaling.measured("detect", methods.write_scan(tmp_path / "scan.tif", 1280, 896))
    assert found["defects"] == 6 and found["seconds"] > 0
    assert scaling.measured("probability_map", tmp_path / "scan.tif")["defects"] is None


def test_without_a_gpu_its_script_says_so_and_installs_nothing() -> None:
    if shutil.which("nvidia-smi") or not shutil.which("bash"):
        pytest.skip("needs a machine without a GPU, and bash")
    done = subprocess.run(["bash", str(BENCHMARKS / "gpu.sh")], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "no CUDA GPU found" in done.stderr and "make bench-all" in done.stderr


def test_each_script_says_its_question() -> None:
    for path in BENCHMARKS.glob("bench_*.py"):
        question = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        assert "?" in question.partition("\n\n")[0], path.name
        assert f"`{path.name}`" in (BENCHMARKS / "README.md").read_text(encoding="utf-8"), path.name
