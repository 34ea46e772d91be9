"""The picture files that annotations belong to: their size, and which file goes with which picture."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from PIL import ExifTags, Image, UnidentifiedImageError

from surfacedefect._raster import open_raster, quiet
from surfacedefect._words import shortened
from surfacedefect.annotations.record import AnnotatedImage, Dataset
from surfacedefect.errors import AnnotationError

_ENDINGS = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".jp2", ".png", ".tif", ".tiff", ".webp"})
_TURNED = range(5, 9)  # EXIF orientations that swap width and height


def size_px(path: Path) -> tuple[int, int]:
    """Width and height of a picture as people and annotation tools see it, from its header alone.

    Raises
    ------
    AnnotationError
        There is no such file, or it is no picture.
    """
    try:
        with quiet(), Image.open(path) as image:
            turned = image.getexif().get(ExifTags.Base.Orientation) in _TURNED
            return (image.height, image.width) if turned else (image.width, image.height)
    except (UnidentifiedImageError, Image.DecompressionBombError):
        pass  # what Pillow does not know or finds too large, GDAL may read
    except FileNotFoundError as error:
        raise AnnotationError(f"there is no picture {shortened(path)}; expected it there") from error
    except Exception as error:  # damaged headers raise nearly anything
        raise _no_picture(path, error) from error
    try:
        with open_raster(path) as raster:
            return int(raster.width), int(raster.height)
    except Exception as error:
        raise _no_picture(path, error) from error


def _no_picture(path: Path, error: Exception) -> AnnotationError:
    return AnnotationError(f"{shortened(path)} is no readable picture ({shortened(error)}); expected one")


def check_pictures(dataset: Dataset) -> None:
    """Refuse a data set one of whose pictures is not in its folder; nothing to check where the folder is unknown."""
    if dataset.images_dir is None:
        return
    for image in dataset.images:
        path = dataset.path_of(image)
        if not path.is_file():
            raise AnnotationError(f"picture '{image.file_name}' is not in {dataset.images_dir}; expected {path}")


def inside(file_name: str) -> PurePosixPath:
    """Return a picture's path; refuse one that leads out of the folder of the pictures, or names a folder."""
    path = PurePosixPath(file_name)
    if file_name.rpartition("/")[2] in ("", "."):
        raise AnnotationError(f"picture '{file_name}' has the name of a folder; expected that of a file")
    if path.is_absolute() or ".." in path.parts or "\\" in file_name or ":" in path.parts[0] or "\0" in file_name:
        raise AnnotationError(
            f"picture '{file_name}' has a name that leads out of its folder; expected a relative path"
        )
    return path


def label_names(images: Iterable[AnnotatedImage], *, ending: str) -> list[str]:
    """Name of the file of each picture, where there is one a picture: the picture's with another ending.

    Raises
    ------
    AnnotationError
        Two pictures would share a file, or a name leads out of the folder.
    """
    taken: dict[str, str] = {}
    for image in images:
        name = inside(image.file_name).with_suffix(ending).as_posix()
        if name in taken:
            raise AnnotationError(
                f"pictures '{taken[name]}' and '{image.file_name}' would both be annotated in '{name}'; expected "
                "names that differ in more than their ending, each once. Rename one, or mend the data set first"
            )
        taken[name] = image.file_name
    return list(taken)


def pictures_by_stem(folder: Path) -> dict[str, str]:
    """Pictures below a folder: path without ending -> path with it, both relative, in order of their names."""
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.suffix.lower() in _ENDINGS)
    return {stem(name): name for name in reversed(names) if not PurePosixPath(name).name.startswith(".")}


def stem(file_name: str) -> str:
    """Path of a picture without its ending.

    Examples
    --------
    >>> stem("a/door.1.jpg")
    'a/door.1'
    """
    return PurePosixPath(file_name).with_suffix("").as_posix()
