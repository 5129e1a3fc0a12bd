"""How graphs of ONNX are written: a builder, and a function for each estimator."""
