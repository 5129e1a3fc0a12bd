from importlib import resources

import numpy as np
import pytest
from bundle_versions import require_generator_of

from sklearn_hepcal.datasets import generate_dijets, load_dijets
from sklearn_hepcal.jets import Jets

FEATURES = (
    *("pt", "eta", "phi", "mass"),
    *("f_em12", "f_em3", "f_tile0", "f_tile1", "f_tile2"),
    *("f_charged", "n_track", "w_track", "lead_track_frac"),
    *("n90", "n_segments", "w_calo", "n_tower", "mu", "npv"),
)
COUNTS = ("n_track", "n90", "n_segments", "n_tower", "npv")
LABELS = {
    *("truth_pt", "truth_mass", "parton", "weight"),
    *("event_id", "domain", "dphi12", "jet3_pt"),
}


def wrap(angle):
    return (angle + np.pi) % (2 * np.pi) - np.pi


def sum_towers(jets, values):
    return np.bincount(jets.jet_index, values, minlength=len(jets))


@pytest.fixture(scope="module")
def dijets():
    return load_dijets(side="both")


def check_schema(bunch):
    jets, n = bunch.data, len(bunch.data)
    assert isinstance(jets, Jets)
    assert jets.feature_names == FEATURES == tuple(bunch.feature_names)
    assert jets.constituent_names == ("pt", "eta", "phi", "em_fraction")
    assert bunch.constituent_names == list(jets.constituent_names)
    assert bunch.domain_names == ["simulation", "data"]
    assert set(jets.labels) == LABELS
    assert jets.features.dtype == jets.constituents.dtype == np.float64
    assert bunch.target.shape == bunch.sample_weight.shape == (n,)
    assert bunch.target.dtype == bunch.sample_weight.dtype == np.float64
    for name in ("event_id", "domain", "parton"):
        assert jets.labels[name].dtype == np.int64
    np.testing.assert_array_equal(bunch.event_id, jets.labels["event_id"])
    np.testing.assert_array_equal(bunch.domain, jets.labels["domain"])
    np.testing.assert_array_equal(bunch.sample_weight, jets.labels["weight"])
    sim = bunch.domain == 0
    np.testing.assert_array_equal(bunch.target[sim], jets.labels["truth_pt"][sim])
    assert np.isnan(bunch.target[~sim]).all()


# What holds for every jet of the selection, up to the rounding of the angles.
def check_physics(jets):
    assert np.isfinite(jets.features).all()
    assert np.isfinite(jets.constituents).all()
    pt, eta, phi, mass = jets.features[:, :4].T
    assert pt.min() > 20
    assert np.abs(eta).max() <= 1.5
    assert np.abs(phi).max() <= np.pi
    assert mass.min() >= 0
    layers = jets.features[:, 4:9]
    assert layers.min() >= 0
    np.testing.assert_allclose(layers.sum(axis=1), 1, atol=0.01)
    assert jets.labels["truth_pt"].min() > 20
    assert jets.labels["truth_pt"].max() < 4100
    assert set(jets.labels["parton"]) == {0, *range(-5, 6), 21}
    assert jets.labels["weight"].min() > 0
    dphi12 = np.abs(wrap(phi[::2] - phi[1::2]))
    np.testing.assert_allclose(jets.labels["dphi12"][::2], dphi12, rtol=1e-12)
    assert dphi12.min() > 2.7 - 0.001
    mean_pt = np.repeat((pt[::2] + pt[1::2]) / 2, 2)
    assert (jets.labels["jet3_pt"] < 1.004 * np.maximum(25, mean_pt / 4)).all()


def check_pairs(jets):
    ids = jets.labels["event_id"]
    np.testing.assert_array_equal(ids[::2], ids[1::2])
    assert len(np.unique(ids)) == len(jets) // 2
    for name in ("weight", "domain", "dphi12", "jet3_pt"):
        np.testing.assert_array_equal(jets.labels[name][::2], jets.labels[name][1::2])
    pt, mu = jets.feature("pt"), jets.feature("mu")
    assert (pt[::2] >= pt[1::2]).all()
    np.testing.assert_array_equal(mu[::2], mu[1::2])


def check_towers(jets):
    axis = jets.features[jets.jet_index]
    pt, eta, phi, em_fraction = jets.constituents.T
    np.testing.assert_array_equal(
        jets.counts, np.minimum(jets.feature("n_tower"), 30).astype(int)
    )
    assert pt.min() > 0.39
    same_jet = jets.jet_index[1:] == jets.jet_index[:-1]
    assert (np.diff(pt)[same_jet] <= 0).all()
    assert np.abs(phi).max() <= np.pi
    distance = np.hypot(eta - axis[:, 1], wrap(phi - axis[:, 2]))
    assert np.quantile(distance, 0.999) < 0.42
    assert distance.max() < 0.8
    assert em_fraction.min() >= 0
    assert em_fraction.max() <= 1


