"""Public flavour-tagging samples: ATLAS's JetSet and that of salt's tutorial."""

from __future__ import annotations

from numpy.typing import NDArray
from sklearn.utils import Bunch

from ..jets import Jets, read_ftag_h5
from ..jets._files import PathLike
from ._fetch import (
    CERN_OPEN_DATA,
    ZENODO,
    RemoteFile,
    as_bunch,
    check_choice,
    check_range,
    fetch_file,
)

_JETSET_SIZES = {
    "small": "3,055,139,850 bytes",
    "medium": "13,935,881,976 bytes",
    "large": "90,797,951,148 bytes",
}
_SALT_FILES = {
    "train": "pp_output_train.h5",
    "val": "pp_output_val.h5",
    "test": "pp_output_test_ttbar.h5",
}


def fetch_atlas_jetset(
    *,
    size: str = "small",
    start: int = 0,
    stop: int | None = 100_000,
    data_home: PathLike | None = None,
    download_if_missing: bool = True,
    verbose: int = 0,
    return_X_y: bool = False,
) -> Bunch | tuple[Jets, NDArray]:
    """Fetch ATLAS's JetSet, simulated jets with tracks, from CERN Open Data.

    Jets of top-quark pairs at 13.6 TeV in ATLAS's full simulation [1]_, with the tracks
    near each of them, their true flavour, and the scores of ATLAS's taggers GN2 and
    DL1d.

    =================   ==========================================
    Jets                5,619,475 in the small file
    Features            2: pT, eta
    Constituents        up to 40 tracks a jet
    Download            3.1, 13.9 or 90.8 GB
    =================   ==========================================

    Parameters
    ----------
    size : {"small", "medium", "large"}, default="small"
        Which of the three files to take.
    start, stop : int, default=0 and 100_000
        The range of jets to read. None as `stop` means all. The file is downloaded as a
        whole in any case.
    data_home : str or path-like, default=None
        Where downloads are kept, in a folder ``atlas_jetset``. By default what the
        environment variable ``SKLEARN_HEPCAL_CACHE`` names, or else the user's cache.
    download_if_missing : bool, default=True
        Whether a file that is not there may be downloaded.
    verbose : int, default=0
        1 shows a progress bar.
    return_X_y : bool, default=False
        Return ``(data, target)`` instead of a Bunch.

    Returns
    -------
    Bunch or tuple
        The tuple ``(data, target)`` if `return_X_y`, else a Bunch with

        - data : Jets in GeV, with the columns that `sklearn_hepcal.jets.read_ftag_h5`
          chooses by default; scores of taggers are among the labels;
        - target : ndarray of shape (n_jets,), HadronConeExclTruthLabelID: 0 light, 4 c,
          5 b, 15 tau;
        - target_names : list of str, ``["light", "c", "b", "tau"]``;
        - event_id : ndarray of shape (n_jets,), groups for splitting by event;
        - feature_names, constituent_names : lists of str;
        - files : list of str, the file, from which
          `sklearn_hepcal.jets.iterate_ftag_h5` reads other columns and longer ranges
          than memory holds;
        - DESCR : str, a description.

    Raises
    ------
    ConnectionError
        If the download fails; the error tells how to do it by hand.
    FileNotFoundError
        If the file is not there and `download_if_missing` is False.
    ImportError
        If pooch or h5py is not installed.
    TypeError
        If `start` or `stop` is not an integer.
    ValueError
        If an argument is out of range, or the file has a wrong checksum.

    See Also
    --------
    load_flavour_jets : Similar jets that need no download.
    fetch_salt_tutorial : More jets in a parametrised detector.

    Notes
    -----
    The file is checked against the Adler-32 sum that CERN Open Data publishes, once a
    session; a file put in the folder by hand is checked, too. Downloads that break off
    are continued.

    References
    ----------
    .. [1] ATLAS collaboration, "ATLAS ttbar simulation for ML-based jet flavour tagging
       (JetSet)", CERN Open Data Portal, 2025, doi:10.7483/OPENDATA.ATLAS.QG8W.TO8P.

    Examples
    --------
    >>> from sklearn_hepcal.datasets import fetch_atlas_jetset
    >>> X, y = fetch_atlas_jetset(stop=10_000, return_X_y=True)  # doctest: +SKIP
    """
    check_choice(size, "size", tuple(_JETSET_SIZES))
    check_range(start, stop)
    file = RemoteFile(
        "atlas_jetset",
        f"{CERN_OPEN_DATA}/93940",
        f"mc-flavtag-ttbar-{size}.h5",
        _JETSET_SIZES[size],
    )
    path = fetch_file(file, data_home, download_if_missing, verbose)
    jets = read_ftag_h5(path, start=start, stop=stop, unit="MeV", verbose=verbose)
    target = jets.labels["HadronConeExclTruthLabelID"].copy()
    if return_X_y:
        return jets, target
    return as_bunch(
        jets,
        "atlas_jetset",
        [path],
        target=target,
        target_names=["light", "c", "b", "tau"],
        event_id=jets.labels["eventNumber"].copy(),
    )


