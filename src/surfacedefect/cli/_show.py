"""What people see: tables on a terminal, plain aligned text in a pipe, sizes and durations in words."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import typer

Row = Sequence[str]


def table(head: Row, rows: Sequence[Row], *, left: int = 1) -> None:
    """Print a table to stdout; the first `left` columns are words, the others numbers.

    On a terminal it is drawn; in a pipe every row is one line whose columns are two or more spaces apart.
    """
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table

        drawn = Table(header_style="bold")
        for at, name in enumerate(head):
            drawn.add_column(name, justify="left" if at < left else "right", overflow="fold")
        for row in rows:
            drawn.add_row(*row)
        Console(highlight=False, markup=False).print(drawn)
        return
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        padded = enumerate(zip(row, widths, strict=True))
        cells = [cell.ljust(width) if at < left else cell.rjust(width) for at, (cell, width) in padded]
        typer.echo("  " + "  ".join(cells).rstrip())


@contextmanager
def steps_bar() -> Iterator[Callable[[int, int, str], None]]:
    """Show the steps of a training with a line of figures: a bar on a terminal, a line every 5 % in a pipe."""
    if not sys.stderr.isatty():
        yield _print_step
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total, figures: bar.update(task, completed=done, total=total, description=figures)


def _print_step(done: int, total: int, figures: str) -> None:
    if 20 * done // total > 20 * (done - 1) // total:
        typer.echo(f"step {done} of {total}: {figures}", err=True)


def duration(seconds: float) -> str:
    """Say a duration in the unit that suits it.

    Examples
    --------
    >>> duration(0.234), duration(75), duration(7300)
    ('0.2 s', '1 min 15 s', '2 h 01 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def size(count: int) -> str:
    """Say a number of bytes in MiB or GiB.

    Examples
    --------
    >>> size(300 * 2**20), size(3 * 2**30)
    ('300 MiB', '3.0 GiB')
    """
    return f"{count / 2**20:.0f} MiB" if count < 2**30 else f"{count / 2**30:.1f} GiB"
