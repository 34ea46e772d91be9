"""The server says how far it is when it is asked to, and stops when the caller calls it off."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time

import grpc
import numpy as np
import pytest
from serving_calls import CARD, encoded, graded, infer, pixels, predictor, request

import surfacedefect as sd
from surfacedefect import FunctionPredictor
from surfacedefect.errors import DetectionCancelledError, OptionError, ServingError
from surfacedefect.serving import AsyncClient, Client, ServeOptions, _exchange, background
from surfacedefect.serving._messages import InferRequestMessage, InferResponseMessage

SCAN = pixels(300, 400)


class Slow:
    """Counts the windows that it looks at, and takes its time."""

    def __init__(self) -> None:
        self.windows = 0

    def __call__(self, windows):
        self.windows += len(windows)
        time.sleep(0.02)
        return graded(windows)


@pytest.fixture(scope="module")
def slow():
    looking = Slow()
    with background(FunctionPredictor(looking, card=CARD), options=ServeOptions(http_port=0, grpc_port=0)) as running:
        yield looking, running


def test_progress_is_told_and_the_answer_is_the_same(slow):
    steps = []
    with Client(f"127.0.0.1:{slow[1].grpc_port}") as client:
        found = client.detect(SCAN, progress=lambda done, of: steps.append((done, of)))
        again = client.detect(SCAN)
    own = sd.detect(SCAN, model=predictor())
    assert found.to_geojson() == again.to_geojson() == own.to_geojson()
    windows = sd.plan(SCAN, model=predictor()).windows
    assert len(steps) > 3 and {of for _, of in steps} == {windows}
    assert all(before < after for (before, _), (after, _) in itertools.pairwise(steps))


def test_progress_comes_before_the_end(slow):
    """Not all at once when it is done."""
    seen = []
    with Client(f"127.0.0.1:{slow[1].grpc_port}") as client:
        client.detect(SCAN, progress=lambda done, of: seen.append((done, slow[0].windows)))
        start = seen[0][1]
    assert seen[0][0] < 5 and seen[-1][1] > start + 5


def test_it_stops_when_it_is_called_off(slow):
    stop, before = threading.Event(), slow[0].windows
    with Client(f"127.0.0.1:{slow[1].grpc_port}") as client:
        with pytest.raises(DetectionCancelledError, match="called off"):
            client.detect(np.tile(SCAN, (6, 3, 1))[:, :1100], progress=lambda *_: stop.set(), cancelled=stop.is_set)
        model = slow[1].model
        for _ in range(100):
            if not model.queue.working:
                break
            time.sleep(0.05)
        assert not model.queue.working
        assert slow[0].windows - before < 200  # of 900
        assert len(client.detect(SCAN, cancelled=lambda: False)) > 0
        with pytest.raises(DetectionCancelledError):
            client.detect(SCAN, cancelled=lambda: True)  # in one message, too


def test_an_error_of_the_caller_s_own_ends_the_call(slow):
    def fails(done, of):
        raise KeyError("mine")

    with Client(f"127.0.0.1:{slow[1].grpc_port}") as client, pytest.raises(KeyError, match="mine"):
        client.detect(np.tile(SCAN, (3, 2, 1)), progress=fails)
    for _ in range(100):
        if not slow[1].model.queue.working:
            return
        time.sleep(0.05)
    pytest.fail("the server still works on it")


def test_asyncio_too(slow):
    steps = []

    async def once():
        async with AsyncClient(f"127.0.0.1:{slow[1].grpc_port}") as client:
            found = await client.detect(SCAN, progress=lambda done, of: steps.append(done))
            task = asyncio.create_task(client.detect(np.tile(SCAN, (3, 2, 1)), progress=lambda *_: None))
            await asyncio.sleep(0.3)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return found

    assert asyncio.run(once()).to_geojson() == sd.detect(SCAN, model=predictor()).to_geojson()
    assert len(steps) > 3


def test_what_is_no_function_is_refused(slow):
    with Client(f"127.0.0.1:{slow[1].grpc_port}") as client:
        for name in ("progress", "cancelled"):
            with pytest.raises(OptionError, match=f"{name} is a str"):
                client.detect(SCAN, **{name: "yes"})


def stream(port, **parameters):
    """Call the stream as it is on the wire."""
    data = encoded(SCAN)
    head = InferRequestMessage(model_name="surfacedefect")
    head.inputs.add(name="image", datatype="BYTES", shape=[1])
    head.outputs.add(name="map_tiff")
    for name, value in parameters.items():
        chosen = "bool_param" if isinstance(value, bool) else "string_param"
        setattr(head.parameters.add(key=name).value, chosen, value)
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.stream_stream(_exchange.DETECT)
        answers = call(
            iter([head.SerializeToString(), InferRequestMessage(raw_input_contents=[data]).SerializeToString()])
        )
        return [InferResponseMessage.FromString(answer) for answer in answers]


def test_nobody_hears_of_progress_who_did_not_ask(slow):
    port = slow[1].grpc_port
    plain, unwanted, told = stream(port), stream(port, progress="false"), stream(port, progress=True)
    assert [message.SerializeToString() for message in plain[1:]] == [m.SerializeToString() for m in unwanted[1:]]
    steps = [message for message in told if _exchange.step_in(message) is not None]
    assert steps and told[: len(steps)] == steps
    rest = told[len(steps) :]
    assert [m.raw_output_contents for m in rest] == [m.raw_output_contents for m in plain]
    assert {item.key for item in rest[0].parameters} == {item.key for item in plain[0].parameters}
    with pytest.raises(grpc.RpcError, match="neither true nor false"):
        stream(port, progress="perhaps")


def test_one_message_knows_no_progress(slow):
    with pytest.raises(Exception, match="unknown parameter 'progress'"):
        infer(slow[1].grpc_port, request(encoded(SCAN), progress="true"))


def test_progress_that_is_none_is_said():
    message = InferResponseMessage()
    message.parameters.add(key="progress").value.string_param = "most of it"
    with pytest.raises(ServingError, match="expected '3/8'"):
        _exchange.step_in(message)
