"""How an annotation file is read: strictly, or noting what is wrong and going on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from surfacedefect._checks import is_number
from surfacedefect._words import shortened, type_name
from surfacedefect.annotations._outlines import Outline, joined, made_valid
from surfacedefect.annotations.issues import AnnotationIssue, entry_text
from surfacedefect.annotations.record import Region
from surfacedefect.errors import AnnotationError


@dataclass
class Reading:
    """One reading of a file: how, and what was found wrong.

    A strict reading raises at the first thing that is wrong. Another one notes it and goes on; only a file that cannot
    be understood at all still raises.
    """

    images_dir: Path | None = None
    line_width_px: float | None = None
    strict: bool = True
    issues: list[AnnotationIssue] = field(default_factory=list)

    @contextmanager
    def part(self, picture: str, *, entry: object) -> Iterator[None]:
        """Set an entry aside when the block refuses it."""
        try:
            yield
        except AnnotationError as error:
            if self.strict:
                raise
            self.issues.append(AnnotationIssue(picture, str(error), "set aside", entry_text(entry), set_aside=True))

    def mended(self, picture: str, *, what: str, done: str, was: str) -> None:
        """Note what was mended; a strict reading mends self-crossing outlines silently."""
        self.issues.append(AnnotationIssue(picture, what, done, was))

    def region(self, kind: object, raw: Outline, *, picture: str, where: str, score: object = None) -> Region:
        """Return a region whose outline is valid.

        Raises
        ------
        AnnotationError
            It has no area or no kind.
        """
        outline, crossed = made_valid(raw)
        if outline.is_empty:
            raise AnnotationError(f"{where}: the outline has no area; expected a region. Redraw or remove it")
        if not isinstance(kind, str) or not kind:
            raise AnnotationError(f"{where}: the kind is {kind!r}; expected a name such as 'scratch'")
        if crossed:
            self.mended(
                picture,
                what=f"{where}: the outline crosses itself or its parts overlap",
                done="made valid",
                was=raw.wkt,
            )
        return Region(kind, outline, self.score(score, picture=picture, where=where))

    def score(self, value: object, *, picture: str, where: str) -> float | None:
        """Return a score in [0, 1] or None.

        Raises
        ------
        AnnotationError
            It is something else, and the reading is strict.
        """
        if value is None:
            return None
        if is_number(value) and 0 <= value <= 1:  # type: ignore[operator]
            return value  # type: ignore[return-value]
        what = f"{where}: the score is {value!r}; expected a number in [0, 1]"
        if self.strict:
            raise AnnotationError(what)
        self.mended(picture, what=what, done="the score was left out", was=entry_text(value))
        return None


def load_json(source: Path, *, expected: str) -> Any:
    """Return what a JSON file holds.

    Raises
    ------
    AnnotationError
        It cannot be read or is no JSON.
    """
    try:
        return json.loads(source.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise AnnotationError(f"{shortened(source)} cannot be read: {error.strerror}. Expected {expected}") from error
    except (ValueError, RecursionError) as error:
        raise AnnotationError(f"{shortened(source)} is not JSON: {error}. Expected {expected}") from error


def need(entry: object, *keys: str, where: str) -> None:
    """Refuse what is no JSON object with these keys."""
    if not isinstance(entry, dict):
        raise AnnotationError(f"{where} is {type_name(entry)}; expected a JSON object with {', '.join(keys)}")
    if missing := [key for key in keys if key not in entry]:
        raise AnnotationError(
            f"{where} lacks {', '.join(missing)}; found only {', '.join(map(str, entry)) or 'nothing'}"
        )


def text_or_none(entry: Mapping[str, Any], key: str) -> str | None:
    """Text of a key, None where there is none."""
    return None if entry.get(key) is None else str(entry[key])


def categories(named: Iterable[str], regions: Iterable[Region]) -> tuple[str, ...]:
    """Kinds that a file names, then those that its regions bring, each once."""
    return tuple(dict.fromkeys((*named, *(region.kind for region in regions))))


def joined_groups(parts: Iterable[tuple[object, Region]]) -> tuple[Region, ...]:
    """Join the regions of one kind that share a group; a group of None joins nothing. The first one gives the score."""
    groups: dict[object, list[Region]] = {}
    for index, (group, region) in enumerate(parts):
        groups.setdefault((region.kind, index) if group is None else (region.kind, "group", group), []).append(region)
    return tuple(
        same[0] if len(same) == 1 else Region(same[0].kind, joined([r.polygon for r in same]), same[0].score)
        for same in groups.values()
    )
