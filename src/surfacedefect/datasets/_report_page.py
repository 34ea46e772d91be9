"""What stands on a report's page, section by section, as plain values for the template."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from surfacedefect._words import counted
from surfacedefect.datasets._report_facts import NO_SPLIT, Bins, Bounds, Facts, GroupFacts, Shown, torn
from surfacedefect.datasets._report_words import number, percent, size, span
from surfacedefect.datasets._thumbnails import Order
from surfacedefect.datasets.manifest import STATES
from surfacedefect.datasets.quarantine import KEPT

SIDE_PX = 224
_MOST_MONTHS = 24
_UNKNOWN = "a state that this version does not know"
_SPLITS = ("train", "valid", "test")
_GROUP_PICTURES = (1, 2, 3, 5, 10, 20, 50, 100, 300, 1000)


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a chart: its label, how long it is in percent of the longest, and the figure beside it."""

    label: str
    length: float
    text: str
    is_name: bool = False


class Pictures:
    """Thumbnails that the page wants, each made once however often it is shown."""

    def __init__(self) -> None:
        self.orders: dict[tuple[str, bool], Order] = {}

    def want(self, shown: Shown, *, note: str = "", order: Order | None = None) -> dict[str, Any]:
        """Ask for one; the template gets it by its key."""
        key = (shown.hash, order is not None)
        self.orders.setdefault(key, order or Order(shown, SIDE_PX))
        return {"key": key, "path": shown.path, "note": note or f"{shown.width_px} × {shown.height_px} px"}


def bars(pairs: Iterable[tuple[str, int]], *, of: int | None = None, is_name: bool = False) -> list[Bar]:
    """Make a chart of counts; with `of`, shares of it stand beside them."""
    rows = list(pairs)
    most = max((count for _, count in rows), default=0) or 1
    return [
        Bar(
            label,
            round(100 * count / most, 2),
            number(count) + (f" ({percent(count / of)})" if of else ""),
            is_name,
        )
        for label, count in rows
    ]


def histogram(bins: Bins, unit: str) -> list[Bar]:
    """Make a chart of a histogram."""
    return bars((span(lower, upper, unit), count) for lower, upper, count in bins.filled())


def overview(facts: Facts) -> dict[str, Any]:
    """Rows by state, with their share and meaning."""
    states = [
        {
            "name": state,
            "kind": state if state in KEPT else "aside",
            "meaning": STATES.get(state, _UNKNOWN),
            "rows": tally.rows,
            "size": size(tally.size_bytes),
            "share": percent(tally.rows / facts.rows),
        }
        for state, tally in facts.states.items()
    ]
    sources = sorted(facts.sources.items(), key=lambda pair: (-pair[1].rows, pair[0]))
    most = facts.bounds.names
    return {
        "states": states,
        "parts": _parts(facts),
        "sources": [
            {"name": name, "rows": tally.rows, "size": size(tally.size_bytes)} for name, tally in sources[:most]
        ],
        "more_sources": max(0, len(sources) - most),
        "gone": facts.gone,
        "size": size(sum(tally.size_bytes for tally in facts.states.values())),
    }


def _parts(facts: Facts) -> list[dict[str, Any]]:
    """Segments of the bar of all paths: (kind, text, left, width) in percent."""
    good, duplicates, aside = facts.good.rows, facts.duplicates.rows, facts.set_aside_rows
    counts = (
        ("good", counted(good, "good picture"), good),
        ("duplicate", counted(duplicates, "exact duplicate"), duplicates),
        ("aside", f"{number(aside)} set aside", aside),
    )
    left, parts = 0.0, []
    for kind, text, count in counts:
        width = 100 * count / facts.rows if facts.rows else 0
        parts.append({"kind": kind, "text": text, "left": round(left, 3), "width": round(width, 3)})
        left += width
    return parts


