"""The middle line of a mask: its skeleton as a graph of points, the longest path through it, and how to smooth one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

# Steps there and back of Taubin's smoothing, and how often on a line without thickness.
_SMOOTHING = (0.6, -0.62)
SMOOTHING_ROUNDS = 15

Points = NDArray[np.float64]
Indices = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Skeleton:
    """A graph of skeleton pixels."""

    points: Points
    degree: Indices
    steps: Any  # a scipy.sparse.csr_array of the lengths from point to point, symmetric

    @classmethod
    def of(cls, mask: NDArray[np.bool_]) -> Self:
        from scipy import sparse

        # By its full name: a submodule that another thread is just loading comes half made out of `skimage`.
        from skimage.morphology import skeletonize as thinned

        # Lee's method: Zhang's eats diagonal bars of an even width from their ends.
        skeletonize: Any = thinned
        rows, cols = np.nonzero(skeletonize(np.pad(mask, 1), method="lee"))
        points: Points = np.column_stack([cols, rows]).astype(np.float64) - 0.5
        start, end = _neighbours(rows, cols, width=mask.shape[1] + 2)
        both = (np.concatenate([start, end]), np.concatenate([end, start]))
        steps = sparse.csr_array((np.ones(2 * len(start)), both), shape=(len(points), len(points)))
        degree = np.diff(steps.indptr).astype(np.intp)
        # Steps of pixels are too long by an amount that depends on their angle; smoothed a little they can be compared.
        share: Points = 1 / (degree + 1.0)[:, np.newaxis]
        smooth = points
        for _ in range(3):
            smooth = np.where(share < 0.5, share * (steps @ smooth + smooth), smooth)
        steps.data = distances(smooth[np.repeat(np.arange(len(points)), degree)], smooth[steps.indices])
        return cls(points, degree, steps)

    def longest(self, *, loop: bool) -> Indices | None:
        """Return the points of the longest path, or None when the skeleton is empty or in several parts.

        Without a loop that is the longest of the shortest paths between two points, exact for a tree. With one, the
        graph is first made a tree: that of the shortest ways from one end of that path, which opens every loop at its
        far side. Of both ends, the one that leaves the longer path is taken.
        """
        if not len(self.points):
            return None
        path, before = _farthest(self.steps, 0)
        if np.count_nonzero(before < 0) > 1:  # not only the root
            return None
        path, _ = _farthest(self.steps, int(path[0]))
        if not loop:
            return path
        opened = [self._opened(int(root)) for root in (path[0], path[-1])]
        return max(opened, key=lambda indices: float(walked(self.points[indices])[-1]))

    def _opened(self, root: int) -> Indices:
        from scipy import sparse

        path, before = _farthest(self.steps, root)
        child = np.flatnonzero(before >= 0)
        parent = before[child]
        lengths = distances(self.points[child], self.points[parent])
        both = (np.concatenate([child, parent]), np.concatenate([parent, child]))
        tree = sparse.csr_array((np.tile(lengths, 2), both), shape=self.steps.shape)
        return _farthest(tree, int(path[0]))[0]


def _farthest(steps: Any, root: int) -> tuple[Indices, Indices]:
    """Return the shortest way from the farthest point to a root, and the point before each on its way from the root."""
    from scipy.sparse import csgraph

    distance, before = csgraph.dijkstra(steps, indices=root, return_predecessors=True)
    path = [int(np.argmax(distance))]
    while before[path[-1]] >= 0:
        path.append(int(before[path[-1]]))
    return np.array(path, dtype=np.intp), before.astype(np.intp)


def _neighbours(rows: Indices, cols: Indices, *, width: int) -> tuple[Indices, Indices]:
    """Return the pairs of neighbouring pixels; a diagonal pair only where no third pixel joins the two."""
    everyone = np.arange(len(rows))
    place = rows * width + cols

    def at(row_step: int, col_step: int) -> Indices:
        wanted = place + row_step * width + col_step
        found = np.minimum(np.searchsorted(place, wanted), len(place) - 1)
        return np.where(place[found] == wanted, found, -1)

    left, right, below = at(0, -1), at(0, 1), at(1, 0)
    pairs = [right, below]
    pairs += [np.where((below < 0) & (side < 0), at(1, col_step), -1) for side, col_step in ((right, 1), (left, -1))]
    start = np.concatenate([everyone[other >= 0] for other in pairs])
    return start, np.concatenate([other[other >= 0] for other in pairs])


def smoothed(path: Points, *, rounds: int) -> Points:
    """Smooth a path without shrinking it; its ends stay.

    Each round moves every point towards the middle of its neighbours and then back by a little more (Taubin, "A signal
    processing approach to fair surface design", 1995).
    """
    kernel = np.ones(1)
    for part in _SMOOTHING * rounds:
        kernel = np.convolve(kernel, [part / 2, 1 - part, part / 2])
    margin = len(kernel) // 2
    wide = np.pad(path, ((margin, margin), (0, 0)), mode="reflect", reflect_type="odd")
    return np.column_stack([np.convolve(wide[:, axis], kernel, mode="valid") for axis in (0, 1)])


def walked(path: Points) -> NDArray[np.float64]:
    """Return the distance walked at every point of a path."""
    return np.concatenate([[0.0], np.cumsum(distances(path[1:], path[:-1]))])


def distances(points: Points, others: Points) -> NDArray[np.float64]:
    # Not zero: the graph would take it for no step at all.
    gap = points - others
    return np.maximum(np.hypot(gap[:, 0], gap[:, 1]), 1e-9)
