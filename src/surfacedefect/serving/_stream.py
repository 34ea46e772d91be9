"""Large scans over gRPC in pieces: beside the protocol, as its one method takes and gives whole messages.

``/surfacedefect.Scans/Detect`` takes a ModelInferRequest without contents, then messages with a piece of the
picture each in ``raw_input_contents``; it gives a ModelInferResponse without contents, then the output in pieces. The
picture goes to a temporary file, from which the library reads it row by row, so that memory does not grow with it.

With the parameter ``progress`` (true) messages come before the answer that hold nothing but a parameter ``progress``,
such as ``"12/88"``: windows done and in all. The last of several that wait is sent, so a slow client hears fewer.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from surfacedefect._words import counted
from surfacedefect.errors import OutputError
from surfacedefect.serving._call import Call
from surfacedefect.serving._grpc import Gate, abort, accepting, call_of
from surfacedefect.serving._kserve import InferRequest, messages
from surfacedefect.serving._refusals import RequestError, let_go
from surfacedefect.serving._request import check_head
from surfacedefect.serving._wire import check_infer_message
from surfacedefect.serving.model import SurfaceDefectModel, told

PIECE_BYTES = 2**20
PROGRESS = "progress"


class Scans:
    """The service of streams."""

    def __init__(self, model: SurfaceDefectModel, gate: Gate) -> None:
        self._model, self._gate, self._options = model, gate, model.options
        self._open = 0

    def handler(self) -> Any:
        """Return what a gRPC server takes."""
        method = grpc.stream_stream_rpc_method_handler(self._detect)
        return grpc.method_handlers_generic_handler("surfacedefect.Scans", {"Detect": method})

    async def _detect(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        call = call_of(context, self._options)
        refusal: RequestError | None = None
        steps = _Steps()
        # In a task of its own: steps are sent while it works.
        answering = asyncio.ensure_future(self._accepted(requests, call, context, steps))
        answering.add_done_callback(lambda task: task.cancelled() or task.exception())  # heard, also when nobody waits
        try:
            async for step in steps.until(answering):
                yield step
            response = await answering
            pieces = list(response.raw_output_contents)
            del response.raw_output_contents[:]
            yield response.SerializeToString()
            for content in pieces:
                for start in range(0, len(content), PIECE_BYTES):
                    piece = content[start : start + PIECE_BYTES]
                    yield messages.ModelInferResponse(raw_output_contents=[piece]).SerializeToString()
        except (asyncio.CancelledError, GeneratorExit):
            call.cancel()
            refusal = RequestError("cancelled", "the client has gone")
            raise
        except Exception as error:
            refusal = told(error, call)
            let_go(error)
            await abort(context, refusal)
        finally:
            answering.cancel()
            self._gate.end(call, refusal, size=int(str(call.notes.get("received", 0))))

    async def _accepted(self, requests: AsyncIterator[bytes], call: Call, context: Any, steps: _Steps) -> Any:
        async with accepting(call, context) as sending:
            steps.after = sending
            return await self._answered(requests, call, steps)

    async def _answered(self, requests: AsyncIterator[bytes], call: Call, steps: _Steps) -> Any:
        model, options = self._model, self._options
        model.check_ready()
        if self._open > options.workers + options.queue_length:
            raise RequestError("queue_full", f"{counted(self._open, 'scan')} on the way already; ask again later")
        self._open += 1
        try:
            # Removing it may take a while on a slow disk, but it is never left behind.
            with tempfile.TemporaryDirectory(prefix="surfacedefect-", ignore_cleanup_errors=True) as folder:
                scan = Path(folder) / "scan"
                payload = await self._received(requests, call, scan, steps)
                response = await model.respond(payload, call, scan=scan)
                return await asyncio.to_thread(response.to_grpc)
        except OSError as error:
            if isinstance(error, OutputError):
                raise
            raise RequestError("queue_full", "the server has no room for this scan now; ask again later") from error
        finally:
            self._open -= 1

    async def _received(self, requests: AsyncIterator[bytes], call: Call, scan: Path, steps: _Steps) -> InferRequest:
        """Write the picture to a file; return the request that it belongs to."""
        payload, size, most = None, 0, self._options.max_scan_bytes
        try:
            async with asyncio.timeout(call.seconds_left):
                with scan.open("wb") as file:
                    async for data in requests:
                        message = _parsed(data)
                        if payload is None:
                            if _wants_progress(message):
                                call.tell = steps.teller()
                            payload = InferRequest.from_grpc(message)
                            check_head(payload, self._options)
                            if len(payload.request_outputs or ()) > 1:
                                raise RequestError("option", "a stream answers with one output; ask for one alone")
                            continue
                        for piece in message.raw_input_contents:
                            size += len(piece)
                            if size > most:
                                raise RequestError("too_large", f"the scan is longer than {most:,} bytes")
                            file.write(piece)
                        call.notes["received"] = size
        except TimeoutError:
            raise RequestError("deadline", "the scan did not arrive within the deadline") from None
        if payload is None:
            raise RequestError("malformed", "the stream is empty; expected a request, then the picture in pieces")
        return payload


class _Steps:
    """How far a request is: told by the thread that works, sent by the task that answers."""

    def __init__(self) -> None:
        self.after: list[asyncio.Task[None]] = []
        self._last: tuple[int, int] | None = None
        self._sent: tuple[int, int] | None = None
        self._told = asyncio.Event()

    def teller(self) -> Callable[[int, int], None]:
        """Return what the thread calls."""
        loop = asyncio.get_running_loop()

        def note(done: int, of: int) -> None:
            self._last = done, of
            self._told.set()

        def tell(done: int, of: int) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has closed: the server was told twice to stop
                loop.call_soon_threadsafe(note, done, of)

        return tell

    async def until(self, answering: asyncio.Future[Any]) -> AsyncIterator[bytes]:
        """Yield a message for each step until there is an answer, or an error."""
        while not answering.done():
            told = asyncio.ensure_future(self._told.wait())
            try:
                await asyncio.wait({told, answering}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                told.cancel()
            self._told.clear()
            if self._last is None or self._last == self._sent or answering.done():
                continue
            if self.after:
                await asyncio.wait(self.after)
            self._sent = done, of = self._last
            response = messages.ModelInferResponse()
            response.parameters[PROGRESS].string_param = f"{done}/{of}"
            yield response.SerializeToString()


def _wants_progress(message: Any) -> bool:
    """Take the wish out of a request: the rest of it is as it always was."""
    if PROGRESS not in message.parameters:
        return False
    wish = message.parameters[PROGRESS]
    chosen = wish.WhichOneof("parameter_choice")
    if chosen == "string_param" and wish.string_param in ("true", "false"):
        wanted = str(wish.string_param) == "true"
    elif chosen == "bool_param":
        wanted = bool(wish.bool_param)
    else:
        raise RequestError("option", f"parameter '{PROGRESS}' is neither true nor false")
    del message.parameters[PROGRESS]
    return wanted


def _parsed(data: bytes) -> Any:
    check_infer_message(data)
    try:
        return messages.ModelInferRequest.FromString(data)
    except DecodeError as error:
        raise RequestError("malformed", "the message is none of the Open Inference Protocol") from error
