"""Folders of masks as people have them, and every way a mask can be wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from shapely.geometry import box

from surfacedefect.annotations import AnnotatedImage, Dataset, Region, read_annotations, read_mended, write_annotations
from surfacedefect.errors import AnnotationError


def _mask(path: Path, *, shape: tuple[int, int] = (6, 8), value: int = 255) -> Path:
    pixels = np.zeros(shape, np.uint8)
    pixels[1:3, 2:5] = value
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def test_any_one_value_is_inside(tmp_path: Path) -> None:
    _mask(tmp_path / "dent" / "a" / "door.png", value=1)
    _mask(tmp_path / "scratch" / "other.png")
    dataset = read_annotations(tmp_path)
    assert dataset.categories == ("dent", "scratch")
    assert [image.file_name for image in dataset.images] == ["a/door.png", "other.png"]
    assert dataset.images[0].regions[0].polygon.equals(box(2, 1, 5, 3))


def test_with_the_pictures_masks_go_by_their_names(tmp_path: Path) -> None:
    _mask(tmp_path / "masks" / "dent" / "door.png")
    (tmp_path / "images").mkdir()
    Image.new("L", (8, 6)).save(tmp_path / "images" / "door.jpg")
    assert read_annotations(tmp_path / "masks", images_dir=tmp_path / "images").images[0].file_name == "door.jpg"


def test_a_scratch_over_a_dent_stays_both(tmp_path: Path) -> None:
    regions = (Region("dent", box(1, 1, 6, 5)), Region("scratch", box(2, 2, 8, 3)))
    write_annotations(
        Dataset(("scratch", "dent"), (AnnotatedImage("door.png", 9, 7, regions),)), tmp_path, format="masks"
    )
    found = {region.kind: region.polygon for region in read_annotations(tmp_path).images[0].regions}
    assert found["dent"].equals(box(1, 1, 6, 5)) and found["scratch"].equals(box(2, 2, 8, 3))


def test_wrong_masks_are_named_and_set_aside(tmp_path: Path) -> None:
    good = _mask(tmp_path / "dent" / "door.png")
    bad = tmp_path / "scratch" / "door.png"
    for make, message in (
        (lambda: _mask(bad, shape=(6, 9)), "9 x 6 px, but the mask of another kind is 8 x 6"),
        (lambda: Image.fromarray(np.arange(48, dtype=np.uint8).reshape(6, 8)).save(bad), "holds the values"),
        (lambda: Image.new("RGB", (8, 6)).save(bad), "colour picture"),
        (lambda: bad.write_bytes(b"no picture"), "no readable PNG"),
        (lambda: bad.write_bytes(good.read_bytes()[:60]), "no readable PNG"),
    ):
        bad.parent.mkdir(exist_ok=True)
        make()
        with pytest.raises(AnnotationError, match=message):
            read_annotations(tmp_path, "masks")
        mended = read_mended(tmp_path, "masks")
        assert [issue.set_aside for issue in mended.issues] == [True]
        assert [region.kind for region in mended.dataset.images[0].regions] == ["dent"]


def test_no_folders_and_kinds_that_name_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="no folders of PNG masks"):
        read_annotations(tmp_path, "masks")
    for kind in ("..", "a/b", ".hidden", "a:b", "two\nlines"):
        with pytest.raises(AnnotationError, match="cannot name a folder"):
            write_annotations(Dataset((kind,), ()), tmp_path, format="masks")
