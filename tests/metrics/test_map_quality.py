import numpy as np
import pytest

from sklearn_hepcal.metrics import l2_uvp, monotonicity_violations, transport_cost


@pytest.fixture
def X():
    return np.random.default_rng(0).normal(size=(500, 3))


def test_cost_of_a_shift(X):
    shift = np.array([1.0, -2.0, 0.5])
    assert transport_cost(X, X + shift) == pytest.approx(5.25)
    per_column = transport_cost(X, X + shift, per_column=True)
    np.testing.assert_allclose(per_column, shift**2)


def test_weighted_cost_is_that_of_repeated_rows(X):
    counts = np.random.default_rng(1).integers(0, 3, len(X))
    rows = np.repeat(X, counts, axis=0)
    expected = transport_cost(rows, np.sinh(rows))
    assert transport_cost(X, np.sinh(X), counts) == pytest.approx(expected)


def test_cost_takes_signed_weights():
    assert transport_cost([[0.0], [0.0]], [[1.0], [2.0]], [2.0, -1.0]) == -2.0


def test_uvp_of_known_maps(X):
    mean = X.mean(axis=0)
    variance = X.var(axis=0).sum()
    assert l2_uvp(X, X) == 0
    assert l2_uvp(np.tile(mean, (500, 1)), X) == pytest.approx(100)
    assert l2_uvp(mean + 0.9 * (X - mean), X) == pytest.approx(1)
    assert l2_uvp(X + 0.1, X) == pytest.approx(100 * 0.03 / variance)


def test_uvp_has_no_unit(X):
    truth = np.sinh(X)
    assert l2_uvp(7 * X + 3, 7 * truth + 3) == pytest.approx(l2_uvp(X, truth))


def test_weighted_uvp_is_that_of_repeated_rows(X):
    counts = np.random.default_rng(1).integers(0, 3, len(X))
    rows = np.repeat(X, counts, axis=0)
    expected = l2_uvp(rows, np.sinh(rows))
    assert l2_uvp(X, np.sinh(X), counts) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(3))
def test_gradients_of_convex_functions_never_violate(X, seed):
    factor = np.random.default_rng(seed).normal(size=(3, 3))
    for transform in (
        lambda rows: rows @ (factor @ factor.T),
        lambda rows: np.sinh(rows @ factor) @ factor.T,
        lambda rows: np.zeros_like(rows),
    ):
        assert monotonicity_violations(transform, X, 5000, random_state=seed) == 0


def test_half_turn_violates_always(X):
    turn = np.diag([-1.0, -1.0, 0.0])
    violations = monotonicity_violations(lambda rows: rows @ turn, X, 5000)
    assert violations == 5000


def test_rotation_violates_by_its_angle(X):
    # <R v, v> = |v|^2 cos(angle)
    for angle, expected in ((1.5, 0), (1.6, 5000)):
        c, s = np.cos(angle), np.sin(angle)
        rotation = np.array([[c, -s], [s, c]])
        count = monotonicity_violations(
            lambda rows, r=rotation: rows @ r, X[:, :2], 5000
        )
        assert count == expected


def test_reflection_violates_for_a_computable_part_of_the_pairs(X):
    # |v_1| > |v_0| for half of the pairs of an isotropic law
    rows = np.random.default_rng(0).normal(size=(20_000, 2))
    mirror = np.array([1.0, -1.0])
    count = monotonicity_violations(lambda r: r * mirror, rows, 20_000, random_state=0)
    assert count == pytest.approx(10_000, abs=4 * np.sqrt(5000))


def test_not_a_number_is_a_violation(X):
    nothing = monotonicity_violations(lambda rows: np.full_like(rows, np.nan), X, 100)
    assert nothing == 100


def test_pairs_share_the_condition(X):
    # Monotone at each condition, though not between conditions.
    def transform(rows):
        moved = rows.copy()
        moved[:, :2] = rows[:, :2] * np.exp(rows[:, 2:]) - 50 * rows[:, 2:]
        return moved

    assert monotonicity_violations(transform, X, 5000, conditions=[2]) == 0
    assert monotonicity_violations(transform, X, 5000, random_state=0) > 1000


def test_unusable_arguments(X):
    with pytest.raises(ValueError, match="X and T_X must have the same rows"):
        transport_cost(X, X[1:])
    with pytest.raises(ValueError, match="truth is constant"):
        l2_uvp(X, np.ones_like(X))
    with pytest.raises(ValueError, match="sample_weight must not be negative"):
        l2_uvp(X, X, -np.ones(len(X)))
    with pytest.raises(ValueError, match="n_pairs must be at least 1"):
        monotonicity_violations(np.sinh, X, 0)
    with pytest.raises(ValueError, match=r"conditions must be columns 0 to 2.*\[3\]"):
        monotonicity_violations(np.sinh, X, conditions=[3])
    with pytest.raises(ValueError, match="transform must keep the shape"):
        monotonicity_violations(lambda rows: rows[:, :2], X, 10)
    with pytest.raises(ValueError, match="minimum of 2 is required"):
        monotonicity_violations(np.sinh, X[:1])
