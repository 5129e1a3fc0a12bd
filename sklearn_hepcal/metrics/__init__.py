"""Closure, resolution, distances of samples, quality of maps, tagger working points."""

from ._closure import BinnedClosureAUC, ClosureAUC, closure_auc, closure_auc_by_bin
from ._closure_table import closure_table
from ._coverage import Coverage, coverage
from ._dijet_scorers import (
    asymmetry_score,
    best_resolution,
    closure_score,
    jer_score,
)
from ._dijets import dijet_activity, dijet_asymmetry, dijet_selection
from ._effective_sample_size import effective_sample_size
from ._fraction_scan import FractionScan, fraction_scan
from ._jer_from_asymmetry import jer_from_asymmetry
from ._kinematic_weights import kinematic_weights
from ._map_quality import l2_uvp, monotonicity_violations, transport_cost
from ._nsc import NSC, fit_nsc
from ._numerical_inversion import NumericalInversion, numerical_inversion
from ._rejection import background_rejection
from ._resolution import Resolution, resolution
from ._response import ResponseClosure, response_closure
from ._roc import roc_auc
from ._scorers import make_log_rejection_scorer, make_tagging_scorer
from ._spectrum import FlatSpectrum, flatten_spectrum
from ._tagging import (
    Estimate,
    discriminant,
    efficiency,
    efficiency_ratio,
    working_point_cuts,
)
from ._vertexing import VertexFinding, vertex_efficiency_purity
from ._wasserstein import sliced_wasserstein, wasserstein_1d
from ._working_points import WorkingPoints

__all__ = [
    "NSC",
    "BinnedClosureAUC",
    "ClosureAUC",
    "Coverage",
    "Estimate",
    "FlatSpectrum",
    "FractionScan",
    "NumericalInversion",
    "Resolution",
    "ResponseClosure",
    "VertexFinding",
    "WorkingPoints",
    "asymmetry_score",
    "background_rejection",
    "best_resolution",
    "closure_auc",
    "closure_auc_by_bin",
    "closure_score",
    "closure_table",
    "coverage",
    "dijet_activity",
    "dijet_asymmetry",
    "dijet_selection",
    "discriminant",
    "effective_sample_size",
    "efficiency",
    "efficiency_ratio",
    "fit_nsc",
    "flatten_spectrum",
    "fraction_scan",
    "jer_from_asymmetry",
    "jer_score",
    "kinematic_weights",
    "l2_uvp",
    "make_log_rejection_scorer",
    "make_tagging_scorer",
    "monotonicity_violations",
    "numerical_inversion",
    "resolution",
    "response_closure",
    "roc_auc",
    "sliced_wasserstein",
    "transport_cost",
    "vertex_efficiency_purity",
    "wasserstein_1d",
    "working_point_cuts",
]
