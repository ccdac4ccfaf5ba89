"""Peer: the ONNX file in ONNX Runtime, on the CPU."""
