"""The values that the page's two halves hand each other; all frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from surfacedefect._checks import check_choice, expect, is_whole
from surfacedefect.options import DetectOptions
from surfacedefect.runtimes import RUNTIMES

LAYERS = ("scan", "damage", "coverage")
STATES = ("new", "running", "inspected", "reviewed", "failed")
ACTIONS = ("accept", "reject", "clear", "kind", "redraw", "add", "remove")
VERDICTS = ("accepted", "rejected", "changed", "redrawn", "added")
EXPORTS = ("geojson", "csv", "png", "html", "pdf", "coco")
TILE_PX = 256
_MOST_NAME = 200

Layer = Literal["scan", "damage", "coverage"]
Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class WebOptions:
    """What a workspace can be told.

    Parameters
    ----------
    model, runtime, threads
        Of the embedded server; see `surfacedefect.Detector`. A named server has its own.
    mm_per_px
        Scale of all scans of the folder; None when unknown.
    who
        Who decides, as it stands in the sidecar files; None takes the name of the login.
    max_upload_bytes
        Largest upload, in bytes.
    max_pixels
        Most pixels of a scan that must be decoded whole.
    max_tiled_pixels
        Most pixels of any scan.
    program
        Command that serves in the place of the embedded server, for tests; see `surfacedefect.web.embedded`.

    Raises
    ------
    OptionError
        A value is out of its range.
    """

    model: str = "default"
    runtime: str = "auto"
    threads: int | None = None
    mm_per_px: float | None = None
    who: str | None = None
    max_upload_bytes: int = 2 * 2**30
    max_pixels: int = 250_000_000
    max_tiled_pixels: int = 4_000_000_000
    program: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        """Refuse what every inspection would refuse later."""
        DetectOptions(mm_per_px=self.mm_per_px, threads=self.threads)
        model: object = self.model
        who, program = self.who, self.program
        good = isinstance(model, Path) or _is_argument(model)
        expect(good, "model", model, "the name of shipped weights, or the path of an .onnx file")
        check_choice("runtime", self.runtime, RUNTIMES)
        for name in ("max_upload_bytes", "max_pixels", "max_tiled_pixels"):
            value = getattr(self, name)
            expect(is_whole(value) and value >= 1, name, value, "a whole number, 1 or more")
        good = who is None or (isinstance(who, str) and who.isprintable() and 0 < len(who.strip()) <= _MOST_NAME)
        expect(good, "who", who, f"a name on one line, at most {_MOST_NAME} letters, or None for the login's")
        good = program is None or (isinstance(program, tuple) and bool(program) and all(map(_is_argument, program)))
        expect(good, "program", program, "a tuple of texts, a command and its arguments, or None")


def _is_argument(value: object) -> bool:
    """Whether a value can be told to a program that is started."""
    return isinstance(value, str) and bool(value.strip()) and "\0" not in value


@dataclass(frozen=True, slots=True)
class ScanEntry:
    """A scan of the folder, as it stands in the list.

    Attributes
    ----------
    name
        Path relative to the folder, with forward slashes: the key everywhere.
    state
        ``"new"``, ``"running"``, ``"inspected"``, ``"reviewed"`` or ``"failed"``.
    size_bytes, modified
        Of the file; seconds since 1970.
    width, height
        In px; None while nobody has opened it.
    error
        What is wrong with it and what to do; None when nothing is.
    defects
        How many the model found at its own thresholds; None before it was inspected.
    shown
        The name as it was uploaded, for people; never a path.
    """

    name: str
    state: str
    size_bytes: int
    width: int | None = None
    height: int | None = None
    error: str | None = None
    defects: int | None = None
    modified: float = 0.0
    shown: str = ""


@dataclass(frozen=True, slots=True)
class JobProgress:
    """How far an inspection is: windows done and in all (0 while it waits), seconds left (None while unknown)."""

    done: int
    of: int
    seconds_left: float | None
    message: str


@dataclass(frozen=True, slots=True)
class ServerState:
    """Whether the server takes scans; if not, `message` says what to do."""

    ready: bool
    message: str
    address: str


@dataclass(frozen=True, slots=True)
class ScanInfo:
    """What a viewer must know of a scan.

    Attributes
    ----------
    width, height
        In px.
    mm_per_px
        None when unknown.
    max_zoom
        At this zoom a px of a tile is a px of the scan; at 0 the whole scan is in one tile.
    tile_px
        Side of a tile.
    has_map
        Whether it was inspected.
    kinds
        What was looked for; empty before it was inspected.
    thresholds
        The model's own, by kind.
    coverage
        Share that was inspected, in [0, 1]; None before.
    model
        Name of the model; empty before.
    """

    width: int
    height: int
    mm_per_px: float | None
    max_zoom: int
    tile_px: int = TILE_PX
    has_map: bool = False
    kinds: tuple[str, ...] = ()
    thresholds: Mapping[str, float] = field(default_factory=dict)
    coverage: float | None = None
    model: str = ""


@dataclass(frozen=True, slots=True)
class Outline:
    """A defect on the page: what the model found, merged with what was decided.

    Attributes
    ----------
    id
        The same after a reload, and at another threshold where it is the same region.
    kind
        The model's, or the one it was changed to.
    score
        Mean probability over its pixels, in [0, 1]; None where there is no map.
    length_px, width_px, area_px
        See `surfacedefect.Defect`.
    length_mm, width_mm, area_mm2
        The same in mm; None without a scale.
    polygon, holes
        Exterior and holes, (x, y) in px, the first point repeated at the end.
    decision
        ``"accepted"``, ``"rejected"``, ``"changed"``, ``"redrawn"``, ``"added"``, or None.
    found_kind
        What the model called it; None where a person added it.
    """

    id: str
    kind: str
    score: float | None
    length_px: float
    width_px: float
    area_px: float
    length_mm: float | None
    width_mm: float | None
    area_mm2: float | None
    polygon: Points
    holes: tuple[Points, ...] = ()
    decision: str | None = None
    found_kind: str | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person decided about an outline.

    Attributes
    ----------
    outline
        Id of the outline; empty for ``add``.
    action
        ``"accept"``, ``"reject"``, ``"kind"``, ``"redraw"``, ``"add"``, ``"remove"`` (of what was added), or
        ``"clear"``, which makes it undecided again.
    kind
        The new kind, for ``kind`` and ``add``.
    polygon
        The new exterior, (x, y) in px, for ``redraw`` and ``add``.
    threshold
        The one at which the outline was seen; None: the model's own.
    """

    outline: str
    action: str
    kind: str | None = None
    polygon: Points | None = None
    threshold: float | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What holds for an outline after all decisions about it.

    Attributes
    ----------
    outline
        Id.
    verdict
        ``"accepted"``, ``"rejected"``, ``"changed"``, ``"redrawn"`` or ``"added"``.
    kind
        What holds now.
    found_kind
        What the model called it; None where a person added it.
    found
        The outline as it was seen; empty where a person added it.
    found_holes
        Its holes.
    polygon
        The exterior that was drawn instead, or added; None where nothing was drawn.
    score
        Of the outline as it was seen.
    who, when
        Of the last decision; `when` in UTC, ISO 8601.
    """

    outline: str
    verdict: str
    kind: str
    found_kind: str | None
    found: Points
    found_holes: tuple[Points, ...] = ()
    polygon: Points | None = None
    score: float | None = None
    who: str = ""
    when: str = ""


@dataclass(frozen=True, slots=True)
class Review:
    """All that was decided on a scan; `version` is 0 before anything was, and grows with every save.

    Attributes
    ----------
    version
        To be given back with the next decision.
    decisions
        What holds, one an outline, in the order of the first decision.
    threshold
        Chosen threshold; None: the model's own.
    note
        Free text.
    reviewed
        Whether a person is done with it.
    who, when
        Of the last save; None before the first.
    can_undo, can_redo
        Whether there is something to undo, and to do again.
    warning
        Something that must be known, such as a damaged sidecar file that was put aside.
    """

    version: int = 0
    decisions: tuple[Verdict, ...] = ()
    threshold: float | None = None
    note: str = ""
    reviewed: bool = False
    who: str | None = None
    when: str | None = None
    can_undo: bool = False
    can_redo: bool = False
    warning: str | None = None


@dataclass(frozen=True, slots=True)
class Tile:
    """A picture of 256 x 256 px (edges are transparent), or a thumbnail."""

    data: bytes
    mime: str
    etag: str


@dataclass(frozen=True, slots=True)
class Export:
    """A file to download."""

    file_name: str
    mime: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours of the layers, and of the outlines by kind and decision; ``#rrggbb``."""

    damage: str
    clean: str
    unseen: str
    kinds: Mapping[str, str]
    other_kind: str
    decisions: Mapping[str, str]


# Okabe and Ito, "Color Universal Design", 2008: told apart with any colour vision.
PALETTES: Mapping[str, Palette] = {
    "default": Palette(
        damage="#ffd600",
        clean="#1e6eff",
        unseen="#969696",
        kinds={"scratch": "#ffd600", "dent": "#ff8f1f"},
        other_kind="#f5f5f5",
        decisions={"rejected": "#9aa0a6", "accepted": "#2e9e4f", "added": "#c44dff", "redrawn": "#c44dff"},
    ),
    "safe": Palette(
        damage="#f0e442",
        clean="#0072b2",
        unseen="#999999",
        kinds={"scratch": "#f0e442", "dent": "#d55e00"},
        other_kind="#ffffff",
        decisions={"rejected": "#999999", "accepted": "#009e73", "added": "#cc79a7", "redrawn": "#cc79a7"},
    ),
}
