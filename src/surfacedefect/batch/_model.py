"""Which model looks: shipped weights, an .onnx file, or a predictor that a function makes in each worker."""

from __future__ import annotations

import hashlib
import importlib
import re
from pathlib import Path
from typing import Any

from surfacedefect._words import shortened, type_name
from surfacedefect.card import ModelCard, read_card
from surfacedefect.errors import ModelError, OptionError
from surfacedefect.predictor import Predictor
from surfacedefect.runtimes import find_weights, load_predictor

_FACTORY = re.compile(r"(?P<module>[A-Za-z_][\w.]*):(?P<name>[A-Za-z_]\w*)")


def checked_model(model: object) -> str:
    """Return how workers name the model; a path is made absolute.

    Raises
    ------
    OptionError
        It is no name: a predictor itself cannot travel to another process.
    """
    if not isinstance(model, str | Path):
        raise OptionError(
            f"model is {type_name(model)}; expected the name of shipped weights, the path of an .onnx file, or "
            "'package.module:function' of a function that returns a Predictor: every worker loads its own"
        )
    text = str(model)
    return str(Path(text).expanduser().absolute()) if text.endswith(".onnx") else text


def card_of(model: str) -> ModelCard:
    """Return the card, without starting an engine where the model is a weights file.

    Raises
    ------
    ModelError
        There is no such model.
    """
    return _made(model).card if _FACTORY.fullmatch(model) else read_card(find_weights(model))


def load(model: str, *, runtime: str, threads: int | None) -> Predictor:
    """Load the model in this process.

    Raises
    ------
    ModelError, MissingExtraError, OptionError
        As `load_predictor`; or the function cannot be found, fails, or returns no predictor.
    """
    if _FACTORY.fullmatch(model):
        return _made(model)
    return load_predictor(model, runtime=runtime, threads=threads)


def card_hash(card: ModelCard) -> str:
    """SHA-256 of a card; it names the weights file by its own."""
    return hashlib.sha256(card.to_json().encode()).hexdigest()


def _made(model: str) -> Predictor:
    module, _, name = model.partition(":")
    try:
        made: Any = getattr(importlib.import_module(module), name)()
    except (Exception, SystemExit) as error:  # a module that is a program ends this one, with what looks like success
        reason = shortened(" ".join(f"{type(error).__name__}: {error}".split()))
        raise ModelError(
            f"the predictor of '{shortened(model)}' cannot be made ({reason}); "
            "expected a function of an importable module that takes nothing and returns a Predictor"
        ) from error
    if not isinstance(made, Predictor):
        raise ModelError(f"'{shortened(model)}' returned {type_name(made)}; expected a Predictor")
    return made
