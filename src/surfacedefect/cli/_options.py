"""Options that several commands share, and how their text becomes `DetectOptions`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from surfacedefect._texts import by_kind, split
from surfacedefect.errors import OptionError

if TYPE_CHECKING:
    from surfacedefect.options import DetectOptions

__all__ = ["by_kind", "detect_options", "split", "token"]

MODELS_OWN = "as the model's card says"

Scans = Annotated[
    list[str], typer.Argument(metavar="SCAN", help="Pictures to inspect; patterns such as 'scans/*.jpg' are fine.")
]
Model = Annotated[str, typer.Option(help="Name of shipped weights, or the path of an .onnx file with its card.")]
Runtime = Annotated[
    str,
    typer.Option(help="Engine: onnx, openvino, torch; auto is onnx, and openvino where that alone is installed."),
]
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


def detect_options(**given: Any) -> DetectOptions:
    """Make `DetectOptions` of what was given; what is None keeps its default.

    Raises
    ------
    OptionError
        A value is out of its range.
    """
    from surfacedefect.options import DetectOptions

    return DetectOptions(**{name: value for name, value in given.items() if value is not None})


def token(file: Path | None, *, variable: str, option: str = "--token-file") -> str | None:
    """Read a token from a file, else from a variable; on the command line every user of the machine could see it.

    Raises
    ------
    OptionError
        The file cannot be read, or what was found is empty.
    """
    if file is None:
        given = os.environ.get(variable)
        if given is not None and not given.strip():
            # Somebody meant to set one: to serve without it would open what was to be closed.
            raise OptionError(f"the variable {variable} is empty; expected a token, or no such variable")
        return given
    try:
        found = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(f"{option} '{file}' cannot be read ({error}); expected a file with one token") from error
    if not found:
        raise OptionError(f"{option} '{file}' is empty; expected a file with one token")
    return found
