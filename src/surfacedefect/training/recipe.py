"""From annotated pictures to a model that `detect` takes: read, train, export, choose thresholds, write the card."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from surfacedefect._files import write_text
from surfacedefect.card import ModelCard, OperatingPoint
from surfacedefect.errors import TrainingError, require
from surfacedefect.training.config import TileConfig, TrainingConfig
from surfacedefect.training.pictures import TrainingPicture, read_pictures

if TYPE_CHECKING:
    from torch import nn

    from surfacedefect.evaluation import KindScore

THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(1, 20))
"""Among these the default threshold is chosen."""
FOLLOWED_PICTURES = 30
"""About so many validation pictures are looked at while it trains; the thresholds are chosen on all of them."""
LEAST_AREA_PX = 200.0
"""Smallest defect reported by default: about 1.4 x 1.4 mm where a pixel is 0.1 mm."""
LEAST_PRECISION = 0.25
"""Least share of the reported pixels that must be damaged at the default threshold."""
NEAR_BEST = 0.95
"""Thresholds whose pixel F1 is at least this share of the highest are as good."""


@dataclass(frozen=True, slots=True)
class AnnotatedFolder:
    """A COCO file and the folder of its pictures."""

    annotations: Path
    images: Path

    def read(self, config: TrainingConfig) -> list[TrainingPicture]:
        """Read the pictures into memory; see `read_pictures`."""
        return read_pictures(self.annotations, self.images, kinds=config.kinds, loose_origins=config.loose_origins)


def train_model(
    data: AnnotatedFolder,
    out: Path,
    *,
    config: TrainingConfig,
    validation: AnnotatedFolder | None = None,
    run_dir: Path | None = None,
    start: Path | None = None,
    workers: int = 1,
    progress: Callable[[int, int, str], None] | None = None,
) -> ModelCard:
    """Train a model on annotated pictures and write it as ONNX with its card.

    Parameters
    ----------
    data
        Pictures to learn from.
    out
        The ``.onnx`` file to write; its card goes beside it.
    config
        The recipe: a `TileConfig` makes a tile classifier, any other a U-Net.
    validation
        Other pictures, never those of `data`, to follow the training and to choose the default thresholds by; without
        them the thresholds are 0.5 and the card has no operating points.
    run_dir
        Folder of the checkpoint; a second call with the same folder goes on from it. None: beside `out`.
    start
        Checkpoint (``last.pt``) of an earlier run whose averaged weights this one begins with.
    workers
        Processes that prepare samples.
    progress
        Told after every step: done, in all, a line of figures.

    Returns
    -------
    ModelCard
        The card that was written.

    Raises
    ------
    TrainingError
        The pictures or the recipe cannot be used.
    AnnotationError, ScanError
        An annotation file or a picture cannot be read.
    """
    from surfacedefect.training.export import export_onnx
    from surfacedefect.training.loop import train

    if out.suffix != ".onnx":
        raise TrainingError(f"the model would be written to '{out}'; expected a name that ends in .onnx")
    require("segmentation_models_pytorch", extra="train")
    run_dir = run_dir or out.with_name(f"{out.stem}-run")
    pictures = data.read(config)
    followed = validation.read(config) if validation else []
    followed = followed[:: max(1, len(followed) // FOLLOWED_PICTURES)]
    result = train(
        pictures, run_dir, config=config, validation=followed, start=start, workers=workers, progress=progress
    )
    recipe = json.loads(json.dumps(asdict(config)))
    training = {"recipe": recipe, "pictures": _counted(pictures), "history": result.history}
    if isinstance(config, TileConfig):
        return _finished_tiles(result.network, out, config=config, training=training, validation=validation)
    card = ModelCard(
        name=out.stem,
        kinds=config.kinds,
        least_area_px=LEAST_AREA_PX,
        summary="U-Net on EfficientNet-Lite0; probabilities are not calibrated",
        training=training,
    )
    card = export_onnx(result.network, out, card=card)
    if validation is None:
        return card
    points = operating_points(out, validation)
    chosen = best_points(points, card.kinds)
    card = replace(card, thresholds={point.kind: point.threshold for point in chosen}, operating_points=points)
    write_text(out.with_suffix(".json"), card.to_json())
    return card


def _finished_tiles(
    network: nn.Module,
    out: Path,
    *,
    config: TileConfig,
    training: dict[str, Any],
    validation: AnnotatedFolder | None,
) -> ModelCard:
    """Export a tile classifier and choose its threshold by the tiles of the validation pictures."""
    from surfacedefect.baselines import tile_card
    from surfacedefect.training.export import export_onnx
    from surfacedefect.training.tile_model import best_tile_threshold, spread_over_tile, tile_figures

    summary = "classifier of 300 px tiles on EfficientNet-Lite0; probabilities are of half damaged, half clean tiles"
    card = tile_card(out.stem, summary=summary, training=training)
    card = export_onnx(spread_over_tile(network), out, card=card)
    if validation is None:
        return card
    (kind,) = card.kinds
    score = _scores(out, validation, kinds=config.kinds)[kind]
    threshold = best_tile_threshold(score.tiles, THRESHOLDS)
    card = replace(
        card,
        thresholds={} if threshold is None else {kind: threshold},
        operating_points=tuple(_points(kind, score, _named(validation))),
        training={**training, "tiles": tile_figures(score.tiles, threshold or card.threshold(kind))},
    )
    write_text(out.with_suffix(".json"), card.to_json())
    return card


def operating_points(weights: Path, validation: AnnotatedFolder) -> tuple[OperatingPoint, ...]:
    """Measure a model at every threshold of `THRESHOLDS` on annotated pictures, whole and by the scoring protocol."""
    scores = _scores(weights, validation)
    return tuple(point for kind in scores for point in _points(kind, scores[kind], _named(validation)))


def _scores(
    weights: Path, validation: AnnotatedFolder, *, kinds: tuple[str, ...] | None = None
) -> dict[str, KindScore]:
    """Score a model on annotated pictures; `kinds` are those of the annotations, None for the model's."""
    from surfacedefect.annotations import read_coco
    from surfacedefect.detector import Detector
    from surfacedefect.evaluation import score_scan, truth_of

    detector = Detector(weights)
    predicted = detector.predictor.card.kinds
    total: dict[str, KindScore] = {}
    for record in read_coco(validation.annotations).images:
        found = detector.probability_map(validation.images / record.file_name)
        maps = {kind: found.read(kind) for kind in predicted}
        truth = truth_of(record, kinds=kinds or predicted)
        score = score_scan(maps, truth, threshold=0.5, froc_thresholds=THRESHOLDS)
        total = {kind: total[kind] + score.kinds[kind] if kind in total else score.kinds[kind] for kind in predicted}
    return total


