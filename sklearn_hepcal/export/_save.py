from __future__ import annotations

from pathlib import Path

import sklearn
from sklearn.base import BaseEstimator

from .. import __version__
from ..jets._files import PathLike, replacing
from ._container import pack
from ._encode import Encoder


def save(estimator: BaseEstimator, path: PathLike) -> None:
    """Store an estimator in a file that holds no code.

    The file holds what the estimator knows as text and numbers, and nothing that is
    run when it is loaded. It can be stored for years: later versions of the library
    read it, and `load` gives an estimator with the same parameters and attributes,
    whose results are the same bit by bit. Bootstrap replicas travel with their
    calibrator.

    Parameters
    ----------
    estimator : estimator
        An estimator of this library, fitted or not, or a `Pipeline` of such and of
        transformers of scikit-learn.
    path : str or path-like
        The file; one that exists is replaced when the new one is complete.

    Raises
    ------
    TypeError
        If the estimator, or anything in it, is of a type that files cannot hold, with
        the name of the attribute: functions other than those of numpy, shapes and
        estimators of your own, most other estimators of scikit-learn.

    See Also
    --------
    load : Load such a file.

    Notes
    -----
    Of scikit-learn, files can hold the scalers and `ColumnTransformer`,
    `FeatureUnion`, `FunctionTransformer` (of functions of numpy), `Normalizer`, `PCA`,
    `PolynomialFeatures`, `PowerTransformer`, `QuantileTransformer`, `SimpleImputer`,
    `TransformedTargetRegressor`, `LinearRegression`, `Ridge`, `LogisticRegression`,
    `IsotonicRegression`, `CalibratedClassifierCV` and `HistGradientBoostingClassifier`
    (without categories). Their attributes are those of one version of scikit-learn;
    with another version, `load` passes on its warning.

    The same estimator always gives the same file. A random state is stored as it is
    at the time; an array that is held twice is one again, but other objects that are
    shared are copied.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from sklearn_hepcal import export
    >>> from sklearn_hepcal.calibration import OTCalibrator
    >>> rng = np.random.default_rng(0)
    >>> X_sim, X_data = rng.normal(0.0, 1.0, (500, 2)), rng.normal(0.3, 1.2, (500, 2))
    >>> calibrator = OTCalibrator("bures").fit_samples(X_sim, X_data)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     export.save(calibrator, Path(folder, "calibration.hepcal"))
    ...     loaded = export.load(Path(folder, "calibration.hepcal"))
    >>> bool(np.all(loaded.transform(X_sim) == calibrator.transform(X_sim)))
    True
    """
    if not isinstance(estimator, BaseEstimator):
        raise TypeError(f"save takes an estimator, but got {estimator!r:.100}.")
    encoder = Encoder()
    header = {
        "sklearn_hepcal": __version__,
        "scikit-learn": sklearn.__version__,
        "estimator": encoder.encode(estimator, type(estimator).__name__),
    }
    with replacing(Path(path).expanduser()) as part:
        part.write_bytes(pack(header, encoder.arrays))
