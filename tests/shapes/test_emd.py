import itertools

import numpy as np
import ot
import pytest
from jet_changes import permute, radiate, split, turn
from scipy.optimize import linprog
from scipy.spatial.distance import cdist

from sklearn_hepcal.datasets import load_quark_gluon_jets
from sklearn_hepcal.jets import Jets
from sklearn_hepcal.shapes import emd, pairwise_emd

CONVENTIONS = ["shaper", "energyflow"]


def make_events(seed, counts, width=0.3):
    rng = np.random.default_rng(seed)
    return [
        np.column_stack([rng.exponential(10.0, n) + 0.1, rng.normal(0, width, (n, 2))])
        for n in counts
    ]


def unit(beta, R, convention):
    return R**beta * (beta if convention == "shaper" else 1)


def distances(x, y):
    """Of particles, the shorter way round in azimuth."""
    dphi = np.abs(np.subtract.outer(x[:, 2], y[:, 2])) % (2 * np.pi)
    return np.hypot(
        np.subtract.outer(x[:, 1], y[:, 1]), np.minimum(dphi, 2 * np.pi - dphi)
    )


def solve_program(x, y, beta=1.0, R=1.0, convention="shaper"):
    """Solve the definition as a linear program with inequalities."""
    cost = distances(x, y) ** beta / unit(beta, R, convention)
    n, m = cost.shape
    rows = np.kron(np.eye(n), np.ones(m))
    columns = np.kron(np.ones(n), np.eye(m))
    energies = x[:, 0].sum(), y[:, 0].sum()
    result = linprog(
        cost.ravel(),
        A_ub=np.vstack([rows, columns]),
        b_ub=np.concatenate([x[:, 0], y[:, 0]]),
        A_eq=np.ones((1, n * m)),
        b_eq=[min(energies)],
    )
    assert result.success
    return result.fun + abs(energies[0] - energies[1])


@pytest.fixture(scope="module")
def jets():
    return load_quark_gluon_jets(n_jets=12, return_X_y=True)[0].replace(labels={})


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("beta", [1.0, 1.5, 2.0, 3.0])
def test_translated_event(beta, convention):
    events = make_events(0, [1, 3, 20, 40])
    shift = np.array([0.0, 0.12, -0.16])
    values = emd(
        events,
        [event + shift for event in events],
        beta=beta,
        R=0.4,
        norm=True,
        convention=convention,
    )
    np.testing.assert_allclose(values, 0.2**beta / unit(beta, 0.4, convention), 1e-12)


@pytest.mark.parametrize("norm", [False, True])
def test_pairwise_is_emd_of_all_pairs(norm):
    x, y = make_events(1, range(1, 36)), make_events(2, range(40, 2, -1))
    matrix = pairwise_emd(x, y, norm=norm, beta=1.5)
    assert matrix.shape == (35, 38)
    i, k = np.indices(matrix.shape).reshape(2, -1)
    pairs = emd([x[a] for a in i], [y[b] for b in k], norm=norm, beta=1.5)
    np.testing.assert_array_equal(matrix.ravel(), pairs)


@pytest.mark.parametrize("norm", [False, True])
def test_symmetry_and_identity(norm):
    events = make_events(3, range(1, 41))
    matrix = pairwise_emd(events, norm=norm, beta=2.0)
    np.testing.assert_array_equal(matrix, matrix.T)
    np.testing.assert_array_equal(np.diag(matrix), 0)
    assert matrix[~np.eye(40, dtype=bool)].min() > 1e-3
    scale = matrix.max()
    both = pairwise_emd(events, events, norm=norm, beta=2.0)
    np.testing.assert_allclose(both, matrix, rtol=0, atol=1e-13 * scale)


@pytest.mark.parametrize("norm", [False, True])
def test_triangle_inequality(norm):
    events = make_events(4, [1, 2, 3, 5, 8, 13, 21, 30])
    d = pairwise_emd(events, norm=norm, R=1.5)
    detours = d[:, :, None] + d[None, :, :]  # i to k over j
    assert (d[:, None, :] <= detours + 1e-12 * d.max()).all()


