"""Options that several commands share, and how their text becomes `DetectOptions`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from surfacedefect.errors import OptionError

if TYPE_CHECKING:
    from surfacedefect.options import DetectOptions

MODELS_OWN = "as the model's card says"

Scans = Annotated[
    list[str], typer.Argument(metavar="SCAN", help="Pictures to inspect; patterns such as 'scans/*.jpg' are fine.")
]
Model = Annotated[str, typer.Option(help="Name of shipped weights, or the path of an .onnx file with its card.")]
Runtime = Annotated[str, typer.Option(help="Engine that runs the model; auto takes the best one installed.")]
Overlap = Annotated[int | None, typer.Option(help="Overlap of neighbouring windows in px.", show_default=MODELS_OWN)]
Threads = Annotated[int | None, typer.Option(help="Threads of the engine.", show_default="every core")]
Batch = Annotated[int | None, typer.Option(help="Windows looked at together.", show_default="1 on a CPU, 8 on a GPU")]
MaxMemory = Annotated[
    int | None,
    typer.Option(
        help="Bytes of the largest probability map kept in memory; a larger one goes to a temporary file.",
        show_default="96 MiB",
    ),
]
MmPerPx = Annotated[
    float | None, typer.Option("--mm-per-px", help="Scale; without it nothing is reported in millimetres.")
]
MaxPixels = Annotated[int | None, typer.Option(help="Most pixels of a picture that must be decoded whole.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON line a scan instead of tables.")]


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


def detect_options(**given: Any) -> DetectOptions:
    """Make `DetectOptions` of what was given; what is None keeps its default.

    Raises
    ------
    OptionError
        A value is out of its range.
    """
    from surfacedefect.options import DetectOptions

    return DetectOptions(**{name: value for name, value in given.items() if value is not None})
