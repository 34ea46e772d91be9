"""``surfacedefect data report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from surfacedefect._words import counted

_MOST_LINES = 10


def report(
    dest: Annotated[Path, typer.Argument(metavar="DEST", help="Folder of the data set.")],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder for the page and its tables.")],
    annotations: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Outlines of damage: a file or folder, or the path of one in a source."),
    ] = None,
    format: Annotated[
        str, typer.Option("--format", metavar="NAME", help="Format of the annotations; auto looks which it is.")
    ] = "auto",
    kinds: Annotated[
        str | None, typer.Option(metavar="A,B=C", help="Kinds to keep; NAME=KIND renames.", show_default="all")
    ] = None,
    title: Annotated[str | None, typer.Option(help="Heading of the page.", show_default="the folder's name")] = None,
) -> None:
    """Write a page on a data set."""
    from surfacedefect._words import visible
    from surfacedefect.cli.data._bar import progress_bar
    from surfacedefect.cli.data.convert import known_kinds
    from surfacedefect.datasets import report as run

    with progress_bar() as told:
        page = run(
            dest, out, annotations=annotations, format=format, kinds=known_kinds(kinds), title=title, progress=told
        )
    annotated = "" if page.annotated is None else f", {page.annotated:,} of them annotated"
    typer.echo(
        f"{counted(page.rows, 'row')}: {counted(page.pictures, 'good picture')}{annotated}; "
        f"{page.set_aside:,} set aside"
    )
    for path, reason in page.failures[:_MOST_LINES]:
        typer.echo(f"no thumbnail of {visible(path)}: {visible(reason)}", err=True)
    if len(page.failures) > _MOST_LINES:
        typer.echo(f"... and {len(page.failures) - _MOST_LINES} more, named on the page", err=True)
    typer.echo(f"{page.path}\nversion {page.version}")
