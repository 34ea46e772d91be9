"""The page on splits, leaks and tiles: its examples run, its options are all told."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest
from labelled import coco, picture
from shapely.geometry import box

from surfacedefect.annotations import AnnotatedImage, Region
from surfacedefect.datasets import TileOptions, ingest
from surfacedefect.datasets._strata import DAMAGED_SHARES
from surfacedefect.evaluation import Protocol

PAGE = (Path(__file__).parents[2] / "docs" / "splits.md").read_text(encoding="utf-8")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    images = []
    for n in range(12):
        name = f"car {n}/door.png"
        picture(tmp_path / "share" / name, n, size=(600, 300))
        images.append(AnnotatedImage(name, 600, 300, (Region("dent", box(10, 10, 40, 40)),)))
    coco(tmp_path / "coco.json", [*images, AnnotatedImage("gone.png", 64, 48)])
    ingest(tmp_path / "share", tmp_path / "dataset")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_examples_run_as_they_stand(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(code, {})
    told = capsys.readouterr().out
    assert told.startswith("gone.png: no row of the manifest has this picture")
    assert told.rstrip().endswith(" 0.5"), "half of the tiles are clean"


def test_the_numbers_of_the_page_are_those_of_the_rule() -> None:
    rule, options = Protocol(), TileOptions()
    assert options.size_px == rule.tile_px and options.damaged_px == rule.tile_damaged_px
    assert options.valid_share == rule.tile_valid_share == 0.5
    for text in (
        f"at least {rule.tile_damaged_px} damaged px",
        f"within {rule.doubt_px} px outside",
        f"under {rule.least_true_px} px are ignored",
        ", under ".join(["none", *(f"{share:.3g} %" for share in (100 * end for end in DAMAGED_SHARES))]),
    ):
        assert text in " ".join(PAGE.split()), text
    assert [field.name for field in fields(TileOptions)][:3] == ["size_px", "damaged_px", "valid_share"]
