"""``surfacedefect train``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from surfacedefect.errors import OptionError


def train(
    data: Annotated[Path, typer.Option(help="COCO file of the pictures to learn from.")],
    images: Annotated[Path, typer.Option(help="Folder of those pictures.")],
    out: Annotated[Path, typer.Option(help="The .onnx file to write; its card goes beside it.")],
    valid_data: Annotated[
        Path | None, typer.Option(help="COCO file of other pictures, to choose the default thresholds by.")
    ] = None,
    valid_images: Annotated[Path | None, typer.Option(help="Folder of those pictures.")] = None,
    kinds: Annotated[str, typer.Option(help="Damage kinds, as the COCO categories call them.")] = "scratch,dent",
    steps: Annotated[int | None, typer.Option(help="Optimizer steps.", show_default="the recipe's")] = None,
    batch: Annotated[int | None, typer.Option(help="Crops a step.", show_default="the recipe's")] = None,
    crop: Annotated[int | None, typer.Option(help="Side of a crop in px.", show_default="the recipe's")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of every sample.", show_default="the recipe's")] = None,
    run_dir: Annotated[
        Path | None,
        typer.Option(help="Folder of the checkpoint; the same folder goes on.", show_default="beside --out"),
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(help="The last.pt of an earlier run, to begin with its weights.", show_default="ImageNet"),
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes that prepare samples.")] = 1,
) -> None:
    """Train a U-Net on your own annotated pictures; interrupted, it goes on where it stopped."""
    from surfacedefect.cli import _options
    from surfacedefect.cli._show import steps_bar
    from surfacedefect.training.config import TrainingConfig
    from surfacedefect.training.recipe import AnnotatedFolder, best_points, train_model

    if (valid_data is None) != (valid_images is None):
        raise OptionError("only one of --valid-data and --valid-images is given; expected both or neither")
    validation = AnnotatedFolder(valid_data, valid_images) if valid_data and valid_images else None
    given: dict[str, Any] = {"steps": steps, "batch": batch, "crop_px": crop, "seed": seed}
    config = TrainingConfig(kinds=_options.split(kinds) or ())
    config = replace(config, **{name: value for name, value in given.items() if value is not None})
    with steps_bar() as told:
        card = train_model(
            AnnotatedFolder(data, images),
            out,
            config=config,
            validation=validation,
            run_dir=run_dir,
            start=start,
            workers=workers,
            progress=told,
        )
    typer.echo(f"{out}\n{out.with_suffix('.json')}")
    for point in best_points(card.operating_points, card.kinds):
        typer.echo(
            f"  {point.kind}: threshold {point.threshold}, {point.regions_found:.0%} of the regions found, "
            f"{point.false_alarms_per_scan:.1f} false alarms a picture"
        )
