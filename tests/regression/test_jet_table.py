import numpy as np
import pytest

from sklearn_hepcal.jets import Jets, relative_constituents
from sklearn_hepcal.regression._jet_table import JetTable

NAMES = ("eta", "pt", "E", "n_track", "mass")


@pytest.fixture
def jets():
    rng = np.random.default_rng(0)
    n = 500
    pt = np.exp(rng.uniform(4, 7, n))
    eta = rng.uniform(-1, 1, n)
    table = [eta, pt, pt * np.cosh(eta), rng.poisson(10, n), pt * rng.random(n)]
    towers = rng.dirichlet(np.ones(4), n)[..., None] * pt[:, None, None]
    towers = np.concatenate([towers, rng.normal(0, 0.2, (n, 4, 2))], axis=2)
    return Jets.from_padded(
        towers, features=np.column_stack(table), feature_names=NAMES
    )


def fitted(jets, weight=None, **arguments):
    settings = {
        "pt_column": "pt",
        "features": None,
        "energy_columns": "auto",
        "use_constituents": False,
        "pt_floor": 1e-3,
        **arguments,
    }
    weight = np.ones(len(jets)) if weight is None else weight
    return JetTable(**settings).fit(jets, weight)


def test_all_other_columns_standardised(jets):
    table = fitted(jets)
    assert table.columns == [0, 2, 3, 4]
    assert list(table.is_energy) == [False, True, False, True]
    features = table.table(jets)
    np.testing.assert_allclose(features.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(features.std(axis=0), 1, rtol=1e-12)
    np.testing.assert_array_equal(table.log_pt(jets), np.log(jets.feature("pt")))
    # An energy over pt is cosh(eta), whatever the momentum.
    ratio = np.cosh(jets.feature("eta"))
    expected = (ratio - ratio.mean()) / ratio.std()
    np.testing.assert_allclose(features[:, 1], expected, atol=1e-9)


def test_only_energies_follow_the_unit_of_momenta(jets):
    table = fitted(jets)
    scaled = jets.features * [1, 3, 3, 1, 3]
    features = table.table(jets.replace(features=scaled))
    np.testing.assert_allclose(features, table.table(jets), atol=1e-9)
    only_pt = jets.replace(features=jets.features * [1, 3, 1, 1, 1])
    assert (table.table(only_pt) != table.table(jets)).all(axis=0)[[1, 3]].all()


def test_weights_of_the_scale(jets):
    weight = np.where(np.arange(500) < 100, 1.0, 0.0)
    weighted, few = fitted(jets, weight), fitted(jets[:100])
    np.testing.assert_allclose(weighted.table(jets), few.table(jets), atol=1e-9)


@pytest.mark.parametrize("far", [1e6, 1e300])
def test_features_far_out_are_cut_off(jets, far):
    table = fitted(jets)
    for sign in (1, -1):
        features = jets.features.copy()
        features[:, [0, 3]] = sign * far
        cut = table.table(jets.replace(features=features))
        np.testing.assert_array_equal(cut[:, [0, 2]], 8.0 * sign)


@pytest.mark.parametrize(
    ("features", "columns"),
    [
        (["n_track", "eta"], [3, 0]),
        ([3, 0], [3, 0]),
        ([-2], [3]),
        (np.array(["mass"]), [4]),
        ([], []),
    ],
)
def test_chosen_features(jets, features, columns):
    table = fitted(jets, features=features)
    assert table.columns == columns
    assert table.table(jets).shape == (500, len(columns))
    assert table.inputs(jets).features.shape == (500, len(columns))


@pytest.mark.parametrize("pt_column", ["pt", 1, -4])
def test_column_of_momenta(jets, pt_column):
    table = fitted(jets, pt_column=pt_column)
    assert table.columns == [0, 2, 3, 4]


@pytest.mark.parametrize(
    ("energies", "is_energy"),
    [
        ("auto", [False, True, False, True]),
        (["n_track"], [False, False, True, False]),
        ([2], [False, True, False, False]),
        ([], [False] * 4),
    ],
)
def test_columns_of_energies(jets, energies, is_energy):
    assert list(fitted(jets, energy_columns=energies).is_energy) == is_energy


def test_names_of_energies_in_any_case(jets):
    names = ["e", "pt", "ENERGY", "M", "Mass"]
    table = fitted(jets.replace(feature_names=names))
    assert table.is_energy.all()


def test_places_in_the_table(jets):
    table = fitted(jets, features=["n_track", "eta"])
    assert table.find(["eta", "n_track"], "pair_features") == [1, 0]
    assert table.find([0, -2], "pair_features") == [1, 0]
    with pytest.raises(ValueError, match="pair_features: 'mass' is not among the feat"):
        table.find(["mass"], "pair_features")
    with pytest.raises(ValueError, match="pair_features: 'pt' is not among the featur"):
        table.find(["pt"], "pair_features")
    with pytest.raises(ValueError, match="pair_features: no column 'x'"):
        table.find(["x"], "pair_features")


@pytest.mark.parametrize("pt", [0.0, -5.0, 1e-9])
def test_momenta_below_the_floor(jets, pt):
    table = fitted(jets, pt_floor=0.5)
    features = jets.features.copy()
    features[:3, 1] = pt
    low = jets.replace(features=features)
    log_pt = table.log_pt(low)
    np.testing.assert_array_equal(log_pt[:3], np.log(0.5))
    np.testing.assert_array_equal(log_pt[3:], table.log_pt(jets)[3:])


def test_momenta_of_constituents(jets):
    only = jets.select(features=[])
    table = fitted(only, pt_column=0, use_constituents=True)
    assert table.columns == []
    np.testing.assert_array_equal(
        table.log_pt(only), np.log(relative_constituents(only).pt)
    )
    assert table.typical_count == 4.0
    inputs = table.inputs(only)
    assert inputs.features.shape == (500, 0)
    assert inputs.counts.sum() == len(inputs.constituents["points"])


def test_constituents_do_not_tell_the_momentum(jets):
    table = fitted(jets, use_constituents=True)
    scaled = jets.constituents * [2, 1, 1]
    other = jets.replace(constituents=scaled)
    np.testing.assert_allclose(
        table.inputs(other).constituents["points"],
        table.inputs(jets).constituents["points"],
        atol=1e-9,
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pt_column": "p"}, "pt_column: no column 'p' in"),
        ({"pt_column": 5}, "pt_column: no column 5 among 5"),
        ({"pt_column": -6}, "pt_column: no column -6 among 5"),
        ({"features": ["pt", "eta"]}, r"features=.* must not hold pt_column='pt'"),
        ({"features": ["x"]}, "features: no column 'x'"),
        ({"energy_columns": [9]}, "energy_columns: no column 9"),
    ],
)
def test_columns_that_are_not_there(jets, arguments, message):
    with pytest.raises(ValueError, match=message):
        fitted(jets, **arguments)


def test_features_that_are_momenta_again(jets):
    rng = np.random.default_rng(0)
    pt = jets.feature("pt")
    columns = {
        "pt": pt,
        "E": pt * np.cosh(jets.feature("eta")),
        "other": 0.7 * pt * rng.normal(1.0, 0.1, 500),
        "log": -np.log(pt),
        "tracks": rng.poisson(10 * (pt / 100) ** 0.3),
        "constant": np.ones(500),
    }
    named = Jets(np.column_stack(list(columns.values())), feature_names=list(columns))
    assert fitted(named).momenta_again(named) == ["other", "log"]
    # Nor do names matter where energies are not divided by the momentum.
    raw = fitted(named, energy_columns=[])
    assert raw.momenta_again(named) == ["E", "other", "log"]
    only = fitted(named, features=["tracks", "constant"])
    assert only.momenta_again(named) == []
    assert fitted(named, features=[]).momenta_again(named) == []
    # Few ranks agree by chance.
    assert raw.momenta_again(named[:20]) == []
