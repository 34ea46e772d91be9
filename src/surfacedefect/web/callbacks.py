"""The page's Dash callbacks.

One of them runs in Python: it makes the map of the scan that was opened. The others run in the browser (``assets/``),
because what they do must be seen at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dash import ClientsideFunction, Dash, Input, Output

from surfacedefect.web._panes import panes


def add_callbacks(app: Dash) -> None:
    """Add the callbacks to an application that has its layout."""

    @app.callback(Output("panes", "children"), Input("opened", "data"), prevent_initial_call=True)
    def show(opened: dict[str, Any] | None) -> Any:
        return panes(opened) if opened else []

    run: Callable[..., None] = app.clientside_callback
    run(ClientsideFunction("inspect", "started"), Output("ready", "data"), Input("page", "id"))
    run(ClientsideFunction("inspect", "pointed"), Input("outlines", "clickData"), prevent_initial_call=True)
