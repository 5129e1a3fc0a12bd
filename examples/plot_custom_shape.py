r"""
A shape of your own
===================

How much does a jet look like an annulus, a disk with a hole? Such a shape is not among
those of the package, and it takes a few lines to write it. It is compared with rings
and disks, which are annuli without width and without a hole: on made-up jets that do
have a hole, and on jets from quarks and gluons.
"""

from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from sklearn_hepcal.datasets import load_quark_gluon_jets
from sklearn_hepcal.jets import Jets, relative_constituents
from sklearn_hepcal.shapes import Disk, Shape, ShapinessTransformer

# %%
# The shape
# ---------
# A shape says what its parameters are, and where they put a number of nodes. The nodes
# of an annulus are those of the unit disk. One with the share u of the disk closer to
# the centre than itself goes, in its direction, to the radius
#
# .. math:: r = \sqrt{(1 - u) r_\mathrm{inner}^2 + u r_\mathrm{outer}^2}.
#
# The coordinates of a node can be chosen freely, here 1 - u, u and the direction. As
# the places of the nodes are not linear in the radii, their derivatives are needed,
# too. Radii may be negative or in the wrong order, so that the search meets no walls;
# the last method makes sense of them.


@dataclass(frozen=True)
class Annulus(Shape):
    """Energy spread evenly between two circles."""

    parameters = dict.fromkeys(["y", "phi", "inner", "outer"], (-np.inf, np.inf))

    def nodes(self, n_nodes):
        disk, weights = Disk().nodes(n_nodes)
        radius = np.hypot(*disk.T)[:, None]
        return np.hstack([1 - radius**2, radius**2, disk / radius]), weights

    def radius(self, theta, nodes):
        return np.sqrt(nodes[:, :2] @ theta[2:] ** 2)[:, None]

    def positions(self, theta, nodes):
        return theta[:2] + self.radius(theta, nodes) * nodes[:, 2:]

    def jacobian(self, theta, nodes):
        slopes = nodes[:, :2] * theta[2:] / (self.radius(theta, nodes) + 1e-12)
        return self.translated(nodes[:, 2:, None] * slopes[:, None])

    def describe(self, theta):
        return np.array([*theta[:2], *sorted(np.abs(theta[2:]))])


# %%
# Jets with a hole, and without
# -----------------------------
# The made-up jets have particles all over an annulus with an outer radius of 0.4 and an
# inner one that grows from jet to jet. The measurement is not perfect: directions are
# smeared by 0.02, and a tenth of the momentum is noise that falls anywhere.
N_JETS, OUTER = 40, 0.4
rng = np.random.default_rng(0)


def throw_annulus(inner, outer, n):
    """Draw points from an annulus around the origin."""
    radius = np.sqrt(rng.uniform(inner**2, outer**2, n))
    angle = rng.uniform(0, 2 * np.pi, n)
    return np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])


def make_jet(inner, n_particles=100, n_noise=30):
    """Make a jet of 500 GeV with a hole."""
    places = throw_annulus(inner, OUTER, n_particles)
    places += rng.normal(0, 0.02, places.shape)
    noise = rng.uniform(-0.5, 0.5, (n_noise, 2))
    pt, noise_pt = rng.exponential(size=n_particles), rng.exponential(size=n_noise)
    pt = np.concatenate([450 * pt / pt.sum(), 50 * noise_pt / noise_pt.sum()])
    return np.column_stack([pt, np.concatenate([places, noise])])


true_inner = np.linspace(0, 0.38, N_JETS)
hollow = Jets.from_list([make_jet(inner) for inner in true_inner])
parton_jets = load_quark_gluon_jets(n_jets=N_JETS).data.select(
    constituents=["pt", "y", "phi"]
)

# %%
# Fits
# ----
# An instance of the new shape is used like the name of an old one. All that there is
# for shapes is there for this one, too: sums with others, a point in the centre, copies
# of itself.
SHAPES = {"ring": "ring", "disk": "disk", "annulus": Annulus()}
fits = {
    sample: {
        name: ShapinessTransformer(shape, R=0.4)
        .set_output(transform="pandas")
        .fit_transform(jets)
        for name, shape in SHAPES.items()
    }
    for sample, jets in [("hollow", hollow), ("quarks and gluons", parton_jets)]
}

# %%
# A family that contains others is never further from a jet. How much closer it is tells
# whether the hole is worth a parameter. For jets with a hole that is neither small nor
# nearly everything, it is; for jets from quarks and gluons it is not: where they are
# not a disk, it is not for a hole in the middle.
middle = (true_inner > 0.1) & (true_inner < 0.3)
rows = {
    "hollow": middle,
    "quarks and gluons": np.ones(N_JETS, dtype=bool),
}
table = {
    f"{sample}, {name}": {
        "distance": f"{fits[sample][name]['emd'][some].mean():.4f}",
        "closest of all": f"{(best[some] == name).mean():.2f}",
    }
    for sample, some in rows.items()
    for name in SHAPES
    for best in [
        pd.DataFrame({k: fit["emd"] for k, fit in fits[sample].items()}).idxmin(axis=1)
    ]
}
print(pd.DataFrame(table).T.to_string(), end="\n\n")
annuli = {sample: fit["annulus"].filter(like="annulus") for sample, fit in fits.items()}
for sample in annuli: print(sample, (annuli[sample]["annulus0_inner"]/annuli[sample]["annulus0_outer"]).describe())
e={s:pd.DataFrame({k: f["emd"] for k,f in fits[s].items()}) for s in fits}
for s in e: print((e[s].annulus/np.minimum(e[s].ring,e[s].disk)).describe())
print(np.c_[true_inner,fits["hollow"]["annulus"].to_numpy()[:,3:],e["hollow"]].round(3))
