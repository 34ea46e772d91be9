"""The model card: what a predictor is, on what it was trained, and at which threshold it should be used."""

from __future__ import annotations

import hashlib
import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from surfacedefect._checks import is_number, is_whole
from surfacedefect._files import without_nan
from surfacedefect._words import shortened
from surfacedefect.errors import ModelError

_SHARE = (1.0, "a number in [0, 1]")
_FIGURES = {
    "pixel_recall": _SHARE,
    "pixel_precision": _SHARE,
    "regions_found": _SHARE,
    "false_alarms_per_scan": (sys.float_info.max, "a number, 0 or more"),
}
"""What is known of a threshold: the largest value, and the range in words."""
_SORTS = {
    "text": ("name", "version", "edge", "weights_file", "sha256", "licence", "summary"),
    "whole": ("window_px", "overlap_px"),
    "number": ("least_area_px", "simplify_px"),
    "by kind": ("thresholds", "least_scores"),
    "names": ("kinds",),
    "mapping": ("training",),
    "optional": ("calibration",),
    "points": ("operating_points",),
}
_SORT_CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "text": (lambda value: isinstance(value, str), "a text"),
    "whole": (is_whole, "a whole number of px"),
    "number": (lambda value: is_number(value) and 0 <= value < math.inf, "a number of px, 0 or more"),
    "by kind": (lambda value: isinstance(value, Mapping) and all(map(is_number, value.values())), "a number a kind"),
    "names": (lambda value: not isinstance(value, str) and all(isinstance(kind, str) for kind in value), "names"),
    "mapping": (lambda value: isinstance(value, Mapping), "a mapping"),
    "optional": (lambda value: value is None or isinstance(value, Mapping), "a mapping or None"),
    "points": (
        lambda value: isinstance(value, tuple) and all(isinstance(point, OperatingPoint) for point in value),
        "a tuple of operating points",
    ),
}


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A threshold and what is known of it.

    Attributes
    ----------
    kind
        Damage kind.
    threshold
        Probability in (0, 1] from which a pixel counts as damaged.
    pixel_recall, pixel_precision
        Shares of damaged pixels that are found, and of found pixels that are damaged; ``nan`` when undefined.
    regions_found
        Share of the true regions of which at least a quarter is found, in [0, 1]; ``nan`` when undefined.
    false_alarms_per_scan
        Predicted regions that touch no true damage, a scan.
    data
        What it was measured on, in words.
    intervals
        Ends of the 95 % interval of those of the four figures that have one: a bootstrap over cars.
    least_score
        Mean probability, in [0, 1], that a region needs to be reported; with 0 every region is.

    Raises
    ------
    ModelError
        A value is of the wrong type or out of its range.

    Examples
    --------
    >>> point = OperatingPoint("dent", 0.5, 0.7, 0.6, 0.8, 1.5, "ten cars", {"pixel_recall": (0.6, 0.8)})
    >>> point.intervals["pixel_recall"]
    (0.6, 0.8)
    >>> print(OperatingPoint("dent", 0.5, math.nan, 0.0, math.nan, 0.2, "clean scans"))
    0.2 false alarms a scan, no damage to be found
    """

    kind: str
    threshold: float
    pixel_recall: float
    pixel_precision: float
    regions_found: float
    false_alarms_per_scan: float
    data: str
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    least_score: float = 0.0

    def __post_init__(self) -> None:
        """Refuse figures that nothing can have been measured as."""
        self._check("kind", isinstance(self.kind, str) and bool(self.kind), "a name")
        self._check("data", isinstance(self.data, str), "a text")
        self._check("threshold", is_number(self.threshold) and 0 < self.threshold <= 1, "a number in (0, 1]")
        self._check("least_score", is_number(self.least_score) and 0 <= self.least_score <= 1, "a number in [0, 1]")
        for name, (most, expected) in _FIGURES.items():
            self._check(name, _is_figure(getattr(self, name), most), f"{expected}, or nan")
        good = isinstance(self.intervals, Mapping) and all(
            name in _FIGURES and _is_interval(ends, _FIGURES[name][0]) for name, ends in self.intervals.items()
        )
        self._check("intervals", good, f"(low, high) of some of {', '.join(_FIGURES)}, in their ranges")

    def _check(self, name: str, good: bool, expected: str) -> None:
        if not good:
            raise ModelError(
                f"an operating point has {name}={shortened(repr(getattr(self, name)))}; expected {expected}"
            )

    def __str__(self) -> str:
        """Say it in a line, intervals in brackets; where there was no damage, false alarms alone."""
        rate = self._with_interval("false_alarms_per_scan", ".2g")
        alarms = f"{rate} false alarm{'' if rate == '1' else 's'} a scan"
        if math.isnan(self.regions_found) and math.isnan(self.pixel_recall):
            return f"{alarms}, no damage to be found"
        found = self._with_interval("regions_found", ".0%")
        recall, precision = self._with_interval("pixel_recall", ".2f"), self._with_interval("pixel_precision", ".2f")
        return f"{found} of the regions found, {alarms}, pixel recall {recall}, pixel precision {precision}"

    def _with_interval(self, name: str, form: str) -> str:
        ends = self.intervals.get(name)
        return f"{getattr(self, name):{form}}" + (f" ({ends[0]:{form}} to {ends[1]:{form}})" if ends else "")


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What a predictor is; the JSON file beside each weights file.

    Attributes
    ----------
    name
        Name of the model, such as ``"unet-lite0"``.
    kinds
        Damage kinds in the order of the output bands.
    version
        Of the model; any text.
    window_px
        Side of the square window that the predictor takes, in px.
    overlap_px
        Default overlap of neighbouring windows, in px, in [0, window_px).
    thresholds
        Default threshold of each kind, in (0, 1].
    least_scores
        Smallest score of each kind that is reported by default, in [0, 1]: a defect is outlined at the threshold, which
        fits its shape, and reported if its mean probability is high enough.
    least_area_px
        Smallest defect that is reported by default, in px.
    simplify_px
        Default tolerance of the outline, in px.
    edge
        Where the last window of a row lies: ``"shift"``, moved back into the scan, or ``"pad"``, filled by reflection.
    weights_file
        Name of the weights file.
    licence, summary
        Licence of the weights, and the model in a line.
    sha256
        Hex digest of the weights file; empty for a predictor without one.
    training
        How it was made.
    calibration
        For each kind ``slope`` and ``offset`` of the log-odds, which the graph applies; see `training.calibration`.
    operating_points
        What was measured, at every threshold 1/255 ... 1; those of one kind and one set of data stand together.

    Examples
    --------
    >>> ModelCard(name="fake", kinds=("scratch",)).threshold("scratch")
    0.5
    """

    name: str
    kinds: tuple[str, ...]
    version: str = "0"
    window_px: int = 512
    overlap_px: int = 128
    thresholds: Mapping[str, float] = field(default_factory=dict)
    least_scores: Mapping[str, float] = field(default_factory=dict)
    least_area_px: float = 30.0
    simplify_px: float = 0.5
    edge: str = "shift"
    weights_file: str = ""
    sha256: str = ""
    licence: str = ""
    summary: str = ""
    calibration: Mapping[str, Any] | None = None
    operating_points: tuple[OperatingPoint, ...] = ()
    training: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a card that no map could be made with."""
        self._check_types()
        if not self.kinds or len(set(self.kinds)) != len(self.kinds):
            raise ModelError(
                f"card '{self.name}' has the kinds {list(self.kinds)}; expected one or more, all different"
            )
        if self.window_px < 1 or not 0 <= self.overlap_px < self.window_px:
            raise ModelError(
                f"card '{self.name}' has window_px={self.window_px} and overlap_px={self.overlap_px}; "
                "expected a window of at least 1 px and an overlap in [0, window_px)"
            )
        if self.edge not in ("shift", "pad"):
            raise ModelError(f"card '{self.name}' has edge='{self.edge}'; expected 'shift' or 'pad'")
        for kind, value in self.thresholds.items():
            if kind not in self.kinds or not 0 < value <= 1:
                raise ModelError(f"card '{self.name}': threshold {value} of '{kind}'; expected a known kind and (0, 1]")
        for kind, value in self.least_scores.items():
            if kind not in self.kinds or not 0 <= value <= 1:
                raise ModelError(
                    f"card '{self.name}': least score {value} of '{kind}'; expected a known kind and [0, 1]"
                )

    def _check_types(self) -> None:
        for sort, names in _SORTS.items():
            good, expected = _SORT_CHECKS[sort]
            for name in names:
                if not good(value := getattr(self, name)):
                    raise ModelError(f"card '{self.name}' has {name}={value!r}; expected {expected}")

    def threshold(self, kind: str) -> float:
        """Return the default threshold of `kind`, in (0, 1]; 0.5 where the card is silent."""
        return float(self.thresholds.get(kind, 0.5))

    def least_score(self, kind: str) -> float:
        """Return the smallest score of `kind` that is reported by default, in [0, 1]; 0 where the card is silent."""
        return float(self.least_scores.get(kind, 0.0))

    def to_json(self) -> str:
        """Return the card as JSON text; an undefined figure is ``null``."""
        record = {item.name: getattr(self, item.name) for item in fields(self)}
        curves = [without_nan(_columns(points)) for points in _curves(self.operating_points)]
        text = json.dumps(without_nan({**record, "operating_points": []}), indent=2, ensure_ascii=False) + "\n"
        empty = '\n  "operating_points": []'
        return text.replace(empty, empty[:-2] + _one_line_a_figure(curves)) if curves else text

    def measured(self, kind: str, threshold: float | None = None) -> tuple[OperatingPoint, ...]:
        """Return what was measured at a threshold, one point for each set of data; empty when nothing was.

        Parameters
        ----------
        kind
            Damage kind.
        threshold
            In (0, 1], every region reported. Points of up to 1/255 above it count, as maps are no finer. None takes the
            default of that kind, with its least score where it has one.

        Examples
        --------
        >>> point = OperatingPoint("dent", 0.5, 0.7, 0.6, 0.8, 1.5, "ten cars")
        >>> card = ModelCard(name="own", kinds=("dent",), operating_points=(point,))
        >>> card.measured("dent")[0].false_alarms_per_scan, card.measured("dent", 0.9)
        (1.5, ())
        """
        least = (self.threshold(kind) if threshold is None else threshold) - 1e-9
        scored = self.least_score(kind) if threshold is None else 0.0
        known = [
            point
            for point in self.operating_points
            if point.kind == kind and point.least_score == scored and least <= point.threshold <= least + 1 / 255
        ]
        return tuple(min(points, key=lambda point: point.threshold) for points in _curves(known))

    @classmethod
    def from_json(cls, text: str, *, name: str = "card") -> Self:
        """Read a card from JSON text.

        Raises
        ------
        ModelError
            The text is not a card: no JSON, an unknown or missing field, or a value of the wrong type.
        """
        try:
            record = json.loads(text)
            if not isinstance(record, dict):
                raise TypeError(f"found a JSON {type(record).__name__}")
            points = tuple(point for curve in record.pop("operating_points", ()) for point in _points(curve))
            kinds = record.pop("kinds")
            if not isinstance(kinds, list) or not all(isinstance(kind, str) for kind in kinds):
                raise TypeError(f"kinds is {kinds!r}")
            return cls(
                **record,
                kinds=tuple(kinds),
                operating_points=points,
            )
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise ModelError(
                f"{name} is not a model card ({error}); expected the JSON that surfacedefect writes beside its weights"
            ) from error


def _is_figure(value: object, most: float) -> bool:
    """Whether a value is a number in [0, most], or nan, which stands for what is not defined."""
    return (isinstance(value, float) and math.isnan(value)) or (is_number(value) and 0 <= value <= most)  # type: ignore[operator]


def _is_interval(ends: object, most: float) -> bool:
    if not isinstance(ends, tuple) or len(ends) != 2 or not all(_is_figure(end, most) for end in ends):
        return False
    return not ends[0] > ends[1]


def _curves(points: Iterable[OperatingPoint]) -> list[list[OperatingPoint]]:
    """Put together what is known of one kind on one set of data, with one least score."""
    curves: dict[tuple[str, str, float], list[OperatingPoint]] = {}
    for point in points:
        curves.setdefault((point.kind, point.data, point.least_score), []).append(point)
    return list(curves.values())


def _columns(points: Sequence[OperatingPoint]) -> dict[str, Any]:
    """Write the points of a curve as one list a figure; an interval as its two ends."""
    columns: dict[str, Any] = {"kind": points[0].kind, "data": points[0].data}
    if points[0].least_score:
        columns["least_score"] = points[0].least_score
    columns |= {name: [getattr(point, name) for point in points] for name in ("threshold", *_FIGURES)}
    for name in _FIGURES:
        if any(name in point.intervals for point in points):
            columns[f"{name}_95"] = [point.intervals.get(name) for point in points]
    return columns


def _points(columns: Mapping[str, Any]) -> Iterator[OperatingPoint]:
    """Read the points of a curve back."""
    known = {"kind", "data", "least_score", "threshold", *_FIGURES}
    if unknown := set(columns) - known - {f"{name}_95" for name in _FIGURES}:
        raise KeyError(f"unknown entries {sorted(unknown)} of an operating curve")
    lists = {name: columns[name] for name in ("threshold", *_FIGURES)}
    lists |= {name: values for name, values in columns.items() if name.endswith("_95")}
    for row in zip(*lists.values(), strict=True):
        values = dict(zip(lists, row, strict=True))
        yield OperatingPoint(
            kind=columns["kind"],
            data=columns["data"],
            least_score=columns.get("least_score", 0.0),
            threshold=values["threshold"],
            **{name: _or_nan(values[name]) for name in _FIGURES},
            intervals={
                name: tuple(map(_or_nan, ends)) for name in _FIGURES if (ends := values.get(f"{name}_95")) is not None
            },
        )


def _or_nan(value: Any) -> Any:
    return math.nan if value is None else value


def _one_line_a_figure(curves: Sequence[Mapping[str, Any]]) -> str:
    """Write curves as JSON with each list on a line of its own: there are hundreds of numbers in it."""
    texts = [",\n      ".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in c.items()) for c in curves]
    return "[\n" + ",\n".join(f"    {{\n      {text}\n    }}" for text in texts) + "\n  ]"


def read_card(weights: Path) -> ModelCard:
    """Read the card beside a weights file and check the file against its sha256.

    Parameters
    ----------
    weights
        Path of the ``.onnx`` file; its card has the same name with ``.json``.

    Raises
    ------
    ModelError
        The file or its card is missing, or the file is not the one that the card describes.
    """
    if not weights.is_file():
        raise ModelError(
            f"no weights file at '{shortened(weights)}'; expected an .onnx file with its .json card beside it"
        )
    card_path = weights.with_suffix(".json")
    try:
        card = ModelCard.from_json(card_path.read_text(encoding="utf-8"), name=f"'{shortened(card_path)}'")
    except FileNotFoundError as error:
        raise ModelError(
            f"'{weights.name}' has no card: expected '{shortened(card_path)}'. `surfacedefect train` writes both"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"the card '{shortened(card_path)}' cannot be read: {error}") from error
    found = sha256_of(weights)
    if card.sha256 and found != card.sha256:
        raise ModelError(
            f"'{shortened(weights)}' has sha256 {found[:12]}..., its card says {card.sha256[:12]}...: "
            "the file is damaged or another one; copy weights and card again, together"
        )
    return card


def sha256_of(path: Path) -> str:
    """Return the hex sha256 of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
