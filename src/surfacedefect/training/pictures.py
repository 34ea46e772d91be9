"""Annotated pictures for training: a picture and, for each pixel, what is known of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from surfacedefect.errors import TrainingError

if TYPE_CHECKING:
    from surfacedefect.annotations import Dataset

IGNORE = "ignore"
"""The category that says "nobody can judge this"."""
IGNORED_BIT = 64
"""Pixels whose truth is in doubt: they count for nothing."""
LOOSE_BIT = 128
"""Pixels inside a hull: they count less."""


@dataclass(frozen=True, slots=True)
class TrainingPicture:
    """A picture and its labels.

    Attributes
    ----------
    image
        uint8 (H, W, 3), RGB.
    labels
        uint8 (H, W): bit k is set where damage of kind k is, besides `IGNORED_BIT` and `LOOSE_BIT`.
    origin
        Where the picture comes from; the recipe weighs pictures by it.
    name
        For messages.
    """

    image: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    origin: str
    name: str


def label_pixels(
    masks: Sequence[NDArray[np.uint8]], ignore: NDArray[np.uint8] | None, *, loose: bool, band_px: int = 2
) -> NDArray[np.uint8]:
    """Fold masks into one label a pixel.

    Parameters
    ----------
    masks
        One (H, W) 0/1 mask a kind.
    ignore
        (H, W) 0/1 mask of doubt, or None. Damage wins over it.
    loose
        The regions are hulls: their inside is marked loose and a band of 3 px inside the border is in doubt too.
    band_px
        Width of the band of doubt around every region.

    Returns
    -------
    uint8 (H, W), see `TrainingPicture.labels`.
    """
    labels = np.zeros(masks[0].shape, np.uint8)
    damaged = np.zeros(masks[0].shape, np.uint8)
    for bit, mask in enumerate(masks):
        labels |= (mask > 0).astype(np.uint8) << bit
        damaged |= mask > 0
    doubt = _grown(damaged, band_px) & ~damaged.astype(bool)
    if ignore is not None:
        doubt |= (ignore > 0) & (damaged == 0)
    if loose:
        core = ~_grown(1 - damaged, 3)
        labels[core] |= LOOSE_BIT
        doubt |= (damaged > 0) & ~core
    labels[doubt] |= IGNORED_BIT
    return labels


def _grown(mask: NDArray[np.uint8], radius_px: int) -> NDArray[np.bool_]:
    """Square dilation by Pillow, which is everywhere that training is."""
    image = Image.fromarray((mask > 0).astype(np.uint8) * 255)
    return np.asarray(image.filter(ImageFilter.MaxFilter(2 * radius_px + 1))) > 0


def read_pictures(
    annotations: Path, images_dir: Path, *, kinds: Sequence[str], loose_origins: Sequence[str] = ()
) -> list[TrainingPicture]:
    """Read a COCO file and its pictures into memory.

    Parameters
    ----------
    annotations
        COCO ``.json``; at least one of its categories must be among `kinds`. Regions of ``ignore``, and of any other
        kind of damage, are in doubt.
    images_dir
        Folder of the pictures.
    kinds
        Damage kinds in band order.
    loose_origins
        Origins whose polygons are hulls.

    Raises
    ------
    TrainingError
        The file lists no pictures or none of the kinds, or a picture is not of the size that the file says.
    AnnotationError, ScanError
        The annotation file or a picture cannot be read, or a file name leads out of the folder.
    """
    return load_pictures(read_annotated(annotations, images_dir, kinds=kinds), kinds=kinds, loose_origins=loose_origins)


def load_pictures(dataset: Dataset, *, kinds: Sequence[str], loose_origins: Sequence[str]) -> list[TrainingPicture]:
    """Read the pictures of what `read_annotated` gave; see `read_pictures`."""
    from surfacedefect.annotations import rasterise
    from surfacedefect.scan import Scan

    pictures = []
    for record in dataset.images:
        with Scan.open(dataset.path_of(record)) as scan:
            image = scan.rows(0, scan.height)
        if image.shape[:2] != (record.height, record.width):
            raise TrainingError(
                f"'{record.file_name}' has {image.shape[1]} x {image.shape[0]} px, its annotation says "
                f"{record.width} x {record.height}; annotate the picture as it is shown"
            )
        masks = rasterise(record, [*kinds, IGNORE])
        origin = record.origin or "own"
        labels = label_pixels([masks[kind] for kind in kinds], masks[IGNORE], loose=origin in loose_origins)
        pictures.append(TrainingPicture(image, labels, origin, record.file_name))
    return pictures


def read_annotated(annotations: Path, images_dir: Path, *, kinds: Sequence[str]) -> Dataset:
    """Read a COCO file; regions of other kinds than these become ``ignore``: damage, but not to be learned or judged.

    Raises
    ------
    TrainingError
        The file lists no pictures, or none of the kinds.
    AnnotationError
        The file cannot be read.
    """
    from surfacedefect.annotations import read_coco

    dataset = read_coco(annotations, images_dir=images_dir)
    if not dataset.images:
        raise TrainingError(f"'{annotations}' lists no pictures; expected a COCO file with images and annotations")
    if not set(kinds) & set(dataset.categories):
        raise TrainingError(
            f"'{annotations}' has the categories {list(dataset.categories)}; expected some of {list(kinds)}. Rename "
            "them in the file, or give other kinds"
        )
    images = tuple(
        replace(image, regions=tuple(one if one.kind in kinds else replace(one, kind=IGNORE) for one in image.regions))
        for image in dataset.images
    )
    return replace(dataset, images=images, categories=tuple(dict.fromkeys((*dataset.categories, IGNORE))))
