from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sklearn.utils.validation import check_is_fitted

from .._optional import import_optional
from ..jets._files import PathLike, replacing


def to_onnx(
    estimator: Any,
    path: PathLike,
    *,
    units: Mapping[str, str] | None = None,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write a fitted estimator as an ONNX file, for onnxruntime in any language.

    What reads the file needs neither this package nor torch nor Python.

    Parameters
    ----------
    estimator : fitted estimator
        `OTCalibrator`, `SimplexTransformer` or `StandardScaler`, a `Pipeline` of these,
        `GaussianAnsatzRegressor`, `AsymmetryJERRegressor`, `MomentEFNClassifier`,
        `MomentEFNRegressor`, `FlavourTaggerClassifier` or `JetPtRegressor`.
    path : str or path-like
        The file. It appears, or is replaced, only when it is complete.
    units : mapping of str to str, default=None
        Units of columns by name, such as ``{"pt": "GeV"}``, which the file tells.
    metadata : mapping of str to str, default=None
        More for the file to tell, such as the sample and the date of the calibration.

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    TypeError
        If the estimator, or a step of the pipeline, cannot be exported. This includes
        types derived from those above.
    ValueError
        If an `OTCalibrator` with ``atoms="dequantise"`` is not the first step: where it
        puts a row depends on the last bit of the values.
        If `units` names a column that does not exist, `metadata` an entry that the file
        has itself, or calibrators of a pipeline have different numbers of replicas.
    ImportError
        If onnx is not installed.

    See Also
    --------
    sklearn_hepcal.calibration.OTCalibrator : Has replicas, which go into the file.

    Notes
    -----
    The file uses version 18 of the ONNX operators. It was tested with onnxruntime 1.17
    and 1.32; older ones lack double precision in places. Numbers of rows, jets and
    constituents may vary. Inputs, by name:

    - ``features``, float32 of shape (n, n_features): rows of X, or the features of
      jets, where the estimator reads any;
    - ``constituents``, float32 of shape (n_jets, n_max, n_columns), and ``mask``, bool
      of shape (n_jets, n_max): constituents and where there are any. What is elsewhere
      is not read, and may be anything;
    - ``replica``, int64 of shape (1,), only after a fit with `n_bootstrap`: the
      bootstrap replica that moves the rows, or -1 for the nominal map. Others fail.

    Outputs, of the shapes of the methods of the estimator:

    - ``transformed`` of transformers and pipelines;
    - ``probabilities`` and ``decision`` of classifiers, which `predict_proba` and
      `decision_function` return, and ``latent`` of flavour taggers;
    - ``prediction`` of regressors; ``covariance`` and ``std`` of
      `GaussianAnsatzRegressor`;
    - of `AsymmetryJERRegressor`, ``pt`` and ``std`` for data, and ``pt_simulation`` and
      ``std_simulation`` for simulation (``insitu=False``).

    The graph computes what Python does, in single precision where that is enough: in
    the network of a transport map, the functions of constituents, and taggers. Scales,
    Gaussian and quantile maps, flows, moments, matrices and the inversion of responses
    are in double precision between inputs and outputs of single precision. Differences
    are below 1e-5 of a value, or of the spread of its column in the sample, if that is
    larger; of a covariance, of the product of the two standard deviations. It checks
    nothing: what Python refuses, such as NaN, gives meaningless numbers.

    The metadata of the file hold the version of the package, name and parameters of
    the estimator, what is known of the fit, inputs and outputs with the names of their
    columns, and units. All but ``version``, ``estimator``, ``package``, ``conventions``
    and what `metadata` adds is JSON.

    Rows are independent. Some thousand at a time are fastest. Layers of graph attention
    (``backbone="gnn"``) take memory for all pairs of constituents of a batch.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> import onnxruntime
    >>> from sklearn_hepcal.calibration import OTCalibrator
    >>> from sklearn_hepcal.export import to_onnx
    >>> rng = np.random.default_rng(0)
    >>> X_sim = rng.normal(0.0, 1.0, (5000, 2)).astype(np.float32)
    >>> X_data = rng.normal(0.3, 1.2, (5000, 2))
    >>> calibrator = OTCalibrator(solver="bures").fit_samples(X_sim, X_data)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "calibration.onnx")
    ...     to_onnx(calibrator, path)
    ...     session = onnxruntime.InferenceSession(path)
    >>> (moved,) = session.run(["transformed"], {"features": X_sim})
    >>> bool(np.allclose(moved, calibrator.transform(X_sim), atol=1e-5))
    True
    """
    import_optional("onnx", "onnx")
    from ._onnx._dispatch import find_writer
    from ._onnx._graph import Graph
    from ._onnx._metadata import describe

    write = find_writer(estimator)
    check_is_fitted(estimator)
    graph = Graph()
    write(graph, estimator)
    model = graph.model(describe(estimator, graph, units or {}, metadata or {}))
    with replacing(Path(path)) as part:
        part.write_bytes(model.SerializeToString(deterministic=True))
