import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.svm import LinearSVC

from sklearn_hepcal.metrics import Estimate, background_rejection
from sklearn_hepcal.plotting import RejectionDisplay

matplotlib.use("Agg")
pyplot = pytest.importorskip("matplotlib.pyplot")

EFFICIENCIES = np.array([0.6, 0.7, 0.85, 1.0])
NAMES = {0: "light", 4: "c", 5: "b"}


@pytest.fixture(autouse=True)
def close_figures():
    yield
    pyplot.close("all")


@pytest.fixture
def sample():
    rng = np.random.default_rng(0)
    y = rng.choice([0, 4, 5], 3000)
    scores = rng.normal(np.select([y == 5, y == 4], [2.0, 1.0]))
    return y, scores, rng.uniform(0.5, 2, len(y))


def expected(y, scores, background, weight=None):
    rows = (y == 5) | (y == background)
    return background_rejection(
        y[rows], scores[rows], EFFICIENCIES, None if weight is None else weight[rows]
    )


# Lower and upper edge of a band, at each of its points.
def band(collection):
    n_points = len(EFFICIENCIES)
    vertices = collection.get_paths()[0].vertices
    return vertices[1 : n_points + 1, 1], vertices[-2 : -n_points - 2 : -1, 1]


@pytest.mark.parametrize("weighted", [False, True])
def test_curves_are_the_metric(sample, weighted):
    y, scores, weight = sample
    weight = weight if weighted else None
    display = RejectionDisplay.from_predictions(
        y,
        scores,
        signal=5,
        sample_weight=weight,
        efficiencies=EFFICIENCIES,
        names=NAMES,
    )
    assert list(display.lines_) == ["light", "c"]
    for k, (background, label) in enumerate([(0, "light"), (4, "c")]):
        value, error = expected(y, scores, background, weight)
        line = display.lines_[label]
        np.testing.assert_allclose(line.get_xdata(), EFFICIENCIES)
        np.testing.assert_allclose(line.get_ydata(), value)
        edges = band(display.ax_.collections[k])
        np.testing.assert_allclose(edges, [value - error, value + error])
        assert line.get_label() == label
    assert display.ax_.get_yscale() == "log"
    assert display.ax_.get_xlabel() == "b efficiency"
    assert display.ratio_ax_ is None
    assert display.reference_lines_ == display.ratio_lines_ == {}
    assert len(display.figure_.axes) == 1


def test_ratio_to_a_reference(sample):
    y, scores, _ = sample
    worse = scores + np.random.default_rng(1).normal(size=len(y))
    display = RejectionDisplay.from_predictions(
        y,
        scores,
        signal=5,
        backgrounds=[4],
        reference=worse,
        efficiencies=EFFICIENCIES,
        names=NAMES,
        name="new",
        reference_name="old",
    )
    better, old = expected(y, scores, 4), expected(y, worse, 4)
    np.testing.assert_allclose(display.reference_lines_["c"].get_ydata(), old.value)
    ratio = better.value / old.value
    np.testing.assert_allclose(display.ratio_lines_["c"].get_ydata(), ratio)
    error = better.error / old.value
    edges = band(display.ratio_ax_.collections[0])
    np.testing.assert_allclose(edges, [ratio - error, ratio + error])
    assert display.figure_.axes == [display.ax_, display.ratio_ax_]
    assert display.ratio_ax_.get_xlabel() == "b efficiency"
    assert display.ratio_ax_.get_ylabel() == "ratio to old"
    texts = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert texts == ["c, new", "c, old"]


def test_infinite_rejections_are_not_drawn():
    y = np.repeat([0, 1], [10, 4])
    scores = np.append(np.arange(10) / 10, [0.5, 2.0, 3.0, 4.0])
    display = RejectionDisplay.from_predictions(
        y, scores, signal=1, reference=-scores, efficiencies=[0.5, 1.0]
    )
    np.testing.assert_array_equal(display.rejections["0"].value, [np.inf, 2.0])
    np.testing.assert_array_equal(display.lines_["0"].get_ydata(), [np.nan, 2.0])
    np.testing.assert_array_equal(display.ratio_lines_["0"].get_ydata(), [np.nan, 2.0])
    display.figure_.canvas.draw()


def test_default_points(sample):
    display = RejectionDisplay.from_predictions(*sample[:2], signal=5)
    np.testing.assert_allclose(
        display.lines_["0"].get_xdata(), np.arange(50, 101) / 100
    )


def test_axes_are_reused(sample):
    y, scores, _ = sample
    figure, axes = pyplot.subplots(2)
    options = {"signal": 5, "efficiencies": EFFICIENCIES}
    one = RejectionDisplay.from_predictions(y, scores, ax=axes[0], **options)
    assert one.ax_ is axes[0]
    assert one.figure_ is figure
    two = RejectionDisplay.from_predictions(
        y, scores, reference=scores, ax=axes, **options
    )
    assert (two.ax_, two.ratio_ax_) == tuple(axes)
    assert pyplot.get_fignums() == [figure.number]
    with pytest.raises(ValueError, match="ax must be one Axes, but got 2"):
        one.plot(axes)
    with pytest.raises(ValueError, match="a pair of Axes, for the ratio, but got 1"):
        two.plot(axes[0])
    assert one.plot().figure_ is not figure


