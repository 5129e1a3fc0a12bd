import awkward as ak
import numpy as np
import pytest
import uproot
from root_files import KINDS, lists, nanoaod_columns, write_root

from sklearn_hepcal.jets import Jets, iterate_nanoaod, read_nanoaod
from sklearn_hepcal.regression import GaussianAnsatzRegressor

TRUTH = ("pt_truth", "eta_truth", "phi_truth", "mass_truth")


# Return an event by event list of what is matched by index, NaN where there is none.
def by_index(values, index):
    rows = zip(index.to_list(), values.to_list(), strict=True)
    return [
        row[i] if 0 <= i < len(row) else np.nan for places, row in rows for i in places
    ]


@pytest.fixture(params=KINDS)
def write(request, tmp_path):
    """Write the events of a file."""

    def write_events(columns, name="nano.root"):
        return write_root(tmp_path / name, "Events", columns, request.param)

    return write_events


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_column(write, seed):
    columns = nanoaod_columns(30, seed=seed)
    jets = read_nanoaod(write(columns), features=["btagDeepFlavB", "PV_npvs"])
    basic = ("pt", "eta", "phi", "mass")
    assert jets.feature_names == (*basic, "event", "btagDeepFlavB", "PV_npvs")
    counts = ak.num(columns["Jet_pt"]).to_numpy()
    for name in (*basic, "btagDeepFlavB"):
        np.testing.assert_array_equal(
            jets.feature(name), ak.flatten(columns[f"Jet_{name}"])
        )
    np.testing.assert_array_equal(jets.feature("event"), np.repeat(range(30), counts))
    np.testing.assert_array_equal(
        jets.feature("PV_npvs"), np.repeat(columns["PV_npvs"], counts)
    )
    for name in TRUTH:
        values = columns[f"GenJet_{name.removesuffix('_truth')}"]
        expected = by_index(values, columns["Jet_genJetIdx"])
        np.testing.assert_array_equal(jets.labels[name], np.float32(expected))
    assert np.isnan(jets.labels["pt_truth"]).any()
    for name in ("hadronFlavour", "partonFlavour", "btagPNetB"):
        np.testing.assert_array_equal(
            jets.labels[name], ak.flatten(columns[f"Jet_{name}"])
        )
    numbers = {n: n for n in ("run", "luminosityBlock")} | {"eventNumber": "event"}
    for name, branch in numbers.items():
        np.testing.assert_array_equal(
            jets.labels[name], np.repeat(columns[branch], counts)
        )
    flavours = {"hadronFlavour", "partonFlavour", "btagPNetB"}
    assert set(jets.labels) == {*TRUTH, *flavours, *numbers}


def test_exact_numbers(write):
    columns = {
        "event": np.array([7, 8, 7], np.uint64),
        "Jet_pt": ak.Array([[50.5, 20.25], [], [40.0]]),
        "Jet_eta": ak.Array([[0.5, -1.0], [], [2.0]]),
        "Jet_phi": ak.Array([[0.0, 3.0], [], [-3.0]]),
        "Jet_mass": ak.Array([[5.0, 2.0], [], [4.0]]),
        "Jet_genJetIdx": ak.Array([[1, 7], [], [0]]),
        "GenJet_pt": ak.Array([[60.0, 48.0], [12.0], [44.0]]),
    }
    jets = read_nanoaod(write(columns), labels=["pt_truth", "eventNumber"])
    np.testing.assert_array_equal(
        jets.features,
        [[50.5, 0.5, 0, 5, 0], [20.25, -1, 3, 2, 0], [40, 2, -3, 4, 2]],
    )
    np.testing.assert_array_equal(jets.labels["pt_truth"], [48, np.nan, 44])
    np.testing.assert_array_equal(jets.labels["eventNumber"], [7, 7, 7])


def test_records_of_rntuples(tmp_path):
    columns = nanoaod_columns(20)
    flat = read_nanoaod(write_root(tmp_path / "flat.root", "Events", columns))
    records = {key: columns[key] for key in columns if "Jet_" not in key}
    for name in ("Jet", "GenJet"):
        fields = [key for key in columns if key.startswith(f"{name}_")]
        zipped = {key.removeprefix(f"{name}_"): columns[key] for key in fields}
        records[name] = ak.zip(zipped)
    path = write_root(tmp_path / "records.root", "Events", records, "RNTuple")
    assert read_nanoaod(path) == flat


def test_full_names_of_branches(write):
    columns = nanoaod_columns(20)
    path = write(columns)
    jets = read_nanoaod(path, features=["Jet_btagPNetB"], labels=["GenJet_pt_truth"])
    short = read_nanoaod(path, features=["btagPNetB"], labels=["pt_truth"])
    np.testing.assert_array_equal(jets.features, short.features)
    np.testing.assert_array_equal(
        jets.labels["GenJet_pt_truth"], short.labels["pt_truth"]
    )


