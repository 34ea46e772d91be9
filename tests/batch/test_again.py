"""What a later run makes of what is there: removed results, other cars, other outputs, clocks that went back."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from batch_runs import results, table, write_scan

from surfacedefect.batch import BatchOptions, BatchReport, run, status
from surfacedefect.batch._journal import Journal
from surfacedefect.batch._outputs import Destination
from surfacedefect.batch.jobs import bucket_of, output_stem
from surfacedefect.batch.table import adopted_facts, read_table
from surfacedefect.errors import BatchError

ONE = BatchOptions(workers=1)


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A batch of one scan that was run once."""
    folder = tmp_path_factory.mktemp("once") / "batch"
    write_scan(folder / "car-1.png")
    (folder / "list.txt").write_text("car-1.png\ncar-1.png\n")
    options = replace(ONE, outputs=("overlay",))
    first = run(folder / "list.txt", folder / "out", model="batch_fakes:dark", options=options)
    assert (first.done, first.repeated) == (1, 1)
    return folder


@pytest.fixture
def again(tmp_path: Path, once: Path) -> Callable[..., BatchReport]:
    """Run a copy of that batch again."""
    shutil.copytree(once, tmp_path, dirs_exist_ok=True)

    def go(options: BatchOptions = ONE) -> BatchReport:
        return run(tmp_path / "list.txt", tmp_path / "out", model="batch_fakes:dark", options=options)

    return go


def test_a_name_that_comes_twice_counts_once_in_later_runs_too(again: Callable[..., BatchReport]) -> None:
    report = again(replace(ONE, outputs=("overlay",)))
    assert (report.done, report.computed, report.skipped, report.repeated) == (1, 0, 1, 1)


def test_results_that_somebody_removed_are_computed_again(again: Callable[..., BatchReport], tmp_path: Path) -> None:
    out, options = tmp_path / "out", replace(ONE, outputs=("overlay",))
    before, rows = results(out), table(out)
    (out / f"{output_stem('car-1.png')}.overlay.png").unlink()
    assert again(options).computed == 1 and results(out) == before
    for name in ("results", "table"):  # as `rm -r out/*` does, which leaves the hidden journal
        shutil.rmtree(out / name)
    assert again(options).computed == 1
    assert results(out) == before and table(out) == rows


def test_a_table_that_somebody_removed_is_written_again(again: Callable[..., BatchReport], tmp_path: Path) -> None:
    before = table(tmp_path / "out")
    shutil.rmtree(tmp_path / "out" / "table")
    assert again(replace(ONE, outputs=("overlay",))).computed == 0
    assert table(tmp_path / "out") == before


def test_a_car_that_is_named_later_is_taken_in_without_computing(
    again: Callable[..., BatchReport], tmp_path: Path
) -> None:
    options = replace(ONE, outputs=("overlay",), group_pattern=r"(?P<group>car-\d+)")
    assert again(options).computed == 0
    assert [row["car"] for row in table(tmp_path / "out")] == ["car-1"]
    assert again(replace(options, group_pattern=None)).computed == 0
    assert [row["car"] for row in table(tmp_path / "out")] == ["car-1"], "nothing says that it is another"


def test_files_that_are_no_longer_asked_for_do_not_stay_beside_newer_ones(
    again: Callable[..., BatchReport], tmp_path: Path
) -> None:
    assert len(results(tmp_path / "out")) == 2
    assert again().computed == 1
    assert list(results(tmp_path / "out")) == [output_stem("car-1.png").removeprefix("results/") + ".geojson"]


def test_a_clock_that_went_back_hides_no_scan(again: Callable[..., BatchReport], tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "out" / ".batch" / "journal.sqlite")) as journal, journal:
        journal.execute("UPDATE scans SET at = at + 3600, state = 'crashed', reason = 'why'")
    report = again(replace(ONE, outputs=("overlay",)))
    assert (report.set_aside, report.repeated, report.complete) == (1, 1, False)


