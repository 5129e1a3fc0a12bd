import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_hepcal.calibration import (
    DensityRatioReweighter,
    OTCalibrator,
    ScaleFactorCalibrator,
    SimplexTransformer,
)
from sklearn_hepcal.classification import (
    FlavourTaggerClassifier,
    MomentEFNClassifier,
)
from sklearn_hepcal.regression import (
    AsymmetryJERRegressor,
    GaussianAnsatzRegressor,
    JetPtRegressor,
    MomentEFNRegressor,
)
from sklearn_hepcal.shapes import (
    Ring,
    ShapinessRatioTransformer,
    ShapinessTransformer,
    Uniform,
)

FOLDS = (
    "The folds that calibrate the classifier depend on the number of rows: a weight of "
    "two is a repeated row in expectation only."
)

UNIT = (
    "Event weights have an arbitrary unit, so that they are normalised to a mean of "
    "one; a penalised classifier notices how many rows share it."
)
POINT = (
    "The simulation of this check is a single point: OTCalibrator refuses columns that "
    "are constant in a sample."
)
POINT_CHECKS = {
    "check_sample_weights_shape": POINT,
    "check_sample_weights_not_overwritten": POINT,
    "check_sample_weight_equivalence_on_dense_data": POINT,
}

FLOW = "The score of a flow is the AUC of a classifier, which needs more rows."
FLOW_CHECKS = {"check_fit_score_takes_y": FLOW, "check_pipeline_consistency": FLOW}

BATCHES = (
    "Training in mini-batches: a weight of two is a repeated row in expectation only."
)

DIRECTIONS = "Only the first column, the energy, has to be positive."
NOTHING_FITTED = "max_iter is that of transform: nothing is iterated in fit."

# Estimators, each with the checks that it cannot pass and why.
CASES = [
    *[
        (SimplexTransformer(kind=kind, log=log, inverse=inverse), {})
        for kind in ("ilr", "alr", "logit")
        for log in (False, True)
        for inverse in (False, True)
    ],
    (OTCalibrator("bures"), POINT_CHECKS),
    (OTCalibrator("quantile"), POINT_CHECKS),
    (
        OTCalibrator("flow", max_epochs=1, hidden_width=4, n_layers=1),
        POINT_CHECKS | FLOW_CHECKS,
    ),
    (OTCalibrator(), POINT_CHECKS),
    (OTCalibrator(selection=False, max_epochs=2), POINT_CHECKS),
    (DensityRatioReweighter(cv=2), {}),
    (
        DensityRatioReweighter(HistGradientBoostingClassifier(max_iter=5), cv=2),
        {"check_sample_weight_equivalence_on_dense_data": FOLDS},
    ),
    (
        DensityRatioReweighter(LogisticRegression(), cv=2, calibration=None),
        {"check_sample_weight_equivalence_on_dense_data": UNIT},
    ),
    *[
        (
            estimator(order, 2, weighting=weighting, max_epochs=3),
            {"check_sample_weight_equivalence_on_dense_data": BATCHES},
        )
        for estimator in (MomentEFNClassifier, MomentEFNRegressor)
        for order, weighting in [(1, "energy"), (3, "energy"), (2, "count")]
    ],
    *[
        (
            GaussianAnsatzRegressor(backbone, max_epochs=max_epochs),
            {"check_sample_weight_equivalence_on_dense_data": BATCHES},
        )
        for backbone, max_epochs in [("mlp", 10), ("efn", 3), ("pfn", 3)]
    ],
    *[
        (regressor, {"check_sample_weight_equivalence_on_dense_data": BATCHES})
        for regressor in [
            AsymmetryJERRegressor(max_epochs=2),
            AsymmetryJERRegressor(
                "supervised", early_stopping=True, location="median", max_epochs=2
            ),
        ]
    ],
    *[
        (ScaleFactorCalibrator(cuts, **binning), {})
        for cuts, binning in [
            ([-0.5, 0.5, 1.0], {}),
            ([0.5], {"bins": [-1e9, 0, 1e9], "bin_column": 0}),
        ]
    ],
    *[
        (tagger, {"check_sample_weight_equivalence_on_dense_data": BATCHES})
        for tagger in [
            *(
                FlavourTaggerClassifier(
                    backbone,
                    embed_dim=16,
                    n_layers=1,
                    latent_dim=8,
                    max_epochs=4,
                    learning_rate=0.02,
                )
                # The estimator does not know "gnn" from "transformer".
                for backbone in ("deepsets", "rnn", "transformer", "dense")
            ),
            JetPtRegressor(embed_dim=16, n_layers=1, latent_dim=8, max_epochs=2),
            JetPtRegressor("dense", embed_dim=16, n_layers=1, max_epochs=2),
        ]
    ],
    *[
        (
            transformer,
            {
                "check_transformer_n_iter": NOTHING_FITTED,
                "check_positive_only_tag_during_fit": DIRECTIONS,
            },
        )
        for transformer in [
            ShapinessTransformer(),
            ShapinessTransformer("point", 2, norm=False),
            ShapinessTransformer(Ring() + Uniform(), n_nodes=64, n_init=2),
        ]
    ],
    *[
        (transformer, {"check_positive_only_tag_during_fit": DIRECTIONS})
        for transformer in [
            ShapinessRatioTransformer(),
            ShapinessRatioTransformer(
                ShapinessTransformer(n_nodes=64, n_init=2), numerator=2, denominator=1
            ),
        ]
    ],
]


def expected_failed_checks(estimator):
    return next(failures for other, failures in CASES if repr(other) == repr(estimator))


# One check feeds a row of zeros to estimators that take positive numbers, others feed
# classes that do not overlap, or targets that are classes. Momenta are of both signs,
# and have nothing to do with their true values.
@pytest.mark.filterwarnings("ignore:All probabilities are zero")
@pytest.mark.filterwarnings("ignore:The mean density ratio")
@pytest.mark.filterwarnings("ignore:y takes only")
@pytest.mark.filterwarnings("ignore:the columns .* have no names")
@pytest.mark.filterwarnings("ignore:.* jets have a pt below pt_floor")
@pytest.mark.filterwarnings("ignore:y_pred does not rise with y_true")
@pytest.mark.filterwarnings("ignore:at fixed features")
@pytest.mark.filterwarnings("ignore:In the bins")
@parametrize_with_checks(
    [estimator for estimator, _ in CASES],
    expected_failed_checks=expected_failed_checks,
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)
