"""The example of the page runs, and prints what the page says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "annotations.md"


def test_the_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(code, str(PAGE), "exec"), names)
    said = re.findall(r"^# (door.*)$", code, flags=re.MULTILINE)
    assert capsys.readouterr().out.splitlines() == [*said, "()"]
    assert names["same"] == names["also"].dataset  # type: ignore[attr-defined]
