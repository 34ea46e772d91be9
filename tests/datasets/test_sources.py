"""Where files come from: folders with links, archives with hostile names, whatever fsspec opens."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest
from ingest_runs import Write, rows_of, tree
from messy_share import jpeg

from surfacedefect.datasets import IngestOptions, ingest


def test_links_never_lead_out_of_the_source(tmp_path: Path, write: Write) -> None:
    write("a.jpg", jpeg(1))
    (tmp_path / "secret.jpg").write_bytes(jpeg(2))
    (tmp_path / "outside").mkdir()
    share = tmp_path / "share"
    (share / "inside.jpg").symlink_to("a.jpg")
    (share / "out.jpg").symlink_to(tmp_path / "secret.jpg")
    (share / "up").symlink_to(tmp_path / "outside")
    (share / "loop").symlink_to(".")
    (share / "gone.jpg").symlink_to("nothing")
    os.mkfifo(share / "pipe")
    ingest(share, tmp_path / "set")
    found = {path: row["state"] for path, row in rows_of(tmp_path / "set").items()}
    linked = dict.fromkeys(("out.jpg", "up", "loop", "gone.jpg"), "link")
    assert found == {"a.jpg": "good", "inside.jpg": "duplicate", "pipe": "not_a_file", **linked}
    assert jpeg(2) not in [path.read_bytes() for path in (tmp_path / "set" / "objects").rglob("*") if path.is_file()]


def test_names_that_are_not_utf_8(tmp_path: Path, write: Write) -> None:
    write(os.fsdecode(b"caf\xe9.jpg"), jpeg(1))
    report = ingest(tmp_path / "share", tmp_path / "set")
    assert report.states == {"good": 1} and list(rows_of(tmp_path / "set")) == ["caf\\xe9.jpg"]
    assert ingest(tmp_path / "share", tmp_path / "set").fetched_files == 0


def test_nothing_is_written_outside_whatever_a_zip_says(tmp_path: Path) -> None:
    names = ["../up.jpg", "/abs.jpg", "a/../../b.jpg", "C:\\win.jpg", "same.jpg", "d\ne/f?.jpg"]
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for number, name in enumerate(names):
            archive.writestr(name, jpeg(number))
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("same.jpg", jpeg(99))
    before = tree(tmp_path)
    ingest(f"zip://{tmp_path}/a.zip", tmp_path / "set")
    rows = rows_of(tmp_path / "set")
    assert {row["state"] for row in rows.values()} == {"good"} and len(rows) == 7
    assert {name for name in tree(tmp_path) - before if not name.startswith("set")} == set()
    assert len(list((tmp_path / "set" / "view").iterdir())) == 7
    again = ingest(f"zip://::file://{tmp_path}/a.zip", tmp_path / "other", options=IngestOptions(name="the zip"))
    assert again.states == {"good": 7} and rows_of(tmp_path / "other")["../up.jpg"]["source"] == "the zip"


def test_other_file_systems_of_fsspec(tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    try:
        for number in range(6):
            memory.pipe(f"/share/car {number % 2}/deep/{number}?.jpg", jpeg(number % 5))
        memory.pipe("/share/notes.txt", b"notes")
        report = ingest("memory://share", tmp_path / "set", options=IngestOptions(connections=2))
        assert report.states == {"good": 5, "duplicate": 1, "not_a_picture": 1}
        assert set(rows_of(tmp_path / "set")) >= {"car 0/deep/0?.jpg", "notes.txt"}
        assert ingest("memory://share", tmp_path / "set").fetched_files == 0
    finally:
        memory.rm("/share", recursive=True)


def test_a_broken_line_of_any_file_system_is_taken_up_in_the_middle(tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    content, starts = jpeg(1, width=700, height=450, format="PNG"), []

    class BreakingFile(io.BytesIO):
        def seek(self, where: int, whence: int = 0) -> int:
            starts[-1] = where
            return super().seek(where, whence)

        def read(self, count: int | None = -1) -> bytes:
            if len(starts) <= 3 and self.tell() > starts[-1]:
                raise ConnectionResetError("gone")
            return super().read(count)

    class Breaking(fsspec.AbstractFileSystem):  # type: ignore[misc]
        protocol, cachable = "breaking", False

        def ls(self, path: str, **_: Any) -> list[dict[str, Any]]:
            return [{"name": f"{path}/a.png", "size": len(content), "type": "file", "mtime": 1.0}]

        def open(self, path: str, mode: str = "rb", **_: Any) -> BreakingFile:
            starts.append(0)
            return BreakingFile(content)

    fsspec.register_implementation("breaking", Breaking, clobber=True)
    options = IngestOptions(backoff_s=0.001, retries=1)
    assert ingest("breaking://line", tmp_path / "set", options=options).states == {"good": 1}
    assert starts == [0, 2**18, 2 * 2**18, 3 * 2**18]
    assert [path.read_bytes() for path in (tmp_path / "set" / "view").iterdir()] == [content]
