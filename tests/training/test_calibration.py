from __future__ import annotations

import numpy as np
import pytest

import surfacedefect as sd
from surfacedefect.training.calibration import (
    IDENTITY,
    LEAST_SLOPE,
    Platt,
    expected_calibration_error,
    fit_kinds,
    fit_platt,
    log_loss,
    reliability_curve,
)

NONE = np.zeros(256)


def simulated(platt, *, pixels=4_000_000, seed=0):
    """Histograms of a model that is calibrated by `platt`: mostly near 0, as on a scan."""
    rng = np.random.default_rng(seed)
    levels = np.clip(np.arange(256), 0.25, 254.75) / 255
    shares = levels**-0.85 * (1 - levels) ** 0.5
    given = rng.multinomial(pixels, shares / shares.sum())
    damaged = rng.binomial(given, platt.apply(levels))
    return damaged, given - damaged


@pytest.mark.parametrize("true", [Platt(1.0, 0.0), Platt(0.6, -2.0), Platt(1.8, 1.0), Platt(0.3, -4.0)])
def test_a_fit_finds_the_parameters_that_made_the_counts(true):
    found = fit_platt(*simulated(true))
    assert found == pytest.approx(true, abs=0.03)


@pytest.mark.parametrize("true", [Platt(0.6, -2.0), Platt(1.8, 1.0)])
def test_a_fit_improves_log_loss_and_calibration_on_other_pixels(true):
    found, other = fit_platt(*simulated(true)), simulated(true, seed=1)
    assert log_loss(*other, platt=found) < log_loss(*other)
    assert expected_calibration_error(*other, platt=found) < 0.2 * expected_calibration_error(*other)
    assert expected_calibration_error(*other, platt=found, least=0.1) < 0.02


def test_a_fit_agrees_with_a_general_optimiser():
    from scipy.optimize import minimize

    damaged, clean = simulated(Platt(0.5, -3.0), pixels=20_000)
    high, low = (damaged.sum() + 1) / (damaged.sum() + 2), 1 / (clean.sum() + 2)
    yes = high * damaged + low * clean

    def loss(at):
        return log_loss(yes, damaged + clean - yes, platt=Platt(*at))

    best = minimize(loss, (1.0, 0.0), method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-14})
    assert fit_platt(damaged, clean) == pytest.approx(tuple(best.x), abs=1e-4)


def test_calibration_keeps_the_order_even_where_the_model_is_upside_down():
    rng = np.random.default_rng(2)
    levels = np.arange(256) / 255
    for seed in range(20):
        damaged, clean = np.random.default_rng(seed).integers(0, 1000, (2, 256))
        platt = fit_platt(damaged, clean)
        assert platt.slope >= LEAST_SLOPE
        assert (np.diff(platt.apply(levels)) > 0).all()
    upside_down = fit_platt(rng.permuted(1000 * levels[::-1] ** 3), 1000 * levels)
    assert upside_down.slope >= LEAST_SLOPE
    backwards = fit_platt(1000 * levels[::-1], 1000 * levels)
    assert backwards.slope == LEAST_SLOPE
    assert backwards.apply(0.5) == pytest.approx(0.5, abs=0.01), "it says how much is damaged, and nothing else"


def test_the_ends_stay():
    assert Platt(0.4, -7.0).apply([0.0, 1.0]).tolist() == [0.0, 1.0]
    np.testing.assert_allclose(IDENTITY.apply(np.linspace(0, 1, 11)), np.linspace(0, 1, 11))


def test_without_damaged_or_without_clean_pixels_nothing_is_changed():
    some = np.arange(256)
    assert fit_platt(NONE, some) == fit_platt(some, NONE) == fit_platt(NONE, NONE) == IDENTITY
    assert fit_kinds({"scratch": simulated(Platt(0.6, -2.0)), "dent": (NONE, some)})["dent"] == IDENTITY


def test_scarce_and_perfectly_parted_counts_give_a_finite_fit():
    damaged, clean = NONE.copy(), NONE.copy()
    damaged[255], clean[0] = 1, 10_000_000
    parted = fit_platt(damaged, clean)
    assert np.isfinite(parted).all()
    assert log_loss(damaged, clean, platt=parted) < log_loss(damaged, clean)
    one_level = NONE.copy()
    one_level[100] = 30
    platt = fit_platt(one_level, 3 * one_level)
    assert platt.apply(100 / 255) == pytest.approx(0.25, abs=0.02), "one probability can be set right, the rest follows"


def test_undefined_figures_are_nan():
    assert np.isnan(log_loss(NONE, NONE))
    assert np.isnan(expected_calibration_error(NONE, NONE))
    curve = reliability_curve(*np.eye(256)[[10, 10]], bins=4)
    assert np.isnan(curve.said[1:]).all()
    assert np.isnan(curve.true[1:]).all()
    assert curve.pixels.tolist() == [2, 0, 0, 0]


def test_the_expected_error_agrees_with_its_definition():
    damaged, clean = simulated(Platt(0.6, -2.0), pixels=5000)
    said = np.repeat(np.clip(np.arange(256), 0.25, 254.75) / 255, damaged + clean)
    true = np.concatenate([np.repeat([1, 0], pair) for pair in zip(damaged, clean, strict=True)])
    bin_of = np.minimum((said * 10).astype(int), 9)
    gaps = [abs(said[bin_of == k].mean() - true[bin_of == k].mean()) * (bin_of == k).mean() for k in range(10)]
    assert expected_calibration_error(damaged, clean, bins=10) == pytest.approx(sum(gaps))


def test_the_counts_of_the_evaluation_fit():
    from surfacedefect.evaluation import ScoreHistogram

    damaged, clean = simulated(Platt(0.6, -2.0), pixels=5000)
    counts = ScoreHistogram(tuple(damaged.tolist()), tuple(clean.tolist()))
    assert fit_platt(counts.positives, counts.negatives) == fit_platt(damaged, clean)


@pytest.mark.parametrize("counts", [np.zeros(255), np.full(256, -1), np.full(256, np.nan)])
def test_what_is_no_histogram_is_refused(counts):
    with pytest.raises(sd.EvaluationError, match="histogram of clean"):
        fit_platt(NONE, counts)


@pytest.mark.parametrize("change", [{"bins": 0}, {"least": 1.0}])
def test_bad_bins_are_refused(change):
    with pytest.raises(sd.EvaluationError, match="expected"):
        reliability_curve(NONE, NONE, **change)
