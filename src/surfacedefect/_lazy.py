"""Public names of a package, loaded when they are first asked for: importing it costs next to nothing."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from typing import Any

from surfacedefect.errors import require


def load(package: str, name: str, homes: Mapping[str, str], *, extra: str | None = None) -> Any:
    """Return a public name of a package from the module that `homes` says; for the package's ``__getattr__``.

    Raises
    ------
    AttributeError
        The package has no such name.
    MissingExtraError
        The module needs a package that `extra` brings.

    Examples
    --------
    >>> load("surfacedefect.synthetic", "preset", {"preset": "presets"}).__name__
    'preset'
    """
    if name not in homes:
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    try:
        value = getattr(importlib.import_module(f"{package}.{homes[name]}"), name)
    except ModuleNotFoundError as error:
        if extra is not None:
            require(error.name or package, extra=extra)  # says what to install
        raise
    setattr(sys.modules[package], name, value)
    return value
