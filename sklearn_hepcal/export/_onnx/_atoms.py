"""Repeated values that are spread over gaps, as expressions."""

from __future__ import annotations

import math

import numpy as np

from ...calibration._atoms import FACTORS, GOLDEN, SHIFTS, AtomSplitter
from ._graph import Value

# Numbers of double precision.
_MANTISSA = 2**52
_EXPONENT_BIAS = 1023


def split_atoms(splitter: AtomSplitter, x: Value, n_columns: int) -> Value:
    """Spread the atoms of rows, as `AtomSplitter.split` does.

    Parameters
    ----------
    splitter : AtomSplitter
        The atoms.
    x : Value of shape (n, d)
        Rows that are exact in single precision, in double precision.
    n_columns : int
        Number of their columns d.

    Returns
    -------
    Value of shape (n, d)
        The spread rows.
    """
    seed = _hash_rows(x, n_columns)
    columns = {}
    for column, values, widths, _ in splitter.parts():
        known = x.take([column])
        below = (values[None] < known).cast(np.float64) @ widths[:, None]
        gap = known.equals(values[None]).cast(np.float64) @ widths[:, None]
        columns[column] = known + below + gap * _uniform(seed, column)
    return _replaced(x, columns, n_columns)


def merge_atoms(splitter: AtomSplitter, y: Value, n_columns: int) -> Value:
    """Put atoms together again, as `AtomSplitter.merge` does."""
    graph = y.graph
    columns = {}
    for column, values, widths, limits in splitter.parts():
        moved = y.take([column]).clip(*limits)
        first = values + np.cumsum(widths) - widths
        passed = moved >= first[None]
        inside = (passed & (moved <= (first + widths)[None])).cast(np.float64)
        outside = moved - passed.cast(np.float64) @ widths[:, None]
        at = inside @ values[:, None]
        anywhere = inside.sum(1, keepdims=True) > 0.5
        columns[column] = graph.where(anywhere, at, outside)
    return _replaced(y, columns, n_columns)


def _replaced(x: Value, columns: dict[int, Value], n_columns: int) -> Value:
    parts = [columns.get(k, x.take([k])) for k in range(n_columns)]
    return x.graph.concat(parts, axis=1)


# A number for every row that depends on all its values, (n, 1). Numbers without sign
# are held as int64, for which all runtimes have sums and products; both wrap around.
def _hash_rows(x: Value, n_columns: int) -> Value:
    bits = _bits(x)
    state = _mix(bits.take([0]))
    for column in range(1, n_columns):
        state = _mix(_exclusive_or(state, bits.take([column])))
    return state


def _uniform(seed: Value, column: int) -> Value:
    salt = _mix(seed.graph.constant(np.array(column, dtype=np.int64)))
    return _shifted(_mix(_exclusive_or(seed, salt)), 11).cast(np.float64) * 2.0**-53


def _mix(state: Value) -> Value:
    state = state + GOLDEN.view(np.int64)
    for shift, factor in zip(SHIFTS[:2], FACTORS, strict=True):
        state = _exclusive_or(state, _shifted(state, shift)) * factor.view(np.int64)
    return _exclusive_or(state, _shifted(state, SHIFTS[2]))


def _exclusive_or(one: Value, other: Value) -> Value:
    return one.apply("BitwiseXor", other)


def _shifted(state: Value, n_bits: int | np.uint64) -> Value:
    places = state.graph.constant(np.array(n_bits, dtype=np.uint64))
    unsigned = state.cast(np.uint64)
    return unsigned.apply("BitShift", places, direction="RIGHT").cast(np.int64)


# The bits of numbers of double precision, which have no other way to be read. Scaling
# by powers of two is exact.
def _bits(x: Value) -> Value:
    graph = x.graph
    size = x.apply("Abs")
    zero = size.equals(0.0)
    size = graph.where(zero, size + 1.0, size)
    exponent = (size.apply("Log") / math.log(2.0)).apply("Floor")
    # Next to a power of two, the logarithm may be rounded to the other side.
    part = size * _power_of_two(-exponent)
    exponent = exponent + (part >= 2.0).cast(np.float64) - (part < 1.0).cast(np.float64)
    part = size * _power_of_two(-exponent)
    mantissa = ((part - 1.0) * float(_MANTISSA)).cast(np.int64)
    biased = exponent.cast(np.int64) + _EXPONENT_BIAS
    bits = mantissa + biased * _MANTISSA
    bits = bits + (x < 0.0).cast(np.int64) * np.iinfo(np.int64).min
    return bits * (~zero).cast(np.int64)


def _power_of_two(exponent: Value) -> Value:
    return exponent._like(2.0).apply("Pow", exponent)
