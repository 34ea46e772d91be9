"""What a step minimises; the recipe's `loss` names one of three. Each pixel counts by its weight, 0 leaves it out.

========================  =============================================================================================
``"bce-dice"``            binary cross-entropy + `dice` times the soft Dice loss
``"focal-tversky"``       a Dice loss that charges more for what is missed than for what is too much
``"centre-line-dice"``    ``"bce-dice"`` + the soft centre-line Dice loss of the scratches: gaps in thin lines count
========================  =============================================================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from surfacedefect.errors import require
from surfacedefect.training.config import TrainingConfig

if TYPE_CHECKING:
    from torch import Tensor

TVERSKY_MISSED = 0.7
"""Alpha, what a missed pixel costs; as published."""
TVERSKY_EXTRA = 0.3
"""Beta, what a pixel too much costs; as published."""
TVERSKY_GAMMA = 4 / 3
"""Gamma, as published: the loss is (1 - Tversky index) ** (1 / gamma), steeper where the index is nearly 1."""
CENTRE_LINE_WEIGHT = 0.25
"""Weight of the centre-line term: with `dice` 0.5 and two kinds, that of the scratches' Dice term."""
CENTRE_LINE_ROUNDS = 6
"""Rounds of thinning: lines of up to 13 px are thinned to their centre, wider ones keep a ridge only."""

_SMOOTH_PX = 100  # of the area terms: a kind that a batch hardly holds does not swing the loss
_SMOOTH_LINE_PX = 1  # as published
_LEAST = 1e-6  # below it the root of the focal term is too steep


def loss_of(logits: Tensor, target: Tensor, *, weight: Tensor, config: TrainingConfig) -> Tensor:
    """Return the loss that the recipe asks for, a scalar.

    Parameters
    ----------
    logits, target
        float (N, K, H, W); the target in [0, 1].
    weight
        float (N, H, W), at least 0; 0 leaves a pixel out.
    config
        The recipe: its `loss`, `dice` and `kinds`.

    Examples
    --------
    >>> import torch
    >>> target = torch.zeros(1, 2, 64, 64)
    >>> target[:, 0, 30:33, 8:56] = 1
    >>> weight, right = torch.ones(1, 64, 64), 40 * target - 20
    >>> round(float(loss_of(right, target, weight=weight, config=TrainingConfig())), 4)
    0.0
    >>> float(loss_of(-right, target, weight=weight, config=TrainingConfig())) > 10
    True
    """
    if config.loss == "focal-tversky":
        return focal_tversky(logits, target, weight=weight)
    loss = bce_dice(logits, target, weight=weight, dice=config.dice)
    if config.loss == "centre-line-dice":
        bit = config.kinds.index("scratch")
        loss = loss + CENTRE_LINE_WEIGHT * centre_line_dice(logits[:, bit], target[:, bit], weight=weight)
    return loss


def bce_dice(logits: Tensor, target: Tensor, *, weight: Tensor, dice: float) -> Tensor:
    """Return binary cross-entropy plus `dice` times the soft Dice loss over the batch, each pixel by its weight.

    Parameters
    ----------
    logits, target, weight
        See `loss_of`.
    dice
        Weight of the Dice term (Milletari et al., V-Net, 2016), computed per kind over the whole batch.
    """
    torch = require("torch", extra="train")
    weight = weight[:, None]
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    entropy = (entropy * weight).sum() / (weight.sum() * logits.shape[1] + 1)
    share = torch.sigmoid(logits) * weight
    both = (share * target).sum(dim=(0, 2, 3))
    total = (share + target * weight).sum(dim=(0, 2, 3))
    return entropy + dice * (1 - (2 * both + _SMOOTH_PX) / (total + _SMOOTH_PX)).mean()  # type: ignore[no-any-return]


