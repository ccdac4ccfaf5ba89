"""Files of tensors, written as PyTorch wrote them before version 1.6. Needs no models."""

import os
import pickle
import struct
import tempfile
import unittest
from pathlib import Path

import numpy as np

from photographs import torch_file


class Global:
    """Pickles as a call of a function that this process does not have."""

    def __init__(self, module, name, *arguments):
        self.name, self.arguments = f"c{module}\n{name}\n".encode(), arguments


class Pickler(pickle._Pickler):
    """Writes globals by name, and storages by their identifier."""

    def persistent_id(self, thing):
        return thing if isinstance(thing, tuple) and thing[:1] == ("storage",) else None

    def save_call(self, call):
        self.write(call.name)
        if call.arguments:
            self.save(call.arguments)
            self.write(pickle.REDUCE)

    dispatch = {**pickle._Pickler.dispatch, Global: save_call}


class Files(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.path = Path(scratch.name) / "tensors.pth"

    def write(self, tensors, storages, magic=torch_file.MAGIC):
        with open(self.path, "wb") as file:
            for thing in (magic, torch_file.PROTOCOL, {"little_endian": True}, tensors, list(storages)):
                Pickler(file, 2).dump(thing)
            for data in storages.values():
                file.write(struct.pack("<q", data.size) + data.tobytes())

    def tensor(self, kind, key, offset, shape, stride):
        storage = ("storage", Global("torch", kind), key, "cpu", 99, None)
        return Global("torch._utils", "_rebuild_tensor_v2", storage, offset, shape, stride, False, None)

    def test_tensors_have_their_shape_type_and_values(self):
        numbers, counts = np.arange(8, dtype="<f4") / 3, np.array([7], "<i8")
        self.write({
            "whole": self.tensor("FloatStorage", "1", 0, (2, 4), (4, 1)),
            "part": self.tensor("FloatStorage", "1", 2, (3,), (1,)),
            "turned": self.tensor("FloatStorage", "1", 0, (4, 2), (1, 4)),
            "count": self.tensor("LongStorage", "2", 0, (), ()),
        }, {"1": numbers, "2": counts})
        found = torch_file.read(self.path)
        np.testing.assert_array_equal(found["whole"], numbers.reshape(2, 4))
        np.testing.assert_array_equal(found["part"], numbers[2:5])
        np.testing.assert_array_equal(found["turned"], numbers.reshape(2, 4).T)
        self.assertEqual((found["count"].dtype, int(found["count"])), (np.int64, 7))

    def test_a_file_that_asks_for_more_than_tensors_is_refused_and_not_run(self):
        witness = self.path.with_suffix(".run")
        self.write({"x": Global("os", "mkdir", os.fspath(witness))}, {})
        with self.assertRaisesRegex(pickle.UnpicklingError, "os.mkdir"):
            torch_file.read(self.path)
        self.assertFalse(witness.exists())

    def test_another_format_is_refused(self):
        self.write({}, {}, magic=1)
        with self.assertRaisesRegex(pickle.UnpicklingError, "older format"):
            torch_file.read(self.path)


if __name__ == "__main__":
    unittest.main()
