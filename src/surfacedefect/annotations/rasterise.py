"""Outlines to masks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from shapely.affinity import scale as scale_geometry

from surfacedefect._raster import burnt
from surfacedefect.annotations.record import AnnotatedImage
from surfacedefect.errors import AnnotationError


def rasterise(image: AnnotatedImage, kinds: str | Sequence[str], *, scale: float = 1.0) -> dict[str, NDArray[np.uint8]]:
    """Draw the regions of a picture as one mask a kind.

    A pixel belongs to a region when its centre lies inside the outline. So a region narrower than a pixel (after
    scaling) can vanish. What lies outside of the picture is cut off.

    Parameters
    ----------
    image
        The picture with its regions.
    kinds
        Which kinds to draw. A kind that the picture has no region of gives an empty mask.
    scale
        Size of the masks over the size of the picture, above 0: 0.5 draws at half the width and half the height
        (both rounded, at least 1 px).

    Returns
    -------
    dict of str to ndarray
        For every kind a mask of shape (rows, cols), uint8, 1 inside and 0 outside.

    Raises
    ------
    AnnotationError
        ``scale`` is not a number above 0.

    Examples
    --------
    >>> from shapely.geometry import box
    >>> from surfacedefect.annotations import Region
    >>> door = AnnotatedImage("door.jpg", 4, 3, (Region("dent", box(1, 1, 3, 3)),))
    >>> rasterise(door, ["dent"])["dent"].tolist()
    [[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0]]
    """
    if not (np.isfinite(scale) and scale > 0):
        raise AnnotationError(f"scale is {scale}; expected a number above 0, such as 0.5 for half the width")
    names = [kinds] if isinstance(kinds, str) else list(kinds)
    shape = (max(1, round(image.height * scale)), max(1, round(image.width * scale)))
    factors = {"xfact": shape[1] / image.width, "yfact": shape[0] / image.height, "origin": (0, 0)}
    masks: dict[str, NDArray[np.uint8]] = {}
    for kind in names:
        outlines = [region.polygon for region in image.regions if region.kind == kind]
        if shape != image.shape:
            outlines = [scale_geometry(outline, **factors) for outline in outlines]
        masks[kind] = burnt(outlines, shape=shape) if outlines else np.zeros(shape, np.uint8)
    return masks
