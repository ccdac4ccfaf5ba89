"""Reads the tensors of a file that PyTorch before 1.6 wrote, and nothing else that a pickle can hold or do.

Such a file is five pickles, one after the other: a magic number, a version, the sizes of the writer's types, a dictionary of
tensors, and the keys of the storages that they lie in. The storages follow: the number of values, 8 bytes, then the values.
"""

import collections
import io
import pickle
from dataclasses import dataclass
from typing import NamedTuple

MAGIC = 0x1950A86A20F9469CFC6C
VERSION = 1001
# Size of the largest file that is read, in bytes.
MAX_BYTES = 64 << 20
# PyTorch's types of storages: safetensors' name, and the bytes of a value.
TYPES = {"FloatStorage": ("F32", 4), "LongStorage": ("I64", 8)}


class TorchFileError(Exception):
    """A file that cannot be read: the message says what was expected, and what was found."""


@dataclass(frozen=True)
class Tensor:
    """Values in row-major order, little-endian, in one of safetensors' types."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes


# Named tuples, because a pickle can change any object that has a dictionary.
class _Storage(NamedTuple):
    dtype: str
    value_bytes: int
    key: str
    count: int


class _View(NamedTuple):
    storage: _Storage
    first: int
    shape: tuple[int, ...]


def read(content):
    """Returns the tensors of a file's content, by name."""
    if len(content) > MAX_BYTES:
        raise TorchFileError(f"{len(content)} bytes: expected at most {MAX_BYTES}")
    if content[:2] == b"PK":
        raise TorchFileError("it is an archive, as PyTorch writes from 1.6 on: expected the format before")
    file = io.BytesIO(content)
    _expect("its magic number", _load(file), MAGIC)
    _expect("its version", _load(file), VERSION)
    sizes = _load(file)
    _expect("its byte order", isinstance(sizes, dict) and sizes.get("little_endian"), True)
    views = _load(file, _Tensors)
    named = isinstance(views, dict) and all(isinstance(name, str) for name in views)
    if not named or not all(isinstance(view, _View) for view in views.values()):
        raise TorchFileError("expected a dictionary of tensors")
    storages = _storages(file, {view.storage.key: view.storage for view in views.values()})
    return {name: _tensor(name, view, storages) for name, view in views.items()}


def _load(file, kind=None):
    try:
        return (kind or _Plain)(file).load()
    except TorchFileError:
        raise
    # A pickle that is damaged can fail in any way.
    except Exception as error:
        raise TorchFileError(f"it is damaged, or no file of PyTorch's: {error}") from error


def _expect(what, found, expected):
    if found != expected or isinstance(found, bool) != isinstance(expected, bool):
        raise TorchFileError(f"{what} is {found!r}: expected {expected!r}")


class _Plain(pickle.Unpickler):
    """Unpickles numbers, strings, lists and dictionaries."""

    def find_class(self, module, name):
        raise TorchFileError(f"it asks for `{module}.{name}`: expected tensors alone")

    def persistent_load(self, identifier):
        raise TorchFileError(f"it refers to {identifier!r} before any storage")


class _Tensors(_Plain):
    """Unpickles a dictionary of tensors. What a pickle may call is made here: one function, and one class without side effects."""

    def find_class(self, module, name):
        if module == "torch" and name in TYPES:
            return name
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _view
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        return super().find_class(module, name)

    def persistent_load(self, identifier):
        match identifier:
            case ("storage", str(kind), str(key), str(), int(count), None) if kind in TYPES and count >= 0:
                return _Storage(*TYPES[kind], key, count)
        raise TorchFileError(f"it refers to {identifier!r}: expected a storage of {' or '.join(TYPES)}")


def _view(storage, first, shape, strides, *_gradient):
    """Stands for PyTorch's function that makes a tensor of a part of a storage."""
    whole = isinstance(storage, _Storage) and isinstance(shape, tuple) and isinstance(first, int)
    if not whole or not all(isinstance(side, int) and side >= 0 for side in shape) or first < 0:
        raise TorchFileError(f"a tensor of shape {shape!r} from value {first!r} of {storage!r} on cannot be")
    row_major, step = [], 1
    for side in reversed(shape):
        row_major.insert(0, step)
        step *= side
    _expect("the strides of a tensor", strides, tuple(row_major))
    if first + step > storage.count:
        raise TorchFileError(f"a tensor of {step} values from {first} on: its storage has {storage.count}")
    return _View(storage, first, shape)


def _storages(file, wanted):
    """Reads the values of all storages, by key."""
    keys = _load(file)
    if not isinstance(keys, list) or any(not isinstance(key, str) for key in keys) or set(keys) != set(wanted):
        raise TorchFileError("the storages that it lists are not those that its tensors lie in")
    values = {}
    for key in keys:
        count = int.from_bytes(file.read(8), "little")
        _expect(f"the number of values of storage {key}", count, wanted[key].count)
        values[key] = file.read(count * wanted[key].value_bytes)
        _expect(f"the length of storage {key}", len(values[key]), count * wanted[key].value_bytes)
    _expect("what follows the last storage", file.read(1), b"")
    return values


def _tensor(name, view, storages):
    count = 1
    for side in view.shape:
        count *= side
    begin = view.first * view.storage.value_bytes
    data = storages[view.storage.key][begin:begin + count * view.storage.value_bytes]
    return Tensor(view.storage.dtype, view.shape, data)
