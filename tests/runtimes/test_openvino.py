"""OpenVINO gives what ONNX Runtime gives, whatever threads and batches."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import surfacedefect as sd
from surfacedefect.runtimes import load_predictor

pytest.importorskip("openvino", reason="needs the extra [openvino]")


def windows(count=2, side=64):
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


@pytest.fixture
def edit_card(tiny_weights):
    path = tiny_weights.with_suffix(".json")
    return lambda **changes: path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_the_shipped_weights_give_what_they_give_on_onnx_runtime(shipped_weights):
    given = windows(3, 512)
    own = load_predictor(shipped_weights, runtime="openvino")
    found, expected = own(given), load_predictor(shipped_weights)(given)
    assert (found.shape, found.dtype) == (expected.shape, np.float32) and own.card.name in repr(own)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    one_by_one = load_predictor(shipped_weights, runtime="openvino", threads=1)
    np.testing.assert_array_equal(np.concatenate([one_by_one(given[n : n + 1]) for n in range(3)]), found)


def test_it_detects_and_travels(tiny_weights, scratched):
    scratched[10:20, 10:60] = (250, 0, 0)
    found = sd.detect(scratched, model=tiny_weights, runtime="openvino", threshold=0.9)
    assert [d.polygon.bounds for d in found if d.score < 0.99] == [(10, 10, 60, 20)]
    copy = pickle.loads(pickle.dumps(load_predictor(tiny_weights, runtime="openvino", threads=1)))
    np.testing.assert_allclose(copy(windows())[:, 0], windows()[..., 0] / 255, atol=1e-6)


def test_many_threads_may_use_one(tiny_weights):
    own, given = load_predictor(tiny_weights, runtime="openvino"), windows(40)
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda number: own(given[number : number + 1]), range(40)))
    np.testing.assert_allclose(np.concatenate(found)[:, 0], given[..., 0] / 255, atol=1e-6)


def test_what_is_no_graph_or_another_one_is_refused(tiny_weights, edit_card):
    edit_card(kinds=["scratch", "dent"])
    with pytest.raises(sd.ModelError, match=r"its card 'tiny' wants .*\[\?,2,64,64\]"):
        load_predictor(tiny_weights, runtime="openvino")
    tiny_weights.write_bytes(b"not an onnx graph")
    edit_card(sha256="")
    with pytest.raises(sd.ModelError, match="cannot be loaded by OpenVINO"):
        load_predictor(tiny_weights, runtime="openvino")


@pytest.mark.parametrize(
    ("missing", "expected"), [((), "OnnxPredictor"), (("onnxruntime",), "OpenVinoPredictor"), (("openvino",), "Onnx")]
)
def test_auto_takes_the_one_that_is_there(tiny_weights, missing, expected):
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({missing!r}))\n"
        "from surfacedefect.runtimes import load_predictor\n"
        f"print(load_predictor({str(tiny_weights)!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(expected)


@pytest.mark.parametrize("threads", [0, 257, 9999, 1.5, True])
def test_threads_beyond_any_machine_are_refused(tiny_weights, threads):
    with pytest.raises(sd.OptionError, match="threads is .* from 1 to 256"):
        load_predictor(tiny_weights, threads=threads)
    with pytest.raises(sd.OptionError, match="threads is .* from 1 to 256"):
        sd.DetectOptions(threads=threads)
