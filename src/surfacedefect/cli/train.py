"""``surfacedefect train``."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from surfacedefect.errors import OptionError


class Model(StrEnum):
    """What can be trained."""

    U_NET = "u-net"
    TILE_CLASSIFIER = "tile-classifier"


def train(
    data: Annotated[Path, typer.Option(help="COCO file of the pictures to learn from.")],
    images: Annotated[Path, typer.Option(help="Folder of those pictures.")],
    out: Annotated[Path, typer.Option(help="The .onnx file to write; its card goes beside it.")],
    model: Annotated[
        Model, typer.Option(help="What to train: the U-Net, or the classifier of 300 px tiles to hold it against.")
    ] = Model.U_NET,
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
    loss: Annotated[
        str | None,
        typer.Option(help="bce-dice, focal-tversky or centre-line-dice.", show_default="the recipe's"),
    ] = None,
    negatives: Annotated[
        str | None,
        typer.Option(help="An earlier model: crops around its false alarms on these pictures are seen more often."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(help="Processes that prepare samples.", show_default="one, or for a GPU one a core"),
    ] = None,
) -> None:
    """Train a model on your own annotated pictures; interrupted, it goes on where it stopped."""
    from surfacedefect.cli import _options
    from surfacedefect.cli._show import steps_bar
    from surfacedefect.training.config import TileConfig, TrainingConfig
    from surfacedefect.training.recipe import AnnotatedFolder, train_model

    if (valid_data is None) != (valid_images is None):
        raise OptionError("only one of --valid-data and --valid-images is given; expected both or neither")
    validation = AnnotatedFolder(valid_data, valid_images) if valid_data and valid_images else None
    given: dict[str, Any] = {"steps": steps, "batch": batch, "crop_px": crop, "seed": seed, "loss": loss}
    recipe = TileConfig if model is Model.TILE_CLASSIFIER else TrainingConfig
    config = recipe(kinds=_options.split(kinds) or ())
    config = replace(config, **{name: value for name, value in given.items() if value is not None})
    with steps_bar() as told:
        card = train_model(
            AnnotatedFolder(data, images),
            out,
            config=config,
            validation=validation,
            run_dir=run_dir,
            start=start,
            negatives=negatives,
            workers=workers,
            progress=told,
        )
    typer.echo(f"{out}\n{out.with_suffix('.json')}")
    for point in (point for kind in card.kinds for point in card.measured(kind)):
        typer.echo(f"  {point.kind} from {point.threshold:.3g}: {point}")
