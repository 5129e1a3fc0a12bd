import pickle
from functools import partial

import numpy as np
import pytest
from jet_changes import permute, radiate, split, turn, with_constituents
from sklearn.base import clone
from small_fits import QUICK

from sklearn_hepcal.classification import MomentEFNClassifier
from sklearn_hepcal.jets import Jets, relative_constituents

SAFE = [
    {"order": order, "latent_dim": 2, "moments": moments, "coordinates": coordinates}
    for order in (1, 2, 4)
    for moments in ("central", "raw")
    for coordinates in ("log", "linear")
    if order > 1 or moments == "central"
]


@pytest.fixture(
    scope="module", params=SAFE, ids=lambda p: "-".join(map(str, p.values()))
)
def safe(request, tagged_jets):
    return MomentEFNClassifier(**request.param, **QUICK).fit(*tagged_jets)


def assert_same_answers(classifier, jets, others, tolerance, relative=0.0):
    expected = classifier.decision_function(jets)
    assert np.ptp(expected) > 1e-2
    for method in (classifier.decision_function, classifier.transform):
        answers = method(others)
        np.testing.assert_allclose(answers, method(jets), relative, tolerance)


@pytest.mark.parametrize("change", [permute, split, partial(radiate, pt=0.0)])
def test_infrared_and_collinear_safety(safe, tagged_jets, change):
    jets, _ = tagged_jets
    assert_same_answers(safe, jets, change(jets), 1e-12)


def test_soft_emissions_change_answers_in_proportion_to_their_energy(safe, tagged_jets):
    jets, _ = tagged_jets
    before = safe.decision_function(jets)
    # In GeV, beside jets of some 500 GeV.
    slopes = [
        (safe.decision_function(radiate(jets, pt)) - before) / pt
        for pt in (1e-2, 1e-4, 1e-6)
    ]
    scale = np.abs(slopes[2]).max()
    assert scale > 1e-5
    for slope in slopes:
        assert np.abs(slope).max() < 1.5 * scale
        # The network is linear in pieces: a few jets come to another one.
        same = np.abs(slope - slopes[2]) < 0.02 * scale
        assert same.mean() > 0.98


def test_translations_in_rapidity_and_azimuth_do_not_matter(safe, tagged_jets):
    jets, _ = tagged_jets
    rng = np.random.default_rng(0)
    moved = turn(jets, rng.uniform(-np.pi, np.pi, len(jets)))
    boost = np.zeros_like(moved.constituents)
    boost[:, 1] = rng.normal(size=len(jets))[jets.jet_index]
    moved = moved.replace(constituents=moved.constituents + boost)
    assert_same_answers(safe, jets, moved, 1e-10)


def test_jets_across_the_boundary_of_phi(safe, tagged_jets):
    jets, _ = tagged_jets
    axis = relative_constituents(jets)
    phi = jets.constituents[:, 2] - axis.dphi
    across = turn(jets, np.pi - phi[jets.offsets[:-1]])
    signs = np.sign(across.constituents[:, 2])
    both = [len(np.unique(part)) == 2 for part in np.split(signs, jets.offsets[1:-1])]
    assert np.mean(both) > 0.9
    assert_same_answers(safe, jets, across, 1e-10)


def test_counting_is_neither_infrared_nor_collinear_safe(
    counting_classifier, tagged_jets
):
    jets, _ = tagged_jets
    assert_same_answers(counting_classifier, jets, permute(jets), 1e-12)
    before = counting_classifier.decision_function(jets)
    for emission in (split, partial(radiate, pt=1e-6)):
        change = counting_classifier.decision_function(emission(jets)) - before
        assert np.median(np.abs(change)) > 1e-4


def test_jets_are_classified_one_by_one(safe, tagged_jets):
    jets, _ = tagged_jets
    alone = np.concatenate([safe.decision_function(jet) for jet in jets[:10]])
    expected = safe.decision_function(jets)[:10]
    np.testing.assert_allclose(alone, expected, rtol=0, atol=1e-12)


