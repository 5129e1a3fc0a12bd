"""Generation of dijet events, measured by a parametrised calorimeter."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from .._optional import import_optional
from ..jets import Jets
from ..jets._files import PathLike
from ..jets._ragged import counts_to_offsets
from ._calorimeter import Particles
from ._clustering import cluster_anti_kt, kinematics
from ._dijet_detector import DETECTORS, Detector
from ._dijet_jets import (
    RADIUS,
    Pairs,
    Selection,
    describe_towers,
    describe_tracks,
    find_jets,
    list_towers,
    select_pairs,
)
from ._dijets import CALORIMETER, CONSTITUENTS, KINEMATICS, MAX_TOWERS
from ._events import Events
from ._generation import RandomState, Recipe, generate
from ._matching import Array, find_axes, find_nearest
from ._species import ELECTRON, MUON, PHOTON, find_charges

_HARD_PARTON = 23
_MAX_PARTON_ETA = 1.6
_MIN_TRUE_PT = 10.0  # GeV
_MAX_TRUE_DISTANCE = 0.3
_MAX_PARTON_DISTANCE = 0.6

_SETTINGS = (
    "Beams:eCM = 13000",
    "HardQCD:all = on",
    "PhaseSpace:pTHatMin = 80",
    "PhaseSpace:bias2Selection = on",
    "PhaseSpace:bias2SelectionPow = 4.8",
    "PhaseSpace:bias2SelectionRef = 100",
)
_DATA_SETTINGS = ("StringPT:sigma = 0.37",)


@dataclass(frozen=True)
class _DijetRecipe(Recipe):
    detector: Detector = field(default_factory=Detector)
    selection: Selection = field(default_factory=Selection)
    domain: int = 0
    event_label: ClassVar[str | None] = "event_id"

    # Events are given up before the shower, which takes most of the time.
    def hook(self) -> Any:
        pythia8 = import_optional("pythia8mc", "generate")

        class CentralPartons(pythia8.UserHooks):  # type: ignore[name-defined]
            def canVetoProcessLevel(self) -> bool:
                return True

            def doVetoProcessLevel(self, process: Any) -> bool:
                return any(
                    abs(particle.eta()) > _MAX_PARTON_ETA
                    for particle in process
                    if particle.statusAbs() == _HARD_PARTON
                )

        return CentralPartons()

    def make_jets(self, events: Events, rng: Generator) -> Jets:
        n_events = len(events)
        particles = events.select(events.is_visible & ~events.is_id(MUON))
        seen = _as_particles(particles)
        towers = self.detector.calorimeter.measure(seen, rng)
        mu, npv = self.detector.pile_up.draw(n_events, rng)
        jets = find_jets(towers, n_events)
        event = jets.axes.event
        offset = self.detector.pile_up.offset(mu[event], npv[event], rng)
        pairs = select_pairs(jets._replace(pt=jets.pt + offset), self.selection)
        pairs, truth = _match(pairs, particles)
        event = pairs.jets.axes.event
        constituents, counts = list_towers(pairs.jets, MAX_TOWERS)
        described = {
            **describe_towers(pairs.jets, self.detector.leak_per_segment, rng),
            **describe_tracks(pairs.jets, seen, self.detector.tracks, rng),
            "pt": pairs.jets.pt,
            "eta": pairs.jets.axes.eta,
            "phi": pairs.jets.axes.phi,
            "mass": kinematics(pairs.jets.clusters.momenta).mass,
            "mu": mu[event],
            "npv": npv[event],
        }
        names = (*KINEMATICS, *CALORIMETER, "mu", "npv")
        return Jets(
            features=np.column_stack([described[name] for name in names]),
            constituents=constituents,
            offsets=counts_to_offsets(counts),
            feature_names=names,
            constituent_names=CONSTITUENTS,
            labels={
                **truth,
                "parton": _match_partons(pairs, events),
                "weight": events.info["weight"][event],
                "event_id": 2 * event + self.domain,
                "domain": np.full(len(event), self.domain),
                "dphi12": np.repeat(pairs.dphi12, 2),
                "jet3_pt": np.repeat(pairs.jet3_pt, 2),
            },
        )

    # Even in simulation and odd in data.
    def with_events(self, jets: Jets, event: NDArray[np.int64]) -> Jets:
        return super().with_events(jets, 2 * event + self.domain)


def _as_particles(events: Events) -> Particles:
    pt, axes = find_axes(events.momenta, events.event_index)
    charge = find_charges(events.particles["id"])
    is_em = events.is_id(ELECTRON, PHOTON)
    return Particles(axes, events.particles["e"], pt, charge, is_em)


# Keep the events in which both jets have a true one, and return what is true of them.
def _match(pairs: Pairs, particles: Events) -> tuple[Pairs, dict[str, Array]]:
    clusters = cluster_anti_kt(particles, RADIUS, _MIN_TRUE_PT)
    _, axes = find_axes(clusters.momenta, clusters.event)
    nearest = find_nearest(pairs.jets.axes, axes)
    first, second = (nearest.distance < _MAX_TRUE_DISTANCE).reshape(-1, 2).T
    both = first & second
    truth = kinematics(clusters.momenta[nearest.row[np.repeat(both, 2)]])
    return pairs.take(both), {"truth_pt": truth.pt, "truth_mass": truth.mass}


# Return the PDG ids of the nearest partons of the hard scattering, 0 without one.
def _match_partons(pairs: Pairs, events: Events) -> NDArray[np.int64]:
    is_hard = np.abs(events.particles["status"]) == _HARD_PARTON
    partons = events.select(is_hard)
    _, axes = find_axes(partons.momenta, partons.event_index)
    nearest = find_nearest(pairs.jets.axes, axes)
    ids = partons.particles["id"][nearest.row]
    return np.where(nearest.distance < _MAX_PARTON_DISTANCE, ids, 0).astype(np.int64)


def _make_recipe(side: str, settings: tuple[str, ...], tune: str) -> _DijetRecipe:
    detector, selection = DETECTORS[side], Selection()
    return _DijetRecipe(
        name=f"dijets_{side}",
        process="p p -> 2 partons",
        settings=settings,
        cuts={
            "algorithm": "anti-kT",
            "radius": RADIUS,
            "max_abs_eta_of_partons": _MAX_PARTON_ETA,
            **asdict(selection),
            "detector": asdict(detector),
        },
        tune=tune,
        detector=detector,
        selection=selection,
        domain=list(DETECTORS).index(side),
    )


_RECIPES = {
    "sim": _make_recipe("sim", _SETTINGS, "Monash 2013"),
    "data": _make_recipe("data", _SETTINGS + _DATA_SETTINGS, "A14"),
}


def generate_dijets(
    n_events: int,
    *,
    side: str = "sim",
    path: PathLike | None = None,
    random_state: RandomState = None,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> Jets | Path:
    """Generate jets of dijet events, measured by a parametrised calorimeter.

    Pythia 8 makes events of two hard jets in proton-proton collisions at 13 TeV, with a
    pT spectrum that is almost flat in the logarithm. Towers of a calorimeter with five
    layers measure them at the electromagnetic scale, and FastJet makes jets of the
    particles and of the towers. The "data" are a second simulation with another tune
    and a worse detector, of which the true jets are known as well. The columns are
    those of `load_dijets`.

    Parameters
    ----------
    n_events : int
        Number of events that pass the selection.
    side : {"sim", "data"}, default="sim"
        Generate simulation, or mis-modelled "data".
    path : str or path-like, default=None
        A parquet file to write instead of returning jets; its folder must exist. A
        production that was interrupted continues.
    random_state : int, RandomState instance or None, default=None
        Seed of the events. The same integer gives the same events, whatever `n_jobs`.
    n_jobs : int or None, default=None
        Number of processes; -1 for all processors.
    verbose : int, default=0
        Show a progress bar if positive.

    Returns
    -------
    Jets or Path
        Jets of length 2 * n_events, two neighbouring rows an event, that of higher
        measured pT first; or the path of the file. The true pT is the label truth_pt on
        both sides, and event_id pairs jets: even in simulation, odd in data.

    Raises
    ------
    ImportError
        If the extra ``generate`` is not installed.
    ValueError
        If `n_events` is not positive, `side` is unknown, or the file at `path` is of
        another production.

    See Also
    --------
    load_dijets : Bundled samples of such events, with a list of the columns.
    make_dijets : Events of a toy, whose best calibration is known exactly.
    sklearn_hepcal.jets.read_parquet : Read the file again.

    Notes
    -----
    *Events.* ``HardQCD:all`` with multiparton interactions, pTHat > 80 GeV, generated
    with a bias of pTHat to the power 4.8 that the label weight undoes. Events with a
    hard parton beyond abs(eta) = 1.6 are given up before the shower. Both leading jets
    have abs(eta) < 1.5, their mean pT is above 55 GeV, dphi12 above 2.7, and the third
    jet below the higher of 25 GeV and a quarter of this mean. True jets are without
    muons and neutrinos.

    *Detector.* Electrons and photons make showers in the first layers. Those of hadrons
    begin after an exponential path and have an electromagnetic part, which fluctuates;
    the response to the other part is 0.62. Behind the first two layers are 0.40
    interaction lengths of inactive material, more at abs(eta) = 1. Resolution: 45 per
    cent (hadrons) and 10 per cent over sqrt(E/GeV), in quadrature with 2 per cent;
    0.8 per cent between modules of 0.1 by 0.1. Towers of 0.05 by 0.05 count from a pT
    of 0.4 GeV. Pile-up adds 0.05 GeV a collision and 0.145 GeV a vertex to the pT of
    jets, relative to the mean, and noise of 2.75 GeV. Tracks are features only.

    *Data.* Tune A14 instead of Monash 2013 with a string pT width of 0.37 GeV; hadronic
    response 0.57; 0.50 interaction lengths of inactive material, depth of the layers
    times 0.92; 50 instead of 45 per cent, and 3 instead of 2 per cent in the
    resolution; modules differ by 2 per cent; the scale is lower by 1.5 per cent and
    modulated by 2 per cent in cos(4 eta); 2 per cent fewer tracks; 0.24 GeV a vertex
    and nothing a collision from pile-up, and noise of 2.9 GeV.

    In simulation, the median of measured over true pT rises from 0.70 at 140 GeV to
    0.78 at 2 TeV; in data it is lower by about 6 per cent.

    Examples
    --------
    >>> from sklearn_hepcal.datasets import generate_dijets
    >>> jets = generate_dijets(10, random_state=0)
    >>> len(jets), jets.feature_names[:4], jets.constituent_names
    (20, ('pt', 'eta', 'phi', 'mass'), ('pt', 'eta', 'phi', 'em_fraction'))
    """
    if side not in _RECIPES:
        raise ValueError(f"side must be one of {tuple(_RECIPES)}, got {side!r}.")
    return generate(
        [_RECIPES[side]],
        n_events,
        count="events",
        path=path,
        random_state=random_state,
        n_jobs=n_jobs,
        verbose=verbose,
    )
