"""Run with `python -m ncnn_peer MODEL.onnx [--vulkan] …`."""

import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import serving

# Threads that wait for work by spinning would count as threads that work.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
import ncnn  # noqa: E402


def convert(onnx, shape, folder):
    """Converts the ONNX file to ncnn's files of parameters and weights, at one size."""
    package = importlib.util.find_spec("pnnx").submodule_search_locations[0]
    program = Path(package) / ("pnnx.exe" if sys.platform == "win32" else "pnnx")
    # pnnx writes many files beside its input.
    copy = Path(folder) / "network.onnx"
    copy.write_bytes(Path(onnx).read_bytes())
    size = ",".join(str(side) for side in shape)
    log = subprocess.run([program, copy, f"inputshape=[{size}]"], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if log.returncode != 0:
        sys.exit(f"pnnx fails:\n{log.stdout.decode(errors='replace')}")
    parameters = copy.with_suffix(".ncnn.param")
    # pnnx takes ONNX's SpaceToDepth for PyTorch's pixel_unshuffle, which makes the same channels in another order: mode 0 of
    # ncnn's Reorg. Mode 1 is ONNX's.
    lines = parameters.read_text().splitlines()
    lines = [line.replace(" 1=0", " 1=1") if line.startswith("Reorg ") else line for line in lines]
    parameters.write_text("\n".join(lines) + "\n")
    return str(parameters), str(copy.with_suffix(".ncnn.bin"))


def load(arguments, shape):
    """Loads the network, and returns it with the name of its device."""
    network = ncnn.Net()
    network.opt.num_threads = arguments.threads
    network.opt.use_vulkan_compute = arguments.vulkan
    device = "CPU"
    if arguments.vulkan:
        if ncnn.get_gpu_count() == 0:
            sys.exit("ncnn finds no Vulkan device")
        index = ncnn.get_default_gpu_index()
        network.set_vulkan_device(index)
        device = ncnn.get_gpu_info(index).device_name()
    with tempfile.TemporaryDirectory() as folder:
        parameters, weights = convert(arguments.model, shape, folder)
        if network.load_param(parameters) != 0 or network.load_model(weights) != 0:
            sys.exit("ncnn does not load what pnnx made of the ONNX file")
    return network, device


def main():
    arguments = serving.task(("--vulkan", {"action": "store_true"}))
    stream = serving.answers()
    planes = serving.planes(arguments)
    network, device = load(arguments, planes.shape)
    # A copy: a Mat does not keep the array alive that it was made of.
    planes = ncnn.Mat(planes[0]).clone()

    def run():
        extractor = network.create_extractor()
        extractor.input("in0", planes)
        failed, output = extractor.extract("out0")
        if failed:
            sys.exit(f"ncnn fails with {failed}")
        return np.array(output)

    serving.serve(arguments, stream, device, run)


main()
