"""The inspector's web page: scans of a folder, what the model found on them, and what a person decided.

>>> from surfacedefect.web import Workspace
>>> with Workspace("scans/") as workspace:  # doctest: +SKIP
...     workspace.run("door.jpg")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from surfacedefect._lazy import load as _load

if TYPE_CHECKING:
    from surfacedefect.web.app import make_app
    from surfacedefect.web.serve import serving
    from surfacedefect.web.values import (
        Decision,
        Export,
        JobProgress,
        Outline,
        Review,
        ScanEntry,
        ScanInfo,
        ServerState,
        Tile,
        Verdict,
        WebOptions,
    )
    from surfacedefect.web.workspace import Workspace

__all__ = [
    "Decision",
    "Export",
    "JobProgress",
    "Outline",
    "Review",
    "ScanEntry",
    "ScanInfo",
    "ServerState",
    "Tile",
    "Verdict",
    "WebOptions",
    "Workspace",
    "make_app",
    "serving",
]

_HOMES = {"Workspace": "workspace", "make_app": "app", "serving": "serve", **dict.fromkeys(__all__[:-3], "values")}


def __getattr__(name: str) -> Any:
    """Load what is asked for when it is first asked for: a workspace needs no Dash."""
    return _load(__name__, name, _HOMES, extra="web")
