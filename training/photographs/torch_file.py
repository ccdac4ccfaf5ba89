"""Reads tensors from a file of PyTorch's format before version 1.6, without PyTorch and without running what it holds."""

import pickle
import struct
from collections import OrderedDict, namedtuple

import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
TYPES = {"FloatStorage": "<f4", "LongStorage": "<i8"}

Storage = namedtuple("Storage", "type key")
Tensor = namedtuple("Tensor", "storage offset shape stride")


class _Unpickler(pickle.Unpickler):
    """Knows tensors and dictionaries, and refuses all else that a pickle may ask for."""

    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, shape, stride, *_: Tensor(storage, offset, shape, stride)
        if module == "torch" and name in TYPES:
            return TYPES[name]
        raise pickle.UnpicklingError(f"expected tensors, found {module}.{name}")

    def persistent_load(self, identifier):
        _, kind, key, *_ = identifier
        return Storage(kind, key)


def read(path):
    """`{name: array}` of a file of tensors."""
    with open(path, "rb") as file:
        header = [_Unpickler(file).load() for _ in range(2)]
        if header != [MAGIC, PROTOCOL]:
            raise pickle.UnpicklingError(f"{path}: expected PyTorch's older format, found {header}")
        _Unpickler(file).load()  # sizes of C's types
        tensors = _Unpickler(file).load()
        types = {tensor.storage.key: tensor.storage.type for tensor in tensors.values()}
        data = {}
        for key in _Unpickler(file).load():
            count, = struct.unpack("<q", file.read(8))
            kind = np.dtype(types[key])
            data[key] = np.frombuffer(file.read(count * kind.itemsize), kind)
    return {name: _array(tensor, data[tensor.storage.key]) for name, tensor in tensors.items()}


def _array(tensor, data):
    strides = [stride * data.itemsize for stride in tensor.stride]
    return np.ndarray(tensor.shape, data.dtype, data, tensor.offset * data.itemsize, strides)
