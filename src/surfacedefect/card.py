"""The model card: what a predictor is, on what it was trained, and at which threshold it should be used."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from surfacedefect._files import without_nan
from surfacedefect._words import shortened
from surfacedefect.errors import ModelError


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A threshold and what is known of it.

    Attributes
    ----------
    kind
        Damage kind, or ``"any"`` for all kinds together.
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
    """

    kind: str
    threshold: float
    pixel_recall: float
    pixel_precision: float
    regions_found: float
    false_alarms_per_scan: float
    data: str


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What a predictor is; the JSON file beside each weights file.

    Attributes
    ----------
    name
        Name of the model, such as ``"unet-lite0"``.
    kinds
        Damage kinds in the order of the output bands.
    window_px
        Side of the square window that the predictor takes, in px.
    overlap_px
        Default overlap of neighbouring windows, in px, in [0, window_px).
    thresholds
        Default threshold of each kind, in (0, 1].
    least_area_px
        Smallest defect that is reported by default, in px.
    simplify_px
        Default tolerance of the outline, in px.
    edge
        Where the last window of a row lies: ``"shift"``, moved back into the scan, or ``"pad"``, filled by reflection.
    sha256
        Hex digest of the weights file; empty for a predictor without one.
    training, calibration, operating_points
        How it was made and measured.

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

    def threshold(self, kind: str) -> float:
        """Return the default threshold of `kind`, in (0, 1]; 0.5 where the card is silent."""
        return float(self.thresholds.get(kind, 0.5))

    def to_json(self) -> str:
        """Return the card as JSON text; an undefined figure is ``null``."""
        record = asdict(self)
        return json.dumps(without_nan(record), indent=2, ensure_ascii=False) + "\n"

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
            points: list[dict[str, Any]] = [
                {key: math.nan if value is None else value for key, value in point.items()}
                for point in record.pop("operating_points", ())
            ]
            kinds = record.pop("kinds")
            if not isinstance(kinds, list) or not all(isinstance(kind, str) for kind in kinds):
                raise TypeError(f"kinds is {kinds!r}")
            return cls(
                **record,
                kinds=tuple(kinds),
                operating_points=tuple(OperatingPoint(**point) for point in points),
            )
        except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
            raise ModelError(
                f"{name} is not a model card ({error}); expected the JSON that surfacedefect writes beside its weights"
            ) from error


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
