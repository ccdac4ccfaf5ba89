"""Tensors of a file come out as they went in, or the file is refused. The package with the real file is not needed."""

import hashlib
import json
import tempfile
import unittest
from pathlib import Path

from perceptual import torch_file
from perceptual.convert import ConvertError, convert

FIXTURE = Path(__file__).with_name("random.pth")
SHA256 = hashlib.sha256(FIXTURE.read_bytes()).hexdigest()


class Conversions(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = Path(scratch.name)
        self.out = self.folder / "features.safetensors"

    def test_every_value_of_the_features_is_in_the_safetensors_file(self):
        self.assertEqual(convert(FIXTURE, self.out, SHA256), 5)
        content = self.out.read_bytes()
        length = int.from_bytes(content[:8], "little")
        self.assertEqual(length % 8, 0)
        header, values = json.loads(content[8:8 + length]), content[8 + length:]
        self.assertIn("BSD-3-Clause", header.pop("__metadata__")["license"])
        tensors = torch_file.read(FIXTURE.read_bytes())
        del tensors["features.0.1.num_batches_tracked"]
        self.assertEqual(list(header), list(tensors))
        end = 0
        for name, tensor in tensors.items():
            begin, end = end, end + len(tensor.data)
            self.assertEqual(header[name], {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [begin, end]})
            self.assertEqual(values[begin:end], tensor.data)
        self.assertEqual(len(values), end)
        self.assertEqual(list(self.folder.iterdir()), [self.out])

    def test_another_file_than_the_expected_one_is_not_unpickled(self):
        source = self.folder / "other.pth"
        source.write_bytes(b"cos\nsystem\n(S'true'\ntR.")
        with self.assertRaisesRegex(ConvertError, "other.pth: its sha256 is .*: expected b0353104"):
            convert(source, self.out)
        with self.assertRaisesRegex(ConvertError, "none.pth: No such file"):
            convert(self.folder / "none.pth", self.out)
        self.assertFalse(self.out.exists())

    def test_nothing_is_overwritten(self):
        self.out.write_text("mine")
        with self.assertRaisesRegex(ConvertError, "features.safetensors exists"):
            convert(FIXTURE, self.out, SHA256)
        self.assertEqual(self.out.read_text(), "mine")


if __name__ == "__main__":
    unittest.main()
