"""Boosted trees of scikit-learn, which compiled code follows without a look."""

from __future__ import annotations

from itertools import chain
from typing import Any

import numpy as np
from sklearn._loss.loss import HalfBinomialLoss
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.ensemble._hist_gradient_boosting.common import PREDICTOR_RECORD_DTYPE
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor

__all__ = [
    "HalfBinomialLoss",
    "TreePredictor",
    "build_tree",
    "check_boosting",
    "tree_parts",
]


def tree_parts(tree: TreePredictor) -> dict[str, Any]:
    """Take a tree to plain arrays.

    Parameters
    ----------
    tree : TreePredictor
        The tree.

    Returns
    -------
    dict of str to array of shape (n_nodes,)
        The fields of its nodes.

    Raises
    ------
    TypeError
        If a node splits by category.
    """
    if tree.nodes["is_categorical"].any():
        raise TypeError("a tree with categorical splits")
    return {name: tree.nodes[name].copy() for name in tree.nodes.dtype.names}


def build_tree(parts: dict[str, Any]) -> TreePredictor:
    """Build a tree of `tree_parts`.

    Parameters
    ----------
    parts : dict of str to array of shape (n_nodes,)
        The fields of its nodes.

    Returns
    -------
    TreePredictor
        The tree.

    Raises
    ------
    ValueError
        If a node splits by category, or has no children in the tree.
    """
    nodes = np.zeros(len(parts["value"]), dtype=PREDICTOR_RECORD_DTYPE)
    for name in PREDICTOR_RECORD_DTYPE.names:
        nodes[name] = parts[name]
    inner = np.flatnonzero(nodes["is_leaf"] == 0)
    # Children come later, so that there is a leaf at the end of every path.
    for children in (nodes["left"][inner], nodes["right"][inner]):
        if (children <= inner).any() or (children >= len(nodes)).any():
            raise ValueError("a tree has a node without children")
    if len(nodes) == 0 or nodes["is_categorical"].any():
        raise ValueError("a tree has no nodes, or splits by category")
    none = np.zeros((0, 8), dtype=np.uint32)
    return TreePredictor(nodes, none, none.copy())


def check_boosting(classifier: HistGradientBoostingClassifier) -> None:
    """Check that all trees of a classifier read columns that there are.

    Parameters
    ----------
    classifier : HistGradientBoostingClassifier
        The classifier; it need not be fitted.

    Raises
    ------
    ValueError
        If one of them does not, or if columns are categories.
    """
    trees = list(chain.from_iterable(getattr(classifier, "_predictors", [])))
    if not trees:
        return
    if np.any(classifier._bin_mapper.is_categorical_):
        raise ValueError("a classifier has columns of categories")
    n_columns = classifier.n_features_in_
    for tree in trees:
        nodes = tree.nodes[tree.nodes["is_leaf"] == 0]["feature_idx"]
        if (nodes < 0).any() or (nodes >= n_columns).any():
            raise ValueError("a tree reads a column that there is not")
