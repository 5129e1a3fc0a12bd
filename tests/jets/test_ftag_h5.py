import sys
import tracemalloc

import h5py
import numpy as np
import pytest
from ftag_tables import TRACK_COLUMNS, random_tables, write_tables

from sklearn_hepcal.jets import (
    Jets,
    iterate_ftag_h5,
    read_ftag_h5,
    write_ftag_h5,
    write_ftag_scores,
)


# The same table with one column of ones more, or with ones instead of a column.
def with_column(table, name, dtype="f4"):
    types = {other: table.dtype[other] for other in table.dtype.names}
    wider = np.ones(table.shape, dtype=[*({**types, name: dtype}).items()])
    for other in types.keys() - {name}:
        wider[other] = table[other]
    return wider


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_layout_by_default(tmp_path, seed):
    raw, tracks = random_tables(60, seed=seed)
    jets = read_ftag_h5(write_tables(tmp_path / "jets.h5", raw, tracks))
    assert jets.feature_names == ("pt", "eta")
    np.testing.assert_array_equal(jets.features[:, 0], raw["pt"])
    np.testing.assert_array_equal(jets.features[:, 1], raw["eta"])
    assert set(jets.labels) == set(raw.dtype.names) - {"pt", "eta"}
    assert jets.constituent_names == tuple(n for n, _ in TRACK_COLUMNS[:8])
    assert set(jets.constituent_labels) == {n for n, _ in TRACK_COLUMNS[8:12]}
    np.testing.assert_array_equal(jets.counts, tracks["valid"].sum(axis=1))
    flat = np.concatenate([row[row["valid"]] for row in tracks])
    for name in jets.constituent_names:
        np.testing.assert_array_equal(jets.constituent(name), flat[name])
    for name, values in jets.constituent_labels.items():
        np.testing.assert_array_equal(values, flat[name])
        assert values.dtype == np.int8


def test_half_precision_becomes_single(path, tables):
    jets = read_ftag_h5(path, features=["mass"])
    assert jets.features.dtype == np.float32
    assert jets.constituents.dtype == np.float32
    assert jets.labels["GN2v01_pb"].dtype == np.float32
    np.testing.assert_array_equal(jets.feature("mass"), tables[0]["mass"])


def test_integers_that_single_precision_cannot_hold(tmp_path, tables):
    raw, tracks = tables
    raw["eventNumber"] += 2**30
    path = write_tables(tmp_path / "large.h5", raw, tracks)
    jets = read_ftag_h5(path, features=["pt", "event"])
    np.testing.assert_array_equal(jets.feature("event"), raw["eventNumber"])


def test_names_of_several_releases(path, tables):
    jets = read_ftag_h5(
        path,
        features="pt",
        labels=["event", "flavour"],
        constituents=["d0"],
        constituent_labels=["origin", "vertex"],
    )
    assert jets.feature_names == ("pt",)
    assert list(jets.labels) == ["event", "flavour"]
    assert list(jets.constituent_labels) == ["origin", "vertex"]
    np.testing.assert_array_equal(jets.labels["event"], tables[0]["eventNumber"])
    np.testing.assert_array_equal(
        jets.labels["flavour"], tables[0]["HadronConeExclTruthLabelID"]
    )


def test_old_names_of_kinematics(tmp_path, tables):
    raw, tracks = tables
    raw.dtype.names = tuple(
        {"pt": "pt_btagJes", "eta": "eta_btagJes"}.get(n, n) for n in raw.dtype.names
    )
    jets = read_ftag_h5(write_tables(tmp_path / "old.h5", raw, tracks))
    assert jets.feature_names == ("pt", "eta")
    np.testing.assert_array_equal(jets.feature("eta"), raw["eta_btagJes"])


def test_chosen_constituents_leave_other_measurements_unread(path):
    jets = read_ftag_h5(path, constituents=["d0"])
    assert jets.constituent_names == ("d0",)
    assert set(jets.constituent_labels) == {n for n, _ in TRACK_COLUMNS[8:12]}


def test_jets_alone(path, tables):
    jets = read_ftag_h5(path, tracks_group=None, labels=())
    assert jets.constituent_names == () and not jets.labels
    np.testing.assert_array_equal(jets.feature("pt"), tables[0]["pt"])
    with pytest.raises(ValueError, match="tracks_group is None"):
        read_ftag_h5(path, tracks_group=None, constituents=["d0"])


