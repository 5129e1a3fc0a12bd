import sys

import awkward as ak
import numpy as np
import pytest
import uproot
from root_files import KINDS, nanoaod_columns, write_root

from sklearn_hepcal.jets import (
    Jets,
    iterate_nanoaod,
    iterate_physlite,
    read_nanoaod,
    read_physlite,
)

SIZES = (13, 0, 25)
EVENTS = sum(SIZES)
# fewer columns are read faster
LABELS = ("pt_truth", "eventNumber")


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def path(tmp_path, kind):
    return write_root(tmp_path / "nano.root", "Events", nanoaod_columns(40), kind)


# The columns of no events: those of one, which are then left out.
def columns_of(n_events, seed):
    columns = nanoaod_columns(max(n_events, 1), seed=seed)
    return {name: columns[name][:n_events] for name in columns}


@pytest.fixture
def three_files(tmp_path):
    """Two trees and an RNTuple."""
    kinds = ("TTree", "TTree", "RNTuple")
    return [
        write_root(tmp_path / f"part_{i}.root", "Events", columns_of(n, i), kinds[i])
        for i, n in enumerate(SIZES)
    ]


def test_several_files_and_patterns(tmp_path, three_files):
    jets = read_nanoaod(three_files, labels=LABELS)
    pt = [read_nanoaod(file, labels=LABELS).feature("pt") for file in three_files]
    np.testing.assert_array_equal(jets.feature("pt"), np.concatenate(pt))
    assert read_nanoaod(str(tmp_path / "part_*.root"), labels=LABELS) == jets
    assert (
        read_nanoaod([tmp_path / "part_[01].root", three_files[2]], labels=LABELS)
        == jets
    )


def test_events_are_numbered_over_all_files(three_files):
    jets = read_nanoaod(three_files, labels=LABELS)
    counts = [ak.num(columns_of(n, i)["Jet_pt"]) for i, n in enumerate(SIZES)]
    expected = np.repeat(np.arange(EVENTS), np.concatenate(counts))
    np.testing.assert_array_equal(jets.feature("event"), expected)
    # the numbers that simulation gives repeat
    assert len(np.unique(jets.labels["eventNumber"])) == 3
    later = read_nanoaod(three_files, labels=LABELS, start=20)
    np.testing.assert_array_equal(later.feature("event"), expected[expected >= 20])


