"""Flavour-tagger scores of simulated and of mis-modelled jets."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import resources
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.utils import Bunch

from ._packing import read_bundled

_FEATURE_NAMES = ["p_u", "p_c", "p_b", "pt", "eta"]
_SIDES = ("sim", "data")
_FLAVOURS = ("light", "c", "b")


# The jets of one side; log_p has shape (n, 3) and pt is in GeV.
class _Jets(NamedTuple):
    log_p: NDArray
    pt: NDArray
    eta: NDArray
    flavour: NDArray

    def features(self) -> NDArray[np.float64]:
        proba = softmax(self.log_p.astype(np.float64), axis=1)
        return np.column_stack([proba, self.pt, self.eta])


def _read_bundled(side: str) -> _Jets:
    c = read_bundled("flavour_scores.npz", prefix=f"{side}_")
    log_p = np.column_stack([c["log_u"], np.zeros_like(c["log_u"]), c["log_b"]])
    return _Jets(log_p, np.exp(c["log_pt"]), c["eta"], c["flavour"])


def _read_full(arrays: Mapping[str, NDArray], side: str) -> _Jets:
    missing = {f"{side}_{name}" for name in _Jets._fields} - set(arrays)
    if missing:
        raise ValueError(f"path must hold the arrays {sorted(missing)}.")
    return _Jets(*(arrays[f"{side}_{name}"] for name in _Jets._fields))


def _read(path: str | os.PathLike[str] | None) -> list[_Jets]:
    if path is not None:
        with np.load(path) as arrays:
            return [_read_full(arrays, side) for side in _SIDES]
    return [_read_bundled(side) for side in _SIDES]


def load_flavour_scores(
    *,
    return_X_y: bool = False,
    as_frame: bool = False,
    flavour: str | None = None,
    path: str | os.PathLike[str] | None = None,
) -> Bunch | tuple:
    """Load flavour-tagger scores of simulated jets and of mis-modelled "data".

    Jets of Pythia 8 top-pair events, scored by a deep-set tagger. The "data" are a
    second simulation with worse impact parameters, fewer tracks, longer b lifetimes,
    harder b fragmentation and another tune: the mis-tag rates of light jets differ by
    up to a factor of two, the efficiency of b jets by less than one per cent. The task
    is to make the simulation look like the data, flavour by flavour, as a function of
    pT.

    =================   ==========================================
    Samples total       205,000 (104,000 simulation, 101,000 data)
    Features            5: three probabilities, pT, eta
    Flavours            light 56 %, c 12 %, b 33 %
    =================   ==========================================

    Parameters
    ----------
    return_X_y : bool, default=False
        Return ``(data, target)`` instead of a Bunch.
    as_frame : bool, default=False
        Return `data` as a pandas DataFrame, `target` and `flavour` as Series.
    flavour : {"light", "c", "b"} or None, default=None
        Keep the jets of one true flavour only.
    path : str or path-like, default=None
        An npz file to read instead of the bundled one, with the arrays
        ``{sim,data}_log_p`` of shape (n, 3), the logarithms of the probabilities
        (light, c, b), ``{sim,data}_pt`` in GeV, ``{sim,data}_eta`` and
        ``{sim,data}_flavour`` (0 light, 1 c, 2 b).

    Returns
    -------
    Bunch or tuple
        The tuple ``(data, target)`` if `return_X_y`, else a Bunch with

        - data : ndarray or DataFrame of shape (n_jets, 5), columns p_u, p_c, p_b (all
          positive, sum one), pt [GeV], eta; simulation first;
        - target : ndarray or Series of shape (n_jets,): 0 simulation, 1 data;
        - flavour : ndarray or Series of shape (n_jets,): 0 light, 1 c, 2 b;
        - feature_names, target_names, flavour_names : lists of str;
        - frame : DataFrame with the features, target and flavour, or None unless
          `as_frame`;
        - DESCR : str, the full description of the bundled sample.

    Raises
    ------
    ValueError
        If `flavour` is unknown or the file at `path` lacks an array.

    Notes
    -----
    The jets are made by `generate_flavour_jets`, and the tagger is a
    `sklearn_hepcal.classification.FlavourTaggerClassifier`. The bundled file holds
    log(p_u/p_c) and log(p_b/p_c) in steps of 1/2048, log(pT) in steps of 0.001 and eta
    in steps of 1/128.

    Examples
    --------
    >>> from sklearn_hepcal.datasets import load_flavour_scores
    >>> X, y = load_flavour_scores(return_X_y=True, flavour="light")
    >>> X.shape, int(y.sum())
    ((114403, 5), 56188)
    """
    if flavour is not None and flavour not in _FLAVOURS:
        raise ValueError(
            f"flavour must be one of {_FLAVOURS} or None, got {flavour!r}."
        )
    sides = _read(path)
    data = np.concatenate([jets.features() for jets in sides])
    labels = np.concatenate([jets.flavour for jets in sides]).astype(np.int64)
    target = np.repeat([0, 1], [len(jets.pt) for jets in sides])
    if flavour is not None:
        rows = labels == _FLAVOURS.index(flavour)
        data, labels, target = data[rows], labels[rows], target[rows]

    frame = None
    if as_frame:
        frame = pd.DataFrame(data, columns=_FEATURE_NAMES)
        frame = frame.assign(target=target, flavour=labels)
        data = frame[_FEATURE_NAMES]
        target, labels = frame["target"], frame["flavour"]
    if return_X_y:
        return data, target
    descr = resources.files(__package__).joinpath("data", "flavour_scores.rst")
    return Bunch(
        data=data,
        target=target,
        flavour=labels,
        frame=frame,
        feature_names=list(_FEATURE_NAMES),
        target_names=["simulation", "data"],
        flavour_names=list(_FLAVOURS),
        DESCR=descr.read_text(encoding="utf-8"),
    )
