"""What is damaged in a synthetic scan, from the damage itself and not from the picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from surfacedefect.synthetic.damage import CentreLine, Damage, Sort
from surfacedefect.synthetic.geometry import Float

if TYPE_CHECKING:
    from shapely import Polygon

LEAST_VISIBLE = 3.0
"""Contrast, in standard deviations of the sensor's noise, below which damage is `ignore`."""
_LEAST_PIECE = 8  # px; smaller visible pieces of a mark go to `ignore` too
_NEAR = 13  # px; the contrast of a scratch is judged over squares of this side
_DENT_NEAR = 9  # px
_CORNER = 0.01  # px
_STRONGEST = 1000.0


@dataclass(frozen=True)
class TrueDefect:
    """One damage as it was made.

    Attributes
    ----------
    kind
        ``"scratch"`` or ``"dent"``.
    sort
        ``"hairline"``, ``"scratch"``, ``"gouge"``, ``"scratch group"``, ``"scuff"``, ``"chip"``, ``"ding"``,
        ``"round dent"``, ``"crease dent"`` or ``"hail dent"``.
    box
        (left, top, right, bottom) in px, right and bottom excluded, of the part that is in the picture and not hidden;
        all 0 when nothing of it is.
    area_px
        Its pixels in the picture.
    contrast
        Its light against the undamaged panel's, after the lens, in standard deviations of the sensor's noise; at most
        1000. Of a scratch the 80 % quantile over its pixels. A dent shows by its strongest parts, and the eye
        averages over its area: of a dent it is the 95 % quantile, or twice that of the mean over 9 x 9 px.
    visible
        Share of its pixels, in [0, 1], that are truth and not `ignore`.
    length_mm, width_mm, depth_mm
        True size on the panel, also of what lies outside the picture; see `Damage`.
    lines
        Centre lines of scratches.
    """

    kind: Literal["scratch", "dent"]
    sort: Sort
    box: tuple[int, int, int, int]
    area_px: int
    contrast: float
    visible: float
    length_mm: float
    width_mm: float
    depth_mm: float
    lines: tuple[CentreLine, ...]


@dataclass(frozen=True)
class SyntheticTruth:
    """Which pixels are damaged, and by what.

    Attributes
    ----------
    masks
        ``"scratch"`` and ``"dent"``: uint8 (H, W), 1 = damage that can be seen.
    ignore
        uint8 (H, W), 1 = damage whose contrast against the same scan without damage is below three standard
        deviations of the noise, so that nobody can be asked to find it; 0 wherever a mask is 1.
    defects
        Every damage with its true size, in the order of drawing.
    """

    masks: dict[str, NDArray[np.uint8]]
    ignore: NDArray[np.uint8]
    defects: tuple[TrueDefect, ...] = ()

    @property
    def polygons(self) -> list[tuple[str, Polygon]]:
        """List (kind, polygon) of every 8-connected region, in pixel coordinates (x, y), 0.01 px wider inside."""
        from rasterio.features import shapes
        from shapely import box, intersection, make_valid
        from shapely.geometry import shape

        found: list[tuple[str, Polygon]] = []
        for kind, mask in self.masks.items():
            picture = box(0, 0, mask.shape[1], mask.shape[0])
            for geometry, _ in shapes(mask, mask=mask.astype(bool), connectivity=8):
                # pixels that meet at a corner only would fall apart into single polygons: let the corners overlap
                joined = make_valid(shape(geometry)).buffer(_CORNER, join_style="mitre")
                if not picture.covers(joined):
                    joined = intersection(joined, picture)
                found += [(kind, part) for part in getattr(joined, "geoms", [joined])]
        return found


def damage_pixels(damage: Damage, width: int) -> NDArray[np.int64]:
    """Give the pixels, row * width + column, that a damage hurts."""
    if damage.cut is not None:
        return damage.cut.mask_pixels
    if damage.bump is None:
        return np.empty(0, np.int64)
    rows, cols = np.nonzero(damage.bump.mask)
    return np.asarray((rows + damage.bump.top) * width + cols + damage.bump.left, np.int64)


