"""COCO files: round trips, what pycocotools reads of them, and every way a file can be wrong."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio.features
from annotated import datasets
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.affinity import translate
from shapely.geometry import MultiPolygon, Point, Polygon, box

from surfacedefect.annotations import AnnotatedImage, Dataset, Region, rasterise, read_coco, write_coco
from surfacedefect.errors import AnnotationError, OutputError

RING = box(2.25, 3, 30, 22).difference(Point(15, 12).buffer(5))
TWO = MultiPolygon([box(1, 1, 4, 4), box(10, 10, 14.5, 12)])
REAL = Path(os.environ.get("SURFACEDEFECT_REAL_DATA", "../shared/data"))


def _dataset() -> Dataset:
    door = AnnotatedImage(
        "a/door.jpg",
        40,
        30,
        (Region("scratch", TWO, 0.25), Region("dent", RING), Region("ignore", box(0, 0, 40, 2))),
        "car-1",
        "panels",
        7,
    )
    return Dataset(("scratch", "dent", "ignore"), (door, AnnotatedImage("clean.jpg", 9, 5, id=3)))


def _document(**changes: Any) -> dict[str, Any]:
    """A file of one picture and one triangle, with some keys of the annotation changed."""
    annotation = {"id": 1, "image_id": 5, "category_id": 2, "segmentation": [[0, 0, 4, 0, 4, 4]]} | changes
    images = [{"id": 5, "file_name": "door.jpg", "width": 8, "height": 6}]
    return {"categories": [{"id": 2, "name": "dent"}], "images": images, "annotations": [annotation]}


def _write(folder: Path, document: object) -> Path:
    path = folder / "annotations.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def _same(found: Dataset, expected: Dataset) -> None:
    assert found.categories == expected.categories
    assert len(found.images) == len(expected.images)
    for a, b in zip(found.images, expected.images, strict=True):
        assert (a.file_name, a.width, a.height, a.group, a.origin) == (
            b.file_name,
            b.width,
            b.height,
            b.group,
            b.origin,
        )
        assert [(r.kind, r.score) for r in a.regions] == [(r.kind, r.score) for r in b.regions]
        for r, s in zip(a.regions, b.regions, strict=True):
            assert r.polygon.symmetric_difference(s.polygon).area < 1e-6


def test_round_trip_keeps_everything(tmp_path: Path) -> None:
    path = tmp_path / "annotations.json"
    write_coco(path, _dataset())
    found = read_coco(path)
    _same(found, _dataset())
    assert [image.id for image in found.images] == [7, 3]
    assert [p.name for p in tmp_path.iterdir()] == ["annotations.json"]


corner = st.tuples(st.floats(0, 60), st.floats(0, 50))


@given(parts=st.lists(st.tuples(corner, st.floats(0.5, 12), st.booleans()), min_size=1, max_size=3))
@settings(max_examples=25, deadline=None)
def test_any_outline_survives_a_round_trip(tmp_path_factory: pytest.TempPathFactory, parts: Any) -> None:
    outline: Any = Polygon()
    for (x, y), radius, hole in parts:
        disk = Point(x, y).buffer(radius, quad_segs=3)
        outline = outline.union(disk.difference(Point(x, y).buffer(radius / 3)) if hole else disk)
    dataset = Dataset(("dent",), (AnnotatedImage("a.png", 64, 48, (Region("dent", outline),)),))
    path = tmp_path_factory.mktemp("coco") / "a.json"
    write_coco(path, dataset)
    _same(read_coco(path), dataset)


@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")
def test_pycocotools_decodes_what_we_write(tmp_path: Path) -> None:
    coco = pytest.importorskip("pycocotools.coco")
    path = tmp_path / "annotations.json"
    write_coco(path, _dataset())
    read = coco.COCO(str(path))
    door = _dataset().images[0]
    by_kind = {read.cats[a["category_id"]]["name"]: read.annToMask(a) for a in read.imgToAnns[7]}
    ours = rasterise(door, ("scratch", "dent", "ignore"))
    np.testing.assert_array_equal(by_kind["dent"], ours["dent"])  # RLE: to the pixel
    np.testing.assert_array_equal(by_kind["ignore"], ours["ignore"])
    assert by_kind["dent"][12, 15] == 0, "the hole is open"
    assert np.abs(by_kind["scratch"].astype(int) - ours["scratch"]).sum() <= 4  # its polygons round differently


@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")
@given(dataset=datasets())
@settings(max_examples=20, deadline=None)
def test_pycocotools_sees_the_regions_that_we_see(tmp_path_factory: pytest.TempPathFactory, dataset: Dataset) -> None:
    coco = pytest.importorskip("pycocotools.coco")
    codec = pytest.importorskip("pycocotools.mask")
    path = tmp_path_factory.mktemp("coco") / "a.json"
    write_coco(path, dataset)
    with contextlib.redirect_stdout(io.StringIO()):
        theirs = coco.COCO(str(path))
    document = json.loads(path.read_text())
    regions = [(image, region) for image in dataset.images for region in image.regions]
    for annotation, (image, region) in zip(document["annotations"], regions, strict=True):
        ours = _pixels(image, region)
        mask = theirs.annToMask(theirs.anns[annotation["id"]])
        if isinstance(annotation["segmentation"], dict):
            np.testing.assert_array_equal(mask, ours)
        else:  # pycocotools rounds corners, so only pixels along the outline may differ
            edge = rasterio.features.rasterize([region.polygon.boundary.buffer(1.1)], mask.shape, all_touched=True)
            assert not ((mask != ours) & (edge == 0)).any()
        annotation["segmentation"] = {"size": [image.height, image.width], "counts": ""}
        annotation["segmentation"]["counts"] = codec.encode(np.asfortranarray(ours))["counts"].decode()
    path.write_text(json.dumps(document))
    drawn = [any_pixel for image, region in regions if (any_pixel := _pixels(image, region)).any()]
    if len(drawn) == len(regions):
        again = [(image, region) for image in read_coco(path).images for region in image.regions]
        for (image, region), expected in zip(again, drawn, strict=True):
            np.testing.assert_array_equal(_pixels(image, region), expected)


def _pixels(image: AnnotatedImage, region: Region) -> Any:
    return rasterise(dataclasses.replace(image, regions=(region,)), region.kind)[region.kind]


@pytest.mark.parametrize("compressed", [True, False])
def test_rle_is_read_to_the_pixel(tmp_path: Path, compressed: bool) -> None:
    codec = pytest.importorskip("pycocotools.mask")
    mask = (np.random.default_rng(3).random((37, 300)) < 0.3).astype(np.uint8)
    mask[:, 100:200] = 0  # long runs need several characters
    if compressed:
        counts: Any = codec.encode(np.asfortranarray(mask))["counts"].decode()
    else:
        flat = mask.ravel(order="F")
        edges = np.concatenate(([0], np.flatnonzero(np.diff(flat)) + 1, [flat.size]))
        counts = ([0] if flat[0] else []) + np.diff(edges).tolist()
    document = _document(segmentation={"size": [37, 300], "counts": counts}, iscrowd=1)
    document["images"][0] |= {"width": 300, "height": 37}
    image = read_coco(_write(tmp_path, document)).images[0]
    np.testing.assert_array_equal(rasterise(image, "dent")["dent"], mask)


def test_an_edited_rle_wins_over_the_rings_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "annotations.json"
    write_coco(path, _dataset())
    document = json.loads(path.read_text())
    dent = next(a for a in document["annotations"] if "outline" in a)
    dent["segmentation"]["counts"] = [0, 6, 40 * 30 - 6]
    found = read_coco(_write(tmp_path, document)).images[0].regions[1].polygon
    assert found.equals(box(0, 0, 1, 6))


def test_repairs_and_joins_outlines(tmp_path: Path) -> None:
    bowtie = read_coco(_write(tmp_path, _document(segmentation=[[0, 0, 4, 4, 4, 0, 0, 4]]))).images[0].regions[0]
    assert bowtie.polygon.is_valid and bowtie.polygon.area == pytest.approx(8)
    squares = [[0, 0, 2, 0, 2, 2, 0, 2], [1, 1, 3, 1, 3, 3, 1, 3]]
    joined = read_coco(_write(tmp_path, _document(segmentation=squares))).images[0].regions[0]
    assert joined.polygon.is_valid and joined.polygon.area == pytest.approx(7)


def test_two_categories_of_one_name_are_one(tmp_path: Path) -> None:
    document = _document()
    document["categories"].append({"id": 0, "name": "dent"})
    assert read_coco(_write(tmp_path, document)).categories == ("dent",)


RLE = {"size": [6, 8], "counts": [48]}
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no such picture": ({"image_id": 6}, "picture 6"),
    "no such category": ({"category_id": 9}, "category 9"),
    "category is a list": ({"category_id": [2]}, r"category \[2\]"),
    "odd count": ({"segmentation": [[0, 0, 4, 0, 4, 4, 1]]}, "7 numbers"),
    "two points": ({"segmentation": [[0, 0, 4, 0]]}, "4 numbers"),
    "no number": ({"segmentation": [[0, 0, 4, 0, 4, "x"]]}, "not a finite number"),
    "nan": ({"segmentation": [[0, 0, 4, 0, 4, float("nan")]]}, "not a finite number"),
    "flat list": ({"segmentation": [0, 0, 4, 0, 4, 4]}, "a polygon is an int"),
    "a text": ({"segmentation": "0 0 4 4"}, "is a str"),
    "only a box": ({"segmentation": [], "bbox": [0, 0, 4, 4]}, "only a box"),
    "nothing": ({"segmentation": None}, "neither"),
    "no area": ({"segmentation": [[0, 0, 2, 2, 4, 4]]}, "no area"),
    "crowd": ({"iscrowd": "yes"}, "iscrowd"),
    "score": ({"score": 1.5}, "score"),
    "rle: other size": ({"segmentation": RLE | {"size": [8, 6]}}, r"expected \[6, 8\]"),
    "rle: no counts": ({"segmentation": {"size": [6, 8]}}, "lacks counts"),
    "rle: too short": ({"segmentation": RLE | {"counts": [3, 4]}}, "covers 7 pixels"),
    "rle: negative": ({"segmentation": RLE | {"counts": [50, -2]}}, "at least 0"),
    "rle: empty": ({"segmentation": RLE}, "no area"),
    "rle: cut off": ({"segmentation": RLE | {"counts": "o"}}, "ends in the middle"),
    "rle: strange character": ({"segmentation": RLE | {"counts": "é"}}, "damaged"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_annotations_are_named(tmp_path: Path, name: str) -> None:
    changes, message = WRONG[name]
    with pytest.raises(AnnotationError, match=message):
        read_coco(_write(tmp_path, _document(**changes)))


def _without(*keys: str) -> dict[str, Any]:
    """The file without the key at the end of a path such as images, file_name."""
    document = _document()
    entry: Any = document if len(keys) == 1 else document[keys[0]][0]
    del entry[keys[-1]]
    return document


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("{not json", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ([1, 2], "is a list"),
        (_without("images"), "lacks images"),
        (_without("images", "file_name"), "lacks file_name"),
        (_without("annotations", "category_id"), "lacks category_id"),
        (_without("categories", "name"), "lacks name"),
        (_document() | {"annotations": {}}, "expected a list"),
        (_document() | {"annotations": [3]}, "is an int"),
        (_document() | {"images": [{"id": 5, "file_name": "a", "width": 0, "height": 3}]}, "width"),
        (_document() | {"images": [{"id": "5", "file_name": "a", "width": 4, "height": 3}]}, "whole number"),
        (_document() | {"images": _document()["images"] * 2}, "stands twice"),
    ],
)
def test_wrong_files_are_named(tmp_path: Path, document: object, message: str) -> None:
    with pytest.raises(AnnotationError, match=message):
        read_coco(_write(tmp_path, document))


def test_a_missing_file_and_missing_pictures(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="cannot be read"):
        read_coco(tmp_path / "none.json")
    path = _write(tmp_path, _document())
    with pytest.raises(AnnotationError, match=r"door\.jpg"):
        read_coco(path, images_dir=tmp_path)
    (tmp_path / "door.jpg").touch()
    found = read_coco(path, images_dir=tmp_path)
    assert found.path_of(found.images[0]) == tmp_path / "door.jpg"
    assert found == read_coco(path)
    with pytest.raises(AnnotationError, match="unknown"):
        read_coco(path).path_of(found.images[0])
    document = _document()
    document["images"][0]["file_name"] = "../annotations.json"
    with pytest.raises(AnnotationError, match="outside"):
        read_coco(_write(tmp_path, document), images_dir=tmp_path)


def test_writing_numbers_pictures_and_refuses(tmp_path: Path) -> None:
    images = (AnnotatedImage("a", 2, 2), AnnotatedImage("b", 2, 2, id=4), AnnotatedImage("c", 2, 2))
    write_coco(tmp_path / "a.json", Dataset((), images))
    assert [image.id for image in read_coco(tmp_path / "a.json").images] == [5, 4, 6]
    with pytest.raises(AnnotationError, match="two pictures have the id 4"):
        write_coco(tmp_path / "b.json", Dataset((), (images[1], images[1])))
    with pytest.raises(OutputError, match="cannot be written"):
        write_coco(tmp_path / "none" / "b.json", Dataset((), images))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.json"]


@pytest.mark.skipif(not REAL.is_dir(), reason="the real pictures are not here: set SURFACEDEFECT_REAL_DATA")
@pytest.mark.parametrize("folder", ["demo", "valid", "train"])
def test_real_files_survive_a_round_trip(tmp_path: Path, folder: str) -> None:
    dataset = read_coco(REAL / folder / "annotations.json", images_dir=REAL / folder / "images")
    assert dataset.categories == ("scratch", "dent", "ignore")
    assert all(image.group and image.origin for image in dataset.images)
    write_coco(tmp_path / "a.json", dataset)
    _same(read_coco(tmp_path / "a.json"), dataset)


def test_rasterise_of_a_moved_region_is_the_moved_mask() -> None:
    image = AnnotatedImage("a", 40, 30, (Region("dent", RING),))
    moved = AnnotatedImage("a", 40, 30, (Region("dent", translate(RING, 5, 4)),))
    a, b = (rasterise(i, ["dent", "scratch"]) for i in (image, moved))
    np.testing.assert_array_equal(b["dent"][4:, 5:], a["dent"][:-4, :-5])
    assert not a["scratch"].any() and a["scratch"].dtype == np.uint8
