"""What people decided on a scan: a JSON file beside it, saved whole at every decision, with all that can be undone.

``door.jpg`` has ``door.jpg.review.json``. It holds every decision in order with the outline as it was seen, so that it
means the same at another threshold, after another inspection and for another program.
"""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import shapely

from surfacedefect._files import write_json
from surfacedefect._words import shortened
from surfacedefect.errors import StaleReviewError, WebError
from surfacedefect.web.kept import Kept
from surfacedefect.web.values import ACTIONS, Points, Review, Verdict

SUFFIX = ".review.json"
FORMAT = "surfacedefect-review"
FORMAT_VERSION = 1
REVIEWED_CONTENT = "reviewed_content"
"""Digest of the picture that was marked as reviewed: another one under its name is not reviewed."""

_MOST_BYTES = 256 * 2**20
_MOST_NOTE_LETTERS = 10_000
_FURTHEST_PX = 1e7


@dataclass(frozen=True, slots=True)
class Event:
    """One decision, as it is kept.

    Attributes
    ----------
    outline, action, kind, polygon, threshold
        See `surfacedefect.web.values.Decision`.
    found_kind, found, found_holes, score
        The outline as it was seen; see `surfacedefect.web.values.Verdict`.
    who, when
        Who decided, and when (UTC, ISO 8601).
    """

    outline: str
    action: str
    kind: str
    found_kind: str | None = None
    found: Points = ()
    found_holes: tuple[Points, ...] = ()
    polygon: Points | None = None
    score: float | None = None
    threshold: float | None = None
    who: str = ""
    when: str = ""


@dataclass(frozen=True, slots=True)
class Sheet:
    """The content of a sidecar file; `done` of the `events` hold, the others were undone."""

    version: int = 0
    threshold: float | None = None
    note: str = ""
    reviewed: bool = False
    who: str | None = None
    when: str | None = None
    scan: Mapping[str, Any] = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    done: int = 0

    def review(self, warning: str | None = None, *, content: object = None) -> Review:
        """Return what holds for a picture, by its digest; of an unknown one (None) it is taken to be the same."""
        same = content is None or (self.scan.get(REVIEWED_CONTENT) or content) == content
        return Review(
            version=self.version,
            decisions=tuple(verdicts(self.events[: self.done]).values()),
            threshold=self.threshold,
            note=self.note,
            reviewed=self.reviewed and same,
            who=self.who,
            when=self.when,
            can_undo=self.done > 0,
            can_redo=self.done < len(self.events),
            warning=warning,
        )


def verdicts(events: tuple[Event, ...]) -> dict[str, Verdict]:
    """Return what holds after some decisions, by outline, in the order of the first decision about each.

    Examples
    --------
    >>> square = ((0, 0), (9, 0), (9, 9), (0, 0))
    >>> seen = {"kind": "dent", "found_kind": "dent", "found": square}
    >>> events = (Event("dent-1-1", "reject", **seen), Event("dent-1-1", "accept", **seen))
    >>> verdicts(events[:1])["dent-1-1"].verdict, verdicts(events)["dent-1-1"].verdict
    ('rejected', 'accepted')
    """
    held: dict[str, Verdict] = {}
    for event in events:
        before = held.get(event.outline)
        if event.action == "remove" or (event.action == "clear" and (before is None or before.found_kind is not None)):
            held.pop(event.outline, None)
            continue
        seen = before if before is not None and not event.found else None
        verdict = Verdict(
            outline=event.outline,
            verdict="rejected" if event.action == "reject" else "accepted",
            kind=event.kind if event.action in ("kind", "add") or before is None else before.kind,
            found_kind=seen.found_kind if seen else event.found_kind,
            found=seen.found if seen else event.found,
            found_holes=seen.found_holes if seen else event.found_holes,
            polygon=event.polygon if event.action in ("redraw", "add") else before.polygon if before else None,
            score=seen.score if seen else event.score,
            who=event.who,
            when=event.when,
        )
        if verdict.verdict != "rejected":
            verdict = replace(verdict, verdict=_standing(verdict))
        held[event.outline] = verdict
    return held


def _standing(verdict: Verdict) -> str:
    if verdict.found_kind is None:
        return "added"
    if verdict.polygon is not None:
        return "redrawn"
    return "accepted" if verdict.kind == verdict.found_kind else "changed"


