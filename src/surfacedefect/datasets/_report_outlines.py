"""What stands on a report's page about annotations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from surfacedefect._words import counted
from surfacedefect.datasets._prevalence import ALL, IGNORE, RULES, Prevalence
from surfacedefect.datasets._report_facts import Bounds
from surfacedefect.datasets._report_labels import LabelFacts, SplitLabels
from surfacedefect.datasets._report_page import Pictures, bars, histogram, split_order
from surfacedefect.datasets._report_words import percent
from surfacedefect.datasets._thumbnails import Order

OUTLINED_PX = 336
# Told apart by people who see colours differently too (after Okabe and Ito), and bright enough on any paint.
_COLOURS = (
    (255, 214, 0), (86, 180, 233), (240, 110, 40), (0, 200, 140), (230, 120, 190), (120, 150, 255), (250, 240, 170),
)  # fmt: skip
_IGNORED = (190, 190, 190)


def outlines(facts: LabelFacts, pictures: Pictures, *, bounds: Bounds) -> dict[str, Any]:
    """Class balance, prevalence, sizes of regions, issues, and pictures with their outlines."""
    total, names = facts.total, split_order(facts.splits)
    colours = colours_of(facts)
    used = [*facts.kinds, *([IGNORE] if total.regions[IGNORE] else [])]
    issues = facts.labels.issues
    return {
        "total": total,
        "regions": sum(total.regions[kind] for kind in facts.kinds),
        "set_aside": len(facts.labels.by_hash) - total.pictures,
        "others": len(facts.others),
        "kinds": [{"name": kind, "colour": _hex(colours[kind])} for kind in used],
        "splits": names,
        "balance": [_balance(facts, total, kind, names) for kind in used],
        "balance_chart": bars(((kind, total.regions[kind]) for kind in used), is_name=True),
        "prevalence": [_prevalence(kind or "all kinds", total.prevalence.get(kind)) for kind in (*facts.kinds, ALL)],
        "by_split": [
            {"pictures": facts.splits[name].pictures, "clean": facts.splits[name].clean}
            | _prevalence(name, facts.splits[name].prevalence.get(ALL))
            for name in names
        ],
        "areas": [(kind, histogram(facts.areas[kind], "px²")) for kind in facts.kinds if total.regions[kind]],
        "lengths": [(kind, histogram(facts.lengths[kind], "px")) for kind in facts.kinds if total.regions[kind]],
        "pictures": [
            pictures.want(shown, note=_told(regions), order=Order(shown, OUTLINED_PX, regions, colours))
            for shown, regions in facts.shown
        ],
        "issues": issues[: bounds.issues],
        "issue_count": len(issues),
        "issues_aside": sum(issue.set_aside for issue in issues),
        "more_issues": max(0, len(issues) - bounds.issues),
        "rules": RULES,
    }


def colours_of(facts: LabelFacts) -> Mapping[str, tuple[int, int, int]]:
    """Colour of each kind, the same on thumbnails and in the legend."""
    named = {kind: _COLOURS[at % len(_COLOURS)] for at, kind in enumerate(facts.kinds)}
    return {**named, IGNORE: _IGNORED}


def _balance(facts: LabelFacts, total: SplitLabels, kind: str, names: list[str]) -> dict[str, Any]:
    def cell(labels: SplitLabels) -> dict[str, Any]:
        damage = sum(labels.regions[one] for one in facts.kinds)
        share = None if kind == IGNORE or not damage else labels.regions[kind] / damage
        return {"regions": labels.regions[kind], "share": "" if share is None else percent(share)}

    return {
        "name": kind,
        "pictures": total.pictures_with[kind],
        "all": cell(total),
        "splits": [cell(facts.splits[name]) for name in names],
    }


def _prevalence(name: str, counts: Prevalence | None) -> dict[str, Any]:
    counts = counts or Prevalence()
    return {
        "name": name,
        "counts": counts,
        "judged": counts.damaged_tiles + counts.clean_tiles,
        "pixels": percent(counts.pixel_share),
        "tiles": percent(counts.tile_share),
        "all_clean": percent(None if counts.tile_share is None else 1 - counts.tile_share),
    }


def _told(regions: tuple[Any, ...]) -> str:
    kinds: dict[str, int] = {}
    for region in regions:
        kinds[region.kind] = kinds.get(region.kind, 0) + 1
    return ", ".join(f"{count} {kind}" for kind, count in kinds.items()) or counted(0, "region")


def _hex(colour: tuple[int, int, int]) -> str:
    return "#" + "".join(f"{value:02x}" for value in colour)
