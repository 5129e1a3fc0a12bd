import h5py
import numpy as np
import pytest
from ftag_tables import random_tables, write_tables

from sklearn_hepcal.jets import read_ftag_h5, write_ftag_scores


@pytest.fixture
def scores():
    return np.random.default_rng(5).dirichlet([1, 1, 1], 60)


def test_scores(path, tables, scores):
    before = read_ftag_h5(path)
    write_ftag_scores(path, "My", scores, classes=np.array([0, 4, 5]))
    after = read_ftag_h5(path)
    for i, name in enumerate(("My_pu", "My_pc", "My_pb")):
        np.testing.assert_array_equal(after.labels[name], scores[:, i].astype("f4"))
        assert after.labels[name].dtype == np.float32
    kept = {name: after.labels[name] for name in before.labels}
    assert after.replace(labels=kept) == before
    with h5py.File(path) as file:
        for name in tables[0].dtype.names:
            np.testing.assert_array_equal(file["jets"][name], tables[0][name])
        np.testing.assert_array_equal(file["tracks"][:], tables[1])


def test_scores_are_replaced_on_request(path, scores):
    write_ftag_scores(path, "My", scores, classes=["u", "c", "b"])
    with h5py.File(path) as file:
        names = file["jets"].dtype.names
    again = scores[:, [2, 0]]
    with pytest.raises(ValueError, match=r"columns \['My_pb', 'My_pu'\]; overwrite"):
        write_ftag_scores(path, "My", again, classes=["b", "u"])
    write_ftag_scores(
        path, "My", again, classes=["b", "u"], overwrite=True, dtype=np.float64
    )
    labels = read_ftag_h5(path).labels
    np.testing.assert_array_equal(labels["My_pb"], scores[:, 2])
    np.testing.assert_array_equal(labels["My_pu"], scores[:, 0])
    np.testing.assert_array_equal(labels["My_pc"], scores[:, 1].astype("f4"))
    with h5py.File(path) as file:
        assert file["jets"].dtype.names == names


@pytest.mark.parametrize(
    ("label", "suffix"),
    [
        (0, "u"),
        (np.int32(15), "tau"),
        (5.0, "b"),
        ("light", "u"),
        ("cjets", "c"),
        (np.str_("tau"), "tau"),
        ("hbb", "hbb"),
        (11, "11"),
        (False, "False"),
    ],
)
def test_names_of_scores(path, label, suffix):
    write_ftag_scores(path, "GN9", np.full((60, 1), 0.25), classes=[label])
    assert f"GN9_p{suffix}" in read_ftag_h5(path).labels


def test_scores_that_do_not_fit(path, scores):
    content = path.read_bytes()
    for proba, options, message in [
        (scores[:59], {}, "proba has 59 rows, but .* has 60 jets"),
        (scores[:, :2], {}, "proba has 2 columns for 3 classes"),
        (np.log(scores), {}, "between 0 and 1"),
        (2 * scores, {}, "between 0 and 1"),
        (np.where(scores > 0.9, np.nan, scores), {}, "NaN"),
        (scores, {"dtype": int}, "dtype must be a floating type"),
        (scores, {"classes": [0, "light", 5]}, r"several give \['My_pu'\]"),
        (scores, {"name": ""}, "name must be"),
        (scores, {"jets_group": "jet"}, "nearest are"),
    ]:
        arguments = {"name": "My", "classes": [0, 4, 5], **options}
        with pytest.raises(ValueError, match=message):
            write_ftag_scores(path, proba=proba, **arguments)
    assert path.read_bytes() == content
    assert list(path.parent.iterdir()) == [path]


