"""LabelMe files as the program writes them, and every way a shape can be wrong."""

from __future__ import annotations

import base64
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from shapely.geometry import box

from surfacedefect.annotations import (
    AnnotatedImage,
    Dataset,
    Region,
    rasterise,
    read_annotations,
    read_mended,
    write_annotations,
)
from surfacedefect.errors import AnnotationError


def _shape(**changes: Any) -> dict[str, Any]:
    shape = {"label": "dent", "points": [[1, 1], [5, 1], [5, 4]], "group_id": None, "shape_type": "polygon"}
    return shape | changes


def _file(folder: Path, *shapes: object, name: str = "door.json", **changes: Any) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {"version": "5.4.1", "flags": {}, "imagePath": "door.jpg", "imageData": None}
    document |= {"imageWidth": 20, "imageHeight": 16, "shapes": list(shapes)}
    path.write_text(json.dumps({key: value for key, value in (document | changes).items() if value != "left out"}))
    return path


def _png(mask: np.ndarray) -> str:
    stream = io.BytesIO()
    Image.fromarray(mask).save(stream, format="PNG")
    return base64.b64encode(stream.getvalue()).decode()


SHAPES = {
    "polygon": ({}, 6.0),
    "no type": ({"shape_type": None}, 6.0),
    "rectangle": ({"shape_type": "rectangle", "points": [[7, 9], [3, 2]]}, 28.0),
    "rectangle of four points": ({"shape_type": "rectangle", "points": [[0, 0], [4, 0], [4, 3], [0, 3]]}, 12.0),
    "turned rectangle": ({"shape_type": "oriented_rectangle", "points": [[2, 0], [4, 2], [2, 4], [0, 2]]}, 8.0),
    "circle": ({"shape_type": "circle", "points": [[8, 8], [8, 11]]}, math.pi * 9),
    "closed line": ({"shape_type": "linestrip", "points": [[1, 1], [5, 1], [5, 4], [1, 1]]}, 6.0),
    "mask": ({"shape_type": "mask", "points": [[3, 2], [5, 4]], "mask": _png(np.eye(3, dtype=bool))}, 3.0),
}


@pytest.mark.parametrize("name", SHAPES)
def test_every_shape_becomes_its_outline(tmp_path: Path, name: str) -> None:
    changes, area = SHAPES[name]
    region = read_annotations(_file(tmp_path, _shape(**changes))).images[0].regions[0]
    assert region.polygon.area == pytest.approx(area, rel=1e-3)


def test_a_mask_lies_where_its_box_is(tmp_path: Path) -> None:
    mask = np.random.default_rng(1).random((5, 7)) < 0.5
    file = _file(tmp_path, _shape(shape_type="mask", points=[[3, 2], [9, 6]], mask=_png(mask)))
    drawn = rasterise(read_annotations(file).images[0], "dent")["dent"]
    np.testing.assert_array_equal(drawn[2:7, 3:10], mask)
    assert drawn.sum() == mask.sum()


def test_open_lines_need_a_width(tmp_path: Path) -> None:
    file = _file(tmp_path, _shape(shape_type="line", points=[[2, 2], [12, 2]]))
    with pytest.raises(AnnotationError, match="line_width_px"):
        read_annotations(file)
    region = read_annotations(file, line_width_px=2).images[0].regions[0]
    assert region.polygon.area == pytest.approx(20 + math.pi, rel=1e-2)


def test_shapes_of_one_group_and_label_are_one_region(tmp_path: Path) -> None:
    square = [[8, 8], [10, 8], [10, 10], [8, 10]]
    shapes = (_shape(group_id=1), _shape(group_id=1, points=square), _shape(group_id=1, label="scratch"), _shape())
    regions = read_annotations(_file(tmp_path, *shapes)).images[0].regions
    assert [(region.kind, region.polygon.area) for region in regions] == [("dent", 10), ("scratch", 6), ("dent", 6)]


def test_labels_txt_gives_the_order_of_the_kinds(tmp_path: Path) -> None:
    file = _file(tmp_path, _shape())
    (tmp_path / "labels.txt").write_text("__ignore__\n_background_\nscratch\n\ndent\n")
    assert read_annotations(file).categories == ("scratch", "dent")


@pytest.mark.parametrize(
    ("image_path", "name"),
    [
        ("door.jpg", "b/door.jpg"),
        ("..\\images\\door.jpg", "images/door.jpg"),
        ("../../../x/door.jpg", "b/door.jpg"),
        ("/home/anna/door.jpg", "b/door.jpg"),
        ("C:\\scans\\door.jpg", "b/door.jpg"),
    ],
)
def test_pictures_are_named_from_the_folder(tmp_path: Path, image_path: str, name: str) -> None:
    _file(tmp_path, _shape(), name="b/door.json", imagePath=image_path)
    assert read_annotations(tmp_path).images[0].file_name == name


