"""How were the shipped weights trained, and what did every run on the way score on validation?

``python benchmarks/train_weights.py RUN`` trains one of `RUNS` in ``runs/RUN``; interrupted, it goes on. Each begins
with the averaged weights of the one it names. ``table`` gathers their histories into results/training.json and .png.
Needs the real pictures (SURFACEDEFECT_REAL_DATA).
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass, replace

import reviewed
from common import REAL_DATA, RESULTS, ROOT, write_result
from torch import nn

from surfacedefect.card import ModelCard
from surfacedefect.training.config import TileConfig, TrainingConfig
from surfacedefect.training.export import export_onnx
from surfacedefect.training.loop import load_average, task_of, train
from surfacedefect.training.recipe import AnnotatedFolder, followed_pictures

FOLDER = ROOT / "runs"
STEPS_USED = {"second": 500, "fourth": 900, "sixth": 930, "seventh": 1150}
"""Runs that were stopped before their end, and at which step."""
FOLLOWED, TILES_FOLLOWED = "ap_scratch/panels", "ap_tile"
PANELS = {
    "ap_scratch": "validation pictures together",
    "ap_scratch/panels": "close-ups of paint",
    "ap_scratch/photos4k": "the 4K photo",
    TILES_FOLLOWED: "tiles of all of these",
}


@dataclass(frozen=True)
class Run:
    """A run: its recipe, the run it begins with, and whether it learns from false alarms of that one."""

    config: TrainingConfig
    start: str | None
    why: str


FIRST = TrainingConfig()
SECOND = replace(
    FIRST, steps=1400, learning_rate=6e-4, encoder_learning_rate=3e-4, scale_range=(0.35, 3.0), synthetic_share=0.35,
    painted_share=0.35, warmup_steps=40, seed=2,
)  # fmt: skip
THIRD = replace(
    SECOND, steps=220, learning_rate=5e-4, encoder_learning_rate=2.5e-4, warmup_steps=30, synthetic_share=0.3,
    clean_share=0.2, lookalike_share=0.25, seed=3, validate_every=110, checkpoint_every=50,
)  # fmt: skip
FOURTH = replace(
    THIRD, steps=2200, warmup_steps=40, hard_negative_share=0.25, lookalike_share=0.2, ema_decay=0.997, seed=4,
    origin_shares={"panels": 0.6, "claims": 0.15, "street": 0.25}, validate_every=200, checkpoint_every=100,
)  # fmt: skip
FIFTH = replace(FOURTH, steps=900, learning_rate=4e-4, encoder_learning_rate=2e-4, mirrored_share=0.3, seed=5)
SEVENTH = replace(FIFTH, steps=2000, seed=9)
SIXTH = replace(FIFTH, steps=1300, clean_share=0.35, jumble_share=0.4, mirrored_share=0.35, seed=8)

TILES = TileConfig(
    steps=160, batch=16, learning_rate=1e-3, encoder_learning_rate=3e-4, warmup_steps=30, ema_decay=0.98, seed=6,
    scale_range=FIFTH.scale_range, origin_shares=FIFTH.origin_shares, painted_share=FIFTH.painted_share,
    synthetic_share=FIFTH.synthetic_share, hard_negative_share=FIFTH.hard_negative_share,
    lookalike_share=FIFTH.lookalike_share, mirrored_share=FIFTH.mirrored_share, validate_every=80, checkpoint_every=40,
)  # fmt: skip
LONG_TILES = replace(
    TILES, steps=700, ema_decay=0.995, seed=7, validate_every=100, checkpoint_every=50,
    jumble_share=SIXTH.jumble_share, mirrored_share=SIXTH.mirrored_share,
)  # fmt: skip

RUNS = {
    "first": Run(FIRST, None, "from ImageNet: the first weights that shipped"),
    "second": Run(SECOND, "first", "new renderer, more scales; stopped at step 500"),
    "loss-bce-dice": Run(THIRD, "second", "three losses on equal terms"),
    "loss-focal-tversky": Run(replace(THIRD, loss="focal-tversky"), "second", "three losses on equal terms"),
    "loss-centre-line-dice": Run(replace(THIRD, loss="centre-line-dice"), "second", "three losses on equal terms"),
    "fourth": Run(FOURTH, "loss-bce-dice", "false alarms judged by eye: clean ones seen often, doubt ignored"),
    "fifth": Run(FIFTH, "fourth", "paint that mirrors pieces of other pictures; the fourth was stopped at step 900"),
    "sixth": Run(SIXTH, "fifth", "not shipped: much of the rendered paint mirrors random shapes, a third is undamaged"),
    "seventh": Run(SEVENTH, "fifth", "not shipped: goes on as the fifth did; worse on close-ups, stopped"),
    "tiles-imagenet": Run(TILES, None, "the tile classifier, from ImageNet"),
    "tiles-u-net": Run(TILES, "fifth", "the tile classifier, from the encoder of the U-Net"),
    "tiles": Run(LONG_TILES, "tiles-u-net", "goes on; much of the rendered paint mirrors random shapes"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", choices=[*RUNS, "table"])
    name = parser.parse_args().run
    if name == "table":
        write_table()
        return
    if not REAL_DATA.is_dir():
        sys.exit(f"skipped: no real pictures at '{REAL_DATA}'; set SURFACEDEFECT_REAL_DATA")
    train_run(name)


def train_run(name: str) -> None:
    run = RUNS[name]
    hard = run.config.hard_negative_share > 0
    pictures = (_reviewed() if hard else folder("train")).read(run.config)
    number = {picture.name: index for index, picture in enumerate(pictures)}
    result = train(
        pictures,
        FOLDER / name,
        config=run.config,
        validation=followed_pictures(folder("valid").read(run.config)),
        negatives=[(number[picture], x, y) for picture, x, y in reviewed.places("clean")] if hard else (),
        start=None if run.start is None else FOLDER / run.start / "last.pt",
        progress=_told,
    )
    print(result.history[-1])


def _reviewed() -> AnnotatedFolder:
    """Return the training pictures with what was judged by eye; its outlines are made once, by the second run."""
    annotations = FOLDER / "reviewed.json"
    given = folder("train")
    if not annotations.is_file():
        model = FOLDER / "second" / "outlines.onnx"
        export_onnx(
            average("second"), model, card=ModelCard(name="second", kinds=SECOND.kinds, window_px=256, overlap_px=64)
        )
        reviewed.annotate(model, given.annotations, given.images, annotations)
    return AnnotatedFolder(annotations, given.images)


def average(name: str) -> nn.Module:
    """Return the network of a run with its averaged weights."""
    config = RUNS[name].config
    network = task_of(config).build(config, start=False)
    load_average(network, FOLDER / name / "last.pt")
    return network.eval()


def write_table() -> None:
    """Write what each run that was made scored on the followed validation pictures, and draw it."""
    rows = {}
    for name, run in RUNS.items():
        history = FOLDER / name / "history.json"
        if history.is_file():
            rows[name] = {
                "why": run.why,
                "start": run.start,
                "config": _differences(run.config),
                "history": json.loads(history.read_text(encoding="utf-8")),
            }
    write_result("training", {"question": __doc__, "runs": rows})
    for name, row in rows.items():
        last = row["history"][-1]
        figures = {key: round(value, 3) for key, value in last.items() if key.startswith("ap_") and value is not None}
        print(f"{name}: {last['step']} steps, {last['seconds'] / 60:.0f} min, {figures}")
    _draw(rows)


def recipe_chain(name: str) -> dict[str, object]:
    """Return what a card says of a run and of those it began with: recipes, and how each did on validation."""
    runs, step = [], name
    while step is not None:
        history = json.loads((FOLDER / step / "history.json").read_text(encoding="utf-8"))
        runs.insert(0, {"run": step, "recipe": _differences(RUNS[step].config), "history": history})
        step = RUNS[step].start
    return {"runs": runs}


def _differences(config: TrainingConfig) -> dict[str, object]:
    """In what a recipe differs from the default of its kind."""
    usual = asdict(type(config)())
    return {key: value for key, value in asdict(config).items() if value != usual[key]}


def _draw(rows: dict[str, dict]) -> None:
    """Draw the curves over all steps since the start. The first two runs were followed on other pictures: left out."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 4, figsize=(16, 4))
    for axis, (key, title) in zip(axes, PANELS.items(), strict=True):
        for number, (name, row) in enumerate(rows.items()):
            seen = [
                (_before(name, rows, key) + record["step"], record[key])
                for record in row["history"]
                if key in record and (FOLLOWED in record or key == TILES_FOLLOWED)
            ]
            if seen:
                axis.plot(*zip(*seen, strict=True), marker="o", markersize=3, label=name, color=f"C{number % 10}")
        axis.set(
            title=title, xlabel="steps of the tile classifier" if key == TILES_FOLLOWED else "steps since ImageNet"
        )
        axis.set_ylim(0, None)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("average precision of scratch pixels")
    axes[-1].set_ylabel("average precision of tiles")
    for axis in (axes[0], axes[-1]):
        axis.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(RESULTS / "training.png", dpi=90)


def _before(name: str, rows: dict[str, dict], key: str) -> int:
    """Count the steps of the runs that a run builds upon; for the tile classifier those of its own kind."""
    start = rows[name]["start"]
    if start is None or (key == TILES_FOLLOWED and key not in rows[start]["history"][-1]):
        return 0
    return STEPS_USED.get(start, rows[start]["history"][-1]["step"]) + _before(start, rows, key)


def folder(name: str) -> AnnotatedFolder:
    return AnnotatedFolder(REAL_DATA / name / "annotations.json", REAL_DATA / name / "images")


def _told(done: int, steps: int, figures: str) -> None:
    if done % 10 == 0:
        print(done, steps, figures, flush=True)


if __name__ == "__main__":
    main()
