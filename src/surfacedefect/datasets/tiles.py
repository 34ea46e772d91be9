"""`write_tiles`: the binary tile set of the classic approach, labelled by the rule of the tile scores."""

from __future__ import annotations

import csv
import os
import secrets
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from surfacedefect._checks import check_names
from surfacedefect._files import check_folder, write_json
from surfacedefect._version import __version__
from surfacedefect._words import shortened
from surfacedefect.annotations import AnnotatedImage, AnnotationIssue, mend, read_mended
from surfacedefect.datasets._layout import Layout, hash_of
from surfacedefect.datasets._strata import IGNORE
from surfacedefect.datasets._tile_cutting import NAMES, Tile, cut
from surfacedefect.datasets._units import SPLITS, picture_rows
from surfacedefect.datasets._view import view_name
from surfacedefect.datasets.labels import Given, read_labels
from surfacedefect.datasets.manifest import manifest_batches, manifest_version
from surfacedefect.datasets.options import TileOptions
from surfacedefect.datasets.progress import Meter, Told
from surfacedefect.errors import DatasetError, OptionError, OutputError, SurfaceDefectError
from surfacedefect.evaluation import Protocol
from surfacedefect.scan import Scan

ALL = "all"
"""Name of the folder of tiles whose pictures have no split."""
COLUMNS = ("file", "split", "label", "picture", "hash", "group", "row", "col", "damaged_px", "valid_share")
"""Columns of ``tiles.csv``."""
_PNG_LEVEL = 2  # lossless as every level; the usual 6 takes two and a half times as long for a tenth fewer bytes
_LEFT_OUT = ("too little damage", "too little valid")


@dataclass(frozen=True, slots=True)
class TilesReport:
    """What was cut.

    Attributes
    ----------
    out
        The folder.
    counts
        Split, or ``"all"`` -> ``{"damaged": n, "clean": n}``.
    left_out
        Tiles that are neither: ``"too little damage"`` for some, but less than the threshold; ``"too little valid"``.
    pictures
        Pictures that were cut.
    not_annotated
        Good pictures of the data set that were not, as nobody annotated them.
    issues
        What was mended or set aside of the annotations.
    """

    out: Path
    counts: Mapping[str, Mapping[str, int]]
    left_out: Mapping[str, int]
    pictures: int
    not_annotated: int
    issues: tuple[AnnotationIssue, ...]


def write_tiles(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    annotations: Given | None = None,
    images: str | os.PathLike[str] | None = None,
    options: TileOptions | None = None,
    progress: Told | None = None,
) -> TilesReport:
    """Cut annotated pictures into tiles, ``OUT/<split>/<damaged or clean>/<picture>_<row>_<col>.png``.

    Tiles start at the top left and never overlap; the last ones of a row and a column are filled by reflection, as the
    tile classifier does. ``tiles.csv`` says where each comes from, ``tiles.json`` how they were cut.

    Parameters
    ----------
    source
        Folder of a data set, then with `annotations`; or a file or folder of annotations of any format, then with
        `images`.
    out
        Folder to make: new or empty. It appears when all is written.
    annotations
        See `read_labels`. Only pictures that are annotated are cut, those without damage too.
    images
        Folder of the pictures of an annotation file; YOLO says itself where they are.
    options
        Size of the tiles, thresholds, kinds; None for the defaults.
    progress
        Called with a `Progress` at most ten times a second.

    Raises
    ------
    OptionError
        Annotations or images are missing, or a kind is not known.
    DatasetError
        Some of the pictures have a split and some have none, or there is nothing to cut.
    AnnotationError
        The annotations cannot be read.
    ScanError
        A picture cannot be read.
    OutputError
        `out` holds something, or cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from shapely.geometry import box
    >>> from surfacedefect.annotations import Dataset, Region, write_annotations
    >>> place = Path(tempfile.mkdtemp())
    >>> Image.new("RGB", (600, 300)).save(place / "door.png")
    >>> door = AnnotatedImage("door.png", 600, 300, (Region("dent", box(10, 10, 30, 30)),))
    >>> write_annotations(Dataset(("dent",), (door,)), place / "a.json", format="coco")
    >>> write_tiles(place / "a.json", place / "tiles", images=place).counts
    {'all': {'damaged': 1, 'clean': 1}}
    """
    target, rules = Path(out).expanduser().absolute(), options or TileOptions()
    _check_empty(target)
    if os.path.isfile(Layout(source).manifest):  # noqa: PTH113 - Path.is_file raises for names that are too long
        if annotations is None or images is not None:
            raise OptionError(
                f"'{shortened(source)}' is a data set; expected annotations of its pictures, and no folder of images"
            )
        given = _of_data_set(Layout(source), annotations)
    elif annotations is not None:
        raise OptionError(f"'{shortened(source)}' is no data set; expected none, or annotations as the source itself")
    else:
        given = _of_annotations(Path(source), images)
    kinds = _kinds(rules, given)
    if not given.pictures:
        raise DatasetError(f"'{shortened(source)}' has no annotated picture; expected some to cut into tiles")
    with _whole_folder(target) as part:
        return _Cutting(given, part, target, options=replace(rules, kinds=kinds), meter=Meter(progress)).run()