def test_old_versions(write):
    columns = nanoaod_columns(20)
    for new, old in (("btagDeepFlavB", "btagCSVV2"), ("btagPNetB", "btagDeepB")):
        columns[f"Jet_{old}"] = columns.pop(f"Jet_{new}")
    for name in ("Jet_genJetIdx", "Jet_jetId", "Jet_hadronFlavour"):
        columns[name] = ak.values_astype(columns[name], np.int32)
    path = write(columns)
    jets = read_nanoaod(path, features=["btagCSVV2"], jet_id=2)
    assert "btagDeepB" in jets.labels
    with pytest.raises(ValueError, match=r"no 'btagCSV'; the nearest .*'btagCSVV2'"):
        read_nanoaod(path, features=["btagCSV"])


def test_data_have_no_truth(write):
    path = write(nanoaod_columns(20, data=True))
    jets = read_nanoaod(path)
    assert set(jets.labels) == {
        "btagDeepFlavB",
        "btagPNetB",
        "run",
        "luminosityBlock",
        "eventNumber",
    }
    with pytest.raises(ValueError, match=r"labels: 'Events' of .* no 'pt_truth'"):
        read_nanoaod(path, labels=["pt_truth"])


@pytest.mark.parametrize(
    "name",
    ["pt_truth", "hadronFlavour", "flavour", "genJetIdx", "genWeight", "GenJet_pt"],
)
def test_truth_is_never_an_input(write, name):
    path = write(nanoaod_columns(5))
    with pytest.raises(ValueError, match=rf"features must not .*'{name}'.* by labels"):
        read_nanoaod(path, features=[name])


def test_labels_that_are_asked_for(write):
    columns = nanoaod_columns(20)
    jets = read_nanoaod(write(columns), labels=["flavour", "genWeight", "event"])
    assert list(jets.labels) == ["flavour", "genWeight", "event"]
    np.testing.assert_array_equal(
        jets.labels["flavour"], ak.flatten(columns["Jet_hadronFlavour"])
    )
    counts = ak.num(columns["Jet_pt"])
    np.testing.assert_array_equal(
        jets.labels["genWeight"], np.repeat(columns["genWeight"], counts)
    )
    np.testing.assert_array_equal(jets.labels["event"], jets.feature("event"))


@pytest.mark.parametrize("index", [True, False])
def test_matches_by_delta_r(write, index):
    # in the first event both jets are near the first generated jet, across phi = pi,
    # and the farther one takes the second; the last is too far
    columns = {
        "Jet_pt": ak.Array([[50.0, 40.0, 30.0], [], [20.0]]),
        "Jet_eta": ak.Array([[0.0, 0.0, 3.0], [], [0.0]]),
        "Jet_phi": ak.Array([[3.0, -3.13, 0.0], [], [1.0]]),
        "Jet_mass": ak.Array([[1.0, 1.0, 1.0], [], [1.0]]),
        "GenJet_pt": ak.Array([[11.0, 12.0], [13.0], [14.0]]),
        "GenJet_eta": ak.Array([[0.0, 0.0], [0.0], [0.0]]),
        "GenJet_phi": ak.Array([[3.14, 2.8], [1.0], [1.5]]),
    }
    arguments = {}
    if index:
        columns["Jet_genJetIdx"] = ak.Array([[1, 1, 1], [], [0]])
        arguments["match_radius"] = 0.4
    path = write(columns)
    jets = read_nanoaod(path, **arguments)
    np.testing.assert_array_equal(jets.labels["pt_truth"], [12, 11, np.nan, np.nan])
    wide = read_nanoaod(path, match_radius=0.6)
    np.testing.assert_array_equal(wide.labels["pt_truth"], [12, 11, np.nan, 14])
    narrow = read_nanoaod(path, match_radius=0.1)
    np.testing.assert_array_equal(
        narrow.labels["pt_truth"], [np.nan, 11] + 2 * [np.nan]
    )
    with pytest.raises(ValueError, match="match_radius must be positive, got 0"):
        read_nanoaod(path, match_radius=0)
    # cuts do not change the matches
    cut = read_nanoaod(path, pt_min=45, **arguments)
    np.testing.assert_array_equal(cut.labels["pt_truth"], [12])


