"""`status`: what a destination holds and whether a batch is writing there, without disturbing it."""

from __future__ import annotations

import os
from dataclasses import dataclass

from surfacedefect._words import shortened
from surfacedefect.batch._journal import Journal
from surfacedefect.batch._place import Place
from surfacedefect.batch.options import checked_place
from surfacedefect.errors import BatchError

_MOST = 20


@dataclass(frozen=True, slots=True)
class BatchStatus:
    """What a destination holds.

    Attributes
    ----------
    states
        Scans recorded, by state.
    running
        Whether a batch is writing there now.
    finished
        Whether the last run came to its end; False also while one is running.
    holder
        Which process that is, in words; empty when none.
    source, model
        Of the last run.
    began, last
        When the last run began and when a scan was last recorded, in seconds since 1970.
    defects, cars
        Found so far; cars with a scan that is done.
    partly
        Scans that are done, but not inspected in full.
    not_done
        Name, state and reason of the first scans that are not done.
    """

    states: dict[str, int]
    running: bool
    finished: bool
    holder: str
    source: str
    model: str
    began: float
    last: float
    defects: int
    cars: int
    partly: int
    not_done: tuple[tuple[str, str, str], ...]

    @property
    def complete(self) -> bool:
        """Whether the last run came to its end, and all that is recorded was inspected in full."""
        return self.finished and set(self.states) <= {"done"} and not self.partly


def status(dest: str | os.PathLike[str], *, state_folder: str | os.PathLike[str] | None = None) -> BatchStatus:
    """Say what a batch has done so far; also while it runs.

    Parameters
    ----------
    dest
        The destination of the batch.
    state_folder
        As in `BatchOptions`.

    Raises
    ------
    OptionError, OutputError
        What was given is no destination.
    BatchError
        No batch was run there from this machine.
    """
    dest = checked_place("dest", dest)
    if state_folder is not None:
        checked_place("state_folder", state_folder)
    place = Place(dest, state_folder=state_folder)
    if not os.path.isfile(place.journal):  # noqa: PTH113 - a path that is too long is none
        raise BatchError(
            f"there is no journal '{shortened(place.journal)}'; expected the destination of a batch that was run from "
            "this machine"
        )
    running = place.is_running()
    journal = Journal(place.journal, read_only=True)
    try:
        last_run = journal.fact("run") or {}
        _, _, defects, cars, _, last = journal.totals()
        return BatchStatus(
            states=journal.states(),
            running=running,
            finished=not journal.fact("unfinished", False),
            holder=place.holder().strip(" ()") if running else "",
            source=last_run.get("source", ""),
            model=last_run.get("model", ""),
            began=last_run.get("at", 0.0),
            last=last,
            defects=defects,
            cars=cars,
            partly=journal.partly(0)[0],
            not_done=tuple(journal.not_done(_MOST)),
        )
    finally:
        journal.close()