def sizes(facts: Facts) -> dict[str, Any]:
    """Histograms of the pictures themselves."""
    most = facts.bounds.names // 2
    common = facts.sizes.most_common()
    common.sort(key=lambda pair: (-pair[1], pair[0]))
    formats = sorted(((name, tally.rows) for name, tally in facts.formats.items()), key=lambda pair: -pair[1])
    return {
        "pixel_sizes": bars(((f"{w} × {h}", count) for (w, h), count in common[:most]), of=facts.good.rows),
        "more_sizes": max(0, len(common) - most),
        "megapixels": histogram(facts.megapixels, "MP"),
        "file_sizes": histogram(facts.file_sizes, "bytes"),
        "formats": bars(formats[: 2 * most], of=facts.good.rows),
        "more_formats": max(0, len(formats) - 2 * most),
        "dates": _dates(facts),
        "undated": facts.good.rows - facts.months.total(),
        "first_date": facts.first_date,
        "last_date": facts.last_date,
    }


def _dates(facts: Facts) -> list[Bar]:
    """Pictures by month, months without any too; over two years or more, by year."""
    if not facts.months:
        return []
    first, last = (12 * year + month - 1 for year, month in (min(facts.months), max(facts.months)))
    if last - first < _MOST_MONTHS:
        months = (divmod(at, 12) for at in range(first, last + 1))
        return bars((f"{year:04d}-{month + 1:02d}", facts.months[year, month + 1]) for year, month in months)
    years: dict[int, int] = {}
    for (year, _), count in facts.months.items():
        years[year] = years.get(year, 0) + count
    shown = sorted(years)[-_MOST_MONTHS:]
    before = sum(count for year, count in years.items() if year < shown[0])
    earlier = [(f"before {shown[0]}", before)] if before else []
    return bars([*earlier, *((f"{year:04d}", years[year]) for year in shown)])


def set_aside(facts: Facts, pictures: Pictures) -> list[dict[str, Any]]:
    """Set-aside rows by state; those that are sound pictures all the same with a thumbnail."""
    found = []
    for state, tally in facts.states.items():
        if state in KEPT:
            continue
        rows = facts.set_aside[state]
        sound = [row for row in rows if state == "wrong_extension" and row.hash][: facts.bounds.group_members]
        found.append(
            {
                "name": state,
                "meaning": STATES.get(state, _UNKNOWN),
                "count": tally.rows,
                "rows": [{"row": row, "size": size(row.size_bytes)} for row in rows],
                "more": tally.rows - len(rows),
                "pictures": [pictures.want(Shown.of(asdict(row)), note=row.reason) for row in sound],
            }
        )
    return found


def copied(facts: Facts, pictures: Pictures) -> dict[str, Any]:
    """Exact duplicates: the most copied pictures, and what storing each once saves."""
    shown = []
    for digest, (kept, paths) in facts.shown_copies.items():
        count = facts.copies[digest]
        shown.append(
            {
                "picture": pictures.want(kept, note=f"{counted(count, 'copy')}, {size(count * kept.size_bytes)} saved"),
                "path": kept.path,
                "copies": paths,
                "more": count - len(paths),
            }
        )
    return {
        "rows": facts.duplicates.rows,
        "pictures": len(facts.copies),
        "saved": size(facts.duplicates.size_bytes),
        "shown": shown,
        "more": len(facts.copies) - len(shown),
    }


def near_duplicates(facts: Facts, pictures: Pictures) -> dict[str, Any]:
    """Show groups of pictures that are nearly the same."""
    groups = facts.real_near()
    return {
        "known": bool(facts.near),
        "unknown": facts.good.rows - sum(group.pictures for group in facts.near.values()),
        "groups": len(groups),
        "pictures": sum(count for _, count in groups),
        "shown": [
            {
                "name": name,
                "count": count,
                "pictures": [pictures.want(shown) for shown in facts.shown_near[name]],
                "more": count - len(facts.shown_near[name]),
                "splits": sorted(facts.near[name].splits),
            }
            for name, count in groups[: facts.bounds.groups]
        ],
        "more": max(0, len(groups) - facts.bounds.groups),
    }


