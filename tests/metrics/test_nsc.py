import dataclasses
import pickle

import numpy as np
import pytest

from sklearn_hepcal.metrics import NSC, fit_nsc

PT = np.geomspace(30.0, 2000.0, 8)
TERMS = np.array([4.0, 0.7, 0.04])


def curve(pt, noise, stochastic, constant):
    return np.sqrt(noise**2 / pt**2 + stochastic**2 / pt + constant**2)


def terms(fit):
    return np.array([fit.noise, fit.stochastic, fit.constant])


def fluctuated(seed, error):
    return curve(PT, *TERMS) + error * np.random.default_rng(seed).normal(size=len(PT))


@pytest.mark.parametrize("n_points", [3, 4, 8])
@pytest.mark.parametrize("error", [None, 0.01])
def test_exact_points_give_exact_terms(error, n_points):
    pt = np.geomspace(25.0, 1500.0, n_points)
    errors = None if error is None else np.full(n_points, error)
    fit = fit_nsc(pt, curve(pt, *TERMS), errors)
    np.testing.assert_allclose(terms(fit), TERMS, rtol=1e-6)
    assert fit.chi2 == pytest.approx(0, abs=1e-12)
    assert fit.n_dof == n_points - 3


@pytest.mark.parametrize("zero", [[0], [1], [2], [0, 1], [0, 2], [1, 2]])
def test_absent_terms_are_zero(zero):
    expected = TERMS.copy()
    expected[zero] = 0
    fit = fit_nsc(PT, curve(PT, *expected), 0.01 * curve(PT, *expected))
    np.testing.assert_allclose(terms(fit), expected, rtol=1e-6)


def test_fluctuations_have_the_covariance_of_the_fit():
    error, n_repeated = 0.01 * curve(PT, *TERMS), 200
    fits = [fit_nsc(PT, fluctuated(seed, error), error) for seed in range(n_repeated)]
    pulls = [(terms(f) - TERMS) / np.sqrt(np.diag(f.covariance)) for f in fits]
    of_one = 1 / np.sqrt(n_repeated)
    np.testing.assert_allclose(np.mean(pulls, axis=0), 0, atol=4 * of_one)
    np.testing.assert_allclose(np.std(pulls, axis=0), 1, atol=4 * of_one / np.sqrt(2))
    distances = [
        d @ np.linalg.solve(f.covariance, d) for f in fits for d in [terms(f) - TERMS]
    ]
    assert abs(np.mean(distances) - 3) < 4 * np.sqrt(6) * of_one
    chi2 = np.array([f.chi2 for f in fits])
    assert abs(chi2.mean() - 5) < 4 * np.sqrt(10) * of_one


def test_errors_from_the_scatter():
    """They are those of known errors, scaled to a chi2 of one a degree of freedom."""
    jer = fluctuated(0, 0.01 * curve(PT, *TERMS))
    fit, known = fit_nsc(PT, jer), fit_nsc(PT, jer, 0.01 * jer)
    np.testing.assert_allclose(terms(fit), terms(known), rtol=1e-6)
    assert fit.chi2 == pytest.approx(1e-4 * known.chi2)
    expected = known.covariance * known.chi2 / known.n_dof
    np.testing.assert_allclose(fit.covariance, expected, rtol=1e-5)


def test_three_points_without_errors_have_no_covariance():
    fit = fit_nsc(PT[:3], curve(PT[:3], *TERMS))
    assert fit.n_dof == 0
    assert np.isnan(fit.covariance).all()


@pytest.mark.parametrize("seed", range(3))
def test_term_at_zero_has_no_error_and_leaves_those_of_the_others(seed):
    error = 0.02 * np.ones(len(PT))
    # too steep for any constant term
    jer = 20.0 / PT + 0.001 * np.random.default_rng(seed).normal(size=len(PT))
    fit = fit_nsc(PT, np.abs(jer), error)
    at_zero = terms(fit) == 0
    assert at_zero.any() and not at_zero.all()
    np.testing.assert_array_equal(np.isnan(fit.covariance).all(axis=0), at_zero)
    free = fit.covariance[np.ix_(~at_zero, ~at_zero)]
    assert np.all(np.linalg.eigvalsh(free) > 0)


