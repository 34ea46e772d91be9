"""The page on `data check`: its examples run, its thresholds are those of the code."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from messy_share import near_copy
from pictures import drawn, png
from PIL import Image, ImageFilter

from surfacedefect.datasets import FLAGS, flags, ingest
from surfacedefect.datasets import _alignment as alignment
from surfacedefect.datasets._layout import Layout
from surfacedefect.datasets._miniature import miniature_of
from surfacedefect.datasets.near_duplicates import FEW_CORNERS, HASH_DISTANCE, HASH_DISTANCE_OF_SMOOTH, fingerprint

PAGE = (Path(__file__).parents[2] / "docs" / "data-check.md").read_text(encoding="utf-8")
TEXT = re.sub(r"\s+", " ", PAGE)


def test_the_example_runs_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = {
        "a.jpg": drawn(),
        "copy/b.jpg": Image.open(io.BytesIO(near_copy(png(drawn())))),
        "c.jpg": drawn(3).filter(ImageFilter.GaussianBlur(5)),
    }
    monkeypatch.chdir(tmp_path)
    Path("share/copy").mkdir(parents=True)
    for name, picture in pictures.items():
        picture.save(Path("share") / name, quality=95)
        picture.save(Path(name).name, quality=95)
    ingest("share", "dataset")
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(code, {})
    told = re.findall(r"print\(.*\)  # (.*)\n", code)
    assert capsys.readouterr().out.splitlines() == told
    sizes = [path.stat().st_size for path in (Path("dataset") / ".surfacedefect" / "looks").rglob("*.npz")]
    assert len(sizes) == 3 and max(sizes) < 100_000


def test_the_thresholds_are_those_of_the_code() -> None:
    assert f"the threshold here, {HASH_DISTANCE} bits ({HASH_DISTANCE_OF_SMOOTH} for pictures" in TEXT
    assert f"fewer than {FEW_CORNERS} corners" in TEXT
    assert f"correlation of at least {alignment._LEAST_CORRELATION} over" in TEXT
    share = f"of {alignment._PLACE_AGREES} in at least {alignment._LEAST_SHARE:.0%}".replace("%", " %")
    assert share in TEXT
    assert f"standard deviation under {alignment.LEAST_TEXTURE} gray levels" in TEXT
    assert f"{flags._LEAST_WHITE:.0%}".replace("%", " %") + " of the pixels" in TEXT
    assert f"gray level {flags._WHITE} to 255" in TEXT
    assert f"darker than gray level {flags._DARK} |" in TEXT
    assert f"more than {flags._MOST_EDGE_SIGMA_PX:.0f} px" in TEXT
    assert all(f"| `{flag}` |" in PAGE for flag in FLAGS)


def test_a_fingerprint_without_its_miniature_is_small(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    drawn(width=640, height=480).save(path)
    made = fingerprint(miniature_of(path))
    sides = (made.upright, made.mirrored)
    assert len(made.upright) > 100
    assert sum(side.points.nbytes + side.descriptions.nbytes for side in sides) <= 24_000
    assert Layout(tmp_path).look("ab" * 32).is_relative_to(tmp_path / ".surfacedefect" / "looks")