@dataclass(frozen=True, slots=True)
class _Picture:
    path: Path
    shown: str
    hash: str
    split: str
    image: AnnotatedImage

    @property
    def stem(self) -> str:
        """Name of its tiles, another one for each hash."""
        return view_name(self.shown, digest=self.hash, suffix="")


@dataclass(frozen=True, slots=True)
class _Given:
    pictures: Sequence[_Picture]
    categories: tuple[str, ...]
    issues: tuple[AnnotationIssue, ...]
    not_annotated: int
    about: Mapping[str, str]


def _of_data_set(layout: Layout, annotations: Given) -> _Given:
    labels = read_labels(layout.folder, annotations)
    rows = picture_rows(layout.manifest)
    splits = {row.hash: row.split for row in rows if row.hash in labels.by_hash}
    groups = {row.hash: row.group for row in rows if row.group}
    without = [digest for digest, split in splits.items() if split is None]
    if without and len(without) < len(splits):
        raise DatasetError(
            f"{len(without):,} of {len(splits):,} annotated pictures of '{shortened(layout.folder)}' have no split; "
            "expected one for each, or for none: run 'surfacedefect data split' again"
        )
    paths = dict(_good_paths(layout.manifest))
    pictures = [
        _Picture(
            layout.object(digest), paths[digest], digest, splits[digest] or ALL,
            replace(image, group=groups.get(digest, image.group)),
        )
        for digest, image in labels.by_hash.items()
    ]  # fmt: skip
    about = {"data_set_version": manifest_version(layout.folder)}
    return _Given(pictures, labels.categories, labels.issues, len(paths.keys() - labels.by_hash.keys()), about)


def _good_paths(manifest: Path) -> Iterator[tuple[str, str]]:
    for batch in manifest_batches(manifest, columns=["source_path", "hash", "state"]):
        for row in batch.to_pylist():
            if row["state"] == "good":
                yield row["hash"], row["source_path"]


def _of_annotations(source: Path, images: str | os.PathLike[str] | None) -> _Given:
    if images is not None and not Path(images).is_dir():
        raise OptionError(f"images is '{shortened(images)}', which is no folder; expected that of the pictures")
    mended = read_mended(source, images_dir=None if images is None else Path(images))
    dataset = mended.dataset
    if dataset.images_dir is None:
        raise OptionError(f"'{shortened(source)}' does not say where its pictures are; expected images (--images)")
    digests = {image.file_name: _digest(dataset.path_of(image)) for image in dataset.images}
    first: dict[str, str] = {}
    same = {name: kept for name, digest in digests.items() if (kept := first.setdefault(digest, name)) != name}
    once = mend(dataset, same_pictures=same) if same else replace(mended, issues=())
    pictures = [
        _Picture(dataset.path_of(image), image.file_name, digests[image.file_name], ALL, image)
        for image in once.dataset.images
    ]
    issues = (*mended.issues, *once.issues)
    about = {"annotations_sha256": _digest(source)} if source.is_file() else {}
    return _Given(pictures, dataset.categories, issues, 0, about)


def _digest(path: Path) -> str:
    try:
        return hash_of(path)[0]
    except OSError as error:
        raise DatasetError(f"'{shortened(path)}' cannot be read: {error.strerror}; expected a picture") from error


def _kinds(options: TileOptions, given: _Given) -> tuple[str, ...]:
    known = [kind for kind in given.categories if kind != IGNORE]
    if options.kinds is None:
        return tuple(known)
    check_names("kinds", options.kinds, known=known)
    return options.kinds


