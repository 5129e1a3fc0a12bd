"""Corrections give the numbers of Python, wherever they are evaluated."""

import gzip
import json
import warnings

import numpy as np
import pandas as pd
import pytest
from correctionlib import CorrectionSet, schemav2
from sklearn.exceptions import NotFittedError
from small_dijets import fit as fit_dijets
from small_dijets import make_sample
from small_maps import make

from sklearn_hepcal.calibration import OTCalibrator, ScaleFactorCalibrator
from sklearn_hepcal.export import to_correctionlib
from sklearn_hepcal.metrics import (
    NSC,
    closure_table,
    fit_nsc,
    numerical_inversion,
)

RTOL = 1e-6
PT = np.geomspace(1e-2, 1e5, 500)


def evaluators(source, **options):
    """What C++ reads: the text, not the objects of Python."""
    text = to_correctionlib(source, **options).model_dump_json(exclude_unset=True)
    schemav2.CorrectionSet.model_validate_json(text)
    return CorrectionSet.from_string(text)


def agree(values, expected):
    np.testing.assert_allclose(values, expected, rtol=RTOL, atol=RTOL * 1e-3)


def samples(n=3000, seed=0):
    rng = np.random.default_rng(seed)
    X_sim = np.column_stack([rng.normal(size=n), rng.exponential(size=n)])
    X_data = np.column_stack([rng.gumbel(0.3, 1.2, n), rng.gamma(2.0, size=n)])
    return X_sim, X_data, rng


# Beside the sample and far beyond it, also on the ends of pieces and next to them.
def points(calibrator, column, rng):
    fitted, frame = calibrator._map, calibrator._frame
    ends = fitted.curves[column].points
    at = ends / fitted.gaussian.root[0, column, column]
    at = at + fitted.gaussian.source_mean[0, column] + frame.origin[column]
    near = [np.nextafter(at, np.inf), np.nextafter(at, -np.inf)]
    return np.concatenate([at, *near, rng.normal(0, 3, 1000), [-1e6, 1e6, 0.0, -0.0]])


def test_maps_of_columns():
    X_sim, X_data, rng = samples()
    calibrator = make("quantile").fit_samples(X_sim, X_data)
    corrections = evaluators(calibrator)
    assert list(corrections) == ["x0", "x1"]
    for column in range(2):
        x = points(calibrator, column, rng)
        rows = np.zeros((len(x), 2))
        rows[:, column] = x
        values = corrections[f"x{column}"].evaluate(x)
        agree(values, calibrator.transform(rows)[:, column])
    # The maps are none that do nothing.
    assert np.abs(corrections["x0"].evaluate(X_sim[:, 0]) - X_sim[:, 0]).mean() > 0.1


def test_maps_with_a_condition(transport_problem):
    problem = transport_problem
    X = pd.DataFrame(problem.X, columns=["a", "b", "log_pt"])
    calibrator = make("quantile", conditions=["log_pt"], n_quantiles=50).fit(
        X, problem.y
    )
    corrections = evaluators(calibrator)
    rng = np.random.default_rng(0)
    (knots,) = calibrator._frame.basis.knots
    middle, spread = knots.mean(), np.ptp(knots)
    condition = np.concatenate(
        [knots, np.nextafter(knots, -9), rng.normal(middle, spread, 5000)]
    )
    rows = np.column_stack([rng.normal(0, 3, (len(condition), 2)), condition])
    rows = pd.DataFrame(rows, columns=X.columns)
    moved = calibrator.transform(rows)
    for column, name in enumerate("ab"):
        inputs = [variable.name for variable in corrections[name].inputs]
        assert inputs == [name, "log_pt"]
        values = corrections[name].evaluate(rows[name].to_numpy(), condition)
        agree(values, moved[:, column])


def test_replicas():
    X_sim, X_data, _ = samples(1000)
    calibrator = make("quantile", n_bootstrap=3).fit_samples(X_sim, X_data)
    correction = evaluators(calibrator)["x1"]
    for replica in (-1, 0, 1, 2):
        given = None if replica < 0 else replica
        expected = calibrator.transform(X_sim, replica=given)[:, 1]
        agree(correction.evaluate(X_sim[:, 1], replica), expected)
    with pytest.raises(IndexError):
        correction.evaluate(0.5, 3)


def test_gaussian_map_of_one_column(transport_problem):
    problem = transport_problem
    X = problem.X[:, [0, 2]]
    for calibrator in (
        make("bures").fit(X[:, :1], problem.y),
        make("bures", conditions=[1]).fit(X, problem.y),
    ):
        rows = np.random.default_rng(0).normal(0, 3, (1000, calibrator.n_features_in_))
        expected = calibrator.transform(rows)[:, 0]
        agree(evaluators(calibrator)["x0"].evaluate(*rows.T), expected)


