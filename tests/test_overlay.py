"""The picture: what is yellow, blue and grey, how it is read, and where its words stand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from surfacedefect import _labels, overlay
from surfacedefect.defect import Defect
from surfacedefect.errors import OptionError
from surfacedefect.overlay import YELLOW, draw_overlay
from surfacedefect.probability import ProbabilityMap
from surfacedefect.scan import Scan


def defect(polygon: shapely.Polygon, kind: str = "scratch", score: float = 0.9) -> Defect:
    return Defect(polygon, kind, score=score, area_px=polygon.area, length_px=1, width_px=1)


def blank_map(
    width: int, height: int, *, unseen: shapely.Polygon | None = None, mm: float | None = None
) -> ProbabilityMap:
    coverage = np.ones((height, width), bool)
    if unseen is not None:
        left, top, right, bottom = map(int, unseen.bounds)
        coverage[top:bottom, left:right] = False
    return ProbabilityMap.from_arrays(
        np.zeros((1, height, width), np.uint8), ("scratch",), coverage=coverage, mm_per_px=mm
    )


def drawn(scan: NDArray[np.uint8], defects: list[Defect], **options: object) -> NDArray[np.int16]:
    options = {"probability_map": blank_map(scan.shape[1], scan.shape[0]), "caption": False, **options}
    return np.asarray(draw_overlay(Scan.open(scan), defects, **options), np.int16)


@pytest.fixture
def grey() -> NDArray[np.uint8]:
    return np.full((300, 400, 3), 120, np.uint8)


def test_clean_is_blue_damage_yellow_and_still_to_be_seen(grey: NDArray[np.uint8]) -> None:
    grey[150:153, 100:300] = 30
    picture = drawn(grey, [defect(shapely.box(100, 150, 300, 153))])
    clean, damage, line, outside = picture[20, 20], picture[151, 200], picture[149, 200], picture[130, 350]
    assert clean[2] > clean[0] + 20
    assert (clean == outside).all()
    assert damage[0] > damage[2] + 40
    assert line[0] > line[2] + 120
    assert abs(damage - line).max() > 80, "the outline must not hide a hairline"


def test_holes_are_not_filled_and_do_not_erase_a_defect_inside(grey: NDArray[np.uint8]) -> None:
    ring = shapely.box(100, 50, 300, 250) - shapely.box(140, 90, 260, 210)
    inner = shapely.box(180, 130, 220, 170)
    clean = drawn(grey, [])[0, 0]
    with_inner = drawn(grey, [defect(inner), defect(ring)])
    assert (drawn(grey, [defect(ring)])[150, 200] == clean).all()
    for row, col in ((150, 200), (70, 200)):
        assert with_inner[row, col][0] > with_inner[row, col][2] + 40
    assert (with_inner[110, 160] == clean).all()


def test_scratch_on_a_dent_keeps_its_outline(grey: NDArray[np.uint8]) -> None:
    dent, scratch = shapely.box(50, 50, 350, 250), shapely.box(150, 150, 250, 154)
    picture = drawn(grey, [defect(dent, "dent"), defect(scratch)])
    edge = picture[149, 200]
    assert abs(edge - YELLOW).max() < 40
    assert abs(picture[100, 200] - YELLOW).max() > 60


def test_unseen_is_striped_grey_and_a_single_pixel_of_it_survives_shrinking() -> None:
    scan = np.full((400, 800, 3), (200, 40, 40), np.uint8)
    one = blank_map(800, 400, unseen=shapely.box(333, 77, 334, 78))
    small = drawn(scan, [], probability_map=one, scale=0.1)
    unseen = np.ptp(small, axis=2) < 12
    assert np.argwhere(unseen).tolist() == [[7, 33]]
    large = drawn(scan, [], probability_map=blank_map(800, 400, unseen=shapely.box(0, 0, 400, 400)))
    left = large[:, :400]
    assert np.ptp(left, axis=2).max() < 12
    assert len(np.unique(left[..., 0])) == 2, "two tones of stripes"
    assert np.ptp(large[:, 400:], axis=2).min() > 60


def test_pixels_keep_their_place_and_the_caption_stands_below() -> None:
    scan = np.zeros((301, 203, 3), np.uint8)
    scan[100:200] = 255
    with_caption = draw_overlay(Scan.open(scan), [], probability_map=blank_map(203, 301))
    without = draw_overlay(Scan.open(scan), [], probability_map=blank_map(203, 301), caption=False)
    assert without.size == (203, 301)
    assert with_caption.width == 203
    assert with_caption.height > 301
    assert with_caption.crop((0, 0, 203, 301)).tobytes() == without.tobytes()
    light = np.asarray(without)[:, 0, 0] > 128
    assert np.flatnonzero(light).tolist() == list(range(100, 200))


@pytest.mark.parametrize(
    ("size", "options", "expected"),
    [
        ((1000, 500), {"long_side_px": 400}, (400, 200)),
        ((500, 1000), {"long_side_px": 400}, (200, 400)),
        ((100, 50), {"long_side_px": 400}, (100, 50)),
        ((100, 50), {"scale": 2.5}, (250, 125)),
        ((1000, 3), {"long_side_px": 100}, (100, 1)),
        ((1, 1), {}, (1, 1)),
    ],
)
def test_size(size: tuple[int, int], options: dict[str, float], expected: tuple[int, int]) -> None:
    scan = Scan.open(np.full((size[1], size[0], 3), 9, np.uint8))
    image = draw_overlay(scan, [], probability_map=blank_map(*size), caption=False, **options)
    assert image.size == expected
    assert draw_overlay(None, [], probability_map=blank_map(*size, mm=0.1), **options).width == expected[0]


@pytest.mark.parametrize("options", [{"scale": 0}, {"scale": float("nan")}, {"scale": 1e6}, {"long_side_px": 0}])
def test_sizes_that_cannot_be_drawn_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(OptionError):
        draw_overlay(None, [], probability_map=blank_map(40, 30), **options)


class Recorder:
    """A scan that notes which rows it is asked for."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height, self.asked = width, height, []

    def rows(self, start: int, stop: int) -> NDArray[np.uint8]:
        self.asked.append((start, stop))
        return np.random.default_rng(start).integers(0, 256, (stop - start, self.width, 3), np.uint8)


