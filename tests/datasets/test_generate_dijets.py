from itertools import pairwise

import numpy as np
import pytest

from sklearn_hepcal.datasets import generate_dijets, load_dijets
from sklearn_hepcal.datasets._generate_dijets import _RECIPES
from sklearn_hepcal.jets import check_jets, read_parquet, read_parquet_metadata
from sklearn_hepcal.metrics import closure_table

for package in ("pythia8mc", "fastjet"):
    pytest.importorskip(package)

SEED = 5
N_EVENTS = 40
EDGES = np.geomspace(120, 2400, 10)


def wrap(angle):
    return (angle + np.pi) % (2 * np.pi) - np.pi


def sum_towers(jets, values):
    return np.bincount(jets.jet_index, values, minlength=len(jets))


@pytest.fixture(scope="module")
def jets():
    return generate_dijets(N_EVENTS, side="data", random_state=SEED)


def test_columns_are_those_of_the_bundled_jets(jets):
    bundled = load_dijets(side="data").data
    assert len(jets) == 2 * N_EVENTS
    assert jets.feature_names == bundled.feature_names
    assert jets.constituent_names == bundled.constituent_names
    assert jets.features.dtype == jets.constituents.dtype == np.float64
    assert list(jets.labels) == list(bundled.labels)
    for name, values in bundled.labels.items():
        assert jets.labels[name].dtype == values.dtype, name
    check_jets(jets)


def test_pairs(jets):
    labels = jets.labels
    event_id = 2 * np.repeat(np.arange(N_EVENTS), 2) + 1
    np.testing.assert_array_equal(labels["event_id"], event_id)
    assert (labels["domain"] == 1).all()
    pt = jets.feature("pt").reshape(-1, 2)
    assert (pt[:, 0] >= pt[:, 1]).all()
    for name in ("weight", "dphi12", "jet3_pt"):
        np.testing.assert_array_equal(labels[name][::2], labels[name][1::2])
    for name in ("mu", "npv"):
        np.testing.assert_array_equal(jets.feature(name)[::2], jets.feature(name)[1::2])


def test_selection(jets):
    pt, eta, phi, mass = jets.features[:, :4].T
    labels = jets.labels
    assert np.abs(eta).max() < 1.5
    assert np.abs(phi).max() <= np.pi
    assert mass.min() >= 0
    np.testing.assert_allclose(
        labels["dphi12"][::2], np.abs(wrap(phi[::2] - phi[1::2]))
    )
    assert labels["dphi12"].min() > 2.7
    mean = pt.reshape(-1, 2).mean(axis=1)
    assert (labels["jet3_pt"][::2] < np.maximum(25, mean / 4)).all()
    assert labels["jet3_pt"].min() >= 0
    assert set(labels["parton"]) <= {0, *range(-5, 6), 21}
    # unbiased weights: 1 at pTHat = 100 GeV
    assert labels["weight"].max() < (100 / 80) ** 4.8 * 1.01
    assert labels["truth_pt"].min() > 10


def test_towers(jets):
    np.testing.assert_array_equal(jets.counts, np.minimum(jets.feature("n_tower"), 30))
    pt, eta, phi, em_fraction = jets.constituents.T
    assert pt.min() > 0.4
    same_jet = np.diff(jets.jet_index) == 0
    assert np.diff(pt)[same_jet].max() <= 0
    axis = jets.features[jets.jet_index]
    distance = np.hypot(eta - axis[:, 1], wrap(phi - axis[:, 2]))
    assert distance.max() < 0.6
    total = sum_towers(jets, pt)
    complete = jets.feature("n_tower") <= 30
    shares = jets.features[:, 4:9]
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    em = sum_towers(jets, pt * em_fraction) / total
    # of energies, not of pT
    np.testing.assert_allclose(
        em[complete], shares[complete, :2].sum(axis=1), atol=0.05
    )
    width = sum_towers(jets, pt * distance) / total
    np.testing.assert_allclose(jets.feature("w_calo")[complete], width[complete])
    # pile-up is in the jet but not in its towers
    offset = (jets.feature("pt") - total)[complete]
    assert np.abs(offset).max() < 25
    assert abs(np.median(offset)) < 2


def test_tracks_and_segments(jets):
    n_track, charged = jets.feature("n_track"), jets.feature("f_charged")
    np.testing.assert_array_equal(n_track == 0, charged == 0)
    assert (jets.feature("lead_track_frac") <= charged).all()
    assert jets.feature("w_track").max() < 0.4
    assert 0.4 < np.median(charged) < 1
    segments = jets.feature("n_segments")
    np.testing.assert_array_equal(segments, np.round(segments))


