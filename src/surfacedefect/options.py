"""What a detection can be told, in one frozen value."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from surfacedefect._checks import (
    check_least_scores,
    check_thresholds,
    check_whole,
    checked_kinds,
    checked_least_scores,
    checked_thresholds,
    expect,
    is_number,
    is_whole,
)
from surfacedefect._machine import MOST_THREADS
from surfacedefect.card import ModelCard

MEBIBYTE = 2**20
LARGEST_MM_PER_PX = 1e6
MOST_WINDOWS = 4096
"""Looked at together."""


@dataclass(frozen=True, slots=True)
class DetectOptions:
    """Options of a detection; None means: as the predictor's card says.

    Parameters
    ----------
    threshold
        Probability in (0, 1] from which a pixel counts as damaged; one for all kinds, or one a kind.
    least_score
        Mean probability, in [0, 1], that a defect needs to be reported; one for all kinds, or one a kind. None: as the
        card says, but 0 for a kind whose `threshold` is given.
    mm_per_px
        Scale of the scan in mm; without it nothing is reported in millimetres.
    kinds
        Damage kinds to report; the others are left out.
    overlap
        Overlap of neighbouring windows in px, in [0, window).
    batch
        Windows looked at together, at most 4096; 1 on a CPU is as fast as more and takes the least memory.
    threads
        Threads of the engine, at most 256; None takes every core that the process may use.
    max_memory
        Bytes of the largest probability map that is kept in memory; a larger one goes to a temporary file.
    max_pixels
        Most pixels of a picture that has to be decoded whole (see `Scan`).
    least_area_px
        Smaller defects are dropped; in px.
    simplify_px
        Tolerance of the outline in px; 0 keeps every pixel corner.
    on_error
        ``"raise"``, or ``"skip"``: the pixels of a window that failed are *not inspected*.

    Raises
    ------
    OptionError
        A value is out of its range.

    Examples
    --------
    >>> DetectOptions(threshold=0.4).threshold
    0.4
    """

    threshold: float | Mapping[str, float] | None = None
    mm_per_px: float | None = None
    kinds: tuple[str, ...] | None = None
    overlap: int | None = None
    batch: int | None = None
    threads: int | None = None
    max_memory: int = 96 * MEBIBYTE
    max_pixels: int = 250_000_000
    least_area_px: float | None = None
    simplify_px: float | None = None
    on_error: Literal["raise", "skip"] = "raise"
    least_score: float | Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        """Check what can be checked without a predictor."""
        if self.threshold is not None:
            check_thresholds(self.threshold)
        if self.least_score is not None:
            check_least_scores(self.least_score)
        expect(
            self.mm_per_px is None or _is_positive(self.mm_per_px),
            "mm_per_px",
            self.mm_per_px,
            "a number above 0, at most a million",
        )
        for name, most in (("batch", MOST_WINDOWS), ("threads", MOST_THREADS)):
            if getattr(self, name) is not None:
                check_whole(name, getattr(self, name), 1, most)
        for name in ("max_memory", "max_pixels"):
            value = getattr(self, name)
            expect(is_whole(value) and value >= 0, name, value, "a whole number, 0 or more")
        expect(
            self.overlap is None or (is_whole(self.overlap) and self.overlap >= 0),
            "overlap",
            self.overlap,
            "a whole number of px, 0 or more",
        )
        for name in ("least_area_px", "simplify_px"):
            value = getattr(self, name)
            expect(
                value is None or (is_number(value) and 0 <= value < math.inf), name, value, "a number of px, 0 or more"
            )
        expect(self.on_error in ("raise", "skip"), "on_error", self.on_error, "'raise' or 'skip'")
        if self.kinds is not None:
            object.__setattr__(self, "kinds", checked_kinds(self.kinds))

    def kinds_for(self, card: ModelCard) -> tuple[str, ...]:
        """Return the kinds to report, in the card's order."""
        if self.kinds is None:
            return card.kinds
        wanted = checked_kinds(self.kinds, known=card.kinds)
        return tuple(kind for kind in card.kinds if kind in wanted)

    def thresholds_for(self, card: ModelCard) -> dict[str, float]:
        """Return the threshold of each reported kind."""
        given = {} if self.threshold is None else self.threshold
        if isinstance(given, Mapping):
            given = {**{kind: card.threshold(kind) for kind in card.kinds}, **given}
        return dict(checked_thresholds(given, kinds=self.kinds_for(card), known=card.kinds))

    def least_scores_for(self, card: ModelCard) -> dict[str, float]:
        """Return the smallest score of each reported kind."""
        chosen = self.threshold if isinstance(self.threshold, Mapping) else card.kinds if self.threshold else ()
        given: Any = {kind: card.least_score(kind) for kind in card.kinds if kind not in chosen}
        if self.least_score is not None:
            given = {**given, **self.least_score} if isinstance(self.least_score, Mapping) else self.least_score
        return dict(checked_least_scores(given, kinds=self.kinds_for(card), known=card.kinds))

    def least_area_for(self, card: ModelCard) -> float:
        """Return the smallest defect to report, in px."""
        return card.least_area_px if self.least_area_px is None else self.least_area_px

    def outlining_for(self, card: ModelCard) -> dict[str, Any]:
        """Return the options of `Detections.from_map`: all that is needed to outline a map.

        Examples
        --------
        >>> DetectOptions(threshold=0.4).outlining_for(ModelCard(name="fake", kinds=("dent",)))["threshold"]
        {'dent': 0.4}
        """
        return {
            "threshold": self.thresholds_for(card),
            "kinds": self.kinds_for(card),
            "least_score": self.least_scores_for(card),
            "least_area_px": self.least_area_for(card),
            "simplify_px": card.simplify_px if self.simplify_px is None else self.simplify_px,
        }

    def overlap_for(self, card: ModelCard) -> int:
        """Return the overlap of neighbouring windows in px."""
        overlap = card.overlap_px if self.overlap is None else self.overlap
        expected = f"less than the window of '{card.name}', {card.window_px} px"
        expect(overlap < card.window_px, "overlap", overlap, expected)
        return overlap


def _is_positive(value: object) -> bool:
    return is_number(value) and 0 < float(value) <= LARGEST_MM_PER_PX  # type: ignore[arg-type]