def focal_tversky(logits: Tensor, target: Tensor, *, weight: Tensor) -> Tensor:
    """Return the focal Tversky loss, per kind over the whole batch, in [0, 1]; 0 is best.

    Parameters
    ----------
    logits, target, weight
        See `loss_of`.

    Notes
    -----
    Abraham and Khan, *A novel focal Tversky loss function with improved attention U-Net for lesion segmentation*, 2019.
    With the true positives, false negatives and false positives as sums of probabilities, the Tversky index is
    ``TP / (TP + alpha FN + beta FP)``; alpha above beta asks for recall.
    """
    torch = require("torch", extra="train")
    share, weight = torch.sigmoid(logits), weight[:, None]
    both = (share * target * weight).sum(dim=(0, 2, 3))
    missed = ((1 - share) * target * weight).sum(dim=(0, 2, 3))
    extra = (share * (1 - target) * weight).sum(dim=(0, 2, 3))
    wrong = TVERSKY_MISSED * missed + TVERSKY_EXTRA * extra
    distance = wrong / (both + wrong + _SMOOTH_PX)
    return distance.clamp(min=_LEAST).pow(1 / TVERSKY_GAMMA).mean()  # type: ignore[no-any-return]


def centre_line_dice(logits: Tensor, target: Tensor, *, weight: Tensor, rounds: int = CENTRE_LINE_ROUNDS) -> Tensor:
    """Return the soft centre-line Dice loss of one kind over the batch, in [0, 1]; 0 is best.

    The harmonic mean of two shares: of the predicted centre line that lies on true damage, and of the true centre line
    that is predicted. A line counts by its length, so a hairline counts as much as a broad scratch, and a gap in it as
    much as one of the same length anywhere.

    Parameters
    ----------
    logits, target, weight
        float (N, H, W) each; see `loss_of`. A pixel of weight 0 is taken for clean in both before they are thinned, so
        that it has no say in where a centre line lies.
    rounds
        Rounds of thinning; see `soft_skeleton`.

    Notes
    -----
    Shit et al., *clDice - a novel topology-preserving loss function for tubular structure segmentation*, 2021.
    """
    torch = require("torch", extra="train")
    counted = (weight > 0).to(logits.dtype)
    share, target = torch.sigmoid(logits) * counted, target * counted
    with torch.no_grad():
        true_line = soft_skeleton(target, rounds=rounds) * weight
    line = soft_skeleton(share, rounds=rounds) * weight
    on_damage = ((line * target).sum() + _SMOOTH_LINE_PX) / (line.sum() + _SMOOTH_LINE_PX)
    met = ((true_line * share).sum() + _SMOOTH_LINE_PX) / (true_line.sum() + _SMOOTH_LINE_PX)
    return 1 - 2 * on_damage * met / (on_damage + met)  # type: ignore[no-any-return]


def soft_skeleton(share: Tensor, *, rounds: int) -> Tensor:
    """Return how much each pixel lies on the centre line, in [0, 1], so that it can be differentiated.

    What an erosion takes away and a dilation does not bring back is a ridge; the ridges of `rounds` erosions are put
    together (Shit et al., 2021, algorithm 1). A line of up to 2 * rounds + 1 px comes down to 1 or 2 px.

    Parameters
    ----------
    share
        float (N, H, W) in [0, 1].
    rounds
        How often it is eroded, at least 1.

    Examples
    --------
    >>> import torch
    >>> bar = torch.zeros(1, 15, 40)
    >>> bar[:, 5:10, 5:35] = 1
    >>> soft_skeleton(bar, rounds=3)[0, :, 20].int().tolist()
    [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]
    """
    torch = require("torch", extra="train")
    pool = torch.nn.functional.max_pool2d
    ridges, left = torch.zeros_like(share), share
    for _ in range(rounds + 1):
        thinner = _eroded(left)
        ridge = torch.relu(left - pool(thinner, 3, 1, 1))
        ridges = ridges + torch.relu(ridge - ridges * ridge)
        left = thinner
    return ridges  # type: ignore[no-any-return]


def _eroded(share: Tensor) -> Tensor:
    """Take the smallest of a pixel and its four neighbours; what lies outside of the picture has no say."""
    torch = require("torch", extra="train")
    pool = torch.nn.functional.max_pool2d
    upright, level = pool(-share, (3, 1), 1, (1, 0)), pool(-share, (1, 3), 1, (0, 1))
    return -torch.maximum(upright, level)  # type: ignore[no-any-return]
