"""`split`: train, valid and test, so that what hangs together stays together and what was given stays given."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

from surfacedefect._files import write_json
from surfacedefect._words import shortened
from surfacedefect.datasets import _split_report
from surfacedefect.datasets._layout import Layout
from surfacedefect.datasets._split_report import SplitCount
from surfacedefect.datasets._strata import strata_in
from surfacedefect.datasets._stratify import Stratum, assign, strata_of
from surfacedefect.datasets._units import SPLITS, PictureRow, Unit, picture_rows, units_of
from surfacedefect.datasets.labels import Labels
from surfacedefect.datasets.manifest import change_manifest, manifest_version
from surfacedefect.datasets.options import SplitOptions
from surfacedefect.errors import DatasetError, OptionError


@dataclass(frozen=True, slots=True)
class Moved:
    """A picture that was in one split and now is in another, as it hangs together with pictures of that one."""

    source_path: str
    hash: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class SplitReport:
    """What a split did.

    Attributes
    ----------
    splits
        ``"train"``, ``"valid"``, ``"test"`` -> what is in it now.
    shares
        Share of the pictures that was asked for each.
    new
        Pictures that got a split now.
    moved
        Pictures that changed theirs, by hash.
    warnings
        What a person should look at, one line each.
    seed, group_pattern
        What was used, given or remembered.
    version
        SHA-256 of the manifest; None after a dry run.
    """

    splits: Mapping[str, SplitCount]
    shares: Mapping[str, float]
    new: int
    moved: tuple[Moved, ...]
    warnings: tuple[str, ...]
    seed: int
    group_pattern: str | None
    version: str | None


def split(
    dest: str | os.PathLike[str],
    *,
    options: SplitOptions | None = None,
    labels: Labels | None = None,
    dry_run: bool = False,
) -> SplitReport:
    """Give every good picture of a data set and its byte duplicates a split; write it and the groups to the manifest.

    Pictures that share a hash, a group or a near-duplicate group, directly or through others, are one unit and go into
    one split. A unit that has a split keeps it. Where new pictures join units of different splits, all go into the
    first of train, valid, test among them: what was trained on is never judged by. The other units are spread by
    iterative stratification over kinds and damaged share, in an order that depends on the seed and the pictures alone.

    Parameters
    ----------
    dest
        Folder of the data set.
    options
        Shares, seed, pattern of the groups; None for those of the last time, or the defaults.
    labels
        Annotations of the pictures, see `read_labels`: their kinds and areas are balanced, and their groups are used
        where the pattern finds none. Without them only the numbers of pictures are balanced.
    dry_run
        True: report, and write nothing.

    Raises
    ------
    OptionError
        The seed is another than the last time and `SplitOptions.again` is not set, or the pattern fits no path.
    DatasetError
        There is no manifest, it is damaged, or it has no good picture.
    DatasetLockedError
        Something else is writing into `dest`.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from surfacedefect.datasets import ingest
    >>> share, dest = Path(tempfile.mkdtemp()), Path(tempfile.mkdtemp()) / "set"
    >>> for number in range(20):
    ...     Image.new("L", (8, 8), number).save(share / f"car{number // 2}-{number % 2}.png")
    >>> _ = ingest(share, dest)
    >>> report = split(dest, options=SplitOptions(group_pattern="(?P<group>car[0-9]+)-"))
    >>> report.splits["train"].pictures, report.splits["train"].units
    (14, 7)
    """
    layout, given = Layout(dest), options or SplitOptions()
    if not dry_run:
        layout.need_manifest()
    with nullcontext() if dry_run else layout.locked():
        return _Split(layout, options=given, labels=labels).run(dry_run=dry_run)


class _Split:
    """One split, under the lock."""

    def __init__(self, layout: Layout, *, options: SplitOptions, labels: Labels | None) -> None:
        self._layout, self._labels = layout, labels
        rows = picture_rows(layout.manifest)
        if not rows:
            raise DatasetError(
                f"'{shortened(layout.folder)}' has no good picture; expected some: see the states in its manifest"
            )
        last, begun = _last(layout), any(row.split for row in rows)
        self._options = _resolved(options, last=last, begun=begun)
        self._forgotten = begun and last is None and not options.again
        self.rows = self._grouped(rows, fresh=options.again and bool(options.group_pattern or labels))

    def run(self, *, dry_run: bool) -> SplitReport:
        options, units = self._options, units_of(self.rows)
        shares = dict(zip(SPLITS, options.shares or (), strict=True))
        before = {} if options.again else _known_splits(self.rows)
        after = self._assigned(units, before=before, shares=shares)
        paths = {row.hash: row.source_path for row in reversed(self.rows)}
        if not dry_run:
            self._write(after)
        return SplitReport(
            splits=_split_report.counts(units, after, labels=self._labels),
            shares=shares,
            new=sum(digest not in before for digest in after),
            moved=tuple(
                Moved(paths[digest], digest, before[digest], split)
                for digest, split in sorted(after.items())
                if before.get(digest, split) != split
            ),
            warnings=self._warnings(units, after, shares=shares),
            seed=options.seed or 0,
            group_pattern=options.group_pattern or None,
            version=None if dry_run else manifest_version(self._layout.folder),
        )

    def _warnings(
        self, units: Sequence[Unit], splits: Mapping[str, str], *, shares: Mapping[str, float]
    ) -> tuple[str, ...]:
        lines = _split_report.warnings(units, splits, shares=shares, labels=self._labels)
        if not self._forgotten:
            return tuple(lines)
        name = self._layout.split.name
        return (f"there is no {name}: seed, shares and pattern of the earlier split are not known", *lines)

    def _grouped(self, rows: Iterable[PictureRow], *, fresh: bool) -> list[PictureRow]:
        """Give each path its group: what the pattern finds, else what the annotations say, else what it was."""
        pattern = re.compile(self._options.group_pattern) if self._options.group_pattern else None
        annotated = self._labels.by_hash if self._labels else {}
        grouped, fits = [], False
        for row in rows:
            found = pattern.search(row.source_path) if pattern else None
            fits |= found is not None
            image = annotated.get(row.hash)
            group = (found["group"] if found else None) or (image.group if image else None)
            grouped.append(replace(row, group=group or (None if fresh else row.group)))
        if pattern and not fits:
            raise OptionError(
                f"group_pattern is {pattern.pattern!r}, which fits no path of a picture, such as "
                f"{shortened(grouped[0].source_path)!r}; expected one that does"
            )
        return grouped

    def _assigned(
        self, units: Sequence[Unit], *, before: Mapping[str, str], shares: Mapping[str, float]
    ) -> dict[str, str]:
        """Return the split of each picture."""
        known = self._labels.by_hash if self._labels else {}
        strata = {unit.key: strata_of([strata_in(known.get(digest)) for digest in unit.hashes]) for unit in units}
        kept = {unit.key: first for unit in units if (first := _first_split(unit, before))}
        given: dict[str, Counter[Stratum]] = {name: Counter() for name in SPLITS}
        for key, name in kept.items():
            given[name].update(strata[key])
        new = {key: counts for key, counts in strata.items() if key not in kept}
        of_unit = kept | assign(new, given=given, shares=shares, seed=self._options.seed or 0)
        return {digest: of_unit[unit.key] for unit in units for digest in unit.hashes}

    def _write(self, splits: Mapping[str, str]) -> None:
        groups = {(row.source, row.source_path): row.group for row in self.rows}

        def change(row: dict[str, Any]) -> dict[str, Any]:
            place = (row["source"], row["source_path"])
            if place not in groups:
                return {"split": None}  # set aside since
            return {"group": groups[place], "split": splits[row["hash"]]}

        # In this order: killed between the two, the next run has the seed and no splits yet, and does the same.
        options = self._options
        write_json(
            self._layout.split,
            {"seed": options.seed, "shares": options.shares, "group_pattern": options.group_pattern or None},
        )
        change_manifest(self._layout, change)


def _known_splits(rows: Iterable[PictureRow]) -> dict[str, str]:
    """Split of each picture that has one; of several the first of train, valid, test."""
    known: dict[str, str] = {}
    for row in rows:
        if row.split:
            known[row.hash] = min(known.get(row.hash, row.split), row.split, key=SPLITS.index)
    return known


def _first_split(unit: Unit, before: Mapping[str, str]) -> str | None:
    found = {before[digest] for digest in unit.hashes if digest in before}
    return min(found, key=SPLITS.index, default=None)


def _last(layout: Layout) -> SplitOptions | None:
    """Return the options of the last split, if there was one."""
    if not layout.split.exists():
        return None
    try:
        told = json.loads(layout.split.read_text(encoding="utf-8"))
        return SplitOptions(shares=tuple(told["shares"]), seed=told["seed"], group_pattern=told["group_pattern"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f"'{shortened(layout.split)}' cannot be understood ({shortened(error)}); expected what a split wrote: "
            "bring it back from a copy, or remove it and give seed, shares and pattern again"
        ) from error


def _resolved(options: SplitOptions, *, last: SplitOptions | None, begun: bool) -> SplitOptions:
    """Fill in what was not given; refuse a seed that is not the one by which pictures were given."""
    kept = last or SplitOptions(shares=(0.7, 0.15, 0.15), seed=0)
    if begun and not options.again and last is not None and options.seed not in (None, last.seed):
        raise OptionError(
            f"seed is {options.seed}, but the pictures were split with seed {last.seed}; expected the same, or none, "
            "as pictures keep their split. To give every picture a split anew: again (--again)"
        )
    given = {name: getattr(options, name) for name in ("shares", "seed", "group_pattern")}
    return replace(kept, again=options.again, **{name: value for name, value in given.items() if value is not None})
