"""Corners of miniatures: which pictures may be crops of one another, and about where one lies in the other.

ORB (Rublee and others 2011; OpenCV's takes 2 ms a picture, scikit-image's 130) describes a corner by 256 bits, turned
upright; so one description serves all quarter turns, and those of the mirrored picture all mirrorings. Pictures that
share descriptions are found by bit sampling (Indyk and Motwani 1998): corners that agree in a few chosen bits fall into
the same drawer.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from surfacedefect.datasets._alignment import ORIENTATIONS, SIDE, Orientation, Placement
from surfacedefect.errors import require

DESCRIPTION_BYTES = 32
MOST_PARTNERS = 20
"""Of one picture, in each way to find some; of a larger group each member is still tied to some."""

_MOST_CORNERS = 300
_CONTRAST, _SCALES, _STEP, _MARGIN = (
    5,
    5,
    1.2,
    15,
)  # a quarter of the usual contrast: paint is faint
_TABLES = 12
_SPARE_BITS = 12  # descriptions are far from random bits: with fewer, most pictures share drawers
_MOST_IN_DRAWER = 10  # what so many pictures have says nothing
_LEAST_VOTES = 4
_NEAR_BITS = 64  # of 256; JPEG and resizing change 20 to 40, another corner has about 110 others
_TRIALS, _REACH, _FAR_APART, _LEAST_FITTING = 200, 0.015, 0.05, 6


@dataclass(frozen=True, slots=True)
class Corners:
    """Corners of a miniature.

    Attributes
    ----------
    points
        float32 (N, 2), (x, y), the picture having a side of 1.
    descriptions
        uint8 (N, 32): 256 bits each.
    """

    points: NDArray[np.float32]
    descriptions: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.points)


def find_corners(image: NDArray[np.uint8]) -> Corners:
    """Find the corners of a miniature, uint8 (`SIDE`, `SIDE`); a smooth one may have none."""
    cv2: Any = require("cv2", extra="data")
    finder = cv2.ORB_create(
        nfeatures=_MOST_CORNERS, scaleFactor=_STEP, nlevels=_SCALES, edgeThreshold=_MARGIN, fastThreshold=_CONTRAST
    )
    found, descriptions = finder.detectAndCompute(np.ascontiguousarray(image), None)
    if not found:
        return Corners(np.zeros((0, 2), np.float32), np.zeros((0, DESCRIPTION_BYTES), np.uint8))
    points = (np.array([corner.pt for corner in found], np.float32) + 0.5) / SIDE
    return Corners(points.astype(np.float32), descriptions)


def sharing_pairs(upright: Sequence[Corners], others: Sequence[Corners]) -> Iterator[tuple[int, int]]:
    """Yield pairs (i, j), i < j, where `upright[i]` and `others[j]` share several descriptions.

    Parameters
    ----------
    upright, others
        Corners of each picture; `others` are the same ones, or those of the mirrored pictures.
    """
    here, there = _gathered(upright), _gathered(others)
    if not len(here[0]) or not len(there[0]):
        return
    bits = min(62, math.ceil(math.log2(len(here[0]))) + _SPARE_BITS)
    random = np.random.default_rng(0)
    votes = np.zeros(0, np.int64)
    for _ in range(_TABLES):
        chosen = np.sort(random.choice(8 * DESCRIPTION_BYTES, bits, replace=False))
        first, second = _in_one_drawer(_drawers(*here, chosen), _drawers(*there, chosen))
        votes = np.concatenate([votes, first * np.int64(len(upright)) + second])
    pairs, times = np.unique(votes, return_counts=True)
    pairs, times = pairs[times >= _LEAST_VOTES], times[times >= _LEAST_VOTES]
    first, second = np.divmod(pairs, len(upright))
    kept = among_best(first, times, second) | among_best(second, times, first)
    for pair in np.flatnonzero(kept):
        yield int(first[pair]), int(second[pair])


def _gathered(pictures: Sequence[Corners]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """All descriptions in one array, and the picture of each."""
    counts = [len(found) for found in pictures]
    none = np.zeros((0, DESCRIPTION_BYTES), np.uint8)
    return np.concatenate([none, *(found.descriptions for found in pictures)]), np.repeat(
        np.arange(len(counts)), counts
    )


def _in_one_drawer(
    here: tuple[NDArray[np.uint64], NDArray[np.int64]], there: tuple[NDArray[np.uint64], NDArray[np.int64]]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of pictures, once for each drawer that they share; each in one direction: alike is alike either way."""
    left = np.searchsorted(here[0], there[0], side="left")
    sizes = np.searchsorted(here[0], there[0], side="right") - left
    useful = (sizes > 0) & (sizes <= _MOST_IN_DRAWER)
    left, sizes, second = left[useful], sizes[useful], there[1][useful]
    offsets = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    first, second = here[1][np.repeat(left, sizes) + offsets], np.repeat(second, sizes)
    kept = first < second
    return first[kept], second[kept]


