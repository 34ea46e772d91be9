"""``surfacedefect data verify``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from surfacedefect._words import counted

SOMETHING_CHANGED = 1


def verify(dest: Annotated[Path, typer.Argument(metavar="DEST", help="Folder of the data set.")]) -> None:
    """Hash every file again and name what is no longer what the manifest says."""
    from surfacedefect.cli.data._bar import progress_bar
    from surfacedefect.datasets import verify as run

    with progress_bar() as told:
        report = run(dest, progress=told)
    for change in report.changes:
        typer.echo(
            f"{change.what}: {change.source_path!r}, objects/{change.hash[:2]}/{change.hash[2:]}: {change.found}"
        )
    typer.echo(
        f"{counted(report.objects, 'object')}, {report.size_bytes / 1e6:,.1f} MB hashed, "
        f"{len(report.changes):,} changed"
        + (f"; {counted(len(report.unlisted), 'object')} in no row of the manifest" if report.unlisted else "")
    )
    typer.echo(f"version {report.version}")
    if report.changes:
        typer.echo("to mend: remove the changed files and ingest again, or bring them back from a copy", err=True)
        raise typer.Exit(SOMETHING_CHANGED)
