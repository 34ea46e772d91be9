"""What is on both sides of a split and should not be: the same bytes, the same car, nearly the same picture."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Literal, cast

from surfacedefect._words import shortened
from surfacedefect.datasets._layout import Layout
from surfacedefect.datasets._units import JOINED_BY, SPLITS, PictureRow, picture_rows, rows_by
from surfacedefect.errors import DatasetError

_By = Literal["hash", "group", "near_duplicate_group"]
_ACROSS = ("hash", "group")
NO_SPLIT = "no split"


@dataclass(frozen=True, slots=True)
class Leak:
    """Something that two splits share.

    Attributes
    ----------
    by
        ``"hash"`` for the same bytes, ``"group"``, or ``"near_duplicate_group"``.
    value
        The hash, or what the group is called.
    split, source_path
        One of the splits, and its first path.
    other_split, other_source_path
        The other one, ``"no split"`` where another data set has none, and its first path.
    other
        Folder of the other data set; None when both are in this one.
    """

    by: _By
    value: str
    split: str
    source_path: str
    other_split: str
    other_source_path: str
    other: Path | None = None

    def __str__(self) -> str:
        what = {"hash": "the same bytes", "group": "the same group", "near_duplicate_group": "near duplicates"}[self.by]
        where = "" if self.other is None else f" of '{shortened(self.other)}'"
        return (
            f"{what} ({shortened(self.value, most=40)}): {self.source_path!r} in {self.split}, "
            f"{self.other_source_path!r} in {self.other_split}{where}"
        )


def check_leaks(dest: str | os.PathLike[str], *, against: str | os.PathLike[str] | None = None) -> tuple[Leak, ...]:
    """Name what different splits share, one leak for each shared thing and pair of splits.

    Nothing but the manifest is read, so it also finds what was changed there by hand. With `against`, pictures of both
    data sets that share a hash or a group are leaks, unless both data sets have them in the same split; the
    near-duplicate groups of two data sets have nothing to do with each other.

    Parameters
    ----------
    dest
        Folder of the data set.
    against
        Folder of another data set, with or without splits, such as one that models are judged by.

    Raises
    ------
    DatasetError
        There is no manifest, it is damaged, or no picture of `dest` has a split.

    Examples
    --------
    >>> import tempfile
    >>> from PIL import Image
    >>> from surfacedefect.datasets import ingest, split
    >>> share, dest = Path(tempfile.mkdtemp()), Path(tempfile.mkdtemp()) / "set"
    >>> for number in range(5):
    ...     Image.new("L", (8, 8), number).save(share / f"{number}.png")
    >>> _ = ingest(share, dest)
    >>> _ = split(dest)
    >>> check_leaks(dest)
    ()
    """
    rows = _split_rows(dest)
    leaks = list(_within(rows))
    if against is not None:
        other = Layout(against).folder
        if os.path.realpath(other) == os.path.realpath(Layout(dest).folder):
            raise DatasetError(f"'{shortened(other)}' is given twice; expected another data set, or none")
        leaks += _across(rows, picture_rows(Layout(against).manifest), other=other)
    return tuple(leaks)


def count_unsplit(dest: str | os.PathLike[str]) -> tuple[int, int, int]:
    """Count the good pictures of a data set, those without a split, and those not compared for near duplicates.

    Raises
    ------
    DatasetError
        There is no manifest, or it is damaged.
    """
    rows = picture_rows(Layout(dest).manifest)
    every = {row.hash for row in rows}
    return (
        len(every),
        len({row.hash for row in rows if row.split is None}),
        len({row.hash for row in rows if not row.looked_at}),
    )


def _split_rows(dest: str | os.PathLike[str]) -> list[PictureRow]:
    rows = [row for row in picture_rows(Layout(dest).manifest) if row.split is not None]
    if not rows:
        raise DatasetError(
            f"no picture of '{shortened(Layout(dest).folder)}' has a split; expected train, valid and test: run "
            "'surfacedefect data split' first"
        )
    return rows


def _within(rows: Sequence[PictureRow]) -> Iterator[Leak]:
    for by in JOINED_BY:
        for value, same in rows_by(rows, by).items():
            first = _first_of_each(same)
            for one, two in combinations((name for name in SPLITS if name in first), 2):
                yield Leak(cast("_By", by), value, one, first[one], two, first[two])


def _across(rows: Sequence[PictureRow], others: Sequence[PictureRow], *, other: Path) -> Iterator[Leak]:
    for by in _ACROSS:
        there = rows_by(others, by)
        for value, same in rows_by(rows, by).items():
            ours, theirs = _first_of_each(same), _first_of_each(there.get(value, ()))
            for one in ours:
                for two in theirs:
                    if one != two:
                        yield Leak(cast("_By", by), value, one, ours[one], two, theirs[two], other)


def _first_of_each(rows: Iterable[PictureRow]) -> dict[str, str]:
    """Split -> first path in it, in the order of the splits."""
    first: dict[str, str] = {}
    for row in rows:
        first.setdefault(row.split or NO_SPLIT, row.source_path)
    return {name: first[name] for name in (*SPLITS, NO_SPLIT) if name in first}
