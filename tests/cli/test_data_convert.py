"""``surfacedefect data convert``: what it says, what it writes, how it ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from shapely.geometry import box

from surfacedefect.annotations import AnnotatedImage, Dataset, Region, read_annotations, write_annotations

Run = Callable[..., Any]


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    regions = (
        Region("dent", box(1, 1, 5, 5), 0.5),
        Region("Scratch", box(8, 2, 12, 4)),
        Region("dirt", box(0, 0, 1, 1)),
    )
    path = tmp_path / "annotations.json"
    write_annotations(
        Dataset(("dent", "Scratch", "dirt"), (AnnotatedImage("door.jpg", 10, 8, regions),)), path, format="coco"
    )
    return path


def test_it_mends_reports_and_says_what_it_did(run: Run, coco: Path, tmp_path: Path) -> None:
    out, report = tmp_path / "out", tmp_path / "report.json"
    result = run("data", "convert", coco, out, "--to", "labelme", "--kinds", "scratch,dent", "--report", report)
    assert result.exit_code == 1, "something was set aside"
    assert "1 picture; regions: 1 scratch, 1 dent; 2 mended, 1 set aside" in result.stdout
    assert "labelme cannot hold: 1 ids" in result.stdout
    assert "door.jpg: region 2 (scratch) reaches 2 px out of the picture; clipped" in result.stderr
    issues = json.loads(report.read_text())["issues"]
    assert [issue["set_aside"] for issue in issues] == [False, False, True]
    found = read_annotations(out).images[0].regions
    assert [(region.kind, region.polygon.area) for region in found] == [("dent", 16), ("scratch", 4)]


def test_kinds_are_renamed_and_all_well_ends_in_0(run: Run, coco: Path, tmp_path: Path) -> None:
    kinds = "dent,Scratch=scratch,dirt=dent"
    result = run("data", "convert", coco, tmp_path / "a.xml", "--to", "cvat", "--kinds", kinds)
    assert result.exit_code == 0, result.stderr
    assert read_annotations(tmp_path / "a.xml").categories == ("dent", "scratch")


def test_strict_refuses_and_wrong_use_is_said_in_one_line(run: Run, coco: Path, tmp_path: Path) -> None:
    document = json.loads(coco.read_text())
    document["annotations"][0]["category_id"] = 77
    coco.write_text(json.dumps(document))
    result = run("data", "convert", coco, tmp_path / "a.xml", "--to", "cvat", "--strict")
    assert result.exit_code == 2 and "category 77" in result.stderr and not (tmp_path / "a.xml").exists()
    for arguments, message in (
        ((coco, tmp_path / "a.xml", "--to", "pascal"), "expected one of coco, labelme"),
        ((tmp_path / "none", tmp_path / "a.xml", "--to", "cvat"), "there is nothing"),
        ((coco, tmp_path / "a.xml", "--to", "cvat", "--strict", "--kinds", "dent"), "leave one of them out"),
        ((coco, "", "--to", "labelme"), "the path to write to is empty"),
        (("", tmp_path / "a.xml", "--to", "cvat"), "there is nothing"),
        ((coco,), "see 'surfacedefect data convert --help'"),
    ):
        result = run("data", "convert", *arguments)
        assert result.exit_code == 2 and message in result.stderr and len(result.stderr.splitlines()) == 1


def test_many_issues_are_not_all_printed(run: Run, tmp_path: Path) -> None:
    regions = tuple(Region("dent", box(n, 0, n + 0.5, 20)) for n in range(60))
    write_annotations(
        Dataset(("dent",), (AnnotatedImage("door.jpg", 80, 8, regions),)), tmp_path / "via.json", format="via"
    )
    result = run("data", "convert", tmp_path / "via.json", tmp_path / "a.json", "--to", "coco")
    assert result.exit_code == 0 and "... and 10 more: --report FILE lists all" in result.stderr
    assert len(result.stderr.splitlines()) == 51
