"""The steps of a fit of `OTCalibrator`."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._columns import find_conditions, treat_atoms, varying_columns
from ._domains import Sides
from ._fitters import MapFitter, make_fitters
from ._frame import Frame, fit_frame
from ._maps import Array, Sample, TransportMap
from ._purity import weigh_by_purity
from ._selection import Selection, select_map, shrunk

# With fewer rows than these on a side, a network cannot win and is not tried.
_NETWORK_ROWS = 200
# A floating scale of the background with a larger error is next to unknown.
_MAX_SCALE_ERROR = 0.5


class TransportFit(NamedTuple):
    """What a fit has found.

    Attributes
    ----------
    frame : Frame
        Coordinates in which the maps are.
    chosen : Selection
        The map.
    replicas : list of TransportMap
        Its replicas.
    background_scale : (float, float)
        Factor of the background's weights, and its standard error.
    curve : array of shape (n_epochs,)
        Held-out gain of the network after every epoch; empty if there is none.
    """

    frame: Frame
    chosen: Selection
    replicas: list[TransportMap]
    background_scale: tuple[float, float]
    curve: Array


def fit_transport(
    estimator: Any,
    rows: NDArray,
    sides: Sides,
    stored: bool,
    rng: np.random.RandomState,
) -> TransportFit:
    """Fit the maps that an `OTCalibrator` asks for, and choose.

    Parameters
    ----------
    estimator : OTCalibrator
        Its parameters, with the names of the columns.
    rows : array of shape (n_samples, n_features)
        All rows.
    sides : Sides
        Rows of either side, and their weights.
    stored : bool
        Leave the rows in their file.
    rng : RandomState
        Draws seeds, held-out rows and replicas.

    Returns
    -------
    TransportFit
        The map, and what goes with it.

    Raises
    ------
    ValueError
        If the samples do not determine what is asked for.
    """
    frame = _fit_frame(estimator, rows, sides)
    scale = 1.0, 0.0
    if estimator.float_background:
        scale = frame.background_scale(rows, sides)
        if scale[1] > _MAX_SCALE_ERROR:
            warnings.warn(
                "the spectra of the conditions hardly tell background from "
                f"simulation: its scale is {scale[0]:.2f} +- {scale[1]:.2f}.",
                stacklevel=3,
            )
    frame, source, target = _prepare(estimator, frame, rows, sides, stored)
    fitters = make_fitters(estimator, len(frame.moved), rng)
    chosen = _choose(estimator, fitters, source, target, rng)
    # The exact maps stay at the subtraction: they are quick, and without chance.
    if sides.background.any() and chosen.name == "picnn":
        chosen = _refine(chosen, fitters, source, target, sides.background, rng)

    def replica() -> TransportMap:
        drawn = sides.reweighted(rng.poisson(1.0, len(rows)).astype(np.float64))
        seed = rng.randint(np.iinfo(np.int32).max)
        try:
            _, source, target = _prepare(estimator, frame, rows, drawn, stored)
            return _fit_again(chosen, fitters, source, target, seed)
        except ValueError as error:
            raise ValueError(
                f"n_bootstrap={estimator.n_bootstrap}: a replica does not determine "
                "a map, as there are too few rows to draw from (less those of "
                "background)."
            ) from error

    replicas = [replica() for _ in range(estimator.n_bootstrap)]
    curve = _mean_curve(getattr(fitters[estimator.solver], "curves", []))
    return TransportFit(frame, chosen, replicas, scale, curve)


# Columns, knots and atoms.
def _fit_frame(estimator: Any, rows: NDArray, sides: Sides) -> Frame:
    n_columns = estimator.n_features_in_
    names = list(getattr(estimator, "feature_names_in_", range(n_columns)))
    conditions = find_conditions(estimator.conditions, names)
    others = np.setdiff1d(np.arange(n_columns), conditions)
    moved = varying_columns(
        rows, sides, others, names, split_atoms=estimator.atoms == "dequantise"
    )
    moved, atoms = treat_atoms(rows, sides, moved, names, how=estimator.atoms)
    return fit_frame(
        rows, sides, moved, conditions, n_knots=estimator.n_knots, atoms=atoms
    )


# Samples with the background's scale and the conditions' spectra as these rows have
# them, and the frame with that ratio of spectra.
def _prepare(
    estimator: Any, frame: Frame, rows: NDArray, sides: Sides, stored: bool
) -> tuple[Frame, Sample, Sample]:
    scale = 1.0
    if estimator.float_background:
        scale, _ = frame.background_scale(rows, sides)
    sides = sides.with_background(scale)
    if estimator.match_conditions:
        frame = frame.matched(rows, sides)
    return frame, *frame.samples(rows, sides, stored=stored)


def _choose(
    estimator: Any,
    fitters: dict[str, MapFitter],
    source: Sample,
    target: Sample,
    rng: np.random.RandomState,
) -> Selection:
    solver, select = estimator.solver, estimator.selection
    if select == "auto":
        select = solver == "picnn"
    if select and solver == "flow":
        raise ValueError(
            'selection=True does not know solver="flow": a flow has no potential, '
            "hence no semi-dual, by which maps are compared."
        )
    if not select:
        return Selection(solver, fitters[solver](source, target), {})
    if min(len(source.w), len(target.w)) < _NETWORK_ROWS:
        fitters = {k: v for k, v in fitters.items() if k != "picnn"}
    return select_map(
        fitters,
        source,
        target,
        validation_fraction=estimator.validation_fraction,
        rng=rng,
    )


# The chosen map, fitted again to data without background.
def _refine(
    chosen: Selection,
    fitters: dict[str, MapFitter],
    source: Sample,
    target: Sample,
    background: NDArray[np.bool_],
    rng: np.random.RandomState,
) -> Selection:
    seed = rng.randint(np.iinfo(np.int32).max)
    weighted = weigh_by_purity(chosen.map, source, target, background, seed)
    if weighted is target:
        return chosen
    fitted = fitters[chosen.name](source, weighted)
    return chosen._replace(map=shrunk(fitted, chosen.strength))


# The chosen map, fitted to a replica of the samples. Where that is the identity, the
# Gaussian map tells how well the samples determine it.
def _fit_again(
    chosen: Selection,
    fitters: dict[str, MapFitter],
    source: Sample,
    target: Sample,
    seed: int,
) -> TransportMap:
    name = "bures" if chosen.name == "identity" else chosen.name
    fitted = fitters[name].again(chosen.map, source, target, seed)
    return shrunk(fitted, chosen.strength)


# Mean over the trainings, as far as all of them went.
def _mean_curve(curves: list[Array]) -> Array:
    known = [curve for curve in curves if not np.isnan(curve).any()]
    if not known:
        return np.empty(0)
    length = min(len(curve) for curve in known)
    return np.mean([curve[:length] for curve in known], axis=0)
