"""Found regions, hits, ignored blobs and false alarms, counted by hand; blobs and polygons agree."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import Polygon, box

from surfacedefect.annotations import Region
from surfacedefect.errors import EvaluationError, OptionError
from surfacedefect.evaluation import ObjectCounts, damaged_level, objects_from_map, objects_from_polygons, prepare_truth
from surfacedefect.evaluation._masks import label, label_pixels

SHAPE = (100, 120)
Box = tuple[int, int, int, int]


def drawn(*boxes: Box, value: int = 1) -> np.ndarray[Any, Any]:
    """Array of boxes (left, top, right, bottom), in the order of shapely's box."""
    array = np.zeros(SHAPE, np.uint8)
    for left, top, right, bottom in boxes:
        array[top:bottom, left:right] = value
    return array


def both_ways(boxes: list[Box], *, truth: Any) -> ObjectCounts:
    """Counts of separate boxes, as a map and as polygons; they have to be the same."""
    from_map = objects_from_map(drawn(*boxes, value=200), truth, threshold=0.5, froc_thresholds=(0.5,))
    regions = [Region("dent", box(*one), 200 / 255) for one in boxes]
    assert objects_from_polygons(regions, truth, froc_thresholds=(0.5,)) == from_map
    return from_map


def view(*boxes: Box, ignore: Box | None = None) -> Any:
    """Truth of boxes of one kind."""
    ignored = None if ignore is None else drawn(ignore)
    return prepare_truth({"dent": drawn(*boxes)}, ignore=ignored).views["dent"]


def test_a_quarter_of_the_area_is_enough() -> None:
    truth = view((20, 20, 40, 40))
    assert both_ways([(20, 20, 30, 30)], truth=truth).found == 1
    less = both_ways([(20, 20, 30, 29)], truth=truth)
    assert (less.found, less.hits, less.false_alarms) == (0, 1, 0)


def test_several_blobs_find_a_region_together_and_one_blob_finds_several() -> None:
    assert both_ways([(20, 20, 30, 25), (20, 30, 30, 35)], truth=view((20, 20, 40, 40))).found == 1
    over_two = both_ways([(10, 10, 60, 30)], truth=view((15, 12, 25, 22), (40, 12, 50, 22)))
    assert (over_two.found, over_two.hits, over_two.regions) == (2, 1, 2)


def test_blobs_under_30_px_are_dropped() -> None:
    truth = view((20, 20, 30, 24))
    assert both_ways([(20, 20, 30, 23)], truth=truth).found == 1
    dropped = both_ways([(20, 20, 29, 23), (80, 80, 84, 87)], truth=truth)
    assert (dropped.found, dropped.predictions) == (0, 0)


def test_a_false_alarm_is_further_than_8_px() -> None:
    truth = view((20, 20, 30, 30))
    assert both_ways([(37, 20, 47, 30)], truth=truth).hits == 1  # pixel 37 is 8 px from pixel 29
    assert both_ways([(38, 20, 48, 30)], truth=truth).false_alarms == 1


def test_blobs_mostly_in_ignore_are_neither() -> None:
    truth = view((5, 5, 15, 15), ignore=(50, 50, 70, 70))
    half = both_ways([(62, 52, 82, 68)], truth=truth)  # 8 columns ignored, 2 doubt, 10 clean
    assert (half.ignored, half.false_alarms, half.hits) == (1, 0, 0)
    less = both_ways([(63, 52, 83, 68)], truth=truth)
    assert (less.ignored, less.false_alarms) == (0, 1)


def test_a_hit_inside_ignore_is_a_hit() -> None:
    counts = both_ways([(20, 20, 30, 30)], truth=view((20, 20, 30, 30), ignore=(0, 0, 100, 100)))
    assert (counts.hits, counts.ignored, counts.recall, counts.precision) == (1, 0, 1.0, 1.0)


def test_the_other_kind_is_ignored() -> None:
    truth = prepare_truth({"scratch": drawn((5, 5, 45, 8)), "dent": drawn((60, 60, 80, 80))})
    counts = both_ways([(62, 62, 78, 78)], truth=truth.views["scratch"])
    assert (counts.ignored, counts.false_alarms, counts.found) == (1, 0, 0)


def test_froc_of_a_map_and_of_scores() -> None:
    boxes, values = [(10, 10, 20, 20), (40, 10, 50, 20), (70, 10, 80, 20)], [240, 150, 60]
    alarms, alarm_values = [(10, 60, 20, 70), (60, 60, 70, 70)], [200, 100]
    everything = list(zip(boxes + alarms, values + alarm_values, strict=True))
    truth = view(*boxes)
    scan = np.max([drawn(one, value=value) for one, value in everything], axis=0)
    regions = [Region("dent", box(*one), value / 255) for one, value in everything]
    thresholds = (0.9, 0.1, 0.5)
    from_map = objects_from_map(scan, truth, threshold=0.1, froc_thresholds=thresholds)
    assert from_map == objects_from_polygons(regions, truth, froc_thresholds=thresholds)
    assert from_map.thresholds == (0.1, 0.5, 0.9)
    assert from_map.found_at == (3, 2, 1) and from_map.false_alarms_at == (2, 1, 0)
    three = from_map + from_map + from_map
    assert three.froc().false_alarms_per_scan.tolist() == [2.0, 1.0, 0.0]
    assert [three.recall_at(n) for n in (0, 0.99, 1, 2)] == pytest.approx([1 / 3, 1 / 3, 2 / 3, 1])
    strict = objects_from_map(scan, truth, threshold=0.1, froc_thresholds=(0.5,))
    assert strict.recall_at(0.5) == 0.0


