"""Closure, resolution, distances of samples, quality of maps, tagger working points."""

from ._closure import BinnedClosureAUC, ClosureAUC, closure_auc, closure_auc_by_bin
from ._coverage import Coverage, coverage
from ._effective_sample_size import effective_sample_size
from ._map_quality import l2_uvp, monotonicity_violations, transport_cost
from ._rejection import background_rejection
from ._resolution import Resolution, resolution
from ._response import ResponseClosure, response_closure
from ._roc import roc_auc
from ._scorers import make_log_rejection_scorer
from ._tagging import (
    Estimate,
    discriminant,
    efficiency,
    efficiency_ratio,
    working_point_cuts,
)
from ._wasserstein import sliced_wasserstein, wasserstein_1d

__all__ = [
    "BinnedClosureAUC",
    "ClosureAUC",
    "Coverage",
    "Estimate",
    "Resolution",
    "ResponseClosure",
    "background_rejection",
    "closure_auc",
    "closure_auc_by_bin",
    "coverage",
    "discriminant",
    "effective_sample_size",
    "efficiency",
    "efficiency_ratio",
    "l2_uvp",
    "make_log_rejection_scorer",
    "monotonicity_violations",
    "resolution",
    "response_closure",
    "roc_auc",
    "sliced_wasserstein",
    "transport_cost",
    "wasserstein_1d",
    "working_point_cuts",
]
