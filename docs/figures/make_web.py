"""Make the pictures of the page in ``docs/images/``: a folder of rendered scans, inspected by the shipped weights.

    python docs/figures/make_web.py

Needs Chromium. The scans are the same each time; what is seen of the page is what it is now.
"""

from __future__ import annotations

import dataclasses
import io
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

from surfacedefect.synthetic import preset, render_scan
from surfacedefect.web import Decision, WebOptions, Workspace
from surfacedefect.web.app import make_app
from surfacedefect.web.serve import serving

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "docs" / "images"
SCANS = {"rear door, left.jpg": 21, "bonnet.jpg": 22, "wing, right.jpg": 1_000_000_003, "bay 2/sill.jpg": 5}
FIRST = "rear door, left.jpg"
SIZES = {1440: (1440, 900), 768: (768, 1024), 360: (360, 740)}


def main() -> None:
    """Render, inspect, decide a little, and take the pictures."""
    sys.path.insert(0, str(ROOT / "tests"))
    from web_browser import ARGUMENTS, executable

    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name) / "returns, 22 November"
        render(folder)
        browser = playwright.chromium.launch(executable_path=executable(), args=ARGUMENTS)
        with Workspace(folder, options=WebOptions(mm_per_px=0.1, who="ann")) as workspace:
            inspect(workspace)
            with serving(make_app(workspace, folder="returns/2026-11-22")) as url:
                for width in SIZES:
                    for theme in ("light", "dark"):
                        take(browser, url, width, theme)


def render(folder: Path) -> None:
    """Write the scans, one of which is broken."""
    config = dataclasses.replace(preset("rental"), width=1600, height=1200)
    for name, seed in SCANS.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(render_scan(seed, config).image).save(path, quality=92)
    (folder / "roof.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut off")


def inspect(workspace: Workspace) -> None:
    """Inspect two scans and decide on some of what was found."""
    for name in list(SCANS)[:2]:
        workspace.run(name)
        while workspace.progress(name) is not None:
            time.sleep(0.5)
        for outline, action in zip(workspace.found(name), ("accept", "reject"), strict=False):
            workspace.decide(name, Decision(outline.id, action), version=workspace.review(name).version)
    workspace.set_reviewed("bonnet.jpg", True, version=workspace.review("bonnet.jpg").version)


def take(browser: Any, url: str, width: int, theme: str) -> None:
    """Take the pictures of one width: the whole page, and on small screens its other views."""
    size = dict(zip(("width", "height"), SIZES[width], strict=True))
    page = browser.new_context(viewport=size, color_scheme=theme, has_touch=width < 1000).new_page()
    page.goto(f"{url}/#{FIRST}")
    page.wait_for_selector("#defects tbody tr", state="attached")
    page.wait_for_timeout(1500)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.wait_for_timeout(1200)
    views = ("picture",) if width > 1000 else ("scans", "picture", "defects")
    shots = []
    for view in views:
        if width < 1000:
            page.click(f"[data-tab={view}]")
            page.wait_for_timeout(600)
        shots.append(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))
    save(shots, IMAGES / f"web-{width}-{theme}.jpg")
    if width > 1000 and theme == "light":
        page.keyboard.press("s")
        page.wait_for_timeout(900)
        page.keyboard.press("f")
        page.wait_for_timeout(900)
        save([Image.open(io.BytesIO(page.screenshot())).convert("RGB")], IMAGES / "web-beside.jpg")


def save(shots: list[Image.Image], path: Path) -> None:
    """Put pictures side by side, small enough for a repository."""
    gap = 12
    whole = Image.new("RGB", (sum(shot.width + gap for shot in shots) - gap, shots[0].height), "#8a9199")
    left = 0
    for shot in shots:
        whole.paste(shot, (left, 0))
        left += shot.width + gap
    whole.save(path, quality=82, optimize=True)
    print(path.relative_to(ROOT), path.stat().st_size)


if __name__ == "__main__":
    main()
