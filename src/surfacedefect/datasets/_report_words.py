"""How figures and names are written on a report's page."""

from __future__ import annotations

import math

from surfacedefect._words import shortened, visible

_NAME_LETTERS, _REASON_LETTERS = 110, 320


def name(text: object) -> str:
    r"""Name of a file or a group: nothing invisible in it, its middle left out where it is long.

    Examples
    --------
    >>> print(name("car 7/line\nbreak.jpg"))
    car 7/line\nbreak.jpg
    """
    return visible(shortened(text, most=_NAME_LETTERS))


def reason(text: object) -> str:
    """Sentence on what is wrong, as `name` but longer."""
    return visible(shortened(text, most=_REASON_LETTERS))


def number(value: float) -> str:
    """Whole number with separators.

    Examples
    --------
    >>> number(1234567)
    '1,234,567'
    """
    return f"{value:,.0f}"


def size(value: float | None) -> str:
    """Bytes in the unit that suits them.

    Examples
    --------
    >>> size(0), size(999), size(1_234), size(12_345_678), size(3.2e12), size(None)
    ('0 B', '999 B', '1.2 kB', '12 MB', '3.2 TB', 'unknown')
    """
    if value is None:
        return "unknown"
    units, at = ("B", "kB", "MB", "GB", "TB"), 0
    while value >= 999.5 and at < len(units) - 1:
        value, at = value / 1000, at + 1
    figure = f"{value:.1f}".removesuffix(".0") if at and value < 9.95 else f"{value:,.0f}"
    return f"{figure} {units[at]}"


def percent(share: float | None) -> str:
    """Share in percent, with two figures where it is small; never 0 or 100 of what is not.

    Examples
    --------
    >>> percent(0), percent(0.00123), percent(0.4567), percent(0.99999), percent(1), percent(None)
    ('0 %', '0.12 %', '45.7 %', '> 99.9 %', '100 %', 'not defined')
    """
    if share is None or math.isnan(share):
        return "not defined"
    if share in (0, 1):
        return f"{share:.0%}".replace("%", " %")
    if share > 0.999:
        return "> 99.9 %"
    if share < 0.00001:
        return "< 0.001 %"
    return f"{100 * share:.1f} %" if share >= 0.0995 else f"{100 * share:#.2g} %"


def span(lower: float, upper: float, unit: str) -> str:
    """Bin of a histogram.

    Examples
    --------
    >>> span(0, 0.1, "MP"), span(1000, 1_000_000, "px"), span(250, math.inf, "MP"), span(1e4, 3e4, "bytes")
    ('under 0.1 MP', '1,000 to 1,000,000 px', '250 MP and more', '10 to 30 kB')
    """
    if unit == "bytes":
        low, high, unit = size(lower), size(upper) if math.isfinite(upper) else "", ""
        if low.split()[1:] == high.split()[1:]:
            low = low.split()[0]
    else:
        low, high = (f"{edge:,.0f}" if edge >= 1 and math.isfinite(edge) else f"{edge:g}" for edge in (lower, upper))
    after = f" {unit}" if unit else ""
    if not lower:
        return f"under {high}{after}"
    return f"{low} to {high}{after}" if math.isfinite(upper) else f"{low}{after} and more"
