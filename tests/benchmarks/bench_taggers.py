"""Flavour taggers, cross-validated by event, against the sum of impact parameters.

    SKLEARN_HEPCAL_DATA=FOLDER python tests/benchmarks/bench_taggers.py --seeds 0 1 2

Reads FOLDER/flavour_sim.h5 and FOLDER/flavour_sim2.h5. The taggers are trained with
all flavours weighted to the spectrum and number of c jets; each jet is judged by the
fold that was not trained on it, with a cut of its own fold. The reference is untrained:
the sum over the tracks of the significance of d0, clipped. Errors of rejections are
statistical ones of the judged jets; taggers share the jets, so that ratios are known
better, for which there is a bootstrap over events.

Origins: part of the tracks whose origin is right (most are primary). Pairs: of those
of two tracks in b and c jets, both primary, or one primary and the other from heavy
flavour, the part for which it is right whether they share a vertex, and what it is
above the larger of the parts of the two kinds.
"""

from _timing import Table, cpu_seconds

# isort: split
import argparse
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold

from sklearn_hepcal.classification import FlavourTaggerClassifier
from sklearn_hepcal.jets import Jets, read_ftag_h5
from sklearn_hepcal.metrics import kinematic_weights, working_point_cuts

FILES = ("flavour_sim.h5", "flavour_sim2.h5")
EFFICIENCIES = (0.70, 0.77, 0.85)
B, BACKGROUNDS = 5, {"c": 4, "light": 0}
# Significances beyond this count as this much; found best by a scan.
CLIP = (-2.0, 10.0)
TAGGERS = (
    "deepsets",
    "deepsets+aux",
    "rnn",
    "gnn",
    "gnn+aux",
    "transformer",
    "transformer+aux",
)
# With 27,000 jets to train on, attention wants a short training.
SHORT = {"dropout": 0.2, "max_epochs": 8}
SETTINGS = {"gnn": SHORT, "transformer": SHORT}
N_FOLDS = 3
N_REPLICAS = 400


class Sample(NamedTuple):
    jets: Jets
    flavour: NDArray
    event: NDArray
    fold: NDArray


def load(folder: Path, seed: int) -> Sample:
    """Both files as one sample, in folds of whole events."""
    parts = [read_ftag_h5(folder / name) for name in FILES]
    # Numbers of events begin anew in each file.
    events = [jets.labels["eventNumber"] + i * 10**6 for i, jets in enumerate(parts)]
    jets, event = Jets.concatenate(parts), np.concatenate(events)
    fold = np.empty(len(jets), dtype=int)
    folds = GroupKFold(N_FOLDS, shuffle=True, random_state=seed)
    for k, (_, test) in enumerate(folds.split(event, groups=event)):
        fold[test] = k
    return Sample(jets, jets.labels["HadronConeExclTruthLabelID"], event, fold)


def impact_parameters(jets: Jets) -> NDArray:
    """The untrained reference."""
    significance = jets.constituent("signed_d0_significance").clip(*CLIP)
    return np.bincount(jets.jet_index, significance, minlength=len(jets))


def track_scores(tagger: FlavourTaggerClassifier, jets: Jets) -> NDArray:
    """Right and all tracks; right, primary and all pairs."""
    origin, vertex = (
        jets.replace(
            constituents=jets.constituent_labels[name][:, None], constituent_names=["x"]
        ).to_padded(fill_value=-1)[0][:, :, 0]
        for name in ("ftagTruthOriginLabel", "ftagTruthVertexIndex")
    )
    filled = origin >= 0
    right = (tagger.predict_origin(jets) == origin)[filled]
    found = tagger.predict_vertices(jets)
    primary, heavy = origin == 2, np.isin(origin, (3, 4, 5))
    heavy_jets = np.isin(jets.labels["HadronConeExclTruthLabelID"], (4, 5))
    upper = np.triu(np.ones((origin.shape[1],) * 2, dtype=bool), 1)
    counts = np.zeros(3)
    for rows in np.array_split(np.flatnonzero(heavy_jets), 20):
        p, h = primary[rows], heavy[rows]
        both = p[:, :, None] & p[:, None] & upper
        mixed = (p[:, :, None] & h[:, None] | h[:, :, None] & p[:, None]) & upper
        same, said = (
            labels[rows][:, :, None] == labels[rows][:, None]
            for labels in (vertex, found)
        )
        used = both | mixed
        counts += (same == said)[used].sum(), both.sum(), used.sum()
    return np.array([right.sum(), len(right), *counts])