def truth_of(
    damages: tuple[Damage, ...], *, contrast: NDArray[np.float16], hidden: NDArray[np.bool_]
) -> SyntheticTruth:
    """Sort the damages' pixels into what can be seen and what cannot.

    Scratches are judged piece by piece, by the mean contrast near each pixel; dents as a whole.

    Parameters
    ----------
    contrast
        float16 (H, W): light against the undamaged scan's, with its sign, in standard deviations of the noise.
    hidden
        bool (H, W): where the panel cannot be seen.
    """
    height, width = contrast.shape
    seen = {kind: np.zeros((height, width), np.uint8) for kind in ("scratch", "dent")}
    damaged = np.zeros((height, width), np.uint8)
    defects = []
    for damage in damages:
        pixels = damage_pixels(damage, width)
        pixels = pixels[~hidden.ravel()[pixels]]
        damaged.ravel()[pixels] = 1
        box = _box(pixels, width)
        strength = _strength(damage.kind, pixels, box, contrast)
        if damage.kind == "dent":
            visible = pixels if strength >= LEAST_VISIBLE else pixels[:0]
        else:
            visible = _visible_pieces(pixels, box, contrast)
        seen[damage.kind].ravel()[visible] = 1
        share = visible.size / pixels.size if pixels.size else 0.0
        defects.append(TrueDefect(
            damage.kind, damage.sort, box, pixels.size, strength, share, damage.length_mm, damage.width_mm,
            damage.depth_mm, damage.lines,
        ))  # fmt: skip
    visible_any = seen["scratch"] | seen["dent"]
    return SyntheticTruth(seen, damaged & (1 - visible_any), tuple(defects))


def _box(pixels: NDArray[np.int64], width: int) -> tuple[int, int, int, int]:
    if pixels.size == 0:
        return 0, 0, 0, 0
    rows, cols = pixels // width, pixels % width
    return int(cols.min()), int(rows.min()), int(cols.max()) + 1, int(rows.max()) + 1


def _strength(
    kind: str, pixels: NDArray[np.int64], box: tuple[int, int, int, int], contrast: NDArray[np.float16]
) -> float:
    if pixels.size == 0:
        return 0.0
    if kind == "scratch":
        return float(np.quantile(np.abs(contrast.ravel()[pixels].astype(np.float32)), 0.8))
    from scipy.ndimage import uniform_filter

    here, at = _around(pixels, box, contrast)
    joined = np.abs(uniform_filter(here, _DENT_NEAR, mode="nearest"))[at]
    return float(max(np.quantile(np.abs(here[at]), 0.95), 2 * np.quantile(joined, 0.95)))


def _around(
    pixels: NDArray[np.int64], box: tuple[int, int, int, int], contrast: NDArray[np.float16]
) -> tuple[Float, tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Give the contrast inside the box, and where in it the pixels lie."""
    left, top, right, bottom = box
    width = contrast.shape[1]
    return contrast[top:bottom, left:right].astype(np.float32), (pixels // width - top, pixels % width - left)


def _visible_pieces(
    pixels: NDArray[np.int64], box: tuple[int, int, int, int], contrast: NDArray[np.float16]
) -> NDArray[np.int64]:
    from scipy.ndimage import label, uniform_filter

    if pixels.size == 0:
        return pixels
    here, at = _around(pixels, box, contrast)
    own = np.zeros_like(here)
    own[at] = 1
    near = uniform_filter(own * np.abs(here), _NEAR, mode="constant")
    near /= np.maximum(uniform_filter(own, _NEAR, mode="constant"), np.float32(1e-3))
    pieces, _ = label((near >= LEAST_VISIBLE) & (own > 0), np.ones((3, 3)))
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    # a chip or speck that is small as a whole is not a small piece of something
    least = min(_LEAST_PIECE, pixels.size)
    return np.asarray(pixels[(sizes >= least)[pieces[at]]], np.int64)


def contrast_of(difference: Float, sigma: Float) -> NDArray[np.float16]:
    """Give the contrast, in standard deviations of the noise, of differences in light, with their sign."""
    return np.asarray((difference / (sigma + np.float32(1e-6))).clip(-_STRONGEST, _STRONGEST), np.float16)
