"""How quick is the inspector's page: when is it seen, and does a 4096 x 3000 scan with 500 polygons move smoothly?

A scan with 500 dark bars is inspected by a fake model in the server's place (darker means more of a scratch), so that
what is measured is the page. Chromium opens it anew several times, and drags it about with the mouse while the page
counts its frames. Page, its process and the browser share the processor; without a GPU the browser draws on it, too.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from common import ROOT, write_result
from PIL import Image

from surfacedefect.web import WebOptions, Workspace
from surfacedefect.web.app import make_app
from surfacedefect.web.serve import serving

TESTS = ROOT / "tests"
WIDTH, HEIGHT, POLYGONS = 4096, 3000, 500
NAME = "door.jpg"
VIEW = {"width": 1440, "height": 900}
COUNT = """() => {
  window.frames_ = [];
  const tick = (now) => { window.frames_.push(now); if (window.counting_) requestAnimationFrame(tick); };
  window.counting_ = true;
  requestAnimationFrame(tick);
}"""
RENDERER = """() => {
  const made = document.createElement('canvas').getContext('webgl');
  const named = made && made.getExtension('WEBGL_debug_renderer_info');
  return named ? made.getParameter(named.UNMASKED_RENDERER_WEBGL) : null;
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="of opening the page")
    parser.add_argument("--seconds", type=float, default=6, help="of dragging, each way of looking")
    parser.add_argument("--quick", action="store_true", help="two rounds, two seconds; written beside the result")
    given = parser.parse_args()
    rounds, seconds = (2, 2.0) if given.quick else (given.rounds, given.seconds)
    with tempfile.TemporaryDirectory() as folder, inspected(Path(folder)) as workspace, chromium() as browser:
        found = {
            "question": (__doc__ or "").splitlines()[0],
            "chromium": browser.version,
            "dash": version("dash"),
            "dash_leaflet": version("dash-leaflet"),
            "scan": {"width": WIDTH, "height": HEIGHT, "polygons": len(workspace.found(NAME))},
            "view": VIEW,
        } | measured(workspace, browser, rounds, seconds)
    write_result("web-quick" if given.quick else "web", found)


@contextmanager
def inspected(folder: Path) -> Iterator[Workspace]:
    """Inspect the one scan of a folder."""
    Image.fromarray(bars()).save(folder / NAME, quality=90)
    program = (sys.executable, str(TESTS / "web_server.py"))
    with Workspace(folder, options=WebOptions(program=program, who="bench", mm_per_px=0.1)) as workspace:
        workspace.run(NAME)
        while workspace.progress(NAME) is not None:
            time.sleep(0.2)
        if (error := workspace.scan(NAME).error) is not None:
            raise SystemExit(error)
        yield workspace


def bars() -> np.ndarray:
    """Grey paint with 500 dark slanted bars on a grid."""
    generator = np.random.default_rng(0)
    scan = generator.integers(120, 136, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    columns = 25
    for index in range(POLYGONS):
        row, col = divmod(index, columns)
        top, left = 60 + row * (HEIGHT - 120) // (POLYGONS // columns), 60 + col * (WIDTH - 120) // columns
        for step in range(60):
            scan[top + step : top + step + 9, left + step : left + step + 9] = 8
    return scan


@contextmanager
def chromium() -> Iterator[Any]:
    sys.path.insert(0, str(TESTS))
    from playwright.sync_api import sync_playwright
    from web_browser import ARGUMENTS, executable

    path = executable()
    if path is None:
        raise SystemExit("there is no Chromium; on Debian: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


def measured(workspace: Workspace, browser: Any, rounds: int, seconds: float) -> dict[str, Any]:
    with serving(make_app(workspace)) as url:
        opened = [opening(browser, url) for _ in range(rounds)]
        page = browser.new_context(viewport=VIEW).new_page()
        page.goto(f"{url}/#{NAME}")
        wait(page)
        renderer = page.evaluate(RENDERER) or "software: the processor draws, there is no WebGL"
        moves = {}
        for name, keys in {"whole scan": [], "closer": ["+", "+"], "one to one": ["0"]}.items():
            page.keyboard.press("f")
            for key in keys:
                page.keyboard.press(key)
                page.wait_for_timeout(400)
            wait(page)
            moves[name] = dragging(page, seconds)
        threshold = rethresholding(page)
    seen = {key: round(statistics.median(times[key] for times in opened), 3) for key in opened[0]}
    worst = {key: round(max(times[key] for times in opened), 3) for key in opened[0]}
    return {
        "renderer": renderer,
        "rounds": rounds,
        "opening_seconds": seen,
        "opening_seconds_worst": worst,
        "dragging": moves,
        "threshold_seconds": threshold,
    }


def opening(browser: Any, url: str) -> dict[str, float]:
    """Return seconds from asking for the page, with nothing kept from before, to what is seen in turn."""
    context = browser.new_context(viewport=VIEW)
    page = context.new_page()
    started = time.perf_counter()
    page.goto(f"{url}/#{NAME}", wait_until="commit")
    page.wait_for_selector(".scan")
    listed = time.perf_counter() - started
    wait(page)
    scanned = time.perf_counter() - started
    paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime") / 1000
    context.close()
    return {"first_paint": paint, "list": listed, "scan_with_outlines": scanned}


def wait(page: Any) -> None:
    """Wait until tiles and outlines are there."""
    ready = """(outlines) => {
      const map = window.inspect && inspect.maps.main;
      if (!map || (outlines && !inspect.state.outlines.length) || inspect.state.measuring) return false;
      let waiting = 0, all = 0;
      map.eachLayer((layer) => Object.values(layer._tiles || {}).forEach(
        (tile) => { all += 1; waiting += !tile.loaded; }));
      return all > 0 && waiting === 0 && !map._animatingZoom;
    }"""
    while not page.evaluate(ready, True):
        page.wait_for_timeout(10)


def dragging(page: Any, seconds: float) -> dict[str, float]:
    """Drag the scan in circles; frames a second, and what the longest twentieth of them took at least."""
    box = page.locator("#map-main").bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(*middle)
    page.mouse.down()
    page.evaluate(COUNT)
    started, step = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        angle = step / 12
        page.mouse.move(middle[0] + 170 * math.sin(angle), middle[1] + 130 * (1 - math.cos(angle)))
        step += 1
    times = np.diff(page.evaluate("() => { window.counting_ = false; return window.frames_; }"))
    page.mouse.up()
    page.wait_for_timeout(300)
    return {
        "frames_per_second": round(1000 / float(times.mean()), 1),
        "p95_frame_ms": round(float(np.percentile(times, 95)), 1),
        "mouse_events_per_second": round(step / seconds, 1),
    }


def rethresholding(page: Any) -> dict[str, float]:
    """Return seconds from a move of the slider to new colours, and to new outlines; medians of several."""
    times, outlined = [], []
    for value in ("0.75", "0.85", "0.8", "0.9", "0.72"):
        started = time.perf_counter()
        page.evaluate("window.painted_ = false; inspect.on('painted', () => { window.painted_ = true; })")
        page.locator("#threshold").fill(value)
        while not page.evaluate("window.painted_"):
            page.wait_for_timeout(10)
        times.append(time.perf_counter() - started)
        wait(page)
        outlined.append(time.perf_counter() - started)
    return {"colours": round(statistics.median(times), 3), "outlines": round(statistics.median(outlined), 3)}


if __name__ == "__main__":
    main()
