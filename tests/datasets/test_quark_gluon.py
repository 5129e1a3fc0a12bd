from importlib import resources

import numpy as np
import pytest
from bundle_versions import require_generator_of
from sklearn.metrics import roc_auc_score

from sklearn_hepcal.datasets import (
    generate_quark_gluon_jets,
    load_quark_gluon_jets,
)
from sklearn_hepcal.jets import Jets, check_jets, relative_constituents

LABELS = ("pt", "y", "phi", "mass", "pt_hat", "parton_pt", "quark")
MASSES = {
    **{11: 0.000511, 13: 0.105658, 22: 0.0, 130: 0.497611},
    **{211: 0.139570, 321: 0.493677, 2112: 0.939565, 2212: 0.938272},
}


def wrap(angle):
    return (angle + np.pi) % (2 * np.pi) - np.pi


def sum_particles(jets, values):
    return np.bincount(jets.jet_index, values, minlength=len(jets))


@pytest.fixture(scope="module")
def sample():
    return load_quark_gluon_jets()


def check_schema(bunch):
    jets, n = bunch.data, len(bunch.data)
    assert isinstance(jets, Jets)
    assert jets.feature_names == ()
    assert jets.constituent_names == ("pt", "y", "phi", "pdgid")
    assert bunch.constituent_names == list(jets.constituent_names)
    assert bunch.target_names == ["gluon", "quark"]
    assert tuple(jets.labels) == LABELS
    assert jets.constituents.dtype == np.float64
    assert bunch.target.shape == (n,)
    assert bunch.target.dtype == np.int64
    assert bunch.target.flags.writeable
    np.testing.assert_array_equal(bunch.target, jets.labels["quark"])
    assert bunch.DESCR.startswith("Quark and gluon jets")


def check_selection(bunch):
    labels = bunch.data.labels
    assert set(bunch.target) == {0, 1}
    assert 500 <= labels["pt"].min() <= labels["pt"].max() <= 550
    assert np.abs(labels["y"]).max() <= 1.7
    assert np.abs(labels["phi"]).max() <= np.pi
    assert 440 <= labels["pt_hat"].min() <= labels["pt_hat"].max() <= 720
    assert 483 <= labels["parton_pt"].min() <= labels["parton_pt"].max() <= 572


def check_particles(jets):
    pt, y, phi, pdgid = jets.constituents.T
    assert jets.counts.min() >= 1
    assert pt.min() > 0
    same_jet = jets.jet_index[1:] == jets.jet_index[:-1]
    assert (np.diff(pt)[same_jet] <= 0).all()
    assert np.abs(phi).max() <= np.pi
    signed = {11, 13, 211, 321, 2112, 2212}
    assert set(pdgid) == {22, 130, *signed, *(-i for i in signed)}
    # anti-kT jets are cones, but for soft particles between two jets
    dy = y - jets.labels["y"][jets.jet_index]
    dphi = wrap(phi - jets.labels["phi"][jets.jet_index])
    radius = np.hypot(dy, dphi)
    assert radius.max() < 0.6
    assert np.sum(pt[radius > 0.4]) < 1e-4 * np.sum(pt)


# The jet is the sum of its particles, up to a relative rounding of their pT and one of
# the labels of jets in GeV.
def check_sums(jets, rounding, jet_rounding):
    pt, y, phi, pdgid = jets.constituents.T
    species, inverse = np.unique(np.abs(pdgid), return_inverse=True)
    mass = np.array([MASSES[int(i)] for i in species])[inverse]
    transverse_mass = np.hypot(pt, mass)
    px, py, pz, energy = (
        sum_particles(jets, p)
        for p in (
            pt * np.cos(phi),
            pt * np.sin(phi),
            transverse_mass * np.sinh(y),
            transverse_mass * np.cosh(y),
        )
    )
    total_pt = np.hypot(px, py)
    total_mass = np.sqrt(np.maximum(energy**2 - pz**2 - total_pt**2, 0))
    labels = jets.labels
    atol = jet_rounding + 1e-4
    np.testing.assert_allclose(total_pt, labels["pt"], rtol=1.1 * rounding, atol=atol)
    np.testing.assert_allclose(
        total_mass, labels["mass"], rtol=3 * rounding, atol=atol + 0.01
    )
    assert np.abs(np.arctanh(pz / energy) - labels["y"]).max() < 5e-5
    assert np.abs(wrap(np.arctan2(py, px) - labels["phi"])).max() < 5e-5


