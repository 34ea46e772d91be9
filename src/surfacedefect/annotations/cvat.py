"""CVAT XML 1.1 for images: https://docs.cvat.ai/docs/other/xml_format/.

Polygons of one ``group_id`` and label are the parts of one region; holes are bridged into the ring. Scores are an
attribute ``score``. Tracks, which belong to videos, are refused; tags, points, cuboids and skeletons have no outline.
"""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import numpy as np
from shapely.geometry import Polygon

from surfacedefect._files import write_text
from surfacedefect._words import shortened
from surfacedefect.annotations import _outlines
from surfacedefect.annotations._outlines import number
from surfacedefect.annotations._reading import Reading, categories, joined_groups
from surfacedefect.annotations._xml import load_xml
from surfacedefect.annotations.record import AnnotatedImage, Dataset, Region
from surfacedefect.errors import AnnotationError
from surfacedefect.polygons import outline

_EXPECTED = "a CVAT XML file for images"
ROOT = "annotations"
"""Name of the element that holds all others."""
_VERSION = "1.1"
_DIGITS = 10
_MOST_PX = 2**30
_WITHOUT_OUTLINE = ("tag", "points", "cuboid", "skeleton")


def read(source: Path, reading: Reading) -> Dataset:
    """Read a CVAT file as `reading` says."""
    root = load_xml(source, expected=_EXPECTED)
    where = shortened(source)
    version = root.findtext("version")
    if root.tag != ROOT or version != _VERSION:
        raise AnnotationError(
            f"{where} is <{root.tag}> of version {version}; expected {_EXPECTED} of version {_VERSION}"
        )
    if root.find("track") is not None:
        raise AnnotationError(f"{where} holds tracks of a video; expected {_EXPECTED}. Export it as 'CVAT for images'")
    images = []
    for index, element in enumerate(root.iterfind("image")):
        name = element.get("name", "")
        with reading.part(name, entry=_text(element)):
            images.append(_image(element, reading=reading, where=f"{where}: picture '{name or index + 1}'"))
    named = [label.text for label in root.iterfind("meta//labels/label/name") if label.text]
    regions = (region for image in images for region in image.regions)
    return Dataset(categories(named, regions), tuple(images), reading.images_dir)


def write(path: Path, dataset: Dataset) -> None:
    """Write a CVAT file whose labels CVAT takes over; pictures keep their id, or are numbered anew from 0."""
    root = Element(ROOT)
    SubElement(root, "version").text = _VERSION
    labels = SubElement(SubElement(SubElement(root, "meta"), "task"), "labels")
    for kind in dataset.categories:
        label = SubElement(labels, "label")
        SubElement(label, "name").text = kind
        attribute = SubElement(SubElement(label, "attributes"), "attribute")
        for key, value in (
            ("name", "score"),
            ("mutable", "False"),
            ("input_type", "text"),
            ("default_value", ""),
            ("values", ""),
        ):
            SubElement(attribute, key).text = value
    keeps_ids = len({image.id for image in dataset.images} - {None}) == len(dataset.images)
    for index, image in enumerate(dataset.images):
        _add_image(root, image, number=image.id if keeps_ids and image.id is not None else index)
    _refuse_control_characters(root)
    indent(root)
    write_text(path, '<?xml version="1.0" encoding="utf-8"?>\n' + tostring(root, encoding="unicode") + "\n")


def _image(element: Element, *, reading: Reading, where: str) -> AnnotatedImage:
    name = element.get("name", "")
    width, height = (_whole(element, key, where=where) for key in ("width", "height"))
    parts: list[tuple[object, Region]] = []
    for index, shape in enumerate(element):
        here = f"{where}: {shape.tag} {index + 1}"
        with reading.part(name, entry=_text(shape)):
            raw = _outline(shape, reading=reading, where=here)
            text = next((a.text for a in shape.iterfind("attribute") if a.get("name") == "score"), None)
            score = number(text, where=here, name="score") if text and text.strip() else None
            region = reading.region(shape.get("label"), raw, picture=name, where=here, score=score)
            parts.append((shape.get("group_id"), region))
    identity = _whole(element, "id", where=where) if element.get("id") is not None else None
    group, origin = element.get("group"), element.get("origin")
    return AnnotatedImage(name, width, height, joined_groups(parts), group, origin, identity)


