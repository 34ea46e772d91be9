"""`surfacedefect data split` and `data leaks`: what they print and how they end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from labelled import coco, picture, rows_of, write_rows
from shapely.geometry import box

from surfacedefect.annotations import AnnotatedImage, Region
from surfacedefect.datasets import ingest, manifest_version

Run = Callable[..., Any]


@pytest.fixture
def dest(tmp_path: Path) -> Path:
    """Twenty pictures of ten cars, half of them scratched, with their annotations in the source."""
    share, images = tmp_path / "share", []
    for n in range(20):
        name = f"car{n // 2}/{n}.png"
        picture(share / name, n)
        regions = (Region("scratch", box(0, 0, 20, 4)),) if n % 4 < 2 else ()
        images.append(AnnotatedImage(name, 64, 48, regions))
    coco(share / "notes.json", [*images, AnnotatedImage("gone.png", 64, 48)])
    ingest(share, tmp_path / "set")
    return tmp_path / "set"


def test_split_and_leaks(run: Run, dest: Path) -> None:
    notes = ("--annotations", "notes.json", "--annotations", dest.parent / "share" / "notes.json")
    arguments = ("data", "split", dest, *notes, "--group-pattern", "(?P<group>car[0-9]+)/")
    dry = run(*arguments, "--shares", "60,20,20", "--dry-run")
    assert dry.exit_code == 0 and dry.stdout.endswith("nothing was written\n")
    assert not any(row["split"] for row in rows_of(dest))
    result = run(*arguments, "--shares", "60,20,20")
    lines = [line.split() for line in result.stdout.splitlines()]
    assert " ".join(lines[0]) == "split units pictures share asked annotated undamaged scratch dent damaged px"
    assert lines[1][:7] == ["train", "6", "12", "60.0%", "60.0%", "12", "6"]
    assert "20 pictures got a split, 0 moved" in result.stdout
    assert result.stdout.endswith(f"version {manifest_version(dest)}\n")
    assert "gone.png: no row of the manifest has this picture" in result.stderr
    assert "warning: 20 of 20 pictures not compared for near duplicates" in result.stderr
    result = run("data", "leaks", dest)
    assert result.exit_code == 0 and result.stdout == "0 leaks between the splits of 20 pictures\n"
    assert "surfacedefect data check DEST" in result.stderr
    assert "annotated" not in run("data", "split", dest).stdout, "nothing is known of annotations"


def test_a_leak_ends_with_1_and_names_both_paths(run: Run, dest: Path, tmp_path: Path) -> None:
    run("data", "split", dest, "--seed", 4)
    rows = rows_of(dest)
    one, two = (next(row for row in rows if row["split"] == name) for name in ("train", "test"))
    one["group"] = two["group"] = "car 1"
    write_rows(tmp_path / "other", [dict.fromkeys(row, None) | row for row in rows])
    result = run("data", "leaks", tmp_path / "other")
    assert result.exit_code == 1
    assert repr(one["source_path"]) in result.stdout and repr(two["source_path"]) in result.stdout
    assert run("data", "leaks", dest, "--against", tmp_path / "other").exit_code == 0, "all in the same splits"
    result = run("data", "split", tmp_path / "other")
    assert "moved from test to train: " + repr(two["source_path"]) in result.stdout
    assert run("data", "leaks", dest, "--against", tmp_path / "other").exit_code == 1


def test_refuses(run: Run, dest: Path, tmp_path: Path) -> None:
    run("data", "split", dest)
    for arguments, words in (
        (("split", dest, "--seed", 1), "split with seed 0"),
        (("split", dest, "--shares", "70,30"), "expected three numbers"),
        (("split", dest, "--shares", "a,b,c"), "expected three numbers"),
        (("split", dest, "--shares", "0,1,1"), "the first above 0"),
        (("split", dest, "--group-pattern", "car"), "(?P<group>...)"),
        (("split", dest, "--annotations", "nowhere.json"), "neither a file or folder here"),
        (("split", tmp_path / "share"), "there is no manifest"),
        (("leaks", tmp_path), "there is no manifest"),
    ):
        result = run("data", *arguments)
        assert result.exit_code == 2 and words in result.stderr, arguments
        assert result.stderr.startswith("surfacedefect: ") and result.stderr.count("\n") == 1
