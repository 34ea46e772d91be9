"""Annotations that came with a source: laid out again under their names, for as long as they are read."""

from __future__ import annotations

import os
import posixpath
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from surfacedefect._words import shortened
from surfacedefect.annotations import detect_format
from surfacedefect.datasets._layout import Layout
from surfacedefect.datasets._matching import Place, Row
from surfacedefect.errors import AnnotationError, DatasetError, OutputError

_WITH_PICTURES = frozenset({"via", "yolo"})  # these keep no sizes of pictures and look at the files


@contextmanager
def laid_out(layout: Layout, rows: Sequence[Row], path: str, *, format: str) -> Iterator[tuple[Path, Place]]:
    """Give the path of a file or a folder of a source, as it was there, and where it lies in the source.

    Links lead to the objects, so that nothing is copied; after the block they are gone.

    Raises
    ------
    AnnotationError
        No source has such a path.
    DatasetError
        Several sources have it.
    """
    inner = posixpath.normpath(path.replace(os.sep, "/")).lstrip("/")
    files = [row for row in rows if row.hash is not None and row.source_path == inner]
    below = [row for row in rows if row.hash is not None and row.source_path.startswith(f"{inner}/")]
    sources = sorted({row.source for row in files or below})
    if not sources or ".." in inner.split("/"):
        raise AnnotationError(
            f"{shortened(path)!r} is neither a file or folder here nor a path of the manifest; expected annotations"
        )
    if len(sources) > 1:
        raise DatasetError(
            f"{shortened(path)!r} is in {len(sources)} sources ({shortened(', '.join(sources))}); expected one: give "
            "the path of a file outside of the data set"
        )
    folder = posixpath.dirname(inner) if files else inner
    with tempfile.TemporaryDirectory(prefix="surfacedefect-") as place, _called(Path(place) / inner, path):
        root, target = Path(place), Path(place) / inner
        _link(layout, files or below, root)
        if files and (detect_format(target) if format == "auto" else format) in _WITH_PICTURES:
            beside = Place(sources[0], folder)
            _link(layout, [row for row in rows if row.source_path != inner and beside.holds(row)], root)
        yield target, Place(sources[0], folder)


@contextmanager
def _called(path: Path, given: str) -> Iterator[None]:
    """Name annotations in errors as the caller did, not where they were laid out for a moment."""
    try:
        yield
    except AnnotationError as error:
        raise AnnotationError(str(error).replace(str(path), given)) from error


def _link(layout: Layout, rows: Sequence[Row], root: Path) -> None:
    for row in rows:
        parts = row.source_path.split("/")
        if row.hash is None or ".." in parts or "" in parts or "\0" in row.source_path:
            continue  # such a name leads elsewhere
        link = root.joinpath(*parts)
        try:
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(layout.object(row.hash))
        except OSError as error:
            raise OutputError(
                f"{shortened(row.source_path)!r} cannot be laid out to be read ({error.strerror}); expected a place "
                "for temporary files with links: give the path of a file outside of the data set"
            ) from error
