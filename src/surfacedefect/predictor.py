"""The one contract in the middle: a batch of windows in, probabilities out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from surfacedefect._words import type_name
from surfacedefect.card import ModelCard
from surfacedefect.errors import BadValuesError, PredictorError

Windows = NDArray[np.uint8]
"""uint8 (N, S, S, 3), RGB."""
Probabilities = NDArray[np.float32]
"""float32 (N, K, S, S) in [0, 1]."""


@runtime_checkable
class Predictor(Protocol):
    """Anything that maps windows to probabilities: an engine, a baseline, a fake.

    Attributes
    ----------
    card
        Its kinds, window, overlap and thresholds.
    """

    @property
    def card(self) -> ModelCard:
        """Its kinds, window, overlap and thresholds."""
        ...

    def __call__(self, windows: Windows) -> Probabilities:
        """Map uint8 (N, S, S, 3) RGB windows to float32 (N, K, S, S) probabilities in [0, 1]."""
        ...


class FunctionPredictor:
    """A predictor made of a function; for tests, experiments and rules.

    Parameters
    ----------
    function
        Maps uint8 (N, S, S, 3) to float (N, K, S, S) in [0, 1].
    card
        What it claims to be.

    Examples
    --------
    >>> import numpy as np
    >>> card = ModelCard(name="dark", kinds=("scratch",), window_px=64, overlap_px=16)
    >>> dark = FunctionPredictor(lambda windows: (windows.mean(axis=3) < 50).astype(np.float32)[:, None], card=card)
    >>> dark(np.zeros((2, 64, 64, 3), np.uint8)).shape
    (2, 1, 64, 64)
    """

    def __init__(self, function: Callable[[Windows], Probabilities], *, card: ModelCard) -> None:
        self._function = function
        self._card = card

    @property
    def card(self) -> ModelCard:
        """What it claims to be."""
        return self._card

    def __call__(self, windows: Windows) -> Probabilities:
        """Call the function."""
        return self._function(windows)

    def __repr__(self) -> str:
        """Name the card."""
        return f"FunctionPredictor({self._card.name!r})"


def check_shape(probabilities: Probabilities, windows: Windows, card: ModelCard) -> None:
    """Refuse an answer of the wrong shape or type: the predictor does not fit its card.

    Raises
    ------
    PredictorError
        Not a float array of shape (N, K, S, S).
    """
    expected = (len(windows), len(card.kinds), *windows.shape[1:3])
    if not isinstance(probabilities, np.ndarray) or probabilities.shape != expected or probabilities.dtype.kind != "f":
        found = (
            f"{probabilities.dtype} {probabilities.shape}"
            if isinstance(probabilities, np.ndarray)
            else type_name(probabilities)
        )
        raise PredictorError(
            f"predictor '{card.name}' gave {found} for windows {windows.shape}; expected floats of shape {expected}: "
            "(windows, kinds, rows, columns)"
        )


def check_values(probabilities: Probabilities, card: ModelCard) -> None:
    """Refuse NaN and values outside [0, 1].

    Raises
    ------
    BadValuesError
        A value is no probability.
    """
    if not probabilities.size:
        return
    least, most = float(probabilities.min()), float(probabilities.max())
    if not (least >= 0 and most <= 1 + 1e-6):
        found = "NaN" if np.isnan(least) or np.isnan(most) else f"values from {least:.3g} to {most:.3g}"
        raise BadValuesError(f"predictor '{card.name}' gave {found}; expected probabilities in [0, 1]")
