"""Quark and gluon jets as they are bundled."""

import numpy as np
from bundle_columns import Grid, by_rank, log_drop, pack

from sklearn_hepcal.datasets import generate_quark_gluon_jets
from sklearn_hepcal.datasets._packing import wrap_angle
from sklearn_hepcal.datasets._quark_gluon import PDG_IDS

N_JETS, SEED = 6400, 0

GRIDS = {
    "n_particle": Grid(1),
    "quark": Grid(1),
    **{"pt": Grid(0.01), "y": Grid(0.001), "phi": Grid(0.001), "mass": Grid(0.01)},
    **{"pt_hat": Grid(0.1), "parton_pt": Grid(0.1)},
    **{"log_drop": Grid(0.001), "dy": Grid(2e-5), "dphi": Grid(2e-5)},
    "species": Grid(1),
}


def generate(folder, **options):
    path = folder / "quark_gluon.parquet"
    return [generate_quark_gluon_jets(N_JETS, path=path, random_state=SEED, **options)]


def pack_samples(samples):
    (jets,) = samples
    labels = jets.labels
    axis = {name: labels[name][jets.jet_index] for name in ("y", "phi")}
    log_pt = np.log(GRIDS["pt"].round(labels["pt"]))
    of_particles = {
        "log_drop": log_drop(jets, log_pt, GRIDS["log_drop"].step),
        "dy": jets.constituent("y") - axis["y"],
        "dphi": wrap_angle(jets.constituent("phi") - axis["phi"]),
        "species": np.searchsorted(PDG_IDS, jets.constituent("pdgid")),
    }
    columns = {
        "n_particle": jets.counts,
        **labels,
        **{name: by_rank(jets, values) for name, values in of_particles.items()},
    }
    return pack(GRIDS, {"": columns})
