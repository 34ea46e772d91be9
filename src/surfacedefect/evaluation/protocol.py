"""The rules by which results are judged, and the truth of one scan made ready for them.

Rules about the truth, in this order:

1. Where damage and ignore overlap, damage wins.
2. Each kind is judged by itself, and all kinds together as ``"damage"``. For one kind, the other kinds' regions are
   ignored. A region is what is connected, also over a corner, in the mask of that view.
3. Regions of under 20 px are dropped: their pixels are ignored.
4. The pixels outside a region whose centres are within 2 px of it are doubt, also around ignored and dropped ones.
   The region itself stays what it is. Doubt and ignored pixels count for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from surfacedefect.annotations import AnnotatedImage, rasterise
from surfacedefect.errors import EvaluationError
from surfacedefect.evaluation._masks import Mask, as_mask, dilate, label

TOGETHER = "damage"
"""Name of the view in which all kinds are one."""

CLEAN, DAMAGED, NEITHER = 0, 1, 2


@dataclass(frozen=True)
class Protocol:
    """The numbers of the rules. The defaults are the published ones; figures of other numbers do not compare.

    Parameters
    ----------
    doubt_px
        Width of the band outside of every region that counts for nothing.
    least_true_px, least_predicted_px
        True regions and predicted blobs of fewer pixels are dropped.
    line_tolerance_px
        How near a prediction has to be to a pixel of the true centre line.
    line_kinds
        Kinds that are thin, so that a centre line means something.
    found_share
        Share of a region's area that has to be covered for it to be found, in (0, 1].
    false_alarm_dilation_px
        A predicted blob that does not touch truth grown by this is a false alarm.
    ignored_share
        A blob that touches no truth is neither right nor wrong when at least this share of it is doubt or ignored.
    tile_px
        Side of a tile.
    tile_damaged_px
        Damaged pixels that make a tile damaged.
    tile_valid_share
        A tile with a smaller share of valid pixels is left out.
    least_groups
        Below this many groups there is no interval.
    confidence
        Confidence of the intervals, in (0, 1).

    Raises
    ------
    EvaluationError
        A number is out of its range.

    Examples
    --------
    >>> Protocol().tile_px
    300
    """

    doubt_px: int = 2
    least_true_px: int = 20
    least_predicted_px: int = 30
    line_tolerance_px: int = 4
    line_kinds: tuple[str, ...] = ("scratch",)
    found_share: float = 0.25
    false_alarm_dilation_px: int = 8
    ignored_share: float = 0.5
    tile_px: int = 300
    tile_damaged_px: int = 64
    tile_valid_share: float = 0.5
    least_groups: int = 10
    confidence: float = 0.95

    def __post_init__(self) -> None:
        """Refuse numbers out of their range."""
        for name in ("doubt_px", "least_true_px", "least_predicted_px", "line_tolerance_px", "false_alarm_dilation_px"):
            if getattr(self, name) < 0:
                raise EvaluationError(f"{name} is {getattr(self, name)}; expected at least 0")
        for name in ("tile_px", "tile_damaged_px", "least_groups"):
            if getattr(self, name) < 1:
                raise EvaluationError(f"{name} is {getattr(self, name)}; expected at least 1")
        for name in ("found_share", "ignored_share", "tile_valid_share"):
            if not 0 < getattr(self, name) <= 1:
                raise EvaluationError(f"{name} is {getattr(self, name)}; expected a share above 0 and at most 1")
        if not 0 < self.confidence < 1:
            raise EvaluationError(f"confidence is {self.confidence}; expected a number between 0 and 1")


@dataclass(frozen=True, eq=False)
class KindTruth:
    """Truth of one kind (or of all together) on one scan, with the rules applied.

    Parameters
    ----------
    state
        (H, W) uint8: 0 clean, 1 damaged, 2 neither (doubt, ignored, dropped or of another kind).
    labels
        (H, W) int32: 0, or the number of the damaged region from 1.
    areas_px
        (n,) int64: pixels of region 1, 2, ... n.
    near
        (H, W) bool: damage grown by ``false_alarm_dilation_px``.
    line
        (m, 2) int64: row and col of the pixels of the centre lines of thin damage.
    """

    state: NDArray[np.uint8]
    labels: NDArray[np.int32]
    areas_px: NDArray[np.int64]
    near: Mask
    line: NDArray[np.int64]

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, cols) of the scan."""
        return self.state.shape[0], self.state.shape[1]


@dataclass(frozen=True, eq=False)
class Truth:
    """Truth of one scan: a view for every kind and one for all together (``"damage"``).

    Parameters
    ----------
    views
        One `KindTruth` a kind, and the one of ``"damage"`` last.
    protocol
        The rules it was prepared with.
    """

    views: Mapping[str, KindTruth]
    protocol: Protocol

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, cols) of the scan."""
        return self.views[TOGETHER].shape

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds, without ``"damage"``."""
        return tuple(kind for kind in self.views if kind != TOGETHER)


