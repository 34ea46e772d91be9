"""Who can reach the server, and who may ask it: sockets, tokens and encryption, in both protocols."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import socket
import ssl
import threading
from pathlib import Path

import grpc
import httpx
import pytest
from serving_calls import REST, TOKEN, Refusal, encoded, infer, infer_on, pixels, post, predictor, request, rest_body

import surfacedefect as sd
from surfacedefect.errors import OptionError, OutputError, TokenError
from surfacedefect.serving import Client, ServeOptions, SurfaceDefectModel, background

RIGHT = {"authorization": f"Bearer {TOKEN}"}
WRONG = (
    {},
    {"authorization": TOKEN},
    {"authorization": "Bearer"},
    {"authorization": "Bearer " + TOKEN[:-1]},
    {"authorization": "Bearer " + TOKEN + "x"},
    {"authorization": "Basic " + TOKEN},
    {"authorization": "Bearer \u00fc" + TOKEN},
)


@pytest.fixture(scope="module")
def guarded():
    with background(predictor(), options=ServeOptions(http_port=0, grpc_port=0, token=TOKEN)) as running:
        yield running


def listening() -> set[tuple[str, int]]:
    """Address and port of every socket of this process that listens, as the kernel has them."""
    folder = Path("/proc/self/fd")
    if not folder.is_dir():
        pytest.skip("needs /proc")
    own = set()
    for entry in folder.iterdir():
        try:
            own.add(str(entry.readlink()).removeprefix("socket:[").removesuffix("]"))
        except OSError:
            continue
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in own:
                address, port = fields[1].split(":")
                words = [bytes.fromhex(address[start : start + 8])[::-1] for start in range(0, len(address), 8)]
                plain = ipaddress.ip_address(b"".join(words))
                found.add((str(getattr(plain, "ipv4_mapped", None) or plain), int(port, 16)))
    return found


def test_it_listens_on_this_machine_alone():
    before = listening()
    with background(predictor(), options=ServeOptions(http_port=0, grpc_port=0)) as running:
        assert listening() - before == {("127.0.0.1", running.http_port), ("127.0.0.1", running.grpc_port)}
    assert listening() <= before


def test_the_check_of_the_sockets_can_fail():
    before = listening()
    with socket.create_server(("0.0.0.0", 0)) as other:
        assert listening() - before == {("0.0.0.0", other.getsockname()[1])}


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_beyond_this_machine_it_wants_a_token(host):
    with pytest.raises(OptionError, match="token"):
        ServeOptions(host=host)
    assert ServeOptions(host=host, token=TOKEN).host == ServeOptions(host=host, insecure=True).host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_on_this_machine_it_wants_none(host):
    assert ServeOptions(host=host).token is None


@pytest.mark.parametrize(
    "token", ["", "short", "with spaces in the middle", "\u00fcmlaut-\u00fcmlaut-\u00fcmlaut", "line\nline-line-line"]
)
def test_a_poor_token_is_refused_and_not_repeated(token):
    with pytest.raises(OptionError) as caught:
        ServeOptions(token=token)
    assert not token or token not in str(caught.value)


def test_options_do_not_show_the_token():
    assert TOKEN not in repr(ServeOptions(token=TOKEN))


@pytest.mark.parametrize(
    "values",
    [
        {"http_port": 70_000},
        {"grpc_port": 8080},
        {"workers": 0},
        {"queue_length": -1},
        {"batch": 0},
        {"deadline_seconds": 0},
        {"deadline_seconds": float("nan")},
        {"max_pixels": 1.5},
        {"tls_cert": Path("/missing.pem"), "tls_key": Path("/missing.pem")},
        {"tls_key": Path("/missing.pem")},
        {"host": "no such host . invalid"},
        {"host": ""},
    ],
)
def test_options_out_of_range_are_named(values):
    with pytest.raises(OptionError, match=next(iter(values))):
        ServeOptions(**values)


def test_with_the_token_both_protocols_answer(guarded):
    data = encoded(pixels())
    assert post(guarded.http_port, rest_body(data), headers=RIGHT).status_code == 200
    assert infer(guarded.grpc_port, request(data), metadata=tuple(RIGHT.items())).raw_output_contents
    with Client(f"127.0.0.1:{guarded.grpc_port}", token=TOKEN) as client:
        assert len(client.detect(data)) > 0


@pytest.mark.parametrize("headers", WRONG, ids=range(len(WRONG)))
@pytest.mark.parametrize(
    "path", [REST, "/metrics", "/v2", "/v2/models/surfacedefect", "/v2/models/surfacedefect/ready"]
)
def test_without_it_rest_does_not(guarded, path, headers):
    address = f"http://127.0.0.1:{guarded.http_port}{path}"
    raw = {name: value.encode() for name, value in headers.items()}
    response = httpx.post(address, content=b"{}", headers=raw) if path == REST else httpx.get(address, headers=raw)
    assert response.status_code == 401 and TOKEN not in response.text
    assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("headers", WRONG[:-1], ids=range(len(WRONG) - 1))
def test_without_it_grpc_does_not(guarded, headers):
    with pytest.raises(Refusal) as caught:
        infer(guarded.grpc_port, request(encoded(pixels())), metadata=tuple(headers.items()))
    assert caught.value.code == "UNAUTHENTICATED" and TOKEN not in caught.value.details
    with grpc.insecure_channel(f"127.0.0.1:{guarded.grpc_port}") as channel:
        for method in ("ServerMetadata", "ModelReady", "ModelMetadata", "RepositoryModelUnload"):
            with pytest.raises(grpc.RpcError) as error:
                channel.unary_unary(f"/inference.GRPCInferenceService/{method}")(b"", metadata=tuple(headers.items()))
            assert error.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_the_client_says_that_it_is_the_token(guarded, monkeypatch):
    from surfacedefect.serving import _exchange

    for token in (None, "another-token-of-good-length"):
        with Client(f"127.0.0.1:{guarded.grpc_port}", token=token) as client:
            for most in (2**30, 10):
                monkeypatch.setattr(_exchange, "MOST_AT_ONCE_BYTES", most)
                with pytest.raises(TokenError, match="token"):
                    client.detect(pixels())


def test_health_needs_no_token(guarded):
    for path in ("/", "/v2/health/live", "/v2/health/ready"):
        assert httpx.get(f"http://127.0.0.1:{guarded.http_port}{path}").status_code == 200
    with Client(f"127.0.0.1:{guarded.grpc_port}") as client:
        assert client.is_ready()


def test_a_stranger_s_large_body_is_not_even_received(guarded):
    with pytest.raises(Refusal) as caught:
        infer(guarded.grpc_port, b"x" * (80 * 2**20))  # larger than a message may be: that is not found out
    assert caught.value.code == "UNAUTHENTICATED"


def test_the_host_that_a_client_names_opens_nothing(guarded):
    """The address is made of that header in older releases of Starlette, and its path with it."""
    address = f"http://127.0.0.1:{guarded.http_port}"
    for host in ("x/v2/health/live?", "x/?", "x/#"):
        assert httpx.get(f"{address}/metrics", headers={"host": host}).status_code == 401
    response = httpx.get(f"{address}/v2/", headers={"host": "elsewhere.example"})
    assert response.status_code == 404 and "location" not in response.headers


def test_the_path_is_what_is_routed():
    from starlette.requests import Request

    from surfacedefect.serving import _rest

    class Misled(Request):
        url = type("Url", (), {"path": "/v2/health/live"})()

    async def never(request):
        pytest.fail("asked without the token")

    options = ServeOptions(http_port=0, grpc_port=0, token=TOKEN)
    rest = _rest._Rest(SurfaceDefectModel(predictor(), options=options), None)
    scope = {"type": "http", "method": "GET", "path": "/metrics", "headers": [], "query_string": b""}

    async def receive():
        return {"type": "http.request"}

    assert asyncio.run(rest.guarded(never)(Misled(scope, receive))).status_code == 401


def test_strangers_who_never_send_their_message_hold_no_place(guarded):
    done = threading.Event()

    def never():
        done.wait(60)
        yield b""

    with grpc.insecure_channel(f"127.0.0.1:{guarded.grpc_port}") as channel:
        ready = channel.stream_unary("/inference.GRPCInferenceService/ServerReady")
        calls = [ready.future(never(), timeout=30) for _ in range(60)]
        try:
            assert all(call.result() == b"\x08\x01" for call in calls)
            with Client(f"127.0.0.1:{guarded.grpc_port}", token=TOKEN, attempts=1) as client:
                assert len(client.detect(encoded(pixels()))) > 0
        finally:
            done.set()


def test_a_port_that_is_taken_is_named():
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        for name in ("http_port", "grpc_port"):
            options = ServeOptions(**{"http_port": 0, "grpc_port": 0, name: taken})
            with pytest.raises(OutputError, match=str(taken)), background(predictor(), options=options):
                pass


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> tuple[Path, Path]:
    """A certificate that is signed by itself, for localhost."""
    x509 = pytest.importorskip("cryptography.x509", reason="needs the extra [test]")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    cert, secret = folder / "cert.pem", folder / "key.pem"
    cert.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return cert, secret


def test_both_protocols_are_encrypted_when_told_so(certificate):
    cert, key = certificate
    options = ServeOptions(http_port=0, grpc_port=0, token=TOKEN, tls_cert=cert, tls_key=key)
    data = encoded(pixels())
    with background(predictor(), options=options) as running:
        address = f"https://localhost:{running.http_port}"
        trusting = ssl.create_default_context(cafile=cert)
        response = httpx.post(f"{address}{REST}", json=rest_body(data), headers=RIGHT, verify=trusting)
        assert response.status_code == 200
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{address}/v2/health/live")  # signed by nobody it knows
        with pytest.raises(httpx.HTTPError):
            httpx.get(f"http://localhost:{running.http_port}/v2/health/live")
        with Client(f"localhost:{running.grpc_port}", token=TOKEN, tls=cert) as client:
            assert client.detect(data).to_geojson() == sd.detect(data, model=predictor()).to_geojson()
        for tls in (False, True):
            with Client(f"localhost:{running.grpc_port}", token=TOKEN, tls=tls, attempts=1) as client:
                assert not client.is_ready()
        credentials = grpc.ssl_channel_credentials(cert.read_bytes())
        with (
            grpc.secure_channel(f"localhost:{running.grpc_port}", credentials) as channel,
            pytest.raises(Refusal, match="UNAUTHENTICATED"),
        ):
            infer_on(channel, request(data))


def test_a_certificate_that_is_none_ends_in_words(tmp_path):
    path = tmp_path / "cert.pem"
    path.write_text("nothing")
    options = ServeOptions(http_port=0, grpc_port=0, tls_cert=path, tls_key=path)
    with pytest.raises(OptionError, match="tls_cert"), background(predictor(), options=options):
        pass
