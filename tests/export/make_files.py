"""Write the files of a release, and what their estimators give: see files/README.md."""

import sys
import warnings
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import QuantileTransformer, StandardScaler

sys.path.insert(0, str(Path(__file__).parents[1]))
from small_dijets import fit as fit_dijets
from small_dijets import make_sample

import sklearn_hepcal
from sklearn_hepcal import export
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
    GaussianAnsatzRegressor,
    JetPtRegressor,
    MomentEFNRegressor,
)
from sklearn_hepcal.shapes import (
    Disk,
    Ring,
    ShapinessRatioTransformer,
    ShapinessTransformer,
    Uniform,
)

FILES = Path(__file__).parent / "files"
N_ROWS = 20


def apply(estimator, X):
    """What an estimator is for."""
    methods = ("predict_proba", "predict", "transform")
    return next(getattr(estimator, m)(X) for m in methods if hasattr(estimator, m))


# Estimators are as small as they can be: files hold the same kinds of values.
def make_estimators():
    rng = np.random.default_rng(0)
    X = np.exp(rng.normal(0, 0.5, (400, 3)))
    domain = np.arange(400) % 2
    X[domain == 1, :2] *= 1.3
    y = X[:, 0] * rng.uniform(0.9, 1.1, 400)
    scores = X / X.sum(axis=1, keepdims=True)
    atoms = np.where(X < 0.7, 0.7, X)
    jets = rng.normal(0, 0.1, (200, 5, 3))
    jets[..., 0] = rng.exponential(1.0, (200, 5))
    flavour = rng.integers(3, size=200)
    small = {"max_epochs": 1, "random_state": 0}
    sizes = {"phi_layer_sizes": (8,), "f_layer_sizes": (8,)}
    tagger = {"embed_dim": 8, "n_layers": 1, "latent_dim": 4, "head_layer_sizes": (4,)}
    network = {"selection": False, "hidden_width": 4, "n_layers": 1}
    bins = {"bins": [0.5, 1.0, np.inf], "bin_column": 2}
    dijets = make_sample(300, 500)
    return {
        "convex": (
            OTCalibrator(conditions=[2], n_knots=2, n_bootstrap=2, **network, **small),
            (X, domain),
        ),
        "flow": (OTCalibrator("flow", **network, **small), (X[:, :2], domain)),
        "atoms": (
            OTCalibrator("quantile", atoms="dequantise", n_quantiles=20),
            (atoms, domain),
        ),
        "pipeline": (
            make_pipeline(
                SimplexTransformer(),
                StandardScaler(),
                QuantileTransformer(n_quantiles=10, output_distribution="normal"),
                OTCalibrator("bures", random_state=np.random.RandomState(0)),
            ),
            (scores, domain),
        ),
        "weights": (
            DensityRatioReweighter(LogisticRegression(), cv=2, random_state=0),
            (X, domain),
        ),
        "scale_factors": (ScaleFactorCalibrator([0.8, 1.2], **bins), (X, domain)),
        "ansatz": (
            GaussianAnsatzRegressor("mlp", hidden_layer_sizes=(4,), **small),
            (X, y),
        ),
        "dijets": (fit_dijets(dijets, hidden_layer_sizes=(4,)), (dijets.X, None)),
        "moments": (MomentEFNClassifier(2, **sizes, **small), (jets, flavour)),
        "moment_regressor": (MomentEFNRegressor(2, **sizes, **small), (X, y)),
        "tagger": (
            FlavourTaggerClassifier("deepsets", **tagger, **small),
            (jets, flavour),
        ),
        "momentum": (JetPtRegressor("rnn", **tagger, **small), (X, y)),
        "shapes": (
            ShapinessTransformer(
                Ring() + Uniform(0.4), n_nodes=8, n_init=1, max_iter=1
            ),
            (jets, None),
        ),
        "ratio": (
            ShapinessRatioTransformer(
                ShapinessTransformer(Disk(), n_nodes=6, n_init=1, max_iter=1),
                numerator=2,
                denominator=1,
            ),
            (jets, None),
        ),
    }


def main():
    folder = FILES / sklearn_hepcal.__version__
    folder.mkdir(parents=True)
    results = {}
    for name, (estimator, (X, y)) in make_estimators().items():
        if name != "dijets":
            estimator.fit(X, y)
        export.save(estimator, folder / f"{name}.hepcal")
        results[f"{name}_X"] = X[:N_ROWS]
        results[f"{name}_result"] = apply(estimator, X[:N_ROWS])
    np.savez_compressed(folder / "results.npz", **results)


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # of samples that are too small for a calibration
    main()