def prepare_truth(
    masks: Mapping[str, NDArray[np.uint8]],
    *,
    ignore: NDArray[np.uint8] | None = None,
    protocol: Protocol | None = None,
) -> Truth:
    """Apply the rules about the truth (see the module) to the masks of one scan.

    Parameters
    ----------
    masks
        For every kind a mask (H, W), uint8 or bool, 0 outside and anything else inside. A kind that a scan has none of
        needs an empty mask. Truth that knows no kinds is ``{"damage": mask}``.
    ignore
        Mask of the same form of what nobody can judge.
    protocol
        The numbers; ``None`` for the published ones.

    Returns
    -------
    Truth
        One view a kind and one for all together.

    Raises
    ------
    EvaluationError
        There is no mask, or masks differ in shape or are not uint8 or bool.

    Examples
    --------
    >>> scratch = np.zeros((40, 60), np.uint8)
    >>> scratch[10:14, 5:50] = 1
    >>> truth = prepare_truth({"scratch": scratch})
    >>> truth.views["scratch"].areas_px.tolist(), int((truth.views["scratch"].state == 2).sum())
    ([180], 200)
    """
    rules = protocol or Protocol()
    if not masks:
        raise EvaluationError("there is no mask; expected one a kind, such as {'scratch': mask, 'dent': mask}")
    checked: dict[str, Mask] = {}
    for kind, mask in masks.items():
        checked[kind] = as_mask(mask, name=kind, shape=next(iter(checked.values())).shape if checked else None)
    if TOGETHER in checked and len(checked) > 1:
        raise EvaluationError(f"the kinds are {list(checked)}; '{TOGETHER}' means all of them and stands alone")
    damage = np.logical_or.reduce(list(checked.values()))
    ignored = np.zeros_like(damage) if ignore is None else as_mask(ignore, name="ignore", shape=damage.shape) & ~damage
    views = {kind: _view(mask, others=ignored | damage, kind=kind, rules=rules) for kind, mask in checked.items()}
    if TOGETHER not in views:
        lines = [view.line for view in views.values()]
        views[TOGETHER] = _view(damage, others=ignored, kind=TOGETHER, rules=rules, line=np.concatenate(lines))
    return Truth(views, rules)


def truth_of(
    image: AnnotatedImage,
    *,
    kinds: Sequence[str] = ("scratch", "dent"),
    ignore: str = "ignore",
    protocol: Protocol | None = None,
) -> Truth:
    """Draw the regions of an annotated picture and apply the rules to them.

    Parameters
    ----------
    image
        The picture and its regions.
    kinds
        The kinds of damage.
    ignore
        The kind that says "nobody can judge this".
    protocol
        The numbers; ``None`` for the published ones.

    Raises
    ------
    EvaluationError
        The picture has regions of a kind that was not named.

    Examples
    --------
    >>> from surfacedefect.annotations import AnnotatedImage
    >>> truth_of(AnnotatedImage("door.jpg", 64, 48)).kinds
    ('scratch', 'dent')
    """
    unknown = {region.kind for region in image.regions} - {*kinds, ignore}
    if unknown:
        raise EvaluationError(
            f"picture '{image.file_name}' has regions of the kinds {sorted(unknown)}; "
            f"expected only {[*kinds, ignore]}. Name them in kinds, or leave them out"
        )
    drawn = rasterise(image, [*kinds, ignore])
    return prepare_truth({kind: drawn[kind] for kind in kinds}, ignore=drawn[ignore], protocol=protocol)


def _view(mask: Mask, *, others: Mask, kind: str, rules: Protocol, line: NDArray[np.int64] | None = None) -> KindTruth:
    labels, count = label(mask)
    areas = np.bincount(labels[mask], minlength=count + 1)
    kept = areas >= max(rules.least_true_px, 1)
    kept[0] = False
    numbers = np.where(kept, np.cumsum(kept), 0).astype(np.int32)
    if not kept[1:].all():
        labels[mask] = numbers[labels[mask]]
    damaged = labels > 0
    state = dilate(mask | others, radius_px=rules.doubt_px).view(np.uint8) * np.uint8(NEITHER)
    state[damaged] = DAMAGED
    if line is None:
        line = _centre_line(labels) if kind in rules.line_kinds else np.empty((0, 2), np.int64)
    near = dilate(damaged, radius_px=rules.false_alarm_dilation_px)
    return KindTruth(state, labels, areas[kept].astype(np.int64), near, line)


def _centre_line(labels: NDArray[np.int32]) -> NDArray[np.int64]:
    """Rows and cols of the skeletons of all regions, each made in its own box: thinning walks all pixels many times."""
    from scipy import ndimage
    from skimage.morphology import skeletonize as thinned  # by its full name: see `_skeleton.py`

    # Lee's method, as lengths are measured: Zhang's eats diagonal bars of an even width from their ends.
    skeletonize: Any = thinned
    found = [np.empty((0, 2), np.int64)]
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        thin = skeletonize(labels[box] == number, method="lee")
        found.append(np.argwhere(thin) + (box[0].start, box[1].start))
    return np.concatenate(found)
