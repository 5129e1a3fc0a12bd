r"""
Jets without a radius, and without pile-up
==========================================

A jet algorithm needs a radius, and a way to deal with pile-up: the many soft particles
from other collisions that fall anywhere. Shapes need neither. An event is compared with
all sums of three ellipses, each with a point at its centre, and of a uniform background
(`arXiv:2302.12266 <https://arxiv.org/abs/2302.12266>`_). The closest sum tells where
the jets are, how large, how long and how hard, and how much of the energy is pile-up.
The plan that moves the event onto it then tells how much of every single particle is.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.patches import Ellipse as EllipsePatch

from sklearn_hepcal.shapes import make_observable

# %%
# Events
# ------
# A toy whose truth is known: three jets in a square window, each with a hard core and
# with particles all over an ellipse. To them comes pile-up, a quarter of the energy.
N_EVENTS, N_JETS = 4, 3
HALF_WINDOW = 1.0
PILEUP = 0.25
rng = np.random.default_rng(0)


def draw_energies(total, n):
    """Divide an energy among particles."""
    pt = rng.gamma(2, size=n)
    return total * pt / pt.sum()


def make_jet(place):
    """Make the particles of a jet; also return the parameters of its ellipse."""
    energy = rng.uniform(80, 160)
    a = rng.uniform(0.2, 0.4)
    b = a * rng.uniform(0.4, 1)
    angle = rng.uniform(0, np.pi)
    axes = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    radius, turn = np.sqrt(rng.uniform(size=40)), rng.uniform(0, 2 * np.pi, 40)
    wide = np.column_stack([a * radius * np.cos(turn), b * radius * np.sin(turn)])
    core = rng.normal(0, 0.01, (8, 2))
    pt = [draw_energies(0.6 * energy, 40), draw_energies(0.4 * energy, 8)]
    places = place + np.concatenate([wide @ axes, core])
    return np.column_stack([np.concatenate(pt), places]), (*place, a, b, angle)


def make_event():
    """Make particles, the number of the jet of each, and the ellipses."""
    angle = rng.uniform(0, 2 * np.pi) + 2 * np.pi * np.arange(N_JETS) / N_JETS
    places = 0.55 * np.column_stack([np.cos(angle), np.sin(angle)])
    jets, ellipses = zip(*map(make_jet, places), strict=True)
    energy = sum(jet[:, 0].sum() for jet in jets) * PILEUP / (1 - PILEUP)
    anywhere = rng.uniform(-HALF_WINDOW, HALF_WINDOW, (150, 2))
    parts = [*jets, np.column_stack([draw_energies(energy, 150), anywhere])]
    origin = np.repeat(np.arange(N_JETS + 1), [len(part) for part in parts])
    return np.concatenate(parts), origin, np.array(ellipses)


events, origins, ellipses = zip(*(make_event() for _ in range(N_EVENTS)), strict=True)

# %%
# The closest sums
# ----------------
# The uniform part fills the square from -R to R around the axis of an event. As the
# jets balance each other, more or less, this is the window.
finder = make_observable(
    "n_ellipsiness", N_JETS, R=HALF_WINDOW, with_centre=True, pileup=True
)
finder.set_params(n_nodes=256, n_init=6).set_output(transform="pandas")
found = finder.fit_transform(list(events))

# %%
# For each particle, the plan gives the shares of its energy that belong to the parts of
# the sum, here added up to those of jets. What remains is the share of pile-up.
shares = finder.shares(list(events), found)
is_jet = shares[:, :-1].reshape(len(shares), N_JETS, 2).sum(axis=2)
shares = np.split(is_jet, np.cumsum([len(event) for event in events])[:-1])

# %%
# Pile-up
# -------
# Grooming keeps of each particle what does not belong to pile-up. It brings the mass of
# all particles back to that of the jets.


def mass(particles, weight=1.0):
    """Compute the mass of massless particles; weights multiply their momenta."""
    pt, y, phi = particles.T
    pt = weight * pt
    energy, *momentum = (
        (pt * direction).sum()
        for direction in (np.cosh(y), np.cos(phi), np.sin(phi), np.sinh(y))
    )
    return np.sqrt(max(energy**2 - np.square(momentum).sum(), 0))


rows = [
    {
        "pile-up": f"{pileup:.3f}",
        "mass of jets": f"{mass(event[origin < N_JETS]):.1f}",
        "groomed": f"{mass(event, share.sum(axis=1)):.1f}",
        "all particles": f"{mass(event):.1f}",
    }
    for event, origin, share, pileup in zip(
        events, origins, shares, found["uniform0_weight"], strict=True
    )
]
print(f"Events with a share of pile-up of {PILEUP}; masses in GeV")
names = [f"event {number}" for number in range(N_EVENTS)]
print(pd.DataFrame(rows, names).to_string(), end="\n\n")

# %%
# Jets
# ----
# Each true jet is compared with the one that is found closest to it: the radius
# :math:`\sqrt{ab}` and the ratio of the half axes of the ellipse, and the energy and
# the mass of the particles, by their shares. The last two rows are of all particles
# within 0.4 of the same centre, as of a jet algorithm with this radius.
CONE = 0.4
rows = []
for number, event in enumerate(events):
    columns = [
        [f"ellipse{k}_{name}" for name in ("y", "phi", "a", "b")] for k in range(N_JETS)
    ]
    fitted = np.array([found[names].to_numpy()[number] for names in columns])
    for k, (*place, a, b, _) in enumerate(ellipses[number]):
        closest = np.linalg.norm(fitted[:, :2] - place, axis=1).argmin()
        *centre, long, short = fitted[closest]
        share = shares[number][:, closest]
        jet = event[origins[number] == k]
        cone = event[np.linalg.norm(event[:, 1:] - centre, axis=1) < CONE]
        rows.append(
            {
                "radius": np.sqrt(long * short / (a * b)),
                "b / a": (short / long) / (b / a),
                "energy": share @ event[:, 0] / jet[:, 0].sum(),
                "mass": mass(event, share) / mass(jet),
                "energy of cone": cone[:, 0].sum() / jet[:, 0].sum(),
                "mass of cone": mass(cone) / mass(jet),
            }
        )
ratios = pd.DataFrame(rows)
quantiles = ratios.quantile([0.5, 0.16, 0.84]).T
quantiles.columns = ["median", "16 %", "84 %"]
print(f"What is found over the truth, {len(ratios)} jets")
print(quantiles.to_string(float_format="{:.3f}".format, col_space=8), end="\n\n")

# %%
# An event
# --------
# Left the truth; right the ellipses that are found, with their centres, and how much of
# each particle is kept. Areas of markers are proportional to momentum.
event, origin, row, kept = events[0], origins[0], found.iloc[0], shares[0].sum(axis=1)
area = 8000 * event[:, 0] / event[:, 0].sum()
figure, (truth, fit) = plt.subplots(
    1, 2, figsize=(11.5, 6.6), sharex=True, sharey=True, layout="constrained"
)


def draw_ellipse(axis, y, phi, a, b, angle, **style):
    """Draw the outline of an ellipse."""
    degrees = np.degrees(angle)
    outline = EllipsePatch((y, phi), 2 * a, 2 * b, angle=degrees, fill=False, **style)
    outline.set(linewidth=2)
    axis.add_patch(outline)


for k in range(N_JETS + 1):
    mine, colour = origin == k, f"C{k}" if k < N_JETS else "0.6"
    truth.scatter(*event[mine, 1:].T, area[mine], colour, alpha=0.7, linewidths=0)
for k, (y, phi, a, b, angle) in enumerate(ellipses[0]):
    energy = event[origin == k, 0].sum()
    label = f"{energy:.0f} GeV, radius {np.sqrt(a * b):.2f}, b / a {b / a:.2f}"
    draw_ellipse(truth, y, phi, a, b, angle, color=f"C{k}", label=label)
truth.scatter([], [], c="0.6", label=f"pile-up, {PILEUP:.1%}")

markers = fit.scatter(
    *event[:, 1:].T, area, kept, cmap="viridis_r", vmin=0, vmax=1, linewidths=0
)
for k in range(N_JETS):
    y, phi, a, b, angle, wide, core = row[f"ellipse{k}_y" : f"ellipse{k}_centre_weight"]
    energy = (wide + core) * event[:, 0].sum()
    label = f"{energy:.0f} GeV, radius {np.sqrt(a * b):.2f}, b / a {b / a:.2f}"
    colour = f"C{np.linalg.norm(ellipses[0][:, :2] - (y, phi), axis=1).argmin()}"
    draw_ellipse(fit, y, phi, a, b, angle, color=colour, label=label)
    fit.plot(y, phi, "+", color=colour, ms=14, mew=2)
fit.scatter([], [], c="gold", label=f"pile-up, {row['uniform0_weight']:.1%}")
figure.colorbar(
    markers, ax=fit, shrink=0.75, pad=0.01, label="share of a particle that is kept"
)

for axis, title in [(truth, "truth"), (fit, "found")]:
    axis.set(title=title, xlabel=r"$y$", aspect="equal")
    axis.set(xticks=(-1, -0.5, 0, 0.5, 1), yticks=(-1, -0.5, 0, 0.5, 1))
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.1), frameon=False)
truth.set_ylabel(r"$\phi$ [rad]")

outputs = Path("outputs")
outputs.mkdir(exist_ok=True)
figure.savefig(outputs / "jet_finding.png", dpi=150)
print(f"Saved {outputs.resolve() / 'jet_finding.png'}")

# %%
# What this does and does not show
# --------------------------------
# Without a radius and without a threshold, each jet is found with its own size, its
# energy is right to some percent, and most of the pile-up is gone. A cone keeps all
# pile-up that falls into it. The pile-up that is found is rather too little, and the
# ellipses are somewhat too long: one that reaches to where pile-up happens to be dense
# is closer to the event.
#
# These jets belong to the family that is fitted, which real jets do not. Jets of 500
# GeV from quarks and gluons, for instance, have little energy that is spread evenly;
# three points and the uniform part are enough to groom them.
