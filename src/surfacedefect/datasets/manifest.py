"""The manifest: one row for every source path, good or not, in a Parquet file that is always whole."""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from surfacedefect._files import atomic_path
from surfacedefect._words import shortened
from surfacedefect.datasets._journal import Journal, path_text
from surfacedefect.datasets._layout import Layout, hash_of
from surfacedefect.datasets._parts import parts
from surfacedefect.datasets._view import SHORT_DIGITS, view_name, wanted_digits
from surfacedefect.datasets.pictures import suffix_of
from surfacedefect.errors import DatasetError, require

if TYPE_CHECKING:
    import pyarrow

STATES = {
    "good": "a sound picture, the one of its kind that is in the view",
    "duplicate": "a sound picture, byte for byte one that is good",
    "wrong_extension": "a sound picture whose name says another format",
    "zero_bytes": "an empty file",
    "not_a_picture": "something else; its bytes are kept, as annotations are such files",
    "truncated": "a picture that breaks off",
    "corrupt": "a picture that cannot be decoded",
    "unsuitable": "a whole picture that cannot be a scan, such as a fully transparent one",
    "too_many_pixels": "a picture of more than max_pixels, not decoded",
    "too_many_bytes": "a file of more than max_file_bytes, not fetched",
    "link": "a link that is not followed",
    "not_a_file": "a device, a pipe or a socket",
    "failed": "could not be fetched or listed; the next ingest tries again",
}
"""What the column ``state`` may say. All but the first two are set aside."""

LATER_COLUMNS = ("near_duplicate_group", "flags", "group", "split")
"""Columns for later steps, empty at first. An ingest keeps their values as long as a row's hash is the same."""

_ROWS = 5_000


def schema() -> pyarrow.Schema:
    r"""Return the columns of the manifest.

    ==================== =============================================================================
    source               what the source is called: its address without user and password
    source_path          path in the source, with ``/``; what is no UTF-8 in it as ``\xff``
    hash                 SHA-256, 64 hexadecimal digits; null when it was not fetched
    size_bytes           size; null when not known
    width_px, height_px  size of the picture with the EXIF orientation applied; null when it has none
    format               ``"JPEG"``, ``"PNG"``, ``"TIFF"`` ... of the bytes, not of the name
    exif_orientation     1..8, or null
    exif_date            when it was taken, by the camera's clock, or null
    state                one of `STATES`
    reason               why it is set aside, in words; of a duplicate, which path is kept
    view_name            name in ``view/`` of the picture with this hash, or null
    in_source            whether the last ingest of this source still found it
    near_duplicate_group pictures that show nearly the same; null until a later step says
    flags                words such as ``"blurred"``; null until a later step says
    group                what it belongs to, such as one car; never split; null until a later step says
    split                ``"train"``, ``"valid"`` or ``"test"``; null until a later step says
    ==================== =============================================================================
    """
    arrow: Any = require("pyarrow", extra="data")
    text = arrow.string()
    columns = [
        arrow.field("source", text, nullable=False),
        arrow.field("source_path", text, nullable=False),
        ("hash", text),
        ("size_bytes", arrow.int64()),
        ("width_px", arrow.int32()),
        ("height_px", arrow.int32()),
        ("format", text),
        ("exif_orientation", arrow.int8()),
        ("exif_date", arrow.timestamp("ms")),
        arrow.field("state", text, nullable=False),
        ("reason", text),
        ("view_name", text),
        arrow.field("in_source", arrow.bool_(), nullable=False),
        ("near_duplicate_group", text),
        ("flags", arrow.list_(arrow.field("element", text))),
        ("group", text),
        ("split", text),
    ]
    return arrow.schema(columns, metadata={"surfacedefect.manifest": "1"})


def read_manifest(dest: str | os.PathLike[str], *, columns: list[str] | None = None) -> pyarrow.Table:
    """Read the manifest of a data set.

    Parameters
    ----------
    dest
        Folder of the data set.
    columns
        Names of the columns to read; None for all of `schema`.

    Raises
    ------
    DatasetError
        There is none, or it cannot be read.
    """
    batches = manifest_batches(Layout(dest).manifest, columns=columns)
    arrow: Any = require("pyarrow", extra="data")
    known = schema()
    wanted = known if columns is None else arrow.schema([known.field(name) for name in columns])
    return arrow.Table.from_batches(batches, schema=wanted.remove_metadata()).replace_schema_metadata()


