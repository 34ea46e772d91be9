"""Hard negatives: where an earlier model was wrong on clean surface, and harmless things that look like damage.

`find_false_alarms` runs a model over the training pictures; `Samples` and `train` take what it returns.
`add_lookalikes` draws edges, glints and sharp grain on a crop. Specks of dirt are part of `samples.disturb`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from surfacedefect.errors import TrainingError
from surfacedefect.synthetic.draws import log_uniform
from surfacedefect.training.pictures import IGNORED_BIT, TrainingPicture

if TYPE_CHECKING:
    from surfacedefect.detector import Detector
    from surfacedefect.predictor import Predictor

Pixels = NDArray[np.float32]

_TWO = 0.25  # share of the crops that get a second look-alike


class FalseAlarm(NamedTuple):
    """Where a model was wrong: the number of the picture, and x and y in px."""

    picture: int
    x: float
    y: float


def find_false_alarms(
    model: Detector | Predictor | str | Path,
    pictures: Sequence[TrainingPicture],
    *,
    threshold: float | None = None,
    most_per_picture: int = 20,
    least_area_px: int = 30,
    clear_px: int = 8,
) -> list[FalseAlarm]:
    """Run a model over annotated pictures and return where it sees damage that is not there.

    A false alarm is what is connected in the map at the threshold and stays clear of everything that is annotated, of
    damage of any kind and of doubt.

    Parameters
    ----------
    model
        A detector, a predictor, the name of shipped weights or the path of an ``.onnx``.
    pictures
        Training pictures, never those of the validation.
    threshold
        Probability in (0, 1]; None takes the model's own.
    most_per_picture
        Only so many of each picture, the most confident ones; at least 1.
    least_area_px
        Smaller ones are left out, in px.
    clear_px
        Least distance, along rows and columns, from what is annotated, in px.

    Returns
    -------
    list of FalseAlarm
        By the mean probability over the false alarm, highest first; x, y is its most probable pixel.

    Raises
    ------
    TrainingError
        `most_per_picture` is below 1 or `clear_px` below 0.
    ModelError, OptionError, PredictorError
        The model cannot be loaded or used, or the threshold is out of its range.

    Examples
    --------
    >>> from surfacedefect import FunctionPredictor, ModelCard
    >>> card = ModelCard(name="bright", kinds=("scratch",), window_px=64, overlap_px=16)
    >>> bright = FunctionPredictor(lambda windows: (windows.mean(axis=3) / 255).astype(np.float32)[:, None], card=card)
    >>> image, labels = np.full((100, 100, 3), 20, np.uint8), np.zeros((100, 100), np.uint8)
    >>> image[20:26, 10:90], image[70:80, 50:60] = 250, 200
    >>> image[74, 52], labels[20:26, 10:90] = 240, 1
    >>> find_false_alarms(bright, [TrainingPicture(image, labels, "own", "a")])
    [FalseAlarm(picture=0, x=52.5, y=74.5)]
    """
    from dataclasses import replace

    from surfacedefect.detector import Detector

    if most_per_picture < 1 or clear_px < 0:
        raise TrainingError(
            f"most_per_picture={most_per_picture}, clear_px={clear_px}; expected at least 1 and at least 0"
        )
    detector = model if isinstance(model, Detector) else Detector(model)
    if threshold is not None:
        detector = Detector(detector.predictor, options=replace(detector.options, threshold=threshold))
    found: list[tuple[float, FalseAlarm]] = []
    for number, picture in enumerate(pictures):
        values, confident = _seen(detector, picture.image)
        spots = _spots(values, confident, picture.labels != 0, least_area_px=least_area_px, clear_px=clear_px)
        spots.sort(reverse=True)
        found += [(score, FalseAlarm(number, x + 0.5, y + 0.5)) for score, x, y in spots[:most_per_picture]]
    return [alarm for _, alarm in sorted(found, key=lambda item: (-item[0], item[1]))]


def _seen(detector: Detector, image: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return the largest probability over the kinds, and where any kind reaches its threshold."""
    from surfacedefect.polygons import damaged_level

    thresholds = detector.options.thresholds_for(detector.predictor.card)
    found = detector.probability_map(image)
    values = np.zeros(found.shape, np.uint8)
    confident = np.zeros(found.shape, bool)
    for kind, threshold in thresholds.items():
        band = found.read(kind)
        np.maximum(values, band, out=values)
        confident |= band >= damaged_level(threshold)
    return values, confident


