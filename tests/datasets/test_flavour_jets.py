from importlib import resources

import numpy as np
import pytest
from bundle_versions import require_generator_of

from sklearn_hepcal.datasets import generate_flavour_jets, load_flavour_jets
from sklearn_hepcal.jets import Jets, read_ftag_h5, write_ftag_h5

CONSTITUENTS = (
    *("pt", "qOverP", "deta", "dphi", "dr", "ptfrac", "d0", "z0SinTheta"),
    *("d0Uncertainty", "z0SinThetaUncertainty", "qOverPUncertainty"),
    *("phiUncertainty", "thetaUncertainty"),
    *("signed_d0_significance", "signed_z0_significance"),
    *("numberOfInnermostPixelLayerHits", "numberOfPixelHits", "numberOfSCTHits"),
    "leptonID",
)
HITS = CONSTITUENTS[-4:]
COUNTS = (
    *("eventNumber", "HadronConeExclTruthLabelID"),
    *("n_tracks", "n_truth_b", "n_truth_c"),
)
LABELS = {*COUNTS, "phi", "mass", "pt_truth", "hadron_pt", "hadron_Lxy"}
TRACK_LABELS = ("ftagTruthOriginLabel", "ftagTruthVertexIndex")
FLAVOURS = {"light": 0, "c": 4, "b": 5}


def wrap(angle):
    return (angle + np.pi) % (2 * np.pi) - np.pi


@pytest.fixture(scope="module")
def sample():
    return load_flavour_jets()


@pytest.fixture(scope="module")
def jets(sample):
    return sample.data


def test_schema(sample, jets):
    assert isinstance(jets, Jets)
    assert jets.feature_names == ("pt", "eta") == tuple(sample.feature_names)
    assert jets.constituent_names == CONSTITUENTS == tuple(sample.constituent_names)
    assert set(jets.labels) == LABELS
    assert tuple(jets.constituent_labels) == TRACK_LABELS
    for name in COUNTS:
        assert jets.labels[name].dtype == np.int64
    for name in TRACK_LABELS:
        assert jets.constituent_labels[name].dtype == np.int64
    target = sample.target
    np.testing.assert_array_equal(target, jets.labels["HadronConeExclTruthLabelID"])
    np.testing.assert_array_equal(sample.event_id, jets.labels["eventNumber"])
    assert target.flags.writeable
    assert sample.event_id.flags.writeable
    assert sample.target_names == list(FLAVOURS)


def test_description_has_the_numbers_of_the_sample(sample, jets):
    text = " ".join(sample.DESCR.split())
    assert text.startswith("Jets with tracks")
    sizes = {name: np.sum(sample.target == f) for name, f in FLAVOURS.items()}
    tracks = {n: jets.counts[sample.target == f].mean() for n, f in FLAVOURS.items()}
    for phrase in (
        f"{len(jets):,} of {len(np.unique(sample.event_id)):,} events "
        f"({sizes['b']:,} b, {sizes['c']:,} c, {sizes['light']:,} light)",
        f"up to {jets.counts.max()} tracks, {jets.counts.mean():.1f} a jet on average "
        f"({tracks['b']:.1f} b, {tracks['c']:.1f} c, {tracks['light']:.1f} light), "
        f"none in {np.sum(jets.counts == 0)} jets",
    ):
        assert phrase in text


def test_jets_are_physical(sample, jets):
    pt, eta = jets.features.T
    labels = jets.labels
    assert pt.min() > 20
    assert np.abs(eta).max() <= 2.5
    assert np.abs(labels["phi"]).max() <= np.pi
    assert labels["mass"].min() > -1e-9
    np.testing.assert_array_equal(labels["n_tracks"], jets.counts)
    assert (np.diff(sample.event_id) >= 0).all()
    # what a hadron of the flavour says
    light, c, b = (sample.target == f for f in FLAVOURS.values())
    assert (light | c | b).all()
    assert labels["n_truth_b"][b].min() == 1
    assert labels["n_truth_b"][~b].max() == 0
    assert labels["n_truth_c"][c].min() == 1
    assert labels["n_truth_c"][light].max() == 0
    assert np.abs(labels["hadron_pt"][light]).max() < 1e-9
    assert labels["hadron_pt"][~light].min() > 5 - 0.02
    assert np.abs(labels["hadron_Lxy"][light]).max() < 1e-9


