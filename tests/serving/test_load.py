"""Eight clients at once: no error, no lost answer; timings are the benchmark's business."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from serving_calls import encoded, infer_on, log_of, pixels, predictor, program, request

import surfacedefect as sd

CLIENTS = 8


def load(folder, seconds: float) -> None:
    pictures = [encoded(pixels(512, 512 + 64 * number, seed=number), kind="JPEG") for number in range(2)]
    own = [json.dumps(sd.detect(data, model=predictor()).to_geojson()).encode() for data in pictures]
    with program(folder, "--queue-length", 32, "--batch", 4) as server:
        end = time.monotonic() + seconds

        def client(number: int) -> int:
            answered = 0
            with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
                while time.monotonic() < end or not answered:
                    which = (number + answered) % len(pictures)
                    answer = infer_on(channel, request(pictures[which]), timeout=60)
                    assert answer.raw_output_contents[0][4:] == own[which]
                    answered += 1
            return answered

        with ThreadPoolExecutor(CLIENTS) as pool:
            answered = list(pool.map(client, range(CLIENTS)))
        assert server.stop() == 0
    events = [line["event"] for line in log_of(folder)]
    assert events.count("answered") == sum(answered) and "rejected" not in events
    assert min(answered) * 3 >= max(answered) - 3  # nobody is left behind


def test_eight_clients_for_a_moment(tmp_path):
    load(tmp_path, 3)


@pytest.mark.slow
def test_eight_clients_for_half_a_minute(tmp_path):
    load(tmp_path, 30)