def test_colors(sample):
    display = RejectionDisplay.from_predictions(
        *sample[:2], signal=5, names=NAMES, colors={"c": "black"}
    )
    assert display.lines_["c"].get_color() == "black"
    assert display.lines_["light"].get_color() == "#0072B2"
    with pytest.raises(ValueError, match=r"for some of \['light', 'c'\], .*\['b'\]"):
        display.plot(colors={"b": "black"})


def test_display_of_given_values():
    estimate = Estimate(np.array([10.0, 5.0]), np.array([1.0, 0.5]))
    display = RejectionDisplay(
        efficiencies=np.array([0.7, 0.8]), rejections={"c": estimate}
    ).plot()
    np.testing.assert_array_equal(display.lines_["c"].get_ydata(), [10, 5])


class Tagger(ClassifierMixin, BaseEstimator):
    """A tagger of three classes with a single discriminant."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def decision_function(self, X):
        return X[:, 0]


@pytest.mark.parametrize("estimator", [Tagger(), LogisticRegression(), GaussianNB()])
def test_estimators_of_many_classes(sample, estimator):
    y, scores, weight = sample
    X = np.column_stack([scores, np.arange(len(y)) % 7])
    estimator.fit(X, y)
    display = RejectionDisplay.from_estimator(
        estimator,
        X,
        y,
        signal=5,
        sample_weight=weight,
        reference=scores,
        efficiencies=EFFICIENCIES,
    )
    if isinstance(estimator, Tagger):
        response = scores
    elif isinstance(estimator, GaussianNB):
        response = estimator.predict_proba(X)[:, 2]
    else:
        response = estimator.decision_function(X)[:, 2]
    np.testing.assert_allclose(
        display.lines_["0"].get_ydata(), expected(y, response, 0, weight).value
    )
    assert display.lines_["0"].get_label() == f"0, {type(estimator).__name__}"


@pytest.mark.parametrize("signal", ["b", "a"])
def test_binary_estimators_score_either_class(sample, signal):
    y, scores, _ = sample
    y = np.where(y == 5, "b", "a")
    estimator = LinearSVC().fit(scores[:, None], y)
    display = RejectionDisplay.from_estimator(
        estimator, scores[:, None], y, signal=signal, efficiencies=[0.7]
    )
    sign = 1 if signal == "b" else -1
    value, _ = background_rejection(y == signal, sign * scores, [0.7])
    (line,) = display.lines_.values()
    np.testing.assert_allclose(line.get_ydata(), value)


def test_unusable_estimators(sample):
    y, scores, _ = sample
    X = scores[:, None]
    with pytest.raises(NotFittedError):
        RejectionDisplay.from_estimator(LogisticRegression(), X, y, signal=5)
    with pytest.raises(ValueError, match=r"classes \[0, 4, 5\], but got 15"):
        RejectionDisplay.from_estimator(Tagger().fit(X, y), X, y, signal=15)

    class Silent(ClassifierMixin, BaseEstimator):
        def fit(self, X, y):
            self.classes_ = np.unique(y)
            return self

    with pytest.raises(TypeError, match="Silent has neither decision_function"):
        RejectionDisplay.from_estimator(Silent().fit(X, y), X, y, signal=5)

    class Pairwise(Tagger):
        def decision_function(self, X):
            return np.zeros((len(X), 2))

    with pytest.raises(ValueError, match="2 columns for 3 classes"):
        RejectionDisplay.from_estimator(Pairwise().fit(X, y), X, y, signal=5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"signal": 15}, r"no jets of the flavour 15, only \[0, 4, 5\]"),
        ({"backgrounds": [0, 15]}, "no jets of the flavour 15"),
        ({"backgrounds": [5]}, "backgrounds must be flavours other than the signal"),
        ({"backgrounds": []}, "backgrounds must be flavours other than the signal"),
        ({"names": {0: "x", 4: "x"}}, "the name 'x' stands for more than one"),
        ({"reference": np.zeros(3)}, "reference has 3 entries for 3000 jets"),
        ({"reference": np.zeros((3000, 2))}, "reference must be one-dimensional"),
        ({"efficiencies": [0.0]}, "efficiencies must be above 0"),
        ({"sample_weight": np.ones(3)}, "sample_weight"),
    ],
)
def test_bad_parameters(sample, options, message):
    with pytest.raises(ValueError, match=message):
        RejectionDisplay.from_predictions(*sample[:2], **({"signal": 5} | options))


def test_bad_scores(sample):
    y, scores, _ = sample
    with pytest.raises(ValueError, match="scores has 2999 entries for 3000 jets"):
        RejectionDisplay.from_predictions(y, scores[1:], signal=5)
    with pytest.raises(ValueError, match="scores contains NaN"):
        RejectionDisplay.from_predictions(y, np.where(y == 4, np.nan, 1), signal=5)


def test_matplotlib_is_asked_for_by_its_extra():
    code = """
import sys
sys.modules["matplotlib"] = sys.modules["matplotlib.pyplot"] = None
from sklearn_hepcal.plotting import RejectionDisplay
RejectionDisplay(efficiencies=[], rejections={}).plot()
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "pip install sklearn_hepcal[plot]" in run.stderr
