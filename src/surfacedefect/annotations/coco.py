"""COCO object-segmentation files: https://cocodataset.org/#format-data.

A file's polygons cannot hold holes. A region with holes is therefore written as an uncompressed RLE (``iscrowd`` 0,
every COCO tool decodes it) with its exact rings beside it as a GeoJSON ``outline``. Reading takes the rings as long as
they still draw the same pixels as the RLE; otherwise the RLE was edited, and its pixel edges are the outline.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from shapely.geometry import MultiPolygon, Polygon, mapping, shape

from surfacedefect._checks import is_whole
from surfacedefect._words import shortened, type_name
from surfacedefect.annotations import _rle
from surfacedefect.annotations._outlines import FARTHEST, Outline
from surfacedefect.annotations._pictures import check_pictures
from surfacedefect.annotations._reading import Reading, load_json, need, text_or_none
from surfacedefect.annotations.record import AnnotatedImage, Dataset, Region
from surfacedefect.errors import AnnotationError, OutputError


def read_coco(path: str | Path, *, images_dir: str | Path | None = None) -> Dataset:
    """Read a COCO file with polygons or RLE masks.

    Several polygons of one annotation are one region of several parts. Self-crossing polygons are repaired. A crowd
    (``iscrowd`` 1) is read as an ordinary region. The keys ``group`` and ``origin`` of a picture and ``score`` of an
    annotation are kept, others are not. Categories of the same name become one.

    Parameters
    ----------
    path
        The JSON file.
    images_dir
        Folder of the pictures. When given, every picture must be there.

    Returns
    -------
    Dataset
        Pictures in the order of the file, those without regions too.

    Raises
    ------
    AnnotationError
        The file is missing, is not JSON, lacks a key, names an unknown picture or category, holds a box instead of an
        outline or an outline without an area, or a picture is not in ``images_dir``.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "annotations.json"
    >>> write_coco(path, Dataset(("dent",), (AnnotatedImage("door.jpg", 640, 480),)))
    >>> read_coco(path).categories
    ('dent',)
    """
    dataset = read(Path(path), Reading(images_dir=None if images_dir is None else Path(images_dir)))
    check_pictures(dataset)
    return dataset


def read(source: Path, reading: Reading) -> Dataset:
    """Read a COCO file as `reading` says."""
    document = _load(source)
    kinds = _categories(document["categories"], source=source)
    images = _images(document["images"], source=source, reading=reading)
    regions: dict[int, list[Region]] = {number: [] for number in images}
    for index, entry in enumerate(document["annotations"]):
        where = f"{shortened(source)}: annotation {_name(entry, index)}"
        picture = images.get(entry.get("image_id")) if _has_whole(entry, "image_id") else None
        with reading.part(picture.file_name if picture else "", entry=entry):
            need(entry, "image_id", "category_id", where=where)
            image_id, category_id = entry["image_id"], entry["category_id"]
            if picture is None:
                raise AnnotationError(
                    f"{where} belongs to picture {image_id!r}, but no picture of the file has that id"
                )
            if not is_whole(category_id) or category_id not in kinds:
                raise AnnotationError(f"{where} is of category {category_id!r}; expected one of {kinds}")
            region = _region(entry, kind=kinds[category_id], image=picture, where=where, reading=reading)
            regions[image_id].append(region)
    whole = (replace(image, regions=tuple(regions[number])) for number, image in images.items())
    return Dataset(tuple(dict.fromkeys(kinds.values())), tuple(whole), reading.images_dir)


def write_coco(path: str | Path, dataset: Dataset) -> None:
    """Write a COCO file that pycocotools reads, under a temporary name that is then renamed.

    Categories are numbered from 1 in their order, annotations from 1; pictures keep their id, or get the next free one.
    ``area`` and ``bbox`` are those of the outline.

    Parameters
    ----------
    path
        The JSON file; an existing one is replaced.
    dataset
        What to write.

    Raises
    ------
    AnnotationError
        Two pictures have the same id.
    OutputError
        The file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "annotations.json"
    >>> write_coco(path, Dataset(("dent",), (AnnotatedImage("door.jpg", 640, 480, id=7),)))
    >>> json.loads(path.read_text())["images"]
    [{'id': 7, 'file_name': 'door.jpg', 'width': 640, 'height': 480}]
    """
    target = Path(path)
    category_ids = {name: number for number, name in enumerate(dataset.categories, start=1)}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, image in zip(_numbers(dataset.images), dataset.images, strict=True):
        entry: dict[str, Any] = {"id": number, "file_name": image.file_name}
        entry |= {"width": image.width, "height": image.height}
        images.append(entry | {key: value for key in ("group", "origin") if (value := getattr(image, key)) is not None})
        for region in image.regions:
            head = {"id": len(annotations) + 1, "image_id": number, "category_id": category_ids[region.kind]}
            annotations.append(head | _annotation(region, image=image))
    categories = [{"id": number, "name": name} for name, number in category_ids.items()]
    text = json.dumps({"categories": categories, "images": images, "annotations": annotations})
    temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(target)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OutputError(
            f"{shortened(target)} cannot be written: {error.strerror}. Choose a folder that exists and may be written"
        ) from error


def _load(source: Path) -> dict[str, Any]:
    document = load_json(source, expected="a COCO JSON file")
    need(document, "categories", "images", "annotations", where=shortened(source))
    for key in ("categories", "images", "annotations"):
        if not isinstance(document[key], list):
            raise AnnotationError(f"{shortened(source)}: '{key}' is {type_name(document[key])}; expected a list")
    return dict(document)


def _has_whole(entry: object, key: str) -> bool:
    return isinstance(entry, dict) and is_whole(entry.get(key))


def _name(entry: object, index: int) -> str:
    """How a message calls an entry: by its id, or else by its place in the list."""
    return repr(entry["id"]) if isinstance(entry, dict) and "id" in entry else f"number {index + 1}"


def _new_id(entry: Mapping[str, Any], taken: Mapping[int, object], *, where: str) -> int:
    number = entry["id"]
    if not is_whole(number):
        raise AnnotationError(f"{where}: the id is {number!r}; expected a whole number")
    if number in taken:
        raise AnnotationError(f"{where}: the id {number} stands twice; expected each once")
    return int(number)


def _categories(entries: list[Any], *, source: Path) -> dict[int, str]:
    kinds: dict[int, str] = {}
    for index, entry in enumerate(entries):
        where = f"{shortened(source)}: category {_name(entry, index)}"
        need(entry, "id", "name", where=where)
        number = _new_id(entry, kinds, where=where)
        if not isinstance(entry["name"], str) or not entry["name"]:
            raise AnnotationError(f"{where} is called {entry['name']!r}; expected a name such as 'scratch'")
        kinds[number] = entry["name"]
    return kinds


def _images(entries: list[Any], *, source: Path, reading: Reading) -> dict[int, AnnotatedImage]:
    images: dict[int, AnnotatedImage] = {}
    for index, entry in enumerate(entries):
        where = f"{shortened(source)}: picture {_name(entry, index)}"
        with reading.part(str(entry.get("file_name", "")) if isinstance(entry, dict) else "", entry=entry):
            need(entry, "id", "file_name", "width", "height", where=where)
            number = _new_id(entry, images, where=where)
            group, origin = text_or_none(entry, "group"), text_or_none(entry, "origin")
            try:
                images[number] = AnnotatedImage(
                    entry["file_name"], entry["width"], entry["height"], group=group, origin=origin, id=number
                )
            except AnnotationError as error:
                raise AnnotationError(f"{where}: {error}") from error
    return images


def _region(entry: dict[str, Any], *, kind: str, image: AnnotatedImage, where: str, reading: Reading) -> Region:
    if entry.get("iscrowd", 0) not in (0, 1):
        raise AnnotationError(f"{where}: iscrowd is {entry['iscrowd']!r}; expected 0 or 1")
    segmentation = entry.get("segmentation")
    if not segmentation:
        has = "only a box" if entry.get("bbox") else "neither an outline nor a box"
        raise AnnotationError(f"{where} has {has}; expected a segmentation. Outline it, or remove the annotation")
    if isinstance(segmentation, dict):
        outline = _from_rle(segmentation, rings=entry.get("outline"), image=image, where=where)
    elif isinstance(segmentation, list):
        outline = _from_polygons(segmentation, where=where)
    else:
        raise AnnotationError(
            f"{where}: the segmentation is {type_name(segmentation)}; expected a list or an RLE object"
        )
    return reading.region(kind, outline, picture=image.file_name, where=where, score=entry.get("score"))


def _from_polygons(rings: list[Any], *, where: str) -> Outline:
    parts: list[Polygon] = []
    for ring in rings:
        if not isinstance(ring, list):
            raise AnnotationError(f"{where}: a polygon is {type_name(ring)}; expected a list [x1, y1, x2, y2, ...]")
        if len(ring) % 2 or len(ring) < 6:
            raise AnnotationError(
                f"{where}: a polygon has {len(ring)} numbers; expected an even count of at least 6 (three points)"
            )
        if not all(isinstance(v, int | float) and not isinstance(v, bool) and abs(v) <= FARTHEST for v in ring):
            raise AnnotationError(f"{where}: a polygon holds something that is not a finite number up to 1e9")
        parts.append(Polygon(list(zip(ring[0::2], ring[1::2], strict=True))))
    return MultiPolygon(parts) if len(parts) > 1 else parts[0]


def _from_rle(
    segmentation: dict[str, Any], *, rings: object, image: AnnotatedImage, where: str
) -> Polygon | MultiPolygon:
    need(segmentation, "size", "counts", where=f"{where}: the RLE")
    if segmentation["size"] != [image.height, image.width]:
        raise AnnotationError(
            f"{where}: the RLE is of size {segmentation['size']}; "
            f"expected [{image.height}, {image.width}], the picture's height and width"
        )
    counts = segmentation["counts"]
    try:
        counts = _rle.decompress(counts) if isinstance(counts, str) else counts
    except AnnotationError as error:
        raise AnnotationError(f"{where}: {error}") from error
    if not isinstance(counts, list) or not all(is_whole(count) and count >= 0 for count in counts):
        raise AnnotationError(f"{where}: the counts of the RLE are not a list of whole numbers of at least 0")
    if sum(counts) != image.width * image.height:
        raise AnnotationError(
            f"{where}: the RLE covers {sum(counts)} pixels; expected {image.width * image.height}, all of the picture"
        )
    exact = _rings(rings)
    if exact is not None and _rle.encode(_rle.draw(exact, rows_cols=image.shape)) == [int(c) for c in counts]:
        return exact
    return _rle.to_outline(counts, rows_cols=image.shape)


def _rings(value: object) -> Polygon | MultiPolygon | None:
    """Exact rings that `write_coco` put beside an RLE, or None when there are none that can be used."""
    if not isinstance(value, dict) or value.get("type") not in ("Polygon", "MultiPolygon"):
        return None
    try:
        with np.errstate(all="ignore"):  # nan among the numbers
            outline = shape(value)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, shapely.errors.ShapelyError):
        return None
    usable = isinstance(outline, Polygon | MultiPolygon) and outline.is_valid and not outline.is_empty
    return outline if usable else None


def _numbers(images: Iterable[AnnotatedImage]) -> list[int]:
    """Id of every picture: its own, or the next one that is free."""
    given = [image.id for image in images if image.id is not None]
    if len(set(given)) != len(given):
        twice = next(number for number in given if given.count(number) > 1)
        raise AnnotationError(f"two pictures have the id {twice}; expected each once. Set id=None to number them anew")
    numbers, following = [], max(given, default=0) + 1
    for image in images:
        numbers.append(following if image.id is None else image.id)
        following += image.id is None
    return numbers


def _annotation(region: Region, *, image: AnnotatedImage) -> dict[str, Any]:
    polygon = region.polygon
    left, top, right, bottom = polygon.bounds
    entry: dict[str, Any] = {"iscrowd": 0, "area": polygon.area, "bbox": [left, top, right - left, bottom - top]}
    parts: list[Polygon] = list(polygon.geoms) if isinstance(polygon, MultiPolygon) else [polygon]
    if any(part.interiors for part in parts):
        counts = _rle.encode(_rle.draw(polygon, rows_cols=image.shape))
        entry |= {"segmentation": {"size": [image.height, image.width], "counts": counts}, "outline": mapping(polygon)}
    else:
        rings = [shapely.get_coordinates(part.exterior)[:-1] for part in parts]
        entry["segmentation"] = [ring.ravel().tolist() for ring in rings]
    return entry if region.score is None else entry | {"score": region.score}
