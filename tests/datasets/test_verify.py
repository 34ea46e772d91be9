"""What `verify` names."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from messy_share import jpeg, make_mess

from surfacedefect.datasets import ingest, manifest_version, read_manifest, verify
from surfacedefect.errors import DatasetError


@pytest.fixture
def dest(tmp_path: Path) -> Path:
    make_mess(tmp_path / "share", pictures=20)
    ingest(tmp_path / "share", tmp_path / "set")
    return tmp_path / "set"


def object_of(dest: Path, source_path: str) -> Path:
    rows = {row["source_path"]: row for row in read_manifest(dest).to_pylist()}
    return dest / "objects" / rows[source_path]["hash"][:2] / rows[source_path]["hash"][2:]


def test_names_what_changed(dest: Path) -> None:
    paths = [row["source_path"] for row in read_manifest(dest).to_pylist() if row["state"] == "good"][:4]
    missing, other, longer, renamed = (object_of(dest, path) for path in paths)
    missing.unlink()
    for path, content in ((other, other.read_bytes()[:-1] + b"?"), (longer, longer.read_bytes() + b"!")):
        path.chmod(0o644)
        path.write_bytes(content)
    (name,) = (path for path in (dest / "view").iterdir() if path.samefile(renamed))
    name.unlink()
    name.write_bytes(jpeg(999))
    report = verify(dest)
    assert not report.good
    assert {change.source_path: change.what for change in report.changes} == dict(
        zip(paths, ("missing", "changed", "changed", "view"), strict=True)
    )
    words = {change.source_path: change.found for change in report.changes}
    assert "other bytes, as many" in words[paths[1]] and "bytes instead of" in words[paths[2]]


def test_a_copy_without_journal_and_view_can_be_checked(dest: Path, tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    shutil.copytree(dest / "objects", tmp_path / "copy" / "objects")
    shutil.copy(dest / "manifest.parquet", tmp_path / "copy")
    report = verify(tmp_path / "copy")
    assert report.good and report.version == manifest_version(dest)
    assert report.objects == len(set(read_manifest(dest, columns=["hash"])["hash"].to_pylist()))
    with pytest.raises(DatasetError, match="holds a manifest but not the journal"):
        ingest(tmp_path / "share", tmp_path / "copy")


def test_a_folder_that_is_no_data_set(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"there is no manifest .* expected a data set"):
        verify(tmp_path)
    with pytest.raises(DatasetError, match="cannot be read: No such file"):
        manifest_version(tmp_path)


def test_a_hostile_manifest_leads_nowhere(dest: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    table = read_manifest(dest)
    hashes = pyarrow.array(["../../../../etc/passwd"] * len(table))
    at = table.schema.get_field_index("hash")
    pyarrow.parquet.write_table(table.set_column(at, "hash", hashes), dest / "manifest.parquet")
    with pytest.raises(DatasetError, match=r"found the hash '../../../../etc/passwd', expected 64 digits"):
        verify(dest)
