"""The page on reports: its example runs, its bounds are those of the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from messy_share import jpeg

from surfacedefect.datasets import ingest
from surfacedefect.datasets._report_facts import Bounds
from surfacedefect.scan import MAX_PIXELS

PAGE = (Path(__file__).parents[2] / "docs" / "data-report.md").read_text(encoding="utf-8")


def test_the_example_runs_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "share").mkdir()
    (tmp_path / "share" / "a.jpg").write_bytes(jpeg(1))
    (tmp_path / "share" / "b.jpg").write_bytes(b"")
    ingest(tmp_path / "share", tmp_path / "dataset")
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(code, {})
    assert capsys.readouterr().out.splitlines() == [
        "zero_bytes b.jpg found no bytes, expected a picture; copy the file again",
        "1 1 ()",
    ]


def test_its_bounds_are_those_of_the_code() -> None:
    bounds, text = Bounds(), " ".join(PAGE.split())
    for words in (
        f"{bounds.sample} pictures stand for all",
        f"up to {bounds.groups} groups of near duplicates with {bounds.group_members} pictures each",
        f"{bounds.flags} flags with {bounds.flagged}, the {bounds.copied} most copied, and {bounds.annotated} outlined",
        f"Of more than {bounds.kinds} kinds",
        f"over {MAX_PIXELS // 10**6} million pixels",
    ):
        assert words in text
