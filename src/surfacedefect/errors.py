"""Every error this library raises, and the one way to ask for an optional package.

    SurfaceDefectError
    ├── ScanError(ValueError)              the picture cannot be read or is not one
    │   └── ScanTooLargeError              it would need more pixels or memory than allowed
    ├── OptionError(ValueError)            an option is out of its range
    ├── ScaleUnknownError(ValueError)      millimetres were asked of a scan without a scale
    ├── ModelError(ValueError)             a weights file or its card is missing, damaged or does not fit
    ├── MissingExtraError(ImportError)     an optional package is not installed
    ├── PredictorError(RuntimeError)       a predictor failed or broke its contract
    │   └── BadValuesError                 it gave values that are no probabilities
    ├── AnnotationError(ValueError)        an annotation file is not what it says
    ├── DatasetError(ValueError)           a data set's folder or its source cannot be used
    │   ├── DatasetLockedError             another process is writing into that folder
    │   └── SourceError                    the source cannot be reached, listed or read
    ├── EvaluationError(ValueError)        truth and prediction cannot be compared
    ├── TrainingError(ValueError)          the training data or recipe cannot be used
    ├── ServingError(RuntimeError)         a server did not answer as asked
    │   ├── ServerUnavailableError         it cannot be reached, is full or about to stop; ask again later
    │   ├── DeadlineError                  the answer took longer than was allowed
    │   ├── DetectionCancelledError        the caller called it off
    │   └── TokenError                     the token is missing or wrong
    ├── BatchError(RuntimeError)           a batch cannot begin or go on
    │   └── BatchLockedError               another batch is writing into the same destination
    ├── WebError(ValueError)               the web page was asked for something that is not there or not allowed
    │   └── StaleReviewError               somebody else saved a decision on the same scan meanwhile
    └── OutputError(OSError)               a result cannot be written

A message says what was found, what was expected and what to do.
"""

from __future__ import annotations

import importlib
from types import ModuleType


class SurfaceDefectError(Exception):
    """Root of every error that this library raises on purpose."""


class ScanError(SurfaceDefectError, ValueError):
    """A scan cannot be read, or is not a picture."""


class ScanTooLargeError(ScanError):
    """A scan needs more pixels or memory than the options allow."""


class OptionError(SurfaceDefectError, ValueError):
    """An option is out of its range or does not fit the others."""


class ScaleUnknownError(SurfaceDefectError, ValueError):
    """Millimetres were asked of a scan whose scale is unknown."""


class ModelError(SurfaceDefectError, ValueError):
    """A weights file or its card is missing, damaged or does not fit."""


class MissingExtraError(SurfaceDefectError, ImportError):
    """An optional package is not installed."""


class PredictorError(SurfaceDefectError, RuntimeError):
    """A predictor failed or did not keep its contract."""


class BadValuesError(PredictorError):
    """A predictor gave values that are no probabilities for some windows; the others are good."""


class AnnotationError(SurfaceDefectError, ValueError):
    """An annotation file is not what it says."""


class DatasetError(SurfaceDefectError, ValueError):
    """A data set's folder or its source cannot be used."""


class DatasetLockedError(DatasetError):
    """Another ingest is writing into the same folder."""


class SourceError(DatasetError):
    """A source cannot be reached, listed or read."""


class EvaluationError(SurfaceDefectError, ValueError):
    """Truth and prediction cannot be compared."""


class TrainingError(SurfaceDefectError, ValueError):
    """The training data or the recipe cannot be used."""


class ServingError(SurfaceDefectError, RuntimeError):
    """A server did not answer as asked."""


class ServerUnavailableError(ServingError):
    """A server cannot be reached, is full, or is about to stop; the same request may be sent again later."""


class DeadlineError(ServingError):
    """An answer took longer than was allowed."""


class DetectionCancelledError(ServingError):
    """A detection was called off by the one who asked for it."""


class TokenError(ServingError):
    """A server wants a token, or another one."""


class BatchError(SurfaceDefectError, RuntimeError):
    """A batch cannot begin or go on; what was done is kept."""


class BatchLockedError(BatchError):
    """Another batch is writing into the same destination."""


class WebError(SurfaceDefectError, ValueError):
    """The web page was asked for something that is not there or not allowed."""


class StaleReviewError(WebError):
    """Somebody else saved a decision on the same scan meanwhile; nothing was overwritten.

    Attributes
    ----------
    review
        What holds now, a `surfacedefect.web.workspace.Review`.
    """

    def __init__(self, message: str, *, review: object = None) -> None:
        super().__init__(message)
        self.review = review


class OutputError(SurfaceDefectError, OSError):
    """A result cannot be written where it was asked for."""


def require(module: str, *, extra: str) -> ModuleType:
    """Import an optional module, or say which extra installs it.

    Parameters
    ----------
    module
        Dotted name of the module, such as ``"onnxruntime"``.
    extra
        Name of the extra of this package that brings it, such as ``"cpu"``.

    Raises
    ------
    MissingExtraError
        The module cannot be imported.

    Examples
    --------
    >>> require("json", extra="cpu").dumps([1])
    '[1]'
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"'{module}' cannot be imported ({error}). It comes with an optional part of surfacedefect: "
            f"pip install 'surfacedefect[{extra}]'"
        ) from error
