from __future__ import annotations

import json
import pickle
import subprocess
import sys

import numpy as np
import pytest

import surfacedefect as sd
from surfacedefect.baselines import TILE_PX, TileClassifier, tile_card
from surfacedefect.card import sha256_of
from surfacedefect.evaluation import Protocol, count_tiles, prepare_truth, score_scan


def redness(tiles):
    """The largest red value of a tile, as a probability."""
    return tiles[..., 0].max(axis=(1, 2)).astype(np.float32) / 255


@pytest.fixture
def red():
    return TileClassifier(redness)


@pytest.fixture
def tile_weights(tmp_path):
    """A real ONNX file: the redder the reddest pixel of a tile, the likelier damage, spread over the tile."""
    onnx = pytest.importorskip("onnx")
    helper, types = onnx.helper, onnx.TensorProto
    nodes = [
        helper.make_node("Cast", ["windows"], ["values"], to=types.FLOAT),
        helper.make_node("Slice", ["values", "first", "second", "last_axis"], ["red"]),
        helper.make_node("Transpose", ["red"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("GlobalMaxPool", ["planes"], ["largest"]),
        helper.make_node("Div", ["largest", "most"], ["shares"]),
        helper.make_node("Expand", ["shares", "size"], ["probabilities"]),
    ]
    constants = [
        helper.make_tensor("first", types.INT64, [1], [0]),
        helper.make_tensor("second", types.INT64, [1], [1]),
        helper.make_tensor("last_axis", types.INT64, [1], [3]),
        helper.make_tensor("most", types.FLOAT, [1], [255.0]),
        helper.make_tensor("size", types.INT64, [4], [1, 1, TILE_PX, TILE_PX]),
    ]
    graph = helper.make_graph(
        nodes,
        "tile",
        [helper.make_tensor_value_info("windows", types.UINT8, ["batch", TILE_PX, TILE_PX, 3])],
        [helper.make_tensor_value_info("probabilities", types.FLOAT, ["batch", 1, TILE_PX, TILE_PX])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    path = tmp_path / "tile.onnx"
    path.write_bytes(model.SerializeToString())
    card = tile_card("tile", sha256=sha256_of(path), thresholds={"damage": 0.6})
    path.with_suffix(".json").write_text(card.to_json(), encoding="utf-8")
    return path


@pytest.mark.parametrize("shape", [(300, 300), (300, 301), (302, 300), (640, 905), (299, 17), (20, 1000), (600, 1200)])
def test_every_tile_of_the_map_has_the_value_of_its_tile(red, shape):
    scan = np.random.default_rng(0).integers(0, 120, (*shape, 3), dtype=np.uint8)
    scan[-1, -1, 0] = 200
    found = sd.Detector(red).probability_map(scan)
    assert (found.kinds, found.shape, found.coverage) == (("damage",), shape, 1.0)
    values = found.read("damage")
    for top in range(0, shape[0], TILE_PX):
        for left in range(0, shape[1], TILE_PX):
            here = np.s_[top : top + TILE_PX, left : left + TILE_PX]
            # Only the first row and column of a reflection can hold what the tile before it does not.
            assert len(np.unique(values[here])) == 1
            assert values[here][0, 0] >= scan[here][..., 0].max()
    assert values[-1, -1] == 200


def test_a_sliver_of_one_row_is_a_tile_too(red):
    found = sd.Detector(red).probability_map(np.full((301, 300, 3), 80, np.uint8))
    assert set(np.unique(found.read("damage"))) == {80}


def test_a_sliver_is_filled_by_reflection_and_never_shifted():
    seen = []

    def look(tiles):
        seen.extend(tiles.copy())
        return np.zeros(len(tiles), np.float32)

    scan = np.random.default_rng(0).integers(0, 256, (300, 450, 3), dtype=np.uint8)
    sd.Detector(TileClassifier(look)).probability_map(scan)
    np.testing.assert_array_equal(seen[0], scan[:, :300])
    np.testing.assert_array_equal(seen[1], np.concatenate([scan[:, 300:], scan[:, 448:298:-1]], axis=1))


def test_map_and_tile_scores_go_by_the_same_grid(red):
    scan, mask = np.zeros((700, 1000, 3), np.uint8), np.zeros((700, 1000), np.uint8)
    mask[310:330, 610:640] = 1
    scan[mask > 0, 0] = 240
    found = sd.Detector(red).probability_map(scan).read("damage")
    counts = count_tiles(found, prepare_truth({"scratch": mask}).views["scratch"])
    assert (counts.positive_count, counts.average_precision, counts.accuracy(0.5)) == (1, 1.0, 1.0)
    score = score_scan({"damage": found}, prepare_truth({"scratch": mask, "dent": 0 * mask}), threshold=0.5)
    assert list(score.kinds) == ["damage"]
    assert score.kinds["damage"].tiles.average_precision == 1.0


def test_the_tile_is_the_one_of_the_scoring_protocol():
    assert Protocol().tile_px == TILE_PX


@pytest.mark.parametrize("shape", [(640, 905), (300, 320), (100, 700)])
def test_dense_is_the_overlap_and_nothing_else(red, shape):
    scan = np.random.default_rng(1).integers(0, 100, (*shape, 3), dtype=np.uint8)
    scan[shape[0] // 2, shape[1] // 2, 0] = 250
    dense = red.dense()
    assert (dense.card.overlap_px, dense.card.edge, red.card.overlap_px) == (225, "pad", 0)
    mine = sd.Detector(dense).probability_map(scan).read("damage")
    asked = sd.Detector(red, options=sd.DetectOptions(overlap=225)).probability_map(scan).read("damage")
    np.testing.assert_array_equal(mine, asked)
    assert sd.Detector(dense).plan(scan).windows >= sd.Detector(red).plan(scan).windows


def test_dense_is_finer_than_a_tile_and_highest_at_the_damage(red):
    scan = np.zeros((1200, 1200, 3), np.uint8)
    scan[700, 500, 0] = 255
    found = sd.Detector(red.dense()).probability_map(scan).read("damage")
    assert len(np.unique(found)) > 20
    assert found[700, 500] > 250
    rows, columns = np.nonzero(found)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == pytest.approx((450, 974, 225, 749), abs=75)


def test_dense_with_the_stride_of_a_tile_is_the_plain_one(red):
    scan = np.random.default_rng(1).integers(0, 256, (400, 700, 3), dtype=np.uint8)
    maps = [sd.Detector(model).probability_map(scan).read("damage") for model in (red, red.dense(TILE_PX))]
    np.testing.assert_array_equal(*maps)


@pytest.mark.parametrize("stride", [0, 301, -75, 7.5, True, "75"])
def test_a_stride_out_of_range_is_refused(red, stride):
    with pytest.raises(sd.OptionError, match="from 1 to 300"):
        red.dense(stride)


def test_what_was_measured_on_plain_tiles_is_not_claimed_for_dense_ones():
    point = sd.OperatingPoint("damage", 0.5, 0.9, 0.1, 0.9, 3.0, "a set")
    plain = TileClassifier(redness, card=tile_card(thresholds={"damage": 0.7}, operating_points=(point,)))
    assert plain.dense().card.operating_points == ()
    assert plain.dense().card.threshold("damage") == 0.7


@pytest.mark.parametrize(
    "answer", [np.zeros((1, 1), np.float32), np.zeros(2, np.float32), np.float32(0.5), np.zeros((1, 1, 300, 300))]
)
def test_an_answer_that_is_not_one_value_a_tile_is_refused(answer):
    with pytest.raises(sd.PredictorError, match="one probability a tile"):
        sd.Detector(TileClassifier(lambda tiles: answer)).probability_map(np.zeros((300, 300, 3), np.uint8))


def test_values_that_are_no_probabilities_are_refused():
    with pytest.raises(sd.PredictorError, match="probabilities"):
        sd.Detector(TileClassifier(lambda tiles: np.full(len(tiles), 1.5))).probability_map(
            np.zeros((300, 300, 3), np.uint8)
        )


@pytest.mark.parametrize("change", [{"kinds": ("scratch",)}, {"window_px": 512}, {"edge": "shift"}])
def test_a_card_of_another_sort_of_model_is_refused(change):
    with pytest.raises(sd.ModelError, match="a tile classifier has"):
        TileClassifier(redness, card=tile_card(**change))


def test_a_file_with_its_card_loads_detects_and_travels(tile_weights, red):
    scan = np.random.default_rng(2).integers(0, 140, (500, 640, 3), dtype=np.uint8)
    scan[310, 20, 0] = 255
    loaded = TileClassifier.load(tile_weights, threads=1)
    assert (loaded.card.name, loaded.card.threshold("damage"), loaded.runs_on_gpu) == ("tile", 0.6, False)
    expected = sd.Detector(red).probability_map(scan).read("damage")
    by_name = sd.probability_map(scan, model=tile_weights).read("damage")
    copy = pickle.loads(pickle.dumps(loaded))
    for model in (loaded, copy):
        np.testing.assert_array_equal(sd.Detector(model).probability_map(scan).read("damage"), expected)
    np.testing.assert_array_equal(by_name, expected)
    assert [defect.kind for defect in sd.detect(scan, model=loaded)] == ["damage"]
    assert loaded.dense(100).card.overlap_px == 200


def test_weights_that_are_not_there_say_how_to_get_them(tmp_path):
    with pytest.raises(sd.ModelError, match="ships no tile classifier called 'tile-none'.*surfacedefect train --model"):
        TileClassifier.load("tile-none")
    with pytest.raises(sd.ModelError, match="no weights file"):
        TileClassifier.load(tmp_path / "none.onnx")


def test_weights_of_a_u_net_are_refused(shipped_weights):
    with pytest.raises(sd.ModelError, match="a tile classifier has"):
        TileClassifier.load(shipped_weights)


def test_loading_the_name_takes_the_shipped_file(tile_weights, monkeypatch):
    monkeypatch.setattr("surfacedefect.runtimes.weights_folder", lambda: tile_weights.parent)
    assert TileClassifier.load("tile").card.name == "tile"
    with pytest.raises(sd.ModelError, match=r"shipped: \['tile'\]"):
        TileClassifier.load("other")


def test_the_card_says_what_the_tile_rule_needs():
    record = json.loads(tile_card("a").to_json())
    assert (record["kinds"], record["window_px"], record["overlap_px"], record["edge"]) == (["damage"], 300, 0, "pad")


def test_the_subpackage_loads_no_engine():
    code = "import sys, surfacedefect as sd; sd.baselines.TileClassifier; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {name.split(".")[0] for name in modules} & {"torch", "onnxruntime", "skimage", "scipy", "rasterio"}


def test_the_shipped_classifier_looks_at_a_scan():
    from surfacedefect.runtimes import shipped_models

    if "tile-lite0" not in shipped_models():
        pytest.skip("the shipped weights are not here")
    tiles = sd.baselines.TileClassifier.load()
    assert (tiles.card.kinds, tiles.card.window_px, tiles.card.licence) == (("damage",), 300, "Apache-2.0")
    scan = np.full((600, 620, 3), 90, np.uint8)
    rng = np.random.default_rng(0)
    scan = np.clip(scan + rng.normal(0, 3, scan.shape), 0, 255).astype(np.uint8)
    found = sd.Detector(tiles).probability_map(scan).read("damage")
    assert found.shape == (600, 620)
    assert (found[:300, :300] == found[0, 0]).all() and found.max() < 255 * tiles.card.threshold("damage")
    assert sd.Detector("tile-lite0").probability_map(scan).read("damage").tobytes() == found.tobytes()
