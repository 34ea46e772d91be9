"""CVAT files as the program writes them, XML that means harm, and every way a shape can be wrong."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from surfacedefect.annotations import (
    AnnotatedImage,
    Dataset,
    detect_format,
    rasterise,
    read_annotations,
    read_mended,
    write_annotations,
)
from surfacedefect.errors import AnnotationError

POLYGON = '<polygon label="dent" source="manual" occluded="0" points="1.00,1.00;5.00,1.00;5.00,4.00" z_order="0"/>'


def _file(
    folder: Path, *shapes: str, head: str = "", version: str = "1.1", size: str = 'width="20" height="16"'
) -> Path:
    labels = "<label><name>scratch</name></label><label><name>dent</name></label>"
    path = folder / "annotations.xml"
    path.write_text(
        f'<?xml version="1.0" encoding="utf-8"?>\n{head}<annotations><version>{version}</version><meta><project>'
        f"<labels>{labels}</labels></project></meta>"
        f'<image id="3" name="a/door.jpg" {size}>{"".join(shapes)}</image></annotations>'
    )
    return path


SHAPES = {
    "polygon": (POLYGON, 6.0),
    "box": ('<box label="dent" xtl="1" ytl="2" xbr="6" ybr="6"/>', 20.0),
    "turned box": ('<box label="dent" xtl="2" ytl="6" xbr="12" ybr="8" rotation="90.0"/>', 20.0),
    "ellipse": ('<ellipse label="dent" cx="8" cy="8" rx="4" ry="2" rotation="30"/>', 8 * math.pi),
    "closed polyline": ('<polyline label="dent" points="1,1;5,1;5,4;1,1"/>', 6.0),
    "mask": ('<mask label="dent" rle="0, 1, 3, 1, 3, 1" left="3" top="2" width="3" height="3"/>', 3.0),
}


@pytest.mark.parametrize("name", SHAPES)
def test_every_shape_becomes_its_outline(tmp_path: Path, name: str) -> None:
    shape, area = SHAPES[name]
    dataset = read_annotations(_file(tmp_path, shape))
    assert dataset.categories == ("scratch", "dent") and dataset.images[0].id == 3
    assert dataset.images[0].regions[0].polygon.area == pytest.approx(area, rel=1e-3)


def test_a_box_is_turned_about_its_centre(tmp_path: Path) -> None:
    polygon = read_annotations(_file(tmp_path, SHAPES["turned box"][0])).images[0].regions[0].polygon
    assert polygon.bounds == pytest.approx((6, 2, 8, 12))


def test_a_mask_is_read_to_the_pixel(tmp_path: Path) -> None:
    mask = np.random.default_rng(2).random((5, 7)) < 0.5
    flat = mask.ravel()
    edges = np.concatenate(([0], np.flatnonzero(np.diff(flat)) + 1, [flat.size]))
    counts = ([0] if flat[0] else []) + np.diff(edges).tolist()
    rle = ", ".join(map(str, counts))
    file = _file(tmp_path, f'<mask label="dent" rle="{rle}" left="3" top="2" width="7" height="5"/>')
    drawn = rasterise(read_annotations(file).images[0], "dent")["dent"]
    np.testing.assert_array_equal(drawn[2:7, 3:10], mask)


def test_shapes_of_one_group_are_one_region_and_scores_are_read(tmp_path: Path) -> None:
    scored = POLYGON.replace("/>", ' group_id="1"><attribute name="score">0.5</attribute></polygon>')
    other = '<polygon label="dent" group_id="1" points="8,8;10,8;10,10;8,10"/>'
    regions = read_annotations(_file(tmp_path, scored, other, POLYGON)).images[0].regions
    assert [(region.polygon.area, region.score) for region in regions] == [(10, 0.5), (6, None)]


WRONG = {
    "tag": ('<tag label="dent"/>', "has no area"),
    "points": ('<points label="dent" points="1,1"/>', "has no area"),
    "unknown": ('<star label="dent"/>', "is unknown"),
    "no label": ('<box xtl="1" ytl="2" xbr="6" ybr="6"/>', "the kind is None"),
    "no points": ('<polygon label="dent"/>', "0 points"),
    "half a point": ('<polygon label="dent" points="1,1;2;3,3"/>', "a point is"),
    "no number": ('<polygon label="dent" points="1,1;2,x;3,3"/>', "'x'"),
    "no area": ('<polygon label="dent" points="1,1;2,2;3,3"/>', "no area"),
    "box without a side": ('<box label="dent" xtl="1" ytl="2" xbr="6"/>', "ybr is None"),
    "infinite": ('<box label="dent" xtl="1" ytl="2" xbr="6" ybr="inf"/>', "finite"),
    "open line": ('<polyline label="dent" points="1,1;5,1;5,4"/>', "open line"),
    "mask too short": ('<mask label="dent" rle="1,2" left="1" top="1" width="3" height="3"/>', "run lengths"),
    "mask: text": ('<mask label="dent" rle="a" left="1" top="1" width="3" height="3"/>', "run lengths"),
    "mask: left": ('<mask label="dent" rle="9" left="-1" top="1" width="3" height="3"/>', "left is '-1'"),
    "mask: empty": ('<mask label="dent" rle="9" left="1" top="1" width="3" height="3"/>', "no area"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_shapes_are_named_and_set_aside(tmp_path: Path, name: str) -> None:
    shape, message = WRONG[name]
    file = _file(tmp_path, POLYGON, shape)
    with pytest.raises(AnnotationError, match=message):
        read_annotations(file)
    mended = read_mended(file)
    assert [(issue.picture, issue.set_aside) for issue in mended.issues] == [("a/door.jpg", True)]
    assert mended.issues[0].was == shape.replace("/>", " />")
    assert len(mended.dataset.images[0].regions) == 1


BOMB = '<!DOCTYPE lol [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
FETCH = '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize("head", [BOMB, FETCH, '<!DOCTYPE annotations SYSTEM "http://127.0.0.1:9/x.dtd">'])
def test_document_types_are_refused(tmp_path: Path, head: str) -> None:
    file = _file(tmp_path, head=head)
    for read in (read_annotations, read_mended):
        with pytest.raises(AnnotationError, match="document type"):
            read(file)


def test_wrong_files_are_named(tmp_path: Path) -> None:
    file = tmp_path / "a.xml"
    for text, message in (
        ("", "is not XML"),
        ("<annotations>", "is not XML"),
        ("<a>&b;</a>", "is not XML"),
        ('<?xml version="1.0" encoding="klingon"?><a/>', "is not XML"),
        ("<annotation/>", "is <annotation> of version None"),
        ("<annotations><version>1.0</version></annotations>", "version 1.0"),
        ("<annotations><version>1.1</version><track/></annotations>", "video"),
    ):
        file.write_text(text)
        with pytest.raises(AnnotationError, match=message):
            read_annotations(file, "cvat")
    with pytest.raises(AnnotationError, match="width is None"):
        read_annotations(_file(tmp_path, size=""))
    with pytest.raises(AnnotationError, match="width is 'x'"):
        read_annotations(_file(tmp_path, size='width="x" height="3"'))


def test_names_that_xml_cannot_hold_are_refused(tmp_path: Path) -> None:
    for dataset in (Dataset(("a\x01b",), ()), Dataset((), (AnnotatedImage("a\nb.png", 4, 4),))):
        with pytest.raises(AnnotationError, match="XML cannot"):
            write_annotations(dataset, tmp_path / "a.xml", format="cvat")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["annotations.xml", "annotations.txt", "cvat", "a.json", "a.yaml"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_it_is_known_by_its_root_not_its_name(tmp_path: Path, name: str, encoding: str) -> None:
    text = (
        _file(tmp_path, POLYGON).read_text().replace('encoding="utf-8"', f'encoding="{encoding.removesuffix("-sig")}"')
    )
    (path := tmp_path / name).write_text(text, encoding=encoding)
    assert detect_format(path) == "cvat"
    assert len(read_annotations(path).images[0].regions) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<annotation><folder>VOC</folder></annotation>", "XML of <annotation>; expected <annotations>"),
        ("<html>", "XML of <html>"),
        ("<", "is not XML"),
        ("<!-- only a comment -->", "is not XML"),
        ('<!DOCTYPE annotations [<!ENTITY a "b">]><annotations/>', "document type"),
    ],
)
@pytest.mark.parametrize("name", ["a.xml", "a"])
def test_other_xml_is_not_taken_for_it(tmp_path: Path, text: str, message: str, name: str) -> None:
    (path := tmp_path / name).write_text(text)
    with pytest.raises(AnnotationError, match=message):
        read_annotations(path)
