"""The library as a server: the Open Inference Protocol over gRPC and REST, and a client.

The server needs the extra ``[serve]``; it is KServe's model and protocol on this library's own sockets. The client
needs no more than grpcio and protobuf.

>>> from surfacedefect.serving import Client
>>> found = Client("localhost:8081").detect("scan.jpg")  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from surfacedefect._lazy import load as _load

if TYPE_CHECKING:
    from surfacedefect.serving.client import AsyncClient, Client
    from surfacedefect.serving.model import SurfaceDefectModel
    from surfacedefect.serving.options import ServeOptions
    from surfacedefect.serving.server import Server, background, serve

__all__ = ["AsyncClient", "Client", "ServeOptions", "Server", "SurfaceDefectModel", "background", "serve"]

_HOMES = {
    "AsyncClient": "client",
    "Client": "client",
    "ServeOptions": "options",
    "Server": "server",
    "SurfaceDefectModel": "model",
    "background": "server",
    "serve": "server",
}


def __getattr__(name: str) -> Any:
    """Load what is asked for when it is first asked for: a client needs no server, a server no client."""
    return _load(__name__, name, _HOMES, extra="serve")