def test_cuts(write):
    columns = nanoaod_columns(60)
    path = write(columns)
    everything = read_nanoaod(path, features=["jetId"])
    pt, eta = everything.feature("pt"), everything.feature("eta")
    edge = float(pt.min())
    assert len(read_nanoaod(path, pt_min=edge)) == len(everything)
    cut = read_nanoaod(path, features=["jetId"], pt_min=50, abs_eta_max=2.5, jet_id=6)
    keep = (pt >= 50) & (np.abs(eta) <= 2.5) & (everything.feature("jetId") == 6)
    assert 0 < keep.sum() < 0.3 * len(everything)
    assert cut == everything[keep]
    tight = read_nanoaod(path, features=["jetId"], jet_id=2)
    assert tight == everything[everything.feature("jetId") >= 2]
    assert len(read_nanoaod(path, pt_min=1e4)) == 0
    same = read_nanoaod(
        path, features=["jetId"], selection=lambda jets: jets.feature("jetId") == 6
    )
    assert same == everything[everything.feature("jetId") == 6]


@pytest.mark.parametrize(
    ("jets", "truth"), [("Jet", "GenJet"), ("FatJet", "GenJetAK8")]
)
def test_other_collections(write, jets, truth):
    columns = nanoaod_columns(20)
    path = write(columns, "ak4.root")
    renamed = {}
    for name in columns:
        new = name.replace("GenJet_", f"{truth}_").replace(
            "genJet", truth.replace("G", "g")
        )
        renamed[f"{jets}_{new[4:]}" if new.startswith("Jet_") else new] = columns[name]
    everything = read_nanoaod(path)
    path = write(renamed, "ak8.root")
    assert read_nanoaod(path, jets=jets, truth_jets=truth) == everything
    with pytest.raises(ValueError, match=rf"no jets '{jets}s'; .* \['{jets}'"):
        read_nanoaod(path, jets=f"{jets}s")
    with pytest.raises(ValueError, match=rf"no jets '{truth}s'; .* \['{truth}'"):
        read_nanoaod(path, jets=jets, truth_jets=f"{truth}s")


def test_data_have_no_true_jets(write):
    columns = nanoaod_columns(4)
    columns = {k: v for k, v in columns.items() if not k.startswith("GenJet_")}
    assert "pt_truth" not in read_nanoaod(write(columns)).labels


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"jet_id": "tight"}, TypeError, "jet_id must be an instance of"),
        ({"jet_id": -1}, ValueError, "jet_id == -1, must be >= 0"),
        ({"pt_min": "30"}, TypeError, "pt_min must be an instance of"),
        ({"abs_eta_max": [2.5]}, TypeError, "abs_eta_max must be an instance of"),
    ],
)
def test_wrong_cuts(write, options, error, message):
    path = write(nanoaod_columns(4))
    with pytest.raises(error, match=message):
        read_nanoaod(path, **options)


# Return random jets and candidates, and the candidates of every jet.
def pfnano_columns(seed, table="PFCands", index="pFCandsIdx"):
    rng = np.random.default_rng(seed)
    columns = nanoaod_columns(25, seed=seed)
    counts = ak.num(columns["Jet_pt"]).to_numpy()
    n_candidates = rng.integers(1, 12, 25)
    total = n_candidates.sum()
    for name in ("pt", "eta", "phi", "mass"):
        values = rng.uniform(1, 3, total).astype(np.float32)
        columns[f"{table}_{name}"] = lists(n_candidates, values)
    pdg = rng.choice([211, -211, 22, 130], total).astype(np.int32)
    columns[f"{table}_pdgId"] = lists(n_candidates, pdg)
    # links in any order, some of them to jets or candidates that are not stored
    n_links = rng.integers(0, 15, 25)
    jet = [rng.integers(-1, counts[i] + 1, n) for i, n in enumerate(n_links)]
    candidate = [rng.integers(0, n_candidates[i] + 1, n) for i, n in enumerate(n_links)]
    depth = [rng.uniform(size=n) for n in n_links]
    pairs = f"Jet{table}_"
    columns[f"{pairs}jetIdx"] = ak.values_astype(ak.Array(jet), np.int16)
    columns[f"{pairs}{index}"] = ak.values_astype(ak.Array(candidate), np.int16)
    columns[f"{pairs}btagSip3dVal"] = ak.Array(depth)
    members = [
        [
            (event, candidate[event][k], depth[event][k])
            for k in range(n_links[event])
            if jet[event][k] == place and candidate[event][k] < n_candidates[event]
        ]
        for event in range(25)
        for place in range(counts[event])
    ]
    return columns, members


