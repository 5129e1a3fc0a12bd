from itertools import pairwise

import matplotlib
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from sklearn_hepcal.metrics import Estimate, efficiency
from sklearn_hepcal.plotting import EfficiencyDisplay

matplotlib.use("Agg")
pyplot = pytest.importorskip("matplotlib.pyplot")

EDGES = np.array([20.0, 50.0, 100.0, 150.0])
CUTS = [1.5, 0.3]


@pytest.fixture(autouse=True)
def close_figures():
    yield
    pyplot.close("all")


@pytest.fixture
def sample():
    rng = np.random.default_rng(0)
    y = rng.choice([0, 5], 3000)
    pt = rng.uniform(10, 200, len(y))
    return y, rng.normal(np.where(y == 5, 2, 0) + pt / 200), pt


@pytest.fixture
def weight(sample):
    return np.random.default_rng(1).uniform(0.5, 2, len(sample[0]))


# Efficiencies and errors of shape (2, n_cuts, n_bins).
def expected(sample, flavour, cuts=CUTS, weight=None):
    y, scores, pt = sample
    columns = []
    for low, high in pairwise(EDGES):
        rows = (y == flavour) & (pt >= low) & (pt < high)
        part = None if weight is None else weight[rows]
        columns.append(efficiency(scores[rows], cuts, part))
    return np.moveaxis(np.array(columns), 0, -1)


# What is drawn: positions, values, half widths and errors.
def points(container):
    horizontal, vertical = (
        np.array([segment for segment in bars.get_segments() if len(segment)])
        for bars in container.lines[2]
    )
    x, value = container.lines[0].get_data()
    width = (horizontal[:, 1, 0] - horizontal[:, 0, 0]) / 2
    return x, value, width, (vertical[:, 1, 1] - vertical[:, 0, 1]) / 2


@pytest.mark.parametrize("weighted", [False, True])
def test_points_are_the_metric(sample, weight, weighted):
    weight = weight if weighted else None
    display = EfficiencyDisplay.from_predictions(
        *sample, cuts=CUTS, bins=EDGES, sample_weight=weight, names={0: "light", 5: "b"}
    )
    assert list(display.points_) == ["light", "b"]
    for flavour, name in [(0, "light"), (5, "b")]:
        values, errors = expected(sample, flavour, weight=weight)
        assert len(display.points_[name]) == 2
        for k, container in enumerate(display.points_[name]):
            x, value, width, error = points(container)
            np.testing.assert_allclose(x, [35, 75, 125])
            np.testing.assert_allclose(width, [15, 25, 25])
            np.testing.assert_allclose(value, values[k])
            np.testing.assert_allclose(error, errors[k])
            assert container.get_label() == f"{name}, cut {CUTS[k]}"
    assert display.ax_.get_xlabel() == "pT [GeV]"
    assert display.ax_.get_ylabel() == "efficiency"
    assert display.ratio_ax_ is None
    assert display.reference_points_ == display.ratio_points_ == {}


def test_rejections(sample):
    display = EfficiencyDisplay.from_predictions(
        *sample, cuts=1.5, bins=EDGES, flavours=[0], kind="rejection"
    )
    (values,), (errors,) = expected(sample, 0, [1.5])
    ((container,),) = display.points_.values()
    _, value, _, error = points(container)
    np.testing.assert_allclose(value, 1 / values)
    np.testing.assert_allclose(error, errors / values**2)
    assert display.ax_.get_yscale() == "log"
    assert display.ax_.get_ylabel() == "rejection"
    assert container.get_label() == "0"


@pytest.mark.parametrize("kind", ["efficiency", "rejection"])
def test_ratio_to_a_reference(sample, weight, kind):
    y, scores, pt = sample
    other = scores + np.random.default_rng(2).normal(size=len(y))
    display = EfficiencyDisplay.from_predictions(
        *sample,
        cuts=CUTS,
        bins=EDGES,
        reference=other,
        reference_cuts=[1.2, 0.1],
        sample_weight=weight,
        kind=kind,
        reference_name="old {}",
    )
    values, errors = expected(sample, 5, weight=weight)
    old, _ = expected((y, other, pt), 5, [1.2, 0.1], weight)
    power = 1 if kind == "efficiency" else -1
    for k in range(2):
        np.testing.assert_allclose(
            points(display.reference_points_["5"][k])[1], old[k] ** power
        )
        _, ratio, _, error = points(display.ratio_points_["5"][k])
        np.testing.assert_allclose(ratio, (values[k] / old[k]) ** power)
        np.testing.assert_allclose(error / ratio, errors[k] / values[k])
    assert display.ratio_ax_.get_ylabel() == "ratio to old {}"
    assert display.ratio_ax_.get_xlabel() == "pT [GeV]"
    texts = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert texts[-1] == "5, cut 0.3, old {}"


