"""Which pictures show the same, but for a crop, a flip, a turn, brightness and compression.

Two ways lead to pairs that may be: a perceptual hash (pHash as `imagehash` has it, Zauner 2010), which small changes
leave nearly as it was, and corners, which survive a crop. Neither decides. Every pair is laid over one another and
compared place by place (`_alignment`): two doors of one model in one light have nearly the same hash, but not the same
picture.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from surfacedefect._words import type_name
from surfacedefect.datasets._alignment import LEAST_TEXTURE, ORIENTATIONS, Orientation, Placement, agreement, texture
from surfacedefect.datasets._corners import Corners, among_best, find_corners, rough_placement, sharing_pairs
from surfacedefect.datasets._miniature import Miniature, miniature_of
from surfacedefect.errors import OptionError, require

HASH_DISTANCE = 16
"""Bits of 64 by which the hashes of a pair may differ for the pair to be looked at."""

HASH_DISTANCE_OF_SMOOTH = 20
"""The same where both pictures have fewer than `FEW_CORNERS`, as corners will not find these."""

FEW_CORNERS = 40

BY_CORNERS, BY_MIRRORED_CORNERS = 8, 9

_ROWS = 512


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What is kept of a picture to find others that show the same.

    Attributes
    ----------
    image
        uint8 (256, 256), gray: the miniature.
    hashes
        uint64 (8,): perceptual hash of the picture in each of the eight orientations.
    upright, mirrored
        Corners of the miniature and of its mirror image.
    tells
        False for a blank picture, which is like no other.
    """

    image: NDArray[np.uint8]
    hashes: NDArray[np.uint64]
    upright: Corners
    mirrored: Corners
    tells: bool


@dataclass(frozen=True, slots=True)
class Candidate:
    """A pair that may show the same.

    Attributes
    ----------
    first, second
        Their places in the list.
    way
        How it was found: 0 to 7 by the hash of the second in this one of the eight orientations, `BY_CORNERS` or
        `BY_MIRRORED_CORNERS`.
    """

    first: int
    second: int
    way: int


def fingerprint(picture: Miniature) -> Fingerprint:
    """Make the fingerprint of a picture."""
    image = picture.image
    hashes = np.array([_hash(orientation.of_image(image)) for orientation in ORIENTATIONS], np.uint64)
    upright, mirrored = find_corners(image), find_corners(image[:, ::-1])
    return Fingerprint(image, hashes, upright, mirrored, texture(image) >= LEAST_TEXTURE)


def candidates(prints: Sequence[Fingerprint]) -> Iterator[Candidate]:
    """Yield the pairs that are worth a closer look, the first before the second; miniatures are not looked at."""
    known = [number for number, found in enumerate(prints) if found.tells]
    few = np.array([len(prints[number].upright) < FEW_CORNERS for number in known])
    hashes = np.array([prints[number].hashes for number in known], np.uint64).reshape(-1, len(ORIENTATIONS))
    for first, second, place in _near_hashes(hashes, few):
        yield Candidate(known[first], known[second], place)
    upright = [prints[number].upright for number in known]
    for way in (BY_CORNERS, BY_MIRRORED_CORNERS):
        others = upright if way == BY_CORNERS else [prints[number].mirrored for number in known]
        for first, second in sharing_pairs(upright, others):
            yield Candidate(known[first], known[second], way)


def show_the_same(first: Fingerprint, second: Fingerprint, *, way: int) -> bool:
    """Look closer at a candidate: whether the two pictures show the same."""
    if way < len(ORIENTATIONS):
        rough: tuple[Orientation, Placement] | None = ORIENTATIONS[way], Placement()
    else:
        mirrored = way == BY_MIRRORED_CORNERS
        corners = second.mirrored if mirrored else second.upright
        rough = rough_placement(first.upright, corners, mirrored=mirrored)
    if rough is None:
        return False
    orientation, start = rough
    found = agreement(first.image, np.ascontiguousarray(orientation.of_image(second.image)), start=start)
    return found is not None and found.is_same


