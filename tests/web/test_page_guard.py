"""What the page's routes answer to those who should not ask, and to what makes no sense; no browser in it."""

from __future__ import annotations

import contextlib
import socket
import urllib.request
from typing import Any

import pytest
from web_fake import FakeWorkspace, rendered

from surfacedefect.errors import OptionError, OutputError
from surfacedefect.web.app import make_app
from surfacedefect.web.serve import serving

OURS = {"Host": "127.0.0.1:8050", "Origin": "http://127.0.0.1:8050"}


@pytest.fixture(scope="module")
def workspace() -> FakeWorkspace:
    scan = rendered(7, width=320, height=240)
    scan.state = "inspected"
    return FakeWorkspace({"door.jpg": scan, "new.jpg": rendered(8, width=160, height=120)})


@pytest.fixture
def client(workspace: FakeWorkspace) -> Any:
    return make_app(workspace, max_upload_bytes=5000).server.test_client()


def post(client: Any, path: str, headers: dict[str, str] | None = None, **given: Any) -> Any:
    return client.post(path, json=given, headers={**OURS, **(headers or {})})


@pytest.mark.parametrize("host", ["127.0.0.1:8050", "localhost", "[::1]:8050", "LOCALHOST:1"])
def test_under_its_own_names_it_answers(client, host):
    assert client.get("/api/state", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8050", "10.0.0.1", "[::1", ""]
)
def test_a_name_that_another_site_gave_itself_is_refused(client, host):
    answer = client.get("/api/state", headers={"Host": host})
    assert answer.status_code in (400, 403)
    assert b"door.jpg" not in answer.data


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:9999", "http://[", ""])
@pytest.mark.parametrize(
    "path", ["/api/run", "/api/review/decide", "/api/upload?name=x.jpg", "/_dash-update-component"]
)
def test_what_another_site_sends_is_refused(client, workspace, path, origin):
    before = len(workspace.all), workspace.review("door.jpg").version
    answer = client.post(path, json={"scan": "door.jpg"}, headers={"Host": "127.0.0.1:8050", "Origin": origin})
    assert answer.status_code == 403
    assert (len(workspace.all), workspace.review("door.jpg").version) == before


def test_other_sites_cannot_show_its_tiles(client):
    for path in (
        "/tile/scan/0/0/0?scan=door.jpg",
        "/api/state",
        "/thumbnail?scan=door.jpg",
        "/export/csv?scan=door.jpg",
    ):
        assert client.get(path, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
        assert client.get(path, headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert client.get("/", headers=link).status_code == 200, "a link in a mail must open the page"


def test_every_answer_carries_the_policy(client):
    for path in ("/", "/api/state", "/api/nothing", "/tile/scan/0/0/0?scan=door.jpg", "/assets/10_core.js"):
        answer = client.get(path)
        answer.close()
        headers = answer.headers
        policy = headers["Content-Security-Policy"]
        scripts = next(part for part in policy.split("; ") if part.startswith("script-src"))
        assert "unsafe" not in scripts
        assert "default-src 'none'" in policy
        assert "http" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"


NAMES = [
    "../etc/passwd",
    "/etc/passwd",
    "..\\..\\x.jpg",
    "%2e%2e/x",
    "door.jpg/../../x",
    "a\0b",
    "C:\\x.jpg",
    "x" * 5000,
    "",
    "\ud800",
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("path", ["/thumbnail", "/tile/scan/0/0/0", "/export/csv", "/api/scan", "/api/found"])
def test_there_is_nothing_but_the_folders_scans(client, path, name):
    answer = client.get(path, query_string={"scan": name.encode("utf-8", "surrogatepass").decode("latin-1")})
    assert answer.status_code == 400
    assert answer.get_json()["error"]


@pytest.mark.parametrize(
    "path", ["/assets/../app.py", "/assets/%2e%2e/app.py", "/assets/..%2fapp.py", "/..%2f..%2fetc/passwd"]
)
def test_assets_are_the_only_files(client, path):
    assert b"make_app" not in client.get(path).data


BAD_BODIES = [
    {},
    {"scan": 3, "version": 0},
    {"scan": "door.jpg"},
    {"scan": "door.jpg", "version": "old"},
    {"scan": "door.jpg", "version": -1},
    {"scan": "door.jpg", "version": True},
    {"scan": "door.jpg", "version": 0, "action": "burn", "outline": "x"},
    {"scan": "door.jpg", "version": 0, "action": "accept"},
    {"scan": "door.jpg", "version": 0, "action": "accept", "outline": "nobody"},
    {"scan": "door.jpg", "version": 0, "action": "redraw", "outline": "x", "polygon": "round"},
    {"scan": "door.jpg", "version": 0, "action": "redraw", "outline": "x", "polygon": [[0, 0], [1, 1]]},
    {"scan": "door.jpg", "version": 0, "action": "redraw", "outline": "x", "polygon": [[0, 0], [1, "a"], [2, 2]]},
    {"scan": "door.jpg", "version": 0, "action": "redraw", "outline": "x", "polygon": [[0, 0], [1, 1e300], [2, 2]]},
    {"scan": "door.jpg", "version": 0, "action": "add", "polygon": [[0, 0]] * 6000},
]


@pytest.mark.parametrize("body", BAD_BODIES)
def test_a_decision_that_makes_no_sense_is_refused_in_words(client, workspace, body):
    before = workspace.review("door.jpg")
    answer = post(client, "/api/review/decide", **body)
    assert answer.status_code == 400
    assert answer.get_json()["error"]
    assert workspace.review("door.jpg") == before


@pytest.mark.parametrize("data", [b"", b"[]", b"nonsense", b"\xff\xfe", b'{"scan": ' + b"[" * 5000, b"x" * (2**20 + 1)])
def test_a_body_that_is_no_object_is_refused(client, data):
    answer = client.post("/api/run", data=data, content_type="application/json", headers=OURS)
    assert answer.status_code == 400
    form = client.post("/api/run", data={"scan": "door.jpg"}, headers=OURS)
    assert form.status_code == 400, "a form is what another site could send"


@pytest.mark.parametrize("threshold", ["nan", "inf", "2", "-1", "much"])
def test_a_threshold_out_of_range_is_refused(client, threshold):
    for path in ("/api/found", "/tile/damage/0/0/0"):
        assert client.get(path, query_string={"scan": "door.jpg", "threshold": threshold}).status_code == 400


@pytest.mark.parametrize(
    ("action", "given", "word"),
    [
        ("note", {"note": "y" * 4001}, "4,001 letters"),
        ("note", {"note": ["a"]}, "no text"),
        ("reviewed", {"reviewed": "false"}, "true or false"),
        ("undo", {"version": 0.5}, "whole number"),
    ],
)
def test_nothing_is_cut_off_or_taken_for_something_else(client, workspace, action, given, word):
    before = workspace.review("door.jpg")
    answer = client.post(f"/api/review/{action}", json={"scan": "door.jpg", "version": before.version, **given})
    assert answer.status_code == 400 and word in answer.json["error"]
    assert workspace.review("door.jpg") == before


def test_an_old_version_is_told_whose_the_new_one_is(client, workspace):
    outline = workspace.found("door.jpg")[0].id
    version = workspace.review("door.jpg").version
    given = {"scan": "door.jpg", "version": version, "action": "accept", "outline": outline}
    assert post(client, "/api/review/decide", **given).status_code == 200
    answer = post(client, "/api/review/decide", **given)
    assert answer.status_code == 409
    assert answer.get_json()["review"]["version"] == version + 1


def test_the_page_hears_of_a_refusal_without_an_error_in_the_console(client):
    answer = client.get("/api/scan?scan=nobody", headers={"X-Page": "1"})
    assert answer.status_code == 200
    assert answer.get_json()["status"] == 400


def test_uploads_say_how_large_they_are_and_are_not_too_large(client, workspace):
    too_large = client.post("/api/upload?name=x.jpg", data=b"\xff\xd8" + bytes(6000), headers=OURS)
    assert too_large.status_code == 413
    assert "at most" in too_large.get_json()["error"]
    unsized = client.post("/api/upload?name=x.jpg", data=b"\xff\xd8", headers=OURS | {"Transfer-Encoding": "chunked"})
    assert unsized.status_code == 411
    no_picture = client.post("/api/upload?name=x.jpg", data=b"hello", headers=OURS)
    assert no_picture.status_code == 422
    assert "no picture" in no_picture.get_json()["error"]
    assert "x.jpg" not in workspace.all


def test_a_body_without_a_length_is_bounded_too(workspace):
    app = make_app(workspace)
    with serving(app) as url, socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1])), timeout=20) as line:
        line.sendall(b"POST /api/run HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n")
        line.sendall(b"Transfer-Encoding: chunked\r\n\r\n")
        piece = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
        with contextlib.suppress(OSError):  # it may hang up before everything is sent
            line.sendall(piece * 40 + b"0\r\n\r\n")
        assert line.recv(200).split()[1] in (b"400", b"413")


