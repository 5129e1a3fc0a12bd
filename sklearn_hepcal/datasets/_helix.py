"""Helices of charged particles in a magnetic field along the beam."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# of a particle of unit charge: pT [GeV] = this * field [T] * radius [mm]
GEV_PER_TESLA_MM = 0.299792458e-3


# Where helices come closest to the beam line: signed distance and z there, in mm, and
# direction in the transverse plane.
class Perigee(NamedTuple):
    d0: Array
    z0: Array
    phi: Array


# Positions in mm and momenta in GeV, of shape (n, 3). The field points along z, so that
# positive particles turn clockwise. With the unit vector n to the left of the momentum
# and the signed curvature w, the centre of the circle is at r + n / w. That it is as
# well at (d0 + 1 / w) n0, for n0 at the perigee, gives the formulas below, which lose
# no digits for straight tracks.
def find_perigee(
    position: Array, momentum: Array, charge: NDArray, field: float
) -> Perigee:
    (x, y, z), (px, py, pz) = position.T, momentum.T
    pt = np.hypot(px, py)
    curvature = -charge * GEV_PER_TESLA_MM * field / pt
    left, ahead = (y * px - x * py) / pt, (x * px + y * py) / pt
    turn = np.arctan2(curvature * ahead, 1 + curvature * left)
    length = turn / curvature
    d0 = (curvature * (x**2 + y**2) + 2 * left) / (
        1 + np.hypot(curvature * ahead, 1 + curvature * left)
    )
    return Perigee(d0, z - length * pz / pt, np.arctan2(py, px) - turn)
