"""A real browser for the tests of the page: what it logs and whom it asks is watched all the time."""

from __future__ import annotations

import io
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from surfacedefect.web.app import make_app
from surfacedefect.web.serve import serving

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
NAMES = ("chromium", "chromium-browser", "google-chrome")
SIZES = {1440: (1440, 900), 768: (768, 1024), 360: (360, 740)}


def executable() -> str | None:
    """Where Chromium is; None where there is none."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


@dataclass
class Watched:
    """A page in the browser, with what went wrong on it."""

    page: Any
    url: str
    errors: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)

    def watch(self) -> None:
        self.page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self._ask(request.url))
        self.page.on("dialog", lambda dialog: (self.dialogs.append(dialog.message), dialog.dismiss()))

    def _ask(self, url: str) -> None:
        if not url.startswith((self.url, "data:", "blob:")):
            self.outside.append(url)

    def check(self, *, forgive: str = r"^$") -> None:
        bad = [error for error in self.errors if not re.search(forgive, error)]
        assert bad == [], bad
        assert self.outside == []
        assert self.dialogs == []

    # --- what tests do again and again
    def open(self, name: str | None = None, *, rows: bool = True) -> None:
        self.page.goto(self.url)
        self.page.wait_for_selector(".scan")
        if name is not None:
            self.choose_scan(name, rows=rows)

    def choose_scan(self, name: str, *, rows: bool = True) -> None:
        if self.page.locator("[data-tab=scans]").is_visible():
            self.page.click("[data-tab=scans]")
        self.page.locator(".scan").filter(has=self.page.get_by_text(name, exact=True)).click()
        if rows:
            self.page.wait_for_selector("#defects tbody tr", state="attached")
            self.settle()

    def fresh(self, name: str) -> None:
        """As if the scan were opened for the first time, without the seconds that loading the page takes."""
        if self.page.url == "about:blank":
            self.open()
        self.page.evaluate(
            "(name) => { const s = inspect.state; document.querySelectorAll('dialog[open]').forEach((d) => d.close());"
            " Object.assign(s, { name: null, filter: 'all', sort: { by: 'score', down: true }, opacity: 0.75, "
            "colours: true });"
            " document.getElementById('toasts').replaceChildren(); document.activeElement.blur(); "
            "getSelection().removeAllRanges(); inspect.open(name); }",
            name,
        )
        self.page.wait_for_selector("#defects tbody tr", state="attached")
        self.settle()

    def settle(self) -> None:
        """Wait until colours and outlines are drawn and everything is saved."""
        self.until(
            "(() => { const m = inspect.maps.main; if (!m) return false; let tiles = 0, waiting = 0;"
            " m.eachLayer((l) => { if (l._tiles) Object.values(l._tiles).forEach((t) => { tiles += 1; waiting "
            "+= !t.loaded; }); });"
            " return tiles > 0 && waiting === 0 && !m._animatingZoom; })()"
        )
        self.page.wait_for_timeout(350)  # tiles fade in, outlines are drawn in the next frame

    def until(self, expression: str, seconds: float = 15) -> None:
        """Wait until an expression is true; Playwright's own way is against the page's policy: it compiles text."""
        end = time.monotonic() + seconds
        while not self.page.evaluate(expression):
            assert time.monotonic() < end, f"still not so: {expression}"
            self.page.wait_for_timeout(25)

    def rows(self) -> int:
        return int(self.page.locator("#defects tbody tr").count())

    def state(self, path: str) -> Any:
        return self.page.evaluate(f"inspect.state.{path}")

    def saved(self) -> None:
        self.until("document.getElementById('saved').textContent === 'All saved'")

    def on_screen(self, x: float, y: float) -> tuple[float, float]:
        """Where a scan pixel's corner is on the screen."""
        found = self.page.evaluate(
            "([x, y]) => { const m = inspect.maps.main, p = m.latLngToContainerPoint(inspect.toMap(x, y)),"
            " b = m.getContainer().getBoundingClientRect(); return [b.left + p.x, b.top + p.y]; }",
            [x, y],
        )
        return found[0], found[1]

    def scrolls_sideways(self) -> bool:
        return bool(
            self.page.evaluate(
                "document.documentElement.scrollWidth > innerWidth || document.body.scrollWidth > innerWidth"
            )
        )


@contextmanager
def watched(browser: Any, workspace: Any, *, width: int = 1440, theme: str = "light", **more: Any) -> Iterator[Watched]:
    """Serve a workspace's page and open it; the page is blank yet."""
    with serving(make_app(workspace, folder="/scans", **more)) as url:
        size = dict(zip(("width", "height"), SIZES[width], strict=True))
        context = browser.new_context(viewport=size, color_scheme=theme, has_touch=width < 1000, accept_downloads=True)
        context.set_default_timeout(15_000)
        found = Watched(context.new_page(), url)
        found.watch()
        try:
            yield found
        finally:
            context.close()


def picture(seen: Watched) -> Any:
    return np.asarray(Image.open(io.BytesIO(seen.page.screenshot())).convert("RGB")).astype(int)


def colours_at(seen: Watched, mask: Any, count: int = 40) -> Any:
    """Colours on the screen over scan pixels of a mask, evenly picked."""
    rows, cols = np.nonzero(mask)
    chosen = np.linspace(0, len(rows) - 1, count).astype(int)
    shown = picture(seen)
    places = [seen.on_screen(cols[i] + 0.5, rows[i] + 0.5) for i in chosen]
    return np.array([shown[int(y), int(x)] for x, y in places])


def is_yellow(colours: Any) -> Any:
    red, green, blue = colours.T
    return (red > blue + 60) & (green > blue + 60)