def near_duplicates(pictures: Sequence[str | os.PathLike[str]]) -> list[list[int]]:
    """Group pictures that show the same, but for a crop, a flip, a quarter turn, brightness, size or compression.

    Parameters
    ----------
    pictures
        Files that `Scan` reads; about 90 kB of memory are taken for each.

    Returns
    -------
    list of list of int
        Groups of places in `pictures`, each in order, by their first member. Pictures without a partner are in none;
        blank ones never have one.

    Raises
    ------
    OptionError
        `pictures` is no list of paths.
    ScanError
        A picture cannot be read.
    MissingExtraError
        A package of the extra ``data`` is missing.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import ImageOps
    >>> folder = Path(tempfile.mkdtemp())
    >>> noise = np.random.default_rng(0).integers(0, 255, (12, 16, 3), np.uint8)
    >>> scan = Image.fromarray(noise).resize((640, 480), Image.Resampling.BICUBIC)
    >>> scan.save(folder / "a.png")
    >>> ImageOps.mirror(scan.crop((0, 0, 610, 470))).save(folder / "b.jpg", quality=60)
    >>> Image.fromarray(255 - noise // 2).resize((640, 480)).save(folder / "c.png")
    >>> near_duplicates([folder / name for name in ("a.png", "c.png", "b.jpg")])
    [[0, 2]]
    """
    if isinstance(pictures, str | bytes) or not isinstance(pictures, Sequence):
        raise OptionError(f"the pictures are {type_name(pictures)}; expected a list of paths, as places in it are told")
    for picture in pictures:
        if not isinstance(picture, str | os.PathLike):
            raise OptionError(f"a picture is {type_name(picture)}; expected the path of a file")
    prints = [fingerprint(miniature_of(Path(picture))) for picture in pictures]
    pairs = [
        (found.first, found.second)
        for found in candidates(prints)
        if show_the_same(prints[found.first], prints[found.second], way=found.way)
    ]
    return groups(len(prints), pairs)


def groups(count: int, pairs: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Gather pairs into groups: whoever is tied to a member belongs to it. Those without a partner are left out.

    Examples
    --------
    >>> groups(5, [(0, 3), (3, 4)])
    [[0, 3, 4]]
    """
    sparse: Any = require("scipy.sparse", extra="data")
    if not pairs:
        return []
    first, second = np.array(pairs).T
    ties = sparse.coo_array((np.ones(len(pairs)), (first, second)), shape=(count, count))
    _, labels = sparse.csgraph.connected_components(ties, directed=False)
    members: dict[int, list[int]] = {}
    for number, label in enumerate(labels.tolist()):
        members.setdefault(label, []).append(number)
    return [numbers for numbers in members.values() if len(numbers) > 1]


def _hash(image: NDArray[np.uint8]) -> int:
    imagehash: Any = require("imagehash", extra="data")
    bits = imagehash.phash(Image.fromarray(np.ascontiguousarray(image))).hash
    return int.from_bytes(np.packbits(bits).tobytes())


def _near_hashes(hashes: NDArray[np.uint64], few: NDArray[np.bool_]) -> Iterator[tuple[int, int, int]]:
    """Yield (first, second, orientation) of pairs whose hashes are near: of each picture, the nearest ones."""
    for top in range(0, len(hashes), _ROWS):
        rows = np.arange(top, min(top + _ROWS, len(hashes)))
        reach = np.where(few[rows, None] & few, HASH_DISTANCE_OF_SMOOTH, HASH_DISTANCE)
        found = []
        for place in range(len(ORIENTATIONS)):
            differing = np.bitwise_count(hashes[rows, None, 0] ^ hashes[None, :, place])
            first, second = np.nonzero(differing <= reach)
            later = rows[first] < second
            first, second = first[later], second[later]
            found.append(np.stack([first, second, np.full(len(first), place), differing[first, second]], axis=1))
        near = np.concatenate(found)
        for first, second, place, _ in near[among_best(near[:, 0], -near[:, 3], near[:, 1])].tolist():
            yield top + first, second, place
