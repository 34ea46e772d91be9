"""Why a request is refused, and how each protocol says so."""

from __future__ import annotations

import traceback
from dataclasses import dataclass

from surfacedefect._words import shortened
from surfacedefect.errors import (
    OptionError,
    PredictorError,
    ScaleUnknownError,
    ScanError,
    ScanTooLargeError,
    SurfaceDefectError,
)

MOST_LETTERS = 1000
REASON_HEADER = "surfacedefect-reason"
ACCEPTED_HEADER = "surfacedefect-accepted"
"""Sent with the first bytes of an answer, once a request has its place: from then on a client does not ask again."""


@dataclass(frozen=True, slots=True)
class Code:
    """What REST and gRPC call one reason."""

    http: int
    grpc: str


CODES = {
    "malformed": Code(400, "INVALID_ARGUMENT"),
    "scan": Code(400, "INVALID_ARGUMENT"),
    "option": Code(400, "INVALID_ARGUMENT"),
    "unauthenticated": Code(401, "UNAUTHENTICATED"),
    "not_found": Code(404, "NOT_FOUND"),
    "unsupported": Code(501, "UNIMPLEMENTED"),
    "too_large": Code(413, "RESOURCE_EXHAUSTED"),
    "headers_too_large": Code(431, "RESOURCE_EXHAUSTED"),
    "scan_too_large": Code(413, "RESOURCE_EXHAUSTED"),
    "queue_full": Code(429, "RESOURCE_EXHAUSTED"),
    "cancelled": Code(499, "CANCELLED"),
    "predictor": Code(500, "INTERNAL"),
    "internal": Code(500, "INTERNAL"),
    "not_ready": Code(503, "UNAVAILABLE"),
    "draining": Code(503, "UNAVAILABLE"),
    "deadline": Code(504, "DEADLINE_EXCEEDED"),
}


class RequestError(SurfaceDefectError):
    """A request is not answered, for one of the reasons of `CODES`.

    Examples
    --------
    >>> refused = RequestError("queue_full", "16 requests wait already")
    >>> refused.code.http, refused.code.grpc, str(refused)
    (429, 'RESOURCE_EXHAUSTED', '16 requests wait already')
    """

    def __init__(self, reason: str, message: str) -> None:
        # One printable line: it goes into headers and logs, and parts of it come from strangers.
        line = "".join(letter if letter.isprintable() else "?" for letter in " ".join(message.split()))
        super().__init__(shortened(line, most=MOST_LETTERS))
        self.reason = reason

    @property
    def code(self) -> Code:
        """Its codes in both protocols."""
        return CODES[self.reason]


def let_go(error: BaseException) -> None:
    """Empty the frames that an error passed through: they hold the picture, and would do so until the next collection.

    The error must have been dealt with: its traceback is gone afterwards.
    """
    seen: set[int] = set()
    following: list[BaseException | None] = [error]
    while following:
        one = following.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        following += [one.__cause__, one.__context__]
        traceback.clear_frames(one.__traceback__)
        one.__traceback__ = None


def as_request_error(error: BaseException) -> RequestError:
    """Turn whatever was raised into a refusal; what nobody thought of says its type alone.

    Examples
    --------
    >>> as_request_error(ScanError("bytes: found text, expected a picture")).code.http
    400
    """
    if isinstance(error, RequestError):
        return error
    for kind, reason in (
        (ScanTooLargeError, "scan_too_large"),
        (ScanError, "scan"),
        (OptionError, "option"),
        (ScaleUnknownError, "option"),
        (PredictorError, "predictor"),
    ):
        if isinstance(error, kind):
            return RequestError(reason, str(error))
    if isinstance(error, MemoryError):
        return RequestError("scan_too_large", "the server has not enough memory for this scan; send a smaller one")
    return RequestError("internal", f"the server failed ({type(error).__name__}); its log says more")
