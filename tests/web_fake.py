"""A workspace in memory, for what the page does by itself: rendered scans with known truth, no engine."""

from __future__ import annotations

import dataclasses
import io
import threading
import time
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rasterio import features
from scipy import ndimage
from shapely.geometry import Polygon, shape

from surfacedefect.errors import ScanError, StaleReviewError, WebError
from surfacedefect.synthetic import preset, render_scan
from surfacedefect.web import (
    Decision,
    Export,
    JobProgress,
    Outline,
    Review,
    ScanEntry,
    ScanInfo,
    ServerState,
    Tile,
    Verdict,
)
from surfacedefect.web.values import PALETTES

KINDS = ("scratch", "dent")
VERDICT_OF = {"accept": "accepted", "reject": "rejected", "kind": "changed", "redraw": "redrawn", "add": "added"}


@dataclass
class FakeScan:
    """A picture, P(damage) of each kind, what was inspected, and the history of its review."""

    image: NDArray[np.uint8]
    maps: dict[str, NDArray[np.float32]]
    seen: NDArray[np.bool_]
    mm_per_px: float | None = 0.1
    state: str = "new"
    error: str | None = None
    started: float | None = None
    history: list[Review] = field(default_factory=lambda: [Review()])
    place: int = 0
    saves: int = 0

    @property
    def review(self) -> Review:
        return replace(
            self.history[self.place],
            version=self.saves,
            can_undo=self.place > 0,
            can_redo=self.place + 1 < len(self.history),
            who=self.history[self.place].who if self.saves else None,
        )


def rendered(seed: int = 7, *, width: int = 900, height: int = 640, mm_per_px: float | None = 0.1) -> FakeScan:
    """Render a scan whose map is its truth, softened; the strip at its right was not inspected."""
    config = dataclasses.replace(preset("rental"), width=width, height=height)
    made = render_scan(seed, config)
    maps = {
        kind: ndimage.gaussian_filter(mask.astype(np.float32), 1.5) * 0.95 for kind, mask in made.truth.masks.items()
    }
    seen = np.ones((height, width), bool)
    seen[:, int(width * 0.93) :] = False
    for values in maps.values():
        values[~seen] = 0
    return FakeScan(made.image, {kind: maps[kind] for kind in KINDS}, seen, mm_per_px)