def _named(validation: AnnotatedFolder) -> str:
    return f"{validation.annotations.parent.name}/{validation.annotations.name}"


def best_points(points: tuple[OperatingPoint, ...], kinds: tuple[str, ...]) -> list[OperatingPoint]:
    """Return for each kind the point to use by default; a kind that was never found has none.

    Pixel F1 is flat around its highest value while false alarms are not: so of the points within 5 % of it the highest
    threshold is taken. Points at which under a quarter of the reported pixels are damaged are left out.
    """
    best = []
    for kind in kinds:
        known = [point for point in points if point.kind == kind and _pixel_f1(point) > 0]
        usable = [point for point in known if point.pixel_precision >= LEAST_PRECISION] or known
        if usable:
            highest = max(map(_pixel_f1, usable))
            near = [point for point in usable if _pixel_f1(point) >= NEAR_BEST * highest]
            best.append(max(near, key=lambda point: point.threshold))
    return best


def _points(kind: str, score: Any, where: str) -> list[OperatingPoint]:
    objects, pixels = score.objects, score.pixels
    regions, scans = max(objects.regions, 1), max(objects.scans, 1)
    undefined = float("nan")
    return [
        OperatingPoint(
            kind=kind,
            threshold=threshold,
            pixel_recall=pixels.recall(threshold),
            pixel_precision=pixels.precision(threshold),
            regions_found=found / regions if objects.regions else undefined,
            false_alarms_per_scan=alarms / scans,
            data=where,
        )
        for threshold, found, alarms in zip(objects.thresholds, objects.found_at, objects.false_alarms_at, strict=True)
    ]


def _pixel_f1(point: OperatingPoint) -> float:
    recall, precision = point.pixel_recall, point.pixel_precision
    return 2 * recall * precision / (recall + precision) if recall > 0 and precision > 0 else 0.0


def _counted(pictures: list[TrainingPicture]) -> dict[str, int]:
    origins = sorted({picture.origin for picture in pictures})
    return {origin: sum(picture.origin == origin for picture in pictures) for origin in origins}
