"""LabelMe files, one JSON a picture: https://github.com/wkentaro/labelme.

Shapes of one ``group_id`` and label are the parts of one region, as LabelMe's own converters take them. Holes are
bridged into the ring. ``labels.txt`` beside the files, which ``labelme --labels`` takes, keeps the kinds in order.
"""

from __future__ import annotations

import base64
import binascii
import io
import os
import posixpath
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from shapely.geometry import Polygon

from surfacedefect._files import write_json, write_text
from surfacedefect._raster import quiet
from surfacedefect._words import shortened
from surfacedefect.annotations import _outlines
from surfacedefect.annotations._pictures import label_names, size_px
from surfacedefect.annotations._reading import Reading, categories, joined_groups, load_json, need, text_or_none
from surfacedefect.annotations.record import AnnotatedImage, Dataset, Region
from surfacedefect.errors import AnnotationError
from surfacedefect.polygons import outline

_LABELS = "labels.txt"
_NO_KINDS = {"__ignore__", "_background_"}
_NO_AREA = ("point", "points")


def read(source: Path, reading: Reading) -> Dataset:
    """Read one LabelMe file, or every one below a folder, as `reading` says."""
    folder = source if source.is_dir() else source.parent
    files = sorted(p for p in source.rglob("*.json") if not p.name.startswith(".")) if source.is_dir() else [source]
    if not files:
        raise AnnotationError(f"{shortened(source)} holds no JSON file; expected LabelMe files, one a picture")
    images = []
    for file in files:
        with reading.part(file.relative_to(folder).as_posix(), entry=shortened(file)):
            images.append(_image(file, folder=folder, reading=reading))
    regions = (region for image in images for region in image.regions)
    return Dataset(categories(_named(folder / _LABELS), regions), tuple(images), reading.images_dir)


def write(path: Path, dataset: Dataset) -> None:
    """Write a folder of LabelMe files; pictures are named as seen from their file, where their folder is known."""
    for kind in dataset.categories:
        if not kind.isprintable() or kind != kind.strip() or kind in _NO_KINDS:
            raise AnnotationError(f"the kind {kind!r} does not fit into a line of {_LABELS}; expected a plain name")
    names = label_names(dataset.images, ending=".json")
    for name, image in zip(names, dataset.images, strict=True):
        picture = posixpath.basename(image.file_name)
        if dataset.images_dir is not None:
            place = os.path.relpath(dataset.path_of(image), (path / name).parent)
            picture = Path(place).as_posix()
        write_json(path / name, _document(image, picture=picture))
    write_text(path / _LABELS, "".join(f"{kind}\n" for kind in dataset.categories))


def _named(labels: Path) -> list[str]:
    if not labels.is_file():
        return []
    lines = labels.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    return [line.strip() for line in lines if line.strip() and line.strip() not in _NO_KINDS]


def _image(file: Path, *, folder: Path, reading: Reading) -> AnnotatedImage:
    where = shortened(file)
    document = load_json(file, expected="a LabelMe JSON file")
    need(document, "shapes", "imagePath", where=where)
    if not isinstance(document["shapes"], list) or not isinstance(document["imagePath"], str):
        raise AnnotationError(f"{where}: found no list of shapes or no name of the picture; expected a LabelMe file")
    name = _file_name(document["imagePath"], beside=file.parent.relative_to(folder).as_posix())
    width, height = document.get("imageWidth"), document.get("imageHeight")
    if width is None or height is None:
        beside = file.parent / document["imagePath"].replace("\\", "/")
        width, height = size_px(beside if reading.images_dir is None else reading.images_dir / name)
    parts: list[tuple[object, Region]] = []
    for index, shape in enumerate(document["shapes"]):
        here = f"{where}: shape {index + 1}"
        with reading.part(name, entry=shape):
            need(shape, "label", "points", where=here)
            raw = _outline(shape, reading=reading, where=here)
            region = reading.region(shape["label"], raw, picture=name, where=here, score=shape.get("score"))
            group = shape.get("group_id")
            parts.append((None if group is None else str(group), region))
    group, origin = text_or_none(document, "group"), text_or_none(document, "origin")
    return AnnotatedImage(name, width, height, joined_groups(parts), group, origin)


