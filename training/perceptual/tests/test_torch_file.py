"""Tensors are read from PyTorch's files, and nothing else is done that such a file asks for.

`random.pth` is the beginning of a file that PyTorch wrote, MobileNetV2's first convolution and its norm, with random numbers for values.
"""

import collections
import io
import os
import pickle
import random
import struct
import unittest
from pathlib import Path

from perceptual import torch_file
from perceptual.torch_file import TorchFileError

FIXTURE = Path(__file__).with_name("random.pth").read_bytes()
# Bytes before the dictionary of tensors: magic number, version, and sizes of types.
HEAD = FIXTURE[:137]


def with_dictionary(pickled, after=b""):
    return HEAD + pickled + after


class Runs:
    """Pickles as a call of any function."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


class Fixture(unittest.TestCase):
    def test_tensors_have_their_names_types_shapes_and_values(self):
        tensors = torch_file.read(FIXTURE)
        self.assertEqual(
            {name: (tensor.dtype, tensor.shape) for name, tensor in tensors.items()},
            {
                "features.0.0.weight": ("F32", (32, 3, 3, 3)),
                "features.0.1.weight": ("F32", (32,)),
                "features.0.1.bias": ("F32", (32,)),
                "features.0.1.running_mean": ("F32", (32,)),
                "features.0.1.running_var": ("F32", (32,)),
                "features.0.1.num_batches_tracked": ("I64", ()),
            })
        draw = random.Random(7)
        for tensor in tensors.values():
            count = len(tensor.data) // 4 if tensor.dtype == "F32" else 0
            expected = struct.pack(f"<{count}f", *(draw.uniform(-1, 1) for _ in range(count))) or bytes(8)
            self.assertEqual(tensor.data, expected)

    def test_a_file_that_is_cut_off_anywhere_or_too_long_is_refused(self):
        for end in (0, 1, 14, 20, 136, 200, 1000, len(FIXTURE) - 1):
            with self.subTest(end=end), self.assertRaises(TorchFileError):
                torch_file.read(FIXTURE[:end])
        with self.assertRaisesRegex(TorchFileError, "what follows the last storage"):
            torch_file.read(FIXTURE + b"x")
        with self.assertRaisesRegex(TorchFileError, "expected at most"):
            torch_file.read(bytes(torch_file.MAX_BYTES + 1))

    def test_other_formats_are_named(self):
        with self.assertRaisesRegex(TorchFileError, "archive"):
            torch_file.read(b"PK\x03\x04")
        with self.assertRaisesRegex(TorchFileError, "magic number is 7"):
            torch_file.read(pickle.dumps(7))


class Hostile(unittest.TestCase):
    def assert_refused(self, content, message):
        with self.assertRaisesRegex(TorchFileError, message):
            torch_file.read(content)

    def test_no_function_that_a_file_names_is_called(self):
        called = []
        # A call of whatever has been imported would be seen here.
        original, os.system = os.system, lambda *arguments: called.append(arguments)
        self.addCleanup(setattr, os, "system", original)
        for place in range(4):
            for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
                hostile = b"cos\nsystem\n(S'true'\ntR." if protocol < 2 else pickle.dumps(
                    Runs(eval, "__import__('os').system('true')"), protocol)
                parts = [pickle.dumps(torch_file.MAGIC), pickle.dumps(torch_file.VERSION), FIXTURE[21:137], b""]
                content = b"".join(parts[:place]) + hostile
                self.assert_refused(content, "it asks for `(os.system|(builtins|__builtin__).eval)`")
        self.assertEqual(called, [])

    def test_functions_within_what_is_allowed_are_out_of_reach(self):
        for name in ("torch._utils\n_rebuild_tensor_v2.__globals__", "collections\nOrderedDict.__init__", "torch\nload",
                     "torch_file\n_view", "collections\nabc"):
            self.assert_refused(with_dictionary(f"c{name}\n.".encode()), "it asks for")

    def test_a_storage_that_is_none_is_refused(self):
        for identifier in (("storage", "FloatStorage", "1", "cpu", -1, None), ("module", "a", "b"), 7,
                           ("storage", "HalfStorage", "1", "cpu", 1, None), ("storage", "FloatStorage", "1", "cpu", 1, ("view",))):
            written = io.BytesIO()
            pickler = pickle.Pickler(written, 2)
            pickler.persistent_id = lambda entry, identifier=identifier: identifier if entry == "here" else None
            pickler.dump({"a": "here"})
            self.assert_refused(with_dictionary(written.getvalue()), "expected a storage")

    def test_what_is_no_dictionary_of_tensors_is_refused(self):
        for value in ([], {"a": 1}, {1: 2}, collections.OrderedDict(a=[])):
            self.assert_refused(with_dictionary(pickle.dumps(value, 2)), "expected a dictionary of tensors")

    def test_a_tensor_beyond_its_storage_is_refused(self):
        # 864 is the first storage's number of values, 32 its tensor's first side.
        self.assertEqual(FIXTURE.count(b"M\x60\x03N"), 1)
        self.assert_refused(FIXTURE.replace(b"M\x60\x03N", b"M\x5f\x03N"), "864 values from 0 on: its storage has 863")
        self.assert_refused(FIXTURE.replace(b"(K\x20K\x03K\x03K\x03t", b"(K\x20K\x03K\x03K\x02t"), "the strides")


if __name__ == "__main__":
    unittest.main()
