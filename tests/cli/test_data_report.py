"""`surfacedefect data quarantine` and `data report`: what they print and how they end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from messy_share import jpeg, make_mess

from surfacedefect.datasets import ingest, manifest_version

Run = Callable[..., Any]


@pytest.fixture
def dest(tmp_path: Path) -> Path:
    make_mess(tmp_path / "share", pictures=60)
    (tmp_path / "share" / "line\nbreak \u202egpj.jpg").write_bytes(b"")
    ingest(tmp_path / "share", tmp_path / "set")
    return tmp_path / "set"


def test_quarantine_lists_one_line_a_path(run: Run, dest: Path) -> None:
    result = run("data", "quarantine", dest)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert len(lines) == 5 and result.stderr == "5 set aside\n"
    assert any(line.startswith(r"zero_bytes: line\nbreak \u202egpj.jpg: found no bytes") for line in lines)
    assert sum(line.startswith("truncated: ") for line in lines) == 3


def test_quarantine_writes_a_table_and_counts(run: Run, dest: Path, tmp_path: Path) -> None:
    result = run("data", "quarantine", dest, "--csv", tmp_path / "new" / "q.csv")
    assert result.exit_code == 0 and "5 set aside" in result.stdout and "truncated" in result.stdout
    assert (tmp_path / "new" / "q.csv").read_text(encoding="utf-8-sig").count("zero_bytes") == 1


def test_nothing_set_aside_is_no_error(run: Run, tmp_path: Path) -> None:
    (tmp_path / "share").mkdir()
    (tmp_path / "share" / "a.jpg").write_bytes(jpeg(1))
    ingest(tmp_path / "share", tmp_path / "set")
    result = run("data", "quarantine", tmp_path / "set")
    assert result.exit_code == 0 and result.stdout == "" and result.stderr == "0 set aside\n"


def test_report_says_where_it_is(run: Run, dest: Path, tmp_path: Path) -> None:
    result = run("data", "report", dest, "--out", tmp_path / "out", "--title", "Scans of <May>")
    assert result.exit_code == 0
    assert f"{tmp_path / 'out' / 'index.html'}\nversion {manifest_version(dest)}" in result.stdout
    assert "61 rows: " in result.stdout and "5 set aside" in result.stdout
    assert "thumbnails: " in result.stderr
    assert "Scans of &lt;May&gt;" in (tmp_path / "out" / "index.html").read_text(encoding="utf-8")


def test_report_names_what_has_no_thumbnail(run: Run, dest: Path, tmp_path: Path) -> None:
    for path in (dest / "objects").rglob("*"):
        if path.is_file():
            path.unlink()
    result = run("data", "report", dest, "--out", tmp_path / "out")
    assert result.exit_code == 0
    assert result.stderr.count("no thumbnail of ") == 10 and "more, named on the page" in result.stderr


def test_refuses(run: Run, dest: Path, tmp_path: Path) -> None:
    for arguments, words in (
        (("quarantine", tmp_path), "there is no manifest"),
        (("quarantine", dest, "--csv", tmp_path), "is a folder"),
        (("report", tmp_path, "--out", tmp_path / "out"), "there is no manifest"),
        (("report", dest), "--out"),
        (("report", dest, "--out", dest / "view"), "is a folder of the data set itself"),
        (("report", dest, "--out", tmp_path / "out", "--annotations", "nowhere.json"), "nowhere.json"),
    ):
        result = run("data", *arguments)
        assert result.exit_code == 2 and words in result.stderr
        assert result.stderr.startswith("surfacedefect: ") and result.stderr.count("\n") == 1
