"""The built site: whole, without a request to elsewhere, and fit to be read in a browser, on a telephone too."""

from __future__ import annotations

import functools
import http.server
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# Pages of every sort; all pages are looked at where SURFACEDEFECT_ALL_PAGES is set.
LOOKED_AT = (
    "index",
    "install",
    "results",
    "guides",
    "batch",
    "export",
    "benchmarks",
    "why-not-accuracy",
    "model-card",
    "architecture",
    "reference/index",
    "reference/detecting",
    "reference/evaluation",
    "repository/CHANGELOG",
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("material", reason="needs the extra [docs]")
    folder = tmp_path_factory.mktemp("site")
    paths = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    handler = functools.partial(Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A server that says nothing."""

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"none of {', '.join(BROWSERS)} is there")
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with playwright.sync_playwright() as running:
        opened = running.chromium.launch(executable_path=found, args=arguments)
        yield opened
        opened.close()


def page_names(site: Path) -> list[str]:
    return sorted(
        path.parent.relative_to(site).as_posix() for path in site.rglob("index.html") if path.parent != site
    ) + [""]


def test_there_are_pages_and_nothing_of_the_workshop(site: Path) -> None:
    assert len(page_names(site)) >= 50
    names = {path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file()}
    assert not [name for name in names if name.endswith((".py", ".md"))] and "figures" not in {
        *map(str, site.iterdir())
    }
    assert {"repository/benchmarks/results/quality.png", "notebooks/first-detection.ipynb", "404.html"} <= names


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    for path in [*site.rglob("*.html"), *site.rglob("*.css")]:
        text = path.read_text(encoding="utf-8")
        loaded = re.findall(r"<(?:script|img|link|iframe|source)\b[^>]*?(?:src|href)=\"((?:https?:)?//[^\"]+)\"", text)
        loaded += re.findall(r"(?:@import|url\()\s*[\"']?((?:https?:)?//[^\"')]+)", text)
        assert not loaded, f"{path.relative_to(site)}: {loaded}"


def test_every_public_name_is_on_its_page(site: Path) -> None:
    listed = set(
        re.findall(r"^::: (\S+)", "".join(p.read_text() for p in (ROOT / "docs/reference").glob("*.md")), re.M)
    )
    ids = {
        name
        for path in (site / "reference").rglob("index.html")
        for name in re.findall(r'id="([\w.]+)"', path.read_text(encoding="utf-8"))
    }
    assert not listed - ids


@pytest.mark.parametrize("width", [360, 1440])
def test_pages_are_whole_in_a_browser(site: Path, address: str, browser: Any, width: int) -> None:
    names = page_names(site) if os.environ.get("SURFACEDEFECT_ALL_PAGES") else LOOKED_AT
    faults: list[str] = []
    page = browser.new_context(viewport={"width": width, "height": 800}).new_page()
    seen: list[str] = []
    page.on(
        "console", lambda one: faults.append(f"{page.url}: {one.text}") if one.type in ("error", "warning") else None
    )
    page.on("pageerror", lambda error: faults.append(f"{page.url}: {error}"))
    page.on("request", lambda one: seen.append(one.url))
    page.on("response", lambda one: faults.append(f"{one.url}: {one.status}") if one.status >= 400 else None)
    for name in names:
        page.goto(address + name.removesuffix("index").rstrip("/") + ("/" if name not in ("", "index") else ""))
        page.wait_for_load_state("networkidle")
        broken = page.eval_on_selector_all(
            "img", "all => all.filter(i => i.complete && !i.naturalWidth).map(i => i.src)"
        )
        faults += [f"{name}: broken {one}" for one in broken]
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        faults += [f"{name}: {wide} px wider than the screen"] if wide > 0 else []
    assert not faults, "\n".join(faults)
    assert seen and not [one for one in seen if not one.startswith((address, "data:", "blob:"))]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_can_be_read_by_everyone(site: Path, address: str, browser: Any, scheme: str) -> None:
    axe_module = pytest.importorskip("axe_playwright_python.sync_playwright")
    context = browser.new_context(viewport={"width": 1440, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    faults = []
    for name in LOOKED_AT:
        page.goto(address + name.removesuffix("index").rstrip("/") + ("/" if name not in ("", "index") else ""))
        page.wait_for_load_state("networkidle")
        wanted = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}}
        for fault in axe_module.Axe().run(page, options=wanted).response["violations"]:
            places = [f"{one['html'][:160]} | {one.get('failureSummary', '')[:160]}" for one in fault["nodes"][:2]]
            faults.append(f"{name}: {fault['id']} ({len(fault['nodes'])}): {places}")
    assert not faults, "\n".join(faults)


def test_searching_finds_a_name(address: str, browser: Any) -> None:
    page = browser.new_page()
    page.goto(address)
    page.wait_for_load_state("networkidle")
    page.fill("[data-md-component=search-query]", "ScaleUnknownError")
    page.wait_for_selector(".md-search-result__item")
    assert "ScaleUnknownError" in page.inner_text(".md-search-result__list")
