"""Do two small pictures show the same, but for a crop? Laid over one another, then compared place by place.

One of the two is moved and stretched along x and y until the squared difference is least (Lucas and Kanade 1981,
Gauss-Newton from coarse to fine; a gain and an offset are fitted too, so that brightness does not matter). What counts
then is not the shading, which all doors of one model share, but edges and texture: both are band-passed, and the
correlation must be high over the whole and nearly everywhere that there is something to see.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from surfacedefect.errors import require

SIDE = 256
"""Pixels a side of a miniature."""

LEAST_TEXTURE = 0.6
"""Gray levels: a picture with less `texture` is blank, and blank pictures all look the same."""

Image = NDArray[np.floating[Any]]

_LEVELS = ((32, 12), (64, 10), (128, 8), (256, 4))  # pixels a side, steps
_GATE_SIDE, _GATE = 64, 0.5  # most pairs that are not alike need not be looked at any finer
_LEAST_SCALE, _MOST_SCALE = 0.6, 1.0 / 0.6
_LEAST_OVERLAP_OF_ONE, _LEAST_OVERLAP_OF_OTHER = 0.85, 0.4  # one of the two lies nearly whole within the other
_FINE_PX, _COARSE_PX = 1.0, 8.0
_WHITE, _LEAST_UNCLIPPED = 252, 0.2
_PLACES = 6  # a side
_SEEN = 1.5  # gray levels: a place with less texture says nothing
_LEAST_CORRELATION, _PLACE_AGREES, _LEAST_SHARE = 0.8, 0.6, 0.7


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a picture lies in another one; both have a side of 1, and a point x of the second is scale * x + shift."""

    scale_x: float = 1.0
    shift_x: float = 0.0
    scale_y: float = 1.0
    shift_y: float = 0.0

    def is_likely(self) -> bool:
        """Whether one of the two pictures may be a crop of the other."""
        if not all(_LEAST_SCALE <= scale <= _MOST_SCALE for scale in (self.scale_x, self.scale_y)):
            return False
        width = _common(self.scale_x, self.shift_x)
        height = _common(self.scale_y, self.shift_y)
        of_first = width * height
        of_second = of_first / (self.scale_x * self.scale_y)
        return max(of_first, of_second) >= _LEAST_OVERLAP_OF_ONE and min(of_first, of_second) >= _LEAST_OVERLAP_OF_OTHER


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far two pictures agree where they overlap.

    Attributes
    ----------
    correlation
        Of edges and texture over the whole overlap, -1 to 1.
    share
        Share of the places with texture in which they agree, in [0, 1]; nan when no place has any.
    texture
        Standard deviation of what was compared, in gray levels.
    """

    correlation: float
    share: float
    texture: float

    @property
    def is_same(self) -> bool:
        """Whether they show the same."""
        if self.texture < LEAST_TEXTURE or self.correlation < _LEAST_CORRELATION:
            return False
        return not self.share < _LEAST_SHARE


@dataclass(frozen=True, slots=True)
class Orientation:
    """One of the eight ways to turn and mirror a picture: first transposed, then flipped along x, then along y."""

    transposed: bool = False
    flipped_x: bool = False
    flipped_y: bool = False

    @property
    def is_mirrored(self) -> bool:
        """Whether no turn alone would do."""
        return self.transposed ^ self.flipped_x ^ self.flipped_y

    def of_image(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Turn a picture."""
        turned = image.T if self.transposed else image
        return turned[:: -1 if self.flipped_y else 1, :: -1 if self.flipped_x else 1]

    def of_points(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """Turn points (N, 2), (x, y) in [0, 1], as `of_image` turns what they lie on."""
        turned = points[:, ::-1] if self.transposed else points
        flipped = np.array([self.flipped_x, self.flipped_y])
        return np.where(flipped, 1 - turned, turned)


ORIENTATIONS = tuple(Orientation(*flags) for flags in product((False, True), repeat=3))


def agreement(
    first: NDArray[np.uint8], second: NDArray[np.uint8], *, start: Placement = Placement()
) -> Agreement | None:
    """Bring two miniatures into line and compare them; None when neither can be a crop of the other.

    Parameters
    ----------
    first, second
        uint8 (`SIDE`, `SIDE`), gray; of the pictures as a whole, whatever their shape.
    start
        About where the second lies in the first.
    """
    one, other = first.astype(np.float32), second.astype(np.float32)
    place = np.array([start.scale_x, start.shift_x, start.scale_y, start.shift_y])
    for side, steps in _LEVELS:
        small_one, small_other = _reduced(one, side), _reduced(other, side)
        found = _refined(_blurred(small_one, 1.0), _blurred(small_other, 1.0), place, steps=steps)
        if found is None or not Placement(*found).is_likely():
            return None
        place = found
        if side == _GATE_SIDE and _compared(small_one, small_other, place).correlation < _GATE:
            return None
    return _compared(one, other, place)


def texture(image: NDArray[np.uint8]) -> float:
    """Return the standard deviation of edges and texture of a miniature, in gray levels."""
    return float(_banded(image.astype(np.float32), side=SIDE).std())


def _refined(one: Image, other: Image, place: NDArray[np.float64], *, steps: int) -> NDArray[np.float64] | None:
    side = one.shape[0]
    units = np.array([1, side, 1, side])
    slope_y, slope_x = np.gradient(one, axis=0), np.gradient(one, axis=1)
    at = np.arange(side) + 0.5
    now = place * units
    for _ in range(steps):
        moved, inside = _moved(one, now)
        inside &= _unclipped(moved, other, inside)
        if inside.mean() < _LEAST_OVERLAP_OF_OTHER / 2:
            return None
        along_x, along_y = _moved(slope_x, now)[0], _moved(slope_y, now)[0]
        columns = (along_x * at, along_x, along_y * at[:, None], along_y, -other, -np.ones_like(other))
        design = np.stack([column[inside] for column in columns], axis=1)
        normal = design.T @ design + np.eye(len(columns)) * 1e-6 * side**2
        step = np.linalg.solve(normal, -design.T @ moved[inside])[:4]
        now = now + step
        if not np.isfinite(now).all() or np.abs(now[[0, 2]] - 1).max() > 1:
            return None
        if np.abs(step * [side, 1, side, 1]).max() < 0.02:
            break
    found: NDArray[np.float64] = now / units
    return found


def _moved(image: Image, place: NDArray[np.float64]) -> tuple[Image, NDArray[np.bool_]]:
    """Sample `image` at the pixels of the other picture, bilinear; and which of them lie within it."""
    side = image.shape[0]
    left, part_x, inside_x = _samples(side, place[0], place[1])
    top, part_y, inside_y = _samples(side, place[2], place[3])
    rows = image[top] * (1 - part_y)[:, None] + image[top + 1] * part_y[:, None]
    return rows[:, left] * (1 - part_x) + rows[:, left + 1] * part_x, inside_y[:, None] & inside_x


def _samples(side: int, scale: float, shift: float) -> tuple[NDArray[np.intp], Image, NDArray[np.bool_]]:
    at = scale * (np.arange(side) + 0.5) + shift - 0.5
    inside = (at >= 0) & (at <= side - 1)
    at = np.clip(at, 0, side - 1)
    low = np.minimum(at.astype(np.intp), side - 2)
    return low, (at - low).astype(np.float32), inside


def _compared(one: Image, other: Image, place: NDArray[np.float64]) -> Agreement:
    side = one.shape[0]
    moved, inside = _moved(one, place * [1, side, 1, side])
    rows, cols = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if len(rows) < 2 * _PLACES or len(cols) < 2 * _PLACES:
        return Agreement(0.0, float("nan"), 0.0)
    common = np.s_[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1]
    clipped = _clipped_alike(moved[common], other[common], _unclipped(moved, other, inside)[common])
    a, b = (_banded(image, side=side) for image in clipped)
    seen, agreeing = 0, 0
    for band_a, band_b in zip(np.array_split(a, _PLACES), np.array_split(b, _PLACES), strict=True):
        for place_a, place_b in zip(
            np.array_split(band_a, _PLACES, axis=1), np.array_split(band_b, _PLACES, axis=1), strict=True
        ):
            if max(place_a.std(), place_b.std()) > _SEEN:
                seen += 1
                agreeing += _correlation(place_a, place_b) > _PLACE_AGREES
    share = agreeing / seen if seen else float("nan")
    return Agreement(_correlation(a, b), share, float(min(a.std(), b.std())))


def _unclipped(one: Image, other: Image, inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where neither picture is white, which says nothing of how bright it was; all when that would be too little."""
    kept: NDArray[np.bool_] = inside & (one < _WHITE) & (other < _WHITE)
    return kept if kept.sum() > inside.sum() * _LEAST_UNCLIPPED else inside


def _clipped_alike(one: Image, other: Image, fitted: NDArray[np.bool_]) -> tuple[Image, Image]:
    """Brighten the darker picture to the other's brightness, and clip it where that one had to be."""
    a, b = one[fitted], other[fitted]
    gain = float(np.clip(b.std() / max(a.std(), 1e-3), 0.1, 10))
    if gain < 1:
        return one, np.clip((other - b.mean()) / gain + a.mean(), 0, 255)
    return np.clip((one - a.mean()) * gain + b.mean(), 0, 255), other


def _banded(image: Image, *, side: int) -> Image:
    coarse = _COARSE_PX * side / SIDE
    return _blurred(image, min(_FINE_PX, coarse / 3)) - _blurred(image, coarse)


def _correlation(a: Image, b: Image) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum() + 1e-6))


def _common(scale: float, shift: float) -> float:
    """Length of what [shift, shift + scale] and [0, 1] share."""
    return max(0.0, min(1.0, shift + scale) - max(0.0, shift))


def _reduced(image: Image, side: int) -> Image:
    pixels = SIDE // side
    means: Image = image.reshape(side, pixels, side, pixels).mean(axis=(1, 3))
    return means


def _blurred(image: Image, sigma: float) -> Image:
    ndimage = require("scipy.ndimage", extra="data")
    blurred: Image = ndimage.gaussian_filter(image, sigma)
    return blurred
