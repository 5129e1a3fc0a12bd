from __future__ import annotations

from collections.abc import Iterator
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags, check_array, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from tqdm.auto import tqdm

from ..jets import Jets, validate_jets
from ._columns import Columns
from ._disk import Disk
from ._ellipse import Ellipse
from ._events import RelativeEvents, relative_events
from ._family import Event, Member
from ._point import Point
from ._ring import Ring
from ._search import Closest, Search
from ._segment import Segment
from ._shape import Array, Mixture, Shape

_SHAPES = {
    shape.name: shape for shape in (Point(), Segment(), Ring(), Disk(), Ellipse())
}
# Events that a worker takes at a time.
_CHUNK = 32


class ShapinessTransformer(TransformerMixin, BaseEstimator):
    r"""Measure how much events look like a shape, and like which one.

    The shapiness of an event is its energy mover's distance to the closest member of a
    family of shapes, such as all rings [1]_. It is infrared and collinear safe. With N
    points it is N-subjettiness; with other families it is new, and its parameters are
    observables themselves: the radius of a jet, its eccentricity, the energy in its
    core, the share of the pile-up. The transport is solved exactly; there is nothing to
    learn from data.

    Parameters
    ----------
    shape : {"point", "segment", "ring", "disk", "ellipse"} or Shape, default="ring"
        The family: a name, a shape, or a sum of shapes with free weights such as
        ``2 * WithCentre(Ellipse()) + Uniform()``.
    n_shapes : int, default=1
        How many copies of `shape` are added up.
    beta : float, default=1.0
        Power of the distance, at least 1.
    R : float, default=0.8
        Unit of the distance in radians, usually the radius of the jets.
    norm : bool, default=True
        Whether energies are divided by the total of their event. If False, distances
        and weights are in GeV, and the shape may have less energy than the event: what
        it lacks goes to a beam and counts in full, as in N-jettiness [3]_.
    certificate : bool, default=False
        Whether the second column is a lower bound of the distance to the very shape
        that is found, from prices of the dual problem. The prices are integrated over
        four times as many nodes: the bound is that of the continuous shape, and can be
        above the distance to the nodes by the error of the latter. It is no bound for
        the other members of the family.
    n_nodes : int, default=512
        Number of points that stand for each extended shape in the distance; rings and
        segments take half as many. The search goes on with fewer.
    n_init : int, default=None
        Number of random starts, besides those from the whole event, its clusters and
        its outlying particles. By default 2 for a single shape, for which one start
        nearly always is enough, and 48 for sums, which have many local minima. Sums of
        points start from as many sets of particles, the best of all.
    max_iter : int, default=50
        The most steps of the descent from the best of the starts.
    tol : float, default=1e-6
        The descent ends when a step improves the distance by less, or by a tenth of it
        for sums, in units of the energy.
    random_state : int, RandomState instance or None, default=0
        Draws the starts, once for all events: what comes out for an event does not
        depend on the others.
    n_jobs : int, default=None
        Number of processes; -1 is all processors. The numbers do not depend on it.
    verbose : int, default=0
        Whether to show a progress bar.

    Attributes
    ----------
    part_names : list of str
        Names of the parts that have weights, in the order of `shares`.
    n_features_in_ : int
        Number of columns of the constituents.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of these columns, where they have any.

    Raises
    ------
    TypeError
        In `fit` and `transform`, if X does not hold real numbers.
    ValueError
        In `fit` and `transform`, if a parameter is not valid, if X is not a sample of
        events, or has negative transverse momenta.

    See Also
    --------
    emd : The distance of two events.
    Shape : What a shape is, to define others.

    Notes
    -----
    The distance is that of SHAPER [1]_,

    .. math::
        \min_\theta \min_\pi \sum_{ij} \pi_{ij}
        \frac{|x_i - y_j(\theta)|^\beta}{\beta R^\beta},

    with particles at :math:`x_i` and nodes of the shape at :math:`y_j(\theta)`. The
    plan :math:`\pi` is found by POT's network simplex. For given plans, parameters on
    which the nodes depend linearly minimise a quadratic majoriser in closed form; then
    parameters and weights go downhill together by L-BFGS, at the best plan of each
    step. For sums of points plans are trivial, and Weiszfeld's steps are taken from
    the best sets of particles.

    With the default nodes the distances are exact to :math:`2` to :math:`5 \times
    10^{-4}` of themselves for rings and :math:`1` to :math:`3 \times 10^{-3}` for disks
    and ellipses (rms over jets of two kinds), local minima of sums aside.

    Events are unwrapped around their axes in azimuth, with a warning about those that
    span more than half a turn. Constituents of one direction are added up, those
    without energy left out. Events without energy get a row of NaN.

    The columns are the distance, the bound if there is one, and the parameters and
    weights of each shape, see `get_feature_names_out`; directions are in the
    coordinates of the events. Equal shapes come in the order of their weights.

    References
    ----------
    .. [1] D. Ba, A. S. Dogra, R. Gambhir, A. Tasissa, J. Thaler, "SHAPER: Can you hear
       the shape of a jet?", JHEP 06 (2023) 195, arXiv:2302.12266.
    .. [2] P. T. Komiske, E. M. Metodiev, J. Thaler, "The hidden geometry of particle
       collisions", JHEP 07 (2020) 006, arXiv:2004.04159.
    .. [3] I. W. Stewart, F. J. Tackmann, W. J. Waalewijn, "N-jettiness: an inclusive
       event shape to veto jets", Phys. Rev. Lett. 105 (2010) 092002, arXiv:1004.2489.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_hepcal.shapes import ShapinessTransformer
    >>> angle = 2 * np.pi * np.arange(12) / 12
    >>> jet = np.column_stack(
    ...     [np.full(12, 5.0), 0.4 * np.cos(angle), 1 + 0.4 * np.sin(angle)]
    ... )
    >>> transformer = ShapinessTransformer("ring")
    >>> transformer.get_feature_names_out()
    array(['emd', 'ring0_y', 'ring0_phi', 'ring0_radius'], dtype=object)
    >>> transformer.fit_transform([jet])[0, 1:].round(2) + 0.0
    array([0. , 1. , 0.4])
    """

    _parameter_constraints: ClassVar[dict] = {
        "shape": [StrOptions(set(_SHAPES)), Shape, Mixture],
        "n_shapes": [Interval(Integral, 1, None, closed="left")],
        "beta": [Interval(Real, 1, None, closed="left")],
        "R": [Interval(Real, 0, None, closed="neither")],
        "norm": ["boolean"],
        "certificate": ["boolean"],
        "n_nodes": [Interval(Integral, 1, None, closed="left")],
        "n_init": [Interval(Integral, 1, None, closed="left"), None],
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "random_state": ["random_state"],
        "n_jobs": [Integral, None],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        shape: str | Shape | Mixture = "ring",
        n_shapes: int = 1,
        *,
        beta: float = 1.0,
        R: float = 0.8,
        norm: bool = True,
        certificate: bool = False,
        n_nodes: int = 512,
        n_init: int | None = None,
        max_iter: int = 50,
        tol: float = 1e-6,
        random_state: int | np.random.RandomState | None = 0,
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.shape = shape
        self.n_shapes = n_shapes
        self.beta = beta
        self.R = R
        self.norm = norm
        self.certificate = certificate
        self.n_nodes = n_nodes
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    def fit(self, X: Any, y: object = None) -> Self:
        """Check parameters and events; there is nothing to learn.

        Parameters
        ----------
        X : Jets, array-like, awkward.Array or list of arrays
            Events, as in `check_jets`. The constituents have the columns pt [GeV], y or
            eta, and phi [radians] first.
        y : object, default=None
            Not used, present for scikit-learn's interface.

        Returns
        -------
        ShapinessTransformer
            The transformer itself.
        """
        self._read(X, reset=True)
        return self

    def transform(self, X: Any) -> Array:
        """Find the closest shape of each event.

        Parameters
        ----------
        X : Jets, array-like, awkward.Array or list of arrays
            Events, as in `fit`.

        Returns
        -------
        ndarray of shape (n_events, n_features_out)
            Distance, bound, parameters and weights; NaN for events without energy.
        """
        events = self._read(X, reset=False)
        columns = self._columns
        rows = np.full((len(events.energy), 2 + len(columns.names)), np.nan)
        for i, closest in self._find_all(events.events):
            theta, shares = columns.sort(self.R * closest.theta, closest.shares)
            values = columns.row(theta, shares)
            rows[i] = [closest.value, closest.lower, *values]
        parameters = rows[:, 2:]
        parameters[:, columns.is_y] += events.y[:, None]
        parameters[:, columns.is_phi] += events.phi[:, None]
        parameters[:, columns.is_phi] = _wrap(parameters[:, columns.is_phi])
        if not self.norm:
            parameters[:, columns.is_weight] *= events.energy[:, None]
            rows[:, :2] *= events.energy[:, None]
        return rows if self.certificate else np.delete(rows, 1, axis=1)

    def shares(self, X: Any, Z: ArrayLike | None = None) -> Array:
        """Divide the energy of each constituent among the parts of the closest shape.

        What the plan moves to a uniform part, for instance, looks like pile-up.

        Parameters
        ----------
        X : Jets, array-like, awkward.Array or list of arrays
            Events, as in `fit`.
        Z : array-like of shape (n_events, n_features_out), default=None
            What `transform` returns for X; it is computed by default.

        Returns
        -------
        ndarray of shape (n_constituents, n_parts)
            Shares of the constituents of all events in a row, which sum to one, in the
            order of `part_names`; 0 for constituents without energy.

        Raises
        ------
        ValueError
            If Z does not have the shape of what `transform` returns.
        """
        events = self._read(X, reset=False)
        family = self._search().family
        blocks = []
        for event, particles, member in zip(
            events.events, events.particles, self._members(X, Z, events), strict=True
        ):
            block = np.zeros((len(particles), family.n_parts))
            if member is not None:
                some = particles >= 0
                block[some] = family.divide(event, member)[particles[some]]
            blocks.append(block)
        return np.concatenate(blocks)

    def closest_shapes(self, X: Any, Z: ArrayLike | None = None) -> Jets:
        """Return the closest shapes themselves, as events.

        Parameters
        ----------
        X : Jets, array-like, awkward.Array or list of arrays
            Events, as in `fit`.
        Z : array-like of shape (n_events, n_features_out), default=None
            What `transform` returns for X; it is computed by default.

        Returns
        -------
        Jets
            The nodes of the shapes, with columns pt [GeV], y and phi [radians], and the
            number of the part in the order of `part_names` as the label "part".

        Raises
        ------
        ValueError
            If Z does not have the shape of what `transform` returns.
        """
        events = self._read(X, reset=False)
        family = self._search().family
        tables, parts = [np.empty((0, 3))], [np.empty(0, dtype=np.intp)]
        offsets = [0]
        members = self._members(X, Z, events)
        for member, energy, y, phi in zip(
            members, events.energy, events.y, events.phi, strict=True
        ):
            if member is not None:
                places, weights, part = family.nodes(member)
                azimuth = _wrap(phi + self.R * places[:, 1])
                tables.append(
                    np.column_stack(
                        [energy * weights, y + self.R * places[:, 0], azimuth]
                    )
                )
                parts.append(part)
            offsets.append(offsets[-1] + len(tables[-1]) * (member is not None))
        return Jets(
            constituents=np.concatenate(tables),
            constituent_names=("pt", "y", "phi"),
            offsets=offsets,
            constituent_labels={"part": np.concatenate(parts)},
        )

    def get_feature_names_out(
        self, input_features: ArrayLike | None = None
    ) -> NDArray[np.object_]:
        """Name the columns of the output.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Not used, present for scikit-learn's interface.

        Returns
        -------
        ndarray of str
            "emd", "emd_lower" if there is a certificate, and names such as
            "ring0_radius", "ring0_weight", "ring0_centre_weight", "beam_weight".
        """
        lower = ["emd_lower"] if self.certificate else []
        return np.array(["emd", *lower, *self._columns.names], dtype=object)

    @property
    def part_names(self) -> list[str]:
        return self._columns.part_names

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.positive_only = True
        return tags

    @property
    def _components(self) -> tuple[Shape, ...]:
        shape = _SHAPES[self.shape] if isinstance(self.shape, str) else self.shape
        return self.n_shapes * shape.components

    @property
    def _columns(self) -> Columns:
        return Columns(self._components, beam=not self.norm)

    def _search(self) -> Search:
        return Search(
            self._components,
            beta=self.beta,
            R=self.R,
            beam=not self.norm,
            bound=self.certificate,
            n_nodes=self.n_nodes,
            n_init=self.n_init,
            max_iter=self.max_iter,
            tol=self.tol,
            rng=check_random_state(self.random_state),
        )

    def _read(self, X: Any, *, reset: bool) -> RelativeEvents:
        self._validate_params()
        jets = validate_jets(
            self, X, reset=reset, require="constituents", min_constituents=0
        )
        return relative_events(jets, self.R)

    # Yield the number of each event with energy, and its closest shape.
    def _find_all(self, events: list[Event]) -> Iterator[tuple[int, Closest]]:
        filled = [i for i, event in enumerate(events) if len(event.weights)]
        search = self._search()
        chunks = [filled[k : k + _CHUNK] for k in range(0, len(filled), _CHUNK)]
        tasks = (delayed(_find)(search, [events[i] for i in c]) for c in chunks)
        results = Parallel(n_jobs=self.n_jobs, return_as="generator")(tasks)
        with tqdm(total=len(filled), unit="event", disable=not self.verbose) as bar:
            for chunk, found in zip(chunks, results, strict=True):
                yield from zip(chunk, found, strict=True)
                bar.update(len(chunk))

    # Undo what `transform` does to the parameters; None for events without energy.
    def _members(
        self, X: Any, Z: ArrayLike | None, events: RelativeEvents
    ) -> Iterator[Member | None]:
        columns = self._columns
        n_columns = len(self.get_feature_names_out())
        rows = check_array(
            self.transform(X) if Z is None else Z,
            ensure_all_finite="allow-nan",
            input_name="Z",
            copy=True,
        )
        if rows.shape != (len(events.energy), n_columns):
            raise ValueError(
                f"Z must be what transform returns, with {len(events.energy)} rows and "
                f"{n_columns} columns, got shape {rows.shape}."
            )
        parameters = rows[:, n_columns - len(columns.names) :]
        parameters[:, columns.is_y] -= events.y[:, None]
        parameters[:, columns.is_phi] -= events.phi[:, None]
        parameters[:, columns.is_phi] = _wrap(parameters[:, columns.is_phi])
        for row, event in zip(parameters, events.events, strict=True):
            if not len(event.weights):
                yield None
                continue
            if not np.isfinite(row).all():
                raise ValueError("Z has NaN or infinity for an event with energy.")
            theta, shares = columns.member(row)
            yield Member.of(theta / self.R, shares)


def _find(search: Search, events: list[Event]) -> list[Closest]:
    return [search(event) for event in events]


# To between -pi and pi.
def _wrap(phi: Array) -> Array:
    return phi - 2 * np.pi * np.round(phi / (2 * np.pi))
