"""Which estimators can be written, and by what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sklearn.pipeline import Pipeline

from ...classification import FlavourTaggerClassifier, MomentEFNClassifier
from ...regression import (
    AsymmetryJERRegressor,
    GaussianAnsatzRegressor,
    JetPtRegressor,
    MomentEFNRegressor,
)
from ._ansatz import write_ansatz
from ._graph import Graph
from ._moments import write_moment_efn
from ._response import write_asymmetry_jer
from ._rows import STEPS, write_rows
from ._tagger import write_flavour_tagger, write_jet_pt

_WRITERS: dict[type, Callable[[Graph, Any], None]] = {
    **dict.fromkeys((*STEPS, Pipeline), write_rows),
    AsymmetryJERRegressor: write_asymmetry_jer,
    FlavourTaggerClassifier: write_flavour_tagger,
    GaussianAnsatzRegressor: write_ansatz,
    JetPtRegressor: write_jet_pt,
    MomentEFNClassifier: write_moment_efn,
    MomentEFNRegressor: write_moment_efn,
}


def find_writer(estimator: Any) -> Callable[[Graph, Any], None]:
    """Find what writes an estimator.

    Parameters
    ----------
    estimator : estimator
        The estimator.

    Returns
    -------
    callable
        Takes a graph and the estimator.

    Raises
    ------
    TypeError
        If its type is not supported.
    """
    # Not those derived from them, which may do something else.
    writer = _WRITERS.get(type(estimator))
    if writer is None:
        known = ", ".join(sorted(kind.__name__ for kind in _WRITERS))
        raise TypeError(
            f"{type(estimator).__name__} cannot be exported; supported are {known}."
        )
    return writer
