"""`check`: flags and groups in the manifest, kept from run to run."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ingest_runs import Write, assert_near_groups, near_groups, rows_of
from messy_share import make_mess, near_copy
from pictures import drawn, picture, png
from PIL import Image, ImageFilter

from surfacedefect.datasets import FLAGS, CheckReport, Progress, check, ingest
from surfacedefect.datasets._layout import Layout
from surfacedefect.datasets._looks import LookJob, Verdicts, read_look, take_looks
from surfacedefect.datasets._miniature import edge_sigma, miniature_of
from surfacedefect.errors import DatasetError, DatasetLockedError, OptionError
from surfacedefect.scan import Scan


@pytest.fixture
def dest(tmp_path: Path, write: Write) -> Path:
    """Pictures that are good, blank, too bright, too dark, blurred; a near and an exact copy; a file that is none."""
    sharp = drawn()
    write("sharp.png", png(sharp))
    write("near/sharp.jpg", near_copy(png(sharp)))
    write("copy of sharp.png", png(sharp))
    write("blank.png", png(Image.new("RGB", (80, 60), (128, 128, 128))))
    write("bright.png", png(drawn(1).point(lambda value: min(255, value * 3))))
    write("dark.png", png(drawn(2).point(lambda value: value // 6)))
    write("blurred.png", png(drawn(3).filter(ImageFilter.GaussianBlur(5))))
    write("notes.txt", b"notes")
    ingest(tmp_path / "share", tmp_path / "set")
    return tmp_path / "set"


def column(dest: Path, name: str) -> dict[str, Any]:
    return {path: row[name] for path, row in rows_of(dest).items()}


def test_flags_and_groups_are_in_the_manifest(dest: Path) -> None:
    report = check(dest)
    assert column(dest, "flags") == {
        "sharp.png": [],
        "near/sharp.jpg": [],
        "copy of sharp.png": [],
        "blank.png": ["blank"],
        "bright.png": ["overexposed"],
        "dark.png": ["underexposed"],
        "blurred.png": ["blurred"],
        "notes.txt": None,
    }
    groups = column(dest, "near_duplicate_group")
    together = {path for path, group in groups.items() if group is not None}
    assert together == {"sharp.png", "near/sharp.jpg", "copy of sharp.png"}
    assert len({groups[path] for path in together}) == 1
    assert report.pictures == report.looked_at == 6
    assert report.flags == dict.fromkeys(FLAGS, 1)
    assert report.groups == (("copy of sharp.png", "near/sharp.jpg"),)
    assert report.unreadable == ()


def test_a_second_check_looks_at_what_is_new(dest: Path, tmp_path: Path, write: Write) -> None:
    first = check(dest)
    again = check(dest)
    assert (again.looked_at, again.compared) == (0, 0)
    assert (again.groups, again.flags, again.version) == (first.groups, first.flags, first.version)
    write("later.png", png(drawn(3)))
    ingest(tmp_path / "share", dest)
    assert column(dest, "flags")["blurred.png"] == ["blurred"] and column(dest, "flags")["later.png"] is None
    assert check(dest).looked_at == 1
    assert column(dest, "flags")["later.png"] == []


def test_processes_find_the_same(dest: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(dest, other, symlinks=True)
    alone = check(dest, workers=1)
    module = sys.modules[check.__module__]
    for name in ("_LOOKS_A_JOB", "_PAIRS_A_JOB", "_WORTH_PROCESSES"):
        monkeypatch.setattr(module, name, 1)
    assert check(other, workers=2).version == alone.version


def test_a_group_that_is_gone_leaves_the_manifest(dest: Path, tmp_path: Path) -> None:
    check(dest)
    (tmp_path / "share" / "near" / "sharp.jpg").write_bytes(png(drawn(9)))
    ingest(tmp_path / "share", dest)
    assert check(dest).groups == ()
    assert near_groups(dest) == set()


def test_bytes_that_are_gone_are_named(dest: Path) -> None:
    lost = Layout(dest).object(rows_of(dest)["sharp.png"]["hash"])
    lost.unlink()
    report = check(dest)
    assert [path for path, _ in report.unreadable] == ["copy of sharp.png"]
    assert column(dest, "flags")["sharp.png"] is None
    assert report.looked_at == 5


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 half", None])
def test_a_damaged_look_is_made_anew(dest: Path, damage: bytes | None) -> None:
    first = check(dest)
    look = Layout(dest).look(rows_of(dest)["sharp.png"]["hash"])
    if damage is None:
        look.write_bytes(look.read_bytes()[:-100])
    else:
        look.write_bytes(damage)
    (dest / ".surfacedefect" / "compared.sqlite").write_bytes(b"no database, and long enough to be looked at" * 50)
    again = check(dest)
    assert (again.looked_at, again.version) == (1, first.version)


def test_one_at_a_time(dest: Path) -> None:
    with Layout(dest).locked(), pytest.raises(DatasetLockedError):
        check(dest)


def test_what_is_no_data_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no manifest"):
        check(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("dest", [None, 3, b"set", ["set"], "a\0b"])
def test_a_folder_that_is_no_path_is_refused(dest: Any) -> None:
    with pytest.raises(DatasetError, match="expected a path"):
        check(dest)


@pytest.mark.parametrize("workers", [0, -1, 1.5, "two", True])
def test_workers_are_checked(dest: Path, workers: Any) -> None:
    with pytest.raises(OptionError, match="workers"):
        check(dest, workers=workers)


def test_an_empty_data_set(tmp_path: Path) -> None:
    (tmp_path / "share").mkdir()
    ingest(tmp_path / "share", tmp_path / "set")
    report = check(tmp_path / "set")
    assert isinstance(report, CheckReport)
    assert (report.pictures, report.groups, report.flags) == (0, (), {})


def test_progress_counts_every_picture(dest: Path) -> None:
    told: list[Progress] = []
    check(dest, progress=told.append)
    looking = [now for now in told if now.phase == "looking"]
    assert (looking[0].files, looking[-1].files, looking[-1].of_files) == (0, 6, 6)
    assert told[-1].phase == "finishing"


def test_a_callback_that_raises_ends_it_and_the_next_goes_on(dest: Path) -> None:
    class Stop(Exception):
        pass

    def stop(now: Progress) -> None:
        if now.phase == "comparing":
            raise Stop

    with pytest.raises(Stop):
        check(dest, progress=stop)
    assert set(column(dest, "flags").values()) == {None}
    assert check(dest).looked_at == 0


def test_near_copies_of_a_messy_share(tmp_path: Path) -> None:
    mess = make_mess(tmp_path / "share", pictures=40, near=0.1)
    ingest(tmp_path / "share", tmp_path / "set")
    check(tmp_path / "set")
    assert_near_groups(tmp_path / "set", mess)


@pytest.mark.parametrize(("height", "width"), [(40, 30), (257, 700), (1000, 90), (512, 512)])
def test_a_miniature_is_the_mean_over_areas(tmp_path: Path, height: int, width: int) -> None:
    image = picture(height, width)
    Image.fromarray(image).save(tmp_path / "a.png")
    found = miniature_of(tmp_path / "a.png")
    gray = np.asarray(Image.fromarray(image).convert("L"))
    assert found.histogram.sum() == height * width
    assert (found.histogram == np.bincount(gray.ravel(), minlength=256)).all()
    assert found.image.mean() == pytest.approx(gray.mean(), abs=0.6)
    # Every pixel 256 times along an axis: then each mean is over whole pixels.
    narrow = np.repeat(gray.astype(float), 256, axis=1).reshape(height, 256, width).mean(axis=2)
    expected = np.repeat(narrow, 256, axis=0).reshape(256, height, 256).mean(axis=1)
    assert np.abs(found.image - expected).max() <= 0.5 + 1e-6


def test_memory_does_not_hold_the_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(picture(2000, 300)).save(tmp_path / "a.png")
    asked: list[int] = []
    rows = Scan.rows

    def watched(scan: Scan, start: int, stop: int) -> Any:
        asked.append(stop - start)
        return rows(scan, start, stop)

    monkeypatch.setattr(Scan, "rows", watched)
    miniature_of(tmp_path / "a.png")
    assert max(asked) <= 256 and sum(asked) == 2000


@pytest.mark.parametrize("sigma", [2.0, 3.0, 5.0])
def test_the_blur_of_edges_is_measured(sigma: float) -> None:
    rows, columns = np.mgrid[:512, :512]
    sharp = Image.fromarray((60 + 100 * ((rows // 80 + columns // 80) % 2)).astype(np.uint8)).convert("RGB")
    blurred = np.asarray(sharp.filter(ImageFilter.GaussianBlur(sigma)).convert("L"))
    assert edge_sigma([blurred]) == pytest.approx(sigma, rel=0.25)


def test_paint_without_edges_has_no_blur() -> None:
    rows, columns = np.mgrid[:256, :256]
    smooth = (100 + rows / 8 + columns / 16).astype(np.uint8)
    assert np.isnan(edge_sigma([smooth]))


@pytest.mark.skipif(os.name != "posix", reason="uses POSIX permissions")
@pytest.mark.skipif(getattr(os, "geteuid", lambda: 1)() == 0, reason="the superuser may write everywhere")
def test_a_folder_that_cannot_be_written_is_refused(dest: Path) -> None:
    private = dest / ".surfacedefect"
    private.chmod(0o500)
    try:
        with pytest.raises(DatasetError):
            check(dest)
    finally:
        private.chmod(0o700)


@pytest.mark.parametrize("changed", [{"hashes": 1}, {"upright_corners": 1}, {"flags": 3}, {"version": [1, 1]}])
def test_a_look_of_another_shape_is_none(tmp_path: Path, changed: dict[str, Any]) -> None:
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    look = tmp_path / "look.npz"
    assert take_looks((LookJob(tmp_path / "a.png", look, 1200),)) == [(tmp_path / "a.png", "")]
    assert read_look(look, with_image=True) is not None
    with np.load(look) as kept:
        np.savez_compressed(look, **{**kept, **{name: np.array(value) for name, value in changed.items()}})
    assert read_look(look, with_image=True) is None


@pytest.mark.parametrize("damage", ["folder", "pages", "columns"])
def test_damaged_verdicts_are_made_anew(tmp_path: Path, damage: str) -> None:
    path, pairs = tmp_path / "compared.sqlite", [(f"{n:064x}", 64 * "f", 0, True) for n in range(200)]
    first = Verdicts(path)
    first.note(pairs)
    first.close()
    if damage == "folder":
        path.unlink()
        path.mkdir()
    elif damage == "pages":
        path.write_bytes(path.read_bytes()[:4096] + 4096 * b"U")
    else:
        with sqlite3.connect(path) as database:
            database.execute("ALTER TABLE verdicts RENAME COLUMN same TO other")
    again = Verdicts(path)
    assert again.known(*pairs[0][:2], way=0) is None
    again.note(pairs)
    assert again.known(*pairs[0][:2], way=0) is True
    again.close()