def test_default_bins(sample):
    display = EfficiencyDisplay.from_predictions(*sample, cuts=[1.0])
    np.testing.assert_array_equal(
        display.edges, [20, 30, 40, 60, 85, 110, 140, 175, 250]
    )


def test_bins_without_jets_and_without_passing_jets():
    y, scores, pt = [0, 0, 0], [0.0, 1.0, 0.0], [25.0, 25.0, 35.0]
    display = EfficiencyDisplay.from_predictions(
        y, scores, pt, cuts=[0.5], bins=[20, 30, 40, 50]
    )
    np.testing.assert_array_equal(display.efficiencies["0"].value, [[0.5, 0.0, np.nan]])
    again = display.plot(kind="rejection")
    drawn = again.points_["0"][0].lines[0].get_ydata()
    np.testing.assert_array_equal(drawn, [2.0, np.nan, np.nan])
    again.figure_.canvas.draw()


def test_weights_that_cancel_are_no_jets():
    display = EfficiencyDisplay.from_predictions(
        [0, 0, 0],
        [0.0, 1.0, 0.0],
        [25.0, 25.0, 35.0],
        cuts=[0.5],
        bins=[20, 30, 40],
        sample_weight=[1.0, -1.0, 1.0],
    )
    np.testing.assert_array_equal(display.efficiencies["0"].value, [[np.nan, 0.0]])


def test_axes_are_reused(sample):
    figure, axes = pyplot.subplots(2)
    one = EfficiencyDisplay.from_predictions(*sample, cuts=CUTS, ax=axes[0])
    assert (one.ax_, one.figure_) == (axes[0], figure)
    two = EfficiencyDisplay.from_predictions(
        *sample, cuts=CUTS, reference=sample[1], reference_cuts=CUTS, ax=axes
    )
    assert (two.ax_, two.ratio_ax_) == tuple(axes)
    assert pyplot.get_fignums() == [figure.number]
    with pytest.raises(ValueError, match="a pair of Axes, for the ratio, but got 1"):
        two.plot(axes[0])
    assert two.plot().figure_ is not figure


def test_display_of_given_values():
    estimate = Estimate(np.array([[0.7, 0.8]]), np.array([[0.1, 0.05]]))
    display = EfficiencyDisplay(
        edges=np.array([20.0, 40.0, 80.0]),
        efficiencies={"b": estimate},
        cuts=np.array([1.0]),
    ).plot(colors={"b": "black"})
    _, value, _, error = points(display.points_["b"][0])
    np.testing.assert_allclose(value, [0.7, 0.8])
    np.testing.assert_allclose(error, [0.1, 0.05])
    assert display.points_["b"][0].lines[0].get_color() == "black"


def test_estimator(sample, weight):
    y, scores, pt = sample
    X = np.column_stack([scores, pt])
    estimator = LogisticRegression().fit(X, y)
    display = EfficiencyDisplay.from_estimator(
        estimator,
        X,
        y,
        pt,
        signal=5,
        cuts=CUTS,
        bins=EDGES,
        sample_weight=weight,
        reference=scores,
        reference_cuts=CUTS,
    )
    response = estimator.decision_function(X)
    values, _ = expected((y, response, pt), 5, weight=weight)
    old, _ = expected(sample, 5, weight=weight)
    for k in range(2):
        np.testing.assert_allclose(points(display.points_["5"][k])[1], values[k])
        np.testing.assert_allclose(points(display.reference_points_["5"][k])[1], old[k])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"flavours": [4]}, "no jets of the flavour 4"),
        ({"cuts": []}, "0 sample"),
        ({"cuts": [[0.0, 1.0]]}, "cuts must be one-dimensional"),
        ({"bins": [20]}, "two or more increasing edges"),
        ({"bins": [30, 20]}, "two or more increasing edges"),
        ({"kind": "purity"}, "kind must be 'efficiency' or 'rejection', got 'purity'"),
        ({"reference": np.zeros(3000)}, "reference needs reference_cuts"),
        (
            {"reference": np.zeros(3000), "reference_cuts": [1.0]},
            "as many as the 2 cuts, but got 1",
        ),
        (
            {"reference": np.zeros(2), "reference_cuts": CUTS},
            "reference has 2 entries for 3000 jets",
        ),
    ],
)
def test_bad_parameters(sample, options, message):
    with pytest.raises(ValueError, match=message):
        EfficiencyDisplay.from_predictions(*sample, **({"cuts": CUTS} | options))


def test_bad_variable(sample):
    y, scores, pt = sample
    with pytest.raises(ValueError, match="variable has 2999 entries for 3000 jets"):
        EfficiencyDisplay.from_predictions(y, scores, pt[1:], cuts=CUTS)
    with pytest.raises(ValueError, match="variable contains NaN"):
        EfficiencyDisplay.from_predictions(y, scores, np.full(3000, np.nan), cuts=CUTS)