def test_scores_leave_all_else_as_it_is(tmp_path, tables, scores):
    raw, tracks = tables
    path = tmp_path / "rich.h5"
    words = np.array([f"sample {i}" for i in range(60)], dtype=object)
    fields = [*raw.dtype.descr, ("word", h5py.string_dtype()), ("p4", "4f4")]
    rich = np.zeros(60, dtype=fields)
    for name in raw.dtype.names:
        rich[name] = raw[name]
    rich["word"] = words
    with h5py.File(path, "w") as file:
        file.attrs["process"] = "ttbar"
        jets = file.create_dataset(
            "deep/jets",
            data=rich,
            maxshape=(None,),
            chunks=(17,),
            compression="gzip",
            compression_opts=3,
            shuffle=True,
            fletcher32=True,
        )
        jets.attrs["note"] = [1, 2, 3]
        file["deep"].attrs["level"] = 2
        file.create_dataset("deep/tracks", data=tracks, compression="lzf")
        file.create_dataset("cutBookkeeper/nominal/counts", data=np.arange(3))
        file["link"] = h5py.SoftLink("/deep/tracks")
        file["gone"] = h5py.ExternalLink("elsewhere.h5", "/jets")
    path.chmod(0o640)
    write_ftag_scores(path, "My", scores, classes="ucb", jets_group="deep/jets")
    assert path.stat().st_mode & 0o777 == 0o640
    with h5py.File(path) as file:
        assert file.attrs["process"] == "ttbar"
        assert file["deep"].attrs["level"] == 2
        jets = file["deep/jets"]
        np.testing.assert_array_equal(jets.attrs["note"], [1, 2, 3])
        assert jets.maxshape == (None,)
        assert jets.chunks == (17,)
        assert (jets.compression, jets.compression_opts) == ("gzip", 3)
        assert jets.shuffle and jets.fletcher32
        assert [word.decode() for word in jets["word"]] == words.tolist()
        for name in raw.dtype.names:
            np.testing.assert_array_equal(jets[name], raw[name])
        np.testing.assert_array_equal(jets["My_pc"], scores[:, 1].astype("f4"))
        assert file["deep/tracks"].compression == "lzf"
        np.testing.assert_array_equal(file["link"][:], tracks)
        np.testing.assert_array_equal(file["cutBookkeeper/nominal/counts"], range(3))
        link = file.get("gone", getlink=True)
        assert (link.filename, link.path) == ("elsewhere.h5", "/jets")
    jets = read_ftag_h5(path, jets_group="deep/jets", tracks_group="deep/tracks")
    assert jets.labels["word"].tolist() == words.tolist()
    assert jets.labels["p4"].shape == (60, 4)


def test_scores_of_tables_with_a_fill_value(tmp_path, tables, scores):
    raw, _ = tables
    path = tmp_path / "filled.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("jets", data=raw, chunks=(9,), fillvalue=raw[3])
    write_ftag_scores(path, "My", scores, classes="ucb")
    labels = read_ftag_h5(path, tracks_group=None).labels
    np.testing.assert_array_equal(labels["My_pb"], scores[:, 2].astype("f4"))
    np.testing.assert_array_equal(labels["eventNumber"], raw["eventNumber"])


def test_scores_of_virtual_tables_do_not_touch_their_sources(tmp_path, path, scores):
    content = path.read_bytes()
    virtual = tmp_path / "virtual.h5"
    with h5py.File(path) as source, h5py.File(virtual, "w") as file:
        for name in ("jets", "tracks"):
            layout = h5py.VirtualLayout(source[name].shape, source[name].dtype)
            layout[:] = h5py.VirtualSource(source[name])
            file.create_virtual_dataset(name, layout)
    write_ftag_scores(virtual, "My", scores, classes="ucb")
    jets = read_ftag_h5(virtual)
    np.testing.assert_array_equal(jets.labels["My_pb"], scores[:, 2].astype("f4"))
    kept = {k: v for k, v in jets.labels.items() if not k.startswith("My_")}
    assert jets.replace(labels=kept) == read_ftag_h5(path)
    assert path.read_bytes() == content


def test_scores_of_no_jets(tmp_path):
    path = write_tables(tmp_path / "none.h5", *random_tables(0))
    write_ftag_scores(path, "My", np.empty((0, 2)), classes=[0, 5])
    assert read_ftag_h5(path).labels["My_pb"].shape == (0,)


def test_links_to_files_stay_links(tmp_path, path, scores):
    link = tmp_path / "link.h5"
    link.symlink_to(path)
    write_ftag_scores(link, "My", scores, classes="ucb")
    assert link.is_symlink()
    assert "My_pb" in read_ftag_h5(path).labels


def test_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.h5"):
        write_ftag_scores(tmp_path / "nothing.h5", "My", [[1.0]], classes=["b"])


def test_interrupted_writing_changes_nothing(path, scores, interrupted):
    content = path.read_bytes()
    with pytest.raises(KeyboardInterrupt):
        write_ftag_scores(path, "My", scores, classes="ucb")
    assert path.read_bytes() == content
    assert list(path.parent.iterdir()) == [path]


def test_progress_bar(path, scores, capsys):
    write_ftag_scores(path, "My", scores, classes="ucb", verbose=1)
    assert "60/60" in capsys.readouterr().err
