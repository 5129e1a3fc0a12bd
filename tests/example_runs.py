"""Examples as users run them, and the tables they print."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parents[1] / "examples"
# Their tests are modules of their own, which run side by side.
CALIBRATION = ("control_regions", "decorrelation", "latent_closure")
DIJETS = ("dijet_resolution", "hyperparameter_search")
TAGGING = ("fine_tuning", "flavour_tagging")
TRANSPORT = ("data_based_calibration", "flavour_calibration", "solvers")
OTHERS = sorted(
    {path.stem.removeprefix("plot_") for path in FOLDER.glob("plot_*.py")}
    - {*CALIBRATION, *DIJETS, *TAGGING, *TRANSPORT}
)
OPTIONAL = {
    "flavour_tagging": "yaml",
    "hyperparameter_search": "optuna",
    "ship_calibration": "onnxruntime",
}


def run_example(name, folder):
    """Run an example in a folder; return what it prints."""
    if name in OPTIONAL:
        pytest.importorskip(OPTIONAL[name])
    result = subprocess.run(
        [sys.executable, "-W", "error", FOLDER / f"plot_{name}.py"],
        cwd=folder,
        env={**os.environ, "MPLBACKEND": "Agg", "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def check_figure(name, folder):
    """An example saves a figure of its name."""
    assert (folder / "outputs" / f"{name}.png").stat().st_size > 10_000


# Rows of the table below a line that starts with `title`: for every cell its numbers.
# Cells are at least two spaces and numbers one "±" apart; "-" is an empty cell.
def read_table(output, title):
    _, _, *lines = output[output.index(title) :].partition("\n\n")[0].splitlines()
    rows = [re.split(r"\s{2,}", line.strip()) for line in lines]
    return {
        name: [
            np.array(("nan" if cell == "-" else cell).split(" ± "), dtype=float)
            for cell in cells
        ]
        for name, *cells in rows
    }
