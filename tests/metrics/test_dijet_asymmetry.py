import numpy as np
import pytest

from sklearn_hepcal.metrics import dijet_activity, dijet_asymmetry, dijet_selection

EVENT = {
    "pt_1": [400.0],
    "pt_2": [300.0],
    "eta_1": [-0.5],
    "eta_2": [0.3],
    "dphi": [3.1],
    "jet3_pt": [20.0],
}
OTHER_EVENTS = {"pt_1": "pt_2", "pt_2": "pt_1", "eta_1": "eta_2", "eta_2": "eta_1"}


def jets(seed, n_events=4000):
    return np.random.default_rng(seed).lognormal(5.0, 0.1, size=(2, n_events))


def select(cuts=None, **changed):
    return bool(dijet_selection(**{**EVENT, **changed}, **(cuts or {}))[0])


def test_values_of_the_asymmetry():
    first, second = [110.0, 90.0, 50.0], [90.0, 110.0, 50.0]
    linear = dijet_asymmetry(first, second)
    log = dijet_asymmetry(first, second, kind="log")
    np.testing.assert_allclose(np.abs(linear), [0.2, 0.2, 0.0])
    np.testing.assert_allclose(np.abs(log), np.log([11 / 9, 11 / 9, 1.0]))


@pytest.mark.parametrize("seed", range(3))
def test_kinds_are_functions_of_each_other(seed):
    pts = jets(seed)
    log = dijet_asymmetry(*pts, kind="log", random_state=seed)
    linear = dijet_asymmetry(*pts, kind="linear", random_state=seed)
    np.testing.assert_allclose(linear, 2 * np.tanh(log / 2), atol=1e-14)


@pytest.mark.parametrize("kind", ["linear", "log"])
def test_asymmetry_of_swapped_jets_has_the_other_sign(kind):
    first, second = jets(0)
    asymmetry = dijet_asymmetry(first, second, kind=kind)
    swapped = dijet_asymmetry(second, first, kind=kind)
    np.testing.assert_allclose(swapped, -asymmetry, rtol=1e-10)


@pytest.mark.parametrize("seed", range(3))
def test_asymmetry_of_ordered_jets_has_no_mean(seed):
    asymmetry = dijet_asymmetry(*np.sort(jets(seed), axis=0), random_state=seed)
    error = asymmetry.std() / np.sqrt(len(asymmetry))
    assert abs(asymmetry.mean()) < 4 * error
    assert abs(np.mean(asymmetry > 0) - 0.5) < 4 * 0.5 / np.sqrt(len(asymmetry))


def test_seed_of_the_asymmetry():
    pts = jets(0)
    first, again = (dijet_asymmetry(*pts, random_state=1) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert (first != dijet_asymmetry(*pts, random_state=2)).any()


@pytest.mark.parametrize("bad", [0.0, -5.0, np.nan, np.inf])
@pytest.mark.parametrize("name", ["pt_1", "pt_2"])
def test_pt_must_be_positive_and_finite(name, bad):
    pts = {"pt_1": [50.0, 60.0], "pt_2": [50.0, 60.0], name: [50.0, bad]}
    for function in (dijet_asymmetry, dijet_activity):
        rest = ([3.0, 3.0], [0.0, 0.0]) if function is dijet_activity else ()
        with pytest.raises(ValueError, match=name):
            function(pts["pt_1"], pts["pt_2"], *rest)


def test_bad_arguments_of_the_asymmetry():
    with pytest.raises(ValueError, match="kind must be one of"):
        dijet_asymmetry([1.0], [1.0], kind="relative")
    with pytest.raises(ValueError, match=r"same length, got .*'pt_2': 1"):
        dijet_asymmetry([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="pt_1 must be a non-empty"):
        dijet_asymmetry([], [])


def test_values_of_the_activity():
    dphi = np.pi - np.array([0.0, 0.1, 0.0, 0.2])
    activity = dijet_activity([100.0] * 4, [60.0] * 4, dphi, [0.0, 0.0, 8.0, 25.6])
    np.testing.assert_allclose(activity, [0.0, 0.12, 0.1, 0.4], atol=1e-15)


def test_activity_does_not_depend_on_the_order_of_the_jets():
    args = [150.0], [100.0], [2.9], [12.0]
    swapped = args[1], args[0], [-2.9], args[3]
    np.testing.assert_array_equal(dijet_activity(*args), dijet_activity(*swapped))


def test_pi_in_single_precision_is_back_to_back():
    activity = dijet_activity([50.0], [50.0], np.float32([np.pi]), [0.0])
    assert 0 <= activity[0] < 1e-6


def test_event_is_selected_in_either_order():
    assert select()
    assert select(**{name: EVENT[other] for name, other in OTHER_EVENTS.items()})
    assert select(dphi=[-3.1])


@pytest.mark.parametrize("name", ["eta_1", "eta_2"])
@pytest.mark.parametrize(
    ("eta", "selected"),
    [(0.2, True), (-0.7, True), (0.19, False), (-0.19, False), (0.71, False)],
)
def test_cut_on_eta(name, eta, selected):
    assert select(**{name: [eta]}) is selected
    assert select(**{name: [eta]}, cuts={"eta_range": (0.0, 5.0)})


def test_cut_on_the_angle():
    assert not select(dphi=[2.7])
    assert select(dphi=[2.71])
    assert select(dphi=[2.6], cuts={"min_dphi": 2.5})


@pytest.mark.parametrize(
    ("pt", "jet3_pt", "selected"),
    [(50.0, 24.9, True), (50.0, 25.0, False), (200.0, 49.9, True), (200.0, 50, False)],
)
def test_cut_on_the_third_jet(pt, jet3_pt, selected):
    assert select(pt_1=[1.5 * pt], pt_2=[0.5 * pt], jet3_pt=[jet3_pt]) is selected
    cuts = {"min_jet3_cut": 10.0, "max_jet3_fraction": 0.01}
    assert not select(pt_1=[pt], pt_2=[pt], jet3_pt=[jet3_pt], cuts=cuts)


def test_cut_on_the_activity():
    angle = np.hypot(20.0 / 350.0, 1.2 * (np.pi - 3.1))
    assert select(cuts={"max_activity": 1.001 * angle})
    assert not select(cuts={"max_activity": 0.999 * angle})


@pytest.mark.parametrize("name", EVENT)
@pytest.mark.parametrize("bad", [[np.nan], [np.inf], [], [1.0, 1.0]])
def test_unusable_columns_of_the_selection(name, bad):
    with pytest.raises(ValueError, match=name):
        select(**{name: bad})


@pytest.mark.parametrize(
    ("changed", "cuts", "message"),
    [
        ({"dphi": [3.2]}, {}, "dphi must be within -pi to pi, got a size of 3.2"),
        ({"jet3_pt": [-999.0]}, {}, "jet3_pt must not be negative, got -999"),
        ({}, {"eta_range": (0.7, 0.2)}, "eta_range must be"),
        ({}, {"eta_range": (-0.7, 0.7)}, "eta_range must be"),
        ({}, {"min_dphi": np.nan}, "min_dphi must not be negative, got nan"),
        ({}, {"min_jet3_cut": -1.0}, "min_jet3_cut must not be negative"),
        ({}, {"max_jet3_fraction": -1.0}, "max_jet3_fraction must not be negative"),
        ({}, {"max_activity": -0.1}, "max_activity must not be negative"),
    ],
)
def test_values_out_of_range(changed, cuts, message):
    with pytest.raises(ValueError, match=message):
        select(**changed, cuts=cuts)
