"""`verify`: hash every object again and name what is no longer what the manifest says."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

from surfacedefect._machine import usable_cores
from surfacedefect._words import shortened
from surfacedefect.datasets._layout import Layout, hash_of
from surfacedefect.datasets.manifest import manifest_batches, manifest_version
from surfacedefect.datasets.progress import Meter, Told
from surfacedefect.errors import DatasetError, require

_COLUMNS = ["source_path", "hash", "size_bytes", "view_name", "state"]
_WAITING = 4  # files a thread


@dataclass(frozen=True, slots=True)
class Change:
    """One file of a data set that is not as the manifest says.

    Attributes
    ----------
    what
        ``"missing"``, ``"changed"`` or ``"unreadable"`` of an object; ``"view"`` when a name of the view is missing or
        shows other bytes, whose object is as it should be.
    hash
        SHA-256 that it should have.
    source_path
        First path of the manifest with this hash.
    found
        What there is instead, in words.
    """

    what: Literal["missing", "changed", "unreadable", "view"]
    hash: str
    source_path: str
    found: str


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What a check found.

    Attributes
    ----------
    objects, size_bytes
        How many objects were hashed, and their bytes.
    changes
        What is not as it should be, in the order of the manifest; empty when all is.
    unlisted
        Hashes of objects that no row of the manifest names, as an ingest leaves them when a file at the source changes.
    version
        SHA-256 of the manifest.
    """

    objects: int
    size_bytes: int
    changes: tuple[Change, ...]
    unlisted: tuple[str, ...]
    version: str

    @property
    def good(self) -> bool:
        """Whether all is as the manifest says."""
        return not self.changes


def verify(dest: str | os.PathLike[str], *, progress: Told | None = None) -> VerifyReport:
    """Hash every object again and compare with the manifest. Nothing is written; the journal is not needed.

    Parameters
    ----------
    dest
        Folder of the data set.
    progress
        Called with a `Progress` at most ten times a second, never two at a time.

    Raises
    ------
    DatasetError
        There is no manifest, or it is damaged.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from surfacedefect.datasets import ingest
    >>> share, dest = Path(tempfile.mkdtemp()), Path(tempfile.mkdtemp()) / "set"
    >>> _ = (share / "a.json").write_text("{}")
    >>> _ = ingest(share, dest)
    >>> report = verify(dest)
    >>> report.good, report.objects, report.size_bytes
    (True, 1, 2)
    """
    layout, meter = Layout(dest), Meter(progress)
    table = _objects(layout)
    meter.begin("verifying", of_files=len(table), of_bytes=sum(row.size_bytes for row in table.values()))
    changes: list[Change] = []
    with ThreadPoolExecutor(usable_cores(), thread_name_prefix="verify") as pool:
        for found in _in_order(pool, table, layout=layout, meter=meter):
            changes += [found] if found else []
            meter.check()
    broken = {change.hash for change in changes}
    changes += _view_changes(layout, table, broken=broken)
    meter.end()
    return VerifyReport(
        objects=len(table),
        size_bytes=sum(row.size_bytes for row in table.values()),
        changes=tuple(changes),
        unlisted=tuple(digest for digest in layout.digests() if digest not in table),
        version=manifest_version(layout.folder),
    )


@dataclass(slots=True)
class _Object:
    """What the manifest says of the bytes with one hash, which are in memory for all of them: kept small."""

    size_bytes: int
    source_path: str
    view_name: str | None


def _objects(layout: Layout) -> dict[str, _Object]:
    """First path of the manifest for each hash, with the name in the view where there is one."""
    require("pyarrow", extra="data")
    table: dict[str, _Object] = {}
    for batch in manifest_batches(layout.manifest, columns=_COLUMNS):
        for row in batch.to_pylist():
            digest, path, name = row["hash"], row["source_path"], row["view_name"]
            if digest is None:
                continue
            if row["size_bytes"] is None:
                raise DatasetError(
                    f"the manifest '{shortened(layout.manifest)}' gives {shortened(path)!r} a hash and no size; "
                    "expected both: move it away and ingest again"
                )
            kept = table.setdefault(digest, _Object(row["size_bytes"], path, None))
            if row["state"] == "good":
                kept.view_name = name
    return table


def _in_order(
    pool: ThreadPoolExecutor, table: dict[str, _Object], *, layout: Layout, meter: Meter
) -> Iterator[Change | None]:
    waiting: deque[Future[Change | None]] = deque()
    for digest, row in table.items():
        waiting.append(pool.submit(_change, layout, digest, row, meter))
        if len(waiting) > _WAITING * usable_cores():
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _change(layout: Layout, digest: str, row: _Object, meter: Meter) -> Change | None:
    path, source_path = layout.object(digest), row.source_path
    try:
        found, size = hash_of(path, seen=lambda count: meter.add(size_bytes=count))
    except FileNotFoundError:
        return Change("missing", digest, source_path, "no file")
    except OSError as error:
        return Change("unreadable", digest, source_path, error.strerror or str(error))
    finally:
        meter.add(files=1)
    if found == digest:
        return None
    what = f"{size:,} bytes instead of {row.size_bytes:,}" if size != row.size_bytes else "other bytes, as many"
    return Change("changed", digest, source_path, f"{what}, hash {found}")


def _view_changes(layout: Layout, table: dict[str, _Object], *, broken: set[str]) -> Iterator[Change]:
    """Names that do not lead to their object. Without a view, as after `dvc pull`, there is nothing to compare."""
    if not layout.view.is_dir():
        return
    for digest, row in table.items():
        name = row.view_name
        if not name or digest in broken:
            continue
        path = layout.view / os.path.basename(name)  # noqa: PTH119 - a damaged manifest must not lead elsewhere
        try:
            if path.samefile(layout.object(digest)) or hash_of(path)[0] == digest:
                continue
            found = f"view/{path.name} shows other bytes"
        except OSError as error:
            found = f"view/{path.name}: {error.strerror}"
        yield Change("view", digest, row.source_path, found)
