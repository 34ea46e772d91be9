"""``surfacedefect data convert``."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from surfacedefect._words import counted
from surfacedefect.cli._options import split

_SET_ASIDE = 1
_MOST_LINES = 50


def convert(
    source: Annotated[str, typer.Argument(metavar="IN", help="Annotations: a file, or a folder of files.")],
    out: Annotated[str, typer.Argument(metavar="OUT", help="File to write; a folder for labelme, yolo and masks.")],
    to: Annotated[str, typer.Option(metavar="FORMAT", help="coco, labelme, via, cvat, yolo or masks.")],
    given: Annotated[str, typer.Option("--from", metavar="FORMAT", help="Format of IN; auto looks which.")] = "auto",
    images: Annotated[Path | None, typer.Option(help="Folder of the pictures; each is looked for there.")] = None,
    kinds: Annotated[
        str | None,
        typer.Option(help="Kinds to keep, others are set aside; Kratzer=scratch renames.", show_default="all"),
    ] = None,
    line_width: Annotated[float | None, typer.Option(help="Width of drawn lines in px, which have no area.")] = None,
    report: Annotated[Path | None, typer.Option(help="JSON file of all that was mended or set aside.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse what is wrong instead of mending it.")] = False,
) -> None:
    """Turn annotations of one format into another; exit code 1 when something was set aside."""
    from surfacedefect._files import write_json
    from surfacedefect.annotations import (
        AnnotationIssue,
        Dataset,
        not_kept,
        read_annotations,
        read_mended,
        write_annotations,
    )
    from surfacedefect.annotations.issues import issues_json

    if strict and kinds is not None:
        raise typer.BadParameter("--kinds mends, --strict does not; leave one of them out")
    issues: tuple[AnnotationIssue, ...] = ()
    dataset: Dataset
    if strict:
        dataset = read_annotations(source, given, images_dir=images, line_width_px=line_width)
    else:
        mended = read_mended(source, given, kinds=known_kinds(kinds), images_dir=images, line_width_px=line_width)
        dataset, issues = mended.dataset, mended.issues
    lost = not_kept(dataset, format=to)
    write_annotations(dataset, out, format=to)
    if report is not None:
        write_json(report, issues_json(issues))
    for issue in issues[:_MOST_LINES]:
        typer.echo(str(issue), err=True)
    if len(issues) > _MOST_LINES:
        typer.echo(f"... and {len(issues) - _MOST_LINES} more: --report FILE lists all", err=True)
    aside = sum(issue.set_aside for issue in issues)
    of_kind = Counter(region.kind for image in dataset.images for region in image.regions)
    regions = ", ".join(f"{of_kind[kind]} {kind}" for kind in dataset.categories) or "none"
    typer.echo(
        f"{counted(len(dataset.images), 'picture')}; regions: {regions}; "
        f"{len(issues) - aside} mended, {aside} set aside"
    )
    if lost:
        typer.echo(f"{to} cannot hold: {', '.join(lost)}")
    typer.echo(f"  {out}")
    if aside:
        raise typer.Exit(_SET_ASIDE)


def known_kinds(text: str | None) -> dict[str, str] | None:
    """Read ``scratch,dent`` or ``Kratzer=scratch,dent``."""
    if text is None:
        return None
    pairs = (part.partition("=") for part in split(text) or ())
    return {name.strip(): (kind or name).strip() for name, _, kind in pairs}
