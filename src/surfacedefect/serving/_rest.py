"""REST: the Open Inference Protocol's paths, health and metrics, over KServe's data plane."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from surfacedefect._version import __version__
from surfacedefect._words import shortened
from surfacedefect.serving._call import Call, current_call, request_id_of
from surfacedefect.serving._grpc import WITHOUT_TOKEN, extensions, is_token
from surfacedefect.serving._kserve import DataPlane, InferResponse
from surfacedefect.serving._logs import log_end
from surfacedefect.serving._refusals import REASON_HEADER, RequestError, let_go
from surfacedefect.serving._rest_body import JSON_LENGTH_HEADER, read_body
from surfacedefect.serving.model import SurfaceDefectModel, told
from surfacedefect.serving.options import MODEL_NAME

OPEN_TO_ALL = ("/", "/v2/health/live", "/v2/health/ready")
MOST_HEADER_BYTES = 32 * 1024
_SECONDS_TO_HEAR_OUT = 2.0

Handler = Callable[[Request], Awaitable[Response]]


def make_app(model: SurfaceDefectModel, data_plane: DataPlane) -> Starlette:
    """Make the application."""
    rest = _Rest(model, data_plane)
    here = "/v2/models/{name}"
    routes = [
        Route("/", rest.live),
        Route("/metrics", rest.metrics),
        Route("/v2", rest.server),
        Route("/v2/health/live", rest.live),
        Route("/v2/health/ready", rest.ready),
        Route("/v2/models", rest.models),
        Route(here, rest.metadata),
        Route(f"{here}/versions/{{version}}", rest.metadata),
        Route(f"{here}/ready", rest.model_ready),
        Route(f"{here}/versions/{{version}}/ready", rest.model_ready),
        Route(f"{here}/infer", rest.infer, methods=["POST"]),
        Route(f"{here}/versions/{{version}}/infer", rest.infer, methods=["POST"]),
    ]
    guarded = [Route(r.path, rest.guarded(r.endpoint), methods=list(r.methods or ["GET"])) for r in routes]
    app = Starlette(routes=guarded, exception_handlers={HTTPException: _plain_error})
    # A redirect is sent before the token is looked at, to whatever host the client names.
    app.router.redirect_slashes = False
    return app


class _Rest:
    def __init__(self, model: SurfaceDefectModel, data_plane: DataPlane) -> None:
        self._model, self._plane, self._options = model, data_plane, model.options
        self._held_bytes = 0
        # Bodies are held while they are read and while they wait; together no more than those that have a place.
        self._most_held_bytes = (
            self._options.workers + self._options.queue_length + 1
        ) * self._options.max_request_bytes

    def guarded(self, handler: Handler) -> Handler:
        async def guarded(request: Request) -> Response:
            call = self._call_of(request)
            infers = request.method == "POST"
            token = self._options.token
            current = current_call.set(call)
            refusal = None
            try:
                _check_headers(request)
                # Not `request.url`, which older Starlettes put together from the header Host, a stranger's word.
                if request.scope["path"] not in OPEN_TO_ALL and not _may(request, token):
                    raise RequestError("unauthenticated", WITHOUT_TOKEN)
                response = await handler(request)
            except asyncio.CancelledError:
                call.cancel()
                raise
            except Exception as error:
                refusal = told(error, call)
                let_go(error)
                response = _refused(refusal)
                await _hear_out(request)
            finally:
                current_call.reset(current)
            if infers or (refusal is not None and refusal.reason == "unauthenticated"):
                self._model.metrics.ended("rest", None if refusal is None else refusal.reason)
            if infers:
                self._model.metrics.spent("whole", time.monotonic() - call.arrived)
                log_end(call, refusal, size=request.scope.get("surfacedefect.bytes", 0))
            response.headers["x-request-id"] = call.request_id
            if not self._model.ready:
                response.headers["connection"] = "close"
            return response

        return guarded

    def _call_of(self, request: Request) -> Call:
        client = f"{request.client.host}:{request.client.port}" if request.client else "unknown"
        given = request_id_of(request.headers.get("x-request-id"))
        return Call(given, client, "rest", time.monotonic() + self._options.deadline_seconds)

    async def live(self, request: Request) -> Response:
        return _json({"live": True})

    async def ready(self, request: Request) -> Response:
        return _json({"ready": self._model.ready}, status=200 if self._model.ready else 503)

    async def metrics(self, request: Request) -> Response:
        return Response(self._model.metrics.text(), headers={"content-type": self._model.metrics.content_type})

    async def server(self, request: Request) -> Response:
        return _json({"name": MODEL_NAME, "version": __version__, "extensions": extensions()})

    async def models(self, request: Request) -> Response:
        return _json({"models": [MODEL_NAME]})

    async def metadata(self, request: Request) -> Response:
        self._find(request)
        described = await self._plane.model_metadata(MODEL_NAME)
        return _json({**described, "properties": self._model.properties()})

    async def model_ready(self, request: Request) -> Response:
        self._find(request)
        ready = await self._plane.model_ready(MODEL_NAME)
        return _json({"name": MODEL_NAME, "ready": ready}, status=200 if ready else 503)

    async def infer(self, request: Request) -> Response:
        self._find(request)
        self._model.check_ready()
        call = current_call.get() or self._call_of(request)
        _check_encoding(request)
        with self._room_for(request) as room:
            body = await self._body(request, call, room)
            length = request.headers.get(JSON_LENGTH_HEADER)
            payload = await asyncio.to_thread(read_body, body, json_length=length, model_name=MODEL_NAME)
            del body
            if payload.id:
                call.request_id = request_id_of(payload.id)
            given = await _unless_gone(request, call, self._plane.infer(request=payload, model_name=MODEL_NAME))
        response: InferResponse = given[0]
        content, length = await asyncio.to_thread(self._plane.encode, MODEL_NAME, response, {}, {})
        if isinstance(content, bytes):
            return Response(content, headers={"content-type": "application/octet-stream", **length})
        return _json({name: value for name, value in content.items() if value is not None})

    def _find(self, request: Request) -> None:
        name, version = request.path_params["name"], request.path_params.get("version")
        if name != MODEL_NAME or version is not None:
            wanted = name[:60] if version is None else f"{name[:60]} version {version[:60]}"
            raise RequestError(
                "not_found", f"no model is called {wanted!r}; expected '{MODEL_NAME}', without a version"
            )

    @contextlib.contextmanager
    def _room_for(self, request: Request) -> Any:
        """Reserve memory for a body before it is read."""
        most = self._options.max_request_bytes
        said = request.headers.get("content-length", "")
        if said and not (said.isascii() and said.isdigit()):
            raise RequestError("malformed", "content-length is no number")
        size = int(said[:20]) if said else most
        if size > most:
            raise RequestError("too_large", f"the request has {size:,} bytes; expected at most {most:,}")
        if self._held_bytes + size > self._most_held_bytes:
            raise RequestError(
                "queue_full", "the requests that wait fill the memory set aside for them; ask again later"
            )
        self._held_bytes += size
        try:
            yield size
        finally:
            self._held_bytes -= size

    async def _body(self, request: Request, call: Call, room: int) -> bytes:
        parts, size = [], 0
        try:
            async with asyncio.timeout(call.seconds_left):
                async for part in request.stream():
                    size += len(part)
                    if size > room:
                        raise RequestError("too_large", f"the request is longer than {room:,} bytes")
                    parts.append(part)
        except TimeoutError:
            raise RequestError("deadline", "the request did not arrive within the deadline") from None
        except ClientDisconnect:
            raise RequestError("cancelled", "the client went while it sent") from None
        request.scope["surfacedefect.bytes"] = size
        return b"".join(parts)


def _check_headers(request: Request) -> None:
    size = sum(len(name) + len(value) for name, value in request.headers.raw)
    if size > MOST_HEADER_BYTES:
        raise RequestError(
            "headers_too_large", f"the headers have {size:,} bytes; expected at most {MOST_HEADER_BYTES:,}"
        )


def _check_encoding(request: Request) -> None:
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise RequestError(
            "malformed", f"content-encoding is {shortened(encoding, most=40)!r}; send the body as it is, not compressed"
        )


def _may(request: Request, token: str | None) -> bool:
    return token is None or is_token(request.headers.get("authorization"), token)


async def _unless_gone(request: Request, call: Call, work: Any) -> Any:
    """Await work, but drop it when the client hangs up."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise RequestError("cancelled", "the client has gone")
        return task.result()
    finally:
        for each in (task, gone):
            if not each.done():
                each.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await each


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _hear_out(request: Request) -> None:
    """Read on for a moment what is refused: a connection that is shut on a talking client loses the reason, too."""
    with contextlib.suppress(TimeoutError, ClientDisconnect, RuntimeError):
        async with asyncio.timeout(_SECONDS_TO_HEAR_OUT):
            async for _ in request.stream():
                pass


def _json(content: Any, *, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status_code=status, media_type="application/json")


def _refused(refusal: RequestError) -> Response:
    response = _json({"error": str(refusal)}, status=refusal.code.http)
    response.headers[REASON_HEADER] = refusal.reason
    if refusal.reason == "unauthenticated":
        response.headers["www-authenticate"] = "Bearer"
    if refusal.code.http in (429, 503):
        response.headers["retry-after"] = "1"
    return response


async def _plain_error(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 500)
    return _json({"error": str(getattr(error, "detail", "failed"))}, status=status)
