"""Dijet events with a simulated calorimeter: jets to calibrate in energy."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import Bunch

from ..jets import Jets
from ._calorimeter import Calorimeter
from ._packing import read_arrays, read_bundled, unpack_ranks, wrap_angle

_SIDES = ("sim", "data")
_FILES = {"sim": "dijets_mc.npz", "data": "dijets_data.npz"}
KINEMATICS = ("pt", "eta", "phi", "mass")
CALORIMETER = (
    *("f_em12", "f_em3", "f_tile0", "f_tile1", "f_tile2"),
    *("f_charged", "n_track", "w_track", "lead_track_frac"),
    *("n90", "n_segments", "w_calo", "n_tower"),
)
CONSTITUENTS = ("pt", "eta", "phi", "em_fraction")
MAX_TOWERS = 30
# of the angles between towers and jet axis, and of em_fraction, in full files
_STEPS_PER_RADIAN = 254
_STEPS_OF_FRACTION = 255
_ARRAYS = (
    *("event", "weight", "mu", "npv", "jet3", "kin", "truth", "parton", "strict"),
    *("gsc", "gsc_names", "c_pt", "c_deta", "c_dphi", "c_fem"),
)


# Return the events of one side, with towers of shape (n_events, 2, 30, 4).
def _read_bundled(side: str) -> dict[str, NDArray]:
    c = read_bundled("dijets.npz", prefix=f"{side}_")
    kin = [np.exp(c["log_pt"]), c["eta"], wrap_angle(c["phi"]), np.expm1(c["log_mass"])]
    truth = [np.exp(c["log_truth_pt"]), np.expm1(c["log_truth_mass"])]
    gsc = [c[name] for name in CALORIMETER]
    jets = {
        "kin": np.column_stack(kin),
        "truth": np.column_stack(truth),
        "gsc": np.column_stack(gsc),
        "parton": c["parton"],
        "towers": _unpack_towers(c),
    }
    return {
        "event": np.arange(len(c["mu"])),
        "weight": np.exp(c["log_weight"]),
        "mu": c["mu"],
        "npv": c["npv"],
        "jet3": np.expm1(c["log_jet3_pt"])[:, None],
        "gsc_names": np.array(CALORIMETER),
        **{name: a.reshape(-1, 2, *a.shape[1:]) for name, a in jets.items()},
    }


# The places of towers are bundled as those of the cells of the calorimeter: that of the
# leading tower, and the others relative to it.
def _unpack_towers(c: dict[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    counts = np.minimum(c["n_tower"], MAX_TOWERS)
    filled = np.arange(MAX_TOWERS) < counts[:, None]
    drop = np.cumsum(unpack_ranks(c["tower_log_drop"], filled), axis=1)
    pt = np.where(filled, np.exp(c["log_pt"][:, None] - drop), 0)
    cells = [unpack_ranks(c[name], filled) for name in ("tower_eta", "tower_phi")]
    for cell in cells:
        cell[:, 1:] += cell[:, :1]
    eta, phi = Calorimeter().centres(*cells)
    em_fraction = unpack_ranks(c["tower_em_fraction"], filled)
    return np.stack([pt, eta, wrap_angle(phi), em_fraction], axis=-1)


# Return the events of the analysis selection.
def _read_full(folder: Path, side: str) -> dict[str, NDArray]:
    events = read_arrays(folder / _FILES[side], _ARRAYS)
    strict, names = events.pop("strict"), events.pop("gsc_names")
    numbers = {name: a[strict].astype(np.float64) for name, a in events.items()}
    axis = numbers["kin"][:, :, None]
    towers = [
        numbers["c_pt"],
        axis[..., 1] + numbers["c_deta"] / _STEPS_PER_RADIAN,
        wrap_angle(axis[..., 2] + numbers["c_dphi"] / _STEPS_PER_RADIAN),
        numbers["c_fem"] / _STEPS_OF_FRACTION,
    ]
    return {"gsc_names": names, "towers": np.stack(towers, axis=-1), **numbers}


# One row a jet, the two jets of an event next to each other.
def _to_jets(events: Mapping[str, NDArray], domain: int) -> Jets:
    kin = events["kin"]
    of_jets = {
        "truth_pt": events["truth"][..., 0],
        "truth_mass": events["truth"][..., 1],
        "parton": events["parton"].astype(np.int64),
    }
    event = events["event"].astype(np.int64)
    of_events = {
        "weight": events["weight"],
        "event_id": 2 * event + domain,
        "domain": np.full(len(event), domain),
        "dphi12": np.abs(wrap_angle(kin[:, 0, 2] - kin[:, 1, 2])),
        "jet3_pt": events["jet3"][:, 0],
    }
    pile_up = np.stack([events["mu"], events["npv"]], axis=1)
    features = [kin, events["gsc"], np.repeat(pile_up[:, None], 2, axis=1)]
    return Jets.from_padded(
        events["towers"].reshape(2 * len(kin), -1, len(CONSTITUENTS)),
        features=np.concatenate(features, axis=-1).reshape(2 * len(kin), -1),
        feature_names=[*KINEMATICS, *events["gsc_names"].tolist(), "mu", "npv"],
        constituent_names=CONSTITUENTS,
        labels={
            **{name: a.reshape(-1) for name, a in of_jets.items()},
            **{name: np.repeat(a, 2) for name, a in of_events.items()},
        },
    )


def load_dijets(
    *,
    side: str = "sim",
    path: str | os.PathLike[str] | None = None,
    return_X_y: bool = False,
) -> Bunch | tuple[Jets, NDArray[np.float64]]:
    """Load jets of simulated dijet events, measured by a calorimeter.

    Jets of Pythia 8 dijet events at 13 TeV in a parametrised calorimeter of five
    layers. The jets are measured at the electromagnetic scale, 20 to 30 per cent below
    their true pT, with a resolution of 7 to 11 per cent. The "data" are a second
    simulation with another tune and a worse detector, whose response is lower by about
    6 per cent and fluctuates more. Tasks: calibrate single jets in simulation, and,
    from the balance of the two jets of an event, in data.

    =================   ==============================================
    Events              8,100 (5,400 simulation, 2,700 data), two jets
    Features            19 of the jet and its event
    Constituents        up to 30 calorimeter towers a jet
    True pT             26 to 3,558 GeV, 98 % of jets in 83 to 2,158
    =================   ==============================================

    Parameters
    ----------
    side : {"sim", "data", "both"}, default="sim"
        Load the simulation, the data, or the simulation followed by the data.
    path : str or path-like, default=None
        A folder to read the files ``dijets_mc.npz`` (simulation) and
        ``dijets_data.npz`` from, instead of the bundled events.
    return_X_y : bool, default=False
        Return ``(data, target)`` instead of a Bunch.

    Returns
    -------
    Bunch or tuple
        The tuple ``(data, target)`` if `return_X_y`, else a Bunch with

        - data : Jets of length 2 * n_events, two neighbouring rows an event, the jet of
          higher measured pT first, so that ``data[::2]`` are the leading jets;
        - target : ndarray of shape (n_jets,), the true pT in GeV of simulated jets and
          NaN, for unlabelled, in data;
        - sample_weight : ndarray of shape (n_jets,), the physical weight of the event,
          for spectra only. Without it the pT spectrum is almost flat in the logarithm,
          which suits a fit better: the weights span eight orders of magnitude;
        - event_id : ndarray of shape (n_jets,), groups for splitting by event and for
          pairing jets; even in simulation, odd in data;
        - domain : ndarray of shape (n_jets,), 0 simulation, 1 data;
        - feature_names, constituent_names, domain_names : lists of str;
        - DESCR : str, the full description of the bundled events.

        The features are

        - pt, eta, phi, mass : of the jet, in GeV and radians, at the electromagnetic
          scale after subtraction of pile-up;
        - f_em12, f_em3, f_tile0, f_tile1, f_tile2 : shares of the energy in the five
          layers of the calorimeter, sum one up to rounding;
        - f_charged : summed pT of the tracks over pt;
        - n_track, w_track, lead_track_frac : number, pT-weighted radius and leading
          share of the tracks;
        - n90 : least number of towers with 90 per cent of the energy;
        - n_segments : number of muon segments behind the jet;
        - w_calo, n_tower : pT-weighted radius and number of towers;
        - mu, npv : mean number of collisions a bunch crossing, and number of
          reconstructed vertices in the event.

        The constituents are the 30 leading towers in falling pT, with pt, eta, phi (in
        GeV and radians) and em_fraction. The labels, never an input, are

        - truth_pt, truth_mass : of the particles of the jet without muons and
          neutrinos, in GeV, of data too (for evaluation only);
        - parton : PDG id of the matched parton, 21 for a gluon and 0 for none;
        - weight, event_id, domain : as above;
        - dphi12 : angle between the two jets in the transverse plane, in radians;
        - jet3_pt : measured pT of the third jet in GeV, 0 without one.

    Raises
    ------
    FileNotFoundError
        If a file is not in the folder `path`.
    ValueError
        If `side` is unknown or a file in `path` lacks an array.

    See Also
    --------
    generate_dijets : More such events.

    Notes
    -----
    Events pass the selection dphi12 > 2.7, mean pT of the two jets above 55 GeV, and
    third-jet pT below the higher of 25 GeV and a quarter of this mean. The two jets are
    within abs(eta) < 1.5.

    The bundled events are those of ``generate_dijets(5400, random_state=0)`` and
    ``generate_dijets(2700, side="data", random_state=1)``, in integer steps: 0.001 in
    log(pT) of jets and true jets, in log(1 + mass / GeV), in eta and in phi; 0.005 in
    log(1 + pT / GeV) of the third jet; 0.01 in log(weight); 0.25 in mu; 1/128 in
    f_charged, 1/1024 in f_tile2, w_track and w_calo, 1/256 in the other fractions. Of
    towers: 0.01 in log(pT), 1/51 in em_fraction; their places are exact.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_hepcal.datasets import load_dijets
    >>> X, y = load_dijets(return_X_y=True)
    >>> len(X), X.feature_names[:4], X.constituent_names
    (10800, ('pt', 'eta', 'phi', 'mass'), ('pt', 'eta', 'phi', 'em_fraction'))
    >>> print(f"{np.median(X.feature('pt') / y):.2f}")
    0.75
    """
    if side not in (*_SIDES, "both"):
        raise ValueError(f"side must be one of {(*_SIDES, 'both')}, got {side!r}.")
    parts = []
    for name in _SIDES if side == "both" else (side,):
        events = _read_bundled(name) if path is None else _read_full(Path(path), name)
        parts.append(_to_jets(events, _SIDES.index(name)))
    jets = Jets.concatenate(parts)
    labels = jets.labels
    target = np.where(labels["domain"] == 0, labels["truth_pt"], np.nan)
    if return_X_y:
        return jets, target
    descr = resources.files(__package__).joinpath("data", "dijets.rst")
    return Bunch(
        data=jets,
        target=target,
        sample_weight=labels["weight"],
        event_id=labels["event_id"],
        domain=labels["domain"],
        feature_names=list(jets.feature_names),
        constituent_names=list(jets.constituent_names),
        domain_names=["simulation", "data"],
        DESCR=descr.read_text(encoding="utf-8"),
    )
