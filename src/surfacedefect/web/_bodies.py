"""Reading what the page sends, with words for everything that is not as it should be."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from flask import request

from surfacedefect.errors import WebError
from surfacedefect.web.values import ACTIONS, Decision

MAX_BODY_BYTES = 2**20
MAX_NAME = 1024
MAX_CORNERS = 5000
MAX_NOTE = 4000


def body() -> Mapping[str, Any]:
    """Return the JSON object that a request carries.

    Raises
    ------
    WebError
        It is too large, or not a JSON object.
    """
    if (request.content_length or 0) > MAX_BODY_BYTES:
        raise WebError(f"the request has {request.content_length} bytes; at most {MAX_BODY_BYTES} are read")
    # The type is asked for because a form of another site cannot have it.
    if request.mimetype != "application/json":
        raise WebError(f"the request is '{request.mimetype[:60]}'; expected application/json")
    try:
        given = request.get_json(silent=True)
    except RecursionError:  # brackets within brackets
        given = None
    if not isinstance(given, dict):
        raise WebError("the request is not a JSON object")
    return given


def text(given: Mapping[str, Any], name: str) -> str:
    """Return a text that must be there."""
    value = given.get(name)
    if not isinstance(value, str) or not value or len(value) > MAX_NAME:
        raise WebError(f"'{name}' is missing, or no text of 1 to {MAX_NAME} letters")
    return value


def number(
    given: Mapping[str, Any], name: str, *, least: float, most: float = math.inf, needed: bool = False
) -> float | None:
    """Return a number within its range, or None where it is absent and may be."""
    value = given.get(name)
    if value is None or value == "":
        if needed:
            raise WebError(f"'{name}' is missing; expected a number")
        return None
    try:
        found = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        found = math.nan
    if not least <= found <= most or math.isinf(found):
        raise WebError(f"'{name}' is '{str(value)[:40]}'; expected a number from {least:g} to {most:g}")
    return found


def whole(given: Mapping[str, Any], name: str) -> int:
    """Return a whole number from 0 on, which must be there."""
    found = number(given, name, least=0, needed=True) or 0.0
    if found != int(found):
        raise WebError(f"'{name}' is '{found:g}'; expected a whole number")
    return int(found)


def flag(given: Mapping[str, Any], name: str) -> bool:
    """Return true or false, which must be there."""
    value = given.get(name)
    if not isinstance(value, bool):
        raise WebError(f"'{name}' is '{str(value)[:40]}'; expected true or false")
    return value


def note(given: Mapping[str, Any]) -> str:
    """Return a note; a longer one is refused, as what is cut off would be lost unseen."""
    value = given.get("note")
    if not isinstance(value, str):
        raise WebError("'note' is no text")
    if len(value) > MAX_NOTE:
        raise WebError(f"the note has {len(value):,} letters; expected at most {MAX_NOTE:,}")
    return value


def decision(given: Mapping[str, Any]) -> Decision:
    """Return the decision that a request describes; the workspace checks that it fits the scan."""
    action = text(given, "action")
    if action not in ACTIONS:
        raise WebError(f"the action is '{action[:40]}'; expected one of {', '.join(ACTIONS)}")
    kind = text(given, "kind") if given.get("kind") is not None else None
    polygon = _polygon(given["polygon"]) if given.get("polygon") is not None else None
    outline = "" if action == "add" else text(given, "outline")
    threshold = number(given, "threshold", least=0, most=1)
    return Decision(outline, action, kind=kind, polygon=polygon, threshold=threshold)


def _polygon(value: Any) -> tuple[tuple[float, float], ...]:
    """Return a ring of corners, (x, y) in px."""
    if not isinstance(value, list) or not 3 <= len(value) <= MAX_CORNERS:
        raise WebError(f"the polygon is no list of 3 to {MAX_CORNERS} corners")
    corners = []
    for corner in value:
        if not isinstance(corner, list) or len(corner) != 2 or not all(_is_coordinate(part) for part in corner):
            raise WebError("the polygon has a corner that is not [x, y] in px")
        corners.append((float(corner[0]), float(corner[1])))
    return tuple(corners)


def _is_coordinate(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and abs(value) < 1e7
