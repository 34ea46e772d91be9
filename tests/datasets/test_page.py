"""The page on data sets: its example runs, its tables are complete."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from messy_share import jpeg

from surfacedefect.datasets import STATES
from surfacedefect.datasets.manifest import schema

PAGE = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")


def test_the_example_runs_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    share = tmp_path / "share"
    share.mkdir()
    for name, content in (("a", jpeg(1)), ("b", jpeg(2)), ("copy", jpeg(1)), ("cut", jpeg(3)[:900])):
        (share / f"{name}.jpg").write_bytes(content)
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(code, {})
    assert capsys.readouterr().out.startswith("{'good': 2, 'duplicate': 1, 'truncated': 1}\n")


def test_every_state_and_column_is_told() -> None:
    assert not [name for name in (*STATES, *schema().names) if f"`{name}`" not in PAGE]
