"""Jets with tracks as they are bundled."""

import numpy as np
from bundle_columns import Grid, by_rank, join, pack

from sklearn_hepcal.datasets import generate_flavour_jets
from sklearn_hepcal.datasets._flavour_jets import (
    JET_TRUTH,
    LEAST_HITS,
    TRACK_KIND,
    TRACK_TRUTH,
    find_impact_errors,
)

N_JETS, SEED = 22_000, 0

GRIDS = {
    **dict.fromkeys(("n_track", "event", "truth"), Grid(1)),
    **dict.fromkeys(("log_pt", "eta", "phi", "log_mass", "log_response"), Grid(0.001)),
    **dict.fromkeys(("log_hadron_pt", "log_hadron_Lxy"), Grid(0.005)),
    "log_ptfrac": Grid(0.004),
    **dict.fromkeys(("deta", "dphi"), Grid(0.0005, between=True)),
    "signed_d0_significance": Grid(0.05, between=True),
    "signed_z0_significance": Grid(0.05, between=True),
    **dict.fromkeys(("log_d0_error", "log_z0_error"), Grid(0.01)),
    **dict.fromkeys(("track_kind", "track_truth"), Grid(1)),
}


def generate(folder, **options):
    path = folder / "flavour_jets.parquet"
    return [generate_flavour_jets(N_JETS, path=path, random_state=SEED, **options)]


def pack_samples(samples):
    (jets,) = samples
    tracks = _describe_tracks(jets)
    columns = _describe_jets(jets) | {
        name: by_rank(jets, values) for name, values in tracks.items()
    }
    return pack(GRIDS, {"": columns})


def _describe_jets(jets):
    labels, log_pt = jets.labels, np.log(jets.feature("pt"))
    # the reader knows the rounded momentum of the jet
    log_response = GRIDS["log_pt"].round(log_pt) - np.log(labels["pt_truth"])
    return {
        "n_track": jets.counts,
        "event": np.diff(labels["eventNumber"], prepend=0),
        "truth": join(labels, JET_TRUTH),
        "log_pt": log_pt,
        "eta": jets.feature("eta"),
        "phi": labels["phi"],
        "log_mass": np.log1p(labels["mass"]),
        "log_response": log_response,
        "log_hadron_pt": np.log1p(labels["hadron_pt"]),
        "log_hadron_Lxy": np.log1p(labels["hadron_Lxy"]),
    }


# Momenta and errors are stored relative to what the reader knows: rounded momenta of
# jets and tracks, and rounded angles.
def _describe_tracks(jets):
    tracks = {name: jets.constituent(name) for name in jets.constituent_names}
    log_jet_pt = GRIDS["log_pt"].round(np.log(jets.feature("pt")))[jets.jet_index]
    log_ptfrac = np.log(tracks["pt"]) - log_jet_pt
    pt = np.exp(log_jet_pt + GRIDS["log_ptfrac"].round(log_ptfrac))
    jet_eta = GRIDS["eta"].round(jets.feature("eta"))[jets.jet_index]
    cosh_eta = np.cosh(jet_eta + GRIDS["deta"].round(tracks["deta"]))
    innermost = tracks["numberOfInnermostPixelLayerHits"] > 0
    d0_error, z0_error = find_impact_errors(pt, cosh_eta, innermost)
    kind = {name: tracks.get(name, 0) - LEAST_HITS.get(name, 0) for name in TRACK_KIND}
    kind["positive"] = tracks["qOverP"] > 0
    return {
        **{name: tracks[name] for name in GRIDS if name in tracks},
        "log_ptfrac": log_ptfrac,
        "log_d0_error": np.log(tracks["d0Uncertainty"] / d0_error),
        "log_z0_error": np.log(tracks["z0SinThetaUncertainty"] / z0_error),
        "track_kind": join(kind, TRACK_KIND),
        "track_truth": join(jets.constituent_labels, TRACK_TRUTH),
    }
