import pickle

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import pdist
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_hepcal.calibration import SimplexTransformer

KINDS = ["ilr", "alr", "logit"]


def probabilities(n_samples=200, n_classes=3, seed=0, concentration=0.3):
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.full(n_classes, concentration), n_samples)


def with_pt(p, position, seed=1):
    pt = np.random.default_rng(seed).uniform(20, 300, len(p))
    return np.insert(p, position, pt, axis=1)


def frame(p):
    names = [f"p_{name}" for name in "bcu"]
    X = pd.DataFrame(p, columns=names)
    X.insert(1, "pt", np.linspace(20, 300, len(p)))
    return X


@pytest.mark.parametrize("n_classes", [2, 3, 5, 10])
def test_ilr_is_an_isometry(n_classes):
    p = probabilities(50, n_classes, concentration=2)
    log_p = np.log(p)
    aitchison = pdist(log_p - log_p.mean(axis=1, keepdims=True))
    coordinates = SimplexTransformer().fit_transform(p)
    assert coordinates.shape == (50, n_classes - 1)
    np.testing.assert_allclose(pdist(coordinates), aitchison, rtol=1e-10)


def test_known_values():
    p = np.array([[0.5, 0.3, 0.2]])
    ilr = [np.sqrt(2 / 3) * np.log(0.5 / np.sqrt(0.06)), np.sqrt(0.5) * np.log(1.5)]
    expected = {
        "ilr": ilr,
        "alr": np.log([2.5, 1.5]),
        "logit": np.log([1, 3 / 7, 1 / 4]),
    }
    for kind, values in expected.items():
        z = SimplexTransformer(kind=kind).fit_transform(p)
        np.testing.assert_allclose(z, [values], rtol=0, atol=1e-14)


def test_equal_probabilities_are_the_origin():
    for kind in ["ilr", "alr"]:
        z = SimplexTransformer(kind=kind).fit_transform(np.full((1, 4), 0.25))
        np.testing.assert_allclose(z, 0, atol=1e-15)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_classes", [2, 3, 7])
@pytest.mark.parametrize("seed", range(3))
def test_round_trips(kind, n_classes, seed):
    p = np.maximum(probabilities(500, n_classes, seed), 1e-9)
    p /= p.sum(axis=1, keepdims=True)
    transformer = SimplexTransformer(kind=kind)
    z = transformer.fit_transform(p)
    np.testing.assert_allclose(transformer.inverse_transform(z), p, rtol=1e-12)
    back = SimplexTransformer(kind=kind, inverse=True).fit(z)
    np.testing.assert_allclose(back.transform(z), p, rtol=1e-12)
    np.testing.assert_allclose(
        back.inverse_transform(back.transform(z)), z, rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize("kind", KINDS)
def test_any_coordinates_give_probabilities_that_sum_to_one(kind):
    z = np.random.default_rng(0).normal(0, 30, (1000, 3))
    p = SimplexTransformer(kind=kind, inverse=True).fit_transform(z)
    assert np.all(p >= 0)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-14)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_divided_by_their_sum(kind):
    p = probabilities(concentration=2)
    scale = np.random.default_rng(0).uniform(0.01, 100, (len(p), 1))
    transformer = SimplexTransformer(kind=kind).fit(p)
    np.testing.assert_allclose(
        transformer.transform(scale * p), transformer.transform(p), atol=1e-12
    )


@pytest.mark.parametrize("kind", KINDS)
def test_log_probabilities_keep_the_far_tails(kind):
    log_p = np.array([[0.0, -700.0, -1e5], [-2e4, -300.0, 0.0], [-690.0, 0.0, -690.5]])
    transformer = SimplexTransformer(kind=kind, log=True)
    z = transformer.fit_transform(log_p)
    np.testing.assert_allclose(transformer.inverse_transform(z), log_p, atol=1e-10)
    back = SimplexTransformer(kind=kind, log=True, inverse=True).fit(z)
    np.testing.assert_allclose(back.transform(z), log_p, atol=1e-10)
    np.testing.assert_allclose(transformer.transform(log_p + 12.5), z, atol=1e-10)


def test_log_agrees_with_linear():
    p = probabilities(concentration=3)
    np.testing.assert_allclose(
        SimplexTransformer(log=True).fit_transform(np.log(p)),
        SimplexTransformer().fit_transform(p),
        atol=1e-12,
    )