def test_tracks_are_physical(jets):
    columns = {name: jets.constituent(name) for name in CONSTITUENTS}
    assert np.isfinite(jets.constituents).all()
    pt, sine = columns["pt"], columns["qOverP"] * columns["pt"]
    # the cuts were made before tracks were smeared and rounded
    assert pt.min() > 0.48
    assert np.abs(columns["d0"]).max() < 3.5 * 1.01
    assert np.abs(columns["z0SinTheta"]).max() < 5 * 1.01
    jet_pt, jet_eta = jets.features[jets.jet_index].T
    assert columns["dr"].max() < 0.239 + np.exp(-1.22 - 0.0164 * 20)
    np.testing.assert_allclose(columns["ptfrac"], pt / jet_pt, rtol=1e-12)
    np.testing.assert_allclose(np.abs(sine), 1 / np.cosh(jet_eta + columns["deta"]))
    assert abs(np.sign(sine).mean()) < 3 / np.sqrt(len(sine))
    for name, angle, x in (("d0", "dphi", "d0"), ("z0", "deta", "z0SinTheta")):
        significance = columns[f"signed_{name}_significance"]
        signed = -np.sign(columns[angle]) * columns[x] / columns[f"{x}Uncertainty"]
        np.testing.assert_allclose(significance, signed)
    for name, values in (
        ("numberOfInnermostPixelLayerHits", {0, 1}),
        ("numberOfPixelHits", {2, 3, 4}),
        ("numberOfSCTHits", {5, 6, 7, 8}),
        ("leptonID", {0, 1, 2}),
    ):
        assert set(columns[name]) == values
    same_jet = jets.jet_index[1:] == jets.jet_index[:-1]
    falling = np.diff(np.abs(columns["signed_d0_significance"]))[same_jet]
    assert falling.max() < 0.05 + 1e-9


def test_labels_of_tracks_fit_the_flavours(sample, jets):
    origin, vertex = (jets.constituent_labels[name] for name in TRACK_LABELS)
    assert set(origin) == {2, 3, 4, 5, 6, 7}
    assert vertex.min() == 0
    light, c, b = (sample.target[jets.jet_index] == f for f in FLAVOURS.values())
    # light jets may hold tracks of hadrons that belong to another jet
    assert np.isin(origin[light], [2, 7]).mean() > 0.97
    assert np.mean(origin[b] == 4) > np.mean(origin[b] == 3) > 0.2
    assert np.mean(origin[c] == 5) > 0.3
    assert np.mean(vertex[origin == 2] == 0) > 0.99


def test_flavours_separate_as_described(sample, jets):
    significance = jets.constituent("signed_d0_significance")
    of_track = sample.target[jets.jet_index]
    flight = jets.labels["hadron_Lxy"]
    for name, above, below in (
        ("b", 0.361, 0.042),
        ("c", 0.118, 0.030),
        ("light", 0.0199, 0.0171),
    ):
        values = significance[of_track == FLAVOURS[name]]
        for share, expected in ((values > 3, above), (values < -3, below)):
            # tracks of a jet belong together
            error = np.sqrt(expected / len(values))
            assert abs(share.mean() - expected) < 4 * error + 0.0005
    # of 104,000 other jets
    for name, median in (("b", 3.18), ("c", 1.58)):
        values = flight[sample.target == FLAVOURS[name]]
        error = np.median(values) / np.log(2) / np.sqrt(len(values))
        assert np.median(values) == pytest.approx(median, abs=4 * error)
    response = jets.feature("pt") / jets.labels["pt_truth"]
    for name, median in (("b", 0.950), ("light", 1.005)):
        measured = np.median(response[sample.target == FLAVOURS[name]])
        assert measured == pytest.approx(median, abs=0.005)


def test_jets_read_like_a_file_of_atlas(jets, tmp_path):
    pytest.importorskip("h5py")
    path = tmp_path / "jets.h5"
    some = jets[:200]
    write_ftag_h5(path, some)
    again = read_ftag_h5(path)
    assert again.feature_names == some.feature_names
    assert again.constituent_names == some.constituent_names
    np.testing.assert_array_equal(again.constituents, some.constituents)
    assert set(again.labels) == LABELS
    assert set(again.constituent_labels) == set(TRACK_LABELS)


def test_return_X_y(sample, jets):
    X, y = load_flavour_jets(return_X_y=True)
    assert jets == X
    np.testing.assert_array_equal(y, sample.target)


