"""From a trained network to an ONNX file with its card: uint8 pictures in, probabilities out."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from surfacedefect._files import atomic_path, write_text
from surfacedefect.card import ModelCard, sha256_of
from surfacedefect.errors import ModelError, require
from surfacedefect.networks import calibrated, windows_to_probabilities

if TYPE_CHECKING:
    import torch
    from torch import nn

OPSET = 18
TOLERANCE = 1e-3
"""Largest difference of a probability between file and network, before calibration makes it steeper."""


def export_onnx(network: nn.Module, path: Path, *, card: ModelCard) -> ModelCard:
    """Write the network as ONNX with its card beside it and return the card.

    The graph takes ``windows`` uint8 (N, S, S, 3) RGB and gives ``probabilities`` float32 (N, K, S, S) in [0, 1]:
    normalisation and sigmoid are inside. Weights are stored as fp16 and computed in fp32. The written file is run
    once against the network before it gets its name.

    Parameters
    ----------
    network
        The U-Net in evaluation mode, on the CPU; its weights are rounded to fp16 in place.
    path
        Where to write; must end in ``.onnx``. The card goes beside it as ``.json``.
    card
        What is known of the model; the file's name and sha256 are filled in here. Its `calibration`, a ``slope`` and
        an ``offset`` of the log-odds for each kind, becomes part of the graph.

    Raises
    ------
    ModelError
        The path does not end in ``.onnx``, or the written file does not give what the network gives.
    OutputError
        The files cannot be written.
    """
    torch = require("torch", extra="train")
    require("onnxruntime", extra="cpu")
    if path.suffix != ".onnx":
        raise ModelError(f"'{path.name}' is not a name for weights; expected one that ends in .onnx")
    network.eval()
    round_to_half(network)
    side = card.window_px
    generator = torch.Generator().manual_seed(0)
    example = torch.randint(0, 256, (2, side, side, 3), generator=generator, dtype=torch.uint8)
    scaled = calibrated(network, card)
    with atomic_path(path) as written:
        written.write_bytes(_with_half_weights(_exported(scaled, example)))
        _compare(scaled, written, example, tolerance=TOLERANCE * max(1.0, _steepest(card)))
        card = replace(card, weights_file=path.name, sha256=sha256_of(written))
        write_text(path.with_suffix(".json"), card.to_json())
    return card


def _steepest(card: ModelCard) -> float:
    return max((float(fit["slope"]) for fit in (card.calibration or {}).values()), default=1.0)


def _exported(network: nn.Module, example: torch.Tensor) -> Any:
    torch = require("torch", extra="train")
    with warnings.catch_warnings(), _nothing_in_place(network):
        warnings.simplefilter("ignore")  # of the exporter's own deprecations
        program = torch.onnx.export(
            windows_to_probabilities(network),
            (example,),
            input_names=["windows"],
            output_names=["probabilities"],
            dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=4096)},),
            opset_version=OPSET,
            dynamo=True,
            optimize=False,  # keeps the convolutions as trained, so that fp16 rounding is of the weights themselves
            verbose=False,
        )
    return program.model_proto


@contextmanager
def _nothing_in_place(network: nn.Module) -> Iterator[None]:
    """Let activations make new tensors: the exporter takes apart what is done in place, for the same graph later."""
    changed: list[Any] = [module for module in network.modules() if getattr(module, "inplace", False) is True]
    for module in changed:
        module.inplace = False
    try:
        yield
    finally:
        for module in changed:
            module.inplace = True


def round_to_half(network: nn.Module) -> None:
    """Round the weights that are stored as fp16, in place, so that network and file hold the same numbers."""
    torch = require("torch", extra="train")
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1:
                parameter.copy_(parameter.half().float())


def _with_half_weights(model: Any) -> bytes:
    """Store float32 kernels as fp16 with a Cast behind each; engines fold the casts when they load."""
    onnx = require("onnx", extra="train")
    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT or len(tensor.dims) < 2:
            continue
        values = onnx.numpy_helper.to_array(tensor).astype(np.float16)
        name = tensor.name
        tensor.CopyFrom(onnx.numpy_helper.from_array(values, f"{name}_half"))
        casts.append(onnx.helper.make_node("Cast", [f"{name}_half"], [name], to=onnx.TensorProto.FLOAT))
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*casts, *nodes])
    del model.graph.value_info[:]
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _compare(network: nn.Module, written: Path, example: torch.Tensor, *, tolerance: float) -> None:
    torch = require("torch", extra="train")
    onnxruntime = require("onnxruntime", extra="cpu")
    session = onnxruntime.InferenceSession(str(written), providers=["CPUExecutionProvider"])
    (given,) = session.run(None, {"windows": example.numpy()})
    with torch.inference_mode():
        expected = windows_to_probabilities(network)(example).numpy()
    difference = float(np.abs(given - expected).max())
    if difference > tolerance:
        raise ModelError(
            f"the exported file differs from the network by {difference:.4f}; expected at most {tolerance:.3g}: "
            "report it with the versions of torch, onnx and onnxruntime"
        )