def test_constituents_alone(path, tables):
    jets = read_ftag_h5(path, features=(), labels=())
    assert jets.features.shape == (60, 0) and not jets.labels
    np.testing.assert_array_equal(jets.counts, tables[1]["valid"].sum(axis=1))
    counts = read_ftag_h5(
        path, features=(), labels=(), constituents=(), constituent_labels=()
    )
    np.testing.assert_array_equal(counts.counts, jets.counts)


@pytest.mark.parametrize(
    "name",
    [
        "HadronConeExclTruthLabelID",
        "HadronGhostTruthLabelPdgId",
        "R10TruthLabel_R22v1_TruthJetMass",
        "GhostBHadronsFinalCount",
        "PartonTruthLabelPt",
        "flavour_label",
        "pt_truth",
        "ptFromTruthDressedWZJet",
        "hadron_Lxy",
        "n_truth_b",
        "isJvtHS",
        "mcEventWeight",
        "truthOriginLabel",
        "trackOrigin",
        "vertexIndex",
        "ftagTruthParentBarcode",
        "pdgId",
    ],
)
def test_truth_is_never_an_input(tmp_path, tables, name):
    wider = [with_column(table, name) for table in tables]
    path = write_tables(tmp_path / "truth.h5", *wider)
    jets = read_ftag_h5(path)
    assert name in jets.labels
    assert name in jets.constituent_labels
    with pytest.raises(ValueError, match=rf"features must not .*{name}.* by labels"):
        read_ftag_h5(path, features=["pt", name])
    with pytest.raises(ValueError, match=rf"{name}.* by constituent_labels"):
        read_ftag_h5(path, constituents=[name])


def test_megaelectronvolts(path, tables):
    raw, _ = tables
    mev = read_ftag_h5(path, unit="MeV", features=["pt", "eta", "mass"])
    gev = read_ftag_h5(path, unit="GeV", features=["pt", "eta", "mass"])
    divided = {"HadronConeExclTruthLabelPt"}
    for name, values in mev.labels.items():
        scale = 1000 if name in divided else 1
        np.testing.assert_array_equal(values, gev.labels[name] / scale)
    np.testing.assert_array_equal(mev.feature("pt"), raw["pt"] / 1000)
    np.testing.assert_array_equal(mev.feature("eta"), raw["eta"])
    np.testing.assert_allclose(mev.feature("mass"), raw["mass"] / 1e3, rtol=1e-3)
    for name in mev.constituent_names:
        scale = {"pt": 1e-3, "qOverP": 1e3, "qOverPUncertainty": 1e3}.get(name, 1)
        np.testing.assert_allclose(
            mev.constituent(name), gev.constituent(name) * scale, rtol=1e-6
        )


def test_what_is_no_energy_is_kept(tmp_path, tables):
    names = ("pt_frac", "jetPtRank", "log_energy", "My_p_b", "d0Uncertainty")
    raw, tracks = tables
    for name in names:
        raw = with_column(raw, name)
    raw = with_column(raw, "p", "S3")
    jets = read_ftag_h5(write_tables(tmp_path / "x.h5", raw, tracks), unit="MeV")
    for name in names:
        np.testing.assert_array_equal(jets.labels[name], 1)
    assert jets.labels["p"].dtype == "S3"


def test_energies_by_their_names(tmp_path, tables):
    names = ("energy", "jet_m", "TrackSumMass", "softMuon_pTrel", "SV1_masssvx")
    raw, tracks = tables
    for name in names:
        raw = with_column(raw, name)
    jets = read_ftag_h5(write_tables(tmp_path / "x.h5", raw, tracks), unit="MeV")
    for name in names:
        np.testing.assert_array_equal(jets.labels[name], np.float32(1e-3))


@pytest.mark.parametrize(("scale", "unit"), [(1, "GeV"), (1000, "MeV")])
def test_unit_is_found_by_the_median_pt(tmp_path, tables, scale, unit):
    raw, tracks = tables
    raw["pt"] *= scale
    raw["pt"][0] = np.nan
    path = write_tables(tmp_path / "unknown.h5", raw, tracks)
    assert read_ftag_h5(path) == read_ftag_h5(path, unit=unit)


