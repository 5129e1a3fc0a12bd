import functools
import pickle
import sys

import numpy as np
import pytest
import torch
from seeds import FIRST_SEED_ELSE_SLOW

from sklearn_hepcal.calibration._bures import BuresMap
from sklearn_hepcal.calibration._conditions import SpectrumRatio
from sklearn_hepcal.calibration._flow_map import fit_flow_map
from sklearn_hepcal.calibration._hats import HatBasis
from sklearn_hepcal.calibration._maps import Sample
from sklearn_hepcal.datasets import make_transport_problem
from sklearn_hepcal.metrics import closure_auc, l2_uvp, transport_cost

SMALL = {"n_transforms": 2, "hidden_width": 32, "n_bins": 6}
SHORT = {"max_epochs": None, "batch_size": 500, "device": "cpu"}
SIDES = ["source", "target"]
# The Gaussian map is exact between Gaussians: there is little to learn.
LENGTHS = {
    "gaussian": {"n_steps": 20, "learning_rate": 0.003},
    "icnn": {"n_steps": 80, "learning_rate": 0.02},
}


class Problem:
    """A transport problem with two moved columns, cut into what solvers take."""

    def __init__(self, n_samples, kind, conditional=False, seed=0):
        self.problem = make_transport_problem(
            n_samples, kind=kind, conditional=conditional, random_state=seed
        )
        data = self.problem.X_data[:, 2:]
        self.basis = HatBasis([])
        if conditional:
            self.basis = HatBasis.from_sample(data, np.ones(n_samples), 4)
        self.source = self.sample(self.problem.X_sim)
        self.target = self.sample(self.problem.X_data)
        self.gaussian = BuresMap.fit(self.source, self.target, shrinkage=0.0)

    def sample(self, X):
        return Sample(X[:, :2], self.basis(X[:, 2:]), np.ones(len(X)))

    def fit(
        self,
        n_steps,
        *,
        learning_rate=0.02,
        penalty=0.1,
        seed=0,
        held_out=None,
        **changes,
    ):
        samples = {"source": self.source, "target": self.target} | changes
        return fit_flow_map(
            self.gaussian,
            samples["source"],
            samples["target"],
            held_out,
            architecture=SMALL,
            training=SHORT | {"n_steps": n_steps, "learning_rate": learning_rate},
            transport_cost=penalty,
            seed=seed,
        )

    def uvp(self, fitted):
        X = self.problem.sample_sim(10_000, random_state=1)
        moved = fitted.forward(X[:, :2], self.sample(X).h)
        return l2_uvp(moved, self.problem.true_map(X)[:, :2])

    def auc(self, fitted):
        """Closure, where the spectra of the condition are matched."""
        X = self.problem.sample_sim(10_000, random_state=1)
        data = self.problem.sample_data(10_000, random_state=1)
        moved = np.column_stack([fitted.forward(X[:, :2], self.sample(X).h), X[:, 2:]])
        weight = np.ones(len(X))
        if X.shape[1] > 2:
            ratio = SpectrumRatio.fit(self.basis, X[:, 2:], weight, data[:, 2:], weight)
            weight = ratio(X[:, 2:])
        return closure_auc(
            moved,
            data,
            sample_weight_sim=weight,
            n_bootstrap=2,
            random_state=0,
        ).auc


@functools.cache
def trained(kind, conditional, seed):
    """Fit a problem once; return it and the map."""
    problem = Problem(10_000, kind, conditional, seed)
    return problem, problem.fit(**LENGTHS[kind], seed=seed)[0]


@pytest.fixture
def fitted():
    return trained("icnn", True, 0)[1]


@pytest.fixture
def problem():
    return trained("icnn", True, 0)[0]


@pytest.fixture
def rows(problem):
    return problem.source.x[:2000], problem.source.h[:2000]


# Quality


@pytest.mark.parametrize("seed", FIRST_SEED_ELSE_SLOW)
def test_gaussian_problem(seed):
    problem, fitted = trained("gaussian", False, seed)
    assert problem.uvp(fitted) < 1.0
    assert abs(problem.auc(fitted) - 0.5) < 0.025


@pytest.mark.parametrize("conditional", [False, True])
@pytest.mark.parametrize("seed", FIRST_SEED_ELSE_SLOW)
def test_closes_where_the_gaussian_map_does_not(conditional, seed):
    problem, fitted = trained("icnn", conditional, seed)
    # Closure is what the likelihood asks for; the penalty alone keeps the flow close
    # to the optimal map.
    excess = [abs(problem.auc(m) - 0.5) for m in (fitted, problem.gaussian)]
    assert excess[0] < min(0.035, 0.5 * excess[1])
    assert problem.uvp(fitted) < 2.0


