"""The readable view: one flat folder, a name for each good picture, linked to its object."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from surfacedefect._words import shortened
from surfacedefect.datasets._layout import HASH_DIGITS, Layout
from surfacedefect.datasets._parts import parts
from surfacedefect.errors import OutputError

SHORT_DIGITS = 16
_MOST_STEM_BYTES = 150  # file systems allow 255 for the whole name
_BATCH = 1000


def view_name(source_path: str, *, digest: str, suffix: str, digits: int = SHORT_DIGITS) -> str:
    r"""Name of a picture in the view: folders and name joined by ``__``, the beginning of its hash, its extension.

    Letters and digits of any script, ``.``, ``-`` and ``_`` are kept, all else becomes ``_``; of a long path the end
    is kept. Names of different hashes differ, also where upper and lower case are the same.

    Parameters
    ----------
    source_path
        Path in the source, whatever stands in it.
    digest
        SHA-256 of the bytes, 64 hexadecimal digits.
    suffix
        Extension with its dot, such as ``".jpg"``.
    digits
        How many digits of the hash to show.

    Examples
    --------
    >>> view_name("car 7/../front\n.JPG", digest="ab" * 32, suffix=".jpg")
    'car_7__front_-abababababababab.jpg'
    """
    parts = [part for part in source_path.split("/") if part not in ("", ".", "..")]
    if parts:
        parts[-1] = parts[-1].rsplit(".", 1)[0] if "." in parts[-1][1:] else parts[-1]
    text = unicodedata.normalize("NFC", "__".join(parts))
    kept = "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in text)
    tail = kept.encode()[-_MOST_STEM_BYTES:].decode(errors="ignore").lstrip(".-")
    return f"{tail or 'picture'}-{digest[:digits]}{suffix}"


class _Names(Protocol):
    """Where the names of the last run are kept."""

    def view_begin(self) -> None: ...

    def view_names(self, digests: dict[str, str]) -> None: ...

    def view_old(self) -> list[str]: ...


def write_view(layout: Layout, pictures: Iterable[tuple[str, str]], *, names: _Names) -> None:
    """Link every (name, hash), and take away the names that were there before and are no longer wanted.

    Raises
    ------
    OutputError
        A link cannot be made.
    """
    names.view_begin()
    for batch in map(dict, parts(pictures, _BATCH)):
        # Noted first: what is made and then not noted would never be taken away again.
        names.view_names(batch)
        for name, digest in batch.items():
            _link(layout.view / name, layout.object(digest))
    for name in names.view_old():
        (layout.view / name).unlink(missing_ok=True)


def _link(path: Path, target: Path) -> None:
    """Link a name to an object, by a hard link, or a symbolic one where the file system has no hard ones."""
    try:
        if not target.exists():
            return  # lost, and named by `verify`; the next ingest of its source brings it back
        if path.is_symlink() or path.exists():
            if path.exists() and path.samefile(target):
                return
            path.unlink()
        try:
            os.link(target, path)
        except OSError:
            path.symlink_to(os.path.relpath(target, path.parent))
    except OSError as error:
        raise OutputError(
            f"'{shortened(path)}' cannot be linked to '{shortened(target)}' ({error.strerror}); expected a file system "
            "with links: choose another folder"
        ) from error


def wanted_digits(digest: str, *, twins: set[str]) -> int:
    """How many digits of a hash tell it from all others."""
    return HASH_DIGITS if digest[:SHORT_DIGITS] in twins else SHORT_DIGITS
