"""Tables in the layout of ATLAS's flavour tagging, and files of them."""

import h5py
import numpy as np

JET_COLUMNS = [
    ("eventNumber", "i4"),
    ("pt", "f4"),
    ("eta", "f4"),
    ("mass", "f2"),
    ("HadronConeExclTruthLabelID", "i4"),
    ("HadronConeExclTruthLabelPt", "f4"),
    ("jetPtRank", "i2"),
    ("GN2v01_pb", "f2"),
]
TRACK_COLUMNS = [
    ("pt", "f4"),
    ("d0", "f2"),
    ("qOverP", "f4"),
    ("qOverPUncertainty", "f4"),
    ("ptfrac", "f4"),
    ("IP3D_signed_d0_significance", "f4"),
    ("numberOfPixelHits", "u1"),
    ("leptonID", "i1"),
    ("ftagTruthOriginLabel", "i1"),
    ("ftagTruthVertexIndex", "i1"),
    ("GN2v01_aux_TrackOrigin", "i1"),
    ("SV1VertexIndex", "i1"),
    ("valid", "?"),
]


def random_tables(n_jets, seed=0, width=7):
    """Random numbers in all columns; tracks stand anywhere among the padding."""
    rng = np.random.default_rng(seed)
    jets = np.empty(n_jets, dtype=JET_COLUMNS)
    tracks = np.empty((n_jets, width), dtype=TRACK_COLUMNS)
    for table in (jets, tracks):
        for name in table.dtype.names:
            table[name] = rng.uniform(0, 120, table.shape)
    jets["pt"] = rng.uniform(20, 400, n_jets)
    tracks["valid"] = rng.random(tracks.shape) < 0.4
    return jets, tracks


def write_tables(path, jets, tracks, **options):
    """Write both tables to a file, and return its path."""
    with h5py.File(path, "w") as file:
        file.create_dataset("jets", data=jets, **options)
        file.create_dataset("tracks", data=tracks, **options)
    return path
