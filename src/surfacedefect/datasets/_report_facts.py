"""What a manifest says of a data set as a whole: read once, row by row; what is kept grows with groups, not rows."""

from __future__ import annotations

import heapq
import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from surfacedefect.datasets.manifest import STATES, manifest_batches
from surfacedefect.datasets.quarantine import COLUMNS, KEPT, SetAside

NO_SPLIT, OTHER_SPLITS = "no split", "other splits"
_SIZES_PX = (0, 0.1, 0.3, 1, 3, 8, 12, 16, 24, 50, 100, 250)
_SIZES_BYTES = (0, 10e3, 30e3, 100e3, 300e3, 1e6, 3e6, 10e6, 30e6, 100e6, 300e6, 1e9)
_WANTED = (
    "source", "source_path", "hash", "size_bytes", "width_px", "height_px", "format", "exif_date", "state", "reason",
    "in_source", "near_duplicate_group", "flags", "group", "split",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much of what the page shows; the tables beside it hold all."""

    sample: int = 48
    groups: int = 24
    group_members: int = 6
    copied: int = 12
    flags: int = 12
    flagged: int = 12
    set_aside: int = 15
    annotated: int = 36
    issues: int = 40
    kinds: int = 12
    splits: int = 8
    names: int = 20


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture that the page shows."""

    hash: str
    path: str
    width_px: int
    height_px: int
    size_bytes: int

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Shown:
        """Take it from a row of the manifest."""
        width, height, size = (row[name] or 0 for name in ("width_px", "height_px", "size_bytes"))
        return cls(row["hash"] or "", row["source_path"], width, height, size)


@dataclass(slots=True)
class Tally:
    """Rows and their bytes, where the size is known."""

    rows: int = 0
    size_bytes: int = 0

    def add(self, size_bytes: int | None) -> None:
        """Count one more."""
        self.rows, self.size_bytes = self.rows + 1, self.size_bytes + (size_bytes or 0)


class Bins:
    """A histogram whose bins are given by their lower edges; the last one has no upper end."""

    def __init__(self, edges: tuple[float, ...]) -> None:
        self.edges, self.counts = edges, [0] * len(edges)

    def add(self, value: float) -> None:
        """Count a value, of at least the first edge."""
        self.counts[max(0, sum(edge <= value for edge in self.edges) - 1)] += 1

    def filled(self) -> list[tuple[float, float, int]]:
        """(lower edge, upper edge, count) from the first to the last bin that holds something."""
        used = [at for at, count in enumerate(self.counts) if count]
        ends = (*self.edges[1:], math.inf)
        return [(self.edges[at], ends[at], self.counts[at]) for at in range(used[0], used[-1] + 1)] if used else []


class Sample:
    """The rows with the smallest hashes: as good as drawn, the same each time, and nearly the same after additions."""

    def __init__(self, most: int) -> None:
        self._most, self.seen = most, 0
        self._kept: list[tuple[int, int, Any]] = []

    def add(self, digest: str, what: Any) -> None:
        """Take it when it is one of them."""
        self.seen += 1
        order = -int(digest[:16], 16) if _is_hex(digest[:16]) else 0
        entry = (order, -self.seen, what)  # the count makes entries differ, so that `what` is never compared
        if len(self._kept) < self._most:
            heapq.heappush(self._kept, entry)
        else:
            heapq.heappushpop(self._kept, entry)

    def __iter__(self) -> Iterator[Any]:
        """Give them by their hash."""
        return iter([what for _, _, what in sorted(self._kept, key=lambda entry: entry[:2], reverse=True)])


@dataclass(slots=True)
class GroupFacts:
    """Pictures of one group, such as one car, and the splits that they are in."""

    pictures: int = 0
    splits: set[str] = field(default_factory=set)

    def add(self, split: str | None) -> None:
        """Count one more picture."""
        self.pictures += 1
        if split is not None:
            self.splits.add(split)


class Facts:
    """Counts and samples of all rows; "pictures" are the good ones, of which duplicates are copies."""

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.states: dict[str, Tally] = {}
        self.sources: dict[str, Tally] = defaultdict(Tally)
        self.gone = 0
        self.formats: dict[str, Tally] = defaultdict(Tally)
        self.sizes: Counter[tuple[int, int]] = Counter()
        self.megapixels, self.file_sizes = Bins(_SIZES_PX), Bins(_SIZES_BYTES)
        self.pixels = 0
        self.months: Counter[tuple[int, int]] = Counter()
        self.first_date: Any = None
        self.last_date: Any = None
        self.splits: dict[str, Tally] = defaultdict(Tally)
        self.groups: dict[str, GroupFacts] = defaultdict(GroupFacts)
        self.near: dict[str, GroupFacts] = defaultdict(GroupFacts)
        self.flags: Counter[str] = Counter()
        self.flagged: dict[str, Sample] = {}
        self.looked_at = self.flagged_pictures = 0
        self.copies: Counter[str] = Counter()
        self.sample = Sample(bounds.sample)
        self.set_aside: dict[str, list[SetAside]] = defaultdict(list)
        self.shown_copies: dict[str, tuple[Shown, list[str]]] = {}
        self.shown_near: dict[str, list[Shown]] = {}

    @property
    def rows(self) -> int:
        """Rows of the manifest."""
        return sum(tally.rows for tally in self.states.values())

    @property
    def good(self) -> Tally:
        """The pictures."""
        return self.states.get("good", Tally())

    @property
    def duplicates(self) -> Tally:
        """Their copies."""
        return self.states.get("duplicate", Tally())

    @property
    def set_aside_rows(self) -> int:
        """Rows that are neither."""
        return sum(tally.rows for state, tally in self.states.items() if state not in KEPT)

    def add(self, row: Mapping[str, Any]) -> None:
        """Count one row."""
        state = row["state"]
        self.states.setdefault(state, Tally()).add(row["size_bytes"])
        self.sources[row["source"]].add(row["size_bytes"])
        self.gone += not row["in_source"]
        if state == "good":
            self._add_picture(row)
        elif state == "duplicate":
            self.copies[row["hash"]] += 1
        elif len(self.set_aside[state]) < self.bounds.set_aside:
            self.set_aside[state].append(SetAside(**{name: row[name] for name in COLUMNS}))

    def _add_picture(self, row: Mapping[str, Any]) -> None:
        shown = Shown.of(row)
        self.formats[row["format"] or "unknown"].add(row["size_bytes"])
        self.sizes[shown.width_px, shown.height_px] += 1
        self.megapixels.add(shown.width_px * shown.height_px / 1e6)
        self.pixels += shown.width_px * shown.height_px
        self.file_sizes.add(shown.size_bytes)
        self._add_date(row["exif_date"])
        split = row["split"] or NO_SPLIT
        if split not in self.splits and len(self.splits) >= self.bounds.splits:
            split = OTHER_SPLITS
        self.splits[split].add(row["size_bytes"])
        for name, groups in ((row["group"], self.groups), (row["near_duplicate_group"], self.near)):
            if name is not None:
                groups[name].add(row["split"])
        self._add_flags(row["flags"], shown)
        self.sample.add(shown.hash, shown)

    def _add_date(self, date: Any) -> None:
        if date is None:
            return
        self.months[date.year, date.month] += 1
        self.first_date = date if self.first_date is None else min(self.first_date, date)
        self.last_date = date if self.last_date is None else max(self.last_date, date)

    def _add_flags(self, flags: list[str] | None, shown: Shown) -> None:
        if flags is None:
            return
        self.looked_at += 1
        self.flagged_pictures += bool(flags)
        for flag in set(flags):
            self.flags[flag] += 1
            self.flagged.setdefault(flag, Sample(self.bounds.flagged)).add(shown.hash, shown)

    def real_near(self) -> list[tuple[str, int]]:
        """Near-duplicate groups of at least two pictures, the largest first, then by name."""
        pairs = ((name, group.pictures) for name, group in self.near.items() if group.pictures > 1)
        return sorted(pairs, key=lambda pair: (-pair[1], pair[0]))

    def most_copied(self) -> list[tuple[str, int]]:
        """Hashes with copies, the most copied first, then by hash."""
        return sorted(self.copies.items(), key=lambda pair: (-pair[1], pair[0]))


def torn(groups: Mapping[str, GroupFacts]) -> list[tuple[str, GroupFacts]]:
    """Give the groups that are in more than one split, by name: what must not be."""
    return sorted(((name, group) for name, group in groups.items() if len(group.splits) > 1), key=lambda pair: pair[0])


def facts_of(manifest: Path, *, bounds: Bounds) -> Facts:
    """Read a manifest twice: once to count, once for the members of the groups that will be shown."""
    facts = Facts(bounds)
    for row in _rows(manifest):
        facts.add(row)
    facts.states = _in_order(facts.states)
    near = dict(facts.real_near()[: bounds.groups])
    copied = dict(facts.most_copied()[: bounds.copied])
    if near or copied:
        paths: dict[str, list[str]] = defaultdict(list)
        facts.shown_near = {name: [] for name in near}
        for row in _rows(manifest):
            if row["state"] == "duplicate" and row["hash"] in copied and len(paths[row["hash"]]) < bounds.names:
                paths[row["hash"]].append(row["source_path"])
            if row["state"] != "good":
                continue
            if row["hash"] in copied:
                facts.shown_copies[row["hash"]] = (Shown.of(row), paths[row["hash"]])
            members = facts.shown_near.get(row["near_duplicate_group"])
            if members is not None and len(members) < bounds.group_members:
                members.append(Shown.of(row))
        facts.shown_copies = {digest: facts.shown_copies[digest] for digest in copied if digest in facts.shown_copies}
    return facts


def pictures_of(manifest: Path, *, splits: Collection[str]) -> Iterator[tuple[Shown, str]]:
    """Yield every good picture with its split, as `Facts.splits` names it."""
    for row in _rows(manifest):
        if row["state"] == "good":
            split = row["split"] or NO_SPLIT
            yield Shown.of(row), split if split in splits else OTHER_SPLITS


def _rows(manifest: Path) -> Iterable[Mapping[str, Any]]:
    for batch in manifest_batches(manifest, columns=list(_WANTED)):
        yield from batch.to_pylist()


def _in_order(states: Mapping[str, Tally]) -> dict[str, Tally]:
    known = [state for state in STATES if state in states]
    return {state: states[state] for state in (*known, *sorted(set(states) - set(known)))}


def _is_hex(text: str) -> bool:
    return bool(text) and not set(text) - set("0123456789abcdef")
