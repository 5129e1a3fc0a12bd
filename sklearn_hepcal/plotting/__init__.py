"""Displays in scikit-learn's convention; matplotlib is imported when they are drawn."""

from ._discriminant_display import DiscriminantDisplay
from ._efficiency_display import EfficiencyDisplay
from ._rejection_display import RejectionDisplay
from ._transport_map import TransportMapDisplay

__all__ = [
    "DiscriminantDisplay",
    "EfficiencyDisplay",
    "RejectionDisplay",
    "TransportMapDisplay",
]
