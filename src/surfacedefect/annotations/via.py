"""Projects and exports of the VGG Image Annotator, version 1 and 2: https://www.robots.ox.ac.uk/~vgg/software/via/.

The kind of a region is its attribute ``kind``, ``label``, ``class``, ``type``, ``category`` or ``name``, whichever is
first there, or its only attribute. VIA keeps no sizes of pictures: they are written as attributes ``width`` and
``height`` of the file, and read from the picture where these are missing. A region is one ring: parts and holes are
bridged.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shapely.geometry import Polygon

from surfacedefect._files import write_json
from surfacedefect._words import shortened, type_name
from surfacedefect.annotations import _outlines
from surfacedefect.annotations._outlines import number
from surfacedefect.annotations._pictures import size_px
from surfacedefect.annotations._reading import Reading, categories, load_json, need, text_or_none
from surfacedefect.annotations.record import AnnotatedImage, Dataset, Region
from surfacedefect.errors import AnnotationError

_METADATA = "_via_img_metadata"
_KIND_NAMES = ("kind", "label", "class", "type", "category", "name")
_NO_KIND = ("score",)

# VIA's own settings, which it wants whole, but for the label and colour of a region.
_CORE = {"buffer_size": 18, "filepath": {}, "default_filepath": ""}
_UI = {
    "annotation_editor_height": 25,
    "annotation_editor_fontsize": 0.8,
    "leftsidebar_width": 18,
    "image_grid": {
        "img_height": 80,
        "rshape_fill": "none",
        "rshape_fill_opacity": 0.3,
        "rshape_stroke": "yellow",
        "rshape_stroke_width": 2,
        "show_region_shape": True,
        "show_image_policy": "all",
    },
    "image": {
        "region_label": "kind",
        "region_color": "kind",
        "region_label_font": "10px Sans",
        "on_image_annotation_editor_placement": "NEAR_REGION",
    },
}


def is_via(document: object) -> bool:
    """Whether a JSON document is a project or an export of VIA."""
    if not isinstance(document, dict):
        return False
    entries = list(document.values())
    return _METADATA in document or (
        bool(entries) and all(isinstance(entry, dict) and {"filename", "regions"} <= entry.keys() for entry in entries)
    )


def read(source: Path, reading: Reading) -> Dataset:
    """Read a VIA project or export as `reading` says."""
    document = load_json(source, expected="a VIA project or its export as JSON")
    if isinstance(document, dict) and {"project", "config", "metadata"} <= document.keys():
        raise AnnotationError(f"{shortened(source)} is a project of VIA 3; expected VIA 1 or 2. Export it as COCO")
    entries = document.get(_METADATA, document) if isinstance(document, dict) else document
    if not isinstance(entries, dict):
        raise AnnotationError(f"{shortened(source)}: the pictures are {type_name(entries)}; expected a JSON object")
    images = []
    for key, entry in entries.items():
        where = f"{shortened(source)}: picture '{shortened(key)}'"
        name = entry["filename"] if isinstance(entry, dict) and isinstance(entry.get("filename"), str) else key
        with reading.part(name, entry=entry):
            need(entry, "filename", "regions", where=where)
            images.append(_image(entry, source=source, reading=reading, where=where))
    regions = (region for image in images for region in image.regions)
    return Dataset(categories(_named(document), regions), tuple(images), reading.images_dir)


def write(path: Path, dataset: Dataset) -> None:
    """Write a VIA 2 project, which VIA opens and whose pictures it finds by their names."""
    entries: dict[str, Any] = {}
    for image in dataset.images:
        size = -1  # VIA's own mark for "not known"
        if dataset.images_dir is not None and dataset.path_of(image).is_file():
            size = dataset.path_of(image).stat().st_size
        key = f"{image.file_name}{size}"
        if key in entries:
            raise AnnotationError(f"picture '{image.file_name}' stands twice; expected each once. Mend the data set")
        entries[key] = _entry(image) | {"size": size}
    options = {kind: kind for kind in dataset.categories}
    kinds = {"type": "dropdown", "description": "", "options": options, "default_options": {}}
    text = {"type": "text", "description": "", "default_value": ""}
    notes = dict.fromkeys(("width", "height", "group", "origin"), text)
    write_json(
        path,
        {
            "_via_settings": {"ui": _UI, "core": _CORE, "project": {"name": path.stem}},
            _METADATA: entries,
            "_via_attributes": {"region": {"kind": kinds, "score": text}, "file": notes},
            "_via_data_format_version": "2.0.10",
            "_via_image_id_list": list(entries),
        },
    )


def _named(document: Mapping[str, Any]) -> list[str]:
    """Kinds in the order of the project's own list, if it has one."""
    found: Any = document
    for key in ("_via_attributes", "region", "kind", "options"):
        found = found.get(key) if isinstance(found, dict) else None
    return [name for name in found if name] if isinstance(found, dict) else []


