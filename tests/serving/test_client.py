"""The client gives what the library gives, says what is wrong in the library's words, and repeats only what is safe."""

from __future__ import annotations

import asyncio
import io
from concurrent import futures

import grpc
import numpy as np
import pytest
from PIL import Image
from serving_calls import encoded, pixels, predictor

import surfacedefect as sd
from surfacedefect.errors import DeadlineError, OptionError, ScanError, ServerUnavailableError, ServingError
from surfacedefect.serving import AsyncClient, Client, _exchange

SCAN = pixels()


@pytest.fixture(params=["message", "stream"])
def way(request, monkeypatch):
    """Both ways in which a scan goes to the server."""
    monkeypatch.setattr(_exchange, "MOST_AT_ONCE_BYTES", 2**30 if request.param == "message" else 10)
    monkeypatch.setattr(_exchange, "CHUNK_BYTES", 1000)


@pytest.fixture
def client(server):
    with Client(f"127.0.0.1:{server.grpc_port}") as made:
        yield made


def assert_same(found, own):
    assert len(own) > 0 and repr(found) == repr(own)
    assert found.polygons == own.polygons and (found.scores == own.scores).all()
    assert found.to_geojson() == own.to_geojson()
    assert found.at(0.3).to_geojson() == own.at(0.3).to_geojson()
    assert (np.asarray(found.plot()) == np.asarray(own.plot())).all()


def with_alpha():
    return np.dstack([SCAN, np.where(np.arange(SCAN.shape[1]) < 30, 0, 200) * np.ones((SCAN.shape[0], 1))]).astype(
        np.uint8
    )


@pytest.mark.parametrize(
    "source",
    [
        SCAN,
        SCAN[..., 0],
        with_alpha(),
        SCAN.astype(np.uint16) * 250,
        np.where(SCAN[..., :1] == 0, np.nan, SCAN / 255),
        Image.fromarray(SCAN),
        Image.fromarray(with_alpha()),
        encoded(SCAN),
        encoded(SCAN, kind="JPEG"),
        encoded(with_alpha()),
        encoded(SCAN, kind="WEBP"),
    ],
    ids=["rgb", "grey", "alpha", "16 bits", "float", "PIL", "PIL alpha", "PNG", "JPEG", "PNG alpha", "WebP"],
)
def test_detections_are_the_library_s_own(client, way, source):
    options = {"mm_per_px": 0.1, "threshold": {"scratch": 1 / 3 + 0.2}}
    assert_same(client.detect(source, **options), sd.detect(source, model=predictor(), **options))


def test_a_file_by_its_path_or_open(client, way, picture):
    own = sd.detect(picture, model=predictor())
    assert_same(client.detect(picture), own)
    assert_same(client.detect(str(picture)), own)
    with picture.open("rb") as file:
        assert_same(client.detect(file), own)
    assert client.detect(picture).scan_name == "scan.png"


def test_a_georeferenced_tiff_stays_so(client, way, tmp_path):
    import rasterio
    from affine import Affine

    path = tmp_path / "scan.tif"
    profile = {"driver": "GTiff", "width": SCAN.shape[1], "height": SCAN.shape[0], "count": 3, "dtype": "uint8"}
    with rasterio.open(
        path, "w", **profile, crs="EPSG:32632", transform=Affine(0.1, 0, 500_000.125, 0, -0.1, 5e6)
    ) as file:
        file.write(np.moveaxis(SCAN, -1, 0))
    found, own = client.detect(path), sd.detect(path, model=predictor())
    assert_same(found, own)
    assert (found.probability_map.transform, found.probability_map.crs) == (
        own.probability_map.transform,
        own.probability_map.crs,
    )


def test_the_file_is_not_decoded_before_it_is_drawn(client, picture, monkeypatch):
    class Unopened:  # has no `open`
        unopened = sd.Scan.unopened

    with monkeypatch.context() as patch:
        patch.setattr(_exchange, "Scan", Unopened)
        found = client.detect(picture)
    assert found.plot().size


def test_asyncio_too(server, way, picture):
    async def both():
        async with AsyncClient(f"127.0.0.1:{server.grpc_port}") as client:
            assert await client.is_ready()
            found = await asyncio.gather(client.detect(picture), client.detect(SCAN))
            with pytest.raises(ScanError, match="expected a picture"):
                await client.detect(b"this is no picture")
            return found

    first, second = asyncio.run(both())
    assert_same(first, sd.detect(picture, model=predictor()))
    assert_same(second, sd.detect(SCAN, model=predictor()))


