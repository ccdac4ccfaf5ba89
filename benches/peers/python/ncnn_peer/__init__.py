"""A peer: the ONNX file, converted by pnnx, in ncnn, on the CPU or on a Vulkan device."""
