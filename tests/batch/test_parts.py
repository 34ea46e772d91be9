"""Names, options, destinations, journal and page of a batch, each by itself."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surfacedefect.batch import BatchOptions, Progress
from surfacedefect.batch._journal import Journal
from surfacedefect.batch._outputs import Destination, local_folder
from surfacedefect.batch.fleet import page
from surfacedefect.batch.jobs import BUCKETS, GRID, Job, Result, bucket_of, output_stem
from surfacedefect.batch.progress import Meter
from surfacedefect.batch.table import adopted_rows, read_table, write_table
from surfacedefect.errors import BatchError, OptionError, OutputError


@given(st.text(min_size=1), st.text(min_size=1))
def test_names_of_results_differ_and_suit_every_file_system(one: str, other: str) -> None:
    stem = output_stem(one)
    assert re.fullmatch(r"results/[0-9a-f]{2}/[A-Za-z0-9_-]{1,60}-[0-9a-f]{16}", stem)
    assert (stem.casefold() == output_stem(other).casefold()) == (one == other)


@pytest.mark.parametrize(
    "wrong",
    [
        {"workers": 0},
        {"workers": True},
        {"workers": 2, "least_workers": 3},
        {"outputs": ("geojson",)},
        {"outputs": "map"},
        {"tries": 0},
        {"scan_timeout_s": float("nan")},
        {"group_pattern": "("},
        {"group_pattern": "car"},
        {"storage_options": "key"},
        {"detect": None},
        {"gpus_per_worker": -1},
    ],
)
def test_options_out_of_their_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(OptionError, match=next(iter(wrong)).split("_")[0]):
        BatchOptions(**wrong)  # type: ignore[arg-type]


def a_result(number: int, *, state: str = "done", car: str = "", reason: str = "") -> Result:
    found = {
        "counts": {"scratch": number % 4, "dent": 1},
        "cells": [["scratch", number % (GRID[0] * GRID[1]), number % 4], ["dent", 0, 1]],
        "longest_scratch_px": float(number),
        "longest_scratch_mm": None,
        "coverage": 1.0,
        "width_px": 640,
        "height_px": 480,
        "mm_per_px": None,
    }
    job = Job(f"{number:06d}.jpg", "", group=car)
    return Result(job, state, reason, "ab" * 32, "v", found if state == "done" else {}, 0.5)  # type: ignore[arg-type]


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    made = Journal(tmp_path / "journal.sqlite")
    made.set_fact("kinds", ["scratch", "dent"])
    made.set_fact("models", {"m": "model"})
    return made


def test_a_remote_destination_gets_whole_files_under_their_names(tmp_path: Path, journal: Journal) -> None:
    dest = Destination(f"memory://{tmp_path.name}/out")
    dest.check()
    assert dest.names("") == []
    for number in range(40):
        journal.record(a_result(number, car=f"car {number // 4}"), model="m", options="o")
    assert 1 < write_table(journal, dest) <= BUCKETS and write_table(journal, dest) == 0
    with pytest.raises(ZeroDivisionError), dest.writing("results/aa/x.geojson") as part:
        part.write_text("half")
        raise ZeroDivisionError
    assert dest.names("results/aa") == []
    found = read_table(dest)
    assert found.num_rows == 40 and found["scan"].to_pylist() == sorted(found["scan"].to_pylist())
    again = Journal(tmp_path / "again.sqlite")
    assert again.adopt(adopted_rows(dest)) == 40
    assert [row["found"] for row in again.rows()] == [row["found"] for row in journal.rows()]
    dest.remove("table/bucket=00/scans.parquet")
    dest.remove("table/bucket=00/scans.parquet")


def test_a_row_that_moves_to_another_car_is_in_one_partition_only(tmp_path: Path, journal: Journal) -> None:
    cars = ["a", next(name for name in "bcdefghij" if _bucket(name) != _bucket("a"))]
    dest = Destination(str(tmp_path / "out"))
    for car in cars:
        journal.record(a_result(1, car=car), model="m", options="o")
        write_table(journal, dest)
        assert read_table(dest)["car"].to_pylist() == [car]


def _bucket(car: str) -> int:
    return bucket_of(Job("000001.jpg", "", group=car))


@pytest.mark.parametrize("address", ["", "  ", "nonsense://host/path", "a\0b"])
def test_a_place_that_cannot_be_is_refused(address: str) -> None:
    with pytest.raises(OutputError, match="expected a folder"):
        Destination(address)


def test_local_addresses_are_folders(tmp_path: Path) -> None:
    assert local_folder(f"file://{tmp_path}") == tmp_path and local_folder("s3://bucket/x") is None


def test_a_journal_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "journal.sqlite").write_bytes(b"no data base at all" * 100)
    with pytest.raises(BatchError, match="journal"):
        Journal(tmp_path / "journal.sqlite")


def test_the_page_runs_no_script_hides_nothing_and_stays_small(journal: Journal) -> None:
    assert "No defect was found" in page(journal, source="x") and "Every scan was inspected" in page(
        journal, source="x"
    )
    evil = "<script>alert(1)</script>\u202e"
    journal.record(a_result(0, state="set_aside", car=evil, reason=evil), model="m", options="o")
    for number in range(1, 60):
        journal.record(a_result(number, car=f"car {number // 3}"), model="m", options="o")
    small = page(journal, source=evil)
    assert "<script" not in small and "\u202e" not in small and "default-src &#39;none" not in small
    assert "default-src 'none'" in small and "&lt;script&gt;" in small
    assert small.count("car 19") >= 1 and "59" in small
    for number in range(60, 3000):
        state = "done" if number % 2 else "crashed"
        journal.record(a_result(number, car=f"car {number // 3}", state=state, reason="why"), model="m", options="o")
    large = page(journal, source="x")
    assert len(large) < 200_000 and "more: the table" in large


@pytest.mark.parametrize(
    ("scales", "shown", "hidden", "note"),
    [
        ((0.1, 0.5), {"120.0 mm", "205.0 mm"}, " px</td>", ""),
        ((0.1, None), {"1,200 px", "410 px"}, " mm</td>", "Lengths are in px: 1 of 2 scans has no scale."),
        ((None, None), {"1,200 px", "410 px"}, " mm</td>", "Lengths are in px: no scan has a scale."),
    ],
)
def test_lengths_on_the_page_are_in_mm_where_every_scan_has_a_scale(
    journal: Journal, scales: tuple[float | None, ...], shown: set[str], hidden: str, note: str
) -> None:
    for number, (length, scale) in enumerate(zip((1200.0, 410.0), scales, strict=True), start=1):
        result = a_result(number, car=f"car {number}")
        result.found.update(longest_scratch_px=length, longest_scratch_mm=scale and length * scale, mm_per_px=scale)
        journal.record(result, model="m", options="o")
    dents_only = a_result(3, car="car 3")
    dents_only.found.update(longest_scratch_px=None)
    journal.record(dents_only, model="m", options="o")
    journal.record(Result(Job("d", "d"), "set_aside", "no picture"), model="m", options="o")
    text = page(journal, source="x")
    cells = re.findall(r'<td class="n">([^<]+)</td>', text)
    assert shown | {"not looked for"} <= set(cells) and hidden not in text
    assert (note in text) if note else ("Lengths are in" not in text)


def test_rate_and_time_left_are_said_when_they_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("surfacedefect.batch.progress.time.monotonic", lambda: clock[0])
    told: list[Progress] = []
    meter = Meter(told.append, count=None)
    assert meter.now().seconds_left is None and meter.now().scans_per_s != meter.now().scans_per_s
    meter._of = 30
    for _ in range(10):
        clock[0] += 2
        meter.add(computed=1)
    now = meter.now()
    assert (now.scans_per_s, now.seconds_left, now.seen) == (pytest.approx(0.5), pytest.approx(40), 10)
    clock[0] += 1000  # a long pause is forgotten, as is what was before it
    meter.add(skipped=15)
    assert meter.now().seen == 25 and told[-1].seen == 25
