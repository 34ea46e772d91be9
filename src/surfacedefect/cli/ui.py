"""``surfacedefect ui``."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from surfacedefect.cli import _options
from surfacedefect.cli.serve import TOKEN_VARIABLE
from surfacedefect.errors import OptionError, require

if TYPE_CHECKING:
    from surfacedefect.web import Workspace

PAGE_TOKEN_VARIABLE = "SURFACEDEFECT_PAGE_TOKEN"


def ui(
    folder: Annotated[Path, typer.Option(help="Folder of scans; decisions are kept in it, too.")] = Path(),
    server: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT", help="gRPC server that inspects.", show_default="one is started for the page"
        ),
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option(help=f"File with that server's token; else the variable {TOKEN_VARIABLE}.")
    ] = None,
    tls: Annotated[bool, typer.Option("--tls", help="Reach that server over TLS.")] = False,
    tls_ca: Annotated[Path | None, typer.Option(help="Who signed its certificate (PEM); implies --tls.")] = None,
    host: Annotated[str, typer.Option(help="Name or address on which the page listens.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port of the page; 0 takes a free one.")] = 8050,
    page_token_file: Annotated[
        Path | None,
        typer.Option(help=f"File with the token that inspectors type in; else the variable {PAGE_TOKEN_VARIABLE}."),
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Listen beyond this machine without a token: on a closed network only.")
    ] = False,
    name: Annotated[
        list[str] | None,
        typer.Option(help="Further name under which the page is reached, such as a proxy's."),
    ] = None,
    scan: Annotated[str | None, typer.Option(help="Scan of the folder that is opened first.")] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")] = True,
    who: Annotated[str | None, typer.Option(help="Who decides, as it is kept.", show_default="the login")] = None,
    mm_per_px: _options.MmPerPx = None,
    model: _options.Model = "default",
    runtime: _options.Runtime = "auto",
    threads: _options.Threads = None,
    max_upload_bytes: Annotated[int, typer.Option(min=1, help="Largest file that can be added.")] = 2 * 2**30,
    max_pixels: Annotated[
        int, typer.Option(min=1, help="Most pixels of a scan that must be decoded whole.")
    ] = 250_000_000,
) -> None:
    """Open the inspector's page on a folder of scans."""
    require("dash_leaflet", extra="web")
    page_token = _options.token(page_token_file, variable=PAGE_TOKEN_VARIABLE, option="--page-token-file")
    _check_reach(host, page_token, insecure)
    from surfacedefect.web import WebOptions, Workspace

    options = WebOptions(
        model=model,
        runtime=runtime,
        threads=threads,
        mm_per_px=mm_per_px,
        who=who,
        max_upload_bytes=max_upload_bytes,
        max_pixels=max_pixels,
    )
    token = _options.token(token_file, variable=TOKEN_VARIABLE)
    with Workspace(folder, server=server, token=token, tls=tls_ca or tls, options=options) as workspace:
        page = {"folder": str(workspace.folder), "max_upload_bytes": max_upload_bytes, "open_scan": scan}
        _serve(workspace, page | _names(host, page_token, name or ()), host=host, port=port, browser=browser)


def _check_reach(host: str, page_token: str | None, insecure: bool) -> None:
    from surfacedefect.web._guard import is_loopback

    if not is_loopback(host) and page_token is None and not insecure:
        raise OptionError(
            f"--host {host} can be reached from other machines, and the page has no token; give --page-token-file, or "
            "--insecure on a closed network, or leave --host away"
        )


def _names(host: str, page_token: str | None, given: Iterable[str]) -> dict[str, Any]:
    """Return under which names the page answers; a site that an inspector visits could give itself any other."""
    from surfacedefect.web._guard import is_loopback

    if is_loopback(host):
        return {"token": page_token, "hosts": (host, *given)}
    if page_token is not None:
        return {"token": page_token, "hosts": None}  # the cookie tells the page's own requests from others
    return {"hosts": (host, socket.gethostname(), socket.getfqdn(), *given), "addresses": True}


def _serve(workspace: Workspace, page: dict[str, Any], *, host: str, port: int, browser: bool) -> None:
    from surfacedefect.web.app import make_app
    from surfacedefect.web.serve import address_of, make_server

    server = make_server(make_app(workspace, **page), host=host, port=port)
    address = f"{address_of(host, server.bind_addr[1])}/"
    typer.echo(f"the page is at {address}  (Ctrl-C ends it)")
    if browser:
        typer.launch(address)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        server.serve()
    except KeyboardInterrupt:
        typer.echo("ended; every decision is saved")
    finally:
        server.stop()
