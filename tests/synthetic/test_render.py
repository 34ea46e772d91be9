"""Synthetic scans: same bytes every time, truth that is exactly where damage changes the picture."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from surfacedefect.errors import OptionError
from surfacedefect.measure import measure_mask
from surfacedefect.synthetic.camera import Camera
from surfacedefect.synthetic.config import CLEAN, SyntheticConfig
from surfacedefect.synthetic.fringe import Fringe
from surfacedefect.synthetic.render import SyntheticScan, _photograph, render_scan, render_window
from surfacedefect.synthetic.scene import random_scene
from surfacedefect.synthetic.truth import SyntheticTruth

SMALL = SyntheticConfig(width=360, height=280, mm_per_px=0.2, scratches=(2, 3), chips=(1, 3), scuffs=(1, 1),
                        dents=(1, 1), jpeg_quality=None)  # fmt: skip
QUIET = Camera(
    gain=np.full(3, 0.8, np.float32), focus_blur_px=0.6, defocus_px_per_mm=0.0, focus_mm=0.0, motion_px=(0.0, 0.0),
    vignetting=0.1, read_noise=0.0, shot_noise=0.0, bayer=True, contrast=0.2, saturation=1.0, sharpening=0.4,
    denoise=0.3,
)  # fmt: skip


def _any(scan: SyntheticScan) -> np.ndarray:
    return (scan.truth.masks["scratch"] | scan.truth.masks["dent"] | scan.truth.ignore).astype(bool)


def test_same_seed_same_bytes_other_seed_other_picture() -> None:
    first, second, other = render_scan(5, SMALL), render_scan(5, SMALL), render_scan(6, SMALL)
    assert first.image.tobytes() == second.image.tobytes()
    assert all(np.array_equal(first.truth.masks[k], second.truth.masks[k]) for k in first.truth.masks)
    assert np.array_equal(first.truth.ignore, second.truth.ignore)
    assert not np.array_equal(first.image, other.image)


def test_other_processes_give_the_same_bytes() -> None:
    code = (
        "import hashlib; from surfacedefect.synthetic.render import render_window;"
        "w = render_window(11, size=160);"
        "print(hashlib.sha256(w.image.tobytes() + w.truth.masks['scratch'].tobytes()).hexdigest())"
    )
    environments = [{"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}, {"PYTHONHASHSEED": "7"}]
    import os

    seen = {
        subprocess.run(
            [sys.executable, "-c", code], env=os.environ | extra, capture_output=True, text=True, check=True
        ).stdout
        for extra in environments
    }
    assert len(seen) == 1


def test_shapes_dtypes_and_truth() -> None:
    scan = render_scan(10**9, SMALL)
    assert scan.image.shape == (280, 360, 3) and scan.image.dtype == np.uint8
    assert (scan.mm_per_px, scan.seed) == (0.2, 10**9)
    assert sorted(scan.truth.masks) == ["dent", "scratch"]
    for mask in (*scan.truth.masks.values(), scan.truth.ignore):
        assert mask.shape == (280, 360) and mask.dtype == np.uint8 and set(np.unique(mask)) <= {0, 1}
    assert not (scan.truth.ignore & (scan.truth.masks["scratch"] | scan.truth.masks["dent"])).any()
    assert 10 < scan.image.mean() < 245 and scan.blur_px >= 1 and scan.noise > 0


def test_polygons_cover_the_masks() -> None:
    for seed in (1, 3):
        scan = render_scan(seed, SMALL)
        for kind, mask in scan.truth.masks.items():
            own = [p for k, p in scan.truth.polygons if k == kind]
            assert all(p.is_valid and p.geom_type == "Polygon" for p in own)
            assert sum(p.area for p in own) == pytest.approx(mask.sum(), rel=0.05, abs=1)
            for left, top, right, bottom in (p.bounds for p in own):
                assert left >= 0 and top >= 0 and right <= 360 and bottom <= 280


def test_polygons_end_where_the_picture_ends() -> None:
    mask = np.zeros((6, 8), np.uint8)
    mask[0, :2] = mask[1, 2] = mask[5, 7] = mask[4, 6] = 1  # two corners, each with a pixel that touches at a point
    found = SyntheticTruth({"scratch": mask}, np.zeros_like(mask)).polygons
    assert [kind for kind, _ in found] == ["scratch", "scratch"], "clipping parts nothing"
    first, last = sorted(polygon.bounds for _, polygon in found)
    assert first == pytest.approx((0, 0, 3.01, 2.01), abs=1e-9) and min(first) == 0
    assert last == pytest.approx((5.99, 3.99, 8, 6), abs=1e-9) and last[2:] == (8, 6)


def test_defects_account_for_every_damaged_pixel() -> None:
    scan = render_scan(8, SMALL)
    boxes = np.zeros(scan.image.shape[:2], bool)
    for defect in scan.truth.defects:
        left, top, right, bottom = defect.box
        boxes[top:bottom, left:right] = True
        assert 0 <= defect.visible <= 1 and defect.contrast >= 0 and defect.length_mm >= 0
        assert defect.area_px <= (right - left) * (bottom - top)
    assert not (_any(scan) & ~boxes).any()
    assert {d.kind for d in scan.truth.defects} == {"scratch", "dent"}


def test_clean_config_has_empty_truth() -> None:
    scan = render_scan(4, replace(CLEAN, width=320, height=240))
    assert not _any(scan).any() and scan.truth.polygons == [] and scan.truth.defects == ()


COUNTS = {"scratches": (0, 0), "chips": (0, 0), "scuffs": (0, 0), "dents": (0, 0)}


@pytest.mark.parametrize("name", ["scratches", "chips", "scuffs", "dents"])
@pytest.mark.parametrize("fringe", [None, Fringe(daylight=0.2)])
def test_every_pixel_that_damage_changes_is_in_the_truth(name: str, fringe: Fringe | None) -> None:
    for seed in range(20, 23):
        counts = COUNTS | {name: (3, 3)}
        config = replace(SMALL, **counts, fringe=fringe, tilt_degrees=(0.0, 30.0))  # type: ignore[arg-type]
        hurt = random_scene(seed, config, environment_size=256)
        shot = _photograph(hurt, seed=seed, config=config, camera=QUIET)
        bare = _photograph(replace(hurt, damages=()), seed=seed, config=config, camera=QUIET)
        change = np.abs(shot.image.astype(int) - bare.image).max(axis=-1)
        truth = _any(shot)
        reach = np.ones((2 * (shot.blur_px + 3) + 1,) * 2)
        assert not (change[~binary_dilation(truth, reach)] > 1).any()
        assert truth.any() and change[truth].max() > 3


def test_noise_is_the_same_with_and_without_damage() -> None:
    scene = random_scene(2, SMALL, environment_size=256)
    shot = _photograph(scene, seed=2, config=SMALL)
    bare = _photograph(replace(scene, damages=()), seed=2, config=SMALL)
    far = ~binary_dilation(_any(shot), np.ones((3, 3)), iterations=shot.blur_px + 3)
    assert far.any() and np.array_equal(shot.image[far], bare.image[far])


@pytest.mark.parametrize("width_mm", [0.5, 1.0, 2.0])
def test_length_and_width_are_as_asked(width_mm: float) -> None:
    config = SyntheticConfig(
        width=700, height=700, scratches=(1, 1), chips=(0, 0), scuffs=(0, 0), dents=(0, 0), groups=0.0, hairlines=0.0,
        scratch_length_mm=(30.0, 30.0), scratch_width_mm=(width_mm, width_mm), lookalikes=0.0, tilt_degrees=(0.0, 0.0),
        distance_mm=5000.0,
    )  # fmt: skip
    checked = 0
    for seed in range(12):
        scan = render_scan(seed, config)
        (defect,) = scan.truth.defects
        assert (defect.length_mm, defect.width_mm) == pytest.approx((30.0, width_mm))
        (line,) = defect.lines
        length = float(np.hypot(*np.diff(line.xy, axis=0).T).sum())
        assert length == pytest.approx(300, abs=3)
        touching = line.width_px[line.width_px > 0.5 * width_mm / 0.1 * 0.1]
        assert float(touching.mean()) == pytest.approx(10 * width_mm, abs=1)
        left, top, right, bottom = defect.box
        inside = left > 5 and top > 5 and right < 695 and bottom < 695
        if not inside or (line.width_px < 1).mean() > 0.1:
            continue  # cut off by the border, or lifted off in between
        measured_length, measured_width = measure_mask(_any(scan))
        assert measured_length == pytest.approx(300, abs=0.03 * 300)
        assert measured_width == pytest.approx(10 * width_mm, abs=1.0 + 0.2 * 10 * width_mm)
        checked += 1
    assert checked >= 3


def test_bands_leave_no_seam() -> None:
    config = replace(SMALL, tilt_degrees=(20.0, 20.0))
    scene = random_scene(2, config, environment_size=256)
    whole = _photograph(scene, seed=2, config=config, band_px=10**9)
    for band_px in (360 * 8, 360 * 37):
        banded = _photograph(scene, seed=2, config=config, band_px=band_px, develop_px=2 * band_px)
        assert np.array_equal(banded.image, whole.image)
        assert all(np.array_equal(banded.truth.masks[k], whole.truth.masks[k]) for k in whole.truth.masks)


def test_damage_that_cannot_be_seen_is_ignored() -> None:
    scene = random_scene(1, SMALL, environment_size=256)
    drowned = replace(QUIET, read_noise=50.0)
    shot = _photograph(scene, seed=1, config=SMALL, camera=drowned)
    assert not any(m.any() for m in shot.truth.masks.values())
    assert shot.truth.ignore.any() and all(d.visible == 0 for d in shot.truth.defects)


def test_light_changes_neither_panel_nor_damage() -> None:
    plain = render_scan(10**9 + 9, SMALL)
    fringed = render_scan(10**9 + 9, replace(SMALL, fringe=Fringe()))
    assert np.array_equal(_any(plain), _any(fringed))
    assert not np.array_equal(plain.image, fringed.image)
    assert [d.sort for d in plain.truth.defects] == [d.sort for d in fringed.truth.defects]


def test_windows_vary_and_a_share_is_clean() -> None:
    windows = [render_window(seed, size=128) for seed in range(60)]
    assert all(w.image.shape == (128, 128, 3) and 0.08 <= w.mm_per_px <= 2 for w in windows)
    clean = sum(not _any(w).any() for w in windows)
    assert 6 <= clean <= 30
    assert sum(w.truth.masks["scratch"].any() for w in windows) >= 20
    assert sum(w.truth.masks["dent"].any() for w in windows) >= 3
    assert len({w.image.tobytes() for w in windows}) == 60
    assert np.array_equal(windows[7].image, render_window(7, size=128).image)


def test_bad_seed_size_and_config_are_named() -> None:
    for seed in (-1, 2**63, 1.5, True, "7", None):
        with pytest.raises(OptionError, match="seed"):
            render_scan(seed)  # type: ignore[arg-type]
    for size in (32, 4096, 100.5, "512"):
        with pytest.raises(OptionError, match="size"):
            render_window(1, size=size)  # type: ignore[arg-type]
    for render in (render_scan, render_window):
        with pytest.raises(OptionError, match="config"):
            render(1, config={"width": 100})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "extreme",
    [{"mm_per_px": 0.02}, {"mm_per_px": 5.0}, {"tilt_degrees": (75.0, 75.0)},
     {"distance_mm": 400.0, "mm_per_px": 5.0, "tilt_degrees": (0.0, 5.0)},
     {"damage_scale": 10.0, "mm_per_px": 0.02}, {"damage_scale": 0.1}, {"lookalikes": 1.0}, {"hail": (60, 60)},
     {"scratch_length_mm": (5000.0, 5000.0)}, {"scratch_width_mm": (0.01, 0.01)}, {"jpeg_quality": 40},
     {"scratch_width_mm": (50.0, 50.0), "mm_per_px": 5.0}, {"fringe": Fringe(period_mm=1.0, daylight=100.0)},
     {"width": 64, "height": 700}],
)  # fmt: skip
def test_extreme_configs_give_pictures_and_truth_inside_them(extreme: dict[str, object]) -> None:
    config = replace(SMALL, width=96, height=80) if "width" not in extreme else SMALL
    scan = render_scan(3, replace(config, **extreme))  # type: ignore[arg-type]
    height, width = scan.image.shape[:2]
    assert np.isfinite(scan.noise) and scan.image.std() > 0
    for defect in scan.truth.defects:
        left, top, right, bottom = defect.box
        assert 0 <= left <= right <= width and 0 <= top <= bottom <= height
        assert np.isfinite(defect.contrast) and min(defect.length_mm, defect.width_mm, defect.depth_mm) >= 0