@pytest.mark.parametrize("holder", ["/", "jets"])
@pytest.mark.parametrize("unit", ["GeV", "MeV", np.bytes_(b"MeV")])
def test_unit_is_told_by_an_attribute(path, holder, unit):
    with h5py.File(path, "a") as file:
        file[holder].attrs["unit"] = unit
    told = unit if isinstance(unit, str) else unit.decode()
    assert read_ftag_h5(path) == read_ftag_h5(path, unit=told)


def test_unit_cannot_be_told(path, tmp_path, tables):
    raw, tracks = tables
    raw["pt"] = np.nan
    nan = write_tables(tmp_path / "nan.h5", raw, tracks)
    with pytest.raises(ValueError, match="does not tell its unit"):
        read_ftag_h5(nan)
    assert len(read_ftag_h5(nan, unit="GeV")) == len(raw)
    bare = write_tables(tmp_path / "bare.h5", raw[["eta", "mass"]], tracks)
    with pytest.raises(ValueError, match="does not tell its unit"):
        read_ftag_h5(bare, features=["eta"])
    with h5py.File(path, "a") as file:
        file.attrs["unit"] = "TeV"
    with pytest.raises(ValueError, match="unit as 'TeV'"):
        read_ftag_h5(path)


def test_files_of_both_units(tmp_path):
    raw, tracks = random_tables(20)
    gev = write_tables(tmp_path / "gev.h5", raw, tracks)
    raw["pt"] *= 1000
    mev = write_tables(tmp_path / "mev.h5", raw, tracks)
    pt = read_ftag_h5([mev, gev]).feature("pt")
    np.testing.assert_allclose(pt[:20], pt[20:], rtol=1e-6)


@pytest.fixture
def three_files(tmp_path):
    sizes = (13, 0, 25)
    return [
        write_tables(tmp_path / f"part_{i}.h5", *random_tables(n, seed=i))
        for i, n in enumerate(sizes)
    ]


def test_several_files_and_patterns(tmp_path, three_files):
    jets = read_ftag_h5(three_files)
    assert jets == Jets.concatenate(read_ftag_h5(file) for file in three_files)
    assert read_ftag_h5(str(tmp_path / "part_*.h5")) == jets
    assert read_ftag_h5([tmp_path / "part_[01].h5", three_files[2]]) == jets


@pytest.mark.parametrize("chunk_size", [1, 7, 25, 1000])
def test_chunks_together_are_everything(three_files, chunk_size):
    chunks = list(iterate_ftag_h5(three_files, chunk_size=chunk_size))
    assert max(len(chunk) for chunk in chunks) == min(chunk_size, 25)
    assert Jets.concatenate(chunks) == read_ftag_h5(three_files)


@pytest.mark.parametrize(
    ("start", "stop"),
    [(None, 5), (5, 20), (13, None), (-4, None), (3, -3), (20, 10), (0, 999), (50, 60)],
)
def test_ranges_are_slices_of_all_files(three_files, start, stop):
    jets = read_ftag_h5(three_files, start=start, stop=stop)
    assert jets == read_ftag_h5(three_files)[start:stop]
    chunks = iterate_ftag_h5(three_files, start=start, stop=stop, chunk_size=4)
    assert Jets.concatenate(chunks) == jets


@pytest.mark.parametrize("cut", [0, 200, 1e9])
def test_selection(three_files, cut):
    def hard(jets):
        return jets.feature("pt") > cut

    everything = read_ftag_h5(three_files)
    selected = read_ftag_h5(three_files, selection=hard)
    assert selected == everything[everything.feature("pt") > cut]
    chunks = iterate_ftag_h5(three_files, selection=hard, chunk_size=4)
    assert Jets.concatenate(chunks) == selected


@pytest.mark.parametrize("answer", [np.arange(60), np.ones(59, dtype=bool), True])
def test_selection_must_be_a_mask(path, answer):
    with pytest.raises(ValueError, match=r"boolean array of shape \(60,\)"):
        read_ftag_h5(path, selection=lambda jets: answer)


