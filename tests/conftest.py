"""Fixtures that more than one test file uses."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from numpy.typing import NDArray

from surfacedefect import FunctionPredictor, ModelCard
from surfacedefect.card import sha256_of
from surfacedefect.runtimes import DEFAULT_MODEL, weights_folder

# A program, not a test: doctest collection would import it, and its messages collide with the server's.
collect_ignore = ["serving_triton.py"]

# The same cases in every run, and no deadline: a timing is no assertion. HYPOTHESIS_PROFILE=explore looks further.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


def pytest_configure() -> None:
    """Have Ctrl-C end what the tests start: a shell starts what it puts into the background with that ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def real_data() -> Path:
    """Folder of the real pictures; the test is skipped where it is absent."""
    folder = Path(os.environ.get("SURFACEDEFECT_REAL_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real pictures at '{folder}'; set SURFACEDEFECT_REAL_DATA")
    return folder


@pytest.fixture
def shipped_weights() -> Path:
    """The default model's file; its absence is a failure of the package, not a reason to skip."""
    path = weights_folder() / f"{DEFAULT_MODEL}.onnx"
    assert path.is_file(), f"the package ships no weights at '{path}'"
    return path


def dark_card(**changes: object) -> ModelCard:
    """Card of the fake that calls dark pixels scratches and white ones dents."""
    values: dict[str, object] = {"name": "dark", "kinds": ("scratch", "dent"), "window_px": 64, "overlap_px": 16}
    return ModelCard(**{**values, **changes})  # type: ignore[arg-type]


@pytest.fixture
def make_dark() -> Callable[..., FunctionPredictor]:
    """Make the fake whose answer is known: dark pixels are scratches, white ones are dents."""

    def look(windows: NDArray[np.uint8]) -> NDArray[np.float32]:
        value = windows.mean(axis=3)
        return np.stack([value < 50, value > 250], axis=1).astype(np.float32)

    def make(**changes: object) -> FunctionPredictor:
        return FunctionPredictor(look, card=dark_card(**changes))

    return make


@pytest.fixture
def tiny_weights(tmp_path: Path) -> Path:
    """A real ONNX file with its card, small enough for a test: the redder a pixel, the more of a scratch."""
    onnx = pytest.importorskip("onnx")
    helper, types = onnx.helper, onnx.TensorProto
    nodes = [
        helper.make_node("Cast", ["windows"], ["values"], to=types.FLOAT),
        helper.make_node("Slice", ["values", "first", "second", "last_axis"], ["red"]),
        helper.make_node("Transpose", ["red"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Div", ["planes", "most"], ["probabilities"]),
    ]
    constants = [
        helper.make_tensor("first", types.INT64, [1], [0]),
        helper.make_tensor("second", types.INT64, [1], [1]),
        helper.make_tensor("last_axis", types.INT64, [1], [3]),
        helper.make_tensor("most", types.FLOAT, [1], [255.0]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("windows", types.UINT8, ["batch", 64, 64, 3])],
        [helper.make_tensor_value_info("probabilities", types.FLOAT, ["batch", 1, 64, 64])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    path = tmp_path / "tiny.onnx"
    path.write_bytes(model.SerializeToString())
    card = ModelCard(name="tiny", kinds=("scratch",), window_px=64, overlap_px=16, sha256=sha256_of(path))
    path.with_suffix(".json").write_text(card.to_json(), encoding="utf-8")
    return path


@pytest.fixture
def scratched() -> NDArray[np.uint8]:
    """A grey panel, 300 x 200 px, with a dark bar of 100 x 10 px and a white patch of 40 x 40 px."""
    scan = np.full((200, 300, 3), 180, np.uint8)
    scan[50:60, 100:200] = 0
    scan[100:140, 20:60] = 255
    return scan
