"""Segmentation labels of YOLO (Ultralytics): https://docs.ultralytics.com/datasets/segment/.

``data.yaml`` names the kinds; ``labels/a/door.txt`` holds a line a region, ``number x1 y1 x2 y2 ...`` in shares of the
picture's width and height; ``images/a/door.jpg`` is the picture, whose size is needed to read it. A region is one
ring: parts and holes are bridged, as Ultralytics joins parts. Scores, groups and the split are not kept.

YAML is read by PyYAML with its safe loader.
"""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from surfacedefect._files import write_text
from surfacedefect._words import shortened, type_name
from surfacedefect.annotations import _outlines
from surfacedefect.annotations._pictures import label_names, pictures_by_stem, size_px, stem
from surfacedefect.annotations._reading import Reading
from surfacedefect.annotations.record import AnnotatedImage, Dataset, Region
from surfacedefect.errors import AnnotationError, require

_SPLITS = ("train", "val", "test")
_EXPECTED = "a YOLO data.yaml with names"
_SLACK_PX = 1e-6
_DIGITS = 10
_NOT_LABELS = ("classes", "readme")


def yaml_of(source: Path) -> Path:
    """Return the one YAML file of a YOLO folder, or the file itself."""
    if not source.is_dir():
        return source
    found = sorted(p for p in source.iterdir() if p.suffix in (".yaml", ".yml"))
    named = [p for p in found if p.stem == "data"] or found
    if len(named) != 1:
        raise AnnotationError(f"{shortened(source)} holds {len(found)} YAML files; expected one, {_EXPECTED}")
    return named[0]


def read(source: Path, reading: Reading) -> Dataset:
    """Read YOLO labels as `reading` says; the pictures, if not said, are where the YAML file says."""
    settings = yaml_of(source)
    document = _load(settings)
    names = _names(document.get("names"), where=shortened(settings))
    base = _base(document, settings=settings, images_dir=reading.images_dir)
    folder = _pictures_folder(base) if reading.images_dir is None else reading.images_dir
    found = pictures_by_stem(folder) if folder.is_dir() else {}
    pictures = {_without(key, "images"): name for key, name in found.items()}
    listed = {_without(stem(name), "images"): name for name in _listed(document, base=base, settings=settings)}
    labels = _labels(document, base=base)
    images = []
    for key in sorted({*pictures, *labels, *listed}):
        name, label = pictures.get(key) or listed.get(key), labels.get(key)
        with reading.part(name or key, entry=_label_text(label)):
            if name is None:
                raise AnnotationError(
                    f"{shortened(label)} has no picture '{key}' below {shortened(folder)}; expected one"
                )
            width, height = size_px(folder / name)
            regions = _regions(label, name=name, size=(width, height), names=names, reading=reading)
            images.append(AnnotatedImage(name, width, height, regions))
    return Dataset(tuple(names.values()), tuple(images), folder)


def write(path: Path, dataset: Dataset) -> None:
    """Write ``data.yaml``, ``train.txt`` and ``labels/``; the pictures belong into ``images/`` beside them."""
    yaml = require("yaml", extra="data")
    numbers = {kind: number for number, kind in enumerate(dataset.categories)}
    files = label_names(dataset.images, ending=".txt")
    texts = [_lines(image, numbers=numbers) for image in dataset.images]
    if bad := next((i.file_name for i in dataset.images if not i.file_name.isprintable()), None):
        raise AnnotationError(f"picture {bad!r} does not fit into a line of train.txt; expected a plain name")
    for file, text in zip(files, texts, strict=True):
        write_text(path / "labels" / file, text)
    write_text(path / "train.txt", "".join(f"./images/{image.file_name}\n" for image in dataset.images))
    document = {"train": "train.txt", "names": {number: kind for kind, number in numbers.items()}}
    write_text(path / "data.yaml", yaml.safe_dump(document, allow_unicode=True, sort_keys=False))


