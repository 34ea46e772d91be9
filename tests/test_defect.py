from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
import shapely

from surfacedefect.defect import Defect
from surfacedefect.errors import OptionError, ScaleUnknownError, SurfaceDefectError

BAR = shapely.box(10, 20, 110, 24)


def bar(**changes):
    values = {"score": 0.9, "area_px": 400.0, "length_px": 100.0, "width_px": 4.0} | changes
    return Defect(values.pop("polygon", BAR), values.pop("kind", "scratch"), **values)


def test_millimetres_are_pixels_times_the_scale():
    found = bar(mm_per_px=0.25)
    assert found.length_mm == pytest.approx(25)
    assert found.width_mm == pytest.approx(1)
    assert found.area_mm2 == pytest.approx(25)


@pytest.mark.parametrize("name", ["area_mm2", "length_mm", "width_mm"])
def test_millimetres_without_a_scale_raise(name):
    with pytest.raises(ScaleUnknownError, match=f"{name} was asked.*mm_per_px") as caught:
        getattr(bar(), name)
    assert isinstance(caught.value, SurfaceDefectError)


def test_repr_is_one_short_line_without_coordinates_of_the_outline():
    assert repr(bar()) == "Defect(scratch 0.90, 100 x 4.0 px, at x=10..110, y=20..24)"
    assert repr(bar(mm_per_px=0.1)) == "Defect(scratch 0.90, 100 x 4.0 px = 10.0 x 0.40 mm, at x=10..110, y=20..24)"
    detailed = shapely.Point(500, 500).buffer(300, 500)
    assert len(repr(bar(polygon=detailed))) < 100


def test_record_has_millimetres_only_with_a_scale():
    pixels = {"kind", "score", "area_px", "length_px", "width_px"}
    assert set(bar().to_dict()) == pixels
    assert set(bar(mm_per_px=0.1).to_dict()) == pixels | {"mm_per_px", "area_mm2", "length_mm", "width_mm"}


def test_record_is_rounded_plain_python():
    record = bar(score=np.float32(0.123456), length_px=np.float64(10.12345), mm_per_px=0.0375).to_dict()
    assert record["score"] == 0.1235
    assert record["length_px"] == 10.12
    assert record["length_mm"] == 0.38
    assert record["mm_per_px"] == 0.0375
    assert json.loads(json.dumps(record)) == record


def test_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        bar().score = 1.0


def test_equal_values_are_equal():
    assert bar() == bar()
    assert bar() != bar(score=0.8)
    assert len({bar(), bar()}) == 1


BOW_TIE = shapely.Polygon([(0, 0), (2, 2), (2, 0), (0, 2)])


@pytest.mark.parametrize(
    "polygon", [None, BOW_TIE, shapely.Polygon(), shapely.Point(1, 1), shapely.MultiPolygon([BAR])]
)
def test_other_than_one_valid_polygon_is_refused(polygon):
    with pytest.raises(OptionError, match="expected one valid, non-empty shapely.Polygon"):
        bar(polygon=polygon)


@pytest.mark.parametrize("score", [-0.01, 1.01, math.nan])
def test_score_out_of_range_is_refused(score):
    with pytest.raises(OptionError, match="score is"):
        bar(score=score)


@pytest.mark.parametrize("name", ["area_px", "length_px", "width_px"])
@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf])
def test_sizes_out_of_range_are_refused(name, value):
    with pytest.raises(OptionError, match=f"{name} is"):
        bar(**{name: value})


@pytest.mark.parametrize("scale", [0.0, -0.1, math.nan, math.inf])
def test_impossible_scales_are_refused(scale):
    with pytest.raises(OptionError, match="mm_per_px is"):
        bar(mm_per_px=scale)
