"""Jets from the NanoAOD files of CMS."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from numbers import Integral
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_scalar

from ._chunks import CHUNK_SIZE, Selection
from ._files import PathLike
from ._ftag_columns import Names
from ._jets import Jets
from ._root_events import Events, Link
from ._root_format import Format, Place, Tables
from ._root_jets import Cuts, iterate_jets

# Tables of candidates of several versions, and the index that leads to them.
_CANDIDATES = {
    "PFCands": ("pFCandsIdx", "candIdx"),
    "PFCand": ("pfCandIdx", "PFCandIdx"),
}

_SCORE = re.compile(r"^(btag|particleNet|globalParT|deepTag)")


def read_nanoaod(
    path: PathLike | Iterable[PathLike],
    *,
    features: Names = None,
    constituents: Names = None,
    labels: Names = None,
    constituent_labels: Names = None,
    start: int | None = None,
    stop: int | None = None,
    pt_min: float | None = None,
    abs_eta_max: float | None = None,
    jet_id: int | None = None,
    selection: Selection | None = None,
    jets: str = "Jet",
    truth_jets: str = "GenJet",
    match_radius: float | None = None,
    verbose: int = 0,
) -> Jets:
    """Read jets from NanoAOD files of CMS, as TTree or RNTuple.

    The jets of all events follow one another. The truth never becomes an input: it is
    read into labels, and is NaN for jets without a generated jet.

    Parameters
    ----------
    path : str, path-like or iterable of them
        A file, a pattern such as ``"ttbar_*.root"`` (files in alphabetical order) or
        several of them.
    features : iterable of str, default=None
        Inputs besides ``pt``, ``eta``, ``phi``, ``mass`` and ``event``, which are
        always read: ``btagDeepFlavB`` stands for the branch ``Jet_btagDeepFlavB``,
        names without such a branch for one number an event, such as ``PV_npvs``.
    constituents : iterable of str, default=None
        Columns of the particle-flow candidates of PFNano files, such as ``charge``. By
        default ``pt``, ``eta``, ``phi`` and ``mass`` if the file has candidates.
    labels : iterable of str, default=None
        Labels, named as features are. ``pt_truth`` is the branch ``pt`` of the
        generated jet that belongs to a jet, ``flavour`` is ``hadronFlavour``. By
        default, as far as the file has them: ``pt_truth``, ``eta_truth``,
        ``phi_truth`` and ``mass_truth``, the flavours of jets, the scores of taggers
        that are no features, ``run``, ``luminosityBlock`` and ``eventNumber``.
    constituent_labels : iterable of str, default=None
        Columns of the candidates that are labels; by default none.
    start, stop : int, default=None
        The range of events to read, as in a slice, counted over all files.
    pt_min : float, default=None
        Smallest transverse momentum of jets, in GeV.
    abs_eta_max : float, default=None
        Largest absolute pseudorapidity of jets.
    jet_id : int, default=None
        Bits that ``Jet_jetId`` must have: 2 for tight jets, 6 for those that pass the
        veto of leptons too.
    selection : callable, default=None
        Given some jets, it returns a boolean array of shape (n_jets,), True for those
        to keep: ``lambda jets: jets.feature("btagDeepFlavB") > 0.3``.
    jets : str, default="Jet"
        The collection of jets, such as ``"FatJet"``.
    truth_jets : str, default="GenJet"
        The collection of generated jets, such as ``"GenJetAK8"``.
    match_radius : float, default=None
        By default, a jet belongs to the generated jet of the index ``Jet_genJetIdx``,
        and without such a branch to one within Delta R < 0.4. A radius given is used
        in any case.
    verbose : int, default=0
        1 shows a progress bar.

    Returns
    -------
    Jets
        Jets in GeV and radians. Features are float64, as ``event`` needs it.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ImportError
        If uproot or awkward are not installed.
    TypeError
        If `selection` cannot be called, or a cut is no number.
    ValueError
        If a file is truncated, corrupt or of another format, it lacks a collection or
        a branch, or the truth is asked for as an input.

    See Also
    --------
    iterate_nanoaod : Read files larger than memory.
    read_physlite : Read files of ATLAS.

    Notes
    -----
    ``event`` numbers the events of all files from 0, whatever ``start``: two jets have
    the same number if and only if they are of the same event, even where numbers of
    simulated events repeat. It depends on the list of files, so jets of two calls
    need an offset before they are joined, or the labels ``run``,
    ``luminosityBlock`` and ``eventNumber``, which data do not repeat.

    Matches by Delta R are unique: the closest pair of all jets and generated jets of
    an event is matched first, then the closest of the others. Jets are matched before
    they are cut.

    References
    ----------
    A. Rizzi, G. Petrucciani, M. Peruzzi, "A further reduction in CMS event data for
    analysis: the NANOAOD format", EPJ Web Conf. 214 (2019) 06021.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import awkward as ak
    >>> import uproot
    >>> from sklearn_hepcal.jets import read_nanoaod
    >>> jet = {"pt": [[52.0, 31.0], [], [40.0]], "genJetIdx": [[1, -1], [], [0]]}
    >>> zeros = ak.zeros_like(ak.Array(jet["pt"]))
    >>> jet |= {"eta": zeros, "phi": zeros, "mass": zeros}
    >>> gen_jet = {"pt": [[20.0, 50.0], [], [44.0]]}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "nano.root")
    ...     with uproot.recreate(path) as file:
    ...         tree = {"Jet": ak.zip(jet), "GenJet": ak.zip(gen_jet)}
    ...         _ = file.mktree("Events", tree)
    ...     jets = read_nanoaod(path)
    >>> jets.feature("event")
    array([0., 0., 2.])
    >>> jets.labels["pt_truth"]
    array([50., nan, 44.])
    """
    chunks = iterate_nanoaod(
        path,
        features=features,
        constituents=constituents,
        labels=labels,
        constituent_labels=constituent_labels,
        start=start,
        stop=stop,
        pt_min=pt_min,
        abs_eta_max=abs_eta_max,
        jet_id=jet_id,
        selection=selection,
        jets=jets,
        truth_jets=truth_jets,
        match_radius=match_radius,
        verbose=verbose,
    )
    return Jets.concatenate(chunks)


def iterate_nanoaod(
    path: PathLike | Iterable[PathLike],
    *,
    chunk_size: int = CHUNK_SIZE,
    features: Names = None,
    constituents: Names = None,
    labels: Names = None,
    constituent_labels: Names = None,
    start: int | None = None,
    stop: int | None = None,
    pt_min: float | None = None,
    abs_eta_max: float | None = None,
    jet_id: int | None = None,
    selection: Selection | None = None,
    jets: str = "Jet",
    truth_jets: str = "GenJet",
    match_radius: float | None = None,
    verbose: int = 0,
) -> Iterator[Jets]:
    """Read NanoAOD files of CMS in chunks of events.

    The branches of all files are checked at once; their contents are read one chunk at
    a time, so that memory is bounded by the size of a chunk. The chunks together are
    what `read_nanoaod` returns.

    Parameters
    ----------
    path : str, path-like or iterable of them
        A file, a pattern or several of them.
    chunk_size : int, default=10_000
        The number of events to read at a time. Chunks are shorter at the end of a file.
    features, constituents, labels, constituent_labels : iterable of str, default=None
        The columns to read, see `read_nanoaod`.
    start, stop : int, default=None
        The range of events to read, counted over all files.
    pt_min : float, default=None
        Smallest transverse momentum of jets, in GeV.
    abs_eta_max : float, default=None
        Largest absolute pseudorapidity of jets.
    jet_id : int, default=None
        Bits that ``Jet_jetId`` must have.
    selection : callable, default=None
        Given the jets of a chunk, it returns a boolean array, True for those to keep.
    jets : str, default="Jet"
        The collection of jets.
    truth_jets : str, default="GenJet"
        The collection of generated jets.
    match_radius : float, default=None
        Largest distance of generated jets, see `read_nanoaod`.
    verbose : int, default=0
        1 shows a progress bar.

    Returns
    -------
    iterator of Jets
        Jets in GeV and radians, at least one chunk: it is empty where there are no
        jets to read.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ImportError
        If uproot or awkward are not installed.
    TypeError
        If `selection` cannot be called, or a cut is no number.
    ValueError
        If `read_nanoaod` would refuse a file or an argument.

    See Also
    --------
    read_nanoaod : Read everything at once.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import uproot
    >>> from sklearn_hepcal.jets import iterate_nanoaod
    >>> jet = {f"Jet_{name}": [[52.0, 31.0], [], [40.0]] for name in ("pt", "eta")}
    >>> jet |= {f"Jet_{name}": [[0.1, 0.2], [], [0.3]] for name in ("phi", "mass")}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "nano.root")
    ...     with uproot.recreate(path) as file:
    ...         _ = file.mkrntuple("Events", jet)
    ...     for chunk in iterate_nanoaod(path, chunk_size=2):
    ...         print(chunk.feature("pt"))
    [52. 31.]
    [40.]
    """
    return iterate_jets(
        path,
        NanoAOD(jets, truth_jets, match_radius, jet_id),
        (features, labels, constituents, constituent_labels),
        chunk_size=chunk_size,
        start=start,
        stop=stop,
        cuts=Cuts(pt_min, abs_eta_max, selection),
        verbose=verbose,
    )


@dataclass(frozen=True)
class NanoAOD(Format):
    jet_id: int | None

    trees = ("Events",)
    separator = "_"
    usual_truth = "GenJet"
    aliases: ClassVar = {"flavour": "hadronFlavour", "eventNumber": "event"}
    numbers = ("run", "luminosityBlock", "eventNumber")
    # that of the collaboration's own matching of anti-kT jets of R = 0.4
    radius = 0.4

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.jet_id is not None:
            check_scalar(self.jet_id, "jet_id", Integral, min_val=0)

    @staticmethod
    def spell(key: str) -> str:
        # RNTuples may keep jets as records
        return key.replace(".", "_")

    def tables(self, branches: Iterable[str]) -> Tables:
        return {
            "jets": (f"{self.jets}_",),
            "event": ("",),
            "truth": (f"{self.truth_jets}_",),
        }

    def is_score(self, name: str) -> bool:
        return _SCORE.search(name) is not None

    def passes(self, events: Events) -> NDArray[np.bool_]:
        if self.jet_id is None:
            return super().passes(events)
        bits = events.per_jet(f"{self.jets}_jetId").astype(np.int64)
        return bits & self.jet_id == self.jet_id

    def link(self, place: Place, events: Events) -> Link:
        truth = self.truth_jets
        index = f"{self.jets}_{truth[:1].lower()}{truth[1:]}Idx"
        if self.match_radius is None and index in events.branches:
            return events.link(events.per_jet(index), events.jet_event, place.branch)
        return self.match(events)

    def parts(self, branches: Iterable[str]) -> Tables:
        candidates, _ = self._candidates(branches)
        if not candidates:
            return {}
        return {
            "candidates": (f"{candidates}_",),
            "pairs": (f"{self.jets}{candidates}_",),
        }

    def find_parts(self, events: Events) -> tuple[NDArray[np.int64], dict[str, Link]]:
        candidates, index = self._candidates(events.branches)
        pairs = f"{self.jets}{candidates}_"
        offsets = events.offsets(f"{pairs}jetIdx")

        def follow(branch: str, table: str) -> Link:
            places = events.column(pairs + branch, offsets)
            return events.link(places, events.event_of(offsets), f"{table}_pt")

        jet, candidate = follow("jetIdx", self.jets), follow(index, candidates)
        links = {
            "candidates": candidate,
            "pairs": Link(np.arange(offsets[-1]), offsets),
        }
        return np.where(candidate.rows < 0, -1, jet.rows), links

    # Return the table of candidates and the index that leads to it, "" without one.
    def _candidates(self, branches: Iterable[str]) -> tuple[str, str]:
        for candidates, indices in _CANDIDATES.items():
            for index in indices:
                if f"{self.jets}{candidates}_{index}" in branches:
                    return candidates, index
        return "", ""
