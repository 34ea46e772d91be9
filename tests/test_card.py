from __future__ import annotations

import json
import math

import pytest

from surfacedefect import ModelCard, ModelError, OperatingPoint
from surfacedefect.card import read_card, sha256_of

POINT = OperatingPoint("scratch", 0.4, 0.7, math.nan, 0.6, 3.5, "somewhere")
CARD = ModelCard(name="one", kinds=("scratch", "dent"), thresholds={"scratch": 0.4}, operating_points=(POINT,))


def test_round_trip():
    text = CARD.to_json()
    assert "NaN" not in text
    again = ModelCard.from_json(text)
    assert again.to_json() == text
    assert again.kinds == CARD.kinds
    assert math.isnan(again.operating_points[0].pixel_precision)


@pytest.mark.parametrize(
    "text",
    ["", "no json", "[]", "{}", '{"name": "a"}', '{"name": "a", "kinds": "s"}', '{"name":"a","kinds":["s"],"new":1}',
     '{"name": "a", "kinds": ["s"], "operating_points": [{"kind": "s"}]}'],
)  # fmt: skip
def test_what_is_no_card_is_refused(text):
    with pytest.raises(ModelError, match="not a model card"):
        ModelCard.from_json(text)


@pytest.mark.parametrize(
    "change",
    [{"kinds": ()}, {"kinds": ("a", "a")}, {"window_px": 0}, {"overlap_px": 512}, {"edge": "wrap"},
     {"thresholds": {"hail": 0.5}}, {"thresholds": {"scratch": 0}}],
)  # fmt: skip
def test_impossible_cards_are_refused(change):
    with pytest.raises(ModelError, match="expected"):
        ModelCard(**{"name": "bad", "kinds": ("scratch",), **change})


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
