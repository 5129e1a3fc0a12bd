"""Statistical power of weighted samples."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ._validation import check_scores


def effective_sample_size(sample_weight: ArrayLike) -> float:
    """Count the unweighted rows that are worth as much as a weighted sample.

    Kish's ``(sum w)^2 / sum w^2``: the mean of a quantity that does not depend on the
    weights has the variance of that many unweighted rows.

    Parameters
    ----------
    sample_weight : array-like of shape (n_samples,)
        Weights; they may be signed.

    Returns
    -------
    float
        Between 0 and `n_samples`.

    Raises
    ------
    ValueError
        If the weights are not finite or all zero.

    References
    ----------
    .. [1] L. Kish, "Survey Sampling", Wiley, 1965.

    Examples
    --------
    >>> from sklearn_hepcal.metrics import effective_sample_size
    >>> effective_sample_size([2.0, 2.0, 2.0])
    3.0
    >>> effective_sample_size([1.0, 0.0, 0.0])
    1.0
    """
    weights = check_scores(sample_weight, "sample_weight")
    if not weights.any():
        raise ValueError("sample_weight must have an entry that is not zero.")
    weights = weights / np.abs(weights).max()
    return float(weights.sum() ** 2 / np.sum(weights**2))
