"""Events as arrays of massless particles, and their momenta."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..jets import check_jets, relative_constituents

Array = NDArray[np.float64]


def read_events(X: Any) -> list[Array]:
    """Read the particles with a momentum, the softest of each event first.

    Parameters
    ----------
    X : Jets, array-like, awkward.Array or list of arrays
        What `check_jets` takes for constituents.

    Returns
    -------
    list of arrays of shape (n_particles_i, 3)
        Columns pt [GeV], y or eta, and phi [radians], the latter at most pi from the
        axis of the event.

    Raises
    ------
    ValueError
        If the first columns are others or a pt is negative.
    """
    jets = check_jets(X, require="constituents", min_constituents=0)
    relative = relative_constituents(jets)
    pt, y, _ = jets.constituents[:, :3].T
    check_energies(pt)
    order = np.lexsort((pt, jets.jet_index))
    order = order[pt[order] > 0]
    counts = np.bincount(jets.jet_index[order], minlength=len(jets))
    phi = relative.phi[jets.jet_index] + relative.dphi
    particles = np.column_stack([pt, y, phi])[order]
    return np.split(particles, np.cumsum(counts)[:-1])


# Refuse what cannot be transported.
def check_energies(pt: NDArray[np.floating]) -> None:
    n_negative = int(np.sum(pt < 0))
    if n_negative:
        raise ValueError(
            f"Negative values in data passed to X: the pt of {n_negative} constituents "
            "is no energy that could be transported; remove them."
        )


# Return px and py [GeV] of the particles of an event.
def transverse_momenta(event: Array) -> Array:
    pt, _, phi = event.T
    return pt[:, None] * np.column_stack([np.cos(phi), np.sin(phi)])


# Return px, py and pz [GeV] of the particles of an event.
def three_momenta(event: Array) -> Array:
    with np.errstate(over="ignore"):
        pz = event[:, 0] * np.sinh(event[:, 1])
        representable = np.isfinite(pz**2).all()
    if not representable:
        raise ValueError(
            f"X has constituents at eta={event[np.abs(event[:, 1]).argmax(), 1]:.3g}, "
            "whose momentum along the beam is too large for a float; remove them."
        )
    return np.column_stack([transverse_momenta(event), pz])


def signed_sums(angles: Array, vectors: Array) -> tuple[Array, Array]:
    """Sum vectors with the signs of their sides of a line that turns by half a turn.

    Parameters
    ----------
    angles : array of shape (..., n)
        Angles of the vectors in the plane in which the line turns, as of arctan2.
    vectors : array of shape (..., n, d)
        The vectors.

    Returns
    -------
    sums : array of shape (..., n, d)
        The sums, up to a common sign, when the line has just passed each vector.
    passed : array of shape (..., n, d)
        The vectors in this order, turned to one side of the first line.
    """
    behind = angles < 0
    ahead = np.where(behind[..., None], -vectors, vectors)
    order = np.argsort(np.where(behind, angles + np.pi, angles), axis=-1)
    ahead = np.take_along_axis(ahead, order[..., None], axis=-2)
    sums = np.cumsum(ahead, axis=-2)
    return sums[..., -1:, :] - 2 * sums, ahead


# Return the signed sums of vectors in the plane itself, of shape (n, 2).
def planar_sums(momenta: Array) -> tuple[Array, Array]:
    return signed_sums(np.arctan2(momenta[:, 1], momenta[:, 0]), momenta)