def test_one_column():
    problem = make_transport_problem(5000, dim=1, kind="monotone", random_state=0)
    ones = np.ones((5000, 1)), np.ones(5000)
    source, target = Sample(problem.X_sim, *ones), Sample(problem.X_data, *ones)
    gaussian = BuresMap.fit(source, target, shrinkage=0.0)
    fitted, _ = fit_flow_map(
        gaussian,
        source,
        target,
        None,
        architecture={"n_transforms": 1, "hidden_width": 8},
        training=SHORT | {"n_steps": 30, "learning_rate": 0.02},
        transport_cost=0.0,
        seed=0,
    )
    # The only increasing map: quantiles go to quantiles.
    x = np.quantile(problem.X_sim, np.linspace(0.05, 0.95, 19))[:, None]
    exact = problem.true_map(x)
    h = np.ones((19, 1))
    error = np.abs(fitted.forward(x, h) - exact).max()
    assert error < 0.5 * np.abs(gaussian.forward(x, h) - exact).max()
    np.testing.assert_allclose(fitted.inverse(fitted.forward(x, h), h), x, atol=1e-8)


# Properties


@pytest.mark.parametrize("stretch", [1.0, 10.0, 1e4])
def test_inverse_undoes_the_map(fitted, rows, stretch):
    x, h = rows[0] * stretch, rows[1]
    tolerance = {"atol": 1e-8, "rtol": 1e-10}
    moved = fitted.forward(x, h)
    np.testing.assert_allclose(fitted.inverse(moved, h), x, **tolerance)
    np.testing.assert_allclose(fitted.forward(fitted.inverse(x, h), h), x, **tolerance)


def test_far_rows_move_as_the_gaussian_map_does(problem, fitted, rows):
    far, h = 1e4 * rows[0], rows[1]
    gaussian = problem.gaussian.forward(far, h)
    shift = np.linalg.norm(fitted.forward(far, h) - gaussian, axis=1)
    assert np.median(shift / np.linalg.norm(gaussian - far, axis=1)) < 1e-3


def test_log_det_is_that_of_the_jacobian(fitted, rows):
    x, h = rows
    step = 1e-6
    columns = [
        (fitted.forward(x + shift, h) - fitted.forward(x - shift, h)) / (2 * step)
        for shift in step * np.eye(2)
    ]
    sign, log_det = np.linalg.slogdet(np.stack(columns, axis=2))
    assert (sign == 1).all()
    # The difference is wrong where it straddles one of the kinks of the networks.
    difference = np.abs(fitted.log_det(x, h) - log_det)
    assert np.quantile(difference, 0.99) < 1e-5


def test_larger_penalty_moves_less():
    # Measured where the Gaussian map is the identity, as the penalty is.
    problem = Problem(2000, "icnn")
    x, h, _ = problem.source
    start, costs = problem.gaussian.whiten_source(x, h), []
    for penalty in (0.01, 1.0):
        moved = problem.fit(24, penalty=penalty)[0].forward(x, h)
        end = problem.gaussian.whiten_target(moved, h)
        costs.append(transport_cost(start, end))
    assert costs[0] > 1.2 * costs[1]


def test_pickle_holds_no_torch(fitted, rows):
    moved = fitted.forward(*rows)
    state = pickle.dumps(fitted)
    assert b"torch" not in state
    np.testing.assert_array_equal(pickle.loads(state).forward(*rows), moved)


def test_curve_is_the_gain_on_held_out_rows():
    problem = Problem(2000, "icnn")
    held_out = (
        problem.sample(problem.problem.sample_sim(2000, random_state=5)),
        problem.sample(problem.problem.sample_data(2000, random_state=5)),
    )
    _, curve = problem.fit(16, held_out=held_out)
    assert curve.shape == (4,)
    assert curve[-1] > max(0.01, curve[0])


# The random generators


def test_same_seed_same_map(problem, rows):
    before = torch.get_rng_state()
    small = {name: getattr(problem, name).take(range(1000)) for name in SIDES}
    first, again, other = (
        problem.fit(2, seed=seed, **small)[0].forward(*rows) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-6
    assert torch.equal(torch.get_rng_state(), before)


# Weights


@pytest.mark.parametrize("side", SIDES)
def test_rows_of_no_weight_do_not_count(side):
    problem = Problem(4000, "gaussian")
    # Half of the rows are somewhere else, at weight zero.
    sample = getattr(problem, side)
    x = sample.x.copy()
    x[::2] += 3.0 * np.random.default_rng(0).exponential(size=(2000, 2))
    weights = np.tile([0.0, 1.0], 2000), np.ones(4000)
    uvp = [
        problem.uvp(
            problem.fit(16, learning_rate=0.01, **{side: Sample(x, sample.h, w)})[0]
        )
        for w in weights
    ]
    assert uvp[0] < 2.0
    assert uvp[1] > 4.0 * uvp[0]


@pytest.mark.parametrize("side", SIDES)
def test_negative_weights_are_refused(problem, side):
    sample = getattr(problem, side)
    weight = sample.w.copy()
    weight[3] = -0.5
    with pytest.raises(ValueError, match="negative weights"):
        problem.fit(1, **{side: sample._replace(w=weight)})


def test_missing_package_names_the_extra(problem, monkeypatch):
    monkeypatch.setitem(sys.modules, "zuko", None)
    with pytest.raises(ImportError, match=r"sklearn_hepcal\[flow\]"):
        problem.fit(1)
