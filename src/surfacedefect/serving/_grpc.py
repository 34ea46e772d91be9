"""gRPC: KServe's servicer behind an interceptor that knows tokens, deadlines, broken messages and our refusals."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from surfacedefect._version import __version__
from surfacedefect.errors import OptionError, OutputError
from surfacedefect.serving._call import Call, current_call, request_id_of
from surfacedefect.serving._kserve import (
    DataPlane,
    InferenceServicer,
    InferRequest,
    ModelNotFound,
    ModelRepositoryExtension,
    add_GRPCInferenceServiceServicer_to_server,
    messages,
)
from surfacedefect.serving._logs import log_end
from surfacedefect.serving._refusals import ACCEPTED_HEADER, REASON_HEADER, RequestError, let_go
from surfacedefect.serving._request import PARAMETERS
from surfacedefect.serving._wire import check_infer_message
from surfacedefect.serving.model import SurfaceDefectModel, told
from surfacedefect.serving.options import MODEL_NAME, ServeOptions

SERVICE = "/inference.GRPCInferenceService/"
OPEN_TO_ALL = (f"{SERVICE}ServerLive", f"{SERVICE}ServerReady")
MOST_METADATA_BYTES = 16 * 1024
_SPARE_RPCS = 16


class Servicer(InferenceServicer):  # type: ignore[misc]
    """KServe's servicer, with readiness that means something and without remote loading and unloading."""

    def __init__(self, model: SurfaceDefectModel, data_plane: DataPlane) -> None:
        super().__init__(data_plane, ModelRepositoryExtension(model_registry=data_plane.model_registry))
        self._model, self._plane = model, data_plane

    async def ServerMetadata(self, request: Any, context: Any) -> Any:
        """Say which library and protocol this is."""
        return messages.ServerMetadataResponse(name=MODEL_NAME, version=__version__, extensions=extensions())

    async def ServerReady(self, request: Any, context: Any) -> Any:
        """Say whether requests are taken."""
        return messages.ServerReadyResponse(ready=self._model.ready)

    async def ModelMetadata(self, request: Any, context: Any) -> Any:
        """Describe the model; parameters are in ``properties``, which newer clients know."""
        response = await super().ModelMetadata(request, context)
        response.MergeFromString(_properties(self._model.properties()))
        return response

    async def ModelInfer(self, request: Any, context: Any) -> Any:
        """Answer a request."""
        self._model.check_ready()
        self.validate_grpc_request(request)
        payload = InferRequest.from_grpc(request)
        if request.model_name != MODEL_NAME:
            response = await self._model.predict(payload)  # checks the request first, then finds no such model
        else:
            response, _ = await self._plane.infer(request=payload, model_name=MODEL_NAME)
        return await asyncio.to_thread(response.to_grpc)

    async def RepositoryModelLoad(self, request: Any, context: Any) -> Any:
        """Refuse: the model is chosen where the server is started."""
        raise RequestError("unsupported", "this server loads its model when it starts, and no other")

    async def RepositoryModelUnload(self, request: Any, context: Any) -> Any:
        """Refuse: a client may not stop the service of others."""
        raise RequestError("unsupported", "this server keeps its model until it stops")