def test_labelme_finds_the_pictures_of_what_is_written(tmp_path: Path) -> None:
    images = tmp_path / "images"
    (images / "a").mkdir(parents=True)
    Image.new("L", (9, 7)).save(images / "a" / "door.png")
    door = AnnotatedImage("a/door.png", 9, 7, (Region("dent", box(1, 1, 3, 3)),))
    write_annotations(Dataset(("dent",), (door,), images), tmp_path / "out", format="labelme")
    written = json.loads((tmp_path / "out" / "a" / "door.json").read_text())
    assert (tmp_path / "out" / "a" / written["imagePath"]).resolve() == (images / "a" / "door.png").resolve()
    assert read_annotations(tmp_path / "out", images_dir=images).images[0].file_name == "a/door.png"


def test_a_size_that_is_not_written_is_asked_of_the_picture(tmp_path: Path) -> None:
    file = _file(tmp_path, _shape(), imageWidth=None, imageHeight=None)
    with pytest.raises(AnnotationError, match="no picture"):
        read_annotations(file)
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    Image.new("RGB", (30, 20)).save(tmp_path / "door.jpg", exif=exif)
    assert read_annotations(file).images[0].shape == (30, 20)


WRONG: dict[str, tuple[Any, str]] = {
    "no object": (3, "is an int"),
    "no label": ({"points": []}, "lacks label"),
    "label is a number": (_shape(label=3), "the kind is 3"),
    "empty label": (_shape(label=""), "the kind is ''"),
    "two points": (_shape(points=[[0, 0], [1, 1]]), "2 points"),
    "points are a text": (_shape(points="0,0"), "points"),
    "a point of three": (_shape(points=[[0, 0, 0], [1, 1], [2, 0]]), r"a point is \[0, 0, 0\]"),
    "no number": (_shape(points=[[0, "x"], [1, 1], [2, 0]]), "'x'; expected a finite number"),
    "nan": (_shape(points=[[0, float("nan")], [1, 1], [2, 0]]), "finite number"),
    "true": (_shape(points=[[0, True], [1, 1], [2, 0]]), "finite number"),
    "no area": (_shape(points=[[0, 0], [1, 1], [2, 2]]), "no area"),
    "circle without radius": (_shape(shape_type="circle", points=[[1, 1], [1, 1]]), "no area"),
    "point": (_shape(shape_type="point", points=[[1, 1]]), "has no area"),
    "circle of one point": (_shape(shape_type="circle", points=[[1, 1]]), "1 points"),
    "unknown type": (_shape(shape_type="cube", points=[[1, 1], [2, 2]]), "'cube'"),
    "score": (_shape(score=1.5, points=[[0, 0], [3, 0], [3, 3]]), "score is 1.5"),
    "mask: none": (_shape(shape_type="mask", points=[[1, 1], [3, 3]]), "no PNG"),
    "mask: no base64": (_shape(shape_type="mask", points=[[1, 1], [3, 3]], mask="%%%"), "no PNG"),
    "mask: empty": (_shape(shape_type="mask", points=[[0, 0], [1, 1]], mask=_png(np.zeros((2, 2), bool))), "no area"),
    "mask: huge": (_shape(shape_type="mask", points=[[1, 1], [3, 3]], mask=_png(np.ones((9, 400), bool))), "400 x 9"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_shapes_are_named_and_set_aside(tmp_path: Path, name: str) -> None:
    shape, message = WRONG[name]
    file = _file(tmp_path, _shape(), shape)
    with pytest.raises(AnnotationError, match=message) as error:
        read_annotations(file)
    assert "door.json: shape 2" in str(error.value)
    mended = read_mended(file)
    assert len(mended.issues) == 1 and mended.issues[0].picture == "door.jpg"
    assert len(mended.dataset.images[0].regions) == (1 if mended.issues[0].set_aside else 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shapes": {}}, "no list of shapes"),
        ({"shapes": "left out"}, "lacks shapes"),
        ({"imagePath": "left out"}, "lacks imagePath"),
        ({"imagePath": 3}, "no name"),
        ({"imageWidth": "wide"}, "width"),
    ],
)
def test_wrong_files_are_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(AnnotationError, match=message):
        read_annotations(_file(tmp_path, **changes), "labelme")


def test_an_empty_folder_and_kinds_that_fit_no_line_are_refused(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="holds no JSON"):
        read_annotations(tmp_path, "labelme")
    for kind in ("two\nlines", " spaced", "__ignore__"):
        with pytest.raises(AnnotationError, match="plain name"):
            write_annotations(Dataset((kind,), ()), tmp_path, format="labelme")
