"""Small ROOT files, as TTree or RNTuple."""

import re

import awkward as ak
import numpy as np
import uproot

KINDS = ("TTree", "RNTuple")


def write_root(path, name, columns, kind="TTree"):
    """Write columns, of lists or one number an event; return the path."""
    with uproot.recreate(path) as file:
        if kind == "RNTuple":
            # the names of RNTuples hold no dots
            columns = {re.sub(r"\.", ":", key): columns[key] for key in columns}
            file.mkrntuple(name, columns)
        else:
            file.mktree(name, columns)
    return path


def lists(counts, values):
    """Cut values into lists."""
    return ak.unflatten(np.asarray(values), np.asarray(counts))


def nanoaod_columns(n_events, seed=0, data=False):
    """Return random events in the layout of NanoAOD, the first without jets."""
    rng = np.random.default_rng(seed)
    counts, n_true = rng.integers(0, 5, (2, n_events))
    counts[:1] = 0
    n_jets = counts.sum()

    def column(low, high, number, dtype="f4"):
        return lists(number, rng.uniform(low, high, number.sum()).astype(dtype))

    columns = {
        "run": np.full(n_events, 1, np.uint32),
        "luminosityBlock": rng.integers(1, 5, n_events).astype(np.uint32),
        # numbers of simulated events repeat
        "event": rng.integers(1, 4, n_events).astype(np.uint64),
        "PV_npvs": rng.integers(1, 60, n_events).astype(np.int32),
        "Jet_pt": column(15, 200, counts),
        "Jet_eta": column(-4, 4, counts),
        "Jet_phi": column(-np.pi, np.pi, counts),
        "Jet_mass": column(1, 20, counts),
        "Jet_jetId": lists(counts, rng.choice([0, 2, 6], n_jets).astype(np.uint8)),
        "Jet_btagDeepFlavB": column(0, 1, counts),
        "Jet_btagPNetB": column(0, 1, counts),
    }
    if not data:
        index = rng.integers(-1, 5, n_jets).astype(np.int16)
        flavour = rng.choice([0, 4, 5], n_jets).astype(np.uint8)
        columns |= {
            "Jet_genJetIdx": lists(counts, index),
            "Jet_hadronFlavour": lists(counts, flavour),
            "Jet_partonFlavour": lists(counts, flavour.astype(np.int16)),
            "GenJet_pt": column(10, 200, n_true),
            "GenJet_eta": column(-4, 4, n_true),
            "GenJet_phi": column(-np.pi, np.pi, n_true),
            "GenJet_mass": column(1, 20, n_true),
            "genWeight": rng.normal(size=n_events).astype(np.float32),
        }
    return columns
