import json
from pathlib import Path

import numpy as np
import pytest

from sklearn_hepcal.metrics import discriminant

# Random probabilities and the three that are certain, with the discriminants of
# atlas-ftag-tools 0.3.6, made by the first function below.
TABLE = json.loads(
    Path(__file__).with_name("ftag_discriminants.json").read_text(encoding="utf-8")
)
CASES = [(tagger, d) for tagger in TABLE["taggers"] for d in tagger["discriminants"]]
N_RANDOM = 20
SPELLINGS = {
    "u": ["light", "ujets", 0],
    "c": ["c", "cjets", 4],
    "b": ["b", "bjets", 5],
    "tau": ["tau", "taujets", 15],
}


def discriminant_of_ftag(tagger, expected):
    from ftag import Flavours
    from ftag.utils import get_discriminant

    jets = np.rec.fromarrays(
        np.transpose(tagger["proba"]), names=[f"x_p{name}" for name in tagger["order"]]
    )
    fractions = {"tau": 0.0} | expected["fractions"]
    return get_discriminant(
        jets,
        "x",
        Flavours[f"{expected['signal']}jets"],
        Flavours.by_category("single-btag"),
        {f"f{name}": part for name, part in fractions.items()},
    )


def test_table_is_that_of_ftag():
    pytest.importorskip("ftag")
    for tagger, expected in CASES:
        np.testing.assert_allclose(
            discriminant_of_ftag(tagger, expected), expected["values"], rtol=1e-12
        )


@pytest.mark.parametrize(("tagger", "expected"), CASES)
def test_discriminant_is_that_of_ftag(tagger, expected):
    proba, values = np.array(tagger["proba"]), np.array(expected["values"])
    options = {
        "signal": expected["signal"],
        "fractions": expected["fractions"],
        "order": tagger["order"],
    }
    np.testing.assert_allclose(
        discriminant(proba[:N_RANDOM], **options), values[:N_RANDOM], atol=1e-6
    )
    # with its epsilon also where a probability is zero
    np.testing.assert_allclose(
        discriminant(proba, **options, epsilon=1e-10), values, atol=1e-12
    )


# Every other row of the table has 0.2 of c or b, and 0.05 of tau.
@pytest.mark.parametrize(("tagger", "expected"), CASES[::2])
def test_default_fractions_are_the_usual_ones(tagger, expected):
    signal, order = expected["signal"], tagger["order"]
    score = discriminant(tagger["proba"], signal=signal, order=order, epsilon=1e-10)
    np.testing.assert_allclose(score, expected["values"], atol=1e-12)


@pytest.mark.parametrize("spelling", range(3))
@pytest.mark.parametrize(("tagger", "expected"), CASES[::3])
def test_spellings_of_labels(tagger, expected, spelling):
    fractions, signal = expected["fractions"], expected["signal"]
    other = {name: labels[spelling] for name, labels in SPELLINGS.items()}
    expected_score = discriminant(
        tagger["proba"], signal=signal, fractions=fractions, order=tagger["order"]
    )
    # as an array they are numpy's strings and integers
    order = np.array([other[name] for name in tagger["order"]])
    for label in (signal, other[signal]):
        for mix in (fractions, {other[n]: part for n, part in fractions.items()}):
            score = discriminant(
                tagger["proba"], signal=label, fractions=mix, order=order
            )
            np.testing.assert_array_equal(score, expected_score)


@pytest.mark.parametrize(
    ("signal", "order"),
    [
        ("hbb", ("hbb", "hcc", "top", "qcd")),
        (2, np.arange(4)),
        (("b", 1), [("b", 1), ("b", 2), None, "x"]),
        # tau tagging, and b tagging without light jets, have no usual fractions
        ("tau", ("tau", "u", "c", "b")),
        ("b", ("b", "c", "tau", "s")),
    ],
)
def test_other_labels_have_equal_fractions(signal, order):
    proba = np.random.default_rng(0).dirichlet(np.ones(4), 50)
    column = list(order).index(signal)
    background = np.delete(proba, column, axis=1).mean(axis=1)
    np.testing.assert_allclose(
        discriminant(proba, signal=signal, order=order),
        np.log(proba[:, column] / background),
    )


def test_two_classes():
    proba = np.array([[0.2, 0.8], [0.5, 0.5]])
    for order, signal in [((0, 5), 5), (("u", "b"), "b"), ((0, 1), 1)]:
        np.testing.assert_allclose(
            discriminant(proba, signal=signal, order=order), [np.log(4), 0]
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"order": ("b", "light", "ujets")}, "order must not name a class twice"),
        ({"signal": 15, "order": np.array([0, 4, 5])}, r"one of \[0, 4, 5\], got 15"),
        (
            {"fractions": {"c": 0.2, 4: 0.2, "u": 0.8}},
            r"classes \['u', 'c'\] once each, got \['c', 4, 'u'\]",
        ),
        ({"fractions": {"c": np.nan, "u": 0.8}}, "must be non-negative and sum to 1"),
        ({"epsilon": -1e-10}, "epsilon must not be negative or infinite, got -1e-10"),
        ({"epsilon": np.nan}, "epsilon must not be negative or infinite, got nan"),
    ],
)
def test_unusable_labels(options, message):
    with pytest.raises(ValueError, match=message):
        discriminant([[0.2, 0.3, 0.5]], **options)
