"""Results appear whole or not at all: write under another name in the same folder, then rename."""

from __future__ import annotations

import errno
import json
import math
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from surfacedefect._words import shortened
from surfacedefect.errors import OutputError, SurfaceDefectError

_NO_ROOM = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
_NO_RIGHT = {errno.EACCES, errno.EPERM, errno.EROFS}
_KEPT_OF_NAME = 40  # file systems allow 255 bytes, up to 4 a character; the temporary name needs some of its own


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Give a temporary path to write to, which becomes `path` when the block ends well.

    The temporary file lies in the folder of `path`, hidden, with the same ending, so that writers which go by the
    ending work. Missing folders are made. When the block raises, whatever stood at `path` before is untouched and the
    temporary file is gone. A link is followed: what it points at is replaced, not the link.

    Parameters
    ----------
    path
        Where the finished file should stand.

    Yields
    ------
    Path
        A path where nothing exists yet.

    Raises
    ------
    OutputError
        `path` is a folder or a device, its folder cannot be made or written, or the disk is full.

    Examples
    --------
    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "made" / "note.txt"
    >>> with atomic_path(target) as part:
    ...     _ = part.write_text("whole")
    >>> target.read_text()
    'whole'
    """
    target = Path(path)
    if "\0" in str(target):
        raise OutputError(f"the path {shortened(target)!r} holds a null character; expected the path of a file")
    try:
        target = Path(os.path.realpath(target))
        _check_target(target, asked=Path(path))
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _output_error(error, path=Path(path)) from error
    part = target.with_name(f".{target.stem[:_KEPT_OF_NAME]}-{secrets.token_hex(6)}.part{target.suffix}")
    try:
        yield part
        part.replace(target)
    except OSError as error:
        raise _output_error(error, path=Path(path)) from error
    finally:
        _remove(part)


def write_text(path: str | Path, text: str) -> None:
    """Write a text file, UTF-8, whole or not at all.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    with atomic_path(path) as part:
        part.write_text(text, encoding="utf-8", newline="")


def write_json(path: str | Path, record: Mapping[str, Any]) -> None:
    """Write a JSON file, whole or not at all.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    write_text(path, json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n")


def without_nan(value: Any) -> Any:
    """Return a record in which undefined figures are None: JSON knows no nan.

    Examples
    --------
    >>> without_nan({"recall": float("nan"), "found": (1, 0.5)})
    {'recall': None, 'found': [1, 0.5]}
    """
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return value


def check_folder(folder: str | Path) -> None:
    """Make a folder and try it, so that hours of work do not end at a door that was shut from the start.

    Raises
    ------
    OutputError
        The folder cannot be made, or nothing can be written into it.
    """
    place = Path(folder)
    probe = place / f".surfacedefect-{secrets.token_hex(6)}.part"
    try:
        place.mkdir(parents=True, exist_ok=True)
        probe.touch(exist_ok=False)
    except OSError as error:
        raise _output_error(error, path=place) from error
    finally:
        _remove(probe)


@contextmanager
def clearing_new_folders(*paths: str | Path) -> Iterator[None]:
    """Take away again, when the block raises, the empty folders that it made on the way to some paths.

    Folders that were there before stay, and so does everything with a file in it.

    Parameters
    ----------
    paths
        Files or folders that the block is to write.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with clearing_new_folders(folder / "a" / "b"):
    ...     (folder / "a" / "b").mkdir(parents=True)
    ...     raise OutputError("refused")
    Traceback (most recent call last):
    surfacedefect.errors.OutputError: refused
    >>> (folder / "a").exists()
    False
    """
    new = [place for path in paths if (place := _first_missing(path)) is not None]
    try:
        yield
    except BaseException:
        for place in new:
            for folder, _, _ in os.walk(place, topdown=False):
                with suppress(OSError):  # not empty, or another call's by now
                    Path(folder).rmdir()
        raise


def _first_missing(path: str | Path) -> Path | None:
    """Return the first folder that would have to be made on the way to a path; None where it exists."""
    if "\0" in str(path):
        return None
    missing, place = None, Path(os.path.realpath(path))
    while not os.path.lexists(place):
        missing, place = place, place.parent
    return missing


def _remove(part: Path) -> None:
    """Clear up after a failure; a file that cannot be removed must not hide what went wrong."""
    try:
        part.unlink(missing_ok=True)
    except OSError:
        return


def _check_target(target: Path, *, asked: Path) -> None:
    shown = shortened(asked)
    if target.is_dir():
        raise OutputError(f"'{shown}' is a folder; expected the path of a file, such as '{shown}{os.sep}result'")
    if target.exists() and not target.is_file():
        raise OutputError(f"'{shown}' is not an ordinary file; expected a path where a file can be written and renamed")


def _output_error(error: OSError, *, path: Path) -> OSError:
    """Say in our own words why a path cannot be written; errors of this library pass as they are."""
    if isinstance(error, SurfaceDefectError):
        return error
    if error.errno in _NO_ROOM:
        advice = "the disk is full: free some space or write to another disk"
    elif error.errno in _NO_RIGHT:
        advice = (
            f"no right to write in '{shortened(path.parent)}', or the file is open elsewhere: choose another folder"
        )
    elif isinstance(error, NotADirectoryError | FileExistsError):
        advice = "a part of its path is a file, not a folder: choose another path"
    elif error.errno == errno.ENAMETOOLONG:
        advice = "the name is too long: choose a shorter one"
    else:
        advice = f"{error.strerror or error}; see that the disk has room and that the folder can be written"
    return OutputError(f"'{shortened(path)}' cannot be written: {advice}")
