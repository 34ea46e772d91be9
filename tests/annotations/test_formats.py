"""Every format: what is written is read back; a format is known by what is in it; one way in and one way out."""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from annotated import RING, TWO, datasets, paint, plain_names, same
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import box

from surfacedefect.annotations import (
    FORMATS,
    AnnotatedImage,
    Dataset,
    Region,
    detect_format,
    not_kept,
    rasterise,
    read_annotations,
    read_mended,
    write_annotations,
)
from surfacedefect.errors import AnnotationError, OptionError, OutputError, SurfaceDefectError

FILES = {"coco": "annotations.json", "via": "via.json", "cvat": "cvat.xml", "labelme": "", "yolo": "", "masks": ""}
LOST = {"yolo": ("score", "group", "origin")}
quick = settings(max_examples=12, deadline=None)


def _door() -> Dataset:
    regions = (Region("scratch", TWO, 0.25), Region("dent", RING), Region("ignore", box(0, 0, 40, 2)))
    door = AnnotatedImage("a/door.png", 40, 30, regions, "car-1", "panels", 7)
    return Dataset(("scratch", "dent", "ignore"), (door, AnnotatedImage("clean.png", 9, 5, id=3)))


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "masks"])
@given(data=st.data())
@quick
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, name: str, data: Any) -> None:
    folder = tmp_path_factory.mktemp(name)
    dataset = data.draw(datasets())
    write_annotations(dataset, folder / "out" / FILES[name], format=name)
    if name == "yolo":
        paint(folder / "out" / "images", dataset)
    assert detect_format(folder / "out" / FILES[name]) == name
    found = read_annotations(folder / "out" / FILES[name])
    same(found, dataset, but=LOST.get(name, ()))
    mended = read_mended(folder / "out" / FILES[name])
    assert not [issue for issue in mended.issues if "twice" not in issue.what], "nothing is wrong with our own files"


@given(dataset=datasets(names=plain_names))
@quick
def test_masks_are_read_back_to_the_pixel(tmp_path_factory: pytest.TempPathFactory, dataset: Dataset) -> None:
    folder = tmp_path_factory.mktemp("masks")
    write_annotations(dataset, folder, format="masks")
    assert detect_format(folder) == "masks"
    found = read_annotations(folder)
    assert [image.file_name for image in found.images] == [image.file_name for image in dataset.images]
    assert sorted(found.categories) == sorted(dataset.categories)
    for a, b in zip(found.images, dataset.images, strict=True):
        drawn, expected = rasterise(a, dataset.categories), rasterise(b, dataset.categories)
        for kind in dataset.categories:
            np.testing.assert_array_equal(drawn[kind], expected[kind])
    again = folder / "again"
    write_annotations(found, again, format="masks")
    same(read_annotations(again), found)


@pytest.mark.parametrize("name", FORMATS)
def test_writing_twice_gives_the_same_bytes_and_leaves_no_other_files(tmp_path: Path, name: str) -> None:
    contents = []
    for _ in range(2):
        write_annotations(_door(), tmp_path / FILES[name], format=name)
        contents.append({p.relative_to(tmp_path).as_posix(): p.read_bytes() for p in tmp_path.rglob("*.*")})
    assert contents[0] == contents[1] and not [name for name in contents[0] if "part" in name]


def test_a_format_says_what_it_cannot_hold() -> None:
    assert not_kept(_door(), format="coco") == not_kept(_door(), format="cvat") == ()
    assert not_kept(_door(), format="via") == ("2 ids",)
    assert not_kept(_door(), format="yolo") == ("1 scores", "1 groups and origins", "2 ids")
    hair = Region("dent", box(3.1, 3, 3.2, 9))
    dataset = Dataset(("dent",), (AnnotatedImage("a.png", 9, 9, (hair, hair, Region("dent", TWO))),))
    expected = ("1 regions of several parts", "2 regions that hold no pixel's centre")
    assert not_kept(dataset, format="masks") == expected


