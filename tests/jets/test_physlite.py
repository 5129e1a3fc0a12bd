import re

import awkward as ak
import numpy as np
import pytest
import uproot
from root_files import KINDS, lists, write_root

from sklearn_hepcal.calibration import OTCalibrator, SimplexTransformer
from sklearn_hepcal.jets import Jets, iterate_physlite, read_physlite
from sklearn_hepcal.jets._physlite import PHYSLITE, container_key

JETS, TRUE = "AnalysisJetsAuxDyn", "AntiKt4TruthDressedWZJets"
TAGS = "BTagging_AntiKt4EMPFlow"
SCORES = ("GN2v00_pb", "GN2v00_pc", "GN2v00_pu", "DL1dv01_pb")
# the key that a file of ATLAS has for the b-tagging of its jets
TAGS_KEY = 582299515
JET_CLASS = 1244316195


# Write element links: branches of a TTree, records of an RNTuple.
def links(name, key, index, kind):
    key, index = (ak.values_astype(values, np.uint32) for values in (key, index))
    parts = {"m_persKey": key, "m_persIndex": index}
    if kind == "RNTuple":
        return {name: ak.zip(parts)}
    return {f"{name}.{part}": parts[part] for part in parts}


# Return random events in the layout of PHYSLITE, the first without jets.
def physlite_columns(n_events, kind, seed=0):
    rng = np.random.default_rng(seed)
    counts, n_true, n_tags = rng.integers(0, 5, (3, n_events))
    counts[:1] = 0
    n_tags = np.maximum(n_tags, 1)

    def column(low, high, number):
        return lists(number, rng.uniform(low, high, number.sum()).astype(np.float32))

    def momenta(number):
        return {
            "pt": column(1e4, 2e5, number),
            "eta": column(-3, 3, number),
            "phi": column(-np.pi, np.pi, number),
            "m": column(1e3, 2e4, number),
        }

    jets = momenta(counts) | {
        "Width": column(0, 1, counts),
        "HadronConeExclTruthLabelID": lists(
            counts, rng.choice([0, 4, 5], counts.sum()).astype(np.int32)
        ),
    }
    tags = {name: column(0, 1, n_tags) for name in SCORES}
    # links to a later place than that of the jet, some to nothing
    index = ak.local_index(jets["pt"]) + 1
    none = lists(counts, rng.uniform(size=counts.sum()) < 0.3)
    index = ak.where(none, 2**32 - 1, index % n_tags)
    key = ak.where(none, 0, TAGS_KEY)
    columns = {
        "EventInfoAuxDyn.runNumber": np.full(n_events, 300000, np.uint32),
        "EventInfoAuxDyn.eventNumber": rng.integers(1, 4, n_events).astype(np.uint64),
        "EventInfoAuxDyn.mcChannelNumber": np.full(n_events, 410470, np.uint32),
        "EventInfoAuxDyn.averageInteractionsPerCrossing": rng.uniform(
            10, 60, n_events
        ).astype(np.float32),
    }
    columns |= {f"{JETS}.{name}": jets[name] for name in jets}
    columns |= {f"{TRUE}Aux.{name}": a for name, a in momenta(n_true).items()}
    columns |= {f"{TAGS}AuxDyn.{name}": tags[name] for name in tags}
    return columns | links(f"{JETS}.btaggingLink", key, index, kind), index


