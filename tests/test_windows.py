from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from surfacedefect.errors import OptionError
from surfacedefect.windows import lay_axis, lay_grid

axes = st.builds(
    lambda length, window, share, edge: lay_axis(
        length, window_px=window, overlap_px=min(int(share * window), window - 1), edge=edge
    ),
    st.integers(1, 3000),
    st.integers(1, 600),
    st.floats(0, 1),
    st.sampled_from(["shift", "pad"]),
)


@given(axes)
def test_weights_sum_to_one_at_every_pixel(axis):
    total = np.zeros(axis.length_px + axis.window_px)
    for start, weights in zip(axis.starts, axis.weights(), strict=True):
        total[start : start + axis.window_px] += weights
    np.testing.assert_allclose(total[: axis.length_px], 1, atol=1e-5)
    assert not total[axis.length_px :].any(), "beyond the scan nothing may be blended"


@given(axes)
def test_windows_ascend_and_reach_the_end(axis):
    assert axis.starts[0] == 0
    assert all(a < b for a, b in zip(axis.starts, axis.starts[1:], strict=False))
    assert axis.starts[-1] + axis.window_px >= axis.length_px
    assert axis.starts[-1] < axis.length_px


@given(axes)
def test_indices_are_the_pixels_themselves_and_then_their_reflection(axis):
    for start in axis.starts:
        indices = axis.indices(start)
        assert indices.size == axis.window_px
        inside = min(axis.window_px, axis.length_px - start)
        assert indices[:inside].tolist() == list(range(start, start + inside))
        assert set(indices) <= set(range(axis.length_px))


def test_shifted_windows_never_leave_a_scan_that_is_large_enough():
    axis = lay_axis(1000, window_px=512, overlap_px=100)
    assert axis.starts[-1] + 512 == 1000


def test_no_overlap_gives_flat_weights():
    axis = lay_axis(900, window_px=300, overlap_px=0, edge="pad")
    assert (axis.weights() == 1).all()


def test_grid_counts_windows():
    assert len(lay_grid(3000, 4096, window_px=512, overlap_px=128)) == 8 * 11


@pytest.mark.parametrize(
    ("length", "window", "overlap", "edge"),
    [(0, 512, 0, "shift"), (10, 0, 0, "shift"), (10, 5, 5, "shift"), (10, 5, -1, "shift"), (10, 5, 1, "wrap")],
)
def test_bad_values_are_refused(length, window, overlap, edge):
    with pytest.raises(OptionError, match="expected"):
        lay_axis(length, window_px=window, overlap_px=overlap, edge=edge)