def test_ids_are_kept_where_the_format_has_them(tmp_path: Path) -> None:
    for name in ("coco", "cvat"):
        write_annotations(_door(), tmp_path / FILES[name], format=name)
        assert [image.id for image in read_annotations(tmp_path / FILES[name]).images] == [7, 3]


@pytest.mark.parametrize("name", FORMATS)
def test_names_that_lead_out_are_not_written(tmp_path: Path, name: str) -> None:
    for file_name in ("../door.png", "/door.png", "a\\..\\door.png"):
        dataset = Dataset(("dent",), (AnnotatedImage(file_name, 4, 4),))
        if name in ("labelme", "yolo", "masks"):
            with pytest.raises(AnnotationError, match="leads out"):
                write_annotations(dataset, tmp_path / "in" / "out", format=name)
    assert not list(tmp_path.rglob("*door*"))


@pytest.mark.parametrize("name", ["labelme", "yolo", "masks"])
def test_two_pictures_never_share_a_file(tmp_path: Path, name: str) -> None:
    images = (AnnotatedImage("door.png", 4, 4), AnnotatedImage("door.jpg", 4, 4))
    with pytest.raises(AnnotationError, match="both be annotated"):
        write_annotations(Dataset((), images), tmp_path, format=name)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is nothing"),
        ("{", "is not JSON"),
        ("[1]", "no known format"),
        ('{"images": []}', "no known format"),
    ],
)
def test_what_is_nothing_known_is_said(tmp_path: Path, content: str | None, message: str) -> None:
    file = tmp_path / "a.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(AnnotationError, match=message):
        read_annotations(file)
    with pytest.raises(AnnotationError, match="no known format"):
        detect_format(tmp_path)


def test_wrong_options_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="format"):
        read_annotations(tmp_path, "pascal")
    with pytest.raises(OptionError, match="format"):
        write_annotations(_door(), tmp_path, format="auto")
    with pytest.raises(OptionError, match="line_width_px"):
        read_annotations(tmp_path, line_width_px=0)
    (tmp_path / "file").touch()
    with pytest.raises(OutputError):
        write_annotations(_door(), tmp_path / "file", format="labelme")


@pytest.mark.parametrize("name", ["coco", "labelme", "via", "cvat", "masks"])
def test_every_picture_must_be_where_it_is_said_to_be(tmp_path: Path, name: str) -> None:
    path = tmp_path / "out" / FILES[name]
    write_annotations(_door(), path, format=name)
    with pytest.raises(AnnotationError, match="is not in"):
        read_annotations(path, images_dir=tmp_path / "images")
    mended = read_mended(path, images_dir=tmp_path / "images")
    assert not mended.dataset.images
    assert [issue.picture for issue in mended.issues if issue.set_aside] == ["a/door.png", "clean.png"]
    paint(tmp_path / "images", _door())
    assert len(read_annotations(path, images_dir=tmp_path / "images").images) == 2


def test_one_bad_file_of_many_is_set_aside(tmp_path: Path) -> None:
    write_annotations(_door(), tmp_path, format="labelme")
    (tmp_path / "clean.json").write_text('{"shapes": [')
    with pytest.raises(AnnotationError, match=r"clean\.json is not JSON"):
        read_annotations(tmp_path, "labelme")
    mended = read_mended(tmp_path)
    assert [image.file_name for image in mended.dataset.images] == ["a/door.png"]
    assert [(issue.picture, issue.set_aside) for issue in mended.issues] == [("clean.json", True)]


