from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import surfacedefect as sd
from surfacedefect.runtimes import find_weights, load_predictor, shipped_models
from surfacedefect.runtimes.onnx import OnnxPredictor, choose_providers, usable_cores


def test_a_file_with_its_card_detects(tiny_weights, scratched):
    scratched[10:20, 10:60] = (250, 0, 0)
    found = sd.detect(scratched, model=tiny_weights, threshold=0.9)
    assert [d.polygon.bounds for d in found if d.score < 0.99] == [(10, 10, 60, 20)]


def test_probabilities_are_what_the_graph_says(tiny_weights):
    windows = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    found = load_predictor(tiny_weights)(windows)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[:, 0], windows[..., 0] / 255, atol=1e-6)


def test_a_predictor_travels_to_another_process(tiny_weights):
    windows = np.full((1, 64, 64, 3), 51, np.uint8)
    copy = pickle.loads(pickle.dumps(load_predictor(tiny_weights, threads=1)))
    np.testing.assert_allclose(copy(windows), 0.2, atol=1e-6)


def test_providers_are_taken_in_order_of_preference():
    assert choose_providers(["CPUExecutionProvider", "CUDAExecutionProvider"]) == [
        "CUDAExecutionProvider",
        "CPUExecutionProvider",
    ]
    assert usable_cores() >= 1


def test_a_gpu_session_gets_larger_batches(tiny_weights, monkeypatch, scratched):
    monkeypatch.setattr(OnnxPredictor, "runs_on_gpu", True)
    sizes = []
    original = OnnxPredictor.__call__
    monkeypatch.setattr(OnnxPredictor, "__call__", lambda self, w: (sizes.append(len(w)), original(self, w))[1])
    sd.detect(scratched, model=tiny_weights)
    assert max(sizes) > 1


def test_a_file_that_is_no_graph_is_refused(tiny_weights):
    tiny_weights.write_bytes(b"not an onnx graph")
    record = json.loads(tiny_weights.with_suffix(".json").read_text())
    tiny_weights.with_suffix(".json").write_text(json.dumps({**record, "sha256": ""}))
    with pytest.raises(sd.ModelError, match="cannot be loaded"):
        sd.Detector(tiny_weights)


def test_a_card_of_another_graph_is_refused(tiny_weights):
    record = json.loads(tiny_weights.with_suffix(".json").read_text())
    tiny_weights.with_suffix(".json").write_text(json.dumps({**record, "kinds": ["scratch", "dent"]}))
    with pytest.raises(sd.ModelError, match="its card"):
        sd.Detector(tiny_weights)


def test_damaged_weights_are_refused(tiny_weights):
    with tiny_weights.open("ab") as file:
        file.write(b"x")
    with pytest.raises(sd.ModelError, match="sha256"):
        sd.Detector(tiny_weights)


@pytest.mark.parametrize("kind", [str, Path])
def test_a_file_that_is_no_model_is_told_what_one_is(tmp_path, kind):
    scan = tmp_path / "scan.jpg"
    scan.write_bytes(b"a picture")
    with pytest.raises(
        sd.ModelError, match=r"scan.jpg' is a file, but no model: .*\.onnx with its \.json card.*unet-lite0"
    ):
        find_weights(kind(scan))


def test_names_that_are_not_there():
    with pytest.raises(sd.ModelError, match="no shipped model is called 'best'.*unet-lite0"):
        find_weights("best")
    with pytest.raises(sd.ModelError, match="no weights file"):
        find_weights("missing.onnx")
    with pytest.raises(sd.OptionError, match="expected one of"):
        load_predictor("default", runtime="tensorflow")


def test_without_an_engine_the_error_names_the_extra(tiny_weights):
    code = (
        "import sys; sys.modules['onnxruntime'] = sys.modules['openvino'] = None\n"
        "import surfacedefect as sd\n"
        f"try: sd.Detector({str(tiny_weights)!r})\n"
        "except sd.MissingExtraError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'surfacedefect[cpu]'" in done.stdout


def test_shipped_cards_describe_their_files(shipped_weights):
    cards = shipped_models()
    assert shipped_weights.stem in cards
    for name, card in cards.items():
        assert card.name == name
        assert card.sha256
        assert card.licence
        assert card.training
        assert {point.kind for point in card.operating_points} == set(card.kinds)
        weights = shipped_weights.with_name(card.weights_file)
        assert weights.stat().st_size <= 11 * 2**20
        assert set(card.thresholds) == set(card.kinds)


def test_shipped_weights_do_not_depend_on_threads_or_batch(shipped_weights):
    scan = np.random.default_rng(1).integers(0, 256, (300, 900, 3), dtype=np.uint8)  # a row of windows
    maps = [
        sd.probability_map(scan, model=shipped_weights, threads=threads, batch=batch)
        for threads, batch in ((1, 1), (2, 1), (2, 2))
    ]
    for kind in maps[0].kinds:
        for other in maps[1:]:
            np.testing.assert_array_equal(maps[0].read(kind), other.read(kind))
