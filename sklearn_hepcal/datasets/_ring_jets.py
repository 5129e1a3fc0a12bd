"""Jets in the form of a ring, whose distance to rings is known exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Real

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.optimize import minimize_scalar
from sklearn.utils import check_random_state, check_scalar

from ..jets import Jets

Array = NDArray[np.float64]

_MAX_CENTRE = 2.0
_PT_RANGE = (200.0, 1000.0)


@dataclass(frozen=True)
class RingProblem:
    """Jets of equal particles on circles, with their exact ringiness.

    Attributes
    ----------
    jets : Jets
        The jets, with the constituent columns pt in GeV, y and phi in radians.
    centre : ndarray of shape (n_jets, 2)
        Rapidity and azimuth of the centres of the circles.
    radius : ndarray of shape (n_jets,)
        Radii of the circles.
    """

    jets: Jets
    centre: Array
    radius: Array

    def distance(self, *, beta: float = 1.0, R: float = 0.8) -> Array:
        r"""Energy mover's distance to the closest ring around the same centre.

        Each of the N particles takes the part of the ring that is closest to it,

        .. math::

            \frac{1}{\beta} \left(\frac{r}{R}\right)^{\beta} \min_s \frac{N}{\pi}
            \int_0^{\pi / N} \left|1 - s \, e^{i \theta}\right|^\beta d\theta,

        with r the radius of the circle and s r that of the ring.

        Parameters
        ----------
        beta : float, default=1.0
            Power of the distance.
        R : float, default=0.8
            Unit of the distance in radians.

        Returns
        -------
        ndarray of shape (n_jets,)
            The distances, of energies that sum to one.

        References
        ----------
        .. [1] D. Ba, A. S. Dogra, R. Gambhir, A. Tasissa, J. Thaler, "SHAPER: Can you
           hear the shape of a jet?", JHEP 06 (2023) 195, arXiv:2302.12266.
        """
        check_scalar(beta, "beta", Real, min_val=1)
        check_scalar(R, "R", Real, min_val=0, include_boundaries="neither")
        half_arc = np.pi / self.jets.counts[0]

        def cost(ratio: float) -> float:
            return quad(lambda t: abs(1 - ratio * np.exp(1j * t)) ** beta, 0, half_arc)[
                0
            ]

        best = minimize_scalar(cost, bounds=(0, 1), method="bounded")
        return best.fun / half_arc * (self.radius / R) ** beta / beta


def make_ring_jets(
    n_jets: int = 1000,
    *,
    n_particles: int = 32,
    radius: Sequence[float] = (0.2, 0.6),
    random_state: int | RandomState | None = None,
) -> RingProblem:
    """Make jets of equal particles, evenly spaced on circles.

    Parameters
    ----------
    n_jets : int, default=1000
        Number of jets.
    n_particles : int, default=32
        Particles of a jet, at least 3.
    radius : pair of float, default=(0.2, 0.6)
        Smallest and largest radius, between which radii are uniform.
    random_state : int, RandomState instance or None, default=None
        Seed of the centres, radii, orientations and energies.

    Returns
    -------
    RingProblem
        The jets, the circles, and the exact distance to a ring.

    Raises
    ------
    TypeError
        If a number is of another type.
    ValueError
        If a number is out of range, or `radius` is not a range.

    See Also
    --------
    sklearn_hepcal.shapes.ShapinessTransformer : Finds the ring.

    Examples
    --------
    >>> from sklearn_hepcal.datasets import make_ring_jets
    >>> from sklearn_hepcal.shapes import ShapinessTransformer
    >>> problem = make_ring_jets(2, random_state=0)
    >>> rings = ShapinessTransformer("ring").fit_transform(problem.jets)
    >>> abs(rings[:, 0] / problem.distance() - 1) < 1e-3
    array([ True,  True])
    """
    check_scalar(n_jets, "n_jets", Integral, min_val=1)
    check_scalar(n_particles, "n_particles", Integral, min_val=3)
    low, high = radius
    if not 0 < low <= high:
        raise ValueError(f"radius must be a range of positive numbers, got {radius!r}.")
    rng = check_random_state(random_state)
    centre = rng.uniform(-_MAX_CENTRE, _MAX_CENTRE, (n_jets, 2))
    radii = rng.uniform(low, high, n_jets)
    turn = rng.uniform(0, 2 * np.pi, n_jets)
    pt = rng.uniform(*_PT_RANGE, n_jets) / n_particles
    angle = turn[:, None] + 2 * np.pi * np.arange(n_particles) / n_particles
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    places = centre[:, None, :] + radii[:, None, None] * circle
    jets = Jets(
        constituents=np.column_stack([pt.repeat(n_particles), places.reshape(-1, 2)]),
        constituent_names=("pt", "y", "phi"),
        offsets=n_particles * np.arange(n_jets + 1),
    )
    return RingProblem(jets, centre, radii)
