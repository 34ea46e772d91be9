"""What does the server cost over the library, and does it stay quick and small under load?

Eight clients on loopback send JPEGs of 512 to 1024 px over gRPC, as any client of the Open Inference Protocol does.
With a cheap predictor in the model's place (the darker, the more of a scratch; under 1 ms a window), so that what is
measured is the server: capacity is found with all clients asking as fast as they can, in turns with the library in a
loop; then 70 % of it is asked for at a steady rate, for minutes. Latency counts from the moment at which a request was
due. With the shipped weights, where the engine is nearly all of the time, few requests are sent, and one scan of 12 MP.

Clients and server share the processor.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from common import write_result
from PIL import Image

import surfacedefect as sd
from surfacedefect.serving import Client, ServeOptions
from surfacedefect.serving._messages import InferRequestMessage, InferResponseMessage

CLIENTS = 8
SHARE = 0.7
INFER = "/inference.GRPCInferenceService/ModelInfer"
CARD = sd.ModelCard(name="dark", kinds=("scratch",), window_px=512, overlap_px=128)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5, help="of steady load; at least 3 to compare memory")
    parser.add_argument("--rounds", type=int, default=3, help="of library and server in turns")
    parser.add_argument("--round-seconds", type=float, default=20)
    parser.add_argument("--quick", action="store_true", help="a minute in all, of the cheap predictor alone")
    parser.add_argument("--serve", choices=["cheap", "shipped"], help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve_here(given.serve)
        return
    if given.quick:
        given.minutes, given.rounds, given.round_seconds = 0.5, 1, 5
    result = {
        "question": __doc__.partition("\n\n")[0],
        "quick": given.quick,
        "clients": CLIENTS,
        "pictures": "24 JPEGs, 512 to 1024 px a side",
        "versions_of_the_server": {name: version(name) for name in ("kserve", "grpcio", "uvicorn", "protobuf")},
        "cheap": cheap(given),
        "shipped": None if given.quick else shipped(),
    }
    write_result("serving-quick" if given.quick else "serving", result)


def cheap(given: argparse.Namespace) -> dict[str, Any]:
    pictures = [picture(number) for number in range(24)]
    detector = sd.Detector(dark())
    with server("cheap") as running:
        asked_at_once(running, pictures, seconds=5)
        rounds = []
        for _ in range(given.rounds):
            before = time.process_time()
            alone, count = looped(detector, pictures, seconds=given.round_seconds)
            own_cpu = (time.process_time() - before) / count
            before = running.cpu_seconds()
            served, count = asked_at_once(running, pictures, seconds=given.round_seconds)
            its_cpu = (running.cpu_seconds() - before) / count
            rounds.append(
                {
                    "library_per_second": alone,
                    "server_per_second": served,
                    "ratio": served / alone,
                    "library_cpu_seconds_a_picture": own_cpu,
                    "server_cpu_seconds_a_picture": its_cpu,
                }
            )
            print(rounds[-1], flush=True)
        capacity = statistics.median(row["server_per_second"] for row in rounds)
        steady = asked_steadily(running, pictures, rate=SHARE * capacity, seconds=60 * given.minutes)
    print(steady, flush=True)
    return {
        "predictor": "the darker the more of a scratch, under 1 ms a window of 512 px",
        "rounds": rounds,
        "capacity_per_second": capacity,
        "throughput_over_library": statistics.median(row["ratio"] for row in rounds),
        "cpu_time_over_library": statistics.median(
            row["server_cpu_seconds_a_picture"] / row["library_cpu_seconds_a_picture"] for row in rounds
        ),
        "steady": steady,
    }


def shipped() -> dict[str, Any]:
    pictures = [picture(number, least=512, most=640) for number in range(6)]
    scan = encoded(np.tile(pixels(0, 1024, 1000), (3, 4, 1)), quality=92)
    detector = sd.Detector()
    started = time.perf_counter()
    own = detector.detect(scan)
    alone_large = time.perf_counter() - started
    with server("shipped") as running:
        idle = running.memory_mib()
        with Client(running.address) as client:
            client.detect(pictures[0])
            started = time.perf_counter()
            found = client.detect(scan)
            served_large = time.perf_counter() - started
        if found.to_geojson()["features"] != own.to_geojson()["features"]:
            raise SystemExit("the server's answer is not the library's")
        after_large, peak = running.memory_mib(), running.memory_mib("VmHWM")
        alone, _ = looped(detector, pictures, seconds=30)
        served, _ = asked_at_once(running, pictures, seconds=30)
    return {
        "predictor": "unet-lite0",
        "pictures": "6 JPEGs, 512 to 640 px a side",
        "library_per_second": alone,
        "server_per_second": served,
        "throughput_over_library": served / alone,
        "scan": "4000 x 3072 px",
        "library_seconds_a_scan": alone_large,
        "client_seconds_a_scan": served_large,
        "memory_mib": {"ready": idle, "after_the_scan": after_large, "peak": peak},
    }


def dark() -> sd.FunctionPredictor:
    def look(windows: np.ndarray) -> np.ndarray:
        return 1 - windows[:, None, :, :, 1].astype(np.float32) / np.float32(255)

    return sd.FunctionPredictor(look, card=CARD)


def pixels(seed: int, height: int, width: int) -> np.ndarray:
    """Grey paint with grain and a few dark lines."""
    generator = np.random.default_rng(seed)
    scan = generator.normal(190, 6, (height, width, 1)).clip(150, 230).repeat(3, axis=2).astype(np.uint8)
    for _ in range(6):
        top, left = generator.integers(0, height - 8), generator.integers(0, width // 2)
        scan[top : top + 5, left : left + int(generator.integers(40, width // 2))] = 20
    return scan


def picture(seed: int, *, least: int = 512, most: int = 1024) -> bytes:
    height, width = np.random.default_rng(seed).integers(least, most + 1, 2)
    return encoded(pixels(seed, int(height), int(width)), quality=90)


def encoded(scan: np.ndarray, *, quality: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(scan).save(file, format="JPEG", quality=quality)
    return file.getvalue()


@dataclass
class Running:
    """A server in a process of its own."""

    process: subprocess.Popen[str]
    address: str

    def memory_mib(self, field: str = "VmRSS") -> float:
        """Return ``VmRSS`` (now) or ``VmHWM`` (highest so far) of the server."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{field}:"))

    def cpu_seconds(self) -> float:
        """Return the processor time that the server has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def server(predictor: str) -> Iterator[Running]:
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with log.open("w") as file:
            process = subprocess.Popen([sys.executable, __file__, "--serve", predictor], stderr=file, text=True)
        try:
            yield Running(process, f"127.0.0.1:{port_in(log, process)}")
        finally:
            process.send_signal(signal.SIGTERM)
            if process.wait(timeout=90):
                print(log.read_text(encoding="utf-8")[-2000:])


def port_in(log: Path, process: subprocess.Popen[str]) -> int:
    while process.poll() is None:
        for line in log.read_text(encoding="utf-8").splitlines():
            if '"event": "ready"' in line:
                return int(json.loads(line)["grpc_port"])
        time.sleep(0.1)
    raise SystemExit(log.read_text(encoding="utf-8"))


def serve_here(predictor: str) -> None:
    from surfacedefect.serving import serve
    from surfacedefect.serving._logs import configure

    configure()
    options = ServeOptions(http_port=0, grpc_port=0, queue_length=64)
    serve(dark() if predictor == "cheap" else "default", options=options)


def looped(detector: sd.Detector, pictures: Sequence[bytes], *, seconds: float) -> tuple[float, int]:
    """Return how many pictures a second the library does, one after the other, and how many it did."""
    started = time.perf_counter()
    for done, data in enumerate(itertools.cycle(pictures), start=1):
        json.dumps(detector.detect(data).to_geojson())
        if time.perf_counter() - started >= seconds and done % len(pictures) == 0:
            return done / (time.perf_counter() - started), done
    raise RuntimeError("there are no pictures")


def asked_at_once(running: Running, pictures: Sequence[bytes], *, seconds: float) -> tuple[float, int]:
    """Return how many pictures a second come back, and how many did, with all clients asking without a pause."""
    turns, lock = itertools.count(), threading.Lock()
    started = time.perf_counter()
    ends = []

    def client(_: int) -> None:
        with asking(running.address) as ask:
            while True:
                with lock:
                    number = next(turns)
                    # Whole rounds of the pictures, as for the library.
                    if number % len(pictures) == 0 and time.perf_counter() - started >= seconds:
                        turns_over.set()
                    if turns_over.is_set():
                        return
                ask(pictures[number % len(pictures)])
                ends.append(time.perf_counter())

    turns_over = threading.Event()
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(client, range(CLIENTS)))
    return len(ends) / (max(ends) - started), len(ends)


def asked_steadily(running: Running, pictures: Sequence[bytes], *, rate: float, seconds: float) -> dict[str, Any]:
    """Ask at a steady rate and return latencies, errors and memory by the minute."""
    period = CLIENTS / rate
    begun = time.perf_counter() + 0.5
    latencies: list[float] = []
    errors: list[str] = []
    memory: list[tuple[float, float]] = []

    def client(number: int) -> None:
        generator = random.Random(number)
        with asking(running.address) as ask:
            for turn in itertools.count():
                due = begun + (turn + number / CLIENTS) * period
                if due >= begun + seconds:
                    return
                time.sleep(max(0.0, due - time.perf_counter()))
                try:
                    ask(generator.choice(pictures))
                    latencies.append(time.perf_counter() - due)
                except grpc.RpcError as error:
                    errors.append(str(error))

    def watch() -> None:
        while (now := time.perf_counter() - begun) < seconds:
            memory.append((now, running.memory_mib()))
            time.sleep(1)

    with ThreadPoolExecutor(CLIENTS + 1) as pool:
        for future in [pool.submit(watch), *(pool.submit(client, number) for number in range(CLIENTS))]:
            future.result()
    p50, p90, p99 = (float(np.percentile(latencies, share)) for share in (50, 90, 99))
    by_minute = [
        statistics.mean(value for when, value in memory if minute * 60 <= when < minute * 60 + 60)
        for minute in range(int(seconds // 60))
    ]
    return {
        "share_of_capacity": SHARE,
        "per_second": rate,
        "seconds": seconds,
        "requests": len(latencies) + len(errors),
        "errors": len(errors),
        "first_errors": errors[:3],
        "p50_seconds": p50,
        "p90_seconds": p90,
        "p99_seconds": p99,
        "p99_over_p50": p99 / p50,
        "memory_mib_by_minute": by_minute,
        "last_minute_over_second": by_minute[-1] / by_minute[1] if len(by_minute) > 2 else None,
    }


@contextmanager
def asking(address: str) -> Iterator[Callable[[bytes], Any]]:
    """Give a function that sends one picture on a connection of its own, and checks that something comes back."""
    with grpc.insecure_channel(address) as channel:
        call = channel.unary_unary(INFER, response_deserializer=InferResponseMessage.FromString)

        def ask(data: bytes) -> Any:
            message = InferRequestMessage(model_name="surfacedefect")
            message.inputs.add(name="image", datatype="BYTES", shape=[1])
            message.raw_input_contents.append(len(data).to_bytes(4, "little") + data)
            answer = call(message.SerializeToString(), timeout=120)
            if b"FeatureCollection" not in answer.raw_output_contents[0]:
                raise SystemExit("the answer is none")
            return answer

        yield ask


if __name__ == "__main__":
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    main()
