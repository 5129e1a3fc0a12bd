"""N-subjettiness of FastJet's contribution, for `bench_nsubjettiness.py`.

    PEER/bin/python _peer_fastjet.py events.npz values.npz R N AXES

events.npz holds pt, y, phi and offsets. The events become massless particles, and each
is clustered into one jet.
"""

import sys
import time

import awkward as ak
import fastjet
import numpy as np
import vector


def main(events, values, R, n_points, axes):
    data = np.load(events)
    pt, y, phi = data["pt"], data["y"], data["phi"]
    counts = np.diff(data["offsets"])
    vector.register_awkward()
    particles = ak.unflatten(
        ak.zip(
            {
                "px": pt * np.cos(phi),
                "py": pt * np.sin(phi),
                "pz": pt * np.sinh(y),
                "E": pt * np.cosh(y),
            },
            with_name="Momentum4D",
        ),
        counts,
    )
    # larger than any distance in the jets, so that nothing is left out
    clustering = fastjet.JetDefinition(fastjet.cambridge_algorithm, 3.0)
    start = time.process_time()
    sequence = fastjet.ClusterSequence(particles, clustering)
    tau = sequence.njettiness(
        axes_definition=axes, njets=[n_points], beta=1.0, R0=R, nPass=100
    )
    cpu = time.process_time() - start
    tau = ak.to_numpy(ak.flatten(tau, axis=None)).astype(float)
    np.savez(values, value=tau.reshape(len(counts), -1)[:, -1], cpu=cpu / len(counts))


if __name__ == "__main__":
    main(*sys.argv[1:3], float(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
