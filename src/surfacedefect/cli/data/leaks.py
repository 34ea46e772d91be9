"""``surfacedefect data leaks``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from surfacedefect._words import counted

LEAKS_FOUND = 1


def leaks(
    dest: Annotated[Path, typer.Argument(metavar="DEST", help="Folder of the data set.")],
    against: Annotated[
        Path | None, typer.Option(metavar="OTHER_DEST", help="Another data set that must share nothing with this one.")
    ] = None,
) -> None:
    """Name what different splits share; exit code 1 when there is anything."""
    from surfacedefect.datasets.leaks import check_leaks, count_unsplit

    found = check_leaks(dest, against=against)
    pictures, without, unseen = count_unsplit(dest)
    for leak in found:
        typer.echo(str(leak))
    typer.echo(f"{counted(len(found), 'leak')} between the splits of {counted(pictures - without, 'picture')}")
    if without:
        typer.echo(
            f"warning: {counted(without, 'picture')} without a split; run 'surfacedefect data split DEST'", err=True
        )
    if unseen:
        typer.echo(
            f"warning: {counted(unseen, 'picture')} not compared for near duplicates; run 'surfacedefect data check "
            "DEST' and split again",
            err=True,
        )
    if found:
        raise typer.Exit(LEAKS_FOUND)