def standard_error(auc, n):
    """Hanley and McNeil's error of an AUC for n jets of either kind."""
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    return np.sqrt((auc * (1 - auc) + (n - 1) * (q1 + q2 - 2 * auc**2)) / n**2)


def check_separation(bunch):
    n = len(bunch.target) / 2
    for discriminant, expected in (
        (bunch.data.counts, 0.844),
        (bunch.data.labels["mass"], 0.746),
        (bunch.data.labels["pt"], 0.494),
    ):
        auc = roc_auc_score(bunch.target, -discriminant)
        assert abs(auc - expected) < 3 * standard_error(expected, n) + 0.0005


def test_schema(sample):
    check_schema(sample)
    assert np.bincount(sample.target).tolist() == [3200, 3200]
    counts = sample.data.counts
    for text in (
        f"{len(sample.data):,} (3,200 quark, 3,200 gluon)",
        f"{counts.mean():.1f} a jet on average ({counts[sample.target == 1].mean():.1f}"
        f" quark, {counts[sample.target == 0].mean():.1f} gluon)",
        f"from {counts.min()} to {counts.max()}",
    ):
        assert text in " ".join(sample.DESCR.split())


def test_values_are_physical(sample):
    check_selection(sample)
    check_particles(sample.data)


def test_particles_add_up_to_the_jet(sample):
    check_sums(sample.data, rounding=0.0005, jet_rounding=0.005)


def test_separation_is_as_described(sample):
    check_separation(sample)


def test_angles_keep_their_resolution(sample):
    jets = sample.data
    for name in ("y", "phi"):
        axis = jets.labels[name][jets.jet_index]
        steps = wrap(jets.constituent(name) - axis) * 5e4
        np.testing.assert_allclose(steps, np.round(steps), atol=1e-6)
        # a coarser grid would leave out some of the remainders
        assert set(np.round(steps).astype(int) % 10) == set(range(10))


def test_jets_across_the_boundary_of_phi_stay_together(sample):
    jets = sample.data
    phi = jets.constituent("phi")
    highest = np.maximum.reduceat(phi, jets.offsets[:-1])
    lowest = np.minimum.reduceat(phi, jets.offsets[:-1])
    cut = highest - lowest > np.pi
    assert cut.sum() > 100
    assert np.abs(relative_constituents(jets[cut]).dphi).max() < 0.6


def test_padded_arrays_are_read_as_they_are(sample):
    jets = sample.data[:50]
    padded, _ = jets.to_padded()
    read = check_jets(padded, require="constituents")
    np.testing.assert_array_equal(read.constituents, jets.constituents)
    np.testing.assert_array_equal(read.offsets, jets.offsets)


def test_return_X_y(sample):
    X, y = load_quark_gluon_jets(return_X_y=True)
    assert sample.data == X
    np.testing.assert_array_equal(y, sample.target)


def test_first_jets(sample):
    bunch = load_quark_gluon_jets(n_jets=1000)
    check_schema(bunch)
    assert bunch.data == sample.data[:1000]
    np.testing.assert_array_equal(bunch.target, sample.target[:1000])
    # a fair sample
    assert abs(bunch.target.sum() - 500) < 3 * np.sqrt(1000 / 4)


@pytest.mark.parametrize(
    ("n_jets", "error", "message"),
    [
        (0, ValueError, "n_jets == 0, must be >= 1"),
        (6401, ValueError, "n_jets == 6401, must be <= 6400"),
        (10.5, TypeError, "n_jets must be an instance of"),
    ],
)
def test_wrong_number_of_jets(n_jets, error, message):
    with pytest.raises(error, match=message):
        load_quark_gluon_jets(n_jets=n_jets)


def test_bundled_file_is_small():
    path = resources.files("sklearn_hepcal.datasets") / "data" / "quark_gluon.npz"
    assert len(path.read_bytes()) < 1.5e6


