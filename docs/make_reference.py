"""Write the pages of docs/reference/: one entry for every public name, filled from its docstring in the site.

Run it when a public name comes or goes; tests/docs/test_reference.py fails when the pages and the names differ.
"""

from __future__ import annotations

import importlib
from pathlib import Path

FOLDER = Path(__file__).parent / "reference"

Sections = list[tuple[str, str, tuple[str, ...]]]
"""Heading, module, names; no names: all in the module's ``__all__``."""

PAGES: dict[str, tuple[str, str, Sections]] = {
    "detecting": (
        "Detecting",
        "From a scan to defects. `detect`, `probability_map` and `plan` are one call each; `Detector` keeps the model "
        "loaded for many scans. [What a scan may be](../scans.md).",
        [("", "surfacedefect", ("detect", "probability_map", "plan", "Detector", "DetectOptions", "Plan", "Scan"))],
    ),
    "results": (
        "Results",
        "What was found. Pixels are `(x, y)`, the corner of the top left pixel is (0, 0), and pixel corners lie on "
        "whole numbers; arrays are `(row, column)`. [What the numbers mean](../results.md).",
        [("", "surfacedefect", ("Detections", "Defect", "ProbabilityMap"))],
    ),
    "models": (
        "Models",
        "Anything that maps windows to probabilities can look at a scan.",
        [
            ("The contract", "surfacedefect", ("Predictor", "FunctionPredictor", "ModelCard", "OperatingPoint")),
            ("Engines", "surfacedefect.runtimes", ("RUNTIMES", "load_predictor", "shipped_models", "weights_folder")),
            ("", "surfacedefect.runtimes.onnx", ("OnnxPredictor",)),
            ("", "surfacedefect.runtimes.torch", ("TorchPredictor",)),
        ],
    ),
    "errors": (
        "Errors",
        "Every error this library raises on purpose is a `SurfaceDefectError`; some are also the built-in error that "
        "fits. A message says what was found, what was expected and what to do.",
        [("", "surfacedefect.errors", ())],
    ),
    "annotations": (
        "annotations",
        "Outlines in COCO, LabelMe, VIA, CVAT, YOLO and masks, as one record. [Guide](../annotations.md).",
        [("", "surfacedefect.annotations", ())],
    ),
    "baselines": (
        "baselines",
        "What the U-Net is compared with: the [tile classifier](../tile-classifier.md) and "
        "[deflectometry](../deflectometry.md).",
        [("", "surfacedefect.baselines", ())],
    ),
    "batch": (
        "batch",
        "Many scans, resumable, on one machine or a Ray cluster. [Guide](../batch.md).",
        [("", "surfacedefect.batch", ()), ("Where results lie", "surfacedefect.batch.jobs", ("output_stem",))],
    ),
    "datasets": (
        "datasets",
        "From a messy share to a clean, split data set. [Guide](../data.md).",
        [("", "surfacedefect.datasets", ())],
    ),
    "evaluation": (
        "evaluation",
        "Scores of pixels, regions and tiles, with intervals. [How results are scored](../scoring.md).",
        [("", "surfacedefect.evaluation", ())],
    ),
    "serving": (
        "serving",
        "The Open Inference Protocol: server and client. [Guide](../serve.md).",
        [("", "surfacedefect.serving", ())],
    ),
    "synthetic": (
        "synthetic",
        "Rendered scans with exact truth. [What is physical in them](../synthetic.md).",
        [("", "surfacedefect.synthetic", ())],
    ),
    "training": (
        "training",
        "From annotated pictures to weights with a card. [Guide](../training.md).",
        [
            ("In one call", "surfacedefect.training.recipe", ("AnnotatedFolder", "train_model")),
            ("Recipe", "surfacedefect.training.config", ("TrainingConfig", "TileConfig")),
            ("Loop", "surfacedefect.training.loop", ("train", "TrainingResult")),
            ("Pictures", "surfacedefect.training.pictures", ("TrainingPicture", "read_pictures")),
            ("False alarms", "surfacedefect.training.negatives", ("find_false_alarms", "FalseAlarm")),
            (
                "Calibration",
                "surfacedefect.training.calibration",
                ("Platt", "fit_platt", "expected_calibration_error", "reliability_curve", "ReliabilityCurve"),
            ),
        ],
    ),
    "web": (
        "web",
        "The inspector's page, and the workspace behind it. [Guide](../web.md).",
        [("", "surfacedefect.web", ())],
    ),
}
INDEX = """# Reference

Every public name, made from its docstring: shapes, units, data types, errors and an example that the tests run.
What is not here is not public, and may change without notice ([versions](../releases.md)).

| page | import | names |
| --- | --- | --- |
"""


def main() -> None:
    """Write every page."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / f"{name}.md").write_text(text, encoding="utf-8")
        print(f"docs/reference/{name}.md")


def pages() -> dict[str, str]:
    """Return the text of every page by its name."""
    made = {}
    rows = []
    for page, (title, lead, sections) in PAGES.items():
        parts = [f"# {title}\n\n{lead}\n"]
        for heading, module, names in sections:
            if heading:
                parts.append(f"## {heading}\n")
            depth = 3 if any(one for one, _, _ in sections) else 2
            listed = names or public_names(module)
            parts += [entry(f"{module}.{name}", depth) for name in listed]
            shown = ", ".join(f"`{name}`" for name in listed)
            rows.append(f"| [{heading or title}]({page}.md) | `{module}` | {shown} |")
        made[page] = "\n".join(parts)
    return {"index": INDEX + "\n".join(rows) + "\n", **made}


def entry(path: str, depth: int) -> str:
    """Return what mkdocstrings fills from a docstring."""
    return f"::: {path}\n    options:\n      heading_level: {depth}\n"


def public_names(module: str) -> tuple[str, ...]:
    """Return the public names of a module: those in ``__all__``, or those that begin with a capital letter."""
    loaded = importlib.import_module(module)
    names = getattr(loaded, "__all__", None) or [
        name for name, value in vars(loaded).items() if getattr(value, "__module__", "") == module and name[0].isupper()
    ]
    return tuple(names)


if __name__ == "__main__":
    main()
