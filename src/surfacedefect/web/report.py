"""The report of one page: HTML that needs nothing else, and PDF.

The PDF is a picture of a page, written by Pillow, which is here anyway: no text can be marked in it. reportlab and
fpdf2 would write text, and each is one more dependency; the HTML report prints to such a PDF in any browser.
"""

from __future__ import annotations

import base64
import io
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from surfacedefect._labels import plain
from surfacedefect.detections import Detections
from surfacedefect.errors import require

_PICTURE_PX = 1600
_DPI = 200
_PAGE_PX = (1654, 2339)  # A4
_MARGIN_PX = 110
_TEXT_PX, _TITLE_PX = 26, 44
_MOST_LINES = 14  # of one fact
_INK, _FAINT, _RED = (20, 20, 24), (120, 120, 120), (176, 0, 32)


@dataclass(frozen=True, slots=True)
class Page:
    """The texts of a report."""

    title: str
    facts: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def html(page: Page, found: Detections) -> bytes:
    """Write the report as HTML; every text is escaped, and nothing is loaded from elsewhere."""
    jinja2 = require("jinja2", extra="web")
    template = (Path(__file__).parent / "templates" / "report.html.j2").read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    data = io.BytesIO()
    found.plot(long_side_px=_PICTURE_PX).save(data, format="JPEG", quality=85)
    text: str = environment.from_string(template).render(
        title=page.title,
        facts=page.facts,
        warnings=page.warnings,
        columns=page.columns,
        rows=page.rows,
        picture=base64.b64encode(data.getvalue()).decode(),
    )
    return text.encode()


def pdf(page: Page, found: Detections) -> bytes:
    """Write the report as one page of PDF; what has no room is counted."""
    sheet = Image.new("RGB", _PAGE_PX, "white")
    draw = _Pen(sheet)
    draw.text(f"Inspection of {page.title}", size=_TITLE_PX)
    for warning in page.warnings:
        draw.text(warning, colour=_RED)
    for name, value in page.facts:
        draw.pair(name, value)
    picture = found.plot(long_side_px=_PICTURE_PX)
    picture.thumbnail((_PAGE_PX[0] - 2 * _MARGIN_PX, _PAGE_PX[1] // 2 - _MARGIN_PX))
    draw.picture(picture)
    draw.table(page.columns, page.rows)
    data = io.BytesIO()
    sheet.save(data, format="PDF", resolution=_DPI, title=plain(page.title), quality=85)
    return data.getvalue()


class _Pen:
    """Writes from the top of a page down."""

    def __init__(self, sheet: Image.Image) -> None:
        self._sheet, self._draw = sheet, ImageDraw.Draw(sheet)
        self._y = _MARGIN_PX
        self._right, self._bottom = sheet.width - _MARGIN_PX, sheet.height - _MARGIN_PX

    def text(self, text: str, *, size: int = _TEXT_PX, colour: Any = _INK) -> None:
        for line in self._wrapped(text, width=self._right - _MARGIN_PX, size=size)[:3]:
            self._put(_MARGIN_PX, line, size=size, colour=colour)
            self._y += round(1.35 * size)

    def pair(self, name: str, value: str) -> None:
        left = _MARGIN_PX + 330
        self._put(_MARGIN_PX, name, colour=_FAINT)
        lines = self._wrapped(value, width=self._right - left)
        room = len(lines) if len(lines) <= _MOST_LINES else _MOST_LINES - 1
        for line in lines[:room]:
            self._put(left, line)
            self._y += round(1.35 * _TEXT_PX)
        if len(lines) > room:
            self._put(left, f"and {len(lines) - room} more lines; the HTML report has them all", colour=_RED)
            self._y += round(1.35 * _TEXT_PX)

    def picture(self, picture: Image.Image) -> None:
        self._y += _TEXT_PX // 2
        self._sheet.paste(picture, (_MARGIN_PX + (self._right - _MARGIN_PX - picture.width) // 2, self._y))
        self._y += picture.height + _TEXT_PX

    def table(self, columns: tuple[str, ...], rows: tuple[tuple[str, ...], ...]) -> None:
        step = round(1.5 * _TEXT_PX)
        room = max(0, (self._bottom - self._y) // step - 2)
        widths = (0.06, 0.2, 0.12, 0.16, 0.15, 0.15, 0.16)
        self._row(columns, widths, colour=_FAINT)
        self._y += step
        for row in rows[:room]:
            self._draw.line((_MARGIN_PX, self._y - 6, self._right, self._y - 6), fill=(220, 220, 220))
            self._row(row, widths)
            self._y += step
        if len(rows) > room:
            self._put(
                _MARGIN_PX, f"and {len(rows) - room} more; the CSV and the HTML report have them all", colour=_RED
            )
        elif not rows:
            self._put(_MARGIN_PX, "No damage.")

    def _row(self, texts: tuple[str, ...], widths: tuple[float, ...], *, colour: Any = _INK) -> None:
        x = float(_MARGIN_PX)
        for text, share in zip(texts, widths, strict=True):
            width = share * (self._right - _MARGIN_PX)
            self._put(round(x), self._wrapped(text, width=int(width) - 12)[0], colour=colour)
            x += width

    def _put(self, x: int, text: str, *, size: int = _TEXT_PX, colour: Any = _INK) -> None:
        if self._y + size <= self._sheet.height:
            self._draw.text((x, self._y), text, fill=colour, font=_font(size))

    def _wrapped(self, text: str, *, width: int, size: int = _TEXT_PX) -> list[str]:
        """Break a text into lines, inside of words where they are too long."""
        lines: list[str] = []
        for paragraph in plain_lines(text):
            line = ""
            for letter in paragraph:
                if line and self._draw.textlength(line + letter, font=_font(size)) > width:
                    cut = line.rfind(" ") if letter != " " and " " in line.strip() else len(line)
                    lines.append(line[:cut].rstrip())
                    line = line[cut:].lstrip()
                line += letter
            lines.append(line)
        return lines or [""]


def plain_lines(text: str) -> list[str]:
    """Return the lines of a text, with what the font does not have replaced."""
    return [plain(line) for line in text.splitlines()] or [""]


def _font(size: int) -> Any:
    return ImageFont.load_default(size)


def written(write: Callable[[Path], object], ending: str) -> bytes:
    """Return what a function writes to a file that it is given the path of."""
    with tempfile.TemporaryDirectory(prefix="surfacedefect-") as folder:
        path = Path(folder) / f"export{ending}"
        write(path)
        return path.read_bytes()
