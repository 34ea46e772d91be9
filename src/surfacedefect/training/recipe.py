"""From annotated pictures to a model that `detect` takes: read, train, export, choose thresholds, write the card."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from surfacedefect._files import check_folder, clearing_new_folders, write_json, write_text
from surfacedefect.card import ModelCard, OperatingPoint
from surfacedefect.errors import TrainingError, require
from surfacedefect.training.config import TileConfig, TrainingConfig
from surfacedefect.training.pictures import TrainingPicture, load_pictures, read_annotated
from surfacedefect.training.sides import check_apart, check_kinds

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

    from surfacedefect.annotations import AnnotatedImage, Dataset
    from surfacedefect.evaluation import ScoreHistogram
    from surfacedefect.predictor import Predictor
    from surfacedefect.training.loop import TrainingResult
    from surfacedefect.training.negatives import FalseAlarm
    from surfacedefect.training.operating import PictureScores

FOLLOWED_PICTURES = 30
"""About so many validation pictures are looked at while it trains; the thresholds are chosen on all of them."""
HARD_NEGATIVE_SHARE = 0.2
"""Share of the photo crops around false alarms of an earlier model, where one is given and the recipe says none."""
LEAST_AREA_PX = 200.0
"""Smallest defect reported by default: about 1.4 x 1.4 mm where a pixel is 0.1 mm."""
UNCALIBRATED, UNCALIBRATED_TILES = "not calibrated", "of half damaged, half clean tiles"
U_NET_SUMMARY = f"U-Net on EfficientNet-Lite0; probabilities are {UNCALIBRATED}"
TILE_SUMMARY = f"classifier of 300 px tiles on EfficientNet-Lite0; probabilities are {UNCALIBRATED_TILES}"


@dataclass(frozen=True, slots=True)
class AnnotatedFolder:
    """A COCO file and the folder of its pictures. The file is read once: a run ends with what it began with."""

    annotations: Path
    images: Path
    _known: dict[tuple[str, ...], Dataset] = field(default_factory=dict, init=False, repr=False, compare=False)

    def annotated(self, kinds: Sequence[str]) -> Dataset:
        """Return what the file says; regions of other kinds are ``ignore``."""
        if (key := tuple(kinds)) not in self._known:
            self._known[key] = read_annotated(self.annotations, self.images, kinds=kinds)
        return self._known[key]

    def read(self, config: TrainingConfig) -> list[TrainingPicture]:
        """Read the pictures into memory; see `read_pictures`."""
        return load_pictures(self.annotated(config.kinds), kinds=config.kinds, loose_origins=config.loose_origins)

    def pictures(self, kinds: Sequence[str]) -> list[tuple[AnnotatedImage, Path]]:
        """Return the annotations and the path of each picture; regions of other kinds are ``ignore``."""
        dataset = self.annotated(kinds)
        return [(record, dataset.path_of(record)) for record in dataset.images]

    @property
    def name(self) -> str:
        """What a card calls these pictures."""
        path = self.annotations.resolve()
        return f"{path.parent.name}/{path.name}"


def train_model(
    data: AnnotatedFolder,
    out: Path,
    *,
    config: TrainingConfig,
    validation: AnnotatedFolder | None = None,
    run_dir: Path | None = None,
    start: Path | None = None,
    negatives: str | Path | None = None,
    workers: int | None = None,
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
    negatives
        An earlier model, by name or ``.onnx``: where it is wrong on the pictures of `data`, the recipe's
        `hard_negative_share` of the photo crops are taken, or `HARD_NEGATIVE_SHARE` where the recipe says 0. The places
        are kept in ``run_dir/negatives.json``, and looked for once.
    workers
        Processes that prepare samples; None: one, or for a GPU as many as there are cores.
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
    OutputError
        The folder of `out` or of the run cannot be written.
    MissingExtraError
        What trains, exports or runs the model is not installed. All of this is found out before training begins.
    """
    from surfacedefect.training.loop import train

    if out.suffix != ".onnx":
        raise TrainingError(f"the model would be written to '{out}'; expected a name that ends in .onnx")
    if out.is_dir():
        raise TrainingError(f"the model would be written to '{out}', which is a folder; expected another name")
    for package in ("segmentation_models_pytorch", "onnx", "onnxscript"):
        require(package, extra="train")
    require("onnxruntime", extra="cpu")
    run_dir = run_dir or out.with_name(f"{out.stem}-run")
    check_kinds(data, config.kinds)
    if validation is not None:
        check_apart(data, validation, config.kinds)
    if negatives is not None and not config.hard_negative_share:
        config = replace(config, hard_negative_share=HARD_NEGATIVE_SHARE)
    with clearing_new_folders(out.parent, run_dir):
        for folder in (out.parent, run_dir):
            check_folder(folder)
        pictures = data.read(config)
        followed = followed_pictures(validation.read(config)) if validation else []
        places = [] if negatives is None else collect_negatives(negatives, pictures, run_dir / "negatives.json")
        if negatives is not None and not places:  # a model that is never wrong there teaches nothing
            config = replace(config, hard_negative_share=0.0)
        result = train(
            pictures,
            run_dir,
            config=config,
            validation=followed,
            negatives=places,
            start=start,
            workers=workers,
            progress=progress,
        )
        return _finished(result, out, pictures=pictures, validation=validation)


