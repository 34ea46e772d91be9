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
from surfacedefect.datasets._sources import without_secrets
from surfacedefect.errors import DatasetError, OptionError, SourceError


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


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("http://[bad", "host or port"),
        ("http://host:99999999/x", "host or port"),
        ("https://127.0.0.1:bad/x", "host or port"),
        ("http://", "names no host"),
        ("sftp:///x", "names no host"),
        ("sftp://ho st/x", "names no host"),
        ("zip://in::http://[bad", "host or port"),
        ("webdav://[bad", "host or port"),
        ("webdav://host:99999999/", "host or port"),
        ("webdav://host:0/", "1 to 65535"),
        ("webdav://a..b/", "host or port"),
        ("webdav://\u2100/", "host or port"),
        ("webdav://\ud800@host/", "no letter"),
        ("webdav://host/a\0b", "null character"),
        ("webdav::/x", "names no host"),
        ("file::/tmp", "lies in nothing else"),
        ("nosuch://x", "Protocol not known: nosuch"),
        ("zip://none.zip", "No such file"),
        ("~nosuchuser/x", "cannot be found"),
        ("a\0b", "null character"),
        ("", "the source is empty"),
        (" ", "the source is empty"),
        ("file://", "names no folder"),
    ],
)
def test_addresses_that_lead_nowhere_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError, match=words):
        ingest(address, tmp_path / "set")
    assert not list(tmp_path.iterdir())


def test_what_is_no_zip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"no archive")
    with pytest.raises(SourceError, match="not a zip file"):
        ingest(f"zip://{tmp_path}/a.zip", tmp_path / "set")
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize(
    "address",
    ["webdav://ann:geheim@", "webdavs://ann:ge/heim@host:x/", "sftp://ann:geheim@[::1", "http://ann:geh:eim@host:x"],
)
def test_no_message_tells_a_password(tmp_path: Path, address: str) -> None:
    with pytest.raises(SourceError) as caught:
        ingest(address, tmp_path / "set")
    assert "ge" not in str(caught.value).split("; expected")[0] and "eim" not in str(caught.value)


def test_names_of_sources_stay_as_they_were() -> None:
    """They are in manifests: another name would make another source of the same share."""
    for address, name in (
        ("WEBDAVS://ann:a%40b@Host:8443/a@b?x#y", "webdavs://Host:8443/a@b?x#y"),
        ("sftp://ann@[::1]:22/a", "sftp://[::1]:22/a"),
        ("webdav://host/a@b", "webdav://host/a@b"),
        ("zip://a@b.jpg::sftp://ann@host/a.zip", "zip://b.jpg::sftp://host/a.zip"),
    ):
        assert without_secrets(address) == name


@pytest.mark.parametrize("source", ["share", "file://share", "zip://a.zip", "webdav://127.0.0.1:1/"])
def test_storage_options_that_nothing_reads_are_refused(tmp_path: Path, write: Write, source: str) -> None:
    write("a.jpg", jpeg(1))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.jpg", jpeg(1))
    source = source.replace("share", str(tmp_path / "share")).replace("a.zip", str(tmp_path / "a.zip"))
    with pytest.raises(OptionError, match="storage_options names key") as caught:
        ingest(source, tmp_path / "set", options=IngestOptions(storage_options={"key": "geheim"}))
    assert "geheim" not in str(caught.value) and not (tmp_path / "set").exists()
    if source.startswith("webdav"):
        with pytest.raises(OptionError, match="user of storage_options is an int"):
            ingest(source, tmp_path / "set", options=IngestOptions(storage_options={"user": 3}))


def test_no_folder_is_not_the_current_one(tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write("a.jpg", jpeg(1))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DatasetError, match="folder of the data set is empty"):
        ingest(tmp_path / "share", "")
    with pytest.raises(DatasetError, match="cannot be found"):
        ingest(tmp_path / "share", "~nosuchuser/set")
    assert [path.name for path in tmp_path.iterdir()] == ["share"]
