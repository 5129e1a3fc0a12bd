import pickle
from functools import partial

import numpy as np
import pytest
from jet_changes import permute, radiate, split, turn, with_constituents

from sklearn_hepcal.datasets import load_dijets, smear_particles
from sklearn_hepcal.jets import Jets
from sklearn_hepcal.regression import GaussianAnsatzRegressor

BACKBONES = ["efn", "pfn"]
IDS = np.array([22, 130, 211, -211])
# What follows needs networks that depend on their inputs, not good ones.
QUICK = {"max_epochs": 2, "phi_layer_sizes": (16,), "latent_dim": 8, "random_state": 0}


def only_constituents(jets, **changes):
    """The constituents alone, some of their parts replaced."""
    return jets.select(features=[]).replace(labels={}, **changes)


@pytest.fixture(scope="module")
def sample():
    """Towers of dijets, and the true pT in logarithm."""
    X, y = load_dijets(return_X_y=True)
    return only_constituents(X[:400]), np.log(y[:400])


@pytest.fixture(scope="module", params=BACKBONES)
def backbone(request):
    return request.param


@pytest.fixture(scope="module")
def fitted(backbone, sample):
    return GaussianAnsatzRegressor(backbone, **QUICK).fit(*sample)


def answers(regressor, jets):
    return np.stack(regressor.predict(jets, return_std=True))


def test_order_of_the_constituents_does_not_matter(fitted, sample):
    jets, _ = sample
    mixed = permute(jets)
    assert (mixed.constituents != jets.constituents).any()
    np.testing.assert_allclose(answers(fitted, mixed), answers(fitted, jets), 1e-9)


def test_rotation_in_phi_does_not_matter(fitted, sample):
    jets, _ = sample
    rotated = turn(jets, np.random.default_rng(0).uniform(-np.pi, np.pi, len(jets)))
    np.testing.assert_allclose(answers(fitted, rotated), answers(fitted, jets), 1e-9)


@pytest.mark.parametrize("emission", [split, partial(radiate, pt=1e-10)])
def test_only_efn_is_infrared_and_collinear_safe(backbone, fitted, sample, emission):
    jets, _ = sample
    before, after = answers(fitted, jets), answers(fitted, emission(jets))
    if backbone == "efn":
        np.testing.assert_allclose(after, before, 1e-9)
    else:
        assert np.median(np.abs(after - before)) > 1e-4


@pytest.fixture(scope="module")
def identified(sample):
    """The same with random identifiers in place of the electromagnetic fraction."""
    jets, y = sample
    return relabel(jets, np.random.default_rng(0).choice(IDS, jets.offsets[-1])), y


def relabel(jets, ids):
    return only_constituents(
        jets,
        constituents=np.column_stack([jets.constituents[:, :3], ids]),
        constituent_names=["pt", "eta", "phi", "pdgid"],
    )


def test_identifiers_are_categories(identified):
    jets, y = identified
    regressor = GaussianAnsatzRegressor("pfn", **QUICK).fit(jets, y)
    ids = jets.constituent("pdgid")
    before = answers(regressor, jets)
    # Other numbers for the same categories are another name for the same fit.
    names = {22: 1000, 130: 1500, 211: 3000, -211: -7}
    renamed = relabel(jets, [names[i] for i in ids])
    again = GaussianAnsatzRegressor("pfn", **QUICK).fit(renamed, y)
    np.testing.assert_allclose(answers(again, renamed), before, 1e-9)
    # All that was not seen is alike, and not like what was.
    unseen = answers(regressor, relabel(jets, np.full(len(ids), 999)))
    np.testing.assert_array_equal(
        unseen, answers(regressor, relabel(jets, np.full(len(ids), -13)))
    )
    assert np.isfinite(unseen).all()
    assert np.median(np.abs(unseen - before)) > 1e-4


def test_efn_leaves_identifiers_out(identified):
    jets, y = identified
    regressor = GaussianAnsatzRegressor("efn", **QUICK).fit(jets, y)
    other = relabel(jets, np.full(len(jets.constituents), 22))
    np.testing.assert_array_equal(answers(regressor, other), answers(regressor, jets))


