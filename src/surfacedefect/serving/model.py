"""The model as KServe knows it: for this library's own server, and for KServe's."""

from __future__ import annotations

import asyncio
import base64
import functools
import logging
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from surfacedefect._version import __version__
from surfacedefect.detections import Detections
from surfacedefect.errors import PredictorError, SurfaceDefectError
from surfacedefect.predictor import Predictor, check_shape, check_values
from surfacedefect.probability import ProbabilityMap
from surfacedefect.runtimes import load_predictor
from surfacedefect.serving._batcher import Batcher
from surfacedefect.serving._call import Call, current_call, request_id_of
from surfacedefect.serving._kserve import InferOutput, InferRequest, InferResponse, InvalidInput, Model, RequestedOutput
from surfacedefect.serving._metrics import Metrics
from surfacedefect.serving._queue import FairQueue
from surfacedefect.serving._refusals import RequestError, as_request_error
from surfacedefect.serving._request import INPUT, OUTPUTS, PARAMETERS, DetectRequest, read_request
from surfacedefect.serving._work import Answer, Output, answer
from surfacedefect.serving.options import MODEL_NAME, ServeOptions

logger = logging.getLogger("surfacedefect.serving")

MOST_NUMBERS_IN_JSON = 2**22
"""Values of a tensor that is written as a list of numbers; a larger one goes as binary data or as a GeoTIFF."""


class Refused(InvalidInput):  # type: ignore[misc]
    """A refusal as KServe's own servers understand one; this library's server reads the `RequestError` in it."""

    def __init__(self, error: RequestError) -> None:
        super().__init__(str(error))
        self.error = error


class SurfaceDefectModel(Model):  # type: ignore[misc]
    """Finds and outlines damage; a `kserve.Model`.

    Parameters
    ----------
    model
        Name of shipped weights, path of an ``.onnx`` with its card, or any `Predictor`.
    runtime
        Engine; see `surfacedefect.runtimes`.
    threads
        Threads of the engine; None takes every core.
    options
        Limits, queue and batch; its host, ports, token and TLS are a server's.

    Examples
    --------
    KServe's own server takes it, too::

        model = SurfaceDefectModel()
        model.load()
        kserve.ModelServer().start([model])
    """

    def __init__(
        self,
        model: str | Path | Predictor = "default",
        *,
        runtime: str = "auto",
        threads: int | None = None,
        options: ServeOptions | None = None,
    ) -> None:
        super().__init__(MODEL_NAME)
        self.options = options or ServeOptions()
        self._source, self._runtime, self._threads = model, runtime, threads
        self._batcher: Batcher | None = None
        self._loading = threading.Lock()
        self._stopping = False
        self.queue = FairQueue(workers=self.options.workers, length=self.options.queue_length)
        self.metrics = Metrics(waiting=lambda: self.queue.waiting, working=lambda: self.queue.working)

    def load(self) -> bool:
        """Load the engine and let it run once; only then is the model ready.

        Raises
        ------
        ModelError, MissingExtraError, PredictorError
            The engine cannot be loaded, or does not run.
        """
        with self._loading:
            if self._stopping:  # KServe's data plane loads what is not ready
                return False
            if self._batcher is None:
                source = self._source
                if isinstance(source, str | Path):
                    source = load_predictor(source, runtime=self._runtime, threads=self._threads)
                batch = self.options.batch or (8 if getattr(source, "runs_on_gpu", False) else 1)
                _run_once(source, batch=batch)
                self._batcher = Batcher(source, batch=batch, looked=self.metrics.looked)
            self.ready = True
            self.metrics.set_ready(True)
            return True

    def start(self) -> None:
        """Do nothing: KServe's would call the model ready before it has run."""

    def check_ready(self) -> None:
        """Raise while no requests are taken.

        Raises
        ------
        RequestError
            The model has not run yet, or is about to stop.
        """
        if self._stopping:
            raise RequestError("draining", "the server is about to stop; ask another one, or this one again later")
        if not self.ready:
            raise RequestError("not_ready", "the model is not loaded yet; ask again soon")

    def drain(self) -> None:
        """Take no more requests, for good; those that were accepted go on."""
        self.ready, self._stopping = False, True
        self.metrics.set_ready(False)
        self.queue.close()

    def stop(self) -> None:
        """Let go of the engine and the threads."""
        self.drain()
        self.queue.shut_down()
        if self._batcher is not None:
            self._batcher.close()

    @property
    def predictor(self) -> Predictor | None:
        """The engine, once it is loaded."""
        return None if self._batcher is None else self._batcher.predictor

    def get_input_types(self) -> list[dict[str, Any]]:
        """Say what goes in. A raw tensor, UINT8 [height, width, 3], may take the place of the encoded picture."""
        return [{"name": INPUT, "datatype": "BYTES", "shape": [1]}]

    def get_output_types(self) -> list[dict[str, Any]]:
        """Say what comes out, of which ``geojson`` unless others are asked for."""
        return [{"name": name, "datatype": kind, "shape": shape} for name, (kind, shape, _) in OUTPUTS.items()]

    def properties(self) -> dict[str, str]:
        """Describe inputs, outputs, parameters and the model, for metadata."""
        described = {f"parameters.{name}": text for name, text in PARAMETERS.items()}
        described |= {f"outputs.{name}": text for name, (_, _, text) in OUTPUTS.items()}
        described[f"inputs.{INPUT}"] = "an encoded picture, BYTES [1], base64 in JSON; or UINT8 [height, width, 3]"
        if self.predictor is not None:
            card = self.predictor.card
            described |= {"model": card.name, "kinds": ",".join(card.kinds), "window_px": str(card.window_px)}
        return described | {"surfacedefect": __version__}

    async def predict(
        self, payload: InferRequest, headers: Mapping[str, str] | None = None, response_headers: Any = None
    ) -> InferResponse:
        """Answer one request.

        Raises
        ------
        Refused
            There is no answer; `Refused.error` says why.
        """
        call = current_call.get() or self._call_of(payload, headers or {})
        try:
            return await self.respond(payload, call)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            raise Refused(told(error, call)) from error

    async def respond(
        self,
        payload: InferRequest,
        call: Call,
        *,
        scan: Path | None = None,
        accepted: Callable[[], object] | None = None,
    ) -> InferResponse:
        """Answer one request of a call; `scan` is its picture when it came apart from it."""
        if not isinstance(payload, InferRequest):
            raise RequestError("unsupported", "this is no request of the Open Inference Protocol (v2)")
        with self.metrics.stage("read"):
            request = await asyncio.to_thread(read_request, payload, self.options, scan=scan)
        _check_address(payload)
        self.check_ready()
        if self._batcher is None:
            raise RequestError("not_ready", "the model is not loaded yet; ask again soon")
        if request.timeout_seconds is not None:
            call.end_within(request.timeout_seconds)
        work = functools.partial(self._worked, request, call, self._batcher, time.perf_counter())
        given = await self.queue.run(call, work, accepted=accepted or call.accept)
        return await asyncio.to_thread(_response, payload, request, given, call.request_id)

    def _worked(self, request: DetectRequest, call: Call, batcher: Batcher, queued: float) -> Answer:
        self.metrics.spent("queue", time.perf_counter() - queued)
        return answer(request, call, batcher=batcher, metrics=self.metrics)

    def _call_of(self, payload: Any, headers: Mapping[str, str]) -> Call:
        """Make a call where KServe's own server asks, which tells neither peer nor deadline."""
        given = getattr(payload, "id", None) or headers.get("x-request-id")
        return Call(request_id_of(given), "kserve", "kserve", time.monotonic() + self.options.deadline_seconds)


