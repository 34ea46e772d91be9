"""OpenVINO on the CPU: the same graph in fp32, compiled for the processor at hand."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np

from surfacedefect._machine import usable_cores
from surfacedefect._words import shortened
from surfacedefect.card import ModelCard
from surfacedefect.errors import ModelError, require
from surfacedefect.predictor import Probabilities, Windows


class OpenVinoPredictor:
    """A U-Net on OpenVINO, with its normalisation and sigmoid inside the graph; safe for many threads.

    Parameters
    ----------
    weights
        Path of the ``.onnx`` file: input uint8 (N, S, S, 3), output float32 (N, K, S, S).
    card
        Its card.
    threads
        Threads of the engine; None takes every core that the process may use.

    Raises
    ------
    MissingExtraError
        openvino is not installed.
    ModelError
        The file is no such graph, or does not fit its card.
    """

    def __init__(self, weights: Path, *, card: ModelCard, threads: int | None = None) -> None:
        engine = require("openvino", extra="openvino")
        self._weights, self._card, self._threads = weights, card, threads
        # f32: on processors that know bfloat16 it would otherwise compute in that.
        settings = {
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": str(threads or usable_cores()),
            "NUM_STREAMS": "1",
        }
        try:
            core = engine.Core()
            graph = core.read_model(str(weights))
            self._compiled: Any = core.compile_model(graph, "CPU", settings)
        except Exception as error:
            raise ModelError(
                f"'{shortened(weights)}' cannot be loaded by OpenVINO {engine.__version__}: {error}; "
                "expected an ONNX graph that `surfacedefect train` exported"
            ) from error
        _check_graph(graph, card, weights)  # the compiled one may call its output otherwise
        self._requests = threading.local()

    @property
    def card(self) -> ModelCard:
        """Kinds, window, overlap and thresholds."""
        return self._card

    def __call__(self, windows: Windows) -> Probabilities:
        """Map uint8 (N, S, S, 3) RGB windows to float32 (N, K, S, S) probabilities in [0, 1]."""
        if not hasattr(self._requests, "own"):
            self._requests.own = self._compiled.create_infer_request()  # of which one can do one thing at a time
        given = np.ascontiguousarray(windows)
        return self._requests.own.infer([given])[0]  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        """Say which weights run where."""
        return f"OpenVinoPredictor({self._card.name!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Load the weights anew in another process; a compiled graph cannot travel."""
        return _load, (self._weights, self._card, self._threads)


def _load(weights: Path, card: ModelCard, threads: int | None) -> OpenVinoPredictor:
    return OpenVinoPredictor(weights, card=card, threads=threads)


def _check_graph(graph: Any, card: ModelCard, weights: Path) -> None:
    side = card.window_px
    wanted = [
        ("windows", "u8", f"[?,{side},{side},3]"),
        ("probabilities", "f32", f"[?,{len(card.kinds)},{side},{side}]"),
    ]
    found = [
        (port.get_any_name(), port.get_element_type().get_type_name(), port.get_partial_shape().to_string())
        for port in (*graph.inputs, *graph.outputs)
    ]
    if found != wanted:
        raise ModelError(
            f"'{shortened(weights)}' takes and gives {found} (name, type, shape); its card '{card.name}' wants {wanted}"
        )