def test_files_without_jets(tmp_path):
    path = write_tables(tmp_path / "none.h5", *random_tables(0))
    jets = read_ftag_h5(path)
    assert len(jets) == 0
    assert jets.constituents.shape == (0, 8)
    assert [len(chunk) for chunk in iterate_ftag_h5(path)] == [0]
    write_ftag_h5(tmp_path / "again.h5", jets)
    assert read_ftag_h5(tmp_path / "again.h5") == jets


def test_memory_is_bounded_by_the_chunk(tmp_path):
    raw, tracks = random_tables(500, width=40)
    path = tmp_path / "large.h5"
    n_repeats = 60
    with h5py.File(path, "w") as file:
        for name, table in (("jets", raw), ("tracks", tracks)):
            shape = (n_repeats * 500, *table.shape[1:])
            dataset = file.create_dataset(name, shape, table.dtype, chunks=True)
            for i in range(n_repeats):
                dataset[i * 500 : (i + 1) * 500] = table
    total = n_repeats * (raw.nbytes + tracks.nbytes)
    tracemalloc.start()
    try:
        n_jets = sum(len(chunk) for chunk in iterate_ftag_h5(path, chunk_size=500))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert n_jets == n_repeats * 500
    assert peak < total / 10


def test_files_are_closed_between_chunks(path):
    chunks = iterate_ftag_h5(path, chunk_size=10)
    first = next(chunks)
    write_ftag_scores(path, "My", np.full((60, 1), 0.5), classes=["b"])
    assert Jets.concatenate([first, *chunks]) == read_ftag_h5(
        path, labels=list(first.labels)
    )


def test_missing_columns_name_the_nearest(path):
    with pytest.raises(ValueError, match=r"features: 'jets' of .*'Pt'.*\['pt'"):
        read_ftag_h5(path, features=["Pt"])
    with pytest.raises(ValueError, match=r"nearest are \['HadronConeExclTruthLabel"):
        read_ftag_h5(path, labels=["HadronConeTruthLabelID"])
    with pytest.raises(ValueError, match=r"constituents: 'tracks' .*\['d0'"):
        read_ftag_h5(path, constituents=["d0Sig"])
    with pytest.raises(ValueError, match=r"no column 'xyz'; there are \['eventNumber'"):
        read_ftag_h5(path, labels=["xyz"])
    with pytest.raises(ValueError, match=r"features must differ.*\['pt'\] twice"):
        read_ftag_h5(path, features=["pt", "pt"])


def test_every_file_must_have_the_columns(tmp_path, path, tables):
    raw, tracks = tables
    raw.dtype.names = tuple("pt_btagJes" if n == "pt" else n for n in raw.dtype.names)
    other = write_tables(tmp_path / "other.h5", raw, tracks)
    # found at once, before the first chunk
    with pytest.raises(ValueError, match=r"other\.h5 has no column 'pt'"):
        iterate_ftag_h5([path, other])


def test_inputs_are_one_number_a_row(tmp_path):
    raw = np.zeros(
        3, dtype=[("pt", "f4"), ("eta", "f4"), ("word", "S3"), ("p4", "4f4")]
    )
    path = tmp_path / "odd.h5"
    with h5py.File(path, "w") as file:
        file["jets"] = raw
    for name in ("word", "p4"):
        with pytest.raises(ValueError, match=f"'{name}'.* one number a row"):
            read_ftag_h5(path, features=[name], tracks_group=None)
    labels = read_ftag_h5(path, tracks_group=None).labels
    assert labels["p4"].shape == (3, 4)
    assert labels["word"].dtype == "S3"


def test_tables_that_do_not_fit(tmp_path, tables):
    raw, tracks = tables
    path = write_tables(tmp_path / "short.h5", raw, tracks[:-1])
    with pytest.raises(ValueError, match=r"'jets' has 60 rows and 'tracks' has 59"):
        read_ftag_h5(path)
    path = write_tables(tmp_path / "flat.h5", raw, tracks[:, 0])
    with pytest.raises(ValueError, match=r"'tracks' must have 2 dimension"):
        read_ftag_h5(path)
    path = write_tables(tmp_path / "mask.h5", raw, tracks[["pt", "d0"]])
    with pytest.raises(ValueError, match="no column 'valid'"):
        read_ftag_h5(path)
    path = write_tables(tmp_path / "plain.h5", raw["pt"], tracks)
    with pytest.raises(ValueError, match="'jets' is not a dataset of named columns"):
        read_ftag_h5(path)


