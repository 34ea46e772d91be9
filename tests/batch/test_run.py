"""What a batch on one machine promises: every scan once, whatever dies."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from batch_runs import (
    CORRUPT,
    KILLER,
    command,
    environment,
    inspecting,
    killed_when,
    recorded,
    results,
    table,
    write_fleet,
    write_scan,
)

from surfacedefect import DetectOptions, Detector
from surfacedefect.batch import BatchOptions, Progress, run, status
from surfacedefect.batch.jobs import output_stem
from surfacedefect.errors import BatchError, BatchLockedError, ModelError, OptionError, SourceError

DARK = "batch_fakes:dark"
GOOD = 24  # enough to be killed in the middle of, twice
TWO = BatchOptions(workers=2, group_pattern=r"(?P<group>car-\d+)", outputs=("map", "overlay"))


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fleet(tmp_path_factory.mktemp("fleet") / "scans", GOOD, corrupt=5, killer=True)


@pytest.fixture(scope="module")
def undisturbed(fleet: Path) -> Path:
    dest = fleet.parent / "undisturbed"
    report = run(fleet, dest, model=DARK, options=TWO)
    assert (report.done, report.set_aside, report.computed) == (GOOD, 6, GOOD)
    return dest


def test_each_good_scan_has_the_files_that_the_detector_gives(fleet: Path, undisturbed: Path, tmp_path: Path) -> None:
    import batch_fakes

    detector = Detector(batch_fakes.dark())
    expected = {}
    for path in sorted(fleet.glob("car-*/*.png")):
        if path.name == KILLER:
            continue
        stem = tmp_path / output_stem(str(path.relative_to(fleet)))
        found = detector.detect(path)
        found.to_geojson(stem.with_suffix(".geojson"))
        found.probability_map.save(stem.with_suffix(".map.tif"))
        found.plot(stem.with_suffix(".overlay.png"))
        expected[stem.name] = len(found)
    assert results(undisturbed) == results(tmp_path)
    rows = {row["geojson"].split("/")[-1].removesuffix(".geojson"): row for row in table(undisturbed) if row["geojson"]}
    assert {name: row["defects"] for name, row in rows.items()} == expected
    one = next(row for row in rows.values() if row["scan"] == "car-00/3.png")
    assert (one["car"], one["count_scratch"], one["count_dent"], one["coverage"]) == ("car-00", 1, 1, 1.0)
    assert one["longest_scratch_px"] == pytest.approx(104, abs=4) and one["longest_scratch_mm"] is None
    assert sorted(cell["kind"] for cell in one["cells"]) == ["dent", "scratch"]


def test_what_cannot_be_inspected_is_set_aside_with_its_reason(undisturbed: Path) -> None:
    aside = {row["scan"]: row for row in table(undisturbed) if row["state"] != "done"}
    assert set(aside) == {*CORRUPT, f"car-00/{KILLER}"}
    assert aside[f"car-00/{KILLER}"]["state"] == "crashed" and "SIGKILL" in aside[f"car-00/{KILLER}"]["error"]
    assert all(row["error"] and row["defects"] is None for row in aside.values())
    assert all(row["state"] == "set_aside" for name, row in aside.items() if name in CORRUPT)
    now = status(undisturbed)
    assert now.states == {"done": GOOD, "set_aside": 5, "crashed": 1} and not now.running and not now.complete


def test_a_second_run_computes_nothing_and_starts_no_process(
    fleet: Path, undisturbed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("surfacedefect.batch._station.Child", pytest.fail)
    before = results(undisturbed)
    report = run(fleet, undisturbed, model=DARK, options=replace(TWO, workers=1))
    assert (report.computed, report.skipped, report.done, report.set_aside) == (0, GOOD + 6, GOOD, 6)
    assert results(undisturbed) == before and set(recorded(undisturbed).values()) == {1}


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_a_driver_that_is_killed_twice_leaves_what_an_undisturbed_one_does(
    fleet: Path, undisturbed: Path, tmp_path: Path
) -> None:
    dest, before = tmp_path / "killed", inspecting()
    arguments = command(fleet, dest, "--workers", "2", "--also", "map,overlay", model=DARK)
    first = killed_when(arguments, dest, done=4)
    second = killed_when(arguments, dest, done=len(first) + 6)
    end = time.monotonic() + 30
    while inspecting() - before and time.monotonic() < end:
        time.sleep(0.05)
    assert not inspecting() - before, "workers end with the driver that was killed"
    (dest / "results" / "00").mkdir(exist_ok=True)
    (dest / "results" / "00" / ".half-written.part.tif").write_bytes(b"of a worker that was killed")
    done = subprocess.run(arguments, env=environment(), capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 1 and "6 set aside" in done.stdout, done.stderr
    assert first < second < set(recorded(dest))
    assert set(recorded(dest).values()) == {1}, "nothing is computed again once it is recorded"
    (dest / "results" / "00").rmdir() if not list((dest / "results" / "00").iterdir()) else None
    assert results(dest) == results(undisturbed)
    assert table(dest) == table(undisturbed)


def test_a_worker_that_is_killed_costs_no_scan(fleet: Path, undisturbed: Path, tmp_path: Path) -> None:
    killed: list[int] = []
    before = inspecting()

    def kill_one(now: Progress) -> None:
        if now.computed >= 5 and not killed:
            killed.append(sorted(inspecting() - before)[0])
            os.kill(killed[0], signal.SIGKILL)

    report = run(fleet, tmp_path / "out", model=DARK, options=TWO, progress=kill_one)
    assert killed and (report.done, report.set_aside) == (GOOD, 6)
    assert results(tmp_path / "out") == results(undisturbed) and table(tmp_path / "out") == table(undisturbed)


def test_a_process_that_hangs_is_ended_and_its_scan_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_fleet(tmp_path / "scans", 1)
    monkeypatch.setenv("BATCH_FAKE_SECONDS", "600")
    options = BatchOptions(workers=1, tries=1, scan_timeout_s=4)
    report = run(tmp_path / "scans", tmp_path / "out", model="batch_fakes:slow", options=options)
    assert report.set_aside == 1 and "no answer within 4 s" in report.not_done[0][1]


def test_another_picture_under_the_same_name_is_looked_at_again(tmp_path: Path) -> None:
    path = write_scan(tmp_path / "scans" / "a.png", number=0)
    options = BatchOptions(workers=1)
    run(tmp_path / "scans", tmp_path / "out", model=DARK, options=options)
    os.utime(path, ns=(1, 1))  # touched: read again, found to be the same, not computed
    report = run(tmp_path / "scans", tmp_path / "out", model=DARK, options=options)
    assert (report.computed, report.skipped) == (0, 1)
    write_scan(path, number=1)
    assert run(tmp_path / "scans", tmp_path / "out", model=DARK, options=options).computed == 1
    path.write_bytes(b"no longer a picture")
    assert run(tmp_path / "scans", tmp_path / "out", model=DARK, options=options).set_aside == 1
    assert not results(tmp_path / "out"), "what an earlier picture showed is not taken for this one's"
    (row,) = table(tmp_path / "out")
    assert row["state"] == "set_aside" and row["defects"] is None


def test_other_options_are_computed_again_and_replace_the_results(tmp_path: Path) -> None:
    write_fleet(tmp_path / "scans", 2)
    run(tmp_path / "scans", tmp_path / "out", model=DARK, options=BatchOptions(workers=1))
    scaled = BatchOptions(workers=1, detect=DetectOptions(mm_per_px=0.5))
    report = run(tmp_path / "scans", tmp_path / "out", model=DARK, options=scaled)
    assert report.computed == 2
    rows = table(tmp_path / "out")
    assert len(rows) == 2 and all(row["mm_per_px"] == 0.5 and row["longest_scratch_mm"] > 40 for row in rows)


def test_what_was_set_aside_is_tried_again_only_when_asked(tmp_path: Path) -> None:
    write_scan(tmp_path / "scans" / "a.png", stumbles=True)
    options = BatchOptions(workers=1)
    assert run(tmp_path / "scans", tmp_path / "out", model=DARK, options=options).set_aside == 1
    assert run(tmp_path / "scans", tmp_path / "out", model=DARK, options=options).skipped == 1
    again = run(tmp_path / "scans", tmp_path / "out", model=DARK, options=replace(options, retry_set_aside=True))
    assert (again.skipped, again.set_aside) == (0, 1)


def test_windows_that_fail_are_not_inspected_and_said_so(tmp_path: Path) -> None:
    write_scan(tmp_path / "scans" / "a.png", stumbles=True)
    options = BatchOptions(workers=1, detect=DetectOptions(on_error="skip"))
    report = run(tmp_path / "scans", tmp_path / "out", model=DARK, options=options)
    assert (report.done, report.partly, report.complete) == (1, 1, False)
    assert 0 < table(tmp_path / "out")[0]["coverage"] < 1
    assert "Inspected in part" in (tmp_path / "out" / "index.html").read_text(encoding="utf-8")


def test_one_batch_at_a_time(tmp_path: Path) -> None:
    write_fleet(tmp_path / "scans", 2)
    seen: list[str] = []

    def second(now: Progress) -> None:
        if not seen:
            with pytest.raises(BatchLockedError) as caught:
                run(tmp_path / "scans", tmp_path / "out", model=DARK)
            seen.append(str(caught.value))
            assert status(tmp_path / "out").running

    run(tmp_path / "scans", tmp_path / "out", model=DARK, options=BatchOptions(workers=1), progress=second)
    assert f"process {os.getpid()}" in seen[0]


def test_a_full_disk_stops_the_batch_and_sets_nothing_aside(tmp_path: Path) -> None:
    write_fleet(tmp_path / "scans", 3)
    name = output_stem("car-00/1.png").split("/")[1]
    (tmp_path / "out" / "results").mkdir(parents=True)
    (tmp_path / "out" / "results" / name).write_text("in the way of a folder")  # as good as no room: it cannot be made
    with pytest.raises(BatchError, match="cannot be written.*run the same again"):
        run(tmp_path / "scans", tmp_path / "out", model=DARK, options=BatchOptions(workers=1))
    now = status(tmp_path / "out")
    assert set(now.states) <= {"done"} and not now.finished and not now.complete
    (tmp_path / "out" / "results" / name).unlink()
    assert run(tmp_path / "scans", tmp_path / "out", model=DARK, options=BatchOptions(workers=1)).done == 3


def test_a_source_that_vanishes_is_given_up_and_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["surfacedefect.batch.run"], "_MOST_UNREAD", 3)
    names = tmp_path / "list.txt"
    # A port where nobody listens.
    names.write_text("".join(f"http://127.0.0.1:9/{number}.png\n" for number in range(9)))
    options = BatchOptions(workers=1, retries=0)
    with pytest.raises(SourceError, match="no longer answers: 3 scans in a row"):
        run(names, tmp_path / "out", model=DARK, options=options)
    assert status(tmp_path / "out").states == {"unread": 3}


def test_results_of_a_destination_without_its_journal_are_taken_over(
    fleet: Path, undisturbed: Path, tmp_path: Path
) -> None:
    import shutil

    shutil.copytree(undisturbed, tmp_path / "copy", ignore=shutil.ignore_patterns(".batch"))
    report = run(fleet, tmp_path / "copy", model=DARK, options=TWO)
    assert (report.computed, report.skipped) == (0, GOOD + 6)
    assert table(tmp_path / "copy") == table(undisturbed)


def test_names_that_come_twice_are_one_scan(tmp_path: Path) -> None:
    write_scan(tmp_path / "a.png")
    (tmp_path / "list.txt").write_text("a.png\tcar 1\na.png\tcar 1\n\n# not a name\nmissing.png\n")
    report = run(tmp_path / "list.txt", tmp_path / "out", model=DARK, options=BatchOptions(workers=1))
    assert (report.done, report.computed, report.repeated, report.unread) == (1, 1, 1, 1)
    assert {row["scan"]: row["car"] for row in table(tmp_path / "out")} == {"a.png": "car 1", "missing.png": None}


def test_the_table_is_whole_while_the_batch_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        sys.modules["surfacedefect.batch.run"], "_TABLE_SHARE", 1.0
    )  # written as often as there is something new
    monkeypatch.setenv("BATCH_FAKE_SECONDS", "0.02")
    write_fleet(tmp_path / "scans", 24)
    dest, sizes = tmp_path / "out", set()
    ended = threading.Event()

    def read() -> None:
        while not ended.is_set():
            if list(dest.glob("table/bucket=*/scans.parquet")):
                rows = table(dest)
                assert len({row["scan"] for row in rows}) == len(rows)
                sizes.add(len(rows))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        options = BatchOptions(workers=1, table_every_s=0)
        run(tmp_path / "scans", dest, model="batch_fakes:slow", options=options)
    finally:
        ended.set()
        reader.join()
    assert len(table(dest)) == 24 and len(sizes) > 2
    with closing(sqlite3.connect(dest / ".batch" / "journal.sqlite")) as database:
        assert database.execute("SELECT COUNT(*) FROM stale").fetchone() == (0,)


def test_progress_ends_at_all(tmp_path: Path) -> None:
    write_fleet(tmp_path / "scans", 4, corrupt=1)
    told: list[Progress] = []
    run(tmp_path / "scans", tmp_path / "out", model=DARK, options=BatchOptions(workers=1), progress=told.append)
    assert (told[-1].seen, told[-1].of, told[-1].computed, told[-1].not_done) == (5, 5, 4, 1)
    assert all(one.seen <= two.seen for one, two in zip(told, told[1:], strict=False))


def test_what_cannot_begin_says_why(tmp_path: Path) -> None:
    write_fleet(tmp_path / "scans", 1)
    out = tmp_path / "out"
    import batch_fakes

    with pytest.raises(OptionError, match="package.module:function"):
        run(tmp_path / "scans", out, model=batch_fakes.dark())  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="cannot be made"):
        run(tmp_path / "scans", out, model="batch_fakes:absent")
    with pytest.raises(SourceError, match="is not there"):
        run(tmp_path / "nowhere", out, model=DARK)
    with pytest.raises(SourceError, match="there is no list"):
        run(tmp_path / "nowhere.txt", out, model=DARK)
    with pytest.raises(SourceError, match="overlap"):
        run(tmp_path / "scans", tmp_path / "scans" / "out", model=DARK)
    with pytest.raises(OptionError, match="names 'rust'"):
        run(tmp_path / "scans", out, model=DARK, options=BatchOptions(detect=DetectOptions(kinds=("rust",))))
    with pytest.raises(BatchError, match="no journal"):
        status(out)
    assert not out.exists()


def test_the_shipped_weights_give_what_detect_gives(tmp_path: Path, shipped_weights: Path) -> None:
    path = write_scan(tmp_path / "scans" / "a.png", side=500)  # one window
    options = DetectOptions(threads=1, threshold=0.02)  # at the model's own it finds nothing on so plain a panel
    run(tmp_path / "scans", tmp_path / "out", options=BatchOptions(workers=1, detect=options))
    written = json.loads((tmp_path / "out" / (output_stem("a.png") + ".geojson")).read_text())
    assert written == json.loads(json.dumps(Detector(options=options).detect(path).to_geojson()))
    assert written["features"]
