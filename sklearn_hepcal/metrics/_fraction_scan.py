"""Rejections of two backgrounds against their fractions in the discriminant."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._flavours import flavour, has_flavour, label_list
from ._rejection import background_rejection
from ._tagging import Estimate, discriminant
from ._validation import Array, check_matrix, check_scores, check_weights


class FractionScan(NamedTuple):
    """Rejections of two backgrounds for several mixes of them.

    Attributes
    ----------
    fractions : ndarray of shape (n_fractions,)
        Fraction of the first background.
    rejections : tuple of two Estimate
        Rejections of the first and of the second background, each with values and
        errors of shape (n_fractions,).
    """

    fractions: Array
    rejections: tuple[Estimate[Array], Estimate[Array]]


def fraction_scan(
    y_true: ArrayLike,
    proba: ArrayLike,
    *,
    signal: Hashable = "b",
    backgrounds: tuple[Hashable, Hashable] = ("c", "u"),
    efficiency: float = 0.7,
    fractions: ArrayLike | None = None,
    fixed: Mapping[Any, float] | None = None,
    order: Sequence[Any] | NDArray[Any] = ("u", "c", "b"),
    sample_weight: ArrayLike | None = None,
) -> FractionScan:
    """Scan the mix of two backgrounds in the discriminant of a tagger.

    A larger fraction of a background rejects more of it and less of the other one. The
    scan shows the choices that a tagger offers at one signal efficiency.

    Parameters
    ----------
    y_true : array-like of shape (n_jets,)
        Labels of the jets. Jets of other classes than the signal and the two
        backgrounds do not count.
    proba : array-like of shape (n_jets, n_classes)
        Class probabilities.
    signal : hashable, default="b"
        Label of the signal; spellings of a flavour are those of :func:`discriminant`.
    backgrounds : tuple of two labels, default=("c", "u")
        The backgrounds. The fraction of the first one is scanned, the second one has
        the rest.
    efficiency : float, default=0.7
        Signal efficiency, above 0 and up to 1.
    fractions : array-like of shape (n_fractions,) or None, default=None
        Fractions of the first background. None takes 25 in equal steps of the logarithm
        from 0.001 to 0.1 and 25 in equal steps from there to 1, times what the fixed
        ones leave.
    fixed : mapping of label to float, or None, default=None
        Fractions of further classes, which are zero if they are not named.
    order : sequence of labels, default=("u", "c", "b")
        Labels of the columns of `proba`.
    sample_weight : array-like of shape (n_jets,) or None, default=None
        Weights of the jets as in :func:`background_rejection`.

    Returns
    -------
    FractionScan
        The fractions and both rejections with their errors. The errors of different
        fractions are strongly correlated, as the jets are the same.

    Raises
    ------
    ValueError
        If a label has no column or no jets, if fractions are negative or above what the
        fixed ones leave, or if probabilities, weights or the efficiency are unusable.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_hepcal.metrics import fraction_scan
    >>> rng = np.random.default_rng(0)
    >>> flavour = rng.integers(3, size=5000)
    >>> proba = rng.dirichlet([1.0, 1.0, 1.0], 5000) + 0.3 * np.eye(3)[flavour]
    >>> y = np.array(["u", "c", "b"])[flavour]
    >>> scan = fraction_scan(y, proba, fractions=[0.02, 0.2, 0.8])
    >>> c, light = scan.rejections
    >>> c.value.round(1), light.value.round(1)
    (array([2.2, 2.7, 4.6]), array([4.5, 4.3, 2.8]))
    """
    p = check_matrix(proba, "proba")
    labels = label_list(order)
    rest = _fixed_fractions(labels, signal, backgrounds, fixed)
    available = 1 - sum(rest.values())
    scanned = _check_fractions(fractions, available)
    weights = check_weights(sample_weight, len(p), "sample_weight", signed=True)
    samples = _samples(y_true, len(p), signal, backgrounds)
    first, second = backgrounds
    results = []
    for part in scanned:
        mix = rest | {flavour(first): part, flavour(second): available - part}
        scores = discriminant(p, signal=signal, fractions=mix, order=labels)
        results.append(
            [
                background_rejection(
                    is_signal, scores[rows], [efficiency], weights[rows]
                )
                for rows, is_signal in samples
            ]
        )
    # axes: fraction, background, value and error, the one efficiency
    table = np.array(results)[..., 0]
    rejections = tuple(Estimate(*table[:, k].T) for k in range(2))
    return FractionScan(scanned, (rejections[0], rejections[1]))


# Fractions of the classes that are neither signal nor scanned.
def _fixed_fractions(
    labels: list[Any],
    signal: Hashable,
    backgrounds: tuple[Hashable, Hashable],
    fixed: Mapping[Any, float] | None,
) -> dict[Hashable, float]:
    names = [flavour(label) for label in labels]
    chosen = [flavour(label) for label in (signal, *backgrounds)]
    if len(chosen) != 3 or len(set(chosen)) < 3 or not set(chosen) <= set(names):
        raise ValueError(
            f"signal and the two backgrounds must be different ones of {labels}, got "
            f"{signal!r} and {list(backgrounds)}."
        )
    given = {flavour(label): part for label, part in (fixed or {}).items()}
    others = [name for name in names if name not in chosen]
    if not set(given) <= set(others):
        raise ValueError(f"fixed may name the classes {others}, got {list(given)}.")
    return {name: given.get(name, 0.0) for name in others}


def _check_fractions(fractions: ArrayLike | None, available: float) -> Array:
    if fractions is None:
        unit = np.append(np.geomspace(0.001, 0.1, 25), np.linspace(0.1, 1.0, 26)[1:])
        return unit * available
    scanned = check_scores(np.atleast_1d(fractions), "fractions")
    # 1 - 0.9 is a little less than 0.1.
    if (scanned < 0).any() or (scanned > available * (1 + 1e-12)).any():
        raise ValueError(
            f"fractions must be between 0 and {available:g}, got {scanned}."
        )
    return np.minimum(scanned, available)


# For each background, its rows and those of the signal, and which are the signal's.
def _samples(
    y_true: ArrayLike,
    n_jets: int,
    signal: Hashable,
    backgrounds: tuple[Hashable, Hashable],
) -> list[tuple[NDArray[np.intp], NDArray[np.bool_]]]:
    members = {
        label: has_flavour(y_true, label, "y_true") for label in (signal, *backgrounds)
    }
    for label, mask in members.items():
        if len(mask) != n_jets:
            raise ValueError(f"y_true has {len(mask)} entries for {n_jets} rows.")
        if not mask.any():
            raise ValueError(f"y_true has no jets of the class {label!r}.")
    samples = []
    for label in backgrounds:
        rows = np.flatnonzero(members[signal] | members[label])
        samples.append((rows, members[signal][rows]))
    return samples
