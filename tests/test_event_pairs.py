import numpy as np
import pytest

from sklearn_hepcal._event_pairs import UNPAIRED, Pairs, check_event_id, find_pairs


def counted(event_id, used):
    """The same events, one by one."""
    rows = {}
    for row, (event, use) in enumerate(zip(event_id, used, strict=True)):
        if event != UNPAIRED and use:
            rows.setdefault(int(event), []).append(row)
    return [tuple(rows[event]) for event in sorted(rows) if len(rows[event]) == 2]


@pytest.mark.parametrize("seed", range(5))
def test_events_of_two_jets_are_pairs(seed):
    rng = np.random.default_rng(seed)
    # Negative numbers but -1 are events like others.
    event_id = rng.integers(-20, 20, size=100)
    used = rng.random(100) < 0.8
    pairs = find_pairs(event_id, used)
    expected = counted(event_id, used)
    assert len(expected) > 5
    assert list(zip(*pairs, strict=True)) == expected
    assert (event_id[pairs.first] < 0).any()
    np.testing.assert_array_equal(pairs.rows, np.ravel(np.transpose(expected)))


@pytest.mark.parametrize("event_id", [[], [-1, -1], [1, 2, 3], [4, 4, 4], [7, 7, 7, 7]])
def test_no_pairs(event_id):
    pairs = find_pairs(np.array(event_id, dtype=np.int64), np.ones(len(event_id), bool))
    assert len(pairs.first) == len(pairs.second) == len(pairs.rows) == 0


def test_third_jets_may_be_unused():
    event_id = np.array([5, 5, 5])
    pairs = find_pairs(event_id, np.array([True, False, True]))
    assert (list(pairs.first), list(pairs.second)) == ([0], [2])


def test_selection_looks_at_the_first_jet():
    pairs = Pairs(np.array([0, 4, 2]), np.array([1, 5, 3]))
    chosen = pairs.select(np.array([True, True, False, False, True, True]))
    assert (list(chosen.first), list(chosen.second)) == ([0, 4], [1, 5])


@pytest.mark.parametrize("dtype", ["int8", "int64", "uint32", "float32", "float64"])
def test_whole_numbers_of_any_type(dtype):
    ids = check_event_id(np.array([3, 0, 100], dtype=dtype), 3)
    assert ids.dtype == np.int64
    np.testing.assert_array_equal(ids, [3, 0, 100])
    np.testing.assert_array_equal(check_event_id([-1.0, 2.0], 2), [-1, 2])


def test_without_events_no_jet_is_in_a_pair():
    np.testing.assert_array_equal(check_event_id(None, 3), [UNPAIRED] * 3)


@pytest.mark.parametrize(
    ("event_id", "message"),
    [
        ([1, 2], "one entry a row"),
        ([1, 2, 3, 4], "one entry a row"),
        ([1.5, 2, 3], "whole numbers"),
        ([np.nan, 2, 3], "whole numbers"),
        ([np.inf, 2, 3], "whole numbers"),
        (["a", "b", "c"], "whole numbers"),
        ([True, False, True], "whole numbers"),
        ([[1, 2], [3, 4], [5, 6]], "1d array"),
    ],
)
def test_what_is_refused(event_id, message):
    with pytest.raises(ValueError, match=message):
        check_event_id(event_id, 3)
