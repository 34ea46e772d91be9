"""The inspector's web page: scans of a folder, what the model found on them, and what a person decided.

>>> from surfacedefect.web import Workspace
>>> with Workspace("scans/") as workspace:  # doctest: +SKIP
...     workspace.run("door.jpg")
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from surfacedefect.errors import require

if TYPE_CHECKING:
    from surfacedefect.web.app import make_app
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
]

_HOMES = {"Workspace": "workspace", "make_app": "app", **dict.fromkeys(__all__[:-2], "values")}


def __getattr__(name: str) -> Any:
    """Load what is asked for when it is first asked for: a workspace needs no Dash."""
    if name not in _HOMES:
        raise AttributeError(f"module 'surfacedefect.web' has no attribute '{name}'")
    try:
        value = getattr(importlib.import_module(f"surfacedefect.web.{_HOMES[name]}"), name)
    except ModuleNotFoundError as error:
        require(error.name or "dash", extra="web")  # says what to install
        raise
    globals()[name] = value
    return value
