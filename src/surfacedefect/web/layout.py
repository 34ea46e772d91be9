"""The page's skeleton: what stands where, and what it is called for a screen reader.

Everything that changes while somebody works is filled in by the scripts in ``assets/``; no text of a scan is in here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from dash import dcc, html

from surfacedefect.web._dialogs import dialogs

Part = Any  # a Dash component, or a text


def make_layout(
    *, folder: str, palettes: Mapping[str, Any], max_upload_bytes: int, open_scan: str | None = None
) -> Part:
    """Return the page.

    Parameters
    ----------
    folder
        What the folder is called in the head of the page.
    palettes
        Colours by palette, for the scripts.
    max_upload_bytes
        Said before a file is sent that would be refused.
    open_scan
        Name of the scan that is opened first.
    """
    config = {"palettes": palettes, "maxUploadBytes": max_upload_bytes, "openScan": open_scan}
    return html.Div(
        [
            html.A("Skip to the scan", href="#picture-panel", className="skip"),
            html.A("Skip to the defects", href="#defects-panel", className="skip"),
            _head(folder),
            html.Div(id="banners", className="banners"),
            html.Main([_scans(), _picture(), _defects()], id="desk", className="desk"),
            _tabs(),
            html.Div(id="live", className="unseen", role="status", **_aria(live="polite")),
            html.Div(id="alerts", className="unseen", role="alert"),
            html.Div(id="toasts", className="toasts"),
            *dialogs(),
            # What the scripts and the callbacks tell each other.
            dcc.Store(id="opened"),
            dcc.Store(id="ready"),
        ],
        id="page",
        className="page",
        **_more({"data-view": "picture", "data-config": json.dumps(config)}),
    )


def _head(folder: str) -> Part:
    return html.Header(
        [
            html.H1(["surfacedefect", html.Span("inspection", className="brand-more")], className="brand"),
            # The style cuts it off at its left, by writing it from right to left: its letters must not be.
            html.Span(html.Bdi(folder, dir="ltr"), className="folder", title=folder),
            html.Span(className="gap"),
            html.Span("", id="saved", className="saved", role="status"),
            html.Span(
                [html.I(className="dot"), html.Span("Connecting", id="server-text")], id="server", className="pill"
            ),
            _button("theme", "Dark or light", icon="contrast", title="Dark or light (T)"),
            _button("open-help", "Keyboard and help", icon="help", title="Keyboard and help (?)"),
        ],
        className="head",
    )


def _scans() -> Part:
    return html.Nav(
        [
            html.Div([html.H2("Scans"), html.Span("", id="scan-count", className="count")], className="panel-head"),
            html.Div(
                [
                    html.Label("Find a scan", htmlFor="scan-filter", className="unseen"),
                    html.Div(id="scan-filter-slot"),
                    html.Label("Which scans", htmlFor="scan-state", className="unseen"),
                    html.Div(id="scan-state-slot"),
                ],
                className="scan-tools",
            ),
            html.Ul(id="scan-list", className="scan-list", **_aria(label="Scans in this folder")),
            html.Div(
                [
                    _button("upload", "Add scans", icon="upload", words=True),
                    html.Span("or drop files anywhere", className="hint"),
                    html.Div(id="upload-slot", className="unseen"),
                ],
                className="drop",
            ),
        ],
        id="scans-panel",
        className="panel scans",
        tabIndex="-1",
        **_aria(label="Scans"),
    )


def _picture() -> Part:
    return html.Section(
        [
            html.Div(
                [html.H2("No scan chosen", id="scan-title", className="scan-title"), _tools()],
                className="panel-head bar",
            ),
            html.Div(
                [
                    html.Div(id="panes", className="panes"),
                    html.Div(id="over", className="over"),
                    html.Div(
                        id="drawing",
                        className="drawing",
                        hidden=True,
                        role="group",
                        **_aria(label="Outline being drawn"),
                    ),
                    html.Div(
                        [
                            _button("zoom-in", "Closer", icon="plus", title="Closer (+)"),
                            _button("zoom-out", "Further away", icon="minus", title="Further away (-)"),
                            _button("zoom-fit", "Whole scan", icon="fit", title="Whole scan (F)"),
                            _button("zoom-one", "One to one", text="1:1", title="One scan pixel a screen pixel (0)"),
                        ],
                        className="zooms",
                        role="group",
                        **_aria(label="Zoom"),
                    ),
                    html.Div(
                        [html.Div(id="scale-line"), html.Span(id="scale-text")],
                        id="scale",
                        className="scale",
                        hidden=True,
                    ),
                ],
                id="viewer",
                className="viewer",
            ),
            html.Div(
                id="decide",
                className="decide",
                role="group",
                hidden=True,
                **_aria(label="Decision on the chosen defect"),
            ),
            html.Div(id="facts", className="facts"),
        ],
        id="picture-panel",
        className="panel picture",
        tabIndex="-1",
        **_aria(label="Scan"),
    )


def _tools() -> Part:
    return html.Div(
        [
            _button("run", "Inspect", icon="play", words=True, hidden=True),
            _button(
                "beside",
                "Side by side",
                icon="columns",
                title="Beside the bare picture (S)",
                **_more({"aria-pressed": "false"}),
            ),
            _button("add", "Draw missed damage", icon="pen", title="Draw damage that was missed (D)", disabled=True),
            html.Div(
                [
                    _button(
                        "view",
                        "View",
                        icon="sliders",
                        title="Colours and opacity (V)",
                        **_more({"aria-expanded": "false", "aria-controls": "view-menu"}),
                    ),
                    html.Div(
                        _view(), id="view-menu", className="menu", hidden=True, role="group", **_aria(label="View")
                    ),
                ],
                className="menu-of",
            ),
        ],
        className="tools",
    )


def _view() -> list[Part]:
    return [
        html.Label("Opacity of the colours", htmlFor="opacity"),
        html.Div(id="opacity-slot"),
        html.Label("Colours", htmlFor="palette"),
        html.Div(id="palette-slot"),
        html.Div(id="legend", className="legend"),
        html.Div(id="switches", className="switches"),
    ]


def _defects() -> Part:
    return html.Aside(
        [
            html.Div(
                [
                    html.H2("Defects"),
                    html.Span("", id="defect-count", className="count"),
                    html.Span(className="gap"),
                    _history(),
                ],
                className="panel-head",
            ),
            html.Div(
                [
                    html.Div(
                        [html.Label("Threshold", htmlFor="threshold"), html.Output("", id="threshold-text")],
                        className="pair",
                    ),
                    html.Div(id="threshold-slot", className="slider"),
                    html.Div(
                        [
                            html.Span("more, less sure"),
                            _button("threshold-default", "Model's own", text="Model's own", className="button link"),
                            html.Span("fewer, surer"),
                        ],
                        className="ends",
                    ),
                    html.Div(id="measured", className="measured"),
                ],
                id="threshold-card",
                className="card",
            ),
            html.Div(id="defect-filters", className="chips", role="group", **_aria(label="Which defects")),
            html.Div(id="defects", className="table", tabIndex="-1"),
            html.Div([html.Label("Note", htmlFor="note"), html.Div(id="note-slot")], className="note-line"),
            html.Div(
                [
                    html.Div(
                        [
                            _button(
                                "export",
                                "Export",
                                icon="download",
                                words=True,
                                disabled=True,
                                **_more({"aria-expanded": "false", "aria-controls": "export-menu"}),
                            ),
                            html.Div(
                                _exports(),
                                id="export-menu",
                                className="menu up",
                                hidden=True,
                                role="group",
                                **_aria(label="Export"),
                            ),
                        ],
                        className="menu-of",
                    ),
                    _button(
                        "reviewed", "Mark as reviewed", icon="check", words=True, className="button main", disabled=True
                    ),
                ],
                className="foot",
            ),
        ],
        id="defects-panel",
        className="panel defects",
        tabIndex="-1",
        **_aria(label="Defects"),
    )


def _history() -> Part:
    return html.Div(
        [
            _button("undo", "Undo", icon="undo", title="Undo (U)", disabled=True),
            _button("redo", "Redo", icon="redo", title="Redo (Y)", disabled=True),
        ],
        className="tools",
    )


def _exports() -> list[Part]:
    kinds = {
        "pdf": ("Report, PDF", "one page to print or send"),
        "html": ("Report, HTML", "one page for a browser"),
        "png": ("Picture, PNG", "the scan with its outlines"),
        "csv": ("Table, CSV", "a row a defect"),
        "geojson": ("Outlines, GeoJSON", "for programs and maps"),
        "coco": ("Outlines, COCO", "to train with"),
    }
    return [
        html.Button(
            [html.Strong(name), html.Span(what)], type="button", className="export", **_more({"data-export": key})
        )
        for key, (name, what) in kinds.items()
    ]


def _tabs() -> Part:
    names = (("scans", "Scans", "list"), ("picture", "Scan", "image"), ("defects", "Defects", "table"))
    return html.Nav(
        [
            html.Button(
                [html.I(className=f"icon {icon}"), html.Span(name)],
                type="button",
                className="tab",
                **_more({"data-tab": key}),
            )
            for key, name, icon in names
        ],
        className="tabs",
        **_aria(label="Views"),
    )


def _button(name: str, label: str, *, icon: str = "", text: str = "", words: bool = False, **more: Any) -> Part:
    """Return a button: an icon, a text, or an icon with its label in words."""
    inside: list[Part] = [html.I(className=f"icon {icon}")] if icon else [text]
    if words:
        inside.append(html.Span(label))
    given = {"className": "button" if words else "button icon-only", "title": label, **more}
    return html.Button(inside, id=name, type="button", **given, **({} if words else _aria(label=label)))


def _aria(**values: str) -> dict[str, Any]:
    return {f"aria-{name}": value for name, value in values.items()}


def _more(values: dict[str, Any]) -> dict[str, Any]:
    """Attributes whose names are no Python names."""
    return values
