"""What was set aside: every row of it, as a list and as a table that no spreadsheet runs."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ingest_runs import Write, rows_of
from messy_share import jpeg, make_mess

from surfacedefect.datasets import ingest, quarantine, write_quarantine
from surfacedefect.datasets._tables import write_table
from surfacedefect.errors import DatasetError

RUNS = ("=", "+", "-", "@", "\t", "\r", "\n")
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def plain(cell: str) -> str:
    return cell.removeprefix("'")


def test_every_row_that_is_neither_good_nor_a_copy(tmp_path: Path) -> None:
    mess = make_mess(tmp_path / "share", pictures=60)
    ingest(tmp_path / "share", tmp_path / "set")
    found = list(quarantine(tmp_path / "set"))
    expected = {path: state for path, state in mess.states.items() if state not in ("good", "duplicate")}
    assert expected and {one.source_path: one.state for one in found} == expected
    rows = rows_of(tmp_path / "set")
    for one in found:
        row = rows[one.source_path]
        assert one.reason == row["reason"] != "" and one.size_bytes == row["size_bytes"] and one.hash == row["hash"]
    assert write_quarantine(tmp_path / "set", tmp_path / "q.csv") == len(expected)
    assert {plain(row["source_path"]): row["state"] for row in table(tmp_path / "q.csv")} == expected


def test_a_name_is_data_and_no_formula(tmp_path: Path, write: Write) -> None:
    names = ["=1+1.jpg", "+1.jpg", "-1.jpg", "@sum.jpg", "\tx.jpg", "\n=2.jpg", 'a",=3,".jpg', "'=4.jpg", "a\r\nb.jpg"]
    for name in names:
        write(name, b"")
    ingest(tmp_path / "share", tmp_path / "set")
    write_quarantine(tmp_path / "set", tmp_path / "q.csv")
    rows = table(tmp_path / "q.csv")
    assert sorted(plain(row["source_path"]) for row in rows) == sorted(names)
    assert not [cell for row in rows for cell in row.values() if cell.startswith(RUNS)]


@given(st.lists(st.fixed_dictionaries({"a": TEXT, "b": TEXT | st.none() | st.integers(-5, 5)}), max_size=5))
def test_a_table_gives_back_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, object]]
) -> None:
    path = tmp_path_factory.mktemp("table") / "t.csv"
    assert write_table(path, ["a", "b"], rows) == len(rows)
    found = table(path)
    assert [plain(row["a"]) for row in found] == [row["a"] for row in rows]
    for cell, row in zip((row["b"] for row in found), rows, strict=True):
        value = row["b"]
        assert cell == str(value) if isinstance(value, int) else plain(cell) == (value or "")
    assert not [row for row in found if row["a"].startswith(RUNS)]


def test_nothing_set_aside_is_an_empty_table(tmp_path: Path, write: Write) -> None:
    write("a.jpg", jpeg(1))
    ingest(tmp_path / "share", tmp_path / "set")
    assert list(quarantine(tmp_path / "set")) == []
    assert write_quarantine(tmp_path / "set", tmp_path / "q.csv") == 0
    assert (tmp_path / "q.csv").read_text(encoding="utf-8-sig").startswith('"state","source_path"')


def test_a_folder_without_a_manifest_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"there is no manifest .* expected a data set"):
        quarantine(tmp_path)
    with pytest.raises(DatasetError, match="there is no manifest"):
        write_quarantine(tmp_path, tmp_path / "q.csv")
    assert not list(tmp_path.iterdir())
