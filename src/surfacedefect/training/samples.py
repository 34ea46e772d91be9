"""What the network sees in a step: crops, zoomed, painted on and disturbed; each a pure function of seed and number."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from surfacedefect.errors import TrainingError
from surfacedefect.synthetic.draws import log_uniform
from surfacedefect.training.config import TrainingConfig
from surfacedefect.training.negatives import add_lookalikes, mirror
from surfacedefect.training.pictures import IGNORED_BIT, LOOSE_BIT, TrainingPicture

SHARPEST_ZOOM = 1.25
"""Largest zoom of a crop that damage is painted on."""
MOST_TRIES = 5
"""Pieces of pictures that are tried for one without damage, to be mirrored."""

Crop = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""An image uint8 (S, S, 3) and its labels uint8 (S, S)."""


class Samples:
    """An endless, indexable source of training crops.

    Parameters
    ----------
    pictures
        Annotated pictures; may be empty when the recipe renders everything.
    config
        The recipe.
    negatives
        False alarms of an earlier model on these pictures: number of the picture, x and y in px. The recipe's
        `hard_negative_share` of the photo crops is taken around them, each picture as often as the recipe weighs it.
    on_device
        Leave out `disturb`: the loop does it for the whole batch.

    Raises
    ------
    TrainingError
        There are no pictures, a false alarm lies in none of them, or the recipe asks for them and there are none.

    Examples
    --------
    >>> config = TrainingConfig(synthetic_share=0.0, painted_share=1.0, crop_px=64)
    >>> plain = TrainingPicture(np.full((90, 90, 3), 120, np.uint8), np.zeros((90, 90), np.uint8), "own", "plain")
    >>> image, target, weight = Samples([plain], config)[0]
    >>> image.shape, target.shape, weight.shape
    ((64, 64, 3), (2, 64, 64), (64, 64))
    """

    def __init__(
        self,
        pictures: Sequence[TrainingPicture],
        config: TrainingConfig,
        *,
        negatives: Sequence[tuple[int, float, float]] = (),
        on_device: bool = False,
    ) -> None:
        self.on_device = on_device
        if not pictures and config.synthetic_share < 1:
            raise TrainingError("no pictures to train on; give annotated pictures or set synthetic_share=1")
        self.pictures = list(pictures)
        self.config = config
        self._shares = _picture_shares(self.pictures, config)
        self._damaged = [np.flatnonzero(_damaged(picture.labels, len(config.kinds))) for picture in self.pictures]
        self._negatives = _checked_negatives(negatives, self.pictures)
        self._negative_shares = _negative_shares(self._negatives, self._shares)
        if config.hard_negative_share and not self._negatives:
            raise TrainingError(
                f"hard_negative_share={config.hard_negative_share}, but no negatives; give those of find_false_alarms, "
                "or hard_negative_share=0"
            )

    def __len__(self) -> int:
        """Return the number of crops that the recipe uses in all."""
        return self.config.steps * self.config.batch

    def __getitem__(self, number: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.float32]]:
        """Return image uint8 (S, S, 3), target uint8 (K, S, S) 0/1 and weight float32 (S, S)."""
        rng = np.random.default_rng([self.config.seed, number])
        if rng.random() < self.config.synthetic_share:
            image, labels = self._rendered(rng)
        else:
            image, labels = self._photographed(rng)
        image, labels = self._varied(image, labels, rng)
        image = self._mirroring(image, rng)
        if not self.on_device:
            image = disturb(image, rng)
        target = np.stack([(labels >> bit) & 1 for bit in range(len(self.config.kinds))])
        weight = np.where(labels & LOOSE_BIT, np.float32(self.config.loose_weight), np.float32(1))
        weight[(labels & IGNORED_BIT) > 0] = 0
        return image, target, weight.astype(np.float32)

    def _rendered(self, rng: np.random.Generator) -> Crop:
        from surfacedefect.synthetic import CLEAN, WINDOWS, render_window
        from surfacedefect.synthetic.places.environment import JUMBLE

        side = self.config.crop_px
        seed = int(rng.integers(0, 10**9))
        config = CLEAN if self.config.clean_share > 0 and rng.random() < self.config.clean_share else WINDOWS
        if self.config.jumble_share > 0 and rng.random() < self.config.jumble_share:
            config = replace(config, place=JUMBLE)
        window = render_window(seed, size=side, config=config)
        labels = np.zeros((side, side), np.uint8)
        for bit, kind in enumerate(self.config.kinds):
            if kind in window.truth.masks:
                labels |= (window.truth.masks[kind] > 0).astype(np.uint8) << bit
        labels[window.truth.ignore > 0] |= IGNORED_BIT
        return window.image, labels

    def _photographed(self, rng: np.random.Generator) -> Crop:
        painted = rng.random() < self.config.painted_share and "scratch" in self.config.kinds
        # Painted damage is as sharp as the crop's pixels. On a magnified, soft picture sharpness would give it away.
        largest = SHARPEST_ZOOM if painted else np.inf
        if self.config.hard_negative_share and rng.random() < self.config.hard_negative_share:
            which, x, y = self._negatives[int(rng.choice(len(self._negatives), p=self._negative_shares))]
            image, labels = self._cropped(self.pictures[which], rng, centre=(x, y), largest=largest)
        else:
            which = int(rng.choice(len(self.pictures), p=self._shares))
            image, labels = self._cropped(self.pictures[which], rng, damaged=self._damaged[which], largest=largest)
        if painted:
            from surfacedefect.synthetic import paint_damage

            image, mask = paint_damage(image, rng=rng)
            labels = labels.copy()
            hurt = mask > 0
            labels[hurt] &= ~np.uint8(IGNORED_BIT | LOOSE_BIT)
            labels[hurt] |= np.uint8(1 << self.config.kinds.index("scratch"))
        return image, labels

    def _varied(self, image: NDArray[np.uint8], labels: NDArray[np.uint8], rng: np.random.Generator) -> Crop:
        """Turn a crop, and at times draw harmless things on it."""
        image, labels = _turned(image, labels, rng)
        if self.config.lookalike_share and rng.random() < self.config.lookalike_share:
            image, labels = add_lookalikes(image, labels, rng=rng)
        return image, labels

    def _mirroring(self, image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        """At times let the surface mirror an undamaged piece of one of the pictures, as sharp as pictures are."""
        if not (self.config.mirrored_share and self.pictures and rng.random() < self.config.mirrored_share):
            return image
        for _ in range(MOST_TRIES):
            picture = self.pictures[int(rng.integers(len(self.pictures)))]
            zoom, side = log_uniform(rng, 0.5, 1.2), self.config.crop_px
            height, width = picture.labels.shape
            box_width, box_height = min(side / zoom, width), min(side / zoom, height)
            x, y = rng.uniform(0, width - box_width), rng.uniform(0, height - box_height)
            inside = picture.labels[int(y) : int(y + box_height) + 1, int(x) : int(x + box_width) + 1]
            if not _damaged(inside, len(self.config.kinds)).any():
                box = (x, y, x + box_width, y + box_height)
                grey = Image.fromarray(_resized(picture.image, box, side)).convert("L")
                turned = np.rot90(np.asarray(grey), int(rng.integers(4)))
                return mirror(image, turned, rng=rng)
        return image

    def _cropped(
        self,
        picture: TrainingPicture,
        rng: np.random.Generator,
        *,
        damaged: NDArray[np.intp] | None = None,
        centre: tuple[float, float] | None = None,
        largest: float = np.inf,
    ) -> Crop:
        """Crop around `centre`, or at times around one of the `damaged` pixels, or anywhere; zoom at most `largest`."""
        height, width = picture.labels.shape
        side = self.config.crop_px
        least, most = self.config.scale_range
        zoom = log_uniform(rng, least, max(min(most, largest), least))
        squeeze = float(np.exp(rng.uniform(-0.25, 0.25)))
        box_width = min(side / zoom * squeeze, width)
        box_height = min(side / zoom / squeeze, height)
        x, y = rng.uniform(0, width - box_width), rng.uniform(0, height - box_height)
        if damaged is not None and damaged.size and rng.random() < self.config.centred_share:
            row, column = divmod(int(damaged[rng.integers(damaged.size)]), width)
            centre = (column, row)
        if centre is not None:
            x = float(np.clip(centre[0] - box_width * rng.uniform(0.2, 0.8), 0, width - box_width))
            y = float(np.clip(centre[1] - box_height * rng.uniform(0.2, 0.8), 0, height - box_height))
        box = (x, y, x + box_width, y + box_height)
        return _resized(picture.image, box, side), _resized_labels(picture.labels, box, side)


def _picture_shares(pictures: Sequence[TrainingPicture], config: TrainingConfig) -> NDArray[np.float64]:
    """Spread each origin's share over its pictures; unnamed origins share what those that are there leave."""
    origins = sorted({picture.origin for picture in pictures})
    named = {origin: config.origin_shares[origin] for origin in origins if origin in config.origin_shares}
    unnamed = [origin for origin in origins if origin not in named]
    left = 1 - sum(named.values())
    if unnamed and left <= 1e-9 or (origins and not unnamed and not any(named.values())):
        raise TrainingError(
            f"origin_shares={dict(config.origin_shares)} leave nothing for {unnamed or origins}, where pictures are "
            "from; expected a share for each origin, or shares below 1 in all"
        )
    named.update({origin: left / len(unnamed) for origin in unnamed})
    counts = {origin: sum(picture.origin == origin for picture in pictures) for origin in named}
    shares = np.array([named[picture.origin] / counts[picture.origin] for picture in pictures])
    return shares / shares.sum() if shares.size else shares


def _checked_negatives(
    negatives: Sequence[tuple[int, float, float]], pictures: Sequence[TrainingPicture]
) -> list[tuple[int, float, float]]:
    for which, x, y in negatives:
        height, width = pictures[which].labels.shape if 0 <= which < len(pictures) else (0, 0)
        if not (0 <= x <= width and 0 <= y <= height and width):
            raise TrainingError(
                f"the false alarm {(which, x, y)} lies in none of the {len(pictures)} pictures; expected "
                "(number of the picture, x, y): find false alarms again on these pictures, in this order"
            )
    return list(negatives)


def _negative_shares(
    negatives: Sequence[tuple[int, float, float]], picture_shares: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Spread each picture's share over its false alarms, so that one with many does not crowd out the others."""
    which = np.array([item[0] for item in negatives], np.intp)
    shares = picture_shares[which] / np.bincount(which, minlength=1)[which] if which.size else np.zeros(0)
    return np.asarray(shares / shares.sum() if which.size else shares)


def _damaged(labels: NDArray[np.uint8], kinds: int) -> NDArray[np.bool_]:
    return (labels & ((1 << kinds) - 1)) > 0


def _resized(image: NDArray[np.uint8], box: tuple[float, float, float, float], side: int) -> NDArray[np.uint8]:
    """Cut a box (left, top, right, bottom) out of a picture, as a square of `side` px."""
    return np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC, box=box))