def test_what_is_undefined_is_nan() -> None:
    empty = objects_from_map(drawn(), view(), threshold=0.5)
    assert math.isnan(empty.recall) and math.isnan(empty.precision) and math.isnan(empty.recall_at(1))
    assert empty.false_alarms_per_scan == 0 and math.isnan(ObjectCounts().false_alarms_per_scan)
    assert math.isnan(objects_from_map(drawn(), view((5, 5, 15, 15)), threshold=0.5, froc_thresholds=()).recall_at(1))


def test_polygons_outside_of_the_scan_are_false_alarms() -> None:
    far = [Region("dent", box(500, 500, 520, 520), 0.5), Region("dent", box(-90, -90, -20, -20))]
    assert objects_from_polygons(far, view((5, 5, 15, 15))).false_alarms == 2


cells = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4), st.integers(0, 255)), max_size=14)


@given(true_cells=cells, predicted_cells=cells, offset=st.integers(0, 12))
@settings(max_examples=40, deadline=None)
def test_blobs_and_their_polygons_are_judged_alike(true_cells: Any, predicted_cells: Any, offset: int) -> None:
    truth = view(*[(20 * x, 20 * y, 20 * x + 9, 20 * y + 7) for x, y, _ in true_cells], ignore=(50, 0, 70, 100))
    unique = {(x, y): value for x, y, value in predicted_cells}
    boxes = [(20 * x + offset, 20 * y, 20 * x + 8 + offset, 20 * y + 5) for x, y in unique]
    scan = np.zeros(SHAPE, np.uint8)
    for (left, top, right, bottom), value in zip(boxes, unique.values(), strict=True):
        scan[top:bottom, left:right] = value
    regions = [Region("dent", box(*one), value / 255) for one, value in zip(boxes, unique.values(), strict=True)]
    thresholds = (0.1, 0.5, 0.9)
    from_map = objects_from_map(scan, truth, threshold=0.1, froc_thresholds=thresholds)
    kept = [region for region in regions if region.score is not None and region.score >= 0.1]
    assert from_map == objects_from_polygons(kept, truth, froc_thresholds=thresholds)
    assert from_map.found <= from_map.regions
    assert all(np.diff(from_map.found_at) <= 0) and all(np.diff(from_map.false_alarms_at) <= 0)


class Loose:
    """A prediction of another library: three attributes and no checks."""

    kind, polygon = "dent", box(0, 0, 10, 10)

    def __init__(self, score: float | None) -> None:
        self.score = score


def test_wrong_scores_thresholds_and_curves_are_refused() -> None:
    truth = view((5, 5, 15, 15))
    assert objects_from_polygons([Loose(None)], truth, froc_thresholds=(1.0,)).found_at == (1,)
    for score in (1.5, math.nan):
        with pytest.raises(EvaluationError, match="score"):
            objects_from_polygons([Loose(score)], truth)
    with pytest.raises(OptionError, match="threshold"):
        objects_from_map(drawn(), truth, threshold=0.5, froc_thresholds=(2,))
    with pytest.raises(EvaluationError, match="as many of each"):
        ObjectCounts(thresholds=(0.5,))
    one, other = (objects_from_map(drawn(), truth, threshold=0.5, froc_thresholds=t) for t in ((0.5,), (0.6,)))
    with pytest.raises(EvaluationError, match="cannot be added"):
        one + other


def test_polygons_with_holes_and_slanted_sides() -> None:
    ring = Polygon(box(20, 20, 60, 60).exterior, [box(22, 22, 58, 58).exterior.coords])
    counts = objects_from_polygons([Region("dent", ring, 0.9)], view((20, 20, 60, 60)))
    assert (counts.hits, counts.found) == (1, 0), "a hollow outline covers too little"


def test_recall_at_so_many_false_alarms_does_not_count_where_blobs_have_melted() -> None:
    counts = ObjectCounts(1, 4, 0, 0, 0, 0, (0.1, 0.3, 0.5, 0.7), (4, 3, 2, 1), (0, 30, 8, 2))
    assert [counts.recall_at(alarms) for alarms in (1, 2, 10, 30)] == [0, 0.25, 0.5, 1]


@given(st.integers(0, 2**32 - 1), st.integers(1, 25), st.integers(1, 25), st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_regions_of_pixels_are_those_of_the_mask(seed: int, height: int, width: int, share: float) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < share
    expected, count = label(mask)
    at = np.flatnonzero(mask)
    numbers, found = label_pixels(at, width=width)
    assert found == count
    assert len({*zip(expected.ravel()[at].tolist(), numbers.tolist(), strict=True)}) == count


def test_a_curve_of_every_level_is_that_of_each_level_alone() -> None:
    rng = np.random.default_rng(3)
    values = np.kron(rng.integers(0, 256, (20, 24), dtype=np.uint8), np.ones((5, 5), np.uint8))
    truth = view((20, 20, 60, 40), ignore=(70, 0, 110, 50))
    steps = tuple(level / 255 for level in range(1, 256, 6))
    curve = objects_from_map(values, truth, threshold=0.5, froc_thresholds=steps)
    for number, step in enumerate(steps):
        alone = objects_from_map(np.where(values >= damaged_level(step), values, 0), truth, threshold=step)
        assert (curve.found_at[number], curve.false_alarms_at[number]) == (alone.found, alone.false_alarms)
