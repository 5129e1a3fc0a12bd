import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted
from small_taggers import SMALL, make_jets, pad, without_labels

from sklearn_hepcal.classification import FlavourTaggerClassifier
from sklearn_hepcal.jets import Jets

JETS, Y = make_jets(60, np.random.default_rng(0), min_tracks=0)


def tagger(backbone="deepsets", **changes):
    return FlavourTaggerClassifier(backbone, **(SMALL | {"max_epochs": 1} | changes))


@pytest.fixture(scope="module")
def fitted():
    return tagger().fit(JETS, Y)


def spoiled(table, value):
    table = table.copy()
    table[3, 1] = value
    return table


@pytest.mark.parametrize("value", [np.inf, -np.inf])
@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("features", "infinity in feature 'mass' for 1 rows"),
        ("constituents", "infinity in constituent column 'signed_d0_significance'"),
    ],
)
def test_infinite_inputs(fitted, where, message, value):
    jets = JETS.replace(**{where: spoiled(getattr(JETS, where), value)})
    with pytest.raises(ValueError, match=message):
        clone(fitted).fit(jets, Y)
    for method in (fitted.predict, fitted.transform, fitted.predict_vertices):
        with pytest.raises(ValueError, match=message):
            method(jets)


def test_the_head_alone(fitted):
    latent = fitted.transform(JETS)
    proba = fitted.predict_proba_from_latent(latent)
    np.testing.assert_allclose(proba, fitted.predict_proba(JETS), rtol=1e-10)
    with pytest.raises(ValueError, match=r"Z must have the \d+ columns"):
        fitted.predict_proba_from_latent(latent[:, :-1])
    with pytest.raises(ValueError, match="Z contains NaN"):
        fitted.predict_proba_from_latent(np.full_like(latent, np.nan))


def test_values_that_are_very_large():
    jets = JETS.replace(constituents=spoiled(JETS.constituents, 1e100))
    proba = tagger().fit(jets, Y).predict_proba(jets)
    assert np.isfinite(proba).all()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"backbone": "lstm"}, "'backbone' parameter"),
        ({"aux": "origin"}, "'aux' parameter"),
        ({"aux": ("origin", "hits")}, "aux must be 'auto', None or some of"),
        ({"aux": np.array(["origin", "hits"])}, "aux must be 'auto', None or some of"),
        ({"backbone": "dense", "aux": ("origin",)}, "'dense' reads no tracks"),
        ({"aux_weights": (0.5,)}, "aux_weights must be one weight of each"),
        ({"aux_weights": (0.5, -1)}, "aux_weights must be one weight of each"),
        ({"aux_weights": (0.5, np.nan)}, "aux_weights must be one weight of each"),
        ({"aux_weights": (0.5, np.inf)}, "aux_weights must be one weight of each"),
        ({"vertex_normalisation": "pairs"}, "'vertex_normalisation' parameter"),
        ({"signal": 7}, "7"),
        ({"signal": 15}, "15"),
        ({"fractions": {0: 0.5, 4: 0.6}}, "sum"),
        ({"fractions": {0: 1.0}}, "fractions"),
        ({"fractions": {0: 0.5, 15: 0.5}}, "fractions"),
        ({"signal": None, "fractions": {0: 1.0}}, "are of no use without a signal"),
        ({"class_weight": "heavy"}, "'class_weight' parameter"),
        ({"class_weight": {5: 0.0}}, r"class_weight\[5\] must be positive and finite"),
        ({"class_weight": {5: np.nan}}, r"class_weight\[5\] must be positive"),
        ({"class_weight": {"b": 2.0}}, r"class_weight names \['b'\], which are not"),
        ({"backbone": "gnn", "n_heads": 3}, "must be a multiple of n_heads=3"),
        ({"backbone": "rnn", "order_by": "d0"}, "order_by: no column 'd0' in"),
        ({"backbone": "rnn", "order_by": 9}, "order_by: no column 9 among 4"),
        ({"head_layer_sizes": ()}, "head_layer_sizes must hold positive integers"),
        ({"embed_dim": 0}, "'embed_dim' parameter"),
        ({"dropout": 1.0}, "'dropout' parameter"),
        ({"precision": "half"}, "'precision' parameter"),
        ({"device": "nowhere"}, "device='nowhere' cannot be used here"),
    ],
)
def test_parameters_are_checked(parameters, message):
    with pytest.raises(ValueError, match=message):
        tagger(**parameters).fit(JETS, Y)


def test_a_signal_that_does_not_exist_is_refused_before_training(monkeypatch):
    monkeypatch.setattr(FlavourTaggerClassifier, "_train", None)
    for signal, fractions in [(7, None), ("b", {"c": 1.0}), ("auto", {0: 2, 4: -1})]:
        with pytest.raises(ValueError):
            tagger(signal=signal, fractions=fractions).fit(JETS, Y)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.zeros(60), "contains only one class: 0.0"),
        (Y[:-1], "inconsistent numbers of samples"),
        (np.where(Y == 5, np.nan, Y), "contains NaN"),
        (np.random.default_rng(0).normal(size=60), "Unknown label type"),
        (np.stack([Y, Y], axis=1), "should be a 1d array"),
        (None, "requires y to be passed"),
    ],
)
def test_classes_are_checked(y, message):
    with pytest.raises(ValueError, match=message):
        tagger().fit(JETS, y)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (np.zeros(60), "zero"),
        (np.where(Y == 5, 1.0, 0.0), "contains only one class: 5"),
        (np.where(Y == 5, -1.0, 1.0), "positive sum .* for the class 5"),
        (np.ones(59), "sample_weight.shape"),
        (np.full(60, np.nan), "NaN"),
    ],
)
def test_weights_are_checked(weight, message):
    with pytest.raises(ValueError, match=message):
        tagger().fit(JETS, Y, weight)