class Reviews:
    """The sidecar files of a folder; every save is whole, and none overwrites what somebody else saved meanwhile.

    Parameters
    ----------
    kept
        For locks.
    who
        Who decides.
    """

    def __init__(self, kept: Kept, *, who: str) -> None:
        self._kept, self._who = kept, who
        self._sheets: dict[Path, tuple[tuple[int, int, int], Sheet]] = {}

    def read(self, name: str, path: Path, *, content: str | None = None) -> Review:
        """Return the review of the scan at `path`; a damaged file is put aside, never overwritten.

        Parameters
        ----------
        name, path
            Of the scan.
        content
            Digest of the picture, where it is known: decisions on another one are told.

        Raises
        ------
        WebError
            It was made by a newer version, or is damaged and cannot be put aside.
        """
        sidecar = sidecar_of(path)
        try:
            sheet = self._sheet(sidecar)
        except _DamagedError:
            with self._kept.locked(name):
                sheet = self._sheet_or_aside(sidecar)
        return sheet.review(_warning(sidecar, sheet, content), content=content)

    def save(
        self, name: str, path: Path, change: Callable[[Sheet], Sheet], *, version: int, scan: Mapping[str, Any]
    ) -> Review:
        """Change the review of a scan and save it.

        Parameters
        ----------
        change
            From what holds to what shall; it keeps version, who and when, which are set here.
        version
            What `change` was decided upon.
        scan
            What to note about the picture.

        Raises
        ------
        StaleReviewError
            Somebody saved since; nothing is overwritten.
        WebError, OutputError
            See `read`; or the file cannot be written.
        """
        sidecar, content = sidecar_of(path), scan.get("content")
        with self._kept.locked(name):
            now = self._sheet_or_aside(sidecar)
            if now.version != version:
                held = now.review(_warning(sidecar, now, content), content=content)
                raise _stale(name, held, version)
            changed = change(now)
            noted = {**changed.scan, **scan}
            if now.events and "content" in now.scan:  # what the decisions were made on
                noted["content"] = now.scan["content"]
            sheet = replace(changed, version=now.version + 1, who=self._who, when=_now(), scan=noted)
            write_json(sidecar, _record(sheet))
        return sheet.review(_warning(sidecar, sheet, content), content=content)

    def event(self, **values: Any) -> Event:
        """Make a decision of this person, now."""
        return Event(**values, who=self._who, when=_now())

    def _sheet(self, sidecar: Path, *, fresh: bool = False) -> Sheet:
        try:
            if sidecar.is_symlink():
                raise WebError(
                    f"'{sidecar.name}' is a link, which may lead out of the folder; put the file itself there"
                )
            found = sidecar.stat()
        except FileNotFoundError:
            return Sheet()
        except OSError as error:
            raise WebError(f"'{sidecar.name}' cannot be read ({error.strerror}); look at its rights") from error
        stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
        held = self._sheets.get(sidecar)
        if held is not None and held[0] == stamp and not fresh:
            return held[1]
        try:
            if found.st_size > _MOST_BYTES:
                raise ValueError(f"it has {found.st_size:,} bytes")
            record = json.loads(sidecar.read_text(encoding="utf-8"))
        except OSError as error:
            raise WebError(f"'{sidecar.name}' cannot be read ({error.strerror}); look at its rights") from error
        except (ValueError, RecursionError) as error:
            raise _DamagedError(str(error)) from error
        if isinstance(record, dict) and record.get("format") == FORMAT:
            given = record.get("format_version")
            if isinstance(given, int) and given > FORMAT_VERSION:
                raise WebError(
                    f"'{sidecar.name}' was saved by a newer version of surfacedefect (format {given}, this one knows "
                    f"{FORMAT_VERSION}); install that version, nothing was changed"
                )
        sheet = _sheet_of(record)
        self._sheets[sidecar] = stamp, sheet
        return sheet

    def _sheet_or_aside(self, sidecar: Path) -> Sheet:
        try:
            return self._sheet(sidecar, fresh=True)  # clocks of file systems are coarse: two saves may share a time
        except _DamagedError:
            for number in range(1, 1000):
                aside = _aside(sidecar, number)
                if not aside.exists():
                    break
            try:
                sidecar.rename(aside)
            except OSError as error:
                raise WebError(
                    f"'{sidecar.name}' is damaged and cannot be put aside ({error.strerror}); move it away by hand"
                ) from error
            return Sheet()


class _DamagedError(Exception):
    """A sidecar file is not what it should be."""


def sidecar_of(path: Path) -> Path:
    """Return where the review of a scan is kept."""
    return path.with_name(path.name + SUFFIX)


def undone(sheet: Sheet) -> Sheet:
    """Take the last decision back.

    Raises
    ------
    WebError
        There is none.
    """
    if not sheet.done:
        raise WebError("there is nothing to undo on this scan")
    return replace(sheet, done=sheet.done - 1)


def redone(sheet: Sheet) -> Sheet:
    """Make the decision again that was taken back last.

    Raises
    ------
    WebError
        There is none.
    """
    if sheet.done == len(sheet.events):
        raise WebError("there is nothing to do again on this scan")
    return replace(sheet, done=sheet.done + 1)


def decided(sheet: Sheet, event: Event) -> Sheet:
    """Add a decision; what was undone is forgotten."""
    events = (*sheet.events[: sheet.done], event)
    return replace(sheet, events=events, done=len(events))


