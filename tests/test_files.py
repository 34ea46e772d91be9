"""Files appear whole or not at all."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from surfacedefect._files import atomic_path, check_folder, clearing_new_folders, write_json, write_text
from surfacedefect.errors import OptionError, OutputError


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_block_writes_a_neighbour_that_becomes_the_file(tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder" / "map.tif"
    with atomic_path(target) as part:
        assert part.parent == target.parent
        assert part.suffix == ".tif"
        part.write_bytes(b"whole")
        assert not target.exists()
    assert target.read_bytes() == b"whole"
    assert left_in(target.parent) == ["map.tif"]


@pytest.mark.parametrize("stop", [ValueError("bug"), KeyboardInterrupt(), SystemExit(143)])
def test_failure_keeps_the_old_file_and_leaves_nothing_else(tmp_path: Path, stop: BaseException) -> None:
    target = tmp_path / "found.json"
    target.write_text("old")
    with pytest.raises(type(stop)), atomic_path(target) as part:
        part.write_text("half")
        raise stop
    assert target.read_text() == "old"
    assert left_in(tmp_path) == ["found.json"]


def test_link_is_followed(tmp_path: Path) -> None:
    real, link = tmp_path / "real.txt", tmp_path / "link.txt"
    real.write_text("old")
    link.symlink_to(real)
    write_text(link, "new")
    assert link.is_symlink()
    assert real.read_text() == "new"


def test_new_file_has_the_usual_rights(tmp_path: Path) -> None:
    write_text(tmp_path / "atomic.txt", "a")
    (tmp_path / "plain.txt").write_text("a")
    assert (tmp_path / "atomic.txt").stat().st_mode == (tmp_path / "plain.txt").stat().st_mode


def test_folder_device_and_file_as_parent_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path, words in (
        (tmp_path, "is a folder"),
        (Path(os.devnull), "not an ordinary file"),
        (tmp_path / "file" / "x.json", "is a file, not a folder"),
        (tmp_path / ("n" * 300), "name is too long"),
    ):
        with pytest.raises(OutputError, match=words):
            write_text(path, "x")
    assert not Path(os.devnull).is_file()


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "disk is full"), (errno.EROFS, "no right to write"), (errno.EIO, "Input/output")],
)
def test_what_the_system_says_becomes_advice(tmp_path: Path, number: int, words: str) -> None:
    target = tmp_path / "x.json"
    with pytest.raises(OutputError, match=words) as caught, atomic_path(target) as part:
        part.write_text("half")
        raise OSError(number, os.strerror(number))
    assert str(target) in str(caught.value)
    assert left_in(tmp_path) == []


def test_own_errors_pass_unchanged(tmp_path: Path) -> None:
    for error in (OutputError("inner"), OptionError("inner")):
        with pytest.raises(type(error), match="^inner$"), atomic_path(tmp_path / "x"):
            raise error


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(OutputError, match="no right to write"):
            write_text(tmp_path / "x", "")
        with pytest.raises(OutputError, match="no right to write"):
            check_folder(tmp_path)
    finally:
        tmp_path.chmod(0o700)


def test_check_folder_makes_it_and_leaves_it_empty(tmp_path: Path) -> None:
    check_folder(tmp_path / "a" / "b")
    assert left_in(tmp_path / "a" / "b") == []
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="is a file, not a folder"):
        check_folder(tmp_path / "file")


def test_json_round_trip_and_no_nan(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"größe": [1, None]})
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"größe": [1, None]}
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "b.json", {"x": float("nan")})
    assert left_in(tmp_path) == ["a.json"]


def test_a_refused_call_clears_the_folders_it_made_and_no_others(tmp_path: Path) -> None:
    (tmp_path / "old" / "empty").mkdir(parents=True)
    for path in ("new/a/b", "old/new", "old", "old/empty/../new/x"):
        with pytest.raises(OutputError), clearing_new_folders(tmp_path / path, tmp_path / "full" / "a"):
            (tmp_path / path).mkdir(parents=True, exist_ok=True)
            (tmp_path / "full" / "a" / "empty").mkdir(parents=True)
            (tmp_path / "full" / "a" / "kept.txt").touch()
            raise OutputError("refused")
        (tmp_path / "full" / "a" / "kept.txt").unlink()
        (tmp_path / "full" / "a").rmdir()
        (tmp_path / "full").rmdir()
        assert sorted(item.name for item in tmp_path.rglob("*")) == ["empty", "old"]
    with clearing_new_folders(tmp_path / "new"):
        (tmp_path / "new").mkdir()
    assert (tmp_path / "new").is_dir(), "a call that ends well keeps what it made"
