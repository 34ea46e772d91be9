"""What is refused before a training begins: kinds that the pictures do not know, and pictures on both sides."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from surfacedefect.card import sha256_of
from surfacedefect.errors import TrainingError
from surfacedefect.training.pictures import IGNORE

if TYPE_CHECKING:
    from surfacedefect.training.recipe import AnnotatedFolder


def check_kinds(data: AnnotatedFolder, kinds: Sequence[str]) -> None:
    """Refuse kinds that the pictures to learn from do not know.

    Raises
    ------
    TrainingError
        A kind is not among the categories of the file.
    """
    known = [name for name in data.annotated(kinds).categories if name != IGNORE]
    if missing := [kind for kind in kinds if kind not in known]:
        raise TrainingError(
            f"'{data.annotations}' has the categories {known}; expected {missing} among them. Rename them in the "
            "file, or give other kinds; a category may be without regions"
        )


def check_apart(data: AnnotatedFolder, validation: AnnotatedFolder, kinds: Sequence[str]) -> None:
    """Refuse pictures of one car on both sides: what is measured on them would be too good.

    Raises
    ------
    TrainingError
        A group, a file or a copy of a file is on both sides.
    """
    both = [folder.pictures(kinds) for folder in (data, validation)]
    learned, judged = ({record.group for record, _ in pictures} - {None} for pictures in both)
    if shared := sorted(map(str, learned & judged)):
        raise TrainingError(
            f"{len(shared)} group(s) are among the pictures to learn from and among those to validate with, such as "
            f"'{shared[0]}'; expected each car on one side only: move all pictures of a group to one of the two files"
        )
    files, others = ({path.resolve() for _, path in pictures} for pictures in both)
    if twice := sorted(map(str, files & others)):
        raise TrainingError(
            f"{len(twice)} picture(s) are among those to learn from and among those to validate with, such as "
            f"'{twice[0]}'; expected each picture on one side only"
        )
    if copies := copied(files, others):
        raise TrainingError(
            f"{len(copies)} picture(s) to validate with are copies of pictures to learn from, byte for byte, such as "
            f"'{copies[0][1]}' of '{copies[0][0]}'; expected each picture on one side only: take one of the two out"
        )


def copied(files: Iterable[Path], others: Iterable[Path]) -> list[tuple[Path, Path]]:
    """Return the pairs of `files` and `others` that hold the same bytes, by SHA-256; what is no file is left out.

    Only files whose size is on both sides are read: of pictures there are few.
    """
    sides = [_by_size(files), _by_size(others)]
    sizes = sides[0].keys() & sides[1].keys()
    originals, copies = ([path for size in sorted(sizes) for path in side[size]] for side in sides)
    known = {digest: path for path in originals if (digest := _digest(path))}
    return sorted((known[digest], path) for path in copies if (digest := _digest(path)) in known)


def _by_size(paths: Iterable[Path]) -> dict[int, list[Path]]:
    sizes: dict[int, list[Path]] = {}
    for path in sorted(paths):
        with suppress(OSError):
            sizes.setdefault(path.stat().st_size, []).append(path)
    return sizes


def _digest(path: Path) -> str:
    """SHA-256 of a file; nothing for one that cannot be read, which whoever reads the pictures says."""
    try:
        return sha256_of(path)
    except OSError:
        return ""