def _outline(shape: Element, *, reading: Reading, where: str) -> _outlines.Outline:
    def numbers(*keys: str) -> list[float]:
        return [number(shape.get(key), where=where, name=key) for key in keys]

    degrees = number(shape.get("rotation", "0"), where=where, name="rotation")
    if shape.tag in ("polygon", "polyline"):
        pairs = [pair.split(",") for pair in shape.get("points", "").split(";") if pair.strip()]
        points = _outlines.points_of(pairs, where=where)
        if shape.tag == "polyline":
            return _outlines.line(points, width_px=reading.line_width_px, where=where)
        return _outlines.polygon(points, where=where)
    if shape.tag == "box":
        left, top, right, bottom = numbers("xtl", "ytl", "xbr", "ybr")
        return _outlines.rectangle((left, top), (right, bottom), degrees=degrees)
    if shape.tag == "ellipse":
        x, y, rx, ry = numbers("cx", "cy", "rx", "ry")
        return _outlines.ellipse((x, y), (rx, ry), degrees=degrees) if rx and ry else Polygon()
    if shape.tag == "mask":
        return _of_mask(shape, where=where)
    if shape.tag in _WITHOUT_OUTLINE:
        raise AnnotationError(f"{where} has no area; expected an outline. Outline it, or remove it")
    raise AnnotationError(f"{where} is unknown; expected a polygon, polyline, box, ellipse or mask")


def _of_mask(shape: Element, *, where: str) -> _outlines.Outline:
    """Outline of run lengths, row by row from the left of the mask's box, background first."""
    left, top, width, height = (_whole(shape, key, where=where) for key in ("left", "top", "width", "height"))
    if width * height > _MOST_PX:
        raise AnnotationError(f"{where}: the mask is {width} x {height} px; expected at most {_MOST_PX:,} px")
    counts = [text.strip() for text in shape.get("rle", "").split(",")]
    good = all(text.isdecimal() and len(text) < _DIGITS for text in counts)
    if not good or sum(map(int, counts)) != width * height or width < 1:
        raise AnnotationError(f"{where}: the run lengths do not cover its {width} x {height} px; expected all of them")
    values = np.arange(len(counts), dtype=np.uint8) % 2
    mask = np.repeat(values, [int(text) for text in counts]).reshape(height, width)
    return _outlines.joined(outline(mask, offset=(left, top))) if mask.any() else Polygon()


def _whole(element: Element, key: str, *, where: str) -> int:
    value = element.get(key)
    if value is None or not value.strip().isdecimal() or len(value) >= _DIGITS:
        raise AnnotationError(
            f"{where}: {key} is {value and shortened(value)!r}; expected a whole number from 0 to 999,999,999"
        )
    return int(value)


def _text(element: Element) -> str:
    return tostring(element, encoding="unicode").strip()


def _add_image(root: Element, image: AnnotatedImage, *, number: int) -> None:
    about = {"id": str(number), "name": image.file_name, "width": str(image.width), "height": str(image.height)}
    about |= {key: value for key in ("group", "origin") if (value := getattr(image, key)) is not None}
    element = SubElement(root, "image", about)
    for index, region in enumerate(image.regions, start=1):
        rings = _outlines.rings(region.polygon)
        for ring in rings:
            points = ";".join(f"{x!r},{y!r}" for x, y in ring.tolist())
            shape = {"label": region.kind, "source": "manual", "occluded": "0", "points": points, "z_order": "0"}
            shape |= {"group_id": str(index)} if len(rings) > 1 else {}
            polygon = SubElement(element, "polygon", shape)
            if region.score is not None:
                SubElement(polygon, "attribute", name="score").text = repr(float(region.score))


def _refuse_control_characters(root: Element) -> None:
    for element in root.iter():
        for text in (element.text or "", *element.attrib.values()):
            if any((letter < " " or "\ud800" <= letter <= "\udfff" or letter in "\ufffe\uffff") for letter in text):
                raise AnnotationError(
                    f"{shortened(repr(text))} holds a character that XML cannot; expected a plain name"
                )