def test_a_run_that_did_not_end_is_not_complete_and_writes_its_page(
    again: Callable[..., BatchReport], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert status(out).complete
    (out / "index.html").write_text("of an earlier run")
    with closing(sqlite3.connect(out / ".batch" / "journal.sqlite")) as journal, journal:
        journal.execute("UPDATE facts SET value = 'true' WHERE name = 'unfinished'")  # killed between table and page
    assert not status(out).finished and not status(out).complete
    assert again(replace(ONE, outputs=("overlay",))).computed == 0
    assert "Fleet report" in (out / "index.html").read_text(encoding="utf-8") and status(out).complete


def edited(out: Path, **columns: Any) -> None:
    """Put values of another kind into the only row of the table."""
    from surfacedefect.batch.jobs import Job

    path = out / f"table/bucket={bucket_of(Job('car-1.png', '')):02d}" / "scans.parquet"
    rows = pq.ParquetFile(path).read()
    for name, value in columns.items():
        rows = rows.set_column(rows.schema.names.index(name), name, pa.array([value]))
    pq.write_table(rows, path)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("scan", 5),
        ("scan", None),
        ("cells", "x"),
        ("defects", "x"),
        ("error", b"\xff"),
        ("state", "odd"),
        ("car", {"a": 1}),
    ],
)
def test_a_table_that_no_batch_wrote_is_not_taken_over(
    again: Callable[..., BatchReport], tmp_path: Path, column: str, value: object
) -> None:
    shutil.rmtree(tmp_path / "out" / ".batch")
    edited(tmp_path / "out", **{column: value})
    with pytest.raises(BatchError, match="holds a table that cannot be read"):
        again()


def test_what_another_model_found_is_kept_when_a_table_is_taken_over(
    again: Callable[..., BatchReport], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.rmtree(out / ".batch")
    write_scan(tmp_path / "other" / "b.png")
    run(tmp_path / "other", out, model="batch_fakes:nothing", options=ONE)
    assert adopted_facts(Destination(str(out)))[0] == ["scratch", "dent"]
    rows = {row["scan"]: row for row in read_table(Destination(str(out))).to_pylist()}
    assert (rows["car-1.png"]["count_dent"], rows["car-1.png"]["model"]) == (1, "dark")
    assert (rows["b.png"]["count_dent"], rows["b.png"]["model"]) == (None, "nothing")


def test_a_damaged_journal_may_be_removed(again: Callable[..., BatchReport], tmp_path: Path) -> None:
    path = tmp_path / "out" / ".batch" / "journal.sqlite"
    for part in path.parent.glob("journal*"):
        part.write_bytes(b"no data base" * 100)
    with pytest.raises(BatchError, match="damaged, remove it"):
        again()
    with pytest.raises(BatchError, match="damaged, remove it"):
        Journal(path)
    shutil.rmtree(path.parent)
    assert again(replace(ONE, outputs=("overlay",))).skipped == 1


def test_a_scan_that_is_replaced_while_it_is_looked_at_is_looked_at_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from surfacedefect.batch._one_scan import Inspector, Setup
    from surfacedefect.batch._reading import Reader
    from surfacedefect.batch.jobs import Job

    path = write_scan(tmp_path / "a.png")
    import batch_fakes

    from surfacedefect.batch._model import card_hash

    setup = Setup("batch_fakes:dark", "auto", card_hash(batch_fakes.CARD), str(tmp_path / "out"), ONE, 1)
    inspector, reader = Inspector(setup), Reader(tmp_path / "scratch", options=ONE)
    job = Job("a.png", str(path))
    assert inspector.inspect(job, reader.fetch(job)).state == "done"
    fetched = reader.fetch(job)
    write_scan(tmp_path / "new.png", number=7).replace(path)
    found = inspector.inspect(job, fetched)
    assert (found.state, found.picture) == ("unread", "") and "changed while" in found.reason
    fetched = reader.fetch(job)
    path.write_bytes(b"half of a picture")
    assert inspector.inspect(job, fetched).state == "unread", "it is not set aside for what it is only now"
