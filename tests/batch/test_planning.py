"""The simulator against cases whose answer is known, and the page on batches against the code."""

from __future__ import annotations

import importlib.util
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from batch_runs import write_fleet

from surfacedefect.batch.jobs import STATES
from surfacedefect.batch.table import schema

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def fleet() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        spec = importlib.util.spec_from_file_location("simulate_fleet", ROOT / "benchmarks" / "simulate_fleet.py")
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        patch.setitem(__import__("sys").modules, "simulate_fleet", module)
        spec.loader.exec_module(module)
        yield module


def calm(fleet: ModuleType) -> object:
    quiet = {"spread": 0.0, "slow_workers": 0.0, "corrupt_share": 0.0, "killer_share": 0.0}
    return replace(fleet.ASSUMED, hours_between_failures=1e12, **quiet)


def test_equal_scans_at_once_are_shared_out_evenly(fleet: ModuleType) -> None:
    found = fleet.simulate(100, 10, 36.0, at_once=True, assumed=calm(fleet))
    assert (found["hours"], found["busy_share"], found["over_ideal"]) == (0.1, 1.0, 1.0)
    assert (found["minutes_median"], found["inspections_lost"]) == (pytest.approx(3.3), 0)


def test_slow_workers_do_what_they_can(fleet: ModuleType) -> None:
    slow = replace(calm(fleet), slow_workers=0.5, slow_factor=3.0)
    found = fleet.simulate(8, 2, 3600.0, at_once=True, assumed=slow)  # six on the fast one, two on the slow one
    assert (found["hours"], found["busy_share"]) == (6.0, 1.0)


def test_what_a_failed_machine_had_is_done_again_and_nothing_is_forgotten(fleet: ModuleType) -> None:
    failing = replace(calm(fleet), hours_between_failures=1.0, restart_s=60.0, workers_per_machine=2)
    found = fleet.simulate(400, 4, 300.0, at_once=True, assumed=failing)
    even = fleet.simulate(400, 4, 300.0, at_once=True, assumed=calm(fleet))
    assert found["inspections_lost"] > 5 and found["hours"] > even["hours"]
    assert 0 < found["work_lost_share"] < 0.2


def test_a_plan_has_enough_workers_for_the_work(fleet: ModuleType) -> None:
    best = fleet.smallest(20_000, 40.0, 15.0, scale=10)
    assert best["minutes_95"] <= 15 and best["workers"] * 86_400 > 20_000 * 40
    plan = fleet.plan(10_000_000, 40.0, best, fleet.ASSUMED)
    assert plan["cells"] == 10 and plan["workers"] == 10 * best["workers"]
    assert plan["workers_at_full_load"] == math.ceil(10_000_000 * 40 / 86_400)


def test_the_page_names_every_state_and_column_and_its_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (ROOT / "docs" / "batch.md").read_text(encoding="utf-8")
    names = [name.replace("count_scratch", "count_<kind>") for name in schema(("scratch",)).names]
    assert not [name for name in (*names, *(set(STATES) - {"same", "stop"})) if f"`{name}`" not in text]
    write_fleet(tmp_path / "scans", 1)
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", text, flags=re.S)
    exec(code.replace('"results/", options', '"results/", model="batch_fakes:dark", options'), {})
