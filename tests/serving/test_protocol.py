"""Generic clients of the Open Inference Protocol get the library's own answer, bit for bit."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from serving_calls import REST, Refusal, encoded, infer, pixels, post, predictor, request, rest_body

import surfacedefect as sd
from surfacedefect import ProbabilityMap
from surfacedefect.serving import ServeOptions, background

TRITON = Path(__file__).parents[1] / "serving_triton.py"


def geojson(found: sd.Detections) -> bytes:
    return json.dumps(found.to_geojson(), ensure_ascii=False, allow_nan=False).encode()


def same_map(tiff: bytes, found: sd.Detections) -> bool:
    sent, own = ProbabilityMap.from_bytes(tiff), found.probability_map
    return (
        all((sent.read(kind) == own.read(kind)).all() for kind in own.kinds)
        and (sent.read_coverage() == own.read_coverage()).all()
        and (sent.kinds, sent.mm_per_px, sent.coverage) == (own.kinds, own.mm_per_px, own.coverage)
    )


def heard_by_triton(port: int, picture: Path, tensor: np.ndarray) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    pytest.importorskip("tritonclient", reason="needs the extra [test]")
    np.save(picture.with_suffix(".npy"), tensor)
    out = picture.with_suffix(".npz")
    command = [sys.executable, TRITON, f"127.0.0.1:{port}", picture, out, picture.with_suffix(".npy")]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with np.load(out) as file:
        values = dict(file)
    return json.loads(str(values.pop("told"))), values


def check_triton(heard: dict[str, np.ndarray], name: str, found: sd.Detections) -> None:
    assert heard[f"{name}_geojson"].tobytes() == geojson(found)
    own = found.probability_map
    assert (heard[f"{name}_map"] == np.stack([own.read(kind) for kind in own.kinds])).all()
    assert (heard[f"{name}_coverage"] == own.read_coverage()).all()
    assert same_map(heard[f"{name}_map_tiff"].tobytes(), found)


def test_tritonclient_gets_the_library_s_answer(server, picture):
    tensor = pixels(70, 80, seed=1)
    told, heard = heard_by_triton(server.grpc_port, picture, tensor)
    assert told["live"] and told["ready"] and told["model_ready"]
    assert told["server"]["name"] == "surfacedefect" and "threshold" in str(told["server"]["extensions"])
    assert [item["name"] for item in told["model"]["inputs"]] == ["image"]
    assert [item["name"] for item in told["model"]["outputs"]] == ["geojson", "map", "coverage", "map_tiff"]
    assert told["unreadable"] == "StatusCode.INVALID_ARGUMENT"
    encoded_answer = sd.detect(picture.read_bytes(), model=predictor())
    assert len(encoded_answer) > 2
    check_triton(heard, "encoded", encoded_answer)
    options = {"threshold": 0.5, "mm_per_px": 0.25, "kinds": ("scratch",)}
    check_triton(heard, "raw", sd.detect(tensor, model=predictor(), **options))


def test_tritonclient_gets_the_same_from_weights_on_onnx_runtime(tiny_weights, picture):
    pytest.importorskip("onnxruntime", reason="needs the extra [cpu]")
    with background(tiny_weights, options=ServeOptions(http_port=0, grpc_port=0, batch=4)) as running:
        _, heard = heard_by_triton(running.grpc_port, picture, pixels())
    check_triton(heard, "encoded", sd.detect(picture.read_bytes(), model=tiny_weights))


def curl(port: int, path: str, *options: object) -> tuple[int, bytes]:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    command = ["curl", "-s", "-w", "%{stderr}%{http_code}", *map(str, options), f"http://127.0.0.1:{port}{path}"]
    done = subprocess.run(command, capture_output=True, check=True)
    return int(done.stderr), done.stdout


def test_curl_gets_the_library_s_answer(server, picture, tmp_path):
    wanted = [{"name": name} for name in ("geojson", "map", "map_tiff")]
    body = tmp_path / "request.json"
    body.write_text(json.dumps(rest_body(picture.read_bytes(), outputs=wanted, id="seven")))
    status, answer = curl(server.http_port, REST, "-d", f"@{body}")
    record = json.loads(answer)
    outputs = {item["name"]: item for item in record["outputs"]}
    found = sd.detect(picture.read_bytes(), model=predictor())
    assert (status, record["id"], record["model_name"]) == (200, "seven", "surfacedefect")
    assert outputs["geojson"]["data"][0].encode() == geojson(found)
    assert same_map(base64.b64decode(outputs["map_tiff"]["data"][0]), found)
    values = np.array(outputs["map"]["data"], np.uint8).reshape(outputs["map"]["shape"])
    assert (values == np.stack([found.probability_map.read(kind) for kind in found.kinds])).all()


def test_curl_hears_400_for_what_is_no_picture(server, tmp_path):
    body = tmp_path / "request.json"
    body.write_text(json.dumps(rest_body(b"this is no picture")))
    status, answer = curl(server.http_port, REST, "-d", f"@{body}")
    assert status == 400 and "expected a picture" in json.loads(answer)["error"]


def test_curl_sees_health_metadata_and_metrics(server):
    port = server.http_port
    assert curl(port, "/v2/health/live") == (200, b'{"live":true}')
    assert curl(port, "/v2/health/ready") == (200, b'{"ready":true}')
    assert json.loads(curl(port, "/v2/models/surfacedefect/ready")[1]) == {"name": "surfacedefect", "ready": True}
    described = json.loads(curl(port, "/v2/models/surfacedefect")[1])
    assert described["inputs"] == [{"name": "image", "datatype": "BYTES", "shape": [1]}]
    assert "scratch=0.4" in described["properties"]["parameters.threshold"]
    assert curl(port, "/v2/models/other")[0] == 404 and curl(port, "/nowhere")[0] == 404
    assert b"surfacedefect_queue_length" in curl(port, "/metrics")[1]


def test_binary_data_behind_the_json_go_both_ways(server):
    data = encoded(pixels())
    raw = len(data).to_bytes(4, "little") + data
    given = {"name": "image", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": len(raw)}}
    wanted = [{"name": "map", "parameters": {"binary_data": True}}, {"name": "geojson"}]
    head = json.dumps({"inputs": [given], "outputs": wanted}).encode()
    response = post(server.http_port, head + raw, headers={"Inference-Header-Content-Length": str(len(head))})
    assert response.status_code == 200
    length = int(response.headers["inference-header-content-length"])
    record, tail = json.loads(response.content[:length]), response.content[length:]
    found = sd.detect(data, model=predictor())
    values = np.frombuffer(tail, np.uint8).reshape(record["outputs"][0]["shape"])
    assert (values == np.stack([found.probability_map.read(kind) for kind in found.kinds])).all()
    assert record["outputs"][1]["data"][0].encode() == geojson(found)


@pytest.mark.parametrize("nested", [True, False])
def test_a_tensor_in_json_may_be_nested_or_flat(server, nested):
    tensor = pixels(20, 30)
    data = tensor.tolist() if nested else tensor.reshape(-1).tolist()
    body = {"inputs": [{"name": "image", "shape": [20, 30, 3], "datatype": "UINT8", "data": data}]}
    response = post(server.http_port, body)
    assert response.json()["outputs"][0]["data"][0].encode() == geojson(sd.detect(tensor, model=predictor()))


def test_contents_that_are_not_raw_are_read_too(server):
    from surfacedefect.serving._kserve import messages

    tensor, data = pixels(20, 30), encoded(pixels())
    message = messages.ModelInferRequest(model_name="surfacedefect")
    message.inputs.add(name="image", datatype="UINT8", shape=tensor.shape)
    message.inputs[0].contents.uint_contents.extend(tensor.reshape(-1).tolist())
    answer = infer(server.grpc_port, message.SerializeToString())
    assert answer.raw_output_contents[0][4:] == geojson(sd.detect(tensor, model=predictor()))
    message.inputs[0].CopyFrom(messages.ModelInferRequest.InferInputTensor(name="image", datatype="BYTES", shape=[1]))
    message.inputs[0].contents.bytes_contents.append(data)
    answer = infer(server.grpc_port, message.SerializeToString())
    assert answer.raw_output_contents[0][4:] == geojson(sd.detect(data, model=predictor()))


def test_every_parameter_does_what_it_does_in_the_library(server):
    data = encoded(pixels())
    given = {
        "threshold": "scratch=0.5,dent=0.55",
        "least_score": "0.6",
        "kinds": "dent,scratch",
        "mm_per_px": "0.1",
        "overlap": "8",
        "least_area_px": "5",
        "simplify_px": "0",
        "on_error": "skip",
        "timeout": "20000000",
    }
    answer = infer(server.grpc_port, request(data, **given))
    own = sd.detect(
        data,
        model=predictor(),
        threshold={"scratch": 0.5, "dent": 0.55},
        least_score=0.6,
        kinds=("dent", "scratch"),
        mm_per_px=0.1,
        overlap=8,
        least_area_px=5,
        simplify_px=0,
        on_error="skip",
    )
    assert answer.raw_output_contents[0][4:] == geojson(own) != geojson(sd.detect(data, model=predictor()))


@pytest.mark.parametrize(
    ("parameters", "word"),
    [
        ({"treshold": "0.4"}, "treshold"),
        ({"threshold": "2"}, "threshold"),
        ({"threshold": "high"}, "threshold"),
        ({"kinds": "rust"}, "rust"),
        ({"mm_per_px": "nan"}, "mm_per_px"),
        ({"overlap": "63"}, "overlap"),
        ({"overlap": "9" * 5000}, "overlap"),
        ({"timeout": "-1"}, "timeout"),
        ({"on_error": "ignore"}, "on_error"),
    ],
)
def test_a_parameter_that_is_wrong_is_named(server, parameters, word):
    with pytest.raises(Refusal) as caught:
        infer(server.grpc_port, request(encoded(pixels()), **parameters))
    assert caught.value.code == "INVALID_ARGUMENT" and word in caught.value.details
    assert post(server.http_port, rest_body(encoded(pixels()), parameters=parameters)).status_code == 400


def test_a_text_in_place_of_a_picture_is_never_a_path(server, picture):
    response = post(
        server.http_port, {"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "data": [str(picture)]}]}
    )
    assert response.status_code == 400 and "base64" in response.json()["error"]
    with pytest.raises(Refusal, match="INVALID_ARGUMENT"):
        infer(server.grpc_port, request(str(picture).encode()))


def test_models_cannot_be_unloaded_by_a_client(server):
    import grpc

    from surfacedefect.serving._kserve import messages

    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        call = channel.unary_unary("/inference.GRPCInferenceService/RepositoryModelUnload")
        with pytest.raises(grpc.RpcError) as caught:
            call(messages.RepositoryModelUnloadRequest(model_name="surfacedefect").SerializeToString())
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert post(server.http_port, rest_body(encoded(pixels()))).status_code == 200


def test_a_model_of_another_name_is_not_found(server):
    message = request(encoded(pixels()))
    message.model_name = "other"
    with pytest.raises(Refusal, match="NOT_FOUND"):
        infer(server.grpc_port, message)
    message.model_name, message.model_version = "surfacedefect", "2"
    with pytest.raises(Refusal, match="NOT_FOUND"):
        infer(server.grpc_port, message)


def test_a_compressed_body_is_named(server):
    response = post(server.http_port, rest_body(b"x"), headers={"content-encoding": "gzip"})
    assert response.status_code == 400 and "'gzip'" in response.json()["error"]


def test_a_text_that_is_too_long_is_measured(server):
    response = post(server.http_port, {**rest_body(b"x"), "id": "a" * 300})
    assert response.status_code == 400 and "a text of 300" in response.json()["error"]
