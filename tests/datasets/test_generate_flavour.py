import numpy as np
import pytest

from sklearn_hepcal.datasets import generate_flavour_jets, load_flavour_jets
from sklearn_hepcal.datasets._generate_flavour import _RECIPES
from sklearn_hepcal.jets import (
    check_jets,
    read_ftag_h5,
    read_parquet,
    read_parquet_metadata,
)

for package in ("pythia8mc", "fastjet"):
    pytest.importorskip(package)

SEED = 11
FLAVOURS = {"b": 5, "c": 4, "light": 0}


@pytest.fixture(scope="module")
def bundled():
    return load_flavour_jets().data


@pytest.fixture(scope="module")
def jets():
    return generate_flavour_jets(200, random_state=SEED)


def test_columns_are_those_of_the_bundled_jets(jets, bundled):
    assert len(jets) == 200
    assert jets.feature_names == bundled.feature_names
    assert jets.constituent_names == bundled.constituent_names
    assert jets.features.dtype == jets.constituents.dtype == np.float64
    for name in ("labels", "constituent_labels"):
        made, reference = getattr(jets, name), getattr(bundled, name)
        assert list(made) == list(reference)
        for label, values in reference.items():
            assert made[label].dtype == values.dtype, label
    check_jets(jets, min_constituents=0)


def test_jets_pass_the_cuts(jets):
    pt, eta = jets.features.T
    labels = jets.labels
    assert pt.min() > 20
    assert np.abs(eta).max() < 2.5
    assert np.abs(labels["phi"]).max() <= np.pi
    assert set(labels["HadronConeExclTruthLabelID"]) == {0, 4, 5}
    np.testing.assert_array_equal(labels["n_tracks"], jets.counts)
    assert (np.diff(labels["eventNumber"]) >= 0).all()
    is_b, is_c = (labels["HadronConeExclTruthLabelID"] == f for f in (5, 4))
    np.testing.assert_array_equal(labels["n_truth_b"] > 0, is_b)
    assert labels["n_truth_c"][is_c].min() > 0
    assert labels["hadron_pt"][is_b | is_c].min() > 5
    assert labels["hadron_pt"][~(is_b | is_c)].max() == 0


def test_columns_of_tracks_fit_together(jets):
    column = {name: jets.constituent(name) for name in jets.constituent_names}
    axis = jets.features[jets.jet_index]
    np.testing.assert_allclose(column["ptfrac"], column["pt"] / axis[:, 0])
    np.testing.assert_allclose(column["dr"], np.hypot(column["deta"], column["dphi"]))
    cosh = np.cosh(axis[:, 1] + column["deta"])
    np.testing.assert_allclose(np.abs(column["qOverP"]), 1 / (column["pt"] * cosh))
    assert (column["dr"] < 0.239 + np.exp(-1.22 - 0.0164 * axis[:, 0])).all()
    assert np.abs(column["d0"]).max() < 3.5
    assert np.abs(column["z0SinTheta"]).max() < 5
    for name, x, angle in (("d0", "d0", "dphi"), ("z0", "z0SinTheta", "deta")):
        signed = -np.sign(column[angle]) * column[x] / column[f"{x}Uncertainty"]
        np.testing.assert_allclose(column[f"signed_{name}_significance"], signed)
    same_jet = np.diff(jets.jet_index) == 0
    rise = np.diff(np.abs(column["signed_d0_significance"]))
    assert rise[same_jet].max() <= 0
    assert jets.counts.max() <= 40


# The measured momentum is the only one that the columns know.
def test_errors_do_not_tell_the_true_momentum(jets):
    pt = jets.constituent("pt")
    relative = jets.constituent("qOverPUncertainty") / np.abs(
        jets.constituent("qOverP")
    )
    np.testing.assert_allclose(relative, np.hypot(0.01, 4e-4 * pt))
    np.testing.assert_allclose(jets.constituent("phiUncertainty"), 1e-4 + 1e-3 / pt)


def test_tracks_of_b_jets_come_from_b_hadrons(jets):
    origin = jets.constituent_labels["ftagTruthOriginLabel"]
    vertex = jets.constituent_labels["ftagTruthVertexIndex"]
    flavour = jets.labels["HadronConeExclTruthLabelID"][jets.jet_index]
    assert (vertex[origin == 2] == 0).all()
    assert np.isin(origin[flavour == 5], [3, 4]).mean() > 0.45
    assert np.isin(origin[flavour == 0], [2, 7]).mean() > 0.95
    displaced = jets.constituent("signed_d0_significance") > 3
    assert displaced[np.isin(origin, [3, 4])].mean() > 0.4
    assert displaced[origin == 2].mean() < 0.03


def test_file_has_the_jets_of_the_seed_and_tells_their_making(tmp_path):
    arguments = {"n_jets": 25, "side": "data", "random_state": 3}
    path = generate_flavour_jets(**arguments, path=tmp_path / "jets.parquet")
    assert read_parquet(path) == generate_flavour_jets(**arguments)
    (recipe,) = read_parquet_metadata(path)["production"]["recipes"]
    assert recipe["tune"] == "A14"
    assert "StringZ:rFactB = 1.3" in recipe["settings"]
    assert recipe["cuts"]["tracker"]["impact_scale"] == 1.3


