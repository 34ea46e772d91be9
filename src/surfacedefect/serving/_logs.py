"""One JSON object a line, so that a log can be searched by request and by field."""

from __future__ import annotations

import datetime
import json
import logging
import time
from typing import Any

from surfacedefect.serving._call import Call
from surfacedefect.serving._refusals import RequestError

logger = logging.getLogger("surfacedefect.serving")


class JsonLines(logging.Formatter):
    r"""Formats a record as one line; names and messages of strangers cannot break out of it.

    Examples
    --------
    >>> record = logging.LogRecord("x", logging.INFO, "", 0, 'two\nlines "quoted"', None, None)
    >>> json.loads(JsonLines().format(record))["event"]
    'two\nlines "quoted"'
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        moment = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        line: dict[str, Any] = {
            "time": moment.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        # ASCII only: control characters of other alphabets end lines on some terminals, too.
        return json.dumps(line, ensure_ascii=True, default=str)


def configure(level: int = logging.INFO) -> None:
    """Send every log of this process to stderr as JSON; for a program, not for a library's user."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "kserve", "kserve.trace"):
        other = logging.getLogger(name)
        other.handlers, other.propagate = [], True


def log_end(call: Call, refusal: RequestError | None, *, size: int) -> None:
    """Write the one line that every request for a detection leaves."""
    fields = {
        "request_id": call.request_id,
        "protocol": call.protocol,
        "client": call.client,
        "bytes": size,
        "seconds": round(time.monotonic() - call.arrived, 4),
        **call.notes,
    }
    if refusal is None:
        logger.info("answered", extra={"fields": fields})
    else:
        fields |= {"reason": refusal.reason, "message": str(refusal)}
        logger.warning("rejected", extra={"fields": fields})
