"""What was seen of each picture, and which pairs were compared: kept beside the journal, so that only new ones cost.

    DEST/.surfacedefect/looks/ab/cdef....npz    one file for each picture, under 100 kB
    DEST/.surfacedefect/compared.sqlite         verdicts on pairs

Both may be deleted; the next check makes them again.
"""

from __future__ import annotations

import shutil
import sqlite3
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from surfacedefect._files import atomic_path
from surfacedefect._words import shortened
from surfacedefect.datasets._alignment import ORIENTATIONS, SIDE
from surfacedefect.datasets._corners import DESCRIPTION_BYTES, Corners
from surfacedefect.datasets._miniature import Miniature, miniature_of
from surfacedefect.datasets.flags import FLAGS, flags_of
from surfacedefect.datasets.near_duplicates import Fingerprint, fingerprint, show_the_same
from surfacedefect.errors import OutputError, ScanError

VERSION = 1  # of looks and of verdicts; what another version wrote is made anew
_NO_IMAGE: NDArray[np.uint8] = np.zeros((0, 0), np.uint8)


@dataclass(frozen=True, slots=True)
class LookJob:
    """One picture to look at: where its bytes are, where the look goes, how many pixels it has."""

    picture: Path
    look: Path
    pixels: int


@dataclass(frozen=True, slots=True)
class CompareJob:
    """Candidates, as looks of the two and the way they were found, with a number each."""

    pairs: tuple[tuple[int, Path, Path, int], ...]


def take_looks(jobs: tuple[LookJob, ...]) -> list[tuple[Path, str]]:
    """Look at pictures and write what was seen; return each, with the reason when it could not be read, else ""."""
    return [(job.picture, _take_look(job)) for job in jobs]


def _take_look(job: LookJob) -> str:
    try:
        _write(job.look, miniature_of(job.picture, max_pixels=max(1, job.pixels)))
    except ScanError as error:
        return str(error)
    return ""


def read_look(path: Path, *, with_image: bool) -> tuple[Fingerprint, list[str]] | None:
    """Return fingerprint and flags; None when there is no look, a damaged one, or none of this version."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
            if int(kept["version"]) != VERSION:
                return None
            upright, mirrored = (
                Corners(kept[f"{name}_points"].astype(np.float32), kept[f"{name}_corners"])
                for name in ("upright", "mirrored")
            )
            image = kept["image"] if with_image else _NO_IMAGE
            found = Fingerprint(image, kept["hashes"], upright, mirrored, bool(kept["tells"]))
            flags = [str(flag) for flag in kept["flags"]]
            return (found, flags) if _is_whole(found, flags, with_image=with_image) else None
    except (OSError, ValueError, KeyError, TypeError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error):
        return None


def _is_whole(found: Fingerprint, flags: list[str], *, with_image: bool) -> bool:
    """Whether shapes and types are what was written: what fits by name alone fails only in the middle of a check."""
    arrays: list[tuple[NDArray[Any], type, tuple[int, ...]]] = [(found.hashes, np.uint64, (len(ORIENTATIONS),))]
    for corners in (found.upright, found.mirrored):
        arrays.append((corners.points, np.float32, (len(corners), 2)))
        arrays.append((corners.descriptions, np.uint8, (len(corners), DESCRIPTION_BYTES)))
    if with_image:
        arrays.append((found.image, np.uint8, (SIDE, SIDE)))
    return set(flags) <= set(FLAGS) and all(a.dtype == kind and a.shape == shape for a, kind, shape in arrays)


def compare(job: CompareJob) -> list[tuple[int, bool]]:
    """Look closer at candidates; return the verdict on each."""
    return [(number, show_the_same(_print(a), _print(b), way=way)) for number, a, b, way in job.pairs]


@lru_cache(maxsize=256)
def _print(path: Path) -> Fingerprint:
    found = read_look(path, with_image=True)
    if found is None:
        raise OutputError(f"'{shortened(path)}' was written and cannot be read; expected a sound disk: check again")
    return found[0]


def _write(path: Path, picture: Miniature) -> None:
    made = fingerprint(picture)
    with atomic_path(path) as part:
        np.savez_compressed(
            part,
            version=VERSION,
            image=made.image,
            hashes=made.hashes,
            tells=made.tells,
            flags=np.array(flags_of(picture), np.str_),
            upright_points=made.upright.points.astype(np.float16),
            upright_corners=made.upright.descriptions,
            mirrored_points=made.mirrored.points.astype(np.float16),
            mirrored_corners=made.mirrored.descriptions,
        )


class Verdicts:
    """Which pairs of pictures, by hash, were found to show the same, or not."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._open()
        except sqlite3.DatabaseError:
            self._remove()  # it only saves time
            with self._own_errors():
                self._open()

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def known(self, first: str, second: str, *, way: int) -> bool | None:
        """Return the verdict on a pair; None when there is none."""
        with self._own_errors():
            found = self._database.execute(
                "SELECT same FROM verdicts WHERE first = ? AND second = ? AND way = ?",
                (bytes.fromhex(first), bytes.fromhex(second), way),
            ).fetchone()
        return None if found is None else bool(found[0])

    def note(self, verdicts: Iterable[tuple[str, str, int, bool]]) -> None:
        """Keep verdicts."""
        rows = [(bytes.fromhex(first), bytes.fromhex(second), way, same) for first, second, way, same in verdicts]
        with self._own_errors(), self._database:
            self._database.executemany("INSERT OR REPLACE INTO verdicts VALUES (?, ?, ?, ?)", rows)

    def _open(self) -> None:
        database = sqlite3.connect(self._path)
        try:
            version = database.execute("PRAGMA user_version").fetchone()[0]
            if version != VERSION:
                database.execute("DROP TABLE IF EXISTS verdicts")
            database.execute(
                "CREATE TABLE IF NOT EXISTS verdicts (first BLOB NOT NULL, second BLOB NOT NULL, way INTEGER NOT NULL, "
                "same INTEGER NOT NULL, PRIMARY KEY (first, second, way)) WITHOUT ROWID"
            )
            database.execute(f"PRAGMA user_version={VERSION}")
            database.commit()
            if (found := database.execute("PRAGMA quick_check").fetchone()[0]) != "ok":
                raise sqlite3.DatabaseError(found)
            database.execute("SELECT first, second, way, same FROM verdicts LIMIT 1").fetchone()
        except sqlite3.Error:
            database.close()
            raise
        self._database = database

    def _remove(self) -> None:
        try:
            if self._path.is_dir():
                shutil.rmtree(self._path)
            else:
                self._path.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(
                f"'{shortened(self._path)}' is damaged and cannot be removed ({error.strerror}); expected a folder "
                "that can be written: remove it by hand"
            ) from error

    @contextmanager
    def _own_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise OutputError(
                f"'{shortened(self._path)}' cannot be written ({error}); expected a disk with room"
            ) from error
