"""Data sets to write and read back, and what it means that they are the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from PIL import Image
from shapely.geometry import MultiPolygon, Point, Polygon, box

from surfacedefect.annotations import AnnotatedImage, Dataset, Region

WIDTH, HEIGHT = 64, 48
RING = box(2.25, 3, 30, 22).difference(Point(15, 12).buffer(5))
TWO = MultiPolygon([box(1, 1, 4, 4), box(10, 10, 14.5, 12)])

_corner = st.tuples(st.floats(14, WIDTH - 14), st.floats(14, HEIGHT - 14))
_part = st.tuples(_corner, st.floats(0.5, 12), st.booleans())


def _outline(parts: Any) -> Any:
    outline: Any = Polygon()
    for (x, y), radius, hole in parts:
        disk = Point(x, y).buffer(radius, quad_segs=3)
        outline = outline.union(disk.difference(Point(x, y).buffer(radius / 3)) if hole else disk)
    return outline


outlines = st.lists(_part, min_size=1, max_size=4).map(_outline)
plain_names = st.sampled_from(["scratch", "dent", "ignore"])
odd_names = st.text(st.characters(categories=("L", "N", "P", "S")), min_size=1, max_size=8).filter(
    lambda name: name not in ("__ignore__", "_background_")
)


@st.composite
def datasets(draw: Any, *, names: Any = odd_names) -> Dataset:
    """Pictures of one size with any regions, groups and origins."""
    kinds = tuple(draw(st.lists(names, min_size=1, max_size=3, unique=True)))
    regions = st.builds(Region, st.sampled_from(kinds), outlines, st.none() | st.floats(0, 1))
    text = st.none() | odd_names
    images = []
    for number in range(draw(st.integers(1, 3))):
        found = tuple(draw(st.lists(regions, max_size=3)))
        images.append(AnnotatedImage(f"a {number}/t\u00fcr.png", WIDTH, HEIGHT, found, draw(text), draw(text)))
    return Dataset(kinds, tuple(images))


def paint(folder: Path, dataset: Dataset) -> None:
    """Write an empty picture for each of a data set."""
    for image in dataset.images:
        path = folder / image.file_name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (image.width, image.height)).save(path)


def same(found: Dataset, expected: Dataset, *, but: tuple[str, ...] = (), within_px2: float = 1e-6) -> None:
    """Demand that two data sets say the same, but for some fields."""
    assert found.categories == expected.categories
    assert len(found.images) == len(expected.images)
    for a, b in zip(found.images, expected.images, strict=True):
        fields = [field for field in ("file_name", "width", "height", "group", "origin") if field not in but]
        assert [getattr(a, field) for field in fields] == [getattr(b, field) for field in fields]
        assert [r.kind for r in a.regions] == [r.kind for r in b.regions]
        if "score" not in but:
            assert [r.score for r in a.regions] == [r.score for r in b.regions]
        for r, s in zip(a.regions, b.regions, strict=True):
            assert r.polygon.is_valid
            assert r.polygon.symmetric_difference(s.polygon).area < within_px2
