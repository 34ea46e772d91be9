"""From what a person clicked to the decision that is kept: which outline is meant, and how it looked."""

from __future__ import annotations

from pathlib import Path

from surfacedefect._words import shortened
from surfacedefect.errors import WebError
from surfacedefect.web import merging, results
from surfacedefect.web.review import Event, Reviews
from surfacedefect.web.shelf import Shelf
from surfacedefect.web.values import ACTIONS, Decision, Outline, Review, Verdict

_MOST_KIND_LETTERS = 40
_MOST_ID_LETTERS = 40


class Desk:
    """Brings together what was found and what was decided.

    Parameters
    ----------
    shelf, reviews
        Where each is kept.
    mm_per_px
        Scale of scans that were not inspected.
    """

    def __init__(self, shelf: Shelf, reviews: Reviews, *, mm_per_px: float | None) -> None:
        self._shelf, self._reviews, self._mm_per_px = shelf, reviews, mm_per_px

    def merged(self, name: str, path: Path, threshold: results.Thresholds, held: Review) -> merging.Merged:
        """Return what was found at a threshold, merged with what was decided."""
        result = self._shelf.result(name, path)
        found = None if result is None else result.at(threshold)
        pm = None if result is None else result.map
        size = (pm.width, pm.height) if pm else self._shelf.size(name, path) if held.decisions else None
        return merging.merged(found, held.decisions, size=size, pm=pm, mm_per_px=None if pm else self._mm_per_px)

    def event(self, name: str, path: Path, decision: Decision, held: Review) -> Event:
        """Return what is to be kept of a decision.

        Raises
        ------
        WebError
            There is no such outline, or the decision is none.
        """
        action = decision.action
        if action not in ACTIONS:
            raise WebError(f"there is no action '{shortened(action, most=40)}'; expected one of {', '.join(ACTIONS)}")
        kind = None if decision.kind is None else _checked_kind(decision.kind)
        drawn = None
        if action in ("redraw", "add"):
            width, height = self._shelf.size(name, path)
            drawn = merging.exterior(decision.polygon, width=width, height=height)
        if action in ("kind", "add") and kind is None:
            raise WebError(f"'{action}' says no kind; expected one, such as 'scratch'")
        if action == "add":
            number = 1 + max((int(v.outline[6:]) for v in held.decisions if _is_added(v)), default=held.version)
            return self._reviews.event(outline=f"added-{number}", action=action, kind=kind, polygon=drawn)
        outline, target = self._seen(name, path, decision, held)
        by_hand = outline.found_kind is None
        if action == "remove" and not by_hand:
            raise WebError("only an outline that was added can be removed; reject what the model found")
        known = next((verdict for verdict in held.decisions if verdict.outline == target), None)
        # What a person drew hides the model's outline, which is kept with the decision already.
        seen = (
            {}
            if by_hand or (known is not None and known.polygon is not None)
            else {
                "found_kind": outline.found_kind,
                "found": outline.polygon,
                "found_holes": outline.holes,
                "score": outline.score,
            }
        )
        return self._reviews.event(
            outline=target,
            action=action,
            kind=kind or outline.kind,
            polygon=drawn,
            threshold=decision.threshold,
            **seen,
        )

    def _seen(self, name: str, path: Path, decision: Decision, held: Review) -> tuple[Outline, str]:
        """Find the outline that a decision is about, and the id to keep it under."""
        thresholds: list[results.Thresholds] = [decision.threshold, held.threshold, None]
        result = self._shelf.result(name, path)
        if result is not None:
            # At whatever threshold somebody looked at it lately.
            thresholds += [dict(found.thresholds) for found in result.remembered()]
        for threshold in thresholds:
            merged = self.merged(name, path, threshold, held)
            for outline in merged.outlines:
                if outline.id == decision.outline:
                    parent = merged.decided_as.get(outline.id, outline.id)
                    return outline, parent if decision.action == "clear" else outline.id
        shown = shortened(decision.outline, most=60)
        raise WebError(f"there is no outline '{shown}' on this scan any more; look at the list again")


def _checked_kind(kind: str) -> str:
    text = str(kind).strip()
    if not text or len(text) > _MOST_KIND_LETTERS or not text.isprintable() or "," in text or text[0] in "=+-@":
        # A spreadsheet takes what begins like this for a formula.
        raise WebError(f"the kind is {shortened(repr(kind), most=60)}; expected a short name, such as 'scratch'")
    return text


def _is_added(verdict: Verdict) -> bool:
    return (
        verdict.outline.startswith("added-")
        and verdict.outline[6:].isdecimal()
        and len(verdict.outline) < _MOST_ID_LETTERS
    )
