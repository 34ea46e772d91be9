"""What was set aside: every path that is neither a good picture nor a copy of one, and why. Nothing is deleted."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from surfacedefect.datasets._layout import Layout
from surfacedefect.datasets._tables import write_table
from surfacedefect.datasets.manifest import manifest_batches

if TYPE_CHECKING:
    import pyarrow

KEPT = ("good", "duplicate")
"""The states that are not set aside."""


@dataclass(frozen=True, slots=True)
class SetAside:
    """One path that was set aside; what is None is not known.

    Attributes
    ----------
    state
        Why, as one of `STATES`.
    source_path, source
        Where it was found.
    reason
        Why, in words.
    size_bytes
        Size of the file.
    width_px, height_px
        Size of the picture, as far as its header told.
    format
        Format of the bytes.
    hash
        SHA-256, under which the bytes are in the store; None where they were not fetched.
    in_source
        Whether the last ingest still found it.
    """

    state: str
    source_path: str
    source: str
    reason: str
    size_bytes: int | None
    width_px: int | None
    height_px: int | None
    format: str | None
    hash: str | None
    in_source: bool


COLUMNS = tuple(field.name for field in fields(SetAside))


def quarantine(dest: str | os.PathLike[str]) -> Iterator[SetAside]:
    """Give every path of a data set that was set aside, in the order of the manifest; memory stays flat.

    Parameters
    ----------
    dest
        Folder of the data set.

    Raises
    ------
    DatasetError
        There is no manifest, or it cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> from surfacedefect.datasets import ingest
    >>> share, dest = Path(tempfile.mkdtemp()), Path(tempfile.mkdtemp()) / "set"
    >>> _ = (share / "a.jpg").write_bytes(b"")
    >>> _ = ingest(share, dest)
    >>> [(one.source_path, one.state) for one in quarantine(dest)]
    [('a.jpg', 'zero_bytes')]
    """
    batches = manifest_batches(Layout(dest).manifest, columns=list(COLUMNS))
    first = next(batches, None)  # now, so that a missing manifest is told here and not in the caller's loop
    return _rows(batches if first is None else itertools.chain([first], batches))


def write_quarantine(dest: str | os.PathLike[str], path: str | Path) -> int:
    r"""Write the table of what was set aside as a CSV file, and return how many rows it has.

    It is meant for spreadsheets: UTF-8 with a byte order mark, separated by commas, every cell in quotes, and ``'``
    before a text that begins with ``=``, ``+``, ``-``, ``@``, a tab, a line break or ``'``, which they would run as a
    formula or swallow. Programs better read the manifest, or call `quarantine`.

    Raises
    ------
    DatasetError
        There is no manifest, or it cannot be read.
    OutputError
        The file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from surfacedefect.datasets import ingest
    >>> share, dest = Path(tempfile.mkdtemp()), Path(tempfile.mkdtemp()) / "set"
    >>> _ = (share / "=1+1.jpg").write_bytes(b"")
    >>> _ = ingest(share, dest)
    >>> write_quarantine(dest, dest.parent / "quarantine.csv")
    1
    >>> (dest.parent / "quarantine.csv").read_text(encoding="utf-8-sig").splitlines()[1][:27]
    '"zero_bytes","\'=1+1.jpg","/'
    """
    return write_table(path, COLUMNS, (asdict(one) for one in quarantine(dest)))


def _rows(batches: Iterator[pyarrow.RecordBatch]) -> Iterator[SetAside]:
    for batch in batches:
        for row in batch.to_pylist():
            if row["state"] not in KEPT:
                yield SetAside(**{**row, "reason": row["reason"] or ""})