def test_map_that_moves_nothing():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(2000, 1))
    calibrator = OTCalibrator("quantile", selection=True, random_state=0)
    calibrator.fit_samples(X, rng.permutation(X))
    assert calibrator.selection_ == "identity"
    agree(evaluators(calibrator)["x0"].evaluate(X[:, 0]), X[:, 0])


@pytest.mark.parametrize(
    ("calibrator", "match"),
    [
        (make("bures"), "moves columns together"),
        (make("picnn").set_params(max_epochs=1), "not a ConvexMap; export.to_onnx"),
        (make("bures", conditions=[0, 1], n_knots=2), "one condition, and not with 2"),
    ],
)
def test_maps_that_are_no_corrections(calibrator, match):
    rng = np.random.default_rng(0)
    X_sim, X_data = rng.multivariate_normal(np.zeros(3), np.eye(3) + 0.5, (2, 500))
    calibrator.fit_samples(X_sim, X_data * [1, 2, 3])
    with pytest.raises(ValueError, match=match):
        to_correctionlib(calibrator)


def test_maps_that_spread_repeated_values():
    X_sim, X_data, _ = samples(1000)
    X_sim[:300, 1], X_data[:200, 1] = 0, 0
    calibrator = OTCalibrator("quantile", atoms="dequantise")
    with pytest.raises(ValueError, match="spreads repeated values"):
        to_correctionlib(calibrator.fit_samples(X_sim, X_data))


EDGES = [20.0, 30.3, 60.0, 140.1, 600.0]
CUTS = [0.7, -0.1, 1.3]  # in no order


def fit_scale_factors(named=False, **options):
    rng = np.random.default_rng(0)
    tables = []
    for shift in (0.0, 0.2):
        pt = rng.exponential(60, 4000) + 15
        tables.append(np.column_stack([rng.normal(shift, 1, 4000), pt]))
    if named:
        tables = [pd.DataFrame(table, columns=["D_b", "pt"]) for table in tables]
    return ScaleFactorCalibrator(CUTS, **options).fit_samples(*tables)


def test_scale_factors_by_bin():
    calibrator = fit_scale_factors(named=True, bins=EDGES, bin_column="pt")
    correction = evaluators(calibrator)["scale_factor"]
    names = [variable.name for variable in correction.inputs]
    assert names == ["systematic", "working_point", "pt"]
    value, error = calibrator.scale_factors_
    inside = [20.0, np.nextafter(30.3, 0)], [30.3, 50.0], [60.0, 140.0], [140.1, 599.9]
    for point in range(len(CUTS)):
        for i, momenta in enumerate(inside):
            for name, shift in [("nominal", 0), ("up", 1), ("down", -1)]:
                expected = value[point, i] + shift * error[point, i]
                agree(correction.evaluate(name, point, np.array(momenta)), expected)
        outside = np.array([-1.0, np.nextafter(20.0, 0), 600.0, 1e9])
        np.testing.assert_array_equal(correction.evaluate("up", point, outside), 1.0)
    for wrong in (("other", 0), ("up", 3), ("up", -1)):
        with pytest.raises(IndexError):
            correction.evaluate(*wrong, 50.0)


@pytest.mark.parametrize("bins", [EDGES, [0.0, 50.0, np.inf], None])
def test_weights_are_those_of_predict(bins):
    calibrator = fit_scale_factors(bins=bins)
    correction = evaluators(calibrator)["weight"]
    rng = np.random.default_rng(1)
    edges = np.array(CUTS + EDGES)
    edges = np.concatenate([edges, np.nextafter(edges, -1e9), [-1e6, 1e6]])
    scores = np.concatenate([rng.normal(0, 2, 2000), edges])
    momenta = np.concatenate([rng.exponential(100, 2000), edges])
    rows = np.column_stack([scores, momenta])
    rows = np.concatenate([rows, np.column_stack([scores, momenta[::-1]])])
    inputs = rows.T if bins is not None else rows.T[:1]
    for name, variation in [("nominal", 0.0), ("up", 1.0), ("down", -1.0)]:
        for point in (-1, 0, 1, 2):
            expected = calibrator.predict(
                rows, working_point=None if point < 0 else point, variation=variation
            )
            agree(correction.evaluate(name, point, *inputs), expected)


@pytest.mark.filterwarnings("ignore:In the bins")
def test_bins_without_a_measurement():
    calibrator = fit_scale_factors(bins=[20.0, 60.0, 5e3, 6e3])
    assert np.isnan(calibrator.scale_factors_.value[:, 2]).all()
    corrections = evaluators(calibrator)
    for name in ("nominal", "up", "down"):
        assert corrections["scale_factor"].evaluate(name, 0, 5500.0) == 1.0
        assert corrections["weight"].evaluate(name, 0, 3.0, 5500.0) == 1.0


