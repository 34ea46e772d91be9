"""The table of a batch: Parquet, one file a partition, each always whole and without a row twice.

The partition is ``bucket=00`` ... ``bucket=15``, by the car's hash, so that a car's rows are in one file. A file is
written anew from the journal and renamed over the old one: a reader during the run sees what was known a little before,
and the end is no special case.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from surfacedefect.batch._journal import Journal
from surfacedefect.batch._outputs import Destination
from surfacedefect.batch.jobs import BUCKETS, STATES, output_stem
from surfacedefect.errors import BatchError, require

if TYPE_CHECKING:
    import pyarrow

FOLDER = "table"
_FILE = "scans.parquet"
_ROWS = 1_000  # a row takes some kilobytes while it is turned; memory must not grow with the table
_SECONDS_OF = "seconds"


def schema(kinds: tuple[str, ...]) -> pyarrow.Schema:
    """Return the columns of the table.

    =================== ==============================================================================
    scan                name of the scan in its source
    car                 car that it belongs to; null when that is not known
    state               ``"done"``, ``"set_aside"``, ``"crashed"`` or ``"unread"``: see `STATES`
    error               why it is not done; null when it is
    defects             number of defects; null unless done, as the following ones
    count_<kind>        number of defects of each kind
    longest_scratch_px  length of the longest scratch in px, 0 without one; null where none were looked for
    longest_scratch_mm  the same in mm; null without a scale
    coverage            share of the scan that was inspected
    width_px, height_px size of the scan
    mm_per_px           scale, or null
    cells               where the defects lie: kind, cell of a grid of 8 x 12 (row times 12 + column), how many
    seconds             time it took, from having its bytes to having its results written
    geojson             path of its outlines in the destination
    picture             SHA-256 of its bytes; empty when they could not be read
    model               name of the model
    card_hash           SHA-256 of the model card, which names the weights by theirs
    options_hash        of the options that results depend on
    =================== ==============================================================================
    """
    arrow: Any = require("pyarrow", extra="batch")
    text, whole, number = arrow.string(), arrow.int32(), arrow.float64()
    cell = arrow.struct([("kind", text), ("cell", arrow.int16()), ("defects", whole)])
    columns = [
        arrow.field("scan", text, nullable=False),
        ("car", text),
        arrow.field("state", text, nullable=False),
        ("error", text),
        ("defects", whole),
        *((f"count_{kind}", whole) for kind in kinds),
        ("longest_scratch_px", number),
        ("longest_scratch_mm", number),
        ("coverage", number),
        ("width_px", whole),
        ("height_px", whole),
        ("mm_per_px", number),
        ("cells", arrow.list_(arrow.field("element", cell))),
        (_SECONDS_OF, number),
        ("geojson", text),
        ("picture", text),
        ("model", text),
        ("card_hash", text),
        ("options_hash", text),
    ]
    return arrow.schema(columns, metadata={"surfacedefect.batch": "1"})


def write_table(journal: Journal, dest: Destination) -> int:
    """Write the partitions that are older than the journal; return how many."""
    kinds, models = tuple(journal.fact("kinds", [])), journal.fact("models", {})
    stale = journal.stale()
    for bucket in stale:
        _write_bucket(journal, dest, bucket, kinds=kinds, models=models)
        journal.written(bucket)  # killed before this, it is written again; nothing is recorded meanwhile
    return len(stale)


def missing_buckets(dest: Destination) -> list[int]:
    """Partitions that have no file: of a table that somebody removed, or none yet."""
    return [bucket for bucket in range(BUCKETS) if not _is_there(dest, bucket)]


def _is_there(dest: Destination, bucket: int) -> bool:
    return _FILE in dest.names(f"{FOLDER}/bucket={bucket:02d}")


def _write_bucket(
    journal: Journal, dest: Destination, bucket: int, *, kinds: tuple[str, ...], models: dict[str, str]
) -> None:
    arrow: Any = require("pyarrow", extra="batch")
    parquet: Any = require("pyarrow.parquet", extra="batch")
    columns = schema(kinds)
    rows = (_row(row, kinds=kinds, models=models) for row in journal.rows(bucket))
    with dest.writing(_path(bucket)) as part, parquet.ParquetWriter(part, columns, compression="zstd") as writer:
        while batch := list(islice(rows, _ROWS)):
            writer.write_table(arrow.Table.from_pylist(batch, schema=columns))


def _path(bucket: int) -> str:
    return f"{FOLDER}/bucket={bucket:02d}/{_FILE}"


def _row(row: dict[str, Any], *, kinds: tuple[str, ...], models: dict[str, str]) -> dict[str, Any]:
    found, done = row["found"], row["state"] == "done"
    counts = found.get("counts", {})
    return {
        "scan": row["name"],
        "car": row["car"] or None,
        "state": row["state"],
        "error": row["reason"] or None,
        "defects": row["defects"] if done else None,
        **{f"count_{kind}": counts.get(kind) for kind in kinds},
        **{name: found.get(name) for name in ("longest_scratch_px", "longest_scratch_mm", "coverage")},
        **{name: found.get(name) for name in ("width_px", "height_px", "mm_per_px")},
        "cells": [{"kind": kind, "cell": cell, "defects": n} for kind, cell, n in found["cells"]] if done else None,
        _SECONDS_OF: row["seconds"] if done else None,
        "geojson": f"{row['stem']}.geojson" if done else None,
        "picture": row["picture"] or None,
        "model": models.get(row["model"]),
        "card_hash": row["model"],
        "options_hash": row["options"],
    }


def adopted_facts(dest: Destination) -> tuple[list[str], dict[str, str]]:
    """Kinds of a destination's table, and the names of its models by the hash of their cards.

    Raises
    ------
    BatchError
        A file of the table cannot be read.
    """
    kinds: dict[str, None] = {}
    models: dict[str, str] = {}
    for _, found, rows in _pieces(dest):
        kinds.update(dict.fromkeys(found))
        models.update((row["card_hash"], row["model"]) for row in rows if row["card_hash"] and row["model"])
    return list(kinds), models


def adopted_rows(dest: Destination) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a destination's table as those of a journal: what another machine did is not done again.

    Raises
    ------
    BatchError
        A file of the table cannot be read.
    """
    for bucket, kinds, rows in _pieces(dest):
        for row in rows:
            yield _adopted(row, kinds, bucket, output_stem(row["scan"]))


