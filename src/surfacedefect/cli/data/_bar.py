"""How far the work has come: a bar with rate and time left on a terminal, a line every 5 % in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from surfacedefect._words import counted

if TYPE_CHECKING:
    from surfacedefect.datasets import Progress


@contextmanager
def progress_bar() -> Iterator[Callable[[Progress], None]]:
    """Show what `ingest` or `verify` tells, while the block runs."""
    if not sys.stderr.isatty():
        yield _Lines().tell
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[files]}", markup=False),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task, phase = bar.add_task("", total=None, files=""), ""

        def tell(now: Progress) -> None:
            nonlocal task, phase
            if now.phase != phase:
                bar.remove_task(task)
                task, phase = bar.add_task(now.phase, total=None, files=""), now.phase
            bar.update(task, completed=now.size_bytes, total=now.of_bytes or None, files=_files(now))

        yield tell


def _files(now: Progress) -> str:
    what = "pair" if now.phase == "comparing" else "file"
    return f"{now.files:,} of {counted(now.of_files, what)}" if now.of_files else counted(now.files, what)


class _Lines:
    """Lines for a log."""

    def __init__(self) -> None:
        self._last = ("", -1)

    def tell(self, now: Progress) -> None:
        step = 20 * now.files // now.of_files if now.of_files else 0
        if (now.phase, step) != self._last:
            self._last = (now.phase, step)
            megabytes = f", {now.size_bytes / 1e6:,.1f} of {now.of_bytes / 1e6:,.1f} MB" if now.of_bytes else ""
            typer.echo(f"{now.phase}: {_files(now)}{megabytes}" if now.files else now.phase, err=True)
