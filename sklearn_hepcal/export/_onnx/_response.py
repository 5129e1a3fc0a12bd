"""Calibration of jets by the inverse of a learned response, as expressions."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ...metrics import NumericalInversion
from ...regression import AsymmetryJERRegressor
from ...regression._balance import BalanceFit
from ...regression._hinges import MAX_PULL as MAX_MOMENTUM_PULL
from ...regression._insitu import InsituCorrection
from ...regression._jet_table import MAX_PULL, JetTable
from ...regression._response_fit import (
    MAX_STEPS,
    MIN_SLOPE,
    MIN_WIDTH,
    TOLERANCE,
    LogScale,
    ResponseModel,
)
from ._graph import Graph, Value
from ._jets import encode, read_constituents, read_features, relative_to_axis
from ._networks import activate, deep_sets, linear, mlp_layers, slope_of
from ._tables import evaluate_cubic, interpolate

# Where the network is evaluated in single precision, the inverse is no better.
_SINGLE_TOLERANCE = 1e-6


class Jets(NamedTuple):
    """What is known of jets; all in double precision.

    Attributes
    ----------
    log_pt : Value of shape (n_jets, 1)
        Logarithms of measured momenta.
    table : Value of shape (n_jets, n_features) or None
        Scaled features.
    latent : Value of shape (n_jets, n_latent) or None
        Sums over constituents.
    """

    log_pt: Value
    table: Value | None
    latent: Value | None


class At(NamedTuple):
    """A response at some momenta, columns of shape (n_jets, 1).

    Attributes
    ----------
    centre, slope, width : Value
        Centre of the logarithm, its derivative, and its width.
    """

    centre: Value
    slope: Value
    width: Value


def write_asymmetry_jer(graph: Graph, regressor: AsymmetryJERRegressor) -> None:
    """Write an `AsymmetryJERRegressor`, for jets of data and of simulation.

    Parameters
    ----------
    graph : Graph
        The graph.
    regressor : AsymmetryJERRegressor
        The estimator.
    """
    model = regressor._model
    names = getattr(regressor, "constituent_names_in_", ())
    jets = _read(graph, model.table, list(names), model.response.network)
    response = _Response(model.response, jets)
    log_pt, sigma = response.invert() if model.inverts else response.correct()
    if model.closure is not None:
        log_pt = _close(log_pt, model.closure)
    sigma = sigma * model.sigma_scale
    _write(graph, log_pt, sigma, "_simulation", "jets of simulation")
    if model.correction is not None:
        assert jets.table is not None
        log_pt = log_pt + _correction(model.correction, log_pt, jets.table)
    _write(graph, log_pt, sigma * model.insitu_scale, "", "jets of data")


def _write(graph: Graph, log_pt: Value, sigma: Value, end: str, what: str) -> None:
    pt = log_pt.apply("Exp")
    columns = {"pt": (pt, "calibrated"), "std": (pt * sigma, "standard deviations of")}
    for name, (column, kind) in columns.items():
        description = f"{kind} transverse momenta of {what}, in GeV"
        graph.output(
            f"{name}{end}", column.take(0), ["n_jets"], description=description
        )


def _read(
    graph: Graph, table: JetTable, names: list[str], state: dict[str, Any]
) -> Jets:
    features = read_features(graph, list(table.all_names))
    jets = relative = None
    if features is None or table.constituents is not None:
        jets = read_constituents(graph, names)
        relative = relative_to_axis(jets)
    if features is None:
        assert relative is not None
        pt = relative.pt
    else:
        assert table.pt_index is not None
        pt = features.take([table.pt_index])
    pt = pt.maximum(table.pt_floor)
    scaled = latent = None
    if features is not None and table.columns:
        raw = features.take(table.columns)
        energy = np.asarray(table.is_energy, dtype=np.float64)
        raw = raw / (pt * energy + (1.0 - energy))
        scaler = table.scaler
        scaled = ((raw - scaler.mean_) / scaler.scale_).clip(-MAX_PULL, MAX_PULL)
    if table.constituents is not None:
        assert jets is not None and relative is not None
        points = {
            "inputs": encode(table.constituents, jets, relative),
            "factors": jets.present,
        }
        latent = deep_sets(points, state, "deep_sets")
        latent = latent / state["config"]["latent_scale"]
    return Jets(pt.apply("Log"), scaled, latent)


class _Response:
    # A response of jets of which all but the momentum is known.

    def __init__(self, model: ResponseModel, jets: Jets) -> None:
        from ...nn._response import WIDTH_RANGE  # imports torch

        self.width_range = WIDTH_RANGE
        self.config = model.network["config"]
        self.scale = model.scale
        self.layers = mlp_layers(model.network["weights"], "head")
        self.log_reco = jets.log_pt
        weight, bias = self.layers[0]
        self.of_momentum = weight[:, :1].T
        self.of_jet: Any = bias
        known = [part for part in (jets.table, jets.latent) if part is not None]
        if known:
            jet = jets.log_pt.graph.concat(known, axis=1)
            self.of_jet = jet @ weight[:, 1:].T + bias

    # Forward differentiation: the derivative goes up the layers with the values.
    def at(self, log_pt: Value) -> At:
        scaled, slope = _scale(self.scale, log_pt)
        x: Value = scaled @ self.of_momentum + self.of_jet
        slope = slope @ self.of_momentum
        activation = self.config["activation"]
        for layer in self.layers[1:]:
            slope = (slope * slope_of(x, activation)) @ layer[0].T
            x = linear(activate(x, activation), layer)
        bounded = x.take([0]).apply("Tanh")
        half_range = self.config["half_range"]
        centre = bounded * half_range + self.config["centre"]
        slope = half_range * (1.0 - bounded * bounded) * slope.take([0])
        log_width = (x.take([1]) / self.width_range).apply("Tanh") * self.width_range
        return At(centre, slope, (log_width + self.config["log_width"]).apply("Exp"))

    def correct(self) -> tuple[Value, Value]:
        here = self.at(self.log_reco)
        return self.log_reco + here.centre, here.width

    # Newton steps inside of a bracket, as in `ResponseModel`.
    def invert(self) -> tuple[Value, Value]:
        graph, half_range = self.log_reco.graph, self.config["half_range"]
        single = self.config["activation"] == "gelu"
        tolerance = _SINGLE_TOLERANCE if single else TOLERANCE

        def step(s: Value, low: Value, high: Value) -> tuple[Value, list[Value]]:
            here = self.at(s)
            residual = s + here.centre - self.log_reco
            low = graph.where(residual < 0.0, s, low)
            high = graph.where(residual > 0.0, s, high)
            newton = s - residual / (1.0 + here.slope)
            inside = (newton > low) & (newton < high)
            better = graph.where(inside, newton, (low + high) / 2.0)
            left = residual.apply("Abs") > tolerance
            more = left.cast(np.float64).sum(0).reshape() > 0.0
            return more, [graph.where(left, better, s), low, high]

        middle = self.log_reco - self.config["centre"]
        bracket = [middle, middle - half_range, middle + half_range]
        s, _, _ = graph.repeat(MAX_STEPS, bracket, step)
        here = self.at(s)
        return s, here.width / (1.0 + here.slope).maximum(MIN_SLOPE)


# Momenta in the units of a network, and the derivative.
def _scale(scale: LogScale, log_pt: Value) -> tuple[Value, Value]:
    inside = log_pt.clip(scale.low, scale.high)
    moves = inside.equals(log_pt).cast(np.float64)
    if not scale.logarithmic:
        exponential = 3.4 * (inside - scale.high).apply("Exp")
        return exponential - 1.7, exponential * moves
    middle, half = (scale.high + scale.low) / 2, (scale.high - scale.low) / 2
    unit = 1.7 / (half if half > MIN_WIDTH else 1.0)
    return (inside - middle) * unit, moves * unit


def _close(log_pt: Value, closure: NumericalInversion) -> Value:
    curve = closure._inverse_curve()
    inside = log_pt.clip(curve.x[0], curve.x[-1])
    return log_pt + evaluate_cubic(inside, curve.x, curve.c) - inside


def _correction(correction: InsituCorrection, log_pt: Value, table: Value) -> Value:
    features = table.take(correction.columns)
    value = _balance(correction.data, log_pt, features)
    if correction.simulation is not None:
        value = value - _balance(correction.simulation, log_pt, features)
    limit = correction.max_correction
    value = value.clip(-limit / 2, limit / 2)
    if correction.offset is not None:
        value = value - interpolate(log_pt, *correction.offset)
        value = value.clip(-limit, limit)
    return value


def _balance(fit: BalanceFit, log_pt: Value, features: Value) -> Value:
    hinges = fit.hinges
    pull = (log_pt - hinges.middle) / hinges.spread
    pull = pull.clip(-MAX_MOMENTUM_PULL, MAX_MOMENTUM_PULL)
    coefficients = (fit.coefficients / hinges.scale)[:, None]
    value, start = pull * 0.0, 0
    for place, knots in enumerate(hinges.knots):
        size = len(knots) - 1
        if size == 0:
            continue
        inside = features.take([place]).clip(knots[0], knots[-1])
        bends = (inside - knots[:-1]).maximum(0.0)
        value = value + bends @ coefficients[start : start + size]
        start += size
        value = value + bends @ coefficients[start : start + size] * pull
        start += size
    return value
