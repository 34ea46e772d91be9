"""The model on KServe's own data plane, its metrics and its logs."""

from __future__ import annotations

import asyncio
import json
import logging

import httpx
import numpy as np
import pytest
from serving_calls import encoded, pixels, post, predictor, rest_body

import surfacedefect as sd
from surfacedefect.serving import ServeOptions, SurfaceDefectModel
from surfacedefect.serving._kserve import DataPlane, InferInput, InferRequest, InvalidInput, ModelRepository
from surfacedefect.serving._refusals import CODES, RequestError, as_request_error


def on_kserve(inputs, **more):
    """Ask a model through KServe's data plane, as its own servers do."""

    async def ask():
        model = SurfaceDefectModel(predictor(), options=ServeOptions(http_port=0, grpc_port=0))
        repository = ModelRepository()
        repository.update(model)
        plane = DataPlane(model_registry=repository)
        try:
            assert not await plane.model_ready("surfacedefect")
            model.start()  # KServe's servers call it; it is no reason to be ready
            assert not await plane.model_ready("surfacedefect")
            model.load()
            assert await plane.model_ready("surfacedefect")
            payload = InferRequest(model_name="surfacedefect", infer_inputs=inputs, request_id="seven", **more)
            response, _ = await plane.infer("surfacedefect", payload)
            return plane.encode("surfacedefect", response, {}, {})[0]
        finally:
            model.stop()

    return asyncio.run(ask())


def test_kserve_s_own_servers_can_carry_it():
    data = encoded(pixels())
    picture = InferInput("image", [1], "BYTES")
    picture.set_data_from_numpy(np.array([data], np.object_))
    answer = on_kserve([picture], parameters={"mm_per_px": 0.1})
    found = sd.detect(data, model=predictor(), mm_per_px=0.1)
    assert answer["id"] == "seven" and json.loads(answer["outputs"][0]["data"][0]) == json.loads(
        json.dumps(found.to_geojson())
    )


def test_there_it_says_that_input_is_invalid_in_kserve_s_words():
    with pytest.raises(InvalidInput, match="expected a picture"):
        on_kserve([InferInput("image", [1], "BYTES", data=[b"this is no picture"])])


def test_importing_kserve_reads_nobody_s_arguments():
    import subprocess
    import sys

    code = "import sys; sys.argv = ['x', '--workers', 'many']; import surfacedefect.serving.model; print(sys.argv)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "['x', '--workers', 'many']", done.stderr


def test_the_client_needs_no_kserve():
    import subprocess
    import sys

    code = (
        "import sys; from surfacedefect.serving import AsyncClient, Client, ServeOptions; Client('localhost:1');"
        "print([name for name in ('kserve', 'fastapi', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize("extra", ["kserve", "grpc", "uvicorn"])
def test_without_the_extra_it_says_what_to_install(extra):
    import subprocess
    import sys

    code = (
        f"import sys; sys.modules[{extra!r}] = None\n"
        "import surfacedefect as sd\n"
        "from surfacedefect.serving import ServeOptions\n"
        "card = sd.ModelCard(name='a', kinds=('b',))\n"
        "try:\n"
        "    from surfacedefect.serving import background\n"
        "    options = ServeOptions(http_port=0, grpc_port=0)\n"
        "    with background(sd.FunctionPredictor(lambda w: w, card=card), options=options): pass\n"
        "except sd.MissingExtraError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "surfacedefect[serve]" in done.stdout, done.stderr


def figures(port: int) -> dict[str, float]:
    lines = httpx.get(f"http://127.0.0.1:{port}/metrics").text.splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}


def test_metrics_count_what_happens(server):
    before = figures(server.http_port)
    assert post(server.http_port, rest_body(encoded(pixels()))).status_code == 200
    assert post(server.http_port, rest_body(b"this is no picture")).status_code == 400
    after = figures(server.http_port)

    def more(name: str) -> float:
        return after[name] - before.get(name, 0)

    assert more('surfacedefect_requests_total{outcome="answered",protocol="rest"}') == 1
    assert more('surfacedefect_rejected_requests_total{reason="scan"}') == 1
    assert more("surfacedefect_windows_total") == 6
    for stage in ("read", "queue", "open", "map", "engine", "outline", "whole"):
        assert more(f'surfacedefect_stage_seconds_count{{stage="{stage}"}}') >= 1, stage
    assert after["surfacedefect_ready"] == 1 and after["surfacedefect_queue_length"] == 0
    assert {f'surfacedefect_rejected_requests_total{{reason="{reason}"}}' for reason in CODES} <= set(after)


def test_every_request_leaves_one_line_with_its_id(server, caplog):
    with caplog.at_level(logging.INFO, logger="surfacedefect.serving"):
        response = post(server.http_port, rest_body(encoded(pixels())), headers={"x-request-id": "car-7"})
        post(server.http_port, rest_body(b"no", id="car-8"))
    assert response.headers["x-request-id"] == "car-7"
    (first, second) = [record for record in caplog.records if hasattr(record, "fields")]
    assert first.getMessage() == "answered" and second.getMessage() == "rejected"
    assert first.fields["request_id"] == "car-7" and first.fields["windows"] == 6 and first.fields["width"] == 140
    assert second.fields["request_id"] == "car-8" and second.fields["reason"] == "scan"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (sd.ScanError("x"), 400),
        (sd.ScanTooLargeError("x"), 413),
        (sd.OptionError("x"), 400),
        (sd.PredictorError("x"), 500),
        (MemoryError(), 413),
        (ZeroDivisionError("a secret"), 500),
        (RequestError("draining", "x"), 503),
    ],
)
def test_every_error_has_a_code(error, status):
    refusal = as_request_error(error)
    assert refusal.code.http == status and "secret" not in str(refusal)


def test_a_picture_larger_than_allowed_is_refused_by_its_header(server, tmp_path):
    import rasterio

    path = tmp_path / "large.tif"  # streams, so the library itself would take it
    profile = {"driver": "GTiff", "width": 2000, "height": 1000, "count": 1, "dtype": "uint8", "compress": "deflate"}
    with rasterio.open(path, "w", **profile, tiled=True, blockxsize=256, blockysize=256) as file:
        file.write(np.zeros((1, 1000, 2000), np.uint8))
    response = post(server.http_port, rest_body(path.read_bytes()))
    assert response.status_code == 413 and "2000 x 1000" in response.json()["error"]


def test_a_body_larger_than_allowed_is_refused_unread(server):
    response = post(server.http_port, b"x" * (17 * 2**20))
    assert response.status_code == 413

    def pieces():
        for _ in range(17 * 4):
            yield b"x" * 2**18

    assert (
        httpx.post(
            f"http://127.0.0.1:{server.http_port}/v2/models/surfacedefect/infer", content=pieces(), timeout=30
        ).status_code
        == 413
    )


def test_once_it_drains_nothing_makes_it_ready_again():
    """KServe's data plane loads a model that is not ready, whatever the reason."""

    async def ask():
        model = SurfaceDefectModel(predictor(), options=ServeOptions(http_port=0, grpc_port=0))
        repository = ModelRepository()
        repository.update(model)
        model.load()
        model.drain()
        payload = InferRequest("surfacedefect", [InferInput("image", [1], "BYTES", data=[encoded(pixels())])])
        with pytest.raises(InvalidInput, match="about to stop"):
            await DataPlane(model_registry=repository).infer("surfacedefect", payload)
        assert not model.ready and not model.load()
        model.stop()

    asyncio.run(ask())
