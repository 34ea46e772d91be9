"""The usual answer: a scan cut into 300 x 300 tiles, and for each tile the probability that it is damaged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from surfacedefect.card import ModelCard
from surfacedefect.errors import ModelError, OptionError, PredictorError
from surfacedefect.predictor import Predictor, Probabilities, Windows
from surfacedefect.runtimes import load_predictor, shipped_models

TILE_PX = 300
"""Side of a tile; the one by which tiles are scored too (`evaluation.Protocol.tile_px`)."""
KINDS = ("damage",)


def tile_card(name: str = "tile-classifier", **changes: Any) -> ModelCard:
    """Return the card of a tile classifier: one kind, tiles of 300 px side by side, the last one filled by reflection.

    Parameters
    ----------
    name
        Name of the model.
    changes
        Other entries of `ModelCard`, such as ``thresholds``.

    Examples
    --------
    >>> card = tile_card()
    >>> card.kinds, card.window_px, card.overlap_px, card.edge
    (('damage',), 300, 0, 'pad')
    """
    return ModelCard(name=name, **{"kinds": KINDS, "window_px": TILE_PX, "overlap_px": 0, "edge": "pad", **changes})


class TileClassifier:
    """A classifier of whole tiles as a `Predictor`: the probability of a tile is that of each of its pixels.

    Parameters
    ----------
    classify
        Maps uint8 (N, 300, 300, 3) RGB to floats (N,), the probability of each tile in [0, 1].
    card
        What it claims to be; None takes `tile_card`.

    Raises
    ------
    ModelError
        The card is not one of a tile classifier: kinds ``("damage",)``, 300 px, ``edge="pad"``.

    Examples
    --------
    >>> dark = TileClassifier(lambda tiles: (tiles.min(axis=(1, 2, 3)) < 50).astype(np.float32))
    >>> dark(np.zeros((2, 300, 300, 3), np.uint8)).shape
    (2, 1, 300, 300)
    """

    def __init__(
        self, classify: Callable[[Windows], NDArray[np.floating[Any]]], *, card: ModelCard | None = None
    ) -> None:
        self._classify = classify
        self._card = tile_card() if card is None else card
        if self._card.kinds != KINDS or self._card.window_px != TILE_PX or self._card.edge != "pad":
            raise ModelError(
                f"'{self._card.name}' has the kinds {list(self._card.kinds)}, windows of {self._card.window_px} px and "
                f"edge='{self._card.edge}'; a tile classifier has {list(KINDS)}, {TILE_PX} px and edge='pad'. "
                "Give other models to Detector by themselves"
            )

    @classmethod
    def load(cls, name: str | Path = "tile-lite0", *, threads: int | None = None) -> Self:
        """Load a trained tile classifier.

        Parameters
        ----------
        name
            Name of shipped weights, or path of an ``.onnx`` with its card.
        threads
            Threads of the engine; None takes every core that the process may use.

        Raises
        ------
        ModelError
            The weights are not there, are damaged, or are no tile classifier.
        MissingExtraError
            No engine is installed.
        """
        if isinstance(name, str) and not name.endswith(".onnx") and name not in (shipped := shipped_models()):
            tiles = [known for known, card in shipped.items() if card.kinds == KINDS and card.window_px == TILE_PX]
            raise ModelError(
                f"this version ships no tile classifier called '{name}'; shipped: {tiles or 'none'}. Make one with "
                "`surfacedefect train --model tile-classifier --out tile.onnx` and load 'tile.onnx'"
            )
        predictor = load_predictor(name, threads=threads)
        return cls(partial(_of_each_tile, predictor), card=predictor.card)

    @property
    def card(self) -> ModelCard:
        """Kind, tile, overlap and threshold."""
        return self._card

    @property
    def runs_on_gpu(self) -> bool:
        """Whether the tiles go to a GPU."""
        engine = self._classify.args[0] if isinstance(self._classify, partial) else None
        return bool(getattr(engine, "runs_on_gpu", False))

    def dense(self, stride: int = 75) -> Self:
        """Return the same classifier slid over the scan in smaller steps, so that its map gets finer than a tile.

        It is a matter of the card alone: the overlap becomes 300 - `stride`, and stitching takes the mean of all tiles
        over a pixel, those with the pixel near their middle counting most. At 75 px these are 16 tiles, so a scan takes
        16 times as long.

        Parameters
        ----------
        stride
            Steps in px, 1 to 300.

        Raises
        ------
        OptionError
            The stride is out of its range.

        Examples
        --------
        >>> TileClassifier(lambda tiles: tiles.mean(axis=(1, 2, 3)) / 255).dense().card.overlap_px
        225
        """
        if isinstance(stride, bool) or not isinstance(stride, int | np.integer) or not 1 <= stride <= TILE_PX:
            raise OptionError(f"stride is {stride!r}; expected a whole number of px from 1 to {TILE_PX}")
        name = f"{self._card.name}-stride-{stride}"
        # What was measured was measured at another overlap.
        card = replace(self._card, name=name, overlap_px=TILE_PX - int(stride), operating_points=())
        return type(self)(self._classify, card=card)

    def __call__(self, windows: Windows) -> Probabilities:
        """Map uint8 (N, 300, 300, 3) tiles to float32 (N, 1, 300, 300): one probability a tile, spread over it."""
        found = np.asarray(self._classify(windows))
        if found.shape != (len(windows),):
            raise PredictorError(
                f"tile classifier '{self._card.name}' gave an array of shape {found.shape} for {len(windows)} tile(s); "
                f"expected ({len(windows)},): one probability a tile"
            )
        spread = found.astype(np.float32)[:, None, None, None]
        return np.broadcast_to(spread, (len(windows), 1, *windows.shape[1:3]))

    def __repr__(self) -> str:
        """Name the card and the stride."""
        return f"TileClassifier({self._card.name!r}, stride={TILE_PX - self._card.overlap_px})"


def _of_each_tile(predictor: Predictor, tiles: Windows) -> NDArray[np.float32]:
    """Undo the spreading of an exported graph, whose output is a map like that of every other model."""
    return predictor(tiles)[:, 0, 0, 0]
