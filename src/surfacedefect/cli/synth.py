"""``surfacedefect synth``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from surfacedefect._words import counted


def synth(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to write; the same arguments go on in it.")],
    count: Annotated[int, typer.Option(help="Number of scans.")],
    seed: Annotated[int, typer.Option(help="Seed of the first scan; the others follow.")] = 0,
    preset: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="What they show: rental, deflectometry, hail or clean; bench-v1 or bench-v1-fringe for judging.",
        ),
    ] = "rental",
    width: Annotated[int | None, typer.Option(help="Width in px.", show_default="the preset's, 4096")] = None,
    height: Annotated[int | None, typer.Option(help="Height in px.", show_default="the preset's, 3000")] = None,
    file_format: Annotated[
        str, typer.Option("--format", metavar="NAME", help="Format of the outlines: coco.")
    ] = "coco",
    workers: Annotated[int | None, typer.Option(help="Processes.", show_default="one a core")] = None,
) -> None:
    """Render scans with exact truth; interrupted, it goes on where it stopped."""
    import json
    import time

    from surfacedefect.cli import _show
    from surfacedefect.synthetic.dataset import write_dataset

    started = time.perf_counter()
    size = {name: value for name, value in (("width", width), ("height", height)) if value is not None}
    manifest = write_dataset(
        out,
        count=count,
        seed=seed,
        preset=preset,
        size=size or None,
        format=file_format,
        workers=workers,
        progress=True,
    )
    images = json.loads(manifest.read_text(encoding="utf-8"))["images"]
    kinds = ", ".join(f"{sum(image['regions'][kind] for image in images)} {kind}" for kind in images[0]["regions"])
    first, last = images[0]["seed"], images[-1]["seed"]
    seeds = f"seed {first}" if first == last else f"seeds {first} to {last}"
    typer.echo(
        f"{counted(len(images), 'scan')}, {seeds}, in {_show.duration(time.perf_counter() - started)}; regions: {kinds}"
    )
    for name in ("images", "masks", "annotations.json", manifest.name):
        typer.echo(f"  {out / name}")
