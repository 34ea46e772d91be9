"""How requests end that do not simply end: deadlines, clients that go, a server that is told to stop."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from serving_calls import Refusal, encoded, infer, log_of, pixels, post, predictor, program, request, rest_body

import surfacedefect as sd
from surfacedefect.errors import DeadlineError, SurfaceDefectError
from surfacedefect.serving import Client, ServeOptions, background

DATA = encoded(pixels())  # six windows


def figure(port: int, name: str) -> float:
    """One number of the server's metrics."""
    lines = httpx.get(f"http://127.0.0.1:{port}/metrics", verify=False).text.splitlines()
    return next(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} "))


def until(condition) -> None:
    for _ in range(600):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("did not happen")


def outcome(call) -> str:
    try:
        answer = call()
    except (Refusal, SurfaceDefectError) as error:
        return f"refused {error}"
    except httpx.HTTPError as error:
        return f"refused {type(error).__name__}"
    if isinstance(answer, httpx.Response):
        return "answered" if answer.status_code == 200 else f"refused {answer.status_code}"
    return "answered"


@pytest.mark.parametrize("protocol", ["grpc", "rest"])
def test_told_to_stop_in_mid_load_it_answers_what_it_accepted(tmp_path, protocol):
    with program(tmp_path, "--delay", 0.02, "--queue-length", 64, "--drain-seconds", 0.3) as server:
        stopped = []

        def client(number: int) -> list[str]:
            heard = []
            for _ in range(40):
                if protocol == "grpc":
                    heard.append(outcome(lambda: infer(server.grpc_port, request(DATA))))
                else:
                    heard.append(outcome(lambda: post(server.http_port, rest_body(DATA))))
                if heard[-1] != "answered":
                    break
            return heard

        with ThreadPoolExecutor(8) as pool:
            clients = [pool.submit(client, number) for number in range(8)]
            until(lambda: sum(line["event"] == "answered" for line in log_of(tmp_path)) > 8)
            stopped.append(server.stop())
            heard = [each.result(60) for each in clients]
    assert stopped == [0]
    log = log_of(tmp_path)
    assert [line["event"] for line in log if line["event"] in ("draining", "stopped")] == ["draining", "stopped"]
    answers = sum(each.count("answered") for each in heard)
    assert answers == sum(line["event"] == "answered" for line in log)
    assert all(each[-1] != "answered" for each in heard)  # every client was there to the end ...
    clean = ("UNAVAILABLE", "503", "ConnectError")  # ... and was told, or found nobody
    assert all(any(word in each[-1] for word in clean) for each in heard), heard
    at = [line["event"] for line in log].index("draining")
    assert any(line["event"] == "answered" for line in log[at:])
    assert {line["reason"] for line in log if line["event"] == "rejected"} <= {"draining"}


def test_a_second_signal_drops_what_is_still_worked_on(tmp_path):
    with program(tmp_path, "--delay", 0.5) as server, ThreadPoolExecutor(1) as pool:
        slow = pool.submit(lambda: outcome(lambda: infer(server.grpc_port, request(DATA))))
        until(lambda: figure(server.http_port, "surfacedefect_in_progress") == 1)
        server.process.send_signal(signal.SIGTERM)
        until(lambda: any(line["event"] == "draining" for line in log_of(tmp_path)))
        assert server.stop() == 0
        assert slow.result(30).startswith("refused")


CLIENT = """
import sys
from serving_calls import *
data = encoded(pixels(200, 400))
print("asking", flush=True)
if sys.argv[1] == "grpc":
    infer(int(sys.argv[2]), request(data), timeout=60)
else:
    post(int(sys.argv[2]), rest_body(data))
"""