@pytest.mark.parametrize("aux", ["auto", ("origin",), ("origin", "vertex")])
def test_labels_of_the_wrong_shape(aux):
    origin = pad(JETS, "origin")
    with pytest.raises(ValueError, match="origin must have the shape"):
        tagger(aux=aux).fit(JETS, Y, origin=origin[:, :-1])
    with pytest.raises(ValueError, match="vertex must hold integers"):
        tagger(aux=aux).fit(JETS, Y, vertex=origin + 0.5)


def test_labels_that_are_asked_for_and_missing():
    bare = without_labels(JETS)
    with pytest.raises(ValueError, match="aux needs labels of tracks"):
        tagger(aux=("origin", "vertex")).fit(bare, Y, origin=pad(JETS, "origin"))
    with pytest.raises(ValueError, match="is negative, which means unknown"):
        tagger().fit(bare, Y, origin=np.full((60, 5), -1))


def test_tasks_that_were_not_trained():
    bare = tagger().fit(without_labels(JETS), Y)
    with pytest.raises(ValueError, match="not trained with origins of tracks"):
        bare.predict_origin(JETS)
    with pytest.raises(ValueError, match="not trained with vertices of tracks"):
        bare.predict_vertices(JETS)


@pytest.mark.parametrize("threshold", [-0.1, 1.1])
def test_threshold(fitted, threshold):
    with pytest.raises(ValueError, match="threshold"):
        fitted.predict_vertices(JETS, threshold)


def test_other_jets_than_in_fit(fitted):
    with pytest.raises(ValueError, match="X has the jet features"):
        fitted.predict(JETS.select(features=["mass"]))
    with pytest.raises(ValueError, match="yet now missing:\n- z"):
        fitted.predict(JETS.select(constituents=list(JETS.constituent_names[:3])))
    with pytest.raises(ValueError, match="Jets with constituents are required"):
        fitted.predict(Jets(JETS.features))
    with pytest.raises(ValueError, match="Jets with features are required"):
        tagger("dense").fit(
            Jets(constituents=JETS.constituents, offsets=JETS.offsets), Y
        )


def test_what_is_not_fitted():
    bare = tagger()
    methods = ["predict", "predict_proba", "decision_function", "transform"]
    for name in [*methods, "predict_origin", "predict_vertices"]:
        with pytest.raises(NotFittedError):
            getattr(bare, name)(JETS)
    with pytest.raises(NotFittedError):
        bare.get_feature_names_out()


@pytest.mark.parametrize(
    ("jets", "y", "parameters"),
    [
        (JETS, np.zeros(60), {}),
        (JETS.replace(features=spoiled(JETS.features, np.inf)), Y, {}),
        (JETS, Y, {"learning_rate": 1e30}),
        (JETS, Y, {"signal": 7}),
    ],
)
def test_a_failed_fit_leaves_nothing_fitted(jets, y, parameters):
    again = tagger(early_stopping=False).fit(JETS, Y)
    again.set_params(max_epochs=3, **parameters)
    with pytest.raises(ValueError):
        again.fit(jets, y)
    with pytest.raises(NotFittedError):
        check_is_fitted(again)
    with pytest.raises(NotFittedError):
        again.predict(JETS)


@pytest.mark.parametrize(
    ("start", "error", "message"),
    [
        ("best.pt", TypeError, "must be a fitted tagger .*, got str"),
        (FlavourTaggerClassifier, TypeError, "must be a fitted tagger .*, got type"),
        (tagger(), NotFittedError, "not fitted yet"),
    ],
)
def test_a_warm_start_from_something_else(start, error, message):
    with pytest.raises(error, match=message):
        tagger().fit(JETS, Y, warm_start_from=start)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"backbone": "gnn"}, "has backbone='deepsets', and this estimator backbone"),
        ({"embed_dim": 8}, "has embed_dim=16, and this estimator embed_dim=8"),
        ({"n_layers": 3}, "has n_layers=2"),
        ({"latent_dim": 3}, "has latent_dim=8"),
        ({"activation": "gelu"}, "has activation='relu'"),
    ],
)
def test_a_warm_start_from_another_architecture(fitted, parameters, message):
    with pytest.raises(ValueError, match=message):
        tagger(**parameters).fit(JETS, Y, warm_start_from=fitted)


def test_a_warm_start_from_other_columns(fitted):
    for change in ({"features": ["eta"]}, {"constituents": ["pt", "z"]}):
        with pytest.raises(ValueError, match=r"X has the jet features|yet now missing"):
            tagger().fit(JETS.select(**change), Y, warm_start_from=fitted)
