"""Serving the page: cheroot, which keeps connections open and reads uploads as they come."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from surfacedefect._checks import check_whole, expect
from surfacedefect._words import type_name
from surfacedefect.errors import OptionError, OutputError, require

if TYPE_CHECKING:
    from dash import Dash

THREADS = 12


def make_server(app: Dash, *, host: str = "127.0.0.1", port: int = 0) -> Any:
    """Return a server that listens already; ``bind_addr`` says where. ``serve()`` then answers until ``stop()``.

    Raises
    ------
    OutputError
        Nobody may listen there, or somebody does already.
    OptionError
        An argument is not of its kind.
    """
    if not callable(getattr(getattr(app, "server", None), "wsgi_app", None)):  # a workspace has a `server` too
        raise OptionError(f"app is {type_name(app)}; expected the page of make_app(workspace)")
    expect(isinstance(host, str) and bool(host.strip()), "host", host, "a name or address, such as '127.0.0.1'")
    check_whole("port", port, 0, 65_535)
    wsgi = require("cheroot.wsgi", extra="web")
    server = wsgi.Server(
        (host, port), app.server, numthreads=THREADS, server_name="surfacedefect", timeout=30, request_queue_size=64
    )
    # A reverse proxy may say who asks; nothing here believes it.
    server.max_request_header_size = 64 * 1024
    try:
        _check_free(host, port)
        server.prepare()
    except (OSError, UnicodeError) as error:  # the latter of a host that no name can be
        raise OutputError(
            f"the page cannot listen on {host!r}, port {port} ({error}); expected an address of this machine and a "
            "port that is free; give another host or port (--host, --port on the command line)"
        ) from error
    return server


def address_of(host: str, port: int) -> str:
    """Return what a browser on this machine opens to see what listens on a host.

    Examples
    --------
    >>> address_of("::1", 8050), address_of("0.0.0.0", 8050)
    ('http://[::1]:8050', 'http://127.0.0.1:8050')
    """
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host
    return f"http://{f'[{shown}]' if ':' in shown else shown}:{port}"


def _check_free(host: str, port: int) -> None:
    """Bind once beforehand: where it cannot, cheroot leaves a socket open."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        if port and os.name == "posix":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)


@contextmanager
def serving(app: Dash, *, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """Serve a page in threads of this process for as long as the block lasts.

    Parameters
    ----------
    app
        The page, of `make_app`.
    host
        Address of this machine to listen on. `make_app` decides who is answered: give it a token before you take
        anything but loopback.
    port
        0 takes a free one.

    Yields
    ------
    str
        The page's address for a browser on this machine, such as ``http://127.0.0.1:8050``.

    Raises
    ------
    OutputError
        Nobody may listen there, or somebody does already.
    OptionError
        An argument is not of its kind.

    Examples
    --------
    >>> from surfacedefect.web import Workspace, make_app, serving
    >>> with Workspace("scans/") as workspace, serving(make_app(workspace)) as address:  # doctest: +SKIP
    ...     input(f"{address} is there until you press Enter")
    """
    server = make_server(app, host=host, port=port)
    thread = threading.Thread(target=server.serve, name="page", daemon=True)
    thread.start()
    try:
        yield address_of(host, server.bind_addr[1])
    finally:
        server.stop()
        thread.join(10)