def fetch_salt_tutorial(
    *,
    split: str = "train",
    start: int = 0,
    stop: int | None = 100_000,
    data_home: PathLike | None = None,
    download_if_missing: bool = True,
    verbose: int = 0,
    return_X_y: bool = False,
) -> Bunch | tuple[Jets, NDArray]:
    """Fetch the flavour-tagging sample of salt's tutorial from Zenodo.

    Jets of top-quark pairs at 13 TeV, of Pythia 8 and a Delphes simulation of a
    detector like ATLAS, with 50 additional collisions on average [1]_, [2]_. As many b
    as c as light jets; in training and validation they have the same spectra of pT and
    eta.

    =================   ==============================================
    Jets                13.5 million (train), 1.35 million (val, test)
    Features            2: pT, eta
    Constituents        up to 50 charged particles a jet
    Download            28 GB for the three files together
    =================   ==============================================

    Parameters
    ----------
    split : {"train", "val", "test"}, default="train"
        Which of the three files to take.
    start, stop : int, default=0 and 100_000
        The range of jets to read. None as `stop` means all. The file is downloaded as a
        whole in any case.
    data_home : str or path-like, default=None
        Where downloads are kept, in a folder ``salt_tutorial``. By default what the
        environment variable ``SKLEARN_HEPCAL_CACHE`` names, or else the user's cache.
    download_if_missing : bool, default=True
        Whether a file that is not there may be downloaded.
    verbose : int, default=0
        1 shows a progress bar.
    return_X_y : bool, default=False
        Return ``(data, target)`` instead of a Bunch.

    Returns
    -------
    Bunch or tuple
        The tuple ``(data, target)`` if `return_X_y`, else a Bunch with

        - data : Jets in GeV, with the columns that `sklearn_hepcal.jets.read_ftag_h5`
          chooses by default from the tables ``jets`` and ``consts``;
        - target : ndarray of shape (n_jets,), flavour: 0 light, 4 c, 5 b;
        - target_names : list of str, ``["light", "c", "b"]``;
        - feature_names, constituent_names : lists of str;
        - files : list of str, the file, from which
          `sklearn_hepcal.jets.iterate_ftag_h5`, with ``tracks_group="consts"``, reads
          other columns and longer ranges than memory holds;
        - DESCR : str, a description.

    Raises
    ------
    ConnectionError
        If the download fails; the error tells how to do it by hand.
    FileNotFoundError
        If the file is not there and `download_if_missing` is False.
    ImportError
        If pooch or h5py is not installed.
    TypeError
        If `start` or `stop` is not an integer.
    ValueError
        If an argument is out of range, or the file has changed since it came.

    See Also
    --------
    load_flavour_jets : Similar jets that need no download.
    fetch_atlas_jetset : Jets in ATLAS's full simulation.

    Notes
    -----
    No published checksum is known here. The SHA-256 sum of a file is noted beside it
    when it is first there, whether downloaded or put in the folder by hand, and checked
    from then on, once a session. Downloads that break off are continued.

    References
    ----------
    .. [1] "Top quark pair events for heavy flavour tagging and vertexing at the LHC",
       Zenodo, 2023, doi:10.5281/zenodo.10371998.
    .. [2] S. Van Stroud et al., "Secondary vertex reconstruction with MaskFormers",
       Eur. Phys. J. C 84 (2024) 1020, arXiv:2312.12272.

    Examples
    --------
    >>> from sklearn_hepcal.datasets import fetch_salt_tutorial
    >>> X, y = fetch_salt_tutorial(split="val", return_X_y=True)  # doctest: +SKIP
    """
    check_choice(split, "split", tuple(_SALT_FILES))
    check_range(start, stop)
    file = RemoteFile(
        "salt_tutorial",
        f"{ZENODO}/10371998",
        _SALT_FILES[split],
        "one of three files of 28 GB together",
    )
    path = fetch_file(file, data_home, download_if_missing, verbose)
    jets = read_ftag_h5(
        path, start=start, stop=stop, tracks_group="consts", verbose=verbose
    )
    target = jets.labels["flavour"].copy()
    if return_X_y:
        return jets, target
    return as_bunch(
        jets,
        "salt_tutorial",
        [path],
        target=target,
        target_names=["light", "c", "b"],
    )
