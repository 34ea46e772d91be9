"""How far an ingest or a check has come, told often enough for a bar and no oftener."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

Phase: TypeAlias = Literal[
    "listing", "fetching", "finishing", "verifying", "cutting", "counting", "thumbnails", "looking", "comparing"
]
_LEAST_INTERVAL_S = 0.1


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the work has come.

    Attributes
    ----------
    phase
        ``"listing"``, ``"fetching"``, ``"finishing"`` (view and manifest), ``"verifying"``, ``"cutting"`` into tiles,
        ``"counting"`` outlined pictures or making ``"thumbnails"`` for a report, ``"looking"`` at pictures or
        ``"comparing"`` pairs of them (files are pairs then).
    files, of_files
        Files done, and how many there are in this phase; 0 where that is not known yet.
    size_bytes, of_bytes
        Bytes that came from the source in this run, or were hashed or cut, and how many there are to come in all.
    """

    phase: Phase
    files: int = 0
    of_files: int = 0
    size_bytes: int = 0
    of_bytes: int = 0


Told: TypeAlias = Callable[[Progress], None]


class Meter:
    """Counts from many threads, and tells one callback at most ten times a second."""

    def __init__(self, told: Told | None) -> None:
        self._told, self._lock, self._last = told, threading.Lock(), 0.0
        self._now = Progress("listing")
        self._broken: BaseException | None = None

    def begin(self, phase: Phase, *, of_files: int = 0, of_bytes: int = 0) -> None:
        """Enter a phase, which is always told."""
        with self._lock:
            self._now = Progress(phase, of_files=of_files, of_bytes=of_bytes)
            self._tell()
        self.check()

    def add(self, *, files: int = 0, size_bytes: int = 0) -> None:
        """Count what was done; a negative number takes back what a broken connection has to bring again."""
        with self._lock:
            now = self._now
            self._now = replace(now, files=now.files + files, size_bytes=now.size_bytes + size_bytes)
            if self._told and time.monotonic() - self._last >= _LEAST_INTERVAL_S:
                self._tell()

    def end(self) -> None:
        """Tell where the phase ended."""
        with self._lock:
            self._tell()
        self.check()

    def check(self) -> None:
        """Raise what the callback raised, in the thread of the caller: no file is to blame for it."""
        if self._broken is not None:
            raise self._broken

    def _tell(self) -> None:
        self._last = time.monotonic()
        if self._told:
            try:
                self._told(self._now)
            except BaseException as error:
                self._broken, self._told = error, None
