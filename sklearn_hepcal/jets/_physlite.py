"""Jets from the PHYSLITE files of ATLAS."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._chunks import CHUNK_SIZE, Selection
from ._files import PathLike
from ._ftag_columns import Names, to_gev
from ._jets import Jets
from ._root_events import Events, Link
from ._root_format import Format, Place, Tables
from ._root_jets import Cuts, iterate_jets

_SCORE = re.compile(r"^(GN\d|DL1|DIPS|RNNIP|IP[23]D|Xbb)\w*_p[a-z]+$", re.IGNORECASE)
# What stands between the parts of a name in a TTree ("Dyn.link/Dyn.link.index") or an
# RNTuple ("Dyn:link.index"), where a class may hold its base class (":_0").
_SEPARATOR = re.compile(r"[.:]+(_0[.:]+)*")


# Links of jets to objects of other containers, and how these are chosen.
class _LinkTo(NamedTuple):
    branch: str
    argument: str
    class_id: int


_TAGS = _LinkTo("btaggingLink", "b_tagging", 1264356158)
_TRUTH = _LinkTo("GhostTruthAssociationLink", "truth_jets", 1244316195)


def read_physlite(
    path: PathLike | Iterable[PathLike],
    *,
    features: Names = None,
    labels: Names = None,
    start: int | None = None,
    stop: int | None = None,
    pt_min: float | None = None,
    abs_eta_max: float | None = None,
    selection: Selection | None = None,
    jets: str = "AnalysisJets",
    truth_jets: str = "AntiKt4TruthDressedWZJets",
    b_tagging: str = "BTagging_AntiKt4EMPFlow",
    match_radius: float | None = None,
    verbose: int = 0,
) -> Jets:
    """Read jets from DAOD_PHYSLITE files of ATLAS, as TTree or RNTuple.

    The jets of all events follow one another. The truth never becomes an input: it is
    read into labels, and is NaN for jets without a true jet.

    Parameters
    ----------
    path : str, path-like or iterable of them
        A file, a pattern such as ``"ttbar_*.root"`` (files in alphabetical order) or
        several of them.
    features : iterable of str, default=None
        Inputs besides ``pt``, ``eta``, ``phi``, ``mass`` and ``event``, which are
        always read: ``Width`` stands for the branch ``AnalysisJetsAuxDyn.Width``,
        ``GN2v00_pb`` for a probability of the b-tagging object that the jet links to,
        other names for one number an event in ``EventInfoAuxDyn``.
    labels : iterable of str, default=None
        Labels, named as features are. ``pt_truth`` is the branch ``pt`` of the true
        jet that belongs to a jet, ``flavour`` is ``HadronConeExclTruthLabelID``. By
        default, as far as the file has them: ``pt_truth``, ``eta_truth``,
        ``phi_truth`` and ``mass_truth``, other truth of jets, the probabilities of
        flavour taggers that are no features, ``runNumber``, ``eventNumber`` and
        ``mcChannelNumber``.
    start, stop : int, default=None
        The range of events to read, as in a slice, counted over all files.
    pt_min : float, default=None
        Smallest transverse momentum of jets, in GeV.
    abs_eta_max : float, default=None
        Largest absolute pseudorapidity of jets.
    selection : callable, default=None
        Given some jets, it returns a boolean array of shape (n_jets,), True for those
        to keep: ``lambda jets: jets.feature("NNJvtPass") == 1``.
    jets : str, default="AnalysisJets"
        The container of jets, such as ``"AnalysisLargeRJets"``.
    truth_jets : str, default="AntiKt4TruthDressedWZJets"
        The container of true jets.
    b_tagging : str, default="BTagging_AntiKt4EMPFlow"
        The container of b-tagging objects.
    match_radius : float, default=None
        By default, a jet belongs to the true jet of its ``GhostTruthAssociationLink``,
        and without such a branch to one within Delta R < 0.3. A radius given is used
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
        If a file is truncated, corrupt or of another format, it lacks a container or
        a branch, links lead to other containers, or the truth is asked for as an
        input.

    See Also
    --------
    iterate_physlite : Read files larger than memory.
    read_ftag_h5 : Read files of the flavour tagging, with tracks.
    read_nanoaod : Read files of CMS.

    Notes
    -----
    ``event`` numbers the events of all files from 0, whatever ``start``: two jets have
    the same number if and only if they are of the same event, even where numbers of
    simulated events repeat. It depends on the list of files, so jets of two calls
    need an offset before they are joined, or the labels ``runNumber`` and
    ``eventNumber``, which data do not repeat.

    Columns that are momenta, energies or masses by their names are divided by 1000.
    Jets that link to no b-tagging object have NaN probabilities.

    Matches by Delta R are unique: the closest pair of all jets and true jets of an
    event is matched first, then the closest of the others. Jets are matched before
    they are cut.

    References
    ----------
    J. Elmsheuser et al., "Evolution of the ATLAS analysis model for Run-3 and
    prospects for HL-LHC", EPJ Web Conf. 245 (2020) 06014.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import uproot
    >>> from sklearn_hepcal.jets import read_physlite
    >>> jet = {"pt": [[52e3, 31e3], []], "eta": [[0.5, 1.0], []]}
    >>> jet |= {"phi": [[0.0, 2.0], []], "m": [[8e3, 5e3], []]}
    >>> true = {"pt": [[50e3], []], "eta": [[0.4], []], "phi": [[0.1], []]}
    >>> tree = {f"AnalysisJetsAuxDyn:{name}": jet[name] for name in jet}
    >>> for name in true:
    ...     tree[f"AntiKt4TruthDressedWZJetsAux:{name}"] = true[name]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "physlite.root")
    ...     with uproot.recreate(path) as file:
    ...         _ = file.mkrntuple("EventData", tree)
    ...     jets = read_physlite(path)
    >>> jets.feature("pt")
    array([52., 31.])
    >>> jets.labels["pt_truth"]
    array([50., nan])
    """
    chunks = iterate_physlite(
        path,
        features=features,
        labels=labels,
        start=start,
        stop=stop,
        pt_min=pt_min,
        abs_eta_max=abs_eta_max,
        selection=selection,
        jets=jets,
        truth_jets=truth_jets,
        b_tagging=b_tagging,
        match_radius=match_radius,
        verbose=verbose,
    )
    return Jets.concatenate(chunks)


def iterate_physlite(
    path: PathLike | Iterable[PathLike],
    *,
    chunk_size: int = CHUNK_SIZE,
    features: Names = None,
    labels: Names = None,
    start: int | None = None,
    stop: int | None = None,
    pt_min: float | None = None,
    abs_eta_max: float | None = None,
    selection: Selection | None = None,
    jets: str = "AnalysisJets",
    truth_jets: str = "AntiKt4TruthDressedWZJets",
    b_tagging: str = "BTagging_AntiKt4EMPFlow",
    match_radius: float | None = None,
    verbose: int = 0,
) -> Iterator[Jets]:
    """Read DAOD_PHYSLITE files of ATLAS in chunks of events.

    The branches of all files are checked at once; their contents are read one chunk at
    a time, so that memory is bounded by the size of a chunk. The chunks together are
    what `read_physlite` returns.

    Parameters
    ----------
    path : str, path-like or iterable of them
        A file, a pattern or several of them.
    chunk_size : int, default=10_000
        The number of events to read at a time. Chunks are shorter at the end of a file.
    features, labels : iterable of str, default=None
        The columns to read, see `read_physlite`.
    start, stop : int, default=None
        The range of events to read, counted over all files.
    pt_min : float, default=None
        Smallest transverse momentum of jets, in GeV.
    abs_eta_max : float, default=None
        Largest absolute pseudorapidity of jets.
    selection : callable, default=None
        Given the jets of a chunk, it returns a boolean array, True for those to keep.
    jets : str, default="AnalysisJets"
        The container of jets.
    truth_jets : str, default="AntiKt4TruthDressedWZJets"
        The container of true jets.
    b_tagging : str, default="BTagging_AntiKt4EMPFlow"
        The container of b-tagging objects.
    match_radius : float, default=None
        Largest distance of true jets, see `read_physlite`.
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
        If `read_physlite` would refuse a file or an argument.

    See Also
    --------
    read_physlite : Read everything at once.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import uproot
    >>> from sklearn_hepcal.jets import iterate_physlite
    >>> momenta = [[52e3, 31e3], [], [40e3]]
    >>> names = [f"AnalysisJetsAuxDyn:{name}" for name in ("pt", "eta", "phi", "m")]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "physlite.root")
    ...     with uproot.recreate(path) as file:
    ...         _ = file.mkrntuple("EventData", dict.fromkeys(names, momenta))
    ...     for chunk in iterate_physlite(path, chunk_size=2):
    ...         print(chunk.feature("pt"))
    [52. 31.]
    [40.]
    """
    return iterate_jets(
        path,
        PHYSLITE(jets, truth_jets, match_radius, b_tagging),
        (features, labels, (), ()),
        chunk_size=chunk_size,
        start=start,
        stop=stop,
        cuts=Cuts(pt_min, abs_eta_max, selection),
        verbose=verbose,
    )


@dataclass(frozen=True)
class PHYSLITE(Format):
    b_tagging: str

    trees = ("CollectionTree", "EventData")
    separator = "AuxDyn."
    usual_truth = "AntiKt4TruthDressedWZJets"
    aliases: ClassVar = {"mass": "m", "flavour": "HadronConeExclTruthLabelID"}
    numbers = ("runNumber", "eventNumber", "mcChannelNumber")
    # usual in the calibration of anti-kT jets of R = 0.4
    radius = 0.3

    @staticmethod
    def spell(key: str) -> str:
        return _SEPARATOR.sub(".", key)

    def tables(self, branches: Iterable[str]) -> Tables:
        names = {"jets": self.jets, "event": "EventInfo", "truth": self.truth_jets}
        if self._index(_TAGS) in branches:
            names["tags"] = self.b_tagging
        return {
            table: (f"{name}AuxDyn.", f"{name}Aux.") for table, name in names.items()
        }

    def is_score(self, name: str) -> bool:
        return _SCORE.search(name) is not None

    def convert(self, values: NDArray, branch: str) -> NDArray:
        return to_gev(values, branch.rpartition(".")[2])

    def link(self, place: Place, events: Events) -> Link:
        if place.table == "tags":
            return self._follow(_TAGS, self.b_tagging, place.branch, events)
        if self.match_radius is None and self._index(_TRUTH) in events.branches:
            return self._follow(_TRUTH, self.truth_jets, place.branch, events)
        return self.match(events)

    def _index(self, link: _LinkTo) -> str:
        return f"{self.jets}AuxDyn.{link.branch}.m_persIndex"

    # Follow element links: their keys tell the container, 0 that they lead nowhere.
    def _follow(
        self, link: _LinkTo, container: str, branch: str, events: Events
    ) -> Link:
        index = self._index(link)
        key = events.per_jet(index.replace("Index", "Key"))
        if not np.isin(key, (0, container_key(container, link.class_id))).all():
            raise ValueError(
                f"{link.branch} of {self.jets!r} leads to another container than "
                f"{container!r}; name that one by {link.argument}."
            )
        places = np.where(key == 0, -1, events.per_jet(index).astype(np.int64))
        return events.link(places, events.jet_event, branch)


# Return the key that element links have for a container: the last 30 bits of the
# CRC-64 (Jones) of its name and the identifier of its class.
def container_key(name: str, class_id: int) -> int:
    crc = 2**64 - 1
    for byte in name.encode() + class_id.to_bytes(4, "little"):
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x95AC9329AC4BC9B5 if crc & 1 else 0)
    return crc % 2**30
