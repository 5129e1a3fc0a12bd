from itertools import pairwise

import matplotlib
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from sklearn_hepcal.metrics import Estimate
from sklearn_hepcal.plotting import DiscriminantDisplay

matplotlib.use("Agg")
pyplot = pytest.importorskip("matplotlib.pyplot")

EDGES = np.array([-2.0, -1.0, 0.0, 0.5, 1.0, 3.0])


@pytest.fixture(autouse=True)
def close_figures():
    yield
    pyplot.close("all")


@pytest.fixture
def sample():
    rng = np.random.default_rng(0)
    y = rng.choice(["light", "c", "b"], 2000)
    scores = rng.normal(np.select([y == "b", y == "c"], [1.5, 0.5]), 1.5)
    return y, scores, rng.uniform(0.5, 2, len(y))


# Fractions of jets by loops, with what is beyond the edges in the edge bins.
def density(scores, weight=None):
    weight = np.ones(len(scores)) if weight is None else weight
    inner = np.r_[-np.inf, EDGES[1:-1], np.inf]
    value, error = [], []
    for low, high in pairwise(inner):
        inside = (scores >= low) & (scores < high)
        part = weight[inside].sum() / weight.sum()
        value.append(part)
        error.append(np.sqrt(np.sum(weight**2 * (inside - part) ** 2)) / weight.sum())
    return np.array([value, error]) / np.diff(EDGES)


def points(container):
    (bars,) = container.lines[2]
    low, high = np.array([segment[:, 1] for segment in bars.get_segments()]).T
    return container.lines[0].get_ydata(), (high - low) / 2


@pytest.mark.parametrize("weighted", [False, True])
def test_histograms_are_the_fractions_of_jets(sample, weighted):
    y, scores, weight = sample
    weight = weight if weighted else None
    display = DiscriminantDisplay.from_predictions(
        y, scores, sample_weight=weight, bins=EDGES, cuts=[0.7, 1.3]
    )
    assert list(display.steps_) == ["b", "c", "light"]
    for k, (flavour, step) in enumerate(display.steps_.items()):
        rows = y == flavour
        expected = density(scores[rows], None if weight is None else weight[rows])
        drawn = step.get_data()
        np.testing.assert_allclose(drawn.values, expected[0])
        np.testing.assert_array_equal(drawn.edges, EDGES)
        assert np.sum(drawn.values * np.diff(EDGES)) == pytest.approx(1)
        band = display.ax_.patches[2 * k].get_data()
        np.testing.assert_allclose(band.values - drawn.values, expected[1])
        np.testing.assert_allclose(drawn.values - band.baseline, expected[1])
    assert [line.get_xdata()[0] for line in display.cut_lines_] == [0.7, 1.3]
    assert display.points_ is None
    assert display.ax_.get_xlabel() == "discriminant"


def test_data_beside_the_mixture(sample):
    y, scores, weight = sample
    rng = np.random.default_rng(1)
    data, data_weight = rng.normal(0.6, 1.6, 500), rng.uniform(1, 2, 500)
    display = DiscriminantDisplay.from_predictions(
        y,
        scores,
        sample_weight=weight,
        bins=EDGES,
        data_scores=data,
        data_sample_weight=data_weight,
        score_name="D_b",
    )
    value, error = points(display.points_)
    expected = density(data, data_weight)
    np.testing.assert_allclose([value, error], expected)
    np.testing.assert_allclose(
        display.steps_["simulation"].get_data().values, density(scores, weight)[0]
    )
    texts = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert set(texts) == {"b", "c", "light", "simulation", "data"}
    assert display.ax_.get_xlabel() == "D_b"


def test_data_beside_one_flavour(sample):
    y, scores, _ = sample
    display = DiscriminantDisplay.from_predictions(
        y, scores, flavours=["b"], names={"b": "b jets"}, data_scores=scores, bins=EDGES
    )
    assert list(display.steps_) == ["b jets"]
    assert display.mixture is None
    np.testing.assert_allclose(points(display.points_), density(scores))


def test_bins_by_number(sample):
    y, scores, _ = sample
    display = DiscriminantDisplay.from_predictions(y, scores, bins=20)
    assert len(display.edges) == 21
    np.testing.assert_allclose(
        display.edges[[0, -1]], np.quantile(scores, [0.001, 0.999])
    )
    equal = DiscriminantDisplay.from_predictions(y, np.ones(len(y)))
    assert np.all(np.diff(equal.edges) > 0)


def test_axes_are_reused(sample):
    figure, ax = pyplot.subplots()
    display = DiscriminantDisplay.from_predictions(*sample[:2], ax=ax)
    assert (display.ax_, display.figure_) == (ax, figure)
    assert pyplot.get_fignums() == [figure.number]
    again = display.plot(colors={"b": "black"})
    assert again.figure_ is not figure
    assert again.steps_["b"].get_edgecolor()[:3] == (0, 0, 0)


def test_display_of_given_values():
    estimate = Estimate(np.array([0.5, 0.5]), np.array([0.1, 0.1]))
    display = DiscriminantDisplay(
        edges=np.array([0.0, 1.0, 2.0]), densities={"b": estimate}
    ).plot()
    np.testing.assert_array_equal(display.steps_["b"].get_data().values, [0.5, 0.5])
    assert display.cut_lines_ == []


def test_estimator(sample):
    y, scores, weight = sample
    X = scores[:, None]
    estimator = LogisticRegression().fit(X, y)
    display = DiscriminantDisplay.from_estimator(
        estimator,
        X,
        y,
        signal="c",
        bins=EDGES,
        sample_weight=weight,
        X_data=X + 0.1,
        data_sample_weight=weight,
    )
    response = estimator.decision_function(X)[:, 1]
    np.testing.assert_allclose(
        display.steps_["b"].get_data().values,
        density(response[y == "b"], weight[y == "b"])[0],
    )
    data = estimator.decision_function(X + 0.1)[:, 1]
    np.testing.assert_allclose(points(display.points_), density(data, weight))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"flavours": ["b", "tau"]}, "no jets of the flavour 'tau'"),
        ({"bins": 0}, "bins must be at least 1"),
        ({"bins": [0.0]}, "two or more increasing edges"),
        ({"bins": [0.0, 1.0, 1.0]}, "two or more increasing edges"),
        ({"cuts": [[0.0]]}, "cuts must be one-dimensional"),
        ({"cuts": [np.nan]}, "cuts contains NaN"),
        ({"data_scores": [np.nan]}, "data_scores contains NaN"),
        (
            {"data_scores": [1, 2], "data_sample_weight": [1, -1]},
            "weights of data must",
        ),
        ({"sample_weight": -np.ones(2000)}, "weights of b must have a positive sum"),
        ({"colors": {"tau": "red"}}, "colors must be for some of"),
    ],
)
def test_bad_parameters(sample, options, message):
    with pytest.raises(ValueError, match=message):
        DiscriminantDisplay.from_predictions(*sample[:2], **options)


def test_bad_scores(sample):
    y, scores, _ = sample
    with pytest.raises(ValueError, match="scores must be one-dimensional"):
        DiscriminantDisplay.from_predictions(y, scores[:, None])
    with pytest.raises(ValueError, match="scores has 1999 entries for 2000 jets"):
        DiscriminantDisplay.from_predictions(y, scores[1:])
