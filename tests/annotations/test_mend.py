"""What people leave behind is mended where there is one right way, set aside where there is none, and never lost."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from annotated import datasets, odd_names
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from shapely import union_all
from shapely.affinity import translate
from shapely.geometry import MultiPolygon, Polygon, box

from surfacedefect.annotations import AnnotatedImage, AnnotationIssue, Dataset, Mended, Region, mend
from surfacedefect.annotations.issues import issues_json
from surfacedefect.errors import OptionError

quick = settings(max_examples=25, deadline=None)
EIGHT = Polygon([(0, 0), (4, 4), (4, 0), (0, 4)])
FLAT = Polygon([(0, 0), (2, 2), (4, 4)])


def _image(*polygons: Any, kind: str = "dent", name: str = "door.png", **changes: Any) -> AnnotatedImage:
    regions = tuple(Region(kind, polygon) for polygon in polygons)
    return AnnotatedImage(name, 20, 16, regions, **changes)


def _mended(*images: AnnotatedImage, **options: Any) -> Mended:
    kinds = tuple(dict.fromkeys(region.kind for image in images for region in image.regions))
    return mend(Dataset(kinds, images), **options)


def _areas(mended: Mended) -> list[float]:
    return [region.polygon.area for image in mended.dataset.images for region in image.regions]


@pytest.mark.parametrize(
    ("polygon", "what", "done", "areas"),
    [
        (box(15, 3, 24, 5), "reaches 4 px out of the picture", "clipped", [10]),
        (box(-3, -2, 2, 2), "reaches 3 px out of the picture", "clipped", [4]),
        (box(30, 3, 34, 5), "lies outside of the picture of 20 x 16 px", "set aside", []),
        (box(20, 3, 34, 5), "lies outside of the picture", "set aside", []),
        (EIGHT, "crosses itself", "made valid", [8]),
        (MultiPolygon([box(0, 0, 2, 2), box(1, 1, 3, 3)]), "its parts overlap", "made valid", [7]),
        (FLAT, "has no area", "set aside", []),
        (Polygon([(0, 0), (float("inf"), 1), (3, 0)]), "not finite", "set aside", []),
    ],
)
def test_each_fault_gives_one_line(polygon: Any, what: str, done: str, areas: list[float]) -> None:
    mended = _mended(_image(polygon, box(1, 10, 3, 12)))
    assert len(mended.issues) == 1
    issue = mended.issues[0]
    assert what in issue.what and issue.done == done and issue.picture == "door.png"
    assert issue.set_aside == (done == "set aside") and issue.was == polygon.wkt
    assert str(issue) == f"door.png: {issue.what}; {done}" and "\n" not in str(issue)
    assert _areas(mended) == pytest.approx([*areas, 4])


def test_kinds_are_known_by_name_or_by_a_mapping() -> None:
    image = AnnotatedImage(
        "door.png",
        20,
        16,
        tuple(Region(kind, box(n, 0, n + 1, 1)) for n, kind in enumerate(["dent", " Dent", "Beule"])),
    )
    dataset = Dataset(("dent", " Dent", "Beule"), (image,))
    mended = mend(dataset, kinds=("scratch", "dent"))
    assert mended.dataset.categories == ("scratch", "dent") and len(_areas(mended)) == 2
    assert [(issue.done, issue.set_aside) for issue in mended.issues] == [
        ("taken for 'dent'", False),
        ("set aside", True),
    ]
    renamed = mend(dataset, kinds={"Beule": "dent", "dent": "dent"})
    assert renamed.dataset.categories == ("dent",) and len(_areas(renamed)) == 3
    assert not mend(dataset).issues
    for wrong in ((), "dent", {}):
        with pytest.raises(OptionError, match="kinds"):
            mend(dataset, kinds=wrong)


def test_pictures_that_are_missing_or_of_another_size_are_set_aside(tmp_path: Path) -> None:
    for name, size in (("door.png", (20, 16)), ("turned.png", (16, 20))):
        Image.new("L", size).save(tmp_path / name)
    (tmp_path / "text.png").write_text("no picture")
    names = ("door.png", "turned.png", "none.png", "text.png", "../door.png")
    mended = _mended(*(_image(box(1, 1, 3, 3), name=name) for name in names), images_dir=tmp_path)
    assert [image.file_name for image in mended.dataset.images] == ["door.png"]
    assert [issue.picture for issue in mended.issues] == list(names[1:])
    for issue, what in zip(mended.issues, ("16 x 20 px", "no picture", "no readable picture", "outside"), strict=True):
        assert what in issue.what and issue.set_aside and "POLYGON" in issue.was


def test_a_region_that_stands_twice_is_kept_once() -> None:
    turned = Polygon([(5, 5), (1, 5), (1, 1), (5, 1)])
    mended = _mended(_image(box(1, 1, 5, 5), turned, box(2, 2, 6, 6)))
    assert _areas(mended) == [16, 16] and [issue.done for issue in mended.issues] == ["kept once"]


def test_copies_of_one_picture_are_merged() -> None:
    first = _image(box(1, 1, 5, 3), box(10, 10, 12, 12))
    second = _image(box(2, 1, 6, 3), box(11.5, 10, 14, 12), box(1, 14, 2, 15))
    mended = _mended(first, second)
    assert _areas(mended) == [10, 4, 5, 1], "three quarters shared: joined; a quarter: not; the others stay"
    assert [issue.what for issue in mended.issues] == ["annotated 2 times"]
    assert mended.issues[0].done == "merged: 5 regions became 4, 1 of them the union of several"
    assert mended.issues[0].was.count("POLYGON") == 5
    other_kind = _mended(first, _image(box(1, 1, 5, 3), kind="scratch"))
    assert _areas(other_kind) == [8, 4, 8]


def test_copies_under_other_names_are_merged_under_the_one_to_keep() -> None:
    copy = _image(box(1, 1, 5, 3), name="copy of door.png", group="car-2", id=4)
    door = _image(box(1, 1, 5, 4), group="car-1", id=2)
    mended = _mended(copy, door, same_pictures={"copy of door.png": "door.png"})
    (image,) = mended.dataset.images
    assert (image.file_name, image.group, image.id) == ("door.png", "car-1", 2) and _areas(mended) == [12]
    assert "as 'copy of door.png'" in mended.issues[0].what and "groups" in mended.issues[1].what
    alone = _mended(copy, same_pictures={"copy of door.png": "door.png"})
    assert alone.dataset.images[0].file_name == "door.png"


def test_a_copy_of_another_size_is_set_aside() -> None:
    small = dataclasses.replace(_image(box(1, 1, 2, 2)), width=10, height=8)
    mended = _mended(_image(box(1, 1, 5, 3)), small)
    assert _areas(mended) == [8] and mended.issues[0].set_aside and "10 x 8 px" in mended.issues[0].what


def test_the_copy_that_fits_the_picture_stays(tmp_path: Path) -> None:
    Image.new("L", (20, 16)).save(tmp_path / "door.png")
    small = dataclasses.replace(_image(box(1, 1, 2, 2)), width=10, height=8)
    copy = _image(box(1, 1, 5, 4), name="gone.png")
    mended = _mended(small, _image(box(1, 1, 5, 3)), copy, images_dir=tmp_path, same_pictures={"gone.png": "door.png"})
    assert _areas(mended) == [12] and [issue.set_aside for issue in mended.issues] == [True, False]


def test_a_line_is_one_line() -> None:
    assert str(AnnotationIssue("a\nb.png", "no area", "set aside")) == "a\\nb.png: no area; set aside"


def test_scores_of_what_is_joined() -> None:
    def scored(score: float | None) -> AnnotatedImage:
        return AnnotatedImage("door.png", 20, 16, (Region("dent", box(1, 1, 5, 3), score),))

    assert _mended(scored(0.25), scored(0.5)).dataset.images[0].regions[0].score == 0.5
    assert _mended(scored(0.25), scored(None)).dataset.images[0].regions[0].score is None


def test_issues_become_a_record() -> None:
    issue = AnnotationIssue("a", "b", "c", "d", True)
    assert issues_json([issue])["issues"] == [{"picture": "a", "what": "b", "done": "c", "was": "d", "set_aside": True}]
    assert str(AnnotationIssue("", "b", "c")) == "b; c"


@given(dataset=datasets(), shift=st.tuples(st.floats(-70, 70), st.floats(-50, 50)))
@quick
def test_nothing_is_lost_and_mending_twice_changes_nothing(dataset: Dataset, shift: tuple[float, float]) -> None:
    moved = [
        dataclasses.replace(
            i, regions=tuple(dataclasses.replace(r, polygon=translate(r.polygon, *shift)) for r in i.regions)
        )
        for i in dataset.images
    ]
    mended = mend(Dataset(dataset.categories, tuple(moved)))
    for before, after in zip(moved, mended.dataset.images, strict=True):
        frame = box(0, 0, before.width, before.height)
        issues = [issue for issue in mended.issues if issue.picture == before.file_name]
        lost = sum(issue.set_aside or issue.done == "kept once" for issue in issues)
        assert len(after.regions) + lost == len(before.regions)
        assert all(r.polygon.is_valid and frame.buffer(1e-6).covers(r.polygon) for r in after.regions)
        inside = union_all([r.polygon.intersection(frame) for r in before.regions])
        assert inside.symmetric_difference(union_all([r.polygon for r in after.regions])).area < 1e-4
    again = mend(mended.dataset)
    assert not again.issues and again.dataset == mended.dataset


@given(dataset=datasets(names=st.sampled_from(["scratch", "dent"])), name=odd_names)
@quick
def test_merging_keeps_every_drawn_pixel_and_knows_no_order(dataset: Dataset, name: str) -> None:
    copies = [dataclasses.replace(image, file_name=name) for image in dataset.images]
    one = mend(Dataset(dataset.categories, tuple(copies))).dataset.images
    other = mend(Dataset(dataset.categories, tuple(copies[::-1]))).dataset.images
    assert len(one) == len(other) == 1
    for kind in dataset.categories:
        drawn = union_all([r.polygon for image in copies for r in image.regions if r.kind == kind])
        for found in (one, other):
            kept = union_all([r.polygon for r in found[0].regions if r.kind == kind])
            assert kept.symmetric_difference(drawn).area < 1e-6
        areas = [sorted(r.polygon.area for r in found[0].regions if r.kind == kind) for found in (one, other)]
        assert areas[0] == pytest.approx(areas[1])