def manifest_batches(path: Path, *, columns: list[str] | None = None) -> Iterator[pyarrow.RecordBatch]:
    """Yield the rows of a manifest in pieces, so that memory stays flat.

    Raises
    ------
    DatasetError
        There is none, or it cannot be read.
    """
    parquet: Any = require("pyarrow.parquet", extra="data")
    shown = shortened(path)
    if not path.is_file():
        raise DatasetError(f"there is no manifest '{shown}'; expected a data set, as 'surfacedefect data ingest' makes")
    names = schema().names if columns is None else columns
    try:
        with parquet.ParquetFile(path) as file:
            if missing := [name for name in names if name not in file.schema_arrow.names]:
                raise DatasetError(
                    f"the manifest '{shown}' has no column {missing[0]!r}; expected what an ingest "
                    "wrote: move it away and ingest again"
                )
            yield from file.iter_batches(batch_size=_ROWS, columns=names)
    except DatasetError:
        raise
    except Exception as error:
        raise DatasetError(
            f"the manifest '{shown}' cannot be read ({shortened(error)}); expected a whole Parquet "
            "file: move it away and ingest again"
        ) from error


def manifest_version(dest: str | os.PathLike[str]) -> str:
    """SHA-256 of the manifest file: the version of the data set, as it names every picture by its hash.

    It is the same for the same files under the same paths, whenever and in whatever order they were fetched, as long
    as the version of pyarrow is the same.

    Raises
    ------
    DatasetError
        There is no manifest.
    """
    path = Layout(dest).manifest
    try:
        return hash_of(path)[0]
    except OSError as error:
        raise DatasetError(f"the manifest '{shortened(path)}' cannot be read: {error.strerror}; ingest") from error


def write_manifest(layout: Layout, journal: Journal) -> dict[str, int]:
    """Write the manifest from the journal; return how many rows each state has."""
    arrow: Any = require("pyarrow", extra="data")
    parquet: Any = require("pyarrow.parquet", extra="data")
    journal.set_later(_later_values(layout.manifest) if layout.manifest.exists() else iter(()))
    twins, counts = journal.twin_prefixes(SHORT_DIGITS), dict.fromkeys(STATES, 0)
    rows = (_row(values, twins=twins) for values in journal.manifest_rows())
    with atomic_path(layout.manifest) as part, parquet.ParquetWriter(part, schema(), compression="zstd") as writer:
        for batch in parts(rows, _ROWS):
            for row in batch:
                counts[row["state"]] += 1
            writer.write_table(arrow.Table.from_pylist(list(batch), schema=schema()))
    return {state: count for state, count in counts.items() if count}


def change_manifest(layout: Layout, change: Callable[[dict[str, Any]], Mapping[str, Any]]) -> None:
    """Rewrite the later columns, row by row; memory stays flat, and the file is the old one or the new one, whole.

    Parameters
    ----------
    layout
        The data set, locked by the caller (`Layout.locked`).
    change
        Given a row as a dictionary, returns new values of `LATER_COLUMNS`; those that it leaves out stay.
    """
    arrow: Any = require("pyarrow", extra="data")
    parquet: Any = require("pyarrow.parquet", extra="data")
    columns, batches = schema(), manifest_batches(layout.manifest)
    with atomic_path(layout.manifest) as part, parquet.ParquetWriter(part, columns, compression="zstd") as writer:
        for batch in batches:
            rows = [{**row, **_only_later(change(row))} for row in batch.to_pylist()]
            writer.write_table(arrow.Table.from_pylist(rows, schema=columns))


def _only_later(values: Mapping[str, Any]) -> Mapping[str, Any]:
    if wrong := set(values) - set(LATER_COLUMNS):
        raise ValueError(f"{sorted(wrong)} cannot be changed; expected names of {LATER_COLUMNS}")
    return values


def _row(values: tuple[Any, ...], *, twins: set[str]) -> dict[str, Any]:
    (
        source, path, size, digest, state, reason, kind, width, height, orientation, date, seen,
        place, first_path, first_source, later,
    ) = values  # fmt: skip
    name = None
    if state == "failed" and not reason:
        reason = "not fetched before the ingest stopped, or before the source lost it; ingest again"
    if state == "good":
        first = path_text(first_path)
        name = view_name(first, digest=digest, suffix=suffix_of(kind), digits=wanted_digits(digest, twins=twins))
        if place > 1:
            where = "" if first_source == source else f" of {first_source}"
            state, reason = "duplicate", f"the same bytes as {shortened(first)!r}{where}"
    row = {
        "source": source,
        "source_path": path_text(path),
        "hash": digest,
        "size_bytes": size,
        "width_px": width,
        "height_px": height,
        "format": kind,
        "exif_orientation": orientation,
        "exif_date": datetime.datetime.fromisoformat(date) if date else None,
        "state": state,
        "reason": reason,
        "view_name": name,
        "in_source": bool(seen),
    }
    return {**row, **dict.fromkeys(LATER_COLUMNS), **(json.loads(later) if later else {})}


def _later_values(path: Path) -> Iterator[tuple[str, str, str | None, str]]:
    """Values of the later columns, row by row, where there are any."""
    for batch in manifest_batches(path):
        for row in batch.to_pylist():
            values = {name: row[name] for name in LATER_COLUMNS if row[name] is not None}
            if values:
                yield row["source"], row["source_path"], row["hash"], json.dumps(values)