def _pieces(dest: Destination) -> Iterator[tuple[int, list[str], list[dict[str, Any]]]]:
    """Yield partition, kinds and rows, some at a time, as far as there are files; refuse what no batch wrote."""
    parquet: Any = require("pyarrow.parquet", extra="batch")
    for bucket in range(BUCKETS):
        if not _is_there(dest, bucket):
            continue
        try:
            with dest.opened(_path(bucket)) as file, parquet.ParquetFile(file) as table:
                kinds = _kinds_of(table.schema_arrow)
                for batch in table.iter_batches(batch_size=_ROWS):
                    rows = batch.to_pylist()
                    _check_rows(rows)
                    yield bucket, kinds, rows
        except (KeyError, ValueError, OSError) as error:
            raise BatchError(
                f"'{dest.shown}' holds a table that cannot be read ({_path(bucket)}: {error}); expected the table of a "
                "batch: remove that file to have its scans inspected again, or choose another destination"
            ) from error


def _kinds_of(columns: pyarrow.Schema) -> list[str]:
    kinds = [name.removeprefix("count_") for name in columns.names if name.startswith("count_")]
    for field in schema(tuple(kinds)):
        if field.name not in columns.names:
            raise ValueError(f"it has no column {field.name!r}")
        if (found := columns.field(field.name).type) != field.type:
            raise ValueError(f"its column {field.name!r} holds {found}, expected {field.type}")
    return kinds


def _check_rows(rows: Iterable[dict[str, Any]]) -> None:
    for row in rows:
        state = row["state"]
        named = row["scan"] and row["card_hash"] is not None and row["options_hash"] is not None
        if not named or state not in STATES or (state == "done" and row["cells"] is None):
            raise ValueError(f"its row of {row['scan']!r} is not one that a batch writes")


def _adopted(row: dict[str, Any], kinds: list[str], bucket: int, stem: str) -> tuple[Any, ...]:
    found: dict[str, Any] = {}
    if row["state"] == "done":
        names = ("longest_scratch_px", "longest_scratch_mm", "coverage", "width_px", "height_px", "mm_per_px")
        found = {name: row[name] for name in names}
        found["counts"] = {kind: row[f"count_{kind}"] for kind in kinds if row[f"count_{kind}"] is not None}
        found["cells"] = [[cell["kind"], cell["cell"], cell["defects"]] for cell in row["cells"]]
    return (
        row["scan"], row["picture"] or "", None, row["card_hash"], row["options_hash"], row["state"],
        row["error"] or "", row["car"] or "", bucket, row["defects"] or 0, row["longest_scratch_px"], row["coverage"],
        row["seconds"] or 0.0, 1, 0.0, 0, stem, json.dumps(found),
    )  # fmt: skip


def read_table(dest: Destination) -> pyarrow.Table:
    """Read the whole table, by scan; for tests and small batches.

    Raises
    ------
    BatchError
        There is none.
    """
    arrow: Any = require("pyarrow", extra="batch")
    parquet: Any = require("pyarrow.parquet", extra="batch")
    parts = []
    for bucket in range(BUCKETS):
        if _is_there(dest, bucket):
            with dest.opened(_path(bucket)) as file:
                parts.append(parquet.read_table(file))
    if not parts:
        raise BatchError(f"'{dest.shown}' holds no table; expected the destination of a batch")
    return arrow.concat_tables(parts, promote_options="default").sort_by("scan")
