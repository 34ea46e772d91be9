"""``surfacedefect data check``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from surfacedefect._words import counted

SOME_UNREADABLE = 1
_MOST_GROUPS, _MOST_MEMBERS, _MOST_UNREADABLE = 20, 4, 50


def check(
    dest: Annotated[Path, typer.Argument(metavar="DEST", help="Folder of the data set.")],
    workers: Annotated[int | None, typer.Option(help="Processes.", show_default="one a core")] = None,
) -> None:
    """Flag blank, badly exposed and blurred pictures; gather near duplicates into groups."""
    from surfacedefect.cli import _show
    from surfacedefect.cli.data._bar import progress_bar
    from surfacedefect.datasets import FLAGS
    from surfacedefect.datasets import check as run

    with progress_bar() as told:
        report = run(dest, workers=workers, progress=told)
    typer.echo(
        f"{counted(report.pictures, 'picture')}, {report.looked_at:,} looked at and {counted(report.compared, 'pair')} "
        f"compared in {_show.duration(report.seconds)}"
    )
    flagged = [(flag, meaning, f"{report.flags[flag]:,}") for flag, meaning in FLAGS.items() if flag in report.flags]
    if flagged:
        _show.table(("flag", "what it is", "pictures"), flagged, left=2)
    else:
        typer.echo("no picture is flagged")
    members = sum(len(group) for group in report.groups)
    typer.echo(f"{counted(len(report.groups), 'group')} of near duplicates with {counted(members, 'picture')}")
    for group in report.groups[:_MOST_GROUPS]:
        more = f" and {len(group) - _MOST_MEMBERS:,} more" if len(group) > _MOST_MEMBERS else ""
        typer.echo("  " + ", ".join(repr(path) for path in group[:_MOST_MEMBERS]) + more)
    if len(report.groups) > _MOST_GROUPS:
        typer.echo(f"  and {len(report.groups) - _MOST_GROUPS:,} more: column near_duplicate_group of the manifest")
    typer.echo(f"version {report.version}")
    for path, reason in report.unreadable[:_MOST_UNREADABLE]:
        typer.echo(f"not looked at: {path!r}: {reason}", err=True)
    if report.unreadable:
        typer.echo(
            f"{counted(len(report.unreadable), 'picture')} could not be read; 'surfacedefect data verify {dest}' says "
            "what happened",
            err=True,
        )
        raise typer.Exit(SOME_UNREADABLE)
