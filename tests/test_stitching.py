from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from surfacedefect import DetectOptions, Detector, FunctionPredictor, ModelCard, OptionError, PredictorError, ScanError
from surfacedefect.windows import lay_axis


def hashing(window_px: int, overlap_px: int, edge: str = "shift", kinds: int = 2) -> FunctionPredictor:
    """Every pixel's answer depends on its window's content and on where in the window it lies."""

    def look(windows):
        grey = windows.astype(np.float32).mean(axis=3) / 255
        middle = grey[:, :1, :1]
        ramp = np.linspace(0, 1, windows.shape[1], dtype=np.float32)
        return np.stack([(grey + middle + ramp * (k + 1)) % 1 for k in range(kinds)], axis=1).astype(np.float32)

    names = tuple(f"kind{k}" for k in range(kinds))
    return FunctionPredictor(
        look, card=ModelCard(name="hashing", kinds=names, window_px=window_px, overlap_px=overlap_px, edge=edge)
    )


def naive(scan, predictor):
    """The weighted average written out: sum of weight x probability over sum of weight, in float64."""
    card = predictor.card
    height, width = scan.shape[:2]
    side, overlap = card.window_px, card.overlap_px
    rows = lay_axis(height, window_px=side, overlap_px=overlap, edge=card.edge)
    columns = lay_axis(width, window_px=side, overlap_px=overlap, edge=card.edge)
    bump = np.sin(np.pi * (np.arange(side) + 0.5) / side) ** 2
    weight = np.outer(bump, bump)
    total = np.zeros((len(card.kinds), height + side, width + side))
    weights = np.zeros((height + side, width + side))
    for top in rows.starts:
        for left in columns.starts:
            window = scan[np.ix_(rows.indices(top), columns.indices(left))]
            total[:, top : top + side, left : left + side] += predictor(window[None])[0] * weight
            weights[top : top + side, left : left + side] += weight
    return total[:, :height, :width] / weights[:height, :width]


def random_scan(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(16, 150),
    st.integers(16, 150),
    st.sampled_from([(32, 8), (32, 0), (32, 24), (48, 16), (17, 5)]),
    st.sampled_from(["shift", "pad"]),
)
@example(97, 101, (32, 8), "shift")  # primes
@example(31, 16, (32, 8), "shift")  # below one window
@example(96, 128, (32, 0), "shift")  # exact multiples
@example(32 + 2 * 24, 32 + 3 * 24, (32, 8), "shift")  # exact multiples of the stride
@example(16, 16, (32, 8), "pad")
@example(41, 57, (32, 31), "shift")  # a window at every pixel
def test_stitched_map_is_the_weighted_average(height, width, window_and_overlap, edge):
    predictor = hashing(*window_and_overlap, edge=edge)
    scan = random_scan(height, width)
    found = Detector(predictor).probability_map(scan)
    expected = naive(scan, predictor)
    for kind, band in zip(found.kinds, expected, strict=True):
        assert np.abs(found.read(kind) / 255 - band).max() <= 1 / 255
    assert found.coverage == 1


def test_a_predictor_that_says_one_gives_one_everywhere():
    ones = FunctionPredictor(
        lambda windows: np.ones((len(windows), 1, 64, 64), np.float32),
        card=ModelCard(name="ones", kinds=("scratch",), window_px=64, overlap_px=13),
    )
    assert (Detector(ones).probability_map(random_scan(301, 203)).read() == 255).all()


@pytest.mark.parametrize("batch", [2, 3, 7, 100])
@pytest.mark.parametrize("max_memory", [0, 2**30])
def test_batch_and_place_do_not_change_a_byte(batch, max_memory):
    scan, predictor = random_scan(211, 307), hashing(64, 16)
    one = Detector(predictor, options=DetectOptions(batch=1)).probability_map(scan)
    other = Detector(predictor, options=DetectOptions(batch=batch, max_memory=max_memory)).probability_map(scan)
    assert other.in_memory == (max_memory > 0)
    for kind in one.kinds:
        np.testing.assert_array_equal(one.read(kind), other.read(kind))


def test_progress_counts_every_window():
    told = []
    Detector(hashing(64, 16)).probability_map(random_scan(200, 150), progress=lambda done, of: told.append((done, of)))
    assert told[-1] == (12, 12)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


class Failing:
    """Fails on windows that hold a red pixel: by an error, by NaN, or by a wrong shape."""

    def __init__(self, how: str) -> None:
        self.how = how
        self.card = ModelCard(name="failing", kinds=("scratch",), window_px=64, overlap_px=16)

    def __call__(self, windows):
        result = np.full((len(windows), 1, 64, 64), 0.25, np.float32)
        for number, window in enumerate(windows):
            if (window == (255, 0, 0)).all(axis=2).any():
                if self.how == "own":
                    raise PredictorError("not this window")
                if self.how == "error":
                    raise RuntimeError("out of luck")
                if self.how == "shape":
                    return result[:, :, :32]
                result[number] = {"nan": np.nan, "two": 2.0}[self.how]
        return result


@pytest.fixture
def one_red_pixel():
    scan = np.full((208, 304, 3), 100, np.uint8)
    scan[5, 290] = (255, 0, 0)
    return scan


@pytest.mark.parametrize(
    ("how", "message"), [("error", "out of luck"), ("nan", "NaN"), ("two", "0.25 to 2|2 to 2"), ("shape", "shape")]
)
def test_a_failing_window_raises(one_red_pixel, how, message):
    with pytest.raises(PredictorError, match=message):
        Detector(Failing(how)).detect(one_red_pixel)


@pytest.mark.parametrize("how", ["error", "own", "nan", "two"])
@pytest.mark.parametrize("batch", [1, 4])
def test_a_skipped_window_is_not_inspected_and_never_clean(one_red_pixel, how, batch):
    options = DetectOptions(on_error="skip", batch=batch)
    found = Detector(Failing(how), options=options).probability_map(one_red_pixel)
    failed = np.zeros((208, 304), bool)
    failed[:64, 240:] = True
    np.testing.assert_array_equal(found.read_coverage(), ~failed)
    assert found.coverage == 1 - failed.mean()
    assert not found.read()[failed].any()
    assert (found.read()[~failed] == 64).all()


def test_a_wrong_shape_is_never_skipped(one_red_pixel):
    with pytest.raises(PredictorError, match="expected floats of shape"):
        Detector(Failing("shape"), options=DetectOptions(on_error="skip")).detect(one_red_pixel)


def test_skipping_everything_raises():
    red = np.zeros((100, 100, 3), np.uint8)
    red[..., 0] = 255
    with pytest.raises(PredictorError, match="all 4 windows"):
        Detector(Failing("error"), options=DetectOptions(on_error="skip")).detect(red)


def test_pixels_without_data_are_not_inspected(make_dark):
    scan = np.full((200, 300, 4), 180, np.uint8)
    scan[:, :150, 3] = 0
    scan[:, :150, :3] = 0  # black, and transparent: no damage
    found = Detector(make_dark()).probability_map(scan)
    assert not found.read_coverage()[:, :150].any()
    assert found.read_coverage()[:, 150:].all()
    assert not found.read()[:, :150].any()
    assert found.coverage == 1, "what is not there need not be inspected"


def test_a_scan_without_any_data_is_refused(make_dark):
    with pytest.raises(ScanError, match="transparent"):
        Detector(make_dark()).detect(np.zeros((80, 80, 4), np.uint8))


def test_an_overlap_as_large_as_the_window_is_refused(make_dark):
    with pytest.raises(OptionError, match="less than the window"):
        Detector(make_dark(), options=DetectOptions(overlap=64))
