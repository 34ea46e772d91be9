"""What goes to a worker and what comes back: plain values that can be pickled."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Literal, TypeAlias

State: TypeAlias = Literal["done", "same", "set_aside", "unread", "crashed", "stop"]
STATES: dict[str, str] = {
    "done": "inspected, and its results are written",
    "same": "the picture is the one that was inspected before; nothing was computed",
    "set_aside": "it cannot be inspected, and another try would end alike",
    "unread": "it could not be had from its source; the next run tries again",
    "crashed": "it ended the process that looked at it, also alone",
    "stop": "what went wrong would go wrong with every scan",
}
"""What became of a scan. ``same`` and ``stop`` are never in the journal."""

GRID = (8, 12)
"""Rows and columns of the grid over a scan in which the fleet's heat map counts defects."""

BUCKETS = 16
_KEPT_LETTERS = 60
_ID_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Job:
    """One scan to inspect.

    Attributes
    ----------
    name
        What the scan is called: its path in the source, or its line in the list. The key of everything that is kept.
    root
        Address of the source that it is read from; empty for a file of this machine.
    locator
        How the source finds it: a path of this machine, or what `datasets` calls a locator.
    file_name
        The last part of its name, which the results show.
    group
        The car that it belongs to, or empty.
    size, tag
        As the source lists them: an ETag or a time, which changes when the content does.
    picture
        SHA-256 of its bytes where that is known beforehand, else empty.
    known
        Hash and `version` of the picture whose results are there, from the same model and options; or None.
    trouble
        Why it cannot be read at all; empty for an ordinary scan.
    """

    name: str
    locator: str
    root: str = ""
    file_name: str = ""
    group: str = ""
    size: int | None = None
    tag: str | None = None
    picture: str = ""
    known: tuple[str, str | None] | None = None
    trouble: str = ""

    @property
    def stem(self) -> str:
        """Where its results lie in the destination, without ending; see `output_stem`."""
        return output_stem(self.name)

    @property
    def version(self) -> str | None:
        """What tells this version of the file from others without reading it; None where the source has nothing."""
        return version_of(self.tag, self.size)


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one scan.

    Attributes
    ----------
    job
        The scan.
    state
        One of `STATES`.
    reason
        Why it is not done, in words.
    picture, version
        SHA-256 of the bytes that were looked at, empty when they could not be had; their version at the source.
    found
        What the table says of a scan that is done: see `surfacedefect.batch.table`.
    seconds
        Time from having its bytes to having its results written.
    """

    job: Job
    state: State
    reason: str = ""
    picture: str = ""
    version: str | None = None
    found: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0


def version_of(tag: str | None, size: int | None) -> str | None:
    """Put what a source says of a file into one text; None where it says too little."""
    return None if tag is None else f"{tag} {size}"


def output_stem(name: str) -> str:
    """Return where the results of a scan lie in the destination, without ending.

    It depends on the name alone, so that neither order nor neighbours change it. The letters are those of the file's
    name as far as every file system takes them; 64 bits of the name's hash keep names apart that differ elsewhere only.

    Examples
    --------
    >>> output_stem("car 7/door.jpg")
    'results/8e/door-8e36db975efb0f0f'
    """
    digest = hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()[:_ID_DIGITS]
    base = PurePosixPath(name.replace("\\", "/")).stem
    letters = re.sub(r"[^A-Za-z0-9_-]+", "-", base)[:_KEPT_LETTERS].strip("-") or "scan"
    return f"results/{digest[:2]}/{letters}-{digest}"


def bucket_of(job: Job) -> int:
    """Partition of the table that a scan's row is in: all scans of a car are in one.

    Examples
    --------
    >>> bucket_of(Job("a.jpg", "", group="car 7")) == bucket_of(Job("b.jpg", "", group="car 7"))
    True
    """
    text = job.group or job.name
    return hashlib.sha256(text.encode(errors="surrogateescape")).digest()[0] % BUCKETS
