"""`Workspace`: all that the page does, without the page; may be used by many threads, and by several processes."""

from __future__ import annotations

import contextlib
import getpass
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from surfacedefect._checks import expect
from surfacedefect._files import without_nan
from surfacedefect._words import shortened, visible
from surfacedefect.card import OperatingPoint, read_card
from surfacedefect.errors import ModelError, SurfaceDefectError, WebError
from surfacedefect.runtimes import find_weights
from surfacedefect.web import exports, pyramid
from surfacedefect.web import review as reviewing
from surfacedefect.web.deciding import Desk
from surfacedefect.web.folder import Folder
from surfacedefect.web.inference import Jobs, Line
from surfacedefect.web.kept import Kept, stamp_of
from surfacedefect.web.shelf import Shelf
from surfacedefect.web.values import (
    Decision,
    Export,
    JobProgress,
    Outline,
    Review,
    ScanEntry,
    ScanInfo,
    ServerState,
    Tile,
    WebOptions,
)

Threshold = float | Mapping[str, float] | None

_MOST_TILE_BYTES = 48 * 2**20
_MOST_KIND_LETTERS = 40
_MOST_DECISIONS = 20_000


class Workspace:
    """A folder of scans, the server that inspects them, and the decisions of those who look at them.

    Parameters
    ----------
    folder
        Nothing outside of it is read or written.
    server, token, tls
        Host and gRPC port of a server, and what it wants; see `surfacedefect.serving.Client`. None: a server of its own
        is started as a child process on loopback when it is needed, and again when it dies.
    options
        Model, scale and limits.

    Raises
    ------
    WebError
        There is no such folder.
    OptionError
        The folder is no path, the server's address is none, or another argument is not of its kind.

    Examples
    --------
    >>> import tempfile
    >>> with Workspace(tempfile.mkdtemp()) as workspace:
    ...     workspace.scans()
    []
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        server: str | None = None,
        token: str | None = None,
        tls: bool | str | Path = False,
        options: WebOptions | None = None,
    ) -> None:
        expect(options is None or isinstance(options, WebOptions), "options", options, "WebOptions(...), or None")
        self.options = options or WebOptions()
        self._folder = Folder(folder)
        self._kept = Kept(self._folder.root)
        self._line = Line(server=server, token=token, tls=tls, options=self.options)
        self._reviews = reviewing.Reviews(self._kept, who=self.options.who or _login())
        self._jobs = Jobs(self._kept, self._line, options=self.options, ended=self._ended)
        self._shelf = Shelf(self._folder, self._kept, options=self.options)
        self._desk = Desk(self._shelf, self._reviews, mm_per_px=self.options.mm_per_px)
        self._lock = threading.Lock()
        self._cards: dict[str, Any] = {}

    @property
    def folder(self) -> Path:
        """The folder, with links resolved."""
        return self._folder.root

    def close(self) -> None:
        """End jobs and the embedded server."""
        self._jobs.close()
        self._line.close()
        self._shelf.close()

    def __enter__(self) -> Workspace:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def scans(self) -> list[ScanEntry]:
        """List the scans of the folder, by name; nothing is opened for it."""
        return [self._entry(name, size=found.st_size, modified=found.st_mtime) for name, found in self._folder.names()]

    def scan(self, name: str) -> ScanEntry:
        """Return one scan.

        Raises
        ------
        WebError
            There is none of that name in the folder.
        """
        found = self._folder.path(name).stat()
        return self._entry(name, size=found.st_size, modified=found.st_mtime)

    def _entry(self, name: str, *, size: int, modified: float) -> ScanEntry:
        path = self.folder / name
        record = self._kept.record(name)
        known = self._kept.is_current(name, path)
        key = record.get("key") if known and isinstance(record.get("key"), str) else None
        facts = {fact: record.get(fact) for fact in ("width", "height", "error", "defects")} if known else {}
        state = "inspected" if known and record.get("inspected") else "new"
        error = facts.get("error")
        if self._jobs.progress(name) is not None:
            state, error = "running", None
        elif error:
            state = "failed"
        elif (known or not record.get("stamp")) and self._is_reviewed(name, path, key):
            state = "reviewed"
        shown = record.get("shown")
        return ScanEntry(
            name=name,
            state=state,
            size_bytes=size,
            width=facts.get("width"),
            height=facts.get("height"),
            error=error,
            defects=facts.get("defects"),
            modified=modified,
            shown=shown if isinstance(shown, str) and shown else visible(name),
        )

    def _is_reviewed(self, name: str, path: Path, key: str | None) -> bool:
        try:
            return self._reviews.read(name, path, content=key).reviewed
        except SurfaceDefectError:
            return False

    def add(self, file_name: str, stream: BinaryIO) -> ScanEntry:
        """Take an upload: bounded, decoded whole before it counts, and never over another scan.

        Raises
        ------
        WebError, ScanError, OutputError
            What is wrong with it and what to do.
        """
        options = self.options
        name, shown = self._folder.add(
            file_name,
            stream,
            max_bytes=options.max_upload_bytes,
            max_pixels=options.max_pixels,
            max_tiled_pixels=options.max_tiled_pixels,
        )
        self._kept.note(name, shown=shown)
        return self.scan(name)

    def thumbnail(self, name: str) -> bytes:
        """Return a JPEG, long side at most 256 px.

        Raises
        ------
        WebError, ScanError
            There is no such scan, or it cannot be read; the latter is noted in the list too.
        """
        return self._shelf.thumbnail(name)

    def prepare(self, name: str) -> bool:
        """Say whether the tiles of a scan can be read at once; if not, begin to make them in the background."""
        return self._shelf.prepare(name)

    def run(self, name: str) -> None:
        """Inspect a scan, again when it was inspected before; returns at once."""
        path = self._folder.path(name)
        self._kept.note(name, error=None)
        self._jobs.run(name, path)

    def cancel(self, name: str) -> None:
        """Stop inspecting a scan; what was found before stays."""
        self._jobs.cancel(name)

    def progress(self, name: str) -> JobProgress | None:
        """Say how far an inspection is; None when none is going on."""
        return self._jobs.progress(name)

    def server(self) -> ServerState:
        """Say whether the server takes scans."""
        return self._line.state()

    def _ended(self, name: str, error: str | None, defects: int | None) -> None:
        """Note how an inspection ended."""
        more: dict[str, Any] = {} if defects is None else {"inspected": True, "defects": defects}
        if error is not None:
            with contextlib.suppress(OSError):  # of this file, be it one that cannot even be read
                more["stamp"] = stamp_of(self.folder / name)
        self._kept.note(name, error=error, **more)

    def info(self, name: str) -> ScanInfo:
        """Return what a viewer must know; only the header of the scan is read.

        Raises
        ------
        WebError, ScanError
            There is no such scan, or it cannot be read.
        """
        path = self._folder.path(name)
        width, height = self._shelf.size(name, path)
        result = self._shelf.result(name, path)
        info = ScanInfo(width, height, self.options.mm_per_px, pyramid.levels_of(width, height))
        if result is None:
            return info
        return replace(
            info,
            mm_per_px=result.map.mm_per_px,
            has_map=True,
            kinds=result.kinds,
            thresholds=result.thresholds,
            coverage=result.map.coverage,
            model=result.map.model,
        )

    def found(self, name: str, threshold: Threshold = None) -> list[Outline]:
        """Return what the model found at a threshold, merged with the decisions; nothing is inspected again.

        Raises
        ------
        WebError, ScanError, OptionError
            There is no such scan, or no such threshold.
        """
        path = self._folder.path(name)
        return self._desk.merged(name, path, threshold, self._reviews.read(name, path)).outlines

    def card_row(self, threshold: float | None = None, *, name: str | None = None) -> dict[str, dict[str, Any]] | None:
        """Return what was measured at a threshold, by kind; None when nothing was.

        Parameters
        ----------
        threshold
            None: the model's own, with its least scores.
        name
            The scan whose model is meant; None: the one that this workspace would start.

        Returns
        -------
        dict or None
            For each kind ``threshold``, ``pixel_recall``, ``pixel_precision``, ``regions_found``,
            ``false_alarms_per_scan`` (None where undefined), ``intervals`` and ``data``: what they were measured on;
            ``others`` holds the same for the other sets of data.
        """
        model = self.options.model
        if name is not None:
            result = self._shelf.result(name, self._folder.path(name))
            model = result.map.model if result is not None else model
        elif self._line.embedded is None:
            return None  # a named server's model shows when it has inspected something
        with self._lock:
            if model not in self._cards:
                try:
                    self._cards[model] = read_card(find_weights(model))
                except ModelError:
                    self._cards[model] = None
            card = self._cards[model]
        if card is None:
            return None
        rows = {}
        for kind in card.kinds:
            points = [_row_of(point) for point in card.measured(kind, threshold)]
            if points:
                rows[kind] = {**points[0], "others": points[1:]}
        return rows or None

    def review(self, name: str) -> Review:
        """Return the decisions on a scan.

        Raises
        ------
        WebError
            There is no such scan, or its sidecar file was made by a newer version.
        """
        path = self._folder.path(name)
        return self._reviews.read(name, path, content=self._kept.known_key(name, path))

    def decide(self, name: str, decision: Decision, *, version: int) -> Review:
        """Save a decision at once.

        Raises
        ------
        StaleReviewError
            Somebody saved since `version`; nothing was overwritten, and the error holds what they saved.
        WebError
            There is no such outline, or the decision is none.
        """
        path = self._folder.path(name)
        held = self._reviews.read(name, path)
        event = self._desk.event(name, path, decision, held)

        def change(sheet: reviewing.Sheet) -> reviewing.Sheet:
            if sheet.done >= _MOST_DECISIONS:
                raise WebError(f"there are {sheet.done:,} decisions on this scan already, the most that are kept")
            return reviewing.decided(sheet, event)

        return self._save(name, path, change, version)

    def undo(self, name: str, *, version: int) -> Review:
        """Take the last decision back."""
        return self._save(name, self._folder.path(name), reviewing.undone, version)

    def redo(self, name: str, *, version: int) -> Review:
        """Make the decision again that was taken back last."""
        return self._save(name, self._folder.path(name), reviewing.redone, version)

    def set_threshold(self, name: str, threshold: float | None, *, version: int) -> Review:
        """Keep the chosen threshold, in (0, 1]; None: the model's own. It is not a decision: undo leaves it."""
        good = isinstance(threshold, int | float) and not isinstance(threshold, bool) and 0 < threshold <= 1
        if threshold is not None and not good:
            raise WebError(f"threshold is {threshold!r}; expected a number above 0, at most 1, or None")
        return self._save(name, self._folder.path(name), lambda sheet: replace(sheet, threshold=threshold), version)

    def set_reviewed(self, name: str, reviewed: bool, *, version: int) -> Review:
        """Say whether a person is done with a scan."""
        path = self._folder.path(name)
        of = {reviewing.REVIEWED_CONTENT: self._kept.known_key(name, path)}

        def change(sheet: reviewing.Sheet) -> reviewing.Sheet:
            return replace(sheet, reviewed=bool(reviewed), scan={**sheet.scan, **of})

        return self._save(name, path, change, version)

    def set_note(self, name: str, note: str, *, version: int) -> Review:
        """Keep a free text."""
        text = reviewing.checked_note(note)
        return self._save(name, self._folder.path(name), lambda sheet: replace(sheet, note=text), version)

    def _save(
        self, name: str, path: Path, change: Callable[[reviewing.Sheet], reviewing.Sheet], version: int
    ) -> Review:
        scan: dict[str, Any] = {"name": path.name}
        key = self._kept.known_key(name, path)
        if key is not None:
            scan["content"] = key
        result = None if key is None else self._shelf.result(name, path)
        if result is not None:
            scan |= {"width": result.map.width, "height": result.map.height, "model": result.map.model}
        return self._reviews.save(name, path, change, version=version, scan=scan)

    def tile(
        self,
        name: str,
        layer: str,
        z: int,
        x: int,
        y: int,
        *,
        threshold: Threshold = None,
        palette: str = "default",
        kinds: Sequence[str] | None = None,
    ) -> Tile:
        """Return a tile of 256 x 256 px.

        Parameters
        ----------
        name
            The scan.
        layer
            ``"scan"``, ``"damage"`` or ``"coverage"``.
        z, x, y
            Zoom and place: at 0 the whole scan is in one tile, at `ScanInfo.max_zoom` a px is a px of the scan.
        threshold, kinds
            Of the damage; None: the model's own, and all kinds.
        palette
            ``"default"``, or ``"safe"`` for any colour vision.

        Raises
        ------
        WebError
            There is no such tile.
        ScanError
            The scan cannot be read.
        """
        return self._shelf.tile(name, layer, z, x, y, threshold=threshold, palette=palette, kinds=kinds)

    def export(self, name: str, what: str, *, threshold: Threshold = None) -> Export:
        """Return a file with what holds after all decisions.

        Parameters
        ----------
        name
            The scan.
        what
            ``"geojson"``, ``"csv"``, ``"png"``, ``"html"``, ``"pdf"`` or ``"coco"``.
        threshold
            None: the one of the review, and without one the model's own.

        Raises
        ------
        WebError
            The scan was not inspected, or there is no such format.
        """
        path = self._folder.path(name)
        result = self._shelf.result(name, path)
        if result is None:
            raise WebError(f"'{shortened(name)}' was not inspected yet; inspect it first")
        held = self._reviews.read(name, path)
        threshold = held.threshold if threshold is None else threshold
        subject = exports.Subject(
            name=name,
            shown=self.scan(name).shown,
            found=result.at(threshold).detections,
            outlines=self._desk.merged(name, path, threshold, held).outlines,
            review=held,
            measured=self.card_row(threshold, name=name) if not isinstance(threshold, Mapping) else None,
        )
        return exports.export(subject, what)


def _row_of(point: OperatingPoint) -> dict[str, Any]:
    names = ("threshold", "pixel_recall", "pixel_precision", "regions_found", "false_alarms_per_scan", "data")
    row: dict[str, Any] = {name: getattr(point, name) for name in names}
    intervals = {name: list(ends) for name, ends in point.intervals.items()}
    return {**without_nan(row), "intervals": without_nan(intervals)}


def _login() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container without a name for its user
        return "somebody"