def _image(entry: dict[str, Any], *, source: Path, reading: Reading, where: str) -> AnnotatedImage:
    name = entry["filename"]
    notes = entry.get("file_attributes")
    notes = notes if isinstance(notes, dict) else {}
    listed = entry["regions"]
    listed = list(listed.values()) if isinstance(listed, dict) else listed  # VIA 1 numbers them
    if not isinstance(listed, list):
        raise AnnotationError(f"{where}: the regions are {type_name(listed)}; expected a list")
    width, height = _size(name, notes, source=source, reading=reading, where=where)
    regions: list[Region] = []
    for index, region in enumerate(listed):
        here = f"{where}: region {index + 1}"
        with reading.part(str(name), entry=region):
            need(region, "shape_attributes", "region_attributes", where=here)
            about = region["region_attributes"] if isinstance(region["region_attributes"], dict) else {}
            raw = _outline(region["shape_attributes"], reading=reading, where=here)
            score = number(about["score"], where=here, name="score") if about.get("score") not in (None, "") else None
            regions.append(reading.region(_kind(about, where=here), raw, picture=name, where=here, score=score))
    return AnnotatedImage(
        name, width, height, tuple(regions), text_or_none(notes, "group"), text_or_none(notes, "origin")
    )


def _size(name: str, notes: dict[str, Any], *, source: Path, reading: Reading, where: str) -> tuple[int, int]:
    if notes.get("width") and notes.get("height"):
        sides = [number(notes[side], where=where, name=side) for side in ("width", "height")]
        if all(side == int(side) for side in sides):
            return int(sides[0]), int(sides[1])
    folder = source.parent if reading.images_dir is None else reading.images_dir
    try:
        return size_px(folder / str(name))
    except AnnotationError as error:
        raise AnnotationError(
            f"{where}: VIA keeps no sizes, and {error}. Say where the pictures are (images_dir)"
        ) from error


def _kind(about: dict[str, Any], *, where: str) -> str:
    """Kind of a region: a text, or the one box that is ticked."""
    named = [key for key in _KIND_NAMES if about.get(key)] or [key for key in about if key not in _NO_KIND]
    value = about[named[0]] if named and (len(named) == 1 or named[0] in _KIND_NAMES) else None
    if isinstance(value, dict):
        ticked = [key for key, on in value.items() if on]
        value = ticked[0] if len(ticked) == 1 else None
    if not isinstance(value, str) or not value:
        raise AnnotationError(
            f"{where}: its attributes {about} name no kind; expected one of {', '.join(_KIND_NAMES)} with a name"
        )
    return value


def _outline(shape: object, *, reading: Reading, where: str) -> _outlines.Outline:
    need(shape, "name", where=where)
    about: dict[str, Any] = dict(shape)  # type: ignore[call-overload]
    kind = about["name"]

    def numbers(*keys: str) -> list[float]:
        need(about, *keys, where=f"{where}: the {kind}")
        return [number(about[key], where=where, name=key) for key in keys]

    if kind in ("polygon", "polyline"):
        need(about, "all_points_x", "all_points_y", where=f"{where}: the {kind}")
        xs, ys = about["all_points_x"], about["all_points_y"]
        if not isinstance(xs, list) or not isinstance(ys, list) or len(xs) != len(ys):
            raise AnnotationError(f"{where}: all_points_x and all_points_y differ in length; expected two lists alike")
        points = _outlines.points_of(list(zip(xs, ys, strict=True)), where=where)
        if kind == "polyline":
            return _outlines.line(points, width_px=reading.line_width_px, where=where)
        return _outlines.polygon(points, where=where)
    if kind == "rect":
        x, y, width, height = numbers("x", "y", "width", "height")
        return _outlines.rectangle((x, y), (x + width, y + height))
    if kind == "circle":
        x, y, radius = numbers("cx", "cy", "r")
        return _outlines.ellipse((x, y), (radius, radius)) if radius else Polygon()
    if kind == "ellipse":
        x, y, rx, ry = numbers("cx", "cy", "rx", "ry")
        degrees = math.degrees(number(about.get("theta", 0), where=where, name="theta"))
        return _outlines.ellipse((x, y), (rx, ry), degrees=degrees) if rx and ry else Polygon()
    raise AnnotationError(f"{where} is a {kind!r}; expected a polygon, polyline, rect, circle or ellipse. Outline it")


def _entry(image: AnnotatedImage) -> dict[str, Any]:
    regions = []
    for region in image.regions:
        xs, ys = _outlines.one_ring(region.polygon).T.tolist()
        about = {"kind": region.kind} | ({} if region.score is None else {"score": repr(float(region.score))})
        shape = {"name": "polygon", "all_points_x": xs, "all_points_y": ys}
        regions.append({"shape_attributes": shape, "region_attributes": about})
    notes = {"width": str(image.width), "height": str(image.height)}
    notes |= {key: value for key in ("group", "origin") if (value := getattr(image, key)) is not None}
    return {"filename": image.file_name, "regions": regions, "file_attributes": notes}
