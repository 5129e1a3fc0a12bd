"""The energy flow network of EnergyFlow, timed or trained.

    PEER/bin/python tests/benchmarks/_peer_energyflow.py speed SAMPLES.npz RESULT.npz
    PEER/bin/python tests/benchmarks/_peer_energyflow.py auc SAMPLES.npz RESULT.npz

It is started by bench_moment_efn.py, whose docstring tells how to make PEER.
"""

from _timing import cpu_seconds

# isort: split
import argparse
import time

import numpy as np
import tensorflow as tf
from energyflow.archs import EFN
from tf_keras.callbacks import Callback, EarlyStopping
from tf_keras.utils import set_random_seed

PHI_HIDDEN, F_SIZES = (100, 100), (100, 100, 100)


class EpochTimes(Callback):
    """CPU seconds of the epochs of a fit."""

    def on_train_begin(self, logs=None):
        self.seconds = []

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.process_time()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds.append(time.process_time() - self.start)


def build(args):
    """Leave all but the sizes as the package has it."""
    return EFN(
        input_dim=2,
        Phi_sizes=(*PHI_HIDDEN, args.latent_dim),
        F_sizes=F_SIZES,
        summary=False,
    )


def inputs(padded):
    """Return momentum fractions and directions."""
    return [np.ascontiguousarray(a) for a in (padded[..., 0], padded[..., 1:])]


def read_training(samples):
    """Return the inputs and a column of indicators for each class."""
    return inputs(samples["X_train"]), np.eye(2, dtype=np.float32)[samples["y_train"]]


def speed(samples, args):
    """Time all epochs, and predictions in batches of several sizes."""
    X, y = read_training(samples)
    network, times = build(args), EpochTimes()
    (batch_size,) = args.batch_sizes
    network.fit(
        X, y, batch_size=batch_size, epochs=args.epochs, callbacks=[times], verbose=0
    )

    def predict(batch_size):
        return network.predict(X, batch_size=batch_size, verbose=0)

    predict(batch_size)  # compiles
    predictions = [
        cpu_seconds(lambda size=size: predict(size))[1]
        for size in args.prediction_batch_sizes
    ]
    return {"epochs": times.seconds, "predictions": predictions}


def train(samples, batch_size, args):
    """Stop early; return the network of the best epoch, its loss, and the epochs."""
    set_random_seed(args.seed)
    X, y = read_training(samples)
    network = build(args)
    stopper = EarlyStopping(patience=args.patience, restore_best_weights=True)
    history = network.fit(
        X,
        y,
        batch_size=batch_size,
        epochs=args.epochs,
        validation_split=args.validation_fraction,
        callbacks=[stopper],
        verbose=0,
    )
    # Keras itself goes back only if it has stopped before the last epoch.
    network.model.set_weights(stopper.best_weights)
    return network, stopper.best, len(history.epoch)


def auc(samples, args):
    """Score the test jets by the network with the lowest validation loss."""
    fits = []
    for batch_size in args.batch_sizes:
        (network, loss, n_epochs), cpu = cpu_seconds(
            lambda size=batch_size: train(samples, size, args)
        )
        scores = network.predict(inputs(samples["X_test"]), batch_size=1000, verbose=0)
        fits.append(
            {
                "scores": scores[:, 1],
                "loss": loss,
                "n_epochs": n_epochs,
                "batch_size": batch_size,
                "cpu": cpu,
            }
        )
    return min(fits, key=lambda fit: fit["loss"])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mode", choices=("speed", "auc"))
    parser.add_argument("samples", help="npz file")
    parser.add_argument("result", help="npz file")
    parser.add_argument("--latent-dim", type=int, required=True)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--batch-sizes", nargs="+", type=int, required=True)
    parser.add_argument("--prediction-batch-sizes", nargs="+", type=int)
    parser.add_argument("--patience", type=int)
    parser.add_argument("--validation-fraction", type=float)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    set_random_seed(args.seed)
    run = {"speed": speed, "auc": auc}[args.mode]
    np.savez(args.result, **run(dict(np.load(args.samples)), args))


if __name__ == "__main__":
    main()
