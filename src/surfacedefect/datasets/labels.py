"""Annotations brought together with a data set: which picture of the manifest each annotated one is."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from surfacedefect._checks import expect
from surfacedefect._words import counted, shortened
from surfacedefect.annotations import AnnotatedImage, AnnotationIssue, Dataset, Mended, detect_format, mend, read_mended
from surfacedefect.datasets._brought import laid_out
from surfacedefect.datasets._layout import Layout
from surfacedefect.datasets._matching import SOUND, Matcher, Place, Row
from surfacedefect.datasets.manifest import manifest_batches
from surfacedefect.errors import DatasetError

_COLUMNS = ["source", "source_path", "hash", "width_px", "height_px", "state", "reason", "view_name"]
_MOST_NAMED = 3


Given: TypeAlias = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
"""One file or folder of annotations, or several."""


@dataclass(frozen=True, slots=True)
class Labels:
    """What is outlined in the pictures of a data set.

    Attributes
    ----------
    by_hash
        SHA-256 of a picture -> its record, each picture once. A picture without regions in here is clean; one that is
        not in here was not annotated.
    categories
        Names of the kinds.
    issues
        What was mended or set aside while reading, then what of it fits no picture of the data set.

    Examples
    --------
    >>> labels = Labels({"ab" * 32: AnnotatedImage("door.jpg", 640, 480)}, ("dent",), ())
    >>> labels.by_hash["ab" * 32].regions
    ()
    """

    by_hash: Mapping[str, AnnotatedImage]
    categories: tuple[str, ...]
    issues: tuple[AnnotationIssue, ...]


def read_labels(
    dest: str | os.PathLike[str],
    annotations: Given,
    *,
    format: str = "auto",
    kinds: Sequence[str] | Mapping[str, str] | None = None,
) -> Labels:
    """Read annotations, mend them, and find the picture of each in the manifest.

    The name of an annotated picture is looked for as

    1. a name in the view;
    2. a path beside the annotations, where these lie in a source;
    3. a path in a source, or the end of a path below the annotations;
    4. the end of any path in a source, at a ``/``; or such a path as its own end.

    The first of these that fits a sound picture says which it is. Where it fits pictures with different hashes, none is
    taken, and an issue names them. Copies of one picture (one hash) under several paths that are annotated each become
    one record as `annotations.mend` merges them, under the name of the one that is in the view.

    Parameters
    ----------
    dest
        Folder of the data set.
    annotations
        File or folder of annotations; or, where there is no such file, the path of one in a source, as the column
        ``source_path`` has it. VIA and YOLO keep no sizes of pictures, so the pictures must lie beside them. Of
        several, in a list, the records of one picture are merged in the same way.
    format, kinds
        As in `annotations.read_mended`.

    Raises
    ------
    AnnotationError
        The annotations are not there, or cannot be understood as a whole.
    DatasetError
        There is no manifest, or none of the annotated pictures is in it.
    OptionError
        ``format`` or ``kinds`` is out of its range.

    Examples
    --------
    >>> import tempfile
    >>> from PIL import Image
    >>> from surfacedefect.annotations import write_annotations
    >>> from surfacedefect.datasets import ingest
    >>> share, dest = Path(tempfile.mkdtemp()), Path(tempfile.mkdtemp()) / "set"
    >>> (share / "car 1").mkdir()
    >>> Image.new("RGB", (64, 48)).save(share / "car 1" / "door.png")
    >>> write_annotations(Dataset(("dent",), (AnnotatedImage("door.png", 64, 48),)), share / "a.json", format="coco")
    >>> _ = ingest(share, dest)
    >>> [image.file_name for image in read_labels(dest, "a.json").by_hash.values()]
    ['door.png']
    """
    layout = Layout(dest)
    rows = [
        Row(**row)
        for batch in manifest_batches(layout.manifest, columns=_COLUMNS)
        for row in batch.to_pylist()  # all at once: a few hundred bytes a row
    ]
    given = [annotations] if isinstance(annotations, str | os.PathLike) else list(annotations)
    expect(bool(given), "annotations", annotations, "one or more paths")
    found = [_labels_of(layout, rows, os.fspath(one), format=format, kinds=kinds) for one in given]
    return found[0] if len(found) == 1 else _together(found)


def _labels_of(
    layout: Layout, rows: list[Row], given: str, *, format: str, kinds: Sequence[str] | Mapping[str, str] | None
) -> Labels:
    """Read one file or folder."""
    if os.path.exists(given):  # noqa: PTH110 - Path.exists raises for names that are too long
        place = _place_outside(Path(given), sources={row.source for row in rows})
        mended, masks = _read(Path(given), format=format, kinds=kinds)
    else:
        with laid_out(layout, rows, given, format=format) as (path, place):
            mended, masks = _read(path, format=format, kinds=kinds)
            mended = Mended(mended.dataset, tuple(_renamed(mended.issues, str(path), given)))
    found, issues = _found(mended.dataset.images, Matcher(rows, place=place, by_stem=masks))
    if mended.dataset.images and not found:
        raise DatasetError(
            f"none of the {len(mended.dataset.images)} pictures annotated in '{shortened(given)}' is a sound one of "
            f"'{shortened(layout.folder)}', such as {issues[0]}. Ingest the pictures, or name the right annotations"
        )
    by_hash, merging = _once(found, categories=mended.dataset.categories)
    return Labels(by_hash, mended.dataset.categories, (*mended.issues, *issues, *merging))


def _read(path: Path, *, format: str, kinds: Sequence[str] | Mapping[str, str] | None) -> tuple[Mended, bool]:
    """Read and mend; say whether these are masks, which are pictures themselves."""
    known = detect_format(path) if format == "auto" else format
    return read_mended(path, known, kinds=kinds), known == "masks"


def _place_outside(path: Path, *, sources: Iterable[str]) -> Place | None:
    """Where a file lies in a source that is a folder of this machine, if it does."""
    real = Path(os.path.realpath(path))
    folder = real if real.is_dir() else real.parent
    for source in sorted(sources, key=len, reverse=True):
        if Path(source).is_absolute() and folder.is_relative_to(root := os.path.realpath(source)):
            inner = folder.relative_to(root).as_posix()
            return Place(source, "" if inner == "." else inner)
    return None


def _found(
    images: Iterable[AnnotatedImage], matcher: Matcher
) -> tuple[dict[str, list[AnnotatedImage]], list[AnnotationIssue]]:
    """Pictures by hash, copies in the view first; and what fits none."""
    found: dict[str, list[tuple[bool, str, AnnotatedImage]]] = {}
    issues = []
    for image in images:
        rows = matcher.find(image.file_name)
        if what := _wrong(image, rows):
            was = "; ".join(f"{region.kind} {region.polygon.wkt}" for region in image.regions)
            done = f"set aside with its {counted(len(image.regions), 'region')}"
            issues.append(AnnotationIssue(image.file_name, what, done, was, set_aside=True))
        else:
            shown = all(row.state != "good" for row in rows)
            found.setdefault(str(rows[0].hash), []).append((shown, image.file_name, image))
    ordered = {digest: sorted(copies, key=lambda copy: copy[:2]) for digest, copies in sorted(found.items())}
    return {digest: [image for *_, image in copies] for digest, copies in ordered.items()}, issues


def _wrong(image: AnnotatedImage, rows: Sequence[Row]) -> str:
    """Say why an annotated picture is none of the data set; empty when it is the one of the rows."""
    if not rows:
        return "no row of the manifest has this picture"
    first = rows[0]
    if first.state not in SOUND:
        reason = f" ({shortened(first.reason)})" if first.reason else ""
        return f"the manifest has set {shortened(first.source_path)!r} aside as {first.state}{reason}"
    if len({row.hash for row in rows}) > 1:
        named = [shortened(row.source_path) for row in rows[:_MOST_NAMED]]
        more = f" and {len(rows) - len(named)} more" if len(rows) > len(named) else ""
        return f"the name fits different pictures: {', '.join(map(repr, named))}{more}"
    if (image.width, image.height) != (first.width_px, first.height_px):
        return (
            f"the picture {shortened(first.source_path)!r} is {first.width_px} x {first.height_px} px, but was "
            f"annotated at {image.width} x {image.height} px"
        )
    return ""


def _together(found: Sequence[Labels]) -> Labels:
    """Join what several files say; a picture that stands in more than one has one record."""
    categories = tuple(dict.fromkeys(kind for labels in found for kind in labels.categories))
    copies: dict[str, list[AnnotatedImage]] = {}
    for labels in found:
        for digest, image in labels.by_hash.items():
            copies.setdefault(digest, []).append(image)
    by_hash, issues = {}, [issue for labels in found for issue in labels.issues]
    for digest, same in sorted(copies.items()):
        if len(same) > 1:  # names are unique in a file only, so each picture is merged by itself
            alike = tuple(replace(image, file_name=same[0].file_name) for image in same)
            merged = mend(Dataset(categories, alike))
            same, issues = list(merged.dataset.images), [*issues, *merged.issues]
        by_hash[digest] = same[0]
    return Labels(by_hash, categories, tuple(issues))


def _once(
    found: Mapping[str, Sequence[AnnotatedImage]], *, categories: tuple[str, ...]
) -> tuple[dict[str, AnnotatedImage], tuple[AnnotationIssue, ...]]:
    """Give each picture one record: copies are merged, under the name of the first."""
    copied = {digest: copies for digest, copies in found.items() if len(copies) > 1}
    images = tuple(image for copies in copied.values() for image in copies)
    same = {image.file_name: copies[0].file_name for copies in copied.values() for image in copies[1:]}
    merged = mend(Dataset(categories, images), same_pictures=same)
    by_name = {image.file_name: image for image in merged.dataset.images}
    return {digest: by_name.get(copies[0].file_name, copies[0]) for digest, copies in found.items()}, merged.issues


def _renamed(issues: Iterable[AnnotationIssue], path: str, given: str) -> Iterator[AnnotationIssue]:
    for issue in issues:
        picture, what, was = (text.replace(path, given) for text in (issue.picture, issue.what, issue.was))
        yield replace(issue, picture=picture, what=what, was=was)
