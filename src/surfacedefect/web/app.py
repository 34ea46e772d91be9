"""The inspector's page as a Dash application."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dash import Dash
from flask import Flask

from surfacedefect._checks import check_token, expect, is_whole
from surfacedefect._words import type_name
from surfacedefect.errors import OptionError
from surfacedefect.web._bodies import MAX_BODY_BYTES
from surfacedefect.web._guard import Guard, host_names
from surfacedefect.web._routes import make_routes
from surfacedefect.web.callbacks import add_callbacks
from surfacedefect.web.layout import make_layout
from surfacedefect.web.values import PALETTES

if TYPE_CHECKING:
    from surfacedefect.web.workspace import Workspace

ASSETS = Path(__file__).parent / "assets"
MAX_UPLOAD_BYTES = 2 * 2**30
# What is seen until Dash has built the page: its own frame.
_FRAME = """<div id="react-entry-point"><div class="_dash-loading page">
    <header class="head"><span class="brand">surfacedefect<span class="brand-more">inspection</span></span></header>
    <div></div>
    <div class="desk"><div class="panel scans"></div><div class="panel picture"><div class="viewer"></div></div>
    <div class="panel defects"></div></div></div></div>"""


class _Page(Dash):
    def interpolate_index(
        self,
        metas: str = "",
        title: str = "",
        css: str = "",
        config: str = "",
        scripts: str = "",
        app_entry: str = "",
        favicon: str = "",
        renderer: str = "",
    ) -> str:
        head = f"{metas}<title>{title}</title>{favicon}{css}"
        tail = f"<footer>{config}{scripts}{renderer}</footer>"
        return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head><body>{_FRAME}{tail}</body></html>'


def make_app(
    workspace: Workspace,
    *,
    folder: str = "",
    token: str | None = None,
    hosts: Iterable[str] | None = (),
    addresses: bool = False,
    secure: bool = False,
    max_upload_bytes: int = MAX_UPLOAD_BYTES,
    open_scan: str | None = None,
) -> Dash:
    """Return the page over a workspace; ``app.server`` is the Flask application to serve.

    Parameters
    ----------
    workspace
        What the page shows and changes.
    folder
        What the folder is called in the head of the page.
    token
        What must be typed in before the page is shown.
    hosts
        Names under which the page may be asked for, besides those of loopback; None takes any.
    addresses
        Whether it may be asked for under any IP address.
    secure
        Whether it is reached over HTTPS.
    max_upload_bytes
        Largest file that may be added.
    open_scan
        Name of the scan that is opened first; nothing is opened where there is none of that name.

    Raises
    ------
    OptionError
        An argument is not of its kind.
    """
    _check(workspace, folder=folder, token=token, max_upload_bytes=max_upload_bytes, open_scan=open_scan)
    names = None if hosts is None else host_names(hosts)
    server = Flask("surfacedefect.web", static_folder=None)
    server.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES  # of all but uploads, also where no length is told
    logging.getLogger("surfacedefect.web").setLevel(logging.INFO)
    app = _Page(
        "surfacedefect.web",
        server=False,
        assets_folder=str(ASSETS),
        title="surfacedefect",
        update_title="",
        serve_locally=True,
        enable_mcp=False,
        suppress_callback_exceptions=True,  # the outlines come with the first scan
        meta_tags=[
            {"name": "viewport", "content": "width=device-width, initial-scale=1"},
            {"name": "color-scheme", "content": "light dark"},
        ],
    )
    palettes = {name: dataclasses.asdict(palette) for name, palette in PALETTES.items()}
    app.layout = make_layout(folder=folder, palettes=palettes, max_upload_bytes=max_upload_bytes, open_scan=open_scan)
    add_callbacks(app)
    guard = Guard(
        hosts=names,
        addresses=addresses,
        token=token,
        script_hashes=tuple(app.csp_hashes()),
        secure=secure,
    )
    guard.install(server)
    server.register_blueprint(make_routes(workspace, max_upload_bytes=max_upload_bytes))
    app.init_app(server)
    return app


def _check(workspace: Any, *, folder: object, token: object, max_upload_bytes: Any, open_scan: object) -> None:
    """Refuse at once what every request would stumble over."""
    asked = ("scans", "info", "review")
    if isinstance(workspace, type) or not all(callable(getattr(workspace, name, None)) for name in asked):
        raise OptionError(f"workspace is {type_name(workspace)}; expected a Workspace, such as Workspace('scans/')")
    expect(isinstance(folder, str), "folder", folder, "a text: what the folder is called in the head of the page")
    if token is not None:
        check_token(token)
    good = is_whole(max_upload_bytes) and max_upload_bytes >= 1
    expect(good, "max_upload_bytes", max_upload_bytes, "a whole number, 1 or more")
    expect(open_scan is None or isinstance(open_scan, str), "open_scan", open_scan, "the name of a scan, or None")
