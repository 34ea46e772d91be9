"""``surfacedefect serve`` is a thin command over `surfacedefect.serving.serve`."""

from __future__ import annotations

import pytest

pytest.importorskip("kserve", reason="needs the extra [serve]")

TOKEN = "a-token-of-this-test-alone"


@pytest.fixture
def served(monkeypatch):
    calls = []
    monkeypatch.setattr(
        "surfacedefect.serving.serve", lambda model, **given: calls.append((model, given)), raising=False
    )
    monkeypatch.setattr("surfacedefect.serving._logs.configure", lambda: None)
    monkeypatch.delenv("SURFACEDEFECT_TOKEN", raising=False)
    return calls


def test_options_become_serve_options(run, served):
    done = run(
        *("serve", "--http-port", 9000, "--grpc-port", 0, "--model", "m.onnx", "--runtime", "onnx", "--threads", 2),
        *("--workers", 3, "--batch", 5, "--queue-length", 7, "--deadline", 9, "--grace", 11, "--drain", 1),
        *("--max-pixels", 100, "--max-request-bytes", 5000, "--max-scan-bytes", 6000),
    )
    assert done.exit_code == 0, done.output
    ((model, given),) = served
    options = given["options"]
    assert (model, given["runtime"], given["threads"]) == ("m.onnx", "onnx", 2)
    assert (options.host, options.http_port, options.grpc_port, options.token) == ("127.0.0.1", 9000, 0, None)
    assert (options.workers, options.batch, options.queue_length) == (3, 5, 7)
    assert (options.deadline_seconds, options.grace_seconds, options.drain_seconds) == (9, 11, 1)
    assert (options.max_pixels, options.max_request_bytes, options.max_scan_bytes) == (100, 5000, 6000)


def test_the_token_comes_from_a_file_or_the_environment(run, served, tmp_path, monkeypatch):
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    run("serve", "--host", "0.0.0.0", "--token-file", file)
    monkeypatch.setenv("SURFACEDEFECT_TOKEN", TOKEN)
    run("serve", "--host", "0.0.0.0")
    assert [given["options"].token for _, given in served] == [TOKEN, TOKEN]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--host", "0.0.0.0"), "token"),
        (("--token-file", "/missing"), "token-file"),
        (("--http-port", 99_999), "http_port"),
        (("--tls-key", "/missing"), "tls_key"),
    ],
)
def test_what_is_wrong_ends_in_a_line(run, served, arguments, word):
    done = run("serve", *arguments)
    assert done.exit_code == 2 and word in done.output and not served


def test_told_so_it_listens_without_a_token(run, served):
    assert run("serve", "--host", "0.0.0.0", "--insecure").exit_code == 0
    assert served[0][1]["options"].insecure


@pytest.mark.parametrize("value", ["", "  "])
def test_a_token_that_came_out_empty_is_not_taken_for_none(run, served, monkeypatch, value):
    monkeypatch.setenv("SURFACEDEFECT_TOKEN", value)
    done = run("serve")
    assert done.exit_code == 2 and "SURFACEDEFECT_TOKEN" in done.output and not served
