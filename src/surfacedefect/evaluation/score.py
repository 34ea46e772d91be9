"""Score one scan; add scans up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from surfacedefect.errors import EvaluationError
from surfacedefect.evaluation._counts import Counts
from surfacedefect.evaluation._masks import as_probabilities
from surfacedefect.evaluation.objects import (
    FROC_THRESHOLDS,
    ObjectCounts,
    Outlined,
    judge_map,
    judge_polygons,
    object_counts,
    pixels_of,
    rising,
)
from surfacedefect.evaluation.pixels import LengthCounts, PixelCounts, count_length, count_pixels
from surfacedefect.evaluation.protocol import TOGETHER, Protocol, Truth
from surfacedefect.evaluation.tiles import TileCounts, count_tiles
from surfacedefect.polygons import damaged_level


@dataclass(frozen=True)
class KindScore(Counts):
    """All counts of one kind (or of all together); ``a + b`` is the score of both.

    Parameters
    ----------
    threshold
        The operating point, in [0, 1].
    pixels, lengths, objects, tiles
        The counts of each sort.
    """

    threshold: float = field(metadata={"fixed": True})
    pixels: PixelCounts
    lengths: LengthCounts
    objects: ObjectCounts
    tiles: TileCounts


@dataclass(frozen=True)
class ScanScore:
    """The score of one scan: counts, no ratios yet.

    Parameters
    ----------
    kinds
        The counts of every scored kind, and of ``"damage"`` last.
    group
        What the scan belongs to, such as one car; ``None`` when it stands alone.
    seconds, peak_mib
        Time and peak memory of the run that made the prediction; ``None`` when not measured.
    protocol
        The rules it was scored by.
    """

    kinds: Mapping[str, KindScore]
    group: str | None = None
    seconds: float | None = None
    peak_mib: float | None = None
    protocol: Protocol = field(default_factory=Protocol)


def score_scan(
    probabilities: Mapping[str, NDArray[np.uint8]],
    truth: Truth,
    *,
    threshold: float | Mapping[str, float],
    polygons: Iterable[Outlined] | None = None,
    group: str | None = None,
    froc_thresholds: Sequence[float] = FROC_THRESHOLDS,
    seconds: float | None = None,
    peak_mib: float | None = None,
) -> ScanScore:
    """Score what was predicted for one scan, each predicted kind and all together.

    The map of all together is ``probabilities["damage"]``, or the largest over the kinds. A kind of the truth that was
    not predicted is not scored by itself; together, its regions count as missed.

    Parameters
    ----------
    probabilities
        For every kind a map (H, W), uint8, 0..255 for 0..1. A predictor that knows no kinds gives ``{"damage": map}``.
    truth
        The truth of that scan; see `prepare_truth`.
    threshold
        The operating point, in [0, 1]; one for all, or one for every kind and for ``"damage"``.
    polygons
        Predicted polygons at the operating point, of all kinds, such as `Detections`. When given, they are judged as
        objects and by length, and the map as pixels and tiles; otherwise the blobs of the map are.
    group
        What the scan belongs to, such as one car.
    froc_thresholds
        Thresholds (with polygons: scores) of the FROC curve; empty for none.
    seconds, peak_mib
        Time and peak memory of the run that made the prediction, to be reported with the score.

    Returns
    -------
    ScanScore
        The counts.

    Raises
    ------
    EvaluationError
        A map is not uint8 or not of the shape of the truth, a kind is unknown to the truth, or a threshold is missing.
    OptionError
        A threshold is out of its range.

    Examples
    --------
    >>> from surfacedefect.evaluation import prepare_truth
    >>> mask = np.zeros((300, 600), np.uint8)
    >>> mask[10:20, 10:90] = 1
    >>> score = score_scan({"scratch": 200 * mask}, prepare_truth({"scratch": mask}), threshold=0.5)
    >>> score.kinds["scratch"].pixels.f1(0.5), score.kinds["damage"].objects.recall
    (1.0, 1.0)
    """
    maps = _maps(probabilities, truth=truth)
    outlined = None if polygons is None else _checked(polygons, kinds=[*truth.kinds, TOGETHER])
    steps = rising(froc_thresholds)
    kinds: dict[str, KindScore] = {}
    for kind, values in maps.items():
        at = _threshold_of(kind, threshold=threshold)
        view = truth.views[kind]
        if outlined is None:
            predicted, operating, curve = judge_map(values, view, threshold=at, steps=steps, protocol=truth.protocol)
        else:
            of_kind = [one for one in outlined if kind in (one.kind, TOGETHER)]
            judged = judge_polygons(of_kind, view, protocol=truth.protocol)
            predicted, operating, curve = judged.predicted, judged.at(0.0), {step: judged.at(step) for step in steps}
        kinds[kind] = KindScore(
            threshold=at,
            pixels=count_pixels(values, view),
            lengths=count_length(predicted, view, protocol=truth.protocol),
            objects=object_counts(operating, curve=curve, truth=view),
            tiles=count_tiles(values, view, protocol=truth.protocol),
        )
    return ScanScore(kinds, group, seconds, peak_mib, truth.protocol)


def probabilities_of(
    polygons: Iterable[Outlined], *, shape: tuple[int, int], kinds: Sequence[str]
) -> dict[str, NDArray[np.uint8]]:
    """Draw polygons as probability maps, for a predictor that gives no map: a pixel has the best score over it.

    Parameters
    ----------
    polygons
        The predictions, all of them and not only those at the operating point.
    shape
        (rows, cols) of the scan.
    kinds
        Which maps to draw; one of ``"damage"`` takes the polygons of every kind.

    Returns
    -------
    dict of str to ndarray
        For every kind a map (H, W), uint8, scores rounded to 1/255.

    Raises
    ------
    EvaluationError
        A polygon is of a kind that is not drawn, or its score is out of its range.

    Examples
    --------
    >>> from shapely.geometry import box
    >>> from surfacedefect.annotations import Region
    >>> probabilities_of([Region("dent", box(0, 0, 1, 1), 0.6)], shape=(1, 2), kinds=["dent"])["dent"].tolist()
    [[153, 0]]
    """
    maps = {kind: np.zeros(shape, np.uint8) for kind in kinds}
    for outlined in _checked(polygons, kinds=None if TOGETHER in maps else kinds):
        box, inside = pixels_of(outlined.polygon, shape=shape)
        score = np.uint8(round(255 * (1.0 if outlined.score is None else outlined.score)))
        for kind in {outlined.kind, TOGETHER} & maps.keys():
            np.maximum(maps[kind][box], score, out=maps[kind][box], where=inside)
    return maps


def _maps(probabilities: Mapping[str, NDArray[np.uint8]], *, truth: Truth) -> dict[str, NDArray[np.uint8]]:
    """Check the maps and put the one of all together last."""
    if not probabilities:
        raise EvaluationError("there is no probability map; expected one a kind, such as {'scratch': map}")
    if unknown := set(probabilities) - {*truth.kinds, TOGETHER}:
        raise EvaluationError(
            f"the prediction has the kinds {sorted(unknown)}, of which the truth says nothing; "
            f"expected some of {[*truth.kinds, TOGETHER]}"
        )
    maps = {k: as_probabilities(values, name=k, shape=truth.shape) for k, values in probabilities.items()}
    together = maps.pop(TOGETHER, None)
    maps[TOGETHER] = np.maximum.reduce(list(maps.values())) if together is None else together
    return maps


def _checked(polygons: Iterable[Outlined], *, kinds: Sequence[str] | None) -> list[Outlined]:
    found = list(polygons)
    for one in found:
        if kinds is not None and one.kind not in kinds:
            raise EvaluationError(f"a predicted polygon is of kind '{one.kind}'; expected one of {list(kinds)}")
        if one.score is not None and not 0 <= one.score <= 1:
            raise EvaluationError(f"the score of a predicted polygon is {one.score}; expected a number in [0, 1]")
    return found


def _threshold_of(kind: str, *, threshold: float | Mapping[str, float]) -> float:
    if not isinstance(threshold, Mapping):
        value = threshold
    elif kind in threshold:
        value = threshold[kind]
    else:
        raise EvaluationError(f"there is no threshold for '{kind}', only for {list(threshold)}; give one for each kind")
    damaged_level(value)  # checks the range
    return float(value)
