"""Annotated pictures for training: a picture and, for each pixel, what is known of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from surfacedefect.errors import TrainingError

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
        COCO ``.json``; its categories must include `kinds`, and ``ignore`` marks doubt.
    images_dir
        Folder of the pictures.
    kinds
        Damage kinds in band order.
    loose_origins
        Origins whose polygons are hulls.

    Raises
    ------
    TrainingError
        No picture is annotated, or a picture is not of the size that the file says.
    """
    from surfacedefect.annotations import rasterise, read_coco
    from surfacedefect.scan import Scan

    pictures = []
    for record in read_coco(annotations).images:
        with Scan.open(images_dir / record.file_name) as scan:
            image = scan.rows(0, scan.height)
        if image.shape[:2] != (record.height, record.width):
            raise TrainingError(
                f"'{record.file_name}' has {image.shape[1]} x {image.shape[0]} px, its annotation says "
                f"{record.width} x {record.height}; annotate the picture as it is shown"
            )
        masks = rasterise(record, [*kinds, "ignore"])
        origin = record.origin or "own"
        labels = label_pixels([masks[kind] for kind in kinds], masks["ignore"], loose=origin in loose_origins)
        pictures.append(TrainingPicture(image, labels, origin, record.file_name))
    if not pictures:
        raise TrainingError(f"'{annotations}' lists no pictures; expected a COCO file with images and annotations")
    return pictures
