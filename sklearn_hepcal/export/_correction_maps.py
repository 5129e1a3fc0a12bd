"""Transport maps of single columns, for correctionlib."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ..calibration import OTCalibrator
from ..calibration._bures import BuresMap
from ..calibration._maps import Array, IdentityMap
from ..calibration._quantile import QuantileMap
from ._nodes import Node, binning, category, correction, formula, reference, transform

# Couplings of columns below this part of the largest number are rounding errors.
_ROUNDING = 1e-9
# Number of the replica that stands for the map itself.
_NOMINAL = -1

_LINE = "[0]+[1]*(x-[2])"
# With the condition as y. The second is of the whitened x.
_WHITEN = "([2]+[3]*(y-[4]))*(x-[0]-[1]*(y-[4]))"
_VALUE = (
    "([5]+[6]*(y-[4]))+([2]+[3]*(y-[4]))*([0]+[1]*(y-[4])+([7]+[8]*(y-[4]))*(x-[9]))"
)


class _Column(NamedTuple):
    # One column of a map at the knots of the condition: the centres of simulation and
    # data, the root of the slope, and the curve between the two in units of the root,
    # whose first and last interval have no ends.
    source: Array
    target: Array
    root: Array
    points: Array
    values: Array


def map_corrections(calibrator: OTCalibrator) -> list[Node]:
    """Describe the map of every moved column.

    Parameters
    ----------
    calibrator : OTCalibrator
        A fitted calibrator.

    Returns
    -------
    list of dict
        A correction for each column, by the column's name.

    Raises
    ------
    ValueError
        If the map of a column depends on others, on several conditions, or spreads
        repeated values.
    """
    check_is_fitted(calibrator)
    frame = calibrator._frame
    if len(frame.conditions) > 1:
        raise ValueError(
            "correctionlib can hold maps with one condition, and not with "
            f"{len(frame.conditions)}; export.to_onnx holds any."
        )
    if frame.atoms is not None:
        raise ValueError(
            "atoms='dequantise' spreads repeated values by the bits of the rows, which "
            "correctionlib cannot do."
        )
    names = getattr(calibrator, "feature_names_in_", None)
    if names is None:
        names = [f"x{i}" for i in range(calibrator.n_features_in_)]
    maps = {_NOMINAL: calibrator._map, **dict(enumerate(calibrator._replicas))}
    return [
        _correction(maps, number, str(names[column]), calibrator, names)
        for number, column in enumerate(frame.moved)
    ]


def _correction(
    maps: dict[int, Any], number: int, name: str, calibrator: OTCalibrator, names: Any
) -> Node:
    frame = calibrator._frame
    inputs = [(name, "real", "in simulation")]
    knots, condition = np.zeros(1), ""
    if len(frame.conditions):
        knots, condition = frame.basis.knots[0], str(names[frame.conditions[0]])
        inputs.append((condition, "real", "condition of the map, which stays"))
    columns = {
        replica: _column(fitted, number, float(frame.origin[number]), len(knots))
        for replica, fitted in maps.items()
    }
    if len(knots) == 1:
        formulas = [formula(_LINE, [name])]
        parts = {replica: _lines(name, column) for replica, column in columns.items()}
    else:
        formulas = [formula(text, [name, condition]) for text in (_WHITEN, _VALUE)]
        parts = {
            replica: _surfaces(name, condition, column, knots)
            for replica, column in columns.items()
        }
    data = parts[_NOMINAL]
    if len(parts) > 1:
        data = category("replica", parts)
        text = f"number of a bootstrap replica; {_NOMINAL} is the map itself"
        inputs.append(("replica", "int", text))
    return correction(
        name,
        f"Optimal transport of {name} from simulation to data.",
        inputs,
        (name, "moved to data"),
        data,
        formulas,
    )


def _column(fitted: Any, number: int, origin: float, n_knots: int) -> _Column:
    nothing, line = np.zeros(n_knots), np.array([-1.0, 1.0])
    straight = np.tile(line, (n_knots, 1))
    if isinstance(fitted, IdentityMap):
        return _Column(nothing, nothing, nothing + 1.0, line, straight)
    if not isinstance(fitted, (BuresMap, QuantileMap)):
        raise ValueError(
            "correctionlib can hold the maps of solver='quantile', and of "
            "solver='bures' for one column, but not a "
            f"{type(fitted).__name__}; export.to_onnx holds any."
        )
    curves = fitted.curves if isinstance(fitted, QuantileMap) else None
    gaussian = fitted.gaussian if isinstance(fitted, QuantileMap) else fitted
    coupling = np.abs(gaussian.root).max(axis=0)
    if (coupling - np.diag(np.diag(coupling))).max() > _ROUNDING * coupling.max():
        raise ValueError(
            "the map of solver='bures' moves columns together, which correctionlib "
            "cannot do: calibrate one column, take solver='quantile', or use "
            "export.to_onnx."
        )
    return _Column(
        gaussian.source_mean[:, number] + origin,
        gaussian.target_mean[:, number] + origin,
        gaussian.root[:, number, number],
        line if curves is None else curves[number].points,
        straight if curves is None else curves[number].values,
    )


# Without a condition the curve is one of the column itself.
def _lines(name: str, column: _Column) -> Node:
    root = column.root[0]
    x = column.points / root + column.source[0]
    y = column.values[0] * root + column.target[0]
    lines = zip(y[:-1], np.diff(y) / np.diff(x), x[:-1], strict=True)
    return binning(name, _open(x), [reference(0, line) for line in lines], flow="error")


# Between two knots everything is linear in the condition, and constant beyond the
# outer ones, where both ends are the same.
def _surfaces(name: str, condition: str, column: _Column, knots: Array) -> Node:
    last = len(knots) - 1
    ends = [(0, 0), *pairwise(range(last + 1)), (last, last)]
    edges = [-np.inf, *knots, np.inf]
    parts = [_surface(name, column, low, high, knots) for low, high in ends]
    return binning(condition, edges, parts, flow="error")


def _surface(name: str, column: _Column, low: int, high: int, knots: Array) -> Node:
    width = knots[high] - knots[low] or 1.0

    def along(values: Array) -> Array:
        return np.array([values[low], (values[high] - values[low]) / width])

    source, target, root = map(along, (column.source, column.target, column.root))
    slopes = np.diff(column.values) / np.diff(column.points)
    cells = np.hstack(
        [along(column.values)[:, :-1].T, along(slopes).T, column.points[:-1, None]]
    )
    return transform(
        name,
        reference(0, [*source, *root, knots[low]]),
        binning(
            name,
            _open(column.points),
            [
                reference(1, [*cell[:2], *root, knots[low], *target, *cell[2:]])
                for cell in cells
            ],
            flow="error",
        ),
    )


def _open(points: Array) -> Array:
    return np.concatenate([[-np.inf], points[1:-1], [np.inf]])
