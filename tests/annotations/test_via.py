"""VIA projects and exports as the program writes them, and every way a region can be wrong."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from surfacedefect.annotations import AnnotatedImage, Dataset, detect_format, read_annotations, read_mended
from surfacedefect.annotations.formats import write_annotations
from surfacedefect.errors import AnnotationError

SQUARE = {"name": "polygon", "all_points_x": [1, 5, 5, 1], "all_points_y": [1, 1, 4, 4]}


def _region(shape: object = SQUARE, **about: Any) -> dict[str, Any]:
    return {"shape_attributes": shape, "region_attributes": about or {"kind": "dent"}}


def _file(folder: Path, *regions: object, project: bool = True, numbered: bool = False, **entry: Any) -> Path:
    listed: Any = {str(n): region for n, region in enumerate(regions)} if numbered else list(regions)
    picture = {"filename": "door.png", "size": 77, "regions": listed, "file_attributes": {}} | entry
    entries = {"door.png77": picture}
    document: Any = {"_via_settings": {}, "_via_img_metadata": entries} if project else entries
    path = folder / "via.json"
    path.write_text(json.dumps(document))
    Image.new("L", (20, 16)).save(folder / "door.png")
    return path


SHAPES: dict[str, tuple[dict[str, Any], float]] = {
    "polygon": (SQUARE, 12),
    "rect": ({"name": "rect", "x": 1, "y": 2, "width": 5, "height": 4}, 20),
    "circle": ({"name": "circle", "cx": 8, "cy": 8, "r": 3}, 9 * math.pi),
    "ellipse": ({"name": "ellipse", "cx": 8, "cy": 8, "rx": 4, "ry": 2, "theta": math.pi / 4}, 8 * math.pi),
    "closed polyline": ({"name": "polyline", "all_points_x": [1, 5, 5, 1], "all_points_y": [1, 1, 4, 1]}, 6),
}


@pytest.mark.parametrize("name", SHAPES)
def test_every_shape_becomes_its_outline(tmp_path: Path, name: str) -> None:
    shape, area = SHAPES[name]
    assert read_annotations(_file(tmp_path, _region(shape))).images[0].regions[0].polygon.area == pytest.approx(
        area, rel=1e-3
    )


def test_an_ellipse_is_turned_clockwise_as_seen(tmp_path: Path) -> None:
    shape = {"name": "ellipse", "cx": 8, "cy": 8, "rx": 4, "ry": 1, "theta": math.pi / 4}
    polygon = read_annotations(_file(tmp_path, _region(shape))).images[0].regions[0].polygon
    x, y = max(polygon.exterior.coords)
    assert x > 8 and y > 8, "its right end points down, where y grows"


@pytest.mark.parametrize("project", [True, False])
@pytest.mark.parametrize("numbered", [True, False])
def test_projects_and_exports_of_both_versions_are_read(tmp_path: Path, project: bool, numbered: bool) -> None:
    file = _file(tmp_path, _region(), project=project, numbered=numbered)
    assert detect_format(file) == "via"
    image = read_annotations(file).images[0]
    assert (image.file_name, image.shape, len(image.regions)) == ("door.png", (16, 20), 1)


@pytest.mark.parametrize(
    "about",
    [
        {"label": "dent", "note": "deep"},
        {"type": "dent"},
        {"damage": "dent"},
        {"kind": {"dent": True, "scratch": False}},
    ],
)
def test_the_kind_is_found_among_the_attributes(tmp_path: Path, about: dict[str, Any]) -> None:
    assert read_annotations(_file(tmp_path, _region(**about))).categories == ("dent",)


WRONG: dict[str, tuple[Any, str]] = {
    "no object": (3, "is an int"),
    "no shape": ({"region_attributes": {}}, "lacks shape_attributes"),
    "shape is a list": (_region([1]), "is a list"),
    "point": (_region({"name": "point", "cx": 1, "cy": 1}), "is a 'point'"),
    "no kind": (_region(SQUARE, depth="3", note="x"), "name no kind"),
    "two kinds ticked": (_region(SQUARE, kind={"dent": True, "scratch": True}), "name no kind"),
    "lengths differ": (_region(SQUARE | {"all_points_x": [1]}), "differ in length"),
    "no points": (_region({"name": "polygon"}), "lacks all_points_x"),
    "two points": (_region({"name": "polygon", "all_points_x": [1, 2], "all_points_y": [1, 2]}), "2 points"),
    "no number": (_region({"name": "circle", "cx": "a", "cy": 1, "r": 1}), "cx is 'a'"),
    "no radius": (_region({"name": "circle", "cx": 1, "cy": 1}), "lacks r"),
    "radius 0": (_region({"name": "circle", "cx": 1, "cy": 1, "r": 0}), "no area"),
    "rect without area": (_region({"name": "rect", "x": 1, "y": 1, "width": 0, "height": 3}), "no area"),
    "open line": (_region(SQUARE | {"name": "polyline"}), "open line"),
    "score": (_region(SQUARE | {"all_points_x": [2, 5, 5, 2]}, kind="dent", score="9"), "score is 9"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_regions_are_named_and_set_aside(tmp_path: Path, name: str) -> None:
    region, message = WRONG[name]
    file = _file(tmp_path, _region(), region)
    with pytest.raises(AnnotationError, match=message) as error:
        read_annotations(file)
    assert "region 2" in str(error.value)
    mended = read_mended(file)
    assert len(mended.issues) == 1 and mended.issues[0].picture == "door.png"
    assert len(mended.dataset.images[0].regions) == (1 if mended.issues[0].set_aside else 2)


def test_a_picture_of_unknown_size_is_named(tmp_path: Path) -> None:
    file = _file(tmp_path, _region(), filename="other.png")
    with pytest.raises(AnnotationError, match=r"VIA keeps no sizes.*images_dir"):
        read_annotations(file)
    assert [(issue.picture, issue.set_aside) for issue in read_mended(file).issues] == [("other.png", True)]
    sized = _file(tmp_path, _region(), filename="other.png", file_attributes={"width": "9", "height": "8"})
    assert read_annotations(sized).images[0].shape == (8, 9)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"project": {}, "config": {}, "metadata": {}}, "VIA 3"),
        ([1], "expected a JSON object"),
        ({"a": 3}, "is an int"),
        ({"a": {"filename": "a"}}, "lacks regions"),
        ({"a": {"filename": "a", "regions": 3}}, "expected a list"),
    ],
)
def test_wrong_files_are_named(tmp_path: Path, document: object, message: str) -> None:
    file = tmp_path / "via.json"
    file.write_text(json.dumps(document))
    with pytest.raises(AnnotationError, match=message):
        read_annotations(file, "via")


def test_a_picture_that_stands_twice_is_not_written(tmp_path: Path) -> None:
    image = AnnotatedImage("door.png", 4, 4)
    with pytest.raises(AnnotationError, match="stands twice"):
        write_annotations(Dataset((), (image, image)), tmp_path / "via.json", format="via")
