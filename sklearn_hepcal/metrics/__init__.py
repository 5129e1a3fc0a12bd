"""Closure, resolution, distances of samples, quality of maps, tagger working points."""

from ._closure import BinnedClosureAUC, ClosureAUC, closure_auc, closure_auc_by_bin
from ._coverage import Coverage, coverage
from ._effective_sample_size import effective_sample_size
from ._map_quality import l2_uvp, monotonicity_violations, transport_cost
from ._resolution import Resolution, resolution
from ._response import ResponseClosure, response_closure
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
    "closure_auc",
    "closure_auc_by_bin",
    "coverage",
    "discriminant",
    "effective_sample_size",
    "efficiency",
    "efficiency_ratio",
    "l2_uvp",
    "monotonicity_violations",
    "resolution",
    "response_closure",
    "sliced_wasserstein",
    "transport_cost",
    "wasserstein_1d",
    "working_point_cuts",
]
