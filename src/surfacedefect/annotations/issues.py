"""What was wrong in annotations, and what was done about it: one line each."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class AnnotationIssue:
    """One thing that was wrong in annotations.

    Parameters
    ----------
    picture
        File name of the picture; the annotation file or an empty text where no picture is known.
    what
        What was found.
    done
        What was done about it.
    was
        What stood there before, so that nothing is lost: the outline as WKT in pixels, or the entry of the file.
    set_aside
        Whether it was left out, for a person to look at; otherwise it was mended and is in the result.

    Examples
    --------
    >>> print(AnnotationIssue("door.jpg", "a region reaches 3 px out of the picture", "clipped"))
    door.jpg: a region reaches 3 px out of the picture; clipped
    """

    picture: str
    what: str
    done: str
    was: str = ""
    set_aside: bool = False

    def __str__(self) -> str:
        head = f"{self.picture}: " if self.picture and not self.what.startswith(self.picture) else ""
        return f"{head}{self.what}; {self.done}".replace("\r", "\\r").replace("\n", "\\n")


def issues_json(issues: Iterable[AnnotationIssue]) -> dict[str, Any]:
    """Record of issues for a JSON file: ``{"issues": [...]}``, one object an issue with the fields of the class.

    Examples
    --------
    >>> issues_json([AnnotationIssue("door.jpg", "no area", "set aside", set_aside=True)])["issues"][0]["picture"]
    'door.jpg'
    """
    return {"issues": [asdict(issue) for issue in issues]}


def entry_text(entry: object) -> str:
    """Text of an entry of a file, in full."""
    return entry if isinstance(entry, str) else json.dumps(entry, ensure_ascii=False, default=str)