def test_what_is_wrong_is_said_as_the_library_says_it(client, way, tmp_path):
    for source in (b"this is no picture", b"", tmp_path / "missing.png", encoded(SCAN)[:200]):
        with pytest.raises(ScanError) as own:
            sd.detect(source, model=predictor())
        with pytest.raises(ScanError) as heard:
            client.detect(source)
        assert type(heard.value) is type(own.value)
    for options in ({"threshold": 2}, {"kinds": ("rust",)}, {"batch": 3}, {"overlap": 40}):
        with pytest.raises(OptionError):
            client.detect(SCAN, **options)
    with pytest.raises(sd.ScanTooLargeError):
        client.detect(np.zeros((1100, 1000, 3), np.uint8))
    with pytest.raises(DeadlineError):
        client.detect(SCAN, timeout_seconds=0.0005)


def test_what_it_is_told_is_checked():
    for target in ("", "http://localhost:8081", 8081):
        with pytest.raises(OptionError):
            Client(target)
    for options in ({"attempts": 0}, {"timeout_seconds": -1}, {"tls": "/missing.pem"}):
        with pytest.raises(OptionError):
            Client("localhost:8081", **options)
    assert "secret" not in repr(Client("localhost:8081", token="secret-secret-secret"))


def test_without_a_server_it_says_so():
    with Client("127.0.0.1:9", attempts=2) as client:
        assert not client.is_ready()
        with pytest.raises(ServerUnavailableError, match="no server answers"):
            client.detect(SCAN)


def failing(*outcomes):
    """A server that ends calls as told, one after the other, and counts them."""
    calls = []

    def infer(_, context):
        accepted, code, reason = outcomes[min(len(calls), len(outcomes) - 1)]
        calls.append(code)
        if accepted:
            context.send_initial_metadata((("surfacedefect-accepted", "1"),))
        if reason:
            context.set_trailing_metadata((("surfacedefect-reason", reason),))
        context.abort(code, "as told")

    server = grpc.server(futures.ThreadPoolExecutor(2))
    handler = grpc.unary_unary_rpc_method_handler(infer)
    service = "inference.GRPCInferenceService"
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"ModelInfer": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port, calls


UNAVAILABLE, EXHAUSTED, INTERNAL = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.INTERNAL,
)


@pytest.mark.parametrize(
    ("outcome", "calls"),
    [
        ((False, UNAVAILABLE, "draining"), 3),
        ((False, UNAVAILABLE, None), 3),
        ((False, EXHAUSTED, "queue_full"), 3),
        ((True, UNAVAILABLE, None), 1),
        ((False, EXHAUSTED, "too_large"), 1),
        ((False, INTERNAL, None), 1),
    ],
)
@pytest.mark.parametrize("asynchronous", [False, True])
def test_only_what_no_work_was_begun_on_is_sent_again(outcome, calls, asynchronous):
    server, port, seen = failing(outcome)

    async def ask():
        async with AsyncClient(f"127.0.0.1:{port}", attempts=3) as client:
            await client.detect(SCAN)

    try:
        with pytest.raises(sd.SurfaceDefectError):
            if asynchronous:
                asyncio.run(ask())
            else:
                with Client(f"127.0.0.1:{port}", attempts=3) as client:
                    client.detect(SCAN)
        assert len(seen) == calls
    finally:
        server.stop(None).wait()


@pytest.mark.parametrize("answer", [b"", b"\xff\xff", b"\x1a\x03abc"])
def test_an_answer_that_is_none_is_said_to_be_none(answer):
    server = grpc.server(futures.ThreadPoolExecutor(1))
    handler = grpc.unary_unary_rpc_method_handler(lambda request, context: answer)
    service = "inference.GRPCInferenceService"
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"ModelInfer": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with Client(f"127.0.0.1:{port}") as client, pytest.raises(ServingError):
            client.detect(SCAN)
    finally:
        server.stop(None).wait()


def test_a_file_that_can_no_longer_be_read_is_the_scan_s_fault(client, monkeypatch):
    monkeypatch.setattr(_exchange, "MOST_AT_ONCE_BYTES", 10)

    def broken(self):
        yield b"part"
        raise OSError("gone")

    monkeypatch.setattr(_exchange.Payload, "chunks", broken)
    with pytest.raises(ScanError, match="gone"):
        client.detect(io.BytesIO(encoded(SCAN)))