def test_b_hadrons_of_data_live_longer():
    import pythia8mc

    pythia = pythia8mc.Pythia("", False)
    pythia.readString("Print:quiet = on")
    lines = [line for line in _RECIPES["data"].settings if ":tau0" in line]
    assert len(lines) == 8
    for line in lines:
        pdg_id, value = line.split(":tau0 = ")
        nominal = pythia.particleData.tau0(int(pdg_id))
        assert float(value) == pytest.approx(1.03 * nominal, rel=1e-5)


def test_unknown_side():
    with pytest.raises(ValueError, match=r"side must be one of .*got 'mc'"):
        generate_flavour_jets(10, side="mc")


@pytest.fixture(scope="module")
def large():
    return {
        side: generate_flavour_jets(8000, side=side, random_state=1)
        for side in ("sim", "data")
    }


def shares_of(jets, values):
    flavour = jets.labels["HadronConeExclTruthLabelID"][jets.jet_index]
    return {name: values[flavour == f].mean() for name, f in FLAVOURS.items()}


# Tracks of a jet belong together: as if there were half as many.
def share_error(share, jets, name):
    flavour = jets.labels["HadronConeExclTruthLabelID"][jets.jet_index]
    n = np.sum(flavour == FLAVOURS[name]) / 2
    return np.sqrt(share * (1 - share) / n)


@pytest.mark.slow
def test_displaced_tracks(large):
    jets = large["sim"]
    significance = jets.constituent("signed_d0_significance")
    for values, expected in (
        (significance > 3, {"b": 0.364, "c": 0.120, "light": 0.021}),
        (significance < -3, {"b": 0.044, "c": 0.029, "light": 0.017}),
    ):
        for name, share in shares_of(jets, values).items():
            error = share_error(expected[name], jets, name)
            assert share == pytest.approx(expected[name], abs=4 * error + 0.001), name


@pytest.mark.slow
def test_origins(large):
    jets = large["sim"]
    origin = jets.constituent_labels["ftagTruthOriginLabel"]
    for code, name, expected in (
        (2, "b", 0.38),
        (3, "b", 0.24),
        (4, "b", 0.36),
        (2, "c", 0.63),
        (5, "c", 0.35),
        (2, "light", 0.97),
    ):
        share = shares_of(jets, origin == code)[name]
        error = share_error(expected, jets, name)
        assert share == pytest.approx(expected, abs=4 * error + 0.01), (code, name)


@pytest.mark.slow
def test_distributions_are_those_of_the_old_sample(large, data_dir):
    jets, old = large["sim"], read_ftag_h5(data_dir / "flavour_sim.h5")
    for j in (jets, old):
        assert j.feature_names == ("pt", "eta")
    flavours = {
        key: j.labels["HadronConeExclTruthLabelID"]
        for key, j in (("new", jets), ("old", old))
    }
    for name, f in FLAVOURS.items():
        new, ref = flavours["new"] == f, flavours["old"] == f
        share, expected = new.mean(), ref.mean()
        assert share == pytest.approx(expected, abs=0.02), name
        for column in ("n_tracks", "mass", "hadron_pt", "hadron_Lxy"):
            made, reference = jets.labels[column][new], old.labels[column][ref]
            error = np.hypot(*(x.std() / np.sqrt(len(x)) for x in (made, reference)))
            scale = max(reference.mean(), 1e-9)
            assert abs(made.mean() - reference.mean()) < 4 * error + 0.03 * scale, (
                column,
                name,
            )
        response = [
            np.median((j.feature("pt") / j.labels["pt_truth"])[rows])
            for j, rows in ((jets, new), (old, ref))
        ]
        assert response[0] == pytest.approx(response[1], abs=0.015), name
    # widths of tracks from the collision
    for column in ("d0", "z0SinTheta", "dr", "pt", "d0Uncertainty"):
        quantiles = []
        for j in (jets, old):
            primary = j.constituent_labels["ftagTruthOriginLabel"] == 2
            values = np.abs(j.constituent(column)[primary].astype(float))
            quantiles.append(np.quantile(values, [0.3, 0.68, 0.9]))
        np.testing.assert_allclose(*quantiles, rtol=0.06, err_msg=column)


@pytest.mark.slow
def test_data_are_measured_worse(large):
    pulls, n_tracks = {}, {}
    for side, jets in large.items():
        primary = jets.constituent_labels["ftagTruthOriginLabel"] == 2
        pull = jets.constituent("d0") / jets.constituent("d0Uncertainty")
        pulls[side] = np.quantile(np.abs(pull[primary]), 0.68)
        n_tracks[side] = jets.counts.mean()
    assert pulls["sim"] == pytest.approx(1.09, abs=0.03)
    # the error of the collision is that of simulation
    assert 1.22 < pulls["data"] / pulls["sim"] < 1.3
    assert n_tracks["data"] < n_tracks["sim"]
