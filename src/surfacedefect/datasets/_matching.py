"""Which row of the manifest an annotated picture is: by its name in the view, its path, or the end of its path."""

from __future__ import annotations

import posixpath
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

SOUND = frozenset({"good", "duplicate"})
_DRIVE = re.compile(r"^[A-Za-z]:/")


@dataclass(frozen=True, slots=True)
class Row:
    """What matching needs of a row of the manifest."""

    source: str
    source_path: str
    hash: str | None
    width_px: int | None
    height_px: int | None
    state: str
    reason: str | None
    view_name: str | None


@dataclass(frozen=True, slots=True)
class Place:
    """Where annotations lie in a source: its name, and the folder in it, ``""`` for the uppermost."""

    source: str
    folder: str

    def holds(self, row: Row) -> bool:
        """Whether a row lies below this place."""
        return row.source == self.source and (not self.folder or row.source_path.startswith(f"{self.folder}/"))


class Matcher:
    """The rows of a manifest, by the last part of their paths.

    Parameters
    ----------
    rows
        The rows.
    place
        Where the annotations lie, when they are in one of the sources.
    by_stem
        Names of the annotations have endings of their own, as those of masks; below their place no picture is looked
        for, as the masks are pictures too.
    """

    def __init__(self, rows: Iterable[Row], *, place: Place | None = None, by_stem: bool = False) -> None:
        self._place, self._by_stem = place, by_stem
        self._by_last: dict[str, list[Row]] = {}
        self._by_view: dict[str, list[Row]] = {}
        for row in rows:
            if by_stem and place is not None and place.holds(row):
                continue
            self._by_last.setdefault(self._last(_plain(row.source_path)), []).append(row)
            if row.view_name:
                self._by_view.setdefault(row.view_name, []).append(row)

    def find(self, file_name: str) -> tuple[Row, ...]:
        """Return the rows that a name fits best: none, one, or several, which may be of one hash or of many.

        Sound pictures go before what is set aside, whatever their path.
        """
        fitting = list(self._tiers(file_name))
        for sound in (True, False):
            for tier in fitting:
                if found := tuple(row for row in tier if (row.state in SOUND) is sound):
                    return found
        return ()

    def _tiers(self, file_name: str) -> Iterator[list[Row]]:
        for text in dict.fromkeys((file_name, file_name.replace("\\", "/"))):
            name = _plain(text)
            yield self._by_view.get(posixpath.basename(name), [])
            alike = self._by_last.get(self._last(name), [])
            if (place := self._place) is not None:
                whole = self._key(posixpath.normpath(posixpath.join(_plain(place.folder), name)))
                yield [row for row in alike if row.source == place.source and self._path(row) == whole]
            end = self._key(re.sub(r"^(\.\./)+", "", name))
            near = [row for row in alike if place is not None and place.holds(row) and _ends(self._path(row), end)]
            yield [*(row for row in alike if self._path(row) == end and row not in near), *near]
            yield [row for row in alike if _ends(self._path(row), end) or _ends(end, self._path(row))]

    def _path(self, row: Row) -> str:
        return self._key(_plain(row.source_path))

    def _key(self, path: str) -> str:
        return posixpath.splitext(path)[0] if self._by_stem else path

    def _last(self, path: str) -> str:
        return posixpath.basename(self._key(path))


def _plain(path: str) -> str:
    """Path with composed letters, without drive, leading and doubled slashes and ``./``."""
    text = unicodedata.normalize("NFC", _DRIVE.sub("", path))
    return posixpath.normpath(text.lstrip("/") or ".")


def _ends(path: str, end: str) -> bool:
    return path == end or path.endswith(f"/{end}")