def flags(facts: Facts, pictures: Pictures) -> dict[str, Any]:
    """Show what a check found wrong with pictures that are sound."""
    ordered = sorted(facts.flags.items(), key=lambda pair: (-pair[1], pair[0]))
    most = facts.bounds.flags
    return {
        "known": facts.looked_at,
        "unknown": facts.good.rows - facts.looked_at,
        "flagged": facts.flagged_pictures,
        "chart": bars(ordered[:most], of=facts.looked_at, is_name=True),
        "shown": [
            {
                "name": flag,
                "count": count,
                "pictures": (shown := [pictures.want(one) for one in facts.flagged[flag]]),
                "more": count - len(shown),
            }
            for flag, count in ordered[:most]
        ],
        "more": max(0, len(ordered) - most),
    }


def splits(facts: Facts) -> dict[str, Any]:
    """Pictures by split and by group, and groups that are torn."""
    names = split_order(facts.splits)
    return {
        "known": any(name != NO_SPLIT for name in names),
        "rows": [
            {
                "name": name,
                "pictures": facts.splits[name].rows,
                "share": percent(facts.splits[name].rows / facts.good.rows),
                "size": size(facts.splits[name].size_bytes),
                "groups": sum(name in group.splits for group in facts.groups.values()),
            }
            for name in names
        ],
        "chart": bars(((name, facts.splits[name].rows) for name in names), of=facts.good.rows, is_name=True),
        "torn": _torn(facts.groups, facts.bounds),
        "torn_near": _torn(facts.near, facts.bounds),
    }


def groups(facts: Facts) -> dict[str, Any]:
    """Count what belongs together, such as one car."""
    ordered = sorted(facts.groups.items(), key=lambda pair: (-pair[1].pictures, pair[0]))
    most = facts.bounds.names // 2
    spread = Bins(_GROUP_PICTURES)
    for _, group in ordered:
        spread.add(group.pictures)
    return {
        "count": len(ordered),
        "without": facts.good.rows - sum(group.pictures for _, group in ordered),
        "spread": bars((_pictures_span(low, high), count) for low, high, count in spread.filled()),
        "largest": bars(((name, group.pictures) for name, group in ordered[:most]), is_name=True),
        "more": max(0, len(ordered) - most),
    }


def _pictures_span(lower: float, upper: float) -> str:
    if math.isinf(upper):
        return f"{lower:,.0f} pictures and more"
    return counted(int(lower), "picture") if upper - lower == 1 else f"{lower:,.0f} to {upper - 1:,.0f} pictures"


def _torn(groups: dict[str, GroupFacts], bounds: Bounds) -> dict[str, Any]:
    found = torn(groups)
    shown = [{"name": name, "splits": sorted(group.splits)} for name, group in found[: bounds.names]]
    return {"count": len(found), "shown": shown, "more": len(found) - len(shown)}


def split_order(names: Iterable[str]) -> list[str]:
    """Put train, valid and test first, what has no split last."""

    def rank(name: str) -> tuple[int, str]:
        return _SPLITS.index(name) if name in _SPLITS else len(_SPLITS) + (name == NO_SPLIT), name

    return sorted(names, key=rank)


def key_figures(facts: Facts) -> Sequence[tuple[str, str, str]]:
    """Give (what, figure, note) for the top of the page."""
    share = percent(facts.set_aside_rows / facts.rows) if facts.rows else ""
    megapixels = f"{size(facts.good.size_bytes)}, {number(facts.pixels / 1e6)} megapixels"
    return (
        ("good pictures", number(facts.good.rows), megapixels),
        ("paths found", number(facts.rows), counted(len(facts.sources), "source")),
        ("set aside", number(facts.set_aside_rows), f"{share} of the paths" if share else ""),
        ("exact duplicates", number(facts.duplicates.rows), f"{size(facts.duplicates.size_bytes)} saved"),
    )