@pytest.mark.parametrize(
    ("seed", "table", "index"),
    [(0, "PFCands", "pFCandsIdx"), (1, "PFCand", "pfCandIdx")],
)
def test_candidates(write, seed, table, index):
    columns, members = pfnano_columns(seed, table, index)
    path = write(columns)
    jets = read_nanoaod(path)
    assert jets.constituent_names == ("pt", "eta", "phi", "mass")
    assert jets.constituents.dtype == np.float32
    np.testing.assert_array_equal(jets.counts, [len(jet) for jet in members])
    assert jets.counts.sum() > 20
    flat = [place for jet in members for place in jet]
    for name in jets.constituent_names:
        expected = [columns[f"{table}_{name}"][event][k] for event, k, _ in flat]
        np.testing.assert_array_equal(jets.constituent(name), expected)
    chosen = read_nanoaod(
        path, constituents=["btagSip3dVal", "pt"], constituent_labels=["pdgId"]
    )
    np.testing.assert_array_equal(
        chosen.constituent("btagSip3dVal"), [depth for _, _, depth in flat]
    )
    pdg = chosen.constituent_labels["pdgId"]
    assert pdg.dtype == np.int32
    np.testing.assert_array_equal(
        pdg, [columns[f"{table}_pdgId"][event][k] for event, k, _ in flat]
    )
    keep = jets.feature("pt") >= 80
    assert read_nanoaod(path, pt_min=80) == jets[keep]
    chunks = list(iterate_nanoaod(path, chunk_size=9))
    assert len(chunks) == 3
    assert Jets.concatenate(chunks) == jets
    assert read_nanoaod(path, constituents=()).constituent_names == ()


def test_candidates_that_are_not_there(write):
    path = write(nanoaod_columns(5))
    assert read_nanoaod(path).constituent_names == ()
    with pytest.raises(ValueError, match=r"constituents: .* has no constituents"):
        read_nanoaod(path, constituents=["pt"])
    columns, _ = pfnano_columns(0)
    path = write(columns)
    with pytest.raises(ValueError, match=r"no 'masses'; the nearest are \['mass'"):
        read_nanoaod(path, constituents=["masses"])
    with pytest.raises(ValueError, match="constituents must not hold the truth"):
        read_nanoaod(path, constituents=["genPartIdx"])


@pytest.fixture
def cms_file(data_dir):
    return data_dir / "cms_2015_ttbar_nanoaod.root"


@pytest.mark.slow
def test_file_of_cms(cms_file):
    jets = read_nanoaod(cms_file)
    with uproot.open(cms_file) as file:
        plain = file["Events"].arrays(filter_name=["*Jet_*", "event", "run"])
    assert len(jets) == ak.count(plain.Jet_pt) == 537
    total = jets.feature("pt").sum()
    assert total == ak.sum(ak.values_astype(plain.Jet_pt, np.float64))
    assert total == pytest.approx(16785.617, abs=1e-3)
    found = [
        (event, jet, index)
        for event, indices in enumerate(plain.Jet_genJetIdx.to_list())
        for jet, index in enumerate(indices)
        if 0 <= index < len(plain.GenJet_pt[event])
    ]
    assert len(found) == 537 - 164 - 11
    expected = [plain.Jet_pt[e][j] / plain.GenJet_pt[e][i] for e, j, i in found]
    truth = jets.labels["pt_truth"]
    matched = ~np.isnan(truth)
    response = jets.feature("pt")[matched].astype(np.float32) / truth[matched]
    np.testing.assert_allclose(response, expected, rtol=1e-6)
    for name in ("hadronFlavour", "partonFlavour", "btagDeepFlavB", "btagCSVV2"):
        np.testing.assert_array_equal(
            jets.labels[name], ak.flatten(plain[f"Jet_{name}"])
        )
    np.testing.assert_array_equal(
        jets.labels["eventNumber"], np.repeat(plain.event, ak.num(plain.Jet_pt))
    )
    # the matching of CMS is the same, but for jets near two generated ones and the
    # rounding of angles
    by_angle = read_nanoaod(cms_file, match_radius=0.4).labels["pt_truth"]
    assert np.mean(by_angle[matched] == truth[matched]) > 0.98


@pytest.mark.slow
def test_jet_response_of_cms(cms_file):
    jets = read_nanoaod(cms_file, abs_eta_max=2.5)
    jets = jets[~np.isnan(jets.labels["pt_truth"])]
    X, y = np.log(jets.features[:, :1]), np.log(jets.labels["pt_truth"])
    regressor = GaussianAnsatzRegressor(max_epochs=30, random_state=0).fit(X, y)
    predicted, std = regressor.predict(X, return_std=True)
    # the jets measure the generated ones: far better than their mean does
    assert np.std(predicted - y) < 0.6 * np.std(y)
    assert np.all((std > 0.02) & (std < 0.6))