def test_missing_tables(path):
    with pytest.raises(ValueError, match=r"no 'jet': the nearest are \['jets'\]"):
        read_ftag_h5(path, jets_group="jet")
    with pytest.raises(ValueError, match=r"no 'flow'.*tracks_group=None reads jets"):
        read_ftag_h5(path, tracks_group="flow")
    with h5py.File(path, "a") as file:
        file.create_group("folder")
    with pytest.raises(ValueError, match="'folder' is not a dataset"):
        read_ftag_h5(path, jets_group="folder")


@pytest.mark.parametrize("part", [0.0, 0.3, 0.9])
def test_truncated_files(path, part):
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(ValueError, match=r"ttbar\.h5 cannot be read as HDF5"):
        read_ftag_h5(path)


def test_corrupt_contents(tmp_path, tables):
    path = write_tables(tmp_path / "bad.h5", *tables, compression="gzip")
    with h5py.File(path) as file:
        where = file["tracks"].id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    middle = where.byte_offset + where.size // 2
    content[middle : middle + 100] = bytes(100)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"bad\.h5 cannot be read as HDF5"):
        read_ftag_h5(path)


# The names of what a file holds are in heaps.
def test_corrupt_names(path):
    content = path.read_bytes()
    assert b"HEAP" in content
    path.write_bytes(content.replace(b"HEAP", b"heap"))
    with pytest.raises(ValueError, match=r"ttbar\.h5 cannot be read as HDF5"):
        read_ftag_h5(path)


def test_files_of_other_formats(tmp_path):
    path = tmp_path / "notes.h5"
    path.write_text("pt eta phi\n" * 1000)
    with pytest.raises(ValueError, match=r"notes\.h5 cannot be read as HDF5"):
        read_ftag_h5(path)


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.h5"):
        read_ftag_h5(tmp_path / "nothing.h5")
    with pytest.raises(FileNotFoundError, match=r"x_\*\.h5"):
        read_ftag_h5(tmp_path / "x_*.h5")
    with pytest.raises(IsADirectoryError):
        read_ftag_h5(tmp_path)
    with pytest.raises(ValueError, match="empty list"):
        read_ftag_h5([])


def test_wrong_arguments(path):
    with pytest.raises(ValueError, match="chunk_size must be at least 1"):
        iterate_ftag_h5(path, chunk_size=0)
    with pytest.raises(ValueError, match="unit must be"):
        read_ftag_h5(path, unit="keV")
    with pytest.raises(TypeError, match="selection must be a function"):
        read_ftag_h5(path, selection=np.ones(60, dtype=bool))


def test_progress_bar(path, capsys):
    read_ftag_h5(path, verbose=1)
    assert "ttbar.h5 in GeV" in capsys.readouterr().err
    read_ftag_h5(path)
    assert capsys.readouterr().err == ""


def test_missing_h5py(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ImportError, match=r"h5py is needed.*sklearn_hepcal\[hdf5\]"):
        read_ftag_h5(path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "n_jets"),
    [("flavour_sim", 22980), ("flavour_sim2", 21580), ("flavour_data", 14443)],
)
def test_samples(data_dir, tmp_path, name, n_jets):
    path = data_dir / f"{name}.h5"
    jets = read_ftag_h5(path, features=["pt", "eta", "phi", "mass"])
    assert len(jets) == n_jets
    with h5py.File(path) as file:
        raw, tracks = file["jets"][:], file["tracks"][:]
    flat = tracks[tracks["valid"]]
    for column in jets.feature_names:
        np.testing.assert_array_equal(jets.feature(column), raw[column])
    assert set(jets.labels) == set(raw.dtype.names) - set(jets.feature_names)
    assert set(jets.constituent_labels) == {
        "ftagTruthOriginLabel",
        "ftagTruthVertexIndex",
    }
    assert len(jets.constituent_names) == 19
    for column in jets.constituent_names:
        np.testing.assert_array_equal(jets.constituent(column), flat[column])
    for column, values in jets.constituent_labels.items():
        np.testing.assert_array_equal(values, flat[column])
    np.testing.assert_array_equal(jets.counts, tracks["valid"].sum(axis=1))
    write_ftag_h5(tmp_path / "again.h5", jets)
    assert read_ftag_h5(tmp_path / "again.h5") == jets
