"""Jets with tracks, to tell b, c and light jets apart."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from numbers import Integral

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import Bunch, check_scalar

from ..jets import Jets
from ._packing import read_bundled, unpack_ranks, wrap_angle
from ._tracker import Tracker

Columns = dict[str, NDArray]

FEATURES = ("pt", "eta")
FLAVOUR = "HadronConeExclTruthLabelID"
# Columns of small integers that are bundled as one, and how many values each has.
JET_TRUTH = {FLAVOUR: 6, "n_truth_b": 4, "n_truth_c": 6}
TRACK_TRUTH = {"ftagTruthOriginLabel": 8, "ftagTruthVertexIndex": 7}
TRACK_KIND = {
    "positive": 2,
    "numberOfInnermostPixelLayerHits": 2,
    "numberOfPixelHits": 3,
    "numberOfSCTHits": 4,
    "leptonID": 3,
}
# where the bundled numbers begin, if not at 0
LEAST_HITS = {"numberOfPixelHits": 2, "numberOfSCTHits": 5}
_SIGNIFICANCES = ("signed_d0_significance", "signed_z0_significance")
_BUNDLED = (
    *("log_ptfrac", "deta", "dphi", *_SIGNIFICANCES),
    *("log_d0_error", "log_z0_error", "track_kind", "track_truth"),
)
CONSTITUENTS = (
    *("pt", "qOverP", "deta", "dphi", "dr", "ptfrac", "d0", "z0SinTheta"),
    *("d0Uncertainty", "z0SinThetaUncertainty", "qOverPUncertainty"),
    *("phiUncertainty", "thetaUncertainty"),
    *_SIGNIFICANCES,
    *("numberOfInnermostPixelLayerHits", "numberOfPixelHits", "numberOfSCTHits"),
    "leptonID",
)


def _split(codes: NDArray, sizes: Mapping[str, int]) -> dict[str, NDArray[np.int64]]:
    values = np.unravel_index(codes.astype(np.int64), tuple(sizes.values()))
    return dict(zip(sizes, values, strict=True))


def _read_jets(c: Columns) -> Columns:
    return {
        "pt": np.exp(c["log_pt"]),
        "eta": c["eta"],
        "eventNumber": np.cumsum(c["event"]).astype(np.int64),
        "phi": wrap_angle(c["phi"]),
        "mass": np.expm1(c["log_mass"]),
        "pt_truth": np.exp(c["log_pt"] - c["log_response"]),
        "n_tracks": c["n_track"].astype(np.int64),
        **_split(c["truth"], JET_TRUTH),
        "hadron_pt": np.expm1(c["log_hadron_pt"]),
        "hadron_Lxy": np.expm1(c["log_hadron_Lxy"]),
    }


# Columns of tracks that follow from others are not bundled. The errors are those of the
# simulated detector; of the impact parameters the bundle has what they are off by.
def _read_tracks(c: Columns, jet_pt: NDArray, jet_eta: NDArray) -> Columns:
    ptfrac = np.exp(c["log_ptfrac"])
    pt = ptfrac * jet_pt
    cosh_eta = np.cosh(jet_eta + c["deta"])
    kind = _split(c["track_kind"], TRACK_KIND)
    q_over_p = np.where(kind.pop("positive"), 1, -1) / (pt * cosh_eta)
    innermost = kind["numberOfInnermostPixelLayerHits"] > 0
    d0_error, z0_error = find_impact_errors(pt, cosh_eta, innermost)
    d0_error *= np.exp(c["log_d0_error"])
    z0_error *= np.exp(c["log_z0_error"])
    relative, angle_error = Tracker().momentum_errors(pt)
    return {
        **{name: c[name] for name in ("deta", "dphi", *_SIGNIFICANCES)},
        "pt": pt,
        "ptfrac": ptfrac,
        "qOverP": q_over_p,
        "dr": np.hypot(c["deta"], c["dphi"]),
        "d0": -np.sign(c["dphi"]) * c["signed_d0_significance"] * d0_error,
        "z0SinTheta": -np.sign(c["deta"]) * c["signed_z0_significance"] * z0_error,
        "d0Uncertainty": d0_error,
        "z0SinThetaUncertainty": z0_error,
        "qOverPUncertainty": np.abs(q_over_p) * relative,
        "phiUncertainty": angle_error,
        "thetaUncertainty": angle_error,
        **{name: codes + LEAST_HITS.get(name, 0) for name, codes in kind.items()},
    }


# Return the mean errors of d0 and of z0 sin(theta) that are told, in mm.
def find_impact_errors(
    pt: NDArray, cosh_eta: NDArray, innermost: NDArray
) -> tuple[NDArray, NDArray]:
    tracker = Tracker()
    d0 = tracker.d0.sigma(pt, 1 / cosh_eta, innermost)
    return d0, tracker.z0_sin_theta.sigma(pt, 1 / cosh_eta, innermost)


def _read() -> Jets:
    columns = read_bundled("flavour_jets.npz")
    jets = _read_jets(columns)
    counts = jets["n_tracks"]
    filled = np.arange(counts.max()) < counts[:, None]
    of_tracks = {name: unpack_ranks(columns[name], filled)[filled] for name in _BUNDLED}
    axis = (np.repeat(jets[name], counts) for name in FEATURES)
    tracks = _read_tracks(of_tracks, *axis)
    return Jets(
        features=np.column_stack([jets.pop(name) for name in FEATURES]),
        constituents=np.column_stack([tracks[name] for name in CONSTITUENTS]),
        offsets=np.append(0, np.cumsum(counts)),
        feature_names=FEATURES,
        constituent_names=CONSTITUENTS,
        labels=jets,
        constituent_labels=_split(of_tracks["track_truth"], TRACK_TRUTH),
    )


def load_flavour_jets(
    *, n_jets: int | None = None, return_X_y: bool = False
) -> Bunch | tuple[Jets, NDArray[np.int64]]:
    """Load b, c and light jets with their tracks.

    Jets of Pythia 8 top-pair events, with tracks in a parametrised detector. The task
    is to tell the flavours apart by the decays of b and c hadrons, millimetres away
    from the collision; further ones are to find where tracks come from and which share
    a vertex, and to correct the momentum of jets for neutrinos and muons.

    =================   ==========================================
    Jets                22,000 of 4,419 events
    Features            2: pT, eta
    Constituents        up to 27 tracks, 6.3 a jet
    Flavours            light 56.0 %, c 11.7 %, b 32.3 %
    =================   ==========================================

    Parameters
    ----------
    n_jets : int, default=None
        Load the first jets only; all by default. The first jets are a fair sample, but
        the last event may lack some of its jets.
    return_X_y : bool, default=False
        Return ``(data, target)`` instead of a Bunch.

    Returns
    -------
    Bunch or tuple
        The tuple ``(data, target)`` if `return_X_y`, else a Bunch with

        - data : Jets of length n_jets;
        - target : ndarray of int of shape (n_jets,), 0 light, 4 c, 5 b;
        - event_id : ndarray of int of shape (n_jets,), groups for splitting by event;
        - feature_names, constituent_names : lists of str;
        - target_names : list of str, ``["light", "c", "b"]``;
        - DESCR : str, the full description of the bundled jets.

        Columns have the names that `sklearn_hepcal.jets.read_ftag_h5` finds in files of
        ATLAS. Features are pt in GeV and eta. The constituents, by falling absolute
        value of signed_d0_significance, have

        - pt, qOverP, deta, dphi, dr, ptfrac : transverse momentum in GeV, charge over
          momentum in 1/GeV, distances to the jet axis, pt over that of the jet;
        - d0, z0SinTheta : transverse and longitudinal impact parameter in mm;
        - signed_d0_significance, signed_z0_significance : these over their errors,
          positive if the track crosses the jet axis in front of the collision;
        - d0Uncertainty, z0SinThetaUncertainty, qOverPUncertainty, phiUncertainty,
          thetaUncertainty : errors;
        - numberOfInnermostPixelLayerHits, numberOfPixelHits, numberOfSCTHits : hits;
        - leptonID : 1 electron, 2 muon, 0 else.

        The labels, never an input, are

        - eventNumber : as event_id;
        - phi, mass : of the jet, in radians and GeV;
        - pt_truth : pT in GeV of all particles, with muons and neutrinos;
        - HadronConeExclTruthLabelID : as the target;
        - n_tracks : number of tracks;
        - n_truth_b, n_truth_c : number of b and c hadrons in the jet;
        - hadron_pt, hadron_Lxy : pT in GeV and transverse decay length in mm of the
          hadron that labels the jet; 0 for light jets.

        The labels of constituents are

        - ftagTruthOriginLabel : 2 primary, 3 from b, 4 from c from b, 5 from c, 6 from
          tau, 7 other secondary;
        - ftagTruthVertexIndex : 0 for the primary vertex, then 1, 2, ... in each jet.

    Raises
    ------
    TypeError
        If `n_jets` is not an integer.
    ValueError
        If `n_jets` is not positive or more than there are.

    See Also
    --------
    generate_flavour_jets : More such jets.
    load_flavour_scores : What a tagger makes of more such jets.
    sklearn_hepcal.jets.read_ftag_h5 : Jets from files of ATLAS.

    Notes
    -----
    The bundled jets are those of ``generate_flavour_jets(22_000, random_state=0)``, in
    integer steps. Of jets: 0.001 in log(pT), log(pt_truth/pT),
    log(1 + mass / GeV), eta and phi; 0.005 in log(1 + hadron_pt / GeV) and in
    log(1 + hadron_Lxy / mm). Of tracks: 0.05 in both signed significances, a 20th of
    the error of the impact parameter; 0.01 in the logarithms of these errors; 0.004 in
    log(ptfrac); 0.0005 in deta and dphi, about the error of the angles. Other columns
    are exact or follow from these.

    Examples
    --------
    >>> from sklearn_hepcal.datasets import load_flavour_jets
    >>> X, y = load_flavour_jets(return_X_y=True)
    >>> X.shape, X.feature_names, len(X.constituent_names)
    ((22000,), ('pt', 'eta'), 19)
    >>> displaced = X.constituent("signed_d0_significance") > 3
    >>> for flavour in (0, 4, 5):
    ...     print(f"{displaced[y[X.jet_index] == flavour].mean():.3f}")
    0.020
    0.116
    0.354
    """
    jets = _read()
    if n_jets is None:
        n_jets = len(jets)
    check_scalar(n_jets, "n_jets", Integral, min_val=1, max_val=len(jets))
    jets = jets[:n_jets]
    target = jets.labels[FLAVOUR].copy()
    if return_X_y:
        return jets, target
    descr = resources.files(__package__).joinpath("data", "flavour_jets.rst")
    return Bunch(
        data=jets,
        target=target,
        event_id=jets.labels["eventNumber"].copy(),
        feature_names=list(jets.feature_names),
        constituent_names=list(jets.constituent_names),
        target_names=["light", "c", "b"],
        DESCR=descr.read_text(encoding="utf-8"),
    )
