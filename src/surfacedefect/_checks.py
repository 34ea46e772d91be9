"""The checks of option values, kinds and thresholds, wherever they come in."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from surfacedefect._words import type_name
from surfacedefect.errors import OptionError


def expect(good: bool, name: str, found: object, expected: str) -> None:
    """Refuse an option that is not good, in the words of every option."""
    if not good:
        raise OptionError(f"{name} is {found!r}; expected {expected}")


def is_number(value: object) -> bool:
    """Whether a value is a real number, of Python or of NumPy; True, False and nan are none."""
    return not isinstance(value, bool) and isinstance(value, numbers.Real) and not math.isnan(value)


def is_whole(value: object) -> bool:
    """Whether a value is a whole number, of Python or of NumPy; True and False are none."""
    return not isinstance(value, bool) and isinstance(value, numbers.Integral)


def check_number(name: str, value: Any, low: float, high: float) -> None:
    """Refuse what is no finite number in [low, high]."""
    good = is_number(value) and math.isfinite(value) and low <= value <= high
    expect(good, name, value, f"a number from {low:,} to {high:,}")


def check_whole(name: str, value: Any, low: int, high: int) -> None:
    """Refuse what is no whole number in [low, high]."""
    expect(is_whole(value) and low <= value <= high, name, value, f"a whole number from {low:,} to {high:,}")


def check_token(value: object) -> None:
    """Refuse what nobody could type in as a token; it is never repeated: messages end in logs."""
    if not isinstance(value, str):
        raise OptionError(f"the token is {type_name(value)}; expected a text, or None for no token")
    if not value.isprintable() or not value or value != value.strip():
        raise OptionError(
            "the token is empty, holds what cannot be typed, or has spaces or line ends around it; strip() it"
        )


def checked_pair(name: str, value: object, meaning: str = "least, most") -> tuple[Any, Any]:
    """Return a tuple of two; refuse anything else."""
    if not isinstance(value, tuple) or len(value) != 2:
        raise OptionError(f"{name} is {value!r}; expected a tuple ({meaning})")
    return value


def check_choice(name: str, value: object, known: Sequence[str]) -> None:
    """Refuse what is none of the known names."""
    expect(value in known, name, value, f"one of {', '.join(known)}")


def checked_kinds(kinds: object, *, known: Sequence[str] | None = None) -> tuple[str, ...]:
    """Return the kinds to look for, each once, as ordered; refuse none, what is no name, and what is not `known`."""
    names = () if isinstance(kinds, str) or not isinstance(kinds, Iterable) else tuple(kinds)
    if not names or not all(isinstance(name, str) for name in names):
        found = repr(kinds) if names or isinstance(kinds, str) or not isinstance(kinds, Iterable) else "empty"
        raise OptionError(f"kinds is {found}; expected one or more names, such as ('scratch',)")
    if known is not None:
        check_names("kinds", names, known=known)
    return tuple(dict.fromkeys(names))


def checked_thresholds(threshold: Any, *, kinds: Sequence[str], known: Sequence[str]) -> tuple[tuple[str, float], ...]:
    """Return the threshold of each kind; refuse what is out of (0, 1], a missing kind and an unknown one."""
    check_thresholds(threshold)
    given: Mapping[str, float] = threshold if isinstance(threshold, Mapping) else dict.fromkeys(kinds, threshold)
    check_names("threshold", given, known=known)
    if missing := [kind for kind in kinds if kind not in given]:
        raise OptionError(f"threshold has no value for {_listed(missing)}; expected one a kind")
    return tuple((kind, float(given[kind])) for kind in kinds)


def check_thresholds(threshold: Any) -> None:
    """Refuse a threshold, or one of a mapping by kind, that is no number in (0, 1]."""
    given = threshold.items() if isinstance(threshold, Mapping) else [("", threshold)]
    for kind, value in given:
        name = f"threshold of {kind!r}" if kind else "threshold"
        expect(is_number(value) and 0 < value <= 1, name, value, "a number in (0, 1]")


def checked_least_scores(least: Any, *, kinds: Sequence[str], known: Sequence[str]) -> tuple[tuple[str, float], ...]:
    """Return the least score of each kind, 0 where none is given; refuse what is out of [0, 1] and an unknown kind."""
    check_least_scores(least)
    given: Mapping[str, float] = least if isinstance(least, Mapping) else dict.fromkeys(kinds, least)
    check_names("least_score", given, known=known)
    return tuple((kind, float(given.get(kind, 0.0))) for kind in kinds)


def check_least_scores(least: Any) -> None:
    """Refuse a least score, or one of a mapping by kind, that is no number in [0, 1]."""
    given = least.items() if isinstance(least, Mapping) else [("", least)]
    for kind, value in given:
        name = f"least_score of {kind!r}" if kind else "least_score"
        expect(is_number(value) and 0 <= value <= 1, name, value, "a number in [0, 1]")


def check_names(option: str, names: Iterable[str], *, known: Sequence[str]) -> None:
    """Refuse an option that names a kind which is not known."""
    if unknown := [name for name in names if name not in known]:
        raise OptionError(f"{option} names {_listed(unknown)}; expected one or more of {_listed(known)}")


def _listed(names: Iterable[object]) -> str:
    return ", ".join(map(repr, names))
