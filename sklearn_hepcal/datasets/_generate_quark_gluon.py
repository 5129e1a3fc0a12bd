"""Quark and gluon jets from Pythia, in EnergyFlow's recipe."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..jets import Jets
from ..jets._files import PathLike
from ._clustering import cluster_anti_kt, kinematics, to_jets
from ._events import Events
from ._generation import RandomState, Recipe, generate
from ._vetoes import make_veto

_RADIUS = 0.4
_PT = (500.0, 550.0)
_MAX_Y = 1.7
_PT_HAT = (440.0, 720.0)
# Events are given up early where they hardly ever pass: by the rapidity of the outgoing
# parton, and by the pT of the leading jet of partons when the shower has come down to a
# scale, and before hadronisation.
_MAX_PARTON_Y = 2.2
_EARLY_SCALE = 20.0
_EARLY_PT = (470.0, 610.0)
_PARTON_PT = (483.0, 572.0)
_LIGHT = (1, 2, 3, 21)

_SETTINGS = (
    "Beams:eCM = 14000",
    f"PhaseSpace:pTHatMin = {_PT_HAT[0]}",
    f"PhaseSpace:pTHatMax = {_PT_HAT[1]}",
    "WeakZ0:gmZmode = 2",
    "23:onMode = off",
    "23:onIfAny = 12 14 16",
)
_CUTS = {
    "algorithm": "anti-kT",
    "radius": _RADIUS,
    "jets": "leading",
    "pt": _PT,
    "max_abs_y": _MAX_Y,
    "outgoing_parton": _LIGHT,
    "max_abs_y_of_outgoing_parton": _MAX_PARTON_Y,
    "pt_of_leading_parton_jet": _PARTON_PT,
    "early_scale": _EARLY_SCALE,
    "early_pt_of_leading_parton_jet": _EARLY_PT,
}


def _is_light_and_central(event: Any) -> bool:
    (parton,) = (p for p in event if p.isFinal() and p.colType() != 0)
    return parton.idAbs() in _LIGHT and abs(parton.y()) < _MAX_PARTON_Y


def _is_near(jets: Any, window: tuple[float, float]) -> bool:
    low, high = window
    return jets.sizeJet() > 0 and low < jets.pT(0) < high


@dataclass(frozen=True)
class _QuarkGluon(Recipe):
    quark: int = 1

    def hook(self) -> Any:
        return make_veto(
            _RADIUS,
            _EARLY_PT[0],
            process=_is_light_and_central,
            early=lambda jets: _is_near(jets, _EARLY_PT),
            scale=_EARLY_SCALE,
            late=lambda jets: _is_near(jets, _PARTON_PT),
        )

    def make_jets(self, events: Events, rng: np.random.Generator) -> Jets:
        particles = events.select(events.is_visible)
        jets = cluster_anti_kt(particles, _RADIUS, _PT[0])
        pt, y, *_ = kinematics(jets.momenta)
        jets = jets.take((jets.rank == 0) & (pt < _PT[1]) & (np.abs(y) < _MAX_Y))
        return to_jets(
            jets,
            particles,
            parton_pt=_leading_pt(events.select(events.is_visible_parton))[jets.event],
            quark=np.full(len(jets), self.quark),
        )


# Return the pT of the leading jet of every event.
def _leading_pt(partons: Events) -> NDArray[np.float64]:
    jets = cluster_anti_kt(partons, _RADIUS, 0.0)
    return kinematics(jets.take(jets.rank == 0).momenta).pt


def _make_recipes() -> list[_QuarkGluon]:
    return [
        _QuarkGluon(
            name=name,
            process=process,
            settings=(*_SETTINGS, f"WeakBosonAndParton:{switch} = on"),
            cuts=_CUTS,
            quark=quark,
        )
        for name, process, switch, quark in (
            ("quark", "q g -> Z q, Z -> nu nu", "qg2gmZq", 1),
            ("gluon", "q qbar -> Z g, Z -> nu nu", "qqbar2gmZg", 0),
        )
    ]


def generate_quark_gluon_jets(
    n_jets: int,
    *,
    path: PathLike | None = None,
    random_state: RandomState = None,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> Jets | Path:
    """Generate quark and gluon jets as lists of particles.

    Pythia 8 makes events in which one parton recoils against a Z boson that decays to
    neutrinos, after the recipe of the quark and gluon jets of EnergyFlow [1]_, and
    FastJet their jets. The columns are those of `load_quark_gluon_jets`.

    Parameters
    ----------
    n_jets : int
        Number of jets, half of them of quarks and half of gluons, in random order.
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
        The jets, without features, or the path of the file. Constituents (pt, y, phi,
        pdgid; all particles but neutrinos, in falling pT) and labels (pt, y, phi, mass,
        pt_hat, parton_pt, quark) are explained in `load_quark_gluon_jets`.

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
    load_quark_gluon_jets : Bundled jets of this kind.
    sklearn_hepcal.jets.read_parquet : Read the file.
    sklearn_hepcal.jets.read_parquet_metadata : Read how the file was made.

    Notes
    -----
    Proton-proton collisions at 14 TeV, Monash tune, with multiparton interactions and
    hadronisation. Quark jets are of q g -> Z q and gluon jets of q qbar -> Z g, without
    c and b quarks going out. Leading anti-kT jets of radius 0.4 with
    500 < pT < 550 GeV and abs(y) < 1.7 are kept.

    About 20 jets are made a second. Events are given up early where they hardly ever
    pass: pTHat is between 440 and 720 GeV, the outgoing parton has abs(y) < 2.2, and
    the leading jet of partons a pT between 470 and 610 GeV when the shower has come
    down to 20 GeV, and between 483 and 572 GeV before hadronisation. About 1 per cent
    of the quark jets have a pTHat within 2 GeV of the lower edge, so that a few per
    cent are missing that radiation from the initial state pushed up from below.

    References
    ----------
    .. [1] P. T. Komiske, E. M. Metodiev, J. Thaler, "Energy Flow Networks: Deep Sets
       for Particle Jets", JHEP 01 (2019) 121, arXiv:1810.05165.

    Examples
    --------
    >>> from sklearn_hepcal.datasets import generate_quark_gluon_jets
    >>> jets = generate_quark_gluon_jets(4, random_state=0)
    >>> len(jets), jets.constituent_names
    (4, ('pt', 'y', 'phi', 'pdgid'))
    >>> sorted(jets.labels["quark"].tolist())
    [0, 0, 1, 1]
    """
    return generate(
        _make_recipes(),
        n_jets,
        path=path,
        random_state=random_state,
        n_jobs=n_jobs,
        verbose=verbose,
    )