# Match event by event, the closest pair first; return the momenta in GeV.
def closest_first(eta, phi, *true, radius):
    matched = []
    for event in range(len(eta)):
        true_pt, true_eta, true_phi = (a[event].to_numpy() for a in true)
        found = np.full(len(eta[event]), np.nan, np.float32)
        deta = eta[event].to_numpy()[:, None].astype(float) - true_eta
        dphi = phi[event].to_numpy()[:, None].astype(float) - true_phi
        distance = np.sqrt(deta**2 + np.angle(np.exp(1j * dphi)) ** 2)
        while distance.size and distance.min() < radius:
            i, j = np.unravel_index(distance.argmin(), distance.shape)
            found[i] = true_pt[j] / np.float32(1000)
            distance[i], distance[:, j] = np.inf, np.inf
        matched.append(found)
    return np.concatenate(matched)


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def write(tmp_path, kind):
    """Write the events of a file."""
    name = {"TTree": "CollectionTree", "RNTuple": "EventData"}[kind]

    def write_events(columns, file="physlite.root"):
        return write_root(tmp_path / file, name, columns, kind)

    return write_events


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_column(write, kind, seed):
    columns, index = physlite_columns(30, kind, seed=seed)
    extra = ("GN2v00_pb", "Width", "averageInteractionsPerCrossing")
    jets = read_physlite(write(columns), features=extra)
    assert jets.feature_names == ("pt", "eta", "phi", "mass", "event", *extra)
    own = {"eta": "eta", "phi": "phi", "Width": "Width"}
    for name, branch in own.items():
        np.testing.assert_array_equal(
            jets.feature(name), ak.flatten(columns[f"{JETS}.{branch}"])
        )
    for name, branch in {"pt": "pt", "mass": "m"}.items():
        mev = ak.flatten(columns[f"{JETS}.{branch}"]).to_numpy()
        np.testing.assert_array_equal(jets.feature(name), mev / np.float32(1000))
    counts = ak.num(columns[f"{JETS}.pt"]).to_numpy()
    np.testing.assert_array_equal(jets.feature("event"), np.repeat(range(30), counts))
    for name in SCORES:
        values = jets.feature(name) if name in extra else jets.labels[name]
        tags = columns[f"{TAGS}AuxDyn.{name}"].to_list()
        expected = [
            tags[event][place] if place < 2**32 - 1 else np.nan
            for event, places in enumerate(index.to_list())
            for place in places
        ]
        assert np.isnan(expected).any()
        np.testing.assert_array_equal(values, expected)
    np.testing.assert_array_equal(
        jets.labels["HadronConeExclTruthLabelID"],
        ak.flatten(columns[f"{JETS}.HadronConeExclTruthLabelID"]),
    )
    for name in ("runNumber", "eventNumber", "mcChannelNumber"):
        np.testing.assert_array_equal(
            jets.labels[name], np.repeat(columns[f"EventInfoAuxDyn.{name}"], counts)
        )
    assert set(jets.labels) == {
        *("pt_truth", "eta_truth", "phi_truth", "mass_truth"),
        *SCORES[1:],
        *("HadronConeExclTruthLabelID", "runNumber", "eventNumber", "mcChannelNumber"),
    }


# Two events, of which the second has no jet.
def two_events(kind, key=None):
    columns = {
        f"{JETS}.pt": ak.Array([[5e4, 4e4, 3e4], []]),
        f"{JETS}.eta": ak.Array([[0.0, 0.0, 3.0], []]),
        f"{JETS}.phi": ak.Array([[3.0, -3.13, 0.0], []]),
        f"{JETS}.m": ak.Array([[1e3, 2e3, 3e3], []]),
        f"{TRUE}Aux.pt": ak.Array([[11e3, 12e3], [13e3]]),
        f"{TRUE}Aux.eta": ak.Array([[0.0, 0.0], [0.0]]),
        f"{TRUE}Aux.phi": ak.Array([[3.14, 2.8], [1.0]]),
        f"{TRUE}AuxDyn.PartonTruthLabelID": ak.Array([[5, 21], [1]]),
    }
    if key is not None:
        name = f"{JETS}.GhostTruthAssociationLink"
        index = ak.Array([[0, 1, 2**32 - 1], []])
        columns |= links(name, ak.Array([[key, key, 0], []]), index, kind)
    return columns


def test_matches_by_delta_r(write, kind):
    path = write(two_events(kind))
    labels = read_physlite(path, labels=["PartonTruthLabelID_truth", "pt_truth"]).labels
    np.testing.assert_array_equal(labels["pt_truth"], [12, 11, np.nan])
    np.testing.assert_array_equal(labels["PartonTruthLabelID_truth"], [21, 5, np.nan])
    near = read_physlite(path, match_radius=0.1)
    np.testing.assert_array_equal(near.labels["pt_truth"], [np.nan, 11, np.nan])


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_closest_pairs_match_first(tmp_path, seed):
    columns, _ = physlite_columns(60, "TTree", seed=seed)
    path = write_root(tmp_path / "many.root", "CollectionTree", columns)
    own = [columns[f"{JETS}.{name}"] for name in ("eta", "phi")]
    true = [columns[f"{TRUE}Aux.{name}"] for name in ("pt", "eta", "phi")]
    expected = closest_first(*own, *true, radius=2)
    assert np.isfinite(expected).sum() > 20
    jets = read_physlite(path, labels=["pt_truth"], match_radius=2)
    np.testing.assert_array_equal(jets.labels["pt_truth"], expected)


