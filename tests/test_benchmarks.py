"""Results of the benchmarks have the form that they promise, and what is derived from them is right."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
RESULTS = BENCHMARKS / "results"
QUALITY = sorted(path for path in RESULTS.glob("quality*.json") if not path.name.endswith(".schema.json"))


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
        jsonschema.validate({"machine": {}, "question": "?", "quick": False, "methods": {}, "reports": {}}, schema)


def test_accuracy_follows_the_clean_tiles_and_recall_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib", reason="needs the extra [test]")
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    for name in ("bench_accuracy_trap", "quality_figures", "common"):
        sys.modules.pop(name, None)
    import bench_accuracy_trap as trap

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
