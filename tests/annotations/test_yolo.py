"""YOLO folders as people have them, and every way a line can be wrong."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from PIL import Image
from shapely.geometry import box

from surfacedefect.annotations import AnnotatedImage, Dataset, Region, read_annotations, read_mended, write_annotations
from surfacedefect.errors import AnnotationError, MissingExtraError

TRIANGLE = "1 0.1 0.25 0.5 0.25 0.5 0.75\n"


def _set(
    folder: Path, text: str = TRIANGLE, *, yaml: str = "names: [scratch, dent]\n", label: str = "labels/door.txt"
) -> Path:
    for file, content in (("data.yaml", yaml), (label, text)):
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    picture = (folder / label.replace("labels/", "images/")).with_suffix(".jpg")
    picture.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (20, 16)).save(picture)
    return folder


def test_shares_of_the_picture_become_pixels(tmp_path: Path) -> None:
    dataset = read_annotations(_set(tmp_path))
    image = dataset.images[0]
    assert dataset.categories == ("scratch", "dent") and image.file_name == "door.jpg" and image.shape == (16, 20)
    assert image.regions[0].kind == "dent" and image.regions[0].polygon.bounds == (2, 4, 10, 12)
    assert dataset.images_dir == tmp_path / "images"


@pytest.mark.parametrize("label", ["labels/train/a/door.txt", "train/labels/door.txt", "labels/a.b.txt"])
@pytest.mark.parametrize("source", ["", "data.yaml"])
def test_labels_are_found_in_the_usual_places(tmp_path: Path, label: str, source: str) -> None:
    image = read_annotations(_set(tmp_path, label=label) / source).images[0]
    assert len(image.regions) == 1
    assert image.file_name == label.removeprefix("labels/").replace("labels", "images").replace(".txt", ".jpg")


def test_labels_beside_their_pictures_are_found(tmp_path: Path) -> None:
    _set(tmp_path, label="door.txt")
    (tmp_path / "README.txt").write_text("exported by a tool")
    assert [(image.file_name, len(image.regions)) for image in read_annotations(tmp_path).images] == [("door.jpg", 1)]


def test_pictures_may_lie_elsewhere_and_need_no_labels(tmp_path: Path) -> None:
    _set(tmp_path / "out")
    (tmp_path / "out" / "images").rename(tmp_path / "scans")
    Image.new("L", (4, 4)).save(tmp_path / "scans" / "clean.png")
    (tmp_path / "out" / "classes.txt").write_text("scratch\ndent\n")
    images = read_annotations(tmp_path / "out", images_dir=tmp_path / "scans").images
    assert [(image.file_name, len(image.regions)) for image in images] == [("clean.png", 0), ("door.jpg", 1)]
    (tmp_path / "scans" / "door.jpg").unlink()
    with pytest.raises(AnnotationError, match="has no picture 'door'"):
        read_annotations(tmp_path / "out", images_dir=tmp_path / "scans")
    mended = read_mended(tmp_path / "out", images_dir=tmp_path / "scans")
    assert [(issue.was, issue.set_aside) for issue in mended.issues] == [(TRIANGLE, True)]


def test_listed_pictures_that_are_missing_are_named(tmp_path: Path) -> None:
    door = AnnotatedImage("a/door.png", 8, 6, (Region("dent", box(1, 1, 3, 3)),))
    write_annotations(Dataset(("dent",), (door,)), tmp_path, format="yolo")
    assert (tmp_path / "train.txt").read_text() == "./images/a/door.png\n"
    with pytest.raises(AnnotationError, match=r"there is no picture .*a/door\.png"):
        read_annotations(tmp_path)


def test_a_confidence_at_the_end_is_the_score(tmp_path: Path) -> None:
    assert read_annotations(_set(tmp_path, TRIANGLE.strip() + " 0.75")).images[0].regions[0].score == 0.75


@pytest.mark.parametrize("yaml", ["names: {0: scratch, 1: dent}", "path: nowhere\nnames:\n  1: dent\n  0: scratch\n"])
def test_names_may_be_numbered(tmp_path: Path, yaml: str) -> None:
    assert read_annotations(_set(tmp_path, yaml=yaml)).categories == ("scratch", "dent")


WRONG = {
    "box": ("1 0.5 0.5 0.2 0.2", "is a box"),
    "unknown class": ("7 0.1 0.1 0.5 0.1 0.5 0.5", "class '7'"),
    "class is a name": ("dent 0.1 0.1 0.5 0.1 0.5 0.5", "class 'dent'"),
    "no number": ("1 0.1 0.1 0.5 x 0.5 0.5", "'x'"),
    "nan": ("1 0.1 0.1 0.5 nan 0.5 0.5", "finite"),
    "one point": ("1 0.1 0.1", "1 points"),
    "only a class": ("1", "0 points"),
    "no area": ("1 0.1 0.1 0.2 0.2 0.3 0.3", "no area"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_lines_are_named_and_set_aside(tmp_path: Path, name: str) -> None:
    line, message = WRONG[name]
    _set(tmp_path, f"{TRIANGLE}\n{line}\n")
    with pytest.raises(AnnotationError, match=message) as error:
        read_annotations(tmp_path)
    assert "line 3" in str(error.value)
    mended = read_mended(tmp_path)
    assert [(issue.picture, issue.was, issue.set_aside) for issue in mended.issues] == [("door.jpg", line, True)]
    assert len(mended.dataset.images[0].regions) == 1


@pytest.mark.parametrize(
    ("yaml", "message"),
    [
        ("names: [", "is not YAML"),
        ("[1, 2]", "without names"),
        ("train: images", "without names"),
        ("names: [a, a]", "each once"),
        ("names: [1, 2]", "each once"),
        ("names: dent", "each once"),
        ("names: !!python/object/apply:os.getcwd []", "is not YAML"),
    ],
)
def test_wrong_yaml_is_named(tmp_path: Path, yaml: str, message: str) -> None:
    with pytest.raises(AnnotationError, match=message):
        read_annotations(_set(tmp_path, yaml=yaml))


def test_what_is_no_text_and_no_single_yaml_is_named(tmp_path: Path) -> None:
    _set(tmp_path)
    (tmp_path / "labels" / "door.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(AnnotationError, match="cannot be read"):
        read_annotations(tmp_path)
    (tmp_path / "images" / "door.jpg").write_bytes(b"no picture")
    with pytest.raises(AnnotationError, match="no readable picture"):
        read_annotations(tmp_path)
    (tmp_path / "data.yaml").unlink()
    with pytest.raises(AnnotationError, match="0 YAML files"):
        read_annotations(tmp_path, "yolo")


def test_regions_outside_are_mended_before_they_are_written(tmp_path: Path) -> None:
    door = AnnotatedImage("door.png", 8, 6, (Region("dent", box(5, 2, 9, 4)),))
    with pytest.raises(AnnotationError, match="reaches out"):
        write_annotations(Dataset(("dent",), (door,)), tmp_path, format="yolo")
    assert not list(tmp_path.iterdir())


def test_without_pyyaml_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(MissingExtraError, match=r"surfacedefect\[data\]"):
        read_annotations(_set(tmp_path))


@pytest.mark.parametrize("path", ["{0}/other", "../other", "..", "set/../../other", "/"])
def test_a_path_that_leads_out_is_refused(tmp_path: Path, path: str) -> None:
    """What a file of strangers says must not choose which folders are read."""
    _set(tmp_path / "other")
    yaml = f"path: {path.format(tmp_path)}\nnames: [scratch, dent]\n"
    _set(tmp_path / "set", yaml=yaml)
    (tmp_path / "set" / "set").mkdir()
    for read in (read_annotations, read_mended):
        with pytest.raises(AnnotationError, match="leads out of its folder; expected one inside"):
            read(tmp_path / "set")
    with pytest.raises(AnnotationError, match="leads out of its folder"):
        read_annotations(tmp_path / "set", images_dir=tmp_path / "set" / "images")


@pytest.mark.parametrize("path", ["inner", "./inner/../inner", "{0}/set/inner", "linked"])
def test_a_path_inside_is_followed(tmp_path: Path, path: str) -> None:
    _set(tmp_path / "set" / "inner")
    (tmp_path / "set" / "linked").symlink_to(tmp_path / "elsewhere")
    _set(tmp_path / "elsewhere")
    _set(tmp_path / "set", yaml=f"path: {path.format(tmp_path)}\nnames: [scratch, dent]\n")
    dataset = read_annotations(tmp_path / "set" / "data.yaml")
    assert dataset.images_dir == tmp_path / "set" / ("linked" if path == "linked" else "inner") / "images"
    assert [len(image.regions) for image in dataset.images] == [1]


@pytest.mark.parametrize("images", ["other", "other/images"])
def test_the_caller_may_say_where_the_pictures_are(tmp_path: Path, images: str) -> None:
    _set(tmp_path / "other")
    _set(tmp_path / "set", "", yaml="path: ../other\nnames: [scratch, dent]\n")
    found = read_annotations(tmp_path / "set", images_dir=tmp_path / images)
    assert [len(image.regions) for image in found.images] == [1], "the labels beside those pictures"


@pytest.mark.parametrize("train", ["{0}/secret.txt", "../secret.txt", "images/../../secret.txt"])
def test_a_list_that_leads_out_is_refused(tmp_path: Path, train: str) -> None:
    (tmp_path / "secret.txt").write_text("./images/secret.jpg\n")
    _set(tmp_path / "set", yaml=f"train: {train.format(tmp_path)}\nnames: [scratch, dent]\n")
    with pytest.raises(AnnotationError, match=r"lists pictures in .*secret\.txt.*, which leads out"):
        read_annotations(tmp_path / "set")


@pytest.mark.parametrize("train", ["../train/images", "/data/images", "/nowhere/train.txt", "null", "[a.txt, b.txt]"])
def test_splits_that_are_no_lists_here_are_not_looked_into(tmp_path: Path, train: str) -> None:
    """Folders, as exports have them, and lists that were somebody else's."""
    dataset = read_annotations(_set(tmp_path, yaml=f"train: {train}\nnames: [scratch, dent]\n"))
    assert [image.file_name for image in dataset.images] == ["door.jpg"]