class _Cutting:
    """The work: all pictures into one folder."""

    def __init__(self, given: _Given, part: Path, target: Path, *, options: TileOptions, meter: Meter) -> None:
        self._given, self._part, self._target = given, part, target
        self._options, self._meter = options, meter
        self._left_out = Counter(dict.fromkeys(_LEFT_OUT, 0))
        used = {picture.split for picture in given.pictures}
        self._counts = {name: dict.fromkeys(NAMES.values(), 0) for name in (*SPLITS, ALL) if name in used}

    def run(self) -> TilesReport:
        for split in self._counts:
            for label in NAMES.values():
                (self._part / split / label).mkdir(parents=True)
        pictures = sorted(self._given.pictures, key=lambda picture: (picture.split, picture.stem))
        self._meter.begin("cutting", of_files=len(pictures), of_bytes=sum(_size(p.path) for p in pictures))
        with (self._part / "tiles.csv").open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(COLUMNS)
            for picture in pictures:
                table.writerows(self._rows(picture))
                self._meter.add(files=1, size_bytes=_size(picture.path))
                self._meter.check()
        self._meter.end()
        report = TilesReport(
            out=self._target,
            counts=self._counts,
            left_out=dict(self._left_out),
            pictures=len(pictures),
            not_annotated=self._given.not_annotated,
            issues=self._given.issues,
        )
        self._describe(report)
        return report

    def _rows(self, picture: _Picture) -> Iterator[tuple[Any, ...]]:
        options, image = self._options, picture.image
        rules = Protocol(
            tile_px=options.size_px, tile_damaged_px=options.damaged_px, tile_valid_share=options.valid_share
        )
        with Scan.open(picture.path, max_pixels=options.max_pixels) as scan:
            if (scan.width, scan.height) != (image.width, image.height):
                raise DatasetError(
                    f"{shortened(picture.shown)!r} is {scan.width} x {scan.height} px, but was annotated at "
                    f"{image.width} x {image.height} px; expected the same: annotate it anew, or leave it out"
                )
            for tile in cut(scan, image, kinds=frozenset(options.kinds or ()), rules=rules):
                if tile.rgb is None:
                    few = tile.valid_px < rules.tile_valid_share * rules.tile_px**2
                    self._left_out[_LEFT_OUT[few]] += 1
                else:
                    yield self._written(tile, tile.rgb, picture)

    def _written(self, tile: Tile, rgb: NDArray[np.uint8], picture: _Picture) -> tuple[Any, ...]:
        label = NAMES[tile.label]
        self._counts[picture.split][label] += 1
        file = PurePosixPath(picture.split, label, f"{picture.stem}_{tile.row}_{tile.col}.png")
        Image.fromarray(rgb).save(self._part / file, "PNG", compress_level=_PNG_LEVEL)
        share = round(tile.valid_px / self._options.size_px**2, 6)
        where = (picture.shown, picture.hash, picture.image.group, tile.row, tile.col)
        return (file, picture.split, label, *where, tile.damaged_px, share)

    def _describe(self, report: TilesReport) -> None:
        about = {name: getattr(report, name) for name in ("counts", "left_out", "pictures", "not_annotated")}
        record = {"surfacedefect": __version__, **self._given.about, "options": asdict(self._options), **about}
        write_json(self._part / "tiles.json", record)


def _size(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_size
    return 0


def _check_empty(target: Path) -> None:
    try:
        there = target.is_symlink() or (
            next(target.iterdir(), None) is not None if target.is_dir() else target.exists()
        )
    except OSError as error:
        raise OutputError(
            f"'{shortened(target)}' cannot be written ({error.strerror}); choose another folder"
        ) from error
    if there:
        raise OutputError(f"'{shortened(target)}' is there already; expected a new or an empty folder: choose another")


@contextmanager
def _whole_folder(target: Path) -> Iterator[Path]:
    """Give a folder beside `target` that takes its name when the block ends well, and is gone when it does not."""
    check_folder(target.parent)
    part = target.with_name(f".{target.name[:40]}-{secrets.token_hex(6)}.part")
    try:
        part.mkdir()
        yield part
        if target.is_dir():
            target.rmdir()
        part.rename(target)
    except SurfaceDefectError:
        raise
    except OSError as error:
        raise OutputError(
            f"'{shortened(target)}' cannot be written ({error.strerror or error}); expected a disk with room"
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
