"""Spherocity."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._momenta import planar_sums, read_events, transverse_momenta

Array = NDArray[np.float64]


def spherocity(X: Any) -> Array:
    r"""Compute the transverse spherocity of events.

    It is the square of the least share of the transverse momenta that lies across one
    transverse axis,

    .. math::
        S = \frac{\pi^2}{4} \left(
            \min_{|n|=1} \frac{\sum_i |p_{\mathrm{T},i} \times n|}
                              {\sum_i p_{\mathrm{T},i}}
        \right)^2,

    0 for particles on one line and 1 for an isotropic event. The minimum is exact: it
    lies along one of the particles, as between them the sum of sines is concave.

    Parameters
    ----------
    X : Jets, array-like, awkward.Array or list of arrays
        Events, as in `check_jets`. The constituents have the columns pt [GeV], y or
        eta, and phi [radians] first.

    Returns
    -------
    ndarray of shape (n_events,)
        Spherocity, between 0 and 1; NaN for empty events.

    Raises
    ------
    TypeError
        If X does not hold real numbers.
    ValueError
        If X is not a sample of events or has negative transverse momenta.

    See Also
    --------
    thrust : Momenta along an axis.
    isotropy : Distance to isotropic events.

    Notes
    -----
    The particles count by their momenta here, as in [1]_; some experiments count each
    as one.

    References
    ----------
    .. [1] A. Banfi, G. P. Salam and G. Zanderighi, "Phenomenology of event shapes at
       hadron colliders", JHEP 06 (2010) 038, arXiv:1001.4082.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_hepcal.shapes import spherocity
    >>> mercedes = [[10.0, 0.0, angle] for angle in (0.0, 2 * np.pi / 3, 4 * np.pi / 3)]
    >>> back_to_back = [[10.0, 0.5, 0.0], [10.0, -0.5, np.pi]]
    >>> spherocity([mercedes, back_to_back]).round(3)
    array([0.822, 0.   ])
    """
    return np.array([_spherocity(event) for event in read_events(X)])


def _spherocity(event: Array) -> float:
    if not len(event):
        return np.nan
    momenta = transverse_momenta(event)
    sums, passed = planar_sums(momenta)
    # What is across the line of a particle adds up with the signs of the sides.
    across = np.abs(sums[:, 0] * passed[:, 1] - sums[:, 1] * passed[:, 0])
    share = (across / np.linalg.norm(passed, axis=1)).min() / event[:, 0].sum()
    return min(float((np.pi / 2 * share) ** 2), 1.0)
