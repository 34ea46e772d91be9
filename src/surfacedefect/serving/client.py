"""The client: a scan to a server, and what `Detector.detect` would have returned back."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

from surfacedefect._words import type_name
from surfacedefect.detections import Detections
from surfacedefect.errors import DetectionCancelledError, OptionError, ScanError, ServingError, require
from surfacedefect.scan import ScanSource
from surfacedefect.serving import _exchange
from surfacedefect.serving._exchange import Exchange
from surfacedefect.serving._messages import InferRequestMessage, ServerReadyRequest, ServerReadyResponse

_CHANNEL = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # What is safe to repeat is decided here, not in the channel.
    ("grpc.enable_retries", 0),
]

_WATCH_SECONDS = 0.1


class _Settings:
    """What both clients are told."""

    def __init__(
        self, target: str, *, token: str | None, tls: bool | str | Path, timeout_seconds: float, attempts: int
    ) -> None:
        if not isinstance(target, str) or not target.strip() or "/" in target:
            raise OptionError(f"the server is {target!r}; expected host and gRPC port, such as 'localhost:8081'")
        if isinstance(attempts, bool) or not isinstance(attempts, int) or attempts < 1:
            raise OptionError(f"attempts is {attempts!r}; expected a whole number, 1 or more")
        _check_port(target)
        _check_token(token)
        if not isinstance(tls, bool | str | Path):
            raise OptionError(f"tls is {type_name(tls)}; expected True, False or the path of a PEM file")
        self.closed = False
        self.target, self.attempts, self.tls = target, attempts, tls
        self.timeout_seconds = _exchange.seconds(timeout_seconds)
        self.metadata = () if token is None else (("authorization", f"Bearer {token}"),)
        self.grpc: Any = require("grpc", extra="serve")

    def channel(self, make: Any) -> Any:
        """Open a channel with `grpc` or with `grpc.aio`."""
        if self.tls is False:
            return make.insecure_channel(self.target, options=_CHANNEL)
        return make.secure_channel(self.target, self._credentials(), options=_CHANNEL)

    def _credentials(self) -> Any:
        if self.tls is True:
            return self.grpc.ssl_channel_credentials()
        try:
            trusted = Path(str(self.tls)).expanduser().read_bytes()
        except OSError as error:
            raise OptionError(f"tls is '{self.tls}', which cannot be read ({error}); expected a PEM file") from error
        if b"-----BEGIN CERTIFICATE-----" not in trusted:  # gRPC would say nothing until the first call
            raise OptionError(f"tls is '{self.tls}', which holds no certificate; expected a PEM file")
        return self.grpc.ssl_channel_credentials(trusted)

    def check_open(self) -> None:
        if self.closed:
            raise ServingError(f"this client of '{self.target}' is closed; make another one")

    def seconds(self, timeout_seconds: float | None) -> float:
        return self.timeout_seconds if timeout_seconds is None else _exchange.seconds(timeout_seconds)

    def pauses(self, deadline: float) -> Iterator[float]:
        """Yield what to wait before each further attempt that still fits."""
        for pause in _exchange.waits(self.attempts):
            pause *= random.uniform(0.5, 1.0)  # clients that were refused together should not come back together
            if time.monotonic() + pause >= deadline:
                return
            yield pause

    def methods(self, channel: Any) -> tuple[Any, Any, Any]:
        """Return the calls for one message, for a stream, and for readiness."""
        request, response = InferRequestMessage.SerializeToString, _exchange.parsed_response
        return (
            channel.unary_unary(_exchange.INFER, request_serializer=request, response_deserializer=response),
            channel.stream_stream(_exchange.DETECT, request_serializer=request, response_deserializer=response),
            channel.unary_unary(
                _exchange.READY,
                request_serializer=ServerReadyRequest.SerializeToString,
                response_deserializer=ServerReadyResponse.FromString,
            ),
        )


class Client:
    """Sends scans to a server over gRPC; may be used by many threads at once.

    Parameters
    ----------
    target
        Host and gRPC port.
    token
        The server's token, when it has one.
    tls
        True: encrypted, the certificate known to this machine; a path: the PEM file that it is signed by.
    timeout_seconds
        Longest time for one scan, repeated attempts included.
    attempts
        How often a scan is sent at most. It is sent again only when the server was not reached, was full or was about
        to stop: when no work had begun on it.

    Raises
    ------
    OptionError
        A value is out of its range.
    MissingExtraError
        grpcio is not installed.

    Examples
    --------
    >>> from surfacedefect.serving import Client
    >>> with Client("localhost:8081", token="...") as client:  # doctest: +SKIP
    ...     found = client.detect("scan.jpg", mm_per_px=0.1)
    """

    def __init__(
        self,
        target: str,
        *,
        token: str | None = None,
        tls: bool | str | Path = False,
        timeout_seconds: float = 300.0,
        attempts: int = 4,
    ) -> None:
        settings = _Settings(target, token=token, tls=tls, timeout_seconds=timeout_seconds, attempts=attempts)
        self._settings = settings
        self._channel = settings.channel(settings.grpc)
        self._one, self._stream, self._ready = settings.methods(self._channel)

    def detect(
        self,
        scan: ScanSource,
        *,
        timeout_seconds: float | None = None,
        progress: Callable[[int, int], object] | None = None,
        cancelled: Callable[[], bool] | None = None,
        **options: Any,
    ) -> Detections:
        """Find and outline the damage on a scan; as `surfacedefect.detect` with the server's model.

        A file is sent as it is, in pieces when it is large; nothing is decoded here but the map that comes back.

        Parameters
        ----------
        scan
            A path, array, PIL image, file-like object or bytes.
        timeout_seconds
            For this scan.
        progress
            Called with the windows done and in all, as they are looked at; the scan goes as a stream then.
        cancelled
            Asked ten times a second; when it says True the server is told to stop, which it does between two windows.
        **options
            ``threshold``, ``least_score``, ``kinds``, ``mm_per_px``, ``overlap``, ``least_area_px``, ``simplify_px``
            and ``on_error`` of `DetectOptions`.

        Raises
        ------
        ScanError, OptionError, PredictorError
            As the library.
        ServerUnavailableError, DeadlineError, TokenError, ServingError
            The server did not answer.
        DetectionCancelledError
            `cancelled` said so.
        """
        self._settings.check_open()
        _exchange.check_told(progress, cancelled)
        exchange = Exchange(scan, options, told=progress is not None)
        deadline = time.monotonic() + self._settings.seconds(timeout_seconds)
        pauses = self._settings.pauses(deadline)
        while True:
            if exchange.streams:
                call, failed = self._streamed(exchange, deadline, progress, cancelled)
            else:
                call, failed = self._at_once(exchange, deadline, cancelled)
            if failed is None:
                return exchange.found(call[0], tail=call[1])
            code, details = failed.code().name, failed.details()
            reason = _exchange.reason_in(failed.trailing_metadata(), details=details)
            initial = dict(failed.initial_metadata() or ())
            pause = next(pauses, None) if _exchange.is_safe_to_repeat(code, reason, initial=initial) else None
            if pause is None:
                target = self._settings.target
                _exchange.raise_refusal(code, reason, details=details, target=target, file=exchange.file)
            time.sleep(pause)

    def _at_once(self, exchange: Exchange, deadline: float, cancelled: Callable[[], bool] | None) -> tuple[Any, Any]:
        left = max(0.001, deadline - time.monotonic())
        call = self._one.future(exchange.message(), timeout=left, metadata=self._settings.metadata)
        try:
            with _ending(call, cancelled, self._settings.grpc):
                return (call.result(), b""), None
        except self._settings.grpc.RpcError:
            return None, call

    def _streamed(
        self,
        exchange: Exchange,
        deadline: float,
        progress: Callable[[int, int], object] | None,
        cancelled: Callable[[], bool] | None,
    ) -> tuple[Any, Any]:
        left = max(0.001, deadline - time.monotonic())
        broken: list[OSError] = []
        call = self._stream(_kept(exchange, broken), timeout=left, metadata=self._settings.metadata)
        head, parts = None, []
        try:
            with _ending(call, cancelled, self._settings.grpc):
                for response in call:
                    if head is not None:
                        parts.extend(response.raw_output_contents)
                    elif progress is not None and (step := _exchange.step_in(response)) is not None:
                        progress(*step)
                    else:
                        head = response
        except self._settings.grpc.RpcError:
            if broken:
                raise ScanError(f"the scan cannot be read ({broken[0]}); check the file") from broken[0]
            return None, call
        return (head, b"".join(parts)), None

    def is_ready(self, *, timeout_seconds: float = 5.0) -> bool:
        """Say whether the server takes requests; False also when it cannot be reached."""
        self._settings.check_open()
        try:
            answer = self._ready(ServerReadyRequest(), timeout=_exchange.seconds(timeout_seconds))
        except self._settings.grpc.RpcError:
            return False
        return bool(answer.ready)

    def close(self) -> None:
        """Close the connection."""
        self._settings.closed = True
        self._channel.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def __repr__(self) -> str:
        """Name the server; never the token."""
        return f"{type(self).__name__}({self._settings.target!r})"


class AsyncClient:
    """`Client` for asyncio: the same parameters, and ``await client.detect(...)``.

    Examples
    --------
    >>> async def both(first, second):
    ...     async with AsyncClient("localhost:8081") as client:
    ...         return await asyncio.gather(client.detect(first), client.detect(second))
    """

    def __init__(
        self,
        target: str,
        *,
        token: str | None = None,
        tls: bool | str | Path = False,
        timeout_seconds: float = 300.0,
        attempts: int = 4,
    ) -> None:
        settings = _Settings(target, token=token, tls=tls, timeout_seconds=timeout_seconds, attempts=attempts)
        self._settings = settings
        self._channel = settings.channel(require("grpc.aio", extra="serve"))
        self._one, self._stream, self._ready = settings.methods(self._channel)

    async def detect(
        self,
        scan: ScanSource,
        *,
        timeout_seconds: float | None = None,
        progress: Callable[[int, int], object] | None = None,
        **options: Any,
    ) -> Detections:
        """Find and outline the damage on a scan; see `Client.detect`. To call it off, cancel the task."""
        self._settings.check_open()
        _exchange.check_told(progress)
        exchange = await asyncio.to_thread(Exchange, scan, options, told=progress is not None)
        deadline = time.monotonic() + self._settings.seconds(timeout_seconds)
        pauses = self._settings.pauses(deadline)
        while True:
            if exchange.streams:
                call, failed = await self._streamed(exchange, deadline, progress)
            else:
                call, failed = await self._at_once(exchange, deadline)
            if failed is None:
                return await asyncio.to_thread(exchange.found, call[0], tail=call[1])
            code, details = (await failed.code()).name, await failed.details()
            reason = _exchange.reason_in(await failed.trailing_metadata(), details=details)
            initial = dict(await failed.initial_metadata() or ())
            pause = next(pauses, None) if _exchange.is_safe_to_repeat(code, reason, initial=initial) else None
            if pause is None:
                target = self._settings.target
                _exchange.raise_refusal(code, reason, details=details, target=target, file=exchange.file)
            await asyncio.sleep(pause)

    async def _at_once(self, exchange: Exchange, deadline: float) -> tuple[Any, Any]:
        message = await asyncio.to_thread(exchange.message)
        left = max(0.001, deadline - time.monotonic())
        call = self._one(message, timeout=left, metadata=self._settings.metadata)
        try:
            return (await call, b""), None
        except self._settings.grpc.RpcError:
            return None, call

    async def _streamed(
        self, exchange: Exchange, deadline: float, progress: Callable[[int, int], object] | None
    ) -> tuple[Any, Any]:
        left = max(0.001, deadline - time.monotonic())
        broken: list[OSError] = []

        async def messages() -> Any:
            source = iter(_kept(exchange, broken))
            nothing = object()
            while (message := await asyncio.to_thread(next, source, nothing)) is not nothing:
                yield message

        call = self._stream(messages(), timeout=left, metadata=self._settings.metadata)
        head, parts = None, []
        try:
            async for response in call:
                if head is not None:
                    parts.extend(response.raw_output_contents)
                elif progress is not None and (step := _exchange.step_in(response)) is not None:
                    progress(*step)
                else:
                    head = response
        except self._settings.grpc.RpcError:
            if broken:
                raise ScanError(f"the scan cannot be read ({broken[0]}); check the file") from broken[0]
            return None, call
        return (head, b"".join(parts)), None

    async def is_ready(self, *, timeout_seconds: float = 5.0) -> bool:
        """Say whether the server takes requests; False also when it cannot be reached."""
        self._settings.check_open()
        try:
            answer = await self._ready(ServerReadyRequest(), timeout=_exchange.seconds(timeout_seconds))
        except self._settings.grpc.RpcError:
            return False
        return bool(answer.ready)

    async def close(self) -> None:
        """Close the connection."""
        self._settings.closed = True
        await self._channel.close()

    async def __aenter__(self) -> Self:
        """Return itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close."""
        await self.close()

    def __repr__(self) -> str:
        """Name the server; never the token."""
        return f"{type(self).__name__}({self._settings.target!r})"


@contextlib.contextmanager
def _ending(call: Any, cancelled: Callable[[], bool] | None, grpc: Any) -> Iterator[None]:
    """End a call when the caller calls it off, and when an error of his own ends the block."""
    over, told = threading.Event(), threading.Event()

    def watch(ask: Callable[[], bool]) -> None:
        while not over.wait(_WATCH_SECONDS):
            if ask():
                told.set()
                call.cancel()
                return

    watching = None if cancelled is None else threading.Thread(target=watch, args=(cancelled,), daemon=True)
    if watching is not None:
        watching.start()
    try:
        yield
    except (grpc.RpcError, grpc.FutureCancelledError) as error:
        if told.is_set():
            raise DetectionCancelledError("the detection was called off; ask again for a result") from error
        raise
    except BaseException:
        call.cancel()
        raise
    finally:
        over.set()
        if watching is not None:
            watching.join()


def _check_port(target: str) -> None:
    """Refuse a port that gRPC would take for another one: it keeps the last 16 bits."""
    host, colon, port = target.rpartition(":")
    if not colon or ":" in host.rpartition("]")[2] or host == "unix":
        return
    if not (port.isascii() and port.isdigit() and len(port) < 6 and 1 <= int(port) <= 65535):
        raise OptionError(f"the port of {target!r} is no number from 1 to 65535; expected one, as 'localhost:8081'")


def _check_token(token: object) -> None:
    """Refuse what no header can carry, and never repeat it: messages end in logs."""
    if token is None:
        return
    if not isinstance(token, str):
        raise OptionError(f"the token is {type_name(token)}; expected a text")
    if not (token.isascii() and token.isprintable() and token and " " not in token):
        raise OptionError("the token is empty, or holds spaces, line ends or what is not printable ASCII; strip() it")


def _kept(exchange: Exchange, broken: list[OSError]) -> Iterator[Any]:
    """Yield the messages of a stream; gRPC would swallow why a file cannot be read."""
    try:
        yield from exchange.messages()
    except OSError as error:
        broken.append(error)
        raise
