from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._jets import Jets

Array = NDArray[np.float64]

_RAPIDITIES = (("y",), ("eta",), ("rapidity",))


class RelativeConstituents(NamedTuple):
    """Constituents relative to their jets' axes.

    Attributes
    ----------
    fraction : ndarray of shape (n_constituents,)
        Share of each constituent in the scalar sum of transverse momenta of its jet.
    dy, dphi : ndarray of shape (n_constituents,)
        Distance to the axis in rapidity (or pseudorapidity, as given) and azimuth in
        radians, the latter between -pi and pi.
    pt : ndarray of shape (n_jets,)
        Scalar sum of the transverse momenta in GeV.
    y, phi : ndarray of shape (n_jets,)
        Rapidity and azimuth of the axis, the latter in radians between -pi and pi.
    """

    fraction: Array
    dy: Array
    dphi: Array
    pt: Array
    y: Array
    phi: Array


def relative_constituents(jets: Jets) -> RelativeConstituents:
    """Compute momentum fractions and distances to the axis of each jet.

    The axis is the azimuth of the vector sum of the transverse momenta, and the
    momentum-weighted mean rapidity. It does not move when a constituent is split into
    two of its direction, or when one of vanishing momentum is added, and moves with the
    jet when that is boosted along the beam or rotated around it.

    Parameters
    ----------
    jets : Jets
        Jets whose constituents have the columns pt [GeV], y or eta, and phi [radians]
        first, in this order.

    Returns
    -------
    RelativeConstituents
        The fractions, the distances and the axes. Where momenta are negative, as those
        of calorimeter cells after a subtraction may be, fractions are relative to the
        sum of their absolute values, and the axis is that of the absolute values.

    Raises
    ------
    ValueError
        If the first columns of the constituents are others.

    Examples
    --------
    >>> from sklearn_hepcal.jets import Jets, relative_constituents
    >>> jets = Jets.from_list([[[30.0, 0.5, 3.1], [10.0, 0.9, -3.1]]])
    >>> relative = relative_constituents(jets)
    >>> relative.fraction
    array([0.75, 0.25])
    >>> relative.dy.round(2)
    array([-0.1,  0.3])
    >>> relative.dphi.round(2)
    array([-0.02,  0.06])
    """
    names = jets.constituent_names
    if names[:1] != ("pt",) or names[1:2] not in _RAPIDITIES or names[2:3] != ("phi",):
        raise ValueError(
            "the first columns of the constituents must be 'pt', 'y' or 'eta', and "
            f"'phi', got {list(names)}."
        )
    pt, y, phi = jets.constituents[:, :3].astype(np.float64, copy=False).T
    jet = jets.jet_index

    def summed(column: Array) -> Array:
        sums = np.bincount(jet, column, len(jets))
        return sums.astype(np.float64, copy=False)

    size = np.abs(pt)
    total = summed(size)
    fraction = pt / np.where(total > 0, total, 1.0)[jet]
    axis = summed(np.abs(fraction) * y)
    azimuth = np.arctan2(summed(size * np.sin(phi)), summed(size * np.cos(phi)))
    dphi = phi - azimuth[jet]
    dphi -= 2 * np.pi * np.round(dphi / (2 * np.pi))
    return RelativeConstituents(
        fraction, y - axis[jet], dphi, summed(pt), axis, azimuth
    )