def test_columns_without_names():
    inputs = [v.name for v in evaluators(fit_scale_factors())["weight"].inputs]
    assert inputs == ["systematic", "working_point", "score"]


def covariance():
    root = np.array([[0.2, 0, 0], [-0.01, 0.02, 0], [0.001, -0.002, 0.003]])
    return root @ root.T


# By differences of the curve itself.
def curve_error(nsc, pt):
    terms = np.array([nsc.noise, nsc.stochastic, nsc.constant])
    slopes = []
    for i in range(3):
        step = 1e-6 * np.eye(3)[i]
        shifted = [NSC(*(terms + s * step), None, 0, 0)(pt) for s in (1, -1)]
        slopes.append((shifted[0] - shifted[1]) / 2e-6)
    slopes = np.array(slopes)
    return np.sqrt(np.einsum("ip,ij,jp->p", slopes, nsc.covariance, slopes))


def test_resolution_curve():
    nsc = NSC(3.0, 0.6, 0.03, covariance(), 0.0, 0)
    correction = evaluators(nsc)["jer"]
    agree(correction.evaluate("nominal", PT), nsc(PT))
    error = curve_error(nsc, PT)
    agree(correction.evaluate("up", PT), nsc(PT) + error)
    agree(correction.evaluate("down", PT), nsc(PT) - error)
    for pt in (0.0, -0.0, -5.0):
        with pytest.raises(RuntimeError, match="below bounds"):
            correction.evaluate("nominal", pt)
        with pytest.raises(ValueError, match="must be positive"):
            nsc(pt)


def test_resolution_is_never_negative():
    nsc = NSC(0.0, 0.0, 0.01, np.diag([np.nan, np.nan, 0.02]) ** 2, 0.0, 0)
    correction = evaluators(nsc)["jer"]
    agree(correction.evaluate("up", 50.0), 0.03)
    agree(correction.evaluate("down", 50.0), 0.0)


def test_terms_of_zero_have_no_error():
    pt = np.array([30.0, 60.0, 120.0, 300.0, 1000.0])
    nsc = fit_nsc(pt, np.sqrt(0.6**2 / pt + 0.03**2), np.full(5, 0.01))
    nsc = NSC(0.0, nsc.stochastic, nsc.constant, nsc.covariance, 0.0, 2)
    correction = evaluators(nsc)["jer"]
    free = nsc.covariance[1:, 1:]
    if np.isnan(free).any():
        pytest.fail("the fit took another term for zero")
    slopes = np.array([nsc.stochastic / PT, nsc.constant + 0 * PT]) / nsc(PT)
    error = np.sqrt(np.einsum("ip,ij,jp->p", slopes, free, slopes))
    agree(correction.evaluate("up", PT), nsc(PT) + error)


def test_curves_of_unknown_covariance_have_no_variations():
    pt = np.array([30.0, 100.0, 1000.0])
    nsc = fit_nsc(pt, NSC(3.0, 0.6, 0.03, None, 0, 0)(pt))
    assert np.isnan(nsc.covariance).all()
    correction = evaluators(nsc)["jer"]
    agree(correction.evaluate("nominal", PT), nsc(PT))
    with pytest.raises(IndexError):
        correction.evaluate("up", 50.0)


@pytest.mark.parametrize("bins", [1, 2, 12])
def test_numerical_inversion(bins):
    rng = np.random.default_rng(0)
    true = np.exp(rng.uniform(np.log(50), np.log(2000), size=20_000))
    measured = true * (0.5 + 0.04 * np.log(true)) * rng.normal(1.0, 0.1, 20_000)
    inversion = numerical_inversion(true, measured, bins=bins)
    correction = evaluators(inversion)["numerical_inversion"]
    pt = np.concatenate([measured, PT, np.exp(inversion._curve()[1])])
    agree(correction.evaluate(pt), inversion(pt))
    with pytest.raises(RuntimeError, match="below bounds"):
        correction.evaluate(0.0)


def closure():
    rng = np.random.default_rng(0)
    true = np.exp(rng.uniform(np.log(50), np.log(800), size=5000))
    measured = true * rng.normal(1.02, 0.1, size=5000)
    return closure_table(true, measured, bins=[50, 100.3, 400, 801], random_state=0)


def test_closure_table():
    table = closure()
    correction = evaluators(table)["closure"]
    at = [table["low"], np.nextafter(table["high"], 0), (table["low"] + table["high"])]
    for pt in (at[0], at[1], at[2] / 2):
        agree(correction.evaluate("nominal", pt.to_numpy()), table["mean"])
        expected = table["mean"] + table["mean_error"]
        agree(correction.evaluate("up", pt.to_numpy()), expected)
        expected = table["mean"] - table["mean_error"]
        agree(correction.evaluate("down", pt.to_numpy()), expected)
    for pt in (49.9, 801.0):
        with pytest.raises(RuntimeError, match="bounds"):
            correction.evaluate("nominal", pt)


