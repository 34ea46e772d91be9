"""PNG masks: one a kind and picture, ``scratch/a/door.png`` beside ``dent/a/door.png``.

One mask a kind, not one index mask of all: a scratch over a dent stays both. A mask is 8 bit, 0 outside and 255
inside; every picture has one of every kind, empty where there is nothing. Reading takes 0 as outside and any one other
value as inside. Pixels that touch, at a corner too, are one region, so regions of a kind that touch become one, and
what is narrower than a pixel can vanish. Scores, groups and ids are not kept.

Pillow reads and writes them.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from surfacedefect._files import atomic_path
from surfacedefect._raster import burnt, quiet
from surfacedefect._words import shortened
from surfacedefect.annotations._pictures import label_names, pictures_by_stem
from surfacedefect.annotations._reading import Reading
from surfacedefect.annotations.rasterise import rasterise
from surfacedefect.annotations.record import AnnotatedImage, Dataset, Region
from surfacedefect.errors import AnnotationError
from surfacedefect.polygons import outline


def kind_folders(source: Path) -> list[Path]:
    """Return the folders of a set of masks, one a kind: those that hold PNG files."""
    folders = sorted(p for p in source.iterdir() if p.is_dir() and not p.name.startswith("."))
    return [folder for folder in folders if next(folder.rglob("*.png"), None) is not None]


def read(source: Path, reading: Reading) -> Dataset:
    """Read a folder of masks as `reading` says; without the pictures they are called as their masks."""
    folders = kind_folders(source) if source.is_dir() else []
    if not folders:
        raise AnnotationError(
            f"{shortened(source)} holds no folders of PNG masks; expected one a kind: scratch/door.png"
        )
    pictures = pictures_by_stem(reading.images_dir) if reading.images_dir is not None else {}
    masks = {folder.name: pictures_by_stem(folder) for folder in folders}
    images = []
    for key in sorted(set().union(*masks.values())):
        name = pictures.get(key, f"{key}.png")
        regions: list[Region] = []
        shape: tuple[int, int] | None = None
        for folder in folders:
            if not masks[folder.name].get(key, "").lower().endswith(".png"):
                continue
            file = folder / masks[folder.name][key]
            with reading.part(name, entry=shortened(file)):
                mask = _load(file)
                if shape is not None and mask.shape != shape:
                    raise AnnotationError(
                        f"{shortened(file)} is {mask.shape[1]} x {mask.shape[0]} px, but the mask of another kind is "
                        f"{shape[1]} x {shape[0]} px; expected masks of one size a picture"
                    )
                shape = (mask.shape[0], mask.shape[1])
                regions += [Region(folder.name, polygon) for polygon in outline(mask)]
        if shape is not None:
            images.append(AnnotatedImage(name, shape[1], shape[0], tuple(regions)))
    return Dataset(tuple(folder.name for folder in folders), tuple(images), reading.images_dir)


def draws_pixels(region: Region, *, image: AnnotatedImage) -> bool:
    """Whether the mask of a region holds any pixel."""
    left, top, right, bottom = region.polygon.bounds
    x, y = max(0, math.floor(left)), max(0, math.floor(top))
    shape = (min(image.height, math.ceil(bottom)) - y, min(image.width, math.ceil(right)) - x)
    return min(shape) > 0 and bool(burnt([region.polygon], shape=shape, corner=(x, y)).any())


def write(path: Path, dataset: Dataset) -> None:
    """Write a mask for every picture and kind."""
    for kind in dataset.categories:
        if kind in (".", "..") or kind.startswith(".") or not kind.isprintable() or set(kind) & set('/\\:*?"<>|'):
            raise AnnotationError(f"the kind {kind!r} cannot name a folder; expected a plain name such as 'scratch'")
    for name, image in zip(label_names(dataset.images, ending=".png"), dataset.images, strict=True):
        for kind, mask in rasterise(image, dataset.categories).items():
            with atomic_path(path / kind / name) as part:
                Image.fromarray(mask * np.uint8(255)).save(part)


def _load(file: Path) -> NDArray[np.uint8]:
    try:
        with quiet(), Image.open(file, formats=["PNG"]) as image:
            if image.mode not in ("1", "L", "P", "I;16", "I"):
                raise AnnotationError(
                    f"{shortened(file)} is a colour picture ({image.mode}); expected a mask of one band, 0 outside"
                )
            values = np.asarray(image)
    except AnnotationError:
        raise
    except Exception as error:  # damaged files raise nearly anything
        raise AnnotationError(f"{shortened(file)} is no readable PNG ({shortened(error)}); expected a mask") from error
    found = np.unique(values)
    if np.count_nonzero(found) > 1:
        raise AnnotationError(
            f"{shortened(file)} holds the values {found[:6].tolist()}; expected 0 outside and one other value inside, "
            "a mask for every kind. Split an index mask into one a value"
        )
    mask: NDArray[np.uint8] = (values != 0).astype(np.uint8)
    return mask
