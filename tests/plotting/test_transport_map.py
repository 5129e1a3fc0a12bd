import subprocess
import sys

import matplotlib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.exceptions import NotFittedError

from sklearn_hepcal.plotting import TransportMapDisplay

matplotlib.use("Agg")
pyplot = pytest.importorskip("matplotlib.pyplot")

MATRIX = np.array([[1.2, 0.3, 0.1], [0.3, 0.8, 0.0], [0.1, 0.0, 1.5]])
SHIFT = np.array([0.5, -0.3, 2.0])


class AffineMap(TransformerMixin, BaseEstimator):
    """x -> A x + (b, c/100) with the condition c = pT in the column before the last."""

    def __init__(self, moved=(0, 1, 3), conditions=(2,), names=None):
        self.moved = moved
        self.conditions = conditions
        self.names = names

    def fit(self):
        self.moved_ = np.array(self.moved)
        self.conditions_ = np.array(self.conditions, dtype=int)
        self.source_label_, self.target_label_ = 0, 1
        if self.names is not None:
            self.feature_names_in_ = np.array(self.names, dtype=object)
        return self

    def transform(self, X):
        assert isinstance(X, pd.DataFrame) == (self.names is not None)
        out = np.array(X, dtype=float)
        scale = 1 + out[:, self.conditions].sum(axis=1, keepdims=True) / 100
        moved = out[:, self.moved_]
        matrix = MATRIX[: len(self.moved), : len(self.moved)]
        out[:, self.moved_] = moved @ matrix + scale * SHIFT[: len(self.moved)]
        return out


@pytest.fixture(autouse=True)
def close_figures():
    yield
    pyplot.close("all")


@pytest.fixture
def sample():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(6000, 4))
    X[:, 2] = rng.uniform(20, 220, len(X))
    y = np.arange(len(X)) % 2
    X[y == 1] = AffineMap().fit().transform(X[y == 1])
    return X, y


def test_arrows_are_the_map(sample):
    X, y = sample
    estimator = AffineMap().fit()
    display = TransportMapDisplay.from_estimator(
        estimator, X, y, condition_values=[50, 150]
    )
    assert len(display.axes_) == len(display.quivers_) == 2
    for pt, quiver, panel in zip(
        [50, 150], display.quivers_, display.axes_, strict=True
    ):
        start = quiver.get_offsets()
        arrows = np.column_stack([quiver.U, quiver.V])
        near = np.abs(X[:, 2] - pt)[y == 0] < 20
        third = np.median(X[y == 0][near, 3])
        rows = np.column_stack(
            [start, np.full(len(start), pt), np.full(len(start), third)]
        )
        truth = estimator.transform(rows)[:, :2] - start
        np.testing.assert_allclose(arrows, truth, atol=0.02)
        assert len(start) > 50
        assert panel.get_title() == f"x2 = {pt}"
        assert quiver.scale == 1


def test_density_holds_the_data_near_the_condition(sample):
    X, y = sample
    weight = np.where(y == 1, 2.0, 77.0)
    display = TransportMapDisplay.from_estimator(
        AffineMap().fit(), X, y, condition_values=[120], sample_weight=weight
    )
    rows, row_weights = display.targets[0], display.target_weights[0]
    assert len(rows) == 0.2 * np.sum(y == 1)
    np.testing.assert_array_equal(row_weights, 2)
    data = X[y == 1]
    chosen = data[np.isin(data[:, 0], rows[:, 0])]
    np.testing.assert_allclose(
        [chosen[:, 2].min(), chosen[:, 2].max()], [100, 140], 0.1
    )
    mesh = display.axes_[0].collections[0].get_array()
    assert 0.95 * row_weights.sum() < mesh.sum() <= row_weights.sum()


def test_arrows_start_where_there_is_simulation(sample):
    X, y = sample
    X[y == 0, :2] = X[y == 0, :2] / 10 + np.where(X[y == 0, :1] > 0, 5, -5)
    display = TransportMapDisplay.from_estimator(
        AffineMap(conditions=()).fit(), X, y, n_arrows=12
    )
    (start,) = display.starts
    assert np.all(np.abs(np.abs(start) - 5) < 1)
    assert start[:, 0].min() < 0 < start[:, 0].max()


