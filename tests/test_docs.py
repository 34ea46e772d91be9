"""The pages say what was measured."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def make_tables() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "docs"))
        spec = importlib.util.spec_from_file_location("make_tables", ROOT / "docs" / "make_tables.py")
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module


def test_the_tables_of_the_pages_are_those_of_the_results(make_tables: ModuleType) -> None:
    made = make_tables.tables(make_tables.read_results())
    used = set()
    for page in make_tables.PAGES:
        text = page.read_text(encoding="utf-8")
        marks = set(re.findall(r"<!-- begin (.+) -->", text))
        assert marks and marks <= set(made), page.name
        assert make_tables.filled(text, made) == text, f"{page.name}: run docs/make_tables.py"
        used |= marks
    assert used == set(made), "every table is on some page"
    assert all(len(lines) > 2 for lines in made.values())


def test_a_figure_is_written_with_its_interval(make_tables: ModuleType) -> None:
    metric = {"value": 0.5, "interval": [0.25, 0.75]}
    assert make_tables.cell(metric, ".2f", intervals=True) == "0.50 (0.25-0.75)"
    assert make_tables.cell(metric, ".2f", intervals=False) == "0.50"
    assert make_tables.cell({"value": None, "interval": None}, ".2f", intervals=True) == "-"
    lead = {"value": 0.1, "interval": [-0.05, 0.25]}
    assert make_tables.cell(lead, "+.2f", intervals=True) == "+0.10 (-0.05 to +0.25)"


def test_shipped_weights_are_those_that_were_measured(make_tables: ModuleType) -> None:
    result = make_tables.read_results()["validation"]
    for model in (result["model"], result["tile_classifier"]):
        card = json.loads((ROOT / "weights" / f"{model['name']}.json").read_text(encoding="utf-8"))
        assert model["sha256"] == card["sha256"], "run benchmarks/bench_validation.py for the new weights"
