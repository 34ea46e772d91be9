"""`surfacedefect data tiles`: what it prints and how it ends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from labelled import coco, picture
from shapely.geometry import box

from surfacedefect.annotations import AnnotatedImage, Region
from surfacedefect.datasets import ingest

Run = Callable[..., Any]


def test_tiles_of_annotations_and_of_a_data_set(run: Run, tmp_path: Path) -> None:
    share = tmp_path / "share"
    picture(share / "a.png", 1)
    picture(share / "b.png", 2)
    region = Region("dent", box(0, 0, 20, 20))
    coco(share / "notes.json", [AnnotatedImage("a.png", 64, 48, (region,)), AnnotatedImage("c.png", 64, 48)])
    result = run("data", "tiles", share / "notes.json", tmp_path / "one", "--images", share, "--size", 32)
    assert result.exit_code == 0
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[:2] == [["split", "damaged", "clean"], ["all", "1", "3"]]
    assert "1 picture; left out: 0 with too little damage, 0 with too little valid" in result.stdout
    assert "there is no picture" in result.stderr and "cutting: 1 of 1 file," in result.stderr
    ingest(share, tmp_path / "set")
    run("data", "split", tmp_path / "set")
    arguments = ("data", "tiles", tmp_path / "set", tmp_path / "two", "--annotations", "notes.json", "--size", 48)
    result = run(*arguments, "--damaged-px", 401, "--kinds", "dent", "--valid-share", 0.1)
    assert result.exit_code == 0 and "1 picture not annotated, and not cut" in result.stdout
    assert "left out: 1 with too little damage" in result.stdout and "has no damaged tile" in result.stderr
    assert len(list((tmp_path / "two").rglob("*.png"))) == 1


def test_refuses(run: Run, tmp_path: Path) -> None:
    notes = coco(tmp_path / "notes.json", [AnnotatedImage("a.png", 64, 48)])
    for arguments, words in (
        ((notes, tmp_path / "out", "--images", tmp_path, "--size", 2), "size_px is 2"),
        ((notes, tmp_path, "--images", tmp_path), "expected a new or an empty folder"),
        ((notes, tmp_path / "out"), "--images"),
        ((tmp_path / "nowhere", tmp_path / "out"), "there is nothing"),
    ):
        result = run("data", "tiles", *arguments)
        assert result.exit_code == 2 and words in result.stderr, arguments
        assert result.stderr.startswith("surfacedefect: ") and result.stderr.count("\n") == 1
