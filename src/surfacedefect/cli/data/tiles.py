"""``surfacedefect data tiles``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from surfacedefect._words import counted
from surfacedefect.cli._options import split as names_of

_MOST_LINES = 20


def tiles(
    source: Annotated[
        Path, typer.Argument(metavar="IN", help="Folder of a data set, or annotations: a file, or a folder of files.")
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to make; new or empty.")],
    annotations: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH",
            help="Annotations of a data set: a file or folder, or a path in a source. May be given many times.",
        ),
    ] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of the pictures of an annotation file.")] = None,
    size: Annotated[int | None, typer.Option(help="Side of a tile in px.", show_default="300")] = None,
    damaged_px: Annotated[
        int | None,
        typer.Option(help="Damaged px that make a tile damaged; with fewer it is left out.", show_default="64"),
    ] = None,
    valid_share: Annotated[
        float | None, typer.Option(help="A tile with less that can be judged is left out.", show_default="0.5")
    ] = None,
    kinds: Annotated[
        str | None, typer.Option(help="Kinds that are damage, others are ignored.", show_default="all")
    ] = None,
    max_pixels: Annotated[
        int | None, typer.Option(help="Most px of a picture that must be decoded whole.", show_default="250 million")
    ] = None,
) -> None:
    """Cut annotated pictures into labelled tiles."""
    from surfacedefect.cli import _show
    from surfacedefect.cli.data._bar import progress_bar
    from surfacedefect.datasets import TileOptions, write_tiles

    given: dict[str, Any] = {
        "size_px": size,
        "damaged_px": damaged_px,
        "valid_share": valid_share,
        "kinds": names_of(kinds),
        "max_pixels": max_pixels,
    }
    options = TileOptions(**{key: value for key, value in given.items() if value is not None})
    with progress_bar() as told:
        report = write_tiles(
            source, out, annotations=annotations or None, images=images, options=options, progress=told
        )
    for issue in report.issues[:_MOST_LINES]:
        typer.echo(str(issue), err=True)
    if len(report.issues) > _MOST_LINES:
        typer.echo(f"... and {len(report.issues) - _MOST_LINES:,} more", err=True)
    rows = [(name, f"{of['damaged']:,}", f"{of['clean']:,}") for name, of in report.counts.items()]
    _show.table(("split", "damaged", "clean"), rows)
    left = ", ".join(f"{number:,} with {what}" for what, number in report.left_out.items())
    typer.echo(f"{counted(report.pictures, 'picture')}; left out: {left}")
    if report.not_annotated:
        typer.echo(f"{counted(report.not_annotated, 'picture')} not annotated, and not cut")
    for name, of in report.counts.items():
        for label, number in of.items():
            if not number:
                typer.echo(f"warning: {name} has no {label} tile", err=True)
    typer.echo(f"  {report.out}")
