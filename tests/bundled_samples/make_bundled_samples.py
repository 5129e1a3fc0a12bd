"""Make the samples in `sklearn_hepcal/datasets/data`.

    python tests/bundled_samples/make_bundled_samples.py FOLDER [SAMPLE ...]

The folder takes the generated jets, about 500 MB; a run that was interrupted continues
there. All samples take about 25 minutes of one processor. A file tells in its array
"production" how its jets were made.
"""

import argparse
import json
from importlib import resources
from pathlib import Path

import bundled_dijets
import bundled_flavour_jets
import bundled_flavour_scores
import bundled_quark_gluon
import numpy as np

from sklearn_hepcal.jets import read_parquet, read_parquet_metadata

BUNDLES = {
    "dijets": bundled_dijets,
    "flavour_jets": bundled_flavour_jets,
    "flavour_scores": bundled_flavour_scores,
    "quark_gluon": bundled_quark_gluon,
}


def make(name: str, folder: Path, **options) -> Path:
    bundle = BUNDLES[name]
    files = bundle.generate(folder, **options)
    arrays = bundle.pack_samples([read_parquet(file) for file in files])
    arrays["production"] = np.array(
        json.dumps([read_parquet_metadata(file) for file in files])
    )
    path = resources.files("sklearn_hepcal.datasets") / "data" / f"{name}.npz"
    np.savez_compressed(path, **arrays)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where generated jets are kept")
    parser.add_argument("samples", nargs="*", default=list(BUNDLES), metavar="SAMPLE")
    parser.add_argument("--n-jobs", type=int, help="processes of the generators")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for name in arguments.samples:
        path = make(name, arguments.folder, n_jobs=arguments.n_jobs, verbose=1)
        print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
