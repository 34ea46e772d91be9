"""surfacedefect: finds and outlines superficial damage on cars in high-resolution scans.

>>> import surfacedefect as sd
>>> found = sd.detect("scan.jpg")  # doctest: +SKIP
>>> [(defect.kind, defect.score, defect.length_px) for defect in found]  # doctest: +SKIP

`detect`, `probability_map` and `plan` are one call each; `Detector` keeps the model loaded for many scans.
"""

# No "from __future__ import annotations" here: it would hide the subpackage of that name.
import importlib
from typing import TYPE_CHECKING, Any

from surfacedefect._version import __version__

if TYPE_CHECKING:
    from surfacedefect import annotations, baselines, batch, datasets, evaluation, serving, synthetic, training
    from surfacedefect.card import ModelCard, OperatingPoint
    from surfacedefect.defect import Defect
    from surfacedefect.detections import Detections
    from surfacedefect.detector import Detector, Plan, detect, plan, probability_map
    from surfacedefect.errors import (
        AnnotationError,
        BadValuesError,
        BatchError,
        BatchLockedError,
        DatasetError,
        DatasetLockedError,
        DeadlineError,
        DetectionCancelledError,
        EvaluationError,
        MissingExtraError,
        ModelError,
        OptionError,
        OutputError,
        PredictorError,
        ScaleUnknownError,
        ScanError,
        ScanTooLargeError,
        ServerUnavailableError,
        ServingError,
        SourceError,
        SurfaceDefectError,
        TokenError,
        TrainingError,
    )
    from surfacedefect.options import DetectOptions
    from surfacedefect.predictor import FunctionPredictor, Predictor
    from surfacedefect.probability import ProbabilityMap
    from surfacedefect.scan import Scan

__all__ = [
    "AnnotationError",
    "BadValuesError",
    "BatchError",
    "BatchLockedError",
    "DatasetError",
    "DatasetLockedError",
    "DeadlineError",
    "Defect",
    "DetectOptions",
    "DetectionCancelledError",
    "Detections",
    "Detector",
    "EvaluationError",
    "FunctionPredictor",
    "MissingExtraError",
    "ModelCard",
    "ModelError",
    "OperatingPoint",
    "OptionError",
    "OutputError",
    "Plan",
    "Predictor",
    "PredictorError",
    "ProbabilityMap",
    "ScaleUnknownError",
    "Scan",
    "ScanError",
    "ScanTooLargeError",
    "ServerUnavailableError",
    "ServingError",
    "SourceError",
    "SurfaceDefectError",
    "TokenError",
    "TrainingError",
    "__version__",
    "annotations",
    "baselines",
    "batch",
    "datasets",
    "detect",
    "evaluation",
    "plan",
    "probability_map",
    "serving",
    "synthetic",
    "training",
]

_HOMES = {
    "card": ("ModelCard", "OperatingPoint"),
    "defect": ("Defect",),
    "detections": ("Detections",),
    "detector": ("Detector", "Plan", "detect", "plan", "probability_map"),
    "errors": tuple(name for name in __all__ if name.endswith("Error")),
    "options": ("DetectOptions",),
    "predictor": ("FunctionPredictor", "Predictor"),
    "probability": ("ProbabilityMap",),
    "scan": ("Scan",),
}
_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Load what is asked for when it is first asked for, so that importing costs next to nothing."""
    if name in _MODULE_OF:
        value = getattr(importlib.import_module(f"surfacedefect.{_MODULE_OF[name]}"), name)
    elif name in __all__:
        value = importlib.import_module(f"surfacedefect.{name}")
    else:
        raise AttributeError(f"module 'surfacedefect' has no attribute '{name}'")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