@pytest.mark.parametrize("chunk_size", [7, 1000])
def test_chunks_together_are_everything(three_files, chunk_size):
    chunks = list(iterate_nanoaod(three_files, labels=LABELS, chunk_size=chunk_size))
    assert len(chunks) == sum(-(-n // chunk_size) for n in SIZES)
    for chunk in chunks:
        assert len(np.unique(chunk.feature("event"))) <= chunk_size
    assert Jets.concatenate(chunks) == read_nanoaod(three_files, labels=LABELS)


@pytest.mark.parametrize(
    ("start", "stop"),
    [(None, 5), (5, 20), (13, None), (-4, 999), (3, -3), (20, 10)],
)
def test_ranges_count_the_events_of_all_files(three_files, start, stop):
    jets = read_nanoaod(three_files, labels=LABELS, start=start, stop=stop)
    everything = read_nanoaod(three_files, labels=LABELS)
    inside = np.isin(everything.feature("event"), np.arange(EVENTS)[start:stop])
    assert jets == everything[inside]
    chunks = iterate_nanoaod(
        three_files, labels=LABELS, start=start, stop=stop, chunk_size=9
    )
    assert Jets.concatenate(chunks) == jets


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_rntuples_are_trees(tmp_path, seed):
    columns = nanoaod_columns(40, seed=seed)
    tree, rntuple = (
        read_nanoaod(write_root(tmp_path / kind, "Events", columns, kind))
        for kind in KINDS
    )
    assert tree == rntuple
    for name in tree.labels:
        assert tree.labels[name].dtype == rntuple.labels[name].dtype


@pytest.mark.parametrize("answer", [np.arange(3), True])
def test_selection_must_be_a_mask(path, answer):
    with pytest.raises(ValueError, match="boolean array of shape"):
        read_nanoaod(path, selection=lambda jets: answer)
    with pytest.raises(TypeError, match="selection must be a function"):
        iterate_nanoaod(path, selection="pt > 20")


def test_no_events(tmp_path, kind):
    path = write_root(tmp_path / "none.root", "Events", columns_of(0, 0), kind)
    jets = read_nanoaod(path)
    assert len(jets) == 0
    assert jets.feature_names == ("pt", "eta", "phi", "mass", "event")
    assert "pt_truth" in jets.labels
    assert [len(chunk) for chunk in iterate_nanoaod(path)] == [0]


def test_events_without_jets(tmp_path, kind):
    columns = nanoaod_columns(1)
    path = write_root(tmp_path / "one.root", "Events", columns, kind)
    assert len(read_nanoaod(path)) == 0


def test_no_files(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file .*missing\.root"):
        read_nanoaod(tmp_path / "missing.root")


def test_chunk_size(path):
    with pytest.raises(ValueError, match="chunk_size must be at least 1, got 0"):
        iterate_nanoaod(path, chunk_size=0)


def test_columns_of_every_file(tmp_path, path, kind):
    columns = nanoaod_columns(5)
    del columns["Jet_btagPNetB"]
    other = write_root(tmp_path / "other.root", "Events", columns, kind)
    # found at once, before the first chunk
    with pytest.raises(ValueError, match=r"labels: .*other\.root has no 'btagPNetB'"):
        iterate_nanoaod([path, other])


def test_missing_branches_name_the_nearest(path):
    with pytest.raises(ValueError, match=r"features: .* 'btagDeep'.*\['btagDeepFlavB'"):
        read_nanoaod(path, features=["btagDeep"])
    with pytest.raises(ValueError, match=r"labels: .*\['hadronFlavour'"):
        read_nanoaod(path, labels=["hadronFlavor"])
    with pytest.raises(ValueError, match=r"features must differ, got \['PV_npvs'\]"):
        read_nanoaod(path, features=["PV_npvs", "PV_npvs"])


def test_branches_of_other_shapes(tmp_path, kind):
    columns = nanoaod_columns(5)
    columns["Muon_pt"] = ak.Array([[1.0], [], [2.0, 3.0], [], []])
    if kind == "RNTuple":
        columns["Jet_tracks"] = ak.Array([[[1.0]], [], [[2.0], []], [], []])
        columns["Jet_word"] = ak.Array([["a"], [], ["b", "c"], [], []])
    path = write_root(tmp_path / "odd.root", "Events", columns, kind)
    with pytest.raises(ValueError, match=r"'Muon_pt' of .* not one number an event"):
        read_nanoaod(path, features=["Muon_pt"])
    for name in ("tracks", "word") if kind == "RNTuple" else ():
        with pytest.raises(ValueError, match=f"'Jet_{name}' .* not one number an obj"):
            read_nanoaod(path, features=[name])


def test_lists_that_do_not_fit(tmp_path, kind):
    columns = nanoaod_columns(5)
    columns["Jet_eta"] = columns["Jet_eta"][::-1]
    path = write_root(tmp_path / "odd.root", "Events", columns, kind)
    with pytest.raises(ValueError, match=r"inconsistent: the lists of 'Jet_eta'"):
        read_nanoaod(path)


def test_missing_trees(tmp_path, path):
    with pytest.raises(ValueError, match=r"nano\.root has no 'CollectionTree'.*Events"):
        read_physlite(path)
    with uproot.recreate(tmp_path / "histogram.root") as file:
        file["Events"] = np.histogram([1, 2, 3])
    with pytest.raises(ValueError, match="'Events' is a TH1D, not a tree or RNTuple"):
        read_nanoaod(tmp_path / "histogram.root")


def test_names_with_colons(tmp_path, kind):
    folder = tmp_path / "2015: ttbar"
    folder.mkdir()
    path = write_root(folder / "nano.root", "Events", nanoaod_columns(5), kind)
    assert len(read_nanoaod(path)) == len(read_nanoaod(str(path))) > 0


@pytest.mark.parametrize("part", [0.0, 0.001, 0.1, 0.5, 0.99, "all but one"])
@pytest.mark.parametrize("iterate", [iterate_nanoaod, iterate_physlite])
def test_truncated_files(path, part, iterate):
    content = path.read_bytes()
    size = len(content) - 1 if part == "all but one" else int(part * len(content))
    path.write_bytes(content[:size])
    # found at once, before the first chunk
    with pytest.raises(ValueError, match=r"nano\.root (is truncated|cannot be read)"):
        iterate(path)


@pytest.mark.parametrize("byte", [0, 3, 8, 12])
def test_broken_headers(path, byte):
    content = bytearray(path.read_bytes())
    content[byte : byte + 4] = bytes(255 - value for value in content[byte : byte + 4])
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"nano\.root (is|cannot|has no)"):
        read_nanoaod(path)


@pytest.mark.parametrize("text", ["", "pt,eta\n1.0,2.0\n", "root" * 100])
def test_files_of_other_formats(tmp_path, text):
    path = tmp_path / "text.root"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"text\.root (is truncated|cannot be read)"):
        read_nanoaod(path)


def test_broken_contents(tmp_path):
    columns = nanoaod_columns(2000)
    path = tmp_path / "broken.root"
    with uproot.recreate(path, compression=uproot.ZLIB(4)) as file:
        file.mktree("Events", columns)
    with uproot.open(path) as file:
        place = file["Events"]["Jet_mass"].member("fBasketSeek")[0]
    content = bytearray(path.read_bytes())
    content[place + 200 : place + 400] = bytes(200)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"broken\.root cannot be read as ROOT"):
        read_nanoaod(path)


def test_uproot_is_an_extra(monkeypatch, path):
    monkeypatch.setitem(sys.modules, "uproot", None)
    with pytest.raises(ImportError, match=r"sklearn_hepcal\[root\]"):
        read_nanoaod(path)


def test_progress_bar(path, capsys):
    read_nanoaod(path)
    assert capsys.readouterr().err == ""
    read_nanoaod(path, verbose=1)
    shown = capsys.readouterr().err
    assert "40/40" in shown and "nano.root" in shown


def test_files_are_closed(path, monkeypatch):
    opened = []
    open_file = uproot.open
    monkeypatch.setattr(
        uproot,
        "open",
        lambda *args, **options: (
            opened.append(open_file(*args, **options)) or opened[-1]
        ),
    )
    list(iterate_nanoaod(path, chunk_size=10))
    assert opened and all(file.closed for file in opened)