def test_default_panels_are_quantiles_of_the_condition(sample):
    X, y = sample
    display = TransportMapDisplay.from_estimator(AffineMap().fit(), X, y)
    expected = np.quantile(X[y == 1, 2], [0.1, 0.5, 0.9])
    titles = [panel.get_title() for panel in display.axes_]
    assert titles == [f"x2 = {value:.3g}" for value in expected]
    assert display.figure_ is display.axes_[0].figure


def test_two_conditions(sample):
    X, y = sample
    estimator = AffineMap(moved=(0, 1), conditions=(2, 3)).fit()
    display = TransportMapDisplay.from_estimator(
        estimator, X, y, condition_values=[[50, 1.0]]
    )
    assert display.axes_[0].get_title() == "x2 = 50, x3 = 1"
    arrows = display.ends[0] - display.starts[0]
    truth = display.starts[0] @ (MATRIX[:2, :2] - np.eye(2)) + 1.51 * SHIFT[:2]
    np.testing.assert_allclose(arrows, truth, atol=1e-12)
    assert len(TransportMapDisplay.from_estimator(estimator, X, y).axes_) == 3


def test_without_conditions_there_is_one_panel(sample):
    X, y = sample
    estimator = AffineMap(moved=(0, 1, 2), conditions=()).fit()
    display = TransportMapDisplay.from_estimator(estimator, X, y)
    assert len(display.axes_) == 1
    assert len(display.targets[0]) == np.sum(y == 1)


def test_frames_and_names(sample):
    X, y = sample
    names = ["ilr_b", "ilr_c", "pt", "z"]
    display = TransportMapDisplay.from_estimator(
        AffineMap(names=names).fit(),
        pd.DataFrame(X, columns=names),
        y,
        features=("z", "ilr_b"),
        condition_values=[100],
    )
    panel = display.axes_[0]
    assert (panel.get_xlabel(), panel.get_ylabel()) == ("z", "ilr_b")
    assert panel.get_title() == "pt = 100"
    assert display.ends[0][:, 0].mean() > 3


def test_plot_into_given_axes_and_again(sample):
    X, y = sample
    _, axes = pyplot.subplots(2, 2)
    display = TransportMapDisplay.from_estimator(
        AffineMap().fit(), X, y, condition_values=[50, 80, 110, 150], ax=axes
    )
    assert list(display.axes_) == list(axes.flat)
    first = display.figure_
    assert display.plot().figure_ is not first
    _, ax = pyplot.subplots()
    with pytest.raises(ValueError, match="each of the 4 panels, but got 1"):
        display.plot(ax)
    one = TransportMapDisplay.from_estimator(
        AffineMap().fit(), X, y, condition_values=[50], ax=ax
    )
    assert one.axes_[0] is ax


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"features": (0, 2)}, r"two of the moved columns \[0, 1, 3\]"),
        ({"features": (0, 0)}, "two of the moved columns"),
        ({"features": (0, 1, 3)}, "two of the moved columns"),
        ({"features": ("a", "b")}, "two of the moved columns"),
        ({"condition_values": [[1, 2]]}, "one column for each of the 1 conditions"),
        ({"fraction": 0}, "fraction must be"),
        ({"n_arrows": 0}, "n_arrows must be"),
    ],
)
def test_bad_parameters(sample, parameters, message):
    with pytest.raises(ValueError, match=message):
        TransportMapDisplay.from_estimator(AffineMap().fit(), *sample, **parameters)


def test_bad_input(sample):
    X, y = sample
    with pytest.raises(ValueError, match=r"but it holds \[1\]"):
        TransportMapDisplay.from_estimator(AffineMap().fit(), X[y == 1], y[y == 1])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        TransportMapDisplay.from_estimator(AffineMap().fit(), X, y[1:])
    with pytest.raises(NotFittedError):
        TransportMapDisplay.from_estimator(AffineMap(), X, y)
    with pytest.raises(ValueError, match="each of the 0 conditions"):
        TransportMapDisplay.from_estimator(
            AffineMap(conditions=()).fit(), X, y, condition_values=[3]
        )


def test_matplotlib_is_asked_for_by_its_extra():
    code = """
import sys
sys.modules["matplotlib"] = sys.modules["matplotlib.pyplot"] = None
import numpy as np
from sklearn_hepcal.plotting import TransportMapDisplay
x = np.zeros((2, 2))
display = TransportMapDisplay(
    starts=[x], ends=[x], targets=[x], target_weights=[x[0]],
    feature_names=["a", "b"], titles=[""],
)
display.plot()
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "pip install sklearn_hepcal[plot]" in run.stderr