def test_file_has_the_events_of_the_seed_and_tells_their_making(tmp_path):
    arguments = {"n_events": 8, "random_state": 3}
    path = generate_dijets(**arguments, path=tmp_path / "jets.parquet")
    np.testing.assert_array_equal(
        read_parquet(path).labels["event_id"], 2 * np.repeat(np.arange(8), 2)
    )
    assert read_parquet(path) == generate_dijets(**arguments)
    (recipe,) = read_parquet_metadata(path)["production"]["recipes"]
    assert recipe["tune"] == "Monash 2013"
    assert recipe["cuts"]["detector"]["calorimeter"]["hadronic_response"] == 0.62


def test_hard_partons_are_central():
    source = _RECIPES["sim"].start(1)
    events = source.next_events(20)
    is_hard = events.particles["status"] == -23
    px, py, pz, _ = events.momenta[is_hard].T
    assert len(px) == 40
    assert np.abs(np.arcsinh(pz / np.hypot(px, py))).max() < 1.6
    assert events.info["pt_hat"].min() > 80
    np.testing.assert_allclose(
        events.info["weight"], (100 / events.info["pt_hat"]) ** 4.8, rtol=1e-3
    )


def test_unknown_side():
    with pytest.raises(ValueError, match=r"side must be one of .*got 'mc'"):
        generate_dijets(10, side="mc")


# Medians of measured over true pT in bins, widths relative to them, and their errors.
def resolution_curve(jets):
    truth = jets.labels["truth_pt"]
    response = jets.feature("pt") / truth
    rows = []
    for low, high in pairwise(EDGES):
        chosen = response[(truth > low) & (truth < high)]
        below, median, above = np.quantile(chosen, [0.16, 0.5, 0.84])
        width = (above - below) / (2 * median)
        rows.append((median, width, width / np.sqrt(len(chosen))))
    return np.array(rows).T


@pytest.fixture(scope="module")
def large():
    return {
        name: generate_dijets(2000, side=name, random_state=1)
        for name in ("sim", "data")
    }


@pytest.fixture(scope="module")
def old(data_dir):
    return {
        name: load_dijets(side=name, path=data_dir).data for name in ("sim", "data")
    }


@pytest.mark.slow
def test_response_and_resolution(large, old):
    for name, jets in large.items():
        median, width, error = resolution_curve(jets)
        old_median, old_width, _ = resolution_curve(old[name])
        tolerance = 4 * median * error + 0.02
        assert (np.abs(median - old_median) < tolerance).all(), name
        assert width.mean() == pytest.approx(old_width.mean(), rel=0.1), name
        assert (np.abs(width - old_width) < 4 * error + 0.01).all(), name


@pytest.mark.slow
def test_simulation_in_figures(large):
    median, _, error = resolution_curve(large["sim"])
    assert median[0] == pytest.approx(0.705, abs=4 * error[0] + 0.01)
    assert median[-1] == pytest.approx(0.783, abs=4 * error[-1] + 0.01)
    table = closure_table(
        large["sim"].labels["truth_pt"],
        large["sim"].feature("pt"),
        bins=EDGES,
        n_bootstrap=2,
        random_state=0,
    )
    assert table["jer"].mean() == pytest.approx(0.0750, abs=0.006)


@pytest.mark.slow
def test_data_are_lower_and_wider(large):
    medians, widths, _ = zip(
        *(resolution_curve(jets) for jets in large.values()), strict=True
    )
    shift = np.mean(medians[1] / medians[0]) - 1
    assert shift == pytest.approx(-0.06, abs=0.015)
    assert np.mean(widths[1] / widths[0]) > 1.15


@pytest.mark.slow
def test_events(large):
    for jets in large.values():
        truth = jets.labels["truth_pt"].reshape(-1, 2)
        asymmetry = 2 * (truth[:, 0] - truth[:, 1]) / truth.sum(axis=1)
        # looser selections give 12 to 13 per cent
        assert asymmetry.std() / np.sqrt(2) == pytest.approx(0.107, abs=0.01)
        gluons = np.mean(jets.labels["parton"] == 21)
        assert gluons == pytest.approx(0.51, abs=0.03)
        assert np.mean(jets.labels["parton"] == 0) < 0.03


@pytest.mark.slow
def test_features_are_those_of_the_old_sample(large, old):
    for name, jets in large.items():
        for names, rel in (
            (("mu", "npv"), 0.03),
            (("f_em12", "f_em3", "f_tile0", "f_charged", "n_track"), 0.1),
            (("w_track", "w_calo", "n_tower", "mass"), 0.1),
            (("f_tile1", "n90"), 0.2),
        ):
            means = [[j.feature(n).mean() for n in names] for j in (jets, old[name])]
            np.testing.assert_allclose(*means, rtol=rel, err_msg=f"{name} {names}")
