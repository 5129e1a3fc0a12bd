"""Generated problems with an exact truth, and bundled samples."""

from ._flavour_scores import load_flavour_scores
from ._transport import TransportMap, TransportProblem, make_transport_problem

__all__ = [
    "TransportMap",
    "TransportProblem",
    "load_flavour_scores",
    "make_transport_problem",
]
