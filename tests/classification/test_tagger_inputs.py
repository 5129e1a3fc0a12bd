import numpy as np
import pytest
from jet_changes import permute
from small_taggers import make_jets

from sklearn_hepcal._find_column import find_column
from sklearn_hepcal._tagger_inputs import ColumnScaler, TaggerInputs
from sklearn_hepcal.jets import Jets

NAMES = ("pt", "d0", "z0")


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_columns_have_a_mean_of_zero_and_a_variance_of_one(seed):
    rng = np.random.default_rng(seed)
    table = np.column_stack(
        [
            rng.normal(1e6, 1.0, 500),
            rng.standard_cauchy(500),
            rng.exponential(1e-12, 500),
            rng.choice([0.0, 0.0, 0.0, 3.0], 500),
            np.arange(500) - 1e15,
        ]
    )
    scaler = ColumnScaler(table)
    scaled = scaler(table)
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(scaled.std(axis=0), 1)
    # Nothing is lost: the order of the rows is kept.
    for before, after in zip(table.T, scaled.T, strict=True):
        order = np.argsort(before, kind="stable")
        assert (np.diff(after[order])[np.diff(before[order]) > 0] > 0).all()


def test_the_scale_is_that_of_the_training_rows():
    table = np.array([[0.0], [1.0], [2.0], [3.0], [100.0]])
    # The median is 2, and the median deviation 1.
    squashed = np.arcsinh(table - 2)
    expected = (np.arcsinh(np.array([[5.0]]) - 2) - squashed.mean()) / squashed.std()
    np.testing.assert_allclose(ColumnScaler(table)(np.array([[5.0]])), expected)


def test_values_far_out_do_not_squeeze_the_others():
    rng = np.random.default_rng(0)
    column = rng.normal(size=(1000, 1))
    column[:3] = 1e30
    scaled = ColumnScaler(column)(column)
    assert scaled[3:].std() > 0.1
    assert np.abs(scaled).max() < 100


def test_missing_values_are_means_with_a_mark():
    table = np.array([[1.0, np.nan, 5.0], [2.0, 1.0, 5.0], [4.0, 3.0, np.nan]])
    scaler = ColumnScaler(table)
    assert scaler.n_outputs == 5
    scaled = scaler(table)
    assert scaled.shape == (3, 5)
    assert np.isfinite(scaled).all()
    np.testing.assert_array_equal(scaled[:, 3:], np.isnan(table[:, 1:]))
    assert scaled[0, 1] == scaled[2, 2] == 0
    # Missing for the first time: no column marks it.
    other = scaler(np.array([[np.nan, 1.0, 5.0]]))
    assert other[0, 0] == 0
    assert (other[0, 3:] == 0).all()


@pytest.mark.parametrize("column", [np.full(4, 0.1), np.full(4, np.nan), np.zeros(0)])
def test_columns_without_spread(column):
    scaler = ColumnScaler(column[:, None])
    scaled = scaler(np.array([[0.1], [7.0], [np.nan]]))
    assert np.isfinite(scaled).all()
    assert (scaler(column[:, None])[:, 0] == 0).all()


def test_no_columns():
    scaler = ColumnScaler(np.zeros((3, 0)))
    assert scaler.n_outputs == 0
    assert scaler(np.zeros((5, 0))).shape == (5, 0)


def test_features_tell_the_number_of_tracks():
    jets, _ = make_jets(50, np.random.default_rng(0), min_tracks=0)
    features, tracks, order = TaggerInputs(jets, True, None)(jets)
    assert features.shape == (50, 3)
    rows = np.argsort(jets.counts, kind="stable")
    steps = np.diff(features[rows, 2])
    np.testing.assert_array_equal(steps > 0, np.diff(jets.counts[rows]) > 0)
    assert tracks.shape == (len(jets.constituents), 4)
    np.testing.assert_array_equal(order, np.arange(len(tracks)))


def test_without_tracks_only_features_are_read():
    jets, _ = make_jets(50, np.random.default_rng(0))
    inputs = TaggerInputs(jets, False, "auto")
    features, tracks, order = inputs(jets)
    assert features.shape == (50, 2)
    assert tracks.shape[1] == inputs.n_columns == len(order) == 0
    np.testing.assert_array_equal(features, inputs(Jets(jets.features))[0])


@pytest.mark.parametrize(
    "name",
    [
        "signed_d0_significance",
        "IP3D_signed_d0_significance",
        "lifetimeSignedD0Significance",
    ],
)
def test_tracks_are_sorted_by_significance(name):
    jets, _ = make_jets(50, np.random.default_rng(0), min_tracks=0)
    jets = jets.replace(constituent_names=["pt", name, "hits", "z"])
    order = TaggerInputs(jets, True, "auto").order(jets)
    np.testing.assert_array_equal(order, TaggerInputs(jets, True, name).order(jets))
    np.testing.assert_array_equal(order, TaggerInputs(jets, True, -3).order(jets))
    np.testing.assert_array_equal(jets.jet_index[order], jets.jet_index)
    size = np.abs(jets.constituents[order, 1])
    same_jet = np.diff(jets.jet_index) == 0
    assert (np.diff(size)[same_jet] <= 0).all()
    other = permute(jets)
    found = other.constituents[TaggerInputs(jets, True, "auto").order(other)]
    np.testing.assert_array_equal(found, jets.constituents[order])


def test_tracks_without_significance_come_last():
    significance = np.array([[1.0], [np.nan], [-3.0], [0.5]])
    jets = Jets(constituents=significance, offsets=[0, 4], constituent_names=["s"])
    assert TaggerInputs(jets, True, "s").order(jets).tolist() == [2, 0, 3, 1]


def test_tracks_keep_their_order_without_a_column():
    jets, _ = make_jets(50, np.random.default_rng(0))
    jets = jets.select(constituents=["pt", "hits"])
    for order_by in ("auto", None):
        order = TaggerInputs(jets, True, order_by).order(jets)
        np.testing.assert_array_equal(order, np.arange(len(jets.constituents)))


@pytest.mark.parametrize(
    ("key", "column"), [("d0", 1), (0, 0), (-1, 2), (np.int64(2), 2), (-3, 0)]
)
def test_find_column(key, column):
    assert find_column(key, NAMES, "order_by") == column


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("pT", r"order_by: no column 'pT' in \['pt', 'd0', 'z0'\]"),
        (3, "order_by: no column 3 among 3"),
        (-4, "order_by: no column -4 among 3"),
        (True, "order_by: True is neither a number nor a name"),
        (np.True_, "is neither a number nor a name"),
        (1.0, "order_by: 1.0 is neither a number nor a name"),
    ],
)
def test_columns_that_do_not_exist(key, message):
    with pytest.raises(ValueError, match=message):
        find_column(key, NAMES, "order_by")
