"""Bounds, optima and the shapes that are found."""

import numpy as np
import pytest
from sklearn.base import clone
from small_shapes import (
    EXTENDED,
    QUICK,
    SHAPES,
    R,
    make_events,
)

from sklearn_hepcal.datasets import load_quark_gluon_jets
from sklearn_hepcal.jets import relative_constituents
from sklearn_hepcal.shapes import (
    Disk,
    Ellipse,
    Fixed,
    Point,
    Ring,
    ShapinessTransformer,
    Uniform,
    WithCentre,
    emd,
)


@pytest.fixture(scope="module")
def jets():
    jets, _ = load_quark_gluon_jets(n_jets=6, return_X_y=True)
    jets = jets.replace(labels={}).select(constituents=["pt", "y", "phi"])
    return jets.replace(constituents=jets.constituents.astype(np.float64))


# Certificates and optima


@pytest.mark.parametrize("shape", EXTENDED, ids=str)
def test_certificate_of_jets(jets, shape):
    transformer = ShapinessTransformer(shape, R=R, certificate=True)
    value, lower = transformer.fit_transform(jets)[:, :2].T
    # the bound is that of the continuous shape, whose nodes may be a little closer
    assert (lower <= value * (1 + 1e-3)).all()
    assert (value - lower < 5e-3 * value).all()


@pytest.fixture(scope="module", params=EXTENDED, ids=str)
def few_particles(request):
    events = make_events(3, [2, 2, 3, 4])
    transformer = ShapinessTransformer(request.param, R=R, certificate=True)
    return events, transformer, transformer.fit_transform(events)


def test_certificate_of_few_particles(few_particles):
    _, _, rows = few_particles
    value, lower = rows[:, :2].T
    # the bound is that of the continuous shape, whose nodes may be a little closer
    np.testing.assert_allclose(lower, value, rtol=5e-3)


def test_value_and_bound_hold_for_the_shape_itself(few_particles):
    events, transformer, rows = few_particles
    # the same shapes with eight times as many nodes
    fine = clone(transformer).set_params(n_nodes=4096).fit(events)
    exact = emd(events, fine.closest_shapes(events, rows), R=R, norm=True)
    np.testing.assert_allclose(rows[:, 0], exact, rtol=3e-3)
    # the dual problem has four times as many nodes as the value
    assert (rows[:, 1] <= exact * (1 + 1e-3)).all()


@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize("shape", [Ring() + Uniform(R), WithCentre(Ring())], ids=str)
def test_certificate_of_sums(jets, shape, norm):
    transformer = ShapinessTransformer(
        shape, R=R, norm=norm, certificate=True, n_nodes=256, n_init=2
    )
    value, lower = transformer.fit_transform(jets[:3])[:, :2].T
    assert (lower <= value + 1e-12).all()
    assert (value - lower < 2e-2 * value).all()


@pytest.mark.parametrize("shape", EXTENDED, ids=str)
def test_no_neighbour_is_closer(jets, shape):
    jets = jets[:3]
    transformer = ShapinessTransformer(shape, R=R)
    rows = transformer.fit_transform(jets)
    for column in range(1, rows.shape[1]):
        for step in (-0.02, 0.02):
            others = rows.copy()
            others[:, column] += step
            # lengths stay positive, and half axes in order
            others[:, 3:] = np.abs(others[:, 3:])
            nearby = transformer.closest_shapes(jets, others)
            values = emd(jets, nearby, R=R, norm=True)
            # fitted with fewer nodes than it is evaluated with
            assert (values > rows[:, 0] * (1 - 3e-3)).all()


def test_no_other_weights_are_closer(jets):
    jets = jets[:3]
    transformer = ShapinessTransformer(
        WithCentre(Ring()) + Uniform(R), R=R, n_nodes=256, n_init=4
    )
    rows = transformer.fit_transform(jets)
    weights = [4, 5, 6]
    names = transformer.get_feature_names_out()
    assert all(names[k].endswith("weight") for k in weights)
    for column in weights:
        others = rows.copy()
        others[:, weights] *= 0.98
        others[:, column] += 0.02
        values = emd(jets, transformer.closest_shapes(jets, others), R=R, norm=True)
        assert (values > rows[:, 0] * (1 - 3e-3)).all()


