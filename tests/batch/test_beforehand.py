"""What is refused before anything is written or started."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from batch_runs import write_scan

from surfacedefect.batch import BatchOptions, run, status
from surfacedefect.batch.sources import open_scans
from surfacedefect.errors import DatasetError, OptionError, OutputError, SourceError, SurfaceDefectError

DARK = "batch_fakes:dark"


@pytest.fixture
def scans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write_scan(tmp_path / "scans" / "a.png").parent


@pytest.mark.parametrize("value", [None, 5, b"scans", [], {}, "~nobody-of-this-name/x", "\0", "", "x" * 5000])
def test_what_is_no_place_is_refused(scans: Path, tmp_path: Path, value: Any) -> None:
    for call in (
        lambda: run(value, tmp_path / "out", model=DARK),
        lambda: run(scans, value, model=DARK, options=BatchOptions(workers=1)),
        lambda: status(value),
    ):
        with pytest.raises(SurfaceDefectError):
            call()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "given", [{"options": {}}, {"options": 5}, {"options": []}, {"ray": 5}, {"ray": ""}, {"progress": 5}]
)
def test_what_is_of_the_wrong_kind_is_refused(scans: Path, tmp_path: Path, given: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=f"{next(iter(given))} is"):
        run(scans, tmp_path / "out", model=DARK, **given)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "given",
    [{"retry_set_aside": "no"}, {"state_folder": 5}, {"storage_options": {1: 2}}, {"dest_storage_options": {1: 2}}],
)
def test_options_of_the_wrong_kind_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=f"{next(iter(given))} is"):
        BatchOptions(**given)


def test_options_that_cannot_travel_are_refused(scans: Path, tmp_path: Path) -> None:
    options = BatchOptions(dest_storage_options={"lock": threading.Lock()})
    with pytest.raises(OptionError, match="cannot be handed to worker processes"):
        run(scans, tmp_path / "out", model=DARK, options=options)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("dest", ["memory://out", "://", "\udcff"])
def test_a_place_that_would_lose_results_is_refused(scans: Path, dest: str) -> None:
    with pytest.raises(OutputError, match="expected a folder"):
        run(scans, dest, model=DARK, options=BatchOptions(workers=1))


def test_a_destination_in_its_own_source_is_refused_in_a_store_too(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="lies in the source"):
        run("http://127.0.0.1:9/scans/", "http://127.0.0.1:9/scans/out", model=DARK)


def test_a_source_without_scans_is_no_success(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("no scan")
    (tmp_path / "list.txt").write_text("# only a comment\n\n")
    for source in ("empty", "list.txt"):
        with pytest.raises(SourceError, match="holds no scans"):
            run(tmp_path / source, tmp_path / "out", model=DARK)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "column",
    [{"hash": [5]}, {"hash": [None]}, {"view_name": [5]}, {"view_name": [None]}, {"group": [[1]]}, {"state": [5]},
     {"size_bytes": ["x"]}],
)  # fmt: skip
def test_a_manifest_of_other_types_is_refused(tmp_path: Path, column: dict[str, Any]) -> None:
    row: dict[str, Any] = {
        "source_path": ["a.png"], "hash": ["ab" * 32], "state": ["good"], "view_name": ["a.png"], "group": ["car"],
        "size_bytes": [5],
    }  # fmt: skip
    pq.write_table(pa.table(row), tmp_path / "manifest.parquet")
    assert len(list(open_scans(tmp_path, options=BatchOptions(), dest=None).jobs())) == 1
    pq.write_table(pa.table({**row, **column}), tmp_path / "manifest.parquet")
    with pytest.raises(DatasetError, match="expected what an ingest wrote"):
        list(open_scans(tmp_path, options=BatchOptions(), dest=None).jobs())


def test_a_line_of_many_schemes_is_one_bad_line(scans: Path, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("file://" * 1100 + "x.png\n" + f"file://{scans}/a.png\tcar\n")
    bad, good = open_scans(tmp_path / "list.txt", options=BatchOptions(), dest=None).jobs()
    assert bad.trouble and not good.trouble and (good.name, good.group) == (f"{scans}/a.png", "car")
