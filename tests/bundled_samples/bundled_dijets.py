"""Dijets as they are bundled."""

import numpy as np
from bundle_columns import Grid, by_rank, log_drop, pack

from sklearn_hepcal.datasets import generate_dijets
from sklearn_hepcal.datasets._calorimeter import Calorimeter
from sklearn_hepcal.datasets._dijets import CALORIMETER

N_EVENTS = {"sim": 5400, "data": 2700}
SEEDS = {"sim": 0, "data": 1}

_SHARE = Grid(1 / 256)
_FINE_SHARE = Grid(1 / 1024)
GRIDS = {
    **{"log_weight": Grid(0.01), "mu": Grid(0.25), "npv": Grid(1)},
    "log_jet3_pt": Grid(0.005),
    **dict.fromkeys(("log_pt", "eta", "phi", "log_mass"), Grid(0.001)),
    **dict.fromkeys(("log_truth_pt", "log_truth_mass"), Grid(0.001)),
    "parton": Grid(1),
    **dict.fromkeys(("f_em12", "f_em3", "f_tile0", "f_tile1"), _SHARE),
    **{"f_tile2": _FINE_SHARE, "f_charged": Grid(1 / 128), "n_track": Grid(1)},
    **{"w_track": _FINE_SHARE, "lead_track_frac": _SHARE},
    **{"n90": Grid(1), "n_segments": Grid(1), "w_calo": _FINE_SHARE},
    "n_tower": Grid(1),
    **{"tower_log_drop": Grid(0.01), "tower_eta": Grid(1), "tower_phi": Grid(1)},
    "tower_em_fraction": Grid(1 / 51),
}


def generate(folder, **options):
    return [
        generate_dijets(
            n_events,
            side=side,
            path=folder / f"dijets_{side}.parquet",
            random_state=SEEDS[side],
            **options,
        )
        for side, n_events in N_EVENTS.items()
    ]


def pack_samples(samples):
    sides = zip(N_EVENTS, samples, strict=True)
    return pack(GRIDS, {f"{side}_": _columns(jets) for side, jets in sides})


def _columns(jets):
    labels = jets.labels
    log_pt = np.log(jets.feature("pt"))
    step = GRIDS["tower_log_drop"].step
    of_towers = {
        "tower_log_drop": log_drop(jets, GRIDS["log_pt"].round(log_pt), step),
        **_find_cells(jets),
        "tower_em_fraction": jets.constituent("em_fraction"),
    }
    return {
        "log_weight": np.log(labels["weight"][::2]),
        "mu": jets.feature("mu")[::2],
        "npv": jets.feature("npv")[::2],
        "log_jet3_pt": np.log1p(labels["jet3_pt"][::2]),
        "log_pt": log_pt,
        "eta": jets.feature("eta"),
        "phi": jets.feature("phi"),
        "log_mass": np.log1p(jets.feature("mass")),
        "log_truth_pt": np.log(labels["truth_pt"]),
        "log_truth_mass": np.log1p(labels["truth_mass"]),
        "parton": labels["parton"],
        **{name: jets.feature(name) for name in CALORIMETER},
        **{name: by_rank(jets, values) for name, values in of_towers.items()},
    }


# Return the cell of the leading tower of every jet, and the others relative to it.
def _find_cells(jets):
    calorimeter = Calorimeter()
    eta, phi = calorimeter.find(jets.constituent("eta"), jets.constituent("phi"))
    first = jets.offsets[:-1]
    deta, dphi = (cell - cell[first][jets.jet_index] for cell in (eta, phi))
    half = calorimeter.n_phi // 2
    dphi = (dphi + half) % calorimeter.n_phi - half
    deta[first], dphi[first] = eta[first], phi[first]
    return {"tower_eta": deta, "tower_phi": dphi}