def test_other_units_of_pt():
    error = 0.01 * curve(PT, *TERMS)
    jer = fluctuated(0, error)
    gev, mev = fit_nsc(PT, jer, error), fit_nsc(1000 * PT, jer, error)
    unit = np.array([1000, np.sqrt(1000), 1])
    np.testing.assert_allclose(terms(mev), unit * terms(gev), rtol=1e-6)
    np.testing.assert_allclose(
        mev.covariance, np.outer(unit, unit) * gev.covariance, rtol=1e-5
    )


@pytest.mark.parametrize("column", range(3))
def test_bins_with_nan_are_left_out(column):
    error = 0.01 * curve(PT, *TERMS)
    columns = [PT, fluctuated(0, error), error]
    broken = [
        np.append(c, np.nan if k == column else 0.1) for k, c in enumerate(columns)
    ]
    np.testing.assert_array_equal(terms(fit_nsc(*broken)), terms(fit_nsc(*columns)))


def test_resolution_of_zero_with_an_error_is_a_point():
    error = 0.01 * np.ones(len(PT))
    jer = curve(PT, *TERMS)
    jer[-1] = 0.0
    fit = fit_nsc(PT, jer, error)
    assert fit.constant < TERMS[2]
    with pytest.raises(ValueError, match="jer must be positive"):
        fit_nsc(PT, jer)


def test_curve():
    fit = fit_nsc(PT, curve(PT, *TERMS))
    np.testing.assert_allclose(fit(PT), curve(PT, *TERMS), rtol=1e-9)
    assert fit(100.0) == pytest.approx(curve(100.0, *TERMS))
    assert fit(PT.reshape(2, 4)).shape == (2, 4)
    for bad in (0.0, -1.0, np.nan):
        with pytest.raises(ValueError, match="pt must be positive"):
            fit([100.0, bad])


def test_result_is_frozen_and_pickles():
    fit = fit_nsc(PT, curve(PT, *TERMS))
    with pytest.raises(dataclasses.FrozenInstanceError):
        fit.noise = 0.0
    loaded = pickle.loads(pickle.dumps(fit))
    assert isinstance(loaded, NSC)
    np.testing.assert_array_equal(loaded(PT), fit(PT))


@pytest.mark.parametrize(
    ("pt", "jer", "error", "message"),
    [
        ([50, 100], [0.1, 0.1], None, "needs 3 momenta .* got 2: take more bins"),
        ([50, 100, 200], [0.1, 0.1, np.nan], None, "got 2"),
        ([50, 100, 100], [0.1, 0.1, 0.1], None, "got 2"),
        ([], [], None, "got 0"),
        ([50, 100, -1], [0.1, 0.1, 0.1], None, "pt must be positive, got -1"),
        ([50, 100, np.inf], [0.1, 0.1, 0.1], None, "pt must be finite"),
        ([50, 100, 200], [0.1, 0.1, -0.1], [1, 1, 1], "jer must not be negative"),
        ([50, 100, 200], [0.1, 0.1, np.inf], None, "jer must be finite"),
        ([50, 100, 200], [0.1, 0.1, 0.1], [0.1, 0.1, 0.0], "error must be positive"),
        ([50, 100, 200], [0.0, 0.0, 0.0], [1, 1, 1], "jer must not be 0 everywhere"),
        ([50, 100], [0.1, 0.1, 0.1], None, "one length, got {'pt'"),
        ([50, 100, 200], [0.1, 0.1, 0.1], [0.1], "one length, got {'pt'"),
        ([[50, 100, 200]], [[0.1, 0.1, 0.1]], None, "one-dimensional"),
    ],
)
def test_unusable_points(pt, jer, error, message):
    with pytest.raises(ValueError, match=message):
        fit_nsc(pt, jer, error)