def test_first_jets(sample, jets):
    first = load_flavour_jets(n_jets=1000)
    assert first.data == jets[:1000]
    for name in ("target", "event_id"):
        np.testing.assert_array_equal(first[name], sample[name][:1000])
    # a fair sample
    share = np.mean(sample.target == 5)
    error = np.sqrt(share * (1 - share) / 1000)
    assert abs(np.mean(first.target == 5) - share) < 3 * error


@pytest.mark.parametrize(
    ("n_jets", "error", "message"),
    [
        (0, ValueError, "n_jets == 0, must be >= 1"),
        (22001, ValueError, "n_jets == 22001, must be <= 22000"),
        (10.5, TypeError, "n_jets must be an instance of"),
    ],
)
def test_wrong_number_of_jets(n_jets, error, message):
    with pytest.raises(error, match=message):
        load_flavour_jets(n_jets=n_jets)


def test_bundled_file_is_small():
    path = resources.files("sklearn_hepcal.datasets") / "data" / "flavour_jets.npz"
    assert len(path.read_bytes()) < 1.4e6


def assert_within_half(step, value, reference):
    assert np.abs(value - reference).max() <= step / 2 * (1 + 1e-3)


@pytest.mark.slow
def test_bundled_jets_are_generated_ones(jets):
    require_generator_of("flavour_jets.npz")
    full = generate_flavour_jets(4000, random_state=0)
    jets = jets[: len(full)]
    assert jets.feature_names == full.feature_names
    assert jets.constituent_names == full.constituent_names
    assert set(jets.labels) == set(full.labels)
    np.testing.assert_array_equal(jets.offsets, full.offsets)
    for name in COUNTS:
        np.testing.assert_array_equal(jets.labels[name], full.labels[name])
    for name in TRACK_LABELS:
        np.testing.assert_array_equal(
            jets.constituent_labels[name], full.constituent_labels[name]
        )
    for name in HITS:
        np.testing.assert_array_equal(jets.constituent(name), full.constituent(name))
    check_jets_within_steps(jets, full)
    check_tracks_within_steps(jets, full)


def check_jets_within_steps(jets, full):
    for value, reference in (
        (jets.feature("pt"), full.feature("pt")),
        (jets.labels["pt_truth"], full.labels["pt_truth"]),
    ):
        assert_within_half(0.001, np.log(value), np.log(reference.astype(float)))
    assert_within_half(0.001, jets.feature("eta"), full.feature("eta"))
    assert_within_half(0.001, wrap(jets.labels["phi"] - full.labels["phi"]), 0)
    for name, step in (("mass", 0.001), ("hadron_pt", 0.005), ("hadron_Lxy", 0.005)):
        value, reference = jets.labels[name], full.labels[name].astype(float)
        assert_within_half(step, np.log1p(value), np.log1p(reference))


def check_tracks_within_steps(jets, full):
    # the momentum has the rounding of ptfrac, the angle to the beam those of two etas
    relative = {
        "pt": 0.004,
        "ptfrac": 0.005,
        "qOverP": 0.0055,
        "d0Uncertainty": 0.01,
        "z0SinThetaUncertainty": 0.01,
        "qOverPUncertainty": 0.0055,
        "phiUncertainty": 0.004,
        "thetaUncertainty": 0.004,
    }
    for name, step in relative.items():
        value, reference = (j.constituent(name).astype(float) for j in (jets, full))
        np.testing.assert_array_equal(np.sign(value), np.sign(reference))
        assert_within_half(step, np.log(np.abs(value)), np.log(np.abs(reference)))
    for name, step in (("deta", 0.0005), ("dphi", 0.0005), ("dr", 0.00071)):
        assert_within_half(step, jets.constituent(name), full.constituent(name))
    for x, name in (("d0", "d0"), ("z0SinTheta", "z0")):
        significance = f"signed_{name}_significance"
        value, reference = (
            jets.constituent(significance),
            full.constituent(significance),
        )
        assert_within_half(0.05, value, reference)
        np.testing.assert_array_equal(np.sign(value), np.sign(reference))
        # the product has the roundings of both factors
        value, reference = jets.constituent(x), full.constituent(x)
        bound = 0.0251 * jets.constituent(f"{x}Uncertainty") + 0.0051 * np.abs(
            reference
        )
        assert (np.abs(value - reference) <= bound).all()
