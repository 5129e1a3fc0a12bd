from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pandas as pd

from .. import __version__
from .._optional import import_optional
from ..calibration import OTCalibrator, ScaleFactorCalibrator
from ..jets._files import PathLike, replacing
from ..metrics import NSC, NumericalInversion
from ..regression import AsymmetryJERRegressor
from ..regression._resolution_in_bins import EnergyResolution
from ._correction_curves import (
    closure_correction,
    inversion_correction,
    regressor_corrections,
    resolution_correction,
)
from ._correction_maps import map_corrections
from ._correction_scale_factors import scale_factor_corrections
from ._nodes import Node

_SCHEMA_VERSION = 2


def to_correctionlib(
    source: Any, path: PathLike | None = None, *, prefix: str = ""
) -> Any:
    """Write numbers that depend on numbers for correctionlib.

    correctionlib evaluates them in C++ and Python without this library [1]_. The
    results are those of Python to 1e-6, relative.

    Parameters
    ----------
    source : estimator, NSC, EnergyResolution, NumericalInversion or DataFrame
        What to write, see Notes.
    path : str or path-like, default=None
        The file, whose name ends in ".json" or ".json.gz"; one that exists is replaced.
        None writes none.
    prefix : str, default=""
        Put before the name of every correction.

    Returns
    -------
    correctionlib.schemav2.CorrectionSet
        The corrections, valid by the schema. ``to_evaluator()`` makes them functions.

    Raises
    ------
    ImportError
        If correctionlib is not installed.
    TypeError
        If there are no corrections of such a source.
    ValueError
        If correctionlib cannot hold the map of a calibrator, a resolution has no
        curve, a closure table is not complete, or the name of the file has another
        ending.
    NotFittedError
        If an estimator is not fitted.

    See Also
    --------
    save : Store a whole estimator.

    Notes
    -----
    The corrections are, with their inputs in this order:

    - `OTCalibrator` with ``solver="quantile"``, or with ``"bures"`` and one moved
      column: one correction for every moved column, by the name of the column ("x0",
      "x1", ... without names), of the column and of the condition, if there is one.
      With bootstrap replicas "replica" comes last, -1 for the map itself.
    - `ScaleFactorCalibrator`: "scale_factor" (systematic, working_point and, with bins,
      the variable of the bins) and "weight" (with the score before that variable), what
      `predict` gives; there the working point -1 stands for all cuts at once. Both are
      one outside the bins and in bins without a measurement. Columns without names are
      "score" and "bin_variable".
    - `NSC`, or `EnergyResolution` with its curve: "jer" (systematic, pt).
    - `NumericalInversion`: "numerical_inversion" (pt).
    - DataFrame of `closure_table`: "closure" (systematic, pt_true), the mean response.
    - `AsymmetryJERRegressor`: "closure" and "jer" in simulation, "jer_insitu" in data,
      and "jer_scale_factor" of data over simulation, all as the two before.

    The input "systematic" is "nominal", "up" or "down", by one standard deviation: of
    the scale factors in all bins together, as with ``variation=1``, of the curves by
    the covariance of N, S and C (there are no variations if that is not known), of a
    ratio of curves by both covariances.

    Momenta that are not positive are errors, and so are true momenta outside the bins
    of a closure table. Beyond their ends maps go on as in `transform`. Unlike Python,
    correctionlib takes NaN.

    The lower edges of bins are inside. correctionlib may read an edge of more than 15
    digits as its neighbour; where results jump, as those of scale factors do, give
    shorter ones.

    References
    ----------
    .. [1] https://cms-nanoaod.github.io/correctionlib

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_hepcal import export
    >>> from sklearn_hepcal.metrics import NSC
    >>> jer = NSC(3.0, 0.6, 0.03, np.diag([0.1, 0.01, 0.001]) ** 2, 0.0, 0)
    >>> corrections = export.to_correctionlib(jer).to_evaluator()
    >>> corrections["jer"].evaluate("nominal", np.array([100.0, 1000.0])).round(4)
    array([0.0735, 0.0356])
    >>> jer([100.0, 1000.0]).round(4)
    array([0.0735, 0.0356])
    """
    schema = import_optional("correctionlib.schemav2", "correctionlib")
    ending = None if path is None else _ending(path)
    corrections = [
        {**node, "name": prefix + node["name"]} for node in _corrections(source)
    ]
    made = schema.CorrectionSet.model_validate(
        {
            "schema_version": _SCHEMA_VERSION,
            "description": f"{type(source).__name__} of sklearn_hepcal {__version__}",
            "corrections": corrections,
        }
    )
    if path is not None:
        content = made.model_dump_json(exclude_unset=True).encode()
        if ending == ".gz":
            content = gzip.compress(content, mtime=0)  # the same at any time
        with replacing(Path(path).expanduser()) as part:
            part.write_bytes(content)
    return made


def _corrections(source: Any) -> list[Node]:
    if isinstance(source, OTCalibrator):
        return map_corrections(source)
    if isinstance(source, ScaleFactorCalibrator):
        return scale_factor_corrections(source)
    if isinstance(source, AsymmetryJERRegressor):
        return regressor_corrections(source)
    if isinstance(source, EnergyResolution):
        if source.nsc is None:
            raise ValueError(
                "the resolution has no curve: that takes three bins with a resolution."
            )
        return [resolution_correction(source.nsc)]
    if isinstance(source, NSC):
        return [resolution_correction(source)]
    if isinstance(source, NumericalInversion):
        return [inversion_correction(source)]
    if isinstance(source, pd.DataFrame):
        return [closure_correction(source)]
    raise TypeError(
        "correctionlib can hold an OTCalibrator, a ScaleFactorCalibrator, an "
        "AsymmetryJERRegressor, an NSC, an EnergyResolution, a NumericalInversion or a "
        f"closure table, but not a {type(source).__name__}."
    )


def _ending(path: PathLike) -> str:
    suffixes = Path(path).suffixes
    if suffixes[-1:] == [".json"] or suffixes[-2:] == [".json", ".gz"]:
        return suffixes[-1]
    raise ValueError(f"path must end in .json or .json.gz, but got {path}.")
