"""The torch engine gives what ONNX Runtime gives, and says what it cannot build."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest

import surfacedefect as sd
from surfacedefect.baselines import TileClassifier, tile_card
from surfacedefect.card import ModelCard, read_card
from surfacedefect.networks import build_tile_classifier, build_u_net, spread_over_tile
from surfacedefect.runtimes import load_predictor

torch = pytest.importorskip("torch", reason="needs the extra [train]")
pytest.importorskip("segmentation_models_pytorch", reason="needs the extra [train]")

ENCODER = "tu-test_efficientnet"  # of the family of the shipped weights' encoder, a thirtieth of its size
RECIPE = {"recipe": {"encoder": ENCODER, "decoder_channels": [16, 16, 8, 8, 8]}}
CALIBRATION = {"scratch": {"slope": 1.3, "offset": -0.7}}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    from surfacedefect.training.export import export_onnx

    torch.manual_seed(0)
    out = tmp_path_factory.mktemp("small") / "small.onnx"
    card = ModelCard(name="small", kinds=("scratch", "dent"), window_px=64, overlap_px=16, training=RECIPE)
    network = build_u_net(2, encoder=ENCODER, decoder_channels=(16, 16, 8, 8, 8))
    export_onnx(network, out, card=replace(card, calibration=CALIBRATION))
    return out


def windows(count=2, side=64):
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def test_both_engines_agree(small):
    own, expected = load_predictor(small, runtime="torch"), load_predictor(small)
    found = own(windows())
    assert (found.shape, found.dtype) == ((2, 2, 64, 64), np.float32)
    np.testing.assert_allclose(found, expected(windows()), atol=1e-5)
    assert own.card == expected.card and not own.runs_on_gpu and "small" in repr(own)
    scan = windows(1, 150)[0]
    with_torch, with_onnx = (sd.probability_map(scan, model=small, runtime=name) for name in ("torch", "onnx"))
    difference = with_torch.read("scratch").astype(int) - with_onnx.read("scratch")
    assert np.abs(difference).max() <= 1


def test_both_engines_agree_on_a_tile_classifier(tmp_path):
    from surfacedefect.training.export import export_onnx

    torch.manual_seed(0)
    network = spread_over_tile(build_tile_classifier(encoder=ENCODER))
    card = tile_card("tile", training=RECIPE, calibration={"damage": {"slope": 0.8, "offset": -2.0}})
    export_onnx(network, tmp_path / "tile.onnx", card=card)
    expected = TileClassifier.load(tmp_path / "tile.onnx")(windows(2, 300))
    found = load_predictor(tmp_path / "tile.onnx", runtime="torch")(windows(2, 300))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_shipped_weights_run_on_torch(shipped_weights):
    found, expected = (load_predictor(shipped_weights, runtime=name)(windows(1, 512)) for name in ("torch", "onnx"))
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_it_travels_and_leaves_the_threads_of_others_alone(small):
    before = torch.get_num_threads()
    predictor = load_predictor(small, runtime="torch", threads=1)
    found = pickle.loads(pickle.dumps(predictor))(windows())
    np.testing.assert_allclose(found, predictor(windows()), atol=1e-6)
    assert torch.get_num_threads() == before


def test_what_cannot_be_built_is_said(small, tmp_path):
    from surfacedefect.runtimes.torch import TorchPredictor

    card = read_card(small)
    with pytest.raises(sd.ModelError, match="does not say how its network is built"):
        TorchPredictor(small, card=replace(card, training={}))
    other = {"recipe": {"encoder": ENCODER, "decoder_channels": [24, 16, 8, 8, 8]}}
    with pytest.raises(sd.ModelError, match=r"of another shape, such as 'network.network.decoder.*runtime='onnx'"):
        TorchPredictor(small, card=replace(card, training=other))
    (tmp_path / "no.onnx").write_bytes(b"no graph")
    with pytest.raises(sd.ModelError, match="cannot be read as ONNX"):
        TorchPredictor(tmp_path / "no.onnx", card=card)
    with pytest.raises(sd.OptionError, match="half=True on a CPU"):
        TorchPredictor(small, card=card, device="cpu", half=True)
    with pytest.raises(sd.OptionError, match="device is 'toaster'"):
        TorchPredictor(small, card=card, device="toaster")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_a_gpu_gives_what_a_cpu_gives(small):
    from surfacedefect.runtimes.torch import TorchPredictor

    expected = load_predictor(small)(windows())
    for half, tolerance in ((False, 1e-3), (True, 3e-2)):
        predictor = TorchPredictor(small, card=read_card(small), half=half)
        assert predictor.runs_on_gpu
        np.testing.assert_allclose(predictor(windows()), expected, atol=tolerance)