class Gate(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Stands before every method: token, message, deadline, log, and the code of whatever is raised."""

    def __init__(self, model: SurfaceDefectModel) -> None:
        self._model, self._options = model, model.options

    async def intercept_service(
        self, continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]], details: grpc.HandlerCallDetails
    ) -> Any:
        """Wrap the handler of one call."""
        if not self._may(details):
            # As a stream, so that the body of a stranger is not even received.
            return grpc.stream_unary_rpc_method_handler(self._turned_away)
        handler = await continuation(details)
        if details.method in OPEN_TO_ALL:
            # Answered unread: a stranger who never sends his message would hold one of the few places for calls.
            return grpc.stream_unary_rpc_method_handler(
                self._unread(handler), response_serializer=handler.response_serializer
            )
        if handler is None or handler.request_streaming:
            return handler
        return grpc.unary_unary_rpc_method_handler(
            self._guarded(handler, infers=details.method == f"{SERVICE}ModelInfer"),
            request_deserializer=None,
            response_serializer=handler.response_serializer,
        )

    def _may(self, details: grpc.HandlerCallDetails) -> bool:
        if self._options.token is None or details.method in OPEN_TO_ALL:
            return True
        metadata = dict(details.invocation_metadata or ())
        return is_token(metadata.get("authorization"), self._options.token)

    async def _turned_away(self, requests: Any, context: Any) -> None:
        self._model.metrics.ended("grpc", "unauthenticated")
        await abort(context, RequestError("unauthenticated", WITHOUT_TOKEN))

    def _unread(self, handler: Any) -> Callable[[Any, Any], Awaitable[Any]]:
        async def unread(requests: Any, context: Any) -> Any:
            return await handler.unary_unary(handler.request_deserializer(b""), context)

        return unread

    def _guarded(self, handler: Any, *, infers: bool) -> Callable[[bytes, Any], Awaitable[Any]]:
        async def guarded(message: bytes, context: Any) -> Any:
            call = call_of(context, self._options)
            try:
                if infers:
                    check_infer_message(message)
                async with accepting(call, context):
                    answer = await handler.unary_unary(_parsed(handler, message, call), context)
            except asyncio.CancelledError:
                call.cancel()
                if infers:
                    self.end(call, RequestError("cancelled", "the client has gone"), size=len(message))
                raise
            except Exception as error:
                refusal = (
                    RequestError("not_found", str(error)) if isinstance(error, ModelNotFound) else told(error, call)
                )
                let_go(error)
                if infers:
                    self.end(call, refusal, size=len(message))
                await abort(context, refusal)
            if infers:
                self.end(call, None, size=len(message))
            return answer

        return guarded

    def end(self, call: Call, refusal: RequestError | None, *, size: int) -> None:
        """Note how a request for a detection ended."""
        self._model.metrics.ended("grpc", None if refusal is None else refusal.reason)
        self._model.metrics.spent("whole", time.monotonic() - call.arrived)
        log_end(call, refusal, size=size)


@contextlib.asynccontextmanager
async def accepting(call: Call, context: Any) -> AsyncIterator[list[asyncio.Task[None]]]:
    """While a call is worked on it is the current one, and its acceptance is sent to the client at once.

    Yields what is still sending it: gRPC takes one message at a time of a call.
    """

    async def send() -> None:
        with contextlib.suppress(Exception):  # the client may have gone; whoever answers will find out
            await context.send_initial_metadata(((ACCEPTED_HEADER, "1"), ("x-request-id", call.request_id)))

    sending: list[asyncio.Task[None]] = []
    call.accept = lambda: sending.append(asyncio.ensure_future(send()))
    current = current_call.set(call)
    try:
        yield sending
    finally:
        current_call.reset(current)
        if sending:
            await asyncio.wait(sending)  # the answer comes after it


WITHOUT_TOKEN = "the token is missing or wrong; expected the header 'authorization: Bearer TOKEN'"


def is_token(header: object, token: str) -> bool:
    """Compare a header with the token in a time that does not tell how much of it is right.

    Examples
    --------
    >>> is_token("Bearer abc", "abc"), is_token("Bearer abd", "abc"), is_token(None, "abc"), is_token("abc", "abc")
    (True, False, False, False)
    """
    given = (
        header.encode("utf-8", "replace") if isinstance(header, str) else header if isinstance(header, bytes) else b""
    )
    scheme, _, rest = given.partition(b" ")
    right = hmac.compare_digest(rest.strip(), token.encode())
    return right and scheme.lower() == b"bearer"


def call_of(context: Any, options: ServeOptions) -> Call:
    """Make a call of a gRPC context."""
    metadata = dict(context.invocation_metadata() or ())
    seconds, left = options.deadline_seconds, context.time_remaining()
    if left is not None:
        seconds = min(seconds, left)
    given = metadata.get("x-request-id")
    request_id = request_id_of(given if isinstance(given, str) else None)
    return Call(request_id, context.peer(), "grpc", time.monotonic() + seconds)


async def abort(context: Any, refusal: RequestError) -> None:
    """End a call with the code of a refusal; raises."""
    code = getattr(grpc.StatusCode, refusal.code.grpc)
    await context.abort(code, str(refusal), ((REASON_HEADER, refusal.reason),))


def extensions() -> list[str]:
    """Return what this server knows beyond the protocol, for its metadata."""
    return ["binary_tensor_data", f"parameters({','.join(PARAMETERS)})", "surfacedefect.Scans/Detect"]


def _parsed(handler: Any, message: bytes, call: Call) -> Any:
    try:
        request = handler.request_deserializer(message)
    except DecodeError as error:
        raise RequestError("malformed", "the message is none of the Open Inference Protocol") from error
    if getattr(request, "id", ""):
        call.request_id = request_id_of(request.id)
    return request


def _properties(values: dict[str, str]) -> bytes:
    """Encode ``map<string, string> properties = 6`` of the protocol's newer ModelMetadataResponse."""
    parts = []
    for name, value in values.items():
        entry = b"".join(
            bytes([tag]) + _length(text.encode()) + text.encode() for tag, text in ((0x0A, name), (0x12, value))
        )
        parts.append(b"\x32" + _length(entry) + entry)
    return b"".join(parts)


def _length(content: bytes) -> bytes:
    number, written = len(content), bytearray()
    while number > 127:
        written.append(number & 127 | 128)
        number >>= 7
    written.append(number)
    return bytes(written)


def check_certificate(cert: Path, key: Path) -> None:
    """Raise when the files are no certificate and its key: gRPC would say that the port cannot be had.

    Raises
    ------
    OptionError
        They are not, or cannot be read.
    """
    try:
        # An empty password, so that nobody is asked for one on the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password="")
    except OSError as error:  # ssl.SSLError is one
        raise OptionError(
            f"tls_cert '{cert}' and tls_key '{key}' are no certificate and its key without a password ({error}); "
            "expected PEM files that belong together"
        ) from error


def make_server(model: SurfaceDefectModel, data_plane: DataPlane) -> tuple[grpc.aio.Server, int]:
    """Make the server and bind its port; start it afterwards.

    Raises
    ------
    OutputError
        The port is taken.
    OptionError
        The certificate cannot be used.
    """
    options = model.options
    limit = options.max_request_bytes + 64 * 1024  # the rest of the message beside the picture
    gate = Gate(model)
    server = grpc.aio.server(
        interceptors=(gate,),
        options=[
            ("grpc.max_receive_message_length", limit),
            ("grpc.max_send_message_length", -1),
            ("grpc.max_metadata_size", MOST_METADATA_BYTES),
            ("grpc.absolute_max_metadata_size", 2 * MOST_METADATA_BYTES),
            # Else a second server could share the port and take half of the requests.
            ("grpc.so_reuseport", 0),
            ("grpc.keepalive_time_ms", 60_000),
            ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ],
        maximum_concurrent_rpcs=options.workers + options.queue_length + _SPARE_RPCS,
    )
    from surfacedefect.serving._stream import Scans  # it needs the gate

    add_GRPCInferenceServiceServicer_to_server(Servicer(model, data_plane), server)
    server.add_generic_rpc_handlers((Scans(model, gate).handler(),))
    address = options.address
    place = f"[{address}]:{options.grpc_port}" if ":" in address else f"{address}:{options.grpc_port}"
    try:
        if options.tls_cert is None or options.tls_key is None:
            port = server.add_insecure_port(place)
        else:
            check_certificate(options.tls_cert, options.tls_key)
            key, chain = Path(options.tls_key).read_bytes(), Path(options.tls_cert).read_bytes()
            port = server.add_secure_port(place, grpc.ssl_server_credentials([(key, chain)]))
    except RuntimeError as error:
        raise OutputError(f"gRPC cannot listen on {place} ({error}); choose another --grpc-port or --host") from error
    if not port:
        raise OutputError(f"gRPC cannot listen on {place}; choose another --grpc-port or --host")
    return server, port