def test_features_beside_the_constituents_inform(backbone):
    rng = np.random.default_rng(0)
    n = 1800
    log_z = rng.uniform(4, 6, n)
    towers = np.zeros((n, 3, 3))
    shares = rng.dirichlet(np.ones(3), n)
    towers[..., 0] = shares * np.exp(log_z + rng.normal(0, 0.3, n))[:, None]
    towers[..., 1:] = rng.normal(0, 0.2, (n, 3, 2))
    measured = (log_z + rng.normal(0, 0.05, n))[:, None]
    jets = Jets.from_padded(towers, features=measured, feature_names=["tracks"])
    settings = {**QUICK, "max_epochs": 8}
    information = [
        GaussianAnsatzRegressor(backbone, **settings)
        .fit(X[:1200], log_z[:1200])
        .mutual_information(X[1200:], log_z[1200:])
        for X in (only_constituents(jets), jets)
    ]
    # Away from the ends of the spectrum, the logarithm of 2 / (sqrt(2 pi e) sigma).
    (before, before_error), (after, after_error) = information
    assert abs(before - 0.63) < 0.1 + 3 * before_error
    assert abs(after - 2.28) < 0.2 + 3 * after_error


def test_every_form_of_jets_is_the_same(backbone, sample):
    jets, y = sample
    jets = only_constituents(
        jets, constituents=jets.constituents[:, :3], constituent_names=None
    )
    regressor = GaussianAnsatzRegressor(backbone, **QUICK).fit(jets, y)
    expected = answers(regressor, jets)
    for form in (jets.to_padded()[0], jets.to_list()):
        np.testing.assert_array_equal(answers(regressor, form), expected)
        again = GaussianAnsatzRegressor(backbone, **QUICK).fit(form, y)
        np.testing.assert_array_equal(answers(again, form), expected)


def test_jets_are_predicted_one_by_one(fitted, sample):
    jets, _ = sample
    alone = np.concatenate([fitted.predict(jet) for jet in jets[:10]])
    np.testing.assert_allclose(alone, fitted.predict(jets)[:10], 1e-12)


def test_pickle_keeps_every_bit(fitted, sample):
    jets, y = sample
    copy = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(answers(copy, jets), answers(fitted, jets))
    np.testing.assert_array_equal(copy.log_ratio(jets, y), fitted.log_ratio(jets, y))
    assert copy.mutual_information_ == fitted.mutual_information_


def test_other_constituents_than_in_fit(fitted, sample):
    jets, _ = sample
    fewer = jets.select(constituents=["pt", "eta", "em_fraction"])
    with pytest.raises(ValueError, match="yet now missing:\n- phi"):
        fitted.predict(fewer)
    swapped = jets.select(constituents=["pt", "phi", "eta", "em_fraction"])
    with pytest.raises(ValueError, match="must be in the same order"):
        fitted.predict(swapped)


def test_coordinates_come_first(backbone, sample):
    jets, y = sample
    swapped = jets.select(constituents=["pt", "phi", "eta", "em_fraction"])
    with pytest.raises(ValueError, match="must be 'pt', 'y' or 'eta'"):
        GaussianAnsatzRegressor(backbone, **QUICK).fit(swapped, y)


def test_other_jet_features_than_in_fit(backbone, fitted, sample):
    jets, y = sample
    more = only_constituents(
        jets, features=np.arange(len(jets))[:, None], feature_names=["mu"]
    )
    with pytest.raises(ValueError, match=r"jet features \['mu'\], but .* with \[\]"):
        fitted.predict(more)
    regressor = GaussianAnsatzRegressor(backbone, **QUICK).fit(more, y)
    assert regressor.jet_feature_names_in_ == ("mu",)
    with pytest.raises(ValueError, match=r"jet features \[\], but .* with \['mu'\]"):
        regressor.predict(jets)


def test_jets_without_constituents(fitted, sample):
    jets, _ = sample
    others = jets.jet_index > 0
    hole = with_constituents(jets, jets.constituents[others], jets.jet_index[others])
    assert hole.counts[0] == 0
    with pytest.raises(ValueError, match="1 of 400 jets have fewer than 1 constituent"):
        fitted.predict(hole)
    with pytest.raises(ValueError, match="Jets with constituents are required"):
        fitted.predict(Jets(features=np.ones((3, 2))))


def information_gain(coarse, fine, jets, z):
    """Rise of the mutual information in the same jets, and its paired error."""
    (before, _), (after, _) = (
        regressor.mutual_information(X, z)
        for regressor, X in zip((coarse, fine), jets, strict=True)
    )
    ratios = [
        regressor.log_ratio(X, z)
        for regressor, X in zip((coarse, fine), jets, strict=True)
    ]
    return after - before, np.std(ratios[1] - ratios[0]) / np.sqrt(len(z))


