"""The whole way with the real workspace: a folder, a server, the page in Chromium, the library to compare with."""

from __future__ import annotations

import csv
import json
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shapely.geometry import Polygon, shape
from web_browser import Watched, colours_at, is_yellow, watched
from web_fake import FakeWorkspace, rendered
from web_runs import SERVER, options, panel, save
from web_server import CARD, graded

import surfacedefect as sd
from surfacedefect.web import Workspace
from surfacedefect.web.app import make_app
from surfacedefect.web.serve import serving

EVIL = "<img src=x onerror=alert(1)>.jpg"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: Any) -> Path:
    found: Path = tmp_path_factory.mktemp("scans")
    save(found / "door left.png", panel())
    save(found / "bay 2" / "hood.png", panel(1200, 1500, seed=1))
    (found / "broken.jpg").write_bytes(b"\xff\xd8\xff hello")
    return found


@pytest.fixture(scope="module")
def seen(chromium: Any, folder: Path) -> Any:
    with (
        Workspace(folder, options=options("--delay", 0.03, mm_per_px=0.1)) as workspace,
        watched(chromium, workspace) as found,
    ):
        found.open()
        yield found
        found.check()


def inspect(seen: Watched, name: str) -> None:
    seen.choose_scan(name, rows=False)
    seen.until("inspect.state.info !== null", 30)
    seen.page.click("#run")
    seen.until("inspect.state.info && inspect.state.info.has_map && inspect.state.outlines.length > 0", 60)
    seen.settle()


def exported(seen: Watched, what: str) -> tuple[str, bytes]:
    seen.page.click("#export")
    with seen.page.expect_download() as waiting:
        seen.page.click(f"[data-export={what}]")
    return waiting.value.suggested_filename, Path(waiting.value.path()).read_bytes()


def library(path: Path) -> Any:
    return sd.Detector(sd.FunctionPredictor(graded, card=CARD), options=sd.DetectOptions(mm_per_px=0.1)).detect(path)


def same(one: Any, other: Any) -> bool:
    return bool(one.symmetric_difference(other).area < 0.01 * max(one.area, 1))


def test_the_way_of_an_inspector(seen, folder):
    inspect(seen, "door left.png")
    found = library(folder / "door left.png")
    assert seen.rows() == len(found) == 3

    seen.page.evaluate("inspect.state.opacity = 1; inspect.emit('view')")
    scan = panel()
    value = scan.mean(axis=2)
    clean = np.zeros(value.shape, bool)
    clean[80:130, 80:600] = True
    seen.settle()
    assert is_yellow(colours_at(seen, value < 30)).mean() > 0.9
    blue = colours_at(seen, clean)
    assert not is_yellow(blue).any()
    assert (blue[:, 2] - blue[:, 0]).mean() > 15

    name, data = exported(seen, "geojson")
    assert name.startswith("door left") and name.endswith(".geojson")
    features = json.loads(data)["features"]
    assert len(features) == len(found)
    for defect in found:
        assert any(same(shape(feature["geometry"]), defect.polygon) for feature in features), defect

    before = seen.rows()
    seen.page.locator("#threshold").fill("0.85")
    seen.until("document.getElementById('threshold-text').textContent === '0.85'")
    seen.until(f"inspect.state.outlines.length !== {before} || inspect.state.outlines.some((o) => o.area_px < 2000)")
    at = found.at(0.85)
    seen.saved()
    seen.until(f"inspect.state.outlines.length === {len(at)}")
    seen.page.click("#threshold-default")
    seen.until(f"inspect.state.outlines.length === {before}")
    seen.saved()


def test_what_was_decided_is_there_after_a_reload_and_in_every_export(seen, folder):
    seen.fresh("door left.png")
    rows = seen.page.locator("#defects tbody tr")
    rejected, redrawn = (rows.nth(index).get_attribute("data-id") for index in (0, 1))
    rows.nth(0).click()
    seen.page.keyboard.press("r")
    seen.saved()
    seen.page.locator(f"tr[data-id='{redrawn}']").click()
    seen.settle()
    seen.page.keyboard.press("e")
    corner = seen.page.locator(".leaflet-editing-icon").first
    corner.wait_for()
    seen.settle()
    box = corner.bounding_box()
    seen.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    seen.page.mouse.down()
    seen.page.mouse.move(box["x"] - 20, box["y"] - 25, steps=4)
    seen.page.mouse.up()
    seen.page.click("#drawing-save")
    seen.saved()
    drawn = Polygon(seen.page.evaluate(f"inspect.found('{redrawn}').polygon"))

    seen.page.reload()
    seen.page.locator(f"tr[data-id='{redrawn}']").wait_for()
    assert seen.page.evaluate(f"inspect.found('{rejected}').decision") == "rejected"
    assert seen.page.evaluate(f"inspect.found('{redrawn}').decision") == "redrawn"
    assert same(Polygon(seen.page.evaluate(f"inspect.found('{redrawn}').polygon")), drawn)
    assert (folder / "door left.png.review.json").is_file()

    seen.settle()
    features = json.loads(exported(seen, "geojson")[1])["features"]
    assert len(features) == seen.rows() - 1
    assert any(same(shape(feature["geometry"]), drawn) for feature in features)
    assert len(list(csv.reader(exported(seen, "csv")[1].decode().splitlines()))) == seen.rows()
    assert len(json.loads(exported(seen, "coco")[1])["annotations"]) == seen.rows() - 1
    assert exported(seen, "png")[1].startswith(b"\x89PNG")
    assert exported(seen, "pdf")[1].startswith(b"%PDF")
    report = exported(seen, "html")[1].decode()
    assert "door left" in report
    assert not re.search(r"(src|href)=[\"']?https?:", report), "the report stands on its own"


