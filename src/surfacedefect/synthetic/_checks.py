"""Checks of option values, with errors that say what was found and what was expected."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any

from surfacedefect.errors import OptionError


def check_number(name: str, value: object, low: float, high: float) -> None:
    """Raise `OptionError` unless the value is a number in [low, high]."""
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if not is_number or not math.isfinite(float(value)) or not low <= float(value) <= high:  # type: ignore[arg-type]
        raise OptionError(f"{name} is {value!r}; expected a number from {low:,} to {high:,}")


def check_whole(name: str, value: object, low: int, high: int) -> None:
    """Raise `OptionError` unless the value is a whole number in [low, high]."""
    if isinstance(value, bool) or not isinstance(value, Integral) or not low <= int(value) <= high:
        raise OptionError(f"{name} is {value!r}; expected a whole number from {low:,} to {high:,}")


def checked_pair(name: str, value: object, meaning: str = "least, most") -> tuple[Any, Any]:
    """Give the value back if it is a tuple of two; else raise `OptionError`."""
    if not isinstance(value, tuple) or len(value) != 2:
        raise OptionError(f"{name} is {value!r}; expected a tuple ({meaning})")
    return value


def check_choice(name: str, value: object, known: tuple[str, ...]) -> None:
    """Raise `OptionError` unless the value is one of the known names."""
    if value not in known:
        raise OptionError(f"{name} is {value!r}; expected one of {', '.join(known)}")
