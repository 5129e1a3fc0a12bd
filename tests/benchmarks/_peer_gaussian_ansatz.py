"""The published package GaussianAnsatz, trained as in its minimal working example.

    PEER/bin/python tests/benchmarks/_peer_gaussian_ansatz.py SAMPLES.npz RESULT.npz

It is started by bench_gaussian_ansatz.py, whose docstring tells how to make PEER.
"""

from _timing import cpu_seconds

# isort: split
import argparse

import numpy as np
import tensorflow as tf
from GaussianAnsatz.utils import build_gaussianAnsatz_DNN
from scipy.special import logsumexp

# As in the example of the package: it scales x and z by hand.
SCALE = 5.0
LAYERS = [32, 32, 32]
D_L1_REG = 0.1
N_PRETRAINING_EPOCHS, PRETRAINING_BATCH = 5, 1024
N_EPOCHS, BATCH = 50, 2048
N_SHIFTS = 32


def fit(x, z):
    """Train on scaled columns; return the model, and CPU seconds of the first part."""
    model = build_gaussianAnsatz_DNN(1, 1, LAYERS, opt="adam", d_l1_reg=D_L1_REG)
    _, pretraining = cpu_seconds(
        lambda: model.pre_train([x, z], N_PRETRAINING_EPOCHS, PRETRAINING_BATCH)
    )
    model.fit([x, z], batch_size=BATCH, epochs=N_EPOCHS, verbose=0)
    return model, pretraining


def mutual_information(model, x, z):
    """Donsker-Varadhan bound, the product law from shifts of z against x."""

    def values(z):
        return np.ravel(model.predict([x, z], batch_size=8192, verbose=0)).astype(float)

    steps = np.linspace(0, len(z), N_SHIFTS + 1, endpoint=False).astype(int)[1:]
    shifted = np.concatenate([values(np.roll(z, step, axis=0)) for step in steps])
    return values(z).mean() - logsumexp(shifted) + np.log(len(shifted))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("samples", help="npz file")
    parser.add_argument("result", help="npz file")
    args = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    samples = dict(np.load(args.samples))
    tf.keras.utils.set_random_seed(int(samples.pop("seed")))
    scaled = {
        name: (values.reshape(-1, 1) / SCALE).astype(np.float32)
        for name, values in samples.items()
    }
    (model, pretraining), cpu = cpu_seconds(
        lambda: fit(scaled["X_train"], scaled["y_train"])
    )
    x = scaled["X"]
    np.savez(
        args.result,
        z=SCALE * np.ravel(model.maximum_likelihood(x)),
        std=SCALE * np.ravel(model.uncertainty(x)),
        information=mutual_information(model, scaled["X_test"], scaled["y_test"]),
        cpu_seconds=cpu,
        pretraining_cpu_seconds=pretraining,
    )


if __name__ == "__main__":
    main()
