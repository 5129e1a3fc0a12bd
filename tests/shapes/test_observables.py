import functools
import itertools

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.base import clone

from sklearn_hepcal.datasets import load_quark_gluon_jets
from sklearn_hepcal.jets import relative_constituents
from sklearn_hepcal.shapes import (
    Disk,
    Ellipse,
    Point,
    Ring,
    ShapinessTransformer,
    Uniform,
    WithCentre,
    make_observable,
)

SEEDS = range(5)
BETAS = [1.0, 1.5, 2.0, 3.0]
EXTENDED = {"n_ringiness": Ring(), "n_diskiness": Disk(), "n_ellipsiness": Ellipse()}


def make_event(seed, n):
    rng = np.random.default_rng(seed)
    return np.column_stack([rng.exponential(20.0, n) + 1, rng.normal(0, 0.3, (n, 2))])


def measure(name, event, n=1, **settings):
    """Measure an event; return the distance and the places of the points."""
    observable = make_observable(name, n, **settings)
    row = observable.fit_transform([event])[0]
    names = observable.get_feature_names_out()
    is_place = [column.endswith(("_y", "_phi")) for column in names]
    return row[0], row[is_place].reshape(-1, 2)


# ----------------------------------------------------------- an independent solution


def best_axis_cost(event, beta):
    """Minimise sum_i pT_i d_i^beta over one axis: convex, with kinks at particles."""
    pt, x = event[:, 0], event[:, 1:]

    def cost_and_slope(axis):
        away = axis - x
        distance = np.maximum(np.linalg.norm(away, axis=1), 1e-12)
        return pt @ distance**beta, beta * (pt * distance ** (beta - 2)) @ away

    smooth = minimize(cost_and_slope, pt @ x / pt.sum(), jac=True, tol=1e-8)
    return min(smooth.fun, *(cost_and_slope(axis)[0] for axis in x))


def best_partition_costs(event, beta, *, beam_unit=np.inf):
    """Try all ways to divide particles among 1, 2, 3 axes and, at a cost, the beam."""

    @functools.cache
    def alone(group):
        return best_axis_cost(event[list(group)], beta)

    @functools.cache
    def divided(rest, n_axes):
        if not rest:
            return 0.0
        to_beam = beam_unit * event[list(rest), 0].sum()
        if n_axes == 0:
            return to_beam
        groups = itertools.chain.from_iterable(
            itertools.combinations(rest, k) for k in range(1, len(rest) + 1)
        )
        return min(
            to_beam,
            *(
                alone(group)
                + divided(tuple(i for i in rest if i not in group), n_axes - 1)
                for group in groups
            ),
        )

    return [divided(tuple(range(len(event))), n_axes) for n_axes in (1, 2, 3)]


def tau(jet, axes, beta, R):
    """Compute N-subjettiness in the convention of the literature."""
    distance = np.linalg.norm(jet[:, None, 1:] - axes, axis=2).min(axis=1)
    return jet[:, 0] @ distance**beta / (jet[:, 0].sum() * R**beta)


def exclusive_kt_axes(jet, n_axes):
    """Merge what is closest in kT until there are so many subjets."""
    subjets = list(jet)
    while len(subjets) > n_axes:
        i, j = min(
            itertools.combinations(range(len(subjets)), 2),
            key=lambda pair: (
                min(subjets[k][0] for k in pair)
                * np.linalg.norm(subjets[pair[0]][1:] - subjets[pair[1]][1:])
            ),
        )
        second, first = subjets.pop(j), subjets.pop(i)
        pt = first[0] + second[0]
        place = (first[0] * first[1:] + second[0] * second[1:]) / pt
        subjets.append(np.array([pt, *place]))
    return np.array(subjets)[:, 1:]


def best_of_lloyd(jet, n_axes, beta, n_starts, seed=0, n_steps=50):
    """Move axes to the best place of the particles nearest to them, many times."""
    rng = np.random.default_rng(seed)
    pt, x = jet[:, 0], jet[:, 1:]
    share = pt / pt.sum()
    start = [rng.choice(len(x), n_axes, False, share) for _ in range(n_starts)]
    axes = x[np.array(start)]
    for _ in range(n_steps):
        distance = np.linalg.norm(x - axes[:, :, None], axis=3)
        mine = distance == distance.min(axis=1, keepdims=True)
        pull = mine * share * np.maximum(distance, 1e-9) ** (beta - 2)
        axes = pull @ x / pull.sum(axis=2, keepdims=True)
    return min(tau(jet, a, beta, 1.0) for a in axes)


@pytest.fixture(scope="module")
def jets():
    """Quark and gluon jets around their axes, so that azimuths do not wrap."""
    jets, _ = load_quark_gluon_jets(n_jets=6, return_X_y=True)
    relative = relative_constituents(jets)
    places = np.column_stack([jets.constituent("pt"), relative.dy, relative.dphi])
    return np.split(places, jets.offsets[1:-1])


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("seed", SEEDS)
def test_n_subjettiness_is_the_best_of_all_partitions(seed, beta):
    event, R = make_event(seed, 6), 0.7
    for n, cost in enumerate(best_partition_costs(event, beta), start=1):
        value, axes = measure("n_subjettiness", event, n, beta=beta, R=R)
        exact = cost / (event[:, 0].sum() * R**beta)
        np.testing.assert_allclose(beta * value, exact, 1e-6)
        np.testing.assert_allclose(beta * value, tau(event, axes, beta, R), 1e-10)