def checked_note(note: str) -> str:
    """Return a note that can be kept.

    Raises
    ------
    WebError
        It is too long.
    """
    text = str(note).encode("utf-8", "replace").decode()
    if len(text) > _MOST_NOTE_LETTERS:
        raise WebError(f"the note has {len(text):,} letters; expected at most {_MOST_NOTE_LETTERS:,}")
    return text


def _aside(sidecar: Path, number: int) -> Path:
    return sidecar.with_name(f"{sidecar.name.removesuffix('.json')}.damaged-{number}.json")


def _warning(sidecar: Path, sheet: Sheet, content: object) -> str | None:
    warnings = []
    aside = _aside(sidecar, 1)
    if aside.exists():
        warnings.append(
            f"an earlier review of this scan was damaged and is kept as '{aside.name}'; decisions in it do not count. "
            "Delete that file when it is no longer needed"
        )
    if sheet.events and content is not None and sheet.scan.get("content", content) != content:
        warnings.append(
            "the decisions were made on another picture of this name; look at each again, or delete "
            f"'{sidecar.name}' to begin anew"
        )
    return "; ".join(warnings) or None


def _stale(name: str, now: Review, version: int) -> StaleReviewError:
    by = f"by {now.who or 'somebody'}" + (f" at {now.when}" if now.when else "")
    return StaleReviewError(
        f"'{shortened(name)}' was changed meanwhile {by} (version {now.version}, yours is {version}); nothing was "
        "overwritten: look at it and decide again",
        review=now,
    )


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _record(sheet: Sheet) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "version": sheet.version,
        "scan": dict(sheet.scan),
        "reviewed": sheet.reviewed,
        "who": sheet.who,
        "when": sheet.when,
        "threshold": sheet.threshold,
        "note": sheet.note,
        "done": sheet.done,
        "events": [
            {name: getattr(event, name) for name in Event.__slots__ if getattr(event, name) not in (None, ())}
            for event in sheet.events
        ],
    }


def _sheet_of(record: Any) -> Sheet:
    try:
        _expect(isinstance(record, dict) and record["format"] == FORMAT and record["format_version"] == FORMAT_VERSION)
        _expect(all(type(record[name]) is int and record[name] >= 0 for name in ("version", "done")))
        _expect(_is_text(record["note"]) and isinstance(record["reviewed"], bool))
        _expect(all(record[name] is None or _is_text(record[name]) for name in ("who", "when")))
        _expect(record["threshold"] is None or 0 < _number(record["threshold"]) <= 1)
        _expect(isinstance(record["scan"], dict) and isinstance(record["events"], list))
        events = tuple(_event_of(entry) for entry in record["events"])
        _expect(_have_places(events))
        _expect(record["done"] <= len(events))
        return Sheet(
            events=events,
            **{name: record[name] for name in Sheet.__slots__ if name != "events"},
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise _DamagedError(str(error)) from error


def _event_of(entry: Mapping[str, Any]) -> Event:
    known: dict[str, Any] = {name: entry[name] for name in Event.__slots__ if name in entry}
    _expect(known["action"] in ACTIONS)
    for name in ("outline", "kind", "found_kind", "who", "when"):
        _expect(_is_text(known.get(name, "")))
    _expect(bool(known["outline"]) and bool(known["kind"]))
    for name in ("found", "polygon"):
        if name in known:
            known[name] = tuple(_points(known[name]))
    if "found_holes" in known:
        known["found_holes"] = tuple(tuple(_points(hole)) for hole in known["found_holes"])
    for name in ("score", "threshold"):
        _expect(name not in known or 0 <= _number(known[name]) <= 1)
    _expect(bool(known.get("polygon")) or known["action"] not in ("redraw", "add"))
    return Event(**known)


def _is_text(value: Any) -> bool:
    """Whether a value is a text that can be written to a file: JSON may spell half letters, which cannot."""
    return isinstance(value, str) and value == value.encode("utf-8", "replace").decode()


def _have_places(events: tuple[Event, ...]) -> bool:
    """Say whether each decision has an outline, its own or that of an earlier one: without, nothing can be shown."""
    found: dict[str, bool] = {}  # by outline, whether the model found it
    for event in events:
        if event.found or event.polygon:
            found.setdefault(event.outline, event.found_kind is not None)
        elif event.action not in ("clear", "remove") and event.outline not in found:
            return False
        if event.action == "remove" or (event.action == "clear" and found.get(event.outline, True)):
            found.pop(event.outline, None)
    return True


def _points(ring: Any) -> list[tuple[float, float]]:
    _expect(isinstance(ring, list) and len(ring) >= 4)
    points = [(_number(x), _number(y)) for x, y in ring]
    _expect(all(abs(value) < _FURTHEST_PX for point in points for value in point))
    drawn = shapely.Polygon(points)
    _expect(drawn.area > 0 or shapely.make_valid(drawn).area > 0)  # one that crosses itself may add up to nothing
    return points


def _number(value: Any) -> float:
    _expect(isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value))
    return float(value)


def _expect(good: bool) -> None:
    if not good:
        raise ValueError("a value is none that this library writes")