def told(error: Exception, call: Call) -> RequestError:
    """Turn an error into a refusal; what nobody thought of goes into the log with its traceback."""
    if isinstance(error, Refused):
        refusal = error.error
    elif isinstance(error, InvalidInput):  # KServe's own word
        refusal = RequestError("malformed", str(error))
    else:
        refusal = as_request_error(error)
    if refusal.reason == "internal":
        logger.error("failed", exc_info=error, extra={"fields": {"request_id": call.request_id}})
    return refusal


def _run_once(predictor: Predictor, *, batch: int) -> None:
    """Look at one blank batch, hold the answer against the card, and load what outlining needs."""
    side = predictor.card.window_px
    windows = np.full((batch, side, side, 3), 128, np.uint8)
    try:
        given = predictor(windows)
    except SurfaceDefectError:
        raise
    except Exception as error:
        raise PredictorError(
            f"predictor '{predictor.card.name}' failed on a blank window: {type(error).__name__}: {error}; "
            "see that it runs with `Detector` first"
        ) from error
    check_shape(given, windows, predictor.card)
    check_values(given, predictor.card)
    # Imported when first needed, which takes most of a second: not in somebody's request.
    bar = np.zeros((1, 24, 24), np.uint8)
    bar[0, 8:12, 2:20] = 255
    Detections.from_map(
        ProbabilityMap.from_arrays(bar, ("any",)),
        scan_reference=None,
        threshold=0.5,
        kinds=("any",),
        least_area_px=1,
        simplify_px=0,
    )


def _check_address(payload: InferRequest) -> None:
    if payload.model_name != MODEL_NAME:
        raise RequestError("not_found", f"no model is called {payload.model_name[:60]!r}; expected '{MODEL_NAME}'")
    if payload.model_version:
        raise RequestError("not_found", f"there is no version {payload.model_version[:60]!r}; leave the version out")


def _response(payload: InferRequest, request: DetectRequest, given: Answer, request_id: str) -> InferResponse:
    outputs = [_output(name, given.outputs[name], binary=binary) for name, binary in request.outputs]
    # KServe's types know no other way to say per output what is binary in REST.
    wanted = [RequestedOutput(name, {"binary_data": binary}) for name, binary in request.outputs]
    return InferResponse(
        response_id=payload.id or request_id,
        model_name=MODEL_NAME,
        infer_outputs=outputs,
        from_grpc=payload.from_grpc,
        parameters={"detection": given.detection},
        requested_outputs=wanted,
    )


def _output(name: str, value: Output, *, binary: bool) -> InferOutput:
    datatype = OUTPUTS[name][0]
    if isinstance(value, bytes):
        if not binary and name != "geojson":
            value = base64.b64encode(value)
        output = InferOutput(name, [1], datatype)
        output.set_data_from_numpy(np.array([value], np.object_), binary_data=binary)
        return output
    if not binary and value.size > MOST_NUMBERS_IN_JSON:
        raise RequestError(
            "too_large",
            f"'{name}' has {value.size:,} values, too many for JSON; ask for 'map_tiff', or with binary_data",
        )
    output = InferOutput(name, list(value.shape), datatype)
    output.set_data_from_numpy(value, binary_data=binary)
    return output