def test_schema(dijets):
    check_schema(dijets)
    n_events = [np.sum(dijets.domain == domain) // 2 for domain in (0, 1)]
    assert n_events == [5400, 2700]
    assert dijets.DESCR.startswith("Jets of dijet events")
    for n in (*n_events, sum(n_events)):
        assert f"{n:,}" in dijets.DESCR


def test_values_are_physical(dijets):
    check_physics(dijets.data)
    check_pairs(dijets.data)
    check_towers(dijets.data)
    for name in COUNTS:
        values = dijets.data.feature(name)
        np.testing.assert_array_equal(values, np.round(values))


def test_towers_add_up_to_the_jet(dijets):
    jets = dijets.data
    tower_pt, tower_eta, tower_phi, em_fraction = jets.constituents.T
    total = sum_towers(jets, tower_pt)
    complete = jets.feature("n_tower") <= 30
    ratio = total / jets.feature("pt")
    # pile-up is subtracted from the jet but not from its towers
    assert np.median(ratio[complete]) == pytest.approx(1, abs=0.005)
    assert np.percentile(np.abs(ratio[complete] - 1), 99) < 0.1
    assert np.median(ratio[~complete]) == pytest.approx(0.99, abs=0.01)
    assert ratio[~complete].min() > 0.8

    offset = sum_towers(jets, tower_pt * tower_eta) / total - jets.feature("eta")
    assert np.abs(offset).max() < 0.05
    distance = wrap(tower_phi - jets.feature("phi")[jets.jet_index])
    assert np.abs(sum_towers(jets, tower_pt * distance) / total).max() < 0.05
    em = sum_towers(jets, tower_pt * em_fraction) / total
    layers = jets.feature("f_em12") + jets.feature("f_em3")
    assert np.median(np.abs(em - layers)) < 0.01


def width(response):
    low, median, high = np.percentile(response, [16, 50, 84])
    return (high - low) / (2 * median)


def test_response_is_as_described(dijets):
    jets = dijets.data
    truth = jets.labels["truth_pt"]
    response = jets.feature("pt") / truth
    medians, widths = np.empty((2, 2, 3))
    for domain in (0, 1):
        for k, (low, high) in enumerate([(80, 200), (200, 600), (600, 2400)]):
            rows = (dijets.domain == domain) & (truth > low) & (truth < high)
            medians[domain, k] = np.median(response[rows])
            widths[domain, k] = width(response[rows])
    np.testing.assert_allclose(medians[0], [0.705, 0.739, 0.764], atol=0.015)
    np.testing.assert_allclose(medians[1] / medians[0], 0.937, atol=0.015)
    np.testing.assert_allclose(widths[0], [0.104, 0.081, 0.072], rtol=0.06)
    assert (widths[1] > 1.1 * widths[0]).all()


def test_sides(dijets):
    for domain, side in enumerate(("sim", "data")):
        one = load_dijets(side=side)
        check_schema(one)
        assert one.data == dijets.data[dijets.domain == domain]
    assert load_dijets().data == dijets.data[dijets.domain == 0]
    assert set(dijets.event_id[dijets.domain == 0] % 2) == {0}
    assert set(dijets.event_id[dijets.domain == 1] % 2) == {1}


def test_return_X_y(dijets):
    X, y = load_dijets(side="both", return_X_y=True)
    assert dijets.data == X
    np.testing.assert_array_equal(y, dijets.target)


def test_unknown_side():
    with pytest.raises(ValueError, match=r"side must be one of .*'both'.*got 'mc'"):
        load_dijets(side="mc")


def test_bundled_file_is_small():
    path = resources.files("sklearn_hepcal.datasets") / "data" / "dijets.npz"
    assert len(path.read_bytes()) < 1.4e6


# Two events of which one passes the selection.
@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {
        "event": np.array([3, 8]),
        "weight": np.array([0.5, 2], dtype=np.float32),
        "mu": np.array([30.5, 20], dtype=np.float32),
        "npv": np.array([20, 10], dtype=np.int16),
        "jet3": np.array([[20, 1, 2, 25], [0, 0, 0, 0]], dtype=np.float32),
        "kin": rng.uniform(1, 1.5, (2, 2, 4)).astype(np.float32),
        "truth": rng.uniform(50, 100, (2, 2, 2)).astype(np.float32),
        "parton": np.array([[21, -1], [0, 5]], dtype=np.int8),
        "strict": np.array([False, True]),
        "gsc": rng.uniform(size=(2, 2, 13)).astype(np.float16),
        "gsc_names": np.array(FEATURES[4:17]),
        "c_pt": np.array([[[9, 1, 0]] * 2, [[7, 2, 1], [5, 0, 0]]], dtype=np.float16),
        "c_deta": np.full((2, 2, 3), 127, dtype=np.int8),
        "c_dphi": np.full((2, 2, 3), -127, dtype=np.int8),
        "c_fem": np.full((2, 2, 3), 51, dtype=np.uint8),
    }
    arrays["kin"][1, :, 2] = 0.25, -3
    for name in ("dijets_mc", "dijets_data"):
        np.savez(tmp_path / f"{name}.npz", **arrays)
    return tmp_path, arrays


def test_other_folder(folder):
    path, arrays = folder
    bunch = load_dijets(path=path, side="both")
    check_schema(bunch)
    jets = bunch.data
    np.testing.assert_array_equal(bunch.event_id, [16, 16, 17, 17])
    np.testing.assert_array_equal(jets.counts, [3, 1, 3, 1])
    np.testing.assert_array_equal(jets.features[:2, :4], arrays["kin"][1])
    np.testing.assert_array_equal(jets.features[:2, 4:17], arrays["gsc"][1])
    np.testing.assert_array_equal(jets.features[:2, 17:], [[20, 10]] * 2)
    np.testing.assert_array_equal(bunch.target[:2], arrays["truth"][1, :, 0])
    np.testing.assert_array_equal(jets.labels["parton"][:2], [0, 5])
    np.testing.assert_allclose(jets.labels["dphi12"][0], 2 * np.pi - 3.25)
    np.testing.assert_array_equal(jets.constituent("pt")[:4], [7, 2, 1, 5])
    axis = jets.features[jets.jet_index]
    np.testing.assert_allclose(jets.constituent("eta"), axis[:, 1] + 0.5, rtol=1e-12)
    expected = [*[0.25 - 0.5] * 3, 2 * np.pi - 3.5]
    np.testing.assert_allclose(jets.constituent("phi")[:4], expected, rtol=1e-12)
    np.testing.assert_array_equal(jets.constituent("em_fraction"), 0.2)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"dijets_mc\.npz"):
        load_dijets(path=tmp_path)