def test_closure_tables_that_are_not_complete():
    table = closure()
    with pytest.raises(ValueError, match=r"no columns \['mean_error'\]"):
        to_correctionlib(table.drop(columns="mean_error"))
    with pytest.raises(ValueError, match="do not follow one another"):
        to_correctionlib(table.iloc[[0, 2]])
    table.loc[1, "mean"] = np.nan
    with pytest.raises(ValueError, match="no mean response"):
        to_correctionlib(table)


@pytest.fixture(scope="module")
def regressor():
    return fit_dijets(make_sample(3000, 3000), "supervised", max_epochs=4)


def test_calibrated_jets(regressor):
    corrections = evaluators(regressor, prefix="AK4_")
    simulation, data = regressor.jer_.nsc, regressor.jer_insitu_.nsc
    assert list(corrections) == [
        *("AK4_closure", "AK4_jer", "AK4_jer_insitu", "AK4_jer_scale_factor")
    ]
    agree(corrections["AK4_jer"].evaluate("nominal", PT), simulation(PT))
    agree(corrections["AK4_jer_insitu"].evaluate("nominal", PT), data(PT))
    ratio = data(PT) / simulation(PT)
    correction = corrections["AK4_jer_scale_factor"]
    agree(correction.evaluate("nominal", PT), ratio)
    table = regressor.closure_
    values = corrections["AK4_closure"].evaluate("nominal", table["mean_true"])
    agree(values, table["mean"])
    agree(evaluators(regressor.jer_)["jer"].evaluate("nominal", PT), simulation(PT))


def test_errors_of_a_ratio(regressor):
    data, simulation = (
        NSC(3.0 * k, 0.6, 0.03 * k, k * covariance(), 0.0, 0) for k in (1.1, 1.0)
    )
    regressor.jer_ = regressor.jer_._replace(nsc=simulation)
    regressor.jer_insitu_ = regressor.jer_insitu_._replace(nsc=data)
    correction = evaluators(regressor)["jer_scale_factor"]
    parts = [curve_error(nsc, PT) / nsc(PT) for nsc in (data, simulation)]
    ratio, error = data(PT) / simulation(PT), np.hypot(*parts)
    agree(correction.evaluate("up", PT), ratio * (1 + error))
    agree(correction.evaluate("down", PT), ratio * np.maximum(0, 1 - error))


def test_resolutions_without_a_curve(regressor):
    without = regressor.jer_._replace(nsc=None)
    with pytest.raises(ValueError, match="takes three bins"):
        to_correctionlib(without)


@pytest.mark.parametrize("ending", [".json", ".json.gz", ".v2.json"])
def test_files(ending, tmp_path):
    nsc = NSC(3.0, 0.6, 0.03, covariance(), 0.0, 0)
    file = tmp_path / f"jer{ending}"
    made = to_correctionlib(nsc, file)
    assert isinstance(made, schemav2.CorrectionSet)
    correction = CorrectionSet.from_file(str(file))["jer"]
    agree(correction.evaluate("nominal", PT), nsc(PT))
    text = file.read_bytes()
    to_correctionlib(nsc, str(file))
    assert file.read_bytes() == text
    content = json.loads(gzip.decompress(text) if ending.endswith("gz") else text)
    assert content["schema_version"] == 2
    assert "NSC of sklearn_hepcal" in content["description"]
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


@pytest.mark.parametrize("name", ["jer", "jer.txt", "jer.gz", "jer.json.bz2"])
def test_files_of_other_endings(name, tmp_path):
    with pytest.raises(ValueError, match=r"must end in \.json"):
        to_correctionlib(NSC(1.0, 1.0, 1.0, covariance(), 0, 0), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_sources_that_are_none():
    with pytest.raises(TypeError, match="but not a int"):
        to_correctionlib(3)
    for estimator in (OTCalibrator("quantile"), ScaleFactorCalibrator(0.5)):
        with pytest.raises(NotFittedError):
            to_correctionlib(estimator)


# An edge of 17 digits can be read as its neighbour; nothing else goes wrong.
def test_edges_of_many_digits():
    rng = np.random.default_rng(0)
    edges = np.sort(rng.uniform(20, 600, 40))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of bins with few jets
        calibrator = fit_scale_factors(bins=edges)
    correction = evaluators(calibrator)["weight"]
    for shifted in (edges * (1 + 1e-15), edges * (1 - 1e-15)):
        rows = np.column_stack([np.full(40, 1.0), shifted])
        values = correction.evaluate("nominal", -1, *rows.T)
        agree(values, calibrator.predict(rows))