def test_more_of_the_same_costs_the_energy():
    events = make_events(5, [1, 4, 30])
    energies = [event[:, 0].sum() for event in events]
    doubled = [event * [2, 1, 1] for event in events]
    for beta in (1.0, 2.0):
        np.testing.assert_allclose(emd(events, doubled, beta=beta), energies, 1e-12)
        np.testing.assert_allclose(
            emd(events, doubled, beta=beta, norm=True), 0, atol=1e-14
        )


def test_partner_without_energy():
    events = make_events(6, [1, 4, 30])
    energies = np.array([event[:, 0].sum() for event in events])
    faint = [[[1e-9, 2.0, 1.0]]] * 3
    np.testing.assert_allclose(emd(events, faint), energies, atol=5e-9)
    empty = [np.empty((0, 3))] * 3
    np.testing.assert_array_equal(emd(empty, empty), 0)
    np.testing.assert_allclose(emd(events, empty), energies, 1e-15)
    np.testing.assert_allclose(emd(empty, events), energies, 1e-15)


def test_fractions_of_empty_events_are_nan():
    events = [*make_events(7, [3, 5]), np.empty((0, 3))]
    matrix = pairwise_emd(events, norm=True)
    expected = np.zeros((3, 3), dtype=bool)
    expected[2] = expected[:, 2] = True
    np.testing.assert_array_equal(np.isnan(matrix), expected)
    assert np.isnan(emd(events[2:], events[:1], norm=True)).all()


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("beta", [1.0, 2.0])
def test_partial_transport_is_the_linear_program(beta, convention):
    x = make_events(8, [1, 2, 3, 6, 7, 5], width=0.8)
    y = make_events(9, [4, 2, 7, 6, 2, 1], width=0.8)
    params = {"beta": beta, "R": 0.7, "convention": convention}
    expected = [solve_program(a, b, **params) for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(emd(x, y, **params), expected, 1e-8)


@pytest.mark.parametrize("difference", [1e-16, 1e-14, 1e-10, 1e-6])
def test_energies_that_are_nearly_equal(difference):
    (x,), (y,) = make_events(10, [6]), make_events(11, [9])
    x[:, 0] /= x[:, 0].sum()
    y[:, 0] *= (1 + difference) / y[:, 0].sum()
    expected = emd([x], [y], norm=True)
    np.testing.assert_allclose(emd([x], [y]), expected, 1e-12, 3 * difference)


def test_wide_events_go_the_shorter_way_round():
    rng = np.random.default_rng(12)
    x, y = (
        [
            np.column_stack(
                [rng.exponential(size=6), rng.normal(size=6), rng.uniform(-9, 9, 6)]
            )
            for _ in range(10)
        ]
        for _ in range(2)
    )
    for beta in (1.0, 2.0):
        expected = [solve_program(a, b, beta) for a, b in zip(x, y, strict=True)]
        np.testing.assert_allclose(emd(x, y, beta=beta), expected, 1e-8)


def test_rotation_around_the_beam(jets):
    expected = pairwise_emd(jets)
    for angle in (0.1, 1.0, 3.0, np.pi):
        np.testing.assert_allclose(pairwise_emd(turn(jets, angle)), expected, 1e-12)


def test_neighbours_across_the_edge_of_azimuth():
    x, y = [[[1.0, 0.0, 3.1]]], [[[1.0, 0.0, -3.1]]]
    np.testing.assert_allclose(emd(x, y), 2 * np.pi - 6.2, 1e-12)
    np.testing.assert_allclose(emd(x, [[[1.0, 0.0, 3.1 + 8 * np.pi]]]), 0, atol=1e-13)


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("change", [permute, split])
def test_permutation_and_collinear_splits(jets, change, norm):
    np.testing.assert_allclose(
        pairwise_emd(change(jets), norm=norm),
        pairwise_emd(jets, norm=norm),
        rtol=1e-12,
        atol=1e-12,
    )


@pytest.mark.parametrize("pt", [1e-6, 1e-3, 1.0])
def test_soft_particles_change_distances_by_their_energy(jets, pt):
    softer = radiate(jets, pt)
    np.testing.assert_allclose(emd(jets, softer), pt, rtol=1e-6)
    # by the triangle inequality, for R above half of all distances
    before, after = (pairwise_emd(sample, R=4.0) for sample in (jets, softer))
    changes = np.abs(after - before)
    assert 0 < changes.max() <= 2 * pt * (1 + 1e-6)


@pytest.mark.parametrize("beta", [1.0, 2.0])
def test_values_of_pot(jets, beta):
    events = jets.to_list()
    for i, k in itertools.combinations(range(len(events)), 2):
        x, y = events[i], events[k]
        cost = distances(x, y) ** beta / beta
        expected = ot.emd2(x[:, 0] / x[:, 0].sum(), y[:, 0] / y[:, 0].sum(), cost)
        value = emd([x], [y], beta=beta, norm=True)
        np.testing.assert_allclose(value, expected, rtol=1e-12, atol=1e-13)


def test_conventions(jets):
    shaper = pairwise_emd(jets, beta=3.0, R=0.4, norm=True)
    energyflow = pairwise_emd(jets, beta=3.0, R=0.4, norm=True, convention="energyflow")
    np.testing.assert_allclose(energyflow, 3 * shaper, 1e-12)
    # units of R are units of the plane
    centre = cdist([[0, 0]], [[0.3, 0.4]])[0, 0]
    near, far = [[[2.0, 0.0, 0.0]]], [[[2.0, 0.3, 0.4]]]
    assert emd(near, far, R=0.5) == pytest.approx(2 * centre / 0.5)


def test_threads_change_nothing(jets):
    np.testing.assert_array_equal(
        pairwise_emd(jets, jets[:7], n_jobs=2), pairwise_emd(jets, jets[:7])
    )
    many = jets[np.arange(600) % len(jets)]
    reverse = many[::-1]
    np.testing.assert_array_equal(emd(many, reverse, n_jobs=2), emd(many, reverse))


def test_containers_give_the_same(jets):
    expected = pairwise_emd(jets)
    columns = jets.constituents[:, :3]
    plain = Jets(constituents=columns, offsets=jets.offsets)
    padded, _ = plain.to_padded()
    for X in (plain, plain.to_list(), padded, plain.to_awkward()):
        np.testing.assert_array_equal(pairwise_emd(X), expected)


def test_particles_without_momentum_count_for_nothing():
    event = np.array([[3.0, 0.1, 0.2], [1.0, 0.0, 0.4]])
    ghosts = np.vstack([event, [[0.0, 4.0, 3.0]]])
    other = [[[2.0, 0.0, 0.0]]]
    np.testing.assert_array_equal(emd([ghosts], other), emd([event], other))
    np.testing.assert_array_equal(emd([ghosts[2:]], other), [2.0])


def test_progress_bar_on_demand(jets, capsys):
    pairwise_emd(jets[:3])
    assert capsys.readouterr().err == ""
    pairwise_emd(jets[:3], verbose=1)
    assert "100%" in capsys.readouterr().err


@pytest.mark.parametrize("function", [emd, pairwise_emd])
@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"beta": 0.5}, "beta == 0.5, must be >= 1"),
        ({"beta": np.inf}, "beta must be finite"),
        ({"beta": np.nan}, "beta must be finite"),
        ({"R": 0.0}, "R == 0.0, must be > 0"),
        ({"R": np.inf}, "R must be finite"),
        ({"convention": "wasserstein"}, "convention must be 'shaper' or 'energyflow'"),
    ],
)
def test_parameters_out_of_range(function, params, message):
    events = make_events(13, [2])
    with pytest.raises(ValueError, match=message):
        function(events, events, **params)


@pytest.mark.parametrize("name", ["beta", "R"])
def test_parameters_of_a_wrong_type(name):
    events = make_events(13, [2])
    with pytest.raises(TypeError, match=name):
        emd(events, events, **{name: "1"})


def test_refused_events():
    good = make_events(14, [2, 3])
    with pytest.raises(ValueError, match="Negative values in data"):
        pairwise_emd([[[-1.0, 0.0, 0.0], [2.0, 0.0, 0.0]]])
    with pytest.raises(ValueError, match="X has 2 and Y 1 events"):
        emd(good, good[:1])
    named = Jets(
        constituents=np.ones((1, 3)), offsets=[0, 1], constituent_names=["e", "y", "z"]
    )
    with pytest.raises(ValueError, match="'pt', 'y' or 'eta', and 'phi'"):
        pairwise_emd(named)
    with pytest.raises(ValueError, match="contains NaN in constituent column 'phi'"):
        pairwise_emd([[[1.0, 0.0, np.nan]]])
