from __future__ import annotations

from numbers import Integral, Real
from typing import Literal

from sklearn.utils import check_scalar

from ._disk import Disk
from ._ellipse import Ellipse
from ._point import Point
from ._ring import Ring
from ._shape import Shape
from ._shapiness import ShapinessTransformer
from ._uniform import Uniform
from ._with_centre import WithCentre

Name = Literal[
    "n_subjettiness",
    "n_jettiness",
    "angularity",
    "broadening",
    "n_ringiness",
    "n_diskiness",
    "n_ellipsiness",
]

_SHAPES: dict[Name, Shape] = {
    "n_subjettiness": Point(),
    "n_jettiness": Point(),
    "angularity": Point(),
    "broadening": Point(),
    "n_ringiness": Ring(),
    "n_diskiness": Disk(),
    "n_ellipsiness": Ellipse(),
}


def make_observable(
    name: Name,
    n: int = 1,
    *,
    beta: float = 1.0,
    R: float = 0.8,
    with_centre: bool = False,
    pileup: bool = False,
) -> ShapinessTransformer:
    r"""Make the transformer of an observable that has a name.

    Distances to families of shapes in the plane of rapidity and azimuth, with the power
    :math:`\beta` of the distance:

    ================  ================  =============  ===========================
    name              family            :math:`\beta`  distance
    ================  ================  =============  ===========================
    "n_subjettiness"  n points          any            :math:`\tau_n / \beta`
    "n_jettiness"     n points, a beam  any            see below, in GeV
    "angularity"      a point           any            :math:`\lambda_\beta / \beta`
    "broadening"      n points          1              :math:`\tau_n`
    "n_ringiness"     n rings           any            without another name
    "n_diskiness"     n disks           any            without another name
    "n_ellipsiness"   n ellipses        any            without another name
    ================  ================  =============  ===========================

    The distance is the column "emd" of what the transformer returns; the parameters of
    the closest shape follow. References are [1]_ and [2]_ for N-subjettiness, [3]_ and
    [4]_ for N-jettiness, [5]_ for angularities and broadening, and [6]_ for the last
    three, there for beta = 1.

    Parameters
    ----------
    name : str
        One of the names above.
    n : int, default=1
        Number of points, rings, disks or ellipses.
    beta : float, default=1.0
        Power of the distance, at least 1.
    R : float, default=0.8
        Unit of the distance in radians, usually the radius of the jets.
    with_centre : bool, default=False
        Whether each ring, disk or ellipse has a point at its centre, as in
        N-(ring+point)iness.
    pileup : bool, default=False
        Whether energy spread evenly over the square from -R to R around the axis is
        added to rings, disks or ellipses.

    Returns
    -------
    ShapinessTransformer
        The transformer. Other settings, such as `n_init` or `n_jobs`, are made by its
        ``set_params``.

    Raises
    ------
    TypeError
        If `n`, `beta` or `R` is no number.
    ValueError
        If `name` is not known, `n`, `beta` or `R` is out of range, or the observable
        does not have what is asked for.

    See Also
    --------
    ShapinessTransformer : Distances to any family of shapes.
    ShapinessRatioTransformer : Ratios such as tau_32.
    thrust : Largest share of momentum along an axis.
    spherocity : How momenta are spread in the transverse plane.
    isotropy : The distance to uniform events.

    Notes
    -----
    With momenta :math:`p_{T,i}` and distances :math:`d_{ik}` to point k, the literature
    has

    .. math::
        \tau_n = \frac{\sum_i p_{T,i} \min_k d_{ik}^\beta}{\sum_i p_{T,i} R^\beta},
        \quad \lambda_\beta = \frac{\sum_i p_{T,i} d_{i1}^\beta}{\sum_i p_{T,i}
        R^\beta},

    larger by a factor of :math:`\beta` than the distances here. The points are where
    the sum is smallest for this :math:`\beta`: for 2 at the mean of their particles,
    for 1 where the recoil against soft particles does not move them. Other axes, such
    as those of exclusive jets or, for all :math:`\beta`, of broadening [5]_, give
    larger values.

    N-jettiness is

    .. math::
        \sum_i p_{T,i} \min \left[\left(\frac{d_{i1}}{R_0}\right)^\beta, \dots,
        \left(\frac{d_{in}}{R_0}\right)^\beta, 1\right],
        \quad R_0 = \beta^{1/\beta} R.

    Jets end at :math:`R_0`; what lies outside of all of them belongs to the beam. For
    jets of a given radius divide it by :math:`\beta^{1/\beta}`, which is 1 for
    :math:`\beta = 1` and :math:`\sqrt{2}` for :math:`\beta = 2`.

    References
    ----------
    .. [1] J. Thaler, K. Van Tilburg, "Identifying boosted objects with N-subjettiness",
       JHEP 03 (2011) 015, arXiv:1011.2268.
    .. [2] J. Thaler, K. Van Tilburg, "Maximizing boosted top identification by
       minimizing N-subjettiness", JHEP 02 (2012) 093, arXiv:1108.2701.
    .. [3] I. W. Stewart, F. J. Tackmann, W. J. Waalewijn, "N-jettiness: an inclusive
       event shape to veto jets", Phys. Rev. Lett. 105 (2010) 092002, arXiv:1004.2489.
    .. [4] I. W. Stewart et al., "XCone: N-jettiness as an exclusive cone jet
       algorithm", JHEP 11 (2015) 072, arXiv:1508.01516.
    .. [5] A. J. Larkoski, D. Neill, J. Thaler, "Jet shapes with the broadening axis",
       JHEP 04 (2014) 017, arXiv:1401.2158.
    .. [6] D. Ba, A. S. Dogra, R. Gambhir, A. Tasissa, J. Thaler, "SHAPER: Can you hear
       the shape of a jet?", JHEP 06 (2023) 195, arXiv:2302.12266.

    Examples
    --------
    >>> from sklearn_hepcal.shapes import make_observable
    >>> jet = [[[60.0, 0.0, 0.1], [30.0, 0.0, 0.5], [10.0, 0.2, 0.1]]]
    >>> make_observable("n_subjettiness", 2, R=0.4).fit_transform(jet)[:, 0]
    array([0.05])
    >>> make_observable("n_ellipsiness", 2, with_centre=True, pileup=True).shape
    2 * WithCentre(shape=Ellipse()) + Uniform(half_width=0.8)
    """
    if name not in _SHAPES:
        raise ValueError(f"name must be one of {list(_SHAPES)}, got {name!r}.")
    check_scalar(n, "n", Integral, min_val=1)
    check_scalar(beta, "beta", Real, min_val=1)
    check_scalar(R, "R", Real, min_val=0, include_boundaries="neither")
    shape = _SHAPES[name]
    if shape == Point() and (with_centre or pileup):
        raise ValueError(
            f"{name} is of points alone: leave out with_centre and pileup, or give the "
            "sum that you want, such as Point() + Uniform(), to ShapinessTransformer."
        )
    if name == "angularity" and n > 1:
        raise ValueError(f"angularity has one axis, got n={n}; see n_subjettiness.")
    if name == "broadening" and beta != 1:
        raise ValueError(f"broadening has beta=1, got beta={beta}; see angularity.")
    if with_centre:
        shape = WithCentre(shape)
    return ShapinessTransformer(
        n * shape + Uniform(R) if pileup else shape,
        1 if pileup else n,
        beta=beta,
        R=R,
        norm=name != "n_jettiness",
    )