def test_missing_array(folder):
    path, arrays = folder
    del arrays["c_fem"]
    np.savez(path / "dijets_data.npz", **arrays)
    with pytest.raises(ValueError, match=r"dijets_data.npz .* hold .*'c_fem'"):
        load_dijets(path=path, side="data")
    assert len(load_dijets(path=path, side="sim").data) == 2


def assert_within_half(step, value, reference):
    assert np.abs(value - reference).max() <= step / 2 * (1 + 1e-6)


@pytest.mark.slow
def test_full_files(data_dir):
    full = load_dijets(path=data_dir, side="both")
    check_schema(full)
    check_physics(full.data)
    check_pairs(full.data)
    check_towers(full.data)


@pytest.mark.slow
@pytest.mark.parametrize(("side", "seed"), [("sim", 0), ("data", 1)])
def test_bundled_events_are_generated_ones(side, seed):
    require_generator_of("dijets.npz")
    expected = generate_dijets(500, side=side, random_state=seed)
    jets = load_dijets(side=side).data[:1000]
    np.testing.assert_array_equal(jets.labels["event_id"], expected.labels["event_id"])
    np.testing.assert_array_equal(jets.labels["parton"], expected.labels["parton"])
    np.testing.assert_array_equal(jets.counts, expected.counts)

    steps = dict.fromkeys(FEATURES[4:], 1 / 256) | dict.fromkeys(COUNTS, 0)
    steps |= {"eta": 0.001, "phi": 0.001, "f_charged": 1 / 128, "mu": 0.25}
    steps |= dict.fromkeys(("f_tile2", "w_track", "w_calo"), 1 / 1024)
    for name, step in steps.items():
        assert_within_half(step, jets.feature(name), expected.feature(name))
    for step, function, name in (
        (0.001, np.log, "truth_pt"),
        (0.001, np.log1p, "truth_mass"),
        (0.005, np.log1p, "jet3_pt"),
        (0.01, np.log, "weight"),
    ):
        value, reference = jets.labels[name], expected.labels[name]
        assert_within_half(step, function(value), function(reference))
    for function, name in ((np.log, "pt"), (np.log1p, "mass")):
        value, reference = jets.feature(name), expected.feature(name)
        assert_within_half(0.001, function(value), function(reference))

    (pt, eta, phi, em_fraction), reference = jets.constituents.T, expected.constituents
    assert_within_half(0.01, np.log(pt), np.log(reference[:, 0]))
    np.testing.assert_allclose(eta, reference[:, 1], atol=1e-12)
    np.testing.assert_allclose(wrap(phi - reference[:, 2]), 0, atol=1e-12)
    assert_within_half(1 / 51, em_fraction, reference[:, 3])