def _finished(
    result: TrainingResult, out: Path, *, pictures: list[TrainingPicture], validation: AnnotatedFolder | None
) -> ModelCard:
    """Export what was trained, with its card: calibrated and measured where there are pictures to do it with."""
    from surfacedefect.baselines import tile_card
    from surfacedefect.training.export import export_onnx
    from surfacedefect.training.operating import most_on

    config = result.config
    recipe = json.loads(json.dumps(asdict(config)))
    training = {"recipe": recipe, "pictures": _counted(pictures), "history": result.history}
    if isinstance(config, TileConfig):
        card = tile_card(out.stem, summary=TILE_SUMMARY, training=training)
        return finished_tiles(result.network, out, card=card, config=config, validation=validation)
    card = ModelCard(
        name=out.stem,
        kinds=config.kinds,
        least_area_px=LEAST_AREA_PX,
        summary=U_NET_SUMMARY,
        training=training,
    )
    if validation is None:
        return export_onnx(result.network, out, card=card)
    card, _ = export_calibrated(result.network, out, card=card, validation=validation)
    scores = score_outlined(card, out, validation.pictures(card.kinds), data=validation.name)
    return choose_scores(card, out, limits=[(scores, most_on(scores))], told=[scores])


def score_outlined(
    card: ModelCard,
    weights: Path,
    pictures: Iterable[tuple[AnnotatedImage, Path | NDArray[np.uint8]]],
    *,
    data: str,
) -> PictureScores:
    """Score a calibrated model at every threshold, and its polygons, outlined as its card says, from every score on."""
    from surfacedefect.detector import Detector
    from surfacedefect.training.operating import THRESHOLDS, score_pictures

    return score_pictures(Detector(weights), pictures, data=data, thresholds=THRESHOLDS, outline=_outline(card))


def _outline(card: ModelCard) -> dict[str, float]:
    """Return the default threshold of every kind, also of those on which the card is silent."""
    return {kind: card.threshold(kind) for kind in card.kinds}


def export_calibrated(
    network: nn.Module, out: Path, *, card: ModelCard, validation: AnnotatedFolder
) -> tuple[ModelCard, PictureScores]:
    """Export a U-Net, calibrate it, and measure it at every threshold on annotated pictures it has not learned from.

    Each kind is outlined at the threshold of its best pixel F1. The card has no least scores yet: see `choose_scores`.

    Parameters
    ----------
    network, out, card
        See `training.export.export_onnx`. What the card says of calibration, thresholds and points is filled in here.
    validation
        The pictures.

    Returns
    -------
    card, scores
        The card as written, and the scores behind it.
    """
    from surfacedefect.training.operating import operating_points, outline_threshold

    summary = card.summary.replace(UNCALIBRATED, f"calibrated on {validation.name}")
    card, scores = _calibrated(network, out, card=card, summary=summary, validation=validation)
    best = {kind: outline_threshold(kind, scores) for kind in card.kinds}
    thresholds = {kind: threshold for kind, threshold in best.items() if threshold is not None}
    return finish_card(card, out, points=operating_points(scores), thresholds=thresholds), scores


def choose_scores(
    card: ModelCard, out: Path, *, limits: Sequence[tuple[PictureScores, float]], told: Sequence[PictureScores]
) -> ModelCard:
    """Choose the least score of each kind and write the card with it, and with what is reported then.

    Parameters
    ----------
    card, out
        As `export_calibrated` leaves them.
    limits
        Sets of pictures, outlined at the card's thresholds, and the most false alarms on each together: the lowest
        score within all of them is taken, unless it finds next to nothing; see `operating.default_score`.
    told
        Sets of pictures whose figures the card keeps, all validation pictures first.
    """
    from surfacedefect.training.operating import default_points, default_score

    least = {kind: default_score(kind, told[0], *limits) for kind in card.kinds}
    card = replace(card, least_scores=least)
    points = [point for scores in told for point in default_points(scores, thresholds=_outline(card), least=least)]
    return finish_card(card, out, points=(*card.operating_points, *points), thresholds=dict(card.thresholds))