def test_reading_goes_on_after_what_is_wrong_and_keeps_it_in_the_report(tmp_path: Path) -> None:
    file = tmp_path / "annotations.json"
    write_annotations(_door(), file, format="coco")
    document = json.loads(file.read_text())
    first, second, third = document["annotations"]
    first["category_id"], second["image_id"] = 99, 99
    bad = third | {"id": 4, "segmentation": [[0, 0, 2, 2, 4, 4]]}
    crossing = third | {"id": 5, "segmentation": [[0, 0, 4, 4, 4, 0, 0, 4]]}
    doubtful = third | {"id": 6, "segmentation": [[0, 0, 4, 4, 4, 0]], "score": 7}
    document["annotations"] += [bad, crossing, doubtful]
    document["images"].append({"id": 9, "file_name": "flat.png", "width": 0, "height": 5})
    file.write_text(json.dumps(document))
    mended = read_mended(file)
    assert [issue.set_aside for issue in mended.issues] == [True, True, True, True, False, False]
    assert [issue.picture for issue in mended.issues] == ["flat.png", "a/door.png", "", *3 * ["a/door.png"]]
    assert json.loads(mended.issues[1].was) == first, "what was set aside is in the report"
    assert [region.polygon.area for region in mended.dataset.images[0].regions] == pytest.approx([80, 8, 8])
    assert mended.dataset.images[0].regions[2].score is None


JUNK = [
    None,
    True,
    -1,
    3,
    1e308,
    float("nan"),
    "",
    "\0",
    "9" * 5000,
    2**70,
    [],
    [1],
    [[0, 0], [1e308, 5], [-1e308, 5]],
    {},
]


def _nodes(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inside = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, value in inside:
        yield (*path, key)
        yield from _nodes(value, (*path, key))


@pytest.mark.parametrize("name", ["coco", "via", "labelme"])
def test_junk_anywhere_ends_in_our_own_error_or_a_line_of_the_report(tmp_path: Path, name: str) -> None:
    write_annotations(_door(), tmp_path / FILES[name], format=name)
    file = tmp_path / (FILES[name] or "a/door.json")
    whole = file.read_text()
    rng = random.Random(5)
    for _ in range(60):
        document = json.loads(whole)
        *path, last = rng.choice(list(_nodes(document)))
        inside = document
        for key in path:
            inside = inside[key]
        inside[last] = rng.choice(JUNK)
        file.write_text(json.dumps(document))
        for read in (read_annotations, read_mended):
            with contextlib.suppress(SurfaceDefectError):
                read(file, name)


def test_letters_that_no_file_can_hold_are_named(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="no file can hold"):
        write_annotations(Dataset((), (AnnotatedImage("a\ud800", 4, 4),)), tmp_path / "a.json", format="via")


@pytest.mark.parametrize("name", ["labelme", "yolo", "masks"])
@pytest.mark.parametrize("file_name", [".", "..", "a/..", "a/", "a/.", "./"])
def test_a_picture_is_no_folder(tmp_path: Path, name: str, file_name: str) -> None:
    with pytest.raises(AnnotationError, match="name of a folder|leads out"):
        write_annotations(Dataset(("dent",), (AnnotatedImage(file_name, 4, 4),)), tmp_path / "out", format=name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", FORMATS)
def test_a_refused_call_leaves_no_folder(tmp_path: Path, name: str) -> None:
    """Neither when the names are wrong nor when a disk would not take them, half way through."""
    (tmp_path / "old").mkdir()
    for place in ("old", "new/deep"):
        for file_name in ("\ud800.png", "in/" + "x" * 300 + ".png"):
            dataset = Dataset(("dent",), (AnnotatedImage(file_name, 4, 4, (Region("dent", box(1, 1, 9, 3)),)),))
            path = tmp_path / place / FILES[name]
            with contextlib.suppress(AnnotationError, OutputError):
                write_annotations(dataset, path, format=name)
            if not any(item.is_file() for item in tmp_path.rglob("*")):
                assert [item.name for item in tmp_path.iterdir()] == ["old"]
            for item in tmp_path.rglob("*"):
                if item.is_file():
                    item.unlink()


def test_nothing_is_no_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputError, match="path to write to is empty"):
        write_annotations(_door(), "", format="labelme")
    assert not list(tmp_path.iterdir())
    with pytest.raises(AnnotationError, match="there is nothing"):
        read_annotations(" ")
