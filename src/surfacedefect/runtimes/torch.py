"""PyTorch: the same weights as a torch module, on a CUDA GPU without ONNX Runtime's provider for it, or on the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from surfacedefect._machine import usable_cores
from surfacedefect._words import shortened
from surfacedefect.card import ModelCard
from surfacedefect.errors import ModelError, OptionError, require
from surfacedefect.networks import (
    build_tile_classifier,
    build_u_net,
    calibrated,
    spread_over_tile,
    windows_to_probabilities,
)
from surfacedefect.predictor import Probabilities, Windows

if TYPE_CHECKING:
    from torch import Tensor, nn

HALF = "_half"
"""How the name of a weight ends that is stored as fp16."""


class TorchPredictor:
    """A shipped or trained model on PyTorch: built from its card, filled with the weights of its ``.onnx`` file.

    Parameters
    ----------
    weights
        Path of the ``.onnx`` file, as `surfacedefect train` writes it.
    card
        Its card, with the recipe of its training.
    threads
        Threads on a CPU; None takes every core that the process may use.
    device
        Such as ``"cpu"`` or ``"cuda:1"``; None: a GPU where there is one.
    half
        Compute in fp16 where that is safe (autocast): twice as fast on a GPU, probabilities differ by about 0.01.
        None: on a GPU. A CPU computes in fp32 only.

    Raises
    ------
    MissingExtraError
        torch, or what builds the network, is not installed.
    ModelError
        The card has no recipe, or the weights are not those of its network.
    OptionError
        There is no such device, or fp16 was asked for on a CPU.

    Examples
    --------
    >>> from surfacedefect.runtimes import load_predictor
    >>> load_predictor("default", runtime="torch").card.kinds  # doctest: +SKIP
    ('scratch', 'dent')
    """

    def __init__(
        self,
        weights: Path,
        *,
        card: ModelCard,
        threads: int | None = None,
        device: str | None = None,
        half: bool | None = None,
    ) -> None:
        torch = require("torch", extra="train")
        self._device = _device(device)
        self._half = self._device.type != "cpu" if half is None else half
        if self._half and self._device.type == "cpu":
            raise OptionError("half=True on a CPU, which computes in fp32; leave half out, or give device='cuda'")
        self._weights, self._card, self._threads = weights, card, threads or usable_cores()
        network = build(weights, card=card).requires_grad_(False).to(self._device)
        self._network = network.to(memory_format=torch.channels_last)

    @property
    def card(self) -> ModelCard:
        """Kinds, window, overlap and thresholds."""
        return self._card

    @property
    def runs_on_gpu(self) -> bool:
        """Whether the windows go to a GPU."""
        return bool(self._device.type != "cpu")

    def __call__(self, windows: Windows) -> Probabilities:
        """Map uint8 (N, S, S, 3) RGB windows to float32 (N, K, S, S) probabilities in [0, 1]."""
        torch = require("torch", extra="train")
        before = torch.get_num_threads()
        torch.set_num_threads(self._threads)
        try:
            with torch.inference_mode(), torch.autocast(self._device.type, torch.float16, enabled=self._half):
                given = torch.from_numpy(np.ascontiguousarray(windows)).to(self._device, non_blocking=True)
                found: Probabilities = self._network(given).float().cpu().numpy()
        finally:
            torch.set_num_threads(before)
        return found

    def __repr__(self) -> str:
        """Say which weights run where."""
        return f"TorchPredictor({self._card.name!r}, {str(self._device)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Load the weights anew in another process."""
        return _load, (self._weights, self._card, self._threads, str(self._device), self._half)


def build(weights: Path, *, card: ModelCard) -> nn.Module:
    """Return what an ``.onnx`` file computes as a torch module in evaluation mode, on the CPU.

    Input uint8 (N, S, S, 3), output float32 (N, K, S, S) in [0, 1]: as the graph's.

    Raises
    ------
    ModelError
        See `TorchPredictor`.
    """
    recipe = (card.training or {}).get("recipe", {})
    if "encoder" not in recipe:
        raise ModelError(
            f"the card of '{shortened(weights)}' does not say how its network is built (training.recipe.encoder); "
            "use runtime='onnx', or weights that `surfacedefect train` made"
        )
    stored = read_weights(weights)
    if any(".decoder." in name for name in stored):
        network = build_u_net(
            len(card.kinds), encoder=recipe["encoder"], decoder_channels=recipe.get("decoder_channels", ())
        )
    else:
        network = spread_over_tile(build_tile_classifier(encoder=recipe["encoder"]))
    whole = windows_to_probabilities(calibrated(network, card))
    wanted = whole.state_dict()
    for name, value in wanted.items():
        if name.endswith("num_batches_tracked"):  # of training only
            stored.setdefault(name, value)
    odd = sorted(
        name
        for name in wanted.keys() | stored.keys()
        if name not in wanted or name not in stored or wanted[name].shape != stored[name].shape
    )
    if odd:
        raise ModelError(
            f"'{shortened(weights)}' does not hold the network that its card describes: {len(odd)} tensor(s) are "
            f"missing, unknown or of another shape, such as '{odd[0]}'. Use runtime='onnx'"
        )
    whole.load_state_dict(stored)
    return whole.eval()


def read_weights(weights: Path) -> dict[str, Tensor]:
    """Return the named weights of an ``.onnx`` file as float32 tensors; constants of the graph are left out."""
    torch, onnx = require("torch", extra="train"), require("onnx", extra="train")
    try:
        tensors = onnx.load(str(weights)).graph.initializer
        values = {item.name.removesuffix(HALF): onnx.numpy_helper.to_array(item) for item in tensors}
    except Exception as error:
        raise ModelError(
            f"'{shortened(weights)}' cannot be read as ONNX ({type(error).__name__}: {error}); expected a file that "
            "`surfacedefect train` wrote"
        ) from error
    return {
        name: torch.from_numpy(value.astype(np.float32))
        for name, value in values.items()
        if name.startswith("network.")
    }


def _device(name: str | None) -> Any:
    torch = require("torch", extra="train")
    try:
        device = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise OptionError(f"device is {name!r}, which torch cannot use ({error}); expected 'cpu' or 'cuda'") from error
    return device


def _load(weights: Path, card: ModelCard, threads: int, device: str, half: bool) -> TorchPredictor:
    return TorchPredictor(weights, card=card, threads=threads, device=device, half=half)
