"""Thrust."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._momenta import (
    planar_sums,
    read_events,
    signed_sums,
    three_momenta,
    transverse_momenta,
)

Array = NDArray[np.float64]

# Sine of the angle to an axis below which a particle lies on it.
_COLLINEAR = 1e-12
# Numbers of particles times axes that are held in memory at once.
_N_AT_ONCE = 2**16


def thrust(X: Any, *, transverse: bool = False) -> Array:
    r"""Compute the thrust of events.

    It is the largest share of the momenta that lies along one axis,

    .. math:: T = \max_{|n|=1} \frac{\sum_i |p_i \cdot n|}{\sum_i |p_i|},

    1 for two back-to-back particles and 1/2 for an isotropic event. The maximum is
    exact: on the best axis lies a sum of momenta with signs, and the signs are those
    of the sides of a plane through a particle.

    Parameters
    ----------
    X : Jets, array-like, awkward.Array or list of arrays
        Events, as in `check_jets`. The constituents have the columns pt [GeV], eta and
        phi [radians] first and are taken as massless: for massive ones, the rapidity is
        not a direction.
    transverse : bool, default=False
        Whether to use the momenta transverse to the beam alone; an isotropic event has
        2 / pi then.

    Returns
    -------
    ndarray of shape (n_events,)
        Thrust, between 1/2 (2 / pi if `transverse`) and 1; NaN for empty events.

    Raises
    ------
    TypeError
        If X does not hold real numbers.
    ValueError
        If X is not a sample of events, or has negative transverse momenta or
        pseudorapidities whose momenta are too large for a float.

    See Also
    --------
    spherocity : Momenta perpendicular to an axis.
    isotropy : Distance to isotropic events.

    Notes
    -----
    It is a distance by optimal transport [2]_: the energy mover's distance to the
    closest two back-to-back points of free energies, with the squared distance
    2 (1 - cos theta) as the cost, is 2 (1 - T) times the energy of the event. Every
    particle goes to the closer of the two, at the cost of 2 (1 - abs(cos theta)).

    The time grows as n² log n with the number of particles n.

    References
    ----------
    .. [1] E. Farhi, "Quantum Chromodynamics Test for Jets", Phys. Rev. Lett. 39 (1977)
       1587.
    .. [2] P. T. Komiske, E. M. Metodiev and J. Thaler, "The Hidden Geometry of Particle
       Collisions", JHEP 07 (2020) 006, arXiv:2004.04159.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_hepcal.shapes import thrust
    >>> mercedes = [[10.0, 0.0, angle] for angle in (0.0, 2 * np.pi / 3, 4 * np.pi / 3)]
    >>> back_to_back = [[10.0, 0.5, 0.0], [10.0, -0.5, np.pi]]
    >>> thrust([mercedes, back_to_back]).round(3)
    array([0.667, 1.   ])
    """
    measure = _transverse_thrust if transverse else _thrust
    return np.array([measure(event) for event in read_events(X)])


def _transverse_thrust(event: Array) -> float:
    if not len(event):
        return np.nan
    sums, _ = planar_sums(transverse_momenta(event))
    return _share(np.linalg.norm(sums, axis=1).max(), event[:, 0].sum())


def _thrust(event: Array) -> float:
    if not len(event):
        return np.nan
    momenta = three_momenta(event)
    sizes = np.linalg.norm(momenta, axis=1)
    directions = momenta / sizes[:, None]
    n_blocks = -(-sizes.size * sizes.size // _N_AT_ONCE)
    largest = max(
        _largest_sum(momenta, sizes, axes)
        for axes in np.array_split(directions, min(n_blocks, sizes.size))
    )
    return _share(largest, sizes.sum())


# Turn a plane around each axis: all ways to cut the momenta by planes through it.
def _largest_sum(momenta: Array, sizes: Array, axes: Array) -> float:
    across = np.eye(3)[np.abs(axes).argmin(axis=1)]
    first = np.cross(axes, across)
    first /= np.linalg.norm(first, axis=1)[:, None]
    x, y = first @ momenta.T, np.cross(axes, first) @ momenta.T
    # What lies on the axis is on both sides of all planes; it goes to one as a whole.
    on_axis = np.hypot(x, y) <= _COLLINEAR * sizes
    own = np.where(on_axis, np.sign(axes @ momenta.T), 0.0) @ momenta
    others = np.where(on_axis[..., None], 0.0, momenta)
    sums, _ = signed_sums(np.arctan2(y, x), others)
    squares = (
        np.square(sums).sum(axis=-1)
        + 2 * np.abs(sums @ own[..., None])[..., 0]
        + np.square(own).sum(axis=1)[:, None]
    )
    return float(np.sqrt(squares.max()))


# Rounding must not lift the thrust above 1.
def _share(part: float, total: float) -> float:
    return min(float(part / total), 1.0)
