"""A peer: the ONNX file in ONNX Runtime, on the CPU."""
