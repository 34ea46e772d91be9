"""Options that come as text, from a command line or from a request."""

from __future__ import annotations

from surfacedefect.errors import OptionError


def split(text: str | None) -> tuple[str, ...] | None:
    """Return the names of a comma-separated list, or None when there is none.

    Examples
    --------
    >>> split("scratch, dent")
    ('scratch', 'dent')
    """
    if text is None:
        return None
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


def by_kind(name: str, text: str | None) -> float | dict[str, float] | None:
    """Read ``0.4`` or ``scratch=0.4,dent=0.6``; `name` is for the error.

    Raises
    ------
    OptionError
        The text is neither.

    Examples
    --------
    >>> by_kind("threshold", "0.4"), by_kind("threshold", "scratch=0.4,dent=0.6")
    (0.4, {'scratch': 0.4, 'dent': 0.6})
    """
    if text is None:
        return None
    try:
        if "=" not in text:
            return float(text)
        pairs = (part.split("=", 1) for part in split(text) or ())
        return {kind.strip(): float(value) for kind, value in pairs}
    except ValueError as error:
        raise OptionError(
            f"the {name} is '{text}'; expected a number such as 0.4, or one a kind: scratch=0.4,dent=0.6"
        ) from error
