"""ONNX files as their users run them, and how close they are to Python."""

import numpy as np
import onnxruntime

from sklearn_hepcal.export import to_onnx

# Largest difference, of a value or of the spread of its column.
TOLERANCE = 1e-5


class OnnxFile:
    """An estimator that was written, and read again by onnxruntime."""

    def __init__(self, estimator, path, **arguments):
        to_onnx(estimator, path, **arguments)
        self.path = path
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 4  # errors become exceptions anyway
        self.session = onnxruntime.InferenceSession(
            path, options, providers=["CPUExecutionProvider"]
        )
        self.inputs = [tensor.name for tensor in self.session.get_inputs()]
        self.outputs = [tensor.name for tensor in self.session.get_outputs()]

    def __call__(self, feeds):
        results = self.session.run(None, {name: feeds[name] for name in self.inputs})
        return dict(zip(self.outputs, results, strict=True))


def single(jets):
    """Jets as single precision holds them."""

    def rounded(table):
        return table.astype(np.float32).astype(np.float64)

    return jets.replace(
        features=rounded(jets.features), constituents=rounded(jets.constituents)
    )


def pad(jets, rng):
    """Inputs of a graph; constituents stand anywhere in their rows, in order.

    Where there are none, there is nonsense.
    """
    feeds = {"features": jets.features.astype(np.float32)}
    if not jets.constituent_names:
        return feeds
    n_max = int(jets.counts.max()) + 2
    place = rng.random((len(jets), n_max)).argsort(axis=1)
    mask = place < jets.counts[:, None]
    table = rng.choice([np.nan, np.inf, -1e30, 7.0], (*mask.shape, 1))
    table = np.repeat(table, len(jets.constituent_names), axis=2).astype(np.float32)
    table[mask] = jets.constituents
    return feeds | {"constituents": table, "mask": mask}


def check_close(found, expected, unit=None):
    """Compare with Python, relative to values or to what `unit` says is small.

    By default, that is the spread of a column among the middle 98 % of its rows: edges
    do not count.
    """
    assert found.dtype == np.float32
    assert found.shape == expected.shape
    assert np.isfinite(expected).all()
    if unit is None:
        low, high = np.quantile(expected, [0.01, 0.99], axis=0)
        unit = np.std(np.clip(expected, low, high), axis=0)
    size = np.maximum(np.abs(expected), unit)
    np.testing.assert_array_less(np.abs(found - expected), TOLERANCE * size + 1e-37)
