"""Painted damage: exact truth, nothing changed elsewhere, same bytes for the same generator."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import binary_dilation

from surfacedefect.errors import OptionError
from surfacedefect.synthetic.paint import paint_damage


def _picture(level: int, size: int = 160) -> np.ndarray:
    ramp = np.linspace(-20, 20, size)[None, :, None] + np.full((size, size, 3), float(level))
    return (ramp + np.random.default_rng(0).normal(0, 2, ramp.shape)).clip(0, 255).astype(np.uint8)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), level=st.integers(25, 225), scale=st.sampled_from([None, 0.1, 0.5, 1.0]))
def test_damage_is_inside_its_mask_and_shows_there(seed: int, level: int, scale: float | None) -> None:
    image = _picture(level)
    before = image.copy()
    painted, mask = paint_damage(image, rng=np.random.default_rng(seed), count=(1, 3), mm_per_px=scale)
    assert np.array_equal(image, before)
    assert painted.shape == image.shape and painted.dtype == mask.dtype == np.uint8
    assert set(np.unique(mask)) <= {0, 1}
    change = np.abs(painted.astype(int) - image).max(axis=-1)
    # a dense scuff has a thin haze and faint sub-pixel hairlines around its truth: those stay weak
    far = ~binary_dilation(mask, np.ones((3, 3)), iterations=6)
    assert (change[far] > 12).mean() < 0.002 if far.any() else True
    if mask.sum() > 30:
        # a faint scuff's area holds untouched paint between its lines: its mean change can be as low as 2 grey levels
        assert change[mask > 0].mean() > max(4 * change[far].mean() if far.any() else 0, 1)


def test_same_generator_state_gives_same_bytes() -> None:
    first, second = (paint_damage(_picture(90), rng=np.random.default_rng(11)) for _ in range(2))
    assert np.array_equal(first[0], second[0]) and np.array_equal(first[1], second[1])


def test_no_marks_changes_nothing() -> None:
    painted, mask = paint_damage(_picture(90), rng=np.random.default_rng(1), count=(0, 0))
    assert np.array_equal(painted, _picture(90)) and not mask.any()


def test_nearly_every_call_yields_damage_bright_and_dark() -> None:
    image, signs = _picture(110), []
    for seed in range(40):
        painted, mask = paint_damage(image, rng=np.random.default_rng(seed), count=(1, 1))
        if mask.any():
            signs.append(np.sign((painted.astype(int) - image)[mask > 0].mean()))
    assert len(signs) >= 38
    assert 5 < sum(s > 0 for s in signs) < 35


@pytest.mark.parametrize(
    ("image", "options", "says"),
    [
        (np.zeros((64, 64), np.uint8), {}, "RGB"),
        (np.zeros((64, 64, 3), np.float32), {}, "float32"),
        (np.zeros((8, 64, 3), np.uint8), {}, "at least 16"),
        (np.zeros((64, 64, 3), np.uint8), {"count": (3, 1)}, "count"),
        (np.zeros((64, 64, 3), np.uint8), {"mm_per_px": 0.0}, "mm_per_px"),
        (np.zeros((64, 64, 3), np.uint8), {"mm_per_px": "1"}, "mm_per_px"),
        (np.zeros((64, 64, 3), np.uint8), {"count": 5}, "count"),
        (np.zeros((64, 64, 3), np.uint8), {"count": (1.5, 2)}, "count"),
        (np.zeros((64, 64, 3), np.uint8), {"rng": 3}, "rng"),
    ],
)
def test_bad_arguments_are_named(image: np.ndarray, options: dict[str, object], says: str) -> None:
    with pytest.raises(OptionError, match=says):
        paint_damage(image, **{"rng": np.random.default_rng(0), **options})  # type: ignore[arg-type]
