"""Which picture of a data set each annotated one is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from labelled import coco, digest, picture, row, write_rows
from shapely.geometry import box

from surfacedefect.annotations import AnnotatedImage, Dataset, Region, read_annotations, write_annotations
from surfacedefect.datasets import IngestOptions, ingest, read_labels, read_manifest
from surfacedefect.errors import AnnotationError, DatasetError, OptionError

DENT = Region("dent", box(2, 2, 20, 20))


def image(name: str, *regions: Region, size: tuple[int, int] = (64, 48), group: str | None = None) -> AnnotatedImage:
    return AnnotatedImage(name, *size, regions, group)


def names(tmp_path: Path, *images: AnnotatedImage, at: Path | None = None) -> tuple[dict[str, str], list[str]]:
    """Names of the annotated pictures by hash, and what is set aside."""
    file = coco(at or tmp_path / "a.json", images)
    labels = read_labels(tmp_path / "set", file)
    return {key: found.file_name for key, found in labels.by_hash.items()}, [str(issue) for issue in labels.issues]


def test_names_that_fit(tmp_path: Path) -> None:
    rows = [row("car 1/left/a.jpg"), row("car 1/right/b.jpg"), row("car 2/e\u0301.jpg"), row("back\\slash.jpg")]
    write_rows(tmp_path / "set", rows)
    for name, path in (
        (rows[0]["view_name"], "car 1/left/a.jpg"),
        (f"set/view/{rows[1]['view_name']}", "car 1/right/b.jpg"),
        ("car 1/left/a.jpg", "car 1/left/a.jpg"),
        ("./car 1//left/a.jpg", "car 1/left/a.jpg"),
        ("car 1\\left\\a.jpg", "car 1/left/a.jpg"),
        ("C:\\scans\\car 1\\left\\a.jpg", "car 1/left/a.jpg"),
        ("/home/ann/car 1/left/a.jpg", "car 1/left/a.jpg"),
        ("../left/a.jpg", "car 1/left/a.jpg"),
        ("b.jpg", "car 1/right/b.jpg"),
        ("\u00e9.jpg", "car 2/e\u0301.jpg"),
        ("back\\slash.jpg", "back\\slash.jpg"),
    ):
        assert names(tmp_path, image(name)) == ({digest(path): name}, []), name


@pytest.mark.parametrize("name", ["ft/a.jpg", "car 3/left/a.jpg", "a.png", "left", "..", "/", "car 1/left/a.jpg/"])
def test_names_that_fit_nothing(tmp_path: Path, name: str) -> None:
    write_rows(tmp_path / "set", [row("car 1/left/a.jpg"), row("ok.jpg")])
    found, issues = names(tmp_path, image("ok.jpg"), image(name, DENT))
    if name.endswith("a.jpg/"):
        assert len(found) == 2 and not issues
        return
    assert list(found.values()) == ["ok.jpg"]
    (issue,) = issues
    assert "no row of the manifest has this picture; set aside with its 1 region" in issue


def test_a_name_of_several_pictures_is_no_guess(tmp_path: Path) -> None:
    twins = [row(f"car {n}/a.jpg") for n in range(5)]
    write_rows(tmp_path / "set", [*twins, row("ok.jpg")])
    found, issues = names(tmp_path, image("ok.jpg"), image("a.jpg", DENT))
    assert list(found.values()) == ["ok.jpg"]
    assert issues == [
        "a.jpg: the name fits different pictures: 'car 0/a.jpg', 'car 1/a.jpg', 'car 2/a.jpg' and 2 more; "
        "set aside with its 1 region"
    ]
    one = digest("the same bytes")
    write_rows(tmp_path / "other", [row("car 1/a.jpg", hash=one), row("car 2/a.jpg", hash=one, state="duplicate")])
    assert set(read_labels(tmp_path / "other", tmp_path / "a.json").by_hash) == {one}


def test_sound_pictures_go_first_and_what_is_set_aside_says_why(tmp_path: Path) -> None:
    cut = row("old/a.jpg", state="truncated", reason="ends after 7 rows", view_name=None)
    write_rows(tmp_path / "set", [cut, row("new/a.jpg"), row("b/c.jpg", state="corrupt", view_name=None)])
    found, issues = names(tmp_path, image("a.jpg"), image("c.jpg"))
    assert found == {digest("new/a.jpg"): "a.jpg"}
    assert issues == ["c.jpg: the manifest has set 'b/c.jpg' aside as corrupt; set aside with its 0 regions"]
    found, issues = names(tmp_path, image("new/a.jpg"), image("old/a.jpg"))
    assert found == {digest("new/a.jpg"): "new/a.jpg"} and "truncated (ends after 7 rows)" in issues[0]


def test_another_size_is_set_aside_before_copies_are_merged(tmp_path: Path) -> None:
    one = digest("one")
    write_rows(tmp_path / "set", [row("a.png", hash=one), row("b.png", hash=one, state="duplicate")])
    found, issues = names(tmp_path, image("a.png", DENT, size=(48, 64)), image("b.png", DENT))
    assert found == {one: "b.png"}
    assert issues == [
        "a.png: the picture 'a.png' is 64 x 48 px, but was annotated at 48 x 64 px; set aside with its 1 region"
    ]


def test_copies_are_merged_under_the_name_in_the_view(tmp_path: Path) -> None:
    one = digest("one")
    write_rows(tmp_path / "set", [row("a.png", hash=one, state="duplicate"), row("b.png", hash=one)])
    scratch = Region("scratch", box(30, 30, 60, 33))
    file = coco(tmp_path / "a.json", [image("a.png", DENT, scratch), image("b.png", DENT, group="car 7")])
    labels = read_labels(tmp_path / "set", file)
    (merged,) = labels.by_hash.values()
    assert (merged.file_name, merged.group) == ("b.png", "car 7")
    assert sorted(region.kind for region in merged.regions) == ["dent", "scratch"]
    assert "annotated 2 times, as 'a.png'; merged: 3 regions became 2" in str(labels.issues[0])


@pytest.fixture
def cars(tmp_path: Path) -> Path:
    """Two folders with the same names in them, each with its annotations."""
    share = tmp_path / "share"
    for car in (1, 2):
        picture(share / f"car {car}" / "images" / "door.png", car)
        coco(share / f"car {car}" / "a.json", [image("door.png", DENT, group=f"car {car}")])
    ingest(share, tmp_path / "set")
    return share


def hash_at(dest: Path, path: str) -> str:
    return next(str(row["hash"]) for row in read_manifest(dest).to_pylist() if row["source_path"] == path)


def test_annotations_beside_their_pictures(tmp_path: Path, cars: Path) -> None:
    dest = tmp_path / "set"
    for car in (1, 2):
        expected = {hash_at(dest, f"car {car}/images/door.png"): f"car {car}"}
        for given in (f"car {car}/a.json", cars / f"car {car}" / "a.json"):
            labels = read_labels(dest, given)
            assert {key: found.group for key, found in labels.by_hash.items()} == expected
    outside = shutil.copy(cars / "car 1" / "a.json", tmp_path / "outside.json")
    with pytest.raises(DatasetError, match=r"none of the 1 pictures .* fits different pictures: 'car 1/images/door.p"):
        read_labels(dest, outside)


@pytest.mark.parametrize("format", ["labelme", "via", "cvat", "yolo", "masks"])
def test_every_format_from_within_a_source(tmp_path: Path, format: str) -> None:
    share, name = tmp_path / "share", "a/d\u00fcr.png"
    place = (
        share / "marks"
        if format in ("labelme", "yolo", "masks")
        else share / "marks" / ("notes.xml" if format == "cvat" else "notes.json")
    )
    beside = {"yolo": "marks/images", "via": "marks"}.get(format, "pictures")
    picture(share / beside / name, 1)
    write_annotations(Dataset(("dent",), (image(name, DENT),)), place, format=format)
    if format == "masks":
        (share / "pictures" / name).rename(share / "pictures" / "a" / "d\u00fcr.webp")  # masks have their own ending
    ingest(share, tmp_path / "set", options=IngestOptions(accept_wrong_extension=True))
    labels = read_labels(tmp_path / "set", place.relative_to(share))
    (found,) = labels.by_hash.values()
    assert found.regions[0].polygon.area == 18 * 18 and labels.categories == ("dent",) and not labels.issues
    (share / beside / "a").rename(tmp_path / "gone")  # nothing of the source is needed any more
    assert read_labels(tmp_path / "set", place.relative_to(share)).by_hash == labels.by_hash


def test_several_files_are_one(tmp_path: Path, cars: Path) -> None:
    dest, door = tmp_path / "set", "car 1/images/door.png"
    scratch = Region("scratch", box(30, 30, 60, 33))
    more = coco(tmp_path / "more.json", [image(door, DENT, scratch)], kinds=("rust", "scratch", "dent"))
    labels = read_labels(dest, ["car 1/a.json", cars / "car 2" / "a.json", more])
    assert {key: found.group for key, found in labels.by_hash.items()} == {
        hash_at(dest, f"car {car}/images/door.png"): f"car {car}" for car in (1, 2)
    }
    assert sorted(region.kind for region in labels.by_hash[hash_at(dest, door)].regions) == ["dent", "scratch"]
    assert labels.categories == ("scratch", "dent", "rust")
    assert "annotated 2 times; merged: 3 regions became 2" in str(labels.issues[0])
    with pytest.raises(OptionError, match="annotations is"):
        read_labels(dest, [])


def test_kinds_and_issues_of_reading_are_kept(tmp_path: Path) -> None:
    write_rows(tmp_path / "set", [row("a.png")])
    file = coco(tmp_path / "a.json", [image("a.png", Region("Delle", box(50, 40, 70, 48)))], kinds=("Delle",))
    labels = read_labels(tmp_path / "set", file, kinds={"Delle": "dent"})
    assert labels.categories == ("dent",) and labels.by_hash[digest("a.png")].regions[0].polygon.bounds[2] == 64
    assert [issue.done for issue in labels.issues] == ["clipped"]


def test_refuses(tmp_path: Path) -> None:
    write_rows(tmp_path / "set", [row("a.png"), row("n.json", state="not_a_picture", source="b"), row("n.json")])
    with pytest.raises(AnnotationError, match=r"'nowhere.json' is neither a file or folder here nor a path of the man"):
        read_labels(tmp_path / "set", "nowhere.json")
    with pytest.raises(DatasetError, match=r"'n.json' is in 2 sources \(b, share\)"):
        read_labels(tmp_path / "set", "n.json")
    with pytest.raises(DatasetError, match="there is no manifest"):
        read_labels(tmp_path, coco(tmp_path / "a.json", []))
    assert not read_labels(tmp_path / "set", tmp_path / "a.json").by_hash, "an empty file is no mistake"
    picture(tmp_path / "share" / "a.png", 1)
    (tmp_path / "share" / "bad.json").write_text(json.dumps({"images": 1, "annotations": [], "categories": []}))
    (tmp_path / "share" / "text.json").write_text("no JSON")
    ingest(tmp_path / "share", tmp_path / "real")
    for name in ("bad.json", "text.json"):
        with pytest.raises(AnnotationError) as error:
            read_labels(tmp_path / "real", name)
        assert str(error.value).startswith(name), "not the place where it was laid out for a moment"


def test_hostile_paths_of_annotations_are_not_laid_out(tmp_path: Path) -> None:
    write_rows(tmp_path / "set", [row("marks/../../x.json", state="not_a_picture", view_name=None), row("a.png")])
    with pytest.raises((AnnotationError, DatasetError)):
        read_labels(tmp_path / "set", "marks")
    up = row("../a.json", state="not_a_picture", view_name=None)
    write_rows(tmp_path / "up", [up, row("a.png")])
    with pytest.raises(AnnotationError, match="nor a path of the manifest"):
        read_labels(tmp_path / "up", "../a.json")


def test_real_annotations_find_every_picture(tmp_path: Path, real_data: Path) -> None:
    share = tmp_path / "share"
    shutil.copytree(real_data / "valid", share / "valid")
    ingest(share, tmp_path / "set")
    labels = read_labels(tmp_path / "set", "valid/annotations.json")
    assert not [issue for issue in labels.issues if issue.set_aside]
    assert len(labels.by_hash) == len(read_annotations(share / "valid" / "annotations.json").images)
