"""Prevalence by parts of a picture is that of the whole picture, by the rules that results are judged by."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import LineString, Point

from surfacedefect.annotations import AnnotatedImage, Region
from surfacedefect.datasets._prevalence import ALL, Prevalence, prevalence_of
from surfacedefect.evaluation import TOGETHER, label_tiles, truth_of

KINDS = ("scratch", "dent")
_where = st.tuples(st.floats(-20, 1020), st.floats(-20, 820))
_dots = st.builds(lambda at, radius: Point(at).buffer(radius), _where, st.floats(0.5, 9))
_lines = st.builds(lambda a, b, half: LineString([a, b]).buffer(half), _where, _where, st.floats(0.3, 4))
_regions = st.builds(Region, st.sampled_from([*KINDS, "ignore"]), _dots | _lines)


@settings(max_examples=60)
@given(st.integers(1, 1000), st.integers(1, 800), st.lists(_regions, max_size=12))
def test_by_parts_is_as_the_whole(width: int, height: int, regions: list[Any]) -> None:
    image = AnnotatedImage("a.jpg", width, height, tuple(regions))
    found, truth = prevalence_of(image, KINDS), truth_of(image, kinds=KINDS)
    for name in (*KINDS, TOGETHER):
        state, tiles = truth.views[name].state, label_tiles(truth.views[name]).labels
        counts = (
            int((state == 1).sum()),
            int((state == 0).sum()),
            *(int((tiles == what).sum()) for what in (1, 0, -1)),
        )
        assert found[ALL if name == TOGETHER else name] == Prevalence(*counts)


def test_a_kind_may_be_called_damage() -> None:
    image = AnnotatedImage("a.jpg", 600, 300, (Region("damage", Point(100, 100).buffer(20)),))
    found = prevalence_of(image, ["damage", "dent"])
    assert found["damage"] == found[ALL] and found["damage"].damaged_tiles == 1
    assert found["dent"].damaged_px == 0 and found["dent"].tile_share == 0


def test_shares_of_nothing_are_not_defined() -> None:
    assert Prevalence().pixel_share is None and Prevalence().tile_share is None
