import h5py
import numpy as np
import pytest

from sklearn_hepcal.jets import Jets, read_ftag_h5, write_ftag_h5


@pytest.fixture
def labelled(jets):
    """Jets with labels of all types that can be stored."""
    rng = np.random.default_rng(0)
    n_jets, n_constituents = len(jets), len(jets.constituents)
    labels = {
        "flag": rng.random(n_jets) < 0.5,
        "small": rng.integers(-128, 128, n_jets).astype(np.int8),
        "large": rng.integers(0, 2**63, n_jets),
        "double": rng.normal(size=n_jets),
        "single": rng.normal(size=n_jets).astype(np.float32),
        "vector": rng.normal(size=(n_jets, 3)),
        "word": rng.choice(["", "tt\N{OVERLINE}", "dijet"], n_jets),
        "bytes": rng.choice([b"QCD", b"top"], n_jets),
        "missing": np.full(n_jets, np.nan),
    }
    return jets.replace(
        labels={**jets.labels, **labels},
        constituent_labels={
            **jets.constituent_labels,
            "fake": rng.random(n_constituents) < 0.1,
            "hits": rng.integers(0, 256, n_constituents).astype(np.uint8),
            "kind": rng.choice(["pion", "kaon"], n_constituents),
            "position": rng.normal(size=(n_constituents, 3)).astype(np.float32),
        },
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_round_trip_is_exact(tmp_path, labelled, dtype):
    jets = labelled.replace(
        features=labelled.features.astype(dtype),
        constituents=labelled.constituents.astype(dtype),
    )
    write_ftag_h5(tmp_path / "jets.h5", jets)
    again = read_ftag_h5(tmp_path / "jets.h5")
    assert again == jets
    assert again.features.dtype == again.constituents.dtype == dtype
    for name, values in jets.labels.items():
        assert again.labels[name].dtype.kind == values.dtype.kind
        assert values.dtype.kind == "U" or again.labels[name].dtype == values.dtype
    for name, values in jets.constituent_labels.items():
        assert again.constituent_labels[name].dtype == values.dtype


def test_round_trip_keeps_the_units(tmp_path, labelled):
    hard = labelled.replace(features=1e5 * labelled.features, feature_names=("pt", "m"))
    write_ftag_h5(tmp_path / "hard.h5", hard)
    assert read_ftag_h5(tmp_path / "hard.h5") == hard


def test_round_trip_of_objects_and_of_features_alone(tmp_path):
    words = np.array(["b", "light"], dtype=object)
    jets = Jets([[1.0], [2.0]], feature_names=["mass"], labels={"word": words})
    write_ftag_h5(tmp_path / "jets.h5", jets)
    with h5py.File(tmp_path / "jets.h5") as file:
        assert list(file) == ["jets"]
    assert read_ftag_h5(tmp_path / "jets.h5", tracks_group=None) == jets


def test_plain_layout(tmp_path, labelled):
    path = tmp_path / "jets.h5"
    write_ftag_h5(path, labelled)
    padded, mask = labelled.to_padded(40, fill_value=np.nan)
    with h5py.File(path) as file:
        jets, tracks = file["jets"], file["tracks"]
        assert jets.compression == tracks.compression == "gzip"
        assert jets.shape == (40,)
        assert tracks.shape == (40, 40)
        np.testing.assert_array_equal(tracks["valid"], mask)
        for i, name in enumerate(labelled.constituent_names):
            np.testing.assert_array_equal(tracks[name], padded[:, :, i])
        padding = tracks[:][~mask]
        np.testing.assert_array_equal(padding["origin"], -1)
        np.testing.assert_array_equal(padding["hits"], 0)
        np.testing.assert_array_equal(padding["fake"], False)
        np.testing.assert_array_equal(padding["kind"], b"")
        assert np.isnan(padding["position"]).all()
        np.testing.assert_array_equal(jets["small"], labelled.labels["small"])
        assert [word.decode() for word in jets["word"]] == labelled.labels[
            "word"
        ].tolist()


@pytest.mark.parametrize("width", [1, 3, 6, 50])
def test_number_of_places(tmp_path, labelled, width):
    write_ftag_h5(tmp_path / "jets.h5", labelled, max_constituents=width)
    again = read_ftag_h5(tmp_path / "jets.h5")
    kept, mask = labelled.to_padded(width)
    np.testing.assert_array_equal(again.constituents, kept[mask])
    np.testing.assert_array_equal(again.counts, np.minimum(labelled.counts, width))
    with h5py.File(tmp_path / "jets.h5") as file:
        assert file["tracks"].shape == (40, width)


def test_jets_of_more_than_forty_constituents_are_kept(tmp_path):
    jets = Jets([[1.0], [2.0]], np.ones((60, 3)), [0, 55, 60])
    write_ftag_h5(tmp_path / "long.h5", jets)
    assert read_ftag_h5(tmp_path / "long.h5") == jets
    with pytest.raises(ValueError, match="max_constituents must be at least 1"):
        write_ftag_h5(tmp_path / "none.h5", jets, max_constituents=0)


def test_many_blocks(tmp_path, labelled):
    many = Jets.concatenate([labelled] * 260)
    write_ftag_h5(tmp_path / "many.h5", many)
    assert read_ftag_h5(tmp_path / "many.h5") == many


def test_files_are_not_overwritten_unasked(tmp_path, labelled):
    path = tmp_path / "jets.h5"
    write_ftag_h5(path, labelled)
    with pytest.raises(FileExistsError, match="overwrite=True"):
        write_ftag_h5(path, labelled[:3])
    assert read_ftag_h5(path) == labelled
    write_ftag_h5(path, labelled[:3], overwrite=True)
    assert read_ftag_h5(path) == labelled[:3]


def test_what_cannot_be_written_leaves_no_file(tmp_path, labelled):
    when = np.zeros(len(labelled), dtype="datetime64[s]")
    valid = np.zeros(len(labelled.constituents))
    with pytest.raises(ValueError, match=r"'when' of type datetime64.* cannot be"):
        write_ftag_h5(tmp_path / "x.h5", labelled.replace(labels={"when": when}))
    with pytest.raises(ValueError, match="'valid'; rename"):
        jets = labelled.replace(constituent_labels={"valid": valid})
        write_ftag_h5(tmp_path / "x.h5", jets)
    with pytest.raises(ValueError, match="names of columns"):
        jets = labelled.replace(labels={"mass": valid[: len(labelled)]})
        write_ftag_h5(tmp_path / "x.h5", jets)
    with pytest.raises(ValueError, match="at least one feature or label"):
        write_ftag_h5(tmp_path / "x.h5", Jets(None, np.ones((3, 3)), [0, 3]))
    assert not list(tmp_path.iterdir())


def test_only_jets_are_written(tmp_path):
    with pytest.raises(TypeError, match="jets must be Jets, got ndarray"):
        write_ftag_h5(tmp_path / "x.h5", np.ones((3, 3)))


def test_interrupted_writing_changes_nothing(path, labelled, interrupted):
    content = path.read_bytes()
    with pytest.raises(KeyboardInterrupt):
        write_ftag_h5(path, labelled, overwrite=True)
    assert path.read_bytes() == content
    assert list(path.parent.iterdir()) == [path]


def test_progress_bar(path, labelled, capsys):
    write_ftag_h5(path, labelled, overwrite=True, verbose=1)
    assert "40/40" in capsys.readouterr().err
