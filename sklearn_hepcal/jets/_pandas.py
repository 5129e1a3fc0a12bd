"""Jets as two pandas data frames: one row a jet, one row a constituent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from ._parts import named_columns
from ._ragged import counts_to_offsets, position_in_jet

if TYPE_CHECKING:
    import pandas as pd

    from ._jets import Jets


# Return the arguments of Jets held by one or two data frames.
def read_pandas(
    features: pd.DataFrame | None,
    constituents: pd.DataFrame | None,
    entry: str,
    labels: Iterable[str],
    constituent_labels: Iterable[str],
) -> dict[str, Any]:
    if features is None and constituents is None:
        raise ValueError("Give features, constituents or both as data frames.")
    labels, constituent_labels = list(labels), list(constituent_labels)
    if (labels and features is None) or (constituent_labels and constituents is None):
        raise ValueError(
            "labels are columns of features and constituent_labels are columns of "
            "constituents; give the data frame that holds them."
        )
    parts: dict[str, Any] = {}
    if features is not None:
        parts["features"], parts["labels"] = _split(features, labels, "features")
    if constituents is not None:
        rows, n_jets, inputs = _assign_rows(features, constituents, entry)
        order = np.argsort(rows, kind="stable")
        parts["constituents"], parts["constituent_labels"] = _split(
            inputs.iloc[order], constituent_labels, "constituents"
        )
        parts["offsets"] = counts_to_offsets(np.bincount(rows, minlength=n_jets))
    return parts


def _split(
    frame: pd.DataFrame, labels: list[str], argument: str
) -> tuple[pd.DataFrame, dict[str, Any]]:
    missing = [name for name in labels if name not in frame.columns]
    if missing:
        raise ValueError(
            f"The labels {missing} are not columns of {argument}, "
            f"which has {list(frame.columns)}."
        )
    return frame.drop(columns=labels), {name: frame[name] for name in labels}


# Return the jet of each constituent, the number of jets and the other columns.
def _assign_rows(
    features: pd.DataFrame | None, constituents: pd.DataFrame, entry: str
) -> tuple[np.ndarray, int, pd.DataFrame]:
    import pandas as pd

    if constituents.index.nlevels > 1:
        keys = constituents.index.get_level_values(0)
    elif entry in constituents.columns:
        keys = pd.Index(constituents[entry])
        constituents = constituents.drop(columns=entry)
    else:
        raise ValueError(
            "constituents must have a MultiIndex whose first level is the jet, or a "
            f"column {entry!r} (choose it by `entry`), got the columns "
            f"{list(constituents.columns)}."
        )
    if keys.isna().any():
        raise ValueError(
            f"{keys.isna().sum()} constituents have no jet: their {entry!r} is NaN."
        )
    if features is None:
        rows, jets = pd.factorize(keys)
        return rows, len(jets), constituents
    if not features.index.is_unique:
        raise ValueError("The index of features must name each jet once.")
    rows = features.index.get_indexer(keys)
    strays = keys[rows < 0].unique()
    if len(strays):
        raise ValueError(
            f"constituents belong to {len(strays)} jets that are not in the index of "
            f"features, the first being {strays[0]}."
        )
    return rows, len(features), constituents


# Return the data frames of jets and of constituents.
def write_pandas(jets: Jets) -> tuple[pd.DataFrame, pd.DataFrame]:
    import pandas as pd

    wide = [
        name
        for name, values in {**jets.labels, **jets.constituent_labels}.items()
        if values.ndim > 1
    ]
    if wide:
        raise ValueError(
            f"The labels {wide} have more than one dimension and do not fit a column."
        )
    features = pd.DataFrame(
        named_columns(jets.features, jets.feature_names, jets.labels),
        index=pd.RangeIndex(len(jets), name="entry"),
    )
    constituents = pd.DataFrame(
        named_columns(
            jets.constituents, jets.constituent_names, jets.constituent_labels
        ),
        index=pd.MultiIndex.from_arrays(
            [jets.jet_index, position_in_jet(jets.offsets)],
            names=["entry", "subentry"],
        ),
    )
    return features, constituents
