from importlib import resources

import numpy as np
import pytest
from bundle_versions import require_generator_of

from sklearn_hepcal.datasets import generate_flavour_jets, load_flavour_scores
from sklearn_hepcal.metrics import (
    closure_auc,
    discriminant,
    efficiency_ratio,
    working_point_cuts,
)


@pytest.fixture(scope="module")
def scores():
    return load_flavour_scores()


def test_layout(scores):
    assert scores.feature_names == ["p_u", "p_c", "p_b", "pt", "eta"]
    assert scores.target_names == ["simulation", "data"]
    assert scores.flavour_names == ["light", "c", "b"]
    assert scores.frame is None
    n = len(scores.target)
    assert scores.data.shape == (n, 5)
    assert scores.data.dtype == np.float64
    assert scores.flavour.shape == (n,)
    assert scores.DESCR.startswith("Flavour-tagger scores")
    assert f"{n:,}" in scores.DESCR
    assert f"{np.sum(scores.target == 0):,} simulation" in scores.DESCR


def test_values_are_physical(scores):
    proba, pt, eta = scores.data[:, :3], scores.data[:, 3], scores.data[:, 4]
    assert proba.min() > 0
    np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=1e-15)
    assert pt.min() >= 20
    assert np.abs(eta).max() <= 2.5
    # the right flavour has the highest mean probability
    means = [proba[scores.flavour == k].mean(axis=0) for k in range(3)]
    np.testing.assert_array_equal(np.argmax(means, axis=0), [0, 1, 2])


@pytest.mark.parametrize(("code", "name"), [(0, "light"), (1, "c"), (2, "b")])
def test_one_flavour(scores, code, name):
    X, y = load_flavour_scores(flavour=name, return_X_y=True)
    rows = scores.flavour == code
    np.testing.assert_array_equal(X, scores.data[rows])
    np.testing.assert_array_equal(y, scores.target[rows])
    assert set(y) == {0, 1}


def test_frame(scores):
    bunch = load_flavour_scores(as_frame=True, flavour="c")
    assert list(bunch.data.columns) == scores.feature_names
    assert list(bunch.frame.columns) == [*scores.feature_names, "target", "flavour"]
    rows = scores.flavour == 1
    np.testing.assert_array_equal(bunch.data, scores.data[rows])
    np.testing.assert_array_equal(bunch.target, scores.target[rows])
    assert (bunch.flavour == 1).all()
    X, y = load_flavour_scores(as_frame=True, flavour="c", return_X_y=True)
    assert X.equals(bunch.data)
    assert y.equals(bunch.target)


def test_light_jets_are_mismodelled_and_b_jets_are_not():
    ratios = {}
    for flavour in ("light", "b"):
        X, y = load_flavour_scores(flavour=flavour, return_X_y=True)
        score = discriminant(X[:, :3])
        cuts = working_point_cuts(score[y == 1], [0.01, 0.1, 0.7])
        ratios[flavour] = efficiency_ratio(score[y == 0], score[y == 1], cuts)
    assert ratios["light"].value[0] < 0.6
    assert ratios["light"].value[1] < 0.6
    assert ratios["b"].value[2] == pytest.approx(1, abs=0.01)


def test_light_jets_have_the_documented_closure():
    X, y = load_flavour_scores(flavour="light", return_X_y=True)
    features = np.column_stack([np.log(X[:, :2] / X[:, 2:3]), np.log(X[:, 3])])
    auc, error = closure_auc(
        features[y == 0], features[y == 1], n_train=10_000, random_state=0
    )
    assert auc == pytest.approx(0.59, abs=3 * error)


def test_rounding_leaves_few_ties():
    X, _ = load_flavour_scores(flavour="light", return_X_y=True)
    score = discriminant(X[:, :3])
    assert len(np.unique(score)) > 0.99 * len(score)


@pytest.mark.slow
@pytest.mark.parametrize(("side", "seed"), [("sim", 1), ("data", 2)])
def test_bundled_jets_are_generated_ones(scores, side, seed):
    require_generator_of("flavour_scores.npz")
    jets = generate_flavour_jets(2000, side=side, random_state=seed)
    rows = np.flatnonzero(scores.target == (side == "data"))[:2000]
    pt, eta = scores.data[rows, 3:].T
    assert np.abs(np.log(pt / jets.feature("pt"))).max() < 0.000501
    assert np.abs(eta - jets.feature("eta")).max() < 0.501 / 128
    flavour = jets.labels["HadronConeExclTruthLabelID"]
    np.testing.assert_array_equal(np.array([0, 4, 5])[scores.flavour[rows]], flavour)


def test_bundled_file_is_small():
    path = resources.files("sklearn_hepcal.datasets") / "data" / "flavour_scores.npz"
    assert len(path.read_bytes()) < 1.5e6


@pytest.fixture
def full_arrays():
    rng = np.random.default_rng(0)
    arrays = {}
    for side, n in (("sim", 7), ("data", 5)):
        proba = rng.dirichlet([1, 1, 1], size=n)
        arrays[f"{side}_log_p"] = np.log(proba).astype(np.float32)
        arrays[f"{side}_pt"] = rng.uniform(20, 100, n).astype(np.float32)
        arrays[f"{side}_eta"] = rng.uniform(-2.5, 2.5, n).astype(np.float32)
        arrays[f"{side}_flavour"] = rng.integers(0, 3, n).astype(np.int8)
    return arrays


def test_other_file(tmp_path, full_arrays):
    np.savez(tmp_path / "full.npz", **full_arrays)
    bunch = load_flavour_scores(path=tmp_path / "full.npz")
    for label, side in enumerate(("sim", "data")):
        rows = bunch.target == label
        expected = np.exp(full_arrays[f"{side}_log_p"])
        np.testing.assert_allclose(bunch.data[rows, :3], expected, rtol=1e-6)
        np.testing.assert_array_equal(bunch.data[rows, 3], full_arrays[f"{side}_pt"])
        np.testing.assert_array_equal(bunch.data[rows, 4], full_arrays[f"{side}_eta"])
        np.testing.assert_array_equal(
            bunch.flavour[rows], full_arrays[f"{side}_flavour"]
        )
    np.testing.assert_allclose(bunch.data[:, :3].sum(axis=1), 1, rtol=1e-15)


def test_missing_array(tmp_path, full_arrays):
    del full_arrays["data_eta"]
    np.savez(tmp_path / "full.npz", **full_arrays)
    with pytest.raises(ValueError, match=r"must hold the arrays .*data_eta"):
        load_flavour_scores(path=tmp_path / "full.npz")


def test_unknown_flavour():
    with pytest.raises(ValueError, match=r"flavour must be one of .*got 'tau'"):
        load_flavour_scores(flavour="tau")
