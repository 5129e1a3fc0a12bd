"""Displays in scikit-learn's convention; matplotlib is imported when they are drawn."""

from ._transport_map import TransportMapDisplay

__all__ = ["TransportMapDisplay"]