def fit_all(inputs, log_z, train):
    """Regressions of the logarithm of pT by inputs that know more and more."""
    return {
        name: GaussianAnsatzRegressor(backbone, random_state=0).fit(
            X[train], log_z[train]
        )
        for name, (backbone, X) in inputs.items()
    }


@pytest.fixture(scope="module")
def dijets(data_dir):
    """Inputs, true pT and held-out rows of dijets."""
    X, z = load_dijets(path=data_dir, return_X_y=True)
    test = X.labels["event_id"] // 2 % 3 == 0
    X = only_constituents(X)
    pt, eta = X.constituents[:, :2].T
    total = np.bincount(X.jet_index, pt)
    axis = np.bincount(X.jet_index, pt * eta) / total
    inputs = {
        "DNN": ("mlp", np.column_stack([np.log(total), axis])),
        "EFN": ("efn", X),
        "PFN": ("pfn", X),
    }
    return inputs, z, test, fit_all(inputs, np.log(z), ~test)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("coarse", "fine", "least"), [("DNN", "EFN", 0.0), ("EFN", "PFN", 0.2)]
)
def test_more_of_a_jet_tells_no_less(dijets, coarse, fine, least):
    inputs, z, test, fits = dijets
    gain, error = information_gain(
        fits[coarse],
        fits[fine],
        [inputs[name][1][test] for name in (coarse, fine)],
        np.log(z[test]),
    )
    assert gain > least - 2 * error


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "width"), [("DNN", 0.075), ("EFN", 0.07), ("PFN", 0.05)]
)
def test_closure_at_700_gev(dijets, name, width):
    inputs, z, test, fits = dijets
    near = test & (z > 630) & (z < 770)
    log_pt, sigma = fits[name].predict(inputs[name][1][near], return_std=True)
    pull = log_pt - np.log(z[near])
    low, median, high = np.quantile(pull, [0.1587, 0.5, 0.8413])
    measured = (high - low) / 2
    # The towers alone are 24 % low. Tails move the median away from the maximum of
    # the likelihood by some part of the resolution.
    assert abs(median) < 0.02 + 2 * measured * np.sqrt(np.pi / 2 / near.sum())
    assert measured < width
    assert abs(np.median(sigma) / measured - 1) < 0.15


@pytest.fixture(scope="module")
def quark_gluon_jets(data_dir):
    """Particles of jets, scaled to a flat spectrum in ln pT, and measured."""
    n = 36_000
    with np.load(data_dir / "qg_jets.npz") as file:
        offsets, jet = file["offsets"][: n + 1], file["jet"][:n]
        pt = np.exp(file["pt_log"][: offsets[-1]] / 4000) * 1e-4
        index = np.repeat(np.arange(n), np.diff(offsets))
        y = jet[index, 1] + file["dy"][: offsets[-1]] / 5e4
        phi = jet[index, 2] + file["dphi"][: offsets[-1]] / 5e4
        ids = file["pdg"][file["pid"][: offsets[-1]]]
    momentum = np.hypot(
        np.bincount(index, pt * np.cos(phi)), np.bincount(index, pt * np.sin(phi))
    )
    z = np.exp(np.random.default_rng(0).uniform(np.log(250), np.log(1000), n))
    pt = smear_particles(pt * (z / momentum)[index], y, ids, random_state=0)
    seen = pt > 0
    jets = Jets(
        constituents=np.column_stack([pt, y, phi, ids])[seen],
        offsets=np.concatenate([[0], np.cumsum(np.bincount(index[seen], minlength=n))]),
        constituent_names=["pt", "y", "phi", "pdgid"],
    )
    return jets, z


@pytest.mark.slow
def test_particle_identifiers_tell_about_the_response(quark_gluon_jets):
    jets, z = quark_gluon_jets
    test = np.arange(len(z)) % 3 == 0
    inputs = {
        "PFN": ("pfn", jets.select(constituents=["pt", "y", "phi"])),
        "PFN-ID": ("pfn", jets),
    }
    fits = fit_all(inputs, np.log(z), ~test)
    gain, error = information_gain(
        *fits.values(), [X[test] for _, X in inputs.values()], np.log(z[test])
    )
    assert gain > 2 * error
