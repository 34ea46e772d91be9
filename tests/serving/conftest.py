"""One server with a fake predictor for all tests that do not need their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("kserve", reason="needs the extra [serve]")

from serving_calls import encoded, pixels, predictor

from surfacedefect.serving import ServeOptions, background


@pytest.fixture(scope="session")
def server() -> Iterator[Any]:
    """A server without a token, with small limits."""
    options = ServeOptions(http_port=0, grpc_port=0, max_pixels=1_000_000, max_request_bytes=16 * 2**20, batch=4)
    with background(predictor(), options=options) as running:
        yield running


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A small PNG with some defects."""
    path = tmp_path / "scan.png"
    path.write_bytes(encoded(pixels()))
    return path