def test_an_inspection_says_how_far_it_is_and_can_be_cancelled(seen):
    seen.choose_scan("bay 2/hood.png", rows=False)
    seen.until("inspect.state.info !== null", 30)
    seen.page.click("#run")
    seen.page.locator("#progress").wait_for()
    seen.until("/\\d+ of \\d+ windows/.test(document.getElementById('progress-text').textContent)", 30)
    seen.page.click("#cancel")
    seen.page.locator("#progress").wait_for(state="hidden")
    seen.until("inspect.state.scans.find((s) => s.name === 'bay 2/hood.png').state === 'new'", 30)


def test_a_broken_file_says_what_is_wrong_and_the_next_one_opens(seen):
    seen.choose_scan("broken.jpg", rows=False)
    note = seen.page.locator("#over .note.bad")
    note.wait_for()
    assert "broken.jpg" in note.inner_text() and "expected" in note.inner_text()
    seen.choose_scan("door left.png")
    assert note.count() == 0


def test_uploads_are_checked_and_their_names_are_text(seen, folder, tmp_path):
    picture = save(tmp_path / "small.png", np.full((80, 120, 3), 128, np.uint8)).read_bytes()
    files = [
        {"name": EVIL, "mimeType": "image/png", "buffer": picture},
        {"name": "text.jpg", "mimeType": "image/jpeg", "buffer": b"no picture"},
    ]
    before = {path.name for path in folder.iterdir()}
    seen.page.set_input_files("#upload-input", files)
    seen.page.locator(".toast.bad", has_text="text.jpg").wait_for()
    seen.page.locator(".scan-name", has_text="<img src=x onerror").wait_for()
    assert seen.page.locator("img[src=x]").count() == 0
    after = {path.name for path in folder.iterdir()} - before
    assert len(after) == 1, "nothing of the refused one is left"


@pytest.mark.parametrize(
    "name",
    [
        "../secret.png",
        "..%2fsecret.png",
        "/etc/passwd",
        "link.png",
        "bay 2/../../secret.png",
        ".surfacedefect/x",
        "door left.png/../broken.jpg",
    ],
)
def test_nothing_outside_the_folder_is_served(seen, folder, name):
    secret = save(folder.parent / "secret.png", np.full((40, 40, 3), 9, np.uint8))
    link = folder / "link.png"
    if not link.is_symlink():
        link.symlink_to(secret)
    for path in ("/tile/scan/0/0/0", "/thumbnail", "/export/png", "/api/scan"):
        answer = seen.page.request.get(seen.url + path, params={"scan": name})
        assert answer.status in (204, 400, 403, 404, 422), (path, answer.status)
        assert b"PNG" not in answer.body() and b"RIFF" not in answer.body() and b"\xff\xd8" not in answer.body()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def test_a_server_that_is_killed_is_told_and_comes_back(chromium, folder):
    port = free_port()
    command = [sys.executable, str(SERVER), "--orphan", "--port", str(port)]
    server = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        with (
            Workspace(folder, server=f"127.0.0.1:{port}", options=options()) as workspace,
            watched(chromium, workspace) as seen,
        ):
            seen.open()
            seen.until("inspect.state.server && inspect.state.server.ready", 40)
            server.kill()
            server.wait()
            banner = seen.page.locator(".banner")
            banner.wait_for(timeout=30_000)
            assert "server" in banner.inner_text()
            seen.choose_scan("door left.png")
            server = subprocess.Popen(command, stderr=subprocess.DEVNULL)
            banner.wait_for(state="detached", timeout=40_000)
            inspect(seen, "bay 2/hood.png")
            seen.check()
    finally:
        server.kill()
        server.wait()


def test_when_the_page_loses_its_own_process_decisions_wait_and_are_saved_later(chromium):
    scan = rendered(7, width=300, height=220)
    scan.state = "inspected"
    workspace = FakeWorkspace({"door.jpg": scan})
    app = make_app(workspace)
    page = chromium.new_page()
    port = free_port()
    with serving(app, port=port) as url:
        seen = Watched(page, url)
        seen.watch()
        seen.open("door.jpg")
    seen.page.locator(".banner.bad").wait_for()
    seen.page.keyboard.press("ArrowDown")
    seen.page.keyboard.press("a")
    seen.until("document.getElementById('saved').textContent.includes('waiting')")
    with serving(app, port=port):
        seen.page.locator(".banner").wait_for(state="detached")
        seen.saved()
        assert [verdict.verdict for verdict in workspace.review("door.jpg").decisions] == ["accepted"]
    page.close()
    seen.check(forgive="ERR_CONNECTION_REFUSED|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET")
