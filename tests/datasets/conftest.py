"""What every test of data sets uses."""

from __future__ import annotations

from pathlib import Path

import pytest
from ingest_runs import Write


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file into the folder ``share``."""

    def put(name: str, content: bytes) -> Path:
        path = tmp_path / "share" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    return put