def test_logit_is_exact_near_one():
    z = SimplexTransformer(kind="logit", log=True).fit_transform([[0.0, -60.0]])
    np.testing.assert_allclose(z, [[60, -60]], rtol=1e-12)


def test_zeros_become_eps():
    z = SimplexTransformer(kind="alr", eps=1e-6).fit_transform([[0, 0.5, 0.5]])
    np.testing.assert_allclose(z, [[np.log(2e-6), 0]], atol=1e-14)


def test_a_row_of_zeros_warns_and_becomes_equal_probabilities():
    X = [[0.2, 0.3, 0.5], [0, 0, 0]]
    transformer = SimplexTransformer().fit(X[:1])
    with pytest.warns(UserWarning, match="zero.* row 1 and in 1 rows"):
        z = transformer.transform(X)
    np.testing.assert_allclose(z[1], 0, atol=1e-14)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("columns", [[0, 2, 3], [3, 0, 2], [2, 3, 0], [-1, 0, 2]])
def test_columns_in_any_order_pass_the_others_through(kind, columns):
    X = with_pt(probabilities(concentration=2), position=1)
    forward = SimplexTransformer(columns, kind=kind).fit(X)
    z = forward.transform(X)
    alone = SimplexTransformer(kind=kind).fit_transform(X[:, columns])
    np.testing.assert_array_equal(z[:, forward.coordinate_columns_], alone)
    others = np.delete(z, forward.coordinate_columns_, axis=1)
    np.testing.assert_array_equal(others, X[:, [1]])
    np.testing.assert_allclose(forward.inverse_transform(z), X, rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("position", range(4))
def test_pipeline_there_and_back_is_the_identity_on_arrays(kind, position):
    X = with_pt(probabilities(concentration=2), position)
    columns = [i for i in range(4) if i != position]
    pipeline = make_pipeline(
        SimplexTransformer(columns, kind=kind),
        StandardScaler(with_mean=False, with_std=False),
        SimplexTransformer(columns, kind=kind, inverse=True),
    )
    np.testing.assert_allclose(pipeline.fit_transform(X), X, rtol=1e-12)
    np.testing.assert_allclose(pipeline.inverse_transform(X), X, rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_pipeline_there_and_back_is_the_identity_on_frames(kind):
    X = frame(probabilities(concentration=2))
    columns = ["p_b", "p_c", "p_u"]
    pipeline = make_pipeline(
        SimplexTransformer(columns, kind=kind),
        SimplexTransformer(columns, kind=kind, inverse=True),
    ).set_output(transform="pandas")
    pd.testing.assert_frame_equal(pipeline.fit_transform(X), X, rtol=1e-12)


def test_two_simplexes_in_one_frame():
    left, right = frame(probabilities(concentration=2)), probabilities(seed=5)
    X = left.assign(q_0=right[:, 0] + 0.1, q_1=right[:, 1] + 0.1)
    X[["q_0", "q_1"]] /= X[["q_0", "q_1"]].sum(axis=1).to_numpy()[:, None]
    first, second = ["p_b", "p_c", "p_u"], ["q_0", "q_1"]
    pipeline = make_pipeline(
        SimplexTransformer(first),
        SimplexTransformer(second),
        SimplexTransformer(first, inverse=True),
        SimplexTransformer(second, inverse=True),
    ).set_output(transform="pandas")
    pd.testing.assert_frame_equal(pipeline.fit_transform(X), X, rtol=1e-12)


def test_a_step_in_between_cannot_leave_the_simplex():
    X = with_pt(probabilities(), position=3)
    pipeline = make_pipeline(
        SimplexTransformer([0, 1, 2]),
        StandardScaler(),
        SimplexTransformer([0, 1, 2], inverse=True),
    )
    moved = pipeline.fit_transform(X)
    assert moved.shape == X.shape
    np.testing.assert_allclose(moved[:, :3].sum(axis=1), 1, rtol=1e-14)


def test_feature_names():
    X = frame(probabilities())
    forward = SimplexTransformer(["p_b", "p_c", "p_u"]).fit(X)
    names = forward.get_feature_names_out()
    assert names.tolist() == ["ilr_p_b", "pt", "ilr_p_c"]
    logit = SimplexTransformer([3, 2, 0], kind="logit").fit(X)
    assert logit.get_feature_names_out().tolist() == [
        "logit_p_b",
        "pt",
        "logit_p_c",
        "logit_p_u",
    ]
    z = forward.set_output(transform="pandas").transform(X)
    by_name = SimplexTransformer(["p_b", "p_c", "p_u"], inverse=True).fit(z)
    assert by_name.get_feature_names_out().tolist() == list(X.columns)
    by_position = SimplexTransformer([0, 1, 3], inverse=True).fit(z.to_numpy()[:, :3])
    assert by_position.get_feature_names_out().tolist() == ["p0", "p1", "x2", "p2"]


def test_log_feature_names():
    back = SimplexTransformer(inverse=True, log=True).fit([[0.0]])
    assert back.get_feature_names_out().tolist() == ["log_p0", "log_p1"]


@pytest.mark.parametrize("inverse", [False, True])
def test_pickle_and_clone(inverse):
    X = probabilities()
    transformer = SimplexTransformer(kind="alr", inverse=inverse).fit(X)
    copy = pickle.loads(pickle.dumps(transformer))
    np.testing.assert_array_equal(copy.transform(X), transformer.transform(X))
    fresh = clone(transformer).fit(X)
    np.testing.assert_array_equal(fresh.transform(X), transformer.transform(X))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"kind": "clr"}, "kind must be"),
        ({"eps": 0}, "eps must be"),
        ({"eps": 0.5}, "eps must be"),
        ({"columns": [0]}, "at least two columns"),
        ({"columns": []}, "columns must be None or a sequence"),
        ({"columns": "p_b"}, "columns must be None or a sequence"),
        ({"columns": [0.0, 1.0]}, "columns must be None or a sequence"),
        ({"columns": [0, 3]}, "not all positions in an input of 3 columns"),
        ({"columns": [0, 4], "inverse": True}, "in an output of 4 columns"),
        ({"columns": [0, -3]}, "must not repeat"),
        ({"columns": ["p_b", "p_c"]}, "are names, but X has none"),
        ({"columns": ["p_b", "p_c"], "inverse": True}, "are names, but X has none"),
    ],
)
def test_bad_parameters(parameters, message):
    with pytest.raises(ValueError, match=message):
        SimplexTransformer(**parameters).fit(probabilities())


