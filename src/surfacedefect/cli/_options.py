"""Options that several commands share, and how their text becomes `DetectOptions`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from surfacedefect._texts import by_kind, split

if TYPE_CHECKING:
    from surfacedefect.options import DetectOptions

__all__ = ["by_kind", "detect_options", "split"]

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


def detect_options(**given: Any) -> DetectOptions:
    """Make `DetectOptions` of what was given; what is None keeps its default.

    Raises
    ------
    OptionError
        A value is out of its range.
    """
    from surfacedefect.options import DetectOptions

    return DetectOptions(**{name: value for name, value in given.items() if value is not None})