def test_an_export_is_a_file_to_keep_whatever_the_scan_is_called(workspace):
    name = 'größe "1"\r\nX-Bad: 1; <b>.jpg'
    odd = FakeWorkspace({name: workspace.all["door.jpg"]})
    answer = make_app(odd).server.test_client().get("/export/csv", query_string={"scan": name})
    assert answer.status_code == 200
    assert "X-Bad" not in answer.headers
    disposition = answer.headers["Content-Disposition"]
    assert disposition.startswith("attachment; ")
    assert "\n" not in disposition and "gr%C3%B6%C3%9Fe" in disposition


def test_what_nobody_foresaw_is_logged_and_tells_nothing(workspace, caplog):
    class Broken(FakeWorkspace):
        def info(self, name: str) -> Any:
            raise RuntimeError("secret path /home/ann")

    answer = make_app(Broken(workspace.all)).server.test_client().get("/api/scan?scan=door.jpg")
    assert answer.status_code == 500
    assert b"secret" not in answer.data
    assert "secret path" in caplog.text


def test_with_a_token_nothing_is_shown_before_it_is_typed_in(workspace):
    client = make_app(workspace, token="let me in", hosts=None).server.test_client()
    assert client.get("/").headers["Location"] == "/sign-in"
    for path in ("/api/state", "/tile/scan/0/0/0?scan=door.jpg", "/_dash-layout", "/assets/10_core.js"):
        assert client.get(path).status_code == 401
    wrong = client.post("/sign-in", data={"token": "me too"})
    assert wrong.status_code == 401
    assert b"me too" not in wrong.data
    answer = client.post("/sign-in", data={"token": "let me in"})
    assert answer.status_code == 303
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and "let me in" not in cookie
    assert client.get("/api/state").status_code == 200
    client.set_cookie("surfacedefect-session", "guess")
    assert client.get("/api/state").status_code == 401


