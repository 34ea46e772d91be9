"""The page's two dialogs: what the keys do, and somebody else's save."""

from __future__ import annotations

from typing import Any

from dash import html

KEYS = (
    ("Defects", (("↓ ↑ or J K", "next, previous defect"), ("Enter", "go to the chosen one"), ("N", "next undecided"))),
    (
        "Decide",
        (
            ("A", "accept"),
            ("R", "reject"),
            ("1 to 4", "change its kind"),
            ("E", "redraw its outline"),
            ("D", "draw missed damage"),
            ("Delete", "remove a drawn one"),
            ("U", "undo"),
            ("Y", "redo"),
        ),
    ),
    (
        "Scan",
        (
            ("+ -", "closer, further away"),
            ("F", "whole scan"),
            ("0", "one to one"),
            ("Shift + arrows", "move the scan"),
            ("S", "side by side"),
            ("H", "hide the colours"),
        ),
    ),
    (
        "Page",
        (
            ("[ ]", "previous, next scan"),
            ("I", "inspect"),
            ("V", "colours and opacity"),
            ("T", "dark or light"),
            ("/ or ?", "this help"),
            ("Esc", "close, or leave a drawing"),
        ),
    ),
)


def dialogs() -> list[Any]:
    """Return the dialogs, closed."""
    return [
        html.Dialog(
            [
                html.Div([html.H2("Keyboard", id="help-title"), _close("close-help")], className="panel-head"),
                html.Div([_keys(title, rows) for title, rows in KEYS], className="keys"),
                html.P(
                    "Every decision is saved at once, in a file beside the scan. Nothing is sent anywhere but to the "
                    "server named at the top."
                ),
            ],
            id="help",
            className="dialog",
            **_aria(labelledby="help-title"),
        ),
        html.Dialog(
            [
                html.H2("Somebody else has saved this scan", id="conflict-title"),
                html.P("", id="conflict-text"),
                html.Div(
                    [
                        html.Button("Keep mine too", id="conflict-mine", type="button", className="button main"),
                        html.Button("Take theirs, drop mine", id="conflict-theirs", type="button", className="button"),
                    ],
                    className="choices",
                ),
            ],
            id="conflict",
            className="dialog small",
            **_aria(labelledby="conflict-title", describedby="conflict-text"),
        ),
    ]


def _keys(title: str, rows: tuple[tuple[str, str], ...]) -> Any:
    pairs = [part for key, what in rows for part in (html.Dt(key), html.Dd(what))]
    return html.Section([html.H3(title), html.Dl(pairs)])


def _close(name: str) -> Any:
    return html.Button(
        html.I(className="icon close"), id=name, type="button", className="button icon-only", **_aria(label="Close")
    )


def _aria(**values: str) -> dict[str, Any]:
    return {f"aria-{name}": value for name, value in values.items()}
