"""``surfacedefect data split``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from surfacedefect._words import counted

_MOST_LINES = 20
_LAST_TIME = "as the last time, else "


def split(
    dest: Annotated[Path, typer.Argument(metavar="DEST", help="Folder of the data set.")],
    annotations: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH",
            help="Annotations to balance by: a file or folder, or a path in a source. May be given many times.",
        ),
    ] = None,
    shares: Annotated[
        str | None,
        typer.Option(metavar="TRAIN,VALID,TEST", help="Shares of the pictures.", show_default=f"{_LAST_TIME}70,15,15"),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Orders the pictures.", show_default=f"{_LAST_TIME}0")] = None,
    group_pattern: Annotated[
        str | None,
        typer.Option(
            metavar="REGEX",
            help="Finds the car in a source path: '(?P<group>car [0-9]+)/'; '' for none.",
            show_default=f"{_LAST_TIME}none",
        ),
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Forget which split each picture is in.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Report, and write nothing.")] = False,
) -> None:
    """Split a data set; what has a split keeps it."""
    from surfacedefect.cli import _show
    from surfacedefect.datasets import SplitOptions, read_labels
    from surfacedefect.datasets import split as run

    options = SplitOptions(shares=_shares(shares), seed=seed, group_pattern=group_pattern, again=again)
    labels = None if not annotations else read_labels(dest, annotations)
    report = run(dest, options=options, labels=labels, dry_run=dry_run)
    for issue in labels.issues[:_MOST_LINES] if labels else ():
        typer.echo(str(issue), err=True)
    if labels and len(labels.issues) > _MOST_LINES:
        typer.echo(f"... and {len(labels.issues) - _MOST_LINES:,} more", err=True)
    kinds = list(report.splits["train"].of_kind)
    head = ("split", "units", "pictures", "share", "asked", "annotated", "undamaged", *kinds, "damaged px")
    lines = [
        (
            name,
            *(f"{number:,}" for number in (count.units, count.pictures)),
            *(f"{share:.1%}" for share in (count.share, report.shares[name])),
            *(f"{number:,}" for number in (count.annotated, count.undamaged, *count.of_kind.values())),
            f"{count.damaged_share:.3%}" if count.annotated else "-",
        )
        for name, count in report.splits.items()
    ]
    if labels is None:
        head, lines = head[:5], [line[:5] for line in lines]
    _show.table(head, lines, left=1)
    typer.echo(f"{counted(report.new, 'picture')} got a split, {len(report.moved):,} moved")
    for moved in report.moved[:_MOST_LINES]:
        typer.echo(f"moved from {moved.before} to {moved.after}: {moved.source_path!r}")
    if len(report.moved) > _MOST_LINES:
        typer.echo(f"... and {len(report.moved) - _MOST_LINES:,} more")
    for warning in report.warnings:
        typer.echo(f"warning: {warning}", err=True)
    typer.echo("nothing was written" if dry_run else f"version {report.version}")


def _shares(text: str | None) -> tuple[float, float, float] | None:
    if text is None:
        return None
    try:
        train, valid, test = (float(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"--shares is {text!r}; expected three numbers, such as 70,15,15") from None
    return train, valid, test
