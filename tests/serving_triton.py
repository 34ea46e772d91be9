"""Calls a server with NVIDIA's client and writes what it heard; a program, as its messages and KServe's collide.

python serving_triton.py HOST:PORT PICTURE OUT.npz [TENSOR.npy]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

OUTPUTS = ("geojson", "map", "coverage", "map_tiff")


def main(address: str, picture: str, out: str, tensor: str) -> None:
    client = triton.InferenceServerClient(address)
    told = {
        "live": client.is_server_live(),
        "ready": client.is_server_ready(),
        "model_ready": client.is_model_ready("surfacedefect"),
        "server": client.get_server_metadata(as_json=True),
        "model": client.get_model_metadata("surfacedefect", as_json=True),
    }
    encoded = bytes_input(Path(picture).read_bytes())
    values = np.load(tensor)
    raw = triton.InferInput("image", list(values.shape), "UINT8")
    raw.set_data_from_numpy(values)
    heard = {
        **answer(client, "encoded", encoded, {}),
        **answer(client, "raw", raw, {"threshold": 0.5, "mm_per_px": 0.25, "kinds": "scratch"}),  # a double and a text
    }
    try:
        client.infer("surfacedefect", [bytes_input(b"this is no picture")])
        told["unreadable"] = "answered"
    except InferenceServerException as error:
        told["unreadable"] = error.status()
    np.savez(out, told=json.dumps(told), **heard)


def bytes_input(data: bytes) -> triton.InferInput:
    given = triton.InferInput("image", [1], "BYTES")
    given.set_data_from_numpy(np.array([data], np.object_))
    return given


def answer(client, name, given, parameters):
    wanted = [triton.InferRequestedOutput(output) for output in OUTPUTS]
    result = client.infer("surfacedefect", [given], outputs=wanted, parameters=parameters, request_id=name)
    assert result.get_response().id == name
    values = {output: result.as_numpy(output) for output in OUTPUTS}
    return {
        f"{name}_{output}": np.frombuffer(value[0], np.uint8) if value.dtype == object else value
        for output, value in values.items()
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