def test_jets_of_one_constituent(safe, tagged_jets):
    jets, y = tagged_jets
    alone = with_constituents(
        jets, jets.constituents[jets.offsets[:-1]], np.arange(len(jets))
    )
    # All of them are the same: all of the energy at the axis.
    answers = safe.decision_function(alone)
    assert np.isfinite(answers).all()
    np.testing.assert_allclose(answers, answers[0], rtol=0, atol=1e-10)
    latent = safe.latent_function([[0.0, 0.0]])
    np.testing.assert_allclose(safe.transform(alone)[:, :2], latent.repeat(600, 0))
    if safe.moments == "central":
        np.testing.assert_allclose(safe.transform(alone)[:, 2:], 0, atol=1e-12)
    again = clone(safe).fit(alone, y)
    assert np.isfinite(again.decision_function(jets)).all()


def test_jets_of_500_constituents(safe):
    rng = np.random.default_rng(0)
    n = 3 * 500
    constituents = np.column_stack(
        [rng.exponential(size=n), rng.normal(0, [0.1, 0.2], (n, 2)), np.full(n, 22)]
    )
    jets = Jets(
        constituents=constituents,
        offsets=[0, 500, 1000, 1500],
        constituent_names=["pt", "y", "phi", "pdgid"],
    )
    assert_same_answers(safe, jets, split(jets), 1e-12)


def test_negative_momenta_are_negative_weights(safe, tagged_jets):
    jets, _ = tagged_jets
    constituents = jets.constituents.copy()
    constituents[::3, 0] *= -1
    signed = jets.replace(constituents=constituents)
    # The answers are large: no such jet was in the training.
    assert_same_answers(safe, signed, split(signed), 1e-11, relative=1e-11)
    boosted = turn(signed, 2.0)
    boost = np.array([0, 1.5, 0, 0])
    boosted = boosted.replace(constituents=boosted.constituents + boost)
    assert_same_answers(safe, signed, boosted, 1e-9, relative=1e-9)
    relative = relative_constituents(signed[:1])
    phi = safe.latent_function(np.stack([relative.dy, relative.dphi], axis=1))
    means = safe.transform(signed[:1])[0, :2]
    np.testing.assert_allclose(means, relative.fraction @ phi, 1e-12, 1e-12)


def test_jets_without_momentum_have_moments_of_zero(safe, tagged_jets):
    jets, _ = tagged_jets
    constituents = jets.constituents.copy()
    constituents[jets.jet_index == 0, 0] = 0
    moments = safe.transform(jets.replace(constituents=constituents))
    np.testing.assert_array_equal(moments[0], 0)
    np.testing.assert_array_equal(moments[1:], safe.transform(jets)[1:])


def test_collinear_safety_after_training_on_single_constituents(tagged_jets):
    jets, y = tagged_jets
    alone = with_constituents(
        jets, jets.constituents[jets.offsets[:-1]], np.arange(len(jets))
    )
    for coordinates in ("log", "linear"):
        classifier = MomentEFNClassifier(2, 2, coordinates=coordinates, **QUICK)
        classifier.fit(alone, y)
        expected = classifier.decision_function(jets)
        for change in (split, partial(turn, angle=1.0)):
            answers = classifier.decision_function(change(jets))
            np.testing.assert_allclose(answers, expected, rtol=0, atol=1e-10)


def test_pickle_keeps_every_bit(safe, tagged_jets):
    jets, _ = tagged_jets
    copy = pickle.loads(pickle.dumps(safe))
    np.testing.assert_array_equal(
        copy.decision_function(jets), safe.decision_function(jets)
    )
    assert b"torch" not in pickle.dumps(safe)


def test_other_constituents_than_in_fit(safe, tagged_jets):
    jets, _ = tagged_jets
    with pytest.raises(ValueError, match="yet now missing:\n- phi"):
        safe.predict(jets.select(constituents=["pt", "y", "pdgid"]))