class FakeWorkspace:
    """What `Workspace` promises, without files, engine or server."""

    def __init__(
        self, scans: dict[str, FakeScan], *, seconds: float = 1.0, windows: int = 12, who: str = "ann"
    ) -> None:
        self.all, self.seconds, self.windows, self.who = scans, seconds, windows, who
        self.ready, self.message = True, ""
        self._lock = threading.RLock()

    # --- folder
    def scans(self) -> list[ScanEntry]:
        with self._lock:
            return [self.scan(name) for name in self.all]

    def scan(self, name: str) -> ScanEntry:
        found = self._get(name)
        self._advance(found)
        size = found.image.shape
        count = len(self._outlines(found, None)) if found.state == "inspected" else None
        state = "reviewed" if found.state == "inspected" and found.review.reviewed else found.state
        return ScanEntry(name, state, found.image.nbytes, size[1], size[0], found.error, count, 1.0, name)

    def add(self, file_name: str, stream: BinaryIO) -> ScanEntry:
        data = stream.read()
        name = file_name.replace("/", "_")
        if not data.startswith(b"\xff\xd8"):
            raise ScanError(f"'{name}' is no picture: found {data[:8]!r}; expected a JPEG; save it as one")
        image = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
        empty = {kind: np.zeros(image.shape[:2], np.float32) for kind in KINDS}
        self.all[name] = FakeScan(image, empty, np.ones(image.shape[:2], bool))
        return self.scan(name)

    def thumbnail(self, name: str) -> bytes:
        found = Image.fromarray(self._get(name).image)
        found.thumbnail((256, 256))
        return _encoded(found, "JPEG")

    # --- inference
    def run(self, name: str) -> None:
        found = self._get(name)
        found.state, found.started, found.error = "running", time.monotonic(), None

    def cancel(self, name: str) -> None:
        found = self._get(name)
        found.state, found.started = "new", None

    def progress(self, name: str) -> JobProgress | None:
        found = self._get(name)
        if found.started is None:
            return None
        share = min(1.0, (time.monotonic() - found.started) / self.seconds)
        return JobProgress(int(share * self.windows), self.windows, (1 - share) * self.seconds, "looking at windows")

    def server(self) -> ServerState:
        return ServerState(self.ready, self.message, "fake:1")

    def _advance(self, found: FakeScan) -> None:
        if found.started is not None and self.ready and time.monotonic() - found.started >= self.seconds:
            found.started = None
            found.state = "failed" if found.error else "inspected"

    # --- what was found
    def info(self, name: str) -> ScanInfo:
        found = self._get(name)
        if found.state == "failed":
            raise ScanError(found.error or "broken")
        height, width = found.image.shape[:2]
        has_map = found.state == "inspected"
        return ScanInfo(
            width,
            height,
            found.mm_per_px,
            max(0, int(np.ceil(np.log2(max(width, height) / 256)))),
            has_map=has_map,
            kinds=KINDS if has_map else (),
            thresholds=dict.fromkeys(KINDS, 0.5),
            coverage=float(found.seen.mean()) if has_map else None,
            model="fake",
        )

    def prepare(self, name: str) -> bool:
        return True

    def found(self, name: str, threshold: float | None = None) -> list[Outline]:
        scan = self._get(name)
        return self._outlines(scan, threshold) if scan.state == "inspected" else []

    def _outlines(self, scan: FakeScan, threshold: float | None) -> list[Outline]:
        verdicts = {verdict.outline: verdict for verdict in scan.review.decisions}
        made = []
        for kind, values in scan.maps.items():
            mask = values >= (threshold if threshold is not None else 0.5)
            names, _ = ndimage.label(values > 0.02, np.ones((3, 3)))
            for ring, _ in features.shapes(mask.astype(np.uint8), mask=mask, connectivity=8):
                polygon = shape(ring).buffer(0)
                if not isinstance(polygon, Polygon) or polygon.area < 20:
                    continue
                inside = polygon.representative_point()
                row, col = int(inside.y), int(inside.x)
                made.append(self._outline(f"{kind}-{names[row, col]}", kind, float(values[mask].mean()), polygon, scan))
        known = {outline.id: outline for outline in made}
        for verdict in verdicts.values():
            known[verdict.outline] = self._decided(known.get(verdict.outline), verdict, scan)
        return list(known.values())

    def _outline(self, name: str, kind: str, score: float | None, polygon: Polygon, scan: FakeScan) -> Outline:
        left, top, right, bottom = polygon.bounds
        length = float(np.hypot(right - left, bottom - top))
        mm = scan.mm_per_px
        sizes = (length, polygon.area / length, polygon.area)
        scaled = (sizes[0] * mm, sizes[1] * mm, sizes[2] * mm * mm) if mm else (None, None, None)
        return Outline(name, kind, score, *sizes, *scaled, tuple(polygon.simplify(0.5).exterior.coords), (), None, kind)

    def _decided(self, outline: Outline | None, verdict: Verdict, scan: FakeScan) -> Outline:
        ring = verdict.polygon or verdict.found
        made = self._outline(verdict.outline, verdict.kind, outline.score if outline else None, Polygon(ring), scan)
        return replace(made, decision=verdict.verdict, found_kind=verdict.found_kind)

    def card_row(self, threshold: float | None = None, *, name: str | None = None) -> dict[str, dict[str, Any]] | None:
        at = 0.5 if threshold is None else threshold
        row = {
            "threshold": at,
            "pixel_precision": min(1.0, 0.4 + at / 2),
            "pixel_recall": max(0.0, 0.95 - at / 2),
            "data": "made up",
        }
        return dict.fromkeys(KINDS, row)

    # --- decisions
    def review(self, name: str) -> Review:
        return self._get(name).review

    def decide(self, name: str, decision: Decision, *, version: int) -> Review:
        scan = self._get(name)
        now = list(scan.review.decisions)
        if decision.action == "add":
            verdict = Verdict(f"added-{scan.saves}", "added", decision.kind or KINDS[0], None, (), (), decision.polygon)
            return self._save(scan, version, decisions=(*now, verdict))
        known = {outline.id: outline for outline in self._outlines(scan, decision.threshold)}
        if decision.outline not in known:
            raise WebError(f"there is no outline '{decision.outline}'")
        old, outline = next((v for v in now if v.outline == decision.outline), None), known[decision.outline]
        rest = [v for v in now if v.outline != decision.outline]
        if decision.action in ("clear", "remove"):
            return self._save(scan, version, decisions=tuple(rest))
        made = Verdict(
            decision.outline,
            VERDICT_OF[decision.action],
            decision.kind or outline.kind,
            outline.found_kind,
            old.found if old else outline.polygon,
            (),
            decision.polygon or (old.polygon if old else None),
        )
        return self._save(scan, version, decisions=(*rest, made))

    def undo(self, name: str, *, version: int) -> Review:
        return self._step(name, version, -1)

    def redo(self, name: str, *, version: int) -> Review:
        return self._step(name, version, 1)

    def set_threshold(self, name: str, threshold: float | None, *, version: int) -> Review:
        return self._save(self._get(name), version, threshold=threshold)

    def set_reviewed(self, name: str, reviewed: bool, *, version: int) -> Review:
        return self._save(self._get(name), version, reviewed=reviewed)

    def set_note(self, name: str, note: str, *, version: int) -> Review:
        return self._save(self._get(name), version, note=note)

    def _save(self, scan: FakeScan, version: int, who: str | None = None, **changes: Any) -> Review:
        with self._lock:
            self._check(scan, version)
            del scan.history[scan.place + 1 :]
            scan.history.append(replace(scan.review, who=who or self.who, when="2026-11-22T10:00:00Z", **changes))
            scan.place, scan.saves = scan.place + 1, scan.saves + 1
            return scan.review

    def _step(self, name: str, version: int, by: int) -> Review:
        with self._lock:
            scan = self._get(name)
            self._check(scan, version)
            scan.place, scan.saves = min(max(scan.place + by, 0), len(scan.history) - 1), scan.saves + 1
            return scan.review

    def _check(self, scan: FakeScan, version: int) -> None:
        if version != scan.saves:
            raise StaleReviewError(f"{scan.review.who} saved meanwhile; look at theirs", review=scan.review)

    # --- pictures
    def tile(
        self,
        name: str,
        layer: str,
        z: int,
        x: int,
        y: int,
        *,
        threshold: float | None = None,
        palette: str = "default",
        kinds: Any = None,
    ) -> Tile:
        scan, step = self._get(name), 2 ** (self.info(name).max_zoom - z)
        side = 256 * step
        part = (slice(y * side, (y + 1) * side, step), slice(x * side, (x + 1) * side, step))
        picture = scan.image[part]
        if picture.size == 0 or palette not in PALETTES:
            raise WebError("there is no such tile")
        if layer == "scan":
            whole = np.zeros((256, 256, 4), np.uint8)
            whole[: picture.shape[0], : picture.shape[1]] = np.dstack(
                [picture, np.full(picture.shape[:2], 255, np.uint8)]
            )
            return Tile(_encoded(Image.fromarray(whole), "PNG"), "image/png", f"{name}-{z}-{x}-{y}")
        whole = np.zeros((256, 256, 4), np.uint8)
        area = whole[: picture.shape[0], : picture.shape[1]]
        seen, colours = scan.seen[part], PALETTES[palette]
        if layer == "coverage":
            hatched = (np.add.outer(np.arange(area.shape[0]), np.arange(area.shape[1])) // 4 % 2 == 0) & ~seen
            area[hatched] = (*_rgb(colours.unseen), 255)
        else:
            damage = np.maximum.reduce([values[part] for values in scan.maps.values()]) >= (threshold or 0.5)
            area[seen] = (*_rgb(colours.clean), 80)
            area[damage] = (*_rgb(colours.damage), 255)
        return Tile(_encoded(Image.fromarray(whole), "PNG"), "image/png", f"{layer}-{z}-{x}-{y}-{threshold}-{palette}")

    def export(self, name: str, what: str, *, threshold: float | None = None) -> Export:
        self._get(name)
        return Export(f"{name}.{what}", "text/plain", b"fake")

    def close(self) -> None:
        pass

    def _get(self, name: str) -> FakeScan:
        if name not in self.all:
            raise WebError(f"there is no scan '{name}' in this folder")
        return self.all[name]


def _encoded(picture: Image.Image, form: str) -> bytes:
    made = io.BytesIO()
    picture.save(made, form)
    return made.getvalue()


def _rgb(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[start : start + 2], 16) for start in (1, 3, 5))
