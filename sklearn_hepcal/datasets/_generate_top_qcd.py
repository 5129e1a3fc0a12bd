"""Boosted top and QCD jets from Pythia."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ..jets import Jets
from ..jets._files import PathLike
from ._clustering import cluster_anti_kt, kinematics, to_jets
from ._events import Events
from ._generation import RandomState, Recipe, generate
from ._vetoes import make_veto

_RADIUS = 0.8
_PT = (475.0, 525.0)
_MASS = (145.0, 205.0)
_MAX_Y = 2.0
_MAX_PARTICLE_ETA = 4.0

_PT_HAT = (425.0, 700.0)
# QCD events are given up before hadronisation where they hardly ever pass: if no jet of
# partons is in a window of pT and mass. Not earlier: prongs of heavy jets are about a
# radius apart, so that the jets of partons still change a lot as the shower goes on.
_PARTON_PT = (440.0, 580.0)
_PARTON_MASS = (60.0, 250.0)
_MAX_PARTON_Y = 2.3

_BEAMS = (
    "Beams:eCM = 14000",
    f"PhaseSpace:pTHatMin = {_PT_HAT[0]}",
    f"PhaseSpace:pTHatMax = {_PT_HAT[1]}",
)
_TOPS = (
    "Top:gg2ttbar = on",
    "Top:qqbar2ttbar = on",
    # W bosons decay to quarks
    "24:onMode = off",
    "24:onIfAny = 1 2 3 4 5",
)
_CUTS = {
    "algorithm": "anti-kT",
    "radius": _RADIUS,
    "pt": _PT,
    "mass": _MASS,
    "max_abs_y": _MAX_Y,
    "max_abs_eta_of_particles": _MAX_PARTICLE_ETA,
}
_VETOES = {
    "pt_of_parton_jet": _PARTON_PT,
    "mass_of_parton_jet": _PARTON_MASS,
    "max_abs_y_of_parton_jet": _MAX_PARTON_Y,
}


@dataclass(frozen=True)
class _Jets(Recipe):
    top: int = 1
    event_label: ClassVar[str | None] = "event"

    def make_jets(self, events: Events, rng: np.random.Generator) -> Jets:
        seen = events.is_visible & (np.abs(events.eta) < _MAX_PARTICLE_ETA)
        particles = events.select(seen)
        jets = cluster_anti_kt(particles, _RADIUS, _PT[0])
        pt, y, _, mass = kinematics(jets.momenta)
        in_window = (pt < _PT[1]) & (mass > _MASS[0]) & (mass < _MASS[1])
        jets = jets.take(in_window & (np.abs(y) < _MAX_Y))
        top = np.full(len(jets), self.top)
        return to_jets(jets, particles, event=jets.event, top=top)


class _QCDJets(_Jets):
    def hook(self) -> Any:
        return make_veto(_RADIUS, _PARTON_PT[0], late=_may_pass)


def _may_pass(jets: Any) -> bool:
    return any(
        _PARTON_PT[0] < jets.pT(i) < _PARTON_PT[1]
        and _PARTON_MASS[0] < jets.m(i) < _PARTON_MASS[1]
        and abs(jets.y(i)) < _MAX_PARTON_Y
        for i in range(jets.sizeJet())
    )


def _make_recipes() -> list[Recipe]:
    return [
        _Jets(
            name="top",
            process="g g, q qbar -> t tbar, t -> b q qbar'",
            settings=(*_BEAMS, *_TOPS),
            cuts=_CUTS,
            top=1,
        ),
        _QCDJets(
            name="QCD",
            process="hard QCD 2 -> 2",
            settings=(*_BEAMS, "HardQCD:all = on"),
            cuts={**_CUTS, **_VETOES},
            top=0,
        ),
    ]


def generate_top_qcd_jets(
    n_jets: int,
    *,
    path: PathLike | None = None,
    random_state: RandomState = None,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> Jets | Path:
    """Generate boosted top and QCD jets as lists of particles.

    Pythia 8 makes pairs of top quarks that decay to quarks, and events of two partons,
    and FastJet their jets: of the mass of the top quark in both cases, so that it takes
    the substructure of jets to tell them apart. The selection is that of a study of
    shapes of jets [1]_.

    Parameters
    ----------
    n_jets : int
        Number of jets, half of them of each kind, in random order.
    path : str or path-like, default=None
        A parquet file to write instead of returning the jets; its folder must exist.
        Finished parts wait in a folder beside it, so that the same call continues a
        production that was interrupted. A file that is complete is left as it is.
    random_state : int, RandomState instance or None, default=None
        Seed of the jets. The same integer gives the same jets for every `n_jobs`, and
        is needed to continue a production.
    n_jobs : int or None, default=None
        Number of processes; -1 for all processors.
    verbose : int, default=0
        1 shows a progress bar.

    Returns
    -------
    Jets or Path
        The jets, without features, or the path of the file. The constituents, all
        particles of abs(eta) < 4 but neutrinos, in falling pT, have

        - pt : transverse momentum in GeV;
        - y, phi : rapidity, and azimuth in radians;
        - pdgid : PDG id.

        The labels, never an input, are

        - pt, y, phi, mass : of the jet, the sum of its particles, in GeV and radians;
        - pt_hat : transverse momentum of the hard scattering in GeV;
        - event : number of the event, for two jets may be from the same one;
        - top : 1 for jets of top quark events, 0 for QCD jets.

    Raises
    ------
    FileNotFoundError
        If the folder of `path` does not exist.
    ImportError
        If the extra ``generate`` is not installed.
    TypeError
        If `n_jets` is not an integer.
    ValueError
        If `n_jets` is not positive, or if the file, or what waits beside it, is of
        another production.

    See Also
    --------
    sklearn_hepcal.jets.read_parquet : Read the file.
    sklearn_hepcal.jets.read_parquet_metadata : Read how the file was made.

    Notes
    -----
    Proton-proton collisions at 14 TeV, Monash tune, with multiparton interactions and
    hadronisation, and 425 < pTHat < 700 GeV. All anti-kT jets of radius 0.8 with
    475 < pT < 525 GeV, 145 < mass < 205 GeV and abs(y) < 2 are kept.

    About 15 top jets or 2 QCD jets are made a second. QCD events are given up if no
    jet of partons with abs(y) < 2.3 has 440 < pT < 580 GeV and a mass between 60 and
    250 GeV before hadronisation, which loses less than 1 per cent of the jets.

    References
    ----------
    .. [1] D. Ba, A. S. Dogra, R. Gambhir, A. Tasissa, J. Thaler, "SHAPER: Can You Hear
       the Shape of a Jet?", JHEP 06 (2023) 195, arXiv:2302.12266.

    Examples
    --------
    >>> from sklearn_hepcal.datasets import generate_top_qcd_jets
    >>> jets = generate_top_qcd_jets(2, random_state=0)
    >>> len(jets), jets.constituent_names
    (2, ('pt', 'y', 'phi', 'pdgid'))
    >>> sorted(jets.labels["top"].tolist())
    [0, 1]
    """
    return generate(
        _make_recipes(),
        n_jets,
        path=path,
        random_state=random_state,
        n_jobs=n_jobs,
        verbose=verbose,
        block_size=200,
    )