@pytest.mark.parametrize("beta", [1.0, 2.0])
@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_closest_shapes_are_at_this_distance(jets, shape, norm, beta):
    jets = jets[[3, 0]]
    transformer = ShapinessTransformer(shape, norm=norm, beta=beta, **QUICK)
    rows = transformer.fit_transform(jets)
    closest = transformer.closest_shapes(jets, rows)
    values = emd(jets, closest, R=R, beta=beta, norm=norm)
    # no weight of a mixture is less than 1e-9 of the energy
    least = 1e-8 * (1 if norm else relative_constituents(jets).pt.max())
    np.testing.assert_allclose(values, rows[:, 0], rtol=1e-9, atol=least)
    # the energies of the parts are their weights
    parts = closest.constituent_labels["part"]
    energies = np.zeros((2, len(transformer.part_names)))
    np.add.at(energies, (closest.jet_index, parts), closest.constituents[:, 0])
    names = transformer.get_feature_names_out()
    columns = [name.endswith("weight") for name in names]
    total = relative_constituents(jets).pt[:, None]
    weights = rows[:, columns] * (total if norm else 1) if any(columns) else total
    kept = len(transformer.part_names) - (not norm)
    np.testing.assert_allclose(
        energies[:, :kept], np.broadcast_to(weights, energies.shape)[:, :kept],
        rtol=1e-9, atol=1e-6,
    )  # fmt: skip


@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize("shape", [Ring(), 2 * Point(), WithCentre(Ellipse())], ids=str)
def test_shares(jets, shape, norm):
    ghosts = [np.vstack([event, [[0, 9, 3]]]) for event in jets[:2].to_list()]
    transformer = ShapinessTransformer(shape, norm=norm, **QUICK)
    rows = transformer.fit_transform(ghosts)
    shares = transformer.shares(ghosts, rows)
    pt = np.concatenate(ghosts)[:, 0]
    assert shares.shape == (len(pt), len(transformer.part_names))
    assert (shares >= 0).all()
    np.testing.assert_allclose(shares.sum(axis=1), pt > 0, atol=1e-9)
    columns = [n.endswith("weight") for n in transformer.get_feature_names_out()]
    if any(columns):
        ends = np.cumsum([len(event) for event in ghosts])[:-1]
        energies = [
            part[:, 0] @ part[:, 1:]
            for part in np.split(np.column_stack([pt, shares]), ends)
        ]
        if norm:
            energies = [energy / energy.sum() for energy in energies]
        np.testing.assert_allclose(rows[:, columns], energies, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(transformer.shares(ghosts), shares)
    given, found = (transformer.closest_shapes(ghosts, *z) for z in ([rows], []))
    np.testing.assert_array_equal(given.constituents, found.constituents)


def test_part_names():
    shape = 2 * WithCentre(Ring()) + Uniform() + Fixed([[0, 0]])
    transformer = ShapinessTransformer(shape, norm=False)
    assert transformer.part_names == [
        "ring0",
        "ring0_centre",
        "ring1",
        "ring1_centre",
        "uniform0",
        "fixed0",
        "beam",
    ]
    assert transformer.get_feature_names_out().tolist() == [
        "emd",
        *(
            f"ring{k}_{name}"
            for k in (0, 1)
            for name in ("y", "phi", "radius", "weight", "centre_weight")
        ),
        "uniform0_weight",
        "fixed0_weight",
        "beam_weight",
    ]
    twice = ShapinessTransformer(Ring() + Disk(), 2, certificate=True)
    assert twice.get_feature_names_out()[[1, 2, 6, 10, 14]].tolist() == [
        "emd_lower",
        "ring0_y",
        "disk0_y",
        "ring1_y",
        "disk1_y",
    ]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("norm", [True, False])
def test_names_of_columns(shape, norm):
    transformer = ShapinessTransformer(shape, norm=norm, **QUICK)
    rows = transformer.fit_transform(make_events(6, [4]))
    names = transformer.get_feature_names_out()
    assert rows.shape == (1, len(names)) == (1, len(set(names)))
    weights = [name.endswith("weight") for name in names]
    assert sum(weights) in (0, len(transformer.part_names))
