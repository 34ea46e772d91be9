"""Every rule about the truth, on cases small enough to count by hand."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from shapely.geometry import box

from surfacedefect.annotations import AnnotatedImage, Region
from surfacedefect.errors import EvaluationError
from surfacedefect.evaluation import Protocol, prepare_truth, truth_of
from surfacedefect.evaluation._masks import dilate, histogram

CLEAN, DAMAGED, NEITHER = 0, 1, 2


def mask(*boxes: tuple[int, int, int, int], shape: tuple[int, int] = (60, 80)) -> np.ndarray[Any, Any]:
    """Mask of boxes (top, left, bottom, right)."""
    drawn = np.zeros(shape, np.uint8)
    for top, left, bottom, right in boxes:
        drawn[top:bottom, left:right] = 1
    return drawn


@given(arrays(np.bool_, (23, 31), elements=st.sampled_from([False] * 9 + [True])), st.integers(0, 40))
@settings(max_examples=60, deadline=None)
def test_dilation_is_all_within_the_distance(drawn: np.ndarray[Any, Any], radius: int) -> None:
    from scipy.ndimage import distance_transform_edt

    expected = distance_transform_edt(~drawn) <= radius if drawn.any() else drawn
    np.testing.assert_array_equal(dilate(drawn, radius_px=radius), expected)


@given(arrays(np.uint8, (7, 13)), arrays(np.bool_, (7, 13)))
@settings(max_examples=30, deadline=None)
def test_histogram_counts_bytes(values: np.ndarray[Any, Any], where: np.ndarray[Any, Any]) -> None:
    assert histogram(values, where=where) == tuple(np.bincount(values[where], minlength=256).tolist())


def test_doubt_is_the_band_outside_and_the_region_stays() -> None:
    state = prepare_truth({"dent": mask((20, 20, 30, 40))}).views["dent"].state
    assert (state[20:30, 20:40] == DAMAGED).all()
    assert state[18, 25] == state[19, 25] == state[25, 41] == NEITHER
    assert state[17, 25] == state[25, 42] == CLEAN
    assert state[19, 19] == NEITHER and state[18, 19] == CLEAN, "the band is round: 1.41 px is near, 2.24 px is not"
    assert (state == NEITHER).sum() == 2 * 2 * (10 + 20) + 4


def test_a_region_in_the_band_of_another_stays_damage() -> None:
    view = prepare_truth({"dent": mask((10, 10, 20, 20), (10, 21, 20, 30))}).views["dent"]
    assert len(view.areas_px) == 2
    assert (view.state[10:20, 20] == NEITHER).all()
    assert (view.state[10:20, 21:30] == DAMAGED).all()


def test_damage_wins_over_ignore() -> None:
    truth = prepare_truth({"dent": mask((20, 20, 30, 40))}, ignore=mask((0, 0, 60, 30)))
    state = truth.views["dent"].state
    assert (state[20:30, 20:40] == DAMAGED).all()
    assert state[5, 5] == state[5, 29] == state[5, 31] == NEITHER, "ignored regions have a band of doubt as well"
    assert state[5, 32] == CLEAN


def test_regions_under_20_px_are_ignored_and_numbers_close_up() -> None:
    view = prepare_truth({"dent": mask((2, 2, 3, 21), (30, 2, 32, 12), (50, 2, 60, 12))}).views["dent"]
    assert view.areas_px.tolist() == [20, 100]
    assert view.state[2, 10] == view.state[4, 10] == NEITHER
    assert view.labels[2, 10] == 0 and view.labels[31, 5] == 1 and view.labels[55, 5] == 2


def test_pixels_that_touch_at_a_corner_are_one_region() -> None:
    assert prepare_truth({"scratch": np.eye(40, dtype=np.uint8)}).views["scratch"].areas_px.tolist() == [40]


def test_the_other_kind_is_ignored_for_one_kind_but_not_together() -> None:
    scratch, dent = mask((25, 30, 29, 70)), mask((20, 20, 40, 50))
    truth = prepare_truth({"scratch": scratch, "dent": dent})
    one, other, both = (truth.views[kind] for kind in ("scratch", "dent", "damage"))
    assert list(truth.views) == ["scratch", "dent", "damage"] and truth.kinds == ("scratch", "dent")
    assert one.state[22, 22] == NEITHER and one.state[27, 40] == DAMAGED, "a scratch over a dent is still a scratch"
    assert other.state[27, 40] == DAMAGED and other.state[27, 60] == NEITHER
    np.testing.assert_array_equal(both.state == DAMAGED, (scratch | dent) > 0)
    assert (len(one.areas_px), len(other.areas_px), len(both.areas_px)) == (1, 1, 1)


def test_near_is_8_px_and_lines_are_those_of_scratches() -> None:
    truth = prepare_truth({"scratch": mask((20, 10, 23, 60)), "dent": mask((40, 10, 59, 60))})
    near = truth.views["scratch"].near
    assert near[12, 30] and not near[11, 30]
    line = truth.views["scratch"].line
    assert (line[1:-1, 0] == 21).all() and 46 <= len(line) <= 50
    assert not truth.views["dent"].line.size
    np.testing.assert_array_equal(truth.views["damage"].line, line)


def test_the_line_of_a_diagonal_bar_reaches_its_ends() -> None:
    rows, cols = np.mgrid[:80, :80]
    along, across = rows + cols, rows - cols
    bar = ((along >= 20) & (along < 140) & (across >= 0) & (across < 4)).astype(np.uint8)
    line = prepare_truth({"scratch": bar}).views["scratch"].line
    assert line.sum(axis=1).min() <= 24 and line.sum(axis=1).max() >= 136
    assert 56 <= len(line) <= 60, "one pixel a row"


def test_truth_of_a_picture() -> None:
    image = AnnotatedImage("a", 80, 60, (Region("dent", box(20, 20, 40, 30)), Region("ignore", box(0, 0, 30, 60))))
    truth = truth_of(image)
    assert truth.shape == (60, 80)
    assert truth.views["dent"].areas_px.tolist() == [200]
    assert truth.views["scratch"].state[25, 35] == NEITHER
    with pytest.raises(EvaluationError, match="rust"):
        truth_of(AnnotatedImage("a", 80, 60, (Region("rust", box(20, 20, 40, 30)),)))


def test_other_values_than_1_are_inside_too_and_nothing_is_changed() -> None:
    drawn = 255 * mask((20, 20, 30, 40))
    before = drawn.copy()
    truth = prepare_truth({"damage": drawn}, ignore=drawn)
    assert truth.kinds == () and truth.views["damage"].areas_px.tolist() == [200]
    np.testing.assert_array_equal(drawn, before)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: prepare_truth({}), "no mask"),
        (lambda: prepare_truth({"dent": mask().astype(np.int32)}), "array of int32"),
        (lambda: prepare_truth({"dent": [[0]]}), "is a list"),  # type: ignore[dict-item]
        (lambda: prepare_truth({"dent": mask(), "scratch": mask(shape=(60, 81))}), r"\(60, 81\)"),
        (lambda: prepare_truth({"dent": mask()}, ignore=mask(shape=(6, 8))), r"\(6, 8\)"),
        (lambda: prepare_truth({"dent": mask(shape=(0, 8))}), r"\(0, 8\)"),
        (lambda: prepare_truth({"dent": mask(), "damage": mask()}), "stands alone"),
        (lambda: Protocol(doubt_px=-1), "doubt_px"),
        (lambda: Protocol(tile_px=0), "tile_px"),
        (lambda: Protocol(found_share=0), "found_share"),
        (lambda: Protocol(confidence=1), "confidence"),
    ],
)
def test_wrong_truth_is_refused(make: Any, message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        make()


def test_importing_is_light() -> None:
    code = "import sys, surfacedefect.evaluation as e; print({'scipy','skimage','torch','pandas'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
