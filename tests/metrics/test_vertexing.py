import numpy as np
import pytest

from sklearn_hepcal.metrics import vertex_efficiency_purity

RATIOS = ("efficiency", "purity", "track_efficiency", "track_purity")


# Random vertices, found with mistakes; padded tracks are -1.
def sample(n_jets, seed, n_tracks=15, mistakes=0.4):
    rng = np.random.default_rng(seed)
    true = rng.integers(-1, 4, (n_jets, n_tracks))
    wrong = rng.random(true.shape) < mistakes
    found = np.where(wrong, rng.integers(-1, 4, true.shape), true)
    padding = np.arange(n_tracks) >= rng.integers(0, n_tracks + 1, n_jets)[:, None]
    return np.where(padding, -1, true), np.where(padding, -1, found)


# The documented rule, one jet and one pair at a time.
def matches_one_by_one(true, found, min_efficiency, min_purity):
    def vertices(jet):
        members = {k: set(np.flatnonzero(jet == k)) for k in np.unique(jet[jet >= 0])}
        return {k: tracks for k, tracks in members.items() if len(tracks) > 1}

    for jet_true, jet_found in zip(true, found, strict=True):
        left, right = vertices(jet_true), vertices(jet_found)
        pairs = [
            (-len(a & b), len(a), len(b), i, j)
            for i, a in left.items()
            for j, b in right.items()
            if a & b
            and len(a & b) / len(a) >= min_efficiency
            and len(a & b) / len(b) >= min_purity
        ]
        used_left, used_right, matched = set(), set(), []
        for common, size_left, size_right, i, j in sorted(pairs):
            if i not in used_left and j not in used_right:
                used_left.add(i)
                used_right.add(j)
                matched.append((-common, size_left, size_right))
        yield len(left), len(right), matched


@pytest.mark.parametrize(
    ("min_efficiency", "min_purity"), [(0.65, 0.5), (0.3, 0.3), (0.0, 0.0), (1.0, 0.0)]
)
def test_matches_are_those_of_the_rule(min_efficiency, min_purity):
    true, found = sample(400, 0)
    result = vertex_efficiency_purity(
        true, found, min_efficiency=min_efficiency, min_purity=min_purity
    )
    n_true, n_found, matched = zip(
        *matches_one_by_one(true, found, min_efficiency, min_purity), strict=True
    )
    np.testing.assert_array_equal(result.n_true, n_true)
    np.testing.assert_array_equal(result.n_found, n_found)
    np.testing.assert_array_equal(result.n_matched, [len(m) for m in matched])
    common, of_true, of_found = np.sum([row for m in matched for row in m], axis=0)
    assert result.track_efficiency.value == pytest.approx(common / of_true)
    assert result.track_purity.value == pytest.approx(common / of_found)
    assert result.efficiency.value == result.n_matched.sum() / np.sum(n_true)
    assert result.purity.value == result.n_matched.sum() / np.sum(n_found)


def test_perfect_vertices_have_errors_of_zero():
    true, _ = sample(50, 0)
    # any names of the vertices, and any negative number for none
    result = vertex_efficiency_purity(true, np.where(true < 0, -99, 10**9 * true + 7))
    for ratio in RATIOS:
        assert getattr(result, ratio) == (1.0, 0.0)
    np.testing.assert_array_equal(result.n_matched, result.n_true)


def test_counts_by_hand():
    true = [
        [0, 0, 0, 1, 1, 1, 2, -1],  # 2 has a single track
        [3, 3, 3, 3, -1, -1, -1, -1],
        [-1, -1, -1, -1, -1, -1, -1, -1],
    ]
    found = [
        [5, 5, -1, 5, 6, 6, 6, 8],  # 2 of 3 tracks each
        [0, 0, 1, 1, -1, -1, -1, -1],  # split in halves
        [2, 2, -1, -1, -1, -1, -1, -1],  # a fake
    ]
    result = vertex_efficiency_purity(true, found)
    np.testing.assert_array_equal(result.n_true, [2, 1, 0])
    np.testing.assert_array_equal(result.n_found, [2, 2, 1])
    np.testing.assert_array_equal(result.n_matched, [2, 0, 0])
    assert result.efficiency.value == pytest.approx(2 / 3)
    assert result.purity.value == pytest.approx(2 / 5)
    assert result.track_efficiency.value == pytest.approx(4 / 6)
    assert result.track_purity.value == pytest.approx(4 / 6)
    # sqrt(sum (k - e n)^2) / sum n
    assert result.efficiency.error == pytest.approx(np.sqrt(8 / 9) / 3)
    loose = vertex_efficiency_purity(true, found, min_efficiency=0.5)
    np.testing.assert_array_equal(loose.n_matched, [2, 1, 0])
    large = vertex_efficiency_purity(true, found, min_tracks=3)
    np.testing.assert_array_equal(large.n_true, [2, 1, 0])
    np.testing.assert_array_equal(large.n_found, [2, 0, 0])


def test_ties():
    # both halves are as good: the first one is taken, whatever the order of tracks
    true, found = np.array([[0, 0, 0, 0]]), np.array([[4, 4, 3, 3]])
    options = {"min_efficiency": 0.5}
    for order in (slice(None), slice(None, None, -1)):
        result = vertex_efficiency_purity(true[:, order], found[:, order], **options)
        assert result.n_matched == [1]
    # the smaller true vertex is preferred, then the smaller found one
    result = vertex_efficiency_purity([[0, 0, 1, 1, 1]], [[5, 5, 5, 5, -1]])
    assert (result.track_efficiency.value, result.track_purity.value) == (1.0, 0.5)
    result = vertex_efficiency_purity(
        [[0, 0, 0, 0, -1]], [[5, 5, 6, 6, 5]], min_efficiency=0.5
    )
    assert result.track_purity.value == 1.0