def _load(settings: Path) -> dict[str, Any]:
    yaml = require("yaml", extra="data")
    try:
        document = yaml.safe_load(settings.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise AnnotationError(
            f"{shortened(settings)} cannot be read: {error.strerror}. Expected {_EXPECTED}"
        ) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise AnnotationError(
            f"{shortened(settings)} is not YAML: {shortened(' '.join(str(error).split()))}. Expected {_EXPECTED}"
        ) from error
    if not isinstance(document, dict) or "names" not in document:
        raise AnnotationError(f"{shortened(settings)} holds {type_name(document)} without names; expected {_EXPECTED}")
    return document


def _names(found: object, *, where: str) -> dict[int, str]:
    names = dict(enumerate(found)) if isinstance(found, list) else found
    good = isinstance(names, dict) and all(
        isinstance(key, int) and isinstance(name, str) and name for key, name in names.items()
    )
    if not good or not isinstance(names, dict) or len(set(names.values())) != len(names):
        raise AnnotationError(f"{where}: the names are {shortened(found)}; expected a list, or number: name, each once")
    return {key: names[key] for key in sorted(names)}


def _base(document: dict[str, Any], *, settings: Path, images_dir: Path | None) -> Path:
    """Folder that the YAML file speaks of: its ``path`` where that is one, otherwise its own.

    A file of strangers does not choose what is read here: ``path`` leads out of its folder only to the pictures that
    the caller named, or to the folder that holds them and their labels.
    """
    said, own = document.get("path"), settings.parent
    base = _joined(own, said)
    if base is None or not base.is_dir():
        return own
    known = images_dir is not None and (_lies_in(base, images_dir) or _same(base, images_dir.absolute().parent))
    if not known and not _lies_in(base, own):
        raise AnnotationError(
            f"{shortened(settings)} has the path {shortened(said)!r}, which leads out of its folder; expected one "
            "inside. Remove the line, move the file to the folder it means, or say where the pictures are (images_dir)"
        )
    return base


def _joined(folder: Path, said: object) -> Path | None:
    """Path that an entry means. Without ``..``, which after a link would lead elsewhere than it seems to."""
    return Path(os.path.normpath(folder / said)) if isinstance(said, str) and "\0" not in said else None


def _lies_in(path: Path, folder: Path) -> bool:
    """Whether a path is a folder or lies in it, as written or as it really is: links inside are the user's own."""
    written = Path(os.path.normpath(path.absolute())).is_relative_to(os.path.normpath(folder.absolute()))
    return written or Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def _same(path: Path, folder: Path) -> bool:
    return os.path.realpath(path) == os.path.realpath(folder)


def _pictures_folder(base: Path) -> Path:
    return base / "images" if (base / "images").is_dir() else base


def _without(key: str, folder: str) -> str:
    """Path without its last part of that name: ``train/images/a`` and ``train/labels/a`` go together."""
    parts = list(PurePosixPath(key).parts)
    if folder in parts[:-1]:
        del parts[len(parts) - 2 - parts[-2::-1].index(folder)]
    return "/".join(parts)


def _labels(document: dict[str, Any], *, base: Path) -> dict[str, Path]:
    """Files of labels by what they share with their pictures: those in folders ``labels``, or else all of them."""
    files = {stem(p.relative_to(base).as_posix()): p for p in sorted(base.rglob("*.txt"))}
    kept = {key: p for key, p in files.items() if "labels" in PurePosixPath(key).parts[:-1]}
    lists = {(base / entry) for split in _SPLITS if isinstance(entry := document.get(split), str)}
    others = {key: p for key, p in files.items() if p not in lists and not p.name.lower().startswith(_NOT_LABELS)}
    return {_without(key, "labels"): p for key, p in (kept or others).items()}


def _listed(document: dict[str, Any], *, base: Path, settings: Path) -> list[str]:
    """Pictures that the lists of the YAML file name, relative to the folder of the pictures.

    Folders in place of lists are not looked into: what is in ``images`` is found anyway.
    """
    found = []
    for entry in (document.get(split) for split in _SPLITS):
        file = _joined(base, entry)
        if file is None or file.suffix != ".txt" or not file.is_file():
            continue
        if not _lies_in(file, base) and not _lies_in(file, settings.parent):
            raise AnnotationError(
                f"{shortened(settings)} lists pictures in {shortened(entry)!r}, which leads out of its folder; "
                "expected a file inside. Copy the list beside the YAML file, or remove the line"
            )
        for line in file.read_text(encoding="utf-8-sig", errors="replace").splitlines():
            path = PurePosixPath(line.strip())
            parts = path.parts[path.parts.index("images") + 1 :] if "images" in path.parts else path.parts
            if parts and not path.is_absolute() and ".." not in parts:
                found.append(PurePosixPath(*parts).as_posix())
    return found


def _label_text(label: Path | None) -> str:
    if label is None:
        return ""
    try:
        return label.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return shortened(label)


def _regions(
    label: Path | None, *, name: str, size: tuple[int, int], names: dict[int, str], reading: Reading
) -> tuple[Region, ...]:
    """Regions of a picture; one without a file of labels is clean."""
    if label is None:
        return ()
    try:
        lines = label.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise AnnotationError(f"{shortened(label)} cannot be read: {error}. Expected YOLO labels") from error
    regions = []
    for index, line in enumerate(lines):
        where = f"{shortened(label)}: line {index + 1}"
        if not line.strip():
            continue
        with reading.part(name, entry=line):
            head, *rest = line.split()
            if not head.isdecimal() or len(head) >= _DIGITS or int(head) not in names:
                raise AnnotationError(f"{where} is of class {shortened(head)!r}; expected one of {names}")
            if len(rest) == 4:
                raise AnnotationError(f"{where} is a box; expected an outline of three points or more. Outline it")
            values = [_outlines.number(value, where=where, name="a coordinate") for value in rest]
            score = values.pop() if len(values) % 2 else None  # predictions carry their confidence at the end
            points = [(x * size[0], y * size[1]) for x, y in zip(values[0::2], values[1::2], strict=True)]
            raw = _outlines.polygon(points, where=where)
            regions.append(reading.region(names[int(head)], raw, picture=name, where=where, score=score))
    return tuple(regions)


def _lines(image: AnnotatedImage, *, numbers: dict[str, int]) -> str:
    lines = []
    size = np.array([image.width, image.height], np.float64)
    for region in image.regions:
        ring = _outlines.one_ring(region.polygon)
        inside = np.clip(ring, 0, size)
        if np.abs(inside - ring).max() > _SLACK_PX:
            raise AnnotationError(
                f"picture '{image.file_name}': a region reaches out of the picture, which YOLO refuses; expected all "
                "inside. Mend the data set first, which clips it"
            )
        lines.append(f"{numbers[region.kind]} " + " ".join(map(repr, (inside / size).ravel().tolist())))
    return "".join(f"{line}\n" for line in lines)