def among_best(owners: NDArray[np.int64], times: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which pairs are among the `MOST_PARTNERS` of their owner with the most votes."""
    order = np.lexsort((others, -times, owners))
    ranked = owners[order]
    rank = np.arange(len(ranked)) - np.searchsorted(ranked, ranked)
    kept = np.zeros(len(owners), bool)
    kept[order] = rank < MOST_PARTNERS
    return kept


def _drawers(
    descriptions: NDArray[np.uint8], owners: NDArray[np.int64], chosen: NDArray[np.int64]
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Sorted drawers and the picture of each; a picture lies in a drawer once."""
    key = np.zeros(len(owners), np.uint64)
    for bit in chosen:
        key <<= np.uint64(1)
        key |= (descriptions[:, bit >> 3] >> np.uint8(7 - (bit & 7))) & np.uint8(1)
    order = np.lexsort((owners, key))
    key, owner = key[order], owners[order]
    first = np.ones(len(key), bool)
    first[1:] = (key[1:] != key[:-1]) | (owner[1:] != owner[:-1])
    return key[first], owner[first]


def rough_placement(first: Corners, second: Corners, *, mirrored: bool) -> tuple[Orientation, Placement] | None:
    """Find out how the second picture must be turned, and about where it then lies in the first.

    Parameters
    ----------
    first, second
        Corners of the two; `second` of its mirror image when `mirrored`.

    Returns
    -------
    tuple of Orientation and Placement, or None
        None when too few corners agree on one place. The orientation is that of the picture, not of its mirror image.
    """
    a, b = _matches(first, second)
    if len(a) < _LEAST_FITTING:
        return None
    if mirrored:
        b = Orientation(flipped_x=True).of_points(b)
    best: tuple[int, Orientation, Placement] | None = None
    for orientation in ORIENTATIONS:
        if orientation.is_mirrored != mirrored:
            continue
        fitting, place = _consensus(a, orientation.of_points(b))
        if place is not None and (best is None or fitting > best[0]):
            best = (fitting, orientation, place)
    return None if best is None else best[1:]


def _matches(first: Corners, second: Corners) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Points whose descriptions are nearest to each other, both ways."""
    if not len(first) or not len(second):
        return first.points[:0], second.points[:0]
    here, there = (np.ascontiguousarray(side.descriptions).view(np.uint64) for side in (first, second))
    differing = np.zeros((len(first), len(second)), np.int16)
    for word in range(here.shape[1]):
        differing += np.bitwise_count(here[:, word, None] ^ there[:, word])
    nearest, back = differing.argmin(axis=1), differing.argmin(axis=0)
    rows = np.arange(len(first))
    kept = (back[nearest] == rows) & (differing[rows, nearest] <= _NEAR_BITS)
    return first.points[kept], second.points[nearest[kept]]


def _consensus(a: NDArray[np.float32], b: NDArray[np.float32]) -> tuple[int, Placement | None]:
    """Most points that one placement, not turned, explains (random sample consensus, Fischler and Bolles 1981)."""
    random = np.random.default_rng(0)
    one, two = random.integers(0, len(a), (2, _TRIALS))
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = (a[one] - a[two]) / (b[one] - b[two])
    shift = a[one] - scale * b[one]
    useful = np.isfinite(scale).all(axis=1) & (scale > 0.5).all(axis=1) & (scale < 2).all(axis=1)
    if not useful.any():
        return 0, None
    scale, shift = scale[useful], shift[useful]
    fits = (np.abs(scale[:, None] * b[None] + shift[:, None] - a[None]) < _REACH).all(axis=2)
    best = int(fits.sum(axis=1).argmax())
    fitting = fits[best]
    if fitting.sum() < _LEAST_FITTING:
        return 0, None
    place = [
        np.polyfit(b[fitting, axis], a[fitting, axis], 1)
        if np.ptp(b[fitting, axis]) > _FAR_APART
        else (scale[best, axis], shift[best, axis])
        for axis in (0, 1)
    ]
    return int(fitting.sum()), Placement(*(float(value) for line in place for value in line))
