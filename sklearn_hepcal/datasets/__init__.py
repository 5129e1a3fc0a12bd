"""Generated problems with an exact truth, and bundled samples."""

from ._dijet_toy import DijetProblem, make_dijets
from ._dijets import load_dijets
from ._flavour_jets import load_flavour_jets
from ._flavour_scores import load_flavour_scores
from ._quark_gluon import load_quark_gluon_jets
from ._resolution import ResolutionProblem, make_resolution_problem
from ._smearing import smear_particles
from ._transport import TransportMap, TransportProblem, make_transport_problem

__all__ = [
    "DijetProblem",
    "ResolutionProblem",
    "TransportMap",
    "TransportProblem",
    "load_dijets",
    "load_flavour_jets",
    "load_flavour_scores",
    "load_quark_gluon_jets",
    "make_dijets",
    "make_resolution_problem",
    "make_transport_problem",
    "smear_particles",
]