def test_a_stream_is_checked_before_the_scan_has_come(server):
    """A lying shape, an unknown parameter and two outputs are found out in the first message."""
    import itertools

    from surfacedefect.serving._messages import InferRequestMessage

    def head(**changes):
        message = InferRequestMessage(model_name="surfacedefect")
        message.inputs.add(name="image", datatype="UINT8", shape=changes.get("shape", (10, 10, 3)))
        for name in changes.get("outputs", ("map_tiff",)):
            message.outputs.add(name=name)
        for name in changes.get("parameters", ()):
            message.parameters.add(key=name).value.string_param = "1"
        return message.SerializeToString()

    endless = InferRequestMessage(raw_input_contents=[b"x" * 100_000]).SerializeToString()
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        call = channel.stream_stream(_exchange.DETECT)

        def refused(*messages):
            with pytest.raises(grpc.RpcError) as caught:
                list(call(iter(itertools.chain(*messages)), timeout=30))
            return caught.value.code()

        invalid = grpc.StatusCode.INVALID_ARGUMENT
        assert refused([head(shape=(10**9, 10**9, 3))], itertools.repeat(endless)) is EXHAUSTED
        assert refused([head(parameters=["treshold"])], itertools.repeat(endless)) is invalid
        assert refused([head(outputs=["map", "geojson"])], itertools.repeat(endless)) is invalid
        assert refused([head()], [endless]) is invalid  # not as many values as the shape says
        assert refused([b"\xff\xff"]) is invalid
        assert refused([]) is invalid


def test_a_stream_longer_than_allowed_is_cut_off():
    import itertools

    from surfacedefect.serving import ServeOptions, background

    options = ServeOptions(http_port=0, grpc_port=0, max_scan_bytes=200_000)
    endless = itertools.repeat(_exchange.InferRequestMessage(raw_input_contents=[b"x" * 50_000]).SerializeToString())
    start = _exchange.InferRequestMessage(model_name="surfacedefect")
    start.inputs.add(name="image", datatype="BYTES", shape=[1])
    with (
        background(predictor(), options=options) as running,
        grpc.insecure_channel(f"127.0.0.1:{running.grpc_port}") as channel,
        pytest.raises(grpc.RpcError) as caught,
    ):
        list(channel.stream_stream(_exchange.DETECT)(itertools.chain([start.SerializeToString()], endless), timeout=30))
    assert caught.value.code() is EXHAUSTED


@pytest.mark.parametrize("token", ["", "with space", "line-line-line\n", "\u00fcmlaut", b"bytes-bytes", 5])
def test_a_token_that_no_header_can_carry_is_refused_and_not_repeated(token):
    with pytest.raises(OptionError, match="token") as caught:
        Client("localhost:8081", token=token)
    assert not token or str(token) not in str(caught.value)


@pytest.mark.parametrize("target", ["localhost:99999", "localhost:0", "localhost:abc", "localhost:", "[::1]:99999"])
def test_a_port_that_is_none_is_refused(target):
    with pytest.raises(OptionError, match="port"):
        Client(target)


@pytest.mark.parametrize("target", ["localhost:1", "localhost", "[::1]:8081", "unix:socket"])
def test_other_targets_are_left_to_grpc(target):
    Client(target).close()


def test_what_is_trusted_must_be_a_certificate(tmp_path):
    path = tmp_path / "ca.pem"
    path.write_text("nothing")
    for tls in (path, None):
        with pytest.raises(OptionError, match="tls"):
            Client("localhost:8081", tls=tls)


def test_a_time_beyond_all_clocks_is_refused(client):
    with pytest.raises(OptionError, match="timeout_seconds"):
        client.detect(SCAN, timeout_seconds=1e300)


def test_a_closed_client_says_so(server):
    client = Client(f"127.0.0.1:{server.grpc_port}")
    client.close()
    client.close()
    for ask in (lambda: client.detect(SCAN), client.is_ready):
        with pytest.raises(ServingError, match="closed"):
            ask()

    async def later():
        other = AsyncClient(f"127.0.0.1:{server.grpc_port}")
        await other.close()
        with pytest.raises(ServingError, match="closed"):
            await other.detect(SCAN)
        with pytest.raises(ServingError, match="closed"):
            await other.is_ready()

    asyncio.run(later())


def test_a_damaged_file_is_named(client, way, tmp_path):
    path = tmp_path / "broken.jpg"
    path.write_bytes(b"\xff\xd8\xff\xe0 and no more than this")
    with pytest.raises(ScanError, match=r"broken\.jpg: "):
        client.detect(path)
