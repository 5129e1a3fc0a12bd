"""The columns of numbers that stand for a member of a family of shapes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import accumulate, pairwise

import numpy as np

from ._shape import Array, Shape


class Columns:
    """Names and kinds of the columns, and the way to and from fitted parameters.

    Each shape has its parameters and then the weights of its parts; the weight of the
    beam comes last. Weights are left out if there is only one part.
    """

    def __init__(self, components: tuple[Shape, ...], *, beam: bool) -> None:
        self._components = components
        self._beam = beam
        self._parameters = _consecutive([len(c.parameters) for c in components])
        self._parts = _consecutive([len(c.parts) for c in components])
        n_parts = sum(len(c.parts) for c in components) + beam
        self.has_weights = n_parts > 1
        columns = list(self._columns())
        self.names = [name for name, _ in columns]
        kinds = np.array([kind for _, kind in columns])
        self.is_y, self.is_phi, self.is_weight = (
            kinds == kind for kind in ("y", "phi", "weight")
        )

    @property
    def part_names(self) -> list[str]:
        """Names of the parts in the order of their weights."""
        names = [name for prefix, c in self._named() for name in _parts(prefix, c)]
        return names + ["beam"] * self._beam

    def sort(self, theta: Array, shares: Array) -> tuple[Array, Array]:
        """Put the heavier of equal shapes first."""
        order = self._order(shares)
        return (
            np.concatenate([theta[self._parameters[k]] for k in order]),
            np.concatenate(
                [*(shares[self._parts[k]] for k in order), shares[-1:][: self._beam]]
            ),
        )

    def row(self, theta: Array, shares: Array) -> Array:
        """Give the values of the columns."""
        values = []
        for shape, mine, parts in self._slices():
            values.append(shape.describe(theta[mine]))
            if self.has_weights:
                values.append(shares[parts])
        return np.concatenate([*values, shares[-1:][: self._beam]])

    def member(self, row: Array) -> tuple[Array, Array]:
        """Undo `row`."""
        shares = row[self.is_weight] if self.has_weights else np.ones(1)
        parameters = row[~self.is_weight]
        theta = [shape.recall(parameters[mine]) for shape, mine, _ in self._slices()]
        return np.concatenate(theta), shares

    def _slices(self) -> Iterator[tuple[Shape, slice, slice]]:
        return zip(self._components, self._parameters, self._parts, strict=True)

    def _order(self, shares: Array) -> list[int]:
        order = list(range(len(self._components)))
        for shape in set(self._components):
            places = [k for k, c in enumerate(self._components) if c == shape]
            ranked = sorted(places, key=lambda k: -shares[self._parts[k]].sum())
            for place, k in zip(places, ranked, strict=True):
                order[place] = k
        return order

    # Shapes of one name are numbered from zero.
    def _named(self) -> Iterator[tuple[str, Shape]]:
        seen: Counter[str] = Counter()
        for shape in self._components:
            yield f"{shape.name}{seen[shape.name]}", shape
            seen[shape.name] += 1

    def _columns(self) -> Iterator[tuple[str, str]]:
        for prefix, shape in self._named():
            for k, parameter in enumerate(shape.parameters):
                kind = parameter if shape.is_movable and k < 2 else "parameter"
                yield f"{prefix}_{parameter}", kind
            if self.has_weights:
                yield from (
                    (f"{name}_weight", "weight") for name in _parts(prefix, shape)
                )
        if self._beam:
            yield "beam_weight", "weight"


def _consecutive(lengths: list[int]) -> list[slice]:
    ends = accumulate(lengths, initial=0)
    return [slice(start, stop) for start, stop in pairwise(ends)]


# The first part has the name of the shape.
def _parts(prefix: str, shape: Shape) -> list[str]:
    return [prefix, *(f"{prefix}_{part.name}" for part in shape.parts[1:])]
