"""Problems with an exact truth, bundled samples, generators and public data."""

from ._dijet_toy import DijetProblem, make_dijets
from ._dijets import load_dijets
from ._flavour_jets import load_flavour_jets
from ._flavour_scores import load_flavour_scores
from ._generate_dijets import generate_dijets
from ._generate_flavour import generate_flavour_jets
from ._generate_quark_gluon import generate_quark_gluon_jets
from ._generate_top_qcd import generate_top_qcd_jets
from ._mod_jets import fetch_mod_jets
from ._open_flavour_jets import fetch_atlas_jetset, fetch_salt_tutorial
from ._qg_jets import fetch_qg_jets
from ._quark_gluon import load_quark_gluon_jets
from ._resolution import ResolutionProblem, make_resolution_problem
from ._ring_jets import RingProblem, make_ring_jets
from ._smearing import smear_particles
from ._transport import TransportMap, TransportProblem, make_transport_problem

__all__ = [
    "DijetProblem",
    "ResolutionProblem",
    "RingProblem",
    "TransportMap",
    "TransportProblem",
    "fetch_atlas_jetset",
    "fetch_mod_jets",
    "fetch_qg_jets",
    "fetch_salt_tutorial",
    "generate_dijets",
    "generate_flavour_jets",
    "generate_quark_gluon_jets",
    "generate_top_qcd_jets",
    "load_dijets",
    "load_flavour_jets",
    "load_flavour_scores",
    "load_quark_gluon_jets",
    "make_dijets",
    "make_resolution_problem",
    "make_ring_jets",
    "make_transport_problem",
    "smear_particles",
]