def test_scan_is_read_once_downwards_in_bands() -> None:
    scan = Recorder(3000, 7001)
    draw_overlay(scan, [], probability_map=blank_map(3000, 7001), long_side_px=1000)
    starts, stops = zip(*scan.asked, strict=True)
    assert starts == (0, *stops[:-1])
    assert stops[-1] == 7001
    assert max(stop - start for start, stop in scan.asked) * 3000 * 3 <= overlay._BAND_BYTES + 2 * 7 * 9000


@settings(max_examples=15, deadline=None)
@given(
    width=st.integers(30, 130),
    height=st.integers(30, 130),
    side=st.integers(20, 150),
    band=st.integers(3_000, 60_000),
    seed=st.integers(0, 99),
)
def test_bands_join_without_a_seam(width: int, height: int, side: int, band: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    # Rising and falling by 12 a row: which of two rows at equal distance an average takes is worth 6, a row amiss 12.
    wave = np.abs(np.arange(height) * 12 % 510 - 255).astype(np.uint8)
    scan = np.broadcast_to(wave[:, None, None], (height, width, 3)).copy()
    coverage = rng.random((height, width)) > 0.01
    ring = shapely.box(5, 5, width - 5, 20) - shapely.box(9, 9, 15, 15)
    found = [defect(ring), defect(shapely.box(2, 22, 4, height))]
    pm = ProbabilityMap.from_arrays(np.zeros((1, height, width), np.uint8), ("scratch",), coverage=coverage)
    whole = drawn(scan, found, probability_map=pm, long_side_px=side)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(overlay, "_BAND_BYTES", band)
        banded = drawn(scan, found, probability_map=pm, long_side_px=side)
    assert abs(whole - banded).max() <= 7


outlines = st.lists(
    st.tuples(st.floats(0, 760), st.floats(0, 560), st.floats(1, 400), st.floats(1, 60), st.floats(0, 180)),
    min_size=1,
    max_size=25,
)


@settings(max_examples=20, deadline=None)
@given(boxes=outlines)
def test_labels_cover_neither_damage_nor_each_other(boxes: list[tuple[float, ...]]) -> None:
    frame = shapely.box(0, 0, 800, 600)
    polygons = []
    for x, y, length, width, angle in boxes:
        turned = shapely.affinity.rotate(shapely.box(x, y, x + length, y + width), angle) & frame
        if isinstance(turned, shapely.Polygon) and turned.area > 1:
            polygons.append(turned)
    texts = [f"#{number} scratch 0.50" for number in range(len(polygons))]
    placed = _labels.add_labels(Image.new("RGB", (800, 600)), polygons, texts, margin_px=3)
    shapes = [shapely.box(*box) for box in placed]
    assert len(shapes) <= len(polygons)
    for at, one in enumerate(shapes):
        assert frame.contains(one)
        assert not any(one.intersects(polygon) for polygon in polygons)
        assert not any(one.intersects(other) for other in shapes[:at])


def test_every_defect_with_room_is_labelled() -> None:
    polygons = [shapely.box(x, 300, x + 60, 310) for x in range(50, 1200, 230)]
    placed = _labels.add_labels(Image.new("RGB", (1300, 600)), polygons, ["#1 dent 0.50"] * len(polygons), margin_px=3)
    assert len(placed) == len(polygons)


def test_words_of_the_caption() -> None:
    some = [defect(shapely.box(0, 0, 9, 9), kind) for kind in ("scratch", "dent", "scratch")]
    assert overlay._counts(some, coverage=1) == "3 defects: 1 dent, 2 scratch"
    assert overlay._counts([], coverage=1) == "no damage found"
    assert overlay._counts([], coverage=0.5) == "no damage found where inspected"
    assert overlay._counts([], coverage=0) == "nothing was inspected"
    assert _labels.not_inspected_percent(0.9999999) == "under 0.1 %"
    assert _labels.plain("Kotflügel – 漢") == "Kotflugel ? ?"
    items = [
        item.text
        for item in _labels._items(
            title="a", counts="b", threshold="", coverage=1, hatched=False, mm_per_px=None, cols=9
        )
    ]
    assert items == ["b", "inspected, nothing found", "a", "scale unknown"]


@given(st.floats(1e-6, 1e9))
def test_scale_bar_is_a_round_number_of_fitting_length(largest: float) -> None:
    length = _labels._round_length(largest)
    assert largest / 2.6 < length <= largest * 1.001
    assert f"{length:e}"[0] in "125"


def test_real_photo(real_data: Path) -> None:
    folder = real_data / "demo"
    record = json.loads((folder / "annotations.json").read_text())
    rings = [np.reshape(ring, (-1, 2)) for entry in record["annotations"] for ring in entry["segmentation"]]
    polygons = [polygon for ring in rings if (polygon := shapely.Polygon(ring)).is_valid]
    picture = record["images"][0]
    with Scan.open(folder / "images" / picture["file_name"]) as scan:
        pm = blank_map(scan.width, scan.height, mm=0.2)
        image = draw_overlay(scan, [defect(p) for p in polygons], probability_map=pm, long_side_px=1200)
    assert image.width == 1200
    outlined = np.abs(np.asarray(image, np.int16) - YELLOW).max(axis=2) < 40
    assert 2_000 < outlined.sum() < 200_000


def test_hatching_is_explained_also_where_the_scan_shows_nothing() -> None:
    facts = {"title": "", "counts": "", "threshold": "", "mm_per_px": None, "cols": 9}
    for coverage, hatched, words in ((0.5, True, "NOT inspected: 50.0 %"), (1, True, "no picture there")):
        assert words in [item.text for item in _labels._items(**facts, coverage=coverage, hatched=hatched)]
