"""What holds for jets of particles of every kind."""

import numpy as np

MASSES = {
    **{11: 0.000511, 13: 0.105658, 22: 0.0, 130: 0.497611},
    **{211: 0.139570, 321: 0.493677, 2112: 0.939565, 2212: 0.938272},
}


def sum_particles(jets, values):
    return np.bincount(jets.jet_index, values, minlength=len(jets))


def check_sums(jets):
    """Check that jets are the sums of their particles, which are in falling pT."""
    pt, y, phi, pdgid = jets.constituents.T
    mass = np.array([MASSES[abs(int(i))] for i in pdgid])
    mt = np.hypot(pt, mass)
    components = mt * np.cosh(y), pt * np.cos(phi), pt * np.sin(phi), mt * np.sinh(y)
    e, px, py, pz = (sum_particles(jets, values) for values in components)
    expected = {
        "pt": np.hypot(px, py),
        "phi": np.arctan2(py, px),
        "y": np.arctanh(pz / e),
        "mass": np.sqrt(e**2 - px**2 - py**2 - pz**2),
    }
    for name, values in expected.items():
        np.testing.assert_allclose(jets.labels[name], values, rtol=1e-5, err_msg=name)
    same_jet = jets.jet_index[1:] == jets.jet_index[:-1]
    assert np.all(np.diff(pt)[same_jet] <= 0)
