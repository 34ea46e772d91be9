"""ONNX Runtime: on CUDA where its provider is there, else on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from surfacedefect._machine import usable_cores
from surfacedefect._words import shortened
from surfacedefect.card import ModelCard
from surfacedefect.errors import ModelError, require
from surfacedefect.predictor import Probabilities, Windows

PREFERRED_PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")


def choose_providers(available: Sequence[str]) -> list[str]:
    """Return the providers to use, best first; those that are not there are left out.

    Examples
    --------
    >>> choose_providers(["AzureExecutionProvider", "CPUExecutionProvider"])
    ['CPUExecutionProvider']
    """
    return [name for name in PREFERRED_PROVIDERS if name in available]


class OnnxPredictor:
    """A U-Net on ONNX Runtime, with its normalisation and sigmoid inside the graph.

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
        onnxruntime is not installed.
    ModelError
        The file is no such graph, or does not fit its card.
    """

    def __init__(self, weights: Path, *, card: ModelCard, threads: int | None = None) -> None:
        engine = require("onnxruntime", extra="cpu")
        self._weights, self._card, self._threads = weights, card, threads
        options = engine.SessionOptions()
        options.intra_op_num_threads = threads or usable_cores()
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.enable_mem_pattern = False  # as fast without, and 80 MiB smaller at one window of 512 px
        providers = choose_providers(engine.get_available_providers())
        try:
            self._session: Any = engine.InferenceSession(str(weights), options, providers=providers)
        except Exception as error:
            raise ModelError(
                f"'{shortened(weights)}' cannot be loaded by ONNX Runtime {engine.__version__}: {error}; "
                "expected an ONNX graph that `surfacedefect train` exported"
            ) from error
        _check_graph(self._session, card, weights)

    @property
    def card(self) -> ModelCard:
        """Kinds, window, overlap and thresholds."""
        return self._card

    @property
    def providers(self) -> list[str]:
        """The ONNX Runtime providers in use, best first."""
        return list(self._session.get_providers())

    @property
    def runs_on_gpu(self) -> bool:
        """Whether the windows go to a GPU."""
        return self.providers[0] != "CPUExecutionProvider"

    def __call__(self, windows: Windows) -> Probabilities:
        """Map uint8 (N, S, S, 3) RGB windows to float32 (N, K, S, S) probabilities in [0, 1]."""
        given = np.ascontiguousarray(windows)
        (probabilities,) = self._session.run(["probabilities"], {"windows": given})
        return probabilities  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        """Say which weights run where."""
        return f"OnnxPredictor({self._card.name!r}, {self.providers[0]})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Load the weights anew in another process; a session cannot travel."""
        return _load, (self._weights, self._card, self._threads)


def _load(weights: Path, card: ModelCard, threads: int | None) -> OnnxPredictor:
    return OnnxPredictor(weights, card=card, threads=threads)


def _check_graph(session: Any, card: ModelCard, weights: Path) -> None:
    inputs = {item.name: (item.type, item.shape[1:]) for item in session.get_inputs()}
    outputs = {item.name: (item.type, item.shape[1:]) for item in session.get_outputs()}
    side = card.window_px
    wanted_in = {"windows": ("tensor(uint8)", [side, side, 3])}
    wanted_out = {"probabilities": ("tensor(float)", [len(card.kinds), side, side])}
    if inputs != wanted_in or outputs != wanted_out:
        raise ModelError(
            f"'{shortened(weights)}' takes {inputs} and gives {outputs}; "
            f"its card '{card.name}' expects {wanted_in} and {wanted_out}"
        )