def test_matches_by_link(write, kind):
    path = write(two_events(kind, container_key(TRUE, JET_CLASS)))
    jets = read_physlite(path)
    np.testing.assert_array_equal(jets.labels["pt_truth"], [11, 12, np.nan])
    by_angle = read_physlite(path, match_radius=0.3)
    np.testing.assert_array_equal(by_angle.labels["pt_truth"], [12, 11, np.nan])


def test_links_to_other_containers(write, kind):
    path = write(two_events(kind, container_key("AntiKt4TruthJets", JET_CLASS)))
    with pytest.raises(ValueError, match=r"another container .* by truth_jets"):
        read_physlite(path)
    columns, _ = physlite_columns(10, kind)
    columns = {key.replace(TAGS, "BTagging_Other"): columns[key] for key in columns}
    with pytest.raises(ValueError, match=r"btaggingLink of .* by b_tagging"):
        read_physlite(write(columns), b_tagging="BTagging_Other")


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("AnalysisJetsAuxDyn.pt", "AnalysisJetsAuxDyn.pt"),
        ("AnalysisJetsAuxDyn:pt", "AnalysisJetsAuxDyn.pt"),
        ("AnalysisJetsAuxDyn:GN2v00_0", "AnalysisJetsAuxDyn.GN2v00_0"),
        ("AntiKt4TruthDressedWZJetsAux:.pt", "AntiKt4TruthDressedWZJetsAux.pt"),
        ("JetsAuxDyn:link.:_0.m_persKey", "JetsAuxDyn.link.m_persKey"),
        ("JetsAuxDyn:link._0.m_persKey", "JetsAuxDyn.link.m_persKey"),
    ],
)
def test_names_of_trees_and_rntuples(key, name):
    assert PHYSLITE.spell(key) == name


# Keys that a file of ATLAS has for two of its containers.
@pytest.mark.parametrize(
    ("name", "class_id", "key"),
    [(TAGS, 1264356158, TAGS_KEY), ("AntiKt10UFOCSSKJets", JET_CLASS, 114897897)],
)
def test_keys_of_containers(name, class_id, key):
    assert container_key(name, class_id) == key


def test_scores_of_jets_themselves(write, kind):
    columns, _ = physlite_columns(20, kind)
    columns = {
        re.sub(f"{TAGS}.*GN2v00_pc", f"{JETS}.GN2v00_pc", key): columns[key]
        for key in columns
        if "btaggingLink" not in key
    }
    columns[f"{JETS}.GN2v00_pc"] = columns[f"{JETS}.Width"]
    jets = read_physlite(write(columns))
    np.testing.assert_array_equal(
        jets.labels["GN2v00_pc"], ak.flatten(columns[f"{JETS}.Width"])
    )
    with pytest.raises(ValueError, match=r"no 'GN2v00_pb'; .*\['GN2v00_pc'"):
        read_physlite(write(columns), features=["GN2v00_pb"])


def test_data_have_no_truth(write, kind):
    columns, _ = physlite_columns(20, kind)
    data = {key: a for key, a in columns.items() if "Truth" not in key}
    labels = read_physlite(write(data)).labels
    assert not [name for name in labels if "truth" in name.lower()]


@pytest.mark.parametrize(
    "name", ["pt_truth", "HadronConeExclTruthLabelID", "flavour", "mcChannelNumber"]
)
def test_truth_is_never_an_input(write, kind, name):
    path = write(physlite_columns(5, kind)[0])
    with pytest.raises(ValueError, match=rf"features must not .*'{name}'.* by labels"):
        read_physlite(path, features=[name])


