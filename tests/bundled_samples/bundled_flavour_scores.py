"""Scores of a flavour tagger, of simulated and of mis-modelled jets, as bundled.

The tagger is a deep set, trained on other jets of the simulation.
"""

import numpy as np
from bundle_columns import Grid, pack

from sklearn_hepcal.classification import FlavourTaggerClassifier
from sklearn_hepcal.datasets import generate_flavour_jets
from sklearn_hepcal.datasets._flavour_jets import FLAVOUR
from sklearn_hepcal.metrics import kinematic_weights

SAMPLES = {
    "training": {"n_jets": 24_000, "side": "sim", "random_state": 3},
    "sim": {"n_jets": 104_000, "side": "sim", "random_state": 1},
    "data": {"n_jets": 101_000, "side": "data", "random_state": 2},
}
FLAVOURS = np.array([0, 4, 5])  # light, c, b
GRIDS = {
    **dict.fromkeys(("log_u", "log_b"), Grid(1 / 2048)),
    **{"log_pt": Grid(0.001), "eta": Grid(1 / 128), "flavour": Grid(1)},
}


def generate(folder, **options):
    return [
        generate_flavour_jets(
            **arguments, path=folder / f"flavour_scores_{name}.parquet", **options
        )
        for name, arguments in SAMPLES.items()
    ]


def pack_samples(samples):
    training, *judged = samples
    tagger = train(training)
    return pack_scores(
        {
            side: (
                tagger.predict_proba(jets),
                *jets.features.T,
                np.searchsorted(FLAVOURS, jets.labels[FLAVOUR]),
            )
            for side, jets in zip(("sim", "data"), judged, strict=True)
        }
    )


def train(jets):
    flavour = jets.labels[FLAVOUR]
    momentum = np.column_stack([jets.feature("pt"), np.abs(jets.feature("eta"))])
    tagger = FlavourTaggerClassifier(aux=None, max_epochs=20, random_state=0)
    return tagger.fit(jets, flavour, sample_weight=kinematic_weights(momentum, flavour))


# Of each side: probabilities of light, c and b, pT, eta, and 0 light, 1 c, 2 b.
def pack_scores(sides):
    columns = {}
    for side, (proba, pt, eta, flavour) in sides.items():
        light, c, b = np.log(proba).T
        columns[f"{side}_"] = {
            "log_u": light - c,
            "log_b": b - c,
            "log_pt": np.log(pt),
            "eta": eta,
            "flavour": flavour,
        }
    return pack(GRIDS, columns)
