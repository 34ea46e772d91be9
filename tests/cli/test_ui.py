"""``surfacedefect ui`` is a thin command over the workspace, the page and its server."""

from __future__ import annotations

import importlib
import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

pytest.importorskip("kserve", reason="needs the extra [serve]")
pytest.importorskip("dash_leaflet", reason="needs the extra [web]")

from PIL import Image

TOKEN = "a-token-of-this-test-alone"


@pytest.fixture
def started(monkeypatch):
    """What the command would have served, and where."""
    calls = []
    monkeypatch.setattr(
        importlib.import_module("surfacedefect.cli.ui"),
        "_serve",
        lambda workspace, page, **where: calls.append((workspace, page, where)),
    )
    for variable in ("SURFACEDEFECT_TOKEN", "SURFACEDEFECT_PAGE_TOKEN"):
        monkeypatch.delenv(variable, raising=False)
    return calls


def test_options_go_to_the_workspace_and_to_the_page(run, started, tmp_path):
    done = run(
        *("ui", "--folder", tmp_path, "--port", 9001, "--no-browser", "--mm-per-px", 0.2, "--who", "ann"),
        *("--model", "m.onnx", "--threads", 3, "--max-pixels", 1000, "--max-upload-bytes", 2000, "--scan", "x.jpg"),
    )
    assert done.exit_code == 0, done.output
    ((workspace, page, where),) = started
    options = workspace.options
    assert (options.model, options.threads, options.mm_per_px, options.who) == ("m.onnx", 3, 0.2, "ann")
    assert (options.max_pixels, options.max_upload_bytes) == (1000, 2000)
    assert (page["max_upload_bytes"], page["open_scan"], page["token"]) == (2000, "x.jpg", None)
    assert where == {"host": "127.0.0.1", "port": 9001, "browser": False}


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.7", "bay-3"])
def test_beyond_this_machine_it_wants_a_token(run, started, tmp_path, host):
    done = run("ui", "--folder", tmp_path, "--host", host)
    assert done.exit_code == 2
    assert "--page-token-file" in done.output
    assert not started


def test_with_a_token_or_told_so_it_listens_beyond(run, started, tmp_path):
    file = tmp_path / "token"
    file.write_text(TOKEN)
    assert run("ui", "--folder", tmp_path, "--host", "0.0.0.0", "--page-token-file", file).exit_code == 0
    assert (
        run("ui", "--folder", tmp_path, "--host", "0.0.0.0", "--insecure", "--name", "inspect.example").exit_code == 0
    )
    (_, with_token, _), (_, insecure, _) = started
    assert (with_token["token"], with_token["hosts"]) == (TOKEN, None)
    assert insecure["addresses"] and "inspect.example" in insecure["hosts"]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--folder", "/missing"), "missing"),
        (("--page-token-file", "/missing"), "page-token-file"),
        (("--token-file", "/missing"), "token-file"),
        (("--server", "nonsense"), "nonsense"),
        (("--server", ""), "host and gRPC port"),
        (("--tls-ca", "/missing.pem"), "/missing.pem"),
        (("--who", ""), "who is"),
        (("--port", 99_999), "port"),
    ],
)
def test_what_is_wrong_ends_in_a_line(run, started, arguments, word):
    done = run("ui", *arguments)
    assert done.exit_code == 2 and word in done.output and not started, done.output


def test_a_folder_that_is_a_loop_of_links_ends_in_a_line(run, started, tmp_path):
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    done = run("ui", "--folder", loop)
    assert done.exit_code == 2 and "is no folder" in done.output and not started, done.output


def test_the_program_serves_its_page_and_ends_when_told(tmp_path: Path):
    Image.new("RGB", (60, 40), "grey").save(tmp_path / "door.jpg")
    program = [sys.executable, "-m", "surfacedefect", "ui", "--folder", str(tmp_path), "--port", "0", "--no-browser"]
    server = "127.0.0.1:9"  # nobody answers there; the page is to be of use all the same
    with subprocess.Popen([*program, "--server", server], stdout=subprocess.PIPE, text=True, env=os.environ) as child:
        assert child.stdout is not None
        found = re.search(r"http://127\.0\.0\.1:\d+", child.stdout.readline())
        try:
            assert found
            with urllib.request.urlopen(f"{found[0]}/api/state", timeout=20) as answer:
                state = json.load(answer)
            assert [scan["name"] for scan in state["scans"]] == ["door.jpg"]
            with urllib.request.urlopen(f"{found[0]}/", timeout=20) as answer:
                assert b"react-entry-point" in answer.read()
            foreign = urllib.request.Request(f"{found[0]}/api/state", headers={"Host": "evil.example"})
            with pytest.raises(urllib.error.HTTPError, match="403") as refused:
                urllib.request.urlopen(foreign, timeout=20)
            refused.value.close()
        finally:
            child.send_signal(signal.SIGTERM)
            assert child.wait(20) == 0


def test_a_port_that_is_taken_is_told(run, tmp_path, monkeypatch):
    import socket

    monkeypatch.delenv("SURFACEDEFECT_TOKEN", raising=False)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run("ui", "--folder", tmp_path, "--port", port, "--no-browser", "--server", "127.0.0.1:9")
    assert done.exit_code == 2
    assert str(port) in done.output and "--port" in done.output