def test_cuts_and_chunks(write, kind):
    path = write(physlite_columns(40, kind)[0])
    jets = read_physlite(path)
    keep = (jets.feature("pt") >= 60) & (np.abs(jets.feature("eta")) <= 2)
    assert 0 < keep.sum() < len(jets)
    assert read_physlite(path, pt_min=60, abs_eta_max=2) == jets[keep]
    tagged = jets.labels["GN2v00_pb"] > 0.5
    chosen = read_physlite(path, selection=lambda jets: jets.labels["GN2v00_pb"] > 0.5)
    assert chosen == jets[tagged]
    chunks = list(iterate_physlite(path, chunk_size=7, pt_min=60, abs_eta_max=2))
    assert len(chunks) == 6
    assert Jets.concatenate(chunks) == jets[keep]


def test_missing_jets(write, kind):
    path = write(physlite_columns(5, kind)[0])
    with pytest.raises(ValueError, match=r"no jets 'AnalysisJet'.*\['AnalysisJets'"):
        read_physlite(path, jets="AnalysisJet")


@pytest.fixture
def atlas_file(data_dir):
    return data_dir / "atlas_physlite.root"


@pytest.mark.slow
def test_file_of_atlas(atlas_file):
    jets = read_physlite(atlas_file, features=["NNJvtPass"])
    names = [f"{JETS}.pt", f"{JETS}.eta", f"{JETS}.phi", f"{JETS}.NNJvtPass"]
    true = [f"{TRUE}Aux.{name}" for name in ("pt", "eta", "phi")]
    scores = [f"{TAGS}AuxDyn.GN2v00_p{flavour}" for flavour in "bcu"]
    with uproot.open(atlas_file) as file:
        tree = file["CollectionTree"]
        plain = {name: tree[name].array() for name in [*names, *true, *scores]}
        index = tree[f"{JETS}.btaggingLink.m_persIndex"].array()
        number = tree["EventInfoAuxDyn.eventNumber"].array()
    pt, eta, phi, jvt = (plain[name] for name in names)
    assert len(jets) == ak.count(pt) == 881
    np.testing.assert_allclose(
        jets.feature("pt").sum(), ak.sum(ak.values_astype(pt, "f8")) / 1e3, rtol=1e-7
    )
    np.testing.assert_array_equal(jets.feature("NNJvtPass"), ak.flatten(jvt))
    for name in scores:
        expected = ak.flatten(plain[name][index])
        np.testing.assert_array_equal(jets.labels[name.split(".")[1]], expected)
    np.testing.assert_array_equal(
        jets.labels["eventNumber"], np.repeat(number, ak.num(pt))
    )
    np.testing.assert_array_equal(
        jets.labels["pt_truth"],
        closest_first(eta, phi, *(plain[n] for n in true), radius=0.3),
    )
    assert np.isfinite(jets.labels["pt_truth"]).sum() > 100
    large = read_physlite(
        atlas_file,
        jets="AnalysisLargeRJets",
        truth_jets="AntiKt10TruthSoftDropBeta100Zcut10Jets",
        match_radius=0.75,
    )
    assert len(large) == 97
    assert {"GN2Xv01_phbb", "R10TruthLabel_R22v1"} <= set(large.labels)


@pytest.mark.slow
def test_transport_of_scores_of_atlas(atlas_file):
    names = [f"GN2v00_p{flavour}" for flavour in "ucb"]
    jets = read_physlite(atlas_file, features=names, abs_eta_max=2.5)
    jets = jets[jets.labels["isJvtHS"] == 1]
    X = jets.select(names).features
    # soft jets for simulation, hard ones for data
    y = (jets.feature("pt") > np.median(jets.feature("pt"))).astype(int)
    scores = SimplexTransformer().fit(X)
    coordinates = scores.transform(X)
    calibrator = OTCalibrator(random_state=0).fit(coordinates, y)
    moved = calibrator.transform(coordinates[y == 0])
    before, after = (
        np.abs(part.mean(axis=0) - coordinates[y == 1].mean(axis=0)).max()
        for part in (coordinates[y == 0], moved)
    )
    assert after < 0.5 * before
    probabilities = scores.inverse_transform(moved)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
