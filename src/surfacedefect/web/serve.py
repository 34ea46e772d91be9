"""Serving the page: cheroot, which keeps connections open and reads uploads as they come."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from surfacedefect.errors import OutputError, require

if TYPE_CHECKING:
    from dash import Dash

THREADS = 12


def make_server(app: Dash, *, host: str = "127.0.0.1", port: int = 0) -> Any:
    """Return a server that listens already; ``bind_addr`` says where. ``serve()`` then answers until ``stop()``.

    Raises
    ------
    OutputError
        Nobody may listen there, or somebody does already.
    """
    wsgi = require("cheroot.wsgi", extra="web")
    server = wsgi.Server(
        (host, port), app.server, numthreads=THREADS, server_name="surfacedefect", timeout=30, request_queue_size=64
    )
    # A reverse proxy may say who asks; nothing here believes it.
    server.max_request_header_size = 64 * 1024
    try:
        _check_free(host, port)
        server.prepare()
    except OSError as error:
        raise OutputError(
            f"the page cannot listen on {host}:{port} ({error}); expected a free port of this machine; "
            "name another with --port"
        ) from error
    return server


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
        The page's address, such as ``http://127.0.0.1:8050``.

    Raises
    ------
    OutputError
        Nobody may listen there, or somebody does already.

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
        yield f"http://{host}:{server.bind_addr[1]}"
    finally:
        server.stop()
        thread.join(10)
