"""The server: both protocols on one model, from the first socket to the last answer."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import ctypes
import logging
import math
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from surfacedefect.errors import OutputError, SurfaceDefectError, require
from surfacedefect.predictor import Predictor
from surfacedefect.serving._grpc import make_server
from surfacedefect.serving._kserve import DataPlane, ModelRepository
from surfacedefect.serving._rest import make_app
from surfacedefect.serving.model import SurfaceDefectModel
from surfacedefect.serving.options import ServeOptions

logger = logging.getLogger("surfacedefect.serving")

MOST_UNREAD_HEADER_BYTES = 1024 * 1024
"""Beyond this a connection is shut; up to this a request is told that its headers are too large."""
_M_ARENA_MAX = -8


class Server:
    """Serves one model over gRPC and REST.

    Parameters
    ----------
    model
        What to serve.

    Examples
    --------
    >>> import asyncio
    >>> from surfacedefect import FunctionPredictor, ModelCard
    >>> card = ModelCard(name="dark", kinds=("scratch",), window_px=64, overlap_px=16)
    >>> dark = FunctionPredictor(lambda windows: (windows.mean(axis=3) < 50).astype("float32")[:, None], card=card)
    >>> async def once():
    ...     server = Server(SurfaceDefectModel(dark, options=ServeOptions(http_port=0, grpc_port=0)))
    ...     await server.start()
    ...     ready = server.model.ready
    ...     await server.stop()
    ...     return ready
    >>> asyncio.run(once())
    True
    """

    def __init__(self, model: SurfaceDefectModel) -> None:
        self.model, self.options = model, model.options
        self.http_port = self.grpc_port = 0
        self._rest: Any = None
        self._grpc: Any = None
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen on both ports, then load the model; it is live at once and ready when the model has run.

        Raises
        ------
        OutputError
            A port is taken.
        SurfaceDefectError
            The model cannot be loaded.
        """
        repository = ModelRepository()
        repository.update(self.model)
        plane = DataPlane(model_registry=repository)
        listener = _listen(self.options)
        try:
            self._grpc, self.grpc_port = make_server(self.model, plane)
        except BaseException:
            listener.close()
            raise
        self.http_port = listener.getsockname()[1]
        self._rest = _rest_server(self.model, plane)
        await self._grpc.start()
        self._serving = asyncio.create_task(self._rest.serve(sockets=[listener]))
        fields = {"host": self.options.host, "http_port": self.http_port, "grpc_port": self.grpc_port}
        logger.info("listening", extra={"fields": fields})
        try:
            await asyncio.to_thread(self.model.load)
        except BaseException:
            await self.stop(grace_seconds=0)
            raise
        logger.info("ready", extra={"fields": fields})

    async def stop(self, *, grace_seconds: float | None = None) -> None:
        """Answer what was accepted, refuse the rest, then close.

        Parameters
        ----------
        grace_seconds
            How long accepted requests may take; None: as the options say. What is not done then is dropped.
        """
        grace = self.options.grace_seconds if grace_seconds is None else grace_seconds
        self.model.drain()
        logger.info("draining", extra={"fields": {"waiting": self.model.queue.waiting}})
        end = time.monotonic() + grace
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await asyncio.gather(self.model.queue.drained(), asyncio.sleep(min(grace, self.options.drain_seconds)))
        # Answers that are done may still be on their way out: both servers wait for them.
        if self._rest is not None:
            self._rest.should_exit, self._rest.force_exit = True, grace == 0
        if self._grpc is not None:
            await self._grpc.stop(max(0.0, end - time.monotonic()))
        if self._serving is not None:
            await self._serving
        await asyncio.to_thread(self.model.stop)
        logger.info("stopped")

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT, then drain; a second signal drops what is still worked on.

        Raises
        ------
        SurfaceDefectError
            See `start`.
        """
        told = asyncio.Event()
        loop = asyncio.get_running_loop()
        signals = (signal.SIGTERM, signal.SIGINT)
        for number in signals:
            loop.add_signal_handler(number, told.set)
        try:
            started = asyncio.create_task(self.start())
            waiting = asyncio.create_task(told.wait())
            await asyncio.wait({started, waiting}, return_when=asyncio.FIRST_COMPLETED)
            await started
            await waiting
            told.clear()
            stopping = asyncio.create_task(self.stop())
            again = asyncio.create_task(told.wait())
            await asyncio.wait({stopping, again}, return_when=asyncio.FIRST_COMPLETED)
            if not stopping.done():
                stopping.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await stopping
                await self.stop(grace_seconds=0)
            again.cancel()
        finally:
            for number in signals:
                loop.remove_signal_handler(number)


def serve(
    model: str | Path | Predictor = "default",
    *,
    runtime: str = "auto",
    threads: int | None = None,
    options: ServeOptions | None = None,
) -> None:
    """Serve a model until SIGTERM or SIGINT; accepted requests are answered before it returns.

    Parameters
    ----------
    model, runtime, threads
        See `surfacedefect.serving.SurfaceDefectModel`.
    options
        Host, ports, limits and so on.

    Raises
    ------
    SurfaceDefectError
        The model cannot be loaded, or a port is taken.
    """
    _keep_memory_together()
    asyncio.run(Server(SurfaceDefectModel(model, runtime=runtime, threads=threads, options=options)).run())


@contextlib.contextmanager
def background(
    model: str | Path | Predictor = "default", *, runtime: str = "auto", options: ServeOptions | None = None
) -> Iterator[Server]:
    """Serve in a thread of this process while a block lasts; for notebooks, tests and benchmarks.

    Parameters
    ----------
    model, runtime, options
        See `serve`.

    Yields
    ------
    Server
        Ready.

    Raises
    ------
    SurfaceDefectError
        See `serve`.
    """
    started: concurrent.futures.Future[tuple[Server, asyncio.AbstractEventLoop, asyncio.Event]] = (
        concurrent.futures.Future()
    )

    async def life() -> None:
        ending = asyncio.Event()
        try:
            server = Server(SurfaceDefectModel(model, runtime=runtime, options=options))
            await server.start()
        except BaseException as error:
            started.set_exception(error)
            return
        started.set_result((server, asyncio.get_running_loop(), ending))
        await ending.wait()
        await server.stop()

    thread = threading.Thread(target=lambda: asyncio.run(life()), name="surfacedefect-server", daemon=True)
    thread.start()
    server, loop, ending = started.result()
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(ending.set)
        thread.join()


def _keep_memory_together() -> None:
    """Let glibc keep two heaps, not eight a core: what one thread frees, another can use again."""
    with contextlib.suppress(OSError, AttributeError):  # other C libraries know no such setting
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 2)


def _listen(options: ServeOptions) -> socket.socket:
    address = options.address
    listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, options.http_port))
    except OSError as error:
        listener.close()
        raise OutputError(
            f"REST cannot listen on {address}:{options.http_port} ({error.strerror or error}); "
            "choose another --http-port or --host"
        ) from error
    return listener


def _rest_server(model: SurfaceDefectModel, plane: DataPlane) -> Any:
    uvicorn = require("uvicorn", extra="serve")
    options = model.options

    class Uvicorn(uvicorn.Server):  # type: ignore[misc, name-defined]
        """Leaves signals to whoever runs both protocols."""

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

    config = uvicorn.Config(
        make_app(model, plane),
        http="h11",  # the other one takes headers of any size
        h11_max_incomplete_event_size=MOST_UNREAD_HEADER_BYTES,
        loop="none",
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        lifespan="off",
        timeout_keep_alive=65,
        timeout_graceful_shutdown=max(1, math.ceil(options.grace_seconds)),
        ssl_certfile=options.tls_cert,
        ssl_keyfile=options.tls_key,
    )
    try:
        config.load()
    except OSError as error:  # ssl.SSLError is one
        raise SurfaceDefectError(
            f"'{options.tls_cert}' and '{options.tls_key}' are no certificate and key: {error}"
        ) from error
    return Uvicorn(config)