def _resized_labels(labels: NDArray[np.uint8], box: tuple[float, float, float, float], side: int) -> NDArray[np.uint8]:
    """Resize bit by bit, so that a thin line survives a reduction: a third of a pixel is enough."""
    result = np.zeros((side, side), np.uint8)
    left, top = int(box[0]), int(box[1])
    part = labels[top : int(np.ceil(box[3])) + 1, left : int(np.ceil(box[2])) + 1]
    local = (box[0] - left, box[1] - top, box[2] - left, box[3] - top)
    for bit in range(8):
        plane = (part >> bit) & 1
        if plane.any():
            image = Image.fromarray(plane * np.uint8(255))
            share = np.asarray(image.resize((side, side), Image.Resampling.BILINEAR, box=local))
            result |= (share > 85).astype(np.uint8) << bit
    return result


def _turned(image: NDArray[np.uint8], labels: NDArray[np.uint8], rng: np.random.Generator) -> Crop:
    turns, mirrored = int(rng.integers(4)), rng.random() < 0.5
    image, labels = np.rot90(image, turns), np.rot90(labels, turns)
    if mirrored:
        image, labels = image[:, ::-1], labels[:, ::-1]
    return np.ascontiguousarray(image), np.ascontiguousarray(labels)


def disturb(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Disturb a crop as cameras do: specks of dirt, sharpness, exposure, colour, grain and JPEG.

    `augment.disturb` does the same to a whole batch on a GPU.

    Parameters
    ----------
    image
        uint8 (H, W, 3).
    rng
        Source of every choice.

    Returns
    -------
    uint8 (H, W, 3)
    """
    picture = Image.fromarray(_specked(image, rng) if rng.random() < 0.3 else image)
    chance = rng.random()
    if chance < 0.2:
        picture = picture.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.4, 1.6))))
    elif chance < 0.5:
        percent, radius = int(rng.integers(60, 250)), float(rng.uniform(0.6, 2.0))
        picture = picture.filter(ImageFilter.UnsharpMask(radius, percent, 0))
    pixels = np.asarray(picture, np.float32)
    gain = np.exp(rng.normal(0, 0.15)) * np.exp(rng.normal(0, 0.05, 3))
    pixels = (pixels / 255) ** np.float32(np.exp(rng.normal(0, 0.2))) * (255 * gain.astype(np.float32))
    mean = pixels.mean(axis=2, keepdims=True)
    pixels = mean + (pixels - mean) * np.float32(rng.uniform(0.3, 1.4))
    middle = pixels.mean()
    pixels = middle + (pixels - middle) * np.float32(rng.uniform(0.7, 1.3)) + np.float32(rng.normal(0, 8))
    if rng.random() < 0.6:
        pixels = pixels + _grain(pixels.shape, rng)
    result: NDArray[np.uint8] = np.clip(pixels + 0.5, 0, 255).astype(np.uint8)
    if rng.random() < 0.4:
        buffer = io.BytesIO()
        Image.fromarray(result).save(buffer, "JPEG", quality=int(rng.integers(35, 96)))
        result = np.array(Image.open(buffer))
    return result


def _grain(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    """Sensor grain, fine or as coarse as a phone's denoiser leaves it; partly in colour."""
    height, width = shape[:2]
    coarse = int(rng.integers(1, 4))
    small = (-(-height // coarse), -(-width // coarse))
    light = rng.normal(0, 1, small).astype(np.float32)
    if coarse > 1:
        light = np.asarray(Image.fromarray(light).resize((width, height), Image.Resampling.BICUBIC))
    colour = rng.normal(0, 0.4, (height, width, 3)).astype(np.float32)
    return np.float32(rng.uniform(1, 9)) * (light[..., None] + colour)


def _specked(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Round specks of dirt and glints, which are no damage: hard negatives."""
    height, width = image.shape[:2]
    result = image.astype(np.float32)
    for _ in range(int(rng.integers(3, 30))):
        radius = log_uniform(rng, 0.6, 4)
        reach = int(np.ceil(radius)) + 2
        row, column = int(rng.integers(height)), int(rng.integers(width))
        top, left = max(row - reach, 0), max(column - reach, 0)
        part = result[top : row + reach + 1, left : column + reach + 1]
        rows, columns = np.ogrid[top : top + part.shape[0], left : left + part.shape[1]]
        cover = np.clip(radius + 0.5 - np.hypot(rows - row, columns - column), 0, 1)[..., None]
        part += (np.float32(rng.normal(0, 45)) * cover * rng.uniform(0.5, 1)).astype(np.float32)
    specked: NDArray[np.uint8] = np.clip(result + 0.5, 0, 255).astype(np.uint8)
    return specked
