"""The quark and gluon jets of EnergyFlow, fetched from Zenodo."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import Bunch

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
from ._packing import wrap_angle

_RECORDS = {"pythia": "3164691", "herwig": "3066475"}
_CONSTITUENTS = ("pt", "y", "phi", "pdgid")
_JETS_PER_FILE = 100_000
_N_FILES = 20


def fetch_qg_jets(
    *,
    generator: str = "pythia",
    with_bc: bool = False,
    start: int = 0,
    stop: int | None = 100_000,
    data_home: PathLike | None = None,
    download_if_missing: bool = True,
    verbose: int = 0,
    return_X_y: bool = False,
) -> Bunch | tuple[Jets, NDArray[np.int64]]:
    """Fetch the quark and gluon jets of EnergyFlow from Zenodo.

    Four samples of jets of particles [1]_: of two generators, with and without c and b
    quarks among the quarks. One parton recoils against a Z boson that decays to
    neutrinos; anti-kT jets of radius 0.4 with 500 < pT < 550 GeV and abs(y) < 1.7 from
    proton-proton collisions at 14 TeV, without a detector.

    =================   ==========================================
    Jets                2,000,000 a sample, in files of 100,000
    Features            none
    Constituents        all particles but neutrinos
    Download            about 100 MB a file
    =================   ==========================================

    Parameters
    ----------
    generator : {"pythia", "herwig"}, default="pythia"
        Pythia 8.226 (8.235 with b and c quarks) or Herwig 7.1.4.
    with_bc : bool, default=False
        Whether quarks may be b and c quarks. The samples with and without them are
        independent and should not be mixed.
    start, stop : int, default=0 and 100_000
        The range of jets. Only files that hold some of them are downloaded. None as
        `stop` means all.
    data_home : str or path-like, default=None
        Where downloads are kept, in a folder ``qg_jets``. By default what the
        environment variable ``SKLEARN_HEPCAL_CACHE`` names, or else the user's cache.
    download_if_missing : bool, default=True
        Whether files that are not there may be downloaded.
    verbose : int, default=0
        1 shows a progress bar.
    return_X_y : bool, default=False
        Return ``(data, target)`` instead of a Bunch.

    Returns
    -------
    Bunch or tuple
        The tuple ``(data, target)`` if `return_X_y`, else a Bunch with

        - data : Jets with the label quark (as the target) and, of each particle, pt in
          GeV, y, phi in radians, between -pi and pi even where the jet is cut by this
          boundary, and pdgid;
        - target : ndarray of int of shape (n_jets,), 1 for quark and 0 for gluon jets;
        - target_names : list of str, ``["gluon", "quark"]``;
        - feature_names, constituent_names : lists of str;
        - files : list of str, the files that were read;
        - DESCR : str, a description.

    Raises
    ------
    ConnectionError
        If a download fails; the error tells how to do it by hand.
    FileNotFoundError
        If a file is not there and `download_if_missing` is False.
    ImportError
        If pooch is not installed.
    TypeError
        If `start` or `stop` is not an integer.
    ValueError
        If an argument is out of range, or a file has a wrong checksum.

    See Also
    --------
    load_quark_gluon_jets : Jets after the same recipe that need no download.

    Notes
    -----
    Files are checked against the SHA-256 sums that EnergyFlow publishes; a file put in
    the folder by hand is checked, too. Downloads that break off are continued.

    References
    ----------
    .. [1] P. T. Komiske, E. M. Metodiev, J. Thaler, "Energy Flow Networks: Deep Sets
       for Particle Jets", JHEP 01 (2019) 121, arXiv:1810.05165. Samples:
       doi:10.5281/zenodo.3164691 (Pythia), doi:10.5281/zenodo.3066475 (Herwig).

    Examples
    --------
    >>> from sklearn_hepcal.datasets import fetch_qg_jets
    >>> X, y = fetch_qg_jets(stop=10_000, return_X_y=True)  # doctest: +SKIP
    """
    check_choice(generator, "generator", tuple(_RECORDS))
    check_range(start, stop, _N_FILES * _JETS_PER_FILE)
    first, last, _ = slice(start, stop).indices(_N_FILES * _JETS_PER_FILE)
    files, parts = [], []
    for i in range(first // _JETS_PER_FILE, -(-last // _JETS_PER_FILE)):
        file = _remote_file(generator, with_bc, i)
        files.append(fetch_file(file, data_home, download_if_missing, verbose))
        offset = i * _JETS_PER_FILE
        parts.append(_read(files[-1], max(first - offset, 0), last - offset))
    jets = Jets.concatenate(parts)
    target = jets.labels["quark"].copy()
    if return_X_y:
        return jets, target
    return as_bunch(
        jets, "qg_jets", files, target=target, target_names=["gluon", "quark"]
    )


def _remote_file(generator: str, with_bc: bool, i: int) -> RemoteFile:
    stem = "QG_jets"
    if generator == "herwig":
        stem += "_herwig"
    if with_bc:
        stem += "_withbc"
    # the first file of the oldest sample has no number
    name = "QG_jets.npz" if (stem, i) == ("QG_jets", 0) else f"{stem}_{i}.npz"
    return RemoteFile(
        "qg_jets", f"{ZENODO}/{_RECORDS[generator]}", name, "about 100 MB"
    )


def _read(path: Path, start: int, stop: int) -> Jets:
    with np.load(path) as arrays:
        particles, quark = arrays["X"][start:stop], arrays["y"][start:stop]
    particles[..., 2] = wrap_angle(particles[..., 2])
    return Jets.from_padded(
        particles,
        constituent_names=_CONSTITUENTS,
        labels={"quark": quark.astype(np.int64)},
    )
