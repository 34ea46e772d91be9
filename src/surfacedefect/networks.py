"""The networks that weights are for, as torch modules: U-Net, tile classifier, and the form in which both ship."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from surfacedefect.card import ModelCard
from surfacedefect.errors import require

if TYPE_CHECKING:
    from torch import Tensor, nn


def build_u_net(kinds: int, *, encoder: str, decoder_channels: Sequence[int]) -> nn.Module:
    """Build a U-Net without trained weights; input (N, 3, H, W) float in [-1, 1], output (N, kinds, H, W) logits.

    Parameters
    ----------
    kinds
        Bands of the output.
    encoder
        Name of segmentation_models_pytorch, such as ``"tu-efficientnet_lite0"``.
    decoder_channels
        Channels of the decoder's stages, coarse to fine.
    """
    smp = require("segmentation_models_pytorch", extra="train")
    network: nn.Module = smp.Unet(
        encoder,
        encoder_weights=None,
        decoder_channels=tuple(decoder_channels),
        encoder_depth=len(decoder_channels),
        classes=kinds,
    )
    return network


def build_tile_classifier(*, encoder: str) -> nn.Module:
    """Build a tile classifier without trained weights; input (N, 3, H, W) float in [-1, 1], output (N, 1) logits.

    The whole encoder, its last 1 x 1 convolution too, then the mean and the largest value of each of its features over
    the tile, and one linear layer. A scratch fills little of a tile: a mean alone dilutes it.

    Parameters
    ----------
    encoder
        As for `build_u_net`.
    """
    torch, timm = require("torch", extra="train"), require("timm", extra="train")
    layers = require("timm.layers", extra="train")
    body = timm.create_model(encoder.removeprefix("tu-"), pretrained=False, num_classes=0, global_pool="")
    pool = layers.SelectAdaptivePool2d(pool_type="catavgmax", flatten=True)
    head = torch.nn.Linear(2 * body.num_features, 1)
    network: nn.Module = torch.nn.Sequential(OrderedDict(encoder=body, pool=pool, head=head))
    return network


def network_inputs(windows: Tensor) -> Tensor:
    """Bring uint8 (N, H, W, 3) RGB to what the networks take: float (N, 3, H, W) in [-1, 1]."""
    return windows.permute(0, 3, 1, 2).float() / 127.5 - 1


def spread_over_tile(network: nn.Module) -> nn.Module:
    """Wrap a tile classifier so that it gives each tile's logit over all of its pixels, (N, 1, H, W).

    So its file is one like every other model's, and every engine that runs those runs it.
    """
    torch = require("torch", extra="train")

    class SpreadOverTile(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, inputs: Any) -> Any:
            logits = self.network(inputs)[:, :, None, None]
            return logits.expand(-1, -1, inputs.shape[2], inputs.shape[3])

    return SpreadOverTile().eval()  # type: ignore[no-any-return]


def calibrated(network: nn.Module, card: ModelCard) -> nn.Module:
    """Put the card's slope and offset of each kind behind the network; a kind without them stays as it is."""
    if not card.calibration:
        return network
    torch = require("torch", extra="train")
    fits = [card.calibration.get(kind, {"slope": 1.0, "offset": 0.0}) for kind in card.kinds]

    class Calibrated(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.network = network
            for name in ("slope", "offset"):
                self.register_buffer(name, torch.tensor([float(fit[name]) for fit in fits]))

        def forward(self, inputs: Any) -> Any:
            return self.network(inputs) * self.slope[:, None, None] + self.offset[:, None, None]

    return Calibrated().eval()  # type: ignore[no-any-return]


def windows_to_probabilities(network: nn.Module) -> nn.Module:
    """Wrap a network of logits as what ships: uint8 (N, S, S, 3) windows in, float32 (N, K, S, S) in [0, 1] out."""
    torch = require("torch", extra="train")

    class WindowsToProbabilities(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, windows: Any) -> Any:
            return torch.sigmoid(self.network(network_inputs(windows)))

    return WindowsToProbabilities().eval()  # type: ignore[no-any-return]