def _spots(
    values: NDArray[np.uint8],
    confident: NDArray[np.bool_],
    known: NDArray[np.bool_],
    *,
    least_area_px: int,
    clear_px: int,
) -> list[tuple[float, int, int]]:
    """Mean value, x and y of the most probable pixel of each connected spot that touches nothing that is known."""
    from scipy import ndimage

    if not confident.any():
        return []
    near = ndimage.maximum_filter(known, size=2 * clear_px + 1)
    labels, count = ndimage.label(confident, structure=np.ones((3, 3), bool))
    areas = np.bincount(labels.ravel(), minlength=count + 1)
    touched = np.bincount(labels[near], minlength=count + 1) > 0
    kept = np.flatnonzero((areas >= least_area_px) & ~touched)
    kept = kept[kept > 0]
    if not kept.size:
        return []
    means = ndimage.mean(values, labels, kept)
    places = ndimage.maximum_position(values, labels, kept)
    return [(float(mean), int(x), int(y)) for mean, (y, x) in zip(means, places, strict=True)]


def add_lookalikes(
    image: NDArray[np.uint8], labels: NDArray[np.uint8], *, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw one or two harmless things on a crop: a straight edge or trim line, glints, or sharp grain.

    All are as sharp as the crop, whatever its zoom. Edges and lines run from border to border, which damage rarely
    does, and a thin line has a highlight beside it.

    Parameters
    ----------
    image, labels
        uint8 (H, W, 3) and uint8 (H, W), see `TrainingPicture`; neither is changed.
    rng
        Source of every choice.

    Returns
    -------
    image, labels
        What is drawn is clean; damage that it covers is marked as doubt.

    Examples
    --------
    >>> paint, labels = np.full((64, 64, 3), 120, np.uint8), np.zeros((64, 64), np.uint8)
    >>> drawn, unchanged = add_lookalikes(paint, labels, rng=np.random.default_rng(1))
    >>> drawn.shape, bool((drawn != paint).any()), bool(unchanged.any())
    ((64, 64, 3), True, False)
    """
    pixels = image.astype(np.float32)
    covered = np.zeros(labels.shape, bool)
    drawn: list[Callable[[Pixels, np.random.Generator], NDArray[np.bool_]]] = [_edge, _trim, _glints, _sharp_grain]
    for which in rng.permutation(len(drawn))[: 2 if rng.random() < _TWO else 1]:
        covered |= drawn[which](pixels, rng)
    labels = np.where(covered & (labels > 0), labels | np.uint8(IGNORED_BIT), labels)
    return np.clip(pixels + 0.5, 0, 255).astype(np.uint8), labels


def mirror(image: NDArray[np.uint8], scene: NDArray[np.uint8], *, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Let glossy paint mirror a scene: foliage, buildings, a sky line; all of the crop or a patch of it.

    A mirror image adds its light to what the paint scatters and takes on some of its colour. Where something bright
    meets something dark it has edges as sharp as damage. Nothing is covered: what was damaged still is.

    Parameters
    ----------
    image
        uint8 (H, W, 3); not changed.
    scene
        uint8 (H, W), the brightness of what is mirrored.
    rng
        Source of every choice.

    Returns
    -------
    uint8 (H, W, 3)

    Examples
    --------
    >>> paint, sky = np.full((64, 64, 3), (120, 20, 20), np.uint8), np.full((64, 64), 230, np.uint8)
    >>> seen = mirror(paint, sky, rng=np.random.default_rng(1))
    >>> seen.shape, bool(seen.mean() > paint.mean())
    ((64, 64, 3), True)
    """
    light = scene.astype(np.float32) / 255
    if rng.random() < 0.5:  # as of a bright sky behind dark things
        softness = float(rng.uniform(0.03, 0.15))
        light = 1 / (1 + np.exp(np.clip(-(light - np.quantile(light, rng.uniform(0.3, 0.7))) / softness, -30, 30)))
    share = np.float32(log_uniform(rng, 0.08, 0.5)) * np.ones_like(light)
    if rng.random() < 0.6:
        share *= _patch(light.shape, rng)
    pixels = image.astype(np.float32)
    tint = pixels.mean(axis=(0, 1)) + 40
    colour = 1 + np.float32(rng.uniform(0, 0.7)) * (tint / tint.max() - 1)
    mixed = pixels * (1 - 0.5 * share[..., None]) + (255 * share * light)[..., None] * colour
    seen: NDArray[np.uint8] = np.clip(mixed + 0.5, 0, 255).astype(np.uint8)
    return seen


def _patch(shape: tuple[int, ...], rng: np.random.Generator) -> Pixels:
    """Draw where on a crop something is mirrored: a wavy patch with a soft or sharp border, in [0, 1]."""
    from PIL import Image

    waves = Image.fromarray(rng.normal(0, 1, (4, 4)).astype(np.float32))
    height = np.asarray(waves.resize((shape[1], shape[0]), Image.Resampling.BICUBIC))
    border: Pixels = np.clip((height - np.float32(rng.normal(0, 0.3))) / np.float32(rng.uniform(0.01, 0.6)) + 0.5, 0, 1)
    return border


def _across(shape: tuple[int, ...], rng: np.random.Generator) -> Pixels:
    """Signed distance of every pixel, in px, from a straight line through the middle part of the crop."""
    height, width = shape[:2]
    angle = rng.uniform(0, np.pi)
    row, column = rng.uniform(0.15, 0.85) * height, rng.uniform(0.15, 0.85) * width
    rows, columns = np.ogrid[:height, :width]
    distance: Pixels = ((rows - row) * np.cos(angle) - (columns - column) * np.sin(angle)).astype(np.float32)
    return distance


def _edge(pixels: Pixels, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Draw the border of a reflection or a part: one side is a little lighter or darker; nothing is covered."""
    softness = log_uniform(rng, 0.7, 4)
    side = np.clip(_across(pixels.shape, rng) / softness + 0.5, 0, 1)[..., None]
    pixels *= 1 + side * np.float32(rng.choice([-1, 1]) * rng.uniform(0.08, 0.35))
    return np.zeros(pixels.shape[:2], bool)


def _trim(pixels: Pixels, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Draw a gap, moulding or film border: an even line, dark or light, mostly with a highlight along one side."""
    distance = _across(pixels.shape, rng)
    half = log_uniform(rng, 1, 8)
    strength = np.float32(rng.uniform(0.4, 0.95))
    line = strength * np.clip(half + 0.5 - np.abs(distance), 0, 1)[..., None]
    colour = np.float32(rng.uniform(5, 90) if rng.random() < 0.7 else rng.uniform(170, 250))
    pixels += line * (colour - pixels)
    reach = half
    if half < 3 or rng.random() < 0.6:
        width = float(rng.uniform(0.6, 2))
        light = np.clip(width + 0.5 - np.abs(distance - half - width), 0, 1)[..., None]
        pixels += light * np.float32(rng.uniform(15, 90))
        reach += 2 * width
    covered: NDArray[np.bool_] = (distance > -half - 1) & (distance < reach + 1)
    return covered


def _glints(pixels: Pixels, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Draw small highlights of a lamp or the sun: burnt out in the middle, short, with a faint halo."""
    height, width = pixels.shape[:2]
    covered = np.zeros((height, width), bool)
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    for _ in range(int(rng.integers(1, 5))):
        short = log_uniform(rng, 0.6, 3)
        long = short * float(rng.uniform(1, 3.5))
        angle = rng.uniform(0, np.pi)
        down, right = rows - np.float32(rng.uniform(0, height)), columns - np.float32(rng.uniform(0, width))
        along = (down * np.sin(angle) + right * np.cos(angle)) / long
        away = (down * np.cos(angle) - right * np.sin(angle)) / short
        square = along * along + away * away
        light = rng.uniform(80, 320) * np.exp(-square / 2) + rng.uniform(0, 25) * np.exp(-square / 50)
        pixels += light[..., None].astype(np.float32)
        covered |= square < 9
    return covered


def _sharp_grain(pixels: Pixels, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Add sensor noise that grows with the root of the light, sharpened as cameras do; nothing is covered."""
    noise = rng.standard_normal(pixels.shape, dtype=np.float32)
    noise = np.float32(0.4) * noise + np.float32(0.6) * noise.mean(axis=2, keepdims=True)  # mostly of brightness
    around = sum(np.roll(noise, shift, axis) for axis in (0, 1) for shift in (-1, 1))
    noise -= np.float32(rng.uniform(0, 0.25)) * around
    pixels += np.float32(rng.uniform(2, 7)) * noise * np.sqrt(0.1 + np.clip(pixels, 0, 255) / 128)
    return np.zeros(pixels.shape[:2], bool)
