r"""
Ship a calibration
==================

A calibration is derived once and applied by many analyses, most of them in C++ and
without Python. This example fits a calibration of the probabilities of a flavour tagger
and writes it to a single ONNX file: from probabilities to probabilities, as a function
of the jet's :math:`p_T`, with bootstrap replicas inside. The file is then read by
onnxruntime alone, which needs neither this package nor torch, and which C++, C#, Java
and other languages have too.
"""

import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import onnxruntime
import pandas as pd
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

from sklearn_hepcal.calibration import OTCalibrator, SimplexTransformer
from sklearn_hepcal.datasets import load_flavour_scores
from sklearn_hepcal.export import to_onnx
from sklearn_hepcal.metrics import discriminant, working_point_cuts

# %%
# The calibration
# ---------------
# A row is a simulated light jet (``y == 0``), or one of "data" (``y == 1``, a second
# simulation with known mis-modelling): three probabilities, and the logarithm of
# :math:`p_T` in GeV. Replicas are further maps, fitted to resampled jets.
SCORES = ["p_u", "p_c", "p_b"]
N_REPLICAS = 6


def load(flavour):
    """Return probabilities and log(pT), and which of the jets are data."""
    X, y = load_flavour_scores(flavour=flavour, as_frame=True, return_X_y=True)
    return X[SCORES].assign(log_pt=np.log(X["pt"])).astype(np.float32), y


X, y = load("light")
X_fit, X_test, y_fit, y_test = train_test_split(
    X, y, test_size=0.5, stratify=y, random_state=0
)
calibration = make_pipeline(
    SimplexTransformer(SCORES),
    OTCalibrator(
        conditions=["log_pt"],
        selection=False,
        n_bootstrap=N_REPLICAS,
        max_epochs=6,
        random_state=0,
    ),
    SimplexTransformer(SCORES, inverse=True),
).set_output(transform="pandas")
calibration.fit(X_fit, y_fit)
simulation = X_test[y_test == 0]
# What gives the simulation the spectrum of the data, for comparisons.
weights = calibration[1].condition_weights(calibration[0].transform(simulation))

# %%
# The file
# --------
# All three steps become one graph. The gradient of the convex network, which is the
# map, is written out: nothing has to be differentiated where the file is used.
outputs = Path("outputs")
outputs.mkdir(exist_ok=True)
path = outputs / "light_jets.onnx"
to_onnx(
    calibration,
    path,
    units={"log_pt": "log(GeV)"},
    metadata={"jets": "light jets of load_flavour_scores"},
)
print(f"Saved {path.resolve()}, {path.stat().st_size / 1000:.0f} kB")

# %%
# Reading it
# ----------
# From here on, nothing but onnxruntime and numpy is used for the jets. The file tells
# what it wants and where it comes from.
session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
told = session.get_modelmeta().custom_metadata_map
print(f"\n{told['estimator']}, version {told['version']}, {told['jets']}")
for kind in ("inputs", "outputs"):
    for name, tensor in json.loads(told[kind]).items():
        print(f"{kind[:-1]} {name}: {tensor['type']} {tensor['shape']}")
        print("   ", tensor.get("columns") or tensor["description"])

jets = np.ascontiguousarray(simulation)


def calibrate(replica=-1):
    """Return calibrated probabilities: nominal, or of one replica."""
    inputs = {"features": jets, "replica": np.array([replica])}
    (moved,) = session.run(["transformed"], inputs)
    return moved[:, :3]


nominal = calibrate()
in_python = calibration.transform(simulation).to_numpy()[:, :3]
difference = np.abs(nominal - in_python) / np.maximum(in_python, in_python.std(axis=0))
print(f"\nLargest relative difference to Python: {difference.max():.1e}")

# %%
# A systematic uncertainty
# ------------------------
# The light jets that pass for b jets are a typical use: those of which the discriminant
# is above the cut that so many simulated b jets pass. Computed once with every replica,
# the spread of the results is the statistical uncertainty of the calibration, with all
# its correlations. The data themselves have that of the held-out jets.
b_jets, b_is_data = load("b")
POINTS = np.array([0.60, 0.70, 0.77, 0.85])
cuts = working_point_cuts(discriminant(b_jets[SCORES][b_is_data == 0]), POINTS)


def mistag_rates(probabilities, weights=None):
    """Return the part of the jets above each cut, in per cent."""
    passed = discriminant(probabilities)[:, None] >= cuts
    return 100 * np.average(passed, axis=0, weights=weights)


data = X_test[SCORES][y_test == 1].to_numpy()
in_data = mistag_rates(data)
of_data = np.sqrt(in_data * (100 - in_data) / len(data))
rates = mistag_rates(nominal, weights)
of_replicas = np.array([mistag_rates(calibrate(k), weights) for k in range(N_REPLICAS)])
systematic = of_replicas.std(axis=0, ddof=1)


def cells(values, errors):
    """Return numbers with errors as text."""
    return [f"{v:.2f} ± {e:.2f}" for v, e in zip(values, errors, strict=True)]


table = pd.DataFrame(
    {
        "simulation": [f"{rate:.2f}" for rate in mistag_rates(jets[:, :3], weights)],
        "calibrated": cells(rates, systematic),
        "data": cells(in_data, of_data),
    },
    index=[f"{point:.0%}" for point in POINTS],
)
print("\nMistag rates in per cent", table.to_string(), sep="\n")

# %%
# The figure shows the discriminant of light jets. The band is the spread of the
# replicas.
edges = np.linspace(-8, 3, 23)


def density(probabilities, weights=None):
    """Return the density of the discriminant in bins."""
    d_b = discriminant(probabilities)
    return np.histogram(d_b, edges, weights=weights, density=True)[0]


figure, (spectrum, ratio) = plt.subplots(
    2, sharex=True, figsize=(7, 6), height_ratios=[2, 1], layout="constrained"
)
reference = density(data)
replicas = [density(calibrate(k), weights) for k in range(N_REPLICAS)]
before, after = density(jets[:, :3], weights), density(nominal, weights)
band = after + np.outer([-1, 1], np.std(replicas, axis=0, ddof=1))
for panel, unit in ((spectrum, 1.0), (ratio, reference)):
    panel.stairs(before / unit, edges, color="tab:orange", label="simulation")
    panel.stairs(after / unit, edges, color="tab:blue", label="calibrated")
    low, high = (np.append(values, values[-1]) for values in band / unit)
    panel.fill_between(edges, low, high, step="post", color="tab:blue", alpha=0.3)
centres = (edges[1:] + edges[:-1]) / 2
spectrum.plot(centres, reference, "k.", label="data")
ratio.axhline(1, color="black", linewidth=0.8)
spectrum.set(yscale="log", ylabel="Density of light jets")
spectrum.legend()
ratio.set(
    xlabel=r"$D_b = \ln\,[\,p_b / (0.2\,p_c + 0.8\,p_u)\,]$",
    ylabel="Ratio to data",
    ylim=(0, 2.5),
)
figure.savefig(outputs / "ship_calibration.png", dpi=150)
print(f"\nSaved {outputs.resolve() / 'ship_calibration.png'}")

# %%
# In C++ the same takes a few lines: create an ``Ort::Session`` from the file, wrap the
# probabilities and :math:`\log p_T` of some thousand jets as a tensor ``features`` of
# shape (n, 4), the index as an int64 tensor ``replica`` of shape (1), and call ``Run``
# with the output ``transformed``.
