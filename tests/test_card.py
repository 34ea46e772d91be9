from __future__ import annotations

import json
import math
import re
from dataclasses import replace

import pytest

from surfacedefect import ModelCard, ModelError, OperatingPoint
from surfacedefect.card import read_card, sha256_of

POINT = OperatingPoint("scratch", 0.4, 0.7, math.nan, 0.6, 3.5, "somewhere", {"pixel_recall": (0.5, 0.9)})
OTHERS = (replace(POINT, threshold=0.6, intervals={}), replace(POINT, kind="dent"), replace(POINT, data="elsewhere"))
CARD = ModelCard(name="one", kinds=("scratch", "dent"), thresholds={"scratch": 0.4}, operating_points=(POINT, *OTHERS))


def test_round_trip():
    text = CARD.to_json()
    assert "NaN" not in text
    again = ModelCard.from_json(text)
    assert again.to_json() == text
    assert again.kinds == CARD.kinds
    assert math.isnan(again.operating_points[0].pixel_precision)
    for given, read in zip(CARD.operating_points, again.operating_points, strict=True):
        assert replace(read, pixel_precision=0) == replace(given, pixel_precision=0)


def test_figures_of_a_curve_stand_on_one_line():
    (line,) = (line for line in CARD.to_json().splitlines() if "0.6]" in line and "threshold" in line)
    assert line.strip() == '"threshold": [0.4, 0.6],'


def test_what_was_measured_at_a_threshold():
    elsewhere = OTHERS[2]
    assert CARD.measured("scratch") == (POINT, elsewhere)
    assert CARD.measured("scratch", 0.597) == (OTHERS[0],)
    assert CARD.measured("scratch", 0.41) == CARD.measured("scratch", 0.61) == CARD.measured("hail") == ()


def test_what_is_reported_by_default_has_figures_of_its_own():
    scored = replace(POINT, least_score=0.55, false_alarms_per_scan=1.5, intervals={})
    card = replace(CARD, least_scores={"scratch": 0.55}, operating_points=(*CARD.operating_points, scored))
    again = ModelCard.from_json(card.to_json())
    assert (again.least_score("scratch"), again.least_score("dent")) == (0.55, 0.0)
    (default,) = again.measured("scratch")
    assert (default.least_score, default.false_alarms_per_scan) == (0.55, 1.5)
    assert [point.false_alarms_per_scan for point in again.measured("scratch", 0.4)] == [3.5, 3.5]


@pytest.mark.parametrize(
    "text",
    ["", "no json", "[]", "{}", '{"name": "a"}', '{"name": "a", "kinds": "s"}', '{"name":"a","kinds":["s"],"new":1}',
     '{"name": "a", "kinds": ["s"], "operating_points": [{"kind": "s"}]}', "[" * 100_000,
     '{"name": "a", "kinds": ["s"], "operating_points": [{"kind": "s", "data": "d", "threshold": [0.5], '
     '"pixel_recall": [], "pixel_precision": [1], "regions_found": [1], "false_alarms_per_scan": [1]}]}'],
)  # fmt: skip
def test_what_is_no_card_is_refused(text):
    with pytest.raises(ModelError, match="not a model card"):
        ModelCard.from_json(text)


@pytest.mark.parametrize(
    "change",
    [{"kinds": ()}, {"kinds": ("a", "a")}, {"window_px": 0}, {"overlap_px": 512}, {"edge": "wrap"},
     {"thresholds": {"hail": 0.5}}, {"thresholds": {"scratch": 0}}, {"thresholds": {"scratch": "high"}},
     {"least_area_px": "30"}, {"simplify_px": None}, {"window_px": 512.5}, {"calibration": [1]}, {"name": 5},
     {"training": "yes"}, {"kinds": (1,)}, {"operating_points": [POINT]}, {"operating_points": (0.5,)},
     {"operating_points": None}],
)  # fmt: skip
def test_impossible_cards_are_refused(change):
    with pytest.raises(ModelError, match="expected"):
        ModelCard(**{"name": "bad", "kinds": ("scratch",), **change})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        *(({"threshold": value}, "number in (0, 1]") for value in (0, 1.01, -0.5, "0.5", None, True, math.nan, [0.5])),
        *(({"pixel_recall": value}, "in [0, 1], or nan") for value in (1.2, -0.1, "0.7", True, math.inf, [1], None)),
        *(({"pixel_precision": value}, "in [0, 1], or nan") for value in (7, "")),
        *(({"regions_found": value}, "in [0, 1], or nan") for value in (2, {})),
        *(({"false_alarms_per_scan": value}, "0 or more, or nan") for value in (-1, math.inf, "few", False)),
        *(({"least_score": value}, "number in [0, 1]") for value in (2, "0", None, math.nan)),
        *(({"kind": value}, "a name") for value in ("", None, 5, ["dent"])),
        ({"data": 7}, "a text"),
        *(
            ({"intervals": value}, "(low, high) of some of")
            for value in (
                None, [], {"pixel_recall": 0.5}, {"pixel_recall": (0.5,)}, {"pixel_recall": (0.9, 0.5)},
                {"pixel_recall": (0.5, 1.5)}, {"pixel_recall": ("0.5", "0.9")}, {"luck": (0.1, 0.2)},
                {"false_alarms_per_scan": (-1, 2)},
            )
        ),
    ],
)  # fmt: skip
def test_impossible_operating_points_are_refused(change, words):
    with pytest.raises(ModelError, match=re.escape(words)):
        replace(POINT, **change)


@pytest.mark.parametrize(
    ("name", "value"),
    [("threshold", "0.5"), ("threshold", [0.5]), ("pixel_recall", "0.7"), ("pixel_recall", 7), ("regions_found", [1]),
     ("false_alarms_per_scan", -3), ("pixel_recall_95", "ab"), ("pixel_recall_95", [0.5]), ("pixel_recall_95", 0.5),
     ("pixel_recall_95", [0.9, 0.1])],
)  # fmt: skip
def test_a_card_with_impossible_figures_is_refused(name, value):
    record = json.loads(CARD.to_json())
    record["operating_points"][0][name][0] = value
    with pytest.raises(ModelError, match="not a model card"):
        ModelCard.from_json(json.dumps(record))
    for name, value in (("kind", 5), ("data", None), ("least_score", "high")):
        record = json.loads(CARD.to_json())
        record["operating_points"][0][name] = value
        with pytest.raises(ModelError, match="not a model card"):
            ModelCard.from_json(json.dumps(record))


def test_undefined_figures_and_intervals_are_kept():
    point = replace(POINT, false_alarms_per_scan=math.nan, intervals={"pixel_recall": (math.nan, math.nan)})
    (read,) = ModelCard.from_json(replace(CARD, operating_points=(point,)).to_json()).operating_points
    assert math.isnan(read.false_alarms_per_scan) and all(map(math.isnan, read.intervals["pixel_recall"]))


def test_weights_are_checked_against_their_card(tmp_path):
    weights = tmp_path / "one.onnx"
    with pytest.raises(ModelError, match="no weights file"):
        read_card(weights)
    weights.write_bytes(b"weights")
    with pytest.raises(ModelError, match="has no card"):
        read_card(weights)
    record = json.loads(CARD.to_json())
    weights.with_suffix(".json").write_text(json.dumps({**record, "sha256": sha256_of(weights)}))
    assert read_card(weights).name == "one"
    weights.write_bytes(b"other weights")
    with pytest.raises(ModelError, match="damaged or another"):
        read_card(weights)
    weights.with_suffix(".json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ModelError, match="cannot be read"):
        read_card(weights)
