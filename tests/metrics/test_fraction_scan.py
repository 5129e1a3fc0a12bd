import numpy as np
import pytest

from sklearn_hepcal.metrics import background_rejection, discriminant, fraction_scan

ORDER = ["u", "c", "b", "tau"]


# Jets whose probabilities favour their own class.
def sample(n_jets, seed, n_classes=3):
    rng = np.random.default_rng(seed)
    column = rng.integers(n_classes, size=n_jets)
    strength = np.where(np.arange(n_classes) == column[:, None], 2.5, 1.0)
    proba = rng.gamma(strength)
    return np.array(ORDER)[column], proba / proba.sum(axis=1, keepdims=True)


def test_scan_is_a_row_of_rejections():
    y, proba = sample(2000, 0)
    weights = np.random.default_rng(1).exponential(size=2000)
    scan = fraction_scan(
        y,
        proba,
        fractions=[0.0, 0.018, 0.2, 1.0],
        efficiency=0.77,
        sample_weight=weights,
    )
    for label, rejection in zip(["c", "u"], scan.rejections, strict=True):
        rows = (y == "b") | (y == label)
        for k, part in enumerate(scan.fractions):
            scores = discriminant(proba, fractions={"c": part, "u": 1 - part})
            value, error = background_rejection(
                y[rows] == "b", scores[rows], [0.77], weights[rows]
            )
            assert rejection.value[k] == pytest.approx(value[0])
            assert rejection.error[k] == pytest.approx(error[0])


def test_default_grid_and_trade():
    scan = fraction_scan(*sample(3000, 0))
    assert scan.fractions[[0, 24, -1]] == pytest.approx([0.001, 0.1, 1.0])
    assert (np.diff(scan.fractions) > 0).all()
    c, light = scan.rejections
    assert c.value[-1] > c.value[0] + 3 * c.error[0]
    assert light.value[0] > light.value[-1] + 3 * light.error[-1]


def test_fixed_fractions_of_further_classes():
    y, proba = sample(2000, 0, 4)
    scan = fraction_scan(
        y, proba, fractions=[0.1, 0.95], fixed={"tau": 0.05}, order=ORDER
    )
    rows = (y == "b") | (y == "u")
    mixes = ({"c": f, "tau": 0.05, "u": 0.95 - f} for f in (0.1, 0.95))
    expected = [
        background_rejection(
            y[rows] == "b",
            discriminant(proba, fractions=mix, order=ORDER)[rows],
            [0.7],
        ).value[0]
        for mix in mixes
    ]
    np.testing.assert_allclose(scan.rejections[1].value, expected)
    # they are zero if they are not named, and the default grid ends at what is left
    assert fraction_scan(y, proba, order=ORDER).fractions[-1] == 1.0
    default = fraction_scan(y, proba, fixed={"tau": 0.05}, order=ORDER)
    assert default.fractions[-1] == pytest.approx(0.95)


def test_integer_labels_and_other_signals():
    y, proba = sample(2000, 0)
    numbers = np.select([y == "u", y == "c", y == "b"], [0, 4, 5])
    for signal, backgrounds, labels in (
        ("b", ("c", "u"), (5, (4, 0))),
        ("c", ("b", "light"), (4, (5, 0))),
    ):
        expected = fraction_scan(
            y, proba, signal=signal, backgrounds=backgrounds, fractions=[0.3]
        )
        scan = fraction_scan(
            numbers,
            proba,
            signal=labels[0],
            backgrounds=labels[1],
            fractions=[0.3],
            order=np.array([0, 4, 5]),
        )
        np.testing.assert_array_equal(scan.rejections, expected.rejections)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backgrounds": ("c", "b")}, "must be different ones of"),
        ({"backgrounds": ("c", "tau")}, "must be different ones of"),
        ({"backgrounds": ("c",)}, "two backgrounds must be different"),
        ({"fractions": [0.5, 1.1]}, "fractions must be between 0 and 1, got"),
        ({"fractions": [-0.1]}, "fractions must be between 0 and 1, got"),
        ({"fixed": {"tau": 0.1}}, r"fixed may name the classes \[\], got \['tau'\]"),
        ({"efficiency": 1.5}, "efficiencies must be above 0 and up to 1"),
        ({"sample_weight": [1.0]}, "sample_weight has 1 entries for 50 rows"),
    ],
)
def test_unusable_scan(options, message):
    with pytest.raises(ValueError, match=message):
        fraction_scan(*sample(50, 0), **options)


def test_unusable_labels():
    y, proba = sample(50, 0)
    with pytest.raises(ValueError, match="y_true has no jets of the class 'c'"):
        fraction_scan(np.where(y == "c", "u", y), proba)
    with pytest.raises(ValueError, match="y_true has 49 entries for 50 rows"):
        fraction_scan(y[:-1], proba)
