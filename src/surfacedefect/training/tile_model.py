"""The tile classifier: its network, its loss, how it is followed while it learns, and what is exported of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from surfacedefect.baselines import TILE_PX
from surfacedefect.errors import TrainingError, require
from surfacedefect.evaluation import ScoreHistogram, TileCounts
from surfacedefect.evaluation.protocol import CLEAN, DAMAGED
from surfacedefect.evaluation.tiles import LEFT_OUT
from surfacedefect.networks import build_tile_classifier, network_inputs
from surfacedefect.training.config import TrainingConfig
from surfacedefect.training.model import _load_imagenet
from surfacedefect.training.pictures import TrainingPicture
from surfacedefect.training.tile_samples import label_grid
from surfacedefect.windows import lay_grid

if TYPE_CHECKING:
    from torch import Tensor, nn

LAST_LAYERS = ("conv_head.", "bn2.")
"""Layers of the encoder that a U-Net's has not."""


def build_tile_network(config: TrainingConfig, *, start: bool | None = None) -> nn.Module:
    """Build the tile classifier of a recipe; input (N, 3, H, W) float in [-1, 1], output (N, 1) logits.

    Parameters
    ----------
    config
        The recipe: its encoder.
    start
        Load the ImageNet weights, mapped as `training.model.build_network` does; None means as the recipe says.
    """
    network = build_tile_classifier(encoder=config.encoder)
    if config.imagenet_start if start is None else start:
        _load_imagenet(network)
    return network


def begin_tiles_with(network: nn.Module, checkpoint: Path, config: TrainingConfig) -> None:
    """Put the averaged weights of an earlier run into a tile classifier: one's own, or the encoder of a U-Net's.

    A U-Net has no last 1 x 1 convolution and no linear layer: the former stays ImageNet's, or as the recipe says.
    """
    from surfacedefect.training.loop import load_average, read_average

    marked = "encoder.model."
    encoder = {name.removeprefix(marked): value for name, value in read_average(checkpoint).items() if marked in name}
    if not encoder:
        load_average(network, checkpoint)
        return
    if config.imagenet_start:
        _load_imagenet(network)
    inner: Any = network.encoder
    own = inner.state_dict()
    odd = sorted(name for name, value in encoder.items() if name not in own or own[name].shape != value.shape)
    missing = sorted(name for name in own.keys() - encoder.keys() if not name.startswith(LAST_LAYERS))
    if odd or missing:
        raise TrainingError(
            f"the encoder in '{checkpoint}' is not this one: '{(odd + missing)[0]}' does not fit; expected the last.pt "
            f"of a U-Net on '{config.encoder}'"
        )
    inner.load_state_dict({**own, **encoder})


def tile_loss(logits: Tensor, target: Tensor, *, weight: Tensor, config: TrainingConfig) -> Tensor:
    """Return the binary cross-entropy of the tiles, each by its weight; all three are float (N, 1)."""
    torch = require("torch", extra="train")
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return (entropy * weight).sum() / weight.sum().clamp(min=1e-6)  # type: ignore[no-any-return]


def validate_tiles(network: nn.Module, pictures: Sequence[TrainingPicture], config: TrainingConfig) -> dict[str, float]:
    """Return the average precision over the pictures' 300 px tiles as ``ap_tile``; ``nan`` without a damaged one."""
    counts = np.zeros((2, 256), np.int64)
    network.eval()
    for picture in pictures:
        labels = label_grid(picture.labels, kinds=len(config.kinds))
        scores = tile_scores(network, picture.image, wanted=labels != LEFT_OUT)
        for what in (CLEAN, DAMAGED):
            counts[what] += np.bincount(scores[labels == what], minlength=256)
    clean, damaged = (tuple(row.tolist()) for row in counts)
    return {"ap_tile": ScoreHistogram(damaged, clean).average_precision}


def tile_scores(network: nn.Module, image: NDArray[np.uint8], *, wanted: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Run the network over the wanted tiles of a picture, cut and filled as `detect` does.

    Parameters
    ----------
    network
        As `build_tile_network` makes it, in evaluation mode.
    image
        uint8 (H, W, 3).
    wanted
        (tile rows, tile columns), which tiles to look at.

    Returns
    -------
    uint8 (tile rows, tile columns)
        0..255 for 0..1; 0 where nothing was wanted.
    """
    torch = require("torch", extra="train")
    device = next(network.parameters()).device
    grid = lay_grid(*image.shape[:2], window_px=TILE_PX, overlap_px=0, edge="pad")
    scores = np.zeros(wanted.shape, np.uint8)
    for row, top in enumerate(grid.rows.starts):
        columns = np.flatnonzero(wanted[row])
        if not columns.size:
            continue
        band = image[grid.rows.indices(top)]
        tiles = np.stack([band[:, grid.columns.indices(grid.columns.starts[column])] for column in columns])
        inputs = network_inputs(torch.from_numpy(tiles).to(device))
        with torch.inference_mode():
            found = torch.sigmoid(network(inputs.to(memory_format=torch.channels_last)).float())[:, 0]
        scores[row, columns] = (found * 255).round().to(torch.uint8).cpu().numpy()
    return scores


def best_tile_threshold(tiles: TileCounts, thresholds: Sequence[float]) -> float | None:
    """Return the threshold of the best F1 over tiles, the highest of equal ones; None when no damaged tile is found.

    >>> counts = TileCounts((0,) * 200 + (4,) + (0,) * 55, (9,) + (0,) * 255)
    >>> best_tile_threshold(counts, (0.2, 0.5, 0.9))
    0.5
    """
    best = max(thresholds, key=lambda threshold: (np.nan_to_num(tiles.f1(threshold)), threshold))
    return best if tiles.f1(best) > 0 else None


def tile_figures(tiles: TileCounts, threshold: float) -> dict[str, float]:
    """Return what the card says of the validation tiles; accuracy stands beside that of "everything is clean"."""
    return {
        "damaged": tiles.positive_count,
        "clean": tiles.negative_count,
        "left_out": tiles.left_out,
        "average_precision": tiles.average_precision,
        "threshold": threshold,
        "recall": tiles.recall(threshold),
        "precision": tiles.precision(threshold),
        "f1": tiles.f1(threshold),
        "accuracy": tiles.accuracy(threshold),
        "all_clean_accuracy": tiles.all_clean_accuracy,
    }
