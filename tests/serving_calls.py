"""What the tests of the server share: a predictor whose answers are not all alike, and calls of both protocols."""

from __future__ import annotations

import base64
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
from PIL import Image

from surfacedefect import FunctionPredictor, ModelCard
from surfacedefect.serving._messages import InferRequestMessage, InferResponseMessage

INFER = "/inference.GRPCInferenceService/ModelInfer"
REST = "/v2/models/surfacedefect/infer"
TOKEN = "a-token-of-this-test-alone"
PROGRAM = Path(__file__).with_name("serving_program.py")

CARD = ModelCard(
    name="graded", kinds=("scratch", "dent"), window_px=64, overlap_px=16, thresholds={"scratch": 0.6, "dent": 0.7}
)


def graded(windows: np.ndarray) -> np.ndarray:
    """The darker the more of a scratch, the lighter the more of a dent: every level comes up."""
    value = windows.astype(np.float32).mean(axis=3) / np.float32(255)
    return np.stack([1 - value, value * value], axis=1)


def predictor() -> FunctionPredictor:
    return FunctionPredictor(graded, card=CARD)


def pixels(height: int = 90, width: int = 140, *, seed: int = 0) -> np.ndarray:
    """Blocks of random grey on grey paint: some defects of both kinds, no two alike."""
    scan = np.full((height, width, 3), 140, np.uint8)
    generator = np.random.default_rng(seed)
    for _ in range(6):
        top, left = generator.integers(0, height - 16), generator.integers(0, width - 24)
        scan[top : top + 14, left : left + 20] = generator.choice([0, 20, 40, 235, 255])
    return scan


def encoded(scan: np.ndarray, *, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(scan).save(file, format=kind, **options)
    return file.getvalue()


def request(
    data: bytes, *, datatype: str = "BYTES", shape: Sequence[int] = (1,), outputs: Sequence[str] = (), **parameters: str
) -> Any:
    """A ModelInferRequest with raw contents."""
    message = InferRequestMessage(model_name="surfacedefect")
    message.inputs.add(name="image", datatype=datatype, shape=shape)
    message.raw_input_contents.append(len(data).to_bytes(4, "little") + data if datatype == "BYTES" else data)
    for name in outputs:
        message.outputs.add(name=name)
    for name, value in parameters.items():
        message.parameters.add(key=name).value.string_param = value
    return message


@dataclass
class Refusal(Exception):
    """How a call ended that was not answered."""

    code: str
    details: str
    trailing: Mapping[str, Any]


def infer(port: int, message: Any, *, timeout: float = 30, metadata: Sequence[tuple[str, str]] = ()) -> Any:
    """Call ModelInfer with a message, or with whatever bytes."""
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.max_send_message_length", -1)]) as channel:
        return infer_on(channel, message, timeout=timeout, metadata=metadata)


def infer_on(channel: Any, message: Any, *, timeout: float = 30, metadata: Sequence[tuple[str, str]] = ()) -> Any:
    call = channel.unary_unary(INFER)
    data = message if isinstance(message, bytes) else message.SerializeToString()
    try:
        return InferResponseMessage.FromString(call(data, timeout=timeout, metadata=tuple(metadata)))
    except grpc.RpcError as error:
        raise Refusal(error.code().name, error.details(), dict(error.trailing_metadata() or ())) from error


def rest_body(data: bytes, **extra: Any) -> dict[str, Any]:
    text = base64.b64encode(data).decode()
    return {"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "data": [text]}], **extra}


def post(port: int, body: Any, **options: Any) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    # verify: without it every call reads all certificates, of which plain HTTP asks for none.
    return httpx.post(f"http://127.0.0.1:{port}{REST}", content=content, timeout=30, verify=False, **options)


@dataclass
class Program:
    """A server in a process of its own."""

    process: subprocess.Popen[str]
    http_port: int
    grpc_port: int

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)

    @property
    def memory_mib(self) -> float:
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


@contextmanager
def program(folder: Path, *arguments: object) -> Iterator[Program]:
    """Run a server with a fake predictor; its log goes to ``server.log`` in a folder."""
    log = folder / "server.log"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, sys.path))}
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, str(PROGRAM), *map(str, arguments)], stderr=file, env=environment, text=True
        )
    try:
        ready = _ready(process, log)
        yield Program(process, ready["http_port"], ready["grpc_port"])
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def _ready(process: subprocess.Popen[str], log: Path) -> dict[str, Any]:
    for _ in range(600):
        for line in log_of(log.parent):
            if line["event"] == "ready":
                return line
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise RuntimeError(f"the server does not come up: {log.read_text()}")


def log_of(folder: Path) -> list[dict[str, Any]]:
    """The log's lines; the last one may still be written."""
    lines = (folder / "server.log").read_text().splitlines()
    return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]
