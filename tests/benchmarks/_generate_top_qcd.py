"""Boosted top and QCD jets from Pythia, for `bench_top_tagging.py`.

    PEER/bin/python _generate_top_qcd.py jets.npz N_JETS [SEED]

The selection is that of SHAPER's study (arXiv:2302.12266): particle-level anti-kT jets
with R = 0.8, 475 < pt < 525 GeV, 145 < m < 205 GeV, abs(y) < 2, proton-proton at
14 TeV. The file holds pt, y, phi of the particles, offsets, and the label, 1 for top.
"""

import sys

import fastjet
import numpy as np
import pythia8mc

PROCESSES = {0: "HardQCD:all", 1: ("Top:gg2ttbar", "Top:qqbar2ttbar")}
INVISIBLE = {12, 14, 16}
COMMON = ["Beams:eCM = 14000", "PhaseSpace:pTHatMin = 425", "PhaseSpace:pTHatMax = 700"]
QUIET = ["Print:quiet = on", "Random:setSeed = on"]
# tops decay to quarks
HADRONIC = ["24:onMode = off", "24:onIfAny = 1 2 3 4 5"]


def make_generator(label, seed):
    pythia = pythia8mc.Pythia("", False)
    process = PROCESSES[label]
    names = [process] if isinstance(process, str) else process
    settings = [f"{name} = on" for name in names] + COMMON + QUIET
    for setting in [*settings, f"Random:seed = {seed}", *(HADRONIC if label else [])]:
        pythia.readString(setting)
    if not pythia.init():
        raise RuntimeError("Pythia does not start.")
    return pythia


def select(pythia, clustering):
    """Yield the particles of the jets of an event that pass."""
    particles = [
        fastjet.PseudoJet(p.px(), p.py(), p.pz(), p.e())
        for p in pythia.event
        if p.isFinal() and p.idAbs() not in INVISIBLE and abs(p.eta()) < 4
    ]
    sequence = fastjet.ClusterSequence(particles, clustering)
    for jet in sequence.inclusive_jets(475.0):
        if jet.pt() < 525 and 145 < jet.m() < 205 and abs(jet.rap()) < 2:
            yield np.array([[p.pt(), p.rap(), p.phi_std()] for p in jet.constituents()])


def main(path, n_jets, seed):
    clustering = fastjet.JetDefinition(fastjet.antikt_algorithm, 0.8)
    jets, labels = [], []
    for label in PROCESSES:
        pythia = make_generator(label, seed)
        found, n_events = [], 0
        while len(found) < n_jets:
            n_events += 1
            if pythia.next():
                found.extend(select(pythia, clustering))
        print(f"label {label}: {n_jets} jets from {n_events} events", flush=True)
        jets += found[:n_jets]
        labels += [label] * n_jets
    pt, y, phi = np.concatenate(jets).T
    offsets = np.cumsum([0, *map(len, jets)])
    np.savez(path, pt=pt, y=y, phi=phi, offsets=offsets, label=labels)


if __name__ == "__main__":
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    main(sys.argv[1], int(sys.argv[2]), seed)
