"""What the tile classifier sees in a step: the U-Net's crops at 300 px, as many damaged as clean."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from surfacedefect.errors import TrainingError
from surfacedefect.evaluation import KindTruth, Protocol, label_tiles
from surfacedefect.evaluation.protocol import CLEAN, DAMAGED, NEITHER
from surfacedefect.evaluation.tiles import LEFT_OUT
from surfacedefect.training.config import TrainingConfig
from surfacedefect.training.pictures import IGNORED_BIT, LOOSE_BIT, TrainingPicture
from surfacedefect.training.samples import Crop, Samples, disturb

MOST_DRAWS = 100
"""Crops that are tried for one of the wanted label; after that the sample counts for nothing."""
MOST_RENDERS = 10
"""Of these, so many may be rendered, which takes longest."""


class TileSamples(Samples):
    """An endless, indexable source of tiles; even numbers are clean, odd ones are damaged.

    A tile is drawn as the U-Net's crops are, from the same pictures in the same shares, painted, rendered, zoomed,
    turned and disturbed alike, and drawn again until the tile rule gives it the wanted label: damaged with at least 64
    damaged px, clean with none, half of it valid. So each label has the crops that the recipe gives it.

    Parameters
    ----------
    pictures, config, negatives, on_device
        See `Samples`. The recipe's `clean_share` has no say, as half of the tiles are clean.

    Raises
    ------
    TrainingError
        As `Samples`, or there is no clean or no damaged tile in these pictures.

    Examples
    --------
    >>> from surfacedefect.training.config import TileConfig
    >>> plain = TrainingPicture(np.full((400, 400, 3), 120, np.uint8), np.zeros((400, 400), np.uint8), "own", "plain")
    >>> samples = TileSamples([plain], TileConfig(synthetic_share=0.0, painted_share=1.0))
    >>> [(image.shape, target.item(), weight.item()) for image, target, weight in (samples[0], samples[1])]
    [((300, 300, 3), 0, 1.0), ((300, 300, 3), 1, 1.0)]
    """

    def __init__(
        self,
        pictures: Sequence[TrainingPicture],
        config: TrainingConfig,
        *,
        negatives: Sequence[tuple[int, float, float]] = (),
        on_device: bool = False,
    ) -> None:
        super().__init__(pictures, config, negatives=negatives, on_device=on_device)
        # Crops that could only be thrown away are not made: painted ones when a clean tile is wanted, and so on.
        clean, damaged = copy.copy(self), copy.copy(self)
        clean.config = replace(config, painted_share=0.0, centred_share=0.0, clean_share=1.0)
        damaged.config = replace(config, hard_negative_share=0.0, clean_share=0.0)
        self._of_label = {CLEAN: clean, DAMAGED: damaged}
        for number, word in enumerate(("clean", "damaged")):
            if not self[number][2].any():
                raise TrainingError(
                    f"{MOST_DRAWS} crops of {len(self.pictures)} picture(s) gave no {word} tile; expected "
                    "pictures with undamaged surface and with damage of 64 px or more, or a painted_share or "
                    "synthetic_share above 0"
                )

    def __getitem__(self, number: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.float32]]:
        """Return image uint8 (300, 300, 3), target uint8 (1,), 1 damaged and 0 clean, and weight float32 (1,)."""
        rng = np.random.default_rng([self.config.seed, number])
        wanted = DAMAGED if number % 2 else CLEAN
        (image, labels), right = self._drawn(wanted, rng)
        weight = tile_weight(labels, kinds=len(self.config.kinds), loose=self.config.loose_weight) if right else 0.0
        image = image if self.on_device else disturb(image, rng)
        return image, np.array([wanted], np.uint8), np.array([weight], np.float32)

    def _drawn(self, wanted: int, rng: np.random.Generator) -> tuple[Crop, bool]:
        """Draw crops until one has the wanted label; say whether the last one has it."""
        source, kinds = self._of_label[wanted], len(self.config.kinds)
        renders = MOST_RENDERS if rng.random() < self.config.synthetic_share else 0
        if not self.pictures:
            renders = MOST_DRAWS
        for draw in range(MOST_DRAWS):
            image, labels = source._rendered(rng) if draw < renders else source._photographed(rng)
            image, labels = self._varied(image, labels, rng)
            if label_grid(labels, kinds=kinds)[0, 0] == wanted:
                return (self._mirroring(image, rng), labels), True
        return (image, labels), False


def label_grid(labels: NDArray[np.uint8], *, kinds: int) -> NDArray[np.int8]:
    """Say of every 300 x 300 tile of a picture, from the top left, whether it is damaged.

    The rule is `evaluation.label_tiles`, with all kinds as one; damage in doubt, such as the border of a hull, makes no
    tile damaged, but no tile with it is clean.

    Parameters
    ----------
    labels
        uint8 (H, W), see `TrainingPicture.labels`.
    kinds
        How many bits are kinds of damage.

    Returns
    -------
    int8 (tile rows, tile columns)
        1 damaged, 0 clean, -1 left out.

    Examples
    --------
    >>> labels = np.zeros((300, 900), np.uint8)
    >>> labels[10:20, 10:20] = labels[10:13, 310:313] = 1
    >>> label_grid(labels, kinds=2).tolist()
    [[1, -1, 0]]
    """
    damaged, doubt = _bits(labels, kinds)
    found = label_tiles(_truth(np.where(doubt, np.uint8(NEITHER), damaged.astype(np.uint8)))).labels
    hidden = label_tiles(_truth((damaged & doubt).astype(np.uint8))).damaged_px > 0
    found[hidden & (found == CLEAN)] = LEFT_OUT
    return found


def tile_weight(labels: NDArray[np.uint8], *, kinds: int, loose: float) -> float:
    """Return how much a tile counts: `loose` when only hulls make it damaged, else 1."""
    damaged, doubt = _bits(labels, kinds)
    certain = np.count_nonzero(damaged & ~doubt & ((labels & LOOSE_BIT) == 0))
    return loose if damaged.any() and certain < Protocol().tile_damaged_px else 1.0


def _bits(labels: NDArray[np.uint8], kinds: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    return (labels & np.uint8((1 << kinds) - 1)) > 0, (labels & IGNORED_BIT) > 0


def _truth(state: NDArray[np.uint8]) -> KindTruth:
    """Wrap the state of each pixel; the regions and centre lines of a truth are no matter of tiles."""
    nothing = np.zeros(0, np.int64)
    return KindTruth(state, np.zeros((0, 0), np.int32), nothing, np.zeros((0, 0), np.bool_), nothing.reshape(0, 2))
