"""Jets from the events of ROOT files, in chunks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from numbers import Real
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_scalar
from tqdm.auto import tqdm

from ._chunks import Selection, check_chunks, find_ranges, select, stack_columns
from ._files import PathLike, find_files
from ._ftag_columns import Names, as_list
from ._jets import Jets
from ._ragged import counts_to_offsets
from ._root_events import Events
from ._root_file import Tree, opened
from ._root_format import OWN_TABLES, Format, Layout, Place, choose_names, find_layout


# One file, after its layout was found to be as expected.
class Source(NamedTuple):
    path: Path
    n_rows: int  # events
    first_event: int
    layout: Layout


# Which jets to keep, None for all.
class Cuts(NamedTuple):
    pt_min: float | None
    abs_eta_max: float | None
    selection: Selection | None


def iterate_jets(
    path: PathLike | Iterable[PathLike],
    form: Format,
    asked: tuple[Names, Names, Names, Names],
    *,
    chunk_size: int,
    start: int | None,
    stop: int | None,
    cuts: Cuts,
    verbose: int,
) -> Iterator[Jets]:
    check_chunks(chunk_size, cuts.selection)
    for name in ("pt_min", "abs_eta_max"):
        value = getattr(cuts, name)
        if value is not None:
            check_scalar(value, name, Real)
    files = find_files(path)
    names: dict[str, list[str]] = {}
    sources: list[Source] = []
    first_event = 0
    for file in files:
        with opened(file, form.trees, form.spell) as tree:
            # the first file decides what is read by default
            names = names or choose_names(tree, form, *map(as_list, asked))
            layout = find_layout(tree, form, names)
            sources.append(Source(file, tree.n_events, first_event, layout))
            first_event += tree.n_events
    ranges = find_ranges(sources, start, stop)
    return _stream(ranges, form, chunk_size, cuts, verbose)


def _stream(
    ranges: list[tuple[Source, int, int]],
    form: Format,
    chunk_size: int,
    cuts: Cuts,
    verbose: int,
) -> Iterator[Jets]:
    total = sum(high - low for _, low, high in ranges)
    with tqdm(total=total, unit="event", disable=not verbose) as bar:
        for source, low, high in ranges:
            bar.set_postfix_str(source.path.name)
            with opened(source.path, form.trees, form.spell) as tree:
                # an empty range is one chunk
                for first in range(low, max(high, low + 1), chunk_size):
                    last = min(first + chunk_size, high)
                    chunk = _read_jets(tree, first, last, source, form, cuts)
                    bar.update(last - first)
                    yield select(chunk, cuts.selection)


def _read_jets(
    tree: Tree, start: int, stop: int, source: Source, form: Format, cuts: Cuts
) -> Jets:
    layout = source.layout
    events = Events(tree, start, stop, layout.features["pt"].branch)
    rows = _find_rows(events, layout, form, cuts)
    places = (*layout.features.values(), *layout.labels.values())
    others = {place.table: place for place in places if place.table not in OWN_TABLES}
    links = {table: form.link(place, events) for table, place in others.items()}

    def read(place: Place) -> NDArray:
        if not place.table:
            return (events.jet_event + start + source.first_event)[rows]
        if place.table in links:
            link = links[place.table]
            values = take(events.column(place.branch, link.offsets), link.rows[rows])
        else:
            values = events.per_jet(place.branch)[rows]
        return form.convert(values, place.branch)

    parts: dict[str, Any] = {}
    if layout.constituents or layout.constituent_labels:
        parts = _read_parts(events, rows, layout, form)
    features = [read(place) for place in layout.features.values()]
    return Jets(
        features=stack_columns(features, rows.size),
        feature_names=list(layout.features),
        labels={name: read(place) for name, place in layout.labels.items()},
        **parts,
    )


# Return the rows of the jets that pass the cuts.
def _find_rows(
    events: Events, layout: Layout, form: Format, cuts: Cuts
) -> NDArray[np.int64]:
    keep = form.passes(events)
    if cuts.pt_min is not None:
        branch = layout.features["pt"].branch
        keep &= form.convert(events.per_jet(branch), branch) >= cuts.pt_min
    if cuts.abs_eta_max is not None:
        eta = events.per_jet(layout.features["eta"].branch)
        keep &= np.abs(eta) <= cuts.abs_eta_max
    return np.flatnonzero(keep)


# Read the constituents of some jets.
def _read_parts(
    events: Events, rows: NDArray[np.int64], layout: Layout, form: Format
) -> dict[str, Any]:
    jet, links = form.find_parts(events)
    position = np.full(events.jet_event.size + 1, -1)
    position[rows] = np.arange(rows.size)
    # -1, which is no jet, picks the last place
    new = position[jet]
    order = np.argsort(new, kind="stable")[np.count_nonzero(new < 0) :]

    def read(place: Place) -> NDArray:
        link = links[place.table]
        values = events.column(place.branch, link.offsets)[link.rows[order]]
        return form.convert(values, place.branch)

    columns = [read(place) for place in layout.constituents.values()]
    return {
        "constituents": stack_columns(columns, order.size),
        "constituent_names": list(layout.constituents),
        "constituent_labels": {
            name: read(place) for name, place in layout.constituent_labels.items()
        },
        "offsets": counts_to_offsets(np.bincount(new[order], minlength=rows.size)),
    }


# Return some rows of a table, NaN for row -1.
def take(values: NDArray, rows: NDArray[np.int64]) -> NDArray[np.floating]:
    dtype = values.dtype if values.dtype.kind == "f" else np.dtype(np.float64)
    taken = np.full(rows.size, np.nan, dtype=dtype)
    found = rows >= 0
    taken[found] = values[rows[found]]
    return taken
