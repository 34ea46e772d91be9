"""Synthetic scans: same bytes every time, truth that agrees with what damage changes, empty truth when clean."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from surfacedefect.errors import OptionError
from surfacedefect.synthetic import CLEAN, SyntheticConfig, render_scan, render_window
from surfacedefect.synthetic.camera import Camera
from surfacedefect.synthetic.render import _photograph
from surfacedefect.synthetic.scene import Counts, Scene, random_scene

SMALL = SyntheticConfig(width=480, height=360, mm_per_px=0.4, jpeg_quality=None, lookalikes=0.0)


def _scene(seed: int, counts: Counts) -> Scene:
    return random_scene(
        np.random.default_rng(seed), size=(384, 320), mm_per_px=0.4, counts=counts, config=SMALL, reach_px=150,
        environment_size=256,
    )  # fmt: skip


def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take a camera without noise, so that pictures differ by the damage only."""
    still = Camera(np.full(3, 1.2, np.float32), blur=0.0, vignetting=0.0, read_noise=1e-3, shot_noise=0.0)
    monkeypatch.setattr(Camera, "random", classmethod(lambda cls, rng, sample: still))


def test_same_seed_same_bytes_other_seed_other_picture() -> None:
    first, second, other = render_scan(5, SMALL), render_scan(5, SMALL), render_scan(6, SMALL)
    assert first.image.tobytes() == second.image.tobytes()
    assert all(np.array_equal(first.truth.masks[k], second.truth.masks[k]) for k in first.truth.masks)
    assert np.array_equal(first.truth.ignore, second.truth.ignore)
    assert not np.array_equal(first.image, other.image)


def test_shapes_dtypes_and_truth() -> None:
    scan = render_scan(10**9, SMALL)
    assert scan.image.shape == (360, 480, 3) and scan.image.dtype == np.uint8
    assert (scan.mm_per_px, scan.seed) == (0.4, 10**9)
    assert sorted(scan.truth.masks) == ["dent", "scratch"]
    for mask in (*scan.truth.masks.values(), scan.truth.ignore):
        assert mask.shape == (360, 480) and mask.dtype == np.uint8 and set(np.unique(mask)) <= {0, 1}
    assert not (scan.truth.ignore & (scan.truth.masks["scratch"] | scan.truth.masks["dent"])).any()
    assert scan.truth.masks["scratch"].any() and 20 < scan.image.mean() < 240


def test_polygons_cover_the_masks() -> None:
    scan = render_scan(3, SMALL)
    for kind, mask in scan.truth.masks.items():
        own = [p for k, p in scan.truth.polygons if k == kind]
        assert all(p.is_valid and p.geom_type == "Polygon" for p in own)
        assert sum(p.area for p in own) == pytest.approx(mask.sum(), rel=0.05, abs=1)
        for left, top, right, bottom in (p.bounds for p in own):
            assert left > -0.1 and top > -0.1 and right < 480.1 and bottom < 360.1


def test_clean_config_has_empty_truth() -> None:
    scan = render_scan(4, replace(CLEAN, width=320, height=240))
    assert not scan.truth.ignore.any() and not any(m.any() for m in scan.truth.masks.values())
    assert scan.truth.polygons == []


@pytest.mark.parametrize("counts", [Counts(4, 3, 1, 0), Counts(0, 0, 0, 2)])
def test_truth_is_where_damage_changes_the_picture(monkeypatch: pytest.MonkeyPatch, counts: Counts) -> None:
    _quiet(monkeypatch)
    for seed in range(4):
        hurt = _scene(seed, counts)
        marks = tuple(m for m in hurt.marks if not m.is_damage)
        whole = replace(hurt, marks=marks, bumps=tuple(b for b in hurt.bumps if b.mask is None))
        shot = _photograph(hurt, np.random.default_rng(0), seed=0, jpeg_quality=None)
        bare = _photograph(whole, np.random.default_rng(0), seed=0, jpeg_quality=None)
        change = np.abs(shot.image.astype(int) - bare.image).max(axis=-1)
        truth = shot.truth.masks["scratch"] | shot.truth.masks["dent"]
        assert truth.any()
        # a dent goes on, shallower, outside its truth; paint damage ends there but for the lip
        reach = 60 if counts.dents else 6
        far = ~binary_dilation(truth | shot.truth.ignore, np.ones((3, 3)), iterations=reach)
        assert (change[far] > 6).mean() < 0.003
        assert np.quantile(change[truth > 0], 0.8) >= 3
        assert change[truth > 0].mean() > 5 * change[far].mean()


def test_damage_that_cannot_be_seen_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    drowned = Camera(np.ones(3, np.float32), blur=0.0, vignetting=0.0, read_noise=500.0, shot_noise=0.0)
    monkeypatch.setattr(Camera, "random", classmethod(lambda cls, rng, sample: drowned))
    shot = _photograph(_scene(1, Counts(3, 2, 1, 1)), np.random.default_rng(0), seed=0, jpeg_quality=None)
    assert not any(m.any() for m in shot.truth.masks.values())
    assert shot.truth.ignore.any()


def test_bands_leave_no_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    _quiet(monkeypatch)
    scene = _scene(2, Counts(2, 1, 1, 1))
    # no grain: it is drawn by bands
    scene = replace(scene, paint=replace(scene.paint, flakes=0.0), marks=(), dirt=None)
    blurred = Camera(np.ones(3, np.float32), blur=1.0, vignetting=0.2, read_noise=1e-3, shot_noise=0.0)
    monkeypatch.setattr(Camera, "random", classmethod(lambda cls, rng, sample: blurred))
    once = _photograph(scene, np.random.default_rng(0), seed=0, jpeg_quality=None)
    monkeypatch.setattr("surfacedefect.synthetic.render._BAND_PX", 10**9)
    whole = _photograph(scene, np.random.default_rng(0), seed=0, jpeg_quality=None)
    assert np.abs(once.image.astype(int) - whole.image).max() <= 1
    assert np.array_equal(once.truth.masks["dent"], whole.truth.masks["dent"])


def test_windows_vary_and_a_share_is_clean() -> None:
    windows = [render_window(seed, size=128) for seed in range(60)]
    assert all(w.image.shape == (128, 128, 3) and 0.1 <= w.mm_per_px <= 1 for w in windows)
    clean = sum(not (w.truth.ignore.any() or any(m.any() for m in w.truth.masks.values())) for w in windows)
    assert 6 <= clean <= 27
    assert sum(w.truth.masks["scratch"].any() for w in windows) >= 20
    assert sum(w.truth.masks["dent"].any() for w in windows) >= 4
    assert len({w.image.tobytes() for w in windows}) == 60
    assert np.array_equal(windows[7].image, render_window(7, size=128).image)


@pytest.mark.parametrize(
    ("name", "value"),
    [("width", 10), ("height", 10**6), ("mm_per_px", 0), ("dents", (2, 1)), ("scratches", (-1, 2)), ("paint", "pink"),
     ("jpeg_quality", 5), ("lookalikes", 2), ("damage_scale", 0)],
)  # fmt: skip
def test_bad_config_values_are_named(name: str, value: object) -> None:
    with pytest.raises(OptionError, match=name):
        SyntheticConfig(**{name: value})  # type: ignore[arg-type]


def test_bad_seed_size_and_config_are_named() -> None:
    for seed in (-1, 2**63, 1.5, True):
        with pytest.raises(OptionError, match="seed"):
            render_scan(seed)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="size"):
        render_window(1, size=32)
    with pytest.raises(OptionError, match="config"):
        render_scan(1, {"width": 100})  # type: ignore[arg-type]
