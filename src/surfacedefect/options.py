"""What a detection can be told, in one frozen value."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from surfacedefect.card import ModelCard
from surfacedefect.errors import OptionError

MEBIBYTE = 2**20
LARGEST_MM_PER_PX = 1e6


@dataclass(frozen=True, slots=True)
class DetectOptions:
    """Options of a detection; None means: as the predictor's card says.

    Parameters
    ----------
    threshold
        Probability in (0, 1] from which a pixel counts as damaged; one for all kinds, or one a kind.
    mm_per_px
        Scale of the scan in mm; without it nothing is reported in millimetres.
    kinds
        Damage kinds to report; the others are left out.
    overlap
        Overlap of neighbouring windows in px, in [0, window).
    batch
        Windows looked at together; 1 on a CPU is as fast as more and takes the least memory.
    threads
        Threads of the engine; None takes every core that the process may use.
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

    def __post_init__(self) -> None:
        """Check what can be checked without a predictor."""
        given = self.threshold.values() if isinstance(self.threshold, Mapping) else (self.threshold,)
        for value in given:
            if value is not None:
                _expect(_is_number(value) and 0 < value <= 1, "threshold", value, "a number in (0, 1]")
        _expect(
            self.mm_per_px is None or _is_positive(self.mm_per_px),
            "mm_per_px",
            self.mm_per_px,
            "a number above 0, at most a million",
        )
        for name in ("batch", "threads"):
            value = getattr(self, name)
            _expect(value is None or (_is_whole(value) and value >= 1), name, value, "a whole number, 1 or more")
        for name in ("max_memory", "max_pixels"):
            value = getattr(self, name)
            _expect(_is_whole(value) and value >= 0, name, value, "a whole number, 0 or more")
        _expect(
            self.overlap is None or (_is_whole(self.overlap) and self.overlap >= 0),
            "overlap",
            self.overlap,
            "a whole number of px, 0 or more",
        )
        for name in ("least_area_px", "simplify_px"):
            value = getattr(self, name)
            _expect(
                value is None or (_is_number(value) and 0 <= value < math.inf), name, value, "a number of px, 0 or more"
            )
        _expect(self.on_error in ("raise", "skip"), "on_error", self.on_error, "'raise' or 'skip'")
        kinds: object = self.kinds
        if kinds is not None:
            names = () if isinstance(kinds, str) or not isinstance(kinds, Iterable) else tuple(kinds)
            _expect(
                len(names) > 0 and all(isinstance(name, str) for name in names),
                "kinds",
                kinds,
                "one or more names, such as ('scratch',)",
            )
            object.__setattr__(self, "kinds", names)

    def kinds_for(self, card: ModelCard) -> tuple[str, ...]:
        """Return the kinds to report, in the card's order."""
        if self.kinds is None:
            return card.kinds
        if unknown := sorted(set(self.kinds) - set(card.kinds)):
            raise OptionError(f"kinds names {unknown}; '{card.name}' knows {list(card.kinds)}")
        return tuple(kind for kind in card.kinds if kind in self.kinds)

    def thresholds_for(self, card: ModelCard) -> dict[str, float]:
        """Return the threshold of each reported kind."""
        kinds = self.kinds_for(card)
        if isinstance(self.threshold, Mapping):
            if unknown := sorted(set(self.threshold) - set(card.kinds)):
                raise OptionError(f"threshold names {unknown}; '{card.name}' knows {list(card.kinds)}")
            return {kind: float(self.threshold.get(kind, card.threshold(kind))) for kind in kinds}
        return {kind: card.threshold(kind) if self.threshold is None else float(self.threshold) for kind in kinds}

    def overlap_for(self, card: ModelCard) -> int:
        """Return the overlap of neighbouring windows in px."""
        overlap = card.overlap_px if self.overlap is None else self.overlap
        expected = f"less than the window of '{card.name}', {card.window_px} px"
        _expect(overlap < card.window_px, "overlap", overlap, expected)
        return overlap


def _expect(good: bool, name: str, found: object, expected: str) -> None:
    if not good:
        raise OptionError(f"{name} is {found!r}; expected {expected}")


def _is_number(value: object) -> bool:
    return not isinstance(value, bool) and isinstance(value, numbers.Real) and not math.isnan(value)


def _is_positive(value: object) -> bool:
    return _is_number(value) and 0 < float(value) <= LARGEST_MM_PER_PX  # type: ignore[arg-type]


def _is_whole(value: object) -> bool:
    return not isinstance(value, bool) and isinstance(value, numbers.Integral)