def _calibrated(
    network: nn.Module,
    out: Path,
    *,
    card: ModelCard,
    summary: str,
    validation: AnnotatedFolder,
    kinds: tuple[str, ...] | None = None,
    counted: Literal["pixels", "tiles"] = "pixels",
) -> tuple[ModelCard, PictureScores]:
    """Calibrate a network by the pixels or tiles of some pictures, export it, score it."""
    from surfacedefect.detector import Detector
    from surfacedefect.training.calibration import fit_kinds
    from surfacedefect.training.export import export_onnx, round_to_half
    from surfacedefect.training.operating import THRESHOLDS, score_pictures

    pictures, data = validation.pictures(kinds or card.kinds), validation.name
    round_to_half(network)
    raw = score_pictures(Detector(_as_predictor(network, card)), pictures, data=data, kinds=kinds, thresholds=())
    counts: dict[str, ScoreHistogram] = {kind: getattr(raw.total(kind), counted) for kind in card.kinds}
    fits = fit_kinds({kind: (of.positives, of.negatives) for kind, of in counts.items()})
    calibration = {kind: fit._asdict() for kind, fit in fits.items()}
    card = export_onnx(network, out, card=replace(card, summary=summary, calibration=calibration))
    return card, score_pictures(Detector(out), pictures, data=data, kinds=kinds, thresholds=THRESHOLDS)


def _as_predictor(network: nn.Module, card: ModelCard) -> Predictor:
    """Return a network of logits, as it is, as a predictor on the CPU."""
    from surfacedefect.networks import windows_to_probabilities
    from surfacedefect.predictor import FunctionPredictor

    torch = require("torch", extra="train")
    whole = windows_to_probabilities(network)

    def look(windows: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.inference_mode():
            found: NDArray[np.float32] = whole(torch.from_numpy(windows.copy())).numpy()
        return found

    return FunctionPredictor(look, card=card)


def finish_card(
    card: ModelCard, weights: Path, *, points: tuple[OperatingPoint, ...], thresholds: dict[str, float]
) -> ModelCard:
    """Write a card with what was measured."""
    card = replace(card, thresholds=thresholds, operating_points=points)
    write_text(weights.with_suffix(".json"), card.to_json())
    return card


def followed_pictures(pictures: list[TrainingPicture]) -> list[TrainingPicture]:
    """Return about `FOLLOWED_PICTURES`, at least one of each origin."""
    step = max(1, len(pictures) // FOLLOWED_PICTURES)
    origins = sorted({picture.origin for picture in pictures})
    return [item for origin in origins for item in [one for one in pictures if one.origin == origin][::step]]


def collect_negatives(model: Predictor | str | Path, pictures: list[TrainingPicture], kept: Path) -> list[FalseAlarm]:
    """Find where a model is wrong on the training pictures, or read what was found when the run began."""
    from surfacedefect.training.negatives import FalseAlarm, find_false_alarms

    names = [picture.name for picture in pictures]
    number = {name: index for index, name in enumerate(names)}
    if not kept.is_file():
        alarms = find_false_alarms(model, pictures)
        write_json(kept, {"false_alarms": [{"picture": names[which], "x": x, "y": y} for which, x, y in alarms]})
    try:
        places = json.loads(kept.read_text(encoding="utf-8"))["false_alarms"]
        return [FalseAlarm(number[item["picture"]], float(item["x"]), float(item["y"])) for item in places]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise TrainingError(
            f"'{kept}' does not fit these pictures ({type(error).__name__}: {error}); expected false alarms on them. "
            "Delete it to look for them again, or use another run folder"
        ) from error


def finished_tiles(
    network: nn.Module, out: Path, *, card: ModelCard, config: TileConfig, validation: AnnotatedFolder | None
) -> ModelCard:
    """Export a tile classifier, calibrated on the validation pictures' tiles, and choose its threshold by them.

    Parameters
    ----------
    network, out, card
        See `training.export.export_onnx`; the card as `baselines.tile_card` makes it. What it says of calibration,
        threshold, points and tiles is filled in here.
    config
        The recipe: the kinds that count as damage.
    validation
        The pictures; without them nothing is chosen.
    """
    from surfacedefect.networks import spread_over_tile
    from surfacedefect.training.export import export_onnx
    from surfacedefect.training.operating import THRESHOLDS, operating_points
    from surfacedefect.training.tile_model import best_tile_threshold, tile_figures

    (kind,) = card.kinds
    spread = spread_over_tile(network)
    if validation is None:
        return export_onnx(spread, out, card=card)
    summary = card.summary.replace(UNCALIBRATED_TILES, f"calibrated on the tiles of {validation.name}")
    card, scores = _calibrated(
        spread, out, card=card, summary=summary, validation=validation, kinds=config.kinds, counted="tiles"
    )
    tiles = scores.total(kind).tiles
    threshold = best_tile_threshold(tiles, THRESHOLDS)
    card = replace(card, training={**card.training, "tiles": tile_figures(tiles, threshold or card.threshold(kind))})
    thresholds = {} if threshold is None else {kind: threshold}
    return finish_card(card, out, points=operating_points(scores), thresholds=thresholds)


def _counted(pictures: list[TrainingPicture]) -> dict[str, int]:
    origins = sorted({picture.origin for picture in pictures})
    return {origin: sum(picture.origin == origin for picture in pictures) for origin in origins}
