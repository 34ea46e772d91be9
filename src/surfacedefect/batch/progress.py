"""How far a batch has come: counts, rate and time left, told often enough for a bar and no oftener."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

_LEAST_INTERVAL_S = 0.2
_WINDOW_S = 120.0


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the work has come.

    Attributes
    ----------
    seen
        Scans of the source that are dealt with: skipped, done or set aside.
    of
        Scans that the source has; None while that is not known.
    computed, skipped, not_done
        Those of them that this run inspected, that were recorded before, and that could not be inspected.
    scans_per_s
        Rate of the last two minutes; nan before the first.
    seconds_left
        Time left at that rate; None where it cannot be said.
    """

    seen: int
    of: int | None
    computed: int
    skipped: int
    not_done: int
    scans_per_s: float
    seconds_left: float | None


Told: TypeAlias = Callable[[Progress], None]


class Meter:
    """Counts, and tells one callback at most five times a second."""

    def __init__(self, told: Told | None, *, count: Callable[[], int] | None) -> None:
        self._told, self._last = told, 0.0
        self._of: int | None = None
        self.computed = self.skipped = self.not_done = 0
        self._window: deque[tuple[float, int]] = deque([(time.monotonic(), 0)])
        if told is not None and count is not None:
            threading.Thread(target=self._count, args=(count,), daemon=True).start()

    def add(self, *, computed: int = 0, skipped: int = 0, not_done: int = 0) -> None:
        """Count what was dealt with."""
        self.computed, self.skipped = self.computed + computed, self.skipped + skipped
        self.not_done += not_done
        if self._told and time.monotonic() - self._last >= _LEAST_INTERVAL_S:
            self._tell()

    def end(self) -> None:
        """Tell where it ended."""
        self._of = self.computed + self.skipped + self.not_done
        if self._told:
            self._tell()

    def now(self) -> Progress:
        """Return where it stands."""
        moment, worked = time.monotonic(), self.computed + self.not_done
        if moment - self._window[-1][0] >= 1:
            self._window.append((moment, worked))
        while len(self._window) > 2 and moment - self._window[0][0] > _WINDOW_S:
            self._window.popleft()
        since, before = self._window[0]
        rate = (worked - before) / (moment - since) if worked > before and moment > since else float("nan")
        seen = worked + self.skipped
        left = None if self._of is None or not rate > 0 else max(0, self._of - seen) / rate
        return Progress(seen, self._of, self.computed, self.skipped, self.not_done, rate, left)

    def _tell(self) -> None:
        self._last = time.monotonic()
        if self._told:
            self._told(self.now())

    def _count(self, count: Callable[[], int]) -> None:
        try:
            self._of = count()
        except Exception:  # the run itself meets the same trouble, and says so
            self._of = None