# Two jets of two particles and one.
@pytest.fixture
def folder(tmp_path):
    arrays = {
        "offsets": np.array([0, 2, 3]),
        "label": np.array([0, 1], dtype=np.int8),
        "jet": np.array(
            [[510, 1, 3.125, 40, 500, 505, 9], [520, -1, -3.125, 8, 600, 605, 9]],
            dtype=np.float32,
        ),
        "pt_log": np.array([60000, 40000, 62000], dtype=np.uint16),
        "dy": np.array([5000, -25000, 0], dtype=np.int16),
        "dphi": np.array([-5000, 25000, -2], dtype=np.int16),
        "pid": np.array([1, 0, 1], dtype=np.int8),
        "pdg": np.array([-211, 22], dtype=np.int32),
    }
    np.savez(tmp_path / "qg_jets.npz", **arrays)
    return tmp_path, arrays


def test_other_folder(folder):
    path, arrays = folder
    bunch = load_quark_gluon_jets(path=path)
    check_schema(bunch)
    jets = bunch.data
    np.testing.assert_array_equal(jets.counts, [2, 1])
    np.testing.assert_array_equal(bunch.target, [0, 1])
    expected = {
        "pt": 1e-4 * np.exp([15.0, 10.0, 15.5]),
        "y": [1.1, 0.5, -1],
        "phi": [3.025, 3.625 - 2 * np.pi, -3.12504],
        "pdgid": [22, -211, 22],
    }
    for name, values in expected.items():
        np.testing.assert_allclose(jets.constituent(name), values, rtol=1e-12)
    for name, values in zip(LABELS[:-1], arrays["jet"].T, strict=False):
        np.testing.assert_array_equal(jets.labels[name], values)
    assert load_quark_gluon_jets(path=path, n_jets=1).data == jets[:1]


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"qg_jets\.npz"):
        load_quark_gluon_jets(path=tmp_path)


def test_missing_array(folder):
    path, arrays = folder
    del arrays["pid"]
    np.savez(path / "qg_jets.npz", **arrays)
    with pytest.raises(ValueError, match=r"qg_jets.npz .* hold .*'pid'"):
        load_quark_gluon_jets(path=path)


def assert_within_half(step, value, reference):
    assert np.abs(value - reference).max() <= step / 2 * (1 + 1e-6)


@pytest.mark.slow
def test_bundled_jets_are_generated_ones(sample):
    require_generator_of("quark_gluon.npz")
    full = generate_quark_gluon_jets(1000, random_state=0)
    jets = sample.data[:1000]
    np.testing.assert_array_equal(jets.offsets, full.offsets)
    np.testing.assert_array_equal(jets.labels["quark"], full.labels["quark"])
    np.testing.assert_array_equal(jets.constituent("pdgid"), full.constituent("pdgid"))
    for step, names in (
        (0.001, ("y", "phi")),
        (0.01, ("pt", "mass")),
        (0.1, ("pt_hat", "parton_pt")),
    ):
        for name in names:
            difference = jets.labels[name] - full.labels[name]
            assert_within_half(
                step, wrap(difference) if name == "phi" else difference, 0
            )
    log_pt = np.log(jets.constituent("pt"))
    assert_within_half(0.001, log_pt, np.log(full.constituent("pt")))
    for name in ("y", "phi"):
        distance, reference = (
            wrap(j.constituent(name) - j.labels[name][j.jet_index])
            for j in (jets, full)
        )
        assert_within_half(2e-5, distance, reference)


def test_full_file(data_dir):
    bunch = load_quark_gluon_jets(path=data_dir)
    check_schema(bunch)
    check_selection(bunch)
    check_particles(bunch.data)
    check_sums(bunch.data, rounding=0.000125, jet_rounding=0)
    check_separation(bunch)
    assert len(bunch.data) == 92400
    assert bunch.target.mean() == 0.5


def test_path_is_a_folder(tmp_path):
    file = tmp_path / "qg_jets.npz"
    file.touch()
    with pytest.raises(ValueError, match="path must be the folder that holds"):
        load_quark_gluon_jets(path=file)