def test_a_killed_client_frees_its_place(tmp_path):
    options = ("--delay", 0.5, "--workers", 1, "--queue-length", 1)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, sys.path))}
    with program(tmp_path, *options) as server:
        for protocol, port in (("grpc", server.grpc_port), ("rest", server.http_port)):
            command = [sys.executable, "-c", CLIENT, protocol, str(port)]
            clients = [subprocess.Popen(command, env=environment) for _ in range(2)]  # one is served, the other waits
            until(lambda: figure(server.http_port, "surfacedefect_queue_length") == 1)
            with pytest.raises(Refusal, match="RESOURCE_EXHAUSTED"):
                infer(server.grpc_port, request(DATA))
            for client in clients:
                client.kill()
                client.wait()
            until(lambda: figure(server.http_port, "surfacedefect_queue_length") == 0)
            until(lambda: figure(server.http_port, "surfacedefect_in_progress") == 0)
            assert infer(server.grpc_port, request(encoded(pixels(60, 60)))).raw_output_contents
        server.stop()
    reasons = [line["reason"] for line in log_of(tmp_path) if line["event"] == "rejected"]
    for each in (reasons[:3], reasons[3:]):  # of either protocol
        assert sorted(each) == ["cancelled", "cancelled", "queue_full"]


def slow_predictor(seconds: float) -> sd.FunctionPredictor:
    fast = predictor()

    def look(windows):
        time.sleep(seconds)
        return fast(windows)

    return sd.FunctionPredictor(look, card=fast.card)


@pytest.fixture(scope="module")
def slow():
    options = ServeOptions(http_port=0, grpc_port=0, workers=1, queue_length=2, deadline_seconds=1.0)
    with background(slow_predictor(0.4), options=options) as running:
        yield running


def test_a_deadline_is_kept_between_windows(slow):
    windows = slow.model.metrics._windows
    before = windows._value.get()
    with Client(f"127.0.0.1:{slow.grpc_port}") as client, pytest.raises(DeadlineError):
        client.detect(DATA, timeout_seconds=0.6)
    assert post(slow.http_port, rest_body(DATA, parameters={"timeout": 500_000})).status_code == 504
    with pytest.raises(Refusal, match="DEADLINE_EXCEEDED"):
        infer(slow.grpc_port, request(DATA))  # the server's own
    until(lambda: slow.model.queue.working == 0)
    assert windows._value.get() - before < 3 * 6  # none of the three was looked at to its end


def test_the_deadline_holds_in_the_queue_too(slow):
    with ThreadPoolExecutor(3) as pool:
        codes = list(pool.map(lambda _: post(slow.http_port, rest_body(DATA)).status_code, range(3)))
    assert codes == [504] * 3
    until(lambda: slow.model.queue.working == 0 and slow.model.queue.waiting == 0)


def test_only_when_the_model_has_run_once_is_it_ready():
    import threading

    go = threading.Event()
    fast = predictor()

    def look(windows):
        assert go.wait(30)
        return fast(windows)

    http_port, grpc_port = free_ports()
    address = f"http://127.0.0.1:{http_port}"
    options = ServeOptions(http_port=http_port, grpc_port=grpc_port)
    model = sd.FunctionPredictor(look, card=fast.card)

    def serve() -> None:
        with background(model, options=options):
            assert httpx.get(f"{address}/v2/health/ready").json() == {"ready": True}
            assert post(http_port, rest_body(DATA)).status_code == 200

    with ThreadPoolExecutor(1) as pool:
        served = pool.submit(serve)
        try:
            until(lambda: alive(f"{address}/v2/health/live"))
            assert httpx.get(f"{address}/v2/health/ready").status_code == 503
            assert httpx.get(f"{address}/v2/models/surfacedefect/ready").status_code == 503
            assert post(http_port, rest_body(DATA)).status_code == 503
            with Client(f"127.0.0.1:{grpc_port}") as client:
                assert not client.is_ready()
            with pytest.raises(Refusal, match="UNAVAILABLE"):
                infer(grpc_port, request(DATA))
        finally:
            go.set()
        served.result(60)


def free_ports() -> list[int]:
    """Two ports that were free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        return [one.getsockname()[1], other.getsockname()[1]]


def alive(address: str) -> bool:
    try:
        return httpx.get(address, verify=False).status_code == 200
    except httpx.ConnectError:
        return False


def test_a_model_that_does_not_run_never_becomes_ready():
    def fail(windows):
        raise RuntimeError("no engine today")

    broken = sd.FunctionPredictor(fail, card=predictor().card)
    options = ServeOptions(http_port=0, grpc_port=0)
    with pytest.raises(sd.PredictorError, match="no engine today"), background(broken, options=options):
        pass