@pytest.mark.parametrize(
    ("bad", "message"),
    [(-0.1, "Negative values"), (np.nan, "contains NaN"), (np.inf, "infinity")],
)
def test_bad_values(bad, message):
    X = probabilities()
    transformer = SimplexTransformer().fit(X)
    X[3, 1] = bad
    for method in [SimplexTransformer().fit, transformer.transform]:
        with pytest.raises(ValueError, match=message):
            method(X)


def test_other_columns_may_be_negative():
    X = with_pt(probabilities(), position=0)
    X[:, 0] *= -1
    z = SimplexTransformer([1, 2, 3]).fit_transform(X)
    np.testing.assert_array_equal(z[:, 0], X[:, 0])


def test_missing_names_are_named():
    X = frame(probabilities())
    with pytest.raises(ValueError, match=r"no columns \['p_x'\]"):
        SimplexTransformer(["p_b", "p_x"]).fit(X)
    with pytest.raises(ValueError, match=r"no columns \['ilr_p_b', 'ilr_p_c'\]"):
        SimplexTransformer(["p_b", "p_c", "p_u"], inverse=True).fit(X)


def test_inverse_transform_checks_the_number_of_columns():
    transformer = SimplexTransformer().fit(probabilities())
    with pytest.raises(ValueError, match="expecting 2 features"):
        transformer.inverse_transform(probabilities())


def test_way_back_needs_the_order_of_the_columns():
    table = pd.DataFrame(
        np.random.default_rng(0).dirichlet(np.ones(3), 20), columns=["u", "c", "b"]
    ).assign(pt=50.0)
    transformer = SimplexTransformer(["u", "c", "b"]).set_output(transform="pandas")
    moved = transformer.fit_transform(table)
    np.testing.assert_allclose(transformer.inverse_transform(moved), table)
    with pytest.raises(ValueError, match="must be in the order"):
        transformer.inverse_transform(moved[moved.columns[::-1]])