def test_beyond_loopback_without_a_token_an_address_will_do_but_no_foreign_name(workspace):
    client = make_app(workspace, hosts=["bay-3"], addresses=True).server.test_client()
    for host, status in {
        "192.168.0.7:8050": 200,
        "[fe80::1]:8050": 200,
        "bay-3:8050": 200,
        "evil.example": 403,
    }.items():
        assert client.get("/api/state", headers={"Host": host}).status_code == status, host


@pytest.mark.parametrize(
    "path", ["/tile/scan/-1/0/0", "/tile/scan/0/99999999999999999999/0", "/tile/nothing/0/0/0", "/tile/scan/a/0/0"]
)
def test_a_tile_that_is_not_there_is_refused(client, path):
    assert client.get(path, query_string={"scan": "door.jpg", "palette": "<x>"}).status_code in (400, 404)


@pytest.mark.parametrize("wrong", [None, "ok", 3, object(), FakeWorkspace])
def test_a_page_is_over_a_workspace(wrong):
    with pytest.raises(OptionError, match="workspace is .*expected a Workspace"):
        make_app(wrong)


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"hosts": "example.com"}, "hosts is 'example.com'; expected a list"),
        ({"hosts": b"example.com"}, "expected a list"),
        ({"hosts": 3}, "hosts is 3"),
        ({"hosts": ["bay-3", 3]}, "hosts is"),
        ({"hosts": ["[]"]}, "hosts is"),
        ({"token": ""}, "token is empty"),
        ({"token": 3}, "token is an int"),
        ({"token": " padded "}, "strip"),
        ({"max_upload_bytes": "x"}, "max_upload_bytes is 'x'; expected a whole number"),
        ({"max_upload_bytes": -1}, "expected a whole number, 1 or more"),
        ({"open_scan": 3}, "open_scan is 3; expected the name"),
        ({"folder": 3}, "folder is 3; expected a text"),
    ],
    ids=repr,
)
def test_a_page_cannot_be_made_of_nonsense(workspace, given, word):
    with pytest.raises(OptionError, match=word) as refused:
        make_app(workspace, **given)
    assert "padded" not in str(refused.value)


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"host": ""}, "host is ''"),
        ({"host": None}, "host is None; expected a name or address"),
        ({"host": 3}, "host is 3"),
        ({"port": 70_000}, "port is 70000; expected a whole number from 0 to 65,535"),
        ({"port": -1}, "port is -1"),
        ({"port": None}, "port is None"),
        ({"port": "8050"}, "port is '8050'"),
    ],
    ids=repr,
)
def test_where_it_cannot_be_served_is_said(workspace, given, word):
    with pytest.raises(OptionError, match=word), serving(make_app(workspace), **given):
        pass


