"""Which pictures of a data set hang together, so that they may only be split as one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from surfacedefect.datasets._matching import SOUND
from surfacedefect.datasets.manifest import manifest_batches
from surfacedefect.errors import DatasetError

SPLITS = ("train", "valid", "test")
"""The sides of a split, in the order in which pictures that join are moved."""
JOINED_BY = ("hash", "group", "near_duplicate_group")
_COLUMNS = ["source", "source_path", "state", *JOINED_BY, "flags", "split"]


@dataclass(slots=True)
class PictureRow:
    """One path of a sound picture, and what it hangs together with others by."""

    source: str
    source_path: str
    hash: str
    group: str | None
    near_duplicate_group: str | None
    looked_at: bool
    split: str | None


def picture_rows(manifest: Path) -> list[PictureRow]:
    """Return the good pictures of a manifest and their byte duplicates.

    Raises
    ------
    DatasetError
        There is no manifest, it is damaged, or it names a split that there is not.
    """
    rows = []
    for batch in manifest_batches(manifest, columns=_COLUMNS):
        for row in batch.to_pylist():
            if row["state"] not in SOUND:
                continue
            if row["hash"] is None or row["split"] not in (None, *SPLITS):
                raise DatasetError(
                    f"the manifest gives {row['source_path']!r} the hash {row['hash']!r} and the split "
                    f"{row['split']!r}; expected a hash and one of {', '.join(SPLITS)}: it is damaged, ingest again"
                )
            looked_at = row["flags"] is not None or row["near_duplicate_group"] is not None
            del row["state"], row["flags"]
            rows.append(PictureRow(looked_at=looked_at, **row))
    return rows


@dataclass(frozen=True, slots=True)
class Unit:
    """Pictures that hang together, directly or through others.

    Attributes
    ----------
    key
        Smallest SHA-256 among them: it depends on nothing but the pictures.
    rows
        Their paths.
    """

    key: str
    rows: tuple[PictureRow, ...]

    @property
    def hashes(self) -> list[str]:
        """The pictures, each once."""
        return sorted({row.hash for row in self.rows})


def units_of(rows: Sequence[PictureRow]) -> list[Unit]:
    """Return the connected components of rows that share a hash, a group or a near-duplicate group, by their keys."""
    from scipy import sparse

    numbers: dict[tuple[str, str], int] = {}
    edges = [
        (at, numbers.setdefault(key, len(numbers)))
        for at, row in enumerate(rows)
        for key in ((name, getattr(row, name)) for name in JOINED_BY)
        if key[1]
    ]
    ends = np.array(edges, np.int64).reshape(-1, 2) + (0, len(rows))
    size = len(rows) + len(numbers)
    graph: Any = sparse.coo_array((np.ones(len(ends), np.int8), (ends[:, 0], ends[:, 1])), shape=(size, size))
    _, component = sparse.csgraph.connected_components(graph, directed=False)
    together: dict[int, list[PictureRow]] = {}
    for row, number in zip(rows, component.tolist(), strict=False):
        together.setdefault(number, []).append(row)
    found = (Unit(min(row.hash for row in same), tuple(same)) for same in together.values())
    return sorted(found, key=lambda unit: unit.key)


def rows_by(rows: Iterable[PictureRow], column: str) -> dict[str, list[PictureRow]]:
    """Return the rows of each value of a column, values in order; rows without a value are left out."""
    found: dict[str, list[PictureRow]] = {}
    for row in rows:
        if value := getattr(row, column):
            found.setdefault(value, []).append(row)
    return dict(sorted(found.items()))
