"""Workspaces on a fake server, and a browser, for the tests of the web page."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("kserve", reason="needs the extra [serve]")
pytest.importorskip("filelock", reason="needs the extra [web]")
pytest.importorskip("dash_leaflet", reason="needs the extra [web]")

from web_browser import ARGUMENTS, executable
from web_runs import inspect, options, panel, save

from surfacedefect.web import Workspace

NAME = "door.png"


@pytest.fixture(scope="session")
def inspected(tmp_path_factory) -> Iterator[tuple[Workspace, Path]]:
    """A workspace with one inspected scan; tests do not decide on it."""
    folder = tmp_path_factory.mktemp("scans")
    save(folder / NAME, panel())
    with Workspace(folder, options=options(mm_per_px=0.1)) as workspace:
        inspect(workspace, NAME)
        yield workspace, folder


@pytest.fixture
def own(inspected, tmp_path: Path) -> Iterator[Workspace]:
    """A copy of that folder, to decide on, with the same server."""
    folder = tmp_path / "scans"
    shutil.copytree(inspected[1], folder)
    line = inspected[0]._line.embedded
    with Workspace(folder, server=line.address, token=line.token, options=options(mm_per_px=0.1)) as workspace:
        yield workspace


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """One browser for a file of tests; no longer, because Playwright keeps an event loop that other tests want."""
    driver = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    found = executable()
    if found is None:
        pytest.skip("there is no Chromium; on Debian: apt-get install chromium")
    with driver.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield browser
        browser.close()