@pytest.mark.parametrize("host", ["nobody.invalid", "a" * 70, "a\0b", "192.0.2.1"])
def test_a_host_that_is_not_of_this_machine_is_told(workspace, host):
    with (
        pytest.raises(OutputError, match="cannot listen on .*another host or port"),
        serving(make_app(workspace), host=host),
    ):
        pass


class Served(FakeWorkspace):
    """It has a callable `server`, as a workspace has and a page too."""


def test_what_is_served_is_a_page(workspace):
    for wrong in (None, Served(workspace.all), make_app):
        with pytest.raises(OptionError, match="app is .*expected the page of make_app"), serving(wrong):
            pass


@pytest.mark.parametrize(
    ("host", "start"), [("::1", "http://[::1]:"), ("0.0.0.0", "http://127.0.0.1:"), ("localhost", "http://localhost:")]
)
def test_the_address_can_be_opened(workspace, host, start):
    if ":" in host:
        try:
            with socket.socket(socket.AF_INET6) as probe:
                probe.bind((host, 0))
        except OSError:
            pytest.skip("this machine has no IPv6")
    with serving(make_app(workspace), host=host) as address:
        assert address.startswith(start)
        with urllib.request.urlopen(f"{address}/api/state", timeout=20) as answer:
            assert answer.status == 200


def _parts(part: Any) -> Any:
    """Every component of a layout, as Dash sends it."""
    if isinstance(part, dict):
        yield part
        part = list(part.values())
    if isinstance(part, list):
        for inner in part:
            yield from _parts(inner)


def test_nothing_can_be_exported_and_the_folder_stands_as_it_is_before_a_scan_is_chosen(workspace):
    layout = make_app(workspace, folder="/data/scans").server.test_client().get("/_dash-layout").get_json()
    by_id = {part["id"]: part for part in _parts(layout) if isinstance(part.get("id"), str)}
    for name in ("export", "reviewed", "undo", "redo", "add"):
        assert by_id[name]["disabled"] is True, name
    folder = next(part for part in _parts(layout) if part.get("children") == "/data/scans")
    assert folder["dir"] == "ltr", "its line is written from right to left, so that its end is seen"
