"""The neutral record that every annotation format is read into and written from."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

from shapely.geometry import MultiPolygon, Polygon

from surfacedefect._words import type_name
from surfacedefect.errors import AnnotationError


@dataclass(frozen=True, slots=True)
class Region:
    """One outlined region of a picture.

    Parameters
    ----------
    kind
        What it is, such as ``"scratch"``, ``"dent"`` or ``"ignore"``; any name that is not empty.
    polygon
        Its outline in pixels, (x, y), pixel corners on integers, origin top left. Holes and several parts are fine.
    score
        How sure a model was, in [0, 1]; ``None`` when a person drew it.

    Raises
    ------
    AnnotationError
        The kind or the outline is empty, the outline is not polygonal, or the score is out of its range.

    Examples
    --------
    >>> from shapely.geometry import box
    >>> Region("dent", box(0, 0, 4, 3)).polygon.area
    12.0
    """

    kind: str
    polygon: Polygon | MultiPolygon
    score: float | None = None

    def __post_init__(self) -> None:
        """Refuse what could not be drawn or written."""
        if not isinstance(self.kind, str) or not self.kind:
            raise AnnotationError(f"the kind of a region is {self.kind!r}; expected a name such as 'scratch'")
        if not isinstance(self.polygon, Polygon | MultiPolygon):
            raise AnnotationError(
                f"the outline of a region is {type_name(self.polygon)}; expected a shapely (Multi)Polygon"
            )
        if self.polygon.is_empty:
            raise AnnotationError("the outline of a region is empty; expected a polygon with an area. Leave it out")
        if self.score is not None and not (math.isfinite(self.score) and 0 <= self.score <= 1):
            raise AnnotationError(f"the score of a region is {self.score}; expected a number in [0, 1] or None")


@dataclass(frozen=True, slots=True)
class AnnotatedImage:
    """One picture and the regions outlined in it.

    Parameters
    ----------
    file_name
        The picture's file, relative to the folder of the pictures, with forward slashes.
    width, height
        Size of the picture in pixels.
    regions
        The outlined regions, in the order of the file.
    group
        What the picture belongs to, such as one car: never split a group between training and judging.
    origin
        Which collection it came from.
    id
        Its number in the file it was read from; ``None`` lets the writer number it.

    Raises
    ------
    AnnotationError
        The file name is empty or a side is not a whole number of at least 1 px.

    Examples
    --------
    >>> AnnotatedImage("door.jpg", 4096, 3000).shape
    (3000, 4096)
    """

    file_name: str
    width: int
    height: int
    regions: tuple[Region, ...] = ()
    group: str | None = None
    origin: str | None = None
    id: int | None = None

    def __post_init__(self) -> None:
        """Refuse a picture without a name or a size."""
        if not isinstance(self.file_name, str) or not self.file_name:
            raise AnnotationError(f"the file name of a picture is {self.file_name!r}; expected a relative path")
        for name, side in (("width", self.width), ("height", self.height)):
            if isinstance(side, bool) or not isinstance(side, int) or side < 1:
                raise AnnotationError(
                    f"the {name} of picture '{self.file_name}' is {side!r}; expected a whole number of at least 1 px"
                )

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of the picture's arrays, (rows, cols)."""
        return self.height, self.width


@dataclass(frozen=True, slots=True)
class Dataset:
    """Annotated pictures and the kinds they may hold.

    Parameters
    ----------
    categories
        Names of the kinds, each once, in the order of their numbers in the file.
    images
        The pictures, in the order of the file.
    images_dir
        Folder of the pictures, if known; two data sets that differ only in this are equal.

    Raises
    ------
    AnnotationError
        A category stands twice, or a region is of a kind that is not a category.

    Examples
    --------
    >>> Dataset(("scratch",), (AnnotatedImage("door.jpg", 640, 480),)).images[0].file_name
    'door.jpg'
    """

    categories: tuple[str, ...]
    images: tuple[AnnotatedImage, ...]
    images_dir: Path | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        """Refuse regions whose kind nobody declared."""
        if len(set(self.categories)) != len(self.categories):
            raise AnnotationError(f"the categories are {list(self.categories)}; expected each name once")
        known = set(self.categories)
        for image in self.images:
            for region in image.regions:
                if region.kind not in known:
                    raise AnnotationError(
                        f"picture '{image.file_name}' has a region of kind '{region.kind}'; "
                        f"expected one of the categories {list(self.categories)}"
                    )

    def path_of(self, image: AnnotatedImage) -> Path:
        """Path of a picture's file.

        Raises
        ------
        AnnotationError
            The folder of the pictures is unknown, or the file name leads out of it.

        Examples
        --------
        >>> door = AnnotatedImage("door.jpg", 640, 480)
        >>> Dataset((), (door,), images_dir=Path("images")).path_of(door).as_posix()
        'images/door.jpg'
        """
        if self.images_dir is None:
            raise AnnotationError("the folder of the pictures is unknown; read the file with images_dir=...")
        relative = Path(image.file_name)
        if relative.is_absolute() or ".." in relative.parts:
            raise AnnotationError(
                f"picture '{image.file_name}' lies outside of {self.images_dir}; expected a path below that folder"
            )
        return self.images_dir / relative
