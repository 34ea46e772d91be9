"""`surfacedefect batch` and `batch status`: words, exit codes, what is printed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from batch_runs import write_fleet, write_scan

Run = Callable[..., Any]
MODEL = ("--model", "batch_fakes:dark", "--workers", "1")


def test_all_good_is_0_and_the_rest_is_1(run: Run, tmp_path: Path) -> None:
    write_fleet(tmp_path / "good", 2)
    done = run("batch", tmp_path / "good", "--out", tmp_path / "out", "--also", "overlay", "--mm-per-px", "0.5", *MODEL)
    assert done.exit_code == 0 and "2 scans inspected, 2 of them in this run" in done.stdout
    assert len(list((tmp_path / "out" / "results").rglob("*.overlay.png"))) == 2
    told = run("batch", "status", tmp_path / "out")
    assert told.exit_code == 0 and "no batch is running" in told.stdout and "dark" in told.stdout
    write_fleet(tmp_path / "bad", 1, corrupt=1)
    done = run("batch", tmp_path / "bad", "--out", tmp_path / "out2", *MODEL)
    assert done.exit_code == 1 and "1 set aside" in done.stdout and "1 scan inspected, 1 of them" in done.stdout
    assert done.stderr.count("corrupt-0.png") == 1, "named once"
    told = run("batch", "status", tmp_path / "out2")
    assert told.exit_code == 1 and "corrupt-0.png (set_aside)" in told.stdout
    assert told.stdout.count("corrupt-0.png") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("scans",), "no --out"),
        (("scans", "more", "--out", "out"), "found 2 arguments"),
        (("status",), "no --out"),
        (("status", "nowhere"), "no journal"),
        (("scans", "--out", "out", "--also", "poem"), "outputs is"),
        (("scans", "--out", "out", "--storage", "key"), "expected KEY=VALUE"),
        (("scans", "--out", "out", "--group-pattern", "("), "regular expression"),
        (("scans", "--out", "out", "--workers", "0"), "workers is 0"),
        (("scans", "--out", "out", "--threshold", "2"), "threshold"),
        (("nowhere", "--out", "out"), "is not there"),
        (("scans", "--out", "scans/out"), "overlap"),
        (("scans", "--out", "nonsense://x/y"), "cannot be opened"),
        (("scans", "--out", "out", "--model", "batch_fakes:absent"), "cannot be made"),
    ],
)
def test_wrong_usage_is_2_in_one_line(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_scan(tmp_path / "scans" / "a.png")
    done = run("batch", *arguments)
    assert done.exit_code == 2 and said in done.stderr and done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_also_may_be_said_twice(run: Run, tmp_path: Path) -> None:
    write_fleet(tmp_path / "scans", 1)
    done = run("batch", tmp_path / "scans", "--out", tmp_path / "out", "--also", "map", "--also", "overlay", *MODEL)
    assert done.exit_code == 0
    assert sorted(path.suffix for path in (tmp_path / "out" / "results").glob("*/*")) == [".geojson", ".png", ".tif"]


def test_names_do_nothing_to_the_terminal(run: Run, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(b"\x1b]0;title\x07.png\n" + b"y" * 4000 + b".png\n")
    done = run("batch", tmp_path / "list.txt", "--out", tmp_path / "out", *MODEL)
    told = run("batch", "status", tmp_path / "out")
    for text in (done.stderr, told.stdout):
        assert "\x1b" not in text and "\\x1b]0;title" in text
        assert all(len(line) < 600 for line in text.splitlines())


def test_the_status_of_a_batch_that_was_stopped_is_not_0(run: Run, tmp_path: Path) -> None:
    write_fleet(tmp_path / "scans", 1)
    assert run("batch", tmp_path / "scans", "--out", tmp_path / "out", *MODEL).exit_code == 0
    with closing(sqlite3.connect(tmp_path / "out" / ".batch" / "journal.sqlite")) as journal, journal:
        journal.execute("UPDATE facts SET value = 'true' WHERE name = 'unfinished'")
    told = run("batch", "status", tmp_path / "out")
    assert told.exit_code == 1 and "did not come to its end" in told.stdout
