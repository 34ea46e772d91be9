"""CSV files for spreadsheets: names of files are data there, never formulas."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from surfacedefect._files import atomic_path

# What makes Excel, LibreOffice and Google Sheets run a cell, and the quote that we put before it.
_RUNS = ("=", "+", "-", "@", "\t", "\r", "\n", "'")
ENCODING = "utf-8-sig"
"""With a byte order mark, without which Excel takes a CSV file for one in the machine's old code page."""


def safe_cell(value: object) -> str:
    r"""Text of one cell, with ``'`` before what a spreadsheet would run as a formula.

    Numbers stay as they are. A text that begins with ``'`` gets another one, so that taking one away where a text
    begins with it always gives back what was there.

    Examples
    --------
    >>> safe_cell("=1+1.jpg"), safe_cell("car 7/a.jpg"), safe_cell("'a"), safe_cell(-3), safe_cell(None)
    ("'=1+1.jpg", 'car 7/a.jpg', "''a", '-3', '')
    """
    if value is None:
        return ""
    text = str(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(_RUNS) else text


def write_table(path: str | Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> int:
    """Write a CSV file, whole or not at all, and return how many rows it has, the head left out.

    Every cell is in quotes, so that separators and line breaks in names stay inside of them.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    count = 0
    with atomic_path(path) as part, part.open("w", encoding=ENCODING, newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        writer.writerow(columns)
        for row in rows:
            writer.writerow([safe_cell(row[name]) for name in columns])
            count += 1
    return count