def test_order_of_tracks_jets_and_names_and_more_padding_do_not_matter():
    true, found = sample(300, 1)
    rng = np.random.default_rng(0)
    expected = vertex_efficiency_purity(true, found)
    jets, tracks = rng.permutation(300), rng.permutation(15)
    pad = ((0, 0), (0, 9))
    shuffled = vertex_efficiency_purity(
        *(
            np.pad(index[jets][:, tracks], pad, constant_values=-2)
            for index in (true, found)
        )
    )
    for ratio in RATIOS:
        np.testing.assert_allclose(getattr(shuffled, ratio), getattr(expected, ratio))
    np.testing.assert_array_equal(shuffled.n_matched, expected.n_matched[jets])


def test_primary_vertex_is_left_out():
    true = [
        [0, 0, 0, 1, 1, -1],
        [0, 0, 0, 0, 1, 1],  # the primary is split: its second part is a fake
        [0, 0, 1, 1, 1, -1],  # merged into the secondary, which is kept
        [0, 2, 2, -1, -1, -1],  # of one track
    ]
    found = [
        [3, 3, 3, 1, 1, -1],
        [2, 2, 7, 7, 1, 1],
        [5, 5, 5, 5, 5, -1],
        [4, 4, 4, -1, -1, -1],
    ]
    result = vertex_efficiency_purity(true, found, ignore_primary=True)
    np.testing.assert_array_equal(result.n_true, [1, 1, 1, 1])
    np.testing.assert_array_equal(result.n_found, [1, 2, 1, 1])
    np.testing.assert_array_equal(result.n_matched, [1, 1, 1, 1])
    assert result.purity.value == pytest.approx(4 / 5)
    with_primary = vertex_efficiency_purity(true, found)
    np.testing.assert_array_equal(with_primary.n_true, [2, 2, 2, 1])
    np.testing.assert_array_equal(with_primary.n_matched, [2, 1, 1, 1])


def test_one_vertex_in_each_jet_has_the_binomial_error():
    true = np.zeros((100, 3), dtype=int)
    found = np.where(np.arange(100)[:, None] < 30, -1, true)
    value, error = vertex_efficiency_purity(true, found).efficiency
    assert value == pytest.approx(0.7)
    assert error == pytest.approx(np.sqrt(0.7 * 0.3 / 100))


@pytest.mark.parametrize("weighted", [False, True])
def test_errors_are_those_of_a_bootstrap(weighted):
    true, found = sample(400, 2)
    rng = np.random.default_rng(0)
    weights = rng.exponential(size=400) if weighted else np.ones(400)
    result = vertex_efficiency_purity(true, found, sample_weight=weights)
    replicas = []
    for _ in range(300):
        # the number of times that each jet is drawn is a weight
        drawn = np.bincount(rng.integers(400, size=400), minlength=400)
        replica = vertex_efficiency_purity(true, found, sample_weight=drawn * weights)
        replicas.append([getattr(replica, ratio).value for ratio in RATIOS])
    errors = [getattr(result, ratio).error for ratio in RATIOS]
    np.testing.assert_allclose(errors, np.std(replicas, axis=0), rtol=0.15)


def test_weights_count_jets():
    true, found = sample(100, 3)
    counts = np.random.default_rng(0).integers(0, 3, 100)
    weighted = vertex_efficiency_purity(true, found, sample_weight=counts)
    repeated = vertex_efficiency_purity(
        np.repeat(true, counts, axis=0), np.repeat(found, counts, axis=0)
    )
    for ratio in RATIOS:
        assert getattr(weighted, ratio).value == pytest.approx(
            getattr(repeated, ratio).value
        )


def test_nothing_to_find():
    none = np.full((3, 4), -1)
    result = vertex_efficiency_purity(none, none)
    for ratio in RATIOS:
        assert np.isnan(getattr(result, ratio)).all()
    np.testing.assert_array_equal(result.n_true, [0, 0, 0])
    result = vertex_efficiency_purity(none[:, :0], none[:, :0])
    np.testing.assert_array_equal(result.n_found, [0, 0, 0])
    missed = vertex_efficiency_purity(none + 1, none)
    assert missed.efficiency == (0.0, 0.0)
    assert np.isnan(missed.purity.value)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (([0, 1], [0, 1]), {}, ValueError, r"true must have the shape .*, got \(2,\)"),
        (([[0, 1]], [[0]]), {}, ValueError, r"same shape, got \(1, 2\) and \(1, 1\)"),
        (([[0.0]], [[0]]), {}, TypeError, "true must hold integers, got float64"),
        (([[0]], [[True]]), {}, TypeError, "found must hold integers, got bool"),
        (
            ([[0]], [[0]]),
            {"min_tracks": 0},
            ValueError,
            "min_tracks must be an integer",
        ),
        (([[0]], [[0]]), {"min_purity": 1.5}, ValueError, "min_purity must be from 0"),
        (([[0]], [[0]]), {"min_efficiency": -1}, ValueError, "min_efficiency must be"),
        (([[0]], [[0]]), {"sample_weight": [1, 2]}, ValueError, "has 2 entries for 1"),
    ],
)
def test_unusable_vertices(arguments, options, error, message):
    with pytest.raises(error, match=message):
        vertex_efficiency_purity(*arguments, **options)