@pytest.mark.parametrize("beta", [1.0, 2.0])
@pytest.mark.parametrize("seed", SEEDS)
def test_n_jettiness_is_the_best_of_all_partitions(seed, beta):
    event, R = make_event(seed, 6), 0.4
    R_0 = beta ** (1 / beta) * R
    costs = best_partition_costs(event, beta, beam_unit=R_0**beta)
    for n, cost in enumerate(costs, start=1):
        value, axes = measure("n_jettiness", event, n, beta=beta, R=R)
        np.testing.assert_allclose(value, cost / R_0**beta, 1e-6)
        distance = np.linalg.norm(event[:, None, 1:] - axes, axis=2).min(axis=1)
        literature = event[:, 0] @ np.minimum((distance / R_0) ** beta, 1)
        np.testing.assert_allclose(value, literature, 1e-10)


@pytest.mark.parametrize("beta", [1.0, 2.0])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_no_axes_are_better_on_jets(jets, n, beta):
    observable = make_observable("n_subjettiness", n, beta=beta, R=0.4)
    values = beta * observable.fit_transform(jets)[:, 0]
    kt = np.array([tau(jet, exclusive_kt_axes(jet, n), beta, 0.4) for jet in jets])
    lloyd = [best_of_lloyd(jet, n, beta, 25) / 0.4**beta for jet in jets]
    for others in (kt, lloyd):
        assert (values <= np.multiply(others, 1 + 1e-9)).all()
    assert np.isclose(values, lloyd, 1e-6, 0).sum() >= len(jets) // 2
    # the axis of a jet is the best one for beta = 2
    assert np.isclose(values, kt, 1e-9, 0).all() == ((n, beta) == (1, 2.0))


# ------------------------------------------------------------------- closed forms


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        *[(name, {}) for name in ("n_subjettiness", "n_jettiness", *EXTENDED)],
        ("angularity", {"beta": 2.0}),
        ("broadening", {}),
    ],
)
def test_one_particle_is_a_point(name, settings):
    value, axes = measure(name, [[30.0, 0.5, -1.0]], **settings)
    assert value == 0
    np.testing.assert_allclose(axes, [[0.5, -1.0]])


@pytest.mark.parametrize("beta", BETAS)
def test_angularity_of_two_particles(beta):
    z, d, R = 0.3, 0.5, 0.8
    event = np.array([[70.0, 0.0, 0.0], [30.0, 0.3, 0.4]])
    if beta == 1:
        way = 0.0  # the axis is along the harder particle
    else:
        ratio = (z / (1 - z)) ** (1 / (beta - 1))
        way = d * ratio / (1 + ratio)
    literature = ((1 - z) * way**beta + z * (d - way) ** beta) / R**beta
    value, axes = measure("angularity", event, beta=beta, R=R)
    np.testing.assert_allclose(beta * value, literature, 1e-6)
    np.testing.assert_allclose(np.linalg.norm(axes), way, atol=1e-4)
    if beta == 2:
        np.testing.assert_allclose(literature, z * (1 - z) * d**2 / R**2)


def test_three_particles_at_the_corners_of_a_triangle():
    angle = 2 * np.pi / 3 * np.arange(3)
    r, R = 0.3, 0.5
    event = np.column_stack([[10.0] * 3, r * np.cos(angle), r * np.sin(angle)])
    side = r * np.sqrt(3)
    for beta in (1.0, 2.0):
        unit = beta * R**beta
        one, _ = measure("n_subjettiness", event, 1, beta=beta, R=R)
        np.testing.assert_allclose(one, r**beta / unit, 1e-6)
        # one point for two particles: at either of them, or in the middle
        two, _ = measure("n_subjettiness", event, 2, beta=beta, R=R)
        np.testing.assert_allclose(two, 2 / 3 * (side / 2) ** beta / unit, 1e-6)
        three, _ = measure("n_subjettiness", event, 3, beta=beta, R=R)
        assert three == 0


@pytest.mark.parametrize("n", [1, 2])
def test_broadening_is_n_subjettiness_and_angularity_its_first(n):
    event = make_event(0, 12)
    subjettiness = measure("n_subjettiness", event, n)[0]
    assert measure("broadening", event, n)[0] == subjettiness
    first = measure("n_subjettiness", event, beta=1.5)[0]
    assert measure("angularity", event, beta=1.5)[0] == first


