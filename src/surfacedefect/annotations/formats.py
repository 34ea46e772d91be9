"""One way in and one way out for every annotation format.

Looked at before this was written (November 2026): ``datumaro`` 1 reads COCO, CVAT and YOLO, not the JSON of LabelMe or
VIA, and pins NumPy 1.26 and Pillow 10.2; ``supervision`` reads COCO, YOLO and Pascal VOC, and brings
OpenCV and SciPy; ``labelme`` is under the GPL and brings PyQt5; ``pycocotools`` reads COCO alone and has no outlines.
None carries holes, parts and scores through all of these formats, so only the geometry (shapely), the pictures
(Pillow, rasterio) and YAML (PyYAML) come from elsewhere, and pycocotools checks the COCO files in the tests.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from shapely.geometry import MultiPolygon

from surfacedefect._checks import check_choice, expect, is_number
from surfacedefect._files import check_folder, clearing_new_folders
from surfacedefect._words import shortened
from surfacedefect.annotations import coco, cvat, labelme, masks, via, yolo
from surfacedefect.annotations._pictures import check_pictures
from surfacedefect.annotations._reading import Reading, load_json
from surfacedefect.annotations._xml import looks_like_xml, root_name
from surfacedefect.annotations.mend import Mended, mend
from surfacedefect.annotations.record import Dataset
from surfacedefect.errors import AnnotationError, OutputError


@dataclass(frozen=True, slots=True)
class _Format:
    read: Callable[[Path, Reading], Dataset]
    write: Callable[[Path, Dataset], None]
    keeps: frozenset[str]


def _write_coco(path: Path, dataset: Dataset) -> None:
    check_folder(path.parent)
    coco.write_coco(path, dataset)


_EVERYTHING = frozenset({"scores", "groups and origins", "ids", "regions of several parts"})
_FORMATS = {
    "coco": _Format(coco.read, _write_coco, _EVERYTHING),
    "labelme": _Format(labelme.read, labelme.write, _EVERYTHING - {"ids"}),
    "via": _Format(via.read, via.write, _EVERYTHING - {"ids"}),
    "cvat": _Format(cvat.read, cvat.write, _EVERYTHING),
    "yolo": _Format(yolo.read, yolo.write, frozenset({"regions of several parts"})),
    "masks": _Format(masks.read, masks.write, frozenset()),
}
FORMATS = tuple(_FORMATS)
"""Names of the formats that are read and written."""


def read_annotations(
    path: str | Path,
    format: str = "auto",
    *,
    images_dir: str | Path | None = None,
    line_width_px: float | None = None,
) -> Dataset:
    """Read annotations of any format; what is wrong in them raises.

    Parameters
    ----------
    path
        The file, or the folder for ``labelme``, ``yolo`` and ``masks``.
    format
        ``"coco"``, ``"labelme"``, ``"via"``, ``"cvat"``, ``"yolo"``, ``"masks"``, or ``"auto"`` to look which it is.
    images_dir
        Folder of the pictures. When given, every picture must be there. YOLO and VIA know no sizes of pictures and
        need them; without it they look where their files say.
    line_width_px
        How wide open lines are, in pixels above 0; ``None`` refuses them, as they have no area. A line whose ends meet
        is an outline.

    Returns
    -------
    Dataset
        The pictures with their regions. Self-crossing outlines are made valid; outlines that reach out of their picture
        and pictures that stand twice are left as they are: `mend` sees to them.

    Raises
    ------
    AnnotationError
        The file is not what it should be, holds a region without an area, an unknown class, a picture that is not
        there; the message says where.
    OptionError
        ``format`` or ``line_width_px`` is out of its range.

    Examples
    --------
    >>> import tempfile
    >>> from surfacedefect.annotations import AnnotatedImage
    >>> out = Path(tempfile.mkdtemp()) / "cvat.xml"
    >>> write_annotations(Dataset(("dent",), (AnnotatedImage("door.jpg", 640, 480),)), out, format="cvat")
    >>> read_annotations(out).images[0].file_name
    'door.jpg'
    """
    dataset = _read(path, format, _reading(images_dir, line_width_px, strict=True))
    check_pictures(dataset)
    return dataset


def read_mended(
    path: str | Path,
    format: str = "auto",
    *,
    kinds: Sequence[str] | Mapping[str, str] | None = None,
    images_dir: str | Path | None = None,
    line_width_px: float | None = None,
) -> Mended:
    """Read annotations of any format and mend them; what cannot be mended is set aside, with a line in the report.

    Parameters
    ----------
    path, format, images_dir, line_width_px
        As in `read_annotations`.
    kinds
        As in `mend`.

    Returns
    -------
    Mended
        The data set and the issues: those of reading, then those of `mend`.

    Raises
    ------
    AnnotationError
        The file as a whole cannot be understood.
    OptionError
        An option is out of its range.

    Examples
    --------
    >>> import json, tempfile
    >>> shapes = [{"label": "dent", "points": [[0, 0], [4, 4], [8, 8]], "shape_type": "polygon"}]
    >>> file = Path(tempfile.mkdtemp()) / "door.json"
    >>> text = json.dumps({"shapes": shapes, "imagePath": "door.jpg", "imageWidth": 9, "imageHeight": 9})
    >>> _ = file.write_text(text)
    >>> [issue.done for issue in read_mended(file).issues]
    ['set aside']
    """
    reading = _reading(images_dir, line_width_px, strict=False)
    found = mend(_read(path, format, reading), kinds=kinds, images_dir=images_dir)
    return Mended(found.dataset, (*reading.issues, *found.issues))


def write_annotations(dataset: Dataset, path: str | Path, *, format: str) -> None:
    """Write annotations in any format; every file appears whole or not at all.

    Parameters
    ----------
    dataset
        What to write.
    path
        The file, or the folder for ``labelme``, ``yolo`` and ``masks``. Files of the same name are replaced, others
        in the folder stay.
    format
        One of `FORMATS`.

    Raises
    ------
    AnnotationError
        The format cannot hold it: two pictures would share a file, a name leads out of the folder or does not fit.
    OutputError
        A file cannot be written.
    OptionError
        There is no such format.

    Examples
    --------
    >>> import tempfile
    >>> from surfacedefect.annotations import AnnotatedImage
    >>> folder = Path(tempfile.mkdtemp())
    >>> write_annotations(Dataset(("dent",), (AnnotatedImage("a/door.jpg", 64, 48),)), folder, format="labelme")
    >>> sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.*"))
    ['a/door.json', 'labels.txt']
    """
    check_choice("format", format, FORMATS)
    if not str(path).strip():
        raise OutputError("the path to write to is empty; expected a file or folder, such as . for the current one")
    try:
        with clearing_new_folders(path):
            _FORMATS[format].write(Path(path), dataset)
    except UnicodeEncodeError as error:
        raise AnnotationError(
            f"a name holds {error.object[error.start]!r}, which no file can hold; expected letters"
        ) from error


def not_kept(dataset: Dataset, *, format: str) -> tuple[str, ...]:
    """Say what of a data set a format cannot hold; empty when nothing would be lost.

    Parameters
    ----------
    dataset
        What would be written.
    format
        One of `FORMATS`.

    Raises
    ------
    OptionError
        There is no such format.

    Examples
    --------
    >>> from shapely.geometry import box
    >>> from surfacedefect.annotations import AnnotatedImage, Region
    >>> door = AnnotatedImage("door.jpg", 64, 48, (Region("dent", box(1, 1, 9, 9), 0.5),))
    >>> not_kept(Dataset(("dent",), (door,)), format="yolo")
    ('1 scores',)
    """
    check_choice("format", format, FORMATS)
    regions = [region for image in dataset.images for region in image.regions]
    counts = {
        "scores": sum(region.score is not None for region in regions),
        "groups and origins": sum(image.group is not None or image.origin is not None for image in dataset.images),
        "ids": sum(image.id is not None for image in dataset.images),
        "regions of several parts": sum(isinstance(region.polygon, MultiPolygon) for region in regions),
    }
    if format == "masks":
        counts["regions that hold no pixel's centre"] = sum(
            not masks.draws_pixels(region, image=image) for image in dataset.images for region in image.regions
        )
    return tuple(f"{n} {what}" for what, n in counts.items() if n and what not in _FORMATS[format].keeps)


def detect_format(path: str | Path) -> str:
    """Say of which format a file or folder is, by what is in it.

    Parameters
    ----------
    path
        The file or folder.

    Returns
    -------
    str
        One of `FORMATS`.

    Raises
    ------
    AnnotationError
        There is nothing, or nothing that is known.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "a.json"
    >>> _ = file.write_text('{"images": [], "annotations": [], "categories": []}')
    >>> detect_format(file)
    'coco'
    """
    source = Path(path)
    if source.is_dir():
        found = _folder_format(source)
    elif looks_like_xml(source) or source.suffix.lower() == ".xml":
        found = _xml_format(source)
    elif source.suffix.lower() in (".yaml", ".yml"):
        found = "yolo"
    else:
        found = _json_format(load_json(source, expected=_expected()))
    if found is None:
        raise AnnotationError(f"{shortened(source)} is of no known format; expected {_expected()}. Name the format")
    return found


def _expected() -> str:
    return f"annotations of one of {', '.join(FORMATS)}"


def _xml_format(source: Path) -> str:
    root = root_name(source, expected=_expected())
    if root != cvat.ROOT:
        raise AnnotationError(
            f"{shortened(source)} is XML of <{shortened(root)}>; expected <{cvat.ROOT}>, as CVAT writes it. Export it "
            "as 'CVAT for images', or convert it to another format first"
        )
    return "cvat"


def _json_format(document: object) -> str | None:
    if isinstance(document, dict) and {"images", "annotations", "categories"} <= document.keys():
        return "coco"
    if isinstance(document, dict) and {"shapes", "imagePath"} <= document.keys():
        return "labelme"
    return "via" if via.is_via(document) else None


def _folder_format(folder: Path) -> str | None:
    if any(p.suffix in (".yaml", ".yml") for p in folder.iterdir()):
        return "yolo"
    for file in sorted(p for p in folder.rglob("*.json") if not p.name.startswith(".")):
        try:
            document = load_json(file, expected="JSON")
        except AnnotationError:
            continue
        if _json_format(document) == "labelme":
            return "labelme"
    return "masks" if masks.kind_folders(folder) else None


def _read(path: str | Path, format: str, reading: Reading) -> Dataset:
    check_choice("format", format, ("auto", *FORMATS))
    source = Path(path)
    if not str(path).strip() or not source.exists():
        raise AnnotationError(f"'{shortened(path)}' cannot be read: there is nothing. Expected {_expected()}")
    name = detect_format(source) if format == "auto" else format
    return _FORMATS[name].read(source, reading)


def _reading(images_dir: str | Path | None, line_width_px: float | None, *, strict: bool) -> Reading:
    good = line_width_px is None or (is_number(line_width_px) and math.isfinite(line_width_px) and line_width_px > 0)
    expect(good, "line_width_px", line_width_px, "a number above 0, or None")
    return Reading(None if images_dir is None else Path(images_dir), line_width_px, strict)
