"""Jets of CMS's open data of 2011 in the MOD HDF5 format, fetched from Zenodo."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import Bunch

from .._optional import import_optional
from ..jets import Jets
from ..jets._files import PathLike
from ._fetch import (
    ZENODO,
    RemoteFile,
    as_bunch,
    check_choice,
    check_range,
    fetch_file,
)

_CMS_RECORD = "3340205"
_N_CMS_FILES = 18
# Of the simulation, by the least pT of the hard scattering in GeV: the record, and the
# number of files with and without the detector.
_SIMULATION = {
    170: ("3341500", {"sim": 1, "gen": 1}),
    300: ("3341498", {"sim": 24, "gen": 24}),
    470: ("3341419", {"sim": 73, "gen": 74}),
    600: ("3364139", {"sim": 78, "gen": 79}),
    800: ("3341413", {"sim": 79, "gen": 79}),
    1000: ("3341502", {"sim": 40, "gen": 40}),
    1400: ("3341770", {"sim": 40, "gen": 40}),
    1800: ("3341772", {"sim": 20, "gen": 20}),
}
# Columns of jets that are inputs, and all names that are not those of the files.
_FEATURES = {
    "jet_pt": "pt",
    "jet_eta": "eta",
    "jet_phi": "phi",
    "jet_m": "mass",
    "jet_y": "y",
    "jec": "jec",
    "jet_area": "area",
    "jet_max_nef": "max_nef",
    "npv": "npv",
}
_CONSTITUENTS = {"m": "mass", "pid": "pdgid"}
_EVENT = ("rn", "lbn", "evn")


def fetch_mod_jets(
    *,
    sample: str = "cms",
    pt_hat: int | None = None,
    particles: str | None = None,
    start: int = 0,
    stop: int | None = 100_000,
    data_home: PathLike | None = None,
    download_if_missing: bool = True,
    verbose: int = 0,
) -> Bunch:
    """Fetch jets of CMS's open data of 2011 in the MOD HDF5 format from Zenodo.

    Jets above 375 GeV of proton-proton collisions at 7 TeV with their particles [1]_:
    recorded by CMS, where the trigger HLT_Jet300 is efficient, and simulated by Pythia,
    with and without the detector.

    Parameters
    ----------
    sample : {"cms", "sim", "gen"}, default="cms"
        Jets of data, of the simulation with the detector, or of simulated particles.
    pt_hat : {170, 300, 470, 600, 800, 1000, 1400, 1800}, default=None
        The least pT in GeV of the hard scattering in the part of the simulation to
        take; None for data.
    particles : {"pfcs", "gens"}, default=None
        Which constituents to read: particle-flow candidates or, in simulation, the
        generated particles; in "sim" these are those of the matched generated jet. By
        default candidates, but generated particles in "gen", which has no others.
    start, stop : int, default=0 and 100_000
        The range of jets. Files are downloaded one after the other, up to the one that
        holds the last jet. None as `stop` means all.
    data_home : str or path-like, default=None
        Where downloads are kept, in a folder ``mod_jets``. By default what the
        environment variable ``SKLEARN_HEPCAL_CACHE`` names, or else the user's cache.
    download_if_missing : bool, default=True
        Whether files that are not there may be downloaded.
    verbose : int, default=0
        1 shows a progress bar.

    Returns
    -------
    Bunch
        A Bunch with

        - data : Jets;
        - event_id : ndarray of int of shape (n_jets,), groups for splitting by event;
        - feature_names, constituent_names : lists of str;
        - files : list of str, the files that were read;
        - DESCR : str, a description.

        The features are pt (without the correction jec), eta, phi, mass, y (rapidity)
        and, but for "gen", jec (the correction factor of pt), area, max_nef (the larger
        of the hadronic and the electromagnetic energy fraction) and npv (the number of
        primary vertices); pt and mass in GeV, phi in radians. The constituents have pt,
        y, phi, mass, pdgid and vertex (0 leading, above 0 pile-up, -1 unknown). Other
        columns are labels under the names of the files:

        - fn, rn, lbn, evn : number of the original file, run, luminosity block, event;
        - quality : identification of the jet, 0 none, 1 loose, 2 medium, 3 tight;
        - weight : contribution of the jet to the cross section in nb. Those of a part
          of the files do not add up to the whole cross section;
        - gen_jet_pt, gen_jet_y, gen_jet_phi, gen_jet_m, gen_jet_eta ("sim") : of the
          matched generated jet, -1 without one;
        - hard_pid, hard_pt, hard_y, hard_phi ("sim", "gen") : of the matched parton.

    Raises
    ------
    ConnectionError
        If a download fails; the error tells how to do it by hand.
    FileNotFoundError
        If a file is not there and `download_if_missing` is False.
    ImportError
        If pooch or h5py is not installed.
    TypeError
        If `start` or `stop` is not an integer.
    ValueError
        If an argument is out of range, there are no jets in the range, or a file has a
        wrong checksum.

    See Also
    --------
    load_dijets : Jets to calibrate that need no download.

    Notes
    -----
    Files are checked against the MD5 sums that EnergyFlow publishes, once a session; a
    file put in the folder by hand is checked, too. Downloads that break off are
    continued.

    References
    ----------
    .. [1] P. T. Komiske, R. Mastandrea, E. M. Metodiev, P. Naik, J. Thaler, "Exploring
       the Space of Jets with CMS Open Data", Phys. Rev. D 101 (2020) 034009,
       arXiv:1908.08542. Data: doi:10.5281/zenodo.3340205.

    Examples
    --------
    >>> from sklearn_hepcal.datasets import fetch_mod_jets
    >>> jets = fetch_mod_jets(stop=10_000).data  # doctest: +SKIP
    >>> corrected = jets.feature("pt") * jets.feature("jec")  # doctest: +SKIP
    """
    remote_files = _remote_files(sample, pt_hat)
    particles = _choose_particles(particles, sample)
    check_range(start, stop)
    files: list[Path] = []
    parts: list[Jets] = []
    begin = 0
    for file in remote_files:
        files.append(fetch_file(file, data_home, download_if_missing, verbose))
        low = max(start - begin, 0)
        high = None if stop is None else stop - begin
        n_jets, jets = _read(files[-1], particles, low, high)
        parts.append(jets)
        begin += n_jets
        if stop is not None and begin >= stop:
            break
    if start >= begin:
        raise ValueError(
            f"start must be below the number of jets, {begin}; got {start}."
        )
    jets = Jets.concatenate(parts)
    numbers = np.column_stack([jets.labels[name] for name in _EVENT])
    event_id = np.unique(numbers, axis=0, return_inverse=True)[1].ravel()
    return as_bunch(jets, "mod_jets", files, event_id=event_id)


def _remote_files(sample: str, pt_hat: int | None) -> Iterator[RemoteFile]:
    check_choice(sample, "sample", ("cms", "sim", "gen"))
    if sample == "cms":
        if pt_hat is not None:
            raise ValueError(f"pt_hat must be None for data, got {pt_hat!r}.")
        record, n_files, stem = _CMS_RECORD, _N_CMS_FILES, "CMS_Jet300"
    else:
        if pt_hat not in _SIMULATION:
            raise ValueError(
                f"pt_hat must be one of {list(_SIMULATION)} for simulation, "
                f"got {pt_hat!r}."
            )
        record, counts = _SIMULATION[pt_hat]
        n_files = counts[sample]
        stem = f"{sample.upper()}{pt_hat}" + ("_Jet300" if sample == "sim" else "")
    url = f"{ZENODO}/{record}"
    return (
        RemoteFile(
            "mod_jets",
            url,
            f"{stem}_pT375-infGeV_{i}_compressed.h5",
            f"its size is told at {url}",
        )
        for i in range(n_files)
    )


def _choose_particles(particles: str | None, sample: str) -> str:
    known = {"cms": ("pfcs",), "sim": ("pfcs", "gens"), "gen": ("gens",)}[sample]
    if particles is None:
        return known[0]
    check_choice(particles, "particles", known)
    return particles


# Return how many jets a file has, and some of them.
def _read(path: Path, particles: str, start: int, stop: int | None) -> tuple[int, Jets]:
    h5py = import_optional("h5py", "hdf5")
    with h5py.File(path, "r") as file:
        n_jets = len(file["jets_f"])
        first, last, _ = slice(start, stop).indices(n_jets)
        rows = slice(first, last)
        columns = _columns(file["jets_f"], rows) | _columns(file["jets_i"], rows)
        offsets = file[f"{particles}_index"][first : last + 1].astype(np.int64)
        table = file[particles][offsets[0] : offsets[-1]]
        names = _names(file[particles])
    features = {
        name: columns.pop(column)
        for column, name in _FEATURES.items()
        if column in columns
    }
    return n_jets, Jets(
        features=np.column_stack(list(features.values())),
        feature_names=list(features),
        constituents=table,
        constituent_names=[_CONSTITUENTS.get(name, name) for name in names],
        offsets=offsets - offsets[0],
        labels=columns,
    )


def _columns(table: Any, rows: slice) -> dict[str, NDArray]:
    return dict(zip(_names(table), table[rows].T.copy(), strict=True))


def _names(table: Any) -> list[str]:
    return [name.decode() for name in table.attrs["cols"]]