@pytest.mark.parametrize("seed", SEEDS)
def test_limits_of_n_jettiness(seed):
    event = make_event(seed, 8)
    energy = event[:, 0].sum()
    for n in (1, 2):
        # no particle is within reach of another one: n of them are jets
        hardest = np.sort(event[:, 0])[-n:].sum()
        np.testing.assert_allclose(
            measure("n_jettiness", event, n, R=1e-4)[0], energy - hardest
        )
        # all are within reach of any axis
        np.testing.assert_allclose(
            measure("n_jettiness", event, n, R=100)[0],
            energy * measure("n_subjettiness", event, n, R=100)[0],
            1e-6,
        )
    assert measure("n_jettiness", event, 9, R=0.1)[0] == 0


@pytest.mark.parametrize(("beta", "reach"), [(1.0, 1.0), (2.0, np.sqrt(2))])
def test_jets_of_n_jettiness_end_at_their_radius(beta, reach):
    for distance, is_in_beam in [(0.99 * reach, False), (1.01 * reach, True)]:
        event = [[1e6, 0.0, 0.0], [1.0, 0.4 * distance, 0.0]]
        observable = make_observable("n_jettiness", beta=beta, R=0.4)
        row = observable.fit_transform([event])[0]
        assert (row[-1] > 0.5) == is_in_beam
        np.testing.assert_allclose(row[0], min((distance / reach) ** beta, 1), 1e-4)


# ------------------------------------------------------------------- new observables


@pytest.mark.parametrize("name", EXTENDED)
def test_settings_of_new_observables(name):
    shape = EXTENDED[name]
    families = {
        (False, False): 2 * shape,
        (True, False): 2 * WithCentre(shape),
        (False, True): 2 * shape + Uniform(0.4),
        (True, True): 2 * WithCentre(shape) + Uniform(0.4),
    }
    for (with_centre, pileup), family in families.items():
        observable = make_observable(
            name, 2, beta=2.0, R=0.4, with_centre=with_centre, pileup=pileup
        )
        expected = ShapinessTransformer(family, beta=2.0, R=0.4)
        np.testing.assert_array_equal(
            observable.get_feature_names_out(), expected.get_feature_names_out()
        )
        assert (observable.beta, observable.R, observable.norm) == (2.0, 0.4, True)
        assert observable.part_names == expected.part_names


@pytest.mark.parametrize("name", EXTENDED)
def test_new_observables_know_their_own_shapes(name):
    """An event that is a ring, say, with a hard centre and pile-up."""
    full = make_observable(name, R=0.5, with_centre=True, pileup=True)
    full.set_params(n_nodes=128, n_init=8)
    cross = [[[1, 0.1, 0], [1, -0.1, 0], [1, 0, 0.1], [1, 0, -0.1]]]
    sizes = {"n_ellipsiness": [0.3, 0.2, 0.7]}.get(name, [0.3])
    weights = [0.5, 0.3, 0.2]
    event = full.closest_shapes(cross, [[0, 0, 0, *sizes, *weights]])
    found = full.fit_transform(event)[0]
    assert found[0] < 0.01
    np.testing.assert_allclose(found[1:3], 0, atol=0.01)
    np.testing.assert_allclose(found[3:], [*sizes, *weights], atol=0.05)
    for parts in ({"with_centre": True}, {"pileup": True}, {}):
        fewer = make_observable(name, R=0.5, **parts)
        fewer.set_params(n_nodes=128, n_init=8)
        assert fewer.fit_transform(event)[0, 0] > 2 * found[0]


# --------------------------------------------------------------------------- errors


def test_settings_are_those_of_the_transformer():
    observable = make_observable("n_subjettiness", 3).set_params(n_init=7, n_jobs=2)
    assert clone(observable).get_params() == {
        **ShapinessTransformer(Point(), 3).get_params(),
        "n_init": 7,
        "n_jobs": 2,
    }
    assert not make_observable("n_jettiness").norm


@pytest.mark.parametrize("name", ["n_subjettiness", "n_jettiness", "broadening"])
@pytest.mark.parametrize("extra", ["with_centre", "pileup"])
def test_points_have_no_centre_and_no_pileup(name, extra):
    with pytest.raises(ValueError, match=f"{name} is of points alone"):
        make_observable(name, **{extra: True})


@pytest.mark.parametrize(
    ("arguments", "settings", "error", "message"),
    [
        (("thrust",), {}, ValueError, "name must be one of .*n_subjettiness"),
        (("angularity", 2), {}, ValueError, "one axis, got n=2"),
        (("broadening",), {"beta": 2.0}, ValueError, "beta=1, got beta=2.0"),
        (("n_ringiness", 0), {}, ValueError, "n == 0"),
        (("n_ringiness", 1.5), {}, TypeError, "n must be an instance"),
        (("n_ringiness",), {"beta": 0.5}, ValueError, "beta == 0.5"),
        (("n_ringiness",), {"R": 0}, ValueError, "R == 0"),
        (("n_ringiness",), {"R": "wide"}, TypeError, "R must be an instance"),
    ],
)
def test_errors_name_the_argument(arguments, settings, error, message):
    with pytest.raises(error, match=message):
        make_observable(*arguments, **settings)
