"""Near duplicates: what changes a picture but not what it shows is found, and nothing else is."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageOps

from surfacedefect.datasets import near_duplicates
from surfacedefect.datasets._alignment import ORIENTATIONS, SIDE, Placement, agreement
from surfacedefect.datasets._corners import find_corners, rough_placement
from surfacedefect.datasets._miniature import Miniature, miniature_of
from surfacedefect.datasets.near_duplicates import BY_CORNERS, candidates, fingerprint, groups, show_the_same
from surfacedefect.errors import OptionError, ScanError
from surfacedefect.synthetic import SyntheticConfig, render_scan

Change = Callable[[Image.Image], Image.Image]


def cropped(image: Image.Image, share: float, *, at: float = 0.5) -> Image.Image:
    """Cut off a share of width and height; `at` says how much of it at the left and the top."""
    left, top = share * at * image.width, share * at * image.height
    width, height = (1 - share) * image.width, (1 - share) * image.height
    return image.crop((round(left), round(top), round(left + width), round(top + height)))


def brighter(gain: float) -> Change:
    return lambda image: image.point(lambda value: min(255, round(value * gain)))


def recompressed(image: Image.Image, quality: int = 50) -> Image.Image:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return Image.open(out)


CHANGES: dict[str, Change] = {
    "crop": lambda image: cropped(image, 0.05, at=0.1),
    "jpeg": recompressed,
    "brighter": brighter(1.2),
    "darker": brighter(0.8),
    "mirrored": ImageOps.mirror,
    "upside down": ImageOps.flip,
    "turned": lambda image: image.rotate(90, expand=True),
    "smaller": lambda image: image.resize((image.width // 2, image.height // 2)),
    "squeezed": lambda image: image.resize((image.width, image.width)),
    "large crop": lambda image: cropped(image, 0.3, at=0.8),
    "all": lambda image: recompressed(ImageOps.mirror(brighter(0.8)(cropped(image, 0.05, at=0.9)))),
}


@pytest.fixture(scope="module")
def panels() -> list[Image.Image]:
    config = SyntheticConfig(width=320, height=240)
    return [Image.fromarray(render_scan(seed, config).image) for seed in range(40, 46)]


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., list[Path]]:
    def save(images: list[Image.Image]) -> list[Path]:
        paths = [tmp_path / f"{number}.png" for number in range(len(images))]
        for path, image in zip(paths, images, strict=True):
            image.save(path)
        return paths

    return save


@pytest.mark.parametrize("change", CHANGES)
def test_what_shows_the_same_is_found(panels: list[Image.Image], saved: Callable[..., list[Path]], change: str) -> None:
    copies = [CHANGES[change](panel) for panel in panels[:3]]
    assert near_duplicates(saved([*panels, *copies])) == [[0, 6], [1, 7], [2, 8]]


def test_other_panels_are_no_near_duplicates(panels: list[Image.Image], saved: Callable[..., list[Path]]) -> None:
    assert near_duplicates(saved(panels)) == []


def test_panels_of_one_shape_and_light_with_other_marks_are_told_apart(saved: Callable[..., list[Path]]) -> None:
    """As a fixed rig sees cars of one model: hashes are next to equal, the pictures are not."""
    draw = np.random.default_rng(8)
    waves = [np.cos(np.pi * (np.arange(side) + 0.5) * np.arange(8)[:, None] / side) for side in (240, 320)]
    heights = draw.choice((-1, 1), (8, 8)) * 40 / (1 + np.add.outer(np.arange(8), np.arange(8))) ** 1.5
    shading = 120 + waves[0].T @ heights @ waves[1]
    images = []
    for seed in range(3):
        draw = np.random.default_rng(seed)
        marks = draw.normal(0, 1, (30, 40))
        fine = np.asarray(Image.fromarray(marks.astype(np.float32)).resize((320, 240), Image.Resampling.BICUBIC))
        images.append(Image.fromarray(np.clip(shading + 5 * fine, 0, 255).astype(np.uint8)).convert("RGB"))
    paths = saved(images)
    prints = [fingerprint(miniature_of(path)) for path in paths]
    close = [int(np.bitwise_count(prints[0].hashes[0] ^ other.hashes[0])) for other in prints[1:]]
    assert max(close) <= 10  # a hash alone would call them the same
    assert near_duplicates(paths) == []


def test_blank_pictures_are_like_no_other(saved: Callable[..., list[Path]]) -> None:
    grays = [Image.new("RGB", (80, 60), (value,) * 3) for value in (0, 128, 128, 255)]
    assert near_duplicates(saved(grays)) == []


def test_few_and_unreadable_pictures(tmp_path: Path, panels: list[Image.Image]) -> None:
    assert near_duplicates([]) == []
    panels[0].save(tmp_path / "a.png")
    assert near_duplicates([tmp_path / "a.png"]) == []
    (tmp_path / "b.png").write_bytes(b"no picture")
    with pytest.raises(ScanError, match="b.png"):
        near_duplicates([tmp_path / "a.png", tmp_path / "b.png"])


@pytest.mark.parametrize("pictures", [None, 3, "a.jpg", b"a.jpg", {"a.jpg"}, [None], [3], ["a.jpg", b"b.jpg"]])
def test_what_is_no_list_of_paths_is_refused(pictures: Any) -> None:
    with pytest.raises(OptionError, match="expected"):
        near_duplicates(pictures)


def test_a_placement_is_found_again(panels: list[Image.Image]) -> None:
    whole = np.asarray(panels[1].convert("L").resize((SIDE, SIDE)))
    part = np.asarray(panels[1].convert("L").crop((48, 24, 288, 216)).resize((SIDE, SIDE)))
    found = rough_placement(find_corners(whole), find_corners(part), mirrored=False)
    assert found is not None
    orientation, place = found
    assert orientation == ORIENTATIONS[0]
    got = (place.scale_x, place.shift_x, place.scale_y, place.shift_y)
    assert got == pytest.approx((240 / 320, 48 / 320, 192 / 240, 24 / 240), abs=0.01)
    compared = agreement(whole, part, start=place)
    assert compared is not None and compared.is_same and compared.correlation > 0.97


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_points_turn_as_pictures_do(orientation: object, panels: list[Image.Image]) -> None:
    image = np.zeros((SIDE, SIDE), np.uint8)
    image[30, 200] = 255
    turned = ORIENTATIONS[ORIENTATIONS.index(orientation)].of_image(image)  # type: ignore[arg-type]
    row, col = np.argwhere(turned)[0]
    point = np.array([[200.5, 30.5]], np.float32) / SIDE
    there = ORIENTATIONS[ORIENTATIONS.index(orientation)].of_points(point)[0] * SIDE - 0.5  # type: ignore[arg-type]
    assert there == pytest.approx((col, row))


def test_corners_find_crops_that_hashes_lose(panels: list[Image.Image], saved: Callable[..., list[Path]]) -> None:
    paths = saved([panels[0], cropped(panels[0], 0.3, at=0.2)])
    prints = [fingerprint(miniature_of(path)) for path in paths]
    ways = {found.way for found in candidates(prints)}
    assert BY_CORNERS in ways
    assert show_the_same(prints[0], prints[1], way=BY_CORNERS)


@pytest.mark.parametrize(
    ("place", "likely"),
    [
        (Placement(), True),
        (Placement(0.7, 0.3, 0.7, 0.0), True),
        (Placement(1 / 0.7, -0.2, 1 / 0.7, -0.1), True),
        (Placement(shift_x=0.5), False),
        (Placement(0.3, 0.1, 0.3, 0.1), False),
        (Placement(scale_x=float("nan")), False),
    ],
)
def test_one_lies_within_the_other(place: Placement, likely: bool) -> None:
    assert place.is_likely() is likely


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=12))
def test_groups_are_the_connected_parts(pairs: list[tuple[int, int]]) -> None:
    found = groups(10, pairs)
    members = [number for group in found for number in group]
    assert len(members) == len(set(members))
    assert all(len(group) > 1 and group == sorted(group) for group in found)
    of = {number: place for place, group in enumerate(found) for number in group}
    for first, second in pairs:
        assert first == second or of[first] == of[second]
    tied = {number for pair in pairs if pair[0] != pair[1] for number in pair}
    assert set(members) == tied


def miniature(image: NDArray[np.uint8]) -> Miniature:
    return Miniature(image, np.bincount(image.ravel(), minlength=256), float("nan"))


def test_a_fingerprint_does_not_depend_on_its_memory_order(panels: list[Image.Image]) -> None:
    image = np.asarray(panels[0].convert("L").resize((SIDE, SIDE)))
    straight, turned = fingerprint(miniature(image)), fingerprint(miniature(np.asfortranarray(image)))
    assert (straight.hashes == turned.hashes).all()
    assert (straight.upright.descriptions == turned.upright.descriptions).all()