def _file_name(image_path: str, *, beside: str) -> str:
    """Picture relative to the folder of the annotations; one that lies elsewhere as if it lay beside its file."""
    given = image_path.replace("\\", "/")
    name = posixpath.normpath(posixpath.join(beside, given))
    if name.startswith(("../", "/")) or ":" in given.split("/")[0]:
        name = posixpath.normpath(posixpath.join(beside, posixpath.basename(given)))
    return name


def _outline(shape: dict[str, Any], *, reading: Reading, where: str) -> _outlines.Outline:
    kind = shape.get("shape_type") or "polygon"
    points = _outlines.points_of(shape["points"], where=where)
    if kind in ("polygon", "oriented_rectangle") or (kind == "rectangle" and len(points) == 4):
        return _outlines.polygon(points, where=where)
    if kind in ("line", "linestrip"):
        return _outlines.line(points, width_px=reading.line_width_px, where=where)
    if kind in _NO_AREA:
        raise AnnotationError(f"{where} is a {kind}, which has no area; expected an outline. Outline or remove it")
    if kind not in ("rectangle", "circle", "mask") or len(points) != 2:
        raise AnnotationError(
            f"{where} is a {kind!r} of {len(points)} points; expected a polygon, rectangle, circle, line or mask"
        )
    if kind == "rectangle":
        return _outlines.rectangle(*points)
    if kind == "circle":
        radius = float(np.hypot(points[1][0] - points[0][0], points[1][1] - points[0][1]))
        return _outlines.ellipse(points[0], (radius, radius)) if radius else Polygon()
    (left, top), (right, bottom) = points
    most = (round(bottom - top) + 1, round(right - left) + 1)
    mask = _mask(shape.get("mask"), most=most, where=where)
    return _outlines.joined(outline(mask, offset=(round(left), round(top)))) if mask.any() else Polygon()


def _mask(text: object, *, most: tuple[int, int], where: str) -> NDArray[np.uint8]:
    """Mask (rows, cols) from a PNG in base64; one larger than its box is refused before it is decoded."""
    try:
        data = base64.b64decode(text if isinstance(text, str) else "", validate=True)
        with quiet(), Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            if image.height > most[0] or image.width > most[1]:
                raise AnnotationError(
                    f"{where}: the mask is {image.width} x {image.height} px; expected at most "
                    f"{most[1]} x {most[0]} px, the size of its box"
                )
            mask: NDArray[np.uint8] = (np.asarray(image.convert("L")) != 0).astype(np.uint8)
            return mask
    except (binascii.Error, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        if isinstance(error, AnnotationError):
            raise
        raise AnnotationError(
            f"{where}: the mask is no PNG in base64 ({error}); expected one. Draw it again"
        ) from error


def _document(image: AnnotatedImage, *, picture: str) -> dict[str, Any]:
    shapes: list[dict[str, Any]] = []
    for number, region in enumerate(image.regions, start=1):
        rings = _outlines.rings(region.polygon)
        for ring in rings:
            shape = {"label": region.kind, "points": ring.tolist(), "group_id": number if len(rings) > 1 else None}
            shape |= {"description": "", "shape_type": "polygon", "flags": {}, "mask": None}
            shapes.append(shape if region.score is None else shape | {"score": float(region.score)})
    document: dict[str, Any] = {"version": "5.5.0", "flags": {}, "shapes": shapes, "imagePath": picture}
    document |= {"imageData": None, "imageHeight": image.height, "imageWidth": image.width}
    return document | {key: value for key in ("group", "origin") if (value := getattr(image, key)) is not None}
