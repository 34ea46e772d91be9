"""Worker processes: one function over many jobs."""

from __future__ import annotations

from surfacedefect._machine import usable_cores
from surfacedefect._workers import in_processes, reuse_freed_memory


def test_reusing_freed_memory_changes_no_result() -> None:
    from surfacedefect.synthetic import render_window

    before = render_window(3, size=96).image
    reuse_freed_memory()
    assert (render_window(3, size=96).image == before).all()


def test_no_jobs_need_no_process() -> None:
    in_processes(print, [], workers=usable_cores())
