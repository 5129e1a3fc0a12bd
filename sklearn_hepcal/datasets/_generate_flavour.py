"""Generation of jets with tracks from top pairs, for flavour tagging."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from ..jets import Jets
from ..jets._files import PathLike
from ..jets._ragged import counts_to_offsets, position_in_jet
from ._ancestry import Ancestry, find_positions
from ._clustering import cluster_anti_kt, kinematics
from ._events import Events
from ._flavour_jets import CONSTITUENTS, FEATURES, FLAVOUR
from ._flavour_truth import find_origins, find_vertices, label_jets
from ._generation import RandomState, Recipe, generate
from ._matching import Array, Axes, find_axes, find_differences, find_nearest
from ._species import ELECTRON, MUON, NEUTRINOS, TAU, find_charges, look_up
from ._tracker import Tracker, Tracks

_LEPTON_IDS = {ELECTRON: 1, MUON: 2}

_RADIUS = 0.4
_MIN_PT, _MAX_ETA = 20.0, 2.5
# before the smearing, so low that no jet is lost
_MIN_CLUSTERED_PT = 8.0
# relative resolution of the pT of jets: stochastic in sqrt(GeV), and constant
_STOCHASTIC, _CONSTANT = 0.60, 0.05
# tracks of a jet are within a + exp(b + c pT / GeV) of its axis
_CONE = (0.239, -1.22, -0.0164)
_MAX_D0, _MAX_Z0_SIN_THETA = 3.5, 5.0  # mm
_MAX_TRACKS = 40

# jets that a process makes at once: Pythia takes half a second to start
_BLOCK_SIZE = 2000

_CUTS: dict[str, Any] = {
    "algorithm": "anti-kT",
    "radius": _RADIUS,
    "min_pt": _MIN_PT,
    "max_abs_eta": _MAX_ETA,
    "pt_resolution": [_STOCHASTIC, _CONSTANT],
    "cone_of_tracks": _CONE,
    "max_abs_d0": _MAX_D0,
    "max_abs_z0_sin_theta": _MAX_Z0_SIN_THETA,
    "max_tracks": _MAX_TRACKS,
}

# proper decay lengths of b hadrons in Pythia, in mm
_DECAY_LENGTHS = {
    511: 0.4587,
    521: 0.4911,
    531: 0.4390,
    541: 0.1380,
    5122: 0.4400,
    5132: 0.3640,
    5232: 0.3640,
    5332: 0.3640,
}
_LIFETIME_RATIO = 1.03

_SETTINGS = (
    "Beams:eCM = 13000",
    "Top:gg2ttbar = on",
    "Top:qqbar2ttbar = on",
)
_DATA_SETTINGS = (
    "StringZ:rFactB = 1.3",
    *(
        f"{pdg_id}:tau0 = {_LIFETIME_RATIO * length:.6f}"
        for pdg_id, length in _DECAY_LENGTHS.items()
    ),
)


# Measured jets of all events, event after event.
class _Found(NamedTuple):
    pt: Array
    axes: Axes
    mass: Array
    # with muons and neutrinos
    true_pt: Array


@dataclass(frozen=True)
class _FlavourRecipe(Recipe):
    tracker: Tracker = field(default_factory=Tracker)
    event_label: ClassVar[str | None] = "eventNumber"

    def make_jets(self, events: Events, rng: Generator) -> Jets:
        found = _find_jets(events, rng)
        ancestry = Ancestry(events)
        rows, tracks = _find_tracks(events, found, self.tracker, rng)
        counts = np.bincount(tracks["jet"], minlength=len(found.pt))
        offsets = counts_to_offsets(counts)
        vertex = find_vertices(find_positions(events)[rows], offsets)
        labels = {
            "eventNumber": found.axes.event,
            "phi": found.axes.phi,
            "mass": found.mass,
            "pt_truth": found.true_pt,
            "n_tracks": counts,
            **label_jets(found.axes, ancestry),
        }
        jets = Jets(
            features=np.column_stack([found.pt, found.axes.eta]),
            constituents=np.column_stack([tracks[name] for name in CONSTITUENTS]),
            offsets=offsets,
            feature_names=FEATURES,
            constituent_names=CONSTITUENTS,
            labels=labels,
            constituent_labels={
                "ftagTruthOriginLabel": find_origins(rows, vertex, ancestry),
                "ftagTruthVertexIndex": vertex,
            },
        )
        return jets[labels[FLAVOUR] != TAU]


def _find_jets(events: Events, rng: Generator) -> _Found:
    is_muon = events.is_id(MUON)
    visible = events.select(events.is_visible & ~is_muon)
    jets = cluster_anti_kt(visible, _RADIUS, _MIN_CLUSTERED_PT)
    pt, axes = find_axes(jets.momenta, jets.event)
    resolution = np.hypot(_STOCHASTIC / np.sqrt(pt), _CONSTANT)
    smearing = 1 + resolution * rng.normal(size=len(pt))
    kept = (smearing * pt > _MIN_PT) & (np.abs(axes.eta) < _MAX_ETA)
    momenta, axes = jets.momenta[kept], axes.take(kept)
    unseen = events.select(events.is_final & (is_muon | events.is_id(*NEUTRINOS)))
    _, directions = find_axes(unseen.momenta, unseen.event_index)
    nearest = find_nearest(directions, axes)
    inside = nearest.distance < _RADIUS
    true_momenta = momenta.copy()
    np.add.at(true_momenta, nearest.row[inside], unseen.momenta[inside])
    return _Found(
        (smearing * pt)[kept],
        axes,
        smearing[kept] * kinematics(momenta).mass,
        kinematics(true_momenta).pt,
    )


# Return the rows of the particles that are found as tracks of jets, and their tracks,
# by jet and in falling significance.
def _find_tracks(
    events: Events, jets: _Found, tracker: Tracker, rng: Generator
) -> tuple[NDArray[np.int64], Tracks]:
    rows, tracks = _measure_tracks(events, tracker, rng)
    directions = Axes(events.event_index[rows], tracks["eta"], tracks["phi"])
    nearest = find_nearest(directions, jets.axes)
    has_jet = nearest.row >= 0
    rows, jet = rows[has_jet], nearest.row[has_jet]
    tracks = {name: column[has_jet] for name, column in tracks.items()}
    deta, dphi = find_differences(directions.take(has_jet), jets.axes.take(jet))
    tracks |= _relate_to_jets(tracks, deta, dphi) | {"jet": jet}
    tracks["ptfrac"] = tracks["pt"] / jets.pt[jet]
    constant, offset, slope = _CONE
    kept = np.flatnonzero(
        (tracks["dr"] < constant + np.exp(offset + slope * jets.pt[jet]))
        & (np.abs(tracks["d0"]) < _MAX_D0)
        & (np.abs(tracks["z0SinTheta"]) < _MAX_Z0_SIN_THETA)
    )
    significance = np.abs(tracks["signed_d0_significance"])
    kept = kept[np.lexsort([-significance[kept], jet[kept]])]
    counts = np.bincount(jet[kept], minlength=len(jets.pt))
    kept = kept[position_in_jet(counts_to_offsets(counts)) < _MAX_TRACKS]
    return rows[kept], {name: column[kept] for name, column in tracks.items()}


# Return the rows of the particles that are found as tracks, and their tracks.
def _measure_tracks(
    events: Events, tracker: Tracker, rng: Generator
) -> tuple[NDArray[np.int64], Tracks]:
    charge = find_charges(events.particles["id"])
    rows = np.flatnonzero(events.is_final & (charge != 0))
    position, momentum = find_positions(events), events.momenta[:, :3]
    rows = rows[tracker.accepts(position[rows], momentum[rows])]
    rows = rows[tracker.finds(events.is_id(ELECTRON)[rows], rng)]
    collision = tracker.smear_vertices(len(events), rng)[events.event_index[rows]]
    tracks = tracker.measure(
        position[rows] - collision, momentum[rows], charge[rows], rng
    )
    lepton = look_up(_LEPTON_IDS, events.particles["id"][rows])
    return rows, {**tracks, "leptonID": lepton}


# Significances are positive if the track crosses the axis of the jet in front of the
# collision.
def _relate_to_jets(tracks: Tracks, deta: Array, dphi: Array) -> Tracks:
    d0, z0 = (tracks[x] / tracks[f"{x}Uncertainty"] for x in ("d0", "z0SinTheta"))
    return {
        "deta": deta,
        "dphi": dphi,
        "dr": np.hypot(deta, dphi),
        "signed_d0_significance": -np.sign(dphi) * d0,
        "signed_z0_significance": -np.sign(deta) * z0,
    }


def _make_recipe(
    side: str, settings: tuple[str, ...], tune: str, tracker: Tracker
) -> _FlavourRecipe:
    return _FlavourRecipe(
        name=f"flavour_jets_{side}",
        process="p p -> t tbar",
        settings=settings,
        cuts=_CUTS | {"tracker": asdict(tracker)},
        tune=tune,
        tracker=tracker,
    )


_RECIPES = {
    "sim": _make_recipe("sim", _SETTINGS, "Monash 2013", Tracker()),
    "data": _make_recipe(
        "data",
        _SETTINGS + _DATA_SETTINGS,
        "A14",
        Tracker(efficiency=0.93, impact_scale=1.3),
    ),
}


def generate_flavour_jets(
    n_jets: int,
    *,
    side: str = "sim",
    path: PathLike | None = None,
    random_state: RandomState = None,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> Jets | Path:
    """Generate jets with tracks from top pairs, to tell b, c and light jets apart.

    Pythia 8 makes top pairs in proton-proton collisions at 13 TeV, FastJet their jets,
    and a parametrised detector measures tracks. The columns are those of
    `load_flavour_jets`. The "data" are a second simulation with known mis-modelling, to
    try corrections of taggers.

    Parameters
    ----------
    n_jets : int
        Number of jets. The last event may lack some of its jets.
    side : {"sim", "data"}, default="sim"
        Generate simulation, or mis-modelled "data".
    path : str or path-like, default=None
        A parquet file to write instead of returning jets; its folder must exist. A
        production that was interrupted continues.
    random_state : int, RandomState instance or None, default=None
        Seed of the jets. The same integer gives the same jets, whatever `n_jobs`.
    n_jobs : int or None, default=None
        Number of processes; -1 for all processors.
    verbose : int, default=0
        Show a progress bar if positive.

    Returns
    -------
    Jets or Path
        The jets, by event and in falling pT before smearing, or the path of the file.

    Raises
    ------
    ImportError
        If the extra ``generate`` is not installed.
    ValueError
        If `n_jets` is not positive, `side` is unknown, or the file at `path` is of
        another production.

    See Also
    --------
    load_flavour_jets : A bundled sample of such jets, with a list of the columns.
    sklearn_hepcal.jets.read_parquet : Read the file again.

    Notes
    -----
    *Jets.* Anti-kT, radius 0.4, of all particles but muons and neutrinos; their pT is
    smeared by 0.60/sqrt(pT/GeV) in quadrature with 0.05, and then pT > 20 GeV and
    abs(eta) < 2.5. The flavour is that of b hadrons, else c hadrons, of pT > 5 GeV that
    have this jet as nearest one, within 0.3; jets of taus are dropped by the same rule.

    *Tracks* are those of charged particles of pT > 0.5 GeV that start within 50 mm of
    the beam. 95 per cent are found, of electrons 76 per cent. Their exact helix
    parameters in a field of 2 T are smeared: d0 by 12 and 70/(pT/GeV sqrt(sin theta))
    micrometres in quadrature, z0 sin(theta) by 35 and 90/(pT/GeV sqrt(sin theta)), 1.8
    and 1.5 times as much without a hit in the innermost layer, three times as much for
    one track in 20; pT by 1 per cent in quadrature with 0.04 per cent times pT/GeV. The
    errors follow from measured momenta, and those of the impact parameters are off by
    8 per cent. The collision is found within 8 micrometres across and 20 along the
    beam. Tracks belong to the nearest jet, within 0.239 + exp(-1.22 - 0.0164 pT/GeV),
    and are sorted by the absolute value of their d0 significance; 40 are kept.

    *Data.* Impact parameters are measured 1.3 times worse at the same errors, 0.93
    instead of 0.95 of the tracks are found, b hadrons live 1.03 times longer, their
    fragmentation has rFactB = 1.3 instead of 0.855, and the tune is A14 instead of
    Monash 2013.

    Missing are pile-up, fake and shared hits, and material.

    Examples
    --------
    >>> from sklearn_hepcal.datasets import generate_flavour_jets
    >>> jets = generate_flavour_jets(20, random_state=0)
    >>> len(jets), jets.feature_names, len(jets.constituent_names)
    (20, ('pt', 'eta'), 19)
    """
    if side not in _RECIPES:
        raise ValueError(f"side must be one of {tuple(_RECIPES)}, got {side!r}.")
    return generate(
        [_RECIPES[side]],
        n_jets,
        block_size=_BLOCK_SIZE,
        path=path,
        random_state=random_state,
        n_jobs=n_jobs,
        verbose=verbose,
    )
