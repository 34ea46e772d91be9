"""A weights file -> a `Predictor`. One module an engine; each imports its engine only when it is used."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from surfacedefect._checks import check_whole
from surfacedefect._machine import MOST_THREADS
from surfacedefect._words import shortened
from surfacedefect.card import ModelCard, read_card
from surfacedefect.errors import ModelError, OptionError
from surfacedefect.predictor import Predictor

DEFAULT_MODEL = "unet-lite0"
RUNTIMES = ("auto", "onnx", "openvino", "torch")
"""What `load_predictor` takes as `runtime`."""


def weights_folder() -> Path:
    """Return the folder of the shipped weights: inside the wheel, or beside ``src`` in a checkout."""
    package = Path(__file__).parents[1]
    installed = package / "_weights"
    return installed if installed.is_dir() else package.parents[1] / "weights"


def shipped_models() -> dict[str, ModelCard]:
    """Return the cards of the shipped weights by name, in alphabetical order."""
    cards = {}
    for path in sorted(weights_folder().glob("*.onnx")):
        cards[path.stem] = ModelCard.from_json(
            path.with_suffix(".json").read_text(encoding="utf-8"), name=f"'{path.with_suffix('.json')}'"
        )
    return cards


def find_weights(model: str | Path) -> Path:
    """Return the weights file of a shipped model's name, or of a path that ends in ``.onnx``.

    Raises
    ------
    ModelError
        There is no such file.
    """
    if isinstance(model, str) and not model.endswith(".onnx"):
        name = DEFAULT_MODEL if model == "default" else model
        path = weights_folder() / f"{name}.onnx"
        if not path.is_file():
            _refuse_other_files(Path(model))
            raise ModelError(
                f"no shipped model is called '{shortened(name)}'; shipped: {sorted(shipped_models()) or 'none'}. "
                "Give one of them, the path of an .onnx file with its card, or a Predictor"
            )
        return path
    path = Path(model).expanduser()
    _refuse_other_files(path)
    if path.suffix != ".onnx" or not path.is_file():
        raise ModelError(
            f"no weights file at '{shortened(path)}'; expected an .onnx file with its .json card beside it"
        )
    return path


def _refuse_other_files(path: Path) -> None:
    if path.suffix != ".onnx" and path.is_file():
        raise ModelError(
            f"'{shortened(path)}' is a file, but no model: a model file is an .onnx with its .json card beside it; "
            f"expected one, or the name of a shipped model: {sorted(shipped_models()) or 'none'}"
        )


def load_predictor(model: str | Path, *, runtime: str = "auto", threads: int | None = None) -> Predictor:
    """Load weights on an engine.

    Parameters
    ----------
    model
        Name of shipped weights (``"default"`` is the recommended one), or path of an ``.onnx`` with its card.
    runtime
        ``"onnx"``; ``"openvino"``, which needs the extra ``[openvino]`` and is the faster one on a CPU; ``"torch"``,
        which needs ``[train]``; or ``"auto"``: ONNX Runtime, and OpenVINO where that alone is installed. The engines
        differ by less than 1e-5 in a probability, which may be a step of the map's 255.
    threads
        Threads of the engine, at most 256; None takes every core that the process may use.

    Raises
    ------
    ModelError
        The weights or their card are missing or damaged.
    MissingExtraError
        No engine is installed.
    OptionError
        There is no such runtime, or no such number of threads.
    """
    if runtime not in RUNTIMES:
        raise OptionError(f"runtime is '{runtime}'; expected one of {list(RUNTIMES)}")
    if threads is not None:
        check_whole("threads", threads, 1, MOST_THREADS)
    weights = find_weights(model)
    if runtime == "auto":
        runtime = "onnx" if find_spec("onnxruntime") or not find_spec("openvino") else "openvino"
    card = read_card(weights)
    if runtime == "torch":
        from surfacedefect.runtimes.torch import TorchPredictor

        return TorchPredictor(weights, card=card, threads=threads)
    if runtime == "openvino":
        from surfacedefect.runtimes.openvino import OpenVinoPredictor

        return OpenVinoPredictor(weights, card=card, threads=threads)
    from surfacedefect.runtimes.onnx import OnnxPredictor

    return OnnxPredictor(weights, card=card, threads=threads)
