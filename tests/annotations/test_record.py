"""The neutral record refuses what cannot be drawn; masks follow the pixel corners."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from shapely.geometry import LineString, Polygon, box

from surfacedefect.annotations import AnnotatedImage, Dataset, Region, rasterise
from surfacedefect.errors import AnnotationError


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Region("", box(0, 0, 1, 1)), "kind"),
        (lambda: Region("dent", Polygon()), "empty"),
        (lambda: Region("dent", LineString([(0, 0), (1, 1)])), "LineString"),
        (lambda: Region("dent", box(0, 0, 1, 1), float("nan")), "score"),
        (lambda: AnnotatedImage("", 1, 1), "file name"),
        (lambda: AnnotatedImage("a", 1.5, 1), "width"),  # type: ignore[arg-type]
        (lambda: AnnotatedImage("a", 1, -1), "height"),
        (lambda: Dataset(("dent", "dent"), ()), "each name once"),
        (lambda: Dataset((), (AnnotatedImage("a", 1, 1, (Region("dent", box(0, 0, 1, 1)),)),)), "kind 'dent'"),
        (lambda: rasterise(AnnotatedImage("a", 1, 1), "dent", scale=0), "scale"),
    ],
)
def test_wrong_records_are_refused(make: Any, message: str) -> None:
    with pytest.raises(AnnotationError, match=message):
        make()


def test_masks_follow_pixel_corners_and_scale() -> None:
    image = AnnotatedImage("a", 8, 6, (Region("dent", box(2, 1, 6, 5)), Region("dent", box(-3, -3, 1, 1))))
    expected = np.zeros((6, 8), np.uint8)
    expected[1:5, 2:6] = expected[0, 0] = 1
    np.testing.assert_array_equal(rasterise(image, "dent")["dent"], expected)
    doubled = rasterise(image, "dent", scale=2)["dent"]
    np.testing.assert_array_equal(doubled, expected.repeat(2, 0).repeat(2, 1))
    assert rasterise(image, "dent", scale=0.01)["dent"].shape == (1, 1)