def cross_predict(
    sample: Sample, tagger: FlavourTaggerClassifier
) -> tuple[NDArray, NDArray, float]:
    """Discriminants by folds, sums of `track_scores`, seconds an epoch."""
    scores, seconds, epochs = np.empty(len(sample.jets)), 0.0, 0
    tracks = np.zeros(5)
    kinematics = np.column_stack(
        [sample.jets.feature("pt"), np.abs(sample.jets.feature("eta"))]
    )
    for k in range(N_FOLDS):
        train, test = sample.fold != k, sample.fold == k
        weight = kinematic_weights(
            kinematics[train], sample.flavour[train], target=4, bins=[15, 4]
        )
        _, spent = cpu_seconds(
            lambda train=train, weight=weight: tagger.fit(
                sample.jets[train], sample.flavour[train], weight
            )
        )
        seconds, epochs = seconds + spent, epochs + tagger.n_iter_
        scores[test] = tagger.decision_function(sample.jets[test])
        if tagger.aux:
            tracks += track_scores(tagger, sample.jets[test])
    return scores, tracks, seconds / epochs


def passing(sample: Sample, scores: NDArray, background: int) -> NDArray:
    """Which background jets pass the cuts of their folds."""
    passed = np.zeros((len(scores), len(EFFICIENCIES)), dtype=bool)
    for k in range(N_FOLDS):
        judged = sample.fold == k
        signal = scores[judged & (sample.flavour == B)]
        cuts = working_point_cuts(signal, EFFICIENCIES)
        passed[judged] = scores[judged, None] >= cuts
    return passed[sample.flavour == background]


def rejections(sample: Sample, scores: NDArray) -> list[str]:
    """Rejections with their counting errors."""
    cells = []
    for background in BACKGROUNDS.values():
        passed = passing(sample, scores, background)
        value = len(passed) / passed.sum(axis=0)
        error = value / np.sqrt(passed.sum(axis=0))
        cells += [f"{v:.1f}({e:.1f})" for v, e in zip(value, error, strict=True)]
    return cells


def gains(sample: Sample, scores: NDArray, reference: NDArray) -> list[str]:
    """Ratios of rejections, with errors from replicas of the background's events."""
    cells = []
    rng = np.random.default_rng(0)
    for background in BACKGROUNDS.values():
        both = np.hstack(
            [
                passing(sample, reference, background),
                passing(sample, scores, background),
            ]
        )
        _, event = np.unique(
            sample.event[sample.flavour == background], return_inverse=True
        )
        by_event = np.stack([np.bincount(event, column) for column in both.T], axis=1)
        drawn = rng.multinomial(
            len(by_event), np.full(len(by_event), 1 / len(by_event)), N_REPLICAS
        )
        n = len(EFFICIENCIES)
        replicas = drawn @ by_event
        error = np.std(np.log(replicas[:, :n] / replicas[:, n:]), axis=0)
        value = both[:, :n].sum(axis=0) / both[:, n:].sum(axis=0)
        cells += [f"{v:.2f}({v * e:.2f})" for v, e in zip(value, error, strict=True)]
    return cells


def track_cells(tracks: NDArray) -> list[str]:
    """Accuracy of origins, and that of pairs with what it is above the majority."""
    right, n_tracks, right_pairs, primary, n_pairs = tracks
    if not n_tracks:
        return ["", ""]
    accuracy, part = right_pairs / n_pairs, primary / n_pairs
    above = accuracy - max(part, 1 - part)
    return [f"{right / n_tracks:.4f}", f"{accuracy:.3f}, +{above:.3f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument(
        "--taggers",
        nargs="+",
        default=list(TAGGERS),
        help="backbones, with +aux for the auxiliary tasks",
    )
    args = parser.parse_args()
    folder = Path(os.environ["SKLEARN_HEPCAL_DATA"])
    names = [f"{b} {int(100 * e)} %" for b in BACKGROUNDS for e in EFFICIENCIES]
    table = Table(
        "Rejections, and their ratios to those of the reference above",
        "seed | tagger         | s/epoch | origins | pairs       |"
        + " | ".join(f"{n:13}" for n in names),
    )
    for seed in args.seeds:
        sample = load(folder, seed)
        plain = impact_parameters(sample.jets)
        table.row(str(seed), "sum of S_d0", "", "", "", *rejections(sample, plain))
        done = {"": plain}
        for name in args.taggers:
            backbone, _, aux = name.partition("+")
            tagger = FlavourTaggerClassifier(
                backbone,
                aux=("origin", "vertex") if aux else None,
                class_weight="balanced",
                random_state=seed,
                **SETTINGS.get(backbone, {}),
            )
            scores, tracks, seconds = cross_predict(sample, tagger)
            cells = [*track_cells(tracks), *rejections(sample, scores)]
            table.row(str(seed), name, f"{seconds:.2f}", *cells)
            table.row("", "  / S_d0", "", "", "", *gains(sample, scores, plain))
            if aux and backbone in done:
                cells = gains(sample, scores, done[backbone])
                table.row("", f"  / {backbone}", "", "", "", *cells)
            done[name] = scores


if __name__ == "__main__":
    main()
